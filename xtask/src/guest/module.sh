#!/bin/busybox sh
# The first program of a Linux host on which the module is tried without a guest's kernel: why it isn't
# loaded, registers, limits, lives of machines. Words of the kernel's command line:
# module.refused (it is refused here, and nothing else is tried), module.lives=N, module.end=WORD (how this
# kernel ends while machines run, and nothing else), module.rounds (how long a machine's hypercall takes, by
# kvm-hv and by the module, and nothing else).
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
is_asked() { tr ' ' '\n' </proc/cmdline | grep -qx "$1"; }
ok() { echo "check: ok $1"; }
failed() { echo "check: FAILED $1: $2"; }
# Its own last words.
said() { dmesg | grep 'kvm-catnap: ' | tail -n 1 | sed 's/.*kvm-catnap: /host: it says: /'; }
refused() {
    if insmod "/modules/$2.ko" 2>/tmp/error; then
        failed "refused $1" 'it was loaded'
        rmmod kvm-catnap
    else
        said
        ok "refused $1"
    fi
}
end() {
    if dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace'; then failed kernel-log 'see above'; else ok kernel-log; fi
    echo "check: done"
    poweroff -f
    sleep 1000
}

load-module kvm
if is_asked module.refused; then
    refused here kvm-catnap
    end
fi
if is_asked module.rounds; then
    for backend in kvm-hv kvm-catnap; do
        load-module $backend
        echo "rounds: by $backend"
        linux-kvm 1
        rmmod $backend
    done
    end
fi
# How a kernel ends while two machines run; the next one runs machines again. The clock tells a second boot.
begin_again() {
    load-module kvm-catnap
    linux-kvm 2 && ok again
    rmmod kvm-catnap && ok unloaded
    [ "$ending" != dumped ] || { [ -s /proc/vmcore ] && ok dump; }
    end
}
ending=$(word module.end)
if [ -n "$ending" ]; then
    case $ending in off | dumped) begin_again ;; esac
    [ "$(cut -d- -f1 /sys/class/rtc/rtc0/date)" != 2031 ] || begin_again
    date -u -s '2031-02-03 04:05:06' >/dev/null
    hwclock -u -w
    case $ending in
    kexec) kexec -l /vmlinux --initrd=/initrd --append="$(sed 's/module.end=kexec/module.end=off/' /proc/cmdline)" ;;
    kdump) kexec -p /vmlinux --initrd=/initrd --append="console=hvc0 nr_cpus=1 module.end=dumped" ;;
    esac
    load-module kvm-catnap
    linux-kvm-lives 0 &
    linux-kvm-lives 0 &
    sleep 1
    [ "$(pidof linux-kvm-lives | wc -w)" = 2 ] && ok running
    case $ending in
    reboot) reboot -f ;;
    kexec) kexec -e ;;
    panic | kdump) echo c >/proc/sysrq-trigger ;;
    esac
    failed end 'it goes on'
    end
fi
refused version kvm-catnap-other
load-module kvm-hv
refused slot kvm-catnap
rmmod kvm-hv
load-module kvm-catnap
said

linux-kvm-registers </registers
linux-kvm-steps && ok steps
linux-kvm-table && ok table

linux-kvm-lives
said

# A machine keeps the module.
linux-kvm-lives 0 &
sleep 0.5
if rmmod kvm-catnap 2>/dev/null; then failed unload 'a machine lives'; else ok busy; fi
kill -9 $!
wait 2>/dev/null

# The first ones take what they take for good.
linux-kvm-lives 10
free() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    awk '/^MemFree:/ { print $2 }' /proc/meminfo
}
kept() { grep -c -E 'kvm_catnap|kcn_' /proc/vmallocinfo; }
before=$(free)
kept_before=$(kept)
linux-kvm-lives "$(word module.lives)"
after=$(free)
# Linux gives back some of it a while after a process is gone.
tries=0
until [ $((before - after)) -lt 8192 ] || [ $tries -gt 120 ]; do
    sleep 0.5
    tries=$((tries + 1))
    after=$(free)
done
echo "host: after $tries waits: $before KiB were free, $after KiB are"
# Linux itself takes and gives some, but not what a machine in ten keeps.
if [ $((before - after)) -lt 8192 ]; then ok memory; else failed memory "$((before - after)) KiB are missing"; fi
if [ "$(kept)" = "$kept_before" ]; then ok tables; else failed tables "$(kept) instead of $kept_before"; fi
linux-kvm 2 && ok machines

if rmmod kvm-catnap; then ok unloaded; else failed unload 'it stays'; fi
load-module kvm-catnap
rmmod kvm-catnap && ok reloaded
# Linux's helpers serve all of it.
insmod /modules/kvm-catnap.ko serve_table=0
linux-kvm-table && ok table-by-linux
rmmod kvm-catnap
end

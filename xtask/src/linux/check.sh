# Checks of a Linux host on catnap. Each says `check: ok NAME` or `check: FAILED NAME: why`.
# Words of the kernel's command line: check.cpus=N, check.rtc, check.ipmi, check.naps, check.kvm,
# check.flash, check.hotplug=ROUNDS, check.pci=DEVICES, check.disk=MEGABYTES, check.net=DIGEST, check.interrupts=KIND,
# check.list, check.busy, check.spread, check.recovery, check.end=WORD; and check.rebooted.cpus=N: on the second boot the host has so many,
# since the first has asked for them.

ok() { echo "check: ok $1"; }
failed() { echo "check: FAILED $1: $2"; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "is '$2', should be '$3'"; fi; }
has() { if grep -q "$3" "$2"; then ok "$1"; else failed "$1" "no '$3' in $2"; fi; }
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
is_asked() { tr ' ' '\n' </proc/cmdline | grep -qx "$1"; }

opal=/sys/firmware/opal
tree=/proc/device-tree
echo "check: Linux $(uname -r)"
# The clock tells a second boot: the first one sets it.
first_year=$(cut -d- -f1 /sys/class/rtc/rtc0/date 2>/dev/null)

cpus=$(word check.cpus)
[ "$first_year" = 2031 ] && [ "$(word check.end)" = reboot ] && cpus=$(word check.rebooted.cpus)
# A kernel that dumps another has few threads, the one that has crashed among them, and begins on that.
[ "$(word check.end)" = dumped ] && cpus=$(nproc)
same cpus "$(nproc)" "$cpus"
has platform /proc/cpuinfo '^firmware.*OPAL'
same online "$(grep -c ^processor /proc/cpuinfo)" "$cpus"
# Linux numbers threads as the tree does, and begins on the tree's boot thread: both by PIR.
number() { hexdump -v -s "$2" -n 4 -e '4/1 "%02x"' "$1"; }
first=$(for core in $tree/cpus/*@*; do number $core/ibm,ppc-interrupt-server#s 0; echo; done | sort | head -n 1)
[ "$(word check.end)" = dumped ] || same boot-thread "$(number /sys/firmware/fdt 28)" "$first"
chips=$(cat $tree/cpus/*@*/ibm,chip-id $tree/memory@*/ibm,chip-id | hexdump -v -e '4/1 "%02x" "\n"' | sort -u | wc -l)
same nodes "$(ls -d /sys/devices/system/node/node[0-9]* | wc -l)" "$chips"
has version $tree/ibm,opal/firmware/version '^catnap-'
has msglog $opal/msglog 'catnap: to the host'
has symbols $opal/symbol_map ' opal_entry$'
has exports $opal/exports/symbol_map ' opal_entry$'
has calls $opal/exports/opal_calls CATCALLS
has statistics $opal/exports/smt_stats CATSTATS
has trace $opal/exports/trace CATTRACE
has interrupts /proc/interrupts 'opal-psi'
idle=powernv_idle
is_asked powersave=off && idle=none
same idle "$(cat /sys/devices/system/cpu/cpuidle/current_driver)" $idle
is_asked check.naps && sleep 0.2 && has naps /sys/devices/system/cpu/cpu0/cpuidle/state1/usage '^[1-9]'
has console /proc/interrupts hvc_console

same temperatures "$(cat /sys/class/hwmon/hwmon0/temp*_input | wc -l)" "$(ls -d $tree/cpus/*@* | wc -l)"
has celsius /sys/class/hwmon/hwmon0/temp1_input '^[1-9][0-9]000$'
# The second partition of NVRAM, behind 4096 bytes, is for everybody.
printf 'check=%s' "$$" | dd of=/dev/nvram bs=1 seek=4112 conv=notrunc 2>/dev/null
same nvram "$(dd if=/dev/nvram bs=1 skip=4112 count=$((6 + ${#$})) 2>/dev/null)" "check=$$"
has oops-log /dev/nvram 'lnx,oops-log'

# All threads but one go and come back, in each round another one stays.
go_and_come_back() {
    for thread in /sys/devices/system/cpu/cpu[0-9]*; do
        [ "${thread##*cpu}" = "$1" ] || echo 0 >"$thread/online" || return 1
    done
    [ "$(nproc)" = 1 ] || return 1
    for thread in /sys/devices/system/cpu/cpu[0-9]*; do
        [ "${thread##*cpu}" = "$1" ] || echo 1 >"$thread/online" || return 1
    done
    [ "$(nproc)" = "$cpus" ]
}
rounds=$(word check.hotplug)
if [ -n "$rounds" ]; then
    round=0
    while [ $round -lt "$rounds" ] && go_and_come_back $((round % cpus)); do round=$((round + 1)); done
    same hotplug "$round rounds, $(cat /sys/devices/system/cpu/online)" "$rounds rounds, 0-$((cpus - 1))"
fi

if is_asked check.rtc; then
    if hwclock -u -s; then ok clock-read; else failed clock-read hwclock; fi
    date -u -s '2031-02-03 04:05:06' >/dev/null
    if hwclock -u -w; then ok clock-write; else failed clock-write hwclock; fi
    same clock "$(cut -d: -f1,2 /sys/class/rtc/rtc0/time)" 04:05
fi
if is_asked check.ipmi; then
    dmesg >/tmp/dmesg
    has ipmi /tmp/dmesg 'Found new BMC'
    if [ -c /dev/ipmi0 ]; then ok ipmi-device; else failed ipmi-device 'no /dev/ipmi0'; fi
fi

# Each PCI device has a driver; each disk keeps a file from a first boot to a second one; each network
# brings the same file from outside.
keeps_a_file() {
    mount -t ext4 "/dev/$1" /mnt 2>/dev/null || { mke2fs "/dev/$1" && mount -t ext4 "/dev/$1" /mnt; } >/dev/null || return 1
    if [ -e /mnt/sum ]; then
        echo "check: $1 has a file of an earlier boot"
        (cd /mnt && sha256sum -s -c sum) || return 1
    else
        dd if=/dev/urandom of=/mnt/file bs=1M count="$(word check.disk)" 2>/dev/null
        (cd /mnt && sha256sum file >sum)
    fi
    umount /mnt
}
brings_a_file() {
    ifconfig "$1" 10.0.2.15 up && tftp -g -r file -l /tmp/file 10.0.2.2
    sum=$(sha256sum </tmp/file)
    rm -f /tmp/file
    ifconfig "$1" down
    [ "${sum%% *}" = "$(word check.net)" ]
}
if [ -n "$(word check.pci)" ]; then
    devices=0
    for device in /sys/bus/pci/devices/*; do
        case $(cat "$device/class") in 0x0604*) continue ;; esac
        devices=$((devices + 1))
        driver=$(readlink "$device/driver")
        if [ -n "$driver" ]; then ok "driver ${driver##*/}"; else failed driver "$(cat "$device/uevent")"; fi
    done
    same pci-devices $devices "$(word check.pci)"
fi
# What lspci tells of each device, but for its capabilities: to be compared with another firmware's.
if is_asked check.list; then
    for device in /sys/bus/pci/devices/*; do
        driver=$(readlink "$device/driver")
        echo "pci: ${device##*/} $(cat "$device/class" "$device/vendor" "$device/device" | tr '\n' ' ')${driver##*/}"
        sed "s/^/pci: ${device##*/} resource /" "$device/resource"
    done
fi
if [ -n "$(word check.disk)" ]; then
    mkdir -p /mnt
    for disk in nvme0n1 vda sda sdb; do
        [ -e /sys/block/$disk ] || continue
        if keeps_a_file $disk; then ok "disk $disk"; else failed disk $disk; fi
    done
fi
if [ -n "$(word check.net)" ]; then
    for net in /sys/class/net/eth*; do
        if brings_a_file "${net##*/}"; then ok "net $(basename "$(readlink "$net/device/driver")")"; else failed net "$net"; fi
    done
fi
kind=$(word check.interrupts)
if [ -n "$kind" ]; then
    # Of the disk with a queue and an interrupt for each thread.
    grep "$kind.*nvme" /proc/interrupts >/tmp/interrupts
    has "interrupts by $kind" /tmp/interrupts ' [1-9]'
fi

# Flash: Linux's device of all of it, and what programs of opal-utils make of that.
if is_asked check.flash; then
    load-module mtd ofpart powernv_flash
    has mtd /proc/mtd '^mtd0: .* "PNOR"$'
    # Behind all partitions, as images are made here.
    blocks=$(($(cat /sys/class/mtd/mtd0/size) / 4096))
    yes catnap | head -c 4096 >/tmp/block
    dd if=/tmp/block of=/dev/mtd0 bs=4096 seek=$((blocks - 1)) conv=notrunc 2>/dev/null
    dd if=/dev/mtd0 of=/tmp/back bs=4096 skip=$((blocks - 1)) 2>/dev/null
    if cmp -s /tmp/block /tmp/back; then ok mtd-write; else failed mtd-write 'it reads back as something else'; fi
    pflash --read=/tmp/version --partition=VERSION >/dev/null
    has pflash-reads /tmp/version catnap-
    if opal-gard list >/tmp/gard 2>&1; then ok opal-gard; else failed opal-gard "$(cat /tmp/gard)"; fi
    pflash --read=/tmp/guard --partition=GUARD >/dev/null
    pflash --force --erase --program=/tmp/guard --partition=GUARD >/tmp/pflash 2>&1
    same pflash-writes $? 0
    has measured $tree/ibm,opal/measured/BOOTKERNEL/hash-algo sha512
fi

if is_asked check.spread; then
    # A read by each thread, which has a queue of its own.
    thread=0
    while [ $thread -lt "$cpus" ]; do
        taskset "$(printf %x $((1 << thread)))" dd if=/dev/nvme0n1 of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null
        thread=$((thread + 1))
    done
    reached=$(grep 'MSI.*nvme0q[1-9]' /proc/interrupts | awk -v n="$cpus" \
        '{ for (i = 2; i < n + 2; i++) if ($i > 0) hit[i] = 1 } END { for (i in hit) c++; print c + 0 }')
    same interrupts-spread "$reached" "$cpus"
fi
# What is on a live disk is there after a recovery from an error, and after a reset.
digest() { dd if=/dev/nvme0n1 bs=1M count=16 iflag=direct 2>/dev/null | sha256sum; }
comes_back() {
    tries=0
    until [ "$(digest)" = "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || return 1
        sleep 1
    done
}
if is_asked check.recovery; then
    mount -t debugfs debugfs /sys/kernel/debug
    for device in /sys/bus/pci/drivers/nvme/0*; do
        [ -e "$device/block" ] || [ -e "$device/nvme/nvme0" ] || continue
        content=$(digest)
        domain=$(basename "$device" | cut -d: -f1)
        pe=$(cat "$device/eeh_pe_config_addr")
        dd if=/dev/nvme0n1 of=/dev/null bs=1M count=24 iflag=direct 2>/dev/null &
        echo "$domain:${pe#0x}" >/sys/kernel/debug/powerpc/eeh_force_recover
        if comes_back "$content"; then ok "recovery of $pe"; else failed recovery "of $pe"; fi
        dd if=/dev/nvme0n1 of=/dev/null bs=1M count=24 iflag=direct 2>/dev/null &
        echo 1 >"$device/reset"
        if comes_back "$content"; then ok "reset of $pe"; else failed reset "of $pe"; fi
        wait
    done
fi

# Linux's own guests, more at once than it has threads. None of its threads goes offline first: those that
# KVM wants nothing of are the firmware's.
if is_asked check.kvm; then
    load-module kvm kvm-hv
    if linux-kvm $((2 * cpus)); then ok kvm; else failed kvm 'see above'; fi
fi

# A recovery tells its own trace.
if dmesg | grep -v 'EEH: ' | grep -E 'WARNING:|BUG:|Oops|Call Trace|OPAL Error|opal:.*[Ee]rror'; then
    failed kernel-log 'see above'
else
    ok kernel-log
fi
echo "check: done"

# Reads of the disk that are under way when this kernel ends.
keep_busy() {
    is_asked check.busy || return 0
    for reader in 1 2 3 4; do
        while :; do dd if=/dev/nvme0n1 of=/dev/null bs=64k iflag=direct 2>/dev/null; done &
    done
    sleep 0.5
}
case $(word check.end) in
reboot)
    # The firmware's own partition of NVRAM is the first one.
    printf 'threads=host\0' | dd of=/dev/nvram bs=1 seek=16 conv=notrunc 2>/dev/null
    [ "$first_year" = 2031 ] || reboot -f
    ;;
halt) halt -f ;;
panic) [ "$first_year" = 2031 ] || echo c >/proc/sysrq-trigger ;;
kdump)
    words="catnap.check check.end=dumped $(tr ' ' '\n' </proc/cmdline | grep '^check.disk=')"
    kexec -p /vmlinux --initrd=/initrd --append="console=hvc0 nr_cpus=1 $words" &&
        keep_busy && echo c >/proc/sysrq-trigger
    failed kdump 'no second kernel'
    ;;
dumped) if [ -s /proc/vmcore ]; then ok dump; else failed dump 'no /proc/vmcore'; fi ;;
kexec)
    kexec -l /vmlinux --initrd=/initrd --append="$(sed 's/check.end=kexec/check.end=off/' /proc/cmdline)" &&
        keep_busy && kexec -e
    failed kexec 'came back'
    ;;
esac

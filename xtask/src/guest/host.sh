#!/bin/busybox sh
# The first program of a Linux host on catnap that runs guests by QEMU and KVM: `cargo xtask guest`.
# Words of the kernel's command line: guest.machines=N, guest.fuzz=N, guest.check, guest.disk=DEVICE,
# guest.moves (a guest that is saved and migrated, instead), guest.debugged (one to which a debugger comes),
# guest.traced (one whose threads are traced).
export PATH=/bin:/sbin:/usr/bin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
is_asked() { tr ' ' '\n' </proc/cmdline | grep -qx "$1"; }
load-module $(cat /modules/order 2>/dev/null) kvm kvm-catnap

machines=$(word guest.machines)
# A disk of the host's that is the guest's.
device=$(word guest.disk)
if [ -n "$device" ]; then
    load-module $(cat /modules/pci-order)
    until [ -b "$device" ]; do sleep 0.1; done
fi
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    echo "host: ${cpu##*/} has the siblings $(cat "$cpu/topology/thread_siblings_list")"
done
is_asked guest.check || exec </dev/console
[ "$(word guest.fuzz)" = 0 ] || linux-kvm-fuzz "$(word guest.fuzz)"

run() {
    # A disk of its own, which the guest may write.
    disk=${device:-/tmp/disk$1}
    [ -n "$device" ] || cp /guest/disk "$disk"
    qemu-system-ppc64 -L /guest/firmware $(cat /guest/options) \
        -drive "if=none,id=disk,format=raw,file=$disk" -device virtio-blk-pci,drive=disk \
        -kernel /guest/vmlinux -initrd /guest/initrd -append "$(cat /guest/words) guest.number=$1"
    echo "host: machine $1 ended with $?"
}

number=1
if is_asked guest.moves; then
    . /monitor.sh
    . /moves.sh
elif is_asked guest.debugged; then
    . /monitor.sh
    . /debugged.sh
elif is_asked guest.traced; then
    . /monitor.sh
    . /traced.sh
elif [ "$machines" = 1 ]; then
    run 1
else
    while [ "$number" -le "$machines" ]; do
        # Line by line, so that none ends up within another machine's.
        run "$number" </dev/null 2>&1 | while IFS= read -r line; do echo "$line"; done &
        number=$((number + 1))
    done
    wait
fi
if is_asked guest.check; then
    echo "host: vcores were run $(cat /sys/module/kvm_catnap/parameters/runs) times"
    rmmod kvm-catnap && echo "host: the module is gone"
    if dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace'; then
        echo "check: FAILED kernel-log: see above"
    fi
    echo "check: done"
else
    echo "host: a shell. To leave: exit, or Ctrl-A X."
    cd /
    setsid cttyhack sh
fi
poweroff -f
sleep 1000

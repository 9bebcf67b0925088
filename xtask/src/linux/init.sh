#!/bin/busybox sh
# The first program of a Linux host on catnap: sets up what every host has, then a shell; or, with a word in
# the command line, the checks (`catnap.check`), a virtual machine (`catnap.kvm`) or how fast its devices are
# (`catnap.rates`).
export PATH=/bin:/sbin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
load-module $(cat /modules/order 2>/dev/null)
# PCI devices beside bridges.
grep -qsv '^0x0604' /sys/bus/pci/devices/*/class && load-module $(cat /modules/pci-order 2>/dev/null)
if grep -qw catnap.check /proc/cmdline; then
    sh /check.sh
elif grep -qw catnap.rates /proc/cmdline; then
    sh /rates.sh
elif grep -qw catnap.kvm /proc/cmdline; then
    load-module kvm kvm-hv
    linux-kvm 1
else
    # Flash becomes /dev/mtd*, for pflash and opal-gard.
    if [ -e /proc/device-tree/ibm,opal/flash@0 ] && [ -e /modules/order ]; then
        load-module mtd ofpart powernv_flash
    fi
    echo
    echo "Linux $(uname -r) on $(tr -d '\0' </proc/device-tree/ibm,opal/firmware/version)."
    echo "The firmware's log: cat /sys/firmware/opal/msglog. To leave: exit, or Ctrl-A X."
    cd /
    setsid cttyhack sh
fi
poweroff -f
sleep 1000

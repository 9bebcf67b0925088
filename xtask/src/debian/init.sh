#!/bin/busybox sh
# The first program of a Debian that lives on a disk: mounts it and goes on with Debian's own; or, with the
# word debian.setup in the kernel's command line, readies a disk that was just made.
export PATH=/bin:/sbin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
load-module $(cat /modules/order)
disk=$(word root)
tries=0
while [ ! -b "$disk" ] && [ $tries -lt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
if mount -t ext4 "$disk" /root; then
    if tr ' ' '\n' </proc/cmdline | grep -qx debian.setup; then
        sh /setup.sh
    else
        mount --move /dev /root/dev
        mount --move /proc /root/proc
        mount --move /sys /root/sys
        exec switch_root /root /sbin/init
    fi
else
    echo "debian: $disk can't be mounted; a shell. To leave: exit, or Ctrl-A X."
    setsid cttyhack sh
fi
poweroff -f
sleep 1000

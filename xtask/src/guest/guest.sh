#!/bin/busybox sh
# The first program of a Linux guest of `cargo xtask guest`. Words of the kernel's command line:
# guest.number=N, guest.check, guest.net (a network is there), guest.smt=N, guest.cpus=N, guest.count (it counts, and doesn't end),
# guest.work (all its threads hash, and don't end).
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
is_asked() { tr ' ' '\n' </proc/cmdline | grep -qx "$1"; }
number=$(word guest.number)
load-module $(cat /modules/order)

echo "guest $number: Linux $(uname -r) on $(tr -d '\0' </proc/device-tree/compatible | tail -c 40)"
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    echo "guest $number: ${cpu##*/} has the siblings $(cat "$cpu/topology/thread_siblings_list")"
done

ok() { echo "guest $number: ok $1"; }
failed() { echo "check: FAILED guest $number: $1: $2"; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else failed "$1" "is '$2', should be '$3'"; fi; }

# Each thread hashes its part of the disk, all at once.
hash_part() {
    taskset "$(printf '%x' $((1 << $1)))" sh -c \
        "dd if=/dev/vda bs=64k skip=$1 count=1 2>/dev/null | sha256sum >/tmp/part$1"
    echo "guest $number: part $1 $(cut -d' ' -f1 /tmp/part$1)"
}
if is_asked guest.count; then
    # Memory that is written all the time, with its sums: a page that is forgotten on the way has another.
    mkdir -p /tmp
    cd /tmp
    count=0
    while :; do
        count=$((count + 1))
        [ "$count" = 1 ] || cat sum? | md5sum -c -s || failed sums "at $count"
        file=random$((count % 8))
        dd if=/dev/urandom "of=$file" bs=64k count=2 2>/dev/null
        md5sum "$file" >"sum$((count % 8))"
        echo "guest $number: count $count"
        dd if=/dev/vda of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null
        sleep 0.2
    done
elif is_asked guest.work; then
    mkdir -p /tmp
    cpus=$(seq 0 $(($(word guest.cpus) - 1)))
    for cpu in $cpus; do hash_part "$cpu" & done
    wait
    for cpu in $cpus; do (while :; do hash_part "$cpu" >/dev/null; done) & done
    echo "guest $number: at work"
    wait
elif is_asked guest.check; then
    mkdir -p /tmp
    cpus=$(word guest.cpus)
    same cpus "$(nproc)" "$cpus"
    for cpu in $(seq 0 $((cpus - 1))); do hash_part "$cpu" & done
    wait
    # A sleep on each thread ends by that thread's decrementer.
    for cpu in $(seq 0 $((cpus - 1))); do taskset "$(printf '%x' $((1 << cpu)))" sleep 0.1 & done
    wait
    ok timers
    if [ "$(word guest.smt)" != 1 ]; then
        rung=$(awk '/Doorbell/ { for (i = 2; i <= NF; i++) sum += $i } END { print sum + 0 }' /proc/interrupts)
        if [ "$rung" -gt 0 ]; then ok doorbells; else failed doorbells none; fi
    fi
    if is_asked guest.net; then
        ifconfig eth0 10.0.2.15
        tftp -g -b 16384 -r disk -l /tmp/fetched 10.0.2.2 && echo "guest $number: by the network $(sha256sum </tmp/fetched | cut -d' ' -f1)"
    fi
    echo "written by $number" | dd of=/dev/vda conv=notrunc 2>/dev/null
    sync
    same disk "$(dd if=/dev/vda bs=16 count=1 2>/dev/null | head -n 1 | cut -c1-12)" "written by $number"
    # NVRAM is empty, as QEMU makes it, unless SLOF has formatted it.
    if dmesg | grep -v nvram | grep -E 'WARNING:|BUG:|Oops|Call Trace|detected stall'; then failed kernel-log 'see above'; fi
    echo "guest $number: done"
else
    echo "To leave: exit, which switches the guest off."
    cd /
    setsid cttyhack sh
fi
poweroff -f
sleep 1000

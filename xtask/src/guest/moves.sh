# A guest that counts is stopped and continued, migrated to a file, and from there into a second QEMU, with
# another disk format. By QEMU's monitors.
# Arguments: QEMU's options come from files, as for any other guest.
ok() { echo "check: ok $1"; }
failed() { echo "check: FAILED $1: $2"; }

# start NAME DISK FORMAT MORE: a QEMU whose monitor is a pipe and whose console is a file.
start() {
    mkfifo "/tmp/$1.in" "/tmp/$1.out"
    name=$1 disk=$2 format=$3
    shift 3
    qemu-system-ppc64 -L /guest/firmware $(sed 's/-serial mon:stdio -no-reboot//' /guest/options) \
        -serial "file:/tmp/$name.console" -monitor "pipe:/tmp/$name" \
        -drive "if=none,id=disk,format=$format,file=$disk" -device virtio-blk-pci,drive=disk \
        -kernel /guest/vmlinux -initrd /guest/initrd -append "$(cat /guest/words) guest.number=1 guest.count" "$@" &
    eval "$name=$!"
    cat "/tmp/$name.out" >"/tmp/$name.said" &
}
order() {
    echo "host: $1: $2"
    echo "$2" >"/tmp/$1.in"
}
last_count() { sed -n 's/.*count \([0-9]*\).*/\1/p' "/tmp/$1.console" | tail -n 1; }
# until_counts NAME N: it has counted to more than N.
until_counts() {
    tries=0
    until [ "$(last_count "$1")" -gt "$2" ] 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "count of $1" "$(last_count "$1"), and not more than $2"
            return 1
        fi
        sleep 0.5
    done
}
until_said() {
    tries=0
    until grep -q "$3" "/tmp/$1.$2"; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "$1" "never said $3"
            return 1
        fi
        sleep 0.5
    done
}

cp /guest/disk /tmp/disk
start first /tmp/disk raw
until_counts first 3 && ok counts
order first stop
sleep 1
stopped=$(last_count first)
sleep 2
if [ "$(last_count first)" = "$stopped" ]; then ok stop; else failed stop "it counts on"; fi
order first 'x /4xw 0xc000000000000100'
order first cont
until_counts first $((stopped + 2)) && ok cont
grep -q '^c000000000000100: 0x' /tmp/first.said && ok memory-by-monitor

order first 'drive_backup -f disk /tmp/disk.qcow2 qcow2'
sleep 2
order first 'migrate "exec:cat >/tmp/state"'
order first 'info migrate'
until_said first said completed
order first quit
wait "$first" 2>/dev/null
saved=$(last_count first)
ls -l /tmp/state /tmp/disk.qcow2

start second /tmp/disk.qcow2 qcow2 -incoming 'exec:cat /tmp/state'
until_counts second "$saved" && ok from-file
order second quit
wait "$second"
for name in first second; do grep -i error "/tmp/$name.said" | sed "s/^/host: $name said: /"; done

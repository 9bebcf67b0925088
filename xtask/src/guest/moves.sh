# A guest that counts is stopped and continued, migrated to a file, and from there into a second QEMU, with
# another disk format; there it is saved and loaded, reset, and migrated on into a third QEMU by a socket. By
# QEMU's monitors.
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
last_count() { sed -n 's/.*count \([0-9]*\).*/\1/p' "/tmp/$1.console" 2>/dev/null | tail -n 1; }
# until_counts NAME N: it has counted to more than N.
until_counts() {
    tries=0
    until [ "$(last_count "$1")" -gt "$2" ] 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "count of $1" "$(last_count "$1"), and not more than $2"
            tell "$1"
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
            tell "$1"
            return 1
        fi
        sleep 0.5
    done
}
# until_lines NAME WORDS N: its console has N lines that end so.
until_lines() {
    tries=0
    until [ "$(tr -d '\r' <"/tmp/$1.console" | grep -c "$2\$")" -ge "$3" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "$1" "never said $2 $3 times"
            tell "$1"
            return 1
        fi
        sleep 0.5
    done
}
until_migrated() {
    tries=0
    until grep -q 'Migration status: completed' "/tmp/$1.said"; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "$1" "isn't migrated"
            tell "$1"
            return 1
        fi
        sleep 0.5
        echo 'info migrate' >"/tmp/$1.in"
    done
}
# What a machine that doesn't get on is at: its last words, and its threads.
tell() {
    echo "host: vcores were run $(cat /sys/module/kvm_catnap/parameters/runs) times"
    tail -n 5 "/tmp/$1.console" | sed "s/^/host: $1's console: /"
    tail -n 30 "/tmp/$1.said" | sed "s/^/host: $1 said: /"
    eval "id=\$$1"
    for thread in /proc/$id/task/*; do
        echo "host: $(cat "$thread/comm") $(cut -d' ' -f3,14,15 "$thread/stat") $(head -n 6 "$thread/stack" | tr '\n' ' ')"
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

# A snapshot in the disk's image, and back to it: it counts the same numbers again.
order second stop
order second 'savevm one'
order second 'info snapshots'
until_said second said '  *one  *' && ok savevm
saved=$(last_count second)
order second cont
until_counts second $((saved + 2))
order second 'loadvm one'
until_lines second "count $((saved + 1))" 2 && ok loadvm

# The machine is reset, and boots anew.
order second system_reset
until_lines second 'count 1' 1 && ok reset

# Into a third QEMU, by a socket, while it runs.
start third /tmp/disk.qcow2 qcow2 -incoming unix:/tmp/socket
until [ -S /tmp/socket ]; do sleep 0.1; done
order second 'migrate -d unix:/tmp/socket'
until_migrated second
order second quit
wait "$second" 2>/dev/null
saved=$(last_count second)
until_counts third $((saved + 2)) && ok from-socket
order third quit
wait "$third"
for name in first second third; do
    grep -i '^error' "/tmp/$name.said" | sed "s/^/host: $name said: /"
    grep 'check: FAILED' "/tmp/$name.console"
done

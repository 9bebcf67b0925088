# QEMUs that are told what to do by their monitors, and guests that count meanwhile.
ok() { echo "check: ok $1"; }
failed() { echo "check: FAILED $1: $2"; }

# What guests do.
task=guest.count
# start NAME DISK FORMAT MORE: a QEMU whose monitor is a pipe and whose console is a file.
start() {
    mkfifo "/tmp/$1.in" "/tmp/$1.out"
    name=$1 disk=$2 format=$3
    shift 3
    qemu-system-ppc64 -L /guest/firmware $(sed 's/-serial mon:stdio -no-reboot//' /guest/options) \
        -serial "file:/tmp/$name.console" -monitor "pipe:/tmp/$name" \
        -drive "if=none,id=disk,format=$format,file=$disk" -device virtio-blk-pci,drive=disk \
        -kernel /guest/vmlinux -initrd /guest/initrd -append "$(cat /guest/words) guest.number=1 $task" "$@" &
    eval "$name=$!"
    cat "/tmp/$name.out" >"/tmp/$name.said" &
}
order() {
    echo "host: $1: $2"
    echo "$2" >"/tmp/$1.in"
}
last_count() { sed -n 's/.*count \([0-9]*\).*/\1/p' "/tmp/$1.console" 2>/dev/null | tail -n 1; }
counts_beyond() { [ "$(last_count "$1")" -gt "$2" ] 2>/dev/null; }
said() { grep -q "$3" "/tmp/$1.$2"; }
has_lines() { [ "$(cat "/tmp/$1.console" 2>/dev/null | tr -d '\r' | grep -c "$2\$")" -ge "$3" ]; }
migrated() {
    grep -q 'Migration status: completed' "/tmp/$1.said" && return
    echo 'info migrate' >"/tmp/$1.in"
    return 1
}
# await WHAT NAME …: two minutes for `WHAT NAME …` to be so.
await() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ $tries -gt 240 ]; then
            failed "$2" "isn't so: $*"
            tell "$2"
            return 1
        fi
        sleep 0.5
    done
}
# until_counts NAME N: it has counted to more than N.
until_counts() { await counts_beyond "$@"; }
until_said() { await said "$@"; }
# until_lines NAME WORDS N: its console has N lines that end so.
until_lines() { await has_lines "$@"; }
until_migrated() { await migrated "$@"; }
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

# How fast Linux reads and writes its disk, and how fast a stream comes through its network. Each is a line
# `rate NAME: N KiB in M ms`. Word of the kernel's command line: rates.stream=KIB, what the network's server sends.

now_ms() { sed 's/^\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime; }
rate() {
    name=$1 kib=$2
    shift 2
    before=$(now_ms)
    if "$@"; then echo "rate $name: $kib KiB in $(($(now_ms) - before)) ms"; else echo "rates: $name FAILED"; fi
}
disk=/dev/nvme0n1
copy() { dd "$@" 2>/dev/null; }
receive() { [ "$(nc 10.0.2.100 80 </dev/null | wc -c)" = $((stream * 1024)) ]; }

rate 'disk, written' 262144 copy if=/dev/zero of=$disk bs=256k count=1024 oflag=direct
rate 'disk, read' 1048576 copy if=$disk of=/dev/null bs=1M count=1024 iflag=direct
rate 'disk, read by 4 KiB' 65536 copy if=$disk of=/dev/null bs=4k count=16384 iflag=direct
stream=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^rates.stream=//p')
ifconfig eth0 10.0.2.15 up
rate 'network, received' "$stream" receive

# A guest that counts, and a debugger that comes by the host's network: it stops the guest, and says that it is
# done by a file that it has QEMU's monitor write.
load-module $(cat /modules/pci-order)
ifconfig eth0 10.0.2.15
cp /guest/disk /tmp/disk
start first /tmp/disk raw
until_counts first 3 && ok counts
order first 'gdbserver tcp::1234'
until_said first said 'gdb'
echo "host: the debugger may come"
until [ -s /tmp/debugged ]; do sleep 0.5; done
until_counts first $(($(last_count first) + 3)) && ok counts-on
order first quit
wait "$first"

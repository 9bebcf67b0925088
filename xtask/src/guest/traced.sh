# A guest whose threads are all at work, and what the firmware has recorded of the hardware's threads meanwhile.
cp /guest/disk /tmp/disk
task=guest.work
start first /tmp/disk raw
until_lines first 'at work' 1 && ok works
sleep 0.2
cat /sys/firmware/opal/exports/trace >/tmp/trace
order first quit
wait "$first"
# In lines, without those of zeros alone.
hexdump -v -e '"told %_ax " 64/1 "%02x" "\n"' /tmp/trace | grep -v ' 00*$'
echo "told: 0x$(printf %x "$(wc -c </tmp/trace)") bytes"

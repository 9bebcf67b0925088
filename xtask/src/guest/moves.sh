# A guest that counts is stopped and continued, migrated to a file, and from there into a second QEMU, with
# another disk format; there it is saved and loaded, reset, and migrated on into a third QEMU by a socket. By
# QEMU's monitors.
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

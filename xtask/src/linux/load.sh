#!/bin/busybox sh
# Loads modules of the initial RAM disk's, plain or compressed, in the order in which they are named.
for module; do
    file=/modules/$module.ko
    [ -e "$file" ] || { unxz -c "$file.xz" >/tmp/module.ko && file=/tmp/module.ko; }
    insmod "$file" || echo "module $module can't be loaded"
done

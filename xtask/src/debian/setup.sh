# Readies a disk below /root on which packages were unpacked: gives files their owners, and has the packages'
# own scripts set them up.
set -e
at=/root
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C PATH=/sbin:/bin:/usr/sbin:/usr/bin
# By its path: busybox takes the names of its own programs for them.
in_debian() { chroot $at /usr/bin/env "$@"; }
cp $at/usr/share/base-passwd/passwd.master $at/etc/passwd
cp $at/usr/share/base-passwd/group.master $at/etc/group
# Whoever has unpacked them needn't have been root.
[ "$(stat -c %u $at/usr)" = 0 ] || chown -h -R 0:0 $at
while read -r mode owner path; do
    in_debian chown "$owner" "$path"
    chmod "$mode" "$at/$path"
done </owners
for folder in dev proc sys; do mount --bind /$folder $at/$folder; done
mount -t tmpfs tmpfs $at/run
for script in $at/var/lib/dpkg/info/*.preinst; do
    name=${script##*/}
    name=${name%.preinst}
    DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE=${name%:*} DPKG_MAINTSCRIPT_ARCH=ppc64el \
        chroot $at "/var/lib/dpkg/info/${script##*/}" install
done
# In their order: what scripts use without their packages saying so. A script of a later one may need one
# still later, so the rest has two tries.
configure() { in_debian dpkg --force-unsafe-io --configure "$@"; }
for package in base-passwd base-files libc6 perl-base mawk debconf; do configure --force-depends $package; done
configure -a || configure -a
in_debian depmod "$(uname -r)"
in_debian passwd -d root
in_debian systemctl enable systemd-networkd
umount $at/run
if grep -q '^Status: .* \(unpacked\|half-configured\|triggers\)' $at/var/lib/dpkg/status; then
    echo "debian: packages are left that could not be set up"
    exit 1
fi
for folder in dev proc sys; do umount $at/$folder; done
umount $at
echo "debian: ready"

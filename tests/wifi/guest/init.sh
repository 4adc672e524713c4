#!/bin/sh
# The first program of the guest, twice: over this machine's tree, read-only, and again in an overlay of memory over it.
# GUEST_HERE (this folder), GUEST_OUT (the one folder of this machine that is written to) and GUEST_RUN (the script to
# run) come from the kernel's command line. What GUEST_RUN ended with is in GUEST_OUT/status.
# TMPDIR is not /tmp, since the tests themselves may lie there.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp
export PATH HOME TMPDIR
if [ "$1" != inside ]; then
  mount -t proc proc /proc
  mount -t tmpfs -o size=90% tmpfs /mnt
  mkdir /mnt/changes /mnt/work /mnt/root
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/changes,workdir=/mnt/work /mnt/root
  exec chroot /mnt/root /bin/sh "$GUEST_HERE/init.sh" inside
fi
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for folder in /run /dev/shm; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /run/netns /run/out /run/tmp
mount -t hostfs none -o "$GUEST_OUT" /run/out
ip link set lo up
sh "$GUEST_RUN" </dev/null
echo "$?" > /run/out/status
sync
exec busybox poweroff -f

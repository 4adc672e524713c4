#!/bin/sh
# build-kernel.sh FOLDER: FOLDER/linux, a User Mode Linux kernel with simulated radios, from Debian's kernel source.
# Debian's own user-mode-linux package is built without Wi-Fi. Six minutes of one core; kept until the configuration or
# the source package changes. The result is GPL-2.0: it is made here, and never shipped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ "$(uname -m)" = x86_64 ] || { echo "User Mode Linux runs on x86-64, this is $(uname -m)"; exit 0; }
case $1$here in *" "*) echo "a kernel is not built in a path with a space: $1" >&2; exit 1 ;; esac
mkdir -p "$1" && cd "$1"
package=linux-source-6.1
version=$(apt-cache policy "$package" | sed -n 's/ *Candidate: //p')
key=$({ cat "$here/kernel.config" "$here/build-kernel.sh"; echo "$version"; } | sha256sum)
[ -x linux ] && [ "$(cat linux.key 2>/dev/null)" = "$key" ] && exit 0

# of these only the Kconfig files are read: the larger part of the source need not touch the disk
unread="drivers/gpu drivers/media drivers/infiniband drivers/scsi drivers/staging drivers/usb drivers/iio
  drivers/net/ethernet drivers/clk drivers/pinctrl drivers/soc drivers/video sound fs/xfs fs/btrfs
  arch/arm arch/arm64 arch/mips arch/powerpc"
rm -rf build && mkdir -p build/objects && cd build
apt-get -qq -o APT::Sandbox::User=root download "$package"
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -xO "./usr/src/$package.tar.xz" |
  tar -xJ --wildcards $(for folder in $unread; do echo "--exclude=*/$folder/*.[chS]"; done) \
    --exclude='*/Documentation/*/*' --exclude='*/tools/testing/*' --exclude='*/arch/*/boot/dts/*'

build() { make -s -C "$package" ARCH=um O="$PWD/objects" "$@"; }
build KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig > /dev/null
# an option that another silently switched off is a test that fails half an hour later
sed -n 's/^\(CONFIG_[A-Z0-9_]*=y\)$/\1/p' "$here/kernel.config" | while read -r option; do
  grep -qx "$option" objects/.config || { echo "$package no longer has $option" >&2; exit 1; }
done
build -j"$(nproc)" linux
strip -o ../linux objects/linux
cd .. && rm -rf build
printf '%s\n' "$key" > linux.key

#!/usr/bin/env bash
# An image of edged for a container on a RouterOS router: Debian 12 packages, the locked libraries, edged.
#
#   config/container/build.sh amd64|arm64|armhf FOLDER
#
# FOLDER/edged-ARCH.tar is what `/container add file=` takes, FOLDER/oci-ARCH an OCI layout, FOLDER/root-ARCH what is in
# it. Nothing of the target is run here, so no emulation is needed. Downloads stay in FOLDER. Needs Debian 12 (or its
# archive in the sources of apt), Python 3.11 with pip, openssl; a compiler for ARCH builds the compiled parts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
arch=${1:?amd64, arm64 or armhf}
mkdir -p "${2:?a folder}"
out=$(cd "$2" && pwd)
python=${PYTHON:-python3.11}
suite=bookworm
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$tree" log -1 --format=%ct 2>/dev/null || echo 1764547200)}
export LC_ALL=C

. "$tree/config/libraries.sh"
platform "$arch"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$python is not Python 3.11" >&2; exit 2; }

packages=$(sed 's/#.*//' "$here/packages" | tr -s '\n' ' ')
# no wheels of them for this architecture: Debian's own, which are older than what is locked
[ "$arch" != armhf ] || packages="$packages python3-cffi-backend python3-yaml libyaml-0-2"

# --- Debian's packages, with lists of packages of their own --------------------------------------------------------

apt=$out/apt-$arch
debs=$out/debs-$arch
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$debs"
: > "$apt/status"
keyring="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u | while read -r archive; do
  case $archive in
    *security*) echo "deb $keyring $archive $suite-security main" ;;
    *) echo "deb $keyring $archive $suite main"; echo "deb $keyring $archive $suite-updates main" ;;
  esac
done > "$apt/sources.list"
options=(-qq -o APT::Sandbox::User=root -o APT::Architecture="$arch" -o APT::Architectures="$arch"
  -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt"
  -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist="$apt/sources.list" -o Acquire::Languages=none)
# what was downloaded is used again: remove the folder for newer packages
wanted="$packages libpython3.11-dev"
if [ "$(cat "$debs/complete" 2> /dev/null)" != "$wanted" ]; then
  rm -f "$debs"/*
  apt-get "${options[@]}" update
  (cd "$debs" && apt-get "${options[@]}" download $wanted)
  printf %s "$wanted" > "$debs/complete"
fi

root=$out/root-$arch
headers=$out/headers-$arch
rm -rf "$root" "$headers"
mkdir -p "$root" "$headers"
for package in "$debs"/*.deb; do
  case ${package##*/} in
    libpython3.11-dev_*) dpkg-deb -x "$package" "$headers" ;;
    *) dpkg-deb -x "$package" "$root" ;;
  esac
done

# --- what nobody needs there ---------------------------------------------------------------------------------------

stdlib=$root/usr/lib/python3.11
find "$root/usr/share/doc" -mindepth 2 \( -type f -o -type l \) ! -name copyright -delete
rm -rf "$root"/usr/share/{man,locale,lintian,info,bug,bash-completion,python3,applications,pixmaps,binfmts} \
  "$root"/usr/share/zoneinfo/{right,posix} "$root"/{boot,home,media,mnt,srv,var/backups,etc/update-motd.d,etc/default} \
  "$root"/usr/{games,include,src} "$root"/usr/lib/{systemd,valgrind} "$root"/lib/systemd \
  "$root/usr/lib/$triplet"/{gconv,engines-3,perl} "$stdlib"/{lib2to3,pydoc_data,distutils,ensurepip,unittest,sitecustomize.py}
# of iproute2 `ip` alone: edged asks it for this host's own addresses
find "$root/sbin" "$root/bin" "$root/usr/sbin" "$root/usr/bin" ! -type d \
  ! -name ip ! -name busybox ! -name python3.11 -delete
rm -rf "$root"/usr/lib/{tc,iproute2} "$root"/usr/lib/$triplet/{tc,libtic*}
# of Python what needs libraries that are left out
rm -f "$stdlib"/lib-dynload/{_crypt,_curses,_curses_panel,_dbm,_gdbm,nis,ossaudiodev,readline,_test*,_xx*,xx*}.cpython-*

# --- the locked libraries, and edged -------------------------------------------------------------------------------

wheels=$out/wheels-$arch
lock=$out/lock-$arch
if [ "$arch" = armhf ]; then  # see above
  awk '/^[^ ]/ { skip = /^(cffi|pycparser|pyyaml)==/ } !skip' "$tree/requirements-acme.lock" > "$lock"
else
  cp "$tree/requirements-acme.lock" "$lock"
fi
site=$root/usr/local/lib/python3.11/dist-packages
libraries "$site" 3.11 "$lock" "$wheels"
# of armhf: see above
if [ -d "$root/usr/lib/python3" ]; then
  mv "$root"/usr/lib/python3/dist-packages/{*.so,yaml} "$site" && rm -r "$root/usr/lib/python3"
fi
modules "$site"

if command -v "$triplet-gcc" > /dev/null; then
  compiled "$site" "$triplet-gcc" -ffile-prefix-map="$headers"=. -I"$headers/usr/include" \
    -I"$headers/usr/include/python3.11"
else
  echo "no $triplet-gcc: the image is without the compiled parts; edged status says so" >&2
fi

# one file a module and no sources: half the size. Without docstrings and columns: three megabytes of memory less
for folder in "$stdlib" "$root/usr/local/lib"; do
  "$python" -X no_debug_ranges -m compileall -q -b -o 2 --invalidation-mode unchecked-hash -s "$root" -p / "$folder"
done
find "$stdlib" "$root/usr/local/lib" -name '*.py' -delete
find "$root/usr" -name __pycache__ -prune -exec rm -rf {} +

# --- what ties it together -----------------------------------------------------------------------------------------

mkdir -p "$root"/{dev,proc,sys,tmp,root} "$root"/etc/{edged,ssl/certs} "$root"/var/lib/edged "$root"/usr/lib/{edged,ssl} \
  "$root"/usr/share/doc/edged
for applet in ash cat chmod chown cp date df du env find free grep head hostname id kill ln ls mkdir more mv nslookup \
  ping ping6 ps pwd rm sed sh sha256sum sleep tail touch top umount uname vi wget which; do
  ln -s busybox "$root/bin/$applet"
done
install -m 755 "$here/edged" "$root/usr/bin/edged"
install -m 644 "$here/entry.py" "$root/usr/lib/edged/entry.py"
cp "$tree/LICENSE" "$tree/NOTICE" "$root/usr/share/doc/edged/"
printf '%s\n' root:x:0:0:root:/root:/bin/sh edged:x:990:990:edged:/var/lib/edged:/bin/sh > "$root/etc/passwd"
printf '%s\n' root:x:0: edged:x:990: > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
# by their hashes and not in one file: Python reads such a file whole for every TLS context, a megabyte each time
(cd "$root/etc/ssl/certs" && for authority in "$root"/usr/share/ca-certificates/mozilla/*.crt; do
  cp "$authority" "$(basename "$authority" .crt | tr -cd 'A-Za-z0-9._-').pem"; done && openssl rehash . > /dev/null)
rm -rf "$root/usr/share/ca-certificates" "$root/etc/ssl/openssl.cnf"
ln -s /etc/ssl/certs "$root/usr/lib/ssl/certs"
# which packages, to the version, and which libraries
{ for package in "$debs"/*.deb; do case ${package##*/} in libpython3.11-dev_*) ;; *)
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$package" ;; esac; done
  ls "$wheels" | sed -n 's/\.whl$//p'; } > "$root/usr/share/doc/edged/contents"

"$python" "$here/image.py" "$root" "$arch" "$out"

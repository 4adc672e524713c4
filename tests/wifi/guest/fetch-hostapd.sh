#!/bin/sh
# fetch-hostapd.sh FOLDER: FOLDER/hostapd, which is hostapd 2.11 with the libraries that it was built with, unpacked.
# Debian 12 has 2.10, which cannot ask during the handshake (wpa_psk_radius=3). Packages of sid, from lists of their
# own: nothing is installed, and nothing of this machine changes.
set -eu
[ -x "$1/hostapd" ] && exit 0
rm -rf "$1" && mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/root" && cd "$1"
folder=$PWD
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" > apt/sources.list
: > apt/status
fetch() {
  apt-get -qq -o APT::Sandbox::User=root -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" \
    -o Dir::Cache="$folder/apt" -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist="$folder/apt/sources.list" "$@"
}
fetch update
(cd apt/archives && fetch download hostapd libc6 libssl3t64 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 \
  zlib1g libzstd1)
for package in apt/archives/*.deb; do dpkg-deb -x "$package" root; done
rm -r apt
libraries=$(dirname "$(find root -name 'libc.so.6' | head -n 1)")
loader=$(find "$libraries" -name 'ld-linux*' | head -n 1)
# the folder may be moved, as caches are
cat > hostapd.new <<END
#!/bin/sh
here=\${0%/*}
exec "\$here/$loader" --library-path "\$here/$libraries" "\$here/root/usr/sbin/hostapd" "\$@"
END
chmod +x hostapd.new
case $(./hostapd.new -v 2>&1) in
  *"v2.10"*) echo "sid has hostapd 2.10, which has no wpa_psk_radius=3" >&2; exit 1 ;;
  *"hostapd v2."*) mv hostapd.new hostapd ;;
  *) echo "hostapd of sid does not start here" >&2; exit 1 ;;
esac

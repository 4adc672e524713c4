#!/usr/bin/env bash
# A Debian package of edged with its Python libraries inside, for this machine's architecture.
#
#   config/debian/build.sh bookworm|trixie FOLDER
#
# FOLDER/edged_VERSION_ARCH.deb is the package (FOLDER/SUITE/edged.deb leads to it), FOLDER/SUITE/root what is in it. Downloads
# stay in FOLDER. The libraries are the wheels of requirements-package.lock, each with its hash. Nothing of the suite is run, so
# either is built on either. Needs Python with pip, a compiler with Python's headers, dpkg-dev.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
suite=${1:?bookworm or trixie}
mkdir -p "${2:?a folder}"
out=$(cd "$2" && pwd)
python=${PYTHON:-python3}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$tree" log -1 --format=%ct 2>/dev/null || echo 1764547200)}
export LC_ALL=C
umask 022

# the interpreter of that suite: the wheels are for no other
case $suite in
  bookworm) release=12 version=3.11 suggests= ;;  # its scapy is 2.5, which lacks what `edged probe` reads
  trixie) release=13 version=3.13 suggests="python3-scapy (>= 2.6)" ;;
  *) echo "unknown suite: $suite (bookworm, trixie)" >&2; exit 2 ;;
esac
arch=$(dpkg --print-architecture)
. "$tree/config/libraries.sh"
platform "$arch"
# a package for the next release of Debian is newer: an upgrade of Debian takes it
edged=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$tree/edged/__init__.py")+deb$release

work=$out/$suite
root=$work/root
home=$root/usr/lib/edged
doc=$root/usr/share/doc/edged
rm -rf "$root"
mkdir -p "$home/bin" "$root"/{DEBIAN,usr/bin,usr/lib/systemd/system,usr/share/lintian/overrides} "$doc/examples"

# --- an environment as `venv` makes it, without pip ----------------------------------------------------------------

printf '%s\n' 'home = /usr/bin' 'include-system-site-packages = false' "version = $version" > "$home/pyvenv.cfg"
ln -s "../../../bin/python$version" "$home/bin/python3"
sed '1s|.*|#!/usr/lib/edged/bin/python3 -I|' "$tree/config/container/edged" > "$home/bin/edged"
chmod 755 "$home/bin/edged"
ln -s ../lib/edged/bin/edged "$root/usr/bin/edged"
install -m 755 "$tree/config/keepalived/edged-healthy" "$home/"
site=$home/lib/python$version/site-packages
libraries "$site" "$version" "$tree/requirements-package.lock" "$work/wheels"
modules "$site"
# the headers may be of another Python than the package's: what is compiled keeps to the stable interface of 3.11
compiled "$site" "${CC:-cc}" -I"$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
# who wants `edged probe` installs Debian's scapy: this leads nowhere until then, and to nothing else (decision 0041)
[ -z "$suggests" ] || ln -s ../../../../python3/dist-packages/scapy "$site/scapy"
find "$site" \( -name RECORD -o -name REQUESTED -o -name INSTALLER -o -name direct_url.json \) -delete

# --- unit and manual -----------------------------------------------------------------------------------------------

cp "$tree/systemd/edged.service" "$root/usr/lib/systemd/system/"
cp -r "$tree/README.md" "$tree/CHANGELOG.md" "$tree/NOTICE" "$tree/docs" "$doc/"
rm -r "$doc/docs/reference/man"
for page in "$tree"/docs/reference/man/*; do
  section=$root/usr/share/man/man${page##*.}
  mkdir -p "$section"
  sed "/^\.TH /s/ \"\" / \"$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)\" /" "$page" | gzip -9n > "$section/${page##*/}.gz"
done
cp "$tree"/config/{edged.example.yaml,edged.schema.json,prometheus.rules.yaml,grafana.dashboard.json} "$doc/examples/"
cp "$tree/config/keepalived/keepalived.conf" "$doc/examples/"
cp "$tree/config/hub/nginx.conf" "$doc/examples/hub-nginx.conf"
"$python" "$here/copyright.py" "$site" > "$doc/copyright"
maintainer="${DEBFULLNAME:-the edged authors} <${DEBEMAIL:-edged@localhost.localdomain}>"
{ printf 'edged (%s) %s; urgency=medium\n\n  * What is new for operators: CHANGELOG.md, beside this file.\n\n' "$edged" "$suite"
  printf ' -- %s  %s\n' "$maintainer" "$(date -uR -d "@$SOURCE_DATE_EPOCH")"; } | gzip -9n > "$doc/changelog.gz"
cp "$here/lintian-overrides" "$root/usr/share/lintian/overrides/edged"

# --- control -------------------------------------------------------------------------------------------------------

# dpkg-shlibdeps wants a source package about it; libraries that wheels bring along lie in folders of their own
mkdir -p "$work/debian"
printf 'Source: edged\n\nPackage: edged\nArchitecture: any\n' > "$work/debian/control"
mapfile -t objects < <(find "$site" -type f -name '*.so*' | sort)
strip --strip-unneeded "${objects[@]}"
mapfile -t private < <(find "$site" -maxdepth 1 -name '*.libs' -printf '-l%p\n')
linked=$(cd "$work" && dpkg-shlibdeps -O --warnings=1 --ignore-missing-info "${private[@]}" "${objects[@]}")
install -m 755 "$here"/{postinst,prerm,postrm} "$root/DEBIAN/"
find "$root" ! -type l -exec chmod go-w {} +
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
sed -e "s|@VERSION@|$edged|" -e "s|@ARCH@|$arch|" -e "s|@MAINTAINER@|$maintainer|" -e "s|@PYTHON@|python$version|" \
  -e "s|@SUGGESTS@|$suggests|" -e '/^Suggests: $/d' \
  -e "s|@LINKED@|${linked#shlibs:Depends=}|" -e "s|@SIZE@|$(du -k -s --apparent-size "$root/usr" | cut -f1)|" \
  "$here/control" > "$root/DEBIAN/control"
touch -d "@$SOURCE_DATE_EPOCH" "$root"/DEBIAN{/*,}

package=$out/edged_${edged}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" > /dev/null
ln -sf "../${package##*/}" "$work/edged.deb"
echo "$package: $(du -h --apparent-size "$package" | cut -f1)"

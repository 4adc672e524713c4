#!/usr/bin/env bash
# A Debian of SUITE with systemd and what the package depends on and recommends, and nothing else, in FOLDER. It is kept
# and used again.
#
#   tests/package/base.sh bookworm|trixie FOLDER
set -euo pipefail
control=$(dirname "$0")/../../config/debian/control
case ${1:?a suite} in bookworm) python=python3.11 ;; trixie) python=python3.13 ;; *) exit 2 ;; esac
folder=$(realpath -m "${2:?a folder}")
wanted=$(sed -nE 's/^(Depends|Recommends): //p' "$control" | sed "s/@LINKED@, //; s/@PYTHON@/$python/; s/ //g" | paste -sd,),systemd,systemd-sysv
[ "$(cat "$folder.complete" 2> /dev/null)" != "$wanted" ] || exit 0
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
rm -rf "$folder" "$folder.complete"
mkdir -p "$folder"
# nobody waits for a disk here; what is mounted in there goes with whoever ends this
eatmydata unshare --mount debootstrap --variant=minbase --include="$wanted" "$1" "$folder" "$archive" > "$folder.log" ||
  { tail -n 20 "$folder.log" "$folder/debootstrap/debootstrap.log" >&2; exit 1; }
printf %s "$wanted" > "$folder.complete"

# The locked libraries and edged, as one folder of modules: what the image (config/container) and the Debian package
# (config/debian) share. Sourced by their build.sh. Nothing of the target is run here.
#
#   platform ARCH                          sets $triplet and $machine
#   libraries FOLDER VERSION LOCK WHEELS   the wheels of LOCK for Python VERSION, each by its hash; WHEELS keeps downloads
#   modules FOLDER                         edged itself, of $tree
#   compiled FOLDER COMPILER OPTION...     its compiled parts; the options say where Python's headers are

platform() {
  case $1 in
    amd64) triplet=x86_64-linux-gnu machine=x86_64 ;;
    arm64) triplet=aarch64-linux-gnu machine=aarch64 ;;
    armhf) triplet=arm-linux-gnueabihf machine=armv7l ;;
    *) echo "unknown architecture: $1 (amd64, arm64, armhf)" >&2; exit 2 ;;
  esac
}

libraries() {
  local site=$1 version=$2 lock=$3 wheels=$4 glibc
  local abi=cp${version/./}
  local tags=(--only-binary=:all: --implementation cp --python-version "$version" --abi "$abi" --abi abi3 --abi none)
  for glibc in 36 35 34 33 32 31 30 29 28 27 26 24 17; do tags+=(--platform "manylinux_2_${glibc}_$machine"); done
  tags+=(--platform "manylinux2014_$machine")
  local pip=("$python" -m pip --disable-pip-version-check -q)
  if ! cmp -s "$lock" "$wheels/complete"; then
    rm -rf "$wheels"
    "${pip[@]}" download --require-hashes --no-deps "${tags[@]}" -d "$wheels" -r "$lock"
    cp "$lock" "$wheels/complete"
  fi
  mkdir -p "$site"
  "${pip[@]}" install --require-hashes --no-deps --no-index --find-links "$wheels" --no-compile "${tags[@]}" \
    --target "$site" --root-user-action ignore -r "$lock"
  # it alone needs the library of C++, a megabyte of memory; it has a twin in Python
  rm -rf "$site"/{bin,share} "$site"/frozenlist/_frozenlist.*
  find "$site" \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' -o -name tests \) \
    -prune -exec rm -rf {} +
}

modules() {
  cp -r "$tree/edged" "$1/edged"
  find "$1/edged" \( -name __pycache__ -o -name '*.so' -o -name '*.c' -o -name '*.h' -o -name '*.pyi' \) \
    -prune -exec rm -rf {} +
}

compiled() {
  local site=$1 compiler=$2 module
  shift 2
  for module in datagrams keysearch; do
    "$compiler" -O2 -std=gnu11 -fPIC -shared -pthread -s -DPy_LIMITED_API=0x030B0000 -ffile-prefix-map="$tree"=. "$@" \
      "$tree/edged/native/$module.c" -o "$site/edged/native/_$module.abi3.so"
  done
}

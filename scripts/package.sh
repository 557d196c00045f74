#!/usr/bin/env bash
# Makes one archive that installs on a Debian 12 machine without any network: program with pages and
# models in it, the libraries it needs, configuration, systemd unit, dashboards and rules, error pages.
#   scripts/package.sh [OUT_DIR]     the archive goes to OUT_DIR (the cache's folder `package`)
#   scripts/package.sh --try         also installs it into a bare Debian 12 without network and starts it
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'package: %s\n' "$*"; }
cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
try=0 out=$cache/package
for argument in "$@"; do
  case $argument in
    --try) try=1 ;;
    -*) say "unknown option $argument" >&2; exit 2 ;;
    *) out=$argument ;;
  esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

scripts/setup.sh package
say 'building the program'
cargo build --release --workspace --bins
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=portgate-$version-debian12-x86_64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
mkdir -p "$tree"/{bin,lib,share,licenses}

strip -o "$tree/bin/portgate" "$CARGO_TARGET_DIR/release/portgate"
# Everything but the C library and the loader, which belong to the machine.
ldd "$CARGO_TARGET_DIR/release/portgate" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' |
  grep -vE '^(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libresolv|libutil|libanl)\.so' >"$work/libraries"
while read -r soname path; do
  cp -L "$path" "$tree/lib/$soname"
  package=$(dpkg-query -S "$(readlink -f "$path")" 2>/dev/null | head -1 | cut -d: -f1 || true)
  if [ -n "$package" ] && [ -r "/usr/share/doc/$package/copyright" ]; then
    cp -L "/usr/share/doc/$package/copyright" "$tree/licenses/$package.txt"
  fi
done <"$work/libraries"
chmod u+w "$tree"/lib/*
# Found beside the program, whatever else the machine has.
patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$tree/bin/portgate"
for library in "$tree"/lib/*; do patchelf --force-rpath --set-rpath '$ORIGIN' "$library"; done

cp scripts/package/portgate.service scripts/package/portgate.toml "$tree/share/"
cp scripts/package/install.sh "$tree/"
cp README.md CHANGELOG.md "$tree/"
[ ! -f README.zh-CN.md ] || cp README.zh-CN.md "$tree/"
mkdir -p "$tree/docs"
cp -r docs/errors docs/pictures "$tree/docs/"
for extra in dashboards/grafana dashboards/prometheus; do [ ! -d "$extra" ] || cp -r "$extra" "$tree/share/"; done
mkdir -p "$tree/share/models"
cp models/*.md models/manifest.json "$tree/share/models/"
git rev-parse HEAD >"$tree/REVISION" 2>/dev/null || true
(cd "$tree" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
tar -C "$work" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" "$name"
say "$(du -h "$out/$name.tar.gz" | cut -f1) $out/$name.tar.gz ($(wc -l <"$work/libraries") libraries)"

[ $try = 1 ] || exit 0
say 'trying it in a bare Debian 12 without network'
root=$work/root
debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 || { tail -5 "$work/debootstrap.log" >&2; exit 1; }
tar -C "$root/opt" -xzf "$out/$name.tar.gz"
unshare --net --mount --pid --fork bash -euc '
  ip link set lo up 2>/dev/null || true
  mount -t proc proc "$1/proc"
  chroot "$1" bash -euc "
    /opt/'"$name"'/install.sh
    id portgate >/dev/null
    /opt/portgate/current/bin/portgate --version
    su -s /bin/bash portgate -c \"/opt/portgate/current/bin/portgate up --demo --data /var/lib/portgate/try >/tmp/try.log 2>&1 &\"
    for i in \$(seq 100); do
      if (exec 3<>/dev/tcp/127.0.0.1/8080 && printf \"GET /readyz HTTP/1.0\r\n\r\n\" >&3 && grep -q \"200 OK\" <&3) 2>/dev/null; then echo ready; exit 0; fi
      sleep 0.3
    done
    cat /tmp/try.log; exit 1"
' _ "$root"
say 'installed, started and ready without network'

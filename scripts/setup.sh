#!/usr/bin/env bash
# Installs what is missing for a purpose, says what it does, and asks nothing.
#   scripts/setup.sh run|test|bench|lint|package
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}
cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
mkdir -p "$cache"
say() { printf 'setup: %s\n' "$*"; }

packages=(libopencv-dev clang libclang-dev cmake pkg-config g++ libssl-dev libsasl2-dev
  libcurl4-openssl-dev libzstd-dev zlib1g-dev protobuf-compiler curl)
case $purpose in
  test) packages+=(python3-venv kcat postgresql-client prometheus chromium
    python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good) ;;
  bench) packages+=(kcat python3-venv postgresql) ;;
  package) packages+=(patchelf binutils debootstrap) ;;
  run | lint) ;;
  *) say "unknown purpose '$purpose': run, test, bench, lint or package" >&2; exit 2 ;;
esac

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if ((${#missing[@]})); then
  say "installing Debian packages: ${missing[*]}"
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  # A service a package would start (Prometheus) is not wanted here: the tests start their own.
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${sudo[@]}" chmod +x /usr/sbin/policy-rc.d
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 ||
    { "${sudo[@]}" rm -f /usr/sbin/policy-rc.d; say "apt-get failed; its output is in $cache/apt.log" >&2; tail -5 "$cache/apt.log" >&2; exit 1; }
  "${sudo[@]}" rm -f /usr/sbin/policy-rc.d
fi

# Build output is shared by every checkout, and cargo goes by the files' times alone: what another checkout has
# built would be taken for this one's, where it is newer than the sources here.
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
if [ "$(cat "$target/checkout" 2>/dev/null)" != "$PWD" ]; then
  if [ -e "$target/release" ]; then
    say "the last build was of another checkout: this one's crates are compiled anew"
    find . -name '*.rs' -not -path '*/target/*' -not -path '*/node_modules/*' -exec touch {} +
  fi
  echo "$PWD" >"$target/checkout"
fi

command -v cargo >/dev/null || { say "Rust's toolchain (cargo) is not installed; install it first" >&2; exit 1; }
command -v npm >/dev/null || { say "Node.js with npm is not installed; install it first" >&2; exit 1; }

# The control room's page: built once per state of its sources.
web=dashboards/web
if [ -f "$web/package.json" ] && [ "$purpose" != lint ]; then
  want=$(cat "$web"/package*.json $(find "$web" -type f \( -path '*/src/*' -o -path '*/public/*' -o -name '*.html' -o -name 'vite.config.*' -o -name 'tsconfig*.json' \) -not -path '*/node_modules/*' -not -path '*/dist/*' | sort) ingest/schemas/registry/*.json | sha256sum | cut -c1-16)
  if [ ! -f "$web/dist/index.html" ] || [ "$(cat "$web/dist/.built" 2>/dev/null)" != "$want" ]; then
    say "building the control room's page (npm ci, vite build)"
    (cd "$web" && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build) >"$cache/web.log" 2>&1 ||
      { say "building the page failed; its output is in $cache/web.log" >&2; tail -20 "$cache/web.log" >&2; exit 1; }
    echo "$want" >"$web/dist/.built"
  fi
fi

# DuckDB, which analytics is compared with, a PostgreSQL client of another make, and ONNX Runtime, which
# recognition is compared with.
if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
  venv=$cache/venv-tests
  if ! "$venv/bin/python" -c 'import duckdb, pg8000, onnxruntime' 2>/dev/null; then
    say "installing duckdb, pg8000 and onnxruntime (Python)"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check 'duckdb==2.0.0' 'pg8000==1.31.*' 'onnxruntime==1.31.*' >"$cache/pip.log" 2>&1 ||
      { say "pip failed; its output is in $cache/pip.log" >&2; tail -5 "$cache/pip.log" >&2; exit 1; }
  fi
fi

if [ "$purpose" = lint ]; then
  tools=$cache/tools
  if ! [ -x "$tools/bin/cargo-deny" ]; then
    say "installing cargo-deny (a few minutes, once)"
    CARGO_TARGET_DIR=$cache/tools-target RUSTFLAGS='' cargo install --quiet --locked --root "$tools" cargo-deny --version ^0.18
    rm -rf "$cache/tools-target"
  fi
fi
if [ "$purpose" = test ]; then
  scripts/kafka.sh bootstrap
fi
say "ready for '$purpose'"

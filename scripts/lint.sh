#!/usr/bin/env bash
# Formatting, clippy (the core's strict lints stand in its lib.rs), and what we depend on.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
echo 'lint: formatting'
cargo fmt --all --check
echo 'lint: licences, bans and sources of dependencies'
"$cache/tools/bin/cargo-deny" --log-level error check licenses bans sources
echo 'lint: clippy'
cargo clippy --release --quiet --workspace --all-targets -- -D warnings

#!/usr/bin/env bash
# Many seeds of the simulation, then the table of planted bugs. The result goes, with the revision it
# was made with, to tests/simulation/soak.json.
#   CASES (100000) per property of the rules; SEEDS (10000) from FROM (0) on, at most MINUTES (no limit); TRIES (5) per planted bug.
# A run that was cut short goes on with FROM at the first seed that is lacking.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${SEEDS:-10000} from=${FROM:-0} tries=${TRIES:-5}
scripts/setup.sh run
cargo build --release -p portgate-simulation
# The rules' properties over worlds nobody has seen yet; a failure prints its smallest case.
PORTGATE_PROPERTY_CASES=${CASES:-100000} cargo test --release -p portgate-core --test properties --test orders
program=${CARGO_TARGET_DIR:-target}/release/portgate-simulation
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
status=0
"$program" --seeds "$seeds" --from "$from" ${MINUTES:+--minutes "$MINUTES"} --out "$out/seeds" || status=$?
"$program" --plants --tries "$tries" --out "$out/planted" || status=$?
revision=$(git rev-parse HEAD)
git diff --quiet HEAD -- decision ingest/log tests/simulation/src || revision="$revision with changes"
{
  printf '{\n"revision": "%s",\n"date": "%s",\n"cores": %s,\n' "$revision" "$(date -u +%FT%TZ)" "$(nproc)"
  printf '"seeds": %s,\n"planted": %s\n}\n' "$(cat "$out/seeds")" "$(cat "$out/planted")"
} >tests/simulation/soak.json
echo "soak: tests/simulation/soak.json"
exit "$status"

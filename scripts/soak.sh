#!/usr/bin/env bash
# Many seeds of the simulation, then the table of planted bugs. The result goes, with the revision it
# was made with, to tests/simulation/soak.json.
#   CASES (100000) per property of the rules; SEEDS (10000) from FROM (0) on, at most MINUTES (no limit); TRIES (5) per planted bug.
# Then what takes minutes on real parts: KILLS (200) of the gate embedded, half as many over Kafka and a
# quarter with a process a role (the broker is one of them), a twentieth of nodes of a cluster of three, a day of traffic in twelve minutes, OFFLINE (1000000) reads of an outage, FUZZ (300000) inputs per
# target; PARTS names which (simulation crashes day outage fuzz).
# A run that was cut short goes on with FROM at the first seed that is lacking.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted() { [[ " ${PARTS:-simulation crashes day outage fuzz} " = *" $1 "* ]]; }
seeds=${SEEDS:-10000} from=${FROM:-0} tries=${TRIES:-5}
scripts/setup.sh run
out=$(mktemp -d)
# The worlds' stores lie in memory where there is room: what a disk loses is up to the simulated one.
memory=/dev/shm
room=$(df -k --output=avail "$memory" 2>/dev/null | tail -n 1) || room=0
[[ -w $memory && $room -gt 1048576 ]] || memory=${TMPDIR:-/tmp}
worlds=$(mktemp -d -p "$memory")
trap 'rm -rf "$out" "$worlds"' EXIT
status=0

simulation() {
  # --workspace, here and below: alone, a crate would have other features and RocksDB be compiled anew.
  cargo build --release --workspace --bins
  # The rules' properties over worlds nobody has seen yet; a failure prints its smallest case.
  PORTGATE_PROPERTY_CASES=${CASES:-100000} cargo test --release --workspace --test properties --test orders
  program=${CARGO_TARGET_DIR:-target}/release/portgate-simulation
  TMPDIR=$worlds "$program" --seeds "$seeds" --from "$from" ${MINUTES:+--minutes "$MINUTES"} --out "$out/seeds" || status=$?
  TMPDIR=$worlds "$program" --plants --tries "$tries" --out "$out/planted" || status=$?
  revision=$(git rev-parse HEAD)
  git diff --quiet HEAD -- decision ingest/log tests/simulation/src || revision="$revision with changes"
  {
    printf '{\n"revision": "%s",\n"date": "%s",\n"cores": %s,\n' "$revision" "$(date -u +%FT%TZ)" "$(nproc)"
    printf '"seeds": %s,\n"planted": %s\n}\n' "$(cat "$out/seeds")" "$(cat "$out/planted")"
  } >tests/simulation/soak.json
  echo "soak: tests/simulation/soak.json"
}

# with_kafka COMMAND …: with a broker of our own, unless there is one.
with_kafka() {
  if [[ -n ${PORTGATE_KAFKA:-} ]]; then "$@"; return; fi
  local port=${KAFKA_PORT:-19092} result=0
  KAFKA_PORT=$port scripts/kafka.sh start
  PORTGATE_KAFKA=127.0.0.1:$port "$@" || result=$?
  KAFKA_PORT=$port scripts/kafka.sh stop
  return "$result"
}
gate_test() { cargo test --release --workspace --test main -- --include-ignored --nocapture --exact "$@"; }

if wanted simulation; then simulation; fi
if wanted crashes; then
  PORTGATE_KILLS=${KILLS:-200} gate_test kills::killed_under_load_nothing_is_lost_and_nothing_opens_twice || status=$?
  PORTGATE_KILLS=$((${KILLS:-200} / 2)) with_kafka gate_test kills::killed_under_load_over_kafka || status=$?
  PORTGATE_KILLS=$((${KILLS:-200} / 4)) with_kafka gate_test kills::each_role_and_the_broker_killed_under_load || status=$?
  PORTGATE_KILLS=$((${KILLS:-200} / 20)) with_kafka gate_test cluster::leaders_change_under_load || status=$?
  with_kafka gate_test kills::an_owner_stopped_for_longer_than_its_session_comes_back_to_nothing || status=$?
fi
if wanted day; then
  cargo test --release --workspace --test engine -- --ignored --nocapture --exact \
    day::a_day_leaves_memory_flat_and_files_bounded || status=$?
fi
if wanted outage; then
  PORTGATE_OFFLINE=${OFFLINE:-1000000} with_kafka gate_test away::reads_of_an_outage_are_reconciled_once_and_open_nothing || status=$?
fi
if wanted fuzz; then
  export PORTGATE_FUZZ=${FUZZ:-300000}
  gate_test hostile::{registry_files_are_taken,scenario_files_are_run,policies_and_times_are_taken}_or_refused || status=$?
  cargo test --release --workspace --test hostile -- --nocapture || status=$?
fi
exit "$status"

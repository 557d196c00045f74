#!/usr/bin/env bash
# Builds the benchmarks, starts a Kafka broker for them, prints the table, writes bench/results.json.
#
# KAFKA_PORT             the broker's port on 127.0.0.1 (19392)
# PORTGATE_KAFKA         use this broker instead of one of our own; it must not have the gate's topics yet
# PORTGATE_BENCH_DIR     where data go, on the disk to be measured (the cache)
# PORTGATE_BENCH_LARGE   1: also a registry of a million vehicles (some minutes more)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "bench: $*"; }

cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export PORTGATE_BENCH_DIR=${PORTGATE_BENCH_DIR:-$cache}
mkdir -p "$PORTGATE_BENCH_DIR"

say 'building (the first time takes about a quarter of an hour on two cores)'
cargo build --release --workspace --bins

if [[ -z ${PORTGATE_KAFKA:-} ]]; then
  export KAFKA_PORT=${KAFKA_PORT:-19392}
  export KAFKA_DATA=${KAFKA_DATA:-$PORTGATE_BENCH_DIR/bench-kafka-$KAFKA_PORT}
  trap 'scripts/kafka.sh stop || true' EXIT
  if scripts/kafka.sh start; then
    export PORTGATE_KAFKA=127.0.0.1:$KAFKA_PORT
  else
    say 'Kafka does not start; going on without the figures over it'
  fi
fi

say 'measuring; takes about a minute'
"$CARGO_TARGET_DIR/release/portgate-bench" bench/results.json

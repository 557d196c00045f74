#!/usr/bin/env bash
# Builds the benchmarks, starts a Kafka broker for them, prints the table, writes bench/results.json.
#
# KAFKA_PORT             the broker's port on 127.0.0.1 (19392)
# PORTGATE_KAFKA         use this broker instead of one of our own; it must not have the gate's topics yet
# PORTGATE_BENCH_DIR     where data go, on the disk to be measured (the cache)
# PORTGATE_BENCH_SCALE   10k: no registry of a million vehicles; 10m: one of ten million, too (made once:
#                        some 10 GB in the cache, some minutes; afterwards measured in every run)
# PORTGATE_POSTGRES      the folder of a PostgreSQL server's socket to use instead of one of our own
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "bench: $*"; }

cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export PORTGATE_BENCH_DIR=${PORTGATE_BENCH_DIR:-$cache}
export PORTGATE_BENCH_CACHE=$cache
mkdir -p "$PORTGATE_BENCH_DIR"

say 'building (the first time takes about a quarter of an hour on two cores)'
cargo build --release --workspace --bins

stop=()
trap 'for s in "${stop[@]}"; do $s || true; done' EXIT
if [[ -z ${PORTGATE_KAFKA:-} ]]; then
  export KAFKA_PORT=${KAFKA_PORT:-19392}
  export KAFKA_DATA=${KAFKA_DATA:-$PORTGATE_BENCH_DIR/bench-kafka-$KAFKA_PORT}
  stop+=('scripts/kafka.sh stop')
  if scripts/kafka.sh start; then
    export PORTGATE_KAFKA=127.0.0.1:$KAFKA_PORT
  else
    say 'Kafka does not start; going on without the figures over it'
  fi
fi

if [[ -z ${PORTGATE_POSTGRES:-} ]]; then
  stop+=('scripts/postgres.sh stop')
  if socket=$(scripts/postgres.sh start); then
    export PORTGATE_POSTGRES=$socket
  else
    say 'PostgreSQL does not start; going on without the figures beside it'
  fi
fi

say 'measuring; takes some minutes, and the first time some more for making the registries'
"$CARGO_TARGET_DIR/release/portgate-bench" bench/results.json

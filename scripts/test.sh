#!/usr/bin/env bash
# Builds and runs every test against real parts, and ends with the counts.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh test
echo 'test: building (the first time takes about a quarter of an hour on two cores)'
cargo test --release --workspace --no-run --quiet
kafka_port=${KAFKA_PORT:-19092}
echo "test: starting a real Apache Kafka on 127.0.0.1:$kafka_port"
KAFKA_PORT=$kafka_port scripts/kafka.sh start
trap 'KAFKA_PORT=$kafka_port scripts/kafka.sh stop >/dev/null 2>&1 || true' EXIT
export PORTGATE_KAFKA=127.0.0.1:$kafka_port
log=$(mktemp)
status=0
cargo test --release --workspace --no-fail-fast 2>&1 | tee "$log" || status=$?
count() { awk -v what="$1" '/^test result:/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ "^" what) n += $i } END { print n + 0 }' "$log"; }
passed=$(count passed) failed=$(count failed) ignored=$(count ignored)
grep -hoiE '^(test .* \.\.\. )?skipped: .*' "$log" | sort | uniq -c || true
rm -f "$log"
echo "$passed passed, $failed failed, $ignored skipped"
exit $status

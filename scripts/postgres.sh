#!/usr/bin/env bash
# A PostgreSQL server of its own for the benchmarks: on a local socket only, with settings for reading.
#
#   scripts/postgres.sh start    make the cluster (once), start it, print the folder of its socket
#   scripts/postgres.sh stop     stop it; its data stay
#   scripts/postgres.sh remove   stop it and delete its data
#
# PORTGATE_POSTGRES_DATA   where its data go: by default the user's cache, or, for root, under whom
#                          PostgreSQL does not run, the home of the user postgres
# PORTGATE_CACHE           the cache (~/.cache/portgate)
set -euo pipefail

READY_SECONDS=120
say() { echo "postgres: $*" >&2; }
fail() { say "$*"; exit 1; }

bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
[[ -n $bin ]] || fail "PostgreSQL is not installed; scripts/setup.sh bench installs it"
as=()
cache=${PORTGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portgate}
data=${PORTGATE_POSTGRES_DATA:-$cache/bench-postgres}
if [[ $(id -u) = 0 ]]; then
  as=(runuser -u postgres --)
  data=${PORTGATE_POSTGRES_DATA:-$(getent passwd postgres | cut -d: -f6)/portgate-bench}
fi
run() { (cd / && "${as[@]}" "$@"); }

# Half of the memory would be usual for a server that has the machine; the gate has the other half here.
memory_mb=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
buffers_mb=$((memory_mb / 4 < 2048 ? memory_mb / 4 : 2048))

make_cluster() {
  say "making a cluster in $data"
  run mkdir -p "$data"
  run "$bin/initdb" --pgdata="$data" --username=bench --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
  run tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$data'
port = 5432
shared_buffers = ${buffers_mb}MB
effective_cache_size = $((memory_mb / 2))MB
maintenance_work_mem = 512MB
random_page_cost = 1.1
# One short statement at a time: no compiling of it, no helpers, one plan for all parameters.
jit = off
max_parallel_workers_per_gather = 0
plan_cache_mode = force_generic_plan
# Only reading is measured: nothing of this cluster must outlive a crash, and nothing is to work beside it.
fsync = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 8GB
autovacuum = off
update_process_title = off
CONF
}

case ${1:-} in
  start)
    [[ -f $data/postgresql.conf ]] || make_cluster
    if ! run "$bin/pg_ctl" --pgdata="$data" status >/dev/null; then
      run "$bin/pg_ctl" --pgdata="$data" --log="$data/server.log" --wait --timeout="$READY_SECONDS" start >/dev/null ||
        fail "the server does not start; see server.log in its data folder"
    fi
    echo "$data"
    ;;
  stop) run "$bin/pg_ctl" --pgdata="$data" --mode=fast --wait stop >/dev/null 2>&1 || true ;;
  remove)
    run "$bin/pg_ctl" --pgdata="$data" --mode=immediate stop >/dev/null 2>&1 || true
    run rm -rf "$data"
    ;;
  *) sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac

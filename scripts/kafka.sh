#!/usr/bin/env bash
# A real Apache Kafka for tests and demonstrations: one node or a cluster of some, KRaft, each broker and
# controller at once, from its Maven Central jars.
#
#   scripts/kafka.sh bootstrap   fetch the jars into the user's cache (once)
#   scripts/kafka.sh start       start (fetches what is missing, keeps data that is there), wait until ready
#   scripts/kafka.sh stop        stop and delete its data
#   scripts/kafka.sh restart     stop in order and start again on the same data; a cluster node by node
#   scripts/kafka.sh kill        kill -9; the data stay, `start` goes on with them
#   scripts/kafka.sh pause       SIGSTOP: it holds its connections and answers nothing; `resume` lets it go on
#   scripts/kafka.sh status      say whether it runs; exit code 1 if not
#
# KAFKA_PORT       the client port on 127.0.0.1 (19092); the next one is the controller's
# KAFKA_NODES      how many nodes (1). A second node has the ports ten further on, and so on. From three on
#                  everything is kept three times, and a write is confirmed by two at least
# KAFKA_NODE       the one node that the command is for (all; 1 is the first)
# KAFKA_DATA       where its data and log go (a folder in the temporary folder, by port)
# KAFKA_HEAP       a node's Java heap (512m; in a cluster 256m)
# KAFKA_SECURE     set: a second listener on the port after the controller's, over TLS (SASL_SSL; PLAIN
#                  and SCRAM-SHA-512), with a throw-away CA in its data's folder tls/ and the account
#                  portgate, whose password this is
# PORTGATE_CACHE   the cache (~/.cache/portgate)
set -euo pipefail

KAFKA_VERSION=4.1.1
LOG4J_VERSION=2.24.3

FIRST_PORT=${KAFKA_PORT:-19092}
NODES=${KAFKA_NODES:-1}
SECURE=${KAFKA_SECURE:-}
CACHE=${PORTGATE_CACHE:-$HOME/.cache/portgate}
JARS=$CACHE/kafka-$KAFKA_VERSION
ALL=${KAFKA_DATA:-${TMPDIR:-/tmp}/portgate-kafka-$FIRST_PORT}
COPIES=$((NODES < 3 ? 1 : 3))
COPIES_MIN=$((NODES < 3 ? 1 : 2))
if ((NODES > 1)); then HEAP=${KAFKA_HEAP:-256m}; else HEAP=${KAFKA_HEAP:-512m}; fi
# 16 bytes in base64: "portgate-kafka-1".
CLUSTER_ID=cG9ydGdhdGUta2Fma2EtMQ
READY_SECONDS=90
STOP_SECONDS=30

# node N: what follows is about the node N.
node() {
  NODE=$1
  PORT=$((FIRST_PORT + 10 * (NODE - 1)))
  CONTROLLER_PORT=$((PORT + 1))
  SECURE_PORT=$((PORT + 2))
  STATE=$ALL
  if ((NODES > 1)); then STATE=$ALL/$NODE; fi
  PID_FILE=$STATE/pid
  LOG_FILE=$STATE/server.log
}

# each COMMAND …: for every node that is meant.
each() {
  local n
  for n in ${KAFKA_NODE:-$(seq "$NODES")}; do
    node "$n"
    "$@"
  done
}

say() { echo "kafka: $*"; }
fail() { echo "kafka: $*" >&2; exit 1; }

need() { command -v "$1" >/dev/null || fail "$1 is missing; install $2"; }

bootstrap() {
  if [[ -f $JARS/complete ]]; then
    return
  fi
  need java "a Java 17 runtime"
  need mvn "Maven"
  mkdir -p "$CACHE"
  exec 9>"$CACHE/kafka.lock"
  flock 9
  if [[ ! -f $JARS/complete ]]; then
    say "fetching Apache Kafka $KAFKA_VERSION with Maven into $JARS"
    rm -rf "$JARS"
    mkdir -p "$JARS"
    cat >"$JARS/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>portgate</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>$LOG4J_VERSION</version>
    </dependency>
  </dependencies>
</project>
POM
    mvn -q -B -f "$JARS/pom.xml" dependency:copy-dependencies \
      -DoutputDirectory="$JARS/libs" -DincludeScope=runtime >"$JARS/mvn.log" 2>&1 ||
      { tail -n 20 "$JARS/mvn.log" >&2; fail "Maven could not fetch the jars (see $JARS/mvn.log)"; }
    touch "$JARS/complete"
    say "fetched $(find "$JARS/libs" -name '*.jar' | wc -l) jars, $(du -sh "$JARS/libs" | cut -f1)"
  fi
  exec 9>&-
}

pid() {
  # The recorded process, if it is still our broker.
  local pid
  [[ -f $PID_FILE ]] || return 1
  pid=$(<"$PID_FILE")
  [[ -n $pid ]] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q "kafka.Kafka $STATE/" || return 1
  echo "$pid"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A throw-away CA and the broker's certificate, once.
certify() {
  local tls=$ALL/tls
  [[ ! -f $tls/server.pem ]] || return 0
  need openssl "OpenSSL"
  mkdir -p "$tls"
  (
    cd "$tls"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=portgate-throw-away-ca -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
      -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost')
    cat server.key server.crt >server.pem
  ) >"$ALL/tls.log" 2>&1 || { tail -n 20 "$ALL/tls.log" >&2; fail "the certificates could not be made"; }
}

configure() {
  local secure_listener="" voters
  voters=$(for ((n = 1; n <= NODES; n++)); do echo "$n@127.0.0.1:$((FIRST_PORT + 10 * (n - 1) + 1))"; done | paste -sd,)
  mkdir -p "$STATE"
  if [[ -n $SECURE ]]; then
    certify
    secure_listener=",SASL_SSL://127.0.0.1:$SECURE_PORT"
  fi
  cat >"$STATE/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$NODE
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT$secure_listener
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT$secure_listener
controller.listener.names=CONTROLLER
log.dirs=$STATE/data
# A misspelt topic is an error.
auto.create.topics.enable=false
# Copies of everything, and how many of them must have a write before it is confirmed.
default.replication.factor=$COPIES
min.insync.replicas=$COPIES_MIN
offsets.topic.replication.factor=$COPIES
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$COPIES
transaction.state.log.min.isr=$COPIES_MIN
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$COPIES
share.coordinator.state.topic.min.isr=$COPIES_MIN
# A node that says nothing is given up before the gate's own session of ten seconds ends.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
# A node that is back leads again what it led.
leader.imbalance.check.interval.seconds=10
# Quick for tests: rebalances, retention and compaction need no minutes.
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
log.cleaner.backoff.ms=500
# Small.
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
PROPERTIES
  if [[ -n $SECURE ]]; then
    cat >>"$STATE/server.properties" <<PROPERTIES
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_portgate="$SECURE";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$ALL/tls/server.pem
PROPERTIES
  fi
  cat >"$STATE/log4j2.properties" <<PROPERTIES
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss,SSS} %p %c{1} %m%n
PROPERTIES
}

run_java() { java -Dlog4j2.configurationFile="$STATE/log4j2.properties" -cp "$JARS/libs/*" "$@"; }

where() { if ((NODES > 1)); then echo "127.0.0.1:$PORT, node $NODE"; else echo "127.0.0.1:$PORT"; fi; }

launch() {
  local running
  if running=$(pid); then
    say "runs already at $(where) (process $running)"
    return
  fi
  if listens "$PORT" || listens "$CONTROLLER_PORT" || { [[ -n $SECURE ]] && listens "$SECURE_PORT"; }; then
    fail "one of the ports $PORT to $SECURE_PORT is in use by another program; set KAFKA_PORT"
  fi
  configure
  if [[ ! -f $STATE/data/meta.properties ]]; then
    say "formatting its storage in $STATE/data"
    local accounts=()
    [[ -z $SECURE ]] || accounts=(--add-scram "SCRAM-SHA-512=[name=\"portgate\",password=\"$SECURE\"]")
    run_java -Xmx128m kafka.tools.StorageTool format -t "$CLUSTER_ID" "${accounts[@]}" \
      -c "$STATE/server.properties" >"$STATE/format.log" 2>&1 ||
      { tail -n 20 "$STATE/format.log" >&2; fail "the storage could not be formatted"; }
  fi
  say "starting Apache Kafka $KAFKA_VERSION at $(where)"
  setsid nohup java -Xms128m "-Xmx$HEAP" -XX:+UseSerialGC \
    -Dlog4j2.configurationFile="$STATE/log4j2.properties" \
    -cp "$JARS/libs/*" kafka.Kafka "$STATE/server.properties" \
    >"$LOG_FILE" 2>&1 </dev/null &
  echo $! >"$PID_FILE"
}

await() {
  local began=$SECONDS
  until grep -qs "Kafka Server started" "$LOG_FILE" && listens "$PORT"; do
    kill -0 "$(<"$PID_FILE")" 2>/dev/null ||
      { tail -n 20 "$LOG_FILE" >&2; fail "the broker ended (see $LOG_FILE)"; }
    ((SECONDS - began < READY_SECONDS)) || fail "not ready after $READY_SECONDS s (see $LOG_FILE)"
    sleep 0.2
  done
  say "ready at $(where) after $((SECONDS - began)) s (process $(<"$PID_FILE"), data in $STATE)"
}

# The nodes of a cluster need each other to begin with.
start() {
  bootstrap
  each launch
  each await
}

# end SIGNAL: ends the broker if it runs, and waits for that.
end() {
  local running began=$SECONDS
  running=$(pid) || { say "is not running"; return; }
  kill "-$1" "$running"
  # It may be paused.
  kill -CONT "$running" 2>/dev/null || true
  while kill -0 "$running" 2>/dev/null; do
    if ((SECONDS - began >= STOP_SECONDS)); then
      say "does not end after $STOP_SECONDS s; killing it"
      kill -KILL "$running" 2>/dev/null || true
    fi
    sleep 0.1
  done
  say "ended (process $running)"
}

# In a cluster what is deleted is not closed in order: the last nodes could not, without the others.
stop() {
  if ((NODES > 1)); then end KILL; else end TERM; fi
  if [[ -f $STATE/server.properties ]]; then
    rm -rf "$STATE"
    say "deleted $STATE"
  fi
  if ((NODES > 1)) && [[ -z ${KAFKA_NODE:-} && -d $ALL ]]; then
    rm -rf "$ALL/tls" "$ALL/tls.log"
    rmdir --ignore-fail-on-non-empty "$ALL"
  fi
}

restart() { end TERM; launch; await; }

status() {
  local running
  if running=$(pid); then
    say "runs at $(where) (process $running, data in $STATE)"
  else
    say "is not running at $(where)"
    MISSING=1
  fi
}

send() { kill "-$1" "$(pid)"; }

case ${1:-} in
  bootstrap) bootstrap; say "jars in $JARS" ;;
  start) start ;;
  stop) each stop ;;
  restart) bootstrap; each restart ;;
  kill) each end KILL ;;
  pause) each send STOP ;;
  resume) each send CONT ;;
  status)
    MISSING=0
    each status
    exit "$MISSING"
    ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

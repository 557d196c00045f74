//! Client settings, the client context, and what Kafka's errors mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::TopicPartitionList;

use super::KafkaConfig;
use crate::api::RebalanceListener;
use crate::error::{LogError, Result};
use crate::record::TopicPartition;
use crate::telemetry;

/// What a full queue answers.
const RETRY_AFTER_MS: u64 = 500;

/// Settings the log's promises rest on: they can't be passed through.
const FIXED: [&str; 12] = [
    "acks",
    "request.required.acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "transactional.id",
];

/// Which kind of client a setting is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Consumer,
    Admin,
}

/// Settings that only one kind of client takes (librdkafka complains about the others).
const PRODUCER_ONLY: [&str; 13] = [
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "linger.ms",
    "message.timeout.ms",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "transaction.timeout.ms",
];
const CONSUMER_ONLY: [&str; 14] = [
    "check.crcs",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "session.timeout.ms",
];

/// Refuses settings that would break what the log promises.
pub(super) fn check_settings(settings: &BTreeMap<String, String>) -> Result<()> {
    match settings.keys().find(|k| FIXED.contains(&k.as_str())) {
        Some(key) => Err(LogError::Invalid(format!("the Kafka setting {key} is fixed by the log and can't be set"))),
        None => Ok(()),
    }
}

/// The settings every client starts from, with the user's own.
pub(super) fn client_config(config: &KafkaConfig, role: Role) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "portgate")
        .set("message.max.bytes", config.message_bytes_max.to_string())
        // A broker that is there and silent is given up after this, and the others are asked who leads now:
        // soon enough that a member of a group finds the new coordinator within its session.
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.max.ms", "2000");
    match role {
        Role::Producer => {
            client
                .set("enable.idempotence", "true")
                .set("acks", "all")
                .set("linger.ms", "1")
                // A topic's limit holds for a whole batch, too: half of the least that a topic takes.
                // A larger record goes alone.
                .set("batch.size", "131072")
                .set("partitioner", "murmur2_random")
                .set("delivery.timeout.ms", config.timeout.as_millis().to_string())
                .set("queue.buffering.max.messages", config.queue_records_max.to_string())
                .set("queue.buffering.max.kbytes", (config.queue_bytes_max / 1024).max(1).to_string());
        }
        Role::Consumer => {
            client
                .set("enable.auto.commit", "false")
                .set("enable.auto.offset.store", "false")
                .set("isolation.level", "read_committed")
                .set("partition.assignment.strategy", "cooperative-sticky")
                // How soon a standby takes over from a node that says nothing any more.
                .set("session.timeout.ms", "10000")
                .set("heartbeat.interval.ms", "1500")
                .set("queued.max.messages.kbytes", "16384")
                .set("fetch.queue.backoff.ms", "20");
        }
        Role::Admin => {}
    }
    for (key, value) in &config.settings {
        let fits = match role {
            Role::Producer => !CONSUMER_ONLY.contains(&key.as_str()),
            Role::Consumer => !PRODUCER_ONLY.contains(&key.as_str()),
            Role::Admin => !CONSUMER_ONLY.contains(&key.as_str()) && !PRODUCER_ONLY.contains(&key.as_str()),
        };
        if fits {
            client.set(key, value);
        }
    }
    if config.settings.get("group.protocol").map(String::as_str) == Some("consumer") {
        // The new protocol is cooperative by itself and takes these from the broker.
        client.remove("partition.assignment.strategy");
        client.remove("session.timeout.ms");
        client.remove("heartbeat.interval.ms");
    }
    client
}

/// Wait before the next line of the same kind: with a broker away each of a process's many clients has
/// one to say about every attempt.
const SAME_LINE_WAIT: Duration = Duration::from_secs(5);

/// When a line of a kind was last written, for all clients of the process.
static SAID: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Whether a line of this kind is due.
fn due(kind: &str) -> bool {
    let (mut said, now) = (SAID.lock(), Instant::now());
    let due = said.get(kind).is_none_or(|at| now.duration_since(*at) >= SAME_LINE_WAIT);
    if due {
        said.insert(kind.to_owned(), now);
    }
    due
}

/// Takes librdkafka's log lines and errors into ours, and tells of rebalances.
#[derive(Clone, Default)]
pub(super) struct Context {
    pub group: String,
    pub listener: Option<Arc<dyn RebalanceListener>>,
    /// What a broker said when it turned this client away.
    refusal: Arc<Mutex<Option<String>>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning
                if due(facility) =>
            {
                tracing::warn!(target: "portgate_log::kafka", facility, "{message}");
            }
            _ => {
                tracing::debug!(target: "portgate_log::kafka", facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Being caught up is no trouble.
        if matches!(error, KafkaError::Global(Code::PartitionEOF)) {
            return;
        }
        let turned_away = [Code::Authentication, Code::SSL, Code::SaslAuthenticationFailed, Code::UnsupportedSASLMechanism];
        if error.rdkafka_error_code().is_some_and(|code| turned_away.contains(&code)) {
            *self.refusal.lock() = Some(reason.to_owned());
        }
        if due(&error.to_string()) {
            tracing::warn!(target: "portgate_log::kafka", %error, reason, "client error");
        } else {
            tracing::debug!(target: "portgate_log::kafka", %error, reason, "client error");
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let lost = consumer.assignment_lost();
            self.tell(list, if lost { "lost" } else { "revoked" });
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.tell(list, "assigned"),
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!(target: "portgate_log::kafka", %error, group = self.group, "rebalance");
            }
        }
    }
}

impl Context {
    /// A context for a member of a group.
    pub fn member(group: String, listener: Option<Arc<dyn RebalanceListener>>) -> Self {
        Self { group, listener, refusal: Arc::default() }
    }

    /// What a broker said when it turned this client away, since this was asked last.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().take()
    }

    fn tell(&self, list: &TopicPartitionList, kind: &'static str) {
        let partitions = partitions(list);
        metrics::counter!(telemetry::REBALANCES, "group" => self.group.clone(), "kind" => kind).increment(1);
        tracing::debug!(group = self.group, kind, partitions = partitions.len(), "rebalance");
        let Some(listener) = self.listener.as_ref().filter(|_| !partitions.is_empty()) else {
            return;
        };
        match kind {
            "assigned" => listener.assigned(&partitions),
            "lost" => listener.lost(&partitions),
            _ => listener.revoked(&partitions),
        }
    }
}

/// The partitions of a list, in order.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let mut partitions: Vec<_> = list
        .elements()
        .iter()
        .filter_map(|e| {
            let partition = u32::try_from(e.partition()).ok()?;
            Some(TopicPartition::new(e.topic(), partition))
        })
        .collect();
    partitions.sort();
    partitions
}

/// Kafka's number of a partition.
pub(super) fn partition_number(topic: &str, partition: u32) -> Result<i32> {
    i32::try_from(partition).map_err(|_| LogError::UnknownPartition { topic: topic.to_owned(), partition })
}

/// What a Kafka error means to a caller; `what` says to what it happened.
pub(super) fn kafka_error(error: &KafkaError, what: &str) -> LogError {
    let text = format!("{what}: {error}");
    if let KafkaError::Transaction(inner) = error {
        if is_fencing(inner.code()) {
            return LogError::Fenced(what.to_owned());
        }
        if inner.txn_requires_abort() {
            return LogError::MustAbort(text);
        }
    }
    let Some(code) = error.rdkafka_error_code() else {
        return match error {
            KafkaError::Canceled => LogError::Closed,
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => LogError::Refused(text),
            _ => LogError::Unavailable(text),
        };
    };
    match code {
        code if is_fencing(code) => LogError::Fenced(what.to_owned()),
        Code::QueueFull => LogError::Busy { retry_after_ms: RETRY_AFTER_MS },
        Code::UnknownTopic | Code::UnknownTopicOrPartition => LogError::UnknownTopic(what.to_owned()),
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => LogError::Timeout(text),
        Code::ConcurrentTransactions | Code::PurgeQueue | Code::PurgeInflight => LogError::MustAbort(text),
        Code::Authentication
        | Code::SSL
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidConfig
        | Code::InvalidReplicationFactor
        | Code::InvalidTopic
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::InvalidArgument => LogError::Refused(text),
        _ => LogError::Unavailable(text),
    }
}

/// The same of a topic that is known to be there: a broker that has just come back does not know it yet.
pub(super) fn of_known_topic(error: LogError) -> LogError {
    match error {
        LogError::UnknownTopic(topic) => LogError::Unavailable(format!("{topic}: the broker that was asked does not know it now")),
        other => other,
    }
}

/// Whether a newer holder of the transactional id is behind it.
fn is_fencing(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// Whether a commit failed because the member no longer holds what it commits.
pub(super) fn is_lost_membership(code: Code) -> bool {
    matches!(
        code,
        Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::AssignmentLost
            | Code::FencedInstanceId
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch
    )
}

//! The interface: [`Log`], [`Consumer`], [`LogTransaction`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::embedded::EmbeddedGroup;
use crate::error::Result;
use crate::kafka::KafkaGroup;
use crate::record::{NewRecord, Position, Record, TopicPartition};
use crate::telemetry;
use crate::topics::TopicSpec;

/// The log. Used as `Arc<dyn Log>`; every method may be called from many tasks at once.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Creates the topics that are missing and checks the ones that exist.
    ///
    /// # Errors
    /// [`crate::LogError::TopicMismatch`] when a topic exists with other partitions, another kind of
    /// clean-up or a smaller record limit.
    async fn create_topics(&self, specs: &[TopicSpec]) -> Result<()>;

    /// How many partitions the topic has.
    ///
    /// # Errors
    /// [`crate::LogError::UnknownTopic`].
    async fn partitions(&self, topic: &str) -> Result<u32>;

    /// Appends one record and answers once it is durable. Appends awaited one after the other keep
    /// their order; concurrent ones get some order.
    ///
    /// # Errors
    /// [`crate::LogError::Busy`] when the queue is full (nothing was appended); any other error: not
    /// known to be stored.
    async fn append(&self, record: NewRecord) -> Result<Position>;

    /// Appends many, keeping their order per partition, and answers once all are durable, with their
    /// places in the same order. Embedded: all or none. Kafka: on error some may be stored; use a
    /// [`LogTransaction`] where that matters.
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>>;

    /// Joins a consumer group. The partitions of the topics are shared out among the group's members.
    ///
    /// # Errors
    /// [`crate::LogError::UnknownTopic`].
    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>>;

    /// Reads one partition from an offset, without a group: for tailing and for rebuilding a view.
    ///
    /// Answers as soon as there is at least one record, and after `wait` with none. With
    /// `Duration::ZERO` it answers with what is there now. Go on at [`ReadBatch::next_offset`].
    /// At most `max` records (and about 8 MiB) a call.
    ///
    /// # Errors
    /// [`crate::LogError::OffsetOutOfRange`] below the retained offsets or beyond the end;
    /// a caller for whom the loss is acceptable starts again at [`PartitionRange::earliest`].
    async fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize, wait: Duration) -> Result<ReadBatch>;

    /// The offsets held by each partition of the topic, in the order of the partitions.
    ///
    /// # Errors
    /// [`crate::LogError::UnknownTopic`].
    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>>;

    /// For each partition the offset the next record will get.
    ///
    /// # Errors
    /// [`crate::LogError::UnknownTopic`].
    async fn end_offsets(&self, topic: &str) -> Result<Vec<u64>> {
        Ok(self.ranges(topic).await?.iter().map(|r| r.end).collect())
    }

    /// How far the group's committed offsets are behind on these topics. Also sets the lag gauges.
    ///
    /// # Errors
    /// [`crate::LogError::UnknownTopic`].
    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>>;

    /// Becomes the holder of a transactional id. Whoever held it before is fenced off: its next call
    /// ends with [`crate::LogError::Fenced`], and what it had not committed is gone.
    ///
    /// # Errors
    /// [`crate::LogError::Unavailable`], [`crate::LogError::Timeout`].
    async fn transaction(&self, transactional_id: &str) -> Result<Box<dyn LogTransaction>>;

    /// Whether the log can be written and read now.
    async fn health(&self) -> Health;
}

/// A member of a consumer group.
///
/// Delivery is at least once: after a crash, a rebalance or a [`Consumer::seek`] the records after the
/// last committed one come again. All methods take `&self`; [`Consumer::poll`] is cancel-safe (dropping
/// its future loses no record) but one poll at a time.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// The next records in order per partition, as soon as there is one, at most `max` (and about
    /// 8 MiB); none after `timeout`. Rebalances happen inside this call.
    ///
    /// # Errors
    /// [`crate::LogError::Unavailable`] when the log is away for longer than the client hides.
    async fn poll(&self, max: usize, timeout: Duration) -> Result<Vec<Record>>;

    /// Records durably that everything up to *and including* these positions is processed.
    /// Of several positions of one partition the furthest counts.
    ///
    /// # Errors
    /// [`crate::LogError::NotAssigned`] when a partition has gone to another member.
    async fn commit(&self, processed: &[Position]) -> Result<()>;

    /// The next poll delivers the assigned partition from `offset` on.
    ///
    /// # Errors
    /// [`crate::LogError::NotAssigned`].
    async fn seek(&self, partition: &TopicPartition, offset: u64) -> Result<()>;

    /// The partitions this member holds now, in order.
    fn assignment(&self) -> Vec<TopicPartition>;

    /// Proves to the group that this member is alive, and answers for how long from the call on nobody
    /// else can get its partitions without its doing. None: the log promises nothing of the kind.
    /// `unread` is a partition that the group does not read: a position of it is committed.
    ///
    /// # Errors
    /// When the group does not confirm it; nothing is promised then.
    async fn renew(&self, unread: &TopicPartition) -> Result<Option<Duration>> {
        let _ = unread;
        Ok(None)
    }

    /// What [`LogTransaction::send_offsets`] needs to commit this member's offsets in a transaction.
    ///
    /// # Errors
    /// [`crate::LogError::Closed`].
    fn group(&self) -> Result<GroupHandle>;

    /// Leaves the group, so that others take over at once. Dropping does the same, without waiting.
    ///
    /// # Errors
    /// [`crate::LogError::Unavailable`].
    async fn close(&self) -> Result<()>;
}

/// Atomic writes by the one holder of a transactional id.
///
/// `begin`, then any number of `append` and `send_offsets`, then `commit` or `abort`; then again.
#[async_trait]
pub trait LogTransaction: Send {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`crate::LogError::Fenced`]; [`crate::LogError::Invalid`] when one has begun already.
    async fn begin(&mut self) -> Result<()>;

    /// Adds a record; readers see it after the commit.
    ///
    /// # Errors
    /// [`crate::LogError::Busy`] when the transaction grows beyond its bounds, and as for
    /// [`Log::append`]; afterwards only `abort` makes sense.
    async fn append(&mut self, record: NewRecord) -> Result<()>;

    /// Adds the consumer's progress (as [`Consumer::commit`] would) to the transaction.
    ///
    /// # Errors
    /// [`crate::LogError::Invalid`] when the group is of another log.
    async fn send_offsets(&mut self, group: &GroupHandle, processed: &[Position]) -> Result<()>;

    /// Makes all of it durable and visible at once. Answers with the places of the records in the
    /// order they were appended.
    ///
    /// # Errors
    /// [`crate::LogError::Fenced`]: stop. [`crate::LogError::MustAbort`]: abort and repeat.
    /// [`crate::LogError::Timeout`]: not known; a new [`Log::transaction`] settles it.
    async fn commit(&mut self) -> Result<Vec<Position>>;

    /// Gives the transaction up; nothing of it becomes visible.
    ///
    /// # Errors
    /// [`crate::LogError::Fenced`], [`crate::LogError::Unavailable`].
    async fn abort(&mut self) -> Result<()>;
}

/// Is told which partitions a group member gains and loses, in the order it happens, from inside
/// [`Consumer::poll`] or [`Consumer::close`].
///
/// The calls may block for a short time (well below the session timeout): no other member gets a
/// revoked partition before `revoked` returns. They must not call the consumer.
pub trait RebalanceListener: Send + Sync {
    /// These partitions are ours from now on (only the new ones are named).
    fn assigned(&self, partitions: &[TopicPartition]);

    /// These partitions are about to be given up in order: finish or drop what is in the works.
    fn revoked(&self, partitions: &[TopicPartition]);

    /// These partitions are gone already (the session ended): another member may be at work on them.
    fn lost(&self, partitions: &[TopicPartition]) {
        self.revoked(partitions);
    }
}

/// Where a group starts on a partition for which it has committed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record held.
    Earliest,
    /// At what comes next.
    Latest,
}

/// What a consumer reads, and for whom.
#[derive(Clone)]
pub struct ConsumerOptions {
    /// The group's name.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
    /// Where to start on partitions for which the group has committed nothing.
    pub start: StartFrom,
    /// Who is told of gained and lost partitions.
    pub listener: Option<Arc<dyn RebalanceListener>>,
}

impl ConsumerOptions {
    /// A consumer of `topics` in `group`.
    #[must_use]
    pub fn new(group: impl Into<String>, topics: &[&str], start: StartFrom) -> Self {
        Self { group: group.into(), topics: topics.iter().map(|t| (*t).to_owned()).collect(), start, listener: None }
    }

    /// Sets who is told of gained and lost partitions.
    #[must_use]
    pub fn listener(mut self, listener: Arc<dyn RebalanceListener>) -> Self {
        self.listener = Some(listener);
        self
    }
}

impl fmt::Debug for ConsumerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerOptions")
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// A consumer's membership, for [`LogTransaction::send_offsets`].
#[derive(Clone)]
pub struct GroupHandle(pub(crate) GroupHandleInner);

#[derive(Clone)]
pub(crate) enum GroupHandleInner {
    Embedded(Arc<EmbeddedGroup>),
    Kafka(Arc<KafkaGroup>),
}

/// What [`Log::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Where to read on. It may be beyond the last record's offset plus one (gaps); a view is caught
    /// up with `end` when this is no less than `end`.
    pub next_offset: u64,
}

/// The offsets a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// The partition, from 0.
    pub partition: u32,
    /// The oldest offset that can be read.
    pub earliest: u64,
    /// The offset the next record will get.
    pub end: u64,
}

/// How far a group is behind on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset the group will read next, if it has committed any.
    pub committed: Option<u64>,
    /// The offset the next record will get.
    pub end: u64,
    /// How many offsets lie between (counted from the oldest held, if nothing is committed).
    pub lag: u64,
}

impl PartitionLag {
    /// The lag, which also sets the gauge.
    pub(crate) fn new(group: &str, topic: &str, range: PartitionRange, committed: Option<u64>) -> Self {
        let lag = range.end.saturating_sub(committed.unwrap_or(range.earliest).max(range.earliest));
        metrics::gauge!(telemetry::LAG_OFFSETS, "group" => group.to_owned(),
            "topic" => topic.to_owned(), "partition" => range.partition.to_string())
        .set(lag as f64);
        Self { partition: TopicPartition::new(topic, range.partition), committed, end: range.end, lag }
    }
}

/// The state of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it can be written and read.
    pub ok: bool,
    /// `embedded` or `kafka`.
    pub backend: &'static str,
    /// What is wrong, or where the log is.
    pub detail: String,
}

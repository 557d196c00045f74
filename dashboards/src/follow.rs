//! Following topics of the log: from a place near the end (or the beginning), for ever, over
//! trouble, and with a word on how it stands.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portgate_log::{Log, LogError, PartitionRange, Record};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// Records asked for at a time.
const BATCH_MAX: usize = 512;
/// How long a read waits for something new.
const WAIT: Duration = Duration::from_secs(2);
/// A topic whose last good read is older is not alive.
const ALIVE: Duration = Duration::from_secs(15);

/// Where to start.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// At the oldest record held.
    Earliest,
    /// This many records before the end, per partition.
    Tail(u64),
}

/// How the following of one topic stands.
pub struct Following {
    topic: &'static str,
    partitions: AtomicUsize,
    caught_up: AtomicUsize,
    good_ms: AtomicU64,
    began: Instant,
    trouble: Mutex<Option<String>>,
}

impl Following {
    /// Not begun yet.
    pub fn new(topic: &'static str) -> Arc<Self> {
        let zero = AtomicUsize::new(0);
        Arc::new(Self {
            topic,
            partitions: AtomicUsize::new(0),
            caught_up: zero,
            good_ms: AtomicU64::new(0),
            began: Instant::now(),
            trouble: Mutex::new(Some("not begun yet".to_owned())),
        })
    }

    /// The topic.
    pub fn topic(&self) -> &'static str {
        self.topic
    }

    /// Everything that stood in the topic at the start has been read.
    pub fn is_caught_up(&self) -> bool {
        let partitions = self.partitions.load(Ordering::Acquire);
        partitions > 0 && self.caught_up.load(Ordering::Acquire) >= partitions
    }

    /// Fine, or what is wrong.
    ///
    /// # Errors
    /// In words.
    pub fn health(&self) -> Result<(), String> {
        if let Some(trouble) = self.trouble.lock().clone() {
            return Err(trouble);
        }
        let good = Duration::from_millis(self.good_ms.load(Ordering::Acquire));
        let quiet = self.began.elapsed().saturating_sub(good);
        if quiet > ALIVE {
            return Err(format!("nothing read for {} s", quiet.as_secs()));
        }
        if self.is_caught_up() {
            Ok(())
        } else {
            Err("still reading what was written before the start".to_owned())
        }
    }

    fn good(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.good_ms.store(ms, Ordering::Release);
        *self.trouble.lock() = None;
        metrics::gauge!(telemetry::FOLLOWING, "topic" => self.topic).set(1.0);
    }

    fn bad(&self, e: &LogError) {
        let words = e.to_string();
        let mut trouble = self.trouble.lock();
        if trouble.as_deref() != Some(&words) {
            tracing::warn!(topic = self.topic, error = %words, "topic can't be followed; trying on");
        }
        *trouble = Some(words);
        metrics::gauge!(telemetry::FOLLOWING, "topic" => self.topic).set(0.0);
    }
}

/// Follows every partition of a topic until cancelled. `apply` gets the records of one partition
/// in order; `caught_up` is called once, when the last partition has reached the end as it was.
pub async fn follow(
    log: Arc<dyn Log>,
    following: Arc<Following>,
    start: Start,
    apply: Arc<dyn Fn(Vec<Record>) + Send + Sync>,
    caught_up: Arc<dyn Fn() + Send + Sync>,
    stop: CancellationToken,
) {
    let Some(ranges) = stop.run_until_cancelled(ranges(&log, &following)).await else { return };
    following.partitions.store(ranges.len(), Ordering::Release);
    let mut tasks = JoinSet::new();
    for range in ranges {
        let (log, following, apply, caught_up) = (log.clone(), following.clone(), apply.clone(), caught_up.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(partition(log, following, range, start, apply, caught_up)).await;
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn ranges(log: &Arc<dyn Log>, following: &Following) -> Vec<PartitionRange> {
    let mut pause = Duration::from_millis(100);
    loop {
        match log.ranges(following.topic).await {
            Ok(ranges) if !ranges.is_empty() => {
                following.good();
                return ranges;
            }
            Ok(_) => following.bad(&LogError::UnknownTopic(following.topic.to_owned())),
            Err(e) => following.bad(&e),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn partition(
    log: Arc<dyn Log>,
    following: Arc<Following>,
    range: PartitionRange,
    start: Start,
    apply: Arc<dyn Fn(Vec<Record>) + Send + Sync>,
    caught_up: Arc<dyn Fn() + Send + Sync>,
) {
    let mut next = match start {
        Start::Earliest => range.earliest,
        Start::Tail(n) => range.end.saturating_sub(n).max(range.earliest),
    };
    let mut behind = true;
    let mut pause = Duration::from_millis(100);
    loop {
        if behind && next >= range.end {
            behind = false;
            let done = following.caught_up.fetch_add(1, Ordering::AcqRel) + 1;
            if done == following.partitions.load(Ordering::Acquire) {
                caught_up();
            }
        }
        match log.read(following.topic, range.partition, next, BATCH_MAX, WAIT).await {
            Ok(batch) => {
                following.good();
                pause = Duration::from_millis(100);
                next = batch.next_offset;
                if !batch.records.is_empty() {
                    apply(batch.records);
                }
            }
            Err(LogError::OffsetOutOfRange { earliest, end, .. }) => {
                tracing::warn!(topic = following.topic, partition = range.partition, next, earliest, end, "records passed by unread");
                next = if next < earliest { earliest } else { end };
            }
            Err(e) => {
                following.bad(&e);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

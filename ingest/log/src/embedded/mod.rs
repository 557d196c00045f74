//! The embedded log: ordered, partitioned and durable, on RocksDB in this process.
//!
//! One thread writes ([`writer`]): what waits in its bounded queue is given offsets and written with
//! one sync (group commit), then shown to readers and acknowledged. Readers read the store directly
//! and are woken by the writer; nothing polls. Another thread applies retention ([`janitor`]). What
//! lies where is in [`keys`], how a record looks in [`codec`].
//!
//! Compacted topics lose a key's former record in the same write that brings the new one.
//! Retention counts from the time of appending, not from a device's clock.

mod codec;
mod consumer;
mod group;
mod janitor;
mod keys;
mod store;
mod transaction;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::api::{Consumer, ConsumerOptions, Health, Log, LogTransaction, PartitionLag, PartitionRange, ReadBatch};
use crate::error::{LogError, Result};
use crate::partition::partition_for_key;
use crate::record::{NewRecord, Position};
use crate::telemetry;
use crate::topics::TopicSpec;

pub use group::EmbeddedGroup;
use store::{store_error, Shared, READ_BYTES_MAX};
use writer::{Append, Job, Prepared};

/// How the embedded log is kept.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Its folder; created if missing. One process at a time.
    pub path: PathBuf,
    /// At most so many appends wait for the disk; one more is [`LogError::Busy`].
    pub queue_appends_max: usize,
    /// At most so many bytes wait for the disk; one more is [`LogError::Busy`].
    pub queue_bytes_max: usize,
    /// How often retention is applied.
    pub retention_interval: Duration,
    /// Retention deletes whole segments; a segment ends after so many records …
    pub segment_records: u64,
    /// … or so many bytes …
    pub segment_bytes: u64,
    /// … or so many milliseconds.
    pub segment_ms: u64,
    /// How long a compacted topic shows a deletion to readers that lag behind, milliseconds.
    pub tombstone_ms: u64,
}

impl EmbeddedConfig {
    /// The usual settings, for a log in `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue_appends_max: 4096,
            queue_bytes_max: 64 << 20,
            retention_interval: Duration::from_secs(30),
            segment_records: 10_000,
            segment_bytes: 8 << 20,
            segment_ms: 60_000,
            tombstone_ms: 24 * 3_600_000,
        }
    }
}

/// The embedded log. Dropping it finishes what is queued; the folder is free again once its
/// consumers and transactions are dropped too.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    stop: Arc<janitor::Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl EmbeddedLog {
    /// Opens the log, creating it if there is none. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it open, [`LogError::NewerFormat`],
    /// [`LogError::Corrupt`], [`LogError::Unavailable`].
    pub fn open(config: EmbeddedConfig) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(config.queue_appends_max.max(1));
        let shared = Arc::new(Shared::open(config, sender)?);
        let stop = Arc::new(janitor::Stop::default());
        let mut log = Self { shared: shared.clone(), stop: stop.clone(), threads: Vec::new() };
        let writer_shared = shared.clone();
        log.spawn("log-writer", move || writer::run(&writer_shared, receiver))?;
        log.spawn("log-janitor", move || janitor::run(&shared, &stop))?;
        Ok(log)
    }

    /// Writes a consistent copy of the log into the folder `to`, which must not exist, while the log
    /// goes on.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when it can't be written.
    pub fn checkpoint(&self, to: &Path) -> Result<()> {
        rocksdb::checkpoint::Checkpoint::new(&self.shared.db).and_then(|c| c.create_checkpoint(to)).map_err(store_error)
    }

    /// Deletes what lies before the offset `to`, for who keeps a queue in a topic: the place up to which
    /// it is trimmed is as durable as an append. `bytes_gone`: about how many bytes that is, after
    /// which the disk gets its space back. Answers how many records went.
    ///
    /// # Errors
    /// [`LogError::UnknownTopic`], [`LogError::UnknownPartition`], [`LogError::Unavailable`].
    pub async fn trim(&self, topic: &str, partition: u32, to: u64, bytes_gone: u64) -> Result<u64> {
        let topic = self.shared.topic(topic)?;
        if partition >= topic.partitions() {
            return Err(LogError::UnknownPartition { topic: topic.name.clone(), partition });
        }
        let gone = self.ask(|reply| Job::Trim { topic: topic.clone(), partition, to, reply }).await?;
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || janitor::reclaim(&shared, &topic, partition, to, bytes_gone))
            .await
            .map_err(|_| LogError::Closed)??;
        Ok(gone)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|e| LogError::Unavailable(format!("thread {name}: {e}")))?;
        self.threads.push(thread);
        Ok(())
    }

    async fn write(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        let bytes = records.iter().map(NewRecord::size_bytes).sum();
        let records = records.iter().map(|r| prepare(&self.shared, r)).collect::<Result<Vec<_>>>()?;
        let (reply, answer) = oneshot::channel();
        self.shared.try_append(Append { records, offsets: Vec::new(), holder: None, bytes, reply })?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Result<u64>>) -> Job) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        self.shared.sender()?.send(job(reply)).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.stop.stop();
        self.shared.close_queue();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        let (shared, specs) = (self.shared.clone(), specs.to_vec());
        let create = move || specs.iter().try_for_each(|s| shared.create_topic(s));
        tokio::task::spawn_blocking(create).await.map_err(|_| LogError::Closed)?
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        Ok(self.shared.topic(topic)?.partitions())
    }

    async fn append(&self, record: NewRecord) -> Result<Position> {
        let topic = record.topic.clone();
        let began = Instant::now();
        let outcome = self.write(vec![record]).await;
        observe(&topic, began, &outcome);
        outcome?.pop().ok_or(LogError::Closed)
    }

    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        let Some(topic) = records.first().map(|r| r.topic.clone()) else {
            return Ok(Vec::new());
        };
        let began = Instant::now();
        let outcome = self.write(records).await;
        observe(&topic, began, &outcome);
        outcome
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        if options.topics.is_empty() {
            return Err(LogError::Invalid("a consumer without topics".into()));
        }
        let consumer = consumer::EmbeddedConsumer::join(self.shared.clone(), options)?;
        Ok(Box::new(consumer))
    }

    async fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        let topic = self.shared.topic(topic)?;
        let deadline = tokio::time::Instant::now() + wait;
        let mut appended = topic.wake.subscribe();
        loop {
            let (shared, on) = (self.shared.clone(), topic.clone());
            let read = move || shared.read(&on, partition, from_offset, max, READ_BYTES_MAX);
            let batch = tokio::task::spawn_blocking(read).await.map_err(|_| LogError::Closed)??;
            if !batch.records.is_empty() || batch.next_offset > from_offset || wait.is_zero() {
                return Ok(batch);
            }
            match tokio::time::timeout_at(deadline, appended.changed()).await {
                Err(_) => return Ok(batch),
                Ok(changed) => changed.map_err(|_| LogError::Closed)?,
            }
        }
    }

    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        let topic = self.shared.topic(topic)?;
        Ok((0..)
            .zip(&topic.parts)
            .map(|(partition, part)| PartitionRange {
                partition,
                earliest: part.start.load(Ordering::Acquire),
                end: part.end.load(Ordering::Acquire),
            })
            .collect())
    }

    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
        let mut lags = Vec::new();
        for name in topics {
            let topic = self.shared.topic(name)?;
            for range in self.ranges(name).await? {
                let committed = self.shared.committed(group, &topic, range.partition)?;
                lags.push(PartitionLag::new(group, name, range, committed));
            }
        }
        Ok(lags)
    }

    async fn transaction(&self, transactional_id: &str) -> Result<Box<dyn LogTransaction>> {
        let id = transactional_id.to_owned();
        let epoch = self.ask(|reply| Job::Fence { id: id.clone(), reply }).await?;
        Ok(Box::new(transaction::EmbeddedTransaction::new(self.shared.clone(), id, epoch)))
    }

    async fn health(&self) -> Health {
        let failed = self.shared.write_error.lock().clone();
        let failure = match failed {
            None => None,
            // The disk may have room again: find out.
            Some(_) => self.ask(|reply| Job::Probe { reply }).await.err(),
        };
        Health {
            ok: failure.is_none(),
            backend: "embedded",
            detail: failure.map_or_else(|| self.shared.config.path.display().to_string(), |e| e.to_string()),
        }
    }
}

/// Checks a record, chooses its partition and encodes it.
fn prepare(shared: &Shared, record: &NewRecord) -> Result<Prepared> {
    let topic = shared.topic(&record.topic)?;
    let (compacted, bytes_max) = {
        let spec = topic.spec.read();
        (spec.compacted, spec.record_bytes_max)
    };
    record.check(compacted, bytes_max)?;
    let partitions = topic.partitions();
    let partition = match (record.partition, &record.key) {
        (Some(p), _) if p < partitions => p,
        (Some(p), _) => return Err(LogError::UnknownPartition { topic: topic.name.clone(), partition: p }),
        (None, Some(key)) => partition_for_key(key, partitions),
        (None, None) => topic.turn.fetch_add(1, Ordering::Relaxed).checked_rem(partitions).unwrap_or(0),
    };
    let compact = match &record.key {
        Some(key) if compacted => Some((key.clone(), record.value.is_none())),
        _ => None,
    };
    Ok(Prepared { partition, compact, encoded: codec::encode(record)?, topic })
}

fn observe<T>(topic: &str, began: Instant, outcome: &Result<T>) {
    telemetry::appended("embedded", topic, began, outcome.as_ref().err());
}

//! A member of an embedded consumer group.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::group::EmbeddedGroup;
use super::store::{Shared, Topic, READ_BYTES_MAX};
use super::writer::{Append, OffsetCommit};
use crate::api::{Consumer, ConsumerOptions, GroupHandle, GroupHandleInner, ReadBatch, StartFrom};
use crate::error::{LogError, Result};
use crate::record::{Position, Record, TopicPartition};
use crate::telemetry;

pub(super) struct EmbeddedConsumer {
    shared: Arc<Shared>,
    options: ConsumerOptions,
    topics: BTreeMap<String, Arc<Topic>>,
    group: Arc<EmbeddedGroup>,
    /// The next offset of each partition held.
    positions: Arc<Mutex<BTreeMap<TopicPartition, u64>>>,
    /// One poll at a time; holds what a poll waits on.
    wakes: tokio::sync::Mutex<Vec<watch::Receiver<u64>>>,
    /// With which of its partitions the next poll begins, so that none is starved.
    turn: AtomicUsize,
}

/// What one partition had, read from `from` on.
struct Found {
    partition: TopicPartition,
    from: u64,
    batch: ReadBatch,
}

impl EmbeddedConsumer {
    pub fn join(shared: Arc<Shared>, options: ConsumerOptions) -> Result<Self> {
        let mut topics = BTreeMap::new();
        for name in &options.topics {
            topics.insert(name.clone(), shared.topic(name)?);
        }
        let partitions = topics.values().flat_map(|t| (0..t.partitions()).map(|p| TopicPartition::new(t.name.clone(), p))).collect();
        let wakes = topics.values().map(|t| t.wake.subscribe()).collect();
        let group = Arc::new(shared.groups.join(&options.group, partitions));
        Ok(Self {
            shared,
            options,
            topics,
            group,
            positions: Arc::default(),
            wakes: tokio::sync::Mutex::new(wakes),
            turn: AtomicUsize::new(0),
        })
    }

    /// Gives up and takes over partitions as the group's balance asks.
    fn settle(&self) -> Result<()> {
        if !self.group.is_member() {
            return Err(LogError::Closed);
        }
        let revoked = self.group.to_revoke();
        if !revoked.is_empty() {
            self.give_up(&revoked);
            self.group.release(&revoked);
        }
        let gained = self.group.claim();
        if gained.is_empty() {
            return Ok(());
        }
        let begins: Result<Vec<u64>> = gained.iter().map(|p| self.begin_of(p)).collect();
        let begins = begins.inspect_err(|_| self.group.release(&gained))?;
        self.positions.lock().extend(gained.iter().cloned().zip(begins));
        self.count("assigned");
        tracing::debug!(group = self.group.name(), partitions = gained.len(), "assigned");
        if let Some(listener) = &self.options.listener {
            listener.assigned(&gained);
        }
        Ok(())
    }

    fn give_up(&self, partitions: &[TopicPartition]) {
        self.count("revoked");
        tracing::debug!(group = self.group.name(), partitions = partitions.len(), "revoked");
        if let Some(listener) = &self.options.listener {
            listener.revoked(partitions);
        }
        let mut positions = self.positions.lock();
        for partition in partitions {
            positions.remove(partition);
        }
    }

    fn begin_of(&self, partition: &TopicPartition) -> Result<u64> {
        let topic = self.topic(&partition.topic)?;
        let committed = self.shared.committed(self.group.name(), topic, partition.partition)?;
        let part = topic
            .part(partition.partition)
            .ok_or_else(|| LogError::UnknownPartition { topic: partition.topic.clone(), partition: partition.partition })?;
        Ok(match (committed, self.options.start) {
            (Some(offset), _) => offset.min(part.end.load(Ordering::Acquire)),
            (None, StartFrom::Earliest) => part.start.load(Ordering::Acquire),
            (None, StartFrom::Latest) => part.end.load(Ordering::Acquire),
        })
    }

    fn topic(&self, name: &str) -> Result<&Arc<Topic>> {
        self.topics.get(name).ok_or_else(|| LogError::UnknownTopic(name.to_owned()))
    }

    /// The partitions that have something new, with the offset to read from.
    fn due(&self) -> Vec<(TopicPartition, Arc<Topic>, u64)> {
        let mut positions = self.positions.lock();
        let mut due = Vec::new();
        for (partition, position) in positions.iter_mut() {
            let Some(topic) = self.topics.get(&partition.topic) else {
                continue;
            };
            let Some(part) = topic.part(partition.partition) else {
                continue;
            };
            let start = part.start.load(Ordering::Acquire);
            if *position < start {
                let skipped = start - *position;
                metrics::counter!(telemetry::SKIPPED_OFFSETS,
                    "group" => self.options.group.clone(), "topic" => topic.name.clone())
                .increment(skipped);
                tracing::warn!(group = self.group.name(), %partition, skipped,
                    "retention deleted records this group had not read");
                *position = start;
            }
            if part.end.load(Ordering::Acquire) > *position {
                due.push((partition.clone(), topic.clone(), *position));
            }
        }
        if !due.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % due.len();
            due.rotate_left(turn);
        }
        due
    }

    /// Reads what is due and moves on behind it.
    async fn collect(&self, max: usize) -> Result<Vec<Record>> {
        let due = self.due();
        if due.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        let shared = self.shared.clone();
        let positions = self.positions.clone();
        let read = move || -> Result<Vec<Found>> {
            let mut found = Vec::new();
            let (mut left, mut bytes_left) = (max, READ_BYTES_MAX);
            for (partition, topic, from) in due {
                if left == 0 || bytes_left == 0 {
                    break;
                }
                let batch = match shared.read(&topic, partition.partition, from, left, bytes_left) {
                    Ok(batch) => batch,
                    // Retention was faster; the next look begins at what is left.
                    Err(LogError::OffsetOutOfRange { .. }) => continue,
                    Err(e) => return Err(e),
                };
                left = left.saturating_sub(batch.records.len());
                let bytes: usize = batch.records.iter().map(Record::size_bytes).sum();
                bytes_left = bytes_left.saturating_sub(bytes);
                found.push(Found { partition, from, batch });
            }
            Ok(found)
        };
        let found = tokio::task::spawn_blocking(read).await.map_err(|_| LogError::Closed)??;
        // No await from here on: a poll that is dropped has moved nothing.
        let mut records = Vec::new();
        let mut positions = positions.lock();
        for Found { partition, from, mut batch } in found {
            // A seek in the meantime counts more.
            if let Some(position) = positions.get_mut(&partition).filter(|p| **p == from) {
                *position = batch.next_offset;
                records.append(&mut batch.records);
            }
        }
        Ok(records)
    }

    fn count(&self, kind: &'static str) {
        metrics::counter!(telemetry::REBALANCES,
            "group" => self.options.group.clone(), "kind" => kind)
        .increment(1);
    }

    fn leave(&self) {
        let owned = self.group.owned();
        if !owned.is_empty() {
            self.give_up(&owned);
        }
        self.group.leave();
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn poll(&self, max: usize, timeout: Duration) -> Result<Vec<Record>> {
        let mut wakes = self.wakes.lock().await;
        let deadline = Instant::now() + timeout;
        loop {
            // Register first, look then: nothing that happens in between is missed.
            let regrouped = self.group.wake().notified();
            tokio::pin!(regrouped);
            regrouped.as_mut().enable();
            for wake in wakes.iter_mut() {
                wake.mark_unchanged();
            }
            self.settle()?;
            let records = self.collect(max).await?;
            if !records.is_empty() {
                return Ok(records);
            }
            let appended = futures::future::select_all(wakes.iter_mut().map(|w| Box::pin(w.changed())));
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
                () = &mut regrouped => {}
                (changed, ..) = appended => changed.map_err(|_| LogError::Closed)?,
            }
        }
    }

    async fn commit(&self, processed: &[Position]) -> Result<()> {
        let offsets = offsets(&self.shared, &self.group, processed)?;
        if offsets.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.shared.append_in_turn(Append { records: Vec::new(), offsets, holder: None, bytes: 0, reply }).await?;
        answer.await.map_err(|_| LogError::Closed)?.map(|_| ())
    }

    async fn seek(&self, partition: &TopicPartition, offset: u64) -> Result<()> {
        let mut positions = self.positions.lock();
        let Some(position) = positions.get_mut(partition) else {
            return Err(LogError::NotAssigned { topic: partition.topic.clone(), partition: partition.partition });
        };
        *position = offset;
        drop(positions);
        self.group.wake().notify_waiters();
        Ok(())
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.positions.lock().keys().cloned().collect()
    }

    fn group(&self) -> Result<GroupHandle> {
        if !self.group.is_member() {
            return Err(LogError::Closed);
        }
        Ok(GroupHandle(GroupHandleInner::Embedded(self.group.clone())))
    }

    async fn close(&self) -> Result<()> {
        self.leave();
        Ok(())
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        if self.group.is_member() {
            self.leave();
        }
    }
}

/// The furthest of the processed positions of each partition, as the group's next offsets.
pub(super) fn offsets(shared: &Shared, group: &Arc<EmbeddedGroup>, processed: &[Position]) -> Result<Vec<OffsetCommit>> {
    let mut next: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for position in processed {
        let after = position.offset.saturating_add(1);
        let furthest = next.entry((position.topic.as_str(), position.partition)).or_insert(after);
        *furthest = after.max(*furthest);
    }
    next.into_iter()
        .map(|((topic, partition), next)| Ok(OffsetCommit { group: group.clone(), topic: shared.topic(topic)?, partition, next }))
        .collect()
}

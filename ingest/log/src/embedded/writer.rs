//! The one writer: takes what waits in the queue, gives it offsets, writes it with one sync, and only
//! then shows it to readers and answers. Appends that arrive while a sync runs share the next one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rocksdb::{Direction, IteratorMode, WriteBatch, WriteOptions};
use tokio::sync::{mpsc, oneshot};

use super::group::EmbeddedGroup;
use super::store::{now_ms, store_error, Shared, Tail, Topic};
use super::{codec, keys};
use crate::error::{LogError, Result};
use crate::record::Position;
use crate::telemetry;

/// At most so many bytes go into one synced write (a larger job goes alone).
const ROUND_BYTES_MAX: usize = 8 << 20;
/// At most so many jobs go into one synced write.
const ROUND_JOBS_MAX: usize = 1024;
/// At most so many tombstones are removed in one job.
const TOMBSTONES_MAX: usize = 1000;

/// What the writer is asked.
pub(super) enum Job {
    /// Records and group offsets, all or none.
    Append(Append),
    /// A new holder of a transactional id.
    Fence { id: String, reply: oneshot::Sender<Result<u64>> },
    /// The oldest offset that can be read becomes `to`; answers how many offsets went.
    Trim { topic: Arc<Topic>, partition: u32, to: u64, reply: oneshot::Sender<Result<u64>> },
    /// A new segment begins at the end, so that the last one can be trimmed.
    Roll { topic: Arc<Topic>, partition: u32, reply: oneshot::Sender<Result<u64>> },
    /// Tombstones appended before `before_ms` go; answers how many.
    DropTombstones { topic: Arc<Topic>, before_ms: i64, reply: oneshot::Sender<Result<u64>> },
    /// Write something, to find out whether it works.
    Probe { reply: oneshot::Sender<Result<u64>> },
}

/// Records and group offsets to be written together.
pub(super) struct Append {
    pub records: Vec<Prepared>,
    pub offsets: Vec<OffsetCommit>,
    /// The transactional id and the epoch it was taken in.
    pub holder: Option<(String, u64)>,
    /// Bytes counted against the queue's bound.
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Vec<Position>>>,
}

/// A record with its partition chosen, encoded.
pub(super) struct Prepared {
    pub topic: Arc<Topic>,
    pub partition: u32,
    /// On a compacted topic the key, and whether it is deleted.
    pub compact: Option<(Bytes, bool)>,
    pub encoded: Vec<u8>,
}

/// A group's progress on one partition.
pub(super) struct OffsetCommit {
    pub group: Arc<EmbeddedGroup>,
    pub topic: Arc<Topic>,
    pub partition: u32,
    /// The offset the group reads next.
    pub next: u64,
}

enum Answer {
    Positions(oneshot::Sender<Result<Vec<Position>>>, Vec<Position>),
    Number(oneshot::Sender<Result<u64>>, u64),
}

impl Answer {
    fn send(self, outcome: Result<()>) {
        // The asker may have gone away; the write stands all the same.
        match self {
            Self::Positions(reply, positions) => drop(reply.send(outcome.map(|()| positions))),
            Self::Number(reply, n) => drop(reply.send(outcome.map(|()| n))),
        }
    }
}

/// Runs until the queue is closed and empty.
pub(super) fn run(shared: &Shared, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.bytes();
        jobs.push(first);
        while jobs.len() < ROUND_JOBS_MAX && bytes < ROUND_BYTES_MAX {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes();
            jobs.push(next);
        }
        shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        metrics::gauge!(telemetry::QUEUE_BYTES, "backend" => "embedded").set(shared.queued_bytes.load(Ordering::Relaxed) as f64);
        metrics::gauge!(telemetry::QUEUE_RECORDS, "backend" => "embedded").set(queue.len() as f64);
        Round::new(shared).run(jobs.drain(..));
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(append) => append.bytes,
            Self::Fence { .. } | Self::Trim { .. } | Self::Roll { .. } | Self::DropTombstones { .. } | Self::Probe { .. } => 0,
        }
    }
}

/// One synced write in the making. Nothing of it is in memory's view before it is written.
struct Round<'a> {
    shared: &'a Shared,
    batch: WriteBatch,
    now_ms: i64,
    tails: BTreeMap<(u16, u32), (Arc<Topic>, Tail)>,
    starts: Vec<(Arc<Topic>, u32, u64)>,
    epochs: BTreeMap<String, u64>,
    /// Offsets of latest records written in this round, by their key in the store.
    latest: BTreeMap<Vec<u8>, u64>,
    records: usize,
    answers: Vec<Answer>,
}

impl<'a> Round<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            batch: WriteBatch::default(),
            now_ms: now_ms(),
            tails: BTreeMap::new(),
            starts: Vec::new(),
            epochs: BTreeMap::new(),
            latest: BTreeMap::new(),
            records: 0,
            answers: Vec::new(),
        }
    }

    fn run(mut self, jobs: impl Iterator<Item = Job>) {
        let mut outcome = Ok(());
        for job in jobs {
            // Once the store fails, every job of the round fails with it: nothing is written.
            if let Err(e) = self.take(job) {
                outcome = Err(e);
            }
        }
        let outcome = outcome.and_then(|()| self.write());
        *self.shared.write_error.lock() = outcome.as_ref().err().map(ToString::to_string);
        match &outcome {
            Ok(()) => self.show(),
            Err(error) => {
                tracing::error!(%error, jobs = self.answers.len(), "the log could not write");
            }
        }
        for answer in self.answers {
            answer.send(outcome.clone());
        }
    }

    /// Adds a job to the batch, or refuses it alone.
    ///
    /// # Errors
    /// When the store fails; the whole round must then be given up.
    fn take(&mut self, job: Job) -> Result<()> {
        match job {
            Job::Append(append) => self.append(append),
            Job::Fence { id, reply } => {
                let epoch = self.epoch(&id) + 1;
                self.epochs.insert(id, epoch);
                self.answers.push(Answer::Number(reply, epoch));
                Ok(())
            }
            Job::Trim { topic, partition, to, reply } => {
                let gone = self.trim(&topic, partition, to);
                self.answers.push(Answer::Number(reply, gone));
                Ok(())
            }
            Job::Roll { topic, partition, reply } => {
                if let Some(mut tail) = self.tail(&topic, partition) {
                    self.roll(&topic, partition, &mut tail);
                    self.set_tail(&topic, partition, tail);
                }
                self.answers.push(Answer::Number(reply, 0));
                Ok(())
            }
            Job::DropTombstones { topic, before_ms, reply } => {
                let outcome = self.drop_tombstones(&topic, before_ms);
                let gone = outcome.as_ref().copied().unwrap_or(0);
                self.answers.push(Answer::Number(reply, gone));
                outcome.map(|_| ())
            }
            Job::Probe { reply } => {
                self.batch.put(keys::PROBE_KEY, self.now_ms.to_be_bytes());
                self.answers.push(Answer::Number(reply, 0));
                Ok(())
            }
        }
    }

    fn epoch(&self, id: &str) -> u64 {
        self.epochs.get(id).copied().unwrap_or_else(|| {
            let known = self.shared.epochs.lock();
            known.get(id).copied().unwrap_or(0)
        })
    }

    fn append(&mut self, append: Append) -> Result<()> {
        if let Some((id, epoch)) = &append.holder {
            if self.epoch(id) != *epoch {
                let refused = Err(LogError::Fenced(id.clone()));
                Answer::Positions(append.reply, Vec::new()).send(refused);
                return Ok(());
            }
        }
        if let Some(lost) = append.offsets.iter().find(|o| !o.group.owns(&o.topic.name, o.partition)) {
            let refused = Err(LogError::NotAssigned { topic: lost.topic.name.clone(), partition: lost.partition });
            Answer::Positions(append.reply, Vec::new()).send(refused);
            return Ok(());
        }
        let mut positions = Vec::with_capacity(append.records.len());
        let mut outcome = Ok(());
        for record in append.records {
            match self.put(record) {
                Ok(position) => positions.push(position),
                Err(e) => outcome = Err(e),
            }
        }
        for offset in append.offsets {
            let key = keys::committed(offset.topic.id, offset.partition, offset.group.name());
            self.batch.put(key, offset.next.to_be_bytes());
        }
        self.answers.push(Answer::Positions(append.reply, positions));
        outcome
    }

    fn put(&mut self, record: Prepared) -> Result<Position> {
        let Prepared { topic, partition, compact, mut encoded } = record;
        let mut tail = self.tail(&topic, partition).ok_or_else(|| LogError::UnknownPartition { topic: topic.name.clone(), partition })?;
        let offset = tail.end;
        codec::stamp(&mut encoded, self.now_ms);
        if let Some((key, deleted)) = compact {
            self.supersede(&topic, partition, offset, &key, deleted)?;
        } else if tail.segment_is_full(&self.shared.config, self.now_ms) {
            self.roll(&topic, partition, &mut tail);
        }
        let cf = self.shared.family(&topic)?;
        self.batch.put_cf(&cf, keys::record(topic.id, partition, offset), &encoded);
        tail.add(encoded.len() as u64, self.now_ms);
        self.records += 1;
        let position = Position { topic: topic.name.clone(), partition, offset };
        self.set_tail(&topic, partition, tail);
        Ok(position)
    }

    /// On a compacted topic: the key's former record goes, the new one is noted.
    fn supersede(&mut self, topic: &Arc<Topic>, partition: u32, offset: u64, key: &[u8], deleted: bool) -> Result<()> {
        let place = keys::latest(topic.id, partition, key);
        let former = match self.latest.get(&place) {
            Some(offset) => Some(*offset),
            None => {
                let stored = self.shared.db.get(&place).map_err(store_error)?;
                stored.as_deref().and_then(keys::number)
            }
        };
        if let Some(former) = former {
            let cf = self.shared.family(topic)?;
            self.batch.delete_cf(&cf, keys::record(topic.id, partition, former));
            count_deleted(topic, "superseded", 1);
        }
        self.batch.put(&place, offset.to_be_bytes());
        self.latest.insert(place, offset);
        if deleted {
            let row = keys::tombstone(topic.id, self.now_ms, partition, offset);
            self.batch.put(row, key);
        }
        Ok(())
    }

    fn roll(&mut self, topic: &Arc<Topic>, partition: u32, tail: &mut Tail) {
        let key = keys::segment(topic.id, partition, tail.end);
        let value = keys::segment_value(tail.last_append_ms, tail.bytes);
        self.batch.put(key, value);
        tail.begin_segment();
    }

    fn trim(&mut self, topic: &Arc<Topic>, partition: u32, to: u64) -> u64 {
        let (Some(part), Some(tail)) = (topic.part(partition), self.tail(topic, partition)) else {
            return 0;
        };
        let from = part.start.load(Ordering::Acquire);
        // INVARIANT: start ≤ end, so that the end never moves back.
        let to = to.min(tail.end);
        if to <= from {
            return 0;
        }
        if let Ok(cf) = self.shared.family(topic) {
            self.batch.delete_range_cf(&cf, keys::record(topic.id, partition, from), keys::record(topic.id, partition, to));
        }
        self.batch.delete_range(keys::segment(topic.id, partition, 0), keys::segment(topic.id, partition, to));
        self.batch.put(keys::start(topic.id, partition), to.to_be_bytes());
        self.starts.push((topic.clone(), partition, to));
        to - from
    }

    fn drop_tombstones(&mut self, topic: &Arc<Topic>, before_ms: i64) -> Result<u64> {
        let first = keys::tombstone(topic.id, 0, 0, 0);
        let stop = keys::tombstone(topic.id, before_ms, 0, 0);
        let cf = self.shared.family(topic)?;
        let mut gone = 0;
        let rows = self.shared.db.iterator(IteratorMode::From(&first, Direction::Forward)).take(TOMBSTONES_MAX);
        for row in rows {
            let (row, key) = row.map_err(store_error)?;
            if *row >= *stop {
                break;
            }
            let Some((partition, offset)) = keys::tombstone_place(&row) else {
                return Err(LogError::Corrupt("a tombstone's row".into()));
            };
            self.batch.delete(&row);
            let place = keys::latest(topic.id, partition, &key);
            let latest = match self.latest.get(&place) {
                Some(offset) => Some(*offset),
                None => {
                    let stored = self.shared.db.get(&place).map_err(store_error)?;
                    stored.as_deref().and_then(keys::number)
                }
            };
            if latest != Some(offset) {
                continue;
            }
            self.batch.delete_cf(&cf, keys::record(topic.id, partition, offset));
            self.batch.delete(&place);
            if let Some(tail) = self.tail(topic, partition) {
                // The tombstone may be the last record, from which the end is found on opening.
                self.batch.put(keys::end_floor(topic.id, partition), tail.end.to_be_bytes());
            }
            gone += 1;
        }
        count_deleted(topic, "tombstone", gone);
        Ok(gone)
    }

    fn tail(&self, topic: &Arc<Topic>, partition: u32) -> Option<Tail> {
        match self.tails.get(&(topic.id, partition)) {
            Some((_, tail)) => Some(*tail),
            None => topic.part(partition).map(|p| *p.tail.lock()),
        }
    }

    fn set_tail(&mut self, topic: &Arc<Topic>, partition: u32, tail: Tail) {
        self.tails.insert((topic.id, partition), (topic.clone(), tail));
    }

    fn write(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let began = Instant::now();
        self.shared.db.write_opt(batch, &options).map_err(store_error)?;
        metrics::histogram!(telemetry::SYNC_SECONDS).record(began.elapsed().as_secs_f64());
        metrics::histogram!(telemetry::SYNC_RECORDS).record(self.records as f64);
        Ok(())
    }

    /// Shows what is now durable to readers, and wakes them.
    fn show(&mut self) {
        self.shared.epochs.lock().append(&mut self.epochs);
        for (topic, partition, to) in self.starts.drain(..) {
            if let Some(part) = topic.part(partition) {
                part.start.store(to, Ordering::Release);
            }
        }
        for ((_, partition), (topic, tail)) in std::mem::take(&mut self.tails) {
            if let Some(part) = topic.part(partition) {
                *part.tail.lock() = tail;
                part.end.store(tail.end, Ordering::Release);
                topic.wake.send_modify(|n| *n = n.wrapping_add(1));
            }
        }
    }
}

fn count_deleted(topic: &Topic, cause: &'static str, records: u64) {
    if records > 0 {
        metrics::counter!(telemetry::RETENTION_DELETED_RECORDS,
            "topic" => topic.name.clone(), "cause" => cause)
        .increment(records);
    }
}

//! Retention: deletes the oldest segments by age and size, and tombstones in time.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rocksdb::ReadOptions;
use tokio::sync::oneshot;

use super::keys;
use super::store::{now_ms, store_error, Shared, Topic};
use super::writer::Job;
use crate::error::{LogError, Result};
use crate::telemetry;

/// Space of so many deleted bytes is worth giving back to the disk at once.
const RECLAIM_BYTES: u64 = 32 << 20;

/// Ends the janitor.
#[derive(Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits; whether it is time to end.
    fn wait(&self, interval: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, interval);
        }
        *stopped
    }
}

/// Cleans up at every interval until stopped.
pub(super) fn run(shared: &Shared, stop: &Stop) {
    while !stop.wait(shared.config.retention_interval) {
        let topics: Vec<_> = shared.topics.read().values().cloned().collect();
        for topic in topics {
            match clean(shared, &topic) {
                Ok(()) | Err(LogError::Closed) => {}
                Err(error) => {
                    tracing::warn!(topic = topic.name, %error, "retention could not be applied");
                }
            }
        }
    }
}

fn clean(shared: &Shared, topic: &Arc<Topic>) -> Result<()> {
    let (compacted, retention_ms, retention_bytes) = {
        let spec = topic.spec.read();
        (spec.compacted, spec.retention_ms, spec.retention_bytes)
    };
    if compacted {
        let before_ms = now_ms().saturating_sub_unsigned(shared.config.tombstone_ms);
        return ask(shared, |reply| Job::DropTombstones { topic: topic.clone(), before_ms, reply }).map(|_| ());
    }
    if retention_ms.is_none() && retention_bytes.is_none() {
        return Ok(());
    }
    let cutoff_ms = retention_ms.map(|ms| now_ms().saturating_sub_unsigned(ms));
    for partition in 0..topic.partitions() {
        clean_partition(shared, topic, partition, cutoff_ms, retention_bytes)?;
    }
    Ok(())
}

fn clean_partition(shared: &Shared, topic: &Arc<Topic>, partition: u32, cutoff_ms: Option<i64>, bytes_max: Option<u64>) -> Result<()> {
    let Some(part) = topic.part(partition) else {
        return Ok(());
    };
    let tail = *part.tail.lock();
    let expired = |last_append_ms: i64| cutoff_ms.is_some_and(|cutoff| last_append_ms < cutoff);
    if tail.segment_has_records() && expired(tail.last_append_ms) {
        ask(shared, |reply| Job::Roll { topic: topic.clone(), partition, reply })?;
    }

    let start = part.start.load(Ordering::Acquire);
    let first = keys::segment(topic.id, partition, start);
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(keys::segment(topic.id, partition, u64::MAX));
    let mut rows = shared.db.raw_iterator_opt(options);
    rows.seek(&first);
    let (mut to, mut bytes_before, mut causes) = (start, 0, (0, 0));
    let mut bytes_gone_from = None;
    while let Some((key, value)) = rows.item() {
        let (Some(offset), Some((last_ms, bytes))) = (keys::offset_of(key), keys::parse_segment_value(value)) else {
            return Err(LogError::Corrupt("a segment's row".into()));
        };
        if offset > start {
            // The segment before this one: from `to`, with `bytes_before` before it.
            let too_old = expired(last_ms);
            let too_big = bytes_max.is_some_and(|max| tail.bytes.saturating_sub(bytes_before) > max);
            if !too_old && !too_big {
                break;
            }
            bytes_gone_from.get_or_insert(bytes_before);
            if too_old {
                causes.0 += offset - to;
            } else {
                causes.1 += offset - to;
            }
            to = offset;
        }
        bytes_before = bytes;
        rows.next();
    }
    rows.status().map_err(store_error)?;
    drop(rows);
    if to == start {
        return Ok(());
    }
    let gone = ask(shared, |reply| Job::Trim { topic: topic.clone(), partition, to, reply })?;
    for (cause, records) in [("age", causes.0), ("size", causes.1)] {
        metrics::counter!(telemetry::RETENTION_DELETED_RECORDS,
            "topic" => topic.name.clone(), "cause" => cause)
        .increment(records);
    }
    tracing::debug!(topic = topic.name, partition, gone, "retention");
    let bytes_gone = bytes_before.saturating_sub(bytes_gone_from.unwrap_or(bytes_before));
    reclaim(shared, topic, partition, to, bytes_gone)
}

/// Gives the space of what was deleted back to the disk, where that is worth it.
pub(super) fn reclaim(shared: &Shared, topic: &Arc<Topic>, partition: u32, to: u64, bytes_gone: u64) -> Result<()> {
    let Some(part) = topic.part(partition) else {
        return Ok(());
    };
    let pending = part.reclaim_bytes.fetch_add(bytes_gone, Ordering::Relaxed) + bytes_gone;
    if pending < RECLAIM_BYTES {
        return Ok(());
    }
    part.reclaim_bytes.store(0, Ordering::Relaxed);
    let cf = shared.family(topic)?;
    let (from, to) = (keys::record(topic.id, partition, 0), keys::record(topic.id, partition, to));
    shared.db.delete_file_in_range_cf(&cf, from, to).map_err(store_error)?;
    shared.db.compact_range_cf(&cf, Some(from), Some(to));
    Ok(())
}

fn ask(shared: &Shared, job: impl FnOnce(oneshot::Sender<Result<u64>>) -> Job) -> Result<u64> {
    let (reply, answer) = oneshot::channel();
    shared.sender()?.blocking_send(job(reply)).map_err(|_| LogError::Closed)?;
    answer.blocking_recv().map_err(|_| LogError::Closed)?
}

//! Vehicles that have gone through, as the lanes' devices report them on `portgate.reads`.
//!
//! Every process with barriers follows all of them, whichever lanes' commands the group gives it: an arm
//! that is up for one vehicle comes down behind that vehicle, also when the lane's commands have gone
//! to another process meanwhile.

use std::sync::Arc;
use std::time::Duration;

use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use portgate_log::{topics, Log, LogError, Record};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::engine::Worker;

/// Records read at once.
const READ_RECORDS: usize = 256;
/// Longest wait for records.
const READ_WAIT: Duration = Duration::from_millis(500);
/// Wait after a failure of the log.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// Records of before a start that are looked at again, per partition.
const LOOK_BACK: u64 = 1024;

/// A vehicle went through behind a lane's barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) lane: String,
    /// When the log got to know it.
    pub(super) at: Instant,
}

impl Passed {
    /// What a record of `portgate.reads` says of a passage, if it does.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let read = record.json::<ReadMessage>().ok()?;
        (read.vehicle_passed == Some(true)).then(|| Self { lane: read.lane, at: Instant::from_millis(record.timestamp_ms) })
    }
}

/// Sends what comes from now on to `out`, until the workers are dropped.
///
/// # Errors
/// When the log cannot say where it ends.
pub(super) async fn follow(log: &Arc<dyn Log>, clock: &Arc<dyn Clock>, out: &mpsc::Sender<Passed>) -> Result<Vec<Worker<()>>, LogError> {
    let ranges = log.ranges(topics::READS).await?;
    let follower = |r: portgate_log::PartitionRange| follow_partition(log.clone(), clock.clone(), r.partition, r.end, out.clone());
    Ok(ranges.into_iter().map(|r| Worker(tokio::spawn(follower(r)))).collect())
}

async fn follow_partition(log: Arc<dyn Log>, clock: Arc<dyn Clock>, partition: u32, mut from: u64, out: mpsc::Sender<Passed>) {
    loop {
        match log.read(topics::READS, partition, from, READ_RECORDS, READ_WAIT).await {
            Ok(batch) => {
                for passed in batch.records.iter().filter_map(Passed::of) {
                    if out.send(passed).await.is_err() {
                        return;
                    }
                }
                from = batch.next_offset;
            }
            // What is gone meanwhile is of no use any more: the arm has come down by its time.
            Err(LogError::OffsetOutOfRange { earliest, end, .. }) => from = if from < earliest { earliest } else { end },
            Err(error) => {
                tracing::debug!(%error, "passages cannot be followed; barriers come down by their time");
                clock.sleep(RETRY_WAIT).await;
            }
        }
    }
}

/// The last records of a partition before `until`, at most [`LOOK_BACK`] offsets of them.
///
/// # Errors
/// What the log says.
pub(super) async fn last(log: &dyn Log, topic: &str, partition: u32, until: u64) -> Result<Vec<Record>, LogError> {
    let earliest = log.ranges(topic).await?.iter().find(|r| r.partition == partition).map_or(0, |r| r.earliest);
    let mut from = until.saturating_sub(LOOK_BACK).max(earliest);
    let mut records = Vec::new();
    while from < until {
        let batch = log.read(topic, partition, from, READ_RECORDS, Duration::ZERO).await?;
        records.extend(batch.records.into_iter().filter(|r| r.offset < until));
        if batch.next_offset <= from {
            break;
        }
        from = batch.next_offset;
    }
    Ok(records)
}

//! Follows `portgate.registry` from where the store is.

use std::sync::Arc;
use std::time::Duration;

use portgate_core::time::Instant;
use portgate_log::{topics, Log, LogError, ReadBatch, Record};
use portgate_store::Store;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::engine::Worker;
use crate::error::EngineError;

/// The registry has one partition: its order is one.
pub(crate) const PARTITION: u32 = 0;
/// Records read at once.
const BATCH_RECORDS: usize = 1024;
/// The registry is known to be current at least this often.
const WAIT: Duration = Duration::from_millis(500);
/// Wait after a failure.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// What has come since.
#[derive(Debug)]
pub(crate) struct Tailed {
    pub(crate) records: Vec<Record>,
    /// There was nothing more at that time; none: there is.
    pub(crate) current_at: Option<Instant>,
}

pub(crate) struct RegistryTail {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    from: u64,
    out: mpsc::Sender<Result<Tailed, LogError>>,
}

impl RegistryTail {
    /// Starts to follow; ends when the receiver is dropped.
    pub(crate) async fn start(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        store: &Store,
        batches_max: usize,
    ) -> Result<(Worker<()>, mpsc::Receiver<Result<Tailed, LogError>>), EngineError> {
        let partitions = log.partitions(topics::REGISTRY).await?;
        if partitions != 1 {
            let what = format!("it has {partitions} partitions and must have one, because its order is one");
            return Err(LogError::TopicMismatch { topic: topics::REGISTRY.into(), what }.into());
        }
        let from = store.offset(topics::REGISTRY, PARTITION)?.unwrap_or(0);
        let (out, tailed) = mpsc::channel(batches_max);
        let tail = Self { log, clock, from, out };
        Ok((Worker(tokio::spawn(tail.run())), tailed))
    }

    async fn run(mut self) {
        let mut wait = Duration::ZERO;
        loop {
            let asked_at = self.clock.now();
            let found = self.log.read(topics::REGISTRY, PARTITION, self.from, BATCH_RECORDS, wait).await;
            let sent = match found {
                Ok(ReadBatch { records, next_offset }) => {
                    self.from = next_offset;
                    // Fewer than asked for: at the time of asking there were no more. Large records
                    // can cut a batch short; then the next one follows at once.
                    let more = !records.is_empty();
                    wait = if more { Duration::ZERO } else { WAIT };
                    let current_at = (!more).then_some(asked_at);
                    self.out.send(Ok(Tailed { records, current_at })).await
                }
                // A compacted topic may have lost its beginning.
                Err(LogError::OffsetOutOfRange { earliest, .. }) if self.from < earliest => {
                    self.from = earliest;
                    Ok(())
                }
                Err(e) if e.is_retriable() => {
                    tracing::warn!(error = %e, "the registry cannot be followed; decisions state its age");
                    self.clock.sleep(RETRY_WAIT).await;
                    Ok(())
                }
                Err(e) => {
                    // The engine stops on it.
                    let _ = self.out.send(Err(e)).await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

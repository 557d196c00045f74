//! From the journal to the tables: one reader per partition, one flusher.
//!
//! A log that is away, a full disk or a damaged file never ends this: what can be tried again is
//! tried again, more and more slowly, and what was written stays readable.

use std::sync::Arc;
use std::time::Duration;

use portgate_core::journal::JournalEntry;
use portgate_core::time::Instant;
use portgate_log::{topics, Log, LogError, Record};
use tokio::sync::{watch, Notify};
use tokio::task::JoinSet;

use crate::config::AnalyticsConfig;
use crate::error::{AnalyticsError, Result};
use crate::store::{Store, Taken};
use crate::telemetry;
use crate::upkeep;

/// Records read at once.
const BATCH: usize = 2_000;
/// How long a read waits for the next record.
const WAIT: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Rounds of upkeep are this far apart at least.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// Reads the journal and writes the files until `shutdown` turns true or its sender is gone; then
/// writes once more and ends.
pub async fn run(store: Arc<Store>, log: Arc<dyn Log>, config: AnalyticsConfig, shutdown: watch::Receiver<bool>) {
    let full = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(flusher(Arc::clone(&store), config.clone(), Arc::clone(&full), shutdown.clone()));
    if let Some(partitions) = partitions(&log, shutdown.clone()).await {
        for partition in 0..partitions {
            let reader = Reader {
                store: Arc::clone(&store),
                log: Arc::clone(&log),
                config: config.clone(),
                full: Arc::clone(&full),
                shutdown: shutdown.clone(),
                partition,
            };
            tasks.spawn(reader.run());
        }
    }
    while tasks.join_next().await.is_some() {}
    if let Err(e) = blocking(&store, |store| store.flush()).await {
        tracing::error!(error = %e, "the last rows were not written; they are taken from the journal again at the next start");
    }
}

/// How many partitions the journal has, as soon as the log can say; none: shut down before.
async fn partitions(log: &Arc<dyn Log>, mut shutdown: watch::Receiver<bool>) -> Option<u32> {
    let mut pause = PAUSE_MIN;
    loop {
        match log.partitions(topics::JOURNAL).await {
            Ok(n) => return Some(n),
            Err(e) => {
                telemetry::log_error(e.code());
                tracing::warn!(error = %e, "analytics waits for the journal");
            }
        }
        if rest(&mut shutdown, &mut pause).await {
            return None;
        }
    }
}

struct Reader {
    store: Arc<Store>,
    log: Arc<dyn Log>,
    config: AnalyticsConfig,
    full: Arc<Notify>,
    shutdown: watch::Receiver<bool>,
    partition: u32,
}

impl Reader {
    async fn run(mut self) {
        // The last record taken is read again: its chain value tells whether this is the journal
        // the files were made from.
        let mut next = self.store.position().offsets.get(&self.partition).copied();
        let mut checked_gap = false;
        let mut pause = PAUSE_MIN;
        while !*self.shutdown.borrow() {
            if self.store.live_rows() >= self.config.live_rows_max {
                self.full.notify_one();
                if rest(&mut self.shutdown, &mut PAUSE_MIN.clone()).await {
                    return;
                }
                continue;
            }
            match self.step(next, &mut checked_gap).await {
                Ok(offset) => {
                    next = Some(offset);
                    pause = PAUSE_MIN;
                    if self.store.live_rows() >= self.config.flush_rows {
                        self.full.notify_one();
                    }
                }
                Err(AnalyticsError::Log(LogError::Closed)) => return,
                Err(e) => {
                    telemetry::log_error(e.code());
                    tracing::error!(partition = self.partition, error = %e, "analytics does not take from the journal now");
                    if rest(&mut self.shutdown, &mut pause).await {
                        return;
                    }
                }
            }
        }
    }

    /// Reads and takes once. Answers where to go on.
    async fn step(&mut self, next: Option<u64>, checked_gap: &mut bool) -> Result<u64> {
        let from = match next {
            Some(offset) => offset,
            None => self.earliest().await?,
        };
        let read = self.log.read(topics::JOURNAL, self.partition, from, BATCH, WAIT);
        let batch = tokio::select! {
            batch = read => batch,
            _ = stopped(&mut self.shutdown) => return Ok(from),
        };
        let batch = match batch {
            Ok(batch) => batch,
            // The journal was cut or begun anew: places and chain values tell what is known of it.
            Err(LogError::OffsetOutOfRange { .. }) => {
                let earliest = self.earliest().await?;
                tracing::warn!(
                    partition = self.partition,
                    asked = from,
                    earliest,
                    "the journal does not hold the place asked for; reading from its beginning"
                );
                return Ok(earliest);
            }
            Err(e) => return Err(e.into()),
        };
        let records = batch.records;
        if !*checked_gap && !records.is_empty() {
            *checked_gap = true;
            let earliest = self.earliest().await?;
            if from > earliest && self.skips(&records) {
                tracing::warn!(
                    partition = self.partition,
                    "entries are missing before the place kept; reading the journal from its beginning"
                );
                return Ok(earliest);
            }
        }
        let entries: Vec<Taken> = records.iter().map(taken).collect();
        if !entries.is_empty() {
            let (store, partition) = (Arc::clone(&self.store), self.partition);
            // Building rows of a large batch takes milliseconds: not on the threads of the lanes.
            if entries.len() > 64 {
                blocking(&store, move |store| store.take(partition, entries)).await?;
            } else {
                store.take(partition, entries)?;
            }
        }
        Ok(batch.next_offset)
    }

    async fn earliest(&self) -> Result<u64> {
        let ranges = self.log.ranges(topics::JOURNAL).await?;
        Ok(ranges.iter().find(|r| r.partition == self.partition).map_or(0, |r| r.earliest))
    }

    /// Whether the first entry of a site leaves out entries never taken.
    fn skips(&self, records: &[Record]) -> bool {
        let position = self.store.position();
        records
            .first()
            .and_then(|r| r.json::<JournalEntry>().ok())
            .is_some_and(|entry| entry.seq > position.sites.get(&entry.site).map_or(1, |s| s.seq + 1))
    }
}

fn taken(record: &Record) -> Taken {
    Taken { offset: record.offset, entry: record.json() }
}

async fn flusher(store: Arc<Store>, config: AnalyticsConfig, full: Arc<Notify>, mut shutdown: watch::Receiver<bool>) {
    let mut pause = PAUSE_MIN;
    let mut upkeep_at = tokio::time::Instant::now() + UPKEEP_EVERY.min(config.flush_every);
    loop {
        tokio::select! {
            () = tokio::time::sleep(config.flush_every) => {}
            () = full.notified() => {}
            _ = stopped(&mut shutdown) => return,
        }
        while store.has_unwritten() {
            match blocking(&store, |store| store.flush()).await {
                Ok(()) => {
                    pause = PAUSE_MIN;
                    break;
                }
                Err(e) => {
                    telemetry::count(telemetry::FLUSH_ERRORS, 1);
                    tracing::error!(error = %e, "rows could not be written; they stay in memory and it is tried again");
                    if rest(&mut shutdown, &mut pause).await {
                        return;
                    }
                }
            }
        }
        if tokio::time::Instant::now() >= upkeep_at {
            upkeep_at = tokio::time::Instant::now() + UPKEEP_EVERY;
            let config = config.clone();
            let now = Instant::from_micros(chrono::Utc::now().timestamp_micros());
            if let Err(e) = blocking(&store, move |store| upkeep::round(store, &config, now)).await {
                tracing::error!(error = %e, "files could not be merged; it is tried again");
            }
        }
    }
}

async fn blocking<T: Send + 'static>(store: &Arc<Store>, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || work(&store))
        .await
        .unwrap_or_else(|e| Err(AnalyticsError::Query(format!("analytics' own work broke off: {e}"))))
}

/// Ends when the gate is shut down.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await; // a sender that is gone means the same
}

/// Waits before the next try, twice as long each time. True: shut down meanwhile.
async fn rest(shutdown: &mut watch::Receiver<bool>, pause: &mut Duration) -> bool {
    let wait = *pause;
    *pause = (wait * 2).min(PAUSE_MAX);
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        () = stopped(shutdown) => true,
    }
}

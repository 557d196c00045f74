//! Reads that devices post while the log is away: kept on this node's disk, and forwarded in order
//! once the log is back.
//!
//! * A read is answered 202 once it is in the log or, where that does not take it within
//!   [`DIRECT_WAIT`], synced to this node's disk. When the spool is full it is answered 503.
//! * While anything waits here, later reads wait behind it: the order in which they were taken is the
//!   order in which the log gets them, each with the time at which the gate got it.
//! * What a failed attempt has left in the log already comes twice and is dropped by its `event_id`.
//! * Frames and people's words are not kept: they are of use for seconds, and are answered 503.
//!
//! The spool is one topic of an embedded log, trimmed to what is forwarded; so nothing is lost by a
//! crash, and a restarted node goes on where it stood.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use portgate_core::read::ReadMessage;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log, LogError, NewRecord, PartitionRange, Record, TopicSpec};
use tokio::sync::Notify;

use crate::clock;
use crate::problem::Problem;
use crate::telemetry;

/// Reads of devices kept at most, somewhat more than a million: a busy entrance reports some 10,000 a day.
pub const RECORDS_MAX: u64 = 1_100_000;
/// Of that a tenth more for what the gate itself reports: what became of an arm is not lost because devices
/// have filled the spool.
const OWN_SHARE: u64 = 10;
/// How long the log may take before a read is kept here.
const DIRECT_WAIT: Duration = Duration::from_secs(2);
/// Reads forwarded at once.
const FORWARD_RECORDS: usize = 2_000;
/// Wait after a failed attempt, first and longest.
const RETRY_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
const TOPIC: &str = "spool.reads";

/// What goes on deciding at the lanes while the log is away.
pub trait Desk: Send + Sync + 'static {
    /// Whether it might open something on a read that is kept now; the read is then marked `cut_off`.
    /// `first`: nothing waits before it.
    fn at_work(&self, first: bool) -> bool;
    /// A read that is kept, in their order.
    fn kept(&self, read: ReadMessage, first: bool);
    /// The log takes reads again: its owner and people's words are heard from here on.
    fn over(&self);
}

/// The spool of one node.
pub struct Spool {
    log: EmbeddedLog,
    records_max: u64,
    /// Being written; counted against the bound.
    in_flight: AtomicU64,
    kept: AtomicU64,
    forwarded: AtomicU64,
    came: Notify,
    desk: OnceLock<Arc<dyn Desk>>,
    /// One read at a time is kept and handed on.
    handing: tokio::sync::Mutex<()>,
}

/// How the spool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolStanding {
    /// Reads waiting for the log.
    pub waiting: u64,
    /// Kept since the start of this process.
    pub kept: u64,
    /// Forwarded since the start of this process.
    pub forwarded: u64,
    /// The bound.
    pub records_max: u64,
}

/// A place in the spool, given back when the write has ended, however that is.
struct Place<'a>(&'a AtomicU64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Spool {
    /// Opens the spool in `path`, with what an earlier run has left in it. Holds at most `records_max`.
    ///
    /// # Errors
    /// What the disk says; [`LogError::Locked`] when another process has it.
    pub async fn open(path: impl Into<PathBuf>, records_max: u64) -> Result<Arc<Self>, LogError> {
        let config = EmbeddedConfig::new(path);
        let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(config)).await.map_err(|_| LogError::Closed)??;
        log.create_topics(&[TopicSpec::new(TOPIC, 1)]).await?;
        let spool = Self {
            log,
            records_max,
            in_flight: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
            came: Notify::new(),
            desk: OnceLock::new(),
            handing: tokio::sync::Mutex::new(()),
        };
        let waiting = spool.standing().await?.waiting;
        if waiting > 0 {
            tracing::warn!(waiting, "reads of an earlier run wait in the spool; they are forwarded first");
        }
        Ok(Arc::new(spool))
    }

    async fn range(&self) -> Result<PartitionRange, LogError> {
        self.log.ranges(TOPIC).await?.pop().ok_or_else(|| LogError::UnknownTopic(TOPIC.into()))
    }

    /// How it is doing.
    ///
    /// # Errors
    /// When the spool cannot say what waits in it: then no read may go past it.
    pub async fn standing(&self) -> Result<SpoolStanding, LogError> {
        let range = self.range().await?;
        let waiting = range.end.saturating_sub(range.earliest);
        metrics::gauge!(telemetry::SPOOL_WAITING).set(waiting as f64);
        Ok(SpoolStanding {
            waiting,
            kept: self.kept.load(Ordering::Relaxed),
            forwarded: self.forwarded.load(Ordering::Relaxed),
            records_max: self.records_max,
        })
    }

    /// Hands what is kept from now on to `desk`, too. The first one stays.
    pub fn hand_to(&self, desk: Arc<dyn Desk>) {
        let _ = self.desk.set(desk);
    }

    /// Brings a read of a device to the log, or keeps it. Ok: it is durable, here or there.
    ///
    /// # Errors
    /// What the call is answered: 503 when the spool is full, cannot be written or does not say
    /// whether anything waits in it.
    pub(crate) async fn take(&self, log: &dyn Log, site: &str, read: ReadMessage) -> Result<(), Problem> {
        let received_ms = clock::now().as_millis();
        if self.goes_through(log, site, &read).await? {
            return Ok(());
        }
        self.keep_and_hand_on(site, read, received_ms, self.records_max).await
    }

    async fn keep_and_hand_on(&self, site: &str, mut read: ReadMessage, received_ms: i64, max: u64) -> Result<(), Problem> {
        let Some(desk) = self.desk.get() else {
            return self.keep(NewRecord::json(TOPIC, site.to_owned(), &read)?.at(received_ms), max).await;
        };
        // One after the other, so that the desk hears of them in the order of the spool: also the one that
        // comes between the first one being on disk and the desk hearing of it.
        let turn = if desk.at_work(true) { Some(self.handing.lock().await) } else { None };
        let first = self.standing().await?.waiting == 0;
        read.cut_off = (turn.is_some() && desk.at_work(first)).then_some(true);
        self.keep(NewRecord::json(TOPIC, site.to_owned(), &read)?.at(received_ms), max).await?;
        desk.kept(read, first);
        drop(turn);
        Ok(())
    }

    /// Brings what the gate itself reports to the log, or keeps it behind what waits.
    ///
    /// # Errors
    /// As [`Spool::take`], in words.
    pub async fn take_own(&self, log: &dyn Log, site: &str, read: &ReadMessage) -> Result<(), String> {
        let taken = async {
            if self.goes_through(log, site, read).await? {
                return Ok(());
            }
            let received_ms = clock::now().as_millis();
            let max = self.records_max.saturating_add(self.records_max / OWN_SHARE);
            match read.on_the_spot {
                // The desk's own.
                Some(_) => self.keep(NewRecord::json(TOPIC, site.to_owned(), read)?.at(received_ms), max).await,
                None => self.keep_and_hand_on(site, read.clone(), received_ms, max).await,
            }
        };
        taken.await.map_err(|problem: Problem| problem.message)
    }

    /// Whether the log has it; not asked while anything waits here.
    async fn goes_through(&self, log: &dyn Log, site: &str, read: &ReadMessage) -> Result<bool, Problem> {
        if self.standing().await?.waiting > 0 {
            return Ok(false);
        }
        let record = NewRecord::json(topics::READS, site.to_owned(), read)?;
        match tokio::time::timeout(DIRECT_WAIT, log.append(record)).await {
            Ok(Ok(_)) => {
                self.log_is_back();
                Ok(true)
            }
            Ok(Err(e)) if !e.is_retriable() => Err(e.into()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a read goes to the spool");
                Ok(false)
            }
            Err(_) => {
                tracing::debug!("the log takes its time; a read goes to the spool");
                Ok(false)
            }
        }
    }

    fn log_is_back(&self) {
        if let Some(desk) = self.desk.get() {
            desk.over();
        }
    }

    /// Keeps it, unless `max` wait already.
    async fn keep(&self, record: NewRecord, max: u64) -> Result<(), Problem> {
        let ahead = self.in_flight.fetch_add(1, Ordering::AcqRel);
        let _place = Place(&self.in_flight);
        if self.standing().await?.waiting.saturating_add(ahead) >= max {
            metrics::counter!(telemetry::SPOOL_READS, "outcome" => "full").increment(1);
            let message = format!("the log is away and {max} reads wait already; repeat the call with the same event_id");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "PG-HTTP-SPOOL-FULL", message).retry_after(10));
        }
        self.log.append(record).await?;
        if self.kept.fetch_add(1, Ordering::Relaxed) == self.forwarded.load(Ordering::Relaxed) {
            tracing::warn!("the log is away; reads are kept on this node's disk until it is back");
        }
        metrics::counter!(telemetry::SPOOL_READS, "outcome" => "kept").increment(1);
        self.came.notify_one();
        Ok(())
    }

    /// Forwards what is kept to `log`, in order, until `stop` ends.
    pub async fn forward(self: Arc<Self>, log: Arc<dyn Log>, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut wait = RETRY_WAIT.0;
        let mut begun: Option<(Instant, u64)> = None;
        loop {
            let attempt = async {
                if self.standing().await?.waiting == 0 {
                    self.came.notified().await;
                }
                self.forward_some(&*log).await
            };
            let outcome = tokio::select! {
                biased;
                () = &mut stop => return,
                outcome = attempt => outcome,
            };
            match outcome {
                Ok(n) => {
                    wait = RETRY_WAIT.0;
                    let (since, count) = begun.get_or_insert((Instant::now(), 0));
                    *count += n;
                    if self.standing().await.is_ok_and(|s| s.waiting == 0) {
                        tracing::info!(reads = *count, took_ms = since.elapsed().as_millis(), "what was kept is in the log");
                        begun = None;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the log does not take what is kept for it");
                    tokio::select! {
                        () = &mut stop => return,
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_WAIT.1),
                    }
                }
            }
        }
    }

    async fn forward_some(&self, log: &dyn Log) -> Result<u64, LogError> {
        let from = self.range().await?.earliest;
        let batch = self.log.read(TOPIC, 0, from, FORWARD_RECORDS, Duration::ZERO).await?;
        let bytes = batch.records.iter().map(|r| r.value.as_ref().map_or(0, |v| v.len() as u64)).sum();
        let count = batch.records.len() as u64;
        let records = batch.records.into_iter().map(read_again).collect();
        log.append_batch(records).await?;
        self.log_is_back();
        self.log.trim(TOPIC, 0, batch.next_offset, bytes).await?;
        self.forwarded.fetch_add(count, Ordering::Relaxed);
        metrics::counter!(telemetry::SPOOL_READS, "outcome" => "forwarded").increment(count);
        Ok(count)
    }
}

/// A kept read as the log is to get it.
fn read_again(record: Record) -> NewRecord {
    let again = NewRecord { key: record.key, value: record.value, headers: record.headers, ..NewRecord::default() };
    NewRecord { topic: topics::READS.into(), ..again }.at(record.timestamp_ms)
}

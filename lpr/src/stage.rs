//! The `recognise` role: `portgate.frames` in, `portgate.reads` out.
//!
//! Frames wait in the log, not in memory: at most [`StageConfig::queue_frames_max`] are held. Each
//! lane's frames are recognised in order, one at a time, on a bounded pool of threads that the
//! lanes share fairly. What a frame means for its lane ([`crate::track`]) is decided in one place.
//!
//! * A read is appended, durably, before the offset of its frame is committed; after a crash the
//!   frames since the first vehicle still followed come again and give the same ids.
//! * When recognition can't keep up, frames of a lane are thinned, those of a lane whose vehicle is
//!   known most; each is counted, and no lane is left without.
//! * A frame that cannot be read goes to `portgate.rejected` with the reason; the stream goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use portgate_log::{topics, Consumer, ConsumerOptions, Log, LogError, NewRecord, Position, Record, StartFrom};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::LprError;
use crate::models::Models;
use crate::pipeline::{PictureReading, Recogniser};
use crate::telemetry;
use crate::track::{FrameSeen, LaneTracker, TrackConfig};

/// Frames of a lane that may wait before they are thinned.
const BACKLOG_FRAMES: usize = 4;
/// When thinned, frames of a lane whose vehicle is known are this far apart, milliseconds.
const SETTLED_APART_MS: i64 = 500;
/// When thinned, other frames are this far apart, milliseconds.
const UNSETTLED_APART_MS: i64 = 120;
/// How often time passes for lanes without frames, and offsets are committed.
const TICK: Duration = Duration::from_millis(100);
/// A vehicle followed for longer does not keep its frames from being committed, milliseconds.
const HOLD_MS: i64 = 20_000;
/// Frames asked for at once.
const POLL_FRAMES: usize = 32;
/// How long to wait for a frame.
const POLL_WAIT: Duration = Duration::from_secs(1);
/// How long to wait after the log failed, at first and at most.
const RETRY_WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Bytes of a rejected value kept with the note.
const EXCERPT_BYTES: usize = 64;

/// Which site a lane belongs to; `None`: there is no such lane.
pub type SiteOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// What reads a frame's zone. [`Recogniser::read_zone`] in the program.
pub type ReadFrame = Arc<dyn Fn(&[u8], &[f64; 4]) -> Result<PictureReading, LprError> + Send + Sync>;

/// How the stage runs.
#[derive(Clone, Debug, PartialEq)]
pub struct StageConfig {
    /// Consumer group on `portgate.frames`.
    pub group: String,
    /// Frames recognised at the same time.
    pub threads: usize,
    /// Frames held in memory, over all lanes.
    pub queue_frames_max: usize,
    /// How a lane's frames become reads.
    pub track: TrackConfig,
    /// Lanes with settings of their own (their zone).
    pub lanes: BTreeMap<String, TrackConfig>,
}

impl Default for StageConfig {
    fn default() -> Self {
        Self {
            group: "portgate-recognise".into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            queue_frames_max: 64,
            track: TrackConfig::default(),
            lanes: BTreeMap::new(),
        }
    }
}

/// Runs the role until `shutdown` becomes true (or its sender is gone); finishes what is begun.
///
/// # Errors
/// [`LprError::Log`] where the log refuses for good. What may pass is waited for.
pub async fn run(
    config: StageConfig,
    log: Arc<dyn Log>,
    models: Arc<Models>,
    site_of: SiteOf,
    shutdown: watch::Receiver<bool>,
) -> Result<(), LprError> {
    let recogniser = Recogniser::new(models);
    run_with(config, log, Arc::new(move |bytes, zone| recogniser.read_zone(bytes, zone)), site_of, shutdown).await
}

/// As [`run`], with any reader of frames.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: StageConfig,
    log: Arc<dyn Log>,
    read: ReadFrame,
    site_of: SiteOf,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), LprError> {
    telemetry::describe();
    let options = ConsumerOptions::new(config.group.clone(), &[topics::FRAMES], StartFrom::Earliest);
    let consumer = log.consumer(options).await?;
    let mut stage =
        Stage { log, site_of, shutdown: shutdown.clone(), lanes: BTreeMap::new(), partitions: BTreeMap::new(), queued: 0, turn: 0, config };
    let mut works: JoinSet<Done> = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut retry = RETRY_WAIT.0;
    loop {
        while works.len() < stage.config.threads.max(1) {
            let Some((lane, frame)) = stage.next() else { break };
            let zone = stage.config.lanes.get(&lane).unwrap_or(&stage.config.track).zone;
            let read = read.clone();
            works.spawn_blocking(move || recognise(&read, &zone, lane, frame));
        }
        telemetry::queue(stage.queued + works.len());
        let room = stage.queued < stage.config.queue_frames_max;
        tokio::select! {
            biased;
            // A sender that is gone means the program ends as well.
            () = async { let _ = shutdown.wait_for(|stop| *stop).await; } => break,
            Some(done) = works.join_next() => {
                if let Ok(done) = done {
                    stage.done(done).await?;
                }
            }
            _ = ticks.tick() => {
                stage.tick().await?;
                stage.commit(consumer.as_ref()).await?;
            }
            polled = consumer.poll(POLL_FRAMES, POLL_WAIT), if room => match polled {
                Ok(records) => {
                    retry = RETRY_WAIT.0;
                    stage.keep_assigned(consumer.as_ref());
                    for record in records {
                        stage.take(record).await?;
                    }
                }
                Err(e) if e.is_retriable() => {
                    tracing::warn!(error = %e, "frames cannot be read from the log; trying again");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_WAIT.1);
                }
                Err(e) => return Err(e.into()),
            },
        }
    }
    while let Some(done) = works.join_next().await {
        if let Ok(done) = done {
            stage.done(done).await?;
        }
    }
    stage.commit(consumer.as_ref()).await?;
    consumer.close().await?;
    Ok(())
}

/// A frame that waits.
struct Waiting {
    record: Record,
    frame_id: String,
    at: Instant,
}

/// A frame that was recognised.
struct Done {
    lane: String,
    frame: Waiting,
    result: Result<PictureReading, LprError>,
    took: Duration,
}

fn recognise(read: &ReadFrame, zone: &[f64; 4], lane: String, frame: Waiting) -> Done {
    let start = std::time::Instant::now();
    let bytes = frame.record.value.clone().unwrap_or_default();
    // A library that panics on some picture costs that picture, not the lane.
    let result = catch_unwind(AssertUnwindSafe(|| read(&bytes, zone)))
        .unwrap_or_else(|_| Err(LprError::Network("the recogniser panicked on this frame".into())));
    Done { lane, frame, result, took: start.elapsed() }
}

/// One lane in the stage.
struct Lane {
    site: String,
    partition: u32,
    tracker: LaneTracker,
    queue: VecDeque<Waiting>,
    in_work: bool,
    /// When it was last given a thread; the lowest is next.
    turn: u64,
    /// Time of its last frame, and when that was handled here.
    clock: Option<(Instant, std::time::Instant)>,
}

impl Lane {
    /// The lane's time: that of its last frame, and what has passed since.
    fn now(&self) -> Option<Instant> {
        let (at, handled) = self.clock?;
        Some(at.plus_millis(i64::try_from(handled.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }
}

/// How far one partition is processed.
#[derive(Default)]
struct Progress {
    /// Offsets taken and not finished.
    open: BTreeSet<u64>,
    /// The highest offset taken.
    taken: Option<u64>,
    committed: Option<u64>,
}

struct Stage {
    config: StageConfig,
    log: Arc<dyn Log>,
    site_of: SiteOf,
    shutdown: watch::Receiver<bool>,
    lanes: BTreeMap<String, Lane>,
    partitions: BTreeMap<u32, Progress>,
    queued: usize,
    turn: u64,
}

impl Stage {
    /// Puts a frame into its lane's queue, or rejects it.
    async fn take(&mut self, record: Record) -> Result<(), LprError> {
        let progress = self.partitions.entry(record.partition).or_default();
        if progress.taken.is_some_and(|t| record.offset <= t) {
            return Ok(());
        }
        progress.taken = Some(record.offset);
        progress.open.insert(record.offset);
        let name = record.header_str(topics::HEADER_LANE).or_else(|| record.key_str()).map(str::to_owned);
        let Some(name) = name else {
            return self.reject(record, "no_lane", "the frame names no lane (key or header `lane`)").await;
        };
        if !self.lanes.contains_key(&name) {
            let Some(site) = (self.site_of)(&name) else {
                let reason = format!("there is no lane {name:?}");
                return self.reject(record, "unknown_lane", &reason).await;
            };
            let track = self.config.lanes.get(&name).unwrap_or(&self.config.track);
            let lane = Lane {
                site,
                partition: record.partition,
                tracker: LaneTracker::new(name.clone(), *track),
                queue: VecDeque::new(),
                in_work: false,
                turn: 0,
                clock: None,
            };
            self.lanes.insert(name.clone(), lane);
        }
        let frame_id = match record.header_str(topics::HEADER_FRAME_ID) {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => record.position().to_string(),
        };
        let at = record
            .header_str(topics::HEADER_CAPTURED_AT)
            .and_then(|t| t.parse().ok())
            .unwrap_or_else(|| Instant::from_millis(record.timestamp_ms));
        if let Some(lane) = self.lanes.get_mut(&name) {
            lane.queue.push_back(Waiting { record, frame_id, at });
            self.queued += 1;
        }
        Ok(())
    }

    /// The next frame to be recognised: of the lane that has waited longest for its turn.
    fn next(&mut self) -> Option<(String, Waiting)> {
        let (name, lane) = self.lanes.iter_mut().filter(|(_, l)| !l.in_work && !l.queue.is_empty()).min_by_key(|(_, l)| l.turn)?;
        let before = lane.queue.len();
        let skipped = thin(&mut lane.queue, lane.tracker.settled());
        for offset in &skipped {
            telemetry::skipped(name);
            if let Some(p) = self.partitions.get_mut(&lane.partition) {
                p.open.remove(offset);
            }
        }
        if !skipped.is_empty() {
            tracing::debug!(lane = %name, skipped = skipped.len(), of = before, "recognition can't keep up");
        }
        self.queued = self.queued.saturating_sub(skipped.len());
        let frame = lane.queue.pop_front()?;
        self.queued = self.queued.saturating_sub(1);
        self.turn += 1;
        lane.turn = self.turn;
        lane.in_work = true;
        Some((name.clone(), frame))
    }

    /// Takes in a recognised frame and reports what it means.
    async fn done(&mut self, done: Done) -> Result<(), LprError> {
        let Done { lane: name, frame, result, took } = done;
        let Some(lane) = self.lanes.get_mut(&name).filter(|l| l.partition == frame.record.partition) else {
            return Ok(()); // its partition has gone to another member, who reads it again
        };
        lane.in_work = false;
        lane.clock = Some((frame.at, std::time::Instant::now()));
        match result {
            Ok(reading) => {
                telemetry::frame(reading.plates.len(), took);
                let seen = FrameSeen {
                    frame_id: &frame.frame_id,
                    at: frame.at,
                    place: frame.record.offset,
                    size: reading.size,
                    plates: &reading.plates,
                };
                let messages = lane.tracker.frame(&seen);
                let site = lane.site.clone();
                self.put_out(&site, messages).await?;
                self.finish(&frame.record);
                Ok(())
            }
            Err(e) => {
                let code = match &e {
                    LprError::Picture(p) => p.code(),
                    _ => "failed",
                };
                self.reject(frame.record, code, &e.to_string()).await
            }
        }
    }

    fn finish(&mut self, record: &Record) {
        if let Some(p) = self.partitions.get_mut(&record.partition) {
            p.open.remove(&record.offset);
        }
    }

    /// Lets time pass for lanes whose frames are all handled.
    async fn tick(&mut self) -> Result<(), LprError> {
        let mut out: Vec<(String, Vec<ReadMessage>)> = Vec::new();
        for lane in self.lanes.values_mut() {
            if let (true, false, Some(now)) = (lane.queue.is_empty(), lane.in_work, lane.now()) {
                let messages = lane.tracker.tick(now);
                if !messages.is_empty() {
                    out.push((lane.site.clone(), messages));
                }
            }
        }
        for (site, messages) in out {
            self.put_out(&site, messages).await?;
        }
        Ok(())
    }

    async fn put_out(&self, site: &str, messages: Vec<ReadMessage>) -> Result<(), LprError> {
        if messages.is_empty() {
            return Ok(());
        }
        let records = messages.iter().map(|m| NewRecord::json(topics::READS, site.to_owned(), m)).collect::<Result<Vec<_>, _>>()?;
        self.append(records).await?;
        for m in &messages {
            telemetry::read(m.plate_read.as_ref().and_then(|p| p.settled).unwrap_or(true));
        }
        Ok(())
    }

    /// Appends durably, waiting as long as the log may come back and nobody wants to stop.
    async fn append(&self, records: Vec<NewRecord>) -> Result<(), LprError> {
        let mut wait = RETRY_WAIT.0;
        loop {
            match self.log.append_batch(records.clone()).await {
                Ok(_) => return Ok(()),
                Err(e) if e.is_retriable() && !*self.shutdown.borrow() => {
                    tracing::warn!(error = %e, "a read cannot be appended; trying again");
                    let asked = match &e {
                        LogError::Busy { retry_after_ms } => Duration::from_millis(*retry_after_ms),
                        _ => wait,
                    };
                    tokio::time::sleep(asked.min(RETRY_WAIT.1)).await;
                    wait = (wait * 2).min(RETRY_WAIT.1);
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    async fn reject(&mut self, record: Record, code: &'static str, reason: &str) -> Result<(), LprError> {
        telemetry::rejected(code);
        tracing::info!(at = %record.position(), code, "frame rejected");
        let key = record.key.clone().unwrap_or_else(|| Bytes::from_static(topics::FRAMES.as_bytes()));
        let note = NewRecord::json(topics::REJECTED, key, &Rejected::of(&record, reason))?;
        self.append(vec![note]).await?;
        self.finish(&record);
        Ok(())
    }

    /// Forgets lanes whose partitions have gone to another member of the group.
    fn keep_assigned(&mut self, consumer: &dyn Consumer) {
        let ours: BTreeSet<u32> = consumer.assignment().iter().map(|p| p.partition).collect();
        if self.partitions.keys().all(|p| ours.contains(p)) {
            return;
        }
        self.partitions.retain(|p, _| ours.contains(p));
        self.lanes.retain(|_, l| ours.contains(&l.partition));
        self.queued = self.lanes.values().map(|l| l.queue.len()).sum();
    }

    /// Commits what is finished: up to the first frame that is not, or that began a vehicle which
    /// is still followed.
    async fn commit(&mut self, consumer: &dyn Consumer) -> Result<(), LprError> {
        let mut positions = Vec::new();
        for (partition, progress) in &self.partitions {
            let Some(taken) = progress.taken else { continue };
            let held = self
                .lanes
                .values()
                .filter(|l| l.partition == *partition)
                .filter_map(|l| l.tracker.first_place(l.now()?.plus_millis(-HOLD_MS)))
                .min();
            let open = progress.open.first().copied();
            let next = [held, open].into_iter().flatten().min().unwrap_or(taken.saturating_add(1));
            let Some(offset) = next.checked_sub(1) else { continue };
            if progress.committed.is_none_or(|c| offset > c) {
                positions.push(Position { topic: topics::FRAMES.to_owned(), partition: *partition, offset });
            }
        }
        if positions.is_empty() {
            return Ok(());
        }
        match consumer.commit(&positions).await {
            Ok(()) => {
                for p in positions {
                    if let Some(progress) = self.partitions.get_mut(&p.partition) {
                        progress.committed = Some(p.offset);
                    }
                }
                Ok(())
            }
            // Not lost: committed with the next ones, or delivered again.
            Err(e) if e.is_retriable() || matches!(e, LogError::NotAssigned { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Thins a queue that has grown too long; the last frame stays. Answers the offsets left out.
fn thin(queue: &mut VecDeque<Waiting>, settled: bool) -> Vec<u64> {
    if queue.len() <= BACKLOG_FRAMES {
        return Vec::new();
    }
    let apart = if settled { SETTLED_APART_MS } else { UNSETTLED_APART_MS };
    let last = queue.back().map(|w| w.record.offset);
    let mut kept: Option<Instant> = None;
    let mut skipped = Vec::new();
    queue.retain(|w| {
        let far = kept.is_none_or(|k| w.at.millis_since(k).abs() >= apart);
        if far || Some(w.record.offset) == last {
            kept = Some(w.at);
            true
        } else {
            skipped.push(w.record.offset);
            false
        }
    });
    skipped
}

/// A note on `portgate.rejected`, in the form the edge writes them too.
#[derive(Serialize)]
struct Rejected<'a> {
    topic: &'a str,
    partition: u32,
    offset: u64,
    key: Option<&'a str>,
    reason: &'a str,
    received_at: Instant,
    value_bytes: Option<usize>,
    value_hex: Option<String>,
}

impl<'a> Rejected<'a> {
    fn of(record: &'a Record, reason: &'a str) -> Self {
        let value = record.value.as_deref();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            key: record.key_str(),
            reason,
            received_at: Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX)),
            value_bytes: value.map(<[u8]>::len),
            value_hex: value.map(|v| hex::encode(v.get(..EXCERPT_BYTES).unwrap_or(v))),
        }
    }
}

#[cfg(test)]
mod tests;

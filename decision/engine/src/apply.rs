//! One batch: what came in is stepped in order over the last commit and made durable at once.
//! Synchronous; the only place where the engine writes.

use std::collections::BTreeMap;

use portgate_core::journal::JournalEvent;
use portgate_core::reason::SysReason;
use portgate_core::site::{step, Change, Input, LaneState, Phase, Step};
use portgate_core::time::Instant;
use portgate_store::{Committed, Overlay, Store};

use crate::engine::EngineOptions;
use crate::error::EngineError;
use crate::frames::Frames;
use crate::telemetry;

/// Rows forgotten per housekeeping.
const PRUNE_ROWS_MAX: usize = 1000;

/// One input with the time at which the log got it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) input: Input,
    pub(crate) received: Instant,
}

/// What one batch consists of.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) items: Vec<Item>,
    /// Sources processed by this batch: topic, partition, next offset.
    pub(crate) offsets: Vec<(String, u32, u64)>,
    /// Components that have gone away or come back since what is on record.
    pub(crate) changed: Vec<(SysReason, bool)>,
    /// The registry is current as of then.
    pub(crate) registry_current_at: Option<Instant>,
    /// Everything that has come in until now is in this batch: deadlines up to now are due.
    pub(crate) due: bool,
    /// Old rows may be forgotten.
    pub(crate) prune: bool,
}

/// What the shell remembers of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneTimer {
    pub(crate) deadline: Option<Instant>,
    pub(crate) pending: bool,
}

impl LaneTimer {
    pub(crate) fn of(state: &LaneState) -> Self {
        Self { deadline: state.deadline(), pending: state.current.as_ref().is_some_and(|a| a.phase == Phase::Pending) }
    }
}

pub(crate) type Timers = BTreeMap<String, LaneTimer>;

/// A batch that is durable.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) committed: Committed,
    pub(crate) timers: Timers,
}

/// Steps the batch and commits it. On error nothing has happened, and the same work can be tried
/// again.
pub(crate) fn apply(
    store: &Store,
    frames: &dyn Frames,
    options: &EngineOptions,
    timers: &Timers,
    work: &Work,
    wall: Instant,
) -> Result<Applied, EngineError> {
    let mut run = Run { store, frames, options, wall, timers: timers.clone(), batch: store.begin() };
    if !work.changed.is_empty() {
        let now = run.effective(work.items.first().map_or(wall, |item| item.received));
        for (component, away) in &work.changed {
            run.step(Input::Degraded { component: *component, away: *away }, now)?;
        }
    }
    for item in &work.items {
        let now = run.effective(item.received);
        run.fire_due(now)?;
        run.step(item.input.clone(), now)?;
    }
    if work.due {
        run.fire_due(wall)?;
    }
    let mut batch = run.batch;
    for (topic, partition, next) in &work.offsets {
        batch.set_offset(topic, *partition, *next);
    }
    if let Some(at) = work.registry_current_at {
        batch.set_registry_current_at(at);
    }
    if work.prune {
        let seen_before = wall.plus_millis(-options.seen_horizon_ms);
        batch.prune(seen_before, wall.plus_millis(-options.evidence_retention_ms), PRUNE_ROWS_MAX)?;
    }
    let timers = run.timers;
    let committed = if batch.is_empty() {
        // Nothing to make durable; only what is known of the registry's age moves on.
        store.commit(batch, false)?
    } else {
        store.commit(batch, true)?
    };
    metrics::histogram!(telemetry::BATCH_INPUTS).record(work.items.len() as f64);
    Ok(Applied { committed, timers })
}

struct Run<'a> {
    store: &'a Store,
    frames: &'a dyn Frames,
    options: &'a EngineOptions,
    wall: Instant,
    timers: Timers,
    batch: Overlay<'a>,
}

impl Run<'_> {
    /// The time of a step. What has just come in is stepped now; what has waited (the engine was
    /// away) is stepped at the time the log got it, so that it comes to what it would have come to
    /// and a command for a vehicle of that time has expired. Never back behind the journal.
    fn effective(&self, received: Instant) -> Instant {
        let waited_ms = self.wall.millis_since(received);
        let now = if waited_ms <= self.options.live_lag_ms { self.wall } else { received };
        now.max(self.batch.journal_head().at)
    }

    /// Fires the deadlines up to `limit`, earliest first.
    fn fire_due(&mut self, limit: Instant) -> Result<(), EngineError> {
        loop {
            let due = self.timers.iter().filter_map(|(lane, t)| t.deadline.map(|d| (d, lane))).min();
            let Some((deadline, lane)) = due.filter(|(deadline, _)| *deadline <= limit) else { return Ok(()) };
            let lane = lane.clone();
            // Not later than what comes next: that would leave it behind the journal.
            let now = self.effective(deadline).min(limit).max(self.batch.journal_head().at);
            self.step(Input::Tick { lane: lane.clone() }, now)?;
            let after = self.timers.get(&lane).and_then(|t| t.deadline);
            if after.is_some_and(|d| d <= deadline) {
                // The core did not move on (the lane is gone from the registry): it is asked again
                // when something happens at the lane.
                if let Some(timer) = self.timers.get_mut(&lane) {
                    timer.deadline = None;
                }
            }
        }
    }

    fn step(&mut self, input: Input, now: Instant) -> Result<(), EngineError> {
        let kind = match &input {
            Input::Read(read) => {
                if let Some(frame) = read.frame_id.as_ref().filter(|_| read.plate_read.is_some()) {
                    self.frames.pin(frame);
                }
                "read"
            }
            Input::Registry { .. } => "registry",
            Input::Degraded { .. } => "degraded",
            Input::Tick { .. } => "tick",
        };
        metrics::counter!(telemetry::INPUTS, "kind" => kind).increment(1);
        let mut outcome = step(&self.batch, self.store.site(), input, now)?;
        self.attach_evidence(&mut outcome, now)?;
        for change in &outcome.changes {
            if let Change::Lane(state) = change {
                self.timers.insert(state.lane.clone(), LaneTimer::of(state));
            }
        }
        self.batch.apply(outcome, now)?;
        Ok(())
    }

    /// Copies the frame behind each new decision into the evidence store and names it, with its
    /// hash, in the decision: in the same commit, so before anybody hears of the decision.
    fn attach_evidence(&mut self, outcome: &mut Step, now: Instant) -> Result<(), EngineError> {
        let formed = outcome.changes.iter_mut().filter_map(|c| match c {
            Change::Decision(decision) => Some(decision),
            _ => None,
        });
        let journalled = outcome.events.iter_mut().filter_map(|e| match e {
            JournalEvent::Decision { decision } => Some(decision),
            _ => None,
        });
        for decision in formed.chain(journalled) {
            let Some(frame) = decision.inputs.frame_id.clone() else { continue };
            decision.evidence = match (self.batch.evidence(&frame)?, self.frames.frame(&frame)) {
                (Some(kept), _) => Some(kept),
                (None, Some(picture)) => Some(self.batch.keep_evidence(&frame, &picture, now)?),
                (None, None) => {
                    metrics::counter!(telemetry::EVIDENCE_MISSING).increment(1);
                    None
                }
            };
        }
        Ok(())
    }
}

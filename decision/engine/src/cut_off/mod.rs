//! Going on at the lanes while the log is away: what uses nothing up opens on the spot, under a lease.
//!
//! Reads that are kept on this node's disk meanwhile come here in their order ([`Desk::kept`]). The same
//! core decides on them, over what this node's store knows ([`world`]). An opening is made durable behind
//! the reads it rests on, as a read with `on_the_spot`, before the barrier hears of it; with the log back
//! the site's owner takes both in and puts them on record.
//!
//! What opens here, all of it together:
//! * The vehicle came while the log was away, and stands on the loop: it is not one that the owner has
//!   looked at, refused or let through already.
//! * Its passage uses nothing up that serves once ([`UseIntent::uses_up`](portgate_core::effect::UseIntent::uses_up)):
//!   what another lane or a later owner might give away, too, waits for a person.
//! * Nothing else is in doubt: the registry is no older than it may be, the clock has not stepped.
//! * The [`Lease`] of this node's barriers has not ended: nobody else can be told to open them. Commands
//!   end with it.
//!
//! What has missed a read, whose lease ended, or whose log takes reads again opens nothing more until all that
//! was kept has gone out: from then on the owner decides, and people's words count.

mod world;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::JournalEvent;
use portgate_core::plate::normalise;
use portgate_core::read::{BarrierReport, OnTheSpot, ReadMessage};
use portgate_core::reason::SysReason;
use portgate_core::site::{step, Approach, Change, Input, Step};
use portgate_core::time::Instant;
use portgate_store::Store;
use tokio::sync::mpsc;

use self::world::{Episode, Spot};
use crate::barrier::Lease;
use crate::clock::Clock;
use crate::engine::EngineOptions;
use crate::error::EngineError;
use crate::health::{Health, Limits, Seen};
use crate::telemetry;

/// Reads waiting to be looked at; one more, and this outage is a person's.
const KEPT_MAX: usize = 1024;
/// Commands waiting for the barriers.
const ORDERS_MAX: usize = 64;
/// Reads of one outage at most: what is known of them stays in memory.
const READS_MAX: usize = 20_000;
/// How often deadlines and the clock are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keeps reads of the gate's own behind those kept before, until the log has them.
#[async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// Ok: durable, here or in the log.
    ///
    /// # Errors
    /// Why not, in words.
    async fn keep(&self, site: &str, read: &ReadMessage) -> Result<(), String>;
}

/// The side of whoever keeps the reads.
pub struct Desk {
    shared: Arc<Shared>,
    kept: mpsc::Sender<Kept>,
    /// Outages so far.
    outages: AtomicU64,
}

struct Shared {
    lease: Lease,
    clock: Arc<dyn Clock>,
    /// The outage that is known here from its first read on; [`NONE`]: there is none, something of it is
    /// not known, or it is over.
    outage: AtomicU64,
}

const NONE: u64 = 0;

struct Kept {
    read: ReadMessage,
    first: bool,
    outage: u64,
}

impl Shared {
    fn at_work(&self, outage: u64) -> bool {
        outage != NONE && self.outage.load(Ordering::Acquire) == outage && !self.lease.left(&*self.clock).is_zero()
    }
}

impl Desk {
    /// Whether something might be opened on a read that is kept now: it is to be marked `cut_off`, so
    /// that the owner does not open on it, too. `first`: nothing waits before it.
    pub fn at_work(&self, first: bool) -> bool {
        (first || self.shared.outage.load(Ordering::Acquire) != NONE) && !self.shared.lease.left(&*self.shared.clock).is_zero()
    }

    /// The log takes reads again: whoever decides and speaks there is heard, and nothing more opens here.
    pub fn over(&self) {
        self.shared.outage.store(NONE, Ordering::Release);
    }

    /// A read that is durable, in the order in which they are.
    pub fn kept(&self, read: ReadMessage, first: bool) {
        if first {
            let next = self.outages.fetch_add(1, Ordering::AcqRel).saturating_add(1);
            self.shared.outage.store(next, Ordering::Release);
        }
        let outage = self.shared.outage.load(Ordering::Acquire);
        if self.kept.try_send(Kept { read, first, outage }).is_err() {
            self.over();
        }
    }
}

/// The deciding side.
pub struct DeskWork {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Kept>,
    store: Arc<Store>,
    keeper: Arc<dyn Keeper>,
    orders: mpsc::Sender<Command>,
    limits: Limits,
    health: Health,
    degraded: BTreeMap<SysReason, Instant>,
    /// The outage that [`DeskWork::episode`] is of.
    outage: u64,
    episode: Option<Episode>,
    /// Opened by the rules, and not yet seen on the loop: by approach.
    pending: BTreeMap<String, Box<OnTheSpot>>,
}

/// A desk over a node's store: where reads are handed in, what decides on them, and the commands for
/// [`crate::barrier::drive_with`].
pub fn desk(
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    lease: Lease,
    keeper: Arc<dyn Keeper>,
    options: &EngineOptions,
) -> (Desk, DeskWork, mpsc::Receiver<Command>) {
    let shared = Arc::new(Shared { lease, clock, outage: AtomicU64::new(NONE) });
    let (kept, inbox) = mpsc::channel(KEPT_MAX);
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let limits = Limits { registry_stale_ms: options.registry_stale_ms, clock_step_ms: options.clock_step_ms };
    let work = DeskWork {
        shared: shared.clone(),
        inbox,
        store,
        keeper,
        orders,
        limits,
        health: Health::default(),
        degraded: BTreeMap::new(),
        outage: NONE,
        episode: None,
        pending: BTreeMap::new(),
    };
    (Desk { shared, kept, outages: AtomicU64::new(NONE) }, work, ordered)
}

impl DeskWork {
    /// Works until `stop` ends.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        loop {
            let done = tokio::select! {
                biased;
                () = &mut stop => return,
                kept = self.inbox.recv() => match kept {
                    Some(kept) => self.take(kept).await,
                    None => return,
                },
                () = self.shared.clock.sleep(LOOK_EVERY) => self.tick().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "nothing more is opened on the spot in this outage");
                self.give_up();
            }
        }
    }

    /// Opens nothing more in this outage; a newer one is not meant.
    fn give_up(&mut self) {
        let _ = self.shared.outage.compare_exchange(self.outage, NONE, Ordering::AcqRel, Ordering::Acquire);
        self.outage = NONE;
        self.episode = None;
        self.pending.clear();
    }

    async fn take(&mut self, kept: Kept) -> Result<(), EngineError> {
        if kept.first {
            self.outage = kept.outage;
            self.episode = Some(Episode::default());
            self.pending.clear();
        }
        // The owner may open on a read that is not marked.
        let marked = kept.read.cut_off == Some(true);
        let of_this = kept.outage == self.outage;
        if !marked || !of_this || !self.shared.at_work(self.outage) || self.episode.as_ref().is_none_or(|e| e.reads() >= READS_MAX) {
            let lease = self.left_ms();
            tracing::debug!(lane = kept.read.lane, first = kept.first, marked, of_this, lease, "a read that nothing is opened on");
            self.give_up();
            return Ok(());
        }
        let present = kept.read.vehicle_present == Some(true);
        let lane = kept.read.lane.clone();
        let read = ReadMessage { cut_off: None, ..kept.read };
        self.step(Input::Read(Box::new(read))).await?;
        if present {
            let stands = self.episode.as_mut().and_then(|e| e.present(&lane));
            if let Some(spot) = stands.and_then(|approach_id| self.pending.remove(&approach_id)) {
                self.open(*spot).await?;
            }
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        self.look(now);
        if self.episode.is_some() && !self.shared.at_work(self.outage) {
            self.give_up();
        }
        let due = self.episode.as_ref().map(|e| e.due(now)).unwrap_or_default();
        for lane in due {
            self.step(Input::Tick { lane }).await?;
        }
        Ok(())
    }

    /// What is away or in doubt here, the log aside.
    fn look(&mut self, now: Instant) {
        let seen = Seen {
            wall: now,
            steady: self.shared.clock.steady(),
            at: now,
            registry_current_at: self.store.registry_head().current_at,
            journal_at: self.store.journal_head().at,
            outbox_waits: false,
            frames_away: false,
        };
        for (component, away) in self.health.look(self.limits, seen, &self.degraded) {
            match away {
                true => self.degraded.insert(component, now),
                false => self.degraded.remove(&component),
            };
        }
    }

    async fn step(&mut self, input: Input) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        self.look(now);
        let Some(episode) = &mut self.episode else { return Ok(()) };
        let world = Spot { base: self.store.begin(), episode, degraded: &self.degraded };
        let outcome = step(&world, self.store.site(), input, now)?;
        drop(world);
        let told = episode.apply(&outcome);
        for decision in outcome.events.iter().filter_map(|e| match e {
            JournalEvent::Decision { decision } => Some(decision),
            _ => None,
        }) {
            let reasons: Vec<&str> = decision.reasons.iter().map(|r| r.code.as_str()).collect();
            tracing::debug!(lane = decision.lane, verdict = ?decision.verdict, ?reasons, "decided while cut off");
        }
        for command in told {
            match command.order {
                Order::Open => {
                    let Some(spot) = self.opening(&outcome, command) else { continue };
                    let approach_id = spot.command.approach_id.clone();
                    match self.episode.as_ref().is_some_and(|e| e.stands_here(&approach_id)) {
                        true => self.open(*spot).await?,
                        false => drop(self.pending.insert(approach_id, spot)),
                    }
                }
                Order::Withdraw => {
                    let waited = self.pending.remove(&command.approach_id).is_some();
                    if !waited && self.episode.as_ref().is_some_and(|e| e.stands_here(&command.approach_id)) {
                        // No higher than what it takes back: the owner does not hear of it.
                        let fence = command.fence.saturating_sub(1);
                        let command = Command { command_id: on_the_spot(&command.command_id), fence, ..command };
                        // Full: then it expires.
                        let _ = self.orders.try_send(command);
                    }
                }
            }
        }
        Ok(())
    }

    /// What may open of what the rules open.
    fn opening(&self, outcome: &Step, command: Command) -> Option<Box<OnTheSpot>> {
        let approach = outcome.changes.iter().rev().find_map(|c| match c {
            Change::Lane(state) => state.current.as_ref().filter(|a| a.approach_id == command.approach_id),
            _ => None,
        })?;
        let decision = outcome.events.iter().rev().find_map(|e| match e {
            JournalEvent::Decision { decision } if decision.approach_id == command.approach_id => Some(&**decision),
            _ => None,
        })?;
        let plate = may_open(approach, decision)?;
        let expires_at = command.expires_at.min(command.issued_at.plus_millis(self.left_ms()));
        Some(Box::new(OnTheSpot {
            command: Command { command_id: on_the_spot(&command.command_id), expires_at, ..command },
            plate,
            row: decision.row.clone(),
            reasons: decision.reasons.clone(),
            policy_revision: decision.policy_revision.clone(),
            registry_revision: decision.registry_revision,
            registry_age_ms: decision.registry_age_ms,
        }))
    }

    fn left_ms(&self) -> i64 {
        i64::try_from(self.shared.lease.left(&*self.shared.clock).as_millis()).unwrap_or(0)
    }

    /// On disk first, then the barrier.
    async fn open(&mut self, spot: OnTheSpot) -> Result<(), EngineError> {
        let command = spot.command.clone();
        let read = own_read(&command, |r| r.on_the_spot = Some(Box::new(spot)), self.shared.clock.now());
        let kept = |e| EngineError::Worker(format!("an opening on the spot cannot be kept: {e}"));
        self.keeper.keep(&command.site, &read).await.map_err(kept)?;
        if self.shared.at_work(self.outage) && self.orders.try_send(command.clone()).is_ok() {
            metrics::counter!(telemetry::OPENED_ON_THE_SPOT).increment(1);
            tracing::info!(lane = command.lane, decision = command.decision_id, "opened on the spot; the log is away");
            return Ok(());
        }
        let report = BarrierReport { state: BarrierState::Rejected, command_id: Some(command.command_id.clone()) };
        let read = own_read(&command, |r| r.barrier = Some(report), self.shared.clock.now());
        self.keeper.keep(&command.site, &read).await.map_err(kept)
    }
}

/// The plate to open for, where nothing speaks against it.
fn may_open(approach: &Approach, decision: &Decision) -> Option<String> {
    let spent = approach.uses.iter().any(portgate_core::effect::UseIntent::uses_up);
    let read = approach.inputs.plate_read.as_ref().map(|p| normalise(&p.text)).filter(|p| decision.plate.as_ref() == Some(p));
    read.filter(|_| !spent && decision.verdict == Verdict::Open)
}

/// No owner gives this id to a command of its own.
fn on_the_spot(command_id: &str) -> String {
    format!("{command_id}-spot")
}

fn own_read(command: &Command, fill: impl FnOnce(&mut ReadMessage), now: Instant) -> ReadMessage {
    let mut read = ReadMessage {
        lane: command.lane.clone(),
        observed_at: Some(now),
        received_at: Some(now),
        reported_by: Some(OnTheSpot::speaker(&command.lane)),
        cut_off: Some(true),
        ..ReadMessage::default()
    };
    fill(&mut read);
    let what = if read.on_the_spot.is_some() { "opened" } else { "given-up" };
    read.event_id = Some(format!("S-{}-{what}", command.command_id));
    read
}

//! Between the log and the machines: commands in, reports out.
//!
//! Progress on `portgate.commands` is committed *before* a command is executed: a crash in between
//! loses an opening (the gate hears nothing, the command expires, a person sees to it) and never
//! repeats one.
//!
//! Of several processes with barriers the group gives each lane's commands to one. Passages behind a
//! barrier are heard by all of them ([`super::passages`]): the one whose arm is up lowers it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::people::{Principal, Role};
use portgate_core::read::{BarrierReport, ReadMessage};
use portgate_log::{partition_for_key, topics, Consumer, ConsumerOptions, Log, LogError, NewRecord, Record, StartFrom};
use tokio::sync::mpsc;

use super::lease::{self, Lease};
use super::passages::{self, Passed};
use super::{Act, Barrier, Control};
use crate::clock::Clock;
use crate::cut_off::Keeper;
use crate::engine::Worker;
use crate::telemetry;

/// How barriers are driven.
#[derive(Clone, Debug)]
pub struct BarrierOptions {
    /// Consumer group; one per set of machines.
    pub group: String,
    /// The barrier closes by itself after this, milliseconds.
    pub open_ms_max: i64,
}

impl Default for BarrierOptions {
    fn default() -> Self {
        Self { group: "portgate-barrier".into(), open_ms_max: 15_000 }
    }
}

/// Records polled at once.
const POLL_RECORDS: usize = 256;
/// Longest wait for records.
const POLL_WAIT: Duration = Duration::from_millis(500);
/// Passages waiting to be looked at; beyond it their readers wait.
const PASSAGES_MAX: usize = 1024;
/// Reports waiting for the log; beyond it the oldest barrier waits.
const REPORTS_MAX: usize = 1024;
/// Lanes known by their passages alone at most: anybody who may write reads can name lanes.
const LANES_MAX: usize = 4096;
/// Arms moving at once.
const MOVES_MAX: usize = 256;
/// Wait after a failure of the log.
const RETRY_WAIT: Duration = Duration::from_millis(200);

enum Moved {
    Up(String),
    Down(String),
    Broken(String),
}

/// How a process goes on opening while it is cut off from the log ([`crate::cut_off`]).
pub struct OnTheSpot {
    /// Renewed while the log is there.
    pub lease: Lease,
    /// Commands made durable here, to be obeyed under the lease only.
    pub orders: mpsc::Receiver<Command>,
    /// Takes reports, so that they come after the reads kept before them.
    pub keeper: Arc<dyn Keeper>,
}

/// Lets `barrier` obey `portgate.commands` until `stop` ends, and reports every change of state on
/// `portgate.reads`.
///
/// # Errors
/// When the log fails for good. Whatever is open then closes by itself.
pub async fn drive(
    log: Arc<dyn Log>,
    barrier: Arc<dyn Barrier>,
    clock: Arc<dyn Clock>,
    options: BarrierOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), LogError> {
    drive_with(log, barrier, clock, options, None, stop).await
}

/// As [`drive`]; `spot` lets it open under a lease while the log is away.
///
/// # Errors
/// As [`drive`].
pub async fn drive_with(
    log: Arc<dyn Log>,
    barrier: Arc<dyn Barrier>,
    clock: Arc<dyn Clock>,
    options: BarrierOptions,
    spot: Option<OnTheSpot>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), LogError> {
    let mut stop = pin!(stop);
    let (reports, outgoing) = mpsc::channel(REPORTS_MAX);
    let (moved, mut arrived) = mpsc::channel(MOVES_MAX);
    let (lease, mut orders, keeper) = match spot {
        Some(OnTheSpot { lease, orders, keeper }) => (lease, Some(orders), Some(keeper)),
        None => (Lease::default(), None, None),
    };
    let reporter = Worker(tokio::spawn(report_all(log.clone(), clock.clone(), keeper, outgoing)));
    let (passed, mut passages) = mpsc::channel(PASSAGES_MAX);
    let followers = passages::follow(&log, &clock, &passed).await?;
    let partitions = log.partitions(topics::COMMANDS).await?;
    let mut driver = Driver {
        log,
        barrier,
        clock,
        options,
        partitions,
        lanes: BTreeMap::new(),
        ours: BTreeSet::new(),
        polled: Vec::new(),
        reports,
        moved,
    };
    let consumer: Arc<dyn Consumer> =
        driver.log.consumer(ConsumerOptions::new(&driver.options.group, &[topics::COMMANDS], StartFrom::Earliest)).await?.into();
    let renewal = orders.is_some().then(|| Worker(tokio::spawn(lease::keep(consumer.clone(), driver.clock.clone(), lease.clone()))));
    let result = loop {
        let wait = driver.until_due();
        let ordered = async {
            match &mut orders {
                Some(orders) => orders.recv().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            Some(moved) = arrived.recv() => driver.moved(moved).await,
            () = driver.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => driver.due().await,
            Some(passed) = passages.recv() => driver.passed(&passed).await,
            Some(command) = ordered => driver.ordered(&*consumer, &lease, command).await,
            () = driver.clock.sleep(RETRY_WAIT), if !driver.polled.is_empty() => driver.take(&*consumer).await,
            polled = consumer.poll(POLL_RECORDS, POLL_WAIT), if driver.polled.is_empty() => match polled {
                Ok(records) => {
                    driver.polled = records;
                    driver.take(&*consumer).await;
                }
                Err(e) if e.is_retriable() => {
                    tracing::warn!(error = %e, "barriers hear nothing from the log; they stay as they are");
                    driver.clock.sleep(RETRY_WAIT).await;
                }
                Err(e) => break Err(e),
            },
        }
    };
    drop(renewal);
    drop(followers);
    drop(driver);
    drop(reporter);
    if let Err(e) = consumer.close().await {
        tracing::debug!(error = %e, "leaving the consumer group");
    }
    result
}

struct Lane {
    control: Control,
    /// As its commands say; empty before the first.
    site: String,
}

struct Driver {
    log: Arc<dyn Log>,
    barrier: Arc<dyn Barrier>,
    clock: Arc<dyn Clock>,
    options: BarrierOptions,
    /// Of the commands' topic.
    partitions: u32,
    lanes: BTreeMap<String, Lane>,
    /// Partitions of commands that the group has given to this process, and that were looked back at.
    ours: BTreeSet<u32>,
    /// Taken off the log and not yet obeyed: their progress is not recorded.
    polled: Vec<Record>,
    reports: mpsc::Sender<(String, ReadMessage)>,
    moved: mpsc::Sender<Moved>,
}

impl Driver {
    /// Learns which commands of the partitions that have come to this process were taken off the log
    /// before, and who has gone through since. Their barriers are down now (they close by
    /// themselves), which is reported, so that a vehicle that did not get through is seen to.
    async fn look_back(&mut self, consumer: &dyn Consumer) -> Result<(), LogError> {
        let held: BTreeSet<u32> = consumer.assignment().iter().filter(|p| p.topic == topics::COMMANDS).map(|p| p.partition).collect();
        self.ours.retain(|p| held.contains(p));
        let new: Vec<u32> = held.difference(&self.ours).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut remembered = BTreeSet::new();
        for lag in self.log.lag(&self.options.group, &[topics::COMMANDS]).await? {
            let partition = lag.partition.partition;
            let Some(committed) = lag.committed.filter(|_| new.contains(&partition)) else { continue };
            for record in passages::last(&*self.log, topics::COMMANDS, partition, committed).await? {
                if let Ok(command) = record.json::<Command>() {
                    let now = self.clock.now();
                    self.lane(&command).control.remember(&command, now);
                    remembered.insert(command.lane);
                }
            }
        }
        // Also of lanes of which nothing is remembered: a command heard late may be for a vehicle that is through.
        for range in self.log.ranges(topics::READS).await? {
            for record in passages::last(&*self.log, topics::READS, range.partition, range.end).await? {
                if let Some(passed) = Passed::of(&record) {
                    self.passed(&passed).await;
                }
            }
        }
        for lane in remembered {
            let last = self.lanes.get(&lane).filter(|l| l.control.is_down()).and_then(|l| l.control.last());
            if let Some(command_id) = last {
                self.report(&lane, BarrierState::Closed, command_id, "start").await;
            }
        }
        self.ours.extend(new);
        Ok(())
    }

    fn lane(&mut self, command: &Command) -> &mut Lane {
        let lane = self.known(&command.lane);
        lane.site.clone_from(&command.site);
        lane
    }

    fn known(&mut self, lane: &str) -> &mut Lane {
        let open_ms_max = self.options.open_ms_max;
        self.lanes.entry(lane.to_owned()).or_insert_with(|| Lane { control: Control::new(open_ms_max), site: String::new() })
    }

    /// Obeys what was polled, once its progress is on record; until then it waits, and expires.
    async fn take(&mut self, consumer: &dyn Consumer) {
        match self.record_progress(consumer).await {
            Ok(()) => {}
            // Another process has them now, and hears of them there.
            Err(LogError::NotAssigned { .. }) => self.polled.clear(),
            Err(e) => {
                tracing::warn!(error = %e, "barriers cannot record their progress; nothing is opened");
                // What has expired is nobody's any more; with nothing left the log is listened to again.
                let now = self.clock.now();
                self.polled.retain(|r| r.json::<Command>().is_ok_and(|c| now < c.expires_at));
                return;
            }
        }
        let commands: Vec<Command> = std::mem::take(&mut self.polled)
            .iter()
            .filter_map(|r| match r.json() {
                Ok(command) => Some(command),
                Err(e) => {
                    tracing::warn!(error = e, offset = r.offset, "no command; passed over");
                    None
                }
            })
            .collect();
        // What has been taken back by now is not executed first.
        let (withdrawn, open): (Vec<_>, Vec<_>) = commands.into_iter().partition(|c| c.order == Order::Withdraw);
        for command in withdrawn.into_iter().chain(open) {
            self.command(command).await;
        }
    }

    async fn record_progress(&mut self, consumer: &dyn Consumer) -> Result<(), LogError> {
        // Before anything of a new partition is committed: it is told apart from what was taken before.
        self.look_back(consumer).await?;
        let positions: Vec<_> = self.polled.iter().map(Record::position).collect();
        match positions.is_empty() {
            true => Ok(()),
            false => consumer.commit(&positions).await,
        }
    }

    /// Obeys a command made durable by this node, if nobody else can be driving the lane's barrier.
    async fn ordered(&mut self, consumer: &dyn Consumer, lease: &Lease, command: Command) {
        let partition = partition_for_key(command.site.as_bytes(), self.partitions);
        let held =
            self.ours.contains(&partition) && consumer.assignment().iter().any(|p| p.topic == topics::COMMANDS && p.partition == partition);
        if held && !lease.left(&*self.clock).is_zero() {
            return self.command(command).await;
        }
        self.lane(&command);
        self.report(&command.lane, BarrierState::Rejected, command.command_id, "").await;
    }

    async fn command(&mut self, command: Command) {
        let now = self.clock.now();
        let lane = command.lane.clone();
        let acts = self.lane(&command).control.command(command, now);
        self.act(&lane, acts).await;
    }

    async fn passed(&mut self, passed: &Passed) {
        if self.lanes.len() >= LANES_MAX && !self.lanes.contains_key(&passed.lane) {
            return;
        }
        // Nobody has gone through in the future, whatever a sender's clock says.
        let at = passed.at.min(self.clock.now());
        let acts = self.known(&passed.lane).control.passed(at);
        self.act(&passed.lane, acts).await;
    }

    async fn moved(&mut self, moved: Moved) {
        let now = self.clock.now();
        let (lane, acts) = match moved {
            Moved::Up(lane) => (lane.clone(), self.lanes.get_mut(&lane).map(|l| l.control.raised(now))),
            Moved::Down(lane) => (lane.clone(), self.lanes.get_mut(&lane).map(|l| l.control.lowered(now))),
            Moved::Broken(lane) => (lane.clone(), self.lanes.get_mut(&lane).map(|l| l.control.broken())),
        };
        self.act(&lane, acts.unwrap_or_default()).await;
    }

    async fn due(&mut self) {
        let now = self.clock.now();
        let due: Vec<(String, Vec<Act>)> = self.lanes.iter_mut().map(|(lane, l)| (lane.clone(), l.control.due(now))).collect();
        for (lane, acts) in due {
            self.act(&lane, acts).await;
        }
    }

    fn until_due(&self) -> Option<Duration> {
        let deadline = self.lanes.values().filter_map(|l| l.control.deadline()).min()?;
        Some(Duration::from_micros(deadline.micros_since(self.clock.now()).max(0).unsigned_abs()))
    }

    async fn act(&mut self, lane: &str, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Raise => self.set_moving(lane, true),
                Act::Lower => self.set_moving(lane, false),
                Act::Report { state, command_id } => self.report(lane, state, command_id, "").await,
            }
        }
    }

    fn set_moving(&self, lane: &str, up: bool) {
        let (barrier, moved, lane) = (self.barrier.clone(), self.moved.clone(), lane.to_owned());
        tokio::spawn(async move {
            let result = if up { barrier.raise(&lane).await } else { barrier.lower(&lane).await };
            let message = match result {
                Ok(()) if up => Moved::Up(lane),
                Ok(()) => Moved::Down(lane),
                Err(e) => {
                    tracing::error!(error = %e, "barrier out of order");
                    Moved::Broken(lane)
                }
            };
            // An error means that nobody drives any more.
            let _ = moved.send(message).await;
        });
    }

    async fn report(&self, lane: &str, state: BarrierState, command_id: String, occasion: &str) {
        let result = match state {
            BarrierState::Closed => "closed",
            BarrierState::Opening => "opening",
            BarrierState::Open => "open",
            BarrierState::Closing => "closing",
            BarrierState::Rejected => "rejected",
            BarrierState::Expired => "expired",
            BarrierState::Fault => "fault",
        };
        metrics::counter!(telemetry::BARRIER_COMMANDS, "result" => result).increment(1);
        let now = self.clock.now();
        // Reports of one execution are dropped as repeats if they are sent twice; those of a start
        // are new each time.
        let event_id = if occasion.is_empty() {
            format!("B-{command_id}-{result}")
        } else {
            format!("B-{command_id}-{result}-{occasion}-{}", now.as_micros())
        };
        let message = ReadMessage {
            lane: lane.to_owned(),
            event_id: Some(event_id),
            observed_at: Some(now),
            reported_by: Some(Principal { name: "barrier".into(), role: Role::Device, lanes: vec![lane.to_owned()] }),
            barrier: Some(BarrierReport { state, command_id: Some(command_id) }),
            ..ReadMessage::default()
        };
        let site = self.lanes.get(lane).map(|l| l.site.clone()).unwrap_or_default();
        // An error means that nobody reports any more: the driver is stopping.
        let _ = self.reports.send((site, message)).await;
    }
}

/// Appends reports in order; a failing log is tried again. A keeper, where there is one, takes them
/// first.
async fn report_all(
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    keeper: Option<Arc<dyn Keeper>>,
    mut reports: mpsc::Receiver<(String, ReadMessage)>,
) {
    while let Some((site, message)) = reports.recv().await {
        if let Some(keeper) = &keeper {
            match keeper.keep(&site, &message).await {
                Ok(()) => continue,
                Err(error) => tracing::warn!(error, "a barrier's report is not kept; it waits for the log"),
            }
        }
        let record = match NewRecord::json(topics::READS, site, &message) {
            Ok(record) => record,
            Err(e) => {
                tracing::error!(error = %e, "a barrier's report cannot be written");
                continue;
            }
        };
        while let Err(e) = log.append(record.clone()).await {
            tracing::warn!(error = %e, "a barrier's report waits for the log");
            if !e.is_retriable() {
                break;
            }
            clock.sleep(RETRY_WAIT).await;
        }
    }
}

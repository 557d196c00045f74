//! Between the log and the machines: commands in, reports out.
//!
//! Progress on `portgate.commands` is committed *before* a command is executed: a crash in between
//! loses an opening (the gate hears nothing, the command expires, a person sees to it) and never
//! repeats one.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::people::{Principal, Role};
use portgate_core::read::{BarrierReport, ReadMessage};
use portgate_core::time::Instant;
use portgate_log::{topics, Consumer, ConsumerOptions, Log, LogError, NewRecord, Record, StartFrom};
use tokio::sync::mpsc;

use super::{Act, Barrier, Control};
use crate::clock::Clock;
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

/// Commands of before a start that are looked at again, per partition.
const LOOK_BACK: u64 = 1024;
/// Records polled at once.
const POLL_RECORDS: usize = 256;
/// Longest wait for records.
const POLL_WAIT: Duration = Duration::from_millis(500);
/// Reports waiting for the log; beyond it the oldest barrier waits.
const REPORTS_MAX: usize = 1024;
/// Arms moving at once.
const MOVES_MAX: usize = 256;
/// Wait after a failure of the log.
const RETRY_WAIT: Duration = Duration::from_millis(200);

enum Moved {
    Up(String),
    Down(String),
    Broken(String),
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
    let mut stop = pin!(stop);
    let (reports, outgoing) = mpsc::channel(REPORTS_MAX);
    let (moved, mut arrived) = mpsc::channel(MOVES_MAX);
    let reporter = Worker(tokio::spawn(report_all(log.clone(), clock.clone(), outgoing)));
    let mut driver = Driver { log, barrier, clock, options, lanes: BTreeMap::new(), reports, moved };
    driver.look_back().await?;
    let topics = [topics::COMMANDS, topics::READS];
    let consumer = driver.log.consumer(ConsumerOptions::new(&driver.options.group, &topics, StartFrom::Earliest)).await?;
    let result = loop {
        let wait = driver.until_due();
        tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            Some(moved) = arrived.recv() => driver.moved(moved).await,
            () = driver.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => driver.due().await,
            polled = consumer.poll(POLL_RECORDS, POLL_WAIT) => match polled {
                Ok(records) => {
                    if let Err(e) = driver.take(&*consumer, records).await {
                        tracing::warn!(error = %e, "barriers cannot record their progress; nothing is opened");
                        driver.clock.sleep(RETRY_WAIT).await;
                    }
                }
                Err(e) if e.is_retriable() => {
                    tracing::warn!(error = %e, "barriers hear nothing from the log; they stay as they are");
                    driver.clock.sleep(RETRY_WAIT).await;
                }
                Err(e) => break Err(e),
            },
        }
    };
    drop(driver);
    drop(reporter);
    if let Err(e) = consumer.close().await {
        tracing::debug!(error = %e, "leaving the consumer group");
    }
    result
}

struct Lane {
    control: Control,
    site: String,
}

struct Driver {
    log: Arc<dyn Log>,
    barrier: Arc<dyn Barrier>,
    clock: Arc<dyn Clock>,
    options: BarrierOptions,
    lanes: BTreeMap<String, Lane>,
    reports: mpsc::Sender<(String, ReadMessage)>,
    moved: mpsc::Sender<Moved>,
}

impl Driver {
    /// Learns which commands were taken off the log before. Their barriers are down now (they
    /// close by themselves), which is reported, so that a vehicle that did not get through is seen
    /// to.
    async fn look_back(&mut self) -> Result<(), LogError> {
        for lag in self.log.lag(&self.options.group, &[topics::COMMANDS]).await? {
            let Some(committed) = lag.committed else { continue };
            let partition = lag.partition.partition;
            let earliest = self.log.ranges(topics::COMMANDS).await?.iter().find(|r| r.partition == partition).map_or(0, |r| r.earliest);
            let mut from = committed.saturating_sub(LOOK_BACK).max(earliest);
            while from < committed {
                let batch = self.log.read(topics::COMMANDS, partition, from, POLL_RECORDS, Duration::ZERO).await?;
                for record in batch.records.iter().filter(|r| r.offset < committed) {
                    if let Ok(command) = record.json::<Command>() {
                        self.lane(&command).control.remember(&command);
                    }
                }
                if batch.next_offset <= from {
                    break;
                }
                from = batch.next_offset;
            }
        }
        let closed: Vec<(String, String)> =
            self.lanes.iter().filter_map(|(lane, l)| l.control.last().map(|id| (lane.clone(), id))).collect();
        for (lane, command_id) in closed {
            self.report(&lane, BarrierState::Closed, command_id, "start").await;
        }
        Ok(())
    }

    fn lane(&mut self, command: &Command) -> &mut Lane {
        let open_ms_max = self.options.open_ms_max;
        self.lanes.entry(command.lane.clone()).or_insert_with(|| Lane { control: Control::new(open_ms_max), site: command.site.clone() })
    }

    /// Takes polled records: first their progress, then what they say.
    async fn take(&mut self, consumer: &dyn Consumer, records: Vec<Record>) -> Result<(), LogError> {
        let positions: Vec<_> = records.iter().map(Record::position).collect();
        if positions.is_empty() {
            return Ok(());
        }
        consumer.commit(&positions).await?;
        let commands: Vec<(u64, Command)> = records
            .iter()
            .filter(|r| r.topic == topics::COMMANDS)
            .filter_map(|r| match r.json() {
                Ok(command) => Some((r.offset, command)),
                Err(e) => {
                    tracing::warn!(error = e, offset = r.offset, "no command; passed over");
                    None
                }
            })
            .collect();
        // What has been taken back by now is not executed first.
        for (_, command) in commands.iter().filter(|(_, c)| c.order == Order::Withdraw) {
            self.command(command.clone()).await;
        }
        for record in records {
            if record.topic == topics::COMMANDS {
                let open = commands.iter().find(|(offset, c)| *offset == record.offset && c.order == Order::Open);
                if let Some((_, command)) = open {
                    self.command(command.clone()).await;
                }
            } else if let Ok(read) = record.json::<ReadMessage>() {
                if read.vehicle_passed == Some(true) {
                    self.passed(&read.lane, Instant::from_millis(record.timestamp_ms)).await;
                }
            }
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) {
        let now = self.clock.now();
        let lane = command.lane.clone();
        let acts = self.lane(&command).control.command(command, now);
        self.act(&lane, acts).await;
    }

    async fn passed(&mut self, lane: &str, at: Instant) {
        let acts = self.lanes.get_mut(lane).map(|l| l.control.passed(at)).unwrap_or_default();
        self.act(lane, acts).await;
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

/// Appends reports in order; a failing log is tried again.
async fn report_all(log: Arc<dyn Log>, clock: Arc<dyn Clock>, mut reports: mpsc::Receiver<(String, ReadMessage)>) {
    while let Some((site, message)) = reports.recv().await {
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

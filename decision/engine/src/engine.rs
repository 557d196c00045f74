//! The loop: `select` yields a typed action, [`crate::apply`] handles it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::reason::SysReason;
use portgate_core::time::Instant;
use portgate_log::{partition_for_key, topics, Consumer, ConsumerOptions, Log, LogError, Record, StartFrom, TopicPartition};
use portgate_store::Store;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::apply::{apply, Applied, Item, LaneTimer, Timers, Work};
use crate::blocking::blocking;
use crate::clock::Clock;
use crate::error::EngineError;
use crate::follow::{last_seq, range_of, Follower};
use crate::frames::Frames;
use crate::handle::{EngineHandle, Standing, Status};
use crate::health::{Health, Limits, Seen};
use crate::input::{self, Rejected, Taken};
use crate::publish::{Batch, Outlet, Publisher};
use crate::registry_tail::{RegistryTail, Tailed};
use crate::telemetry;

/// How the engine of a site works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Inputs committed together at most.
    pub batch_max: usize,
    /// How long the ids of reads are remembered to drop repeats, milliseconds.
    pub seen_horizon_ms: i64,
    /// How long evidence frames are kept, milliseconds.
    pub evidence_retention_ms: i64,
    /// What has waited longer than this is stepped at the time the log got it, milliseconds.
    pub live_lag_ms: i64,
    /// Nothing opens on a registry known current longer ago than this, milliseconds.
    pub registry_stale_ms: i64,
    /// Nothing opens for a minute after the clock has stepped by more than this, milliseconds, nor
    /// while it lies that much behind the journal.
    pub clock_step_ms: i64,
    /// The consumer group's name is this and the site.
    pub group: String,
}

const DAY_MS: i64 = 86_400_000;

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            batch_max: 256,
            seen_horizon_ms: 7 * DAY_MS,
            evidence_retention_ms: 365 * DAY_MS,
            live_lag_ms: 2_000,
            registry_stale_ms: 30_000,
            clock_step_ms: 5_000,
            group: "portgate-decide".into(),
        }
    }
}

/// Batches committed and waiting for the log; beyond it the loop waits.
const COMMITTED_MAX: usize = 64;
/// Registry batches read ahead.
const TAILED_MAX: usize = 4;
/// Longest wait for reads.
const POLL_WAIT: Duration = Duration::from_millis(500);
/// How often old rows are forgotten and gauges set.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How often the group is told how far it is; the store's offsets are what counts.
const GROUP_COMMIT: Duration = Duration::from_secs(1);
/// Wait after a failure, doubled up to the second.
const RETRY_WAIT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a stopping engine waits for its outbox.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// The engine of one site.
pub struct Engine {
    store: Arc<Store>,
    log: Arc<dyn Log>,
    frames: Arc<dyn Frames>,
    clock: Arc<dyn Clock>,
    options: Arc<EngineOptions>,
    status: watch::Sender<Status>,
}

/// A task that ends with its owner, however that ends.
pub(crate) struct Worker<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the loop has to do next.
enum Action {
    Stop,
    /// The publisher has ended, which it does not do by itself.
    Published(Result<Result<(), EngineError>, tokio::task::JoinError>),
    Registry(Option<Result<Tailed, LogError>>),
    Reads(Vec<Record>),
    Due,
    Housekeeping,
    /// The group has not been told for a while how far this node is.
    TellGroup,
}

/// What has been read and not yet taken in.
struct Sources {
    consumer: Box<dyn Consumer>,
    reads: VecDeque<Record>,
    registry: VecDeque<Record>,
    /// Nothing more of the registry was on its way when it was last asked.
    registry_complete: bool,
    registry_current_at: Option<Instant>,
    site_partition: u32,
    /// Partitions whose position has been compared with the store's.
    aligned: Vec<u32>,
    /// Reads up to this offset were there when the engine started.
    backlog_end: u64,
    caught_up: bool,
    /// Reads the log got up to then have been taken in, though the offsets do not say so.
    known_until: Option<Instant>,
    /// When this run began; until the registry has spoken that is when it was current.
    began_at: Instant,
    health: Health,
}

impl Engine {
    /// The engine of the store's site.
    pub fn new(store: Arc<Store>, log: Arc<dyn Log>, frames: Arc<dyn Frames>, clock: Arc<dyn Clock>, options: EngineOptions) -> Self {
        let status = watch::Sender::new(Status::default());
        Self { store, log, frames, clock, options: Arc::new(options), status }
    }

    /// What others may see of it, also while it runs.
    pub fn handle(&self) -> EngineHandle {
        EngineHandle::new(self.store.clone(), self.status.subscribe())
    }

    /// Runs until `stop` ends. After an error it can be run again; while it does not run, nothing
    /// is opened. One run at a time.
    ///
    /// # Errors
    /// [`EngineError`]; those worth repeating have been repeated.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<(), EngineError> {
        let result = self.run_inner(stop).await;
        let trouble = result.as_ref().err().map_or_else(|| "stopped".to_owned(), ToString::to_string);
        self.status.send_modify(|s| s.trouble = Some(trouble));
        metrics::gauge!(telemetry::OWNER).set(0.0);
        result
    }

    async fn run_inner(&self, stop: impl Future<Output = ()> + Send) -> Result<(), EngineError> {
        let mut stop = pin!(stop);
        let mut sources = self.sources().await?;
        let Some(polled) = self.stand_by(&sources, stop.as_mut()).await? else {
            self.leave(&sources).await;
            return Ok(());
        };
        // From here on no former owner gets anything out; what it got out is followed to the end.
        let outlet = Outlet::acquire(&*self.log, self.store.site()).await?;
        let mut follower = Follower::new(self.store.clone(), self.log.clone(), self.frames.clone()).await?;
        follower.catch_up(true, |at| self.standing(Standing::TakingOver { seq: at.seq, left: at.left })).await?;
        drop(follower);
        self.check_journal().await?;
        sources.known_until = self.check_offsets().await?;
        sources.caught_up = self.store.offset(topics::READS, sources.site_partition)?.unwrap_or(0) >= sources.backlog_end;
        sources.reads_came(&self.store, polled).await?;
        self.standing(Standing::Owner);
        let mut timers: Timers = self.store.lanes()?.iter().map(|s| (s.lane.clone(), LaneTimer::of(s))).collect();
        let (tail, mut tailed) = RegistryTail::start(self.log.clone(), self.clock.clone(), &self.store, TAILED_MAX).await?;
        let (sender, receiver) = mpsc::channel(COMMITTED_MAX);
        let trouble = watch::Sender::new(None);
        let mut outbox_trouble = trouble.subscribe();
        let left = (self.store.journal_head().seq, self.positions(sources.site_partition)?);
        let publisher = Publisher { outlet, store: self.store.clone(), log: self.log.clone(), clock: self.clock.clone(), trouble, left };
        let mut publisher = Worker(tokio::spawn(publisher.run(receiver)));
        let mut housekeeping = self.clock.sleep(Duration::ZERO);
        let mut tell_group = self.clock.sleep(GROUP_COMMIT);
        let mut group_told = true;

        let result = loop {
            let action = {
                let deadline = timers.values().filter_map(|t| t.deadline).min().filter(|_| sources.caught_up);
                let wait = deadline.map(|d| self.until(d));
                tokio::select! {
                    biased;
                    () = &mut stop => Action::Stop,
                    ended = &mut publisher.0 => Action::Published(ended),
                    batch = tailed.recv(), if sources.registry.is_empty() => Action::Registry(batch),
                    () = &mut housekeeping => Action::Housekeeping,
                    () = &mut tell_group => Action::TellGroup,
                    reads = sources.consumer.poll(self.options.batch_max, POLL_WAIT), if sources.reads.is_empty() => match reads {
                        Ok(reads) => Action::Reads(reads),
                        Err(e) if e.is_retriable() => {
                            self.trouble(format!("reads cannot be polled: {e}"));
                            self.clock.sleep(RETRY_WAIT).await;
                            Action::Reads(Vec::new())
                        }
                        Err(e) => break Err(e.into()),
                    },
                    () = self.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => Action::Due,
                }
            };
            let mut work = Work::default();
            match action {
                Action::Stop => break Ok(()),
                Action::Published(Ok(Err(e))) => break Err(e),
                Action::Published(ended) => break Err(EngineError::Worker(format!("publisher: {ended:?}"))),
                Action::Registry(Some(Ok(batch))) => sources.registry_came(batch),
                Action::Registry(Some(Err(e))) => break Err(e.into()),
                Action::Registry(None) => break Err(EngineError::Worker("the registry is not followed any more".into())),
                Action::Reads(reads) => {
                    if !sources.owned() {
                        break Err(EngineError::Unowned(self.store.site().to_owned()));
                    }
                    sources.reads_came(&self.store, reads).await?;
                }
                Action::Due => work.due = true,
                Action::TellGroup => {
                    tell_group = self.clock.sleep(GROUP_COMMIT);
                    group_told = false;
                }
                Action::Housekeeping => {
                    housekeeping = self.clock.sleep(HOUSEKEEPING);
                    work.prune = true;
                    self.gauges(&timers, &sources).await;
                }
            }
            if outbox_trouble.has_changed().unwrap_or(false) {
                let trouble = outbox_trouble.borrow_and_update().clone();
                self.status.send_modify(|s| s.outbox_trouble = trouble);
            }
            if let Err(e) = self.take_all(&mut sources, &mut timers, work, &sender, stop.as_mut()).await {
                break Err(e);
            }
            // Only what has got out: a new owner starts there with the journal on the log.
            if !group_told && self.store.outbox_depth() == 0 {
                group_told = true;
                sources.commit_group(&self.store).await;
            }
        };
        drop(tail);
        drop(sender);
        let drained = match &result {
            Err(_) if publisher.0.is_finished() => Ok(()),
            _ => self.drain(publisher).await,
        };
        if self.store.outbox_depth() == 0 {
            sources.commit_group(&self.store).await;
        }
        self.leave(&sources).await;
        result.and(drained)
    }

    /// Follows the journal until the group gives this node the site's partition; answers with what
    /// was polled with it. None: told to stop before.
    async fn stand_by(
        &self,
        sources: &Sources,
        mut stop: std::pin::Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<Option<Vec<Record>>, EngineError> {
        let mut follower = None;
        loop {
            let polled = tokio::select! {
                biased;
                () = &mut stop => return Ok(None),
                polled = sources.consumer.poll(self.options.batch_max, POLL_WAIT), if !sources.owned() => polled,
                () = std::future::ready(()), if sources.owned() => Ok(Vec::new()),
            };
            let polled = match polled {
                Ok(polled) => polled,
                Err(e) if e.is_retriable() => {
                    self.trouble(format!("the group of the site's nodes cannot be joined: {e}"));
                    self.clock.sleep(RETRY_WAIT).await;
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            if sources.owned() {
                return Ok(Some(polled));
            }
            let follower = match &mut follower {
                Some(follower) => follower,
                None => follower.insert(Follower::new(self.store.clone(), self.log.clone(), self.frames.clone()).await?),
            };
            let told = |left| self.standing(Standing::Standby { seq: self.store.journal_head().seq, left });
            match follower.catch_up(false, |at| told(at.left)).await {
                Ok(()) => told(0),
                Err(e) if e.is_retriable() => self.trouble(format!("the journal cannot be followed: {e}")),
                Err(e) => return Err(e),
            }
        }
    }

    fn standing(&self, standing: Standing) {
        self.status.send_modify(|s| {
            s.standing = standing;
            s.journal_seq = self.store.journal_head().seq;
            s.trouble = None;
        });
        metrics::gauge!(telemetry::OWNER).set(if standing == Standing::Owner { 1.0 } else { 0.0 });
    }

    async fn leave(&self, sources: &Sources) {
        if let Err(e) = sources.consumer.close().await {
            tracing::debug!(error = %e, "leaving the consumer group");
        }
    }

    /// How far the sources are taken in by the last commit.
    fn positions(&self, site_partition: u32) -> Result<crate::publish::Sources, EngineError> {
        let mut found = Vec::new();
        for (topic, partition) in [(topics::READS, site_partition), (topics::REGISTRY, crate::registry_tail::PARTITION)] {
            if let Some(next) = self.store.offset(topic, partition)? {
                found.push((topic.to_owned(), partition, next));
            }
        }
        Ok(found)
    }

    /// Takes in what the sources hold, in the order of the log's times, one commit per run of one
    /// source.
    async fn take_all(
        &self,
        sources: &mut Sources,
        timers: &mut Timers,
        mut work: Work,
        sender: &mpsc::Sender<Batch>,
        mut stop: std::pin::Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<(), EngineError> {
        loop {
            let run = sources.next_run(self.options.batch_max);
            let last = run.is_empty();
            self.fill(&mut work, &run, sources).await?;
            work.changed = self.look(&work, sources);
            if last && work.items.is_empty() && work.changed.is_empty() && !work.due && !work.prune && work.registry_current_at.is_none() {
                return Ok(());
            }
            let mut wait = RETRY_WAIT;
            let came_to = work.offsets.clone();
            let arc = Arc::new(std::mem::take(&mut work));
            let applied = loop {
                match self.apply(arc.clone(), timers).await {
                    Ok(applied) => break applied,
                    Err(e) if e.is_retriable() => {
                        tracing::error!(error = %e, "a batch could not be committed; nothing is opened meanwhile");
                        metrics::counter!(telemetry::RETRIES).increment(1);
                        self.trouble(format!("a batch could not be committed: {e}"));
                        tokio::select! {
                            biased;
                            () = &mut stop => return Err(e),
                            () = self.clock.sleep(wait) => wait = (wait * 2).min(RETRY_WAIT_MAX),
                        }
                    }
                    Err(e) => return Err(e),
                }
            };
            *timers = applied.timers;
            let entries = applied.committed.entries;
            self.status.send_modify(|s| {
                s.journal_seq = self.store.journal_head().seq;
                s.caught_up = sources.caught_up;
                s.trouble = None;
            });
            if !entries.is_empty() && sender.send(Batch { entries, sources: came_to }).await.is_err() {
                // The publisher has ended; the loop finds its error.
                return Ok(());
            }
            if last {
                return Ok(());
            }
        }
    }

    /// What has gone away or come back, as what comes next will be decided.
    fn look(&self, work: &Work, sources: &mut Sources) -> Vec<(SysReason, bool)> {
        let wall = self.clock.now();
        let waited = |received: &Instant| wall.millis_since(*received) > self.options.live_lag_ms;
        let next = sources.registry.front().map(|r| Instant::from_millis(r.timestamp_ms));
        let known = [
            Some(self.store.registry_head().current_at),
            Some(sources.began_at),
            sources.registry_current_at,
            work.registry_current_at,
            next,
        ];
        let seen = Seen {
            wall,
            steady: self.clock.steady(),
            at: work.items.first().map(|item| item.received).filter(waited).unwrap_or(wall),
            registry_current_at: known.into_iter().flatten().max().unwrap_or(wall),
            journal_at: self.store.journal_head().at,
            outbox_waits: self.status.borrow().outbox_trouble.is_some(),
            frames_away: self.frames.away(),
        };
        let limits = Limits { registry_stale_ms: self.options.registry_stale_ms, clock_step_ms: self.options.clock_step_ms };
        sources.health.look(limits, seen, &self.store.degraded())
    }

    /// Turns a run of records into inputs; misfits go on record first.
    async fn fill(&self, work: &mut Work, run: &[Record], sources: &mut Sources) -> Result<(), EngineError> {
        let mut misfits: Vec<Rejected> = Vec::new();
        for record in run {
            let known = |next: Option<u64>| next.is_some_and(|next| record.offset < next);
            let passed = |until: Option<Instant>| until.is_some_and(|until| Instant::from_millis(record.timestamp_ms) <= until);
            let taken = if record.topic == topics::REGISTRY {
                input::registry(&self.store, record)?
            } else if known(self.store.offset(&record.topic, record.partition)?) || passed(sources.known_until) {
                Taken::Other
            } else {
                input::read(&self.store, sources.site_partition, record)?
            };
            match taken {
                Taken::Input(input, received) => work.items.push(Item { input, received }),
                Taken::Rejected(note) => misfits.push(*note),
                Taken::Other => {}
            }
            let next = record.offset.saturating_add(1);
            match work.offsets.iter_mut().find(|(t, p, _)| *t == record.topic && *p == record.partition) {
                Some((_, _, offset)) => *offset = next.max(*offset),
                None => work.offsets.push((record.topic.clone(), record.partition, next)),
            }
        }
        work.offsets.retain(|(t, p, next)| !matches!(self.store.offset(t, *p), Ok(Some(known)) if known >= *next));
        if sources.registry.is_empty() {
            work.registry_current_at = sources.registry_current_at.take();
        }
        let mut wait = RETRY_WAIT;
        while !misfits.is_empty() {
            let records = misfits.iter().map(Rejected::to_record).collect::<Result<Vec<_>, _>>()?;
            match self.log.append_batch(records).await {
                Ok(_) => break,
                Err(e) if e.is_retriable() => {
                    self.trouble(format!("what was rejected cannot be put on record: {e}"));
                    self.clock.sleep(wait).await;
                    wait = (wait * 2).min(RETRY_WAIT_MAX);
                }
                Err(e) => return Err(e.into()),
            }
        }
        for note in misfits {
            metrics::counter!(telemetry::REJECTED, "topic" => note.topic.clone()).increment(1);
            tracing::warn!(topic = note.topic, partition = note.partition, offset = note.offset, "a message was rejected");
        }
        Ok(())
    }

    async fn apply(&self, work: Arc<Work>, timers: &Timers) -> Result<Applied, EngineError> {
        let (store, frames, options) = (self.store.clone(), self.frames.clone(), self.options.clone());
        let (timers, wall) = (timers.clone(), self.clock.now());
        blocking(move || apply(&store, &*frames, &options, &timers, &work, wall)).await?
    }

    async fn sources(&self) -> Result<Sources, EngineError> {
        let partitions = self.log.partitions(topics::READS).await?;
        let site_partition = partition_for_key(self.store.site().as_bytes(), partitions);
        let ends = self.log.end_offsets(topics::READS).await?;
        let backlog_end = end_of(&ends, site_partition);
        let group = format!("{}.{}", self.options.group, self.store.site());
        let options = ConsumerOptions::new(group, &[topics::READS], StartFrom::Earliest);
        let consumer = self.log.consumer(options).await?;
        Ok(Sources {
            consumer,
            reads: VecDeque::new(),
            registry: VecDeque::new(),
            registry_complete: false,
            registry_current_at: None,
            site_partition,
            aligned: Vec::new(),
            backlog_end,
            caught_up: false,
            known_until: None,
            began_at: self.clock.now(),
            health: Health::default(),
        })
    }

    /// Compares the store with the journal on the log, which it has followed to its end. A store
    /// that says something else belongs to a former owner and must not decide. A log that is behind
    /// the store has not had its last entries, has lost its end or was put back from an older copy:
    /// what is missing there is published (once more).
    async fn check_journal(&self) -> Result<(), EngineError> {
        let site = self.store.site();
        let partition = partition_for_key(site.as_bytes(), self.log.partitions(topics::JOURNAL).await?);
        let Some(range) = range_of(&*self.log, partition).await? else { return Ok(()) };
        let (last, theirs) = last_seq(&*self.log, site, range).await?.unzip();
        let last = last.unwrap_or(0);
        let mine = self.store.journal_after(last.saturating_sub(1), 1)?.pop().map(|(_, bytes)| bytes);
        if last > 0 && mine.as_deref() != theirs.as_deref() {
            return Err(EngineError::Diverged { site: site.to_owned(), seq: last });
        }
        if last < self.store.published() {
            tracing::warn!(
                journal = last,
                published = self.store.published(),
                "the log has lost the end of the journal; it is published again"
            );
            self.store.publish_again(last)?;
        }
        // Told by the former owner, or by this node before it was stopped.
        self.store.mark_published(last)?;
        Ok(())
    }

    /// A log that ends before the store's offset is not the one that was read: it is read from its
    /// beginning, and what the store has taken in already is passed over by its time.
    async fn check_offsets(&self) -> Result<Option<Instant>, EngineError> {
        let mut rewound = None;
        for topic in [topics::READS, topics::REGISTRY] {
            for range in self.log.ranges(topic).await? {
                if self.store.offset(topic, range.partition)?.is_some_and(|next| next > range.end) {
                    tracing::warn!(
                        topic,
                        partition = range.partition,
                        "the log ends before what was read of it; it is read from its beginning"
                    );
                    let mut batch = self.store.begin();
                    batch.set_offset(topic, range.partition, range.earliest);
                    self.store.commit(batch, true)?;
                    rewound = Some(self.store.journal_head().at);
                }
            }
        }
        Ok(rewound)
    }

    async fn drain(&self, mut publisher: Worker<Result<(), EngineError>>) -> Result<(), EngineError> {
        tokio::select! {
            biased;
            ended = &mut publisher.0 => ended.map_err(|e| EngineError::Worker(format!("publisher: {e}")))?,
            () = self.clock.sleep(DRAIN_WAIT) => {
                tracing::warn!(entries = self.store.outbox_depth(), "stopped with an outbox; it goes out at the next start");
                Ok(())
            }
        }
    }

    fn until(&self, deadline: Instant) -> Duration {
        let us = deadline.micros_since(self.clock.now()).max(0);
        Duration::from_micros(us.unsigned_abs())
    }

    fn trouble(&self, what: String) {
        self.status.send_modify(|s| s.trouble = Some(what));
    }

    async fn gauges(&self, timers: &Timers, sources: &Sources) {
        let age_ms = self.clock.now().millis_since(self.store.registry_head().current_at);
        metrics::gauge!(telemetry::REGISTRY_AGE_SECONDS).set(age_ms.max(0) as f64 / 1e3);
        metrics::gauge!(telemetry::LANES_PENDING).set(timers.values().filter(|t| t.pending).count() as f64);
        metrics::gauge!(telemetry::OUTBOX_ENTRIES).set(self.store.outbox_depth() as f64);
        if let (Ok(ends), Ok(known)) = (self.log.end_offsets(topics::READS).await, self.store.offset(topics::READS, sources.site_partition))
        {
            let end = end_of(&ends, sources.site_partition);
            metrics::gauge!(telemetry::QUEUE_READS).set(end.saturating_sub(known.unwrap_or(0)) as f64);
        }
    }
}

fn end_of(ends: &[u64], partition: u32) -> u64 {
    usize::try_from(partition).ok().and_then(|p| ends.get(p)).map_or(0, |end| *end)
}

impl Sources {
    /// Whether the group has given this node the site's partition: who has it decides.
    fn owned(&self) -> bool {
        self.consumer.assignment().iter().any(|p| p.topic == topics::READS && p.partition == self.site_partition)
    }

    fn registry_came(&mut self, batch: Tailed) {
        self.registry.extend(batch.records);
        self.registry_complete = batch.current_at.is_some();
        if batch.current_at.is_some() {
            self.registry_current_at = batch.current_at;
        }
    }

    /// Takes polled reads in. The store's offsets count, not the group's: a partition that starts
    /// elsewhere is sought once.
    async fn reads_came(&mut self, store: &Store, reads: Vec<Record>) -> Result<(), EngineError> {
        if reads.is_empty() && self.owned() {
            self.caught_up = true;
        }
        for record in &reads {
            if self.aligned.contains(&record.partition) {
                continue;
            }
            self.aligned.push(record.partition);
            let known = store.offset(topics::READS, record.partition)?;
            if known.is_some_and(|next| record.offset > next) {
                let partition = TopicPartition::new(topics::READS, record.partition);
                self.consumer.seek(&partition, known.unwrap_or(0)).await?;
                self.reads.retain(|r| r.partition != record.partition);
                self.reads.extend(reads.iter().filter(|r| r.partition != record.partition).cloned());
                return Ok(());
            }
        }
        if let Some(last) = reads.iter().rev().find(|r| r.partition == self.site_partition) {
            self.caught_up |= last.offset.saturating_add(1) >= self.backlog_end;
        }
        self.reads.extend(reads);
        Ok(())
    }

    /// The next records of one source whose time has come: registry and reads in the order of the
    /// log's times, so that a backlog comes to what it would have come to. While a backlog of reads
    /// is being read, the registry waits for it.
    fn next_run(&mut self, max: usize) -> Vec<Record> {
        let front = |queue: &VecDeque<Record>| queue.front().map(|r| r.timestamp_ms);
        let (source, until) = match (front(&self.registry), front(&self.reads)) {
            (Some(registry), Some(read)) if registry <= read => (&mut self.registry, Some(read)),
            (Some(registry), Some(_)) => (&mut self.reads, Some(registry)),
            (None, Some(_)) if self.registry_complete => (&mut self.reads, None),
            (Some(_), None) if self.caught_up => (&mut self.registry, None),
            (Some(_) | None, None) | (None, Some(_)) => return Vec::new(),
        };
        let run = source.iter().take(max).take_while(|r| until.is_none_or(|u| r.timestamp_ms <= u)).count();
        source.drain(..run.max(1).min(source.len())).collect()
    }

    async fn commit_group(&self, store: &Store) {
        let processed: Vec<_> = self
            .consumer
            .assignment()
            .into_iter()
            .filter_map(|p| {
                let next = store.offset(&p.topic, p.partition).ok().flatten()?;
                Some(portgate_log::Position { topic: p.topic, partition: p.partition, offset: next.checked_sub(1)? })
            })
            .collect();
        if let Err(e) = self.consumer.commit(&processed).await {
            tracing::debug!(error = %e, "the group's progress could not be recorded; the store's counts");
        }
    }
}

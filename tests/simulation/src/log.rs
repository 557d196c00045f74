//! The way to the log, as one process sees it: slow, refusing, losing answers, cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portgate_core::command::{Command, Order};
use portgate_core::time::Instant;
use portgate_log::{
    topics, Consumer, ConsumerOptions, GroupHandle, Health, Log, LogError, LogTransaction, NewRecord, PartitionLag, PartitionRange,
    Position, ReadBatch, Record, Result, TopicPartition, TopicSpec,
};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::plant::Plant;
use crate::process::Process;

/// How bad the way to the log is; chances in a thousand.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Longest ordinary delay, microseconds.
    pub delay_us: u64,
    /// A call that takes seconds.
    pub slow: u64,
    /// A call that is refused.
    pub refuse: u64,
    /// A call that is carried out and not answered.
    pub lose_answer: u64,
}

/// Hears what is handed to a process.
pub type Tap = Arc<dyn Fn(&Record) + Send + Sync>;

/// The log as one process reaches it.
#[derive(Clone)]
pub struct Way {
    cluster: Arc<Cluster>,
    process: Arc<Process>,
    weather: Arc<Weather>,
    calm: Arc<AtomicBool>,
    tap: Option<Tap>,
}

impl Way {
    /// The way of a process. `calm`: set when the faults are over.
    pub fn new(cluster: &Arc<Cluster>, process: &Arc<Process>, weather: &Arc<Weather>, calm: &Arc<AtomicBool>) -> Self {
        Self { cluster: cluster.clone(), process: process.clone(), weather: weather.clone(), calm: calm.clone(), tap: None }
    }

    /// With somebody who hears what is polled.
    #[must_use]
    pub fn tapped(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    fn chance(&self, per_mille: u64) -> bool {
        let drawn = self.process.rng.lock().chance(per_mille);
        drawn && !self.calm.load(Ordering::SeqCst)
    }

    fn is_down(&self) -> bool {
        *self.cluster.down_until.lock() > self.cluster.time.now_us()
    }

    async fn delay(&self) {
        let us = self.process.rng.lock().between(20, self.weather.delay_us.max(30));
        let slow = self.chance(self.weather.slow);
        let us = if slow { us + self.process.rng.lock().between(500_000, 4_000_000) } else { us };
        self.cluster.time.sleep(Duration::from_micros(us)).await;
        self.process.runs().await;
    }

    /// Before a call reaches the log.
    async fn enter(&self) -> Result<()> {
        self.process.runs().await;
        self.delay().await;
        if self.process.is_cut() || self.is_down() {
            let wait = self.process.rng.lock().between(100, 1500);
            self.cluster.time.sleep_ms(wait).await;
            self.process.runs().await;
            return Err(match wait % 2 {
                0 => LogError::Unavailable("no broker answers".into()),
                _ => LogError::Timeout("no answer".into()),
            });
        }
        if self.chance(self.weather.refuse) {
            return Err(LogError::Busy { retry_after_ms: 50 });
        }
        Ok(())
    }

    /// Before its answer reaches the caller.
    async fn answer(&self) -> Result<()> {
        self.delay().await;
        if self.process.is_cut() || self.chance(self.weather.lose_answer) {
            self.cluster.time.sleep_ms(700).await;
            self.process.runs().await;
            return Err(LogError::Timeout("the answer was lost".into()));
        }
        Ok(())
    }

    fn store(&self, records: Vec<NewRecord>, marker: bool) -> Result<Vec<Position>> {
        let records =
            if self.cluster.plant == Some(Plant::ForgeJournal) { records.into_iter().map(|r| self.forged(r)).collect() } else { records };
        self.cluster.store(&self.process.name, records, marker)
    }

    /// Plants a journal on the log that says something else than the store's.
    fn forged(&self, mut record: NewRecord) -> NewRecord {
        if record.topic == topics::DECISIONS && self.process.rng.lock().chance(50) {
            let text = record.value.as_deref().map(|v| String::from_utf8_lossy(v).replace("\"HOLD\"", "\"OPEN\""));
            record.value = text.map(|t| t.into_bytes().into());
        }
        record
    }

    /// What planted bugs make of what is handed over.
    fn bent(&self, mut records: Vec<Record>) -> Vec<Record> {
        match self.cluster.plant {
            Some(Plant::ForgetRepeats) if self.process.name.starts_with("node") => {
                let again: Vec<Record> = records.iter().filter(|r| r.topic == topics::READS).filter_map(|r| self.renamed(r)).collect();
                records.extend(again);
            }
            Some(Plant::CountCardTwice) if self.process.name.starts_with("node") => {
                records.iter_mut().for_each(reissued);
            }
            Some(Plant::BarrierRepeats) if self.process.name.starts_with("barrier") => {
                let again: Vec<Record> = records.iter().filter(|_| self.process.rng.lock().chance(200)).filter_map(fresh).collect();
                records.extend(again);
            }
            Some(Plant::BarrierExpired) if self.process.name.starts_with("barrier") => records.iter_mut().for_each(lasting),
            _ => {}
        }
        records
    }

    fn renamed(&self, record: &Record) -> Option<Record> {
        if !self.process.rng.lock().chance(60) {
            return None;
        }
        let mut value: Value = record.json().ok()?;
        let id = value.get("event_id")?.as_str()?.to_owned();
        value.as_object_mut()?.insert("event_id".into(), format!("{id}-again").into());
        Some(Record { value: Some(value.to_string().into()), ..record.clone() })
    }
}

/// A card that is written once more as if issued anew.
fn reissued(record: &mut Record) {
    if record.key_str().is_some_and(|k| k.starts_with("card/")) {
        if let Ok(mut value) = record.json::<Value>() {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("issue_id".into(), format!("I-{}", record.offset).into());
                record.value = Some(value.to_string().into());
            }
        }
    }
}

fn changed(record: &Record, change: impl FnOnce(&mut Command)) -> Option<Record> {
    let mut command: Command = record.json().ok().filter(|_| record.topic == topics::COMMANDS)?;
    change(&mut command);
    Some(Record { value: serde_json::to_vec(&command).ok().map(Into::into), ..record.clone() })
}

/// The same command as if it were another one.
fn fresh(record: &Record) -> Option<Record> {
    let command: Command = record.json().ok().filter(|_| record.topic == topics::COMMANDS)?;
    (command.order == Order::Open).then(|| {
        changed(record, |c| {
            c.command_id.push('x');
            c.fence += 1;
        })
    })?
}

fn lasting(record: &mut Record) {
    if let Some(lasting) = changed(record, |c| c.expires_at = Instant::from_micros(c.expires_at.as_micros() + 3_600_000_000)) {
        *record = lasting;
    }
}

#[async_trait]
impl Log for Way {
    async fn create_topics(&self, _: &[TopicSpec]) -> Result<()> {
        self.enter().await
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.enter().await?;
        self.cluster.partitions(topic)
    }

    async fn append(&self, record: NewRecord) -> Result<Position> {
        let places = self.append_batch(vec![record]).await?;
        places.into_iter().next().ok_or_else(|| LogError::Unavailable("no place".into()))
    }

    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        self.enter().await?;
        let places = self.store(records, false)?;
        self.answer().await?;
        Ok(places)
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.enter().await?;
        for topic in &options.topics {
            self.cluster.partitions(topic)?;
        }
        let member = self.cluster.join(&options.group, &self.process, &options.topics);
        Ok(Box::new(Member { way: self.clone(), options, state: Mutex::new(State { member, ..State::default() }) }))
    }

    async fn read(&self, topic: &str, partition: u32, from: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        self.enter().await?;
        let end = self.cluster.end(topic, partition);
        if from > end {
            return Err(LogError::OffsetOutOfRange { topic: topic.to_owned(), partition, asked: from, earliest: 0, end });
        }
        let changes = self.cluster.changes();
        let mut timeout = self.cluster.time.sleep(wait);
        loop {
            let seen = changes.version();
            let records = self.cluster.records(topic, partition, from, max);
            if !records.is_empty() || wait.is_zero() {
                let full = records.len() == max;
                let next = records.last().map_or(from, |r| r.offset + 1);
                let end = self.cluster.end(topic, partition);
                return Ok(ReadBatch { records: self.bent(records), next_offset: if full { next } else { end.max(next) } });
            }
            tokio::select! {
                biased;
                () = changes.since(seen) => self.delay().await,
                () = &mut timeout => {
                    self.process.runs().await;
                    return Ok(ReadBatch { records: Vec::new(), next_offset: from });
                }
            }
        }
    }

    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        self.enter().await?;
        let partitions = self.cluster.partitions(topic)?;
        Ok((0..partitions).map(|partition| PartitionRange { partition, earliest: 0, end: self.cluster.end(topic, partition) }).collect())
    }

    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
        let mut found = Vec::new();
        for topic in topics {
            for range in self.ranges(topic).await? {
                let partition = TopicPartition::new(*topic, range.partition);
                let committed = self.cluster.committed(group, &partition);
                let lag = range.end.saturating_sub(committed.unwrap_or(0));
                found.push(PartitionLag { partition, committed, end: range.end, lag });
            }
        }
        Ok(found)
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn LogTransaction>> {
        self.enter().await?;
        let epoch = self.cluster.hold(id);
        self.cluster.trace.note(self.cluster.time.now_us(), || format!("{}: holds {id} in epoch {epoch}", self.process.name));
        self.answer().await?;
        Ok(Box::new(Transaction { way: self.clone(), id: id.to_owned(), epoch, open: None }))
    }

    async fn health(&self) -> Health {
        Health { ok: !self.is_down(), backend: if self.cluster.kafka { "kafka" } else { "embedded" }, detail: String::new() }
    }
}

/// A member of a group.
struct Member {
    way: Way,
    options: ConsumerOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    member: u64,
    held: Vec<TopicPartition>,
    next: BTreeMap<TopicPartition, u64>,
    closed: bool,
}

impl Member {
    /// What the group has decided, taken over.
    fn attend(&self) {
        let cluster = &self.way.cluster;
        let mut state = self.state.lock();
        let held = match cluster.coordinate(&self.options.group, state.member) {
            Some(held) => held,
            None => {
                state.member = cluster.join(&self.options.group, &self.way.process, &self.options.topics);
                Vec::new()
            }
        };
        state.next.retain(|place, _| held.contains(place));
        for place in &held {
            let committed = cluster.committed(&self.options.group, place);
            state.next.entry(place.clone()).or_insert(committed.unwrap_or(0));
        }
        state.held = held;
    }

    /// What is there, taken.
    fn take(&self, max: usize) -> Vec<Record> {
        let mut state = self.state.lock();
        let mut held = state.held.clone();
        if held.len() > 1 && self.way.process.rng.lock().chance(500) {
            held.reverse();
        }
        let mut found = Vec::new();
        for place in held {
            let from = state.next.get(&place).copied().unwrap_or(0);
            let records = self.way.cluster.records(&place.topic, place.partition, from, max.saturating_sub(found.len()));
            if let Some(last) = records.last() {
                state.next.insert(place, last.offset + 1);
            }
            found.extend(records);
        }
        drop(state);
        let found = self.way.bent(found);
        if let Some(tap) = &self.way.tap {
            found.iter().for_each(|r| tap(r));
        }
        found
    }
}

#[async_trait]
impl Consumer for Member {
    async fn poll(&self, max: usize, timeout: Duration) -> Result<Vec<Record>> {
        let way = &self.way;
        way.process.runs().await;
        let changes = way.cluster.changes();
        let mut over = way.cluster.time.sleep(timeout);
        loop {
            let seen = changes.version();
            if !way.process.is_cut() && !way.is_down() {
                way.delay().await;
                if way.chance(way.weather.refuse) {
                    return Err(LogError::Unavailable("the broker has gone".into()));
                }
                if !way.process.is_cut() {
                    // No await from here on: a poll that is dropped has taken nothing.
                    self.attend();
                    let records = self.take(max);
                    if !records.is_empty() {
                        return Ok(records);
                    }
                }
            }
            tokio::select! {
                biased;
                () = &mut over => {
                    way.process.runs().await;
                    return Ok(Vec::new());
                }
                () = changes.since(seen), if !way.process.is_cut() => {}
            }
        }
    }

    async fn commit(&self, processed: &[Position]) -> Result<()> {
        self.way.enter().await?;
        let member = self.state.lock().member;
        let mut next: BTreeMap<TopicPartition, u64> = BTreeMap::new();
        for position in processed {
            let furthest = next.entry(TopicPartition::new(position.topic.clone(), position.partition)).or_insert(0);
            *furthest = (*furthest).max(position.offset + 1);
        }
        for (place, next) in next {
            if !self.way.cluster.commit(&self.options.group, member, &place, next) {
                return Err(LogError::NotAssigned { topic: place.topic, partition: place.partition });
            }
        }
        self.way.answer().await
    }

    async fn seek(&self, partition: &TopicPartition, offset: u64) -> Result<()> {
        self.way.process.runs().await;
        let mut state = self.state.lock();
        if !state.held.contains(partition) {
            return Err(LogError::NotAssigned { topic: partition.topic.clone(), partition: partition.partition });
        }
        state.next.insert(partition.clone(), offset);
        Ok(())
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.state.lock().held.clone()
    }

    fn group(&self) -> Result<GroupHandle> {
        Err(LogError::Closed)
    }

    async fn close(&self) -> Result<()> {
        self.way.enter().await?;
        self.leave();
        Ok(())
    }
}

impl Member {
    fn leave(&self) {
        let mut state = self.state.lock();
        if !state.closed {
            state.closed = true;
            state.held.clear();
            self.way.cluster.leave(&self.options.group, state.member);
        }
    }
}

impl Drop for Member {
    /// A process that ends in order leaves; one that dies does not.
    fn drop(&mut self) {
        if !self.way.process.is_dead() && !self.way.process.is_cut() {
            self.leave();
        } else {
            self.way.cluster.vanish(&self.options.group, self.state.lock().member);
        }
    }
}

/// The holder of a transactional id.
struct Transaction {
    way: Way,
    id: String,
    epoch: u64,
    open: Option<Vec<NewRecord>>,
}

impl Transaction {
    fn fenced(&self) -> Result<()> {
        match self.way.cluster.holds(&self.id, self.epoch) {
            true => Ok(()),
            false => Err(LogError::Fenced(self.id.clone())),
        }
    }
}

#[async_trait]
impl LogTransaction for Transaction {
    async fn begin(&mut self) -> Result<()> {
        if self.open.is_some() {
            return Err(LogError::Invalid("a transaction has begun already".into()));
        }
        self.open = Some(Vec::new());
        Ok(())
    }

    async fn append(&mut self, record: NewRecord) -> Result<()> {
        let dirty = self.way.cluster.plant == Some(Plant::CommandBeforeCommit) && record.topic == topics::COMMANDS;
        let open = self.open.as_mut().ok_or_else(|| LogError::Invalid("no transaction has begun".into()))?;
        if dirty {
            self.way.store(vec![record.clone()], false)?;
            if self.way.chance(100) {
                self.way.process.kill();
            }
        } else {
            open.push(record);
        }
        Ok(())
    }

    async fn send_offsets(&mut self, _: &GroupHandle, _: &[Position]) -> Result<()> {
        Err(LogError::Invalid("no group hands its offsets out here".into()))
    }

    async fn commit(&mut self) -> Result<Vec<Position>> {
        if self.open.is_none() {
            return Err(LogError::Invalid("no transaction has begun".into()));
        }
        match self.way.enter().await {
            Ok(()) => {}
            Err(LogError::Timeout(what)) => {
                // It may still arrive, as long as nobody has taken the id over.
                let records = self.open.take().unwrap_or_default();
                let (way, id, epoch) = (self.way.clone(), self.id.clone(), self.epoch);
                let late_ms = way.process.rng.lock().between(1, 6000);
                let arrives = way.process.rng.lock().chance(400);
                if arrives {
                    tokio::spawn(async move {
                        way.cluster.time.sleep_ms(late_ms).await;
                        if way.cluster.holds(&id, epoch) {
                            // Nobody is left to be told.
                            let _ = way.store(records, true);
                        }
                    });
                }
                return Err(LogError::Timeout(what));
            }
            Err(e) => return Err(LogError::MustAbort(e.to_string())),
        }
        self.fenced()?;
        let records = self.open.take().unwrap_or_default();
        let places = self.way.store(records, true)?;
        self.way.answer().await?;
        Ok(places)
    }

    async fn abort(&mut self) -> Result<()> {
        self.open = None;
        self.way.enter().await?;
        self.fenced()
    }
}

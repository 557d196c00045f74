//! What the simulated log holds: topics, groups, transactional ids. No faults here: they sit on the
//! way to it ([`crate::log`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use portgate_log::{partition_for_key, LogError, NewRecord, Position, Record, Result, TopicPartition};

use crate::plant::Plant;
use crate::process::{wall, Process};
use crate::rng::Rng;
use crate::signal::Signal;
use crate::time::Time;
use crate::trace::Trace;

/// A member of which nothing is heard for so long is put out of its group, microseconds.
pub const SESSION_US: u64 = 10_000_000;

/// The log, as all processes share it.
pub struct Cluster {
    /// Kafka's rules (transactions, sessions) or those of the log in one process.
    pub kafka: bool,
    /// The world's time.
    pub time: Arc<Time>,
    /// What happened.
    pub trace: Arc<Trace>,
    /// The planted bug.
    pub plant: Option<Plant>,
    /// Until when it answers nobody.
    pub down_until: Mutex<u64>,
    inner: Mutex<Inner>,
    changes: Signal,
}

struct Inner {
    topics: BTreeMap<String, Vec<Vec<Record>>>,
    ends: BTreeMap<TopicPartition, u64>,
    groups: BTreeMap<String, Group>,
    ids: BTreeMap<String, u64>,
    members: u64,
    rng: Rng,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<u64, Member>,
    owners: BTreeMap<TopicPartition, u64>,
    committed: BTreeMap<TopicPartition, u64>,
    moving: bool,
}

struct Member {
    process: Arc<Process>,
    topics: Vec<String>,
    joined_us: u64,
    /// It ended without a word.
    gone_us: Option<u64>,
}

impl Cluster {
    /// A log with these topics, of one partition each.
    pub fn new<'a>(
        kafka: bool,
        topics: impl Iterator<Item = &'a str>,
        plant: Option<Plant>,
        time: &Arc<Time>,
        trace: &Arc<Trace>,
        rng: Rng,
    ) -> Arc<Self> {
        let topics = topics.map(|name| (name.to_owned(), vec![Vec::new()])).collect();
        Arc::new(Self {
            kafka,
            time: time.clone(),
            trace: trace.clone(),
            plant,
            down_until: Mutex::new(0),
            inner: Mutex::new(Inner { topics, ends: BTreeMap::new(), groups: BTreeMap::new(), ids: BTreeMap::new(), members: 0, rng }),
            changes: Signal::default(),
        })
    }

    /// Every change.
    pub fn changes(&self) -> &Signal {
        &self.changes
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, topic: &str) -> Result<u32> {
        let inner = self.inner.lock();
        let parts = inner.topics.get(topic).ok_or_else(|| LogError::UnknownTopic(topic.to_owned()))?;
        Ok(u32::try_from(parts.len()).unwrap_or(u32::MAX))
    }

    /// The offset the next record gets.
    pub fn end(&self, topic: &str, partition: u32) -> u64 {
        self.inner.lock().ends.get(&TopicPartition::new(topic, partition)).copied().unwrap_or(0)
    }

    /// Stores records, all of them. `marker`: a transaction's, which takes a place of its own.
    pub fn store(&self, by: &str, records: Vec<NewRecord>, marker: bool) -> Result<Vec<Position>> {
        let now_ms = wall(self.time.now_us()).as_millis();
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if let Some(record) = records.iter().find(|r| !inner.topics.contains_key(&r.topic)) {
            return Err(LogError::UnknownTopic(record.topic.clone()));
        }
        let mut places = Vec::with_capacity(records.len());
        let lost = match self.plant {
            Some(Plant::LoseOutboxRow) if records.len() > 1 && inner.rng.chance(60) => inner.rng.below(records.len() as u64),
            Some(Plant::LoseRead) if records.iter().any(|r| r.topic == portgate_log::topics::READS) && inner.rng.chance(30) => 0,
            _ => u64::MAX,
        };
        let mut touched: Vec<TopicPartition> = Vec::new();
        for (n, record) in records.into_iter().enumerate() {
            let parts = inner.topics.get_mut(&record.topic).ok_or_else(|| LogError::UnknownTopic(record.topic.clone()))?;
            let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            let partition = record.partition.unwrap_or_else(|| partition_for_key(record.key.as_deref().unwrap_or_default(), count));
            let place = TopicPartition::new(record.topic.clone(), partition);
            let end = inner.ends.entry(place.clone()).or_insert(0);
            let offset = *end;
            places.push(Position { topic: record.topic.clone(), partition, offset });
            if n as u64 == lost {
                self.trace.note(self.time.now_us(), || format!("{by}: the log loses a record of {place}"));
                continue;
            }
            *end += 1;
            self.trace.note(self.time.now_us(), || {
                let value = record.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                format!("{by} → {place}@{offset} {}", value.chars().take(400).collect::<String>())
            });
            let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
            let stored = Record {
                topic: record.topic,
                partition,
                offset,
                key: record.key,
                value: record.value,
                headers: record.headers,
                timestamp_ms,
            };
            if let Some(part) = usize::try_from(partition).ok().and_then(|p| parts.get_mut(p)) {
                part.push(stored);
            }
            if !touched.contains(&place) {
                touched.push(place);
            }
        }
        if marker {
            for place in touched {
                *inner.ends.entry(place).or_insert(0) += 1;
            }
        }
        self.changes.change();
        Ok(places)
    }

    /// Takes the last `n` records of every topic away, as a power cut does to what was not synced.
    pub fn lose_tail(&self, n: usize) {
        let mut inner = self.inner.lock();
        let Inner { topics, ends, .. } = &mut *inner;
        for (topic, parts) in topics.iter_mut() {
            for (p, part) in parts.iter_mut().enumerate() {
                part.truncate(part.len().saturating_sub(n));
                let end = part.last().map_or(0, |r| r.offset + 1);
                ends.insert(TopicPartition::new(topic.clone(), u32::try_from(p).unwrap_or(0)), end);
            }
        }
    }

    /// Records of a partition from an offset on.
    pub fn records(&self, topic: &str, partition: u32, from: u64, max: usize) -> Vec<Record> {
        let inner = self.inner.lock();
        let part = inner.topics.get(topic).and_then(|parts| parts.get(usize::try_from(partition).ok()?));
        let Some(part) = part else { return Vec::new() };
        let start = part.partition_point(|r| r.offset < from);
        part.iter().skip(start).take(max).cloned().collect()
    }

    /// Every record of a topic, partition by partition.
    pub fn all(&self, topic: &str) -> Vec<Record> {
        let n = self.partitions(topic).unwrap_or(0);
        (0..n).flat_map(|p| self.records(topic, p, 0, usize::MAX)).collect()
    }

    // ---- transactional ids ----------------------------------------------------------------

    /// A newer holder of the id; answers with its epoch.
    pub fn hold(&self, id: &str) -> u64 {
        let mut inner = self.inner.lock();
        let epoch = inner.ids.entry(id.to_owned()).or_insert(0);
        *epoch += 1;
        *epoch
    }

    /// Whether that holder is still the newest.
    pub fn holds(&self, id: &str, epoch: u64) -> bool {
        let forgotten = matches!(self.plant, Some(Plant::ForgetFence | Plant::TakeOverEarly));
        forgotten || self.inner.lock().ids.get(id) == Some(&epoch)
    }

    // ---- groups ---------------------------------------------------------------------------

    /// A new member.
    pub fn join(&self, group: &str, process: &Arc<Process>, topics: &[String]) -> u64 {
        let mut inner = self.inner.lock();
        inner.members += 1;
        let id = inner.members;
        let delay = inner.rng.between(5, 400) * 1000;
        let member = Member { process: process.clone(), topics: topics.to_vec(), joined_us: self.time.now_us() + delay, gone_us: None };
        inner.groups.entry(group.to_owned()).or_default().members.insert(id, member);
        id
    }

    /// A member that leaves in order.
    pub fn leave(&self, group: &str, member: u64) {
        let mut inner = self.inner.lock();
        if let Some(group) = inner.groups.get_mut(group) {
            group.members.remove(&member);
            group.owners.retain(|_, owner| *owner != member);
        }
        drop(inner);
        self.changes.change();
    }

    /// A member that has ended and could not say so.
    pub fn vanish(&self, group: &str, member: u64) {
        let now = self.time.now_us();
        if let Some(member) = self.inner.lock().groups.get_mut(group).and_then(|g| g.members.get_mut(&member)) {
            member.gone_us = Some(now);
        }
    }

    /// Puts members out of whom nothing is heard, and shares the partitions out. Answers with what
    /// the member holds; none: it is no member any more.
    pub fn coordinate(&self, group: &str, member: u64) -> Option<Vec<TopicPartition>> {
        let now = self.time.now_us();
        let early = self.plant == Some(Plant::TakeOverEarly);
        let mut inner = self.inner.lock();
        let Inner { topics, groups, rng, .. } = &mut *inner;
        let g = groups.get_mut(group)?;
        let session = if self.kafka { SESSION_US } else { 0 };
        g.members.retain(|_, m| {
            let gone = m.gone_us.is_some_and(|since| now.saturating_sub(since) > session);
            !gone && (m.process.silent_us() <= session || !self.kafka && !m.process.is_dead())
        });
        let alive: Vec<u64> = g.members.keys().copied().collect();
        g.owners.retain(|_, owner| alive.contains(owner));
        let mut wanted: Vec<TopicPartition> = Vec::new();
        for name in g.members.values().flat_map(|m| &m.topics) {
            for partition in 0..u32::try_from(topics.get(name).map_or(0, Vec::len)).unwrap_or(0) {
                let place = TopicPartition::new(name.clone(), partition);
                if !wanted.contains(&place) {
                    wanted.push(place);
                }
            }
        }
        for place in wanted {
            if let Some(owner) = g.owners.get(&place) {
                let taken = early && *owner != member && g.members.len() > 1 && rng.chance(4);
                // Given up in order: the member that holds it asks, and it moves.
                let moves = g.moving && *owner == member && g.members.len() > 1;
                if !taken && !moves {
                    continue;
                }
                g.moving = false;
            }
            let before = g.owners.get(&place).copied();
            let ready = g.members.iter().filter(|(id, m)| m.joined_us <= now && Some(**id) != before && m.topics.contains(&place.topic));
            let load = |id: u64| g.owners.values().filter(|o| **o == id).count();
            if let Some(next) = ready.map(|(id, _)| *id).min_by_key(|id| (load(*id), *id)) {
                let name = g.members.get(&next).map(|m| m.process.name.clone()).unwrap_or_default();
                self.trace.note(now, || format!("group {group}: {place} goes to {name}"));
                g.owners.insert(place, next);
            }
        }
        g.members.contains_key(&member).then(|| g.owners.iter().filter(|(_, o)| **o == member).map(|(p, _)| p.clone()).collect())
    }

    /// The group is shared out anew when a member that holds something asks next.
    pub fn rebalance(&self, group: &str) {
        if let Some(group) = self.inner.lock().groups.get_mut(group) {
            group.moving = true;
        }
    }

    /// Records how far a member is. False: it does not hold the partition.
    pub fn commit(&self, group: &str, member: u64, place: &TopicPartition, next: u64) -> bool {
        let mut inner = self.inner.lock();
        let Some(group) = inner.groups.get_mut(group) else { return false };
        if group.owners.get(place) != Some(&member) {
            return false;
        }
        group.committed.insert(place.clone(), next);
        true
    }

    /// How far the group is.
    pub fn committed(&self, group: &str, place: &TopicPartition) -> Option<u64> {
        self.inner.lock().groups.get(group).and_then(|g| g.committed.get(place).copied())
    }
}

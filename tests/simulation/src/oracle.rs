//! What must hold, whatever breaks. Fed with what went in (reads and registry changes as the log
//! acknowledged them), with what came out (topics, arms) and with what the stores hold afterwards;
//! it shares no state with the engine, and no code but the types of the messages and the replay.

use std::collections::{BTreeMap, BTreeSet};

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::{Ending, JournalEntry, JournalEvent};
use portgate_core::read::BarrierReport;
use portgate_core::site::Replay;
use portgate_core::time::Instant;
use portgate_log::{topics, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::Cluster;
use crate::machine::Raise;
use crate::process::wall;

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name, `I1` to `I8`.
    pub invariant: &'static str,
    /// What happened, in words.
    pub what: String,
}

/// The invariants, by name.
pub const INVARIANTS: [(&str, &str); 8] = [
    ("I1", "no arm goes up without a command that stands in the surviving journal after the decision that allows it; at most once per command, at most one command alive per approach, never after its expiry"),
    ("I2", "every accepted read and registry change is in the journal exactly once, or dropped or rejected with a reason"),
    ("I3", "a single-use credential serves once per issue; it is never reserved twice at a time"),
    ("I4", "the journal has neither gaps nor repeats, its chain holds, replay gives the same decisions, and every store holds a beginning of it"),
    ("I5", "what is published is what the journal says"),
    ("I6", "at rest no lane is undecided beyond its deadlines, nothing waits to be published, everything is taken in"),
    ("I7", "an examination of the stores finds nothing"),
    ("I8", "a vehicle under a ban is not opened for by machine"),
];

/// The oracle of one world.
pub struct Oracle {
    site: String,
    violations: Vec<Violation>,
    journal: Vec<Vec<u8>>,
    read_to: u64,
    chain: Vec<u8>,
    // From the journal, in its order.
    reads: BTreeMap<String, u64>,
    dropped: BTreeMap<String, u64>,
    registry: Vec<(String, String, Option<Value>)>,
    decisions: BTreeMap<(String, u32), Decision>,
    commands: BTreeMap<String, Command>,
    fences: BTreeMap<String, u64>,
    alive: BTreeMap<String, Alive>,
    opened_by_machine: BTreeMap<String, u32>,
    issues: BTreeMap<String, BTreeSet<String>>,
    served: BTreeMap<String, u64>,
    bans: BTreeMap<String, String>,
    passages: BTreeSet<String>,
    // At the barriers.
    delivered: BTreeMap<String, Vec<(Command, u64)>>,
    raised: BTreeMap<String, u64>,
    expiry_slack_us: i64,
}

/// A command that its vehicle has not ended.
struct Alive {
    command_id: String,
    claims: Vec<String>,
    expires_at: Instant,
    /// The barrier has said that it obeyed.
    obeyed: bool,
    /// It is not meant any more, and yet its vehicle may be found to have gone through on it until then.
    until: Option<Instant>,
}

/// How long what a barrier or a loop says of a command that is over may take, milliseconds.
const WORD_MS: i64 = 30_000;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    site: &'a RawValue,
    seq: u64,
    #[serde(borrow)]
    at: &'a RawValue,
    chain: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl Oracle {
    /// An oracle of a site. `skew_max_us`: how far honest clocks are apart at most.
    pub fn new(site: &str, skew_max_us: i64) -> Self {
        Self {
            site: site.to_owned(),
            violations: Vec::new(),
            journal: Vec::new(),
            read_to: 0,
            chain: vec![0; 32],
            reads: BTreeMap::new(),
            dropped: BTreeMap::new(),
            registry: Vec::new(),
            decisions: BTreeMap::new(),
            commands: BTreeMap::new(),
            fences: BTreeMap::new(),
            alive: BTreeMap::new(),
            opened_by_machine: BTreeMap::new(),
            issues: BTreeMap::new(),
            served: BTreeMap::new(),
            bans: BTreeMap::new(),
            passages: BTreeSet::new(),
            delivered: BTreeMap::new(),
            raised: BTreeMap::new(),
            expiry_slack_us: skew_max_us,
        }
    }

    /// What has been violated so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Entries of the journal seen.
    pub fn entries(&self) -> usize {
        self.journal.len()
    }

    /// The journal as published, entry by entry.
    pub fn journal(&self) -> &[Vec<u8>] {
        &self.journal
    }

    /// How many decisions, commands, passages and uses were seen.
    pub fn counts(&self) -> [u64; 4] {
        let uses: u64 = self.served.values().sum();
        [self.decisions.len() as u64, self.commands.len() as u64, self.passages.len() as u64, uses]
    }

    /// Puts a violation on record.
    pub fn violated(&mut self, invariant: &'static str, what: impl Into<String>) {
        let violation = Violation { invariant, what: what.into() };
        if self.violations.len() < 20 && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    /// A command handed to the barriers.
    pub fn delivered(&mut self, record: &Record, at_us: u64) {
        if record.topic != topics::COMMANDS {
            return;
        }
        if let Ok(command) = record.json::<Command>() {
            self.delivered.entry(command.lane.clone()).or_default().push((command, at_us));
        }
    }

    /// An arm goes up: which command was it, and did it still hold?
    pub fn raised(&mut self, raise: &Raise, cluster: &Cluster) {
        // What barriers were told may be bent on the way; the log says what was commanded.
        let told: Vec<Command> = cluster.all(topics::COMMANDS).iter().filter_map(|r| r.json().ok()).collect();
        let heard = self.delivered.get(&raise.lane).cloned().unwrap_or_default();
        // Of several heard at once the first that still holds and has not been raised for; else the last.
        let open = heard.iter().filter(|(c, at)| c.order == Order::Open && *at <= raise.at_us);
        let taken_back = |id: &str| heard.iter().any(|(c, at)| c.order == Order::Withdraw && c.command_id == id && *at <= raise.at_us);
        let holds =
            |c: &Command| !self.raised.contains_key(&c.command_id) && wall(raise.at_us) < c.expires_at && !taken_back(&c.command_id);
        let first = open.clone().filter(|(c, _)| holds(c)).min_by_key(|(c, _)| c.fence);
        let Some((heard, _)) = first.or_else(|| open.max_by_key(|(c, _)| c.fence)) else {
            return self.violated("I1", format!("{}: raised without any command", raise.lane));
        };
        let id = heard.command_id.clone();
        let Some(command) = told.iter().find(|c| c.command_id == id && c.order == Order::Open) else {
            return self.violated("I1", format!("{}: raised on {id}, which was never commanded", raise.lane));
        };
        let late_us = wall(raise.at_us).micros_since(command.expires_at);
        let withdrawn = self
            .delivered
            .get(&raise.lane)
            .is_some_and(|all| all.iter().any(|(c, at)| c.order == Order::Withdraw && c.command_id == id && *at < raise.at_us));
        if late_us > self.expiry_slack_us {
            self.violated("I1", format!("{}: raised on {id} {late_us} µs after its expiry", raise.lane));
        }
        if withdrawn {
            self.violated("I1", format!("{}: raised on {id}, which had been withdrawn", raise.lane));
        }
        let times = self.raised.entry(id.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            self.violated("I1", format!("{}: raised twice on {id}", raise.lane));
        }
    }

    /// Takes in what has been published since.
    pub fn follow(&mut self, cluster: &Cluster) {
        let records = cluster.records(topics::JOURNAL, 0, self.read_to, usize::MAX);
        for record in records {
            self.read_to = record.offset + 1;
            let value = record.value.as_deref().unwrap_or_default().to_vec();
            self.published(cluster, &value);
        }
    }

    fn published(&mut self, cluster: &Cluster, bytes: &[u8]) {
        let Ok(raw) = serde_json::from_slice::<Raw<'_>>(bytes) else {
            return self.violated("I4", "an entry of the journal cannot be read");
        };
        let next = self.journal.len() as u64 + 1;
        if raw.seq < next {
            let before = usize::try_from(raw.seq.saturating_sub(1)).ok().and_then(|n| self.journal.get(n));
            if before.map(Vec::as_slice) != Some(bytes) {
                self.violated("I4", format!("entry {} stands in the journal twice, differently", raw.seq));
            } else if cluster.kafka {
                self.violated("I4", format!("entry {} stands in the journal twice", raw.seq));
            }
            return;
        }
        if raw.seq > next {
            self.violated("I4", format!("entry {} follows {}", raw.seq, next - 1));
        }
        let body = format!("[{},{},{},{}]", raw.site.get(), raw.seq, raw.at.get(), raw.event.get());
        let chain = Sha256::new().chain_update(&self.chain).chain_update(body).finalize().to_vec();
        if hex::encode(&chain) != raw.chain {
            self.violated("I4", format!("the chain breaks at entry {}", raw.seq));
        }
        self.chain = chain;
        self.journal.push(bytes.to_vec());
        match serde_json::from_slice::<JournalEntry>(bytes) {
            Ok(entry) => self.event(&entry),
            Err(e) => self.violated("I4", format!("entry {} cannot be read: {e}", raw.seq)),
        }
    }

    fn event(&mut self, entry: &JournalEntry) {
        match &entry.event {
            JournalEvent::Read { read } => {
                let id = read.event_id.clone().unwrap_or_default();
                let times = self.reads.entry(id.clone()).or_insert(0);
                *times += 1;
                if *times > 1 {
                    self.violated("I2", format!("read {id} is taken in twice"));
                }
                if let Some(report) = &read.barrier {
                    self.reported(report);
                }
            }
            JournalEvent::Dropped { event_id, .. } => *self.dropped.entry(event_id.clone()).or_insert(0) += 1,
            JournalEvent::Registry { kind, id, value, .. } => {
                let field = |name: &str| value.as_ref().and_then(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
                if kind == "ban" {
                    match value {
                        Some(_) => self.bans.insert(id.clone(), field("plate")),
                        None => self.bans.remove(id),
                    };
                }
                self.registry.push((kind.clone(), id.clone(), value.clone()));
            }
            JournalEvent::Decision { decision } => self.decided(decision, entry.at),
            JournalEvent::Command { command } => self.commanded(command, entry.at),
            JournalEvent::Passage { passage } => {
                if !self.passages.insert(passage.passage_id.clone()) {
                    self.violated("I2", format!("passage {} stands twice", passage.passage_id));
                }
                if let Some(approach) = &passage.approach_id {
                    self.alive.remove(approach);
                }
            }
            JournalEvent::Used { used } => {
                if matches!(used.effect.as_str(), "SINGLE_CARD_CONSUMED" | "RECEPTION_CONSUMED" | "EXIT_PERMIT_USED") {
                    let what = format!("{} {}", used.effect, used.id);
                    let times = self.served.entry(what.clone()).or_insert(0);
                    *times += 1;
                    let times = *times;
                    let issued = self.issues.get(&format!("{}/{}", used.kind, used.id)).map_or(1, |i| i.len() as u64);
                    if times > issued {
                        self.violated("I3", format!("{what} for the {times}th time, issued {issued} times"));
                    }
                }
            }
            JournalEvent::Ended { approach_id, ending, .. } if *ending != Ending::Passed => {
                self.alive.remove(approach_id);
            }
            _ => {}
        }
    }

    /// What a barrier says of a command: that it obeyed, or that it never did.
    fn reported(&mut self, report: &BarrierReport) {
        let Some((approach, alive)) = self.alive.iter_mut().find(|(_, a)| Some(&a.command_id) == report.command_id.as_ref()) else {
            return;
        };
        match report.state {
            BarrierState::Opening | BarrierState::Open => alive.obeyed = true,
            BarrierState::Rejected | BarrierState::Expired | BarrierState::Fault if !alive.obeyed => {
                let approach = approach.clone();
                self.alive.remove(&approach);
            }
            _ => {}
        }
    }

    fn decided(&mut self, decision: &Decision, at: Instant) {
        let key = (decision.id.clone(), decision.version);
        if decision.version > 1 && !self.decisions.contains_key(&(decision.id.clone(), decision.version - 1)) {
            self.violated("I4", format!("{} version {} without the one before", decision.id, decision.version));
        }
        if decision.verdict == Verdict::Open && decision.by.is_none() {
            if let Some(plate) = &decision.plate {
                if self.bans.values().any(|banned| banned == plate) {
                    self.violated("I8", format!("{} version {} opens under a ban", decision.id, decision.version));
                }
            }
        }
        // Not executed in time, as far as is known, or in vain.
        if decision.reasons.iter().any(|r| r.code == "SYS_COMMAND_EXPIRED") {
            if let Some(alive) = self.alive.get_mut(&decision.approach_id) {
                alive.until = Some(if alive.obeyed { at } else { alive.expires_at }.plus_millis(WORD_MS));
            }
        }
        if self.decisions.insert(key, decision.clone()).is_some() {
            self.violated("I4", format!("{} version {} is decided twice", decision.id, decision.version));
        }
    }

    fn commanded(&mut self, command: &Command, at: Instant) {
        let id = &command.command_id;
        let fence = self.fences.entry(command.lane.clone()).or_insert(0);
        if command.fence <= *fence {
            let what = format!("{id} has fence {} after {}", command.fence, *fence);
            self.violated("I1", what);
        } else {
            *fence = command.fence;
        }
        if command.order == Order::Withdraw {
            if let Some(alive) = self.alive.get_mut(&command.approach_id).filter(|a| a.command_id == *id) {
                alive.until = Some(command.expires_at.plus_millis(WORD_MS));
            }
            return;
        }
        let decision = self.decisions.get(&(command.decision_id.clone(), command.decision_version)).cloned();
        match &decision {
            Some(d) if d.verdict == Verdict::Open && d.approach_id == command.approach_id && d.lane == command.lane => {
                if d.by.is_none() {
                    let times = self.opened_by_machine.entry(command.approach_id.clone()).or_insert(0);
                    *times += 1;
                    if *times > 1 {
                        self.violated("I1", format!("{} is opened for twice by machine", command.approach_id));
                    }
                }
            }
            _ => self.violated("I1", format!("{id} without a decision before it that allows it")),
        }
        if let Some(before) = self.alive.get(&command.approach_id).filter(|a| a.until.is_none()) {
            let what = format!("{id} while {} of the same approach is alive", before.command_id);
            self.violated("I1", what);
        }
        let claims: Vec<String> = decision.map(|d| claims(&d)).unwrap_or_default();
        let others = self.alive.iter().filter(|(approach, a)| **approach != command.approach_id && a.until.is_none_or(|until| at < until));
        let twice = others.into_iter().find_map(|(approach, a)| {
            let claim = a.claims.iter().find(|c| claims.contains(c))?;
            Some(format!("{claim} is reserved by {} and by {approach}", command.approach_id))
        });
        if let Some(what) = twice {
            self.violated("I3", what);
        }
        self.alive.insert(
            command.approach_id.clone(),
            Alive { command_id: id.clone(), claims, expires_at: command.expires_at, obeyed: false, until: None },
        );
        if self.commands.insert(id.clone(), command.clone()).is_some() {
            self.violated("I1", format!("{id} is commanded twice"));
        }
    }

    /// Registry records as they were written: how often each credential was issued.
    pub fn issued(&mut self, written: &[Record]) {
        for record in written {
            if let (Some(key), Ok(value)) = (record.key_str(), record.json::<Value>()) {
                let issue = value.get("issue_id").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.issues.entry(key.to_owned()).or_default().insert(issue);
            }
        }
    }

    /// What a store holds against what was published: up to `published` both are the same.
    pub fn store(&mut self, node: &str, entries: &[Vec<u8>], published: u64) {
        for (n, bytes) in entries.iter().enumerate().take(usize::try_from(published).unwrap_or(usize::MAX)) {
            match self.journal.get(n) {
                Some(theirs) if theirs == bytes => {}
                Some(_) => return self.violated("I4", format!("{node} holds another entry {} than was published", n + 1)),
                None => return self.violated("I5", format!("{node} takes entry {} for published, and it is not", n + 1)),
            }
        }
    }

    /// At the end, when the world has come to rest. `accepted`: ids of reads that were acknowledged.
    pub fn finish(&mut self, cluster: &Cluster, accepted: &BTreeSet<String>, rejected_expected: usize) {
        self.follow(cluster);
        self.taken_in(cluster, accepted, rejected_expected);
        self.compare_topics(cluster);
        self.replayed();
        for id in self.raised.keys().cloned().collect::<Vec<_>>() {
            if !self.commands.contains_key(&id) {
                self.violated("I1", format!("raised on {id}, which the journal does not hold"));
            }
        }
    }

    fn taken_in(&mut self, cluster: &Cluster, accepted: &BTreeSet<String>, rejected_expected: usize) {
        let rejected: Vec<Value> = cluster.all(topics::REJECTED).iter().filter_map(|r| r.json().ok()).collect();
        let is_rejected = |topic: &str, offset: u64| {
            rejected
                .iter()
                .any(|r| r.get("topic").and_then(Value::as_str) == Some(topic) && r.get("offset").and_then(Value::as_u64) == Some(offset))
        };
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        let mut misfits = 0;
        for record in cluster.all(topics::READS) {
            let value: Option<Value> = record.json().ok();
            let own = value.as_ref().and_then(|v| v.get("event_id")).and_then(Value::as_str).map(str::to_owned);
            let id = own.unwrap_or_else(|| format!("{}-{}-{}-{}", record.topic, record.partition, record.offset, record.timestamp_ms));
            *known.entry(id.clone()).or_insert(0) += 1;
            let (read, dropped) = (self.reads.get(&id).copied().unwrap_or(0), self.dropped.get(&id).copied().unwrap_or(0));
            if is_rejected(topics::READS, record.offset) {
                misfits += 1;
            } else if read + dropped == 0 {
                self.violated("I2", format!("read {id} is on the log and nowhere in the journal"));
            }
        }
        if misfits < rejected_expected {
            self.violated("I2", format!("{misfits} misfits are on record, {rejected_expected} were sent"));
        }
        for id in accepted.iter().filter(|id| !known.contains_key(*id)).cloned().collect::<Vec<_>>() {
            if !self.reads.contains_key(&id) {
                self.violated("I2", format!("read {id} was accepted and is lost"));
            }
        }
        for id in self.reads.keys().filter(|id| !known.contains_key(*id)).cloned().collect::<Vec<_>>() {
            self.violated("I2", format!("read {id} is taken in, and nobody sent it"));
        }
        // Registry changes in their order, each once; one that does not come next has to be dropped
        // on record.
        let mut taken = std::mem::take(&mut self.registry).into_iter().peekable();
        let mut dropped = self.dropped.clone();
        for record in cluster.all(topics::REGISTRY) {
            let Some((kind, id)) = record.key_str().and_then(|k| k.split_once('/')) else { continue };
            if is_rejected(topics::REGISTRY, record.offset) {
                continue;
            }
            let sent: Option<Value> = record.value.as_deref().and_then(|v| serde_json::from_slice(v).ok());
            if taken.next_if(|(k, i, value)| k == kind && i == id && within(sent.as_ref(), value.as_ref())).is_some() {
                continue;
            }
            let subject = record.header_str("request_id").map_or_else(|| format!("{kind}/{id}"), str::to_owned);
            match dropped.get_mut(&subject).filter(|times| **times > 0) {
                Some(times) => *times -= 1,
                None => {
                    let next = taken.peek().map_or_else(|| "nothing".to_owned(), |(k, i, _)| format!("{k}/{i}"));
                    let offset = record.offset;
                    return self
                        .violated("I2", format!("registry change {kind}/{id} at {offset} is lost or changed; what comes is {next}"));
                }
            }
        }
        if let Some((kind, id, _)) = taken.next() {
            self.violated("I2", format!("registry change {kind}/{id} is in the journal, and nobody wrote it, or it stands twice"));
        }
    }

    fn compare_topics(&mut self, cluster: &Cluster) {
        let mut published: BTreeSet<(String, u32)> = BTreeSet::new();
        for record in cluster.all(topics::DECISIONS) {
            let Ok(decision) = record.json::<Decision>() else { continue };
            let key = (decision.id.clone(), decision.version);
            match self.decisions.get(&key) {
                Some(own) if *own == decision => {}
                Some(_) => self.violated("I5", format!("{} version {} is published otherwise than decided", key.0, key.1)),
                None => self.violated("I5", format!("{} version {} is published and not in the journal", key.0, key.1)),
            }
            published.insert(key);
        }
        for (id, version) in self.decisions.keys().filter(|k| !published.contains(*k)).cloned().collect::<Vec<_>>() {
            self.violated("I5", format!("{id} version {version} is not published"));
        }
        let commands: Vec<Command> = cluster.all(topics::COMMANDS).iter().filter_map(|r| r.json().ok()).collect();
        for command in commands.iter().filter(|c| c.order == Order::Open) {
            if self.commands.get(&command.command_id) != Some(command) {
                self.violated("I5", format!("{} is published otherwise than committed, or not committed", command.command_id));
            }
        }
        for id in self.commands.keys().cloned().collect::<Vec<_>>() {
            if !commands.iter().any(|c| c.command_id == id && c.order == Order::Open) {
                self.violated("I5", format!("{id} is not published"));
            }
        }
    }

    fn replayed(&mut self) {
        let mut replay = Replay::new(&self.site, None);
        for bytes in &self.journal {
            let taken = serde_json::from_slice::<JournalEntry>(bytes).map_err(|e| e.to_string());
            if let Err(e) = taken.and_then(|entry| replay.take(&entry).map_err(|e| e.to_string())) {
                return self.violated("I4", format!("the journal cannot be replayed: {e}"));
            }
        }
        if let Some(first) = replay.finish().differences.first() {
            let what = format!("replayed, entry {} is {} and not {}", first.seq, first.got, first.expected);
            self.violated("I4", what);
        }
    }
}

/// What a passage under this decision uses once.
fn claims(decision: &Decision) -> Vec<String> {
    let plate = decision.plate.clone().unwrap_or_default();
    let single = decision.effects.iter().filter(|e| {
        matches!(
            e.as_str(),
            "SINGLE_CARD_CONSUMED" | "RECEPTION_CONSUMED" | "EXIT_PERMIT_USED" | "TASK_ENTERED" | "PRESENCE_OPENED" | "PRESENCE_CLOSED"
        )
    });
    single.map(|e| format!("{e} of {plate}")).collect()
}

/// Whether everything that was sent is in what was taken in.
fn within(sent: Option<&Value>, taken: Option<&Value>) -> bool {
    match (sent, taken) {
        (None, None) => true,
        (Some(Value::Object(sent)), Some(Value::Object(taken))) => sent
            .iter()
            .all(|(k, v)| v.is_null() || v.is_object() || k == "activated_by" || taken.get(k) == Some(v) || k == "effective_from"),
        _ => false,
    }
}

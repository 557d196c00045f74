//! Deciding a recorded journal again: the same inputs at the same times, in memory, without
//! touching a barrier; and what comes out differently.

use std::collections::{BTreeMap, VecDeque};

use super::{Input, MemoryWorld};
use crate::decision::Decision;
use crate::facts::FactError;
use crate::journal::{JournalEntry, JournalEvent};
use crate::policy::Policy;
use crate::registry::{Kind, PolicyRecord};
use crate::time::Instant;
use crate::timeline::{Timeline, DEFAULT_SCOPE};

/// A decision version that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Place in the journal.
    pub seq: u64,
    /// Decision id and version.
    pub id: String,
    /// What is on record.
    pub expected: String,
    /// What comes out now.
    pub got: String,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Decision versions on record.
    pub decisions: u64,
    /// Those that differ.
    pub differences: Vec<Difference>,
}

/// A replay under way. Feed it the journal in order.
#[derive(Debug)]
pub struct Replay {
    site: String,
    world: MemoryWorld,
    policy: Option<Policy>,
    /// Decisions that came out and are not yet met in the journal, without another policy.
    pending: VecDeque<Decision>,
    /// Latest versions on record and now, by decision id, under another policy.
    recorded: BTreeMap<String, (u64, Decision)>,
    now: BTreeMap<String, Decision>,
    report: ReplayReport,
}

impl Replay {
    /// A replay from an empty site; under the recorded policies, or under `policy` throughout.
    pub fn new(site: &str, policy: Option<Policy>) -> Self {
        let mut replay = Self {
            site: site.to_owned(),
            world: MemoryWorld::default(),
            policy,
            pending: VecDeque::new(),
            recorded: BTreeMap::new(),
            now: BTreeMap::new(),
            report: ReplayReport::default(),
        };
        if let Some(policy) = &replay.policy {
            let record =
                PolicyRecord { id: DEFAULT_SCOPE.into(), checkpoint: None, effective_from: None, mode: None, switches: policy.clone() };
            let mut timeline = Timeline::default();
            // INVARIANT: an empty timeline has room.
            let _ = timeline.enter(&record, Instant::from_micros(i64::MIN), None);
            replay.world.apply(super::Change::Policies { scope: DEFAULT_SCOPE.into(), timeline });
        }
        replay
    }

    /// Takes the next entry of the journal: an input is decided again, an outcome is compared.
    ///
    /// # Errors
    /// Only if a recorded registry record cannot be read by this version of the program.
    pub fn take(&mut self, entry: &JournalEntry) -> Result<(), FactError> {
        if let JournalEvent::Decision { decision } = &entry.event {
            self.compare(entry.seq, decision);
            return Ok(());
        }
        match input_of(&entry.event)? {
            Some(Input::Registry { kind: Kind::Policy, .. }) if self.policy.is_some() => Ok(()),
            // Under another policy vehicles end elsewhere; it is met again at the lane's next read.
            Some(Input::Tick { .. }) if matches!(entry.event, JournalEvent::Ended { .. }) => Ok(()),
            Some(input) => self.feed(input, entry.at),
            None => Ok(()),
        }
    }

    fn feed(&mut self, input: Input, at: Instant) -> Result<(), FactError> {
        let site = self.site.clone();
        let step = self.world.take(&site, input, at)?;
        for event in step.events {
            if let JournalEvent::Decision { decision } = event {
                if self.policy.is_some() {
                    self.now.insert(decision.id.clone(), *decision);
                } else {
                    self.pending.push_back(*decision);
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, seq: u64, recorded: &Decision) {
        self.report.decisions = self.report.decisions.saturating_add(1);
        if self.policy.is_some() {
            self.recorded.insert(recorded.id.clone(), (seq, recorded.clone()));
            return;
        }
        let differs = match self.pending.pop_front() {
            None => Some("nothing".to_owned()),
            Some(mut again) => {
                // Not the rules' doing: the evidence's hash, and how old the registry was on that day.
                again.evidence.clone_from(&recorded.evidence);
                again.registry_age_ms = recorded.registry_age_ms;
                (again != *recorded).then(|| in_words(&again))
            }
        };
        if let Some(got) = differs {
            self.differ(seq, recorded, got);
        }
    }

    fn differ(&mut self, seq: u64, recorded: &Decision, got: String) {
        let id = format!("{} v{}", recorded.id, recorded.version);
        self.report.differences.push(Difference { seq, id, expected: in_words(recorded), got });
    }

    /// Ends the replay.
    pub fn finish(mut self) -> ReplayReport {
        let recorded = std::mem::take(&mut self.recorded);
        for (id, (seq, decision)) in recorded {
            let now = self.now.remove(&id);
            let says = |d: &Decision| (d.verdict, d.reasons.iter().map(|r| r.code.clone()).collect::<Vec<_>>());
            if now.as_ref().map(says) != Some(says(&decision)) {
                let got = now.as_ref().map_or_else(|| "nothing".to_owned(), in_words);
                self.differ(seq, &decision, got);
            }
        }
        self.report
    }
}

/// The input that an entry of the journal stands for, if it is none's outcome. A deadline met on the
/// way of a read is met there again; as the first of its group it came alone, and so did the end of
/// a vehicle that was waiting behind.
///
/// # Errors
/// Only if a recorded registry record is of a kind that this version of the program does not know.
pub fn input_of(event: &JournalEvent) -> Result<Option<Input>, FactError> {
    Ok(match event {
        JournalEvent::Read { read } => Some(Input::Read(read.clone())),
        JournalEvent::Registry { kind, id, value, by, .. } => {
            let kind: Kind = kind.parse().map_err(|e| FactError(format!("{e}")))?;
            Some(Input::Registry { kind, id: id.clone(), value: value.clone(), request_id: None, by: by.clone() })
        }
        JournalEvent::Timer { lane, .. } | JournalEvent::Ended { lane, .. } => Some(Input::Tick { lane: lane.clone() }),
        JournalEvent::Degraded { component, since } => Some(Input::Degraded { component: *component, away: since.is_some() }),
        JournalEvent::Decision { .. }
        | JournalEvent::Policy { .. }
        | JournalEvent::Arrived { .. }
        | JournalEvent::Command { .. }
        | JournalEvent::Passage { .. }
        | JournalEvent::Used { .. }
        | JournalEvent::Violation { .. }
        | JournalEvent::Answered { .. }
        | JournalEvent::Dropped { .. } => None,
    })
}

fn in_words(decision: &Decision) -> String {
    let codes: Vec<&str> = decision.reasons.iter().map(|r| r.code.as_str()).collect();
    format!("{} {}", decision.verdict.as_str(), codes.join(" "))
}

//! The site over a world in memory: policy revisions, violations' life, registry writes by people,
//! components that are away.

mod policy;
mod registry;
mod ruling;
mod travel;
mod trouble;

use serde_json::{json, Value};

use super::{input_of, Input, MemoryWorld, Replay};
use crate::decision::{Answer, Decision};
use crate::journal::{JournalEntry, JournalEvent, Violation};
use crate::people::{Principal, Role};
use crate::read::{Action, PlateRead, ReadMessage, Ruling, Word};
use crate::registry::Kind;
use crate::time::Instant;
use crate::violation::Act;

const SITE: &str = "LYG-1";
/// Passenger lane in: business-affairs vehicles open.
const CARS: &str = "JCZ-1.L3";
/// Freight lane out.
const OUT: &str = "JCZ-1.L2";

/// A site with its journal, whose clock the test turns.
struct Site {
    world: MemoryWorld,
    now: Instant,
    journal: Vec<JournalEntry>,
    count: u32,
}

impl Site {
    fn new() -> Self {
        let now = "2026-03-10T10:00:00+08:00".parse().unwrap();
        let mut site = Self { world: MemoryWorld::default(), now, journal: Vec::new(), count: 0 };
        site.put(Kind::Checkpoint, "JCZ-1", json!({"site": SITE, "profile": "LYG"}));
        site.put(Kind::Checkpoint, "JCZ-2", json!({"site": SITE, "profile": "LYG"}));
        site.put(Kind::Lane, CARS, json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "PASSENGER"}));
        site.put(Kind::Lane, "JCZ-2.L1", json!({"checkpoint": "JCZ-2", "direction": "ENTRY", "lane_class": "PASSENGER"}));
        site.put(Kind::Lane, OUT, json!({"checkpoint": "JCZ-1", "direction": "EXIT", "lane_class": "FREIGHT"}));
        for plate in ["苏G00001", "苏G00002", "苏G00003"] {
            let car = json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"});
            site.put(Kind::Vehicle, plate, car);
        }
        site
    }

    fn take(&mut self, input: Input) -> Vec<JournalEvent> {
        let events = self.world.take(SITE, input, self.now).unwrap().events;
        for event in &events {
            let seq = self.journal.len() as u64 + 1;
            let entry = JournalEntry { site: SITE.into(), seq, at: self.now, chain: String::new(), event: event.clone() };
            self.journal.push(entry);
        }
        events
    }

    fn write(&mut self, kind: Kind, id: &str, value: Option<Value>, by: Option<Role>) -> Vec<JournalEvent> {
        self.count += 1;
        let request_id = Some(format!("w{}", self.count));
        self.take(Input::Registry { kind, id: id.into(), value, request_id, by: by.map(person) })
    }

    fn put(&mut self, kind: Kind, id: &str, value: Value) -> Answer {
        answer(&self.write(kind, id, Some(value), None))
    }

    fn read(&mut self, lane: &str, make: impl FnOnce(&mut ReadMessage)) -> Vec<JournalEvent> {
        self.count += 1;
        let mut read = ReadMessage { lane: lane.into(), event_id: Some(format!("r{}", self.count)), ..ReadMessage::default() };
        read.received_at = Some(self.now);
        make(&mut read);
        self.take(Input::Read(Box::new(read)))
    }

    fn plate(&mut self, lane: &str, text: &str) -> Vec<JournalEvent> {
        self.read(lane, |r| r.plate_read = Some(plate_read(text)))
    }

    /// A car comes to the lane and is decided; then it leaves without passing.
    fn visit(&mut self, lane: &str, plate: &str) -> Decision {
        let decision = self.decided(lane, plate);
        self.read(lane, |r| r.vehicle_gone = Some(true));
        self.after_s(1);
        decision
    }

    fn decided(&mut self, lane: &str, plate: &str) -> Decision {
        let events = self.plate(lane, plate);
        let mut found = decisions(&events);
        if found.is_empty() {
            self.after_s(20);
            found = decisions(&self.take(Input::Tick { lane: lane.into() }));
        }
        found.pop().expect("a decision")
    }

    fn after_s(&mut self, s: i64) {
        self.now = self.now.plus_millis(s * 1000);
    }

    fn at(&mut self, text: &str) {
        self.now = text.parse().unwrap();
    }

    fn word(&mut self, decision: &Decision, role: Role, action: Action) -> Vec<JournalEvent> {
        let word = Word {
            request_id: format!("q{}", self.count),
            decision_id: decision.id.clone(),
            version: None,
            action,
            reason: "核对行驶证".into(),
            plate: None,
            by: person(role),
        };
        self.read(&decision.lane.clone(), |r| r.word = Some(word))
    }

    fn rule(&mut self, violation: &Violation, role: Role, act: Act, more: impl FnOnce(&mut Ruling)) -> Answer {
        let mut ruling = Ruling {
            request_id: format!("q{}", self.count),
            violation_id: violation.violation_id.clone(),
            version: None,
            act,
            reason: "现场核实".into(),
            body: None,
            ground: None,
            offence: None,
            evidence: vec!["frame-1".into()],
            sanction_id: None,
            by: person(role),
        };
        more(&mut ruling);
        answer(&self.read(&violation.lane.clone(), |r| r.ruling = Some(ruling)))
    }

    fn violation(&self, code: &str) -> Violation {
        let found = self.journal.iter().rev().find_map(|e| match &e.event {
            JournalEvent::Violation { violation } if violation.code == code => Some((**violation).clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no {code}"))
    }

    /// What was journalled comes out of a replay byte for byte, every event of it.
    fn replays(&self) {
        let mut replay = Replay::new(SITE, None);
        let mut again = MemoryWorld::default();
        let mut events = Vec::new();
        let mut taken = 0;
        for entry in &self.journal {
            replay.take(entry).unwrap();
            if let Some(input) = input_of(&entry.event).unwrap() {
                if taken == events.len() || events.get(taken) != Some(&entry.event) {
                    events.extend(again.take(SITE, input, entry.at).unwrap().events);
                }
            }
            let answered = matches!(entry.event, JournalEvent::Answered { .. } | JournalEvent::Dropped { .. });
            if events.get(taken) == Some(&entry.event) {
                taken += 1;
            } else {
                // Answers to registry writers are not asked for again.
                assert!(answered, "entry {}: {:?} came out as {:?}", entry.seq, entry.event, events.get(taken));
            }
        }
        let report = replay.finish();
        assert!(report.differences.is_empty(), "{:?}", report.differences);
    }
}

fn person(role: Role) -> Principal {
    Principal { name: format!("{}-1", role.as_str()), role, lanes: Vec::new() }
}

fn plate_read(text: &str) -> PlateRead {
    PlateRead {
        text: text.into(),
        confidence: 0.98,
        colour: None,
        kind: None,
        characters: Vec::new(),
        corners: None,
        settled: None,
        model: None,
    }
}

fn decisions(events: &[JournalEvent]) -> Vec<Decision> {
    events.iter().filter_map(|e| if let JournalEvent::Decision { decision } = e { Some((**decision).clone()) } else { None }).collect()
}

fn answer(events: &[JournalEvent]) -> Answer {
    let mut answers = events.iter().filter_map(|e| if let JournalEvent::Answered { answer } = e { Some(answer.clone()) } else { None });
    let answer = answers.next().expect("an answer");
    assert!(answers.next().is_none(), "one request, one answer");
    answer
}

fn codes(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|r| r.code.as_str()).collect()
}

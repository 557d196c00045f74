//! The room's own record: what people in the control room ask for, look up, watch and sign. It
//! stands in a topic of its own (`portgate.room`), so that every node that serves shows the same,
//! nothing is lost with a process, and nobody's search goes unrecorded. Nothing here decides.
//!
//! An entry takes effect when it is read back from the topic; whoever wrote it waits for that.
//! What contradicts what stood before it (a second signature of the same party) has no effect, on
//! every node alike, and its writer is told so.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::RwLock;
use portgate_core::decision::AnswerOutcome;
use portgate_core::people::{Principal, Role};
use portgate_core::time::{Date, Instant};
use portgate_core::violation::Body;
use portgate_log::TopicSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::wildcard::matches;

/// The topic; key: what the entry is about.
pub const TOPIC: &str = "portgate.room";
/// Entries shown in the audit.
const AUDIT_MAX: usize = 5000;
/// Requests kept.
const ASKS_MAX: usize = 500;
/// Watch-list entries at the most.
pub const WATCH_MAX: usize = 1000;
/// Saved questions at the most.
pub const QUESTIONS_MAX: usize = 500;

/// How the topic is kept: whole, for it is the audit.
pub fn topic_spec() -> TopicSpec {
    TopicSpec::new(TOPIC, 1)
}

/// What a guard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Somebody to inspect the vehicle.
    Inspection,
    /// The supervisor's word.
    Supervisor,
}

/// A side of the hand-over of single cards (LYG-5.5b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Party {
    /// 公路港: hands over what was recovered.
    RoadPort,
    /// 公管公司: takes it.
    Pamc,
}

/// One request of a guard.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Ask {
    /// Id.
    pub id: String,
    /// Decision it is about.
    pub decision_id: String,
    /// Lane.
    pub lane: String,
    /// What is asked for.
    pub want: Want,
    /// Why.
    pub note: String,
    /// Who asks.
    pub by: String,
    /// When.
    pub at: Instant,
    /// Who settled it; null: open.
    pub settled_by: Option<String>,
    /// When it was settled.
    pub settled_at: Option<Instant>,
    /// What came of it.
    pub outcome: Option<String>,
}

/// Somebody to look out for: bounded in time, and to lanes or checkpoints where given.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WatchEntry {
    /// Plate, `*` for any characters, `?` for one.
    #[serde(default)]
    pub plate: Option<String>,
    /// Card.
    #[serde(default)]
    pub card: Option<String>,
    /// Why, and what to do.
    pub why: String,
    /// `warning` or `critical`.
    pub level: Level,
    /// Only at these lanes; empty: every lane.
    #[serde(default)]
    pub lanes: Vec<String>,
    /// Only at these checkpoints; empty: every one.
    #[serde(default)]
    pub checkpoints: Vec<String>,
    /// From this instant.
    pub from: Instant,
    /// Until this instant, exclusive.
    pub to: Instant,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// To be looked at.
    Warning,
    /// At once.
    Critical,
}

impl Level {
    /// The word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A watch-list entry with its id and author.
#[derive(Clone, Debug, Serialize)]
pub struct Watched {
    /// Id.
    pub id: String,
    /// The entry.
    #[serde(flatten)]
    pub entry: WatchEntry,
    /// Who wrote it.
    pub by: String,
    /// When.
    pub at: Instant,
}

/// A saved question.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// Name.
    pub name: String,
    /// The query.
    pub sql: String,
    /// How its answer is drawn: `bar` or `line`; null: as a table.
    pub chart: Option<String>,
    /// Who saved it last.
    pub by: String,
    /// When.
    pub at: Instant,
}

/// One signature under a day's hand-over.
#[derive(Clone, Debug, Serialize)]
pub struct Signature {
    /// Which side.
    pub party: Party,
    /// Who.
    pub by: String,
    /// When.
    pub at: Instant,
    /// Cards counted by hand.
    pub counted: u32,
    /// Cards recovered as the gate has it, at the signature.
    pub recovered: u32,
    /// Remark; there is one where the two differ.
    pub remark: Option<String>,
}

/// What happened in the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoomEvent {
    /// A guard asked for help at a decision.
    Asked {
        /// Decision.
        decision_id: String,
        /// Lane.
        lane: String,
        /// What for.
        want: Want,
        /// Why.
        note: String,
    },
    /// The request was dealt with.
    Settled {
        /// The request.
        ask_id: String,
        /// What came of it.
        note: String,
    },
    /// Somebody looked something up; on record before the answer is given.
    Searched {
        /// What kind of look-up: `search`, `case`, `samples`.
        what: String,
        /// What for, in the person's words.
        purpose: String,
        /// What was asked.
        terms: Value,
    },
    /// A question was saved, or removed (no query).
    Question {
        /// Name.
        name: String,
        /// The query.
        sql: Option<String>,
        /// How it is drawn.
        chart: Option<String>,
    },
    /// A watch-list entry was written, or removed (no entry).
    Watch {
        /// Id.
        watch_id: String,
        /// The entry.
        entry: Option<WatchEntry>,
    },
    /// An account was written, or removed (no role).
    Account {
        /// Its name.
        account: String,
        /// Its role.
        role: Option<Role>,
        /// The body the person belongs to.
        body: Option<Body>,
        /// Lanes of a device, checkpoints of a person; empty: all.
        places: Vec<String>,
        /// Whether its secret is another one now.
        secret: bool,
    },
    /// A day's hand-over of single cards was signed by one side.
    HandedOver {
        /// Accounting day.
        day: Date,
        /// Side.
        party: Party,
        /// Cards counted by hand.
        counted: u32,
        /// Cards recovered as the gate has it.
        recovered: u32,
        /// Remark.
        remark: Option<String>,
    },
}

/// One line of the room's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomEntry {
    /// Id; the writer waits for it.
    pub id: String,
    /// The gate's time.
    pub at: Instant,
    /// Who.
    pub by: Principal,
    /// What.
    pub event: RoomEvent,
}

/// What reading an entry came to.
pub struct Applied {
    /// For its writer.
    pub outcome: AnswerOutcome,
    /// In words, where it had no effect.
    pub message: Option<&'static str>,
    /// A request that is new or has changed.
    pub ask: Option<Ask>,
}

#[derive(Default)]
struct State {
    asks: VecDeque<Ask>,
    audit: VecDeque<RoomEntry>,
    entries: u64,
    chain: [u8; 32],
    questions: BTreeMap<String, Question>,
    watch: BTreeMap<String, Watched>,
    handovers: BTreeMap<Date, BTreeMap<Party, Signature>>,
}

/// The room as the topic tells it.
#[derive(Default)]
pub struct Room {
    state: RwLock<State>,
}

impl Room {
    /// Takes an entry in; `bytes` as they stand in the topic.
    pub fn apply(&self, entry: RoomEntry, bytes: &[u8]) -> Applied {
        let mut guard = self.state.write();
        let state = &mut *guard;
        let chain = Sha256::new().chain_update(state.chain).chain_update(bytes).finalize();
        state.chain = chain.into();
        state.entries += 1;
        let applied = state.take(&entry);
        state.audit.push_back(entry);
        if state.audit.len() > AUDIT_MAX {
            state.audit.pop_front();
        }
        applied
    }

    /// Requests, the latest first.
    pub fn asks(&self) -> Vec<Ask> {
        self.state.read().asks.iter().rev().cloned().collect()
    }

    /// The audit, the latest first, as far as `may_see` admits; with how many entries there ever
    /// were and the hash over all of them: noted once, it shows later whether anything was changed.
    pub fn audit(&self, limit: usize, may_see: impl Fn(&RoomEntry) -> bool) -> (Vec<RoomEntry>, u64, String) {
        let state = self.state.read();
        let entries = state.audit.iter().rev().filter(|e| may_see(e)).take(limit).cloned().collect();
        (entries, state.entries, hex::encode(state.chain))
    }

    /// Saved questions, by name.
    pub fn questions(&self) -> Vec<Question> {
        self.state.read().questions.values().cloned().collect()
    }

    /// The watch-list, by id.
    pub fn watch(&self) -> Vec<Watched> {
        self.state.read().watch.values().cloned().collect()
    }

    /// Entries that look out for this plate or card, here and then. One written after the vehicle
    /// came does not count: what was shown once is shown again after a restart, and nothing else.
    pub fn watched(&self, seen: &Seen<'_>) -> Vec<Watched> {
        let state = self.state.read();
        state.watch.values().filter(|w| w.at <= seen.at && w.entry.fits(seen)).cloned().collect()
    }

    /// The signatures of a day.
    pub fn signatures(&self, day: Date) -> Vec<Signature> {
        self.state.read().handovers.get(&day).map(|s| s.values().cloned().collect()).unwrap_or_default()
    }
}

/// A vehicle as the watch-list looks at it.
pub struct Seen<'a> {
    /// Its plate.
    pub plate: Option<&'a str>,
    /// What the camera read, where that is another text.
    pub read: Option<&'a str>,
    /// Its card.
    pub card: Option<&'a str>,
    /// Lane.
    pub lane: &'a str,
    /// Checkpoint.
    pub checkpoint: &'a str,
    /// When.
    pub at: Instant,
}

impl WatchEntry {
    fn fits(&self, seen: &Seen<'_>) -> bool {
        let within = self.from <= seen.at && seen.at < self.to;
        let here = (self.lanes.is_empty() || self.lanes.iter().any(|l| l == seen.lane))
            && (self.checkpoints.is_empty() || self.checkpoints.iter().any(|c| c == seen.checkpoint));
        let plate = self.plate.as_deref().is_some_and(|p| [seen.plate, seen.read].into_iter().flatten().any(|t| matches(p, t)));
        let card = self.card.is_some() && self.card.as_deref() == seen.card;
        within && here && (plate || card)
    }
}

impl State {
    fn take(&mut self, entry: &RoomEntry) -> Applied {
        let done = |ask| Applied { outcome: AnswerOutcome::Done, message: None, ask };
        let conflict = |message| Applied { outcome: AnswerOutcome::Conflict, message: Some(message), ask: None };
        let by = entry.by.name.clone();
        match &entry.event {
            RoomEvent::Asked { decision_id, lane, want, note } => {
                if self.asks.iter().any(|a| a.settled_at.is_none() && a.decision_id == *decision_id && a.want == *want) {
                    return conflict("this has been asked for already");
                }
                let ask = Ask {
                    id: entry.id.clone(),
                    decision_id: decision_id.clone(),
                    lane: lane.clone(),
                    want: *want,
                    note: note.clone(),
                    by,
                    at: entry.at,
                    settled_by: None,
                    settled_at: None,
                    outcome: None,
                };
                self.asks.push_back(ask.clone());
                if self.asks.len() > ASKS_MAX {
                    self.asks.pop_front();
                }
                done(Some(ask))
            }
            RoomEvent::Settled { ask_id, note } => match self.asks.iter_mut().find(|a| a.id == *ask_id) {
                None => Applied { outcome: AnswerOutcome::NotFound, message: Some("there is no such request"), ask: None },
                Some(ask) if ask.settled_at.is_some() => conflict("somebody has settled it already"),
                Some(ask) => {
                    ask.settled_by = Some(by);
                    ask.settled_at = Some(entry.at);
                    ask.outcome = Some(note.clone());
                    done(Some(ask.clone()))
                }
            },
            RoomEvent::Searched { .. } | RoomEvent::Account { .. } => done(None),
            RoomEvent::Question { name, sql: Some(sql), chart } => {
                if self.questions.len() >= QUESTIONS_MAX && !self.questions.contains_key(name) {
                    return conflict("there are too many saved questions; remove one first");
                }
                let question = Question { name: name.clone(), sql: sql.clone(), chart: chart.clone(), by, at: entry.at };
                self.questions.insert(name.clone(), question);
                done(None)
            }
            RoomEvent::Question { name, sql: None, .. } => match self.questions.remove(name) {
                Some(_) => done(None),
                None => Applied { outcome: AnswerOutcome::NotFound, message: Some("there is no such question"), ask: None },
            },
            RoomEvent::Watch { watch_id, entry: Some(watch) } => {
                let ended: Vec<String> = self.watch.values().filter(|w| w.entry.to < entry.at).map(|w| w.id.clone()).collect();
                for id in ended {
                    self.watch.remove(&id);
                }
                if self.watch.len() >= WATCH_MAX && !self.watch.contains_key(watch_id) {
                    return conflict("the watch-list is full; remove an entry first");
                }
                let watched = Watched { id: watch_id.clone(), entry: watch.clone(), by, at: entry.at };
                self.watch.insert(watch_id.clone(), watched);
                done(None)
            }
            RoomEvent::Watch { watch_id, entry: None } => match self.watch.remove(watch_id) {
                Some(_) => done(None),
                None => Applied { outcome: AnswerOutcome::NotFound, message: Some("there is no such entry"), ask: None },
            },
            RoomEvent::HandedOver { day, party, counted, recovered, remark } => {
                let signed = self.handovers.entry(*day).or_default();
                if signed.contains_key(party) {
                    return conflict("this side has signed already");
                }
                if signed.values().any(|s| s.by == by) {
                    return conflict("the other side must be signed by another person");
                }
                let signature =
                    Signature { party: *party, by, at: entry.at, counted: *counted, recovered: *recovered, remark: remark.clone() };
                signed.insert(*party, signature);
                done(None)
            }
        }
    }
}

/// Who may see an entry of the audit: security and administrators all of it, others their own.
pub fn may_see_audit(who: &Principal, entry: &RoomEntry) -> bool {
    matches!(who.role, Role::Security | Role::Administrator) || entry.by.name == who.name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, name: &str, at: i64, event: RoomEvent) -> RoomEntry {
        let by = Principal { name: name.into(), role: Role::Supervisor, lanes: Vec::new() };
        RoomEntry { id: id.into(), at: Instant::from_millis(at), by, event }
    }

    fn put(room: &Room, entry: RoomEntry) -> Applied {
        let bytes = serde_json::to_vec(&entry).unwrap();
        room.apply(entry, &bytes)
    }

    #[test]
    fn two_sides_sign_by_two_people_and_only_once() {
        let room = Room::default();
        let day: Date = "2026-03-10".parse().unwrap();
        let sign = |party, counted| RoomEvent::HandedOver { day, party, counted, recovered: 7, remark: None };
        assert_eq!(put(&room, entry("1", "li", 1, sign(Party::RoadPort, 7))).outcome, AnswerOutcome::Done);
        assert_eq!(put(&room, entry("2", "li", 2, sign(Party::Pamc, 7))).outcome, AnswerOutcome::Conflict);
        assert_eq!(put(&room, entry("3", "wu", 3, sign(Party::RoadPort, 6))).outcome, AnswerOutcome::Conflict);
        assert_eq!(put(&room, entry("4", "wu", 4, sign(Party::Pamc, 7))).outcome, AnswerOutcome::Done);
        assert_eq!(room.signatures(day).iter().map(|s| s.by.as_str()).collect::<Vec<_>>(), ["li", "wu"]);
    }

    #[test]
    fn a_watch_is_bounded_in_time_area_and_lane() {
        let room = Room::default();
        let watch = WatchEntry {
            plate: Some("苏G12*".into()),
            card: Some("C9".into()),
            why: "stolen".into(),
            level: Level::Critical,
            lanes: vec!["L1".into()],
            checkpoints: Vec::new(),
            from: Instant::from_millis(100),
            to: Instant::from_millis(200),
        };
        put(&room, entry("1", "li", 50, RoomEvent::Watch { watch_id: "W".into(), entry: Some(watch) }));
        let seen = |plate, card, lane, at| {
            let seen = Seen { plate, read: None, card, lane, checkpoint: "C", at: Instant::from_millis(at) };
            room.watched(&seen).len()
        };
        assert_eq!(seen(Some("苏G12345"), None, "L1", 150), 1);
        assert_eq!(seen(None, Some("C9"), "L1", 150), 1);
        assert_eq!(seen(Some("苏G92345"), None, "L1", 150), 0);
        assert_eq!(seen(Some("苏G12345"), None, "L2", 150), 0, "another lane");
        assert_eq!(seen(Some("苏G12345"), None, "L1", 99), 0, "too early");
        assert_eq!(seen(Some("苏G12345"), None, "L1", 200), 0, "over");
        assert_eq!(seen(None, None, "L1", 150), 0);
        put(&room, entry("2", "li", 60, RoomEvent::Watch { watch_id: "W".into(), entry: None }));
        assert_eq!(seen(Some("苏G12345"), None, "L1", 150), 0);
    }

    #[test]
    fn a_request_is_asked_once_and_settled_once_and_all_of_it_is_chained() {
        let room = Room::default();
        let ask = || RoomEvent::Asked { decision_id: "D".into(), lane: "L1".into(), want: Want::Inspection, note: "seal".into() };
        assert!(put(&room, entry("1", "li", 1, ask())).ask.is_some());
        assert_eq!(put(&room, entry("2", "wu", 2, ask())).outcome, AnswerOutcome::Conflict);
        let settle = || RoomEvent::Settled { ask_id: "1".into(), note: "fine".into() };
        assert_eq!(put(&room, entry("3", "wu", 3, settle())).outcome, AnswerOutcome::Done);
        assert_eq!(put(&room, entry("4", "wu", 4, settle())).outcome, AnswerOutcome::Conflict);
        let (entries, count, chain) = room.audit(10, |_| true);
        assert_eq!((entries.len(), count), (4, 4), "what had no effect is on record, too");
        let other = Room::default();
        put(&other, entry("1", "li", 1, ask()));
        assert_ne!(other.audit(10, |_| true).2, chain);
    }
}

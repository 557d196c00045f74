//! The live board: what stands at each lane now, the latest decisions with all their versions,
//! the latest alerts. Built from the journal alone, so that any node can hold one.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::RwLock;
use portgate_core::command::BarrierState;
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::{AuthorisedBy, Ending, JournalEntry, JournalEvent, Passage, Violation};
use portgate_core::read::ReadMessage;
use portgate_core::registry::Kind;
use portgate_core::time::Instant;
use serde_json::{json, Value};

use crate::answers::Answers;
use crate::evidence::Frame;
use crate::hub::Hub;
use crate::room::{Room, Seen};
use crate::telemetry;
use crate::views::{decision_view, encode_path, mask, passage_view, AlertView, DecisionState, FrameView, LaneView};
use crate::webhook::Webhooks;

/// Decisions kept in memory.
pub const DECISIONS_MAX: usize = 5000;
/// Versions kept per decision: the first and the latest ones.
const VERSIONS_MAX: usize = 64;
/// Alerts kept.
const ALERTS_MAX: usize = 200;
/// Lanes shown; a stream that invents lanes can't fill the memory.
const LANES_MAX: usize = 1024;
/// Switchings of peak pass mode kept.
const PEAK_LOG_MAX: usize = 200;

#[derive(Default)]
struct Lane {
    view: LaneView,
    /// The vehicle has gone; what is shown is the last one, until something new is read.
    stale: bool,
}

/// A decision with its history.
#[derive(Clone, Debug)]
pub struct DecisionEntry {
    /// Every version kept, oldest first. Never empty.
    pub versions: Vec<Arc<Decision>>,
    /// How its approach ended, if it has.
    pub ended: Option<Ending>,
    /// Its passage.
    pub passage: Option<Passage>,
}

impl DecisionEntry {
    /// The version in force.
    pub fn latest(&self) -> Option<&Arc<Decision>> {
        self.versions.last()
    }

    /// Where it stands.
    pub fn state(&self) -> DecisionState {
        if let Some(ending) = self.ended {
            return DecisionState::ended(ending);
        }
        if self.passage.is_some() {
            return DecisionState::Passed;
        }
        match self.latest().map(|d| d.verdict) {
            Some(Verdict::Open) => DecisionState::Opened,
            Some(Verdict::Refuse) => DecisionState::Refused,
            // INVARIANT: there is always a version; without one a person would have to look.
            Some(Verdict::Hold) | None => DecisionState::Held,
        }
    }

    /// As lists and events show it.
    pub fn view(&self) -> Value {
        self.latest().map_or(Value::Null, |d| decision_view(d, self.state()))
    }
}

#[derive(Default)]
struct Book {
    entries: HashMap<String, DecisionEntry>,
    /// Ids in the order they were first decided.
    order: VecDeque<String>,
    by_approach: HashMap<String, String>,
    /// Decisions older than the oldest one here are not known to the board.
    forgotten: bool,
}

/// What a list of decisions is asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Lane.
    pub lane: Option<String>,
    /// Verdict in force.
    pub verdict: Option<Verdict>,
    /// State.
    pub state: Option<String>,
    /// Plate, exactly (normalised).
    pub plate: Option<String>,
    /// Decided after this.
    pub after: Option<Instant>,
    /// Decided before this.
    pub before: Option<Instant>,
}

impl Filter {
    fn admits(&self, entry: &DecisionEntry) -> bool {
        let Some(d) = entry.latest() else { return false };
        self.lane.as_ref().is_none_or(|l| *l == d.lane)
            && self.verdict.is_none_or(|v| v == d.verdict)
            && self.state.as_ref().is_none_or(|s| s == entry.state().as_str())
            && self.plate.as_ref().is_none_or(|p| d.plate.as_ref() == Some(p))
            && self.after.is_none_or(|t| d.decided_at > t)
            && self.before.is_none_or(|t| d.decided_at < t)
    }
}

/// The board. One task per journal partition writes it; everybody reads it.
pub struct Board {
    lanes: DashMap<String, Lane>,
    places: RwLock<Places>,
    book: RwLock<Book>,
    alerts: RwLock<VecDeque<AlertView>>,
    heads: DashMap<String, u64>,
    peaks: RwLock<VecDeque<Value>>,
    hub: Arc<Hub>,
    answers: Arc<Answers>,
    room: Arc<Room>,
    webhooks: Webhooks,
}

/// Names and places from the registry.
#[derive(Default)]
struct Places {
    checkpoints: BTreeMap<String, Value>,
    sites: BTreeMap<String, Value>,
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

impl Board {
    /// An empty board that tells `hub` what changes, hands answers to `answers`, looks out for whom
    /// the watch-list of `room` names, and has alerts posted by `webhooks`.
    pub fn new(hub: Arc<Hub>, answers: Arc<Answers>, room: Arc<Room>, webhooks: Webhooks) -> Self {
        Self {
            lanes: DashMap::new(),
            places: RwLock::default(),
            book: RwLock::default(),
            alerts: RwLock::default(),
            heads: DashMap::new(),
            peaks: RwLock::default(),
            hub,
            answers,
            room,
            webhooks,
        }
    }

    /// Takes journal entries in, in the order of their site, and tells the hub.
    pub fn apply(&self, entries: Vec<JournalEntry>) {
        let mut touched = BTreeSet::new();
        for entry in entries {
            let head = self.heads.get(&entry.site).map(|h| *h);
            match head {
                // The same line again, after a crash between writing and noting that it was written.
                Some(head) if entry.seq <= head => continue,
                Some(_) => {}
                None => self.hub.begins(&entry.site, entry.seq.saturating_sub(1)),
            }
            self.heads.insert(entry.site.clone(), entry.seq);
            self.apply_one(entry, &mut touched);
        }
        for lane in touched {
            self.announce(&lane);
        }
    }

    fn apply_one(&self, entry: JournalEntry, touched: &mut BTreeSet<String>) {
        let JournalEntry { site, seq, at, event, .. } = entry;
        match event {
            JournalEvent::Read { read } => self.read(&site, seq, at, &read, touched),
            JournalEvent::Arrived { approach_id, lane, arrived_at } => self.change(&lane, touched, |l| {
                if l.stale || l.view.approach_id.as_ref().is_some_and(|a| *a != approach_id) {
                    l.clear();
                }
                l.view.approach_id = Some(approach_id);
                l.view.arrived_at = Some(arrived_at);
            }),
            JournalEvent::Ended { approach_id, lane, ending } => {
                let view = self.end(&approach_id, ending);
                self.change(&lane, touched, |l| {
                    if l.view.approach_id.as_deref().is_none_or(|a| a == approach_id) {
                        l.view.approach_id = None;
                        l.stale = true;
                        if let Some(view) = view.clone() {
                            l.view.decision = Some(view);
                        }
                    }
                });
                if let Some(view) = view {
                    self.tell("decision", &site, seq, &view);
                }
            }
            JournalEvent::Decision { decision } => {
                let decision = Arc::new(*decision);
                let view = self.decide(&decision);
                self.change(&decision.lane, touched, |l| {
                    let same = l.view.approach_id.as_deref().is_none_or(|a| a == decision.approach_id);
                    if same {
                        if l.stale {
                            l.clear();
                        }
                        l.view.plate_read = decision.plate_read.clone().or_else(|| l.view.plate_read.take());
                        l.view.card = decision.card.clone().or_else(|| l.view.card.take());
                        l.view.arrived_at = Some(decision.arrived_at);
                        l.view.decision = Some(view.clone());
                        l.view.site = Some(decision.site.clone());
                        l.view.checkpoint = Some(decision.checkpoint.clone());
                        l.view.direction.get_or_insert_with(|| decision.direction.clone());
                    }
                });
                self.tell("decision", &site, seq, &view);
                self.look_out(&site, seq, &decision);
            }
            JournalEvent::Passage { passage } => self.passage(&site, seq, passage, touched),
            // A word on it is a new version and no new alarm.
            JournalEvent::Violation { violation } => {
                self.tell("violation", &site, seq, &json!(violation));
                if violation.version == 1 {
                    self.alert(&site, seq, violation_alert(*violation));
                }
            }
            JournalEvent::Registry { kind, id, value, .. } if kind == Kind::PeakMode.as_str() => {
                let mut peaks = self.peaks.write();
                peaks.push_back(json!({"at": at, "checkpoint": id, "value": value}));
                if peaks.len() > PEAK_LOG_MAX {
                    peaks.pop_front();
                }
            }
            JournalEvent::Answered { answer } => self.answers.arrived(&answer),
            JournalEvent::Timer { .. }
            | JournalEvent::Registry { .. }
            | JournalEvent::Policy { .. }
            | JournalEvent::Degraded { .. }
            | JournalEvent::Command { .. }
            | JournalEvent::Used { .. }
            | JournalEvent::Dropped { .. } => {}
        }
    }

    fn read(&self, site: &str, seq: u64, at: Instant, read: &ReadMessage, touched: &mut BTreeSet<String>) {
        let evidence = read.plate_read.is_some() || read.card.is_some() || read.manual_plate.is_some() || read.qr.is_some();
        self.change(&read.lane, touched, |l| {
            if l.stale && evidence {
                l.clear();
            }
            let v = &mut l.view;
            v.site.get_or_insert_with(|| site.to_owned());
            v.last_read_at = Some(at);
            v.plate_read = read.plate_read.clone().or_else(|| v.plate_read.take());
            v.card = read.card.clone().or_else(|| v.card.take());
            v.queue = read.queue_length.or(v.queue);
            if let Some(report) = &read.barrier {
                // Repeats and expiries are answers to a command, not places of the arm.
                if !matches!(report.state, BarrierState::Rejected | BarrierState::Expired) {
                    v.barrier = Some(report.state);
                }
            }
        });
        let code = match read.barrier.as_ref().map(|r| r.state) {
            Some(BarrierState::Fault) => Some(("BARRIER_FAULT", "critical")),
            Some(BarrierState::Expired) => Some(("COMMAND_EXPIRED", "warning")),
            Some(BarrierState::Closed | BarrierState::Opening | BarrierState::Open | BarrierState::Closing | BarrierState::Rejected)
            | None => None,
        };
        if let Some((code, level)) = code {
            let id = format!("{code}-{site}-{seq}");
            let alert = AlertView {
                id,
                at,
                code: code.into(),
                level,
                lane: read.lane.clone(),
                checkpoint: None,
                decision_id: None,
                plate: None,
                note: None,
            };
            self.alert(site, seq, alert);
        }
    }

    fn passage(&self, site: &str, seq: u64, passage: Passage, touched: &mut BTreeSet<String>) {
        let view = passage_view(&passage);
        self.tell("passage", site, seq, &view);
        if passage.authorised_by == AuthorisedBy::None {
            let alert = AlertView {
                id: passage.passage_id.clone(),
                at: passage.passed_at,
                code: "UNAUTHORISED_PASSAGE".into(),
                level: "critical",
                lane: passage.lane.clone(),
                checkpoint: Some(passage.checkpoint.clone()),
                decision_id: passage.decision_id.clone(),
                plate: passage.plate.clone(),
                note: None,
            };
            self.alert(site, seq, alert);
        }
        let lane = passage.lane.clone();
        let shown = passage.decision_id.clone().and_then(|id| {
            let mut book = self.book.write();
            let entry = book.entries.get_mut(&id)?;
            entry.passage = Some(passage);
            Some(entry.view())
        });
        if let Some(view) = shown {
            self.change(&lane, touched, |l| {
                if l.view.decision.as_ref().and_then(|d| d.get("id")) == view.get("id") {
                    l.view.decision = Some(view);
                }
            });
        }
    }

    fn decide(&self, decision: &Arc<Decision>) -> Value {
        let mut guard = self.book.write();
        let book = &mut *guard;
        if !book.entries.contains_key(&decision.id) {
            book.order.push_back(decision.id.clone());
            book.by_approach.insert(decision.approach_id.clone(), decision.id.clone());
            if book.order.len() > DECISIONS_MAX {
                book.forgotten = true;
                if let Some(old) = book.order.pop_front().and_then(|id| book.entries.remove(&id)) {
                    if let Some(d) = old.latest() {
                        book.by_approach.remove(&d.approach_id);
                    }
                }
            }
        }
        let fresh = || DecisionEntry { versions: Vec::new(), ended: None, passage: None };
        let entry = book.entries.entry(decision.id.clone()).or_insert_with(fresh);
        if entry.versions.len() >= VERSIONS_MAX {
            entry.versions.remove(1);
        }
        entry.versions.push(decision.clone());
        let view = entry.view();
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        metrics::gauge!(telemetry::BOARD_DECISIONS).set(book.entries.len() as f64);
        view
    }

    fn end(&self, approach_id: &str, ending: Ending) -> Option<Value> {
        let mut guard = self.book.write();
        let book = &mut *guard;
        let entry = book.entries.get_mut(book.by_approach.get(approach_id)?)?;
        entry.ended = Some(ending);
        Some(entry.view())
    }

    fn alert(&self, site: &str, seq: u64, alert: AlertView) {
        let view = json!(alert);
        if self.hub.is_live() {
            self.webhooks.alert(&alert.id, &alert.code, &view.to_string());
        }
        let mut alerts = self.alerts.write();
        alerts.push_back(alert);
        if alerts.len() > ALERTS_MAX {
            alerts.pop_front();
        }
        drop(alerts);
        self.tell("alert", site, seq, &view);
    }

    /// Whoever the watch-list names has come: once per decision and entry.
    fn look_out(&self, site: &str, seq: u64, d: &Decision) {
        let read = d.plate_read.as_ref().map(|r| r.text.as_str());
        let seen = Seen {
            plate: d.plate.as_deref(),
            read: read.filter(|r| Some(*r) != d.plate.as_deref()),
            card: d.card.as_deref(),
            lane: &d.lane,
            checkpoint: &d.checkpoint,
            at: d.arrived_at,
        };
        for watched in self.room.watched(&seen) {
            let id = format!("WATCH-{}-{}", d.id, watched.id);
            if self.alerts.read().iter().any(|a| a.id == id) {
                continue;
            }
            let alert = AlertView {
                id,
                at: d.decided_at,
                code: "WATCH_LIST".into(),
                level: watched.entry.level.as_str(),
                lane: d.lane.clone(),
                checkpoint: Some(d.checkpoint.clone()),
                decision_id: Some(d.id.clone()),
                plate: d.plate.clone(),
                note: Some(watched.entry.why),
            };
            self.alert(site, seq, alert);
        }
    }

    fn tell(&self, kind: &'static str, site: &str, seq: u64, view: &Value) {
        self.hub.record(kind, site, seq, view.to_string(), Some(mask(view).to_string()));
    }

    fn change(&self, lane: &str, touched: &mut BTreeSet<String>, f: impl FnOnce(&mut Lane)) {
        if !self.lanes.contains_key(lane) && self.lanes.len() >= LANES_MAX {
            return;
        }
        let mut entry = self.lanes.entry(lane.to_owned()).or_default();
        if entry.view.lane.is_empty() {
            entry.view.lane = lane.to_owned();
        }
        f(&mut entry);
        touched.insert(lane.to_owned());
    }

    /// Sends the lane's state to the listeners.
    pub fn announce(&self, lane: &str) {
        if let Some(view) = self.lane(lane) {
            self.hub.state("lane", view.to_string(), Some(mask(&view).to_string()));
        }
    }

    /// A picture of a lane has come. Says whether the lane is known.
    pub fn picture(&self, lane: &str, frame: &Frame) -> bool {
        let url = format!("/v1/lanes/{}/frame?id={}", encode_path(lane), encode_path(&frame.id));
        let view = FrameView { id: frame.id.clone(), captured_at: frame.captured_at.clone(), url };
        match self.lanes.get_mut(lane) {
            Some(mut l) => {
                l.view.frame = Some(view);
                true
            }
            None => false,
        }
    }

    /// A record of the registry has changed; sites, checkpoints and lanes matter here.
    pub fn registry(&self, kind: Kind, id: &str, value: Option<&Value>) {
        let mut touched = BTreeSet::new();
        match (kind, value) {
            (Kind::Site, Some(v)) => {
                self.places.write().sites.insert(id.to_owned(), v.clone());
            }
            (Kind::Checkpoint, Some(v)) => {
                self.places.write().checkpoints.insert(id.to_owned(), v.clone());
            }
            (Kind::Lane, Some(v)) => self.change(id, &mut touched, |l| {
                l.view.name = text(v, "name");
                l.view.checkpoint = text(v, "checkpoint");
                l.view.direction = text(v, "direction");
                l.view.lane_class = text(v, "lane_class");
            }),
            (Kind::Lane, None) => {
                self.lanes.remove(id);
            }
            _ => {}
        }
        for lane in touched {
            self.announce(&lane);
        }
    }

    /// Puts the state of every lane into the metrics.
    pub fn measure(&self, now: Instant) {
        #[allow(clippy::cast_precision_loss)] // seconds, far below 2^52
        let seconds = |since: Instant| now.millis_since(since).max(0) as f64 / 1000.0;
        for lane in &self.lanes {
            let (id, view) = (lane.key().clone(), &lane.view);
            let standing = view.approach_id.as_ref().and(view.arrived_at);
            let held = standing.is_some() && view.decision.as_ref().and_then(|d| d.get("state")).is_some_and(|s| s == "held");
            metrics::gauge!(telemetry::LANE_WAITING, "lane" => id.clone()).set(standing.map_or(0.0, seconds));
            metrics::gauge!(telemetry::LANE_HELD, "lane" => id.clone()).set(if held { 1.0 } else { 0.0 });
            metrics::gauge!(telemetry::LANE_QUEUE, "lane" => id.clone()).set(view.queue.map_or(0.0, f64::from));
            let taken = view.frame.as_ref().and_then(|f| f.captured_at.as_deref()?.parse::<Instant>().ok());
            if let Some(taken) = taken {
                metrics::gauge!(telemetry::LANE_PICTURE_AGE, "lane" => id).set(seconds(taken));
            }
        }
    }

    /// One lane as it is shown.
    pub fn lane(&self, lane: &str) -> Option<Value> {
        let mut view = self.lanes.get(lane)?.view.clone();
        if let Some(checkpoint) = &view.checkpoint {
            let places = self.places.read();
            if let Some(record) = places.checkpoints.get(checkpoint) {
                view.checkpoint_name = text(record, "name");
                view.site = text(record, "site").or(view.site);
            }
        }
        serde_json::to_value(view).ok()
    }

    /// Every lane, by id.
    pub fn lanes(&self) -> Vec<Value> {
        let mut ids: Vec<String> = self.lanes.iter().map(|l| l.key().clone()).collect();
        ids.sort();
        ids.iter().filter_map(|id| self.lane(id)).collect()
    }

    /// The checkpoint a lane belongs to, where it is known.
    pub fn checkpoint_of(&self, lane: &str) -> Option<String> {
        self.lanes.get(lane)?.view.checkpoint.clone()
    }

    /// Whether the lane is known.
    pub fn knows_lane(&self, lane: &str) -> bool {
        self.lanes.contains_key(lane)
    }

    /// A decision with its versions.
    pub fn decision(&self, id: &str) -> Option<DecisionEntry> {
        self.book.read().entries.get(id).cloned()
    }

    /// Decisions, the latest first; and whether older ones than the board knows may exist.
    pub fn decisions(&self, filter: &Filter, limit: usize) -> (Vec<Value>, bool) {
        let book = self.book.read();
        let entries = book.order.iter().rev().filter_map(|id| book.entries.get(id));
        let found = entries.filter(|e| filter.admits(e)).take(limit).map(DecisionEntry::view).collect();
        (found, book.forgotten)
    }

    /// When peak pass mode was switched, the latest first, as far as the board reaches back.
    pub fn peak_log(&self) -> Vec<Value> {
        self.peaks.read().iter().rev().cloned().collect()
    }

    /// The latest alerts, the latest first.
    pub fn alerts(&self, limit: usize) -> Vec<AlertView> {
        self.alerts.read().iter().rev().take(limit).cloned().collect()
    }
}

impl Lane {
    fn clear(&mut self) {
        self.stale = false;
        self.view.approach_id = None;
        self.view.arrived_at = None;
        self.view.plate_read = None;
        self.view.card = None;
        self.view.decision = None;
    }
}

fn violation_alert(v: Violation) -> AlertView {
    AlertView {
        id: v.violation_id,
        at: v.raised_at,
        code: v.code,
        level: "warning",
        lane: v.lane,
        checkpoint: Some(v.checkpoint),
        decision_id: v.decision_id,
        plate: v.plate,
        note: None,
    }
}

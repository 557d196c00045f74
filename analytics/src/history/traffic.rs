//! The made-up port: who comes when, what the gate makes of it.
//!
//! Vehicles, cards and trips behave as the regulation lets them, with mistakes and frauds at the
//! rates below. Everything follows from the seed: the same seed makes the same year.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use portgate_core::decision::{Decision, Evidence, PlateSource, ReasonRecord, Verdict};
use portgate_core::effect::Effect;
use portgate_core::journal::{AuthorisedBy, Ending, JournalEvent, Passage, Use, Violation};
use portgate_core::people::{Principal, Role};
use portgate_core::read::{Action, PlateRead, ReadMessage};
use portgate_core::reason::Reason;
use portgate_core::row::Row;
use portgate_core::time::{Date, Instant};
use serde_json::json;

use super::customs::Trip;
use super::dice::Dice;
use super::HistoryConfig;

pub(super) const MINUTE: i64 = 60_000_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Share of a day's vehicles that come in each hour, in thousandths.
const HOURS: [u32; 24] = [12, 9, 8, 9, 14, 26, 44, 62, 70, 66, 58, 48, 44, 56, 66, 68, 64, 60, 52, 44, 40, 34, 26, 20];
/// (month, day from, day to, traffic): Spring Festival moves; the middle of its range is taken.
const HOLIDAYS: [(u32, u32, u32, f64); 4] = [(1, 1, 1, 0.4), (2, 8, 14, 0.15), (5, 1, 3, 0.5), (10, 1, 5, 0.35)];
/// Mistakes and frauds, in millionths of the visits they can happen in: reason, share, and how
/// many of a hundred the guard turns back.
const FAULTS: [(Reason, u64, u64); 11] = [
    (Reason::PlateLowConfidence, 12_000, 0),
    (Reason::PlateUnreadable, 4_000, 0),
    (Reason::TaskOutsideWindow, 4_000, 5),
    (Reason::TaskMissing, 2_000, 100),
    (Reason::CardExpired, 800, 100),
    (Reason::PlateCardMismatch, 1_500, 97),
    (Reason::CargoTaskMismatch, 1_000, 70),
    (Reason::WrongLane, 1_200, 20),
    (Reason::PlateAlreadyInside, 300, 70),
    (Reason::PlateColourMismatch, 200, 90),
    (Reason::SingleCardAlreadyUsed, 400, 100),
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Freight,
    Passenger,
    Customs,
}

pub(super) struct Lane {
    id: String,
    checkpoint: String,
    pub(super) direction: &'static str,
    class: Class,
    gate: usize,
    free_at: i64,
    /// Passages of those before, for the length of the queue.
    ahead: VecDeque<i64>,
}

pub(super) struct Vehicle {
    pub(super) plate: String,
    category: &'static str,
    pub(super) enterprise: String,
    class: Class,
    banned: bool,
    long_card: Option<String>,
    /// What it brought in with it: single card and task, or trip.
    card: Option<(String, u64)>,
    task: Option<String>,
    entry_at: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    Entry,
    Exit,
    /// A step of a customs trip: its number, the step.
    Trip(u32, u8),
}

type Arrival = Reverse<(i64, u64, Goal, usize, usize)>;

/// The port and its day.
pub(super) struct Port {
    site: String,
    pub(super) dice: Dice,
    pub(super) lanes: Vec<Lane>,
    pub(super) vehicles: Vec<Vehicle>,
    outside: [Vec<usize>; 2],
    arrivals: BinaryHeap<Arrival>,
    order: u64,
    events: Vec<(i64, u64, JournalEvent)>,
    gates: usize,
    per_lane: u32,
    revision: u64,
    cards: u64,
    tasks: u64,
    pub(super) trips: Vec<Trip>,
    pub(super) customs: Vec<usize>,
    recovered: Vec<(i64, String, u64)>,
    accidents: Vec<(usize, i64, i64)>,
    ships: f64,
    /// End of peak pass mode today, where it is on, by gate.
    peak_to: Vec<i64>,
    first: bool,
    /// Slips signed: accounting day, cards counted.
    pub(super) handovers: Vec<(Date, usize)>,
    /// Positions of trips, as lines of the reference file.
    pub(super) positions: Vec<String>,
    /// Escorts as they ended, as lines of the reference file.
    pub(super) escorts: Vec<String>,
}

impl Port {
    pub(super) fn new(config: &HistoryConfig) -> Self {
        let mut dice = Dice::new(config.seed);
        let gates = config.gates as usize;
        let customs_gates = if gates >= 4 { 2 } else { 0 };
        let mut lanes = Vec::new();
        for n in 0..config.lanes as usize {
            let gate = n % gates;
            let k = n / gates;
            let (checkpoint, direction, class) = if gate + customs_gates >= gates && customs_gates == 2 {
                if gate + 1 == gates {
                    ("KA-YARD".to_owned(), ["IMPORT_YARD_IN", "EXPORT_YARD_IN", "EXPORT_YARD_OUT"][k % 3], Class::Customs)
                } else {
                    ("KA-BORDER".to_owned(), ["IMPORT_BORDER_IN", "EXPORT_BORDER_OUT"][k % 2], Class::Customs)
                }
            } else {
                let class = if k % 4 < 2 || k >= 4 { Class::Freight } else { Class::Passenger };
                (format!("JCZ-{}", gate + 1), if k.is_multiple_of(2) { "ENTRY" } else { "EXIT" }, class)
            };
            let id = format!("{checkpoint}.L{}", k + 1);
            lanes.push(Lane { id, checkpoint, direction, class, gate, free_at: 0, ahead: VecDeque::new() });
        }
        let mut port = Self {
            site: config.site.clone(),
            vehicles: Vec::new(),
            outside: [Vec::new(), Vec::new()],
            arrivals: BinaryHeap::new(),
            order: 0,
            events: Vec::new(),
            gates,
            per_lane: config.vehicles_per_lane_day,
            revision: 0,
            cards: 0,
            tasks: 0,
            trips: Vec::new(),
            customs: Vec::new(),
            recovered: Vec::new(),
            accidents: Vec::new(),
            ships: 0.0,
            peak_to: vec![0; gates],
            first: true,
            handovers: Vec::new(),
            positions: Vec::new(),
            escorts: Vec::new(),
            lanes,
            dice: Dice::new(dice.next()),
        };
        port.people_the_port(config.lanes as usize * 300);
        port
    }

    fn people_the_port(&mut self, n: usize) {
        const KINDS: [(&str, u64, Class); 7] = [
            ("PF_GENERAL", 33, Class::Freight),
            ("PF_CONTAINER", 30, Class::Freight),
            ("PF_TRADE", 5, Class::Freight),
            ("PF_SHORT_HAUL", 6, Class::Freight),
            ("AUX_LONG", 6, Class::Freight),
            ("BIZ_GROUP", 12, Class::Passenger),
            ("BIZ_STAFF", 8, Class::Passenger),
        ];
        let letters: Vec<char> = "ABCDEFGHJKLMNPQRSTUVWXYZ".chars().collect();
        let provinces: Vec<char> = "苏苏苏苏鲁皖豫浙沪冀".chars().collect();
        for i in 0..n {
            let mut roll = self.dice.below(100);
            let mut kind = KINDS[0];
            for k in KINDS {
                if roll < k.1 {
                    kind = k;
                    break;
                }
                roll -= k.1;
            }
            let pick = |dice: &mut Dice, from: &[char]| from.get(dice.below(from.len() as u64) as usize).copied().unwrap_or('A');
            let province = pick(&mut self.dice, &provinces);
            let city = pick(&mut self.dice, &letters);
            let tail = if self.dice.below(100) < 8 {
                format!("D{:05}", i % 100_000)
            } else {
                format!("{}{:04}", pick(&mut self.dice, &letters), i % 10_000)
            };
            let customs = kind.0 == "PF_CONTAINER" && self.dice.below(100) < 6;
            if kind.2 != Class::Passenger && customs {
                self.customs.push(i);
            } else {
                self.outside[usize::from(kind.2 == Class::Passenger)].push(i);
            }
            let long = matches!(kind.0, "PF_TRADE" | "PF_SHORT_HAUL");
            self.vehicles.push(Vehicle {
                plate: format!("{province}{city}{tail}"),
                category: kind.0,
                enterprise: format!("E{:04}", self.dice.below((n as u64 / 25).max(4))),
                class: kind.2,
                banned: self.dice.millionths(700),
                long_card: long.then(|| format!("L{i:06}")),
                card: None,
                task: None,
                entry_at: 0,
            });
        }
    }

    fn push(&mut self, at: i64, event: JournalEvent) {
        self.order += 1;
        self.events.push((at, self.order, event));
    }

    pub(super) fn registry(&mut self, at: i64, kind: &str, id: &str, value: serde_json::Value) {
        self.revision += 1;
        let revision = self.revision;
        self.push(at, JournalEvent::Registry { revision, kind: kind.into(), id: id.into(), value: Some(value), by: None });
    }

    /// Everything the journal holds of that day, in order.
    pub(super) fn day(&mut self, day: Date) -> Vec<(Instant, JournalEvent)> {
        let start = day.start().as_micros();
        if std::mem::take(&mut self.first) {
            self.register_all(start);
        }
        let traffic = self.plan_day(day, start);
        self.plan_arrivals(start, traffic);
        while let Some(Reverse((at, _, goal, lane, vehicle))) = self.arrivals.peek().copied() {
            if at >= start + DAY {
                break;
            }
            self.arrivals.pop();
            match goal {
                Goal::Entry => self.enter(at, lane, vehicle),
                Goal::Exit => self.leave(at, lane, vehicle),
                Goal::Trip(trip, step) => self.customs_step(at, lane, vehicle, trip as usize, step),
            }
        }
        self.hand_over(day, start + 17 * HOUR);
        let end = start + DAY;
        self.events.sort_unstable_by_key(|(at, order, _)| (*at, *order));
        let split = self.events.partition_point(|(at, _, _)| *at < end);
        let rest = self.events.split_off(split);
        std::mem::replace(&mut self.events, rest).into_iter().map(|(at, _, e)| (Instant::from_micros(at), e)).collect()
    }

    fn register_all(&mut self, at: i64) {
        for lane in 0..self.lanes.len() {
            let Some(l) = self.lanes.get(lane) else { continue };
            let class = match l.class {
                Class::Passenger => "PASSENGER",
                Class::Freight | Class::Customs => "FREIGHT",
            };
            let (id, value) =
                (l.id.clone(), json!({"checkpoint": l.checkpoint, "direction": l.direction, "lane_class": class, "class": class}));
            self.registry(at, "lane", &id, value);
        }
        for i in 0..self.vehicles.len() {
            let Some(v) = self.vehicles.get(i) else { continue };
            let (plate, enterprise, banned) = (v.plate.clone(), v.enterprise.clone(), v.banned);
            let value = json!({"category": v.category, "registration": "APPROVED", "enterprise": enterprise, "body": if v.class == Class::Passenger { "PASSENGER" } else { "FREIGHT" }});
            let long = v.long_card.clone();
            self.registry(at, "vehicle", &plate, value);
            if let Some(card) = long {
                self.registry(at, "card", &card, json!({"type": "LONG", "status": "ISSUED", "plate": plate, "enterprise": enterprise}));
            }
            if banned {
                self.registry(
                    at,
                    "ban",
                    &format!("B{i}"),
                    json!({"plate": plate, "kind": "BLACKLIST", "from": Instant::from_micros(at).to_string()}),
                );
            }
        }
    }

    /// Traffic of the day against an ordinary one, accidents, ships, peak pass mode, receptions.
    fn plan_day(&mut self, day: Date, start: i64) -> f64 {
        let text = day.to_string();
        let number = |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<u32>().ok()).unwrap_or(1);
        let (month, of_month) = (number(5..7), number(8..10));
        // 1970-01-01 was a Thursday; Monday is 0.
        let weekday = ((start + 8 * HOUR).div_euclid(DAY) + 3).rem_euclid(7);
        let mut traffic = match weekday {
            6 => 0.6,
            5 => 0.82,
            _ => 1.05,
        };
        for (m, from, to, factor) in HOLIDAYS {
            if m == month && (from..=to).contains(&of_month) {
                traffic = factor;
            }
        }
        // A ship brings two days of work.
        let berthed = self.dice.below(5) as f64;
        self.ships = self.ships * 0.5 + berthed;
        traffic *= 0.7 + 0.08 * self.ships;
        self.accidents.clear();
        for gate in 0..self.gates {
            if self.dice.millionths(80_000) {
                let from = start + self.dice.between(6 * HOUR, 20 * HOUR);
                self.accidents.push((gate, from, from + self.dice.between(40 * MINUTE, 150 * MINUTE)));
            }
            let on = weekday < 5 && self.dice.millionths(200_000) && gate + 2 < self.gates.max(3);
            if let Some(to) = self.peak_to.get_mut(gate) {
                *to = if on { start + 18 * HOUR + 30 * MINUTE } else { 0 };
            }
            if on {
                let checkpoint = format!("JCZ-{}", gate + 1);
                let times = (Instant::from_micros(start + 17 * HOUR), Instant::from_micros(start + 18 * HOUR + 30 * MINUTE));
                let value = json!({"active": true, "from": times.0.to_string(), "to": times.1.to_string(), "activated_by": "chen"});
                self.registry(times.0.as_micros() - MINUTE, "peak_mode", &checkpoint, value);
            }
        }
        for n in 0..6 {
            let at = start + self.dice.between(8 * HOUR, 18 * HOUR);
            let id = format!("YY{text}-{n}");
            let yard = format!("CK-{}", self.dice.below(5));
            let plate = format!("新F{:05}", self.dice.below(99_999));
            self.registry(at, "appointment", &id, json!({"kind": "HEAVY", "state": "BOOKED", "yard": yard, "plate": plate}));
            if self.dice.below(10) < 9 {
                let later = at + self.dice.skewed(40.0 * MINUTE as f64);
                self.registry(later, "approval", &format!("SP{id}"), json!({"appointment": id, "state": "APPROVED", "approver": yard}));
            }
            let id = format!("JD{text}-{n}");
            let plate = format!("苏A{:05}", self.dice.below(99_999));
            let state = if n == 5 { "EXPIRED" } else { "FILED" };
            self.registry(
                at,
                "reception",
                &id,
                json!({"plate": plate, "state": state, "valid_from": text, "host_unit": format!("U{}", n % 3)}),
            );
            if n < 3 {
                let used = Use {
                    effect: Effect::ReceptionConsumed.as_str().into(),
                    kind: "reception".into(),
                    id: id.clone(),
                    plate: None,
                    passage_id: format!("P{id}"),
                    at: Instant::from_micros(at + HOUR),
                };
                self.push(at + HOUR, JournalEvent::Used { used: used.clone() });
                if n < 2 {
                    let used = Use { effect: Effect::ReceptionClosed.as_str().into(), at: Instant::from_micros(at + 3 * HOUR), ..used };
                    self.push(at + 3 * HOUR, JournalEvent::Used { used });
                }
            }
        }
        traffic
    }

    fn plan_arrivals(&mut self, start: i64, traffic: f64) {
        let total: u32 = HOURS.iter().sum();
        for lane in 0..self.lanes.len() {
            let Some((class, direction)) = self.lanes.get(lane).map(|l| (l.class, l.direction)) else { continue };
            let share = match (class, direction) {
                (Class::Freight, "ENTRY") => 1.0,
                (Class::Passenger, "ENTRY") => 0.8,
                (Class::Customs, "IMPORT_BORDER_IN" | "EXPORT_YARD_IN") => 0.12,
                _ => continue,
            };
            for (hour, weight) in HOURS.iter().enumerate() {
                let expected = f64::from(self.per_lane) * traffic * share * f64::from(*weight) / f64::from(total);
                let n = (expected + self.dice.share()) as u64;
                for _ in 0..n {
                    let at = start + hour as i64 * HOUR + self.dice.between(0, HOUR);
                    if class == Class::Customs {
                        self.plan_trip(at, lane, direction == "IMPORT_BORDER_IN");
                        continue;
                    }
                    let pool = usize::from(class == Class::Passenger);
                    let Some(len) = self.outside.get(pool).map(Vec::len).filter(|n| *n > 0) else { continue };
                    let place = self.dice.below(len as u64) as usize;
                    let vehicle = self.outside[pool].swap_remove(place);
                    self.expect(at, Goal::Entry, lane, vehicle);
                }
            }
        }
    }

    pub(super) fn expect(&mut self, at: i64, goal: Goal, lane: usize, vehicle: usize) {
        self.order += 1;
        self.arrivals.push(Reverse((at, self.order, goal, lane, vehicle)));
    }

    /// A vehicle's turn at the lane: when it stands at the barrier, and how long it is served.
    pub(super) fn turn(&mut self, at: i64, lane: usize, service_us: i64) -> (i64, i64) {
        let slow =
            self.lanes.get(lane).is_some_and(|l| self.accidents.iter().any(|(g, from, to)| *g == l.gate && (*from..*to).contains(&at)));
        let service = if slow { service_us * 4 } else { service_us };
        let Some(l) = self.lanes.get_mut(lane) else { return (at, at + service) };
        while l.ahead.front().is_some_and(|p| *p <= at) {
            l.ahead.pop_front();
        }
        let stands = at.max(l.free_at);
        let done = stands + service;
        l.free_at = done + 3_000_000;
        l.ahead.push_back(done);
        let (queue, id) = (l.ahead.len() as u32, l.id.clone());
        if queue >= 4 || self.dice.below(8) == 0 {
            let received = Instant::from_micros(at);
            let read = ReadMessage { lane: id, received_at: Some(received), queue_length: Some(queue), ..ReadMessage::default() };
            self.push(at, JournalEvent::Read { read: Box::new(read) });
        }
        (stands, done)
    }

    fn enter(&mut self, at: i64, lane: usize, vehicle: usize) {
        let Some(v) = self.vehicles.get(vehicle) else { return };
        let (plate, category, enterprise, class, banned) = (v.plate.clone(), v.category, v.enterprise.clone(), v.class, v.banned);
        let mut card = v.long_card.clone();
        let mut uses = vec![(Effect::PresenceOpened, "presence", plate.clone())];
        let row = match category {
            "PF_GENERAL" => Row::LygR01,
            "PF_TRADE" => Row::LygR02,
            "PF_CONTAINER" => Row::LygR05,
            "PF_SHORT_HAUL" => Row::LygR09,
            "AUX_LONG" => Row::LygR11,
            _ => Row::LygR15,
        };
        if category == "PF_GENERAL" {
            self.cards += 1;
            // Cards go round: a few thousand of them, each issue with an id of its own.
            let (id, issue) = (format!("S{:06}", self.cards % 40_000), self.cards);
            let value = json!({"type": "SINGLE", "status": "ISSUED", "plate": plate, "enterprise": enterprise, "issue_id": issue.to_string(), "issued_at": Instant::from_micros(at).to_string()});
            self.registry(at, "card", &id, value);
            card = Some(id.clone());
            uses.push((Effect::SingleCardConsumed, "card", id.clone()));
            if let Some(v) = self.vehicles.get_mut(vehicle) {
                v.card = Some((id, issue));
            }
        }
        if category.starts_with("PF_") {
            self.tasks += 1;
            let code = format!("HP{:08}", self.tasks);
            let from = at - self.dice.between(-30 * MINUTE, 90 * MINUTE);
            let to = from + self.dice.between(90 * MINUTE, 4 * HOUR);
            let value = json!({"kind": "PF", "state": "CALLED", "plate": plate, "work_unit": format!("MT-{}", self.tasks % 7), "window_from": Instant::from_micros(from).to_string(), "window_to": Instant::from_micros(to).to_string()});
            self.registry(at, "task", &code, value);
            uses.push((Effect::TaskEntered, "task", code.clone()));
            if let Some(v) = self.vehicles.get_mut(vehicle) {
                v.task = Some(code);
            }
        }
        let fault = if banned { Some((Reason::VehicleBlacklisted, 100)) } else { self.fault(class, true) };
        let service = self.dice.skewed(if class == Class::Passenger { 9e6 } else { 34e6 });
        let (stands, done) = self.turn(at, lane, service);
        let green = if class == Class::Passenger {
            Reason::AutoReleaseBusinessEntry
        } else if category == "AUX_LONG" {
            Reason::AutoReleaseAuxiliaryEntry
        } else {
            Reason::ManualReleaseRequired
        };
        let visit = Visit { lane, plate, category, enterprise, row, green, fault, card, uses, entry: true, profile: "LYG" };
        let passed = self.visit(visit, stands, done);
        if !passed {
            self.outside[usize::from(class == Class::Passenger)].push(vehicle);
            return;
        }
        if let Some(v) = self.vehicles.get_mut(vehicle) {
            v.entry_at = done;
        }
        let stay = if class == Class::Passenger { self.dice.skewed(7.0 * HOUR as f64) } else { self.dice.skewed(95.0 * MINUTE as f64) };
        let exits: Vec<usize> =
            (0..self.lanes.len()).filter(|i| self.lanes.get(*i).is_some_and(|l| l.direction == "EXIT" && l.class == class)).collect();
        let Some(exit) = exits.get(self.dice.below(exits.len() as u64) as usize).copied() else { return };
        self.expect(done + stay, Goal::Exit, exit, vehicle);
    }

    fn leave(&mut self, at: i64, lane: usize, vehicle: usize) {
        let Some(v) = self.vehicles.get_mut(vehicle) else { return };
        let (plate, category, enterprise, class) = (v.plate.clone(), v.category, v.enterprise.clone(), v.class);
        let (single, task) = (v.card.take(), v.task.take());
        let card = single.as_ref().map(|s| s.0.clone()).or_else(|| v.long_card.clone());
        let mut uses = vec![(Effect::PresenceClosed, "presence", plate.clone())];
        if let Some((id, _)) = &single {
            uses.push((Effect::SingleCardRecovered, "card", id.clone()));
        }
        if let Some(task) = task {
            uses.push((Effect::TaskCompleted, "task", task));
        }
        let mut fault = self.fault(class, false);
        if category == "PF_SHORT_HAUL" {
            if self.dice.below(100) == 0 {
                fault = Some((Reason::LeaveConsentMissing, 75));
            } else {
                let id = format!("LC{:08}", self.order);
                self.registry(at, "leave_consent", &id, json!({"plate": plate, "state": "GRANTED", "valid_to": Instant::from_micros(at + 12 * HOUR).to_string(), "granted_by": "MT-1"}));
                uses.push((Effect::LeaveConsentUsed, "leave_consent", id));
            }
        }
        let service = self.dice.skewed(if class == Class::Passenger { 10e6 } else { 30e6 });
        let (stands, done) = self.turn(at, lane, service);
        let peak = self.lanes.get(lane).and_then(|l| self.peak_to.get(l.gate)).is_some_and(|to| stands < *to && stands >= to - 90 * MINUTE);
        let (row, green) = match category {
            "PF_GENERAL" => (Row::LygR03, Reason::ManualReleaseRequired),
            "PF_TRADE" => (Row::LygR04, Reason::ManualReleaseRequired),
            "PF_CONTAINER" => (Row::LygR06, Reason::ManualReleaseRequired),
            "PF_SHORT_HAUL" => (Row::LygR10, Reason::ManualReleaseRequired),
            "AUX_LONG" => (Row::LygR12, Reason::ManualReleaseRequired),
            _ if peak => (Row::LygR17, Reason::PeakModeExit),
            _ => (Row::LygR16, Reason::ManualReleaseRequired),
        };
        let visit = Visit { lane, plate, category, enterprise, row, green, fault, card, uses, entry: false, profile: "LYG" };
        let passed = self.visit(visit, stands, done);
        if let Some((id, issue)) = single {
            if passed {
                self.recovered.push((done, id, issue));
            } else if self.dice.below(20) == 0 {
                let value = json!({"type": "SINGLE", "status": "LOST", "plate": self.vehicles.get(vehicle).map(|v| v.plate.clone()), "issue_id": issue.to_string()});
                self.registry(done, "card", &id, value);
            }
        }
        // Turned back at the exit, it settles things and leaves by another way later.
        self.outside[usize::from(class == Class::Passenger)].push(vehicle);
    }

    /// What goes wrong this time, and how many of a hundred are turned back for it.
    fn fault(&mut self, class: Class, entry: bool) -> Option<(Reason, u64)> {
        let mut roll = self.dice.below(1_000_000);
        for (reason, share, turned) in FAULTS {
            if roll < share {
                let freight_only = matches!(
                    reason,
                    Reason::TaskOutsideWindow
                        | Reason::TaskMissing
                        | Reason::CardExpired
                        | Reason::PlateCardMismatch
                        | Reason::CargoTaskMismatch
                        | Reason::SingleCardAlreadyUsed
                );
                let entry_only = reason == Reason::PlateAlreadyInside;
                return ((class == Class::Freight || !freight_only) && (entry || !entry_only)).then_some((reason, turned));
            }
            roll -= share;
        }
        None
    }

    fn hand_over(&mut self, day: Date, closing: i64) {
        let handed: Vec<(i64, String, u64)> = self.recovered.iter().filter(|r| r.0 < closing).cloned().collect();
        self.recovered.retain(|r| r.0 >= closing);
        let wrong = usize::from(self.dice.below(40) == 0);
        self.handovers.push((day, handed.len().saturating_sub(wrong)));
        for (_, id, issue) in handed {
            let value = json!({"type": "SINGLE", "status": "HANDED_OVER", "issue_id": issue.to_string()});
            self.registry(closing + 10 * MINUTE, "card", &id, value);
        }
    }

    /// The vehicle at the barrier: arrival, decision, the guard's word, passage or departure.
    /// Whether it went through.
    pub(super) fn visit(&mut self, v: Visit, stands: i64, done: i64) -> bool {
        let Some((lane, checkpoint, direction)) = self.lanes.get(v.lane).map(|l| (l.id.clone(), l.checkpoint.clone(), l.direction)) else {
            return false;
        };
        let key = self.dice.hex(1);
        let approach = format!("A-{key}");
        let decision_id = format!("D-{key}");
        let arrived = Instant::from_micros(stands);
        let evidence = Instant::from_micros(stands + self.dice.between(700_000, 2_600_000));
        let latency = self.dice.skewed(1_400.0).max(90);
        let decided = Instant::from_micros(evidence.as_micros() + latency);
        let mut reasons: Vec<ReasonRecord> = Vec::with_capacity(2);
        let mut violations = Vec::new();
        let mut verdict = v.green.disposition(v.entry);
        let turned = match v.fault {
            Some((fault, turned)) => {
                verdict = fault.disposition(v.entry);
                reasons.push(fault.record(fault.cites().first().copied(), verdict));
                violations.extend(fault.violation(v.entry).map(|x| x.as_str().to_owned()));
                self.dice.below(100) < turned || (verdict == Verdict::Refuse)
            }
            None => {
                reasons.push(v.green.record(v.green.cites().first().copied(), verdict));
                false
            }
        };
        let weak = matches!(v.fault, Some((Reason::PlateUnreadable | Reason::PlateLowConfidence, _)));
        let confidence = if weak { 0.3 + 0.5 * self.dice.share() } else { 0.93 + 0.069 * self.dice.share() };
        let release_role = (verdict == Verdict::Hold).then_some(if v.profile == "NNG" { Role::Customs } else { Role::Guard });
        let mut decision = Decision {
            id: decision_id.clone(),
            version: 1,
            approach_id: approach.clone(),
            site: self.site.clone(),
            checkpoint: checkpoint.clone(),
            lane: lane.clone(),
            profile: v.profile.into(),
            direction: direction.into(),
            row: Some(v.row.as_str().into()),
            category: Some(v.category.into()),
            verdict,
            in_order: v.fault.is_none(),
            reasons,
            violations: violations.clone(),
            effects: v.uses.iter().map(|u| u.0.as_str().to_owned()).collect(),
            release_role,
            plate: Some(v.plate.clone()),
            plate_source: Some(PlateSource::Camera),
            enterprise: Some(v.enterprise.clone()),
            plate_read: Some(PlateRead {
                text: v.plate.clone(),
                confidence,
                colour: Some("yellow".into()),
                kind: None,
                characters: vec![],
                corners: None,
                settled: None,
                model: None,
            }),
            card: v.card.clone(),
            inputs: Box::new(ReadMessage { lane: lane.clone(), track_id: Some(format!("T{}", self.order)), ..ReadMessage::default() }),
            read_ids: vec![String::new(); 3 + usize::from(v.card.is_some())],
            arrived_at: arrived,
            evidence_at: evidence,
            decided_at: decided,
            latency_us: latency,
            policy_revision: "default".into(),
            registry_revision: self.revision,
            registry_age_ms: self.dice.between(5, 900),
            model: Some("3f1c9a0b7d52e846".into()),
            evidence: Some(Evidence { frame_id: format!("F-{key}"), sha256: self.dice.hex(4) }),
            ..super::blank()
        };
        self.push(stands, JournalEvent::Arrived { approach_id: approach.clone(), lane: lane.clone(), arrived_at: arrived });
        self.push(decided.as_micros(), JournalEvent::Decision { decision: Box::new(decision.clone()) });
        for code in &violations {
            let violation = self.violation(code, &decision);
            self.push(decided.as_micros(), JournalEvent::Violation { violation: Box::new(violation) });
        }
        let done = done.max(decided.as_micros() + 2_000_000);
        if verdict == Verdict::Hold {
            let guard = if v.profile == "NNG" { "guan" } else { ["li", "wang", "zhao", "sun"][v.lane % 4] };
            decision.version = 2;
            decision.by = Some(Principal { name: guard.into(), role: release_role.unwrap_or(Role::Guard), lanes: vec![] });
            decision.decided_at = Instant::from_micros(done - 1_500_000);
            decision.action = Some(if turned {
                Action::Refuse
            } else if weak {
                Action::Correct
            } else {
                Action::Release
            });
            decision.verdict = if turned { Verdict::Refuse } else { Verdict::Open };
            decision.note = Some(if turned { "核验不符".into() } else { "核对无误".into() });
            self.push(done - 1_500_000, JournalEvent::Decision { decision: Box::new(decision.clone()) });
        }
        // A few drive on all the same.
        let breaks_through = turned && self.dice.below(60) == 0;
        let passes = !turned || breaks_through;
        let at = Instant::from_micros(done);
        if passes {
            let authorised_by = match (breaks_through, verdict, v.profile) {
                (true, ..) => AuthorisedBy::None,
                (_, Verdict::Open, _) => AuthorisedBy::Auto,
                (_, _, "NNG") => AuthorisedBy::Customs,
                _ => AuthorisedBy::Guard,
            };
            let passage_id = format!("P-{key}");
            let passage = Passage {
                passage_id: passage_id.clone(),
                approach_id: Some(approach.clone()),
                decision_id: Some(decision_id),
                site: self.site.clone(),
                checkpoint,
                lane: lane.clone(),
                direction: direction.into(),
                category: Some(v.category.into()),
                plate: Some(v.plate.clone()),
                passed_at: at,
                authorised_by,
                effects: decision.effects.clone(),
            };
            self.push(done, JournalEvent::Passage { passage: passage.clone() });
            for (effect, kind, id) in &v.uses {
                let used = Use {
                    effect: effect.as_str().into(),
                    kind: (*kind).into(),
                    id: id.clone(),
                    plate: Some(v.plate.clone()),
                    passage_id: passage_id.clone(),
                    at,
                };
                self.push(done, JournalEvent::Used { used });
            }
            if breaks_through {
                let violation = self.violation("V_PASSED_WHILE_REFUSED", &decision);
                self.push(done, JournalEvent::Violation { violation: Box::new(violation) });
            }
            if self.dice.millionths(400) {
                let behind = Passage {
                    passage_id: format!("P-{}", self.dice.hex(1)),
                    approach_id: None,
                    decision_id: None,
                    category: None,
                    plate: None,
                    passed_at: at.plus_millis(2_100),
                    authorised_by: AuthorisedBy::None,
                    effects: vec![],
                    ..passage
                };
                self.push(done + 2_100_000, JournalEvent::Passage { passage: behind });
            }
        }
        let ending = if passes { Ending::Passed } else { Ending::Gone };
        self.push(done + 800_000, JournalEvent::Ended { approach_id: approach, lane, ending });
        passes
    }

    fn violation(&mut self, code: &str, d: &Decision) -> Violation {
        Violation {
            violation_id: format!("V-{}", self.dice.hex(1)),
            code: code.into(),
            source: d.reasons.first().map_or_else(String::new, |r| r.code.clone()),
            status: "SUSPECTED".into(),
            site: d.site.clone(),
            checkpoint: d.checkpoint.clone(),
            lane: d.lane.clone(),
            approach_id: Some(d.approach_id.clone()),
            decision_id: Some(d.id.clone()),
            plate: d.plate.clone(),
            enterprise: d.enterprise.clone(),
            raised_at: d.arrived_at,
            ..super::blank_violation()
        }
    }
}

pub(super) struct Visit {
    pub(super) lane: usize,
    pub(super) plate: String,
    pub(super) category: &'static str,
    pub(super) enterprise: String,
    pub(super) row: Row,
    pub(super) green: Reason,
    pub(super) fault: Option<(Reason, u64)>,
    pub(super) card: Option<String>,
    pub(super) uses: Vec<(Effect, &'static str, String)>,
    pub(super) entry: bool,
    pub(super) profile: &'static str,
}

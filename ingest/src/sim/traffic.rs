//! Who comes next, with which papers, and what is wrong with them.
//!
//! Pure and seeded: the same seed and the same answers of the gate give the same traffic. It plays
//! the port's offices too (tasks called, single cards issued, permits written) by returning the
//! records that must stand in the registry before the vehicle arrives.

use portgate_core::read::CargoObserved;
use portgate_core::registry::Kind;
use portgate_core::time::Instant;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{json, Value};

use super::render::VehicleLook;
use super::site::{make_up, DemoSite, LaneSpec, RecordChange, Role, Vehicle};
use portgate_core::plate::PlateKind;

/// Cargo the port handles.
const CARGO: [&str; 6] = ["铁矿石", "煤炭", "木片", "钢材", "化肥", "粮食"];
const DAY_MS: i64 = 86_400_000;

/// A mistake or fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum Fault {
    WrongCard,
    ExpiredCard,
    NoCard,
    CardUsedTwice,
    Banned,
    WrongLane,
    CargoMismatch,
    AlreadyInside,
    Unknown,
    TaskMissing,
    NotCalled,
    OtherColour,
    DirtyPlate,
    Inspection,
    PermitMissing,
    ConsentMissing,
    ReceptionExpired,
}

/// Shares of the arrivals, in thousandths.
const ENTRY_FAULTS: [(Fault, u32); 15] = [
    (Fault::WrongCard, 30),
    (Fault::ExpiredCard, 20),
    (Fault::NoCard, 15),
    (Fault::CardUsedTwice, 20),
    (Fault::Banned, 15),
    (Fault::WrongLane, 25),
    (Fault::CargoMismatch, 30),
    (Fault::AlreadyInside, 15),
    (Fault::Unknown, 30),
    (Fault::TaskMissing, 15),
    (Fault::NotCalled, 20),
    (Fault::OtherColour, 10),
    (Fault::DirtyPlate, 20),
    (Fault::Inspection, 15),
    (Fault::ReceptionExpired, 15),
];
const EXIT_FAULTS: [(Fault, u32); 6] = [
    (Fault::PermitMissing, 40),
    (Fault::CargoMismatch, 25),
    (Fault::WrongCard, 20),
    (Fault::ConsentMissing, 40),
    (Fault::DirtyPlate, 20),
    (Fault::WrongLane, 15),
];

/// One vehicle on its way to a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// Lane it comes to.
    pub lane: String,
    /// What the camera sees.
    pub look: VehicleLook,
    /// Its real plate (what its licence says).
    pub plate: String,
    /// Card its driver holds to the reader.
    pub card: Option<String>,
    /// Exit permit its driver shows.
    pub exit_permit: Option<String>,
    /// What is seen of its load.
    pub cargo: Option<CargoObserved>,
    /// Records that must stand before it arrives, in this order.
    pub records: Vec<RecordChange>,
    /// What is wrong.
    pub fault: Option<Fault>,
    vehicle: usize,
    clone_of_inside: bool,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Through the barrier.
    Passed,
    /// Turned back.
    TurnedBack,
    /// The gate says it is already inside, or never came in: the simulator lost track of it.
    Elsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    AtLane,
    /// Inside, ready to leave from then on.
    Inside(Instant),
}

#[derive(Clone, Debug)]
struct Known {
    vehicle: Vehicle,
    place: Place,
    /// Single card of the present visit.
    card: Option<String>,
    /// A single card that has been recovered.
    used_card: Option<String>,
    /// Cargo it is to take out.
    cargo_out: Option<&'static str>,
    /// Records of earlier visits that can be cleared away.
    stale: Vec<(Kind, String)>,
}

/// The traffic of a site.
pub struct Traffic {
    rng: StdRng,
    /// Makes the ids of this run's papers unlike those of any other run.
    run: String,
    papers: u64,
    known: Vec<Known>,
    on_file: usize,
    dwell_ms: (i64, i64),
}

impl Traffic {
    /// Traffic at the site. `run` marks the ids of its papers, because a gate remembers which are used
    /// up; `dwell_s`: how long vehicles stay inside, from and to.
    #[must_use]
    pub fn new(site: &DemoSite, seed: u64, run: u32, dwell_s: (u32, u32)) -> Self {
        let known: Vec<Known> = site.vehicles().iter().cloned().map(Known::new).collect();
        Self {
            rng: StdRng::seed_from_u64(seed),
            run: format!("{run:08X}"),
            papers: 0,
            on_file: known.len(),
            known,
            dwell_ms: (i64::from(dwell_s.0) * 1000, i64::from(dwell_s.1.max(dwell_s.0 + 1)) * 1000),
        }
    }

    /// These are inside from before; those of them who are on file will leave.
    pub fn already_inside(&mut self, plates: &[String], now: Instant) {
        for known in self.known.iter_mut().filter(|k| plates.contains(&k.vehicle.plate)) {
            let stay = self.rng.random_range(self.dwell_ms.0..self.dwell_ms.1);
            known.place = Place::Inside(now.plus_millis(stay));
        }
    }

    /// The next vehicle for a lane; none: nobody wants to leave now.
    pub fn next(&mut self, lane: &LaneSpec, now: Instant) -> Option<Visit> {
        if lane.entry {
            Some(self.arrival(lane, now))
        } else {
            self.departure(lane, now)
        }
    }

    /// How many want to leave by a lane of this class now.
    #[must_use]
    pub fn leaving(&self, freight: bool, now: Instant) -> usize {
        self.known.iter().filter(|k| k.vehicle.freight() == freight && k.ready(now)).count()
    }

    /// What became of a visit.
    pub fn ended(&mut self, visit: &Visit, entry: bool, end: End, now: Instant) {
        let stay = self.rng.random_range(self.dwell_ms.0..self.dwell_ms.1);
        let Some(known) = self.known.get_mut(visit.vehicle) else { return };
        if visit.clone_of_inside {
            return;
        }
        known.place = match (entry, end) {
            (true, End::Passed) | (true, End::Elsewhere) => Place::Inside(now.plus_millis(stay)),
            (true, End::TurnedBack) | (false, End::Passed) | (false, End::Elsewhere) => Place::Outside,
            // Back into the port, to put its papers in order.
            (false, End::TurnedBack) => Place::Inside(now.plus_millis(stay)),
        };
        if !entry && end == End::Passed {
            known.used_card = known.card.take().or(known.used_card.take());
        }
    }

    fn paper(&mut self, prefix: &str) -> String {
        self.papers += 1;
        format!("{prefix}-{}-{:05}", self.run, self.papers)
    }

    fn fault(&mut self, shares: &[(Fault, u32)]) -> Option<Fault> {
        let mut lot = self.rng.random_range(0..1000_u32);
        for (fault, share) in shares {
            if lot < *share {
                return Some(*fault);
            }
            lot -= share;
        }
        None
    }

    // ---- in ---------------------------------------------------------------------------------

    fn arrival(&mut self, lane: &LaneSpec, now: Instant) -> Visit {
        let fault = self.fault(&ENTRY_FAULTS);
        let freight = lane.freight != (fault == Some(Fault::WrongLane));
        if fault == Some(Fault::AlreadyInside) {
            if let Some(i) = self.pick(|k| matches!(k.place, Place::Inside(_)) && k.vehicle.freight() == lane.freight) {
                return self.clone_plate(lane, i);
            }
        }
        let (i, fault) = self.who_comes(freight, fault);
        self.papers_in(lane, i, fault, now)
    }

    /// A vehicle that is outside and may carry this fault; a fault nobody can carry is dropped.
    fn who_comes(&mut self, freight: bool, fault: Option<Fault>) -> (usize, Option<Fault>) {
        let outside = |k: &Known| k.place == Place::Outside && k.vehicle.freight() == freight;
        let role_of = |k: &Known| k.vehicle.role;
        let special = match fault {
            Some(Fault::Banned) => self.pick(|k| outside(k) && k.vehicle.banned),
            Some(Fault::Unknown) => Some(self.newcomer(Role::Unknown, freight)),
            Some(Fault::CardUsedTwice) => self.pick(|k| outside(k) && role_of(k) == Role::SingleCard && k.used_card.is_some()),
            Some(Fault::ExpiredCard) => self.pick(|k| outside(k) && role_of(k) == Role::SingleCard && !k.vehicle.banned),
            Some(Fault::WrongCard | Fault::NoCard) => {
                self.pick(|k| outside(k) && matches!(role_of(k), Role::SingleCard | Role::LongCard) && !k.vehicle.banned)
            }
            Some(Fault::CargoMismatch | Fault::TaskMissing | Fault::NotCalled) => self.pick(|k| {
                let carries = matches!(role_of(k), Role::LongCard | Role::Container | Role::Resident | Role::ShortHaul);
                outside(k) && carries
            }),
            Some(Fault::ReceptionExpired) if !freight => Some(self.newcomer(Role::Reception, freight)),
            _ => None,
        };
        let needs_somebody = !matches!(fault, None | Some(Fault::WrongLane | Fault::OtherColour | Fault::DirtyPlate | Fault::Inspection));
        match special {
            Some(i) => (i, fault),
            None => (self.anybody(freight), fault.filter(|_| !needs_somebody)),
        }
    }

    fn anybody(&mut self, freight: bool) -> usize {
        let visitor = if freight { Role::AuxSingle } else { Role::Reception };
        let share = if freight { 0.06 } else { 0.25 };
        if self.rng.random_bool(share) {
            return self.newcomer(visitor, freight);
        }
        let lawful =
            |k: &Known| k.place == Place::Outside && k.vehicle.freight() == freight && !k.vehicle.banned && k.vehicle.category.is_some();
        match self.pick(lawful) {
            Some(i) => i,
            None => self.newcomer(visitor, freight),
        }
    }

    fn pick(&mut self, wanted: impl Fn(&Known) -> bool) -> Option<usize> {
        let all: Vec<usize> = self.known.iter().enumerate().filter(|(_, k)| wanted(k)).map(|(i, _)| i).collect();
        all.choose(&mut self.rng).copied()
    }

    /// Somebody who has never been here; takes the place of an earlier one who has left.
    fn newcomer(&mut self, role: Role, freight: bool) -> usize {
        let mut vehicle = make_up(role, &mut self.rng);
        // INVARIANT: every role is asked for with a lane class it can have, so this ends soon.
        while vehicle.freight() != freight || self.known.iter().any(|k| k.vehicle.plate == vehicle.plate) {
            vehicle = make_up(role, &mut self.rng);
        }
        let gone = self.known.iter().enumerate().skip(self.on_file).find(|(_, k)| k.place == Place::Outside);
        match gone.map(|(i, _)| i) {
            Some(i) => {
                if let Some(slot) = self.known.get_mut(i) {
                    let stale = std::mem::take(&mut slot.stale);
                    *slot = Known { stale, ..Known::new(vehicle) };
                }
                i
            }
            None => {
                self.known.push(Known::new(vehicle));
                self.known.len() - 1
            }
        }
    }

    /// Papers of a visit: what the offices write, and what the driver has in hand.
    fn papers_in(&mut self, lane: &LaneSpec, i: usize, fault: Option<Fault>, now: Instant) -> Visit {
        let code = self.paper("HP");
        let single = self.paper("SC");
        let order = self.paper("BK");
        let laden = self.rng.random_bool(0.45);
        let cargo = *CARGO.choose(&mut self.rng).unwrap_or(&CARGO[0]);
        let other = *CARGO.iter().find(|c| **c != cargo).unwrap_or(&CARGO[1]);
        let wrong_card = self.someone_elses_card(i);
        let look_seed = self.rng.random::<u64>();
        let dirt = self.dirt(fault);
        let Some(known) = self.known.get_mut(i) else { return Visit::nobody(lane) };
        known.place = Place::AtLane;
        let vehicle = known.vehicle.clone();
        let mut records: Vec<RecordChange> = known.stale.drain(..).map(|(kind, id)| (kind, id, None)).collect();
        let mut write = |stale: &mut Vec<(Kind, String)>, kind: Kind, id: &str, value: Value| {
            stale.push((kind, id.to_owned()));
            records.push((kind, id.to_owned(), Some(value)));
        };
        let production = matches!(vehicle.role, Role::LongCard | Role::SingleCard | Role::Container | Role::Resident | Role::ShortHaul);
        let cargo_in = laden.then_some(cargo);
        known.cargo_out = (production && !laden).then_some(cargo);
        if (production && fault != Some(Fault::TaskMissing)) || vehicle.role == Role::AuxSingle {
            let state = if fault == Some(Fault::NotCalled) { "APPOINTED" } else { "CALLED" };
            let value = json!({
                "kind": if production { "PF" } else { "AUX" },
                "plate": vehicle.plate,
                "state": state,
                "cargo_in": cargo_in.filter(|_| production),
                "cargo_out": known.cargo_out,
                "body": if production { None } else { Some(if vehicle.freight() { "FREIGHT" } else { "PASSENGER" }) },
                "work_unit": if production { None } else { Some("演示维修班") },
            });
            write(&mut known.stale, Kind::Task, &code, value);
        }
        if vehicle.role == Role::SingleCard && fault != Some(Fault::CardUsedTwice) {
            let valid_to = if fault == Some(Fault::ExpiredCard) { now.plus_millis(-2 * DAY_MS) } else { now.plus_millis(2 * DAY_MS) };
            let value = json!({
                "type": "SINGLE", "plate": vehicle.plate, "status": "ISSUED", "task": code,
                "valid_from": now.plus_millis(-5 * DAY_MS).date(), "valid_to": valid_to.date(),
            });
            write(&mut known.stale, Kind::Card, &single, value);
            known.card = Some(single.clone());
        }
        if vehicle.role == Role::Reception {
            let day = if fault == Some(Fault::ReceptionExpired) { now.plus_millis(-4 * DAY_MS) } else { now };
            let value = json!({
                "plate": vehicle.plate, "plate_colour": vehicle.kind.colour(), "valid_from": day.date(),
                "state": "FILED", "body": "PASSENGER", "purpose": "演示参观",
            });
            write(&mut known.stale, Kind::Reception, &code, value);
        }
        if fault == Some(Fault::Inspection) {
            write(&mut known.stale, Kind::InspectionOrder, &order, json!({"plate": vehicle.plate, "state": "OPEN", "by": "演示"}));
        }
        let own_card = match vehicle.role {
            Role::LongCard | Role::ShortHaul => vehicle.long_card.clone(),
            Role::SingleCard if fault == Some(Fault::CardUsedTwice) => known.used_card.clone(),
            Role::SingleCard => Some(single),
            _ => None,
        };
        let card = match fault {
            Some(Fault::NoCard) => None,
            Some(Fault::WrongCard) => wrong_card.or(own_card),
            _ => own_card,
        };
        let seen = match fault {
            Some(Fault::CargoMismatch) if laden => CargoObserved { laden: Some(true), name: Some(other.to_owned()) },
            Some(Fault::CargoMismatch) => CargoObserved { laden: Some(true), name: Some(cargo.to_owned()) },
            _ => CargoObserved { laden: Some(laden), name: cargo_in.map(str::to_owned) },
        };
        Visit {
            lane: lane.id.clone(),
            look: look_of(&vehicle, fault, dirt, look_seed),
            plate: vehicle.plate.clone(),
            card,
            exit_permit: None,
            cargo: production.then_some(seen),
            records,
            fault,
            vehicle: i,
            clone_of_inside: false,
        }
    }

    /// Another vehicle with a plate that is inside.
    fn clone_plate(&mut self, lane: &LaneSpec, i: usize) -> Visit {
        let seed = self.rng.random();
        let Some(known) = self.known.get(i) else { return Visit::nobody(lane) };
        let vehicle = known.vehicle.clone();
        let card = vehicle.long_card.clone();
        let look = VehicleLook { seed, ..look_of(&vehicle, None, 0.0, seed) };
        Visit {
            look,
            plate: vehicle.plate,
            card,
            cargo: vehicle.role.ne(&Role::Business).then_some(CargoObserved { laden: Some(false), name: None }),
            fault: Some(Fault::AlreadyInside),
            vehicle: i,
            clone_of_inside: true,
            ..Visit::nobody(lane)
        }
    }

    fn someone_elses_card(&mut self, i: usize) -> Option<String> {
        let cards: Vec<String> =
            self.known.iter().enumerate().filter(|(j, _)| *j != i).filter_map(|(_, k)| k.vehicle.long_card.clone()).collect();
        cards.choose(&mut self.rng).cloned()
    }

    fn dirt(&mut self, fault: Option<Fault>) -> f64 {
        match fault {
            Some(Fault::DirtyPlate) => 1.6,
            _ if self.rng.random_bool(0.3) => self.rng.random_range(0.0..0.3),
            _ => 0.0,
        }
    }

    // ---- out --------------------------------------------------------------------------------

    fn departure(&mut self, lane: &LaneSpec, now: Instant) -> Option<Visit> {
        let fault = self.fault(&EXIT_FAULTS);
        let freight = lane.freight != (fault == Some(Fault::WrongLane));
        let (i, fault) = match self.pick(|k| k.ready(now) && k.vehicle.freight() == freight) {
            Some(i) => (i, fault),
            None => (self.pick(|k| k.ready(now) && k.vehicle.freight() == lane.freight)?, None),
        };
        let permit = self.paper("CM");
        let consent = self.paper("TY");
        let wrong_card = self.someone_elses_card(i);
        let dirt = self.dirt(fault);
        let look_seed = self.rng.random();
        let known = self.known.get_mut(i)?;
        known.place = Place::AtLane;
        let vehicle = known.vehicle.clone();
        let production = matches!(vehicle.role, Role::LongCard | Role::SingleCard | Role::Container | Role::Resident | Role::ShortHaul);
        let auxiliary = matches!(vehicle.role, Role::AuxLong | Role::AuxSingle);
        let mut records: Vec<RecordChange> = Vec::new();
        let mut write = |kind: Kind, id: &str, value: Value| {
            known.stale.push((kind, id.to_owned()));
            records.push((kind, id.to_owned(), Some(value)));
        };
        let permitted = (production || auxiliary) && fault != Some(Fault::PermitMissing);
        if permitted {
            write(Kind::ExitPermit, &permit, json!({"plate": vehicle.plate, "state": "ISSUED"}));
        }
        if vehicle.role == Role::ShortHaul && fault != Some(Fault::ConsentMissing) {
            let value = json!({"plate": vehicle.plate, "state": "GRANTED", "valid_to": now.plus_millis(DAY_MS).to_string()});
            write(Kind::LeaveConsent, &consent, value);
        }
        let card = match (vehicle.role, fault) {
            (Role::LongCard | Role::ShortHaul, Some(Fault::WrongCard)) => wrong_card,
            (Role::LongCard | Role::ShortHaul, _) => vehicle.long_card.clone(),
            (Role::SingleCard, _) => known.card.clone(),
            _ => None,
        };
        let cargo = match (fault, known.cargo_out) {
            (Some(Fault::CargoMismatch), Some(_)) => CargoObserved { laden: Some(false), name: None },
            (Some(Fault::CargoMismatch), None) => CargoObserved { laden: Some(true), name: Some(CARGO[0].to_owned()) },
            (_, out) => CargoObserved { laden: Some(out.is_some()), name: out.map(str::to_owned) },
        };
        Some(Visit {
            look: look_of(&vehicle, fault, dirt, look_seed),
            plate: vehicle.plate,
            card,
            exit_permit: permitted.then_some(permit),
            cargo: production.then_some(cargo),
            records,
            fault,
            vehicle: i,
            ..Visit::nobody(lane)
        })
    }
}

impl Known {
    fn new(vehicle: Vehicle) -> Self {
        Self { vehicle, place: Place::Outside, card: None, used_card: None, cargo_out: None, stale: Vec::new() }
    }

    fn ready(&self, now: Instant) -> bool {
        matches!(self.place, Place::Inside(from) if from <= now)
    }
}

impl Visit {
    /// What the lane looks like before anybody is drawn.
    fn nobody(lane: &LaneSpec) -> Self {
        Self {
            lane: lane.id.clone(),
            look: VehicleLook { body: super::render::Body::Car, plate: String::new(), plate_kind: PlateKind::Blue, dirt: 0.0, seed: 0 },
            plate: String::new(),
            card: None,
            exit_permit: None,
            cargo: None,
            records: Vec::new(),
            fault: None,
            vehicle: usize::MAX,
            clone_of_inside: false,
        }
    }
}

fn look_of(vehicle: &Vehicle, fault: Option<Fault>, dirt: f64, seed: u64) -> VehicleLook {
    let plate_kind = match (fault, vehicle.kind) {
        // The right text on a plate of the wrong colour.
        (Some(Fault::OtherColour), PlateKind::Yellow) => PlateKind::Blue,
        (Some(Fault::OtherColour), PlateKind::Blue) => PlateKind::Yellow,
        (_, kind) => kind,
    };
    // Paint follows the vehicle, place in the lane and tilt the visit.
    VehicleLook { body: vehicle.body, plate: vehicle.plate.clone(), plate_kind, dirt, seed: vehicle.seed ^ (seed & 0xff) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portgate_core::registry::Record;

    use super::*;

    fn drive(seed: u64, rounds: usize) -> Vec<Visit> {
        let mut now: Instant = "2026-03-10T12:00:00+08:00".parse().unwrap();
        let site = DemoSite::new(4, now);
        let mut traffic = Traffic::new(&site, seed, 1, (30, 90));
        let mut visits = Vec::new();
        for _ in 0..rounds {
            for lane in site.lanes() {
                now = now.plus_millis(4_000);
                if let Some(visit) = traffic.next(lane, now) {
                    let end = if visit.fault.is_none() { End::Passed } else { End::TurnedBack };
                    traffic.ended(&visit, lane.entry, end, now);
                    visits.push(visit);
                }
            }
        }
        visits
    }

    #[test]
    fn a_seed_reproduces_the_traffic() {
        assert_eq!(drive(7, 120), drive(7, 120));
        assert_ne!(drive(7, 20), drive(8, 20));
    }

    #[test]
    fn every_paper_is_one_the_gate_accepts_and_faults_of_all_kinds_occur() {
        let visits = drive(3, 900);
        let mut faults = BTreeSet::new();
        for visit in &visits {
            faults.extend(visit.fault);
            assert!(!visit.plate.is_empty());
            for (kind, id, value) in &visit.records {
                if let Some(value) = value {
                    Record::parse(*kind, id, value).unwrap();
                }
            }
        }
        for (fault, _) in ENTRY_FAULTS.iter().chain(&EXIT_FAULTS) {
            assert!(faults.contains(fault), "{fault:?} never happened");
        }
        let faulty = visits.iter().filter(|v| v.fault.is_some()).count() * 100 / visits.len();
        assert!((5..45).contains(&faulty), "{faulty} % faulty");
        assert!(visits.iter().any(|v| v.lane == "JCZ-1.L2") && visits.iter().any(|v| v.lane == "JCZ-1.L4"));
    }

    #[test]
    fn who_was_inside_before_leaves_and_does_not_arrive() {
        let now: Instant = "2026-03-10T12:00:00+08:00".parse().unwrap();
        let site = DemoSite::new(4, now);
        let mut traffic = Traffic::new(&site, 5, 1, (30, 90));
        let trucks: Vec<String> = site.vehicles().iter().filter(|v| v.freight()).map(|v| v.plate.clone()).collect();
        traffic.already_inside(&trucks, now);
        for _ in 0..30 {
            let visit = traffic.next(&site.lanes()[0], now).unwrap();
            let inside = trucks.contains(&visit.plate);
            assert!(!inside || visit.fault == Some(Fault::AlreadyInside), "{visit:?}");
        }
        assert_eq!(traffic.leaving(true, now.plus_millis(90_000)), trucks.len());
    }

    #[test]
    fn nobody_is_at_two_places_at_once() {
        let now: Instant = "2026-03-10T12:00:00+08:00".parse().unwrap();
        let site = DemoSite::new(4, now);
        let mut traffic = Traffic::new(&site, 5, 1, (30, 90));
        let mut at_lane = BTreeSet::new();
        // Nobody's visit ends: every further arrival must be somebody else.
        for _ in 0..60 {
            let visit = traffic.next(&site.lanes()[0], now).unwrap();
            assert!(at_lane.insert(visit.plate.clone()), "the same vehicle arrived twice");
        }
        assert!(traffic.next(&site.lanes()[1], now).is_none(), "nobody is inside");
    }
}

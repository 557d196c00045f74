//! Named invariants of the site, over generated worlds, orders of events and traffic.

mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use portgate_core::command::{BarrierState, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::facts::FactSource;
use portgate_core::journal::JournalEvent;
use portgate_core::people::{Principal, Role};
use portgate_core::read::{Action, BarrierReport, ReadMessage, Word};
use portgate_core::registry::Kind;
use portgate_core::scenario::{claims, Course, Scenario, SITE};
use portgate_core::site::{Input, MemoryWorld};
use portgate_core::time::Instant;
use proptest::prelude::*;
use serde_json::{json, Value};
use worlds::worlds;

/// A site being driven; everything it says is kept.
#[derive(Clone, Default)]
struct Site {
    world: MemoryWorld,
    now: Instant,
    events: Vec<JournalEvent>,
}

impl Site {
    /// The place and the records of a scenario, with a camera that takes its time: nothing closes
    /// while the reads come in.
    fn of(scenario: &Scenario, settle_ms: u32) -> (Self, String) {
        let mut scenario = scenario.clone();
        scenario.policy.lone_frame_settle_ms = settle_ms;
        let course = Course::of(&scenario);
        let mut site = Self { now: scenario.at, ..Self::default() };
        for input in course.registry() {
            site.take(input);
        }
        site.events.clear();
        let lane = format!("{}.L1", scenario.checkpoint.id.clone().unwrap_or_else(|| "CP".to_owned()));
        (site, lane)
    }

    fn take(&mut self, input: Input) {
        let step = self.world.take(SITE, input, self.now).expect("a world in memory can be read");
        self.events.extend(step.events);
    }

    /// Time passes; what falls due is done at its instant.
    fn advance(&mut self, ms: i64) {
        let to = self.now.plus_millis(ms);
        for _ in 0..1000 {
            let due = self.world.lanes.values().filter_map(|l| l.deadline().map(|d| (d, l.lane.clone()))).min();
            let Some((at, lane)) = due.filter(|(at, _)| *at <= to) else { break };
            self.now = self.now.max(at);
            self.take(Input::Tick { lane });
        }
        self.now = to;
    }

    fn read(&mut self, read: ReadMessage) {
        let read = ReadMessage { received_at: Some(self.now), ..read };
        self.take(Input::Read(Box::new(read)));
    }

    fn put(&mut self, kind: Kind, id: &str, value: Value) {
        let mut facts = portgate_core::memory::MemoryFacts::default();
        facts.put(kind, id, &value).expect("a record");
        let course = Course { id: String::new(), title: String::new(), setup: vec![(kind, id.to_owned(), value)], steps: Vec::new() };
        let inputs: Vec<Input> = course.registry().collect();
        inputs.into_iter().for_each(|input| self.take(input));
    }

    fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.events.iter().filter_map(|e| if let JournalEvent::Decision { decision } = e { Some(&**decision) } else { None })
    }

    fn opens(&self) -> usize {
        self.events.iter().filter(|e| matches!(e, JournalEvent::Command { command } if command.order == Order::Open)).count()
    }
}

fn codes(decision: &Decision) -> Vec<String> {
    decision.reasons.iter().filter(|r| r.check != "SYS").map(|r| r.code.clone()).collect()
}

/// The reads of a scenario at a lane, observed at its time; the camera may still better its own.
fn reads(scenario: &Scenario, lane: &str) -> Vec<ReadMessage> {
    let mut reads = claims(&scenario.inputs);
    for read in &mut reads {
        read.lane = lane.to_owned();
        read.observed_at = Some(scenario.at);
        if let Some(plate) = &mut read.plate_read {
            plate.settled = Some(false);
        }
    }
    reads
}

/// The same items in another order, told by numbers.
fn reordered<T>(mut items: Vec<T>, picks: &[u8]) -> Vec<T> {
    let mut out = Vec::new();
    for pick in picks.iter().cycle() {
        if items.is_empty() {
            break;
        }
        out.push(items.remove(usize::from(*pick) % items.len()));
    }
    out
}

/// What a decision says, without what names the way to it.
fn said(decision: &Decision) -> Decision {
    let mut said = decision.clone();
    said.read_ids.sort();
    said.inputs.event_id = None;
    said.latency_us = 0;
    said.decided_at = Instant::default();
    said.evidence_at = Instant::default();
    said.registry_age_ms = 0;
    said
}

/// Delivers the reads, each some time after the one before, and waits out the window.
fn delivered(scenario: &Scenario, order: &[u8], gaps_ms: &[u16], settle_ms: u32, again: Option<u8>) -> (Site, usize) {
    let (mut site, lane) = Site::of(scenario, settle_ms);
    let mut before_the_last = 0;
    for (index, read) in reordered(reads(scenario, &lane), order).into_iter().enumerate() {
        site.advance(i64::from(gaps_ms[index % gaps_ms.len()] % 600));
        before_the_last = site.decisions().count();
        site.read(read.clone());
        if again.is_some_and(|a| (a >> (index % 8)) & 1 == 1) {
            let (lanes, decisions) = (site.world.lanes.clone(), site.world.decisions.clone());
            let events = site.events.len();
            site.read(read);
            assert_eq!((&lanes, &decisions), (&site.world.lanes, &site.world.decisions), "a repeat changes nothing");
            assert!(matches!(&site.events[events..], [JournalEvent::Dropped { .. }]), "a repeat is only put on record");
        }
    }
    let window = i64::from(scenario.policy.pairing_window_s) * 1000;
    // Up to the window's end and not to the expiry of what was opened meanwhile.
    for _ in 0..(window / 500) {
        if site.decisions().next().is_some() {
            break;
        }
        site.advance(500);
    }
    (site, before_the_last)
}

/// Found by chance once: a barrier that says more than half a minute after its command had run out that it obeyed.
#[test]
fn a_word_that_comes_too_late_claims_nothing_back() {
    use Happens::{Barrier, Passed, Plate, Released, Time};
    let mut site = port();
    let traffic = [Plate(0, 3), Plate(2, 3), Time(70_000), Released(2, Role::Guard), Barrier(0, BarrierState::Open), Passed(2)];
    for (index, what) in traffic.iter().enumerate() {
        happen(&mut site, index, what);
    }
    audit(&site).unwrap();
}

proptest! {
    #![proptest_config(worlds::cases(1500))]

    #[test]
    fn the_order_of_arrival_before_closing_changes_nothing(
        world in worlds(),
        orders in prop::array::uniform2(prop::collection::vec(any::<u8>(), 13)),
        gaps in prop::array::uniform2(prop::collection::vec(any::<u16>(), 13)),
    ) {
        let Some((world, scenario)) = world else { return Ok(()) };
        if scenario.inputs.plate_read.is_none() {
            return Ok(());
        }
        let (a, early_a) = delivered(&scenario, &orders[0], &gaps[0], 9_000, None);
        let (b, early_b) = delivered(&scenario, &orders[1], &gaps[1], 9_000, None);
        let (last_a, last_b) = (a.decisions().last().cloned(), b.decisions().last().cloned());
        prop_assert!(last_a.is_some() && last_b.is_some(), "decided when the window is over: {}", world);
        let (last_a, last_b) = (last_a.unwrap(), last_b.unwrap());
        if early_a == 0 && early_b == 0 {
            let (mut said_a, mut said_b) = (said(&last_a), said(&last_b));
            // The number in the name is the lane's; the arrival is the scenario's in both.
            for s in [&mut said_a, &mut said_b] {
                s.policy_revision.clear();
            }
            prop_assert_eq!(said_a, said_b, "{}", world);
        } else {
            // What closed on the way was decided anew: nothing that was read is forgotten.
            prop_assert_eq!(codes(&last_a), codes(&last_b), "{}", world);
        }
        // And it is what the rules say of everything at once.
        let outcome = scenario.outcome();
        let all: Vec<String> = outcome.reasons.iter().map(|r| r.reason.code().to_owned()).collect();
        prop_assert_eq!(codes(&last_a), all, "{}", world);
        prop_assert!(last_a.verdict >= outcome.verdict);
    }

    #[test]
    fn a_redelivered_event_changes_nothing(
        world in worlds(),
        order in prop::collection::vec(any::<u8>(), 13),
        gaps in prop::collection::vec(any::<u16>(), 13),
        again in any::<u8>(),
    ) {
        let Some((_, scenario)) = world else { return Ok(()) };
        let (once, _) = delivered(&scenario, &order, &gaps, 0, None);
        let (twice, _) = delivered(&scenario, &order, &gaps, 0, Some(again));
        prop_assert_eq!(&once.world.lanes, &twice.world.lanes);
        prop_assert_eq!(&once.world.decisions, &twice.world.decisions);
        let without: Vec<&JournalEvent> = twice.events.iter().filter(|e| !matches!(e, JournalEvent::Dropped { .. })).collect();
        let all: Vec<&JournalEvent> = once.events.iter().filter(|e| !matches!(e, JournalEvent::Dropped { .. })).collect();
        prop_assert_eq!(all, without);
    }

    #[test]
    fn nothing_opens_by_itself_after_a_ban(
        world in worlds(),
        order in prop::collection::vec(any::<u8>(), 13),
        gaps in prop::collection::vec(any::<u16>(), 13),
        blacklist in any::<bool>(),
    ) {
        let Some((world, scenario)) = world else { return Ok(()) };
        let Some(plate) = scenario.outcome().plate else { return Ok(()) };
        if scenario.checkpoint.direction.profile() != portgate_core::registry::Profile::Lyg {
            return Ok(());
        }
        let mut banned = scenario.clone();
        let kind = if blacklist { "BLACKLIST" } else { "ONE_YEAR" };
        let ban = json!({"plate": plate, "kind": kind, "from": "2020-01-01T00:00:00+08:00"});
        banned.facts.put(Kind::Ban, "added", &ban).unwrap();
        let (before, _) = delivered(&scenario, &order, &gaps, 9_000, None);
        let (after, _) = delivered(&banned, &order, &gaps, 9_000, None);
        prop_assert_eq!(after.opens(), 0, "{}", world);
        let verdicts = (before.decisions().last().map(|d| d.verdict), after.decisions().last().map(|d| d.verdict));
        prop_assert!(verdicts.1 >= verdicts.0, "{:?} with a ban: {}", verdicts, world);
    }
}

// ---- traffic ------------------------------------------------------------------------------------

const LANES: [(&str, &str); 7] = [
    ("P-1.L1", "ENTRY"),
    ("P-1.L2", "ENTRY"),
    ("P-1.L3", "EXIT"),
    ("P-2.L1", "EXIT"),
    ("H-1.L1", "OUTBOUND"),
    ("H-1.L2", "OUTBOUND"),
    ("C-1.L1", "EXPORT_BORDER_OUT"),
];
const PLATES: [&str; 7] = ["苏G00001", "苏G00002", "沪A00003", "苏G00004", "新F00005", "桂F00006", "苏G00007"];
const CREDENTIALS: [&str; 6] = ["C1", "C2", "IC6", "QR5", "QR7", "X"];
/// Effects that a credential may come to once in its life.
const ONCE: [&str; 8] = [
    "SINGLE_CARD_CONSUMED",
    "SINGLE_CARD_RECOVERED",
    "EXIT_PERMIT_USED",
    "LEAVE_CONSENT_USED",
    "RECEPTION_CONSUMED",
    "RECEPTION_CLOSED",
    "QR_USED",
    "MANIFEST_WRITTEN_OFF",
];

/// What happens next at some lane.
#[derive(Clone, Debug)]
enum Happens {
    Plate(usize, usize),
    Card(usize, usize),
    Seal(usize),
    Released(usize, Role),
    Barrier(usize, BarrierState),
    Passed(usize),
    Gone(usize),
    Time(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let lane = 0..LANES.len();
    let role = prop::sample::select(vec![Role::Guard, Role::Supervisor, Role::Customs]);
    let state = prop::sample::select(vec![BarrierState::Open, BarrierState::Closed, BarrierState::Expired, BarrierState::Rejected]);
    prop_oneof![
        4 => (lane.clone(), 0..PLATES.len()).prop_map(|(l, p)| Happens::Plate(l, p)),
        3 => (lane.clone(), 0..CREDENTIALS.len()).prop_map(|(l, c)| Happens::Card(l, c)),
        1 => lane.clone().prop_map(Happens::Seal),
        4 => (lane.clone(), role).prop_map(|(l, r)| Happens::Released(l, r)),
        2 => (lane.clone(), state).prop_map(|(l, s)| Happens::Barrier(l, s)),
        4 => lane.clone().prop_map(Happens::Passed),
        1 => lane.prop_map(Happens::Gone),
        2 => prop::sample::select(vec![100_i64, 2_000, 21_000, 70_000, 700_000]).prop_map(Happens::Time),
    ]
}

/// A port with something of everything that serves once.
fn port() -> Site {
    let mut site = Site { now: "2026-03-10T10:00:00+08:00".parse().unwrap(), ..Site::default() };
    for (checkpoint, profile) in [("P-1", "LYG"), ("P-2", "LYG"), ("H-1", "HGS"), ("C-1", "NNG")] {
        site.put(Kind::Checkpoint, checkpoint, json!({"site": SITE, "profile": profile}));
    }
    for (lane, direction) in LANES {
        let (checkpoint, _) = lane.split_once('.').unwrap();
        site.put(Kind::Lane, lane, json!({"checkpoint": checkpoint, "direction": direction, "lane_class": "MIXED"}));
    }
    site.put(Kind::PeakMode, "P-2", json!({"active": true}));
    for (plate, card, task) in [(PLATES[0], "C1", "T1"), (PLATES[1], "C2", "T2")] {
        site.put(Kind::Vehicle, plate, json!({"category": "PF_SHORT_HAUL", "registration": "APPROVED"}));
        site.put(Kind::Card, card, json!({"type": "SINGLE", "plate": plate, "status": "ISSUED", "task": task}));
        site.put(Kind::Task, task, json!({"kind": "PF", "plate": plate, "state": "CALLED"}));
        site.put(Kind::ExitPermit, &format!("E-{task}"), json!({"plate": plate, "state": "ISSUED"}));
        site.put(Kind::LeaveConsent, &format!("L-{task}"), json!({"plate": plate, "state": "GRANTED"}));
    }
    site.put(Kind::Reception, "R3", json!({"plate": PLATES[2], "valid_from": "2026-03-10", "state": "FILED"}));
    site.put(Kind::Vehicle, PLATES[3], json!({"category": "BIZ_STAFF", "registration": "APPROVED"}));
    for (plate, appointment, qr) in [(PLATES[4], "A5", "QR5"), (PLATES[6], "A7", "QR7")] {
        site.put(
            Kind::Appointment,
            appointment,
            json!({"kind": "HEAVY", "plate": plate, "state": "APPROVED", "transit": true, "declaration_imported": false,
                "vehicle_count": 1, "yard": "W"}),
        );
        site.put(Kind::Approval, &format!("N-{appointment}"), json!({"appointment": appointment, "state": "APPROVED", "approver": "W"}));
        site.put(Kind::QrCode, qr, json!({"plate": plate, "appointment": appointment, "state": "ACTIVE"}));
    }
    let plate = PLATES[5];
    let over = "2026-12-31";
    site.put(Kind::CustomsEnterprise, "CE", json!({"status": "REGISTERED", "certificate_valid_to": over, "guarantee_valid_to": over}));
    site.put(
        Kind::CustomsVehicle,
        plate,
        json!({"enterprise": "CE", "permit_valid_to": over, "permit_review_due": over, "gps_approved": true, "eseal_approved": true}),
    );
    site.put(Kind::Card, "IC6", json!({"type": "IC", "plate": plate, "status": "ISSUED"}));
    site.put(Kind::Trip, "TR6", json!({"plate": plate, "flow": "EXPORT", "regime": "FAST", "seal_no": "S6"}));
    site.put(Kind::Manifest, "M6", json!({"trip": "TR6", "transmitted_at": "2026-03-10T08:00:00+08:00", "state": "TRANSMITTED"}));
    site.events.clear();
    site
}

fn happen(site: &mut Site, index: usize, what: &Happens) {
    let read = |lane: usize| ReadMessage { lane: LANES[lane].0.to_owned(), event_id: Some(format!("e{index}")), ..ReadMessage::default() };
    match what {
        Happens::Time(ms) => site.advance(*ms),
        Happens::Plate(lane, plate) => {
            let plate_read = serde_json::from_value(json!({"text": PLATES[*plate], "confidence": 0.98})).unwrap();
            site.read(ReadMessage { plate_read: Some(plate_read), ..read(*lane) });
        }
        Happens::Card(lane, credential) => {
            let id = Some(CREDENTIALS[*credential].to_owned());
            let read = read(*lane);
            site.read(if read.lane.starts_with('H') { ReadMessage { qr: id, ..read } } else { ReadMessage { card: id, ..read } });
        }
        Happens::Seal(lane) => {
            let seal = serde_json::from_value(json!({"no": "S6", "intact": true})).unwrap();
            site.read(ReadMessage { seal: Some(seal), ..read(*lane) });
        }
        Happens::Released(lane, role) => {
            let Some(decision) = site.decisions().filter(|d| d.lane == LANES[*lane].0).last().map(|d| d.id.clone()) else { return };
            let word = Word {
                request_id: format!("q{index}"),
                decision_id: decision,
                version: None,
                action: Action::Release,
                reason: "核验".to_owned(),
                plate: None,
                by: Principal { name: role.as_str().to_owned(), role: *role, lanes: Vec::new() },
            };
            site.read(ReadMessage { word: Some(word), ..read(*lane) });
        }
        Happens::Barrier(lane, state) => {
            let opened = |e: &&JournalEvent| matches!(e, JournalEvent::Command { command } if command.lane == LANES[*lane].0 && command.order == Order::Open);
            let command_id = site.events.iter().rev().find(opened).map(|e| match e {
                JournalEvent::Command { command } => command.command_id.clone(),
                _ => String::new(),
            });
            let report = BarrierReport { state: *state, command_id };
            site.read(ReadMessage { barrier: Some(report), ..read(*lane) });
        }
        Happens::Passed(lane) => site.read(ReadMessage { vehicle_passed: Some(true), ..read(*lane) }),
        Happens::Gone(lane) => site.read(ReadMessage { vehicle_gone: Some(true), ..read(*lane) }),
    }
}

/// What holds after every event, told from the journal alone.
fn audit(site: &Site) -> Result<(), TestCaseError> {
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut commands: BTreeSet<&str> = BTreeSet::new();
    let mut fences: BTreeMap<&str, u64> = BTreeMap::new();
    let mut said: BTreeMap<(&str, u32), &Decision> = BTreeMap::new();
    let mut passed: BTreeSet<&str> = BTreeSet::new();
    // Opened for, and the barrier has not said no: an arm may be quicker than what takes its command back.
    let mut opened: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &site.events {
        match event {
            JournalEvent::Decision { decision } => {
                prop_assert!(said.insert((&decision.id, decision.version), decision).is_none(), "nothing is overwritten");
            }
            JournalEvent::Command { command } => {
                let fence = fences.entry(&command.lane).or_default();
                prop_assert!(command.fence > *fence, "fences rise");
                *fence = command.fence;
                if command.order == Order::Open {
                    opened.insert(&command.approach_id, &command.command_id);
                    prop_assert!(commands.insert(&command.command_id), "a command is given once");
                    let decision = said.get(&(command.decision_id.as_str(), command.decision_version));
                    prop_assert!(decision.is_some_and(|d| d.verdict == Verdict::Open), "no command without a decision that allows it");
                    let alone = decision.is_some_and(|d| d.by.is_none());
                    prop_assert!(!alone || decision.is_some_and(|d| d.in_order), "no Open by itself with a failure");
                }
            }
            JournalEvent::Read { read } => {
                let no = |r: &&BarrierReport| matches!(r.state, BarrierState::Rejected | BarrierState::Expired | BarrierState::Fault);
                if let Some(refused) = read.barrier.as_ref().filter(no).and_then(|r| r.command_id.as_deref()) {
                    opened.retain(|_, id| *id != refused);
                }
            }
            JournalEvent::Passage { passage } => {
                prop_assert!(passed.insert(&passage.passage_id), "one vehicle per opening");
                let granted = passage.effects.iter().any(|e| !e.starts_with("PRESENCE"));
                let allowed = passage.approach_id.as_deref().is_some_and(|a| opened.contains_key(a));
                prop_assert!(!granted || allowed, "nothing is granted to who was not let through: {:?}", passage);
            }
            JournalEvent::Used { used: u } if ONCE.contains(&u.effect.as_str()) => {
                prop_assert!(used.insert((&u.effect, &u.id)), "{} of {} twice", u.effect, u.id);
            }
            _ => {}
        }
    }
    // Whoever has been let through and not passed holds everything the passage will use, alone;
    // only where the barrier was up already another may be faster.
    let mut holders: BTreeMap<String, &str> = BTreeMap::new();
    for lane in site.world.lanes.values() {
        for approach in [&lane.current, &lane.behind].into_iter().flatten() {
            let unanswered = lane.unanswered.as_ref().filter(|u| u.approach_id == approach.approach_id && site.now < u.until);
            let (executed, uses) = match (&approach.authorisation, unanswered) {
                (Some(auth), None) => (auth.executed, &approach.uses),
                (None, Some(unanswered)) => (false, &unanswered.uses),
                (None, None) => continue,
                (Some(_), Some(_)) => return Err(TestCaseError::fail("one command stands, and it has taken the place of the one before")),
            };
            for intent in uses {
                let book = site.world.use_book(&intent.plate).unwrap();
                let holder = book.reserved.get(&intent.key()).map(|r| r.approach_id.as_str());
                let own = holder == Some(approach.approach_id.as_str());
                prop_assert!(own || executed && holder.is_some(), "{} of {}: {:?}", intent.key(), approach.approach_id, holder);
                if own {
                    let other = holders.insert(format!("{} {}", intent.plate, intent.key()), &approach.approach_id);
                    prop_assert!(other.is_none(), "claimed twice: {:?}", intent);
                }
            }
        }
    }
    Ok(())
}

/// Found by chance once: a visit closed at one exit, and a vehicle with its plate released at another.
#[test]
fn a_visit_is_closed_once() {
    use Happens::{Passed, Plate, Released};
    let mut site = port();
    let traffic = [Plate(3, 2), Released(3, Role::Guard), Plate(2, 2), Passed(3), Released(2, Role::Guard), Passed(2)];
    for (index, what) in traffic.iter().enumerate() {
        happen(&mut site, index, what);
    }
    audit(&site).unwrap();
}

proptest! {
    #![proptest_config(worlds::cases(1500))]

    #[test]
    fn nothing_is_consumed_twice_and_nothing_opens_without_a_decision(traffic in prop::collection::vec(happens(), 1..60)) {
        let mut site = port();
        for (index, what) in traffic.iter().enumerate() {
            happen(&mut site, index, what);
        }
        audit(&site)?;
    }
}

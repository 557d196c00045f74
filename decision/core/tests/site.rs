//! The site's state machine, driven over a world in memory: joining, closing, commanding,
//! passing, people's words.

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::decision::{AnswerOutcome, Decision, Verdict};
use portgate_core::journal::{AuthorisedBy, Ending, JournalEvent};
use portgate_core::people::{Principal, Role};
use portgate_core::read::{Action, BarrierReport, ManualPlate, OnTheSpot, PlateRead, ReadMessage, Word};
use portgate_core::registry::Kind;
use portgate_core::site::{Input, MemoryWorld};
use portgate_core::time::Instant;
use serde_json::json;

const SITE: &str = "LYG-1";
const IN: &str = "JCZ-1.L1";
const IN2: &str = "JCZ-1.L5";
const CARS: &str = "JCZ-1.L3";

/// Fills in a read.
type Edit = Box<dyn Fn(&mut ReadMessage)>;

struct Site {
    world: MemoryWorld,
    now: Instant,
    events: Vec<JournalEvent>,
    reads: u32,
}

impl Site {
    fn new() -> Self {
        let mut site =
            Self { world: MemoryWorld::default(), now: "2026-03-10T10:00:00+08:00".parse().unwrap(), events: Vec::new(), reads: 0 };
        site.put(Kind::Checkpoint, "JCZ-1", json!({"site": SITE, "profile": "LYG"}));
        for (lane, class) in [(IN, "FREIGHT"), (IN2, "FREIGHT"), (CARS, "PASSENGER")] {
            site.put(Kind::Lane, lane, json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": class}));
        }
        site.put(Kind::Vehicle, "苏G12345", json!({"category": "PF_GENERAL", "registration": "APPROVED", "body": "FREIGHT"}));
        site.put(Kind::Card, "C1", json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "task": "T1"}));
        site.put(Kind::Task, "T1", json!({"kind": "PF", "plate": "苏G12345", "state": "CALLED"}));
        site.put(Kind::Vehicle, "苏G00001", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"}));
        site.events.clear();
        site
    }

    fn put(&mut self, kind: Kind, id: &str, value: serde_json::Value) {
        self.take(Input::Registry { kind, id: id.into(), value: Some(value), request_id: None, by: None });
    }

    fn take(&mut self, input: Input) -> Vec<JournalEvent> {
        let step = self.world.take(SITE, input, self.now).expect("the world can be read");
        self.events.extend(step.events.clone());
        step.events
    }

    fn read(&mut self, lane: &str, make: impl FnOnce(&mut ReadMessage)) -> Vec<JournalEvent> {
        self.reads += 1;
        let mut read = ReadMessage { lane: lane.into(), event_id: Some(format!("r{}", self.reads)), ..ReadMessage::default() };
        read.received_at = Some(self.now);
        make(&mut read);
        self.take(Input::Read(Box::new(read)))
    }

    fn plate(&mut self, lane: &str, text: &str) -> Vec<JournalEvent> {
        self.read(lane, |r| r.plate_read = Some(plate(text, 0.98)))
    }

    fn card(&mut self, lane: &str, id: &str) -> Vec<JournalEvent> {
        self.read(lane, |r| r.card = Some(id.into()))
    }

    fn after_ms(&mut self, ms: i64) -> &mut Self {
        self.now = self.now.plus_millis(ms);
        let lanes: Vec<String> = self.world.lanes.keys().cloned().collect();
        for lane in lanes {
            self.take(Input::Tick { lane });
        }
        self
    }

    fn word(&mut self, lane: &str, role: Role, action: Action, more: impl FnOnce(&mut Word)) -> AnswerOutcome {
        let decision = self.decisions(lane).last().expect("a decision to speak of").clone();
        let mut word = Word {
            request_id: format!("q{}", self.reads),
            decision_id: decision.id,
            version: None,
            action,
            reason: "核对行驶证".into(),
            plate: None,
            by: Principal { name: "wang".into(), role, lanes: vec![] },
        };
        more(&mut word);
        let events = self.read(lane, |r| r.word = Some(word));
        let answers: Vec<AnswerOutcome> =
            events.iter().filter_map(|e| if let JournalEvent::Answered { answer } = e { Some(answer.outcome) } else { None }).collect();
        assert_eq!(answers.len(), 1, "one word, one answer");
        answers[0]
    }

    fn decisions(&self, lane: &str) -> Vec<Decision> {
        let mut found = Vec::new();
        for event in &self.events {
            if let JournalEvent::Decision { decision } = event {
                if decision.lane == lane {
                    found.push((**decision).clone());
                }
            }
        }
        found
    }

    fn commands(&self) -> Vec<Command> {
        self.events.iter().filter_map(|e| if let JournalEvent::Command { command } = e { Some(command.clone()) } else { None }).collect()
    }

    fn violations(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|e| if let JournalEvent::Violation { violation } = e { Some(violation.code.clone()) } else { None })
            .collect()
    }

    fn barrier(&mut self, lane: &str, state: BarrierState) {
        let command_id = self.commands().into_iter().rev().find(|c| c.order == Order::Open && c.lane == lane).map(|c| c.command_id);
        self.read(lane, |r| r.barrier = Some(BarrierReport { state, command_id }));
    }

    fn passes(&mut self, lane: &str) -> Vec<JournalEvent> {
        self.read(lane, |r| r.vehicle_passed = Some(true))
    }
}

fn plate(text: &str, confidence: f64) -> PlateRead {
    serde_json::from_value(json!({"text": text, "confidence": confidence})).unwrap()
}

fn codes(decision: &Decision) -> Vec<&str> {
    decision.reasons.iter().map(|r| r.code.as_str()).collect()
}

fn effects(events: &[JournalEvent]) -> Vec<String> {
    events.iter().flat_map(|e| if let JournalEvent::Passage { passage } = e { passage.effects.clone() } else { vec![] }).collect()
}

fn authorised(events: &[JournalEvent]) -> Vec<AuthorisedBy> {
    events.iter().filter_map(|e| if let JournalEvent::Passage { passage } = e { Some(passage.authorised_by) } else { None }).collect()
}

#[test]
fn a_truck_waits_for_its_card_and_then_holds_for_the_guard() {
    let mut site = Site::new();
    site.read(IN, |r| r.vehicle_present = Some(true));
    site.plate(IN, "苏G·12345");
    assert!(site.decisions(IN).is_empty(), "pending commands and decides nothing");
    site.after_ms(3_000).card(IN, "C1");
    let decisions = site.decisions(IN);
    assert_eq!(decisions.len(), 1);
    assert_eq!((decisions[0].verdict, decisions[0].in_order), (Verdict::Hold, true));
    assert_eq!(codes(&decisions[0]), ["MANUAL_RELEASE_REQUIRED"]);
    assert_eq!(decisions[0].reasons[0].cite.as_deref(), Some("LYG-0.12a"));
    assert!(site.commands().is_empty());
}

#[test]
fn the_order_of_arrival_before_closing_changes_nothing() {
    let run = |card_first: bool| {
        let mut site = Site::new();
        let at = site.now;
        let mut reads: Vec<Edit> = vec![
            Box::new(move |r| {
                r.plate_read = Some(plate("苏G12345", 0.98));
                r.observed_at = Some(at);
                r.event_id = Some("a".into());
            }),
            Box::new(move |r| {
                r.card = Some("C1".into());
                r.observed_at = Some(at.plus_millis(500));
                r.event_id = Some("b".into());
            }),
        ];
        if card_first {
            reads.reverse();
        }
        site.now = at.plus_millis(1_000);
        for make in &reads {
            site.read(IN, |r| make(r));
        }
        let mut decision = site.decisions(IN).pop().expect("decided");
        decision.read_ids.sort();
        decision.approach_id.clear();
        decision.id.clear();
        decision.inputs.event_id = None;
        serde_json::to_string(&decision).unwrap()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn without_the_card_the_pairing_window_closes_it() {
    let mut site = Site::new();
    site.plate(IN, "苏G12345");
    site.after_ms(19_999);
    assert!(site.decisions(IN).is_empty());
    site.after_ms(1);
    let decision = &site.decisions(IN)[0];
    assert_eq!((decision.verdict, codes(decision)), (Verdict::Refuse, vec!["CARD_REQUIRED"]));
}

#[test]
fn a_business_car_opens_at_once_and_its_passage_opens_its_presence() {
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    let command = site.commands().pop().expect("opened");
    assert_eq!((command.order, command.decision_version), (Order::Open, 1));
    site.barrier(CARS, BarrierState::Open);
    let events = site.passes(CARS);
    assert_eq!((effects(&events), authorised(&events)), (vec!["PRESENCE_OPENED".to_owned()], vec![AuthorisedBy::Auto]));
    site.after_ms(60_000).plate(CARS, "苏G00001");
    assert_eq!(codes(&site.decisions(CARS)[1]), ["PLATE_ALREADY_INSIDE"]);
    assert_eq!(site.commands().len(), 1, "nothing more was commanded");
}

#[test]
fn a_release_opens_once_and_consumes_the_single_card_once() {
    let mut site = Site::new();
    site.plate(IN, "苏G12345");
    site.card(IN, "C1");
    assert_eq!(site.word(IN, Role::Analyst, Action::Release, |_| ()), AnswerOutcome::Forbidden);
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |w| w.reason = " ".into()), AnswerOutcome::Invalid);
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |w| w.version = Some(7)), AnswerOutcome::Conflict);
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Conflict, "somebody was faster");
    assert_eq!(site.commands().len(), 1);
    site.barrier(IN, BarrierState::Open);
    let events = site.passes(IN);
    assert_eq!(effects(&events), ["PRESENCE_OPENED", "SINGLE_CARD_CONSUMED", "TASK_ENTERED"]);
    assert_eq!(authorised(&events), [AuthorisedBy::Guard]);
    // The registry writes the card anew without a new issue: it stays used.
    site.put(Kind::Card, "C1", json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "task": "T1"}));
    site.after_ms(1_000).plate(IN, "苏G12345");
    site.card(IN, "C1");
    assert!(codes(site.decisions(IN).last().unwrap()).contains(&"SINGLE_CARD_ALREADY_USED"));
    // A second passage through the same opening is tailgating, and uses nothing.
    site.read(IN, |r| r.vehicle_gone = Some(true));
    let events = site.passes(IN);
    assert_eq!((authorised(&events), effects(&events)), (vec![AuthorisedBy::None], vec![]));
    assert!(site.violations().contains(&"V_TAILGATING".to_owned()));
}

#[test]
fn one_card_at_two_lanes_serves_one() {
    let mut site = Site::new();
    for lane in [IN, IN2] {
        site.plate(lane, "苏G12345");
        site.card(lane, "C1");
    }
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
    assert_eq!(site.word(IN2, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Conflict);
    assert_eq!(codes(site.decisions(IN2).last().unwrap()).first(), Some(&"CREDENTIAL_RESERVED"));
    assert_eq!(site.commands().len(), 1);
}

#[test]
fn a_ban_that_arrives_before_the_release_comes_back_to_the_guard() {
    let mut site = Site::new();
    site.plate(IN, "苏G12345");
    site.card(IN, "C1");
    site.put(Kind::Ban, "B1", json!({"plate": "苏G12345", "kind": "BLACKLIST", "from": "2026-01-01T00:00:00+08:00"}));
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Conflict);
    let latest = site.decisions(IN).pop().unwrap();
    assert_eq!((latest.version, latest.verdict), (2, Verdict::Refuse));
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Forbidden, "what was refused needs a supervisor");
    assert_eq!(site.word(IN, Role::Supervisor, Action::Release, |_| ()), AnswerOutcome::Done);
}

#[test]
fn a_late_read_withdraws_an_open_not_yet_executed_and_never_opens() {
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    site.card(CARS, "C1");
    let commands = site.commands();
    assert_eq!((commands[0].order, commands[1].order), (Order::Open, Order::Withdraw));
    assert!(commands[1].fence > commands[0].fence && commands[0].command_id == commands[1].command_id);
    assert_eq!(site.decisions(CARS)[1].verdict, Verdict::Hold);

    let mut site = Site::new();
    site.read(CARS, |r| r.plate_read = Some(plate("苏G00001", 0.5)));
    site.after_ms(20_000);
    assert_eq!(site.decisions(CARS)[0].verdict, Verdict::Hold);
    site.plate(CARS, "苏G00001");
    let latest = site.decisions(CARS).pop().unwrap();
    assert_eq!((latest.verdict, codes(&latest)[0]), (Verdict::Hold, "SYS_LATE_EVIDENCE"));
    assert!(site.commands().is_empty());
}

/// Released by a guard, and taken back by a strange card before the barrier has said anything.
fn taken_back() -> Site {
    let mut site = Site::new();
    site.plate(IN, "苏G12345");
    site.card(IN, "C1");
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
    site.card(IN, "C9");
    assert_eq!(site.commands().last().map(|c| c.order), Some(Order::Withdraw));
    site
}

/// The same vehicle's card at another lane: what of the first lane's claims is in its way.
fn elsewhere(site: &mut Site) -> bool {
    let before = site.decisions(IN2).len();
    site.plate(IN2, "苏G12345");
    site.card(IN2, "C1");
    if site.decisions(IN2).len() == before {
        site.after_ms(20_000);
    }
    let decisions = site.decisions(IN2).split_off(before);
    let reserved = codes(decisions.last().unwrap()).contains(&"CREDENTIAL_RESERVED");
    site.read(IN2, |r| r.vehicle_gone = Some(true));
    reserved
}

#[test]
fn an_arm_that_rose_before_the_withdrawal_came_uses_up_what_it_rose_on() {
    for said in [true, false] {
        let mut site = taken_back();
        assert!(elsewhere(&mut site), "the arm may be rising");
        // The passage may be heard of before the barrier's word.
        if said {
            site.barrier(IN, BarrierState::Opening);
            assert!(elsewhere(&mut site));
        }
        let passage =
            site.passes(IN).into_iter().find_map(|e| if let JournalEvent::Passage { passage } = e { Some(passage) } else { None });
        let passage = passage.expect("a passage");
        assert_eq!(passage.authorised_by, AuthorisedBy::Guard, "said: {said}");
        assert!(passage.effects.contains(&"SINGLE_CARD_CONSUMED".to_owned()), "{:?}", passage.effects);
        assert!(!site.violations().contains(&"V_PASSED_WHILE_REFUSED".to_owned()));
        site.barrier(IN, BarrierState::Closed);
        assert!(!elsewhere(&mut site), "used up, and claimed by nobody");
    }
}

#[test]
fn what_was_taken_back_is_free_once_the_barrier_says_so_or_has_said_nothing_for_long() {
    for no in [BarrierState::Rejected, BarrierState::Expired, BarrierState::Fault] {
        let mut site = taken_back();
        site.barrier(IN, no);
        assert!(!elsewhere(&mut site), "{no:?}");
        let passage = site.passes(IN);
        assert!(passage.iter().any(|e| matches!(e, JournalEvent::Passage { passage } if passage.authorised_by == AuthorisedBy::None)));
    }
    let mut site = taken_back();
    site.after_ms(39_999);
    assert!(elsewhere(&mut site), "ten seconds of its life and thirty of silence");
    site.after_ms(1);
    assert!(!elsewhere(&mut site));
    site.barrier(IN, BarrierState::Opening);
    assert!(!elsewhere(&mut site), "another lane may have been opened on it meanwhile");
    // It is the gate's time that counts: the other lane's clock runs three seconds ahead.
    let mut site = taken_back();
    site.after_ms(38_000);
    let ahead = Some(site.now.plus_millis(3_000));
    let plate_read = Some(plate("苏G12345", 0.98));
    site.read(IN2, |r| (r.plate_read, r.observed_at) = (plate_read, ahead));
    site.read(IN2, |r| (r.card, r.observed_at) = (Some("C1".into()), ahead));
    assert!(codes(site.decisions(IN2).last().unwrap()).contains(&"CREDENTIAL_RESERVED"));
    // Nobody stands there any more to go through on it.
    let mut site = taken_back();
    site.read(IN, |r| r.vehicle_gone = Some(true));
    assert!(!elsewhere(&mut site));
}

#[test]
fn an_arm_heard_of_after_the_withdrawal_keeps_its_claims_as_long_as_the_vehicle_stands_there() {
    let mut site = taken_back();
    site.after_ms(5_000);
    site.barrier(IN, BarrierState::Opening);
    site.after_ms(60_000);
    assert!(elsewhere(&mut site), "the arm is up on it");
    let events = site.passes(IN);
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Passage { passage } if passage.authorised_by == AuthorisedBy::Guard)));
}

#[test]
fn a_loop_that_falls_empty_while_the_arm_may_be_rising_is_no_turning_away() {
    let mut site = taken_back();
    site.read(IN, |r| r.vehicle_present = Some(false));
    let events = site.passes(IN);
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Passage { passage } if passage.authorised_by == AuthorisedBy::Guard)));
    let mut site = taken_back();
    site.barrier(IN, BarrierState::Rejected);
    let events = site.read(IN, |r| r.vehicle_present = Some(false));
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Ended { ending: Ending::Gone, .. })));
    // Nor may it where the arm is down again: nobody went through, the vehicle has backed away.
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    site.barrier(CARS, BarrierState::Open);
    site.after_ms(15_000);
    site.barrier(CARS, BarrierState::Closed);
    let events = site.read(CARS, |r| r.vehicle_present = Some(false));
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Ended { ending: Ending::Gone, .. })));
}

#[test]
fn a_passage_heard_of_after_the_arm_came_down_counts_if_it_was_seen_before() {
    for (seen_after_ms, by) in [(-1, AuthorisedBy::Guard), (1, AuthorisedBy::None)] {
        let mut site = Site::new();
        site.plate(IN, "苏G12345");
        site.card(IN, "C1");
        assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
        site.barrier(IN, BarrierState::Open);
        site.after_ms(15_000);
        site.barrier(IN, BarrierState::Closed);
        assert_eq!(codes(&site.decisions(IN).pop().unwrap())[0], "SYS_COMMAND_EXPIRED");
        let seen = site.now.plus_millis(seen_after_ms);
        site.after_ms(4_000);
        assert!(elsewhere(&mut site), "it may be through");
        let events = site.read(IN, |r| (r.vehicle_passed, r.observed_at) = (Some(true), Some(seen)));
        let passage =
            events.into_iter().find_map(|e| if let JournalEvent::Passage { passage } = e { Some(passage) } else { None }).unwrap();
        assert_eq!(passage.authorised_by, by);
        assert_eq!(passage.effects.contains(&"SINGLE_CARD_CONSUMED".to_owned()), by == AuthorisedBy::Guard);
        assert!(!elsewhere(&mut site));
    }
}

#[test]
fn a_report_that_comes_after_the_expiry_still_counts() {
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    site.after_ms(10_000);
    assert_eq!(codes(&site.decisions(CARS).pop().unwrap())[0], "SYS_COMMAND_EXPIRED");
    site.barrier(CARS, BarrierState::Opening);
    site.barrier(CARS, BarrierState::Open);
    let events = site.passes(CARS);
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Passage { passage } if passage.authorised_by == AuthorisedBy::Auto)));
    // A second opening for the same vehicle obeys the newer command only.
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    site.after_ms(10_000);
    assert_eq!(site.word(CARS, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
    site.barrier(CARS, BarrierState::Open);
    let events = site.passes(CARS);
    assert!(events.iter().any(|e| matches!(e, JournalEvent::Passage { passage } if passage.authorised_by == AuthorisedBy::Guard)));
}

#[test]
fn a_command_not_executed_in_time_is_taken_back_to_a_person() {
    let mut site = Site::new();
    site.plate(CARS, "苏G00001");
    site.after_ms(60_000);
    let latest = site.decisions(CARS).pop().unwrap();
    assert_eq!((latest.verdict, codes(&latest)[0]), (Verdict::Hold, "SYS_COMMAND_EXPIRED"));
    // Freed: another lane may have it.
    site.put(Kind::Lane, "JCZ-1.L6", json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "PASSENGER"}));
    site.plate("JCZ-1.L6", "苏G00001");
    assert_eq!(site.decisions("JCZ-1.L6")[0].verdict, Verdict::Open);
}

#[test]
fn the_vehicle_behind_waits_its_turn_and_keeps_its_own_reads() {
    let mut site = Site::new();
    site.put(Kind::Vehicle, "苏G00002", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"}));
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.track_id = Some("t1".into());
    });
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00002", 0.98));
        r.track_id = Some("t2".into());
    });
    assert_eq!(site.decisions(CARS).len(), 1, "the one behind is not decided");
    site.barrier(CARS, BarrierState::Open);
    site.passes(CARS);
    let decisions = site.decisions(CARS);
    assert_eq!(decisions.len(), 2);
    assert_eq!(decisions[1].plate.as_deref(), Some("苏G00002"));
    assert_ne!(decisions[0].approach_id, decisions[1].approach_id);
    assert_eq!(site.commands().len(), 2);
}

#[test]
fn a_late_plate_read_of_a_vehicle_that_has_left_begins_nothing() {
    let mut site = Site::new();
    let seen = |site: &mut Site, track: &str, text: &str, at: Instant| {
        site.read(CARS, |r| {
            r.plate_read = Some(plate(text, 0.98));
            r.track_id = Some(track.into());
            r.observed_at = Some(at);
        });
    };
    let first = site.now;
    seen(&mut site, "t1", "苏G00001", first);
    site.barrier(CARS, BarrierState::Open);
    site.after_ms(3_000).passes(CARS);
    site.after_ms(2_000);
    seen(&mut site, "t1", "苏G00001", first.plus_millis(4_000));
    seen(&mut site, "t2", "苏G00001", first.plus_millis(2_000));
    assert!(site.world.lanes[CARS].current.is_none(), "a phantom at the barrier");
    seen(&mut site, "t3", "苏G00003", first.plus_millis(2_500));
    assert!(site.world.lanes[CARS].current.is_some(), "the next vehicle, seen before the first had gone");
}

#[test]
fn a_redelivered_read_changes_nothing() {
    let mut site = Site::new();
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.event_id = Some("same".into());
    });
    let before = site.world.lanes.clone();
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.event_id = Some("same".into());
    });
    assert_eq!(site.world.lanes, before);
    assert_eq!((site.decisions(CARS).len(), site.commands().len()), (1, 1));
}

#[test]
fn passing_while_held_is_a_violation_and_uses_only_the_presence() {
    let mut site = Site::new();
    site.plate(IN, "苏G12345");
    site.card(IN, "C1");
    let events = site.passes(IN);
    assert_eq!((effects(&events), authorised(&events)), (vec!["PRESENCE_OPENED".to_owned()], vec![AuthorisedBy::None]));
    assert!(site.violations().contains(&"V_PASSED_WHILE_REFUSED".to_owned()));
}

#[test]
fn a_corrected_plate_is_decided_as_a_manual_entry() {
    let mut site = Site::new();
    site.read(IN, |r| r.plate_read = Some(plate("苏G12346", 0.97)));
    site.card(IN, "C1");
    assert_eq!(site.word(IN, Role::Guard, Action::Correct, |_| ()), AnswerOutcome::Invalid, "no plate given");
    assert_eq!(site.word(IN, Role::Guard, Action::Correct, |w| w.plate = Some("苏G·12345".into())), AnswerOutcome::Done);
    let latest = site.decisions(IN).pop().unwrap();
    assert_eq!(latest.plate.as_deref(), Some("苏G12345"));
    assert_eq!(codes(&latest)[0], "MANUAL_PLATE_ENTRY");
    assert_eq!(latest.plate_read.as_ref().map(|p| p.text.as_str()), Some("苏G12346"), "the camera's word is kept");
    assert_eq!(site.word(IN, Role::Guard, Action::Release, |_| ()), AnswerOutcome::Done);
}

#[test]
fn a_clock_that_is_off_does_not_decide() {
    let mut site = Site::new();
    site.put(Kind::Ban, "B", json!({"plate": "苏G00001", "kind": "ONE_YEAR", "from": "2026-03-01T00:00:00+08:00"}));
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.observed_at = Some("2026-02-01T00:00:00+08:00".parse().unwrap());
    });
    assert_eq!(codes(&site.decisions(CARS)[0]), ["VEHICLE_BANNED_ONE_YEAR"]);
}

#[test]
fn an_unheard_of_approach_ends_and_the_lane_is_free() {
    let mut site = Site::new();
    site.read(IN, |r| r.vehicle_present = Some(true));
    site.after_ms(600_000);
    assert!(site.world.lanes[IN].current.is_none());
    assert!(site.events.iter().any(|e| matches!(e, JournalEvent::Ended { ending: Ending::Expired, .. })));
}

#[test]
fn a_manual_entry_outranks_the_camera() {
    let mut site = Site::new();
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G99999", 0.99));
        r.manual_plate = Some(ManualPlate { text: "苏G00001".into(), document: None });
    });
    let decision = &site.decisions(CARS)[0];
    assert_eq!((decision.plate.as_deref(), decision.verdict), (Some("苏G00001"), Verdict::Hold));
}

#[test]
fn deadlines_never_spin() {
    let mut site = Site::new();
    site.read(IN, |r| {
        let mut p = plate("苏G12345", 0.98);
        p.settled = Some(false);
        r.plate_read = Some(p);
        r.track_id = Some("t".into());
    });
    let mut ticks = 0;
    while let Some(at) = site.world.lanes[IN].deadline() {
        assert!(ticks < 20, "a deadline that is due again at once");
        site.now = at;
        site.take(Input::Tick { lane: IN.into() });
        ticks += 1;
        let next = site.world.lanes[IN].deadline();
        assert!(next.is_none_or(|n| n > site.now), "after a tick the next deadline lies ahead");
    }
    assert!(site.world.lanes[IN].current.is_none());
}

#[test]
fn what_a_lane_that_was_cut_off_reports_late_opens_nothing_and_refuses_nobody() {
    let mut site = Site::new();
    let received = site.now;
    site.after_ms(10_001);
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.received_at = Some(received);
    });
    let decision = site.decisions(CARS).pop().unwrap();
    assert_eq!((decision.verdict, codes(&decision)), (Verdict::Hold, vec!["SYS_CUT_OFF"]), "a car that opens by itself else");
    assert!(site.commands().is_empty());
    // A person who sees it there may let it in.
    assert_eq!(site.word(CARS, Role::Guard, Action::Release, |_| {}), AnswerOutcome::Done);
    assert_eq!(site.commands().len(), 1);
    // What is heard of in time opens as ever, also by the same lane.
    site.read(CARS, |r| r.vehicle_gone = Some(true));
    let received = site.now.plus_millis(-10_000);
    site.read(CARS, |r| {
        r.plate_read = Some(plate("苏G00001", 0.98));
        r.track_id = Some("next".into());
        r.received_at = Some(received);
        r.observed_at = Some(received.plus_millis(10_000));
    });
    assert_eq!(site.decisions(CARS).pop().unwrap().verdict, Verdict::Open);
}

/// What a lane that went on deciding while it was cut off opened for the vehicle at `lane`.
fn spot(lane: &str, plate: &str, fence: u64, now: Instant) -> Box<OnTheSpot> {
    let command = Command {
        command_id: format!("C-{lane}-spot"),
        site: SITE.into(),
        lane: lane.into(),
        approach_id: format!("{lane}-there"),
        decision_id: format!("D-{lane}-there"),
        decision_version: 1,
        order: Order::Open,
        fence,
        issued_at: now,
        expires_at: now.plus_millis(5_000),
    };
    let (plate, row) = (plate.to_owned(), Some("LYG-R15".to_owned()));
    Box::new(OnTheSpot { command, plate, row, reasons: vec![], policy_revision: "r1".into(), registry_revision: 7, registry_age_ms: 900 })
}

#[test]
fn what_was_opened_on_the_spot_is_put_on_record_and_commands_nothing() {
    let mut site = Site::new();
    let read = |site: &mut Site, make: &dyn Fn(&mut ReadMessage)| {
        site.read(CARS, |r| {
            r.cut_off = Some(true);
            make(r);
        })
    };
    read(&mut site, &|r| r.vehicle_present = Some(true));
    read(&mut site, &|r| r.plate_read = Some(plate("苏G00001", 0.98)));
    let held = site.decisions(CARS).pop().unwrap();
    assert_eq!((held.verdict, codes(&held)), (Verdict::Hold, vec!["SYS_CUT_OFF"]), "in time, and still no second opening");
    let opened = spot(CARS, "苏G00001", 9, site.now);
    read(&mut site, &|r| r.on_the_spot = Some(opened.clone()));
    let told = site.decisions(CARS).pop().unwrap();
    assert_eq!((told.verdict, told.version, told.action), (Verdict::Open, 2, Some(Action::Release)));
    assert_eq!(told.by.as_ref().map(|by| (by.role, by.name.as_str())), Some((Role::Device, "cut-off lane")));
    assert!(told.note.as_deref().is_some_and(|n| n.contains("LYG-R15") && n.contains("registry revision 7")), "{:?}", told.note);
    read(&mut site, &|r| r.vehicle_passed = Some(true));
    let passage = site.events.iter().find_map(|e| if let JournalEvent::Passage { passage } = e { Some(passage) } else { None }).unwrap();
    assert_eq!(passage.authorised_by, AuthorisedBy::Auto);
    assert!(site.commands().is_empty() && site.violations().is_empty(), "{:?} {:?}", site.commands(), site.violations());
    // The next vehicle's command stands above what the barrier obeyed meanwhile.
    site.put(Kind::Vehicle, "苏G00002", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"}));
    site.after_ms(10).plate(CARS, "苏G00002");
    assert_eq!(site.commands().iter().map(|c| c.fence).collect::<Vec<_>>(), [10]);
}

#[test]
fn an_opening_on_the_spot_that_fits_no_vehicle_is_a_conflict_on_record() {
    let conflicts = |events: &[JournalEvent]| -> Vec<String> {
        events.iter().filter_map(|e| if let JournalEvent::Dropped { reason, .. } = e { Some(reason.clone()) } else { None }).collect()
    };
    let mut site = Site::new();
    let opened = spot(CARS, "苏G00001", 3, site.now);
    let events = site.read(CARS, |r| r.on_the_spot = Some(opened.clone()));
    assert_eq!(conflicts(&events), ["opened on the spot by C-JCZ-1.L3-spot, but no vehicle stood there"]);
    site.plate(CARS, "苏G99999");
    let before = site.decisions(CARS).len();
    let events = site.read(CARS, |r| r.on_the_spot = Some(opened.clone()));
    assert_eq!(conflicts(&events), ["opened on the spot by C-JCZ-1.L3-spot, but another vehicle stood there"]);
    site.read(CARS, |r| r.vehicle_gone = Some(true));
    site.plate(CARS, "苏G00001");
    let events = site.read(CARS, |r| r.on_the_spot = Some(opened));
    assert_eq!(conflicts(&events), ["opened on the spot by C-JCZ-1.L3-spot, but it had been let through already"]);
    assert_eq!((site.decisions(CARS).len(), site.commands().len()), (before + 1, 1));
}

#[test]
fn what_the_arm_is_up_on_is_used_by_its_passage_though_a_later_read_is_doubtful() {
    let mut site = Site::new();
    let filed = json!({"plate": "苏G00007", "valid_from": "2026-03-10", "state": "FILED"});
    site.put(Kind::Reception, "RC7", filed);
    site.put(Kind::Lane, "JCZ-1.L4", json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "PASSENGER"}));
    site.plate(CARS, "苏G00007");
    let command_id = site.commands()[0].command_id.clone();
    site.read(CARS, |r| r.barrier = Some(BarrierReport { state: BarrierState::Opening, command_id: Some(command_id) }));
    // The same vehicle, read again and badly: nothing is known of it any more, and its arm is up.
    site.read(CARS, |r| r.manual_plate = Some(ManualPlate { text: "苏G99999".into(), document: None }));
    assert_eq!(site.decisions(CARS).pop().unwrap().verdict, Verdict::Refuse);
    // The same filing at another lane meanwhile does not open a second time.
    site.plate("JCZ-1.L4", "苏G00007");
    assert_eq!((site.decisions("JCZ-1.L4").pop().unwrap().verdict, site.commands().len()), (Verdict::Hold, 1));
    let events = site.read(CARS, |r| r.vehicle_passed = Some(true));
    let used: Vec<_> =
        events.iter().filter_map(|e| if let JournalEvent::Used { used } = e { Some(used.effect.as_str()) } else { None }).collect();
    assert!(used.contains(&"RECEPTION_CONSUMED"), "{used:?}");
}

//! Named invariants of the rules, over regulation scenarios with random fields set otherwise.

use std::cell::Cell;
use std::path::Path;

use portgate_core::decision::Verdict;
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::registry::{Kind, LaneClass};
use portgate_core::rules::{decide, Context, Outcome};
use portgate_core::scenario::{parse_file, Scenario};
use proptest::prelude::*;
use serde_json::{json, Value};

/// The regulation scenarios as JSON.
fn bases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/regulations.yaml");
    let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["scenarios"].as_array().unwrap().clone()
}

/// Values a field of this name may take, lawful or not.
fn candidates(field: &str) -> Vec<Value> {
    let words = |list: &[&str]| list.iter().map(|w| json!(w)).collect::<Vec<_>>();
    let mut values = match field {
        "plate" | "text" | "declared_plate" => {
            words(&["苏G12345", "苏G99999", "苏G66B02", "苏G88A01", "沪A12D34", "新F56789", "桂F11223", ""])
        }
        "confidence" => vec![json!(0.0), json!(0.5), json!(0.9), json!(0.99)],
        "colour" | "plate_colour" => words(&["blue", "yellow"]),
        "category" => words(&["PF_GENERAL", "PF_CONTAINER", "PF_RESIDENT", "PF_SHORT_HAUL", "AUX_LONG", "BIZ_GROUP", "BIZ_STAFF"]),
        "registration" => words(&["PENDING", "APPROVED", "REJECTED", "DEREGISTERED"]),
        "presence" => words(&["INSIDE", "OUTSIDE"]),
        "body" => words(&["PASSENGER", "MICRO_FREIGHT", "FREIGHT"]),
        "lane_class" => words(&["PASSENGER", "FREIGHT", "MIXED"]),
        "type" => words(&["SINGLE", "LONG", "IC"]),
        "status" => words(&[
            "ISSUED",
            "IN_USE",
            "RECOVERED",
            "LOST",
            "CANCELLED",
            "APPLIED",
            "SUSPENDED",
            "APPROVED",
            "DEREGISTERED",
            "REGISTERED",
            "REVOKED",
        ]),
        "state" => words(&[
            "APPOINTED",
            "CALLED",
            "ENTERED",
            "COMPLETED",
            "CANCELLED",
            "FILED",
            "CONSUMED",
            "CLOSED",
            "EXPIRED",
            "ISSUED",
            "USED",
            "VOID",
            "GRANTED",
            "OPEN",
            "CONCLUDED",
            "BOOKED",
            "APPROVED",
            "REQUESTED",
            "ACTIVE",
            "REVOKED",
            "TRANSMITTED",
            "WRITTEN_OFF",
        ]),
        "direction" => {
            words(&["ENTRY", "EXIT", "IMPORT_BORDER_IN", "IMPORT_YARD_IN", "EXPORT_YARD_IN", "EXPORT_YARD_OUT", "EXPORT_BORDER_OUT"])
        }
        "flow" => words(&["IMPORT", "EXPORT"]),
        "regime" => words(&["TRANSIT", "FAST"]),
        "yard" | "approver" => words(&["WH-001", "WH-002", "HUONEI_OTHER", "HUOWAI", "PORT_ADMINISTRATION"]),
        "card" | "qr" | "id" | "appointment" | "trip" | "driver" | "enterprise" | "no" | "seal_no" => {
            words(&["C001", "C100", "IC1", "QR1", "AP1", "TR1", "D1", "E1", "CE1", "SN900", "X"])
        }
        "at" | "confirmed_at" | "transmitted_at" | "from" | "to" | "window_from" | "window_to" => words(&[
            "2026-03-09T23:59:59+08:00",
            "2026-03-10T09:00:00+08:00",
            "2026-03-10T10:00:00+08:00",
            "2026-03-10T17:30:00+08:00",
            "2026-03-12T00:00:00+08:00",
        ]),
        name if name.starts_with("valid_") || name.ends_with("_valid_to") || name == "permit_review_due" => {
            words(&["2026-03-08", "2026-03-09", "2026-03-10", "2026-12-31"])
        }
        "officers" | "vehicle_count" | "declared_count" => vec![json!(1), json!(2), json!(3)],
        _ => vec![json!(true), json!(false)],
    };
    values.push(Value::Null);
    values
}

/// Pointers to every field under `given` and `when`.
fn leaves(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| leaves(v, &format!("{path}/{k}"), into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{path}/{i}"), into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push(path.to_owned()),
    }
}

/// A scenario with fields set otherwise; none if the result is no scenario.
fn world(base: &Value, edits: &[(u16, u16)]) -> Option<(Value, Scenario)> {
    let mut value = base.clone();
    for (field, choice) in edits {
        let mut paths = Vec::new();
        leaves(&value["given"], "/given", &mut paths);
        leaves(&value["when"], "/when", &mut paths);
        let path = &paths[usize::from(*field) % paths.len()];
        let choices = candidates(path.rsplit('/').next().unwrap());
        *value.pointer_mut(path).unwrap() = choices[usize::from(*choice) % choices.len()].clone();
    }
    let file = json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": [value.clone()]});
    let scenario = parse_file(&file.to_string()).ok()?.pop()?.ok()?;
    Some((value, scenario))
}

fn worlds() -> impl Strategy<Value = Option<(Value, Scenario)>> {
    let bases = bases();
    let edits = prop::collection::vec((any::<u16>(), any::<u16>()), 0..5);
    (0..bases.len(), edits).prop_map(move |(index, edits)| world(&bases[index], &edits))
}

/// Facts that fail at the n-th reading.
struct FailsAt<'a> {
    facts: &'a dyn FactSource,
    left: Cell<u32>,
}

impl FailsAt<'_> {
    fn read<T>(&self, read: impl FnOnce() -> Result<T, FactError>) -> Result<T, FactError> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                read()
            }
            None => Err(FactError("planted".into())),
        }
    }
}

impl FactSource for FailsAt<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.read(|| self.facts.get(kind, id))
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.read(|| self.facts.dossier(plate))
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.read(|| self.facts.children(kind, parent))
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        self.read(|| self.facts.use_book(plate))
    }
}

fn decided_over(scenario: &Scenario, facts: &dyn FactSource) -> Outcome {
    let context = Context {
        checkpoint: "CP",
        lane: "CP.L1",
        profile: scenario.checkpoint.profile,
        direction: scenario.checkpoint.direction,
        lane_class: scenario.checkpoint.lane_class.unwrap_or(LaneClass::Mixed),
        it_port: scenario.checkpoint.it_port.unwrap_or(true),
        peak_mode: scenario.peak_mode.as_ref(),
        policy: &scenario.policy,
        approach_id: "A",
        degraded: None,
    };
    decide(&context, &scenario.inputs, scenario.at, facts)
}

/// The records of a kind that belong to the plate, as written.
fn of<'v>(world: &'v Value, kind: &str, plate: &'v str) -> impl Iterator<Item = &'v Value> {
    let list = world["given"]["records"][kind].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter(move |r| r["plate"] == plate)
}

fn by_id<'v>(world: &'v Value, kind: &str, id: &Value) -> Option<&'v Value> {
    world["given"]["records"][kind].as_array()?.iter().find(|r| r["id"] == *id && !id.is_null())
}

fn not_over(day: &Value, today: &str) -> bool {
    day.as_str().is_some_and(|d| d >= today)
}

/// Why a barrier must not open by itself, told from the file alone and without the rules' code:
/// what must hold of every opening, written down a second time.
fn must_not_open(world: &Value, scenario: &Scenario, plate: &str) -> Option<&'static str> {
    let when = &world["when"];
    let today = scenario.at.date().to_string();
    let direction = world["given"]["checkpoint"]["direction"].as_str().unwrap();
    let read = portgate_core::plate::normalise(when["plate_read"]["text"].as_str().unwrap_or(""));
    if when["registry_available"] == false {
        return Some("registry unreachable");
    }
    if read != plate || when["plate_read"]["confidence"].as_f64().unwrap_or(0.0) < 0.9 {
        return Some("the camera did not read this plate surely");
    }
    if when["manual_plate"]["text"].as_str().is_some_and(|t| !t.trim().is_empty()) {
        return Some("typed by hand");
    }
    let ordered = of(world, "inspection_orders", plate).any(|o| o["state"] == "OPEN");
    match direction {
        "ENTRY" | "EXIT" => {
            let entry = direction == "ENTRY";
            if ordered {
                return Some("inspection ordered");
            }
            let banned = |b: &Value| {
                let instant = |v: &Value| v.as_str().map(|t| t.parse::<portgate_core::time::Instant>().unwrap());
                instant(&b["from"]).unwrap() <= scenario.at && instant(&b["to"]).is_none_or(|to| scenario.at < to)
            };
            if of(world, "bans", plate).any(banned) {
                return Some("banned");
            }
            let inside = ["vehicles", "receptions", "tasks"].iter().any(|k| of(world, k, plate).any(|r| r["presence"] == "INSIDE"));
            if entry == inside {
                return Some("presence contradicts the direction");
            }
            match of(world, "vehicles", plate).last() {
                Some(vehicle) => {
                    let category = vehicle["category"].as_str().unwrap();
                    if category.starts_with("PF") {
                        return Some("production freight is released by a person");
                    }
                    if vehicle["registration"] != "APPROVED" {
                        return Some("not approved");
                    }
                    if !vehicle["registration_valid_to"].is_null() && !not_over(&vehicle["registration_valid_to"], &today) {
                        return Some("registration over");
                    }
                    (category.starts_with("AUX") && !entry).then_some("auxiliary exits are released by a person")
                }
                None if !of(world, "receptions", plate).any(|r| r["state"] != "WITHDRAWN") => {
                    let task =
                        of(world, "tasks", plate).any(|t| t["kind"] == "AUX" && (t["state"] == "CALLED" || t["state"] == "APPOINTED"));
                    (!task || !entry).then_some("neither registered nor filed nor declared")
                }
                None if entry => (!of(world, "receptions", plate).any(|r| r["state"] == "FILED")).then_some("no live filing"),
                None => None,
            }
        }
        "OUTBOUND" => {
            if ordered {
                return Some("inspection ordered");
            }
            let Some(qr) = by_id(world, "qr_codes", &when["qr"]) else { return Some("no QR") };
            if qr["state"] != "ACTIVE" || qr["plate"] != plate {
                return Some("QR not of this vehicle or not live");
            }
            let Some(booked) = by_id(world, "appointments", &qr["appointment"]) else { return Some("no appointment") };
            if booked["plate"] != plate || booked["kind"] != "HEAVY" || booked["state"] == "CANCELLED" || booked["state"] == "COMPLETED" {
                return Some("appointment not of this vehicle or not live");
            }
            let approvals = world["given"]["records"]["approvals"].as_array().cloned().unwrap_or_default();
            let approved = approvals.iter().any(|a| a["appointment"] == booked["id"] && a["state"] == "APPROVED");
            (!approved).then_some("not approved")
        }
        _ => {
            let Some(vehicle) = of(world, "customs_vehicles", plate).last() else { return Some("not on file") };
            let Some(card) = by_id(world, "cards", &when["card"]) else { return Some("no IC card") };
            if card["plate"] != plate || card["type"] != "IC" || card["status"] == "CANCELLED" || card["status"] == "LOST" {
                return Some("IC card not of this vehicle or not live");
            }
            if !not_over(&vehicle["permit_valid_to"], &today) || !not_over(&vehicle["permit_review_due"], &today) {
                return Some("permit over");
            }
            let Some(carrier) = by_id(world, "customs_enterprises", &vehicle["enterprise"]) else { return Some("no carrier") };
            if carrier["status"] != "REGISTERED" || !not_over(&carrier["guarantee_valid_to"], &today) {
                return Some("carrier not registered or without guarantee");
            }
            let manifests = world["given"]["records"]["manifests"].as_array().cloned().unwrap_or_default();
            if !manifests.iter().any(|m| m["state"] == "TRANSMITTED") {
                return Some("no manifest");
            }
            let out = direction == "EXPORT_YARD_OUT" || direction == "EXPORT_BORDER_OUT";
            if out && ordered {
                return Some("inspection ordered");
            }
            (when["seal"]["intact"] == false).then_some("seal broken")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_open_without_every_applicable_check_passed(world in worlds()) {
        let Some((world, scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        if outcome.verdict == Verdict::Open {
            prop_assert!(outcome.in_order());
            let plate = outcome.plate.clone().unwrap();
            prop_assert_eq!(must_not_open(&world, &scenario, &plate), None, "{}", world);
        }
    }

    #[test]
    fn an_outcome_is_well_formed(world in worlds()) {
        let Some((_, scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        prop_assert!(!outcome.reasons.is_empty());
        prop_assert!(outcome.reasons.windows(2).all(|w| w[0].reason < w[1].reason));
        prop_assert_eq!(Some(outcome.verdict), outcome.reasons.iter().map(|r| r.disposition).max());
        prop_assert_eq!(outcome.verdict == Verdict::Open, outcome.release_role.is_none());
        prop_assert!(outcome.verdict != Verdict::Refuse || outcome.effects.is_empty());
        prop_assert!(outcome.verdict == Verdict::Refuse || outcome.effects.len() == outcome.uses.len());
        if outcome.in_order() {
            // `LYG-R21` is manual entry, whose reason is a failure; every other row lists its effects.
            prop_assert!(outcome.row.is_some_and(|r| !r.effects().is_empty()), "{:?}", outcome.row);
        }
    }

    #[test]
    fn adding_a_ban_or_an_inspection_never_turns_a_verdict_milder(world in worlds(), kind in 0..3_usize) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let before = scenario.outcome();
        let Some(plate) = before.plate.clone() else { return Ok(()) };
        let from = "2020-01-01T00:00:00+08:00";
        let (record, value) = [
            (Kind::Ban, json!({"plate": plate, "kind": "BLACKLIST", "from": from})),
            (Kind::Ban, json!({"plate": plate, "kind": "ONE_YEAR", "from": from})),
            (Kind::InspectionOrder, json!({"plate": plate, "state": "OPEN"})),
        ][kind].clone();
        scenario.facts.put(record, "added", &value).unwrap();
        let after = scenario.outcome();
        prop_assert!(after.verdict >= before.verdict, "{:?} then {:?}", before.reasons, after.reasons);
        let kept = before.reasons.iter().filter(|r| r.blocks()).all(|r| after.reasons.contains(r));
        prop_assert!(kept, "an added record must not hide a failure");
    }

    #[test]
    fn a_failing_fact_source_never_opens(world in worlds(), nth in 0..12_u32) {
        let Some((_, scenario)) = world else { return Ok(()) };
        let failing = FailsAt { facts: &scenario.facts, left: Cell::new(nth) };
        let outcome = decided_over(&scenario, &failing);
        let whole = decided_over(&scenario, &scenario.facts);
        let codes: Vec<&str> = outcome.reasons.iter().map(|r| r.reason.code()).collect();
        // Either the reading that fails was never needed, or nothing but that is said.
        prop_assert!(outcome == whole || codes == ["REGISTRY_UNAVAILABLE"], "{:?}", codes);
        prop_assert!(codes != ["REGISTRY_UNAVAILABLE"] || outcome.verdict == Verdict::Hold);
    }

    #[test]
    fn a_redelivered_event_and_a_repeated_passage_change_nothing(world in worlds()) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        prop_assert_eq!(&outcome, &scenario.outcome());
        let at = scenario.at;
        let first = scenario.facts.pass(&outcome.uses, "P1", at);
        prop_assert_eq!(first.len(), outcome.uses.len());
        let once = scenario.facts.clone();
        prop_assert!(scenario.facts.pass(&outcome.uses, "P1", at).is_empty());
        prop_assert_eq!(once, scenario.facts);
    }

    #[test]
    fn what_has_passed_does_not_open_again_at_the_same_lane(world in worlds()) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        let consuming = outcome.uses.iter().any(|u| matches!(u.kind.as_str(), "presence" | "qr_code" | "manifest"));
        if outcome.verdict == Verdict::Open && consuming {
            let at = scenario.at;
            scenario.facts.pass(&outcome.uses, "P1", at);
            prop_assert_ne!(scenario.outcome().verdict, Verdict::Open);
        }
    }
}

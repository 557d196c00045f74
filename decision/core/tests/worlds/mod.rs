//! Generated worlds: regulation scenarios with a few things otherwise.

use std::path::Path;

use portgate_core::scenario::{parse_file, Scenario};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{json, Value};

/// So many cases, the same ones each time: a suite that fails by chance teaches to run it again. With
/// `PORTGATE_PROPERTY_CASES` so many others (`make soak`).
pub fn cases(usual: u32) -> ProptestConfig {
    let more = std::env::var("PORTGATE_PROPERTY_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: more.unwrap_or(usual),
        failure_persistence: None,
        rng_seed: if more.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_260_310) },
        ..ProptestConfig::default()
    }
}

/// The regulation scenarios as JSON.
pub fn bases() -> Vec<Value> {
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

/// One change: a record taken away, a record put in a second time under another id, or a field set
/// otherwise.
fn edit(value: &mut Value, field: u16, choice: u16) {
    let lists = value["given"]["records"].as_object_mut().into_iter().flatten();
    let mut lists: Vec<(&String, &mut Vec<Value>)> = lists.filter_map(|(k, v)| Some((k, v.as_array_mut()?))).collect();
    let count = lists.len().max(1);
    let list = lists.get_mut(usize::from(choice) % count).filter(|(_, l)| !l.is_empty());
    match (field % 10, list) {
        (0, Some((_, list))) => {
            let index = usize::from(choice / 7) % list.len();
            list.remove(index);
        }
        (1, Some((kind, list))) => {
            let mut again = list[usize::from(choice / 7) % list.len()].clone();
            let name = if *kind == "tasks" { "code" } else { "id" };
            if *kind != "vehicles" && *kind != "customs_vehicles" && again.get(name).is_some() {
                again[name] = json!("X2");
                list.push(again);
            }
        }
        _ => set(value, field, choice),
    }
}

fn set(value: &mut Value, field: u16, choice: u16) {
    let mut paths = Vec::new();
    leaves(&value["given"], "/given", &mut paths);
    leaves(&value["when"], "/when", &mut paths);
    let path = &paths[usize::from(field) % paths.len()];
    let choices = candidates(path.rsplit('/').next().unwrap());
    *value.pointer_mut(path).unwrap() = choices[usize::from(choice) % choices.len()].clone();
}

/// A scenario changed; none if the result is no scenario.
fn world(base: &Value, edits: &[(u16, u16)]) -> Option<(Value, Scenario)> {
    let mut value = base.clone();
    for (field, choice) in edits {
        edit(&mut value, *field, *choice);
    }
    let file = json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": [value.clone()]});
    let scenario = parse_file(&file.to_string()).ok()?.pop()?.ok()?;
    Some((value, scenario))
}

/// Worlds near the regulation scenarios, lawful or not.
pub fn worlds() -> impl Strategy<Value = Option<(Value, Scenario)>> {
    let bases = bases();
    let edits = prop::collection::vec((any::<u16>(), any::<u16>()), 0..4);
    (0..bases.len(), edits).prop_map(move |(index, edits)| world(&bases[index], &edits))
}

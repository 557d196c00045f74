//! The instants on each boundary (CH-17, CH-19, CH-24, CH-42, CH-49): a millisecond before, on it,
//! and after; and 29 February. Told from the text, over regulation scenarios in which all is well.

use portgate_core::scenario::parse_file;
use serde_json::{json, Value};

fn base(id: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/regulations.yaml");
    let file: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["scenarios"].as_array().unwrap().iter().find(|s| s["id"] == id).unwrap().clone()
}

/// Reasons of a scenario with some fields set otherwise.
fn reasons(id: &str, edits: &[(&str, Value)]) -> Vec<String> {
    let mut scenario = base(id);
    for (path, value) in edits {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = scenario.pointer_mut(parent).unwrap_or_else(|| panic!("{id} has no {path}"));
        parent[name] = value.clone();
    }
    let file = json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": [scenario]});
    let scenario = parse_file(&file.to_string()).unwrap().pop().unwrap().unwrap_or_else(|e| panic!("{e}"));
    scenario.outcome().reasons.iter().map(|r| r.reason.code().to_owned()).collect()
}

/// The reason is there from the first of the instants `wrong`, and not at those `right`.
fn check(id: &str, field: &str, value: Value, right: &[&str], wrong: &[&str], reason: &str) {
    for (at, expected) in right.iter().map(|at| (at, false)).chain(wrong.iter().map(|at| (at, true))) {
        let found = reasons(id, &[(field, value.clone()), ("/when/at", json!(at))]);
        assert_eq!(found.iter().any(|r| r == reason), expected, "{id}: {field} = {value}, at {at}: {found:?}");
    }
}

const RECORDS: &str = "/given/records";

#[test]
fn a_day_holds_to_its_last_instant() {
    let (last, over) = ("2026-03-10T23:59:59.999+08:00", "2026-03-11T00:00:00+08:00");
    // The same instants told from other places.
    let (last_utc, over_utc) = ("2026-03-10T15:59:59.999Z", "2026-03-10T11:00:00-05:00");
    for (id, field, reason) in [
        ("S018", "vehicles/0/registration_valid_to", "REGISTRATION_EXPIRED"),
        ("S001", "vehicles/0/documents_valid_to", "VEHICLE_DOCUMENT_EXPIRED"),
        ("S004", "cards/0/valid_to", "CARD_EXPIRED"),
        ("S140", "customs_enterprises/0/certificate_valid_to", "CUSTOMS_ENTERPRISE_CERT_EXPIRED"),
        ("S140", "customs_enterprises/0/guarantee_valid_to", "CUSTOMS_GUARANTEE_EXPIRED"),
        ("S140", "customs_vehicles/0/permit_valid_to", "PERMIT_TO_CARRY_EXPIRED"),
        ("S140", "customs_vehicles/0/permit_review_due", "PERMIT_TO_CARRY_EXPIRED"),
        ("S205", "customs_drivers/0/contract_valid_to", "DRIVER_NOT_OF_ENTERPRISE"),
    ] {
        check(id, &format!("{RECORDS}/{field}"), json!("2026-03-10"), &[last, last_utc], &[over, over_utc], reason);
    }
}

#[test]
fn a_first_day_begins_at_midnight_in_shanghai() {
    let field = format!("{RECORDS}/cards/0/valid_from");
    check(
        "S004",
        &field,
        json!("2026-03-10"),
        &["2026-03-10T00:00:00+08:00", "2026-03-09T16:00:00Z"],
        &["2026-03-09T23:59:59.999+08:00"],
        "CARD_NOT_YET_VALID",
    );
    let field = format!("{RECORDS}/receptions/0/valid_from");
    check(
        "S030",
        &field,
        json!("2026-03-10"),
        &["2026-03-10T00:00:00+08:00"],
        &["2026-03-09T23:59:59.999+08:00"],
        "RECEPTION_NOT_YET_VALID",
    );
    check("S030", &field, json!("2026-03-10"), &["2026-03-11T23:59:59.999+08:00"], &["2026-03-12T00:00:00+08:00"], "RECEPTION_EXPIRED");
}

#[test]
fn windows_hold_their_first_instant_and_not_their_last() {
    let (before, from) = ("2026-03-10T07:59:59.999+08:00", "2026-03-10T08:00:00+08:00");
    let (inside, to) = ("2026-03-10T11:59:59.999+08:00", "2026-03-10T12:00:00+08:00");
    let window = |name: &str| format!("{RECORDS}/tasks/0/window_{name}");
    check("S001", &window("from"), json!(from), &[from, inside], &[before], "TASK_OUTSIDE_WINDOW");
    check("S001", &window("to"), json!(to), &[inside], &[to], "TASK_OUTSIDE_WINDOW");
    let ban = json!([{"plate": "苏G12345", "kind": "ONE_YEAR", "from": from, "to": to}]);
    check("S001", &format!("{RECORDS}/bans"), ban, &[before, to], &[from, inside], "VEHICLE_BANNED_ONE_YEAR");
    let list = json!([{"plate": "苏G12345", "kind": "BLACKLIST", "from": from, "to": null}]);
    check("S001", &format!("{RECORDS}/bans"), list, &[before], &[from, "2036-03-10T12:00:00+08:00"], "VEHICLE_BLACKLISTED");
    let consent = format!("{RECORDS}/leave_consents/0/valid_to");
    check("S013", &consent, json!(to), &[inside], &[to], "LEAVE_CONSENT_MISSING");
    let peak = json!({"active": true, "from": from, "to": to});
    check("S023", "/given/peak_mode", peak, &[before, to], &[from, inside], "PEAK_MODE_EXIT");
}

#[test]
fn customs_times() {
    // CH-42: confirmed at or before arrival less 60 minutes.
    let confirmed = format!("{RECORDS}/trips/0/confirmed_at");
    let (in_time, late) = ("2026-03-10T10:00:00+08:00", "2026-03-10T09:59:59.999+08:00");
    for id in ["S146", "S149"] {
        check(id, &confirmed, json!("2026-03-10T09:00:00+08:00"), &[in_time], &[late], "TRIP_CONFIRMED_LATE");
    }
    // 7.26: a manifest counts when transmitted before `at`.
    let sent = format!("{RECORDS}/manifests/0/transmitted_at");
    check(
        "S140",
        &sent,
        json!("2026-03-10T10:00:00+08:00"),
        &["2026-03-10T10:00:00.001+08:00"],
        &["2026-03-10T10:00:00+08:00"],
        "MANIFEST_MISSING",
    );
    // MANIFEST_LATE: transmitted_at at or after declaration_lodged_at, at EXPORT_YARD_IN.
    let lodged = format!("{RECORDS}/trips/0/declaration_lodged_at");
    for (lodged_at, expected) in [("2026-03-10T07:00:00+08:00", true), ("2026-03-10T07:00:00.001+08:00", false)] {
        let found = reasons("S149", &[(sent.as_str(), json!("2026-03-10T07:00:00+08:00")), (lodged.as_str(), json!(lodged_at))]);
        assert_eq!(found.iter().any(|r| r == "MANIFEST_LATE"), expected, "{lodged_at}: {found:?}");
    }
}

#[test]
fn the_29th_of_february() {
    let valid = format!("{RECORDS}/cards/0/valid_to");
    check("S004", &valid, json!("2028-02-29"), &["2028-02-29T23:59:59.999+08:00"], &["2028-03-01T00:00:00+08:00"], "CARD_EXPIRED");
    check("S004", &valid, json!("2028-02-28"), &["2028-02-28T23:59:59.999+08:00"], &["2028-02-29T00:00:00+08:00"], "CARD_EXPIRED");
    // A reception of 28 February 2028 has 28 and 29 February; of 2027, 28 February and 1 March.
    let first = format!("{RECORDS}/receptions/0/valid_from");
    check("S030", &first, json!("2028-02-28"), &["2028-02-29T23:59:59.999+08:00"], &["2028-03-01T00:00:00+08:00"], "RECEPTION_EXPIRED");
    check("S030", &first, json!("2027-02-28"), &["2027-03-01T23:59:59.999+08:00"], &["2027-03-02T00:00:00+08:00"], "RECEPTION_EXPIRED");
    // A day that does not exist is an error that says so, and no limit is made of it.
    let mut scenario = base("S004");
    scenario["given"]["records"]["cards"][0]["valid_to"] = json!("2026-02-29");
    let file = json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": [scenario]});
    let error = parse_file(&file.to_string()).unwrap().pop().unwrap().unwrap_err();
    assert_eq!(error.field, "given.records.cards[0].valid_to");
    assert!(error.problem.contains("2026-02-29") && error.problem.contains("a day, like"), "{error}");
}

#[test]
fn numbers_on_their_bounds() {
    for (confidence, expected) in [(0.9, false), (0.899_999, true), (0.0, true), (1.0, false)] {
        let found = reasons("S018", &[("/when/plate_read/confidence", json!(confidence))]);
        assert_eq!(found.iter().any(|r| r == "PLATE_LOW_CONFIDENCE"), expected, "{confidence}: {found:?}");
    }
    let configured = [("/given/config", json!({"plate_confidence_min": 0.99})), ("/when/plate_read/confidence", json!(0.98))];
    assert_eq!(reasons("S018", &configured)[0], "PLATE_LOW_CONFIDENCE");
    for (officers, expected) in [(1, true), (2, false), (3, false)] {
        let field = format!("{RECORDS}/escorts/0/officers");
        let found = reasons("S153", &[(field.as_str(), json!(officers))]);
        assert_eq!(found.iter().any(|r| r == "ESCORT_STAFF_SHORT"), expected, "{officers}: {found:?}");
    }
}

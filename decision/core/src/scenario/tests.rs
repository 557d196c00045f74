//! The project's own copy of the regulation scenarios, and wrong scenario files.

use super::*;

fn own_file() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/regulations.yaml")).unwrap()
}

#[test]
fn every_regulation_scenario_comes_out_as_it_says() {
    let report = run_file(&own_file()).unwrap();
    for difference in &report.differences {
        println!("{difference}");
    }
    for error in &report.invalid {
        println!("{error}");
    }
    assert_eq!((report.passed, report.failed), (206, 0));
}

#[test]
fn every_scenario_falls_under_the_row_it_speaks_of() {
    for scenario in parse_file(&own_file()).unwrap() {
        let scenario = scenario.unwrap();
        let row = scenario.outcome().row;
        // Where the identity or the registry is missing no row can be told.
        if row.is_some() {
            assert_eq!(row, Some(scenario.row), "{} {}", scenario.id, scenario.title);
        }
    }
}

/// A file of one scenario: S018 with a line replaced.
fn altered(from: &str, to: &str) -> String {
    let text = own_file();
    let start = text.find("- id: S018\n").unwrap();
    let one = &text[start..text.find("- id: S019\n").unwrap()];
    assert!(one.contains(from), "{from}");
    format!("version: 1\ntimezone: Asia/Shanghai\nscenarios:\n{}", one.replacen(from, to, 1))
}

#[test]
fn a_wrong_file_names_scenario_and_field() {
    for (from, to, field, problem) in [
        ("registration: APPROVED", "registration: YES_PLEASE", "given.records.vehicles[0].registration", "unknown variant"),
        ("registration: APPROVED", "registrtion: APPROVED", "given.records.vehicles[0].registrtion", "unknown field"),
        ("direction: ENTRY", "direction: INWARDS", "given.checkpoint.direction", "unknown variant"),
        ("direction: ENTRY", "direction: OUTBOUND", "given.checkpoint.direction", "does not exist in the profile LYG"),
        ("profile: LYG", "profile: LYG\n      gate: 1", "given.checkpoint.gate", "unknown field"),
        ("confidence: 0.9", "confidence: high0.9", "when.plate_read.confidence", "invalid type"),
        ("AUTO_RELEASE_BUSINESS_ENTRY", "AUTO_RELEASE", "then.reasons[0]", "unknown variant"),
        ("- LYG-4.4a\n    violations", "- LYG-4.4a\n    - LYG-4.4a\n    violations", "then.reason_cites", "2 articles for 1 reasons"),
        ("row: LYG-R15", "row: LYG-R99", "row", "unknown variant"),
        ("vehicles:", "lorries:", "given.records.lorries", "no such list"),
    ] {
        let report = run_file(&altered(from, to)).unwrap();
        assert_eq!(report.failed, 1, "{to}");
        let error = &report.invalid[0];
        assert_eq!((error.scenario.as_str(), error.field.as_str()), ("S018", field), "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
    assert!(run_file("version: 2\ntimezone: Asia/Shanghai\nscenarios: []\n").unwrap_err().to_string().contains("version"));
    assert!(run_file("version: 1\ntimezone: UTC\nscenarios: []\n").unwrap_err().to_string().contains("timezone"));
    assert!(run_file("scenarios: [").is_err());
}

#[test]
fn the_same_id_twice_is_an_error_and_the_rest_still_runs() {
    let one = altered("id: S018", "id: S018");
    let twice = format!("{one}{}", one.split("scenarios:\n").nth(1).unwrap());
    let report = run_file(&twice).unwrap();
    assert_eq!((report.passed, report.failed), (1, 1));
    assert!(report.invalid[0].to_string().contains("another scenario has it already"));
}

#[test]
fn a_scenario_that_comes_out_otherwise_says_what_was_expected_and_got() {
    let report = run_file(&altered("decision: OPEN", "decision: HOLD")).unwrap();
    assert_eq!((report.differences.len(), report.failed), (1, 1));
    let difference = report.differences[0].to_string();
    assert!(difference.starts_with("S018 (") && difference.ends_with("decision: expected HOLD, got OPEN"), "{difference}");
    let text = altered("decision: OPEN", "decision: HOLD").replace("LYG-4.4a\n    violations", "LYG-4.4b\n    violations");
    let both = run_file(&text).unwrap().differences[0].to_string();
    assert!(both.ends_with("got OPEN; reason_cites: expected [LYG-4.4b], got [LYG-4.4a]"), "one line a scenario: {both}");
}

fn courses() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/courses.yaml")).unwrap()
}

#[test]
fn every_course_comes_out_as_it_says() {
    let report = run_file(&courses()).unwrap();
    for difference in &report.differences {
        println!("{difference}");
    }
    for error in &report.invalid {
        println!("{error}");
    }
    assert_eq!((report.passed, report.failed), (50, 0));
}

/// A file of one scenario.
fn one(scenario: serde_json::Value) -> String {
    serde_json::json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": [scenario]}).to_string()
}

/// Every field of section 8, each kind of record with all of them.
fn whole() -> serde_json::Value {
    serde_json::json!({
        "id": "W1", "title": "all fields", "row": "LYG-R01", "cites": ["LYG-0.12a"],
        "given": {
            "checkpoint": {"id": "JCZ-1", "lane": "L1", "profile": "LYG", "direction": "ENTRY", "lane_class": "MIXED", "it_port": true},
            "config": {"plate_confidence_min": 0.8, "exit_permit": "always"},
            "peak_mode": {"active": true, "from": "2026-03-10T09:00:00Z", "to": "2026-03-10T18:30:00+08:00", "activated_by": "王"},
            "records": {
                "enterprises": [{"id": "E1", "status": "APPROVED", "name": "甲", "deregistered_at": "2026-02-01T00:00:00+08:00"}],
                "vehicles": [{"plate": "苏G12345", "category": "PF_GENERAL", "registration": "APPROVED", "presence": "OUTSIDE",
                    "plate_colour": "yellow", "body": "FREIGHT", "enterprise": "E1", "registration_valid_to": "2026-12-31",
                    "documents_valid_to": "2026-12-31", "rated_load_t": 30.5}],
                "cards": [{"id": "C1", "type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "valid_from": "2026-03-01",
                    "valid_to": "2026-03-31", "task": "HP1", "cancel_reason": "RETURNED"}],
                "tasks": [{"code": "HP1", "kind": "PF", "plate": "苏G12345", "state": "CALLED", "cargo_in": "煤", "cargo_out": "矿",
                    "window_from": "2026-03-10T00:00:00+08:00", "window_to": "2026-03-11T00:00:00+08:00", "body": "FREIGHT",
                    "presence": "OUTSIDE", "work_unit": "甲", "phone": "138"}],
                "receptions": [{"plate": "沪A1", "plate_colour": "blue", "valid_from": "2026-03-10", "state": "FILED",
                    "presence": "OUTSIDE", "body": "PASSENGER", "purpose": "参观", "declarant": "乙"}],
                "bans": [{"plate": "沪A2", "kind": "BLACKLIST", "from": "2026-03-10T00:00:00+08:00", "to": "2027-03-10T00:00:00+08:00"}],
                "exit_permits": [{"id": "CM1", "plate": "苏G12345", "state": "ISSUED"}],
                "leave_consents": [{"plate": "苏G12345", "state": "GRANTED", "valid_to": "2026-03-11T00:00:00+08:00", "granted_by": "码头"}],
                "inspection_orders": [{"plate": "苏G9", "state": "OPEN", "by": "海关"}],
                "appointments": [{"id": "AP1", "kind": "HEAVY", "plate": "新F1", "state": "APPROVED", "transit": false,
                    "declaration_imported": true, "declared_plate": "新F1", "plate_corrected": false, "declared_count": 1,
                    "count_corrected": false, "vehicle_count": 1, "yard": "WH-001", "cargo_type": "CBEC_LIST", "release_list": "a.pdf",
                    "vins": ["L1"], "vin_source": "EXCEL", "declaration_no": "9"}],
                "approvals": [{"appointment": "AP1", "state": "APPROVED", "approver": "WH-001"}],
                "qr_codes": [{"id": "QR1", "plate": "新F1", "appointment": "AP1", "state": "ACTIVE"}],
                "customs_enterprises": [{"id": "CE1", "status": "REGISTERED", "certificate_valid_to": "2026-12-31", "guarantee_valid_to": "2026-12-31"}],
                "customs_vehicles": [{"plate": "桂F1", "enterprise": "CE1", "permit_valid_to": "2026-12-31", "permit_review_due": "2026-12-31",
                    "gps_approved": true, "eseal_approved": true, "permit_no": "1"}],
                "customs_drivers": [{"id": "D1", "enterprise": "CE1", "contract_valid_to": "2026-12-31"}],
                "trips": [{"id": "T1", "plate": "桂F1", "flow": "IMPORT", "regime": "FAST", "seal_no": "S", "confirmed_at": "2026-03-10T08:00:00+08:00",
                    "declaration_lodged_at": "2026-03-10T08:00:00+08:00", "deviation": false, "state": "UNDER_WAY"}],
                "manifests": [{"id": "M1", "trip": "T1", "transmitted_at": "2026-03-10T08:00:00+08:00", "state": "TRANSMITTED"}],
                "escorts": [{"plate": "桂F2", "approved": true, "officers": 2, "fee_paid": true}]
            }
        },
        "when": {
            "at": "2026-03-10T02:00:00Z", "plate_read": {"text": "苏G12345", "confidence": 1, "colour": "yellow"},
            "manual_plate": {"text": "", "document": "行驶证"}, "card": "C1", "qr": "QR1", "exit_permit": "CM1",
            "cargo_observed": {"laden": true, "name": "煤"}, "vins_observed": ["L1"], "seal": {"no": "S", "intact": true}, "logbook": false,
            "transit_declaration": "Z", "driver": "D1", "lane_override": "张", "registry_available": true, "event_id": "e", "redelivered": true
        },
        "then": {"decision": "HOLD", "reasons": ["MANUAL_RELEASE_REQUIRED"], "reason_cites": ["LYG-0.12a"], "violations": [],
            "on_release": ["PRESENCE_OPENED", "SINGLE_CARD_CONSUMED", "TASK_ENTERED"], "idempotent": true}
    })
}

#[test]
fn every_field_of_section_8_is_taken() {
    let report = run_file(&one(whole())).unwrap();
    assert_eq!((report.passed, &report.invalid, &report.differences), (1, &vec![], &vec![]));
}

/// Pointers to every field below, lists' members included.
fn fields(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Object(fields) => fields.iter().map(|(k, v)| (format!("{path}/{k}"), v)).collect(),
        serde_json::Value::Array(items) => items.iter().enumerate().map(|(i, v)| (format!("{path}/{i}"), v)).collect(),
        _ => Vec::new(),
    };
    for (path, member) in members {
        found.push(path.clone());
        fields(member, &path, found);
    }
}

fn without(value: &serde_json::Value, path: &str) -> serde_json::Value {
    let mut value = value.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    if let Some(fields) = value.pointer_mut(parent).and_then(|p| p.as_object_mut()) {
        fields.remove(name);
    }
    value
}

#[test]
fn what_section_8_marks_may_be_absent_or_null_and_nothing_else() {
    // Neither `?` nor `*` in section 8.
    let needed = [
        "given/checkpoint/profile",
        "given/checkpoint/direction",
        "given/checkpoint/lane_class",
        "given/peak_mode/active",
        "enterprises/0/id",
        "enterprises/0/status",
        "vehicles/0/plate",
        "vehicles/0/category",
        "vehicles/0/registration",
        "cards/0/id",
        "cards/0/type",
        "cards/0/plate",
        "cards/0/status",
        "tasks/0/code",
        "tasks/0/kind",
        "tasks/0/plate",
        "tasks/0/state",
        "receptions/0/plate",
        "receptions/0/valid_from",
        "receptions/0/state",
        "bans/0/plate",
        "bans/0/kind",
        "bans/0/from",
        "exit_permits/0/id",
        "exit_permits/0/plate",
        "exit_permits/0/state",
        "leave_consents/0/plate",
        "leave_consents/0/state",
        "inspection_orders/0/plate",
        "inspection_orders/0/state",
        "appointments/0/id",
        "appointments/0/kind",
        "appointments/0/plate",
        "appointments/0/state",
        "appointments/0/transit",
        "appointments/0/declaration_imported",
        "appointments/0/vehicle_count",
        "approvals/0/appointment",
        "approvals/0/state",
        "approvals/0/approver",
        "qr_codes/0/id",
        "qr_codes/0/plate",
        "qr_codes/0/appointment",
        "qr_codes/0/state",
        "customs_enterprises/0/id",
        "customs_enterprises/0/status",
        "customs_vehicles/0/plate",
        "customs_vehicles/0/enterprise",
        "customs_vehicles/0/gps_approved",
        "customs_vehicles/0/eseal_approved",
        "customs_drivers/0/id",
        "customs_drivers/0/enterprise",
        "trips/0/id",
        "trips/0/plate",
        "trips/0/flow",
        "trips/0/regime",
        "manifests/0/trip",
        "manifests/0/transmitted_at",
        "manifests/0/state",
        "escorts/0/plate",
        "escorts/0/approved",
        "escorts/0/officers",
        "escorts/0/fee_paid",
        "when/at",
    ];
    let whole = whole();
    let mut paths = Vec::new();
    fields(&whole["given"], "/given", &mut paths);
    fields(&whole["when"], "/when", &mut paths);
    let mut checked = 0;
    for path in paths.iter().filter(|p| !p.ends_with("/0") && *p != "/given/checkpoint") {
        let named = path.trim_start_matches("/given/records/").trim_start_matches('/');
        let is_needed = needed.contains(&named);
        let mut nulled = whole.clone();
        *nulled.pointer_mut(path).unwrap() = serde_json::Value::Null;
        for changed in [without(&whole, path), nulled] {
            let parsed = parse_cases(&one(changed)).unwrap().pop().unwrap();
            match (&parsed, is_needed) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    let leaf = named.rsplit('/').next().unwrap();
                    assert!(error.to_string().contains(leaf), "{path}: the error does not name the field: {error}");
                }
                (Ok(_), true) => panic!("{path} is needed"),
                (Err(error), false) => panic!("{path} may be absent or null: {error}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 250, "{checked}");
}

#[test]
fn what_no_check_reads_is_never_an_error() {
    for (path, value) in [
        ("/given/records/enterprises/0/name", serde_json::json!(7)),
        ("/given/records/enterprises/0/deregistered_at", serde_json::json!("2026-02-01")),
        ("/given/records/vehicles/0/rated_load_t", serde_json::json!("1.8 t")),
        ("/given/records/tasks/0/phone", serde_json::json!(13_800_000_000_u64)),
        ("/given/records/receptions/0/purpose", serde_json::json!(["a"])),
        ("/given/records/manifests/0/id", serde_json::json!(1)),
        ("/given/peak_mode/activated_by", serde_json::json!(3)),
        ("/when/manual_plate/document", serde_json::json!(true)),
        ("/when/event_id", serde_json::json!(12)),
        ("/when/redelivered", serde_json::json!(2)),
    ] {
        let mut changed = whole();
        *changed.pointer_mut(path).unwrap() = value;
        let report = run_file(&one(changed)).unwrap();
        assert_eq!((report.passed, &report.invalid), (1, &vec![]), "{path}");
    }
    // Two manifests under one informative id are two manifests.
    let mut changed = whole();
    let manifest = changed["given"]["records"]["manifests"][0].clone();
    changed["given"]["records"]["manifests"].as_array_mut().unwrap().push(manifest);
    let Ok(Case::Single(scenario)) = parse_cases(&one(changed)).unwrap().pop().unwrap() else { panic!("it parses") };
    assert_eq!(scenario.facts.entries().iter().filter(|e| e.kind == crate::registry::Kind::Manifest).count(), 2);
}

#[test]
fn every_switch_of_the_policy_is_taken_and_a_wrong_one_named() {
    let switches = serde_json::to_value(crate::policy::Policy::default()).unwrap();
    for (name, value) in switches.as_object().unwrap() {
        let mut changed = whole();
        changed["given"]["config"] = serde_json::json!({name: value});
        assert!(parse_cases(&one(changed)).unwrap().pop().unwrap().is_ok(), "{name}");
    }
    for (config, says) in [
        (serde_json::json!({"plate_confidence_min": 2}), "given.config.plate_confidence_min: plate_confidence_min must be above 0"),
        (
            serde_json::json!({"exit_permit": "never"}),
            "given.config.exit_permit: unknown variant `never`, expected `always` or `laden_only`",
        ),
        (serde_json::json!({"speed": 1}), "given.config.speed: unknown field `speed`, expected one of"),
    ] {
        let mut changed = whole();
        changed["given"]["config"] = config;
        let error = parse_cases(&one(changed)).unwrap().pop().unwrap().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn contradictory_records_are_named() {
    let twice = |kind: &str| {
        let mut changed = whole();
        let again = changed["given"]["records"][kind][0].clone();
        changed["given"]["records"][kind].as_array_mut().unwrap().push(again);
        parse_cases(&one(changed)).unwrap().pop().unwrap()
    };
    for (kind, field) in [("vehicles", "plate"), ("cards", "id"), ("tasks", "code"), ("appointments", "id"), ("trips", "id")] {
        let error = twice(kind).unwrap_err();
        assert_eq!(error.field, format!("given.records.{kind}[1].{field}"));
        assert!(error.problem.contains("is there twice"), "{error}");
    }
    // Without an id of their own, two alike are two.
    for kind in ["receptions", "bans", "leave_consents", "inspection_orders", "approvals", "manifests", "escorts"] {
        assert!(twice(kind).is_ok(), "{kind}");
    }
}

#[test]
fn a_wrong_course_names_step_and_field() {
    let start = r#"
version: 1
timezone: Asia/Shanghai
scenarios:
- id: X1
  title: one car
  cites: [LYG-4.4a]
  given:
    lanes:
    - {id: JCZ-1.L3, direction: ENTRY}
  steps:
  - {at: '2026-03-10T10:00:00+08:00', lane: JCZ-1.L3, read: {plate_read: {text: A1, confidence: 0.95}}, then: {decision: REFUSE, reasons: [VEHICLE_NOT_REGISTERED]}}
"#;
    let report = run_file(start).unwrap();
    assert_eq!((report.passed, &report.invalid, &report.differences), (1, &vec![], &vec![]));
    for (from, to, says) in [
        ("id: JCZ-1.L3, d", "id: L3, d", "X1 (line 5): given.lanes[0].id: a lane's id begins with its checkpoint's: JCZ-1.L1"),
        ("lane: JCZ-1.L3", "lane: JCZ-1.L4", "steps[0].lane: \"JCZ-1.L4\" is none of given.lanes"),
        ("at: '2026-03-10T10:00:00+08:00', ", "", "steps[0].at: the first step needs an instant"),
        ("at: '2026-03-10T10:00:00+08:00'", "at: 'ten'", "steps[0].at: \"ten\" is not an instant"),
        ("{plate_read:", "{plate_raed:", "steps[0].read.plate_raed: unknown field"),
        ("decision: REFUSE, ", "", "steps[0].then.reasons: decision and reasons are given together"),
        ("decision: REFUSE", "decison: REFUSE", "steps[0].then.decison: unknown field"),
        ("read: {", "barrier: open, read: {", "steps[0]: one of read, put, delete, say and barrier"),
    ] {
        assert!(start.contains(from), "{from}");
        let report = run_file(&start.replacen(from, to, 1)).unwrap();
        assert!(report.invalid.len() == 1 && report.invalid[0].to_string().contains(says), "{says}: {:?}", report.invalid);
    }
    // What a step does not name must not happen.
    let silent = start.replace(", then: {decision: REFUSE, reasons: [VEHICLE_NOT_REGISTERED]}", "");
    let report = run_file(&silent).unwrap();
    assert!(report.differences[0].to_string().contains("steps[0].decision: expected none, got REFUSE"), "{:?}", report.differences);
    let other = start.replace("decision: REFUSE", "decision: HOLD");
    assert!(run_file(&other).unwrap().differences[0].to_string().contains("steps[0].decision: expected HOLD, got REFUSE"));
}

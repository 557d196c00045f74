//! Lianyungang's corner cases (7.1 to 7.19).

use serde_json::{json, Value};

use super::{check, outcome, said};

const OK_IN: &str = "HOLD MANUAL_RELEASE_REQUIRED@LYG-0.12a";
const OK_OUT: &str = "HOLD MANUAL_RELEASE_REQUIRED@LYG-7.6b";

#[test]
fn identity_7_1_to_7_3() {
    let low = |text: &str| ("/when/plate_read", json!({"text": text, "confidence": 0.5}));
    check("separators of a read", "S001", &[("/when/plate_read/text", json!(" 苏g·12 345 "))], OK_IN);
    check(
        "a similar plate is another",
        "S001",
        &[("/when/plate_read/text", json!("苏G12346"))],
        "REFUSE PLATE_CARD_MISMATCH@LYG-7.2 VEHICLE_NOT_REGISTERED@LYG-0.12a",
    );
    check(
        "manual entry against a surely different read",
        "S001",
        &[("/when/manual_plate", json!({"text": "苏G12345"})), ("/when/plate_read/text", json!("鲁B00000"))],
        "HOLD MANUAL_PLATE_ENTRY@LYG-7.3",
    );
    check("empty manual entry is none", "S001", &[("/when/manual_plate", json!({"text": "  "}))], OK_IN);
    check("empty read is none", "S001", &[("/when/plate_read/text", json!(""))], "HOLD PLATE_UNREADABLE@LYG-7.3");
    check("missing confidence is 0", "S001", &[("/when/plate_read", json!({"text": "苏G12345"}))], "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3");
    check("confidence at the threshold", "S001", &[("/when/plate_read/confidence", json!(0.9))], OK_IN);
    check("confidence below it", "S001", &[("/when/plate_read/confidence", json!(0.8999999))], "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3");
    check(
        "card not on record gives no identity",
        "S001",
        &[low("苏G12345"), ("/when/card", json!("C999"))],
        "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3",
    );
    check(
        "card not yet handed out gives none either",
        "S001",
        &[low("苏G12345"), ("/given/records/cards/0/status", json!("APPROVED"))],
        "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3",
    );
    check(
        "a QR on record gives the plate at every profile",
        "S018",
        &[
            low("X"),
            ("/given/records/qr_codes/-", json!({"id": "Q", "plate": "苏G66B02", "appointment": "A", "state": "ACTIVE"})),
            ("/when/qr", json!("Q")),
        ],
        "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3",
    );
    check("unreachable", "S001", &[("/when/registry_available", json!(false))], "HOLD REGISTRY_UNAVAILABLE");
    check("reachable", "S001", &[("/when/registry_available", json!(true))], OK_IN);
}

#[test]
fn agreement_7_4_and_7_5() {
    let colour = |c: &str| ("/when/plate_read/colour", json!(c));
    check("colour agrees", "S001", &[colour("yellow")], OK_IN);
    check("colour differs", "S001", &[colour("blue")], "HOLD PLATE_COLOUR_MISMATCH@LYG-4.6b");
    check("colour not registered", "S001", &[colour("blue"), ("/given/records/vehicles/0/plate_colour", Value::Null)], OK_IN);
    check(
        "colour of a camera read the guard overruled",
        "S001",
        &[colour("blue"), ("/when/plate_read/text", json!("苏G12346")), ("/when/manual_plate", json!({"text": "苏G12345"}))],
        "HOLD MANUAL_PLATE_ENTRY@LYG-7.3",
    );
    check(
        "colour of a camera read the guard confirmed",
        "S001",
        &[colour("blue"), ("/when/manual_plate", json!({"text": "苏G12345"}))],
        "HOLD MANUAL_PLATE_ENTRY@LYG-7.3 PLATE_COLOUR_MISMATCH@LYG-4.6b",
    );
    check(
        "identity by card: colour is not compared",
        "S001",
        &[colour("blue"), ("/when/plate_read/confidence", json!(0.1))],
        "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3",
    );
    check(
        "an unneeded card not on record is ignored",
        "S018",
        &[("/when/card", json!("C777"))],
        "OPEN AUTO_RELEASE_BUSINESS_ENTRY@LYG-4.4a",
    );
    check("not handed out is unknown", "S001", &[("/given/records/cards/0/status", json!("TERMINAL_OK"))], "REFUSE CARD_UNKNOWN@LYG-7.6a");
    check("suspended changes nothing", "S001", &[("/given/records/cards/0/status", json!("SUSPENDED"))], OK_IN);
    check(
        "handed over is used",
        "S001",
        &[("/given/records/cards/0/status", json!("HANDED_OVER"))],
        "REFUSE SINGLE_CARD_ALREADY_USED@LYG-5.4",
    );
    check("null card is none", "S001", &[("/when/card", Value::Null)], "REFUSE CARD_REQUIRED@LYG-0.9c");
}

#[test]
fn standing_7_7_to_7_9() {
    let reception = |state: &str, from: &str| {
        ("/given/records/receptions/-", json!({"plate": "沪A12D34", "valid_from": from, "state": state, "presence": "OUTSIDE"}))
    };
    check(
        "unknown vehicle: no lane, no inspection",
        "S063",
        &[
            ("/given/checkpoint/lane_class", json!("PASSENGER")),
            ("/given/records/inspection_orders/-", json!({"plate": "苏G12345", "state": "OPEN"})),
        ],
        "REFUSE VEHICLE_NOT_REGISTERED@LYG-0.12a",
    );
    let own = |field: &'static str, v: Value| (field, v);
    check(
        "a PF task alone does not make a vehicle known",
        "S094",
        &[("/given/records/tasks/-", json!({"code": "T", "kind": "PF", "plate": "苏G88A01", "state": "CALLED"}))],
        "REFUSE VEHICLE_NOT_REGISTERED@LYG-0.12a",
    );
    check(
        "used, then filed for today",
        "S030",
        &[own("/given/records/receptions/0/state", json!("CONSUMED")), reception("FILED", "2026-03-10")],
        "OPEN AUTO_RELEASE_RECEPTION_ENTRY@LYG-4.6c2",
    );
    check(
        "filed for another day before used",
        "S030",
        &[own("/given/records/receptions/0/state", json!("CLOSED")), reception("FILED", "2026-03-12")],
        "REFUSE RECEPTION_NOT_YET_VALID@LYG-4.6c3",
    );
    check(
        "valid one before an earlier given invalid one",
        "S030",
        &[own("/given/records/receptions/0/valid_from", json!("2026-03-01")), reception("FILED", "2026-03-10")],
        "OPEN AUTO_RELEASE_RECEPTION_ENTRY@LYG-4.6c2",
    );
    check(
        "withdrawn is ignored",
        "S030",
        &[own("/given/records/receptions/0/state", json!("WITHDRAWN"))],
        "REFUSE VEHICLE_NOT_REGISTERED@LYG-0.12a",
    );
    check("expired by state", "S030", &[own("/given/records/receptions/0/state", json!("EXPIRED"))], "REFUSE RECEPTION_EXPIRED@LYG-4.6c3");
    check(
        "closed is used",
        "S030",
        &[own("/given/records/receptions/0/state", json!("CLOSED"))],
        "REFUSE RECEPTION_ALREADY_USED@LYG-4.6c3",
    );
    check(
        "expiry never stops the exit",
        "S036",
        &[own("/given/records/receptions/0/state", json!("EXPIRED"))],
        "HOLD MANUAL_RELEASE_REQUIRED@LYG-4.4b",
    );
}

#[test]
fn tasks_7_10_to_7_13() {
    let task = |code: &str, state: &str, plate: &str| {
        ("/given/records/tasks/-", json!({"code": code, "kind": "PF", "plate": plate, "state": state}))
    };
    let no_named = ("/given/records/cards/0/task", Value::Null);
    let first = |state: &str| ("/given/records/tasks/0/state", json!(state));
    check("a called task before a cancelled one", "S001", &[no_named.clone(), first("CANCELLED"), task("B", "CALLED", "苏G12345")], OK_IN);
    check(
        "appointed before entered at entry",
        "S001",
        &[no_named.clone(), first("ENTERED"), task("B", "APPOINTED", "苏G12345")],
        "HOLD NO_RELEASE_INSTRUCTION@LYG-2.9b",
    );
    check("entered at entry is no failure", "S001", &[no_named.clone(), first("ENTERED")], OK_IN);
    check("called at exit is no failure", "S006", &[("/given/records/tasks/0/state", json!("CALLED"))], OK_OUT);
    check("the card's task goes first", "S001", &[first("CANCELLED"), task("B", "CALLED", "苏G12345")], "REFUSE TASK_NOT_ACTIVE@LYG-7.6a");
    check("the card's task is not on record", "S001", &[("/given/records/cards/0/task", json!("GONE"))], OK_IN);
    check(
        "the card's task is another vehicle's: nothing further in C09, C10",
        "S001",
        &[("/given/records/tasks/0/plate", json!("苏G99999")), ("/when/cargo_observed", json!({"laden": true}))],
        "REFUSE TASK_VEHICLE_MISMATCH@LYG-2.7b",
    );
    check(
        "the card of an exempt vehicle names no task",
        "S008",
        &[
            ("/given/records/cards/-", json!({"id": "C9", "type": "LONG", "plate": "苏G12345", "status": "ISSUED", "task": "B"})),
            task("B", "CALLED", "苏G99999"),
            ("/when/card", json!("C9")),
        ],
        OK_IN,
    );
    let window =
        |from: &str, to: &str| vec![("/given/records/tasks/0/window_from", json!(from)), ("/given/records/tasks/0/window_to", json!(to))];
    check("window holds its start", "S001", &window("2026-03-10T10:00:00+08:00", "2026-03-10T11:00:00+08:00"), OK_IN);
    check(
        "window excludes its end",
        "S001",
        &window("2026-03-10T09:00:00+08:00", "2026-03-10T02:00:00Z"),
        "HOLD TASK_OUTSIDE_WINDOW@LYG-2.8a",
    );
    check("no window at the exit", "S006", &window("2026-03-01T09:00:00+08:00", "2026-03-02T02:00:00Z"), OK_OUT);

    let cargo = |v: Value| ("/when/cargo_observed", v);
    check("laden not seen", "S001", &[cargo(json!({"laden": null, "name": "煤炭"}))], OK_IN);
    check("laden against empty", "S001", &[cargo(json!({"laden": true}))], "HOLD CARGO_TASK_MISMATCH@LYG-7.6a");
    check("empty against empty", "S001", &[cargo(json!({"laden": false}))], OK_IN);
    check("empty against cargo", "S006", &[cargo(json!({"laden": false}))], "HOLD CARGO_TASK_MISMATCH@LYG-7.6b");
    check("name not seen", "S006", &[cargo(json!({"laden": true}))], OK_OUT);
    check("name agrees", "S006", &[cargo(json!({"laden": true, "name": "铁矿石"}))], OK_OUT);
    check("name compared exactly", "S006", &[cargo(json!({"laden": true, "name": "铁矿"}))], "HOLD CARGO_TASK_MISMATCH@LYG-7.6b");
    check(
        "auxiliary with a live task",
        "S014",
        &[
            ("/given/records/tasks/-", json!({"code": "A", "kind": "AUX", "plate": "苏G88A01", "state": "CALLED"})),
            cargo(json!({"laden": true})),
        ],
        "HOLD CARGO_TASK_MISMATCH@LYG-7.7",
    );
    check(
        "auxiliary with a finished task",
        "S014",
        &[
            ("/given/records/tasks/-", json!({"code": "A", "kind": "AUX", "plate": "苏G88A01", "state": "COMPLETED"})),
            cargo(json!({"laden": true})),
        ],
        "OPEN AUTO_RELEASE_AUXILIARY_ENTRY@LYG-3.7",
    );
}

#[test]
fn permit_and_consent_7_14_7_15() {
    let permit = |i: &str, plate: &str, state: &str| ("/given/records/exit_permits/-", json!({"id": i, "plate": plate, "state": state}));
    let first = |state: &str| ("/given/records/exit_permits/0/state", json!(state));
    check("any issued permit suffices", "S006", &[first("USED"), permit("P2", "苏G12345", "ISSUED")], OK_OUT);
    check("void", "S006", &[first("VOID")], "HOLD EXIT_PERMIT_INVALID@LYG-7.6b");
    check("an unknown permit presented is none", "S099", &[("/when/exit_permit", json!("X"))], "HOLD EXIT_PERMIT_MISSING@LYG-7.6b");
    check(
        "another vehicle's permit",
        "S099",
        &[permit("P9", "苏G99999", "ISSUED"), ("/when/exit_permit", json!("P9"))],
        "HOLD EXIT_PERMIT_INVALID@LYG-7.6b",
    );
    check("another's beside one's own", "S006", &[permit("P9", "苏G99999", "ISSUED"), ("/when/exit_permit", json!("P9"))], OK_OUT);
    let laden_only = ("/given/config", json!({"exit_permit": "laden_only"}));
    check("laden only, not observed", "S099", &[laden_only.clone()], "HOLD EXIT_PERMIT_MISSING@LYG-7.6b");
    let empty = ("/when/cargo_observed", json!({"laden": false}));
    check("laden only, empty", "S099", &[laden_only, empty, ("/given/records/tasks/0/cargo_out", Value::Null)], OK_OUT);

    let missing = "REFUSE LEAVE_CONSENT_MISSING@LYG-6.4e";
    check("consent before its end", "S013", &[("/when/at", json!("2026-03-10T17:59:59+08:00"))], OK_OUT);
    check("consent at its end", "S013", &[("/when/at", json!("2026-03-10T18:00:00+08:00"))], missing);
    check(
        "no end",
        "S013",
        &[("/given/records/leave_consents/0/valid_to", Value::Null), ("/when/at", json!("2026-12-01T18:00:00+08:00"))],
        OK_OUT,
    );
    check("used", "S013", &[("/given/records/leave_consents/0/state", json!("USED"))], missing);
    let single = vec![
        ("/given/records/leave_consents", json!([])),
        ("/given/records/cards/0/type", json!("SINGLE")),
        ("/given/records/cards/0/status", json!("IN_USE")),
    ];
    check("on its own single card, no long-term card", "S013", &single, OK_OUT);
    let mut holder = single.clone();
    holder.push(("/given/records/cards/-", json!({"id": "L", "type": "LONG", "plate": "苏G12345", "status": "CANCELLED"})));
    check("on its single card, holder of a long-term card", "S013", &holder, missing);
    let mut applied = single.clone();
    applied.push(("/given/records/cards/-", json!({"id": "L", "type": "LONG", "plate": "苏G12345", "status": "APPLIED"})));
    check("a long-term card not yet handed out does not count", "S013", &applied, OK_OUT);
    let effects: Vec<&str> = outcome("S013", &single).effects.iter().map(|e| e.as_str()).collect();
    assert_eq!(effects, ["PRESENCE_CLOSED", "SINGLE_CARD_RECOVERED", "TASK_COMPLETED", "EXIT_PERMIT_USED"]);
}

#[test]
fn presence_ban_lane_peak_7_16_to_7_19() {
    check(
        "inside by any record of the plate",
        "S018",
        &[(
            "/given/records/receptions/-",
            json!({"plate": "苏G66B02", "valid_from": "2026-03-01", "state": "CONSUMED", "presence": "INSIDE"}),
        )],
        "HOLD PLATE_ALREADY_INSIDE@LYG-7.8a",
    );
    check("no presence known is outside", "S023", &[("/given/records/vehicles/0/presence", Value::Null)], "HOLD NO_ENTRY_RECORD@LYG-7.8a");
    let ban =
        |kind: &str, from: &str, to: Value| ("/given/records/bans/-", json!({"plate": "苏G66B02", "kind": kind, "from": from, "to": to}));
    check(
        "both bans",
        "S018",
        &[ban("ONE_YEAR", "2026-01-01T00:00:00+08:00", Value::Null), ban("BLACKLIST", "2026-01-01T00:00:00+08:00", Value::Null)],
        "REFUSE VEHICLE_BLACKLISTED@LYG-6.4e VEHICLE_BANNED_ONE_YEAR@LYG-2.5b",
    );
    check(
        "ban from this instant",
        "S018",
        &[ban("BLACKLIST", "2026-03-10T10:00:00+08:00", Value::Null)],
        "REFUSE VEHICLE_BLACKLISTED@LYG-6.4e",
    );
    check(
        "ban to this instant",
        "S018",
        &[ban("BLACKLIST", "2026-03-01T10:00:00+08:00", json!("2026-03-10T10:00:00+08:00"))],
        "OPEN AUTO_RELEASE_BUSINESS_ENTRY@LYG-4.4a",
    );
    let lane = |class: &str| ("/given/checkpoint/lane_class", json!(class));
    check(
        "auxiliary without body is a truck",
        "S014",
        &[("/given/records/vehicles/0/body", Value::Null), lane("PASSENGER")],
        "HOLD WRONG_LANE@LYG-7.4",
    );
    check("reception without body is a car", "S030", &[lane("FREIGHT")], "HOLD WRONG_LANE@LYG-4.5");
    check("production is freight whatever its body", "S001", &[("/given/records/vehicles/0/body", json!("PASSENGER"))], OK_IN);
    check("directed by a manager", "S001", &[lane("PASSENGER"), ("/when/lane_override", json!("m"))], OK_IN);
    check("an empty override is none", "S001", &[lane("PASSENGER"), ("/when/lane_override", json!(""))], "HOLD WRONG_LANE@LYG-7.4");
    let at = |t: &str| ("/when/at", json!(t));
    check("peak from its first instant", "S024", &[at("2026-03-10T17:00:00+08:00")], "OPEN PEAK_MODE_EXIT@LYG-4.4c");
    check("peak until before its end", "S024", &[at("2026-03-10T18:29:59.999+08:00")], "OPEN PEAK_MODE_EXIT@LYG-4.4c");
    check("peak not at its end", "S024", &[at("2026-03-10T18:30:00+08:00")], "HOLD MANUAL_RELEASE_REQUIRED@LYG-4.4b");
    let open_ended = ("/given/peak_mode", json!({"active": true}));
    check("peak never at entry", "S001", &[open_ended.clone()], OK_IN);
    check("peak never for production", "S006", &[open_ended], OK_OUT);
}

#[test]
fn days_are_inclusive_and_29_february_exists() {
    let to = |day: &str| ("/given/records/cards/0/valid_to", json!(day));
    let leap = |t: &str| ("/when/at", json!(t));
    let long = |edits: &[super::Edit]| {
        let mut all = vec![("/given/records/vehicles/0/documents_valid_to", Value::Null)];
        all.extend_from_slice(edits);
        said(&outcome("S004", &all))
    };
    assert_eq!(long(&[to("2028-02-29"), leap("2028-02-29T23:59:59.999999+08:00")]), OK_IN);
    assert_eq!(long(&[to("2028-02-28"), leap("2028-02-29T00:00:00+08:00")]), "REFUSE CARD_EXPIRED@LYG-7.6a");
    // The same instant an hour's clock error away is another day.
    assert_eq!(long(&[to("2026-03-10"), leap("2026-03-10T23:30:00+09:00")]), OK_IN);
    assert_eq!(long(&[to("2026-03-10"), leap("2026-03-10T23:30:00+07:00")]), "REFUSE CARD_EXPIRED@LYG-7.6a");
    // A reception filed for 28 February of a leap year still holds on the 29th, not on 1 March.
    let filed = ("/given/records/receptions/0/valid_from", json!("2028-02-28"));
    check("second day", "S030", &[filed.clone(), leap("2028-02-29T23:59:59+08:00")], "OPEN AUTO_RELEASE_RECEPTION_ENTRY@LYG-4.6c2");
    check("third day", "S030", &[filed, leap("2028-03-01T00:00:00+08:00")], "REFUSE RECEPTION_EXPIRED@LYG-4.6c3");
}

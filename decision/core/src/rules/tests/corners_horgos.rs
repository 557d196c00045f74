//! Horgos' corner cases (7.20 to 7.24).

use serde_json::{json, Value};

use super::{check, Edit};

const OK: &str = "OPEN QR_RELEASE@HGS-2.1b";

fn other_appointment(id: &str, plate: &str, state: &str) -> Edit {
    (
        "/given/records/appointments/-",
        json!({"id": id, "kind": "HEAVY", "plate": plate, "state": state, "transit": false, "declaration_imported": true,
               "vehicle_count": 1, "yard": "WH-001"}),
    )
}

#[test]
fn appointments_7_20() {
    let state = |s: &str| ("/given/records/appointments/0/state", json!(s));
    check("draft is none yet", "S115", &[state("DRAFT")], "REFUSE APPOINTMENT_MISSING@HGS-1.1");
    check("filled is none yet", "S115", &[state("FILLED")], "REFUSE APPOINTMENT_MISSING@HGS-1.1");
    check("approved passes", "S115", &[state("APPROVED")], OK);
    check(
        "the one the QR names, although over",
        "S115",
        &[state("COMPLETED"), other_appointment("AP2", "新F56789", "BOOKED")],
        "REFUSE APPOINTMENT_NOT_ACTIVE@HGS-1.1",
    );
    check(
        "else a live one: its QR is missing",
        "S115",
        &[state("CANCELLED"), other_appointment("AP2", "新F56789", "BOOKED"), ("/when/qr", Value::Null)],
        "REFUSE WAREHOUSE_APPROVAL_MISSING@HGS-2.1b QR_NOT_PRESENTED@HGS-2.1b",
    );
    let another_truck = ("/when/plate_read/text", json!("新F00009"));
    check(
        "no appointment of its own: the QR's, held",
        "S115",
        &[another_truck.clone(), ("/given/records/appointments/0/declared_plate", Value::Null)],
        "HOLD QR_PLATE_MISMATCH@HGS-2.1b",
    );
    check("plate not read: the QR's appointment, no mismatch", "S115", &[("/when/plate_read", Value::Null)], "HOLD PLATE_UNREADABLE");
    check(
        "a contradictory QR: its plate agrees, its appointment is another's",
        "S115",
        &[("/given/records/appointments/0/plate", json!("新F00009")), ("/given/records/appointments/0/declared_plate", Value::Null)],
        "HOLD QR_PLATE_MISMATCH@HGS-2.1b",
    );
}

#[test]
fn qr_7_21_and_7_23() {
    let qr = |field: &'static str, v: Value| (field, v);
    check("names another appointment", "S115", &[qr("/given/records/qr_codes/0/appointment", json!("AP9"))], "REFUSE QR_INVALID@HGS-2.1b");
    check(
        "another plate's, and used",
        "S127",
        &[qr("/given/records/qr_codes/0/state", json!("USED"))],
        "REFUSE QR_PLATE_MISMATCH@HGS-2.1b QR_ALREADY_USED@HGS-2.1b",
    );
    check(
        "another plate's, and revoked",
        "S127",
        &[qr("/given/records/qr_codes/0/state", json!("REVOKED"))],
        "REFUSE QR_PLATE_MISMATCH@HGS-2.1b QR_INVALID@HGS-2.1b",
    );
    check("commodity: an unknown QR is not looked at", "S120", &[("/when/qr", json!("QRX"))], "HOLD COMMODITY_MANUAL_RELEASE@HGS-1.5c");
    check(
        "commodity: another plate's QR",
        "S120",
        &[
            ("/given/records/qr_codes/-", json!({"id": "Q", "plate": "新F00001", "appointment": "AP1", "state": "USED"})),
            ("/when/qr", json!("Q")),
        ],
        "HOLD QR_PLATE_MISMATCH@HGS-2.1b",
    );
    check(
        "no appointment: no inspection order either",
        "S128",
        &[("/given/records/inspection_orders/-", json!({"plate": "新F56789", "state": "OPEN"}))],
        "REFUSE APPOINTMENT_MISSING@HGS-1.1 QR_INVALID@HGS-2.1b",
    );
}

#[test]
fn approvals_7_22() {
    let also =
        |state: &str, approver: &str| ("/given/records/approvals/-", json!({"appointment": "AP1", "state": state, "approver": approver}));
    let first =
        |state: &str, approver: &str| ("/given/records/approvals/0", json!({"appointment": "AP1", "state": state, "approver": approver}));
    check("a rejection beside it", "S115", &[also("REJECTED", "WH-002")], OK);
    check("only requested", "S115", &[first("REQUESTED", "WH-001")], "REFUSE WAREHOUSE_APPROVAL_MISSING@HGS-2.1b");
    check(
        "by another warehouse",
        "S115",
        &[first("APPROVED", "WH-002"), also("REQUESTED", "WH-001")],
        "REFUSE WAREHOUSE_APPROVER_NOT_COMPETENT@HGS-2.1b",
    );
    check("by both", "S115", &[first("APPROVED", "WH-002"), also("APPROVED", "WH-001")], OK);
    check(
        "the port administration for a warehouse",
        "S115",
        &[first("APPROVED", "PORT_ADMINISTRATION")],
        "REFUSE WAREHOUSE_APPROVER_NOT_COMPETENT@HGS-2.1b",
    );
    check(
        "no yard stated",
        "S115",
        &[("/given/records/appointments/0/yard", Value::Null)],
        "REFUSE WAREHOUSE_APPROVER_NOT_COMPETENT@HGS-2.1b",
    );
}

#[test]
fn declaration_and_vins_7_24() {
    let ap = |field: &'static str, v: Value| (field, v);
    check(
        "transit has nothing to import",
        "S115",
        &[ap("/given/records/appointments/0/transit", json!(true)), ap("/given/records/appointments/0/declaration_imported", json!(false))],
        OK,
    );
    check("nothing declared, nothing compared", "S131", &[ap("/given/records/appointments/0/declared_plate", Value::Null)], OK);
    check(
        "an empty release list is none",
        "S119",
        &[ap("/given/records/appointments/0/release_list", json!(""))],
        "HOLD CBEC_RELEASE_LIST_MISSING@HGS-1.6b",
    );
    let vins = |list: Value| ("/given/records/appointments/0/vins", list);
    check(
        "duplicates count once",
        "S120",
        &[vins(json!(["A", "A", "B"])), ("/when/vins_observed", Value::Null)],
        "HOLD VIN_LIST_INCOMPLETE@HGS-1.4b",
    );
    check("no list", "S120", &[vins(Value::Null), ("/when/vins_observed", Value::Null)], "HOLD VIN_LIST_INCOMPLETE@HGS-1.4b");
    check(
        "some seen, all listed",
        "S120",
        &[vins(json!(["A", "B", "C"])), ("/when/vins_observed", json!(["B", "B"]))],
        "HOLD COMMODITY_MANUAL_RELEASE@HGS-1.5c",
    );
    check("compared exactly", "S120", &[vins(json!(["A", "B", "C"])), ("/when/vins_observed", json!(["b"]))], "HOLD VIN_MISMATCH@HGS-1.5c");
    check(
        "none seen",
        "S120",
        &[vins(json!(["A", "B", "C"])), ("/when/vins_observed", json!([]))],
        "HOLD COMMODITY_MANUAL_RELEASE@HGS-1.5c",
    );
}

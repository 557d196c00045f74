//! Nanning customs' corner cases (7.25 to 7.31).

use serde_json::{json, Value};

use super::{check, outcome};

const TRANSIT_IN: &str = "OPEN IC_CARD_RELEASE@NNG-1.5.i3";

#[test]
fn trips_7_25() {
    let trip = |id: &str, state: Value| {
        ("/given/records/trips/-", json!({"id": id, "plate": "桂F11223", "flow": "IMPORT", "regime": "FAST", "state": state}))
    };
    check(
        "a completed trip is passed over",
        "S140",
        &[("/given/records/trips/0/state", json!("COMPLETED"))],
        "REFUSE MANIFEST_MISSING@NNG-1.5.i1",
    );
    check(
        "the next open one counts",
        "S140",
        &[("/given/records/trips/0/state", json!("COMPLETED")), trip("TR2", Value::Null)],
        "REFUSE MANIFEST_MISSING@NNG-2.2.i1a TRIP_NOT_CONFIRMED@NNG-2.2.i1b FAST_EQUIPMENT_MISSING@NNG-2.1 SEAL_NOT_RECORDED@NNG-2.0",
    );
    check(
        "the other flow's trip is none",
        "S140",
        &[("/given/records/trips/0/flow", json!("EXPORT"))],
        "REFUSE MANIFEST_MISSING@NNG-1.5.i1",
    );
    check(
        "without a trip: no seal reason, the rest runs",
        "S141",
        &[
            ("/given/records/trips", json!([])),
            ("/when/seal", json!({"no": "X", "intact": false})),
            ("/given/records/inspection_orders/-", json!({"plate": "桂F11223", "state": "OPEN"})),
        ],
        "HOLD MANIFEST_MISSING@NNG-1.5.i1 INSPECTION_ORDERED",
    );
}

#[test]
fn manifests_7_26() {
    let first = |field: &'static str, v: Value| (field, v);
    let also =
        |at: &str, state: &str| ("/given/records/manifests/-", json!({"id": "MF9", "trip": "TR1", "transmitted_at": at, "state": state}));
    check(
        "transmitted at this very instant",
        "S140",
        &[first("/given/records/manifests/0/transmitted_at", json!("2026-03-10T02:00:00Z"))],
        "REFUSE MANIFEST_MISSING@NNG-1.5.i1",
    );
    check(
        "just before it",
        "S140",
        &[first("/given/records/manifests/0/transmitted_at", json!("2026-03-10T09:59:59.999+08:00"))],
        TRANSIT_IN,
    );
    check(
        "all written off",
        "S140",
        &[first("/given/records/manifests/0/state", json!("WRITTEN_OFF"))],
        "REFUSE MANIFEST_ALREADY_WRITTEN_OFF@NNG-1.5.i1",
    );
    check(
        "one not written off",
        "S140",
        &[first("/given/records/manifests/0/state", json!("WRITTEN_OFF")), also("2026-03-10T08:00:00+08:00", "TRANSMITTED")],
        TRANSIT_IN,
    );
    check("two in transit are no failure", "S140", &[also("2026-03-10T08:00:00+08:00", "TRANSMITTED")], TRANSIT_IN);
    check(
        "one of two not yet transmitted",
        "S146",
        &[also("2026-03-10T10:00:00+08:00", "TRANSMITTED")],
        "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.i2",
    );
    let lodged = |t: &str| ("/given/records/trips/0/declaration_lodged_at", json!(t));
    check("declared at the instant of lodging", "S149", &[lodged("2026-03-10T07:00:00+08:00")], "HOLD MANIFEST_LATE@NNG-2.2.e1a");
    check(
        "not yet lodged",
        "S149",
        &[("/given/records/trips/0/declaration_lodged_at", Value::Null)],
        "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.e2",
    );
    check(
        "lateness is looked at where it enters the yard only",
        "S150",
        &[lodged("2026-03-10T06:00:00+08:00")],
        "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.e2",
    );
}

#[test]
fn confirmation_an_hour_before_arrival() {
    let confirmed = |t: &str| ("/given/records/trips/0/confirmed_at", json!(t));
    check("exactly an hour", "S146", &[confirmed("2026-03-10T09:00:00+08:00")], "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.i2");
    check("a microsecond less", "S146", &[confirmed("2026-03-10T09:00:00.000001+08:00")], "HOLD TRIP_CONFIRMED_LATE@NNG-2.2.i1b");
    check("after arrival", "S146", &[confirmed("2026-03-10T11:00:00+08:00")], "HOLD TRIP_CONFIRMED_LATE@NNG-2.2.i1b");
    check(
        "not looked at later on the way",
        "S150",
        &[("/given/records/trips/0/confirmed_at", Value::Null)],
        "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.e2",
    );
}

#[test]
fn escorts_7_27() {
    let order = ("/given/records/inspection_orders/-", json!({"plate": "桂F11223", "state": "OPEN"}));
    check("an order holds", "S153", &[order.clone()], "HOLD INSPECTION_ORDERED");
    check("whatever the regime", "S153", &[order, ("/given/records/trips/0/regime", json!("FAST"))], "HOLD INSPECTION_ORDERED");
    check(
        "no trip, no manifest, no seal needed",
        "S153",
        &[("/given/records/trips", json!([])), ("/given/records/manifests", json!([]))],
        "HOLD ESCORT_RELEASE_REQUIRED@NNG-3.2",
    );
    check(
        "an approved one beside one not approved",
        "S157",
        &[
            ("/given/records/escorts/-", json!({"plate": "桂F11223", "approved": true, "officers": 3, "fee_paid": true})),
            ("/when/transit_declaration", json!("Z")),
        ],
        "HOLD ESCORT_RELEASE_REQUIRED@NNG-3.2",
    );
    check(
        "for a vehicle on file it changes nothing",
        "S140",
        &[("/given/records/escorts/-", json!({"plate": "桂F11223", "approved": true, "officers": 1, "fee_paid": false}))],
        TRANSIT_IN,
    );
    check(
        "unfiled with another's card: the disagreement stays",
        "S157",
        &[
            ("/given/records/cards/-", json!({"id": "IC1", "type": "IC", "plate": "桂F99999", "status": "ISSUED"})),
            ("/when/card", json!("IC1")),
        ],
        "REFUSE PLATE_IC_CARD_MISMATCH@NNG-1.3.2 CUSTOMS_VEHICLE_NOT_FILED@NNG-3.0",
    );
}

#[test]
fn credentials_7_28_and_7_29() {
    let logbook = ("/when/logbook", json!(true));
    let no_card = ("/when/card", Value::Null);
    check("card and logbook: the card decides", "S140", &[logbook.clone()], TRANSIT_IN);
    check("unknown card beside a logbook", "S140", &[logbook.clone(), ("/when/card", json!("X"))], "REFUSE IC_CARD_INVALID@NNG-1.3.2");
    check("a port pass card is no IC card", "S140", &[("/given/records/cards/0/type", json!("LONG"))], "REFUSE IC_CARD_INVALID@NNG-1.3.2");
    check("lost", "S140", &[("/given/records/cards/0/status", json!("LOST"))], "REFUSE IC_CARD_INVALID@NNG-1.3.2");
    check("not handed out", "S140", &[("/given/records/cards/0/status", json!("APPLIED"))], "REFUSE IC_CARD_INVALID@NNG-1.3.2");
    check("suspended changes nothing", "S140", &[("/given/records/cards/0/status", json!("SUSPENDED"))], TRANSIT_IN);
    check("logbook alone", "S140", &[logbook.clone(), no_card.clone()], "HOLD CUSTOMS_ANNOTATION_REQUIRED@NNG-1.5.i2");
    check("logbook alone in fast clearance", "S146", &[logbook.clone(), no_card.clone()], "HOLD CUSTOMS_ANNOTATION_REQUIRED@NNG-1.5.i2");
    check(
        "logbook where there is no system",
        "S140",
        &[logbook.clone(), no_card.clone(), ("/given/checkpoint/it_port", json!(false))],
        "HOLD TRANSIT_DECLARATION_MISSING@NNG-1.5.i1",
    );
    check("a card vehicle owes no paper there", "S140", &[("/given/checkpoint/it_port", json!(false))], TRANSIT_IN);
    check("`logbook: false` is none", "S140", &[("/when/logbook", json!(false)), no_card.clone()], "HOLD IC_CARD_REQUIRED@NNG-1.5.i3");
    check("fast: other article", "S146", &[no_card.clone()], "HOLD IC_CARD_REQUIRED@NNG-1.3.2");
    let yard_in = ("/given/checkpoint/direction", json!("EXPORT_YARD_IN"));
    check("transit at the export yard entry", "S142", &[yard_in.clone()], "HOLD CUSTOMS_ANNOTATION_REQUIRED");
    check("and without a card", "S142", &[yard_in, no_card], "HOLD IC_CARD_REQUIRED@NNG-1.3.2");
}

#[test]
fn seals_7_30() {
    let seal = |v: Value| ("/when/seal", v);
    let none = ("/given/records/trips/0/seal_no", Value::Null);
    check("no number on the trip, one read", "S141", &[none.clone()], "HOLD SEAL_NOT_RECORDED@NNG-1.5.i2");
    check("neither", "S141", &[none, seal(Value::Null)], "HOLD SEAL_NOT_RECORDED@NNG-1.5.i2 SEAL_NOT_VERIFIED@NNG-1.5.i5");
    check("broken, no number read", "S141", &[seal(json!({"intact": false}))], "HOLD SEAL_NOT_VERIFIED@NNG-1.5.i5 SEAL_BROKEN@NNG-T5d");
    check("intact not reported", "S141", &[seal(json!({"no": "SN900"}))], "OPEN IC_CARD_RELEASE@NNG-1.5.i5");
    check("not compared where it is recorded", "S140", &[seal(json!({"no": "OTHER", "intact": true}))], TRANSIT_IN);
    check("a route deviation is looked at where seals are", "S140", &[("/given/records/trips/0/deviation", json!(true))], TRANSIT_IN);
    check(
        "an inspection is reported beside failures",
        "S147",
        &[("/given/records/trips/0/confirmed_at", Value::Null)],
        "HOLD TRIP_NOT_CONFIRMED@NNG-2.2.i1b PROCEED_TO_INSPECTION@NNG-2.2.i3",
    );
}

#[test]
fn dates_7_31() {
    let gone = Value::Null;
    check(
        "no certificate date",
        "S140",
        &[("/given/records/customs_enterprises/0/certificate_valid_to", gone.clone())],
        "REFUSE CUSTOMS_ENTERPRISE_CERT_EXPIRED@NNG-T2",
    );
    check(
        "no guarantee date",
        "S140",
        &[("/given/records/customs_enterprises/0/guarantee_valid_to", gone.clone())],
        "REFUSE CUSTOMS_GUARANTEE_EXPIRED@NNG-T2",
    );
    check(
        "no permit date",
        "S140",
        &[("/given/records/customs_vehicles/0/permit_valid_to", gone.clone())],
        "REFUSE PERMIT_TO_CARRY_EXPIRED@NNG-T4",
    );
    check(
        "no review date",
        "S140",
        &[("/given/records/customs_vehicles/0/permit_review_due", gone.clone())],
        "REFUSE PERMIT_TO_CARRY_EXPIRED@NNG-T4",
    );
    check(
        "no contract date",
        "S205",
        &[("/given/records/customs_drivers/0/contract_valid_to", gone)],
        "REFUSE DRIVER_NOT_OF_ENTERPRISE@NNG-1.4.1",
    );
    check("last day of the review", "S140", &[("/given/records/customs_vehicles/0/permit_review_due", json!("2026-03-10"))], TRANSIT_IN);
    check(
        "no carrier: no certificate, no guarantee check, the driver still",
        "S163",
        &[("/given/records/customs_enterprises", json!([]))],
        "REFUSE CUSTOMS_ENTERPRISE_NOT_REGISTERED@NNG-1.2.7 DRIVER_NOT_FILED@NNG-1.4.1",
    );
    let yard = outcome("S141", &[("/given/records/customs_enterprises", json!([]))]);
    assert_eq!(super::said(&yard), "HOLD CUSTOMS_ENTERPRISE_NOT_REGISTERED@NNG-1.2.7", "the yard never refuses (CH-11)");
}

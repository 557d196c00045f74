//! The oracle: over generated events and the instants on every boundary, each violation and
//! indicator gives the answer that DuckDB gives for the specification's SQL, reading the folder
//! itself (`tests/oracle/`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use portgate_core::decision::Verdict;
use portgate_core::journal::{AuthorisedBy, JournalEntry, JournalEvent, Passage, Use};
use portgate_core::people::{Principal, Role};
use portgate_core::read::{Action, ReadMessage};
use portgate_core::time::Instant;
use serde_json::{json, Value};
use tempfile::TempDir;

use crate::history::{write_history, HistoryConfig};
use crate::store::{Store, Taken};
use crate::testing::{decision, registry};
use crate::Analytics;

/// Python with DuckDB, as `scripts/setup.sh test` installs it.
pub(crate) fn python() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = std::env::var_os("PORTGATE_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("XDG_CACHE_HOME").map(|c| PathBuf::from(c).join("portgate")))
        .or_else(|| home.map(|h| h.join(".cache/portgate")))?;
    let python = std::env::var_os("PORTGATE_PYTHON").map_or_else(|| cache.join("venv-tests/bin/python"), PathBuf::from);
    let there = Command::new(&python).args(["-c", "import duckdb, pg8000"]).status().is_ok_and(|s| s.success());
    there.then_some(python)
}

/// The port on a Friday in February of a leap year's morrow: instants on every boundary.
struct Edges {
    events: Vec<(Instant, JournalEvent)>,
    n: u64,
}

fn at(text: &str) -> Instant {
    let text = if text.contains('T') { text.to_owned() } else { format!("2026-02-27T{text}") };
    format!("{text}+08:00").parse().unwrap()
}

impl Edges {
    fn add(&mut self, at: Instant, event: JournalEvent) {
        self.events.push((at, event));
    }

    fn record(&mut self, when: &str, kind: &str, id: &str, value: Value) {
        self.add(at(when), registry(kind, id, Some(value)));
    }

    /// A decision on an approach that arrived at that instant.
    fn decided(&mut self, when: &str, lane: &str, direction: &str, plate: &str, verdict: Verdict, reasons: &[&str]) -> String {
        self.n += 1;
        let approach = format!("EDGE-{}", self.n);
        let arrived = at(when);
        let mut d = decision(&approach, verdict, reasons, &arrived.plus_millis(1_000).to_string());
        d.arrived_at = arrived;
        d.lane = lane.into();
        d.checkpoint = lane.split('.').next().unwrap().into();
        d.direction = direction.into();
        d.profile = if direction.contains('_') { "NNG" } else { "LYG" }.into();
        d.plate = Some(plate.into());
        d.card = Some(format!("EC{}", self.n));
        d.enterprise = Some("E-EDGE".into());
        self.add(arrived, JournalEvent::Arrived { approach_id: approach.clone(), lane: lane.into(), arrived_at: arrived });
        self.add(d.decided_at, JournalEvent::Decision { decision: Box::new(d) });
        approach
    }

    fn passed(&mut self, when: &str, lane: &str, direction: &str, plate: Option<&str>, approach: Option<&str>, by: AuthorisedBy) -> String {
        self.n += 1;
        let id = format!("PE-{}", self.n);
        let passage = Passage {
            passage_id: id.clone(),
            approach_id: approach.map(str::to_owned),
            decision_id: approach.map(|a| format!("D-{a}")),
            site: "LYG".into(),
            checkpoint: lane.split('.').next().unwrap().into(),
            lane: lane.into(),
            direction: direction.into(),
            category: None,
            plate: plate.map(str::to_owned),
            passed_at: at(when),
            authorised_by: by,
            effects: vec![],
        };
        self.add(at(when), JournalEvent::Passage { passage });
        id
    }

    fn used(&mut self, when: &str, effect: &str, kind: &str, id: &str, plate: &str, passage: &str) {
        let used = Use {
            effect: effect.into(),
            kind: kind.into(),
            id: id.into(),
            plate: Some(plate.into()),
            passage_id: passage.into(),
            at: at(when),
        };
        self.add(at(when), JournalEvent::Used { used });
    }

    fn queue(&mut self, when: &str, lane: &str, waiting: u32) {
        let read = ReadMessage { lane: lane.into(), received_at: Some(at(when)), queue_length: Some(waiting), ..ReadMessage::default() };
        self.add(at(when), JournalEvent::Read { read: Box::new(read) });
    }

    /// An attempt with a reason, and the same without leave to pass.
    fn attempts(&mut self) {
        let reasons = [
            "PLATE_IC_CARD_MISMATCH",
            "QR_PLATE_MISMATCH",
            "CARD_UNKNOWN",
            "CARD_CANCELLED",
            "CARD_REPORTED_LOST",
            "QR_INVALID",
            "QR_ALREADY_USED",
            "PLATE_COLOUR_MISMATCH",
            "PLATE_ALREADY_INSIDE",
            "VEHICLE_BANNED_ONE_YEAR",
            "VEHICLE_BLACKLISTED",
            "CARGO_TASK_MISMATCH",
            "VIN_MISMATCH",
            "SEAL_MISMATCH",
            "SEAL_BROKEN",
            "MANUAL_PLATE_ENTRY",
            "WRONG_LANE",
        ];
        for (i, reason) in reasons.iter().enumerate() {
            let (lane, direction) = if i % 2 == 0 { ("JCZ-1.L1", "ENTRY") } else { ("JCZ-1.L2", "EXIT") };
            let verdict = if i % 3 == 0 { Verdict::Refuse } else { Verdict::Hold };
            let a = self.decided(&format!("09:{i:02}:00"), lane, direction, "苏E00001", verdict, &[reason, "MANUAL_RELEASE_REQUIRED"]);
            let by = [AuthorisedBy::None, AuthorisedBy::Guard][i % 2];
            self.passed(&format!("09:{i:02}:30"), lane, direction, Some("苏E00001"), Some(&a), by);
        }
        self.decided(
            "09:30:00",
            "JCZ-1.L1",
            "ENTRY",
            "苏E00001",
            Verdict::Refuse,
            &["VEHICLE_BLACKLISTED", "CARD_UNKNOWN", "CARD_CANCELLED"],
        );
        self.passed("09:31:00", "JCZ-1.L1", "ENTRY", None, None, AuthorisedBy::None);
    }

    /// Quarters, hours, queues of ten, schedules and activations of peak pass mode.
    fn clocks(&mut self) {
        for (i, t) in
            ["08:14:59.999999", "08:15:00", "08:59:59.999999", "09:00:00", "23:59:59.999999", "2026-02-28T00:00:00"].iter().enumerate()
        {
            self.passed(t, "JCZ-1.L2", "EXIT", Some(&format!("苏E1000{i}")), None, AuthorisedBy::Guard);
        }
        // Means of exactly ten, just below, and over a bucket's end.
        for (t, n) in [("10:00:00", 9), ("10:04:59.999999", 11), ("10:05:00", 9), ("10:06:00", 10), ("10:10:00", 10)] {
            self.queue(t, "JCZ-1.L2", n);
        }
        // The schedule runs 17:00 to 18:30 on workdays; 2026-02-27 is a Friday.
        for t in [
            "16:59:59.999999",
            "17:00:00",
            "17:20:00",
            "17:25:00",
            "17:40:00",
            "18:25:00",
            "18:30:00",
            "2026-02-28T17:00:00",
            "2026-03-01T17:00:00",
        ] {
            self.queue(t, "JCZ-2.L2", 12);
        }
        // Active from one bucket's first instant to another's.
        self.record(
            "17:00:01",
            "peak_mode",
            "JCZ-2",
            json!({"active": true, "from": "2026-02-27T17:20:00+08:00", "to": "2026-02-27T17:40:00+08:00"}),
        );
        for t in ["17:19:59.999999", "17:20:00", "17:39:59.999999", "17:40:00"] {
            self.decided(t, "JCZ-2.L2", "EXIT", "苏E20000", Verdict::Open, &["PEAK_MODE_EXIT"]);
        }
    }

    /// The accounting day's end, cards out, and cards not taken back.
    fn cards(&mut self) {
        let issue = |n: u32, t: &str| json!({"type": "SINGLE", "status": "ISSUED", "plate": "苏E30000", "enterprise": "E-EDGE", "issue_id": n.to_string(), "issued_at": format!("2026-02-27T{t}+08:00")});
        for (n, t) in [(1, "16:59:59.999999"), (2, "17:00:00"), (3, "17:00:00.000001")] {
            self.record("17:05:00", "card", &format!("X{n}"), issue(n, t));
        }
        self.used("16:59:59.999999", "SINGLE_CARD_CONSUMED", "card", "X1", "苏E30000", "PX-1");
        self.used("2026-02-28T16:59:59.999999", "SINGLE_CARD_RECOVERED", "card", "X1", "苏E30000", "PX-2");
        self.used("2026-02-28T17:00:00", "SINGLE_CARD_RECOVERED", "card", "X2", "苏E30000", "PX-3");
        self.record("2026-02-28T09:00:00", "card", "X3", json!({"type": "SINGLE", "status": "LOST", "plate": "苏E30000", "issue_id": "3"}));
        // An exit that showed a single card and did not give it back.
        self.n += 1;
        let a = self.decided("11:00:00", "JCZ-1.L2", "EXIT", "苏E30001", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"]);
        let card = format!("EC{}", self.n);
        self.record(
            "10:59:00",
            "card",
            &card,
            json!({"type": "SINGLE", "status": "ISSUED", "plate": "苏E30001", "issue_id": "9", "issued_at": "2026-02-27T10:59:00+08:00"}),
        );
        self.passed("11:00:30", "JCZ-1.L2", "EXIT", Some("苏E30001"), Some(&a), AuthorisedBy::Guard);
    }

    /// Roads of 3 km take 90 s at 120 km/h.
    fn clones(&mut self) {
        for (plate, second) in [("苏E40001", "12:01:30"), ("苏E40002", "12:01:29.999999"), ("苏E40003", "12:00:01")] {
            self.passed("12:00:00", "JCZ-1.L1", "ENTRY", Some(plate), None, AuthorisedBy::Guard);
            self.passed(second, "JCZ-2.L2", "EXIT", Some(plate), None, AuthorisedBy::Guard);
            self.passed("12:10:00", "JCZ-1.L1", "ENTRY", Some(plate), None, AuthorisedBy::Guard);
        }
        self.passed("12:20:00", "JCZ-1.L1", "ENTRY", Some("苏E40003"), None, AuthorisedBy::Guard);
    }

    /// Short-haul vehicles: consent granted at, ended at, used by this and by another passage.
    fn leaves(&mut self) {
        let cases = [
            ("苏E50001", Some(("13:00:00", None)), false, false), // granted at the instant: in time
            ("苏E50002", Some(("13:00:00.000001", None)), false, false), // just after
            ("苏E50003", Some(("12:00:00", Some("2026-02-27T13:00:00+08:00"))), false, false), // ended at the instant: not valid
            ("苏E50004", Some(("12:00:00", Some("2026-02-27T13:00:00.000001+08:00"))), false, false), // a moment longer
            ("苏E50005", None, true, false),                      // on its single card, no long card
            ("苏E50006", None, true, true),                       // on its single card, but it holds a long one
            ("苏E50007", None, false, false),
        ];
        for (plate, consent, single, long) in cases {
            self.record(
                "07:00:00",
                "vehicle",
                plate,
                json!({"category": "PF_SHORT_HAUL", "registration": "APPROVED", "enterprise": "E-EDGE"}),
            );
            if let Some((granted, to)) = consent {
                self.record(granted, "leave_consent", &format!("LC-{plate}"), json!({"plate": plate, "state": "GRANTED", "valid_to": to}));
            }
            if long {
                self.record("07:00:00", "card", &format!("LL-{plate}"), json!({"type": "LONG", "status": "ISSUED", "plate": plate}));
            }
            let p = self.passed("13:00:00", "JCZ-1.L2", "EXIT", Some(plate), None, AuthorisedBy::Guard);
            if single {
                self.used("13:00:00", "SINGLE_CARD_RECOVERED", "card", &format!("SC-{plate}"), plate, &p);
            }
        }
        // Used by its first passage, so that the second has none.
        self.record(
            "07:00:00",
            "vehicle",
            "苏E50008",
            json!({"category": "PF_SHORT_HAUL", "registration": "APPROVED", "enterprise": "E-EDGE"}),
        );
        self.record("07:30:00", "leave_consent", "LC-8", json!({"plate": "苏E50008", "state": "GRANTED"}));
        let p = self.passed("13:00:00", "JCZ-1.L2", "EXIT", Some("苏E50008"), None, AuthorisedBy::Guard);
        self.used("13:00:00", "LEAVE_CONSENT_USED", "leave_consent", "LC-8", "苏E50008", &p);
        self.passed("14:00:00", "JCZ-1.L2", "EXIT", Some("苏E50008"), None, AuthorisedBy::Guard);
        // Withdrawn before it left.
        self.record(
            "07:00:00",
            "vehicle",
            "苏E50009",
            json!({"category": "PF_SHORT_HAUL", "registration": "APPROVED", "enterprise": "E-EDGE"}),
        );
        self.record("07:30:00", "leave_consent", "LC-9", json!({"plate": "苏E50009", "state": "GRANTED"}));
        self.record("13:00:00", "leave_consent", "LC-9", json!({"plate": "苏E50009", "state": "VOID"}));
        self.passed("13:00:00", "JCZ-1.L2", "EXIT", Some("苏E50009"), None, AuthorisedBy::Guard);
    }

    /// Trips: four hours to the yard, an hour's notice, one manifest, two officers.
    fn trips(&mut self) {
        let cases = [
            ("苏E60001", "2026-02-27T06:00:00+08:00", "11:00:00", 1),
            ("苏E60002", "2026-02-27T06:00:00.000001+08:00", "10:59:59.999999", 0),
            ("苏E60003", "2026-02-27T05:59:59.999999+08:00", "07:30:00", 2),
        ];
        for (i, (plate, confirmed, yard, manifests)) in cases.iter().enumerate() {
            let trip = format!("TRIP-{i}");
            self.record(
                "05:00:00",
                "trip",
                &trip,
                json!({"plate": plate, "flow": "IMPORT", "regime": "FAST", "confirmed_at": confirmed, "state": "CONFIRMED"}),
            );
            for m in 0..*manifests {
                self.record(
                    "05:00:00",
                    "manifest",
                    &format!("M-{i}-{m}"),
                    json!({"trip": trip, "state": "TRANSMITTED", "transmitted_at": confirmed}),
                );
            }
            let a = self.decided(
                "07:00:00",
                "KA-BORDER.L1",
                "IMPORT_BORDER_IN",
                plate,
                Verdict::Open,
                &["PROCEED_TO_INSPECTION", "FAST_CLEARANCE_RELEASE"],
            );
            let p = self.passed("07:00:00", "KA-BORDER.L1", "IMPORT_BORDER_IN", Some(plate), Some(&a), AuthorisedBy::Auto);
            self.used("07:00:00", "TRIP_TIME_RECORDED", "trip", &trip, plate, &p);
            let p = self.passed(yard, "KA-YARD.L1", "IMPORT_YARD_IN", Some(plate), None, AuthorisedBy::Auto);
            self.used(yard, "TRIP_TIME_RECORDED", "trip", &trip, plate, &p);
        }
        for (i, (officers, paid)) in [(1, true), (2, true), (2, false), (0, false)].iter().enumerate() {
            self.record(
                "05:00:00",
                "escort",
                &format!("ESC-{i}"),
                json!({"plate": "苏E61000", "approved": true, "officers": officers, "fee_paid": paid}),
            );
        }
        self.used("08:00:00", "ESCORT_RECORD_DUE", "escort", "ESC-1", "苏E61000", "P-none");
    }

    /// Windows of appointments, reviews of reception, carriers.
    fn offices(&mut self) {
        for (i, entered) in ["14:00:00", "13:59:59.999999", "14:59:59.999999", "15:00:00"].iter().enumerate() {
            let (task, plate) = (format!("TASK-{i}"), format!("苏E7000{i}"));
            let value = json!({"kind": "PF", "state": "CALLED", "plate": plate, "work_unit": "MT-EDGE", "window_from": "2026-02-27T14:00:00+08:00", "window_to": "2026-02-27T15:00:00+08:00"});
            self.record("05:00:00", "task", &task, value);
            let p = self.passed(entered, "JCZ-1.L1", "ENTRY", Some(&plate), None, AuthorisedBy::Guard);
            self.used(entered, "TASK_ENTERED", "task", &task, &plate, &p);
            let p = self.passed(&format!("16:0{i}:00"), "JCZ-1.L2", "EXIT", Some(&plate), None, AuthorisedBy::Guard);
            self.used(&format!("16:0{i}:00"), "TASK_COMPLETED", "task", &task, &plate, &p);
        }
        for i in 0..19 {
            let enterprise = if i < 9 { "E-NINE" } else { "E-TEN" };
            self.record(
                "05:00:00",
                "vehicle",
                &format!("苏E8{i:04}"),
                json!({"category": "PF_TRADE", "registration": "APPROVED", "enterprise": enterprise}),
            );
        }
        // A guard corrects a plate and releases.
        for action in [Action::Correct, Action::Release] {
            self.n += 1;
            let approach =
                self.decided(&format!("15:{:02}:00", self.n % 60), "JCZ-1.L1", "ENTRY", "苏E90000", Verdict::Hold, &["PLATE_UNREADABLE"]);
            let mut word = decision(&approach, Verdict::Open, &["MANUAL_PLATE_ENTRY"], "2026-02-27T15:59:00+08:00");
            word.version = 2;
            word.by = Some(Principal { name: "li".into(), role: Role::Guard, lanes: vec![] });
            word.action = Some(action);
            self.add(word.decided_at, JournalEvent::Decision { decision: Box::new(word) });
        }
    }
}

fn reference(dir: &Path) {
    let write = |name: &str, text: &str| std::fs::write(dir.join("reference").join(format!("{name}.csv")), text).unwrap();
    let append = |name: &str, text: &str| {
        let path = dir.join("reference").join(format!("{name}.csv"));
        let there = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{there}{text}")).unwrap();
    };
    append("positions", "EDGE-1,2026-02-27T08:00:00+08:00,true,1800,true\nEDGE-2,2026-02-27T08:00:00+08:00,true,1801,true\nEDGE-3,2026-02-27T08:00:00+08:00,false,0,true\nEDGE-3,2026-02-27T07:59:00+08:00,true,0,true\nEDGE-4,2026-02-27T08:00:00+08:00,true,0,false\n");
    append("escort_records", "ESC-2,2026-02-27T06:00:00+08:00,2026-02-27T08:00:00+08:00,2026-02-27T09:00:00+08:00\nESC-3,2026-02-27T06:00:00+08:00,2026-02-27T08:00:00+08:00,\n");
    write("reviewers", "unit,reviewer,active\nU1,a,true\nU1,b,true\nU2,c,true\nU2,d,false\n");
    write("approval_log", "plate,reviewer,unit,approved_at\n苏E00001,a,U1,2026-02-27T08:00:00+08:00\n苏E99999,c,U2,2028-02-29T03:00:00+08:00\n苏E99999,d,U2,2028-02-29T03:00:00.000001+08:00\n");
    let vehicles: String = (0..19)
        .map(|i| format!("苏E8{i:04},{},{}\n", if i < 9 { "九" } else { "十" }, if i == 18 { 1_500_000 } else { 2_000_000 }))
        .collect();
    write("vehicle_facts", &format!("plate,owner,commercial_insurance_yuan\n{vehicles}苏E50001,边,1499999\n"));
    write(
        "enterprise_facts",
        "enterprise,name,long_card_eligibility\nE-NINE,九,ELIGIBLE\nE-TEN,十,ELIGIBLE\nE-EDGE,边,ELIGIBLE\nE-REVOKED,废,REVOKED\n",
    );
    let finding = |id: &str, code: &str, rest: &str| {
        format!("{id},{code},苏E99999,E-EDGE,2028-02-29T03:00:00+08:00,{rest},2028-03-01T00:00:00+08:00\n")
    };
    let findings = [
        finding("F1", "V_UNAUTHORISED_LEAVE", "VERIFIED,PBD,,,,PBD"),
        finding("F2", "V_CARD_MISUSE", "VERIFIED,PAMC,b3,,,PAMC"),
        finding("F3", "V_CARD_MISUSE", "VERIFIED,PAMC,b3,,,ROAD_PORT"),
        finding("F4", "V_CARD_MISUSE", "VERIFIED,PAMC,b1,,DOCUMENTS,PAMC"),
        finding("F5", "V_CARGO_MISMATCH", "VERIFIED,PORT,b5,,CARGO_THEFT,PORT_POLICE"),
        finding("F6", "V_OTHER", "VERIFIED,TRAFFIC_POLICE,,东疏港道路,OVERSPEED,PORT_POLICE"),
        finding("F7", "V_OTHER", "VERIFIED,TRAFFIC_POLICE,,别的路,OVERSPEED,PORT_POLICE"),
        finding("F8", "V_CARGO_MISMATCH", "DISMISSED,PORT,b5,,CARGO_SWAP,PORT_POLICE"),
    ];
    write(
        "findings",
        &format!(
            "violation_id,code,plate,enterprise,occurred_at,status,source,ground,road,offence,verified_by,found_at\n{}",
            findings.concat()
        ),
    );
}

/// A made-up week with the edges in it, all of it in files.
fn folder(dir: &Path) {
    let first = "2026-02-26".parse().unwrap();
    let config = HistoryConfig { days: 4, gates: 4, lanes: 20, vehicles_per_lane_day: 180, ..HistoryConfig::new(dir, first) };
    write_history(&config, |_, _| {}).unwrap();
    reference(dir);
    let mut edges = Edges { events: vec![], n: 0 };
    edges.attempts();
    edges.clocks();
    edges.cards();
    edges.clones();
    edges.leaves();
    edges.trips();
    edges.offices();
    edges.events.sort_by_key(|(at, _)| *at);
    let store = Store::create(dir).unwrap();
    let from = store.position().sites["LYG"].seq;
    let taken = edges.events.into_iter().zip(from + 1..).map(|((at, event), seq)| Taken {
        offset: seq,
        entry: Ok(JournalEntry { site: "LYG".into(), seq, at, chain: format!("c{seq}"), event }),
    });
    store.take(0, taken.collect()).unwrap();
    store.flush().unwrap();
}

/// A row as values that two engines can agree on.
#[derive(Clone, Debug, PartialEq)]
enum Plain {
    Null,
    Number(f64),
    Text(String),
}

impl Plain {
    fn key(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Number(x) => format!("{x:.3}"),
            Self::Text(t) => t.clone(),
        }
    }
    /// Instants and counts exactly, differences of instants to DuckDB's double precision.
    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b || ((a - b).abs() <= 2e-6 * a.abs().max(1.0) && a.abs() < 1e12),
            _ => self == other,
        }
    }
}

fn plain(batches: &[RecordBatch]) -> Vec<Vec<Plain>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<Vec<Plain>> = batch
            .columns()
            .iter()
            .map(|column| {
                let is_text = matches!(column.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Boolean);
                let column = match column.data_type() {
                    DataType::Timestamp(..) => {
                        cast(&cast(column, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)).unwrap(), &DataType::Int64)
                            .unwrap()
                    }
                    DataType::Date32 => cast(&cast(column, &DataType::Int32).unwrap(), &DataType::Int64).unwrap(),
                    _ if is_text => cast(column, &DataType::Utf8).unwrap(),
                    DataType::Int64 => column.clone(),
                    _ => cast(column, &DataType::Float64).unwrap(),
                };
                (0..column.len())
                    .map(|i| match column.data_type() {
                        _ if column.is_null(i) => Plain::Null,
                        DataType::Utf8 => Plain::Text(column.as_string::<i32>().value(i).to_owned()),
                        DataType::Int64 => Plain::Number(column.as_primitive::<Int64Type>().value(i) as f64),
                        _ => Plain::Number(column.as_primitive::<Float64Type>().value(i)),
                    })
                    .collect()
            })
            .collect();
        rows.extend((0..batch.num_rows()).map(|i| columns.iter().map(|c| c[i].clone()).collect::<Vec<_>>()));
    }
    rows.sort_by_cached_key(|row: &Vec<Plain>| row.iter().map(Plain::key).collect::<Vec<_>>());
    rows
}

fn parquet(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// The questions of a file: name → Portgate's words.
fn questions(text: &str) -> BTreeMap<String, String> {
    text.split("\n-- name: ")
        .skip(1)
        .map(|block| {
            let name = block.lines().next().unwrap().trim().to_owned();
            let ours = block.lines().find_map(|l| l.strip_prefix("-- portgate: ")).unwrap().to_owned();
            (name, ours)
        })
        .collect()
}

#[test]
fn every_violation_and_indicator_answers_as_duckdb_does() {
    let Some(python) = python() else {
        println!("skipped: no Python with duckdb here (scripts/setup.sh test installs it): nothing is compared with DuckDB");
        return;
    };
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("analytics");
    folder(&data);
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let analytics = Analytics::open_offline(&data).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in ["specification.sql", "indicators.sql"] {
        let out = dir.path().join(file);
        std::fs::create_dir_all(&out).unwrap();
        let run = Command::new(&python)
            .arg(oracle.join("run.py"))
            .args([oracle.join("schema.sql"), oracle.join(file), data.clone(), out.clone()])
            .output()
            .unwrap();
        assert!(run.status.success(), "{file}: {}", String::from_utf8_lossy(&run.stderr));
        for (name, sql) in questions(&std::fs::read_to_string(oracle.join(file)).unwrap()) {
            let theirs = plain(&parquet(&out.join(format!("{name}.parquet"))));
            let ours = match runtime.block_on(analytics.query(&sql, Role::Security)) {
                Ok(answer) => plain(&answer.batches),
                Err(e) => {
                    wrong.push(format!("{name}: {e}"));
                    continue;
                }
            };
            compared += 1;
            let agree = ours.len() == theirs.len()
                && ours.iter().zip(&theirs).all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.agrees(y)));
            println!("{name}: {} rows", theirs.len());
            if theirs.is_empty() {
                wrong.push(format!("{name}: no event shows anything: nothing is compared"));
            } else if !agree {
                let only = |a: &[Vec<Plain>], b: &[Vec<Plain>]| {
                    a.iter().filter(|r| !b.iter().any(|s| r.iter().zip(s).all(|(x, y)| x.agrees(y)))).take(3).cloned().collect::<Vec<_>>()
                };
                wrong.push(format!(
                    "{name}: {} rows here, {} there\n  only here: {:?}\n  only there: {:?}",
                    ours.len(),
                    theirs.len(),
                    only(&ours, &theirs),
                    only(&theirs, &ours)
                ));
            }
        }
    }
    runtime.shutdown_background();
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(compared, 55);
}

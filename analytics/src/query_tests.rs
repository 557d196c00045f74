//! Questions: live and written rows, the views against answers worked out by hand, roles, bounds.

use std::sync::Arc;

use portgate_core::decision::Verdict;
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::people::{Principal, Role};
use portgate_core::read::Action;
use tempfile::TempDir;

use super::*;
use crate::format::{self, Format};
use crate::store::Taken;
use crate::testing::{arrived_at, card, decided, decision, entry, passage, queue_at, used};

struct Gate {
    store: Arc<Store>,
    queries: Queries,
    _dir: TempDir,
}

fn gate_with(change: impl FnOnce(&mut AnalyticsConfig)) -> Gate {
    let dir = TempDir::new().unwrap();
    let mut config = AnalyticsConfig::new(dir.path());
    change(&mut config);
    let store = Arc::new(Store::create(dir.path()).unwrap());
    let queries = Queries::new(Arc::clone(&store), &config).unwrap();
    Gate { store, queries, _dir: dir }
}

fn gate() -> Gate {
    gate_with(|_| {})
}

impl Gate {
    fn take(&self, events: Vec<JournalEvent>) {
        let next = self.store.position().sites.get("LYG").map_or(1, |s| s.seq + 1);
        let entries: Vec<JournalEntry> = events.into_iter().zip(next..).map(|(e, seq)| entry(seq, e)).collect();
        let taken = entries.into_iter().map(|e| Taken { offset: e.seq - 1, entry: Ok(e) }).collect();
        self.store.take(0, taken).unwrap();
    }

    async fn ask_as(&self, role: Role, sql: &str) -> Result<String> {
        let result = self.queries.ask(sql, role).await?.collect(100_000).await?;
        let text = format::to_string(&result, Format::Csv)?;
        Ok(text.split_once('\n').map(|(_, rows)| rows.trim_end().to_owned()).unwrap_or_default())
    }

    async fn ask(&self, sql: &str) -> String {
        self.ask_as(Role::Supervisor, sql).await.unwrap()
    }
}

const T: &str = "2026-03-10T08:00:00+08:00";

#[tokio::test]
async fn rows_are_seen_at_once_and_once_before_during_and_after_a_flush() {
    let gate = gate();
    let sql = "SELECT count(*), count(DISTINCT id) FROM decisions";
    gate.take(vec![decided(decision("A1", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"], T))]);
    assert_eq!(gate.ask(sql).await, "1,1");
    gate.store.flush().unwrap();
    assert_eq!(gate.ask(sql).await, "1,1");
    gate.take(vec![decided(decision("A2", Verdict::Open, &["QR_RELEASE"], T))]);
    assert_eq!(gate.ask(sql).await, "2,2");
    assert_eq!(gate.ask("SELECT id FROM decisions WHERE array_has(reasons, 'QR_RELEASE')").await, "D-A2");
    assert_eq!(
        gate.ask("SELECT id, reasons[1] FROM decisions WHERE card = 'C001' ORDER BY id LIMIT 1").await,
        "D-A1,MANUAL_RELEASE_REQUIRED"
    );
}

#[tokio::test]
async fn a_query_sees_all_its_tables_at_one_instant() {
    let gate = gate();
    gate.take(vec![decided(decision("A1", Verdict::Hold, &["X"], T))]);
    let session = gate.queries.session(Sight::Clear);
    gate.take(vec![decided(decision("A2", Verdict::Hold, &["X"], T))]);
    gate.store.flush().unwrap();
    let frame = session.sql("SELECT id FROM decisions UNION ALL SELECT id FROM reasons").await.unwrap();
    assert_eq!(frame.count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_persons_word_is_a_version_and_not_a_decision() {
    let gate = gate();
    let machine = decision("A1", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"], T);
    let mut word = machine.clone();
    word.version = 2;
    word.verdict = Verdict::Open;
    word.by = Some(Principal { name: "li".into(), role: Role::Guard, lanes: vec![] });
    word.action = Some(Action::Release);
    word.note = Some("苏G12345 checked".into());
    word.decided_at = word.decided_at.plus_millis(4000);
    gate.take(vec![decided(machine), decided(word)]);
    for flushed in [false, true] {
        if flushed {
            gate.store.flush().unwrap();
        }
        assert_eq!(gate.ask("SELECT verdict, version FROM decisions").await, "HOLD,1");
        assert_eq!(gate.ask("SELECT count(*) FROM reasons").await, "1");
        assert_eq!(
            gate.ask("SELECT action, guard, role, version, acted_at FROM guard_actions").await,
            "RELEASE,li,guard,2,2026-03-10T08:00:04.000+08:00"
        );
        assert_eq!(gate.ask("SELECT machine_verdict, verdict, versions, decided_by FROM decisions_in_force").await, "HOLD,OPEN,2,li");
    }
    assert_eq!(gate.ask_as(Role::Analyst, "SELECT plate, note FROM guard_actions").await.unwrap(), "苏G1***5,");
}

#[tokio::test]
async fn an_analyst_cannot_find_out_a_plate() {
    let gate = gate();
    gate.take(vec![
        decided(decision("A1", Verdict::Hold, &["X"], T)),
        passage("P1", Some("A1"), "ENTRY", "苏G12345", "2026-03-10T08:00:00+08:00"),
        passage("P2", Some("A2"), "ENTRY", "苏G19995", "2026-03-10T08:00:01+08:00"),
        passage("P3", Some("A3"), "EXIT", "苏G12345", "2026-03-10T09:00:00+08:00"),
    ]);
    for sql in [
        "SELECT count(*) FROM decisions WHERE plate = '苏G12345'",
        "SELECT count(*) FROM passages WHERE plate LIKE '%1234%'",
        "SELECT count(*) FROM turn_times WHERE plate = '苏G12345'",
    ] {
        assert_eq!(gate.ask_as(Role::Analyst, sql).await.unwrap(), "0", "{sql}");
        assert_ne!(gate.ask(sql).await, "0", "{sql}");
    }
    // The pair is found on the clear plate, not on the masked one two vehicles share.
    assert_eq!(gate.ask_as(Role::Analyst, "SELECT plate, entry_passage_id, turn_s FROM turn_times").await.unwrap(), "苏G1***5,P1,3600.0");
    assert_eq!(gate.ask_as(Role::Analyst, "SELECT plate FROM vehicles_inside").await.unwrap(), "苏G1***5");
    assert!(matches!(gate.ask_as(Role::Device, "SELECT 1").await.unwrap_err(), AnalyticsError::Forbidden(_)));
}

/// Worked out by hand: 08:00 holds its first instant and not 08:01's.
#[tokio::test]
async fn lane_minutes_hold_their_first_instant_and_not_the_next() {
    let gate = gate();
    let at = |s: &str| format!("2026-03-10T{s}+08:00");
    gate.take(vec![
        arrived_at("A1", "JCZ-1.L1", &at("07:59:59.999999")),
        arrived_at("A2", "JCZ-1.L1", &at("08:00:00")),
        arrived_at("A3", "JCZ-1.L1", &at("08:00:59.999999")),
        arrived_at("A4", "JCZ-1.L1", &at("08:01:00")),
        decided(decision("A1", Verdict::Open, &["X"], &at("08:00:01"))),
        decided(decision("A2", Verdict::Hold, &["X"], &at("08:00:02"))),
        decided(decision("A3", Verdict::Refuse, &["X"], &at("08:01:00"))),
        queue_at(4, &at("08:00:10")),
        queue_at(9, &at("08:00:20")),
        passage("P1", Some("A1"), "ENTRY", "苏G1", &at("08:00:10")), // waited 10.000001 s
        passage("P2", Some("A2"), "ENTRY", "苏G2", &at("08:00:20")), // waited 20 s
        passage("P0", None, "ENTRY", "苏G3", &at("08:00:30")),       // tailgating: nobody waited
    ]);
    let sql = "SELECT minute, arrivals, opened, held, refused, passed, queue, queue_max, round(waiting_p50_s, 7), round(waiting_p95_s, 8) FROM lane_minutes ORDER BY minute";
    let answer = "2026-03-10T07:59:00.000+08:00,1,0,0,0,0,,,,
2026-03-10T08:00:00.000+08:00,2,1,1,0,3,6.5,9,15.0000005,19.50000005
2026-03-10T08:01:00.000+08:00,1,0,0,1,0,,,,";
    assert_eq!(gate.ask(sql).await, answer);
    gate.store.flush().unwrap();
    assert_eq!(gate.ask(sql).await, answer);
    assert_eq!(
        gate.ask("SELECT bucket, queue, queue_max, samples, arrivals, passed, saturation, level FROM congestion ORDER BY bucket").await,
        "2026-03-10T07:55:00.000+08:00,,,0,1,0,,
2026-03-10T08:00:00.000+08:00,6.5,9,2,3,3,1.0,BUSY"
    );
    assert_eq!(gate.ask("SELECT bucket, passed FROM throughput").await, "2026-03-10T08:00:00.000+08:00,3");
}

#[tokio::test]
async fn a_lane_is_congested_from_ten_vehicles_on() {
    let gate = gate();
    let queues = [(9, "08:00:00"), (11, "08:04:59.999999"), (9, "08:05:00"), (10, "08:09:00"), (4, "08:10:00")];
    gate.take(queues.iter().map(|(n, t)| queue_at(*n, &format!("2026-03-10T{t}+08:00"))).collect());
    assert_eq!(gate.ask("SELECT queue, level FROM congestion ORDER BY bucket").await, "10.0,CONGESTED\n9.5,BUSY\n4.0,FREE");
}

/// The accounting day runs from 17:00 to 17:00 (CH-23).
#[tokio::test]
async fn single_cards_are_reconciled_at_seventeen_hours() {
    let gate = gate();
    let at = |s: &str| format!("2026-03-{s}+08:00");
    gate.take(vec![
        card("C1", "ISSUED", &at("10T16:59:59.999999")),
        card("C1", "ISSUED", &at("10T16:59:59.999999")), // imported again: the same issue
        card("C2", "ISSUED", &at("10T17:00:00")),
        card("C3", "ISSUED", &at("11T09:00:00")),
        used("SINGLE_CARD_CONSUMED", "C1", &at("10T16:59:59.999999")),
        used("SINGLE_CARD_RECOVERED", "C1", &at("11T16:59:59.999999")),
        used("SINGLE_CARD_RECOVERED", "C2", &at("11T17:00:00")),
    ]);
    gate.store.flush().unwrap();
    assert_eq!(
        gate.ask("SELECT day, issued, in_use, recovered, lost, outstanding FROM single_card_reconciliation ORDER BY day").await,
        "2026-03-10,1,1,0,0,1\n2026-03-11,2,0,1,0,2\n2026-03-12,0,0,1,0,1"
    );
}

#[tokio::test]
async fn a_turn_is_an_exit_and_the_entry_just_before_it() {
    let gate = gate();
    let at = |s: &str| format!("2026-03-10T{s}+08:00");
    gate.take(vec![
        passage("P1", None, "ENTRY", "苏A1", &at("08:00:00")),
        passage("P2", None, "ENTRY", "苏A1", &at("09:00:00")), // a clone, or an exit nobody saw
        passage("P3", None, "EXIT", "苏A1", &at("09:30:00.5")),
        passage("P4", None, "EXIT", "苏A1", &at("10:00:00")), // no entry before it
        passage("P5", None, "ENTRY", "苏A2", &at("08:30:00")),
    ]);
    assert_eq!(gate.ask("SELECT plate, entry_passage_id, exit_passage_id, turn_s FROM turn_times").await, "苏A1,P2,P3,1800.5");
    assert_eq!(gate.ask("SELECT plate, since FROM vehicles_inside").await, "苏A2,2026-03-10T08:30:00.000+08:00");
}

#[tokio::test]
async fn the_documented_columns_are_those_of_the_views() {
    let gate = gate();
    for view in views::all() {
        for role in [Role::Analyst, Role::Security] {
            let answer =
                gate.queries.ask(&format!("SELECT * FROM {}", view.name), role).await.unwrap_or_else(|e| panic!("{}: {e}", view.name));
            let names: Vec<String> = answer.schema().fields().iter().map(|f| f.name().clone()).collect();
            let documented: Vec<&str> = view.columns.iter().map(|(n, _)| *n).collect();
            assert_eq!(names, documented, "{}", view.name);
            answer.collect(10).await.unwrap_or_else(|e| panic!("{}: {e}", view.name));
        }
    }
}

/// `PORTGATE_WRITE_DOCS=1` writes the part of the README that follows from the code anew.
#[test]
fn the_readme_describes_every_table_and_view() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (start, end) = ("<!-- columns: from the code -->\n", "<!-- end of columns -->");
    let (before, rest) = readme.split_once(start).expect("the README marks where the columns stand");
    let (there, after) = rest.split_once(end).expect("the README marks where the columns end");
    let made = crate::docs::columns();
    if std::env::var("PORTGATE_WRITE_DOCS").is_ok() {
        std::fs::write(path, format!("{before}{start}{made}{end}{after}")).unwrap();
        return;
    }
    assert!(there == made, "analytics/README.md is behind the code: run this test with PORTGATE_WRITE_DOCS=1");
}

#[tokio::test]
async fn times_without_an_offset_are_those_of_shanghai() {
    let gate = gate();
    gate.take(vec![passage("P1", None, "ENTRY", "苏A1", "2026-03-10T00:30:00Z")]);
    for sql in [
        "SELECT passage_id FROM passages WHERE passed_at >= '2026-03-10 08:30:00' AND passed_at < '2026-03-10 08:30:01'",
        "SELECT passage_id FROM passages WHERE passed_at = TIMESTAMPTZ '2026-03-10T00:30:00Z'",
        "SELECT passage_id FROM passages WHERE date_trunc('day', passed_at) = '2026-03-10'",
        "SELECT passage_id FROM passages WHERE passed_at < now()",
    ] {
        assert_eq!(gate.ask(sql).await, "P1", "{sql}");
    }
    assert_eq!(gate.ask("SELECT date_part('hour', passed_at) FROM passages").await, "8");
}

#[tokio::test]
async fn bad_sql_gets_datafusions_message_with_the_place() {
    let gate = gate();
    let err = |sql: &'static str| {
        let gate = &gate;
        async move { gate.ask_as(Role::Supervisor, sql).await.unwrap_err() }
    };
    let e = err("SELEC 1").await;
    assert!(matches!(e, AnalyticsError::Sql(_)), "{e:?}");
    assert!(e.to_string().contains("SELEC") && e.to_string().contains("Line: 1"), "{e}");
    let e = err("SELECT plat\nFROM decisions").await;
    assert!(e.to_string().contains("plat") && e.to_string().contains("line 1, column 8"), "{e}");
    let e = err("SELECT * FROM decision").await;
    assert!(e.to_string().contains("decision") && matches!(e, AnalyticsError::Sql(_)), "{e}");
}

#[tokio::test]
async fn a_question_that_fails_on_its_rows_is_no_fault_of_a_file() {
    let gate = gate();
    gate.take(vec![passage("P1", None, "ENTRY", "苏A1", T)]);
    for sql in ["SELECT 1 / (seq - 1) FROM passages", "SELECT CAST(plate AS BIGINT) FROM passages"] {
        let e = gate.ask_as(Role::Guard, sql).await.unwrap_err();
        assert!(matches!(e, AnalyticsError::Query(_)), "{e:?}");
    }
}

#[tokio::test]
async fn only_questions_are_answered() {
    let gate = gate();
    for sql in [
        "INSERT INTO decisions SELECT * FROM decisions",
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY decisions TO '/tmp/x.csv'",
        "DROP TABLE decisions",
        "DELETE FROM decisions",
        "SET datafusion.execution.time_zone = '+00:00'",
        "EXPLAIN ANALYZE INSERT INTO decisions SELECT * FROM decisions",
        "PREPARE p AS SELECT 1",
    ] {
        let e = gate.ask_as(Role::Administrator, sql).await.unwrap_err();
        assert!(matches!(e, AnalyticsError::ReadOnly(_)), "{sql}: {e:?}");
    }
    assert!(matches!(gate.ask_as(Role::Analyst, "SELECT * FROM '/etc/passwd'").await, Err(AnalyticsError::Sql(_))));
    for sql in ["SHOW TABLES", "DESCRIBE decisions", "EXPLAIN SELECT 1", "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT 1;"] {
        gate.ask_as(Role::Analyst, sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_query_is_stopped_when_its_time_is_over() {
    let gate = gate_with(|c| c.query_timeout = std::time::Duration::from_millis(300));
    let sql = "SELECT max(value % 7) FROM generate_series(1, 1000000000000)";
    let started = Instant::now();
    let e = gate.ask_as(Role::Analyst, sql).await.unwrap_err();
    assert!(matches!(e, AnalyticsError::Timeout { .. }), "{e:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    for _ in 0..100 {
        if gate.queries.running.available_permits() == gate.queries.queries_max {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a query stopped went on");
}

#[tokio::test]
async fn a_query_over_its_memory_is_refused() {
    let gate = gate_with(|c| c.query_memory_bytes = 1 << 20);
    let sql = "SELECT array_agg(concat('a long text of row number ', CAST(value AS VARCHAR))) FROM generate_series(1, 1000000)";
    let e = gate.ask_as(Role::Analyst, sql).await.unwrap_err();
    assert!(matches!(e, AnalyticsError::Memory(_)), "{e:?}");
}

#[tokio::test]
async fn answers_and_numbers_of_queries_are_bounded() {
    let gate = gate_with(|c| c.queries_max = 1);
    let first = gate.queries.ask("SELECT * FROM generate_series(1, 10000000)", Role::Analyst).await.unwrap();
    let e = gate.ask_as(Role::Analyst, "SELECT 1").await.unwrap_err();
    assert!(matches!(e, AnalyticsError::Busy { running: 1 }), "{e:?}");
    assert!(matches!(first.collect(1000).await, Err(AnalyticsError::TooManyRows { max: 1000 })));
    for _ in 0..100 {
        if gate.ask_as(Role::Analyst, "SELECT 1").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a query given up did not make room");
}

#[test]
fn plates_are_masked() {
    let cases = [("苏G12345", "苏G1***5"), ("苏GD12345", "苏GD***5"), ("WJ苏12345", "WJ苏***5"), ("ABCD", "A***"), ("", "")];
    for (plate, masked) in cases {
        assert_eq!(mask_plate(plate), masked);
    }
}

#[tokio::test]
async fn a_file_that_breaks_while_in_use_is_found_and_the_rest_answers() {
    let gate = gate();
    for n in 1..=3 {
        gate.take(vec![decided(decision(&format!("A{n}"), Verdict::Hold, &["X"], T))]);
        gate.store.flush().unwrap();
    }
    let snapshot = gate.store.snapshot();
    let (_, file) = snapshot.files().find(|(i, _)| *i == 0).unwrap();
    // Same size, same footer, other bytes within.
    let mut bytes = std::fs::read(&file.path).unwrap();
    let length = bytes.len();
    for b in &mut bytes[4..length / 3] {
        *b ^= 0x5a;
    }
    std::fs::write(&file.path, bytes).unwrap();
    let sql = "SELECT id, reasons, plate, lane, decided_at FROM decisions";
    let e = gate.ask_as(Role::Guard, sql).await.unwrap_err();
    assert!(matches!(e, AnalyticsError::Unreadable(_)), "{e:?}");
    assert_eq!(gate.queries.mend().await, 1);
    assert_eq!(gate.ask_as(Role::Guard, sql).await.unwrap().lines().count(), 2);
}

#[tokio::test]
async fn every_look_up_by_plate_is_on_record() {
    let gate = gate();
    gate.take(vec![passage("P1", None, "ENTRY", "苏G12345", T), decided(decision("A1", Verdict::Hold, &["X"], T))]);
    let who = |name: &str, role| Asker { account: name.into(), role, via: "http" };
    let ask = |sql: &'static str, who: Asker| {
        let gate = &gate;
        async move { gate.queries.ask(sql, who).await.unwrap().collect(10).await.unwrap() }
    };
    for sql in [
        "SELECT lane FROM passages WHERE plate = '苏G12345'",
        "SELECT count(*) FROM passages WHERE plate LIKE '%12345'",
        "SELECT * FROM turn_times WHERE plate IN ('A', 'B')",
        "SELECT p.lane FROM passages p JOIN (VALUES ('苏G12345')) AS wanted(w) ON p.plate = w",
        "SELECT lane FROM (SELECT lane, plate AS p FROM passages) WHERE p = '苏G12345'",
        "SELECT lane FROM passages WHERE concat(plate, '') = 'x'",
        "SELECT (SELECT count(*) FROM decisions WHERE plate_read = 'Q') AS n",
    ] {
        ask(sql, who("li \"x\"", Role::Security)).await;
        let seen =
            ask("SELECT account, role, via, query FROM plate_lookups ORDER BY asked_at DESC LIMIT 1", who("wang", Role::Security)).await;
        let line = format::to_string(&seen, Format::Json).unwrap();
        let line: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(line["query"], sql);
        assert_eq!((&line["account"], &line["role"], &line["via"]), (&"li \"x\"".into(), &"security".into(), &"http".into()));
    }
    assert_eq!(gate.ask("SELECT plates FROM plate_lookups ORDER BY asked_at LIMIT 1").await, "苏G12345");
    let n = gate.ask("SELECT count(*) FROM plate_lookups").await;
    // No look-ups: nothing is compared with a plate, or nobody sees one.
    ask("SELECT plate, count(*) FROM passages WHERE plate IS NOT NULL AND lane = 'JCZ-1.L1' GROUP BY plate", who("li", Role::Security))
        .await;
    ask("SELECT * FROM v_clone_plate_suspected", who("li", Role::Security)).await;
    ask("SELECT lane FROM passages WHERE plate = '苏G12345'", who("ma", Role::Analyst)).await;
    assert_eq!(gate.ask("SELECT count(*) FROM plate_lookups").await, n);
    assert_eq!(gate.ask_as(Role::Analyst, "SELECT query, plates FROM plate_lookups LIMIT 1").await.unwrap(), ",苏G1***5");
    // What can't be put on record is not answered.
    let folder = gate.store.folder().path().join(crate::lookups::FOLDER);
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let e = gate.queries.ask("SELECT lane FROM passages WHERE plate = '苏G12345'", Role::Security).await.err().unwrap();
    assert!(matches!(e, AnalyticsError::Unrecorded(_)), "{e:?}");
}

#[tokio::test]
async fn a_sort_larger_than_its_memory_spills_and_answers() {
    let gate = gate_with(|c| c.query_memory_bytes = 24 << 20);
    let sql = "SELECT count(*), min(place) FROM (SELECT row_number() OVER (ORDER BY text) AS place FROM (
               SELECT concat('a long enough text of row number ', CAST(value * 7919 % 1000003 AS VARCHAR)) AS text FROM generate_series(1, 600000)))";
    assert_eq!(gate.ask(sql).await, "600000,1");
}

#[tokio::test]
async fn a_reference_file_that_does_not_fit_is_told_with_its_place() {
    let gate = gate();
    let dir = gate.store.folder().path().join(reference::FOLDER);
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("reviewers.csv");
    assert_eq!(gate.ask("SELECT count(*) FROM reviewers_doubled").await, "0");
    std::fs::write(&path, "\u{feff}active,unit,reviewer\ntrue,U1,a\ntrue,U1,b\n").unwrap();
    assert_eq!(gate.ask("SELECT unit, active FROM reviewers_doubled").await, "U1,2");
    assert_eq!(gate.ask_as(Role::Analyst, "SELECT reviewer, unit FROM reviewers LIMIT 1").await.unwrap(), ",U1");
    std::fs::write(&path, "unit,reviewer,active\nU1,a,true\nU1,b,perhaps\n").unwrap();
    let e = gate.ask_as(Role::Security, "SELECT * FROM reviewers_doubled").await.unwrap_err().to_string();
    assert!(e.contains("reviewers.csv") && e.contains("perhaps") && e.contains("line 3"), "{e}");
    std::fs::write(&path, "unit,name\n").unwrap();
    let e = gate.ask_as(Role::Security, "SELECT * FROM reviewers").await.unwrap_err().to_string();
    assert!(e.contains("no column \"name\"") && e.contains("reviewer"), "{e}");
    assert_eq!(gate.ask("SELECT count(*) FROM passages").await, "0", "the others answer");
}

#[tokio::test]
async fn what_is_on_trial_and_what_people_found_can_be_asked_about() {
    let gate = gate();
    let mut d = decision("A1", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"], T);
    let beside = serde_json::json!({"policy": "auto", "policy_revision": "auto@1", "differs": true, "verdict": "OPEN", "in_order": true, "reasons": []});
    d.shadow = Some(serde_json::from_value(beside).unwrap());
    let mut same = decision("A2", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"], T);
    same.shadow = d.shadow.clone().map(|mut b| {
        b.differs = false;
        b
    });
    let raised = |version: u32, status: &str, rest: serde_json::Value| -> JournalEvent {
        let mut v = serde_json::json!({"violation_id": "V1", "code": "V_CARD_MISUSE", "source": "CARD_UNKNOWN", "status": status, "site": "LYG",
            "checkpoint": "JCZ-1", "lane": "JCZ-1.L1", "approach_id": "A1", "decision_id": "D-A1", "plate": "苏G12345", "enterprise": "E1",
            "raised_at": T, "version": version});
        v.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({"type": "violation", "violation": v})).unwrap()
    };
    let found = serde_json::json!({"found_by": "PAMC", "ground": "b3", "act": "verify", "changed_at": "2026-03-10T09:00:00+08:00"});
    gate.take(vec![decided(d), decided(same), raised(1, "SUSPECTED", serde_json::json!({})), raised(2, "VERIFIED", found)]);
    assert_eq!(gate.ask("SELECT id, mode, policy, verdict, verdict_other FROM policy_differences").await, "D-A1,SHADOW,auto,HOLD,OPEN");
    assert_eq!(gate.ask("SELECT count(*) FROM violations").await, "1");
    assert_eq!(gate.ask("SELECT status, ground, verified_by FROM violations_in_force").await, "VERIFIED,b3,PAMC");
    assert_eq!(gate.ask("SELECT sanction, ban_to FROM sanction_candidates").await, "FORCED_EXIT,2027-03-10T08:00:00.000+08:00");
}

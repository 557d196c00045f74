//! The gate's SQL from outside: a real journal, a real `psql`.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use portgate_core::decision::Verdict;
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::people::Role;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log, NewRecord};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::format::{to_string, Format};
use crate::testing::{arrived, decided, decision, entries, entry, passage};
use crate::{Analytics, AnalyticsConfig, AnalyticsError};

const T: &str = "2026-03-10T08:00:00+08:00";

struct Gate {
    dir: TempDir,
    log: Arc<dyn Log>,
    stop: watch::Sender<bool>,
    analytics: Analytics,
}

async fn open_log(dir: &TempDir) -> Arc<dyn Log> {
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
    log.create_topics(&topics::default_specs(1, 1)).await.unwrap();
    Arc::new(log)
}

fn start(dir: &TempDir, log: &Arc<dyn Log>) -> (watch::Sender<bool>, Analytics) {
    let (stop, stopped) = watch::channel(false);
    let config = AnalyticsConfig::new(dir.path().join("analytics"));
    (stop, Analytics::start(config, Arc::clone(log), stopped).unwrap())
}

async fn gate() -> Gate {
    let dir = TempDir::new().unwrap();
    let log = open_log(&dir).await;
    let (stop, analytics) = start(&dir, &log);
    Gate { dir, log, stop, analytics }
}

impl Gate {
    async fn write(&self, events: impl IntoIterator<Item = (u64, JournalEvent)>) {
        self.write_entries(events.into_iter().map(|(seq, e)| entry(seq, e)).collect()).await;
    }

    async fn write_entries(&self, entries: Vec<JournalEntry>) {
        let records = entries.iter().map(|e| NewRecord::json(topics::JOURNAL, "LYG", e).unwrap()).collect();
        self.log.append_batch(records).await.unwrap();
    }

    async fn taken(&self, seq: u64) {
        for _ in 0..500 {
            if self.analytics.position().sites.get("LYG").is_some_and(|s| s.seq >= seq) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the journal was not taken: {:?}", self.analytics.position());
    }

    async fn csv(&self, sql: &str) -> String {
        to_string(&self.analytics.query(sql, Role::Supervisor).await.unwrap(), Format::Csv).unwrap()
    }

    async fn stop(self) -> TempDir {
        self.stop.send(true).unwrap();
        self.analytics.finished().await;
        self.dir
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_is_taken_once_over_restarts_and_repeats() {
    let first = gate().await;
    first.write_entries(entries(50)).await;
    first.taken(50).await;
    let all = "SELECT (SELECT count(*) FROM arrivals) AS a, (SELECT count(*) FROM queue_samples) AS q";
    assert!(first.csv(all).await.ends_with("\n25,25\n"));
    let log = Arc::clone(&first.log);
    let dir = first.stop().await;

    // The engine sends its last entries again after a crash, then goes on.
    let (stop, analytics) = start(&dir, &log);
    let second = Gate { dir, log, stop, analytics };
    second.write_entries(entries(60).split_off(40)).await;
    second.taken(60).await;
    assert!(second.csv(all).await.ends_with("\n30,30\n"));
    let folder = second.dir.path().join("analytics");
    let _dir = second.stop().await;

    // No gate running: what is there still answers.
    let offline = Analytics::open_offline(&folder).unwrap();
    let answer = offline.query(all, Role::Analyst).await.unwrap();
    assert!(to_string(&answer, Format::Csv).unwrap().ends_with("\n30,30\n"));
    assert!(matches!(Analytics::open_offline(&folder.join("none")), Err(AnalyticsError::Io { .. })));
}

/// `psql` if this machine has it.
fn psql(port: u16, user: &str, secret: &str, sql: &str) -> Option<Output> {
    let run = Command::new("psql")
        .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", user, "-d", "portgate", "-c", sql])
        .env("PGPASSWORD", secret)
        .env("PGCONNECT_TIMEOUT", "10")
        .output();
    match run {
        Ok(output) => Some(output),
        Err(e) => {
            println!("psql is not here ({e}): the PostgreSQL protocol is not tried");
            None
        }
    }
}

async fn on_psql(port: u16, user: &'static str, secret: &'static str, sql: &'static str) -> Option<(bool, String)> {
    let output = tokio::task::spawn_blocking(move || psql(port, user, secret, sql)).await.unwrap()?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some((output.status.success(), text.trim().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_asks_and_each_role_sees_what_it_may() {
    let gate = gate().await;
    gate.write([
        (1, arrived("A1")),
        (2, decided(decision("A1", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED", "PEAK"], T))),
        (3, passage("P1", Some("A1"), "ENTRY", "苏G12345", T)),
    ])
    .await;
    gate.taken(3).await;
    let check = |user: &str, secret: &str| match (user, secret) {
        ("supervisor", "s1") => Some(Role::Supervisor),
        ("analyst", "a1") => Some(Role::Analyst),
        ("device", "d1") => Some(Role::Device),
        _ => None,
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let (bound, _server) = gate.analytics.serve_postgres(address, Arc::new(check), gate.stop.subscribe()).await.unwrap();
    let port = bound.port();
    let taken = gate.analytics.serve_postgres(bound, Arc::new(check), gate.stop.subscribe()).await;
    assert!(matches!(taken, Err(AnalyticsError::Io { .. })), "a port in use is told");

    let sql = "SELECT id, verdict, reasons, plate, latency_us, decided_at FROM decisions";
    let Some(answer) = on_psql(port, "supervisor", "s1", sql).await else { return };
    assert_eq!(answer, (true, "D-A1|HOLD|{MANUAL_RELEASE_REQUIRED,PEAK}|苏G12345|1500|2026-03-10 08:00:00.000000+08".into()));
    let cases: [(&str, &str, &str, bool, &str); 14] = [
        ("analyst", "a1", "SELECT plate FROM passages", true, "苏G1***5"),
        ("analyst", "a1", "SELECT count(*) FROM decisions WHERE plate = '苏G12345'", true, "0"),
        ("analyst", "a1", "SELECT arrivals, held, passed FROM lane_minutes WHERE held > 0", true, "0|1|1"),
        ("analyst", "a1", "\\dt", true, "decisions"),
        ("analyst", "a1", "\\d decisions", true, "latency_us"),
        ("analyst", "a1", "BEGIN; SELECT 1; COMMIT", true, "1"),
        ("analyst", "a1", "SHOW server_version", true, ""),
        ("analyst", "a1", "SELECT nothing FROM decisions", false, "nothing"),
        ("analyst", "a1", "CREATE TABLE x (a INT)", false, "only questions"),
        ("analyst", "a1", "INSERT INTO decisions (id) VALUES ('x')", false, "only questions"),
        ("analyst", "a1", "COPY decisions TO STDOUT", false, "only questions"),
        ("analyst", "wrong", "SELECT 1", false, "analyst"),
        ("nobody", "", "SELECT 1", false, ""),
        ("device", "d1", "SELECT 1", false, "may not ask"),
    ];
    for (user, secret, sql, fine, holds) in cases {
        let (ok, text) = on_psql(port, user, secret, sql).await.unwrap();
        assert_eq!(ok, fine, "{user}: {sql}: {text}");
        assert!(text.contains(holds), "{user}: {sql}: {text}");
    }
    // Seen by the next question.
    gate.write([(4, passage("P2", None, "EXIT", "苏G12345", "2026-03-10T09:00:00+08:00"))]).await;
    gate.taken(4).await;
    let (_, text) = on_psql(port, "supervisor", "s1", "SELECT plate, turn_s FROM turn_times").await.unwrap();
    assert_eq!(text, "苏G12345|3600.0");
    gate.stop().await;
    let (ok, _) = on_psql(port, "analyst", "a1", "SELECT 1").await.unwrap();
    assert!(!ok, "the port is closed");
}

/// The accounts of the tests that follow.
fn accounts() -> Arc<super::Authenticate> {
    Arc::new(|user: &str, secret: &str| match (user, secret) {
        ("analyst", "a1") => Some(Role::Analyst),
        ("security", "s1") => Some(Role::Security),
        _ => None,
    })
}

/// A question that takes far longer than any test waits.
const ENDLESS: &str = "SELECT max(value % 7) FROM generate_series(1, 1000000000000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_at_the_clients_timeout_and_when_it_is_cancelled() {
    let gate = gate().await;
    let address = "127.0.0.1:0".parse().unwrap();
    let (bound, _server) = gate.analytics.serve_postgres(address, accounts(), gate.stop.subscribe()).await.unwrap();
    let port = bound.port();
    let started = std::time::Instant::now();
    let script = format!("SET statement_timeout = '300ms';\n{ENDLESS};\nSET statement_timeout = 0;\nSELECT 'still here';\n");
    let Some((_, _)) = on_psql(port, "analyst", "a1", "SELECT 1").await else { return };
    let out = tokio::task::spawn_blocking(move || psql_script(port, &script)).await.unwrap();
    assert!(out.contains("canceling statement due to statement timeout") && out.contains("still here"), "{out}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    // Ctrl-C in psql: a cancel request on a connection of its own.
    let out = tokio::task::spawn_blocking(move || {
        let child = Command::new("psql")
            .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "analyst", "-d", "portgate", "-c", ENDLESS])
            .env("PGPASSWORD", "a1")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        child.wait_with_output().unwrap()
    });
    let out = tokio::time::timeout(Duration::from_secs(30), out).await.expect("psql ends when its question is cancelled").unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("canceling statement due to user request"), "{words}");
    gate.stop().await;
}

fn psql_script(port: u16, script: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("psql")
        .args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "analyst", "-d", "portgate"])
        .env("PGPASSWORD", "a1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// What Grafana's PostgreSQL source is known to send: its health check, its query builder's look
/// into the catalogue (tables as it was told their names), and panels as its macros write them out.
const GRAFANA: [(&str, &str); 12] = [
    ("SELECT 1", "1"),
    ("SELECT current_setting('server_version_num')::int/100 as version", "1600"),
    ("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", "extversion"),
    ("SELECT version()", "version"),
    (
        "SELECT schema_name AS \"name\" FROM information_schema.schemata WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast', '_timescaledb_cache') ORDER BY schema_name",
        "public",
    ),
    (
        "SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i, string_to_array(current_setting('search_path'),',') s) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1",
        "decisions",
    ),
    (
        "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE CASE WHEN array_length(parse_ident('public.decisions'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('public.decisions'))[1] AND quote_ident(table_name) = (parse_ident('public.decisions'))[2] ELSE quote_ident(table_name) = 'public.decisions' AND quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i, string_to_array(current_setting('search_path'),',') s) END",
        "latency_us",
    ),
    // $__timeGroupAlias, $__timeFilter
    (
        "SELECT floor(extract(epoch from decided_at)/300)*300 AS \"time\", lane AS metric, count(*) AS value FROM decisions WHERE decided_at BETWEEN '2026-03-10T00:00:00Z' AND '2026-03-10T12:00:00Z' GROUP BY 1, 2 ORDER BY 1",
        "1773100800",
    ),
    // $__time
    ("SELECT decided_at AS \"time\", latency_us FROM decisions WHERE decided_at BETWEEN '2026-03-09T00:00:00Z' AND '2026-03-11T00:00:00Z' ORDER BY 1", "1500"),
    // $__timeEpoch, $__unixEpochFilter
    ("SELECT extract(epoch from minute) as \"time\", arrivals FROM lane_minutes WHERE extract(epoch from minute) >= 1773000000 AND extract(epoch from minute) <= 1774000000", "time"),
    // $__unixEpochGroup, $__timeFrom, $__timeTo
    (
        "SELECT floor((extract(epoch from passed_at))/900)*900 AS \"time\", count(*) FROM passages WHERE passed_at >= '2026-03-10T00:00:00Z' AND passed_at < '2026-03-10T12:00:00Z' GROUP BY 1 ORDER BY 1",
        "1773100800",
    ),
    // A variable's values.
    ("SELECT DISTINCT lane FROM decisions ORDER BY lane", "JCZ-1.L1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grafana_sends_is_answered_over_both_protocols() {
    let gate = gate().await;
    gate.write([
        (1, arrived("A1")),
        (2, decided(decision("A1", Verdict::Hold, &["MANUAL_RELEASE_REQUIRED"], T))),
        (3, passage("P1", Some("A1"), "ENTRY", "苏G12345", T)),
    ])
    .await;
    gate.taken(3).await;
    let address = "127.0.0.1:0".parse().unwrap();
    let (bound, _server) = gate.analytics.serve_postgres(address, accounts(), gate.stop.subscribe()).await.unwrap();
    let port = bound.port();
    for (sql, holds) in GRAFANA {
        let Some((ok, text)) = on_psql(port, "analyst", "a1", sql).await else { return };
        assert!(ok, "{sql}\n{text}");
        // psql is asked for values only, the driver below for names as well.
        assert!(text.contains(holds) || ["version", "extversion", "time"].contains(&holds), "{sql}\n{text}");
    }
    let Some(python) = crate::oracle_tests::python() else {
        println!("skipped: no Python of the tests here: the extended protocol is not tried");
        return;
    };
    let out = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/grafana.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([&port.to_string(), "security", "s1"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let questions: Vec<&str> = GRAFANA.iter().map(|(sql, _)| *sql).collect();
        child.stdin.take().unwrap().write_all(questions.join("\n----\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let (text, words) = (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned());
    assert!(out.status.success(), "{text}\n{words}");
    let answers: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), GRAFANA.len() + 1, "{text}");
    for ((sql, holds), answer) in GRAFANA.iter().zip(&answers) {
        assert!(answer["error"].is_null(), "{sql}\n{answer}");
        assert!(answer.to_string().contains(holds), "{sql}\n{answer}");
    }
    assert_eq!(answers.last().unwrap()["rows"], serde_json::json!([[1]]), "a prepared question with parameters");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_over_the_protocol_is_on_record() {
    let gate = gate().await;
    gate.write([(1, passage("P1", None, "ENTRY", "苏G12345", T))]).await;
    gate.taken(1).await;
    let address = "127.0.0.1:0".parse().unwrap();
    let (bound, _server) = gate.analytics.serve_postgres(address, accounts(), gate.stop.subscribe()).await.unwrap();
    let port = bound.port();
    let Some(answer) = on_psql(port, "security", "s1", "SELECT lane FROM passages WHERE plate = '苏G12345'").await else { return };
    assert_eq!(answer, (true, "JCZ-1.L1".into()));
    on_psql(port, "analyst", "a1", "SELECT lane FROM passages WHERE plate = '苏G12345'").await;
    let (_, text) = on_psql(port, "security", "s1", "SELECT account, via, plates FROM plate_lookups").await.unwrap();
    assert_eq!(text, "security|postgres|苏G12345", "once, and not the analyst's, who sees none");
    gate.stop().await;
}

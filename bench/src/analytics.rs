//! Analysts' questions over a made-up year, beside DuckDB on the same files; and how decisions get there.
//!
//! The year is written once into the cache (`PORTGATE_BENCH_ANALYTICS` decisions in millions, 10 by
//! default; 0 leaves this part out). DuckDB runs in Python (`scripts/setup.sh bench` installs it).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use portgate_analytics::history::{journal, write_history, HistoryConfig};
use portgate_analytics::{Analytics, AnalyticsConfig};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::people::Role;
use portgate_core::time::Instant as GateTime;
use portgate_engine::bench_line;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log, NewRecord};
use serde_json::{json, Value};
use tokio::sync::watch;

use crate::machine;
use crate::report::Report;
use crate::spread::Spread;

/// Timed runs of a question on each side, in turns, after one to warm up.
const RUNS: usize = 3;
/// Decisions whose way into SQL is timed.
const DECISIONS: usize = 300;
/// Vehicles whose way to a command is timed beside scans, a round.
const VEHICLES: usize = 1_000;
/// Vehicles before anything is timed.
const WARM: usize = 5;
/// Who scan meanwhile, without a pause.
const ANALYSTS: usize = 2;
/// What they ask: every decision of the year is read, some four times a second where nothing else runs.
const SCAN: &str = "SELECT plate, count(*) AS n, avg(latency_us) AS us FROM decisions GROUP BY plate ORDER BY n DESC LIMIT 100";
/// First day of the year.
const FIRST: &str = "2025-01-01";
/// Vehicles an entry lane and day for a million decisions a year.
const VEHICLES_PER_MILLION: f64 = 56.0;

/// Measures, and adds the figures.
///
/// # Errors
/// What disk and log say; a question one side cannot answer.
pub async fn measure(report: &mut Report, cache: &Path, dir: &Path) -> anyhow::Result<()> {
    let millions: f64 = std::env::var("PORTGATE_BENCH_ANALYTICS").ok().and_then(|v| v.parse().ok()).unwrap_or(10.0);
    if millions <= 0.0 {
        report.remark("the figures of analytics are left out: PORTGATE_BENCH_ANALYTICS=0");
        return Ok(());
    }
    let year = year(report, cache, millions).await?;
    questions(report, &year).await?;
    beside_scans(report, &year, dir).await?;
    way_in(report, dir).await
}

/// The folder of the made-up year, written where it is not there yet.
async fn year(report: &mut Report, cache: &Path, millions: f64) -> anyhow::Result<PathBuf> {
    let folder = cache.join(format!("bench-year-{millions}m-v1"));
    if folder.join("position.json").exists() {
        return Ok(folder);
    }
    report.begin(&format!("writing a year of about {millions} million decisions into the cache, once"));
    let _ = std::fs::remove_dir_all(&folder); // what a run broken off has left
    let first = FIRST.parse().map_err(|_| anyhow::anyhow!("no day: {FIRST}"))?;
    let config = HistoryConfig { vehicles_per_lane_day: (VEHICLES_PER_MILLION * millions) as u32, ..HistoryConfig::new(&folder, first) };
    let started = Instant::now();
    let summary = tokio::task::spawn_blocking(move || {
        let mut told = Instant::now();
        write_history(&config, |done, all| {
            if told.elapsed() > Duration::from_secs(20) {
                told = Instant::now();
                eprintln!("bench: {done} of {all} days");
            }
        })
    })
    .await??;
    let decisions = summary.rows.get("decisions").copied().unwrap_or(1).max(1);
    let per_second = summary.rows_all() as f64 / started.elapsed().as_secs_f64();
    let figures = json!({
        "decisions": decisions, "rows_per_second": per_second, "rows": summary.rows_all(),
        "bytes_per_decision": summary.bytes_all() as f64 / decisions as f64,
        "bytes_per_decision_row": summary.bytes.get("decisions").copied().unwrap_or(0) as f64 / decisions as f64,
    });
    std::fs::write(folder.join("made.json"), figures.to_string())?;
    Ok(folder)
}

/// One question, in the words of each side.
struct Question {
    name: String,
    ours: String,
    theirs: String,
}

fn read_questions(plate: &str, card: &str) -> Vec<Question> {
    include_str!("../analytics/queries.sql")
        .replace("$PLATE", plate)
        .replace("$CARD", card)
        .split("\n-- name: ")
        .skip(1)
        .map(|block| {
            let (name, text) = block.split_once('\n').unwrap_or((block, ""));
            let (ours, theirs) = match text.split_once("-- duckdb\n") {
                Some((ours, theirs)) => (ours.replace("-- portgate\n", ""), theirs.to_owned()),
                None => (text.to_owned(), text.to_owned()),
            };
            Question { name: name.trim().to_owned(), ours: ours.trim().to_owned(), theirs: theirs.trim().to_owned() }
        })
        .collect()
}

/// Every question on both sides in turns, each warm.
async fn questions(report: &mut Report, year: &Path) -> anyhow::Result<()> {
    if let Ok(made) = std::fs::read(year.join("made.json")) {
        let made: Value = serde_json::from_slice(&made)?;
        let figure = |name: &str| made.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        report.add("made-up year: rows written to Parquet (made, sorted, compressed)", "1/s", figure("rows_per_second"));
        report.add("made-up year: bytes per decision, with everything around it", "B", figure("bytes_per_decision"));
        report.add("made-up year: bytes per decision, its own row", "B", figure("bytes_per_decision_row"));
    }
    let mut config = AnalyticsConfig::new(year);
    config.query_threads = machine::cores();
    config.query_memory_bytes = 4 << 30;
    config.query_timeout = Duration::from_secs(600);
    let analytics = Analytics::open_with(&config)?;
    let one = |sql: &'static str| {
        let analytics = analytics.clone();
        async move {
            let answer = analytics.query(sql, Role::Analyst).await?;
            let text = portgate_analytics::format::to_string(&answer, portgate_analytics::format::Format::Csv)?;
            Ok::<_, anyhow::Error>(text.lines().nth(1).unwrap_or_default().to_owned())
        }
    };
    let decisions: f64 = one("SELECT count(*) FROM decisions").await?.parse()?;
    report.begin(&format!("twenty questions over {decisions} decisions"));
    let answer = analytics.query("SELECT plate FROM passages WHERE plate IS NOT NULL LIMIT 1", Role::Security).await?;
    let plate = portgate_analytics::format::to_string(&answer, portgate_analytics::format::Format::Csv)?;
    let plate = plate.lines().nth(1).unwrap_or_default().to_owned();
    let card = one("SELECT max(card) FROM decisions WHERE card IS NOT NULL").await?;
    let mut duck = match Duck::start(year) {
        Ok(duck) => Some(duck),
        Err(e) => {
            report.remark(format!("DuckDB stands beside nothing: {e:#}"));
            None
        }
    };
    let (mut logs, mut compared) = (0.0, 0u32);
    for question in read_questions(&plate, &card) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for run in 0..=RUNS {
            let started = Instant::now();
            let rows = analytics.query(&question.ours, Role::Security).await.with_context(|| question.name.clone())?.rows();
            let took = started.elapsed().as_secs_f64();
            let there = match &mut duck {
                Some(duck) => Some(duck.ask(&question.theirs).with_context(|| question.name.clone())?),
                None => None,
            };
            if let Some((_, n)) = there {
                if n != rows {
                    bail!("{}: {rows} rows here, {n} by DuckDB", question.name);
                }
            }
            if run > 0 {
                ours.push(took);
                theirs.extend(there.map(|t| t.0));
            }
        }
        let (a, b) = (median(&mut ours), median(&mut theirs));
        let name = format!("question: {}", question.name);
        if theirs.is_empty() {
            report.add(name, "ms", a * 1e3);
        } else {
            report.beside(name, "ms", a * 1e3, "DuckDB", b * 1e3);
            logs += (a / b).ln();
            compared += 1;
        }
    }
    if compared > 0 {
        let version = duck.as_ref().map_or("", |d| d.version.as_str());
        report.beside(
            format!("twenty questions over {:.1} million decisions, geometric mean of the ratios", decisions / 1e6),
            "×",
            (logs / f64::from(compared)).exp(),
            format!("DuckDB {version} on the same files, as many threads"),
            1.0,
        );
    }
    report.memory("questions");
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// DuckDB in a process of its own.
struct Duck {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    version: String,
}

impl Duck {
    fn start(year: &Path) -> anyhow::Result<Self> {
        let cache = std::env::var_os("PORTGATE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let python = std::env::var_os("PORTGATE_PYTHON").map_or_else(|| cache.join("venv-tests/bin/python"), PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("analytics/duckdb_side.py");
        let mut child = Command::new(&python)
            .arg(script)
            .arg(year)
            .arg(machine::cores().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not run", python.display()))?;
        let (to, from) = (child.stdin.take().context("no way in")?, child.stdout.take().context("no way out")?);
        let mut duck = Self { child, to, from: BufReader::new(from), version: String::new() };
        duck.version = duck.line()?.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(duck)
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line.is_empty() {
            bail!("DuckDB has ended; what it said stands above");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Seconds it took, and rows.
    fn ask(&mut self, sql: &str) -> anyhow::Result<(f64, usize)> {
        writeln!(self.to, "{}", json!(sql))?;
        let answer = self.line()?;
        let seconds = answer.get("seconds").and_then(Value::as_f64).context("no time")?;
        Ok((seconds, answer.get("rows").and_then(Value::as_u64).unwrap_or(0) as usize))
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// A lane's latency while analysts scan the year, beside the same without them, in turns.
async fn beside_scans(report: &mut Report, year: &Path, dir: &Path) -> anyhow::Result<()> {
    report.begin("last read → command while analysts scan");
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.join("scanned-log")))?);
    let mut specs = topics::default_specs(1, 1);
    specs.retain(|s| s.name != topics::FRAMES);
    log.create_topics(&specs).await?;
    let mut config = AnalyticsConfig::new(year);
    config.query_threads = machine::cores();
    let analytics = Analytics::open_with(&config)?;
    let (mut alone, mut scanned) = (Vec::new(), Vec::new());
    let asked = Arc::new(AtomicU64::new(0));
    bench_line(log.clone(), &dir.join("scanned-warm"), WARM).await?;
    for round in 0..RUNS {
        alone.push(Spread::from(bench_line(log.clone(), &dir.join(format!("alone-{round}")), VEHICLES).await?));
        let analysts: Vec<_> = (0..ANALYSTS)
            .map(|_| {
                let (analytics, asked) = (analytics.clone(), asked.clone());
                tokio::spawn(async move {
                    while analytics.query(SCAN, Role::Analyst).await.is_ok() {
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        scanned.push(Spread::from(bench_line(log.clone(), &dir.join(format!("scanned-{round}")), VEHICLES).await?));
        let ended = analysts.iter().any(tokio::task::JoinHandle::is_finished);
        analysts.iter().for_each(tokio::task::JoinHandle::abort);
        if ended {
            bail!("a scan failed: {SCAN}");
        }
    }
    let (alone, scanned) = (Spread::median(&alone), Spread::median(&scanned));
    report.latency(&format!("last read → command, embedded, while {ANALYSTS} analysts scan the year"), &scanned, "without them", &alone);
    report.add("scans of the year answered meanwhile", "", asked.load(Ordering::Relaxed) as f64);
    Ok(())
}

/// From the journal on the embedded log to files, and to the next question.
async fn way_in(report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    report.begin("journal → analytics");
    let first = FIRST.parse().map_err(|_| anyhow::anyhow!("no day: {FIRST}"))?;
    let config =
        HistoryConfig { days: 2, gates: 4, lanes: 16, vehicles_per_lane_day: 1_000, ..HistoryConfig::new(dir.join("made"), first) };
    let entries: Vec<JournalEntry> = journal(&config).collect();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.join("journal-log")))?);
    log.create_topics(&topics::default_specs(1, 1)).await?;
    for chunk in entries.chunks(2_000) {
        log.append_batch(chunk.iter().map(|e| NewRecord::json(topics::JOURNAL, "LYG", e)).collect::<Result<_, _>>()?).await?;
    }
    let last = entries.last().map_or(0, |e| e.seq);
    let (_stop, stopped) = watch::channel(false);
    let started = Instant::now();
    let analytics = Analytics::start(AnalyticsConfig::new(dir.join("taken")), Arc::clone(&log), stopped)?;
    reach(&analytics, last).await?;
    analytics.flush().await?;
    let seconds = started.elapsed().as_secs_f64();
    let rows = analytics
        .query("SELECT (SELECT count(*) FROM decisions) + (SELECT count(*) FROM reasons) + (SELECT count(*) FROM passages) + (SELECT count(*) FROM arrivals) + (SELECT count(*) FROM endings) + (SELECT count(*) FROM uses) + (SELECT count(*) FROM decision_versions) + (SELECT count(*) FROM guard_actions) + (SELECT count(*) FROM records) + (SELECT count(*) FROM card_events) + (SELECT count(*) FROM queue_samples) AS n", Role::Analyst)
        .await?;
    let rows: f64 =
        portgate_analytics::format::to_string(&rows, portgate_analytics::format::Format::Csv)?.lines().nth(1).unwrap_or("0").parse()?;
    report.add("journal → Parquet: entries taken from the log and written", "1/s", last as f64 / seconds);
    report.add("journal → Parquet: rows", "1/s", rows / seconds);
    let Some(model) = entries.iter().rev().find(|e| matches!(e.event, JournalEvent::Decision { .. })) else {
        bail!("a day without a decision")
    };
    let mut runs = Vec::with_capacity(DECISIONS);
    for n in 0..DECISIONS as u64 {
        let mut entry = model.clone();
        entry.seq = last + 1 + n;
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH)?;
        entry.at = GateTime::from_micros(i64::try_from(now.as_micros())?);
        let started = Instant::now();
        log.append(NewRecord::json(topics::JOURNAL, "LYG", &entry)?).await?;
        reach(&analytics, entry.seq).await?;
        runs.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let spread = Spread::of(runs);
    report.add("decision in the journal → in answers to SQL, p50", "ms", spread.p50_ms);
    report.add("decision in the journal → in answers to SQL, p99", "ms", spread.p99_ms);
    report.memory("journal → analytics");
    Ok(())
}

/// Waits until questions see the journal up to that entry.
async fn reach(analytics: &Analytics, seq: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    while analytics.position().sites.get("LYG").is_none_or(|s| s.seq < seq) {
        if started.elapsed() > Duration::from_secs(300) {
            bail!("the journal is not taken");
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}

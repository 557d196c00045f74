//! Last read → command over a log, beside a bare record through the same log.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_engine::{bench_bare, bench_line, topics};
use portgate_log::topics::default_specs;
use portgate_log::{Log, NewRecord, TopicSpec};

use crate::report::Report;
use crate::spread::Spread;

/// Rounds, each of bare records and of vehicles.
const ROUNDS: usize = 3;
/// Bare records a round.
const RECORDS: usize = 150;
/// Vehicles a round.
const VEHICLES: usize = 150;
/// Vehicles before anything is timed.
const WARM: usize = 5;
const BARE: &str = "bench.bare";
/// Longest wait for one record.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures over `log`, and adds the figures; `over`: its name; `dir`: for the sites' stores.
///
/// # Errors
/// What log or disk say; topics that exist with more than one partition.
pub async fn measure(report: &mut Report, log: Arc<dyn Log>, over: &str, dir: &Path) -> anyhow::Result<()> {
    report.begin(&format!("last read → command, {over}"));
    let mut specs = default_specs(1, 1);
    specs.retain(|s| s.name != topics::FRAMES);
    specs.push(TopicSpec::new(BARE, 1));
    // The engine's topic of answers to changes of the registry.
    if specs.iter().all(|s| s.name != portgate_engine::ANSWERS) {
        specs.push(TopicSpec::new(portgate_engine::ANSWERS, 1));
    }
    log.create_topics(&specs).await?;
    bench_bare(&*log, BARE, WARM).await?;
    bench_line(log.clone(), &dir.join(format!("{over}-warm")), WARM).await?;
    // Over Kafka the engine publishes in transactions, which cost more than a bare record does.
    let transactions = log.health().await.backend == "kafka";
    let (mut bare, mut line, mut transacted) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(Spread::from(bench_bare(&*log, BARE, RECORDS).await?));
        if transactions {
            transacted.push(bare_transactions(&*log).await?);
        }
        line.push(Spread::from(bench_line(log.clone(), &dir.join(format!("{over}-{round}")), VEHICLES).await?));
    }
    let (bare, line) = (Spread::median(&bare), Spread::median(&line));
    let with = format!("bare record in and out, {over}");
    report.latency(&format!("last read → command, {over}"), &line, &with, &bare);
    if transactions {
        report.latency(&format!("bare record in and out in a transaction, {over}"), &Spread::median(&transacted), &with, &bare);
    }
    report.memory(&format!("line, {over}"));
    Ok(())
}

/// As [`bench_bare`], each record in a transaction of its own.
async fn bare_transactions(log: &dyn Log) -> anyhow::Result<Spread> {
    let mut transaction = log.transaction(BARE).await?;
    let mut from = log.end_offsets(BARE).await?.first().copied().unwrap_or(0);
    let mut runs = Vec::with_capacity(RECORDS);
    for _ in 0..RECORDS {
        let started = Instant::now();
        transaction.begin().await?;
        transaction.append(NewRecord::new(BARE, "bench", vec![b'x'; 160])).await?;
        transaction.commit().await?;
        loop {
            let batch = log.read(BARE, 0, from, 16, PATIENCE).await?;
            from = batch.next_offset;
            if !batch.records.is_empty() {
                break;
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "a committed record does not arrive");
        }
        runs.push(started.elapsed());
    }
    Ok(Spread::of(runs))
}

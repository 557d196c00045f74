//! What the disk lets through.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_engine::bench_commits;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{Log, NewRecord, TopicSpec};
use tokio::task::JoinSet;

use crate::report::Report;
use crate::spread::{rate, Spread};

/// Rounds, each of everything that is compared, so that a disturbance meets all.
const ROUNDS: usize = 3;
/// Operations one after the other, a round.
const OPERATIONS: usize = 200;
/// Appends a round by many at once …
const SHARED: usize = 2_000;
/// … so many.
const WRITERS: usize = 64;
/// About a journalled read.
const RECORD_BYTES: usize = 256;
const TOPIC: &str = "bench.appends";

/// Measures, and adds the figures.
///
/// # Errors
/// What the disk says.
pub async fn measure(report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    report.begin("synced commits and appends");
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.join("appends")))?);
    log.create_topics(&[TopicSpec::new(TOPIC, 1)]).await?;
    let [mut bare, mut commits, mut appends] = [const { Vec::new() }; 3];
    let mut shared = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(bare_syncs(&dir.join("bare"))?);
        commits.push(Spread::from(bench_commits(&dir.join("commits"), OPERATIONS)?));
        appends.push(one_by_one(&*log).await?);
        shared.push(many_at_once(&log).await?);
    }
    let (bare, commits, appends) = (Spread::median(&bare), Spread::median(&commits), Spread::median(&appends));
    shared.sort_unstable_by(f64::total_cmp);
    let shared = shared.get(ROUNDS / 2).copied().unwrap_or(0.0);
    let with = format!("bare write of {RECORD_BYTES} bytes + fdatasync");
    report.beside("synced commits, one after the other", "1/s", commits.per_second, &with, bare.per_second);
    report.latency("synced commit", &commits, &with, &bare);
    report.beside("embedded log, synced appends, one after the other", "1/s", appends.per_second, &with, bare.per_second);
    report.latency("embedded log, synced append", &appends, &with, &bare);
    report.beside(format!("embedded log, synced appends, {WRITERS} at once"), "1/s", shared, &with, bare.per_second);
    report.memory("commits and appends");
    Ok(())
}

/// Appends records to a file, each followed by fdatasync: what durability costs on this disk.
fn bare_syncs(path: &Path) -> std::io::Result<Spread> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let record = [b'x'; RECORD_BYTES];
    let mut runs = Vec::with_capacity(OPERATIONS);
    for _ in 0..OPERATIONS {
        let started = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        runs.push(started.elapsed());
    }
    Ok(Spread::of(runs))
}

fn record() -> NewRecord {
    NewRecord::new(TOPIC, "bench", vec![b'x'; RECORD_BYTES])
}

async fn one_by_one(log: &dyn Log) -> anyhow::Result<Spread> {
    let mut runs: Vec<Duration> = Vec::with_capacity(OPERATIONS);
    for _ in 0..OPERATIONS {
        let started = Instant::now();
        log.append(record()).await?;
        runs.push(started.elapsed());
    }
    Ok(Spread::of(runs))
}

/// Appends per second by many writers, whose appends share syncs.
async fn many_at_once(log: &Arc<dyn Log>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let log = log.clone();
        writers.spawn(async move {
            for _ in 0..SHARED / WRITERS {
                log.append(record()).await?;
            }
            Ok::<_, portgate_log::LogError>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(rate(SHARED / WRITERS * WRITERS, started.elapsed()))
}

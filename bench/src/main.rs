//! Measures the gate beside the least that the same machine could do, all in one run.
//!
//! `portgate-bench OUT [PART …]`: prints a table and writes it to the file OUT; the parts are `frames`,
//! `line`, `disk`, `analytics`, `registry` and `recovery`, by default all. What each figure means stands
//! in this folder's README.
//!
//! * `PORTGATE_KAFKA` (`host:port`): a broker without the gate's topics; without it the figures over
//!   Kafka are left out.
//! * `PORTGATE_BENCH_DIR`: where data go during the run, on the disk to be measured (the temporary
//!   folder).
//! * `PORTGATE_BENCH_ANALYTICS`: millions of decisions in the analysts' year (10); 0 leaves them out.
//! * `PORTGATE_BENCH_CACHE`: where registries and their making are kept from run to run.
//! * `PORTGATE_BENCH_SCALE`: `10k` or `10m` for fewer or more than up to a million vehicles.
//! * `PORTGATE_POSTGRES`: the folder of a PostgreSQL server's socket; without it the figures beside
//!   PostgreSQL are left out.

mod analytics;
mod frames;
mod line;
mod machine;
mod recovery;
mod registry;
mod report;
mod spread;
mod storage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::kafka::{KafkaConfig, KafkaLog};

use report::Report;

/// A gate runs for years under many small allocations of several threads, RocksDB's and OpenCV's among
/// them; glibc's heap gives back late and its arenas made one decision in a hundred wait for milliseconds.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What can be measured alone.
const PARTS: [&str; 6] = ["frames", "line", "disk", "analytics", "registry", "recovery"];

fn main() -> ExitCode {
    if let Some(ended) = recovery::child() {
        return ended.map_or_else(|error| complain(&error), |()| ExitCode::SUCCESS);
    }
    let mut args = std::env::args().skip(1);
    let out = args.next().map(PathBuf::from);
    let parts: Vec<String> = args.collect();
    let (Some(out), true) = (out, parts.iter().all(|p| PARTS.contains(&p.as_str()))) else {
        eprintln!("usage: portgate-bench OUT [{}] …", PARTS.join("|"));
        return ExitCode::from(2);
    };
    match run(&out, |part| parts.is_empty() || parts.iter().any(|p| p == part)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("bench: {error:#}");
    ExitCode::FAILURE
}

fn run(out: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let parent = std::env::var_os("PORTGATE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("portgate-bench-").tempdir_in(&parent).context("a folder for the data")?;
    let mut report = Report::new(dir.path());
    if wanted("frames") {
        frames::measure(&mut report)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wanted("line") {
        runtime.block_on(lines(&mut report, dir.path()))?;
    }
    if wanted("disk") {
        runtime.block_on(storage::measure(&mut report, dir.path()))?;
    }
    if wanted("analytics") {
        runtime.block_on(analytics::measure(&mut report, &parent, dir.path()))?;
    }
    let cache = std::env::var_os("PORTGATE_BENCH_CACHE").map_or_else(|| dir.path().to_owned(), PathBuf::from);
    if wanted("registry") {
        let socket = std::env::var_os("PORTGATE_POSTGRES").map(PathBuf::from);
        if socket.is_none() {
            report.remark("the figures beside PostgreSQL are missing: PORTGATE_POSTGRES names no server's socket");
        }
        registry::measure(&mut report, &cache, socket.as_deref())?;
    }
    if wanted("recovery") {
        recovery::measure(&mut report, &cache, dir.path())?;
        match std::env::var("PORTGATE_KAFKA") {
            Err(_) => report.remark("the times of a take-over are missing: PORTGATE_KAFKA names no broker"),
            Ok(brokers) => {
                if let Err(error) = runtime.block_on(recovery::takeover(&mut report, &brokers, dir.path())) {
                    report.remark(format!("the times of a take-over are missing: {error:#}"));
                }
            }
        }
    }
    report.finish(out)
}

async fn lines(report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir.join("log")))?;
    line::measure(report, Arc::new(log), "embedded", dir).await?;
    let Ok(brokers) = std::env::var("PORTGATE_KAFKA") else {
        report.remark("the figures over Kafka are missing: PORTGATE_KAFKA names no broker");
        return Ok(());
    };
    let measured = async {
        let log = KafkaLog::connect(KafkaConfig::new(brokers)).await?;
        line::measure(report, Arc::new(log), "Kafka", dir).await
    };
    if let Err(error) = measured.await {
        report.remark(format!("the figures over Kafka are missing: {error:#}"));
    }
    Ok(())
}

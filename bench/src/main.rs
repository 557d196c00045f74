//! Measures the gate beside the least that the same machine could do, all in one run.
//!
//! `portgate-bench OUT`: prints a table and writes it to the file OUT. What each figure means stands
//! in this folder's README.
//!
//! * `PORTGATE_KAFKA` (`host:port`): a broker without the gate's topics; without it the figures over
//!   Kafka are left out.
//! * `PORTGATE_BENCH_DIR`: where data go during the run, on the disk to be measured (the temporary
//!   folder).
//! * `PORTGATE_BENCH_LARGE=1`: also a registry of a million vehicles.
//! * `PORTGATE_BENCH_ANALYTICS`: millions of decisions in the analysts' year (10); 0 leaves them out.

mod analytics;
mod frames;
mod line;
mod machine;
mod report;
mod spread;
mod storage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::kafka::{KafkaConfig, KafkaLog};

use report::Report;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(out), None) = (args.next().map(PathBuf::from), args.next()) else {
        eprintln!("usage: portgate-bench OUT");
        return ExitCode::from(2);
    };
    match run(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(out: &std::path::Path) -> anyhow::Result<()> {
    let parent = std::env::var_os("PORTGATE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("portgate-bench-").tempdir_in(&parent).context("a folder for the data")?;
    let mut report = Report::new(dir.path());
    frames::measure(&mut report)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log")))?;
        line::measure(&mut report, Arc::new(log), "embedded", dir.path()).await?;
        match std::env::var("PORTGATE_KAFKA") {
            Ok(brokers) => {
                let measured = async {
                    let log = KafkaLog::connect(KafkaConfig::new(brokers)).await?;
                    line::measure(&mut report, Arc::new(log), "Kafka", dir.path()).await
                };
                if let Err(error) = measured.await {
                    report.remark(format!("the figures over Kafka are missing: {error:#}"));
                }
            }
            Err(_) => report.remark("the figures over Kafka are missing: PORTGATE_KAFKA names no broker"),
        }
        let mut vehicles = vec![10_000, 100_000];
        if std::env::var("PORTGATE_BENCH_LARGE").is_ok_and(|v| v == "1") {
            vehicles.push(1_000_000);
        }
        storage::measure(&mut report, dir.path(), &vehicles).await?;
        analytics::measure(&mut report, &parent, dir.path()).await
    })?;
    report.finish(out)
}

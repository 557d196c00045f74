//! `portgate simulate`: traffic against a running gate, or a made-up past for analysts

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{bail, Context, Result};
use portgate_analytics::history::{write_history, HistoryConfig};
use portgate_core::time::{Date, Instant};
use portgate_ingest::sim::{run_simulation, GatePort, HttpPort, LogPort, SimConfig, Tokens};
use tokio::sync::watch;

/// As given on the command line.
pub struct Options {
    /// Lanes.
    pub lanes: usize,
    /// Vehicles a minute at each entry lane.
    pub rate: f64,
    /// Seconds.
    pub seconds: u64,
    /// Seed.
    pub seed: u64,
    /// Kafka, or HTTP where there is none.
    pub kafka: Option<String>,
    /// Address over HTTP.
    pub url: String,
    /// Folder of the demonstration's credentials.
    pub data: PathBuf,
}

/// A made-up past, as given on the command line.
pub struct History {
    /// Days, like `365d`.
    pub days: String,
    /// Checkpoints.
    pub gates: u32,
    /// Lanes.
    pub lanes: usize,
    /// Vehicles an entry lane and day.
    pub vehicles: u32,
    /// First day.
    pub from: Option<String>,
    /// Seed.
    pub seed: u64,
    /// Folder of the state; the history goes to its `analytics`.
    pub data: PathBuf,
}

/// Writes a made-up past into the analytics folder.
pub fn history(options: History) -> Result<u8> {
    let days: u32 = match options.days.trim_end_matches('d').parse() {
        Ok(days @ 1..=3660) => days,
        _ => bail!("--history {}: days from 1d to 3660d, like 365d", options.days),
    };
    if !(1..=100).contains(&options.gates) || !(4..=1000).contains(&options.lanes) || options.lanes < 4 * options.gates as usize {
        bail!("--gates {} --lanes {}: up to 100 gates and 1000 lanes, four lanes a gate at least", options.gates, options.lanes);
    }
    if !(1..=100_000).contains(&options.vehicles) {
        bail!("--vehicles {}: from 1 to 100000 an entry lane and day", options.vehicles);
    }
    let first: Date = match &options.from {
        Some(day) => day.parse().map_err(|_| anyhow::anyhow!("--from {day}: a day like 2026-01-01"))?,
        None => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(0)).plus_millis(-i64::from(days) * 86_400_000).date()
        }
    };
    let dir = std::path::absolute(options.data.join("analytics"))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("folder {} cannot be made", dir.display()))?;
    let config = HistoryConfig {
        days,
        gates: options.gates,
        lanes: u32::try_from(options.lanes).unwrap_or(u32::MAX),
        vehicles_per_lane_day: options.vehicles,
        seed: options.seed,
        ..HistoryConfig::new(&dir, first)
    };
    let started = std::time::Instant::now();
    let mut told = started;
    let summary = write_history(&config, |done, all| {
        if told.elapsed() > Duration::from_secs(2) {
            told = std::time::Instant::now();
            eprintln!("simulate: {done} of {all} days");
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    for (table, rows) in &summary.rows {
        println!("{table:<18} {rows:>12} rows {:>14} bytes", summary.bytes.get(table).copied().unwrap_or(0));
    }
    println!(
        "{} rows in {seconds:.1} s ({:.0} a second), {} bytes, in {}",
        summary.rows_all(),
        summary.rows_all() as f64 / seconds.max(1e-9),
        summary.bytes_all(),
        dir.display()
    );
    Ok(0)
}

/// Drives made-up traffic against a running gate.
pub fn run(options: Options) -> Result<u8> {
    if !(1..=64).contains(&options.lanes) {
        bail!("--lanes {}: between 1 and 64", options.lanes);
    }
    if !(options.rate > 0.0 && options.rate <= 600.0) {
        bail!("--rate {}: more than 0 and at most 600 vehicles a minute", options.rate);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(drive(options));
    runtime.shutdown_background();
    result
}

async fn drive(options: Options) -> Result<u8> {
    let port: Arc<dyn GatePort> = match &options.kafka {
        Some(brokers) => {
            let log = crate::roles::kafka_log(brokers).await?;
            log.create_topics(&crate::roles::topic_specs()).await?;
            Arc::new(LogPort::connect(log, crate::config::SiteConfig::default().id).await?)
        }
        None => Arc::new(HttpPort::new(&options.url, tokens(&options)?)),
    };
    let config = SimConfig {
        lanes: options.lanes,
        rate_per_min: options.rate,
        seconds: Some(options.seconds),
        seed: options.seed,
        ..SimConfig::default()
    };
    let (_stop, stopped) = watch::channel(false);
    let summary = run_simulation(config, port, stopped).await?;
    println!(
        "{} vehicles passed, {} turned back, {} frames and {} reads taken, {} posts not taken",
        summary.passed, summary.turned_back, summary.frames, summary.reads, summary.failures
    );
    Ok(if summary.failures == 0 { 0 } else { crate::FOUND })
}

fn tokens(options: &Options) -> Result<Tokens> {
    let path = options.data.join("demo-credentials");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("credentials {} cannot be read; name the gate's folder with --data", path.display()))?;
    let secret = |name: &str| text.lines().filter_map(|l| l.split_once(' ')).find(|(n, _)| *n == name).map(|(_, s)| s.trim().to_owned());
    Ok(Tokens {
        device: secret("device").with_context(|| format!("{} has no line `device SECRET`", path.display()))?,
        registrar: secret("registrar"),
        administrator: secret("administrator"),
        supervisor: secret("supervisor"),
        guard: secret("guard"),
    })
}

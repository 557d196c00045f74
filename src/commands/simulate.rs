//! `portgate simulate`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{bail, Context, Result};
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

//! Logs and metrics of the process.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use portgate_engine::EngineOptions;
use portgate_log::{topics, Log};
use portgate_lpr::StageConfig;
use tracing_subscriber::EnvFilter;

/// Bounds of latency histograms, seconds: from a decision's microseconds to a slow query.
const SECONDS: [f64; 19] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];
/// How often old samples are folded in.
const UPKEEP: Duration = Duration::from_secs(5);

/// Structured logs on standard error. `PORTGATE_LOG` sets what is shown (default `info`),
/// `PORTGATE_LOG_FORMAT=json` writes JSON lines. Plates and card numbers are never above DEBUG.
pub fn logs() {
    let filter = EnvFilter::try_from_env("PORTGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info,datafusion=warn,rdkafka=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if std::env::var("PORTGATE_LOG_FORMAT").is_ok_and(|f| f == "json") {
        builder.json().try_init()
    } else {
        builder.with_target(false).try_init()
    };
    drop(result); // already set: a second gate in one process logs where the first does
}

/// Installs the recorder; what comes back renders Prometheus' text format.
pub fn metrics() -> Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .context("histogram bounds")?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().context("metrics are set up once a process")?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || handle.render()))
}

/// Measures now and then how far the groups are behind, which sets the gauges of the log.
pub async fn lag(log: Arc<dyn Log>, stop: impl Future<Output = ()> + Send) {
    let groups = [(StageConfig::default().group, topics::FRAMES), (EngineOptions::default().group, topics::READS)];
    let measure = async {
        loop {
            for (group, topic) in &groups {
                if let Err(error) = log.lag(group, &[topic]).await {
                    tracing::debug!(%error, group, "lag cannot be measured now");
                }
            }
            tokio::time::sleep(UPKEEP).await;
        }
    };
    tokio::select! {
        () = measure => (),
        () = stop => (),
    }
}

//! The control room on made-up data, for looking at it without a gate:
//! `cargo run --release -p portgate-dashboards --example fake_gate -- DATA_DIR PORT [PICTURES…]`
//! With `LANES=64 EVENTS_PER_S=200` in the environment: a large port under load, for measuring the page.
//! Sign in with an account of `DATA_DIR/demo-credentials`.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/support/site.rs"]
#[allow(dead_code)]
mod site;
#[path = "../tests/support/traffic.rs"]
mod traffic;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portgate_dashboards::accounts::Accounts;
use portgate_dashboards::evidence::NoEvidence;
use portgate_dashboards::{Parts, Serve, ServeConfig};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::Log;
use site::{create_topics, FakeSite};
use traffic::{load, traffic};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let port: u16 = args.next().unwrap().parse().unwrap();
    let pictures: Vec<Vec<u8>> = args.map(|p| std::fs::read(p).unwrap()).collect();
    std::fs::create_dir_all(&dir).unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.join("log"))).unwrap());
    create_topics(&*log).await;
    let accounts = Arc::new(Accounts::open(&dir, true).unwrap().0);
    let parts = Parts {
        log: log.clone(),
        accounts,
        registry: None,
        evidence: Arc::new(NoEvidence),
        sql: None,
        metrics_render: Arc::new(String::new),
        ready_checks: BTreeMap::new(),
        edge: Router::new(),
    };
    let config = ServeConfig { listen: ([127, 0, 0, 1], port).into(), demo: true, ..ServeConfig::default() };
    let serve = Serve::new(config, parts).await.unwrap();
    let site = FakeSite::new(log);
    tokio::spawn(site.clone().engine());
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<usize>().ok());
    match number("LANES") {
        Some(lanes) => drop(tokio::spawn(load(site, pictures, lanes, number("EVENTS_PER_S").unwrap_or(200)))),
        None => drop(tokio::spawn(traffic(site, pictures, Duration::from_secs(12)))),
    }
    serve.run(async { tokio::signal::ctrl_c().await.unwrap() }).await.unwrap();
}

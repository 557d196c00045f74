//! The simulator: a lawful, made-up port that keeps a gate busy.
//!
//! [`DemoSite`] is the port and everybody on file there, [`Traffic`] who comes next with which
//! papers and what is wrong with them, `lane` what happens at the barrier, [`guard`] the person who
//! works the held ones off, [`render`] what the cameras see. The gate is reached through a
//! [`GatePort`]: its log ([`LogPort`]) or HTTP ([`HttpPort`]).

pub mod guard;
mod http_port;
mod lane;
mod log_port;
mod port;
pub mod render;
mod site;
mod traffic;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portgate_core::registry::Kind;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use http_port::{HttpPort, Tokens};
pub use log_port::LogPort;
pub use port::{Decided, GatePort, GuardWord, PortError, ReasonCode, Signal};
pub use site::{DemoSite, LaneSpec, RecordChange, Role, Vehicle, SITE};
pub use traffic::{End, Fault, Traffic, Visit};

use crate::clock;
use lane::{AtLanes, Lane, Shared};
use render::{RenderError, Renderer};

/// Signals waiting for a lane or the guard; the latest ones beyond that are lost to it.
const SIGNALS_MAX: usize = 256;
/// Peak pass mode: first after this long, then for this long, then again.
const PEAK_AFTER: Duration = Duration::from_secs(240);
const PEAK_FOR_MS: i64 = 150_000;
const PEAK_EVERY: Duration = Duration::from_secs(600);

/// How the simulator runs.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Lanes; four is the demonstration.
    pub lanes: usize,
    /// Vehicles arriving per minute at each entry lane; what goes in comes out.
    pub rate_per_min: f64,
    /// Ends after this many seconds; none: when told to.
    pub seconds: Option<u64>,
    /// The same seed gives the same traffic.
    pub seed: u64,
    /// Marks the ids of this run's papers; two runs against one gate must differ in it, because the
    /// gate remembers which papers are used up.
    pub run: u32,
    /// Write the site's registry records first.
    pub write_registry: bool,
    /// A simulated guard works the held ones off.
    pub guard: bool,
    /// How long vehicles stay inside, seconds, from and to.
    pub dwell_s: (u32, u32),
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            lanes: 4,
            rate_per_min: 2.0,
            seconds: None,
            seed: clock::now().as_micros().unsigned_abs(),
            run: (clock::now().as_millis() / 100) as u32,
            write_registry: true,
            guard: true,
            dwell_s: (40, 180),
        }
    }
}

/// Why a simulation could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// Frames cannot be drawn.
    #[error("frames cannot be drawn: {0}")]
    Render(#[from] RenderError),
    /// The gate does not take the site's records.
    #[error("the gate does not take the registry record {record}: {error}")]
    Registry {
        /// Which.
        record: String,
        /// Why.
        error: PortError,
    },
}

/// What a simulation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Vehicles that went through.
    pub passed: u64,
    /// Vehicles that left without passing.
    pub turned_back: u64,
    /// Frames the gate took.
    pub frames: u64,
    /// Reads the gate took.
    pub reads: u64,
    /// Posts the gate did not take.
    pub failures: u64,
}

/// Counts while it runs.
#[derive(Debug, Default)]
struct Counts {
    passed: AtomicU64,
    turned_back: AtomicU64,
    frames: AtomicU64,
    reads: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    fn ended(&self, end: End) {
        match end {
            End::Passed => &self.passed,
            End::TurnedBack | End::Elsewhere => &self.turned_back,
        }
        .fetch_add(1, Ordering::Relaxed);
    }
    fn frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
    fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
    fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
    fn summary(&self) -> Summary {
        Summary {
            passed: self.passed.load(Ordering::Relaxed),
            turned_back: self.turned_back.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

/// Runs the simulated port against a gate until its time is up or `stop` turns true.
///
/// # Errors
/// [`SimError`] when it cannot start; what fails later is counted and the traffic goes on.
pub async fn run_simulation(config: SimConfig, port: Arc<dyn GatePort>, mut stop: watch::Receiver<bool>) -> Result<Summary, SimError> {
    let renderer = Arc::new(Renderer::new()?);
    let site = DemoSite::new(config.lanes, clock::now());
    if config.write_registry {
        for (kind, id, value) in site.registry() {
            let written = port.put_record(kind, &id, Some(&value)).await;
            written.map_err(|error| SimError::Registry { record: format!("{kind}/{id}"), error })?;
        }
    }
    let mut traffic = Traffic::new(&site, config.seed, config.run, config.dwell_s);
    traffic.already_inside(&port.inside().await, clock::now());
    let (stop_sender, lane_stop) = watch::channel(false);
    let at_lanes = Arc::new(AtLanes::new());
    let shared = Arc::new(Shared {
        port: port.clone(),
        traffic: Mutex::new(traffic),
        renderer,
        at_lanes: at_lanes.clone(),
        config: config.clone(),
        counts: Counts::default(),
    });
    let mut lanes = JoinSet::new();
    let mut routes = BTreeMap::new();
    for (number, spec) in (0_u64..).zip(site.lanes()) {
        let (sender, receiver) = mpsc::channel(SIGNALS_MAX);
        routes.insert(spec.id.clone(), sender);
        lanes.spawn(Lane::new(shared.clone(), spec.clone(), number, receiver, lane_stop.clone()).run());
    }
    let mut others = JoinSet::new();
    let (guard_sender, guard_receiver) = mpsc::channel(SIGNALS_MAX);
    if config.guard {
        others.spawn(guard::run(port.clone(), at_lanes, guard_receiver, config.seed));
        others.spawn(peak_mode(port.clone(), site.lanes().first().map(|l| l.checkpoint.clone()).unwrap_or_default()));
    }
    others.spawn(dispatch(port, routes, guard_sender));

    let time_is_up = async {
        match config.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time_is_up => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let _ = stop_sender.send(true);
    while lanes.join_next().await.is_some() {}
    others.shutdown().await;
    Ok(shared.counts.summary())
}

/// Hands each signal to its lane, and decisions to the guard. Nobody waits for a slow lane.
async fn dispatch(port: Arc<dyn GatePort>, routes: BTreeMap<String, mpsc::Sender<Signal>>, guard: mpsc::Sender<Decided>) {
    while let Some(signal) = port.next_signal().await {
        let Some(lane) = routes.get(signal.lane()) else { continue };
        if let Signal::Decided(decided) = &signal {
            let _ = guard.try_send(decided.clone());
        }
        let _ = lane.try_send(signal);
    }
}

/// The supervisor switches peak pass mode on now and then.
async fn peak_mode(port: Arc<dyn GatePort>, checkpoint: String) {
    tokio::time::sleep(PEAK_AFTER).await;
    loop {
        let now = clock::now();
        let value = json!({
            "active": true,
            "from": now.to_string(),
            "to": now.plus_millis(PEAK_FOR_MS).to_string(),
            "activated_by": "supervisor",
        });
        if let Err(error) = port.put_record(Kind::PeakMode, &checkpoint, Some(&value)).await {
            tracing::debug!(%error, "peak pass mode could not be switched on");
        }
        tokio::time::sleep(PEAK_EVERY).await;
    }
}

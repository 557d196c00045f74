//! Wiring: which roles run in this process, in which order they start, and in which they stop.
//!
//! Stopping goes with the data: first what brings in (simulator, cameras, HTTP), then what decides
//! (recognition, engine, barriers), last what only looks (analytics, SQL).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use portgate_analytics::{Analytics, AnalyticsConfig};
use portgate_dashboards::accounts::Accounts;
use portgate_dashboards::evidence::{EvidenceStore, NoEvidence};
use portgate_dashboards::registry::RegistryReader;
use portgate_dashboards::{room, Parts, ReadyCheck, Serve, ServeConfig, SqlRunner, TlsFiles, WebhookConfig};
use portgate_engine::barrier::{self, BarrierOptions, SimulatedBarrier};
use portgate_engine::{cut_off, Engine, EngineError, EngineOptions, RecentFrames, SystemClock, ANSWERS};
use portgate_ingest::camera::{opener_for, run_camera, CameraConfig};
use portgate_ingest::sim::{run_simulation, LogPort, SimConfig};
use portgate_ingest::spool::RECORDS_MAX;
use portgate_ingest::{EdgeLimits, EdgeState, LaneDirectory, Spool};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::kafka::{KafkaConfig, KafkaLog};
use portgate_log::{topics, Log, LogError, TopicSpec};
use portgate_lpr::{StageConfig, TrackConfig};
use portgate_store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::Role;
use crate::config::{Config, Loaded};
use crate::{adapters, control, observe};

/// Answers to people are of use for minutes.
const ANSWERS_KEPT_MS: u64 = 24 * 3_600_000;
/// Partitions over which lanes spread to recognisers.
const LANE_PARTITIONS: u32 = 4;
/// How long a role may take to end before it is left behind.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// Wait before a failed engine is started again, first and longest.
const RESTART_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What to start.
pub struct Start {
    /// Configuration in force.
    pub loaded: Loaded,
    /// Roles of this process.
    pub roles: BTreeSet<Role>,
    /// The demonstration site with its traffic.
    pub demo: bool,
}

/// Puts what the command line says over the file.
pub fn override_from_command_line(
    loaded: &mut Loaded,
    data: Option<PathBuf>,
    kafka: Option<String>,
    http: Option<SocketAddr>,
    sql: Option<SocketAddr>,
) {
    if let Some(data) = data {
        loaded.config.data.dir = data;
        loaded.set_by_command_line("data.dir");
    }
    if let Some(kafka) = kafka {
        loaded.config.kafka.brokers = kafka;
        loaded.set_by_command_line("kafka.brokers");
    }
    if let Some(http) = http {
        loaded.config.http.listen = http;
        loaded.set_by_command_line("http.listen");
    }
    if let Some(sql) = sql {
        loaded.config.sql.listen = sql;
        loaded.set_by_command_line("sql.listen");
    }
}

/// Runs the roles until Ctrl-C.
pub fn start(start: Start) -> Result<u8> {
    start.loaded.config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(start));
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// The three stops, in their order.
struct Stops {
    incoming: watch::Sender<bool>,
    deciding: watch::Sender<bool>,
    looking: watch::Sender<bool>,
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

async fn run(start: Start) -> Result<u8> {
    let Start { loaded, roles, demo } = start;
    let config = &loaded.config;
    if demo && !config.http.listen.ip().is_loopback() {
        bail!("--demo listens on loopback only; http.listen is {}", config.http.listen);
    }
    observe::logs();
    let metrics = observe::metrics()?;
    let dir = &config.data.dir;
    private_folder(dir)?;
    let control = control::bind(dir)?;

    let (log, embedded) = open_log(&loaded).await?;
    let stops = Stops { incoming: watch::Sender::new(false), deciding: watch::Sender::new(false), looking: watch::Sender::new(false) };
    let (mut incoming, mut deciding, mut looking) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let site = config.site.id.clone();
    let lanes = LaneDirectory::new();
    looking.spawn(adapters::follow_lanes(log.clone(), lanes.clone(), stopped(stops.looking.subscribe())));

    looking.spawn(observe::lag(log.clone(), stopped(stops.looking.subscribe())));

    let mut ready: BTreeMap<String, ReadyCheck> = BTreeMap::new();
    let mut registry: Option<Arc<dyn RegistryReader>> = None;
    let mut evidence: Arc<dyn EvidenceStore> = Arc::new(NoEvidence);
    let mut store: Option<Arc<Store>> = None;

    // What is posted while the cluster is away
    let mut spool = None;
    if roles.contains(&Role::Serve) && embedded.is_none() {
        spool = Some(Spool::open(dir.join("spool"), RECORDS_MAX).await?);
    }

    // Decide
    if roles.contains(&Role::Decide) {
        let opened = open_store(&dir.join("store"), &site, &*log, embedded.is_none()).await?;
        let frames = Arc::new(RecentFrames::default());
        deciding.spawn(frames.clone().follow(log.clone(), stopped(stops.deciding.subscribe())));
        let engine = Engine::new(opened.clone(), log.clone(), frames, Arc::new(SystemClock), EngineOptions::default());
        ready.insert("decide".into(), adapters::engine_ready(engine.handle()));
        registry = Some(Arc::new(adapters::StoreRegistry(opened.clone())));
        evidence = Arc::new(adapters::StoreEvidence(opened.clone()));
        deciding.spawn(keep_deciding(engine, stops.deciding.subscribe()));
        let spot = match &spool {
            Some(spool) if config.kafka.open_while_cut_off => {
                Some(open_on_the_spot(spool, &log, opened.clone(), &mut deciding, &stops.deciding))
            }
            _ => None,
        };
        let (log, stop) = (log.clone(), stopped(stops.deciding.subscribe()));
        deciding.spawn(async move {
            let (barrier, clock) = (Arc::new(SimulatedBarrier::default()), Arc::new(SystemClock));
            if let Err(error) = barrier::drive_with(log, barrier, clock, BarrierOptions::default(), spot, stop).await {
                tracing::error!(%error, "barriers are no longer driven; nothing opens");
            }
        });
        store = Some(opened);
    }

    // Recognise
    if roles.contains(&Role::Recognise) {
        let models = tokio::task::block_in_place(|| crate::commands::read::models(Some(&config.recognise.models_dir)))?;
        let threads = match config.recognise.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1)),
            n => n,
        };
        let track = |zone: &[f64; 4]| TrackConfig { zone: *zone, ..TrackConfig::default() };
        let zones = config.recognise.zone.iter().map(|(lane, zone)| (lane.clone(), track(zone))).collect();
        let stage = StageConfig { threads, lanes: zones, ..StageConfig::default() };
        let (log, lanes, stop) = (log.clone(), lanes.clone(), stops.deciding.subscribe());
        deciding.spawn(async move {
            let site_of = Arc::new(move |lane: &str| lanes.get(lane).map(|l| l.site));
            if let Err(error) = portgate_lpr::run(stage, log, models, site_of, stop).await {
                tracing::error!(%error, "recognition has ended; lanes hold their vehicles for the guard");
            }
        });
    }

    // Analyse
    let mut analytics = None;
    if roles.contains(&Role::Analyse) {
        let mut settings = AnalyticsConfig::new(dir.join("analytics"));
        settings.query_memory_bytes = config.sql.memory_mib_max.saturating_mul(1 << 20);
        settings.query_timeout = Duration::from_secs(config.sql.timeout_s);
        let started = Analytics::start(settings, log.clone(), stops.looking.subscribe())?;
        analytics = Some(started);
    }

    // Serve
    let mut addresses = Vec::new();
    if roles.contains(&Role::Serve) {
        let (accounts, one_time) = Accounts::open(dir, demo)?;
        let accounts = Arc::new(accounts);
        let limits = EdgeLimits { frame_bytes_max: config.http.frame_bytes_max, ..EdgeLimits::default() };
        let edge = match &spool {
            None => EdgeState::new(log.clone(), lanes.clone(), limits),
            Some(spool) => {
                deciding.spawn(spool.clone().forward(log.clone(), stopped(stops.deciding.subscribe())));
                ready.insert("spool".into(), adapters::spool_ready(spool.clone()));
                EdgeState::spooled(log.clone(), lanes.clone(), limits, spool.clone())
            }
        };
        let edge = portgate_ingest::router(edge);
        let parts = Parts {
            log: log.clone(),
            accounts: accounts.clone(),
            registry: registry.clone(),
            evidence: evidence.clone(),
            sql: analytics.clone().map(|a| Arc::new(adapters::Sql(a)) as Arc<dyn SqlRunner>),
            metrics_render: metrics.clone(),
            ready_checks: ready,
            edge,
        };
        let serve = Serve::new(serve_config(config, demo)?, parts).await?;
        let scheme = if config.http.tls_certificate.as_os_str().is_empty() { "http" } else { "https" };
        addresses.push(format!("control room  {scheme}://{}", serve.addr()));
        let stop = stopped(stops.incoming.subscribe());
        incoming.spawn(async move {
            if let Err(error) = serve.run(stop).await {
                tracing::error!(%error, "the HTTP side has ended");
            }
        });
        if let Some(analytics) = &analytics {
            let authenticate = Arc::new(move |user: &str, secret: &str| accounts.authenticate(Some(user), secret).map(|p| p.role));
            let (bound, task) = analytics
                .serve_postgres(config.sql.listen, authenticate, stops.looking.subscribe())
                .await
                .with_context(|| format!("SQL cannot listen on {}", config.sql.listen))?;
            addresses.push(format!("sql           postgresql://{bound}"));
            looking.spawn(async move { drop(task.await) });
        }
        if demo {
            addresses.push(format!("accounts      {}", dir.join("demo-credentials").display()));
        }
        if let Some(first) = one_time {
            addresses.push(format!("first sign-in {} with the one-time password {}", first.name, first.secret));
        }
    }

    // Cameras and the demonstration's traffic
    if roles.contains(&Role::Camera) {
        for camera in &config.camera {
            let mut settings = CameraConfig::new(camera.lane.clone());
            settings.rate_fps_max = camera.frames_per_s_max;
            settings.frame_bytes_max = config.http.frame_bytes_max;
            let (opener, log, stop, lane) = (opener_for(&camera.source), log.clone(), stops.incoming.subscribe(), camera.lane.clone());
            incoming.spawn(async move {
                if let Err(error) = run_camera(settings, opener, log, stop).await {
                    tracing::error!(lane, %error, "camera cannot be played");
                }
            });
        }
    }
    if demo {
        let (log, site, stop) = (log.clone(), site.clone(), stops.incoming.subscribe());
        incoming.spawn(async move {
            let port = match LogPort::connect(log, site).await {
                Ok(port) => Arc::new(port),
                Err(error) => return tracing::error!(%error, "no demonstration traffic"),
            };
            if let Err(error) = run_simulation(SimConfig::default(), port, stop).await {
                tracing::error!(%error, "the demonstration's traffic has ended");
            }
        });
    }

    let handler = adapters::ControlHandler { log: log.clone(), embedded, store, analytics: analytics.clone() };
    looking.spawn(control::serve(control, Arc::new(handler)));

    println!("portgate {}", env!("CARGO_PKG_VERSION"));
    for line in &addresses {
        println!("  {line}");
    }
    println!("  state         {}", dir.display());
    println!("  stop with Ctrl-C");

    wait_for_signal().await?;
    println!("stopping: finishing what was taken in");
    stop_all(&stops.incoming, &mut incoming).await;
    stop_all(&stops.deciding, &mut deciding).await;
    stops.looking.send_replace(true);
    if let Some(analytics) = analytics {
        let _ = tokio::time::timeout(STOP_WAIT, analytics.finished()).await;
    }
    looking.shutdown().await;
    let _ = std::fs::remove_file(control::path_in(dir));
    println!("stopped");
    Ok(0)
}

/// Lets this node open what uses nothing up while the cluster is away.
fn open_on_the_spot(
    spool: &Arc<Spool>,
    log: &Arc<dyn Log>,
    store: Arc<Store>,
    deciding: &mut JoinSet<()>,
    stop: &watch::Sender<bool>,
) -> barrier::OnTheSpot {
    let lease = barrier::Lease::default();
    let keeper = Arc::new(adapters::SpoolKeeper { spool: spool.clone(), log: log.clone() });
    let (desk, work, orders) = cut_off::desk(store, Arc::new(SystemClock), lease.clone(), keeper.clone(), &EngineOptions::default());
    spool.hand_to(Arc::new(adapters::SpoolDesk(desk)));
    deciding.spawn(work.run(stopped(stop.subscribe())));
    barrier::OnTheSpot { lease, orders, keeper }
}

async fn stop_all(stop: &watch::Sender<bool>, tasks: &mut JoinSet<()>) {
    stop.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, all).await.is_err() {
        tracing::warn!("a role did not end in time and is left behind; it goes on from its last commit at the next start");
        tasks.shutdown().await;
    }
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => (),
    }
    Ok(())
}

fn private_folder(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("folder {} cannot be made", dir.display()))
}

async fn open_log(loaded: &Loaded) -> Result<(Arc<dyn Log>, Option<Arc<EmbeddedLog>>)> {
    let kafka = &loaded.config.kafka;
    let (log, embedded): (Arc<dyn Log>, _) = if kafka.brokers.is_empty() {
        let path = loaded.config.data.dir.join("log");
        let opened = Arc::new(tokio::task::block_in_place(|| EmbeddedLog::open(EmbeddedConfig::new(&path)))?);
        (opened.clone(), Some(opened))
    } else {
        let mut config = KafkaConfig::new(&kafka.brokers);
        config.settings.clone_from(&kafka.settings);
        (Arc::new(KafkaLog::connect(config).await?), None)
    };
    log.create_topics(&topic_specs()).await?;
    Ok((log, embedded))
}

/// The topics of the gate. One site a gate: one partition keeps its order.
pub fn topic_specs() -> Vec<TopicSpec> {
    let mut specs = topics::default_specs(1, LANE_PARTITIONS);
    specs.push(room::topic_spec());
    if !specs.iter().any(|s| s.name == ANSWERS) {
        specs.push(TopicSpec { retention_ms: Some(ANSWERS_KEPT_MS), ..TopicSpec::new(ANSWERS, 1) });
    }
    specs
}

/// The HTTP side as configured.
fn serve_config(config: &Config, demo: bool) -> Result<ServeConfig> {
    let (certificate, key) = (config.http.tls_certificate.clone(), config.http.tls_key.clone());
    let tls = (!certificate.as_os_str().is_empty()).then_some(TlsFiles { certificate, key });
    let mut webhooks = Vec::new();
    for hook in &config.webhook {
        let path = hook.secret_file.display();
        let secret = std::fs::read_to_string(&hook.secret_file).with_context(|| format!("webhook.secret_file {path} cannot be read"))?;
        webhooks.push(WebhookConfig::new(&hook.url, secret.trim(), hook.codes.clone(), hook.authorities.as_deref())?);
    }
    Ok(ServeConfig { listen: config.http.listen, demo, tls, webhooks, ..ServeConfig::default() })
}

/// `shared`: other nodes may have had the site meanwhile.
async fn open_store(path: &Path, site: &str, log: &dyn Log, shared: bool) -> Result<Arc<Store>> {
    let store =
        if shared { portgate_engine::open_store(path, site, log).await? } else { tokio::task::block_in_place(|| Store::open(path, site))? };
    Ok(Arc::new(store))
}

/// Runs the engine; one that fails is started again from its last commit. While it does not run,
/// nothing is decided and so nothing opens.
async fn keep_deciding(engine: Engine, stop: watch::Receiver<bool>) {
    let mut wait = RESTART_WAIT.0;
    while !*stop.borrow() {
        match engine.run(stopped(stop.clone())).await {
            Ok(()) => return,
            Err(error @ EngineError::Unowned(_)) => tracing::warn!(%error, "standing by"),
            Err(error @ EngineError::Diverged { .. }) => {
                tracing::error!(%error, "the engine stopped for good; start this process again");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the engine stopped; it starts again from its last commit");
                tokio::select! {
                    () = tokio::time::sleep(wait) => (),
                    () = stopped(stop.clone()) => return,
                }
                wait = (wait * 2).min(RESTART_WAIT.1);
            }
        }
    }
}

/// Opens the log of a process that only drives a gate.
pub async fn kafka_log(brokers: &str) -> Result<Arc<dyn Log>, LogError> {
    Ok(Arc::new(KafkaLog::connect(KafkaConfig::new(brokers)).await?))
}

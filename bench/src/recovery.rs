//! How soon a gate opens again: after `kill -9`, by how much its store holds; and where another node
//! takes a site over, with a standby and without.
//!
//! What is killed is this program once more, told by [`CHILD`] to run the engine of a site.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context as _};
use portgate_core::command::{Command as Order, Order as Kind};
use portgate_engine::{open_store, topics, Engine, EngineHandle, EngineOptions, NoFrames, Standing, SystemClock, ANSWERS};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::kafka::{KafkaConfig, KafkaLog};
use portgate_log::topics::default_specs;
use portgate_log::{Log, NewRecord, TopicSpec};
use portgate_store::Store;
use serde_json::{json, Value};
use tokio::task::JoinHandle;

use crate::registry;
use crate::report::Report;

/// Set: run the engine of the site in the folder it names instead of measuring; with [`BROKERS`] over Kafka.
const CHILD: &str = "PORTGATE_BENCH_CHILD";
const BROKERS: &str = "PORTGATE_BENCH_CHILD_BROKERS";
const SITE_OF_CHILD: &str = "PORTGATE_BENCH_CHILD_SITE";
/// The site of the registries that are kept.
const SITE: &str = "LYG-1";
/// Kills per size of the registry.
const KILLS: usize = 3;
/// Vehicles that have passed before a kill.
const VEHICLES: usize = 1_000;
/// Entries of the journal that a new owner follows or makes its store from.
const ENTRIES: usize = 20_000;
const PLATE: &str = "苏G00001";
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs as the one to be killed, where this process is that.
pub fn child() -> Option<anyhow::Result<()>> {
    let dir = std::env::var_os(CHILD)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Some(runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(live(Path::new(&dir)))))
}

/// Until killed: over Kafka only decides; on the embedded log also lets vehicles pass, a line each.
async fn live(dir: &Path) -> anyhow::Result<()> {
    let site = std::env::var(SITE_OF_CHILD).unwrap_or_else(|_| SITE.into());
    if let Ok(brokers) = std::env::var(BROKERS) {
        let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(KafkaConfig::new(brokers)).await?);
        let store = open_store(&dir.join("store"), &site, &*log).await?;
        engine(Arc::new(store), log).1.await??;
        return Ok(());
    }
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.join("log")))?);
    create_topics(&*log).await?;
    let (handle, _running) = engine(Arc::new(Store::open(&dir.join("store"), &site)?), log.clone());
    if log.end_offsets(topics::REGISTRY).await?.first() == Some(&0) {
        write_lane(&*log, &site).await?;
    }
    while handle.ready().is_err() || handle.store().record(portgate_core::registry::Kind::Lane, &lane(&site))?.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mark = std::process::id();
    for n in 0.. {
        pass(&*log, &site, &format!("{mark}-{n}")).await?;
        println!("passed {n}");
    }
    Ok(())
}

type Running = JoinHandle<Result<(), portgate_engine::EngineError>>;

fn engine(store: Arc<Store>, log: Arc<dyn Log>) -> (EngineHandle, Running) {
    let engine = Engine::new(store, log, Arc::new(NoFrames), Arc::new(SystemClock), EngineOptions::default());
    let handle = engine.handle();
    (handle, tokio::spawn(async move { engine.run(std::future::pending()).await }))
}

async fn create_topics(log: &dyn Log) -> anyhow::Result<()> {
    let mut specs = default_specs(1, 1);
    specs.retain(|s| s.name != topics::FRAMES && s.name != ANSWERS);
    specs.push(TopicSpec::new(ANSWERS, 1));
    Ok(log.create_topics(&specs).await?)
}

fn lane(site: &str) -> String {
    format!("{site}-REC.L1")
}

async fn write_lane(log: &dyn Log, site: &str) -> anyhow::Result<()> {
    let checkpoint = format!("{site}-REC");
    for (key, value) in [
        (format!("site/{site}"), json!({})),
        (format!("checkpoint/{checkpoint}"), json!({"site": site, "profile": "LYG"})),
        (format!("lane/{}", lane(site)), json!({"checkpoint": checkpoint, "direction": "ENTRY", "lane_class": "PASSENGER"})),
        (format!("vehicle/{PLATE}"), json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})),
    ] {
        log.append(NewRecord::json(topics::REGISTRY, key, &value)?).await?;
    }
    Ok(())
}

fn read(site: &str, id: &str, mut claims: Value) -> anyhow::Result<NewRecord> {
    claims["lane"] = json!(lane(site));
    claims["event_id"] = json!(format!("{site}-{id}"));
    Ok(NewRecord::json(topics::READS, site.to_owned(), &claims)?)
}

/// A vehicle comes, is commanded open and goes.
async fn pass(log: &dyn Log, site: &str, mark: &str) -> anyhow::Result<()> {
    let mut from = log.end_offsets(topics::COMMANDS).await?.first().copied().unwrap_or(0);
    // Whatever stood there when the former owner died has gone.
    log.append(read(site, &format!("{mark}-before"), json!({"vehicle_gone": true}))?).await?;
    // Within the millisecond of a departure the same plate would be a late read of the one that left.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let claims = json!({"plate_read": {"text": PLATE, "confidence": 0.98}, "track_id": mark});
    log.append(read(site, mark, claims)?).await?;
    let began = Instant::now();
    'open: loop {
        ensure!(began.elapsed() < PATIENCE, "no command came");
        let batch = log.read(topics::COMMANDS, 0, from, 64, Duration::from_secs(1)).await?;
        from = batch.next_offset;
        for order in batch.records.iter().filter_map(|r| r.json::<Order>().ok()) {
            if order.site == site && order.order == Kind::Open {
                break 'open;
            }
        }
    }
    log.append(read(site, &format!("{mark}-gone"), json!({"vehicle_gone": true}))?).await?;
    Ok(())
}

/// This program as the engine of a site, killed when dropped.
struct Victim(Child);

impl Victim {
    fn start(dir: &Path, site: &str, brokers: Option<&str>) -> anyhow::Result<(Self, BufReader<ChildStdout>)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(CHILD, dir).env(SITE_OF_CHILD, site).stdout(Stdio::piped());
        if let Some(brokers) = brokers {
            command.env(BROKERS, brokers);
        }
        let mut child = command.spawn().context("this program cannot be started once more")?;
        let out = child.stdout.take().context("its output")?;
        Ok((Self(child), BufReader::new(out)))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for so many lines.
fn lines(out: &mut impl BufRead, n: usize) -> anyhow::Result<()> {
    let mut line = String::new();
    for _ in 0..n {
        line.clear();
        if out.read_line(&mut line)? == 0 {
            bail!("the engine ended by itself");
        }
    }
    Ok(())
}

/// Measures how long it takes from the start after a kill to the first command, over the registries
/// kept in `cache`, and adds the figures.
///
/// # Errors
/// What the disk says.
pub fn measure(report: &mut Report, cache: &Path, dir: &Path) -> anyhow::Result<()> {
    for vehicles in registry::sizes(cache) {
        let of = registry::words(vehicles);
        report.begin(&format!("recovery after kill -9, {of} vehicles"));
        let kept = registry::kept(cache, vehicles)?;
        let gate = dir.join(format!("recovery-{vehicles}"));
        image(&kept, &gate.join("store"))?;
        let mut took = Vec::new();
        for kill in 0..=KILLS {
            let began = Instant::now();
            let (victim, mut out) = Victim::start(&gate, SITE, None)?;
            lines(&mut out, 1)?;
            if kill > 0 {
                took.push(began.elapsed());
            }
            lines(&mut out, VEHICLES)?;
            drop(victim);
        }
        took.sort_unstable();
        let of_all = |n: usize| took.get(n).map_or(0.0, Duration::as_secs_f64);
        report.add(format!("kill -9 → start → first open command, {of} vehicles, median of {KILLS}"), "s", of_all(KILLS / 2));
        report.add(format!("kill -9 → start → first open command, {of} vehicles, slowest"), "s", of_all(KILLS - 1));
        std::fs::remove_dir_all(&gate)?;
    }
    Ok(())
}

/// A copy of a store that nobody has open: what never changes in place is linked.
fn image(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
        let target = to.join(name);
        let fixed = path.extension().is_some_and(|e| e == "sst" || e == "blob");
        if !fixed || std::fs::hard_link(&path, &target).is_err() {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Measures how long a site over Kafka is without an owner after a kill, and adds the figures.
///
/// # Errors
/// What broker or disk say.
pub async fn takeover(report: &mut Report, brokers: &str, dir: &Path) -> anyhow::Result<()> {
    report.begin("take-over of a site, Kafka");
    let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(KafkaConfig::new(brokers)).await?);
    create_topics(&*log).await?;
    for standby in [true, false] {
        let site = format!("REC-{}-{}", std::process::id(), u8::from(standby));
        write_lane(&*log, &site).await?;
        let (owner, _out) = Victim::start(&dir.join(&site).join("owner"), &site, Some(brokers))?;
        pass(&*log, &site, "first").await?;
        let reads = (0..ENTRIES).map(|n| read(&site, &format!("q{n}"), json!({"queue_length": n % 7}))).collect::<Result<Vec<_>, _>>()?;
        for some in reads.chunks(1_000) {
            log.append_batch(some.to_vec()).await?;
        }
        pass(&*log, &site, "last").await?;
        let open = || async {
            let store = open_store(&dir.join(&site).join("other"), &site, &*log).await?;
            Ok::<_, anyhow::Error>(engine(Arc::new(store), log.clone()))
        };
        let mut other = None;
        if standby {
            let (handle, running) = open().await?;
            let began = Instant::now();
            while !matches!(handle.status().standing, Standing::Standby { seq, left: 0 } if seq > ENTRIES as u64) {
                ensure!(began.elapsed() < PATIENCE, "the standby does not catch up: {:?}", handle.status());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other = Some((handle, running));
        }
        drop(owner);
        let began = Instant::now();
        let (handle, running) = match other {
            Some(other) => other,
            None => open().await?,
        };
        while handle.status().standing != Standing::Owner {
            ensure!(began.elapsed() < PATIENCE, "the site is not taken over: {:?}", handle.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let owned = began.elapsed();
        pass(&*log, &site, "after").await?;
        let with = if standby { "with a standby" } else { "by a node with an empty store" };
        let what = format!("site taken over {with}, {ENTRIES} reads in the journal, session 10 s: kill -9 →");
        report.add(format!("{what} owner"), "s", owned.as_secs_f64());
        report.add(format!("{what} first open command"), "s", began.elapsed().as_secs_f64());
        running.abort();
        let _ = running.await;
    }
    Ok(())
}

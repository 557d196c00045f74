//! Nodes and barrier processes: started, killed, started again, as `src/roles.rs` and the machine
//! do it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portgate_engine::barrier::{drive, BarrierOptions};
use portgate_engine::{open_store, Engine, EngineError, EngineHandle, EngineOptions, NoFrames};
use portgate_store::{check, Store};

use crate::disk::Disk;
use crate::log::Way;
use crate::plant::Plant;
use crate::process::{Process, SimClock};
use crate::rng::Rng;
use crate::signal::Flag;
use crate::world::{World, SITE};

/// Synced writes that a lying disk loses with the power.
const LIES: usize = 6;

/// A node of the site, over its lives.
pub struct Node {
    name: String,
    dir: PathBuf,
    rng: Mutex<Rng>,
    life: Mutex<Option<Life>>,
    lives: Mutex<u64>,
}

struct Life {
    process: Arc<Process>,
    disk: Option<Arc<Disk>>,
    handle: Option<EngineHandle>,
}

impl Node {
    /// The `n`th node.
    pub fn new(world: &World, n: usize) -> Arc<Self> {
        let name = format!("node{n}");
        let rng = Mutex::new(Rng::new(world.seed, &name));
        Arc::new(Self { dir: world.dir.join(&name).join("store"), name, rng, life: Mutex::new(None), lives: Mutex::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its store's folder.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// The process of its present life.
    pub fn process(&self) -> Option<Arc<Process>> {
        self.life.lock().as_ref().map(|l| l.process.clone())
    }

    /// What it says of itself.
    pub fn handle(&self) -> Option<EngineHandle> {
        self.life.lock().as_ref().and_then(|l| l.handle.clone())
    }

    /// Its disk keeps what it is given from here on.
    pub fn heal(&self) {
        if let Some(disk) = self.life.lock().as_ref().and_then(|l| l.disk.clone()) {
            disk.heal();
        }
    }

    /// Lives until `stop`; a life that ends is followed by another one.
    pub async fn live(self: Arc<Self>, world: Arc<World>, stop: Flag) {
        while !stop.is() {
            let number = {
                let mut lives = self.lives.lock();
                *lives += 1;
                *lives
            };
            let skew = world.skew(&mut self.rng.lock());
            let process = Process::new(&self.name, &world.time, Rng::new(world.seed, &format!("{}/{number}", self.name)), skew);
            *self.life.lock() = Some(Life { process: process.clone(), disk: None, handle: None });
            world.note(|| format!("{} starts, life {number}", self.name));
            let mut task = tokio::spawn(self.clone().work(world.clone(), process.clone(), stop.clone()));
            let killed = tokio::select! {
                biased;
                () = process.killed() => true,
                ended = &mut task => {
                    if let Err(e) = ended {
                        world.violated("I6", format!("{} panics: {e}", self.name));
                    }
                    false
                }
            };
            if killed {
                world.note(|| format!("{} dies", self.name));
                task.abort();
                // The way it ended is of no interest: it was killed.
                let _ = task.await;
            }
            let disk = self.end_life(&world).await;
            if killed {
                self.crashed(&world, disk);
            }
            if stop.is() {
                return;
            }
            let away = match world.calm.load(Ordering::SeqCst) {
                true => 100,
                false => self.rng.lock().between(200, 15_000),
            };
            tokio::select! {
                biased;
                () = world.time.sleep_ms(away) => {}
                () = stop.until(true) => {}
            }
        }
    }

    /// Waits until nothing of the life is left that could touch the store.
    async fn end_life(&self, world: &World) -> Option<Arc<Disk>> {
        let life = self.life.lock().take();
        let (disk, store) = match life {
            Some(life) => (life.disk, life.handle.as_ref().map(|h| Arc::downgrade(h.store()))),
            None => (None, None),
        };
        if let Some(store) = store {
            for _ in 0..10_000 {
                if store.strong_count() == 0 {
                    break;
                }
                world.time.sleep(Duration::from_micros(100)).await;
            }
            if store.strong_count() > 0 {
                world.violated("I6", format!("{}: something goes on after the engine has ended", self.name));
            }
        }
        disk
    }

    fn crashed(&self, world: &World, disk: Option<Arc<Disk>>) {
        let lies = world.plant == Some(Plant::SkipSync);
        let forget = if lies { LIES } else { 0 };
        let power = self.rng.lock().chance(700) || lies;
        if let (Some(disk), true) = (disk, power) {
            match disk.power_off(forget) {
                Ok(left) => world.note(|| format!("{}: power off; {left}", self.name)),
                Err(e) => world.violated("I6", format!("{}: {e}", self.name)),
            }
            if lies {
                world.cluster.lose_tail(3);
            }
        }
        if self.rng.lock().chance(150) && self.dir.exists() {
            self.examine(world);
        }
        if self.rng.lock().chance(world.wipe) && std::fs::remove_dir_all(&self.dir).is_ok() {
            world.note(|| format!("{}: comes back with an empty disk", self.name));
        }
    }

    /// Examines the store, which nobody has open.
    pub fn examine(&self, world: &World) {
        match check(&self.dir) {
            Ok(report) => {
                for finding in report.findings.iter().take(3) {
                    world.violated("I7", format!("{}: {}: {}", self.name, finding.code, finding.what));
                }
            }
            Err(e) => world.violated("I7", format!("{}: {e}", self.name)),
        }
    }

    /// One life: opens the store and decides, as the program does.
    async fn work(self: Arc<Self>, world: Arc<World>, process: Arc<Process>, stop: Flag) {
        let way: Arc<Way> = Arc::new(world.way(&process));
        let mut wait_ms = 200;
        let store = loop {
            let opened = match world.cluster.kafka {
                true => open_store(&self.dir, SITE, &*way).await,
                false => Store::open(&self.dir, SITE).map_err(EngineError::from),
            };
            match opened {
                Ok(store) => break Arc::new(store),
                Err(e) => {
                    world.note(|| format!("{}: the store cannot be opened: {e}", self.name));
                    if !e.is_retriable() {
                        world.violated("I6", format!("{}: the store cannot be opened: {e}", self.name));
                    }
                    world.time.sleep_ms(wait_ms).await;
                    process.runs().await;
                    wait_ms = (wait_ms * 2).min(2000);
                }
            }
            if stop.is() {
                return;
            }
        };
        let disk = {
            let mut rng = self.rng.lock();
            let calm = world.calm.load(Ordering::SeqCst);
            let (fail, off) = if calm { (0, None) } else { (world.disk_fails, rng.chance(world.power_fails).then(|| rng.between(1, 60))) };
            Disk::new(&self.dir, &process, Rng::new(rng.bits(), "disk"), fail, off)
        };
        store.set_probe(disk.clone());
        let options = EngineOptions { batch_max: world.batch_max, ..EngineOptions::default() };
        let clock = Arc::new(SimClock(process.clone()));
        let engine = Engine::new(store, way.clone(), Arc::new(NoFrames), clock, options);
        if let Some(life) = self.life.lock().as_mut() {
            life.disk = Some(disk);
            life.handle = Some(engine.handle());
        }
        let mut wait_ms = 500;
        while !stop.is() {
            let stopping = stop.clone();
            let ended = engine.run(async move { stopping.until(true).await }).await;
            match ended {
                Ok(()) => return,
                Err(EngineError::Unowned(_)) => world.note(|| format!("{}: stands by", self.name)),
                Err(e @ EngineError::Diverged { .. }) => {
                    // The program asks to be started again; then its store is set aside.
                    world.note(|| format!("{}: {e}", self.name));
                    return;
                }
                Err(e) => {
                    world.note(|| format!("{}: the engine stopped: {e}", self.name));
                    if matches!(e, EngineError::Differs { .. } | EngineError::Gap { .. } | EngineError::Journal(_)) {
                        world.violated("I4", format!("{}: {e}", self.name));
                    }
                    let stopping = stop.clone();
                    let stopped = tokio::select! {
                        biased;
                        () = world.time.sleep_ms(wait_ms) => false,
                        () = stopping.until(true) => true,
                    };
                    if stopped {
                        return;
                    }
                    process.runs().await;
                    wait_ms = (wait_ms * 2).min(4000);
                }
            }
        }
    }
}

/// The process that drives the barriers, over its lives.
pub async fn barriers(world: Arc<World>, current: Arc<Mutex<Option<Arc<Process>>>>, stop: Flag) {
    let mut rng = Rng::new(world.seed, "barriers");
    let mut life = 0;
    while !stop.is() {
        life += 1;
        let skew = world.skew(&mut rng);
        let process = Process::new("barrier", &world.time, Rng::new(world.seed, &format!("barrier/{life}")), skew);
        *current.lock() = Some(process.clone());
        world.note(|| format!("barriers start, life {life}"));
        let way = world.way(&process).tapped(world.tap());
        let (stopping, clock) = (stop.clone(), Arc::new(SimClock(process.clone())));
        let arms = Arc::new(crate::machine::Arms(world.machine.clone()));
        let options = BarrierOptions { open_ms_max: 8_000, ..BarrierOptions::default() };
        let mut task =
            tokio::spawn(async move { drive(Arc::new(way), arms, clock, options, async move { stopping.until(true).await }).await });
        tokio::select! {
            biased;
            () = process.killed() => {
                task.abort();
                // It was killed.
                let _ = task.await;
            }
            ended = &mut task => world.note(|| format!("barriers end: {ended:?}")),
        }
        let away = if world.calm.load(Ordering::SeqCst) { 100 } else { rng.between(100, 5_000) };
        tokio::select! {
            biased;
            () = world.time.sleep_ms(away) => {}
            () = stop.until(true) => {}
        }
    }
}

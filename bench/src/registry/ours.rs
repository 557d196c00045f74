//! The gate's own store: making it, opening it, deciding over it, and reading the same keys bare.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use anyhow::{ensure, Context as _};
use portgate_core::policy::Policy;
use portgate_core::read::ReadMessage;
use portgate_core::registry::{Direction, LaneClass, Profile};
use portgate_core::rules::{decide, Context};
use portgate_core::site::{Change, Step};
use portgate_store::{Bare, Noting, ReadKey, Store};
use serde::{Deserialize, Serialize};

use super::made::{self, Made, AT, CHECKPOINT, EDITION};
use crate::machine;

const SITE: &str = "LYG-1";
/// Use books written in one commit.
const BOOKS_PER_COMMIT: u64 = 4096;

/// What making a registry took; kept beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Making {
    edition: u32,
    /// Vehicles.
    pub vehicles: u64,
    /// Registry records.
    pub records: u64,
    /// Seconds for them.
    pub seconds: f64,
    /// The most memory the program held meanwhile, MiB; 0: not known.
    pub peak_mib: f64,
}

/// The registry of so many vehicles, from the cache or made now.
///
/// # Errors
/// What the disk says.
pub fn make(cache: &Path, vehicles: u64) -> anyhow::Result<(PathBuf, Making)> {
    let folder = cache.join(format!("bench-registry-{vehicles}"));
    let (dir, note) = (folder.join("store"), folder.join("made.json"));
    if let Some(making) = kept(&note).filter(|m| m.edition == EDITION && m.vehicles == vehicles) {
        return Ok((dir, making));
    }
    let _ = std::fs::remove_dir_all(&folder);
    machine::reset_peak();
    let store = Store::open(&dir, SITE)?;
    let started = Clock::now();
    let records = store.load(made::registry(vehicles))?;
    let seconds = started.elapsed().as_secs_f64();
    let peak_mib = machine::peak_mib().unwrap_or(0.0);
    for from in (0..vehicles).step_by(BOOKS_PER_COMMIT as usize) {
        let books = (from..vehicles.min(from + BOOKS_PER_COMMIT)).filter_map(|n| {
            let vehicle = Made::vehicle(n, vehicles);
            vehicle.book().map(|book| Change::UseBook { plate: vehicle.plate, book })
        });
        let mut batch = store.begin();
        batch.apply(Step { events: Vec::new(), changes: books.collect() }, AT)?;
        store.commit(batch, false)?;
    }
    store.sync()?;
    drop(store);
    let making = Making { edition: EDITION, vehicles, records, seconds, peak_mib };
    std::fs::write(&note, serde_json::to_string_pretty(&making)?).context("noting what was made")?;
    Ok((dir, making))
}

/// Whether a registry of so many vehicles lies in the cache.
pub fn is_made(cache: &Path, vehicles: u64) -> bool {
    kept(&cache.join(format!("bench-registry-{vehicles}/made.json"))).is_some_and(|m| m.edition == EDITION)
}

fn kept(note: &Path) -> Option<Making> {
    serde_json::from_slice(&std::fs::read(note).ok()?).ok()
}

/// An open registry and how long opening took.
pub fn open(dir: &Path) -> anyhow::Result<(Store, Duration)> {
    let started = Clock::now();
    let store = Store::open(dir, SITE)?;
    Ok((store, started.elapsed()))
}

/// Vehicles as they come to the gate, with what is read of them.
pub struct Arrivals {
    /// What is read, and whether nothing stands in the way.
    reads: Vec<(ReadMessage, bool)>,
}

impl Arrivals {
    /// These vehicles of a registry.
    pub fn new(numbers: &[u64], vehicles: u64) -> Self {
        let of = |n: &u64| {
            let vehicle = Made::vehicle(*n, vehicles);
            (vehicle.read(), vehicle.in_order())
        };
        Self { reads: numbers.iter().map(of).collect() }
    }
}

/// One way through all arrivals.
pub struct Pass {
    /// Time of each by the clock.
    pub runs: Vec<Duration>,
    /// Processor time of all.
    pub cpu: Duration,
}

/// Decides all arrivals as the engine does, on a batch of the store each.
///
/// # Errors
/// A verdict that is not the expected one: then nothing was measured.
pub fn decide_all(store: &Store, arrivals: &Arrivals) -> anyhow::Result<Pass> {
    let policy = Policy::default();
    let context = context(&policy);
    let mut runs = Vec::with_capacity(arrivals.reads.len());
    let cpu = machine::thread_cpu();
    for (read, in_order) in &arrivals.reads {
        let started = Clock::now();
        let batch = store.begin();
        let outcome = decide(&context, read, AT, &batch);
        runs.push(started.elapsed());
        ensure!(outcome.in_order() == *in_order, "{:?} was decided otherwise than it is: {:?}", outcome.plate, outcome.reasons);
    }
    Ok(Pass { runs, cpu: spent(cpu) })
}

/// The keys that deciding each arrival reads.
///
/// # Errors
/// As [`decide_all`].
pub fn keys(store: &Store, arrivals: &Arrivals) -> anyhow::Result<Vec<Vec<ReadKey>>> {
    let policy = Policy::default();
    let context = context(&policy);
    let noting = Noting::new(store);
    let keys = arrivals.reads.iter().map(|(read, in_order)| {
        let outcome = decide(&context, read, AT, &noting);
        ensure!(outcome.in_order() == *in_order, "{:?} was decided otherwise than it is: {:?}", outcome.plate, outcome.reasons);
        Ok(noting.take())
    });
    keys.collect()
}

/// Reads those keys and nothing else.
///
/// # Errors
/// What the disk says.
pub fn read_all(store: &Store, keys: &[Vec<ReadKey>]) -> anyhow::Result<Pass> {
    let bare = Bare::new(store)?;
    let mut runs = Vec::with_capacity(keys.len());
    let cpu = machine::thread_cpu();
    for keys in keys {
        let started = Clock::now();
        let bytes = bare.read(keys)?;
        runs.push(started.elapsed());
        std::hint::black_box(bytes);
    }
    Ok(Pass { runs, cpu: spent(cpu) })
}

fn spent(before: Option<Duration>) -> Duration {
    before.zip(machine::thread_cpu()).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before))
}

fn context(policy: &Policy) -> Context<'_> {
    Context {
        checkpoint: CHECKPOINT,
        lane: "JCZ-1.L1",
        profile: Profile::Lyg,
        direction: Direction::Entry,
        lane_class: LaneClass::Freight,
        it_port: false,
        peak_mode: None,
        policy,
        approach_id: "bench",
        degraded: None,
        now: AT,
    }
}

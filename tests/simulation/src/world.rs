//! One world from one seed: built, broken, healed, judged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portgate_engine::{Standing, ANSWERS};
use portgate_log::topics;

use crate::cluster::Cluster;
use crate::log::{Tap, Way, Weather};
use crate::machine::Machine;
use crate::node::{barriers, Node};
use crate::oracle::{Oracle, Violation};
use crate::plant::Plant;
use crate::process::Process;
use crate::rng::Rng;
use crate::signal::Flag;
use crate::time::{Root, Time};
use crate::trace::Trace;
use crate::workload::{Site, LANES};

/// The site of every world.
pub const SITE: &str = "LYG-1";

/// How often the oracle looks, milliseconds.
const LOOKS_MS: u64 = 500;
/// How long a healed world may take to come to rest, milliseconds.
const RESTS_MS: u64 = 400_000;
/// Honest clocks are off by at most this, microseconds.
const SKEW_US: u64 = 150_000;

/// What a world is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The planted bug; none: an honest world.
    pub plant: Option<Plant>,
    /// Print the trace while it happens.
    pub trace: bool,
    /// A cluster with two nodes (true), one machine (false); none: as the seed says.
    pub cluster: Option<bool>,
}

/// What a world came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Kafka's rules with two nodes, or one machine.
    pub cluster: bool,
    /// Violated invariants; none: all of them held.
    pub violations: Vec<Violation>,
    /// Hash over the whole trace.
    pub hash: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// The end of the trace.
    pub tail: Vec<String>,
    /// What happened.
    pub counts: Counts,
}

/// What happened in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Journal entries.
    pub entries: u64,
    /// Decision versions.
    pub decisions: u64,
    /// Open commands.
    pub commands: u64,
    /// Arms raised.
    pub raises: u64,
    /// Passages on record.
    pub passages: u64,
    /// Single-use credentials used.
    pub uses: u64,
    /// Faults brought about by the chaos.
    pub faults: u64,
    /// Virtual seconds.
    pub seconds: u64,
}

/// Everything that is shared in a world.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// The planted bug.
    pub plant: Option<Plant>,
    /// Time.
    pub time: Arc<Time>,
    /// Trace.
    pub trace: Arc<Trace>,
    /// Log.
    pub cluster: Arc<Cluster>,
    /// Arms.
    pub machine: Arc<Machine>,
    /// The faults are over.
    pub calm: Arc<AtomicBool>,
    /// Folder of the stores.
    pub dir: PathBuf,
    /// Chances in a thousand: a write fails, a life ends in a write, a node comes back empty.
    pub disk_fails: u64,
    /// See above.
    pub power_fails: u64,
    /// See above.
    pub wipe: u64,
    /// Inputs an engine commits together.
    pub batch_max: usize,
    weather: Arc<Weather>,
    oracle: Arc<Mutex<Oracle>>,
    faults: Mutex<u64>,
    rough: bool,
}

impl World {
    /// Adds a line to the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        // The temporary folder has another name each time.
        let folder = self.dir.to_string_lossy();
        self.trace.note(self.time.now_us(), || line().replace(&*folder, ""));
    }

    /// Puts a violation on record.
    pub fn violated(&self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATED {invariant}: {what}"));
        self.oracle.lock().violated(invariant, what);
    }

    /// The way of a process to the log.
    pub fn way(&self, process: &Arc<Process>) -> Way {
        Way::new(&self.cluster, process, &self.weather, &self.calm)
    }

    /// Hears what the barriers are handed.
    pub fn tap(&self) -> Tap {
        let (oracle, time) = (self.oracle.clone(), self.time.clone());
        Arc::new(move |record| oracle.lock().delivered(record, time.now_us()))
    }

    /// By how much the clock of a process is off.
    pub fn skew(&self, rng: &mut Rng) -> i64 {
        let us = rng.below(SKEW_US).cast_signed();
        if rng.chance(500) {
            us
        } else {
            -us
        }
    }

    fn look(&self, raises: &mut usize) {
        let mut oracle = self.oracle.lock();
        let before = oracle.violations().len();
        oracle.issued(&self.cluster.all(topics::REGISTRY));
        for raise in self.machine.raises(*raises) {
            oracle.raised(&raise, &self.cluster);
            *raises += 1;
        }
        oracle.follow(&self.cluster);
        let found: Vec<Violation> = oracle.violations().iter().skip(before).cloned().collect();
        drop(oracle);
        for violation in found {
            self.note(|| format!("VIOLATED {}: {}", violation.invariant, violation.what));
        }
    }
}

/// Lives through the world of a seed.
///
/// # Panics
/// When the machine running it has no temporary folder or no thread.
pub fn run(seed: u64, options: Options) -> Outcome {
    let time = Arc::new(Time::default());
    let jumping = time.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || jumping.jump()).build();
    let runtime = runtime.expect("a runtime of one thread");
    let shm = PathBuf::from("/dev/shm");
    // In memory, unless somebody says where: a disk takes longer and the processors less.
    let dir = if shm.is_dir() && std::env::var_os("TMPDIR").is_none() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }
        .expect("a temporary folder");
    let outcome = runtime.block_on(Root::new(live(seed, options, time.clone(), dir.path().to_owned()), &time));
    drop(runtime);
    outcome
}

async fn live(seed: u64, options: Options, time: Arc<Time>, dir: PathBuf) -> Outcome {
    let mut rng = Rng::new(seed, "world");
    let drawn = rng.chance(550);
    let kafka = options.plant.and_then(Plant::needs_cluster).or(options.cluster).unwrap_or(drawn);
    let trace = Arc::new(Trace::new(options.trace));
    let specs = topics::default_specs(1, 1);
    let names = specs.iter().map(|s| s.name.as_str()).chain(std::iter::once(ANSWERS));
    let cluster = Cluster::new(kafka, names, options.plant, &time, &trace, Rng::new(seed, "cluster"));
    // Every world has its own mixture: some faults often, others never.
    // Some have all of them, and those with a planted bug.
    let rough = rng.chance(250) || options.plant.is_some();
    let mut often = |per_mille: u64, max: u64| match (rough, rng.chance(per_mille)) {
        (true, _) => rng.between(max / 2, max),
        (false, true) => rng.between(1, max),
        (false, false) => 0,
    };
    let weather = Weather { delay_us: 200 + often(700, 30_000), slow: often(400, 12), refuse: often(500, 40), lose_answer: often(500, 40) };
    let (slow, fault) = (often(300, 150), often(200, 30));
    let lanes: Vec<&str> = LANES.iter().map(|(lane, ..)| *lane).collect();
    let world = Arc::new(World {
        seed,
        plant: options.plant,
        disk_fails: often(400, 20),
        power_fails: often(600, 700),
        wipe: often(300, 400),
        batch_max: usize::try_from(*rng.pick(&[1u64, 3, 16, 256])).unwrap_or(1),
        weather: Arc::new(weather),
        machine: Machine::new(&lanes, &time, &trace, Rng::new(seed, "machine"), slow, fault),
        oracle: Arc::new(Mutex::new(Oracle::new(SITE, 2 * SKEW_US.cast_signed() + 1_000))),
        calm: Arc::new(AtomicBool::new(false)),
        faults: Mutex::new(0),
        rough,
        cluster,
        trace,
        time,
        dir,
    });
    let nodes: Vec<Arc<Node>> = (1..=if kafka { 2 } else { 1 }).map(|n| Node::new(&world, n)).collect();
    let site = Site::new(&world);
    let stop = Flag::default();
    let barrier: Arc<Mutex<Option<Arc<Process>>>> = Arc::default();
    let driving = tokio::spawn(barriers(world.clone(), barrier.clone(), stop.clone()));
    let living: Vec<_> = nodes.iter().map(|n| tokio::spawn(n.clone().live(world.clone(), stop.clone()))).collect();
    site.register().await;

    let lasts_s = rng.between(60, 180);
    let until_us = world.time.now_us() + lasts_s * 1_000_000;
    let mut busy = vec![
        tokio::spawn(site.clone().traffic(until_us)),
        tokio::spawn(site.clone().keep(until_us)),
        tokio::spawn(site.clone().guard(until_us + 60_000_000)),
        tokio::spawn(chaos(world.clone(), nodes.clone(), barrier.clone(), until_us)),
    ];
    let mut raises = 0;
    while busy.iter().any(|task| !task.is_finished()) && world.oracle.lock().violations().is_empty() {
        world.time.sleep_ms(LOOKS_MS).await;
        world.look(&mut raises);
    }
    // The faults are over; what is left over is worked off.
    world.calm.store(true, Ordering::SeqCst);
    *world.cluster.down_until.lock() = 0;
    for node in &nodes {
        node.heal();
        if let Some(process) = node.process() {
            process.heal();
        }
    }
    if let Some(process) = barrier.lock().as_ref() {
        process.heal();
    }
    let rests_by = world.time.now_us() + RESTS_MS * 1000;
    let mut unrest = Some(String::new());
    while world.oracle.lock().violations().is_empty() {
        world.time.sleep_ms(LOOKS_MS).await;
        world.look(&mut raises);
        unrest = match site.under_way() {
            0 => restless(&world, &nodes),
            n => Some(format!("{n} reads are under way")),
        };
        if unrest.is_none() || world.time.now_us() > rests_by {
            break;
        }
    }
    if world.oracle.lock().violations().is_empty() {
        if let Some(why) = unrest {
            world.violated("I6", format!("the world does not come to rest: {why}"));
        }
    }
    judge(&world, &nodes, &site, &stop, living).await;
    for task in busy.drain(..).chain(std::iter::once(driving)) {
        task.abort();
    }
    let oracle = world.oracle.lock();
    let [decisions, commands, passages, uses] = oracle.counts();
    let (hash, lines) = world.trace.hash();
    let faults = *world.faults.lock();
    let violations = oracle.violations().to_vec();
    let entries = oracle.entries() as u64;
    drop(oracle);
    Outcome {
        seed,
        cluster: kafka,
        violations,
        hash,
        lines,
        tail: world.trace.tail(200),
        counts: Counts {
            entries,
            decisions,
            commands,
            raises: raises as u64,
            passages,
            uses,
            faults,
            seconds: world.time.now_us() / 1_000_000,
        },
    }
}

/// The end: stores against the journal, everything against what was sent.
async fn judge(world: &Arc<World>, nodes: &[Arc<Node>], site: &Arc<Site>, stop: &Flag, living: Vec<tokio::task::JoinHandle<()>>) {
    let mut stores = Vec::new();
    for node in nodes {
        if let Some(handle) = node.handle() {
            let store = handle.store();
            match store.journal_after(0, usize::MAX) {
                Ok(entries) => {
                    let bytes: Vec<Vec<u8>> = entries.into_iter().map(|(_, bytes)| bytes).collect();
                    stores.push((node.name().to_owned(), bytes, store.published()));
                }
                Err(e) => world.violated("I7", format!("{}: {e}", node.name())),
            }
        }
    }
    stop.set(true);
    for task in living {
        tokio::select! {
            biased;
            _ = task => {}
            () = world.time.sleep_ms(120_000) => world.violated("I6", "a node does not stop"),
        }
    }
    for node in nodes {
        if node.dir().exists() && node.handle().is_none() {
            node.examine(world);
        }
    }
    let (accepted, misfits) = site.accepted();
    let mut oracle = world.oracle.lock();
    if oracle.violations().is_empty() {
        for (name, entries, published) in &stores {
            oracle.store(name, entries, *published);
        }
        oracle.finish(&world.cluster, &accepted, misfits);
    }
    let found: Vec<Violation> = oracle.violations().to_vec();
    for violation in found {
        world.note(|| format!("VIOLATED {}: {}", violation.invariant, violation.what));
    }
}

/// Why the world has not come to rest; none: it has.
fn restless(world: &World, nodes: &[Arc<Node>]) -> Option<String> {
    let mut owners = 0;
    for node in nodes {
        let name = node.name();
        let Some(handle) = node.handle() else { return Some(format!("{name} does not run")) };
        let status = handle.status();
        let store = handle.store();
        match status.standing {
            Standing::Owner => {
                owners += 1;
                if !status.caught_up || status.trouble.is_some() || store.outbox_depth() > 0 {
                    return Some(format!("{name} owns, and has {} entries to publish: {status:?}", store.outbox_depth()));
                }
                for topic in [topics::READS, topics::REGISTRY] {
                    let (known, end) = (store.offset(topic, 0).ok().flatten().unwrap_or(0), world.cluster.end(topic, 0));
                    if known < end {
                        return Some(format!("{name} has taken {topic} in up to {known} of {end}"));
                    }
                }
                match store.lanes() {
                    Ok(lanes) => {
                        if let Some(lane) = lanes.iter().find(|l| l.current.is_some() || l.behind.is_some()) {
                            return Some(format!("{}: somebody still stands there", lane.lane));
                        }
                    }
                    Err(e) => return Some(e.to_string()),
                }
                let published = world.oracle.lock().entries() as u64;
                if store.journal_head().seq != published {
                    return Some(format!("{name} is at entry {}, the log at {published}", store.journal_head().seq));
                }
            }
            Standing::Standby { .. } => {
                let published = world.oracle.lock().entries() as u64;
                if store.journal_head().seq != published {
                    return Some(format!("{name} stands by at entry {} of {published}", store.journal_head().seq));
                }
            }
            other => return Some(format!("{name} is {other:?}")),
        }
    }
    (owners != 1).then(|| format!("{owners} nodes own the site"))
}

/// Breaks things until then.
async fn chaos(world: Arc<World>, nodes: Vec<Arc<Node>>, barrier: Arc<Mutex<Option<Arc<Process>>>>, until_us: u64) {
    let mut rng = Rng::new(world.seed, "chaos");
    let pace_ms = if world.rough { 4_000 } else { *rng.pick(&[4_000u64, 12_000, 40_000, 1_000_000]) };
    let kinds: Vec<bool> = [800, 600, 600, 500, 500, 400, 500].map(|often| rng.chance(often) || world.rough).to_vec();
    while world.time.now_us() < until_us {
        let pause = rng.between(200, 2 * pace_ms).min(until_us.saturating_sub(world.time.now_us()) / 1000 + 1);
        world.time.sleep_ms(pause).await;
        if world.time.now_us() >= until_us {
            return;
        }
        let what = rng.below(7);
        let on = usize::try_from(what).ok().and_then(|w| kinds.get(w)).copied().unwrap_or(false);
        let process = rng.pick(&nodes).process();
        let ms = if rng.chance(300) { rng.between(9_000, 30_000) } else { rng.between(100, 9_000) };
        let clocks = [-2i64, -1, 1, 2];
        let step_us = *rng.pick(&clocks) * rng.between(100_000, 3_000_000).cast_signed();
        if !on {
            continue;
        }
        *world.faults.lock() += 1;
        match (what, process) {
            (0, Some(node)) => {
                world.note(|| format!("chaos: kill {}", node.name));
                node.kill();
            }
            (1, Some(node)) => {
                world.note(|| format!("chaos: freeze {} for {ms} ms", node.name));
                node.freeze(ms);
            }
            (2, Some(node)) => {
                world.note(|| format!("chaos: cut {} off for {ms} ms", node.name));
                node.cut(ms);
            }
            (3, _) => {
                world.note(|| format!("chaos: the log is away for {ms} ms"));
                *world.cluster.down_until.lock() = world.time.now_us() + ms * 1000;
            }
            (4, _) => {
                let process = barrier.lock().clone();
                if let Some(process) = process {
                    world.note(|| "chaos: kill the barriers' process".to_owned());
                    process.kill();
                }
            }
            (5, Some(node)) => {
                // What NTP does not correct: the node's clock is set, the barrier's is not.
                world.note(|| format!("chaos: the clock of {} steps by {step_us} µs", node.name));
                node.skew_us.fetch_add(step_us, Ordering::SeqCst);
            }
            _ => {
                world.note(|| "chaos: the group is shared out anew".to_owned());
                world.cluster.rebalance(&format!("portgate-decide.{SITE}"));
            }
        }
        if world.plant == Some(Plant::ClockBack) {
            if let Some(process) = barrier.lock().as_ref() {
                world.note(|| "planted: the barriers' clock is set back".to_owned());
                process.skew_us.store(-120_000_000, Ordering::SeqCst);
                process.cut(12_000);
            }
        }
        if matches!(world.plant, Some(Plant::BarrierExpired)) {
            if let Some(process) = barrier.lock().as_ref() {
                process.cut(rng.between(2_000, 20_000));
            }
        }
        world.time.sleep(Duration::from_millis(1)).await;
    }
}

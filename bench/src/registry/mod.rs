//! Deciding over registries of ten thousand to ten million vehicles: the gate's store and rules, the
//! bare reads of the same keys, and the same facts asked of PostgreSQL.

mod made;
mod ours;
mod postgres;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::machine;
use crate::report::Report;
use crate::spread::Spread;
use ours::{Arrivals, Pass};
use tables::{Question, Way};

/// Rounds of everything that is compared.
const ROUNDS: usize = 3;
/// Vehicles that come to the gate on a day …
const DAY: u64 = 20_000;
/// … and how often, all of them together: each comes and goes about twice.
const DAY_ARRIVALS: usize = 80_000;
/// Vehicles drawn from the whole registry, a round.
const DRAWN: usize = 50_000;
/// Checks of PostgreSQL timed one by one, a round …
const ASKED: usize = 10_000;
/// … with so many in the making where the rate is measured, so that its core is never idle.
const AHEAD: usize = 16;
/// Vehicles whose answers are compared with what was made.
const VERIFIED: usize = 2_000;
const SEED: u64 = 20_260_310;

/// Sizes to measure: always the first two; ten million where asked for, or made already.
pub fn sizes(cache: &Path) -> Vec<u64> {
    let asked = std::env::var("PORTGATE_BENCH_SCALE").unwrap_or_default().to_lowercase();
    let mut sizes = vec![10_000];
    if asked != "10k" {
        sizes.push(1_000_000);
    }
    if asked == "10m" || asked.is_empty() && ours::is_made(cache, 10_000_000) {
        sizes.push(10_000_000);
    }
    sizes
}

/// The store of a registry of so many vehicles, from the cache or made now.
///
/// # Errors
/// What the disk says.
pub fn kept(cache: &Path, vehicles: u64) -> anyhow::Result<PathBuf> {
    Ok(ours::make(cache, vehicles)?.0)
}

/// What one kind of arrivals cost the gate.
#[derive(Clone, Copy)]
struct Cost {
    decided: Spread,
    /// Processor time of one decision, microseconds.
    cpu_us: f64,
}

/// Measures over registries that lie in the folder `cache`, and adds the figures. `socket`: the
/// folder of PostgreSQL's socket.
///
/// # Errors
/// What disk or server say; a verdict or a fact that is not the expected one.
pub fn measure(report: &mut Report, cache: &Path, socket: Option<&Path>) -> anyhow::Result<()> {
    let mut smallest: Option<(u64, Vec<Cost>)> = None;
    for vehicles in sizes(cache) {
        report.begin(&format!("a registry of {} vehicles", words(vehicles)));
        let (dir, making) = ours::make(cache, vehicles)?;
        let of = words(vehicles);
        report.add(format!("loading {of} vehicles, {} records", making.records), "1/s", making.records as f64 / making.seconds.max(1e-9));
        report.add(format!("loading {of} vehicles, memory held at most"), "MiB", making.peak_mib);
        let mut server = match socket {
            Some(socket) => Some(tables::open(socket, vehicles)?),
            None => None,
        };
        let ours_bytes = bytes(&dir) as f64;
        match &mut server {
            Some(server) => report.beside(
                format!("{of} vehicles on the disk"),
                "MB",
                ours_bytes / 1e6,
                "PostgreSQL's tables and indexes",
                tables::bytes(server)? / 1e6,
            ),
            None => report.add(format!("{of} vehicles on the disk"), "MB", ours_bytes / 1e6),
        }
        read_through(&dir);
        report.begin(&format!("decisions over {of} vehicles"));
        let costs = [day(report, &dir, vehicles, server.as_mut())?, drawn(report, &dir, vehicles, server.as_mut())?];
        report.memory(&format!("deciding over {of} vehicles"));
        match &smallest {
            Some((least, small)) => {
                for ((cost, small), which) in costs.iter().zip(small).zip(["a day's vehicles", "drawn vehicles"]) {
                    let (figure, with) = (format!("decision over {of}, {which}"), format!("over {}", words(*least)));
                    report.beside(
                        format!("{figure}, p50"),
                        "µs",
                        cost.decided.p50_ms * 1e3,
                        format!("{with}, p50"),
                        small.decided.p50_ms * 1e3,
                    );
                    report.beside(format!("{figure}, processor time"), "µs", cost.cpu_us, with, small.cpu_us);
                }
            }
            None => smallest = Some((vehicles, costs.to_vec())),
        }
    }
    Ok(())
}

/// A day's vehicles, who come again and again: the store has been open since yesterday.
fn day(report: &mut Report, dir: &Path, vehicles: u64, server: Option<&mut postgres::Client>) -> anyhow::Result<Cost> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let todays: Vec<u64> = draw(&mut rng, vehicles, DAY.min(vehicles) as usize);
    let mut arrivals: Vec<u64> = todays.iter().copied().cycle().take(DAY_ARRIVALS).collect();
    arrivals.shuffle(&mut rng);

    let (store, opening) = ours::open(dir)?;
    let what = format!("{} vehicles, {} of them today", words(vehicles), words(todays.len() as u64));
    report.add(format!("opening a registry of {} vehicles", words(vehicles)), "s", opening.as_secs_f64());
    let come = Arrivals::new(&arrivals, vehicles);
    let keys = ours::keys(&store, &come)?;
    report.add(format!("keys read for a decision, {what}"), "", keys.iter().map(Vec::len).sum::<usize>() as f64 / keys.len().max(1) as f64);
    ours::decide_all(&store, &come)?;
    let (mut bare, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(ours::read_all(&store, &keys)?);
        decided.push(ours::decide_all(&store, &come)?);
    }
    if let Some(resident) = machine::resident_mib() {
        report.add(format!("memory held after that, {what}"), "MiB", resident);
    }
    drop(store);
    compare(report, &what, &decided, &bare, server, &[arrivals], vehicles)
}

/// Vehicles drawn evenly from the whole registry, mostly never seen before: each round with a store
/// just opened, whose own cache is empty.
fn drawn(report: &mut Report, dir: &Path, vehicles: u64, server: Option<&mut postgres::Client>) -> anyhow::Result<Cost> {
    let mut rng = StdRng::seed_from_u64(SEED + 1);
    let what = format!("{} vehicles, drawn from all", words(vehicles));
    let (mut bare, mut decided, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let arrivals: Vec<u64> = (0..DRAWN).map(|_| rng.random_range(0..vehicles)).collect();
        let come = Arrivals::new(&arrivals, vehicles);
        let keys = ours::keys(&ours::open(dir)?.0, &come)?;
        bare.push(ours::read_all(&ours::open(dir)?.0, &keys)?);
        decided.push(ours::decide_all(&ours::open(dir)?.0, &come)?);
        rounds.push(arrivals);
    }
    compare(report, &what, &decided, &bare, server, &rounds, vehicles)
}

/// Adds what decisions cost beside the bare reads and beside PostgreSQL.
fn compare(
    report: &mut Report,
    what: &str,
    decided: &[Pass],
    bare: &[Pass],
    server: Option<&mut postgres::Client>,
    arrivals: &[Vec<u64>],
    vehicles: u64,
) -> anyhow::Result<Cost> {
    let spread = |passes: &[Pass]| Spread::median(&passes.iter().map(|p| Spread::of(p.runs.clone())).collect::<Vec<_>>());
    let cpu_us = |passes: &[Pass]| {
        let each = passes.iter().map(|p| p.cpu.as_secs_f64() * 1e6 / p.runs.len().max(1) as f64);
        median(each.collect())
    };
    let (ours, least) = (spread(decided), spread(bare));
    let cost = Cost { decided: ours, cpu_us: cpu_us(decided) };
    let (figure, with) = (format!("decision, {what}"), "bare reads of its keys");
    micros(report, &figure, &ours, with, &least);
    report.beside(format!("{figure}, processor time"), "µs", cost.cpu_us, format!("{with}, processor time"), cpu_us(bare));
    report.add(format!("decisions by the clock, {what}"), "1/s", ours.per_second);
    let Some(server) = server else { return Ok(cost) };

    let questions: Vec<Vec<Question>> =
        arrivals.iter().map(|round| round.iter().map(|n| Question::about(*n, vehicles)).collect()).collect();
    let mut best: Option<(f64, &str)> = None;
    for way in Way::ALL {
        let asked = ask_all(server, way, &questions)?;
        micros(report, &format!("PostgreSQL, {}, {what}", way.words()), &asked.one_by_one, "decision", &ours);
        let rate = 1e6 / asked.cpu_us.max(1e-9);
        report.add(format!("PostgreSQL, {}, checks a second of its core, {what}", way.words()), "1/s", rate);
        if best.is_none_or(|(most, _)| rate > most) {
            best = Some((rate, way.words()));
        }
    }
    if let Some((rate, words)) = best {
        let with = format!("PostgreSQL at its best ({words})");
        report.beside(format!("decisions a second of one core, {what}"), "1/s", 1e6 / cost.cpu_us.max(1e-9), with, rate);
    }
    Ok(cost)
}

/// What a check cost PostgreSQL.
struct Asked {
    one_by_one: Spread,
    /// Processor time of the server's process for one, microseconds; the client's is not counted.
    cpu_us: f64,
}

fn ask_all(server: &mut postgres::Client, way: Way, rounds: &[Vec<Question>]) -> anyhow::Result<Asked> {
    for question in rounds.iter().flatten().take(VERIFIED) {
        tables::verify(server, way, question)?;
    }
    let (mut one_by_one, mut cpu_us) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let Some(questions) = rounds.get(round % rounds.len().max(1)) else { continue };
        // The whole round first, many at once: it warms what the single ones find.
        let before = tables::server_cpu(server);
        let rows = ask_ahead(server, way, questions)?;
        ensure!(rows >= questions.len(), "PostgreSQL answered {rows} rows to {} checks", questions.len());
        if let (Some(before), Some(after)) = (before, tables::server_cpu(server)) {
            cpu_us.push(after.saturating_sub(before).as_secs_f64() * 1e6 / questions.len().max(1) as f64);
        }
        let mut runs = Vec::with_capacity(ASKED);
        for question in questions.iter().take(ASKED) {
            let started = Instant::now();
            tables::ask(server, way, question);
            server.send()?;
            server.answers(1)?;
            runs.push(started.elapsed());
        }
        one_by_one.push(Spread::of(runs));
    }
    Ok(Asked { one_by_one: Spread::median(&one_by_one), cpu_us: median(cpu_us) })
}

fn ask_ahead(server: &mut postgres::Client, way: Way, questions: &[Question]) -> anyhow::Result<usize> {
    let (mut rows, mut out) = (0, 0);
    for chunk in questions.chunks(AHEAD) {
        for question in chunk {
            tables::ask(server, way, question);
        }
        server.send()?;
        // The answers to the chunk before are taken in while this one is in the making.
        if out > 0 {
            rows += server.answers(out)?;
        }
        out = chunk.len();
    }
    Ok(rows + server.answers(out)?)
}

/// So many different numbers below `below`.
fn draw(rng: &mut StdRng, below: u64, count: usize) -> Vec<u64> {
    let mut drawn = std::collections::BTreeSet::new();
    while drawn.len() < count.min(below as usize) {
        drawn.insert(rng.random_range(0..below));
    }
    let mut drawn: Vec<u64> = drawn.into_iter().collect();
    drawn.shuffle(rng);
    drawn
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn micros(report: &mut Report, figure: &str, value: &Spread, with: &str, other: &Spread) {
    report.beside(format!("{figure}, p50"), "µs", value.p50_ms * 1e3, format!("{with}, p50"), other.p50_ms * 1e3);
    report.beside(format!("{figure}, p99"), "µs", value.p99_ms * 1e3, format!("{with}, p99"), other.p99_ms * 1e3);
}

/// A number of vehicles, as figures say it.
pub fn words(vehicles: u64) -> String {
    match vehicles {
        1_000_000.. => format!("{} million", vehicles / 1_000_000),
        _ => format!("{} thousand", vehicles / 1_000),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn bytes(dir: &Path) -> u64 {
    files(dir).iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Reads all files once, so that the system has them in memory as far as there is any.
fn read_through(dir: &Path) {
    for path in files(dir) {
        if let Ok(mut file) = std::fs::File::open(path) {
            let _ = std::io::copy(&mut file, &mut std::io::sink());
        }
    }
}

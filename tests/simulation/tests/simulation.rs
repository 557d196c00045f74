//! As many seeds as fit into a minute or so, the seeds that once found something, and proof that
//! the oracle sees. `PORTGATE_SIMULATION_S` sets the seconds for the seeds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portgate_simulation::{run, Options, Outcome, Plant, REGRESSIONS};

/// Seeds within which each planted bug must be found.
const FOUND_WITHIN: u64 = 100;

fn held(outcome: &Outcome) {
    assert!(
        outcome.violations.is_empty(),
        "seed {} violates {:#?}\nsee portgate-simulation --seed {} --trace; the end of it:\n{}",
        outcome.seed,
        outcome.violations,
        outcome.seed,
        outcome.tail.join("\n")
    );
}

/// Runs `world` for numbers from `from` on, on every core, until one of them says that it is enough.
fn on_every_core(from: u64, world: impl Fn(u64) -> bool + Sync) -> u64 {
    let next = AtomicU64::new(from);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| while world(next.fetch_add(1, Ordering::SeqCst)) {});
        }
    });
    next.load(Ordering::SeqCst).saturating_sub(from + cores as u64)
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for cluster in [true, false] {
        let options = Options { cluster: Some(cluster), ..Options::default() };
        for seed in 0..3 {
            let (first, second) = (run(seed, options), run(seed, options));
            assert_eq!((first.hash, first.lines), (second.hash, second.lines), "seed {seed}, cluster: {cluster}");
            assert_eq!(first.counts, second.counts);
            assert!(first.lines > 100 && first.counts.decisions > 0, "{:?}", first.counts);
        }
    }
}

#[test]
fn seeds_that_once_found_something_hold() {
    for seed in REGRESSIONS {
        held(&run(*seed, Options::default()));
    }
}

#[test]
fn every_invariant_holds_whatever_breaks() {
    let seconds = std::env::var("PORTGATE_SIMULATION_S").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let until = Instant::now() + Duration::from_secs(seconds);
    let failed: Mutex<Vec<Outcome>> = Mutex::default();
    let sums: Mutex<[u64; 5]> = Mutex::default();
    let seeds = on_every_core(0, |seed| {
        let outcome = run(seed, Options::default());
        let c = outcome.counts;
        if let Ok(mut sums) = sums.lock() {
            for (sum, n) in sums.iter_mut().zip([c.decisions, c.raises, c.uses, c.faults, u64::from(outcome.cluster)]) {
                *sum += n;
            }
        }
        if !outcome.violations.is_empty() {
            failed.lock().expect("no panic holds it").push(outcome);
            return false;
        }
        Instant::now() < until && failed.lock().expect("no panic holds it").is_empty()
    });
    let [decisions, raises, uses, faults, clusters] = sums.into_inner().expect("no panic holds it");
    println!("{seeds} seeds ({clusters} clusters): {decisions} decisions, {raises} raises, {uses} single uses, {faults} faults");
    for outcome in failed.into_inner().expect("no panic holds it") {
        held(&outcome);
    }
    // A world in which nothing happens proves nothing.
    assert!(decisions > seeds && raises > seeds && uses > 0 && faults > 0, "{decisions} {raises} {uses} {faults}");
}

#[test]
fn every_planted_bug_is_found() {
    let needed: Mutex<BTreeMap<&str, Option<(u64, &str)>>> = Mutex::default();
    on_every_core(0, |n| {
        let Some((plant, name)) = usize::try_from(n).ok().and_then(|n| Plant::ALL.get(n)) else { return false };
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            let outcome = run(seed, Options { plant: Some(*plant), ..Options::default() });
            outcome.violations.first().map(|v| (seed + 1, v.invariant))
        });
        needed.lock().expect("no panic holds it").insert(name, found);
        true
    });
    let needed = needed.into_inner().expect("no panic holds it");
    for (name, found) in &needed {
        println!("{name:<24} {found:?}");
    }
    assert_eq!(needed.len(), Plant::ALL.len());
    assert!(needed.values().all(Option::is_some), "within {FOUND_WITHIN} seeds: {needed:?}");
}

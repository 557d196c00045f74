//! `portgate-simulation`: one seed, many seeds, or the table of planted bugs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portgate_simulation::{run, Options, Outcome, Plant};
use serde_json::{json, Value};

const USAGE: &str = "portgate-simulation --seed N [--trace] [--plant NAME] [--cluster | --one]
portgate-simulation --seeds N [--from N] [--minutes N] [--threads N] [--plant NAME] [--out FILE]
portgate-simulation --plants [--tries N] [--most N] [--out FILE]";

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: Option<u64>,
    from: u64,
    minutes: Option<u64>,
    threads: Option<u64>,
    plants: bool,
    tries: Option<u64>,
    most: Option<u64>,
    out: Option<String>,
    options: Options,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        match word.as_str() {
            "--seed" => found.seed = Some(number(next()?)?),
            "--seeds" => found.seeds = Some(number(next()?)?),
            "--from" => found.from = number(next()?)?,
            "--minutes" => found.minutes = Some(number(next()?)?),
            "--threads" => found.threads = Some(number(next()?)?),
            "--tries" => found.tries = Some(number(next()?)?),
            "--most" => found.most = Some(number(next()?)?),
            "--out" => found.out = Some(next()?),
            "--plants" => found.plants = true,
            "--trace" => found.options.trace = true,
            "--cluster" => found.options.cluster = Some(true),
            "--one" => found.options.cluster = Some(false),
            "--plant" => {
                let name = next()?;
                let names: Vec<&str> = Plant::ALL.iter().map(|(_, n)| *n).collect();
                found.options.plant = Some(Plant::named(&name).ok_or_else(|| format!("there is no planted bug {name}: {names:?}"))?);
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(found)
}

fn tell(outcome: &Outcome) {
    println!("seed {} ({}) violates:", outcome.seed, if outcome.cluster { "cluster" } else { "one machine" });
    for violation in &outcome.violations {
        println!("  {} {}", violation.invariant, violation.what);
    }
    println!("  the end of its trace (all of it: portgate-simulation --seed {} --trace):", outcome.seed);
    for line in outcome.tail.iter().skip(outcome.tail.len().saturating_sub(40)) {
        println!("  {line}");
    }
}

/// Runs seeds `from..from + n` until the time is over; answers with how many and those that failed.
fn campaign(a: &Arguments, n: u64) -> Value {
    let began = Instant::now();
    let limit = a.minutes.map(|m| Duration::from_secs(m * 60));
    let next = AtomicU64::new(a.from);
    let sums: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let failed: Mutex<Vec<Value>> = Mutex::default();
    let threads = a.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let seed = next.fetch_add(1, Ordering::SeqCst);
                if seed >= a.from + n || limit.is_some_and(|l| began.elapsed() > l) {
                    return;
                }
                let outcome = run(seed, Options { trace: false, ..a.options });
                if let Ok(mut sums) = sums.lock() {
                    let c = outcome.counts;
                    let mode = if outcome.cluster { "worlds_cluster" } else { "worlds_one_machine" };
                    let all = [
                        ("seeds", 1),
                        (mode, 1),
                        ("journal_entries", c.entries),
                        ("decisions", c.decisions),
                        ("open_commands", c.commands),
                        ("raises", c.raises),
                        ("passages", c.passages),
                        ("single_uses", c.uses),
                        ("faults", c.faults),
                        ("virtual_seconds", c.seconds),
                    ];
                    for (name, n) in all {
                        *sums.entry(name).or_insert(0) += n;
                    }
                    let done = sums.get("seeds").copied().unwrap_or(0);
                    if done % 100 == 0 {
                        println!("{done} seeds, {:.0} s", began.elapsed().as_secs_f64());
                    }
                }
                if !outcome.violations.is_empty() {
                    tell(&outcome);
                    let what: Vec<String> = outcome.violations.iter().map(|v| format!("{} {}", v.invariant, v.what)).collect();
                    if let Ok(mut failed) = failed.lock() {
                        failed.push(json!({"seed": seed, "violations": what}));
                    }
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap_or_default();
    let failed = failed.into_inner().unwrap_or_default();
    json!({"from": a.from, "asked": n, "sums": sums, "violated": failed, "seconds": began.elapsed().as_secs()})
}

/// How many seeds it takes to find each planted bug, several times over.
fn plants(a: &Arguments) -> Value {
    let (tries, most) = (a.tries.unwrap_or(5), a.most.unwrap_or(200));
    println!("planted bug              seeds needed (median of {tries}; each)        by");
    let next = AtomicUsize::new(0);
    let table: Mutex<BTreeMap<usize, Value>> = Mutex::default();
    let threads = a.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let Some((plant, name)) = Plant::ALL.get(n) else { return };
                let row = planted(*plant, name, tries, most);
                if let Ok(mut table) = table.lock() {
                    table.insert(n, row);
                }
            });
        }
    });
    let table: Vec<Value> = table.into_inner().unwrap_or_default().into_values().collect();
    json!({"most": most, "table": table})
}

/// One row of the table.
fn planted(plant: Plant, name: &str, tries: u64, most: u64) -> Value {
    let mut needed = Vec::new();
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    for t in 0..tries {
        let from = 1_000_000 * (t + 1);
        let found = (0..most).find_map(|n| {
            let outcome = run(from + n, Options { plant: Some(plant), ..Options::default() });
            outcome.violations.first().map(|v| (n + 1, v.invariant))
        });
        if let Some((_, invariant)) = found {
            *by.entry(invariant).or_insert(0) += 1;
        }
        needed.push(found.map(|(n, _)| n));
    }
    let mut sorted: Vec<u64> = needed.iter().map(|n| n.unwrap_or(u64::MAX)).collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().filter(|m| *m < u64::MAX);
    let each: Vec<String> = needed.iter().map(|n| n.map_or_else(|| format!(">{most}"), |n| n.to_string())).collect();
    let by: Vec<String> = by.iter().map(|(invariant, n)| format!("{invariant} {n}")).collect();
    println!("{name:<24} {:<8} {:<36} {}", median.map_or_else(|| format!(">{most}"), |m| m.to_string()), each.join(" "), by.join(", "));
    json!({"bug": name, "median": median, "each": needed, "by": by})
}

fn main() {
    let a = match arguments() {
        Ok(a) => a,
        Err(usage) => {
            eprintln!("{usage}");
            std::process::exit(2);
        }
    };
    let (result, violated) = if let Some(seed) = a.seed {
        let outcome = run(seed, a.options);
        if outcome.violations.is_empty() {
            println!("seed {seed}: every invariant holds; trace {:016x} of {} lines; {:?}", outcome.hash, outcome.lines, outcome.counts);
        } else {
            tell(&outcome);
        }
        (Value::Null, !outcome.violations.is_empty())
    } else if a.plants {
        let table = plants(&a);
        let missed =
            table.get("table").and_then(Value::as_array).is_some_and(|t| t.iter().any(|row| row.get("median").is_none_or(Value::is_null)));
        (table, missed)
    } else if let Some(n) = a.seeds {
        let result = campaign(&a, n);
        println!("{result:#}");
        let violated = result.get("violated").and_then(Value::as_array).is_some_and(|v| !v.is_empty());
        (result, violated)
    } else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    if let Some(out) = &a.out {
        if let Err(e) = std::fs::write(out, format!("{result:#}\n")) {
            eprintln!("{out}: {e}");
            std::process::exit(2);
        }
    }
    std::process::exit(i32::from(violated));
}

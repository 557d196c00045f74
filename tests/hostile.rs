//! Files from outside that are damaged or meant to do damage: each is taken or refused with a reason, and
//! nothing crashes, hangs or grows. `PORTGATE_FUZZ` sets how many inputs each target gets.

use std::path::Path;
use std::time::{Duration, Instant};

use portgate_core::policy::Policy;
use portgate_core::registry::Kind;
use portgate_core::scenario;
use portgate_dashboards::import;
use portgate_engine::parse_lines;

use crate::mutate::{inputs, Mutator};
use crate::support::{portgate, text};

/// Longest that one input may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

fn file(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Gives `target` bent examples; answers how many it took.
fn bend(name: &str, usual: usize, examples: &[&[u8]], mut target: impl FnMut(&[u8]) -> bool) {
    let (mut mutator, mut taken, count) = (Mutator::new(usual as u64), 0, inputs(usual));
    for n in 0..count {
        let input = mutator.bend(examples);
        let began = Instant::now();
        taken += usize::from(target(&input));
        assert!(began.elapsed() < LONGEST, "{name}: input {n} took {:?}: {:?}", began.elapsed(), String::from_utf8_lossy(&input));
    }
    println!("{name}: {count} inputs, {taken} taken");
    assert!(taken < count, "{name}: nothing was refused");
    assert!(examples.iter().any(|e| target(e)), "{name}: not even the examples are taken");
}

#[test]
fn registry_files_are_taken_or_refused() {
    let lines = file("docs/example-truck.jsonl");
    let each: Vec<&[u8]> = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).chain([lines.as_slice()]).collect();
    bend("registry, JSON Lines", 20_000, &each, |input| parse_lines(input).is_ok_and(|l| !l.is_empty()));
    bend("registry, JSON Lines over HTTP", 20_000, &each, |input| {
        std::str::from_utf8(input).is_ok_and(|text| import::json_lines(text).is_ok_and(|c| !c.is_empty()))
    });
    let csv = "plate,category,registration,body\n苏G12345,PF_GENERAL,APPROVED,FREIGHT\n\"苏G1,2\",BIZ_STAFF,APPROVED,PASSENGER\n";
    bend("registry, CSV", 20_000, &[csv.as_bytes()], |input| {
        std::str::from_utf8(input).is_ok_and(|text| import::csv(Kind::Vehicle, text).is_ok_and(|c| !c.is_empty()))
    });
}

#[test]
fn scenario_files_are_run_or_refused() {
    let files = ["tests/scenarios/regulations.yaml", "tests/scenarios/courses.yaml", "tests/scenarios/corners.yaml"].map(file);
    // Heads with the first entries: a whole file takes too long for thousands of them.
    let heads: Vec<Vec<u8>> = files.iter().map(|f| head(f, 3)).collect();
    let examples: Vec<&[u8]> = heads.iter().map(Vec::as_slice).collect();
    bend("scenarios", 2_000, &examples, |input| std::str::from_utf8(input).is_ok_and(|text| scenario::run_file(text).is_ok()));
}

/// The file up to its entry `n`.
fn head(file: &[u8], n: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(file);
    let ends: Vec<usize> = text.match_indices("\n  - id:").map(|(at, _)| at).collect();
    let ends = if ends.is_empty() { text.match_indices("\n- id:").map(|(at, _)| at).collect() } else { ends };
    text.as_bytes()[..ends.get(n).map_or(text.len(), |at| at + 1)].to_vec()
}

#[test]
fn policies_and_times_are_taken_or_refused() {
    let policy = serde_json::to_vec(&Policy::default()).unwrap();
    bend("policy", 20_000, &[&policy], |input| serde_json::from_slice::<Policy>(input).is_ok_and(|p| p.check().is_ok()));
    let times = ["2026-03-10T10:00:00+08:00", "2026-03-10T02:00:00.123456Z", "2026-12-31T23:59:59.999+08:00"].map(str::as_bytes);
    bend("times", 50_000, &times, |input| {
        let time = std::str::from_utf8(input).ok().and_then(|t| t.parse::<portgate_core::time::Instant>().ok());
        // What is read can be written and read again.
        time.is_some_and(|t| t.to_string().parse::<portgate_core::time::Instant>().is_ok())
    });
}

/// The program itself: a few dozen bent configurations, each an error that names the file or a start.
#[test]
fn configuration_files_are_read_or_refused() {
    let good = file("scripts/package/portgate.toml");
    let more = b"[site]\nid = \"LYG-1\"\n[[camera]]\nlane = \"JCZ-1.L1\"\nsource = \"a.mp4\"\nframes_per_s_max = 3.0\n[kafka]\nbrokers = \"h:1\"\n[kafka.settings]\n\"sasl.password\" = \"x\"\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bent.toml");
    bend("configuration", 60, &[&good, more], |input| {
        std::fs::write(&path, input).unwrap();
        let out = portgate().args(["config", "--print", "--config"]).arg(&path).output().unwrap();
        let said = text(&out);
        match out.status.code() {
            Some(0) => true,
            Some(2) => {
                assert!(said.contains("bent.toml") && !said.contains("panicked"), "{said}");
                false
            }
            other => panic!("ended with {other:?}: {said}"),
        }
    });
}

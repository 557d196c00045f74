//! Frame → plate on one thread and on two, on the simulator's pictures; the networks beside ONNX Runtime.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use portgate_core::plate::PlateKind;
use portgate_ingest::sim::render::{made_up_plate, Body, Renderer, SceneLook, VehicleLook, HEIGHT_PX, WIDTH_PX};
use portgate_lpr::decode::Picture;
use portgate_lpr::{Models, Recogniser, Times};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::machine;
use crate::report::Report;
use crate::spread::Spread;

/// Different pictures of each sort.
const PICTURES: usize = 40;
/// How often each with a plate is read …
const ROUNDS: usize = 8;
/// … and each without.
const ROUNDS_EMPTY: usize = 4;
const SEED: u64 = 20_260_310;
/// The size of the larger pictures, pixels: the simulator's, enlarged until as high, and of that as
/// much as is as wide, with the plate in it.
const LARGE_PX: (i32, i32) = (1600, 1200);
/// How often each network runs in a round, and rounds, in turns with ONNX Runtime.
const NETWORK_RUNS: usize = 40;
const NETWORK_ROUNDS: usize = 3;
/// The networks, as their model files are named, and their inputs.
const NETWORKS: [(&str, [usize; 3]); 2] = [("detector", [3, 384, 512]), ("recogniser", [3, 48, 168])];

/// What passes a port's gate: mostly trucks.
const VEHICLES: [(Body, PlateKind); 4] = [
    (Body::Truck, PlateKind::Yellow),
    (Body::ContainerTruck, PlateKind::GreenLarge),
    (Body::TrailerRear, PlateKind::YellowTwoLine),
    (Body::Car, PlateKind::Blue),
];

/// A picture and the plate on it.
struct Sample {
    jpeg: Vec<u8>,
    plate: Option<String>,
}

/// Pictures read, one after the other.
#[derive(Default)]
struct Runs {
    whole: Vec<Duration>,
    full_decode: Vec<Duration>,
    stages: Vec<Times>,
    cpu: Option<Duration>,
    right: usize,
}

/// Measures, and adds the figures.
///
/// # Errors
/// A picture cannot be drawn or read.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.begin("drawing the pictures, loading the models");
    let Samples { with, without, large, large_empty, crops } = samples()?;
    let models = Arc::new(Models::built_in()?);
    let recogniser = Recogniser::new(models.clone());
    report.begin("frame → plate");
    read(&recogniser, with.get(..4).unwrap_or(&with), 1)?;
    frames(report, &recogniser, (WIDTH_PX, HEIGHT_PX), &with, &without)?;
    frames(report, &recogniser, LARGE_PX, &large, &large_empty)?;
    let crop = read_crops(&recogniser, &crops)?;
    report.add("cut-out plate → text, one thread, p50", "ms", crop.p50_ms);
    report.add("cut-out plate → text, one thread, p99", "ms", crop.p99_ms);
    two_threads(report, &recogniser, &large)?;
    if let Err(error) = beside_onnx_runtime(report, &models) {
        report.remark(format!("the networks' times beside ONNX Runtime are missing: {error:#}"));
    }
    report.memory("recognition, one thread");
    Ok(())
}

/// Pictures of one size, with a plate and without.
fn frames(
    report: &mut Report,
    recogniser: &Recogniser,
    (width, height): (i32, i32),
    with: &[Sample],
    without: &[Sample],
) -> anyhow::Result<()> {
    let with = read(recogniser, with, ROUNDS)?;
    let without = read(recogniser, without, ROUNDS_EMPTY)?;
    let name = format!("frame → plate, {width}×{height} JPEG, one thread");
    let (plate, empty) = (Spread::of(with.whole.clone()), Spread::of(without.whole));
    report.latency(&name, &plate, "decoding that JPEG in full, no more", &Spread::of(with.full_decode));
    for (stage, pick) in [("decode", (|t| t.decode) as fn(&Times) -> Duration), ("detect", |t| t.detect), ("recognise", |t| t.recognise)] {
        let spread = Spread::of(with.stages.iter().map(pick).collect());
        report.latency(&format!("  of that: {stage}"), &spread, "frame → plate", &plate);
    }
    report.latency("frame without a plate", &empty, "frame → plate", &plate);
    if let Some(cpu) = with.cpu {
        let read = with.whole.len().max(1) as f64;
        let mean = with.whole.iter().sum::<Duration>().as_secs_f64() * 1e3 / read;
        report.beside("frame → plate, processor time, mean", "ms", cpu.as_secs_f64() * 1e3 / read, "its time by the clock, mean", mean);
    }
    report.beside("frames with a plate, one thread", "1/s", plate.per_second, "frames without a plate", empty.per_second);
    report.add("plates read right, of the frames timed", "%", 100.0 * with.right as f64 / with.whole.len().max(1) as f64);
    Ok(())
}

fn read_crops(recogniser: &Recogniser, crops: &[Vec<u8>]) -> anyhow::Result<Spread> {
    let mut runs = Vec::with_capacity(ROUNDS * crops.len());
    for crop in (0..ROUNDS).flat_map(|_| crops) {
        let started = Instant::now();
        std::hint::black_box(recogniser.read_crop(crop)?);
        runs.push(started.elapsed());
    }
    Ok(Spread::of(runs))
}

/// Frames a second of two threads on one set of models, beside one thread's, in turns.
fn two_threads(report: &mut Report, recogniser: &Recogniser, samples: &[Sample]) -> anyhow::Result<()> {
    let pass = |threads: usize| -> anyhow::Result<f64> {
        let started = Instant::now();
        std::thread::scope(|scope| {
            let own = || samples.iter().try_for_each(|s| recogniser.read_frame(&s.jpeg).map(|read| drop(std::hint::black_box(read))));
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(own)).collect();
            running.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?.map_err(anyhow::Error::from))
        })?;
        Ok((threads * samples.len()) as f64 / started.elapsed().as_secs_f64())
    };
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS_EMPTY {
        for (threads, rates) in rates.iter_mut().enumerate() {
            rates.push(pass(threads + 1)?);
        }
    }
    let [one, two] = rates.map(|mut r| {
        r.sort_unstable_by(f64::total_cmp);
        r.get(r.len() / 2).copied().unwrap_or(0.0)
    });
    report.beside("frames with a plate, 1600×1200, two threads", "1/s", two, "one thread", one);
    Ok(())
}

/// Both networks alone under tract, in turns with ONNX Runtime on one thread.
fn beside_onnx_runtime(report: &mut Report, models: &Models) -> anyhow::Result<()> {
    let mut other = OnnxRuntime::start()?;
    let mut own = [Vec::new(), Vec::new()];
    let mut theirs = [Vec::new(), Vec::new()];
    for _ in 0..NETWORK_ROUNDS {
        for _ in 0..NETWORK_RUNS {
            for (runs, took) in own.iter_mut().zip(models.time_once()?) {
                runs.push(took);
            }
        }
        for ((name, input), runs) in NETWORKS.iter().zip(&mut theirs) {
            runs.extend(other.time(name, input)?);
        }
    }
    for (((name, _), own), theirs) in NETWORKS.iter().zip(own).zip(theirs) {
        let with = format!("the same file under ONNX Runtime {}, one thread", other.version);
        report.latency(&format!("{name} alone, tract, one thread"), &Spread::of(own), &with, &Spread::of(theirs));
    }
    Ok(())
}

/// The other side of the comparison: a Python process that is told by lines what to run.
struct OnnxRuntime {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    version: String,
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OnnxRuntime {
    fn start() -> anyhow::Result<Self> {
        let cache = std::env::var_os("PORTGATE_BENCH_DIR").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
        let python = std::env::var_os("PORTGATE_PYTHON").map_or_else(|| cache.join("venv-tests/bin/python"), std::path::PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("frames/onnx_side.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not run", python.display()))?;
        let (to, from) = (child.stdin.take().context("no way in")?, child.stdout.take().context("no way out")?);
        let mut side = Self { child, to, from: BufReader::new(from), version: String::new() };
        side.version = side.line()?.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(side)
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "ONNX Runtime's side has ended; what it said stands above");
        Ok(serde_json::from_str(&line)?)
    }

    fn time(&mut self, name: &str, [channels, height, width]: &[usize; 3]) -> anyhow::Result<Vec<Duration>> {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name).with_extension("onnx");
        writeln!(self.to, "{}\t{channels}\t{height}\t{width}\t{NETWORK_RUNS}", model.display())?;
        self.to.flush()?;
        let answer = self.line()?;
        let seconds = answer.get("seconds").and_then(Value::as_array).context("no times")?;
        Ok(seconds.iter().filter_map(Value::as_f64).map(Duration::from_secs_f64).collect())
    }
}

/// What is read.
#[derive(Default)]
struct Samples {
    with: Vec<Sample>,
    without: Vec<Sample>,
    /// The same at [`LARGE_PX`].
    large: Vec<Sample>,
    large_empty: Vec<Sample>,
    /// The plates alone, cut out upright.
    crops: Vec<Vec<u8>>,
}

/// Vehicles in the nearer part of the approach, and empty lanes, at different places and hours.
fn samples() -> anyhow::Result<Samples> {
    let renderer = Renderer::new()?;
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut out = Samples::default();
    let factor = f64::from(LARGE_PX.1) / f64::from(HEIGHT_PX);
    let large = |jpeg: &[u8], x: f64| -> anyhow::Result<Vec<u8>> {
        let room = (f64::from(WIDTH_PX) * factor) as i32 - LARGE_PX.0;
        let left = ((x * factor) as i32 - LARGE_PX.0 / 2).clamp(0, room.max(0));
        Ok(Picture::new(jpeg)?.cut(factor, [left, 0, LARGE_PX.0, LARGE_PX.1])?)
    };
    for i in 0..PICTURES {
        let scene = SceneLook::day(rng.random_range(0..64), format!("JCZ-1.L{}", i % 4 + 1)).varied(&mut rng);
        let empty = renderer.empty(&scene)?.jpeg;
        out.large_empty.push(Sample { jpeg: large(&empty, f64::from(WIDTH_PX) / 2.0)?, plate: None });
        out.without.push(Sample { jpeg: empty, plate: None });
        let Some(&(body, plate_kind)) = VEHICLES.get(i % VEHICLES.len()) else { continue };
        let plate = made_up_plate(plate_kind, None, &mut rng);
        let look = VehicleLook { body, plate: plate.clone(), plate_kind, dirt: rng.random_range(0.0..0.4), seed: rng.random() };
        let frame = renderer.frame(&look, &scene, rng.random_range(0.5..1.0))?;
        let corners = frame.corners.context("a vehicle without a plate")?;
        let side = |axis: usize| {
            let of = |pick: fn(f64, f64) -> f64, from: f64| corners.iter().map(|c| c[axis]).fold(from, pick);
            (of(f64::min, f64::INFINITY), of(f64::max, f64::NEG_INFINITY))
        };
        let ((x0, x1), (y0, y1)) = (side(0), side(1));
        let part = [x0.max(0.0) as i32, y0.max(0.0) as i32, (x1 - x0).ceil() as i32, (y1 - y0).ceil() as i32];
        out.crops.push(Picture::new(&frame.jpeg)?.cut(1.0, part)?);
        out.large.push(Sample { jpeg: large(&frame.jpeg, (x0 + x1) / 2.0)?, plate: Some(plate.clone()) });
        out.with.push(Sample { jpeg: frame.jpeg, plate: Some(plate) });
    }
    Ok(out)
}

fn read(recogniser: &Recogniser, samples: &[Sample], rounds: usize) -> anyhow::Result<Runs> {
    let mut runs = Runs::default();
    for sample in (0..rounds).flat_map(|_| samples) {
        let started = Instant::now();
        std::hint::black_box(Picture::new(&sample.jpeg)?.decode(1)?);
        runs.full_decode.push(started.elapsed());

        let (cpu, started) = (machine::thread_cpu(), Instant::now());
        let reading = recogniser.read_frame(&sample.jpeg)?;
        runs.whole.push(started.elapsed());
        if let (Some(before), Some(after)) = (cpu, machine::thread_cpu()) {
            *runs.cpu.get_or_insert(Duration::ZERO) += after.saturating_sub(before);
        }
        runs.stages.push(reading.times);
        runs.right += usize::from(reading.plates.first().map(|p| &p.text) == sample.plate.as_ref());
    }
    Ok(runs)
}

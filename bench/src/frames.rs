//! Frame → plate on one thread, on the simulator's pictures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_core::plate::PlateKind;
use portgate_ingest::sim::render::{made_up_plate, Body, Renderer, SceneLook, VehicleLook, HEIGHT_PX, WIDTH_PX};
use portgate_lpr::decode::Picture;
use portgate_lpr::{Models, Recogniser, Times};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

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
    let (with, without) = samples()?;
    let recogniser = Recogniser::new(Arc::new(Models::built_in()?));
    report.begin("frame → plate");
    read(&recogniser, with.get(..4).unwrap_or(&with), 1)?;
    let with = read(&recogniser, &with, ROUNDS)?;
    let without = read(&recogniser, &without, ROUNDS_EMPTY)?;

    let name = format!("frame → plate, {WIDTH_PX}×{HEIGHT_PX} JPEG, one thread");
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
    report.memory("recognition, one thread");
    Ok(())
}

/// Vehicles in the nearer part of the approach, and empty lanes, at different places and hours.
fn samples() -> anyhow::Result<(Vec<Sample>, Vec<Sample>)> {
    let renderer = Renderer::new()?;
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for i in 0..PICTURES {
        let scene = SceneLook::day(rng.random_range(0..64), format!("JCZ-1.L{}", i % 4 + 1)).varied(&mut rng);
        without.push(Sample { jpeg: renderer.empty(&scene)?.jpeg, plate: None });
        let Some(&(body, plate_kind)) = VEHICLES.get(i % VEHICLES.len()) else { continue };
        let plate = made_up_plate(plate_kind, None, &mut rng);
        let look = VehicleLook { body, plate: plate.clone(), plate_kind, dirt: rng.random_range(0.0..0.4), seed: rng.random() };
        with.push(Sample { jpeg: renderer.frame(&look, &scene, rng.random_range(0.5..1.0))?.jpeg, plate: Some(plate) });
    }
    Ok((with, without))
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

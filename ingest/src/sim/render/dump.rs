//! Labelled frames for training and checking recognisers.

use std::fs;
use std::io::Write;
use std::path::Path;

use portgate_core::plate::PlateKind;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{made_up_plate, Body, RenderError, Renderer, SceneLook, VehicleLook};

/// Kinds with how often each is drawn.
const KINDS: [(PlateKind, u32); 12] = [
    (PlateKind::Blue, 24),
    (PlateKind::Yellow, 26),
    (PlateKind::YellowTwoLine, 14),
    (PlateKind::GreenSmall, 10),
    (PlateKind::GreenLarge, 8),
    (PlateKind::BlackHk, 3),
    (PlateKind::BlackMacao, 2),
    (PlateKind::Embassy, 2),
    (PlateKind::Consular, 2),
    (PlateKind::Police, 4),
    (PlateKind::Learner, 3),
    (PlateKind::Agricultural, 2),
];

/// A vehicle that may carry a plate of this kind.
fn body_for(kind: PlateKind, rng: &mut StdRng) -> Body {
    match kind {
        PlateKind::Yellow | PlateKind::GreenLarge | PlateKind::Agricultural => {
            if rng.random_bool(0.5) {
                Body::Truck
            } else {
                Body::ContainerTruck
            }
        }
        PlateKind::YellowTwoLine => Body::TrailerRear,
        PlateKind::BlackHk | PlateKind::BlackMacao if rng.random_bool(0.5) => Body::ContainerTruck,
        PlateKind::Blue if rng.random_bool(0.15) => Body::Truck,
        _ if rng.random_bool(0.3) => Body::Van,
        _ => Body::Car,
    }
}

/// Writes `n` frames and `labels.tsv` (file, plate, kind, the corners' eight coordinates) to `dir`;
/// one frame in twenty shows an empty lane (no plate, empty columns). The same seed gives the same
/// files.
///
/// # Errors
/// [`RenderError`].
pub fn dump_frames(dir: &Path, n: usize, seed: u64) -> Result<(), RenderError> {
    fs::create_dir_all(dir)?;
    let renderer = Renderer::new()?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut labels = std::io::BufWriter::new(fs::File::create(dir.join("labels.tsv"))?);
    writeln!(labels, "file\tplate\tkind\tx0\ty0\tx1\ty1\tx2\ty2\tx3\ty3")?;
    for i in 0..n {
        let file = format!("{i:06}.jpg");
        let scene = SceneLook::day(rng.random_range(0..64), format!("JCZ-1.L{} {i:06}", i % 4 + 1)).varied(&mut rng);
        if rng.random_bool(0.05) {
            fs::write(dir.join(&file), renderer.empty(&scene)?.jpeg)?;
            writeln!(labels, "{file}\t\t\t\t\t\t\t\t\t\t")?;
            continue;
        }
        let kind = KINDS.choose_weighted(&mut rng, |k| k.1).map_or(PlateKind::Blue, |k| k.0);
        let look = VehicleLook {
            body: body_for(kind, &mut rng),
            plate: made_up_plate(kind, None, &mut rng),
            plate_kind: kind,
            dirt: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..0.7) },
            seed: rng.random(),
        };
        let picture = renderer.frame(&look, &scene, rng.random_range(0.0..1.0))?;
        fs::write(dir.join(&file), &picture.jpeg)?;
        let name = serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        write!(labels, "{file}\t{}\t{name}", look.plate)?;
        for corner in picture.corners.unwrap_or_default() {
            write!(labels, "\t{:.1}\t{:.1}", corner[0], corner[1])?;
        }
        writeln!(labels)?;
    }
    labels.flush()?;
    Ok(())
}

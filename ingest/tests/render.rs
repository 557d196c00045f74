//! What the simulator draws is a picture, and its labels are true.

use opencv::core::Mat;
use opencv::imgcodecs;
use opencv::prelude::*;
use portgate_core::plate::PlateKind;
use portgate_ingest::sim::render::{dump_frames, made_up_plate, Body, Renderer, SceneLook, VehicleLook, HEIGHT_PX, WIDTH_PX};
use rand::rngs::StdRng;
use rand::SeedableRng;

const KINDS: [PlateKind; 12] = [
    PlateKind::Blue,
    PlateKind::Yellow,
    PlateKind::YellowTwoLine,
    PlateKind::GreenSmall,
    PlateKind::GreenLarge,
    PlateKind::BlackHk,
    PlateKind::BlackMacao,
    PlateKind::Embassy,
    PlateKind::Consular,
    PlateKind::Police,
    PlateKind::Learner,
    PlateKind::Agricultural,
];

fn decode(jpeg: &[u8]) -> Mat {
    imgcodecs::imdecode(&Mat::from_slice(jpeg).unwrap(), imgcodecs::IMREAD_COLOR).unwrap()
}

#[test]
fn every_kind_is_drawn_with_its_plate_inside_the_frame() {
    let renderer = Renderer::new().unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    for (i, kind) in KINDS.into_iter().enumerate() {
        let body = if kind == PlateKind::YellowTwoLine { Body::TrailerRear } else { Body::Truck };
        let look = VehicleLook { body, plate: made_up_plate(kind, None, &mut rng), plate_kind: kind, dirt: 0.2, seed: i as u64 * 977 };
        let mut widths = Vec::new();
        for progress in [0.0, 0.5, 1.0] {
            let picture = renderer.frame(&look, &SceneLook::day(3, "L"), progress).unwrap();
            let image = decode(&picture.jpeg);
            assert_eq!((image.cols(), image.rows()), (WIDTH_PX, HEIGHT_PX));
            assert!((30_000..300_000).contains(&picture.jpeg.len()), "{} bytes", picture.jpeg.len());
            let corners = picture.corners.unwrap();
            for [x, y] in corners {
                assert!(x > 0.0 && x < f64::from(WIDTH_PX) && y > 0.0 && y < f64::from(HEIGHT_PX), "{kind:?} {corners:?}");
            }
            widths.push(corners[1][0] - corners[0][0]);
        }
        assert!(widths.windows(2).all(|w| w[0] < w[1]), "it comes nearer: {widths:?}");
    }
}

#[test]
fn the_plate_stands_where_the_label_says() {
    let renderer = Renderer::new().unwrap();
    let look = |plate: &str, kind| VehicleLook { body: Body::Truck, plate: plate.into(), plate_kind: kind, dirt: 0.0, seed: 99 };
    let picture = renderer.frame(&look("苏G12345", PlateKind::Yellow), &SceneLook::day(3, "L"), 1.0).unwrap();
    let image = decode(&picture.jpeg);
    let corners = picture.corners.unwrap();
    // Between the characters' tops and the border the ground is yellow: blue well below red.
    let at = |u: f64, v: f64| {
        let mix = |i: usize| {
            let top = corners[0][i] + (corners[1][i] - corners[0][i]) * u;
            let low = corners[3][i] + (corners[2][i] - corners[3][i]) * u;
            (top + (low - top) * v) as i32
        };
        *image.at_2d::<opencv::core::Vec3b>(mix(1), mix(0)).unwrap()
    };
    let ground = at(0.29, 0.5);
    assert!(i32::from(ground[2]) - i32::from(ground[0]) > 80, "{ground:?}");
    let other = renderer.frame(&look("苏G12345", PlateKind::Blue), &SceneLook::day(3, "L"), 1.0).unwrap();
    assert_eq!(other.corners.unwrap(), corners, "the place does not depend on the colour");
    assert_ne!(other.jpeg, picture.jpeg);
}

#[test]
fn the_same_arguments_give_the_same_picture() {
    let renderer = Renderer::new().unwrap();
    let look = VehicleLook { body: Body::Car, plate: "苏GD12345".into(), plate_kind: PlateKind::GreenSmall, dirt: 0.1, seed: 1 };
    let draw = || renderer.frame(&look, &SceneLook::day(1, "x"), 0.4).unwrap().jpeg;
    assert_eq!(draw(), draw());
    let odd = VehicleLook { plate: "苏G😀".into(), ..look };
    assert!(renderer.frame(&odd, &SceneLook::day(1, "x"), 0.4).is_err(), "no glyph is an error, not a blank");
}

#[test]
fn a_dump_is_labelled_and_reproducible() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        dump_frames(folder.path(), 12, 42).unwrap();
    }
    let read = |i: usize, name: &str| std::fs::read(folders[i].path().join(name)).unwrap();
    assert_eq!(read(0, "labels.tsv"), read(1, "labels.tsv"));
    assert_eq!(read(0, "000007.jpg"), read(1, "000007.jpg"));
    let labels = String::from_utf8(read(0, "labels.tsv")).unwrap();
    assert_eq!(labels.lines().count(), 13);
    assert!(labels.lines().all(|l| l.split('\t').count() == 11));
}

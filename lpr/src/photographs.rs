//! The whole crate on real photographs, where they are at hand (see `shared`). They belong to
//! others and lie outside the repository; no plate's text is printed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use opencv::core::{rotate, Mat, Vector, VectorToVec, ROTATE_180};
use opencv::imgcodecs::{imdecode, imencode_def, IMREAD_COLOR};

use crate::error::LprError;
use crate::evaluate::{evaluate, SetReport};
use crate::files::pictures;
use crate::models::Models;
use crate::pipeline::{Recogniser, SecondLook};
use crate::sniff::DecodeError;

/// The folder of the photographs: `PORTGATE_SHARED`, or `../shared` beside the workspace.
fn shared(set: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("PORTGATE_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let folder = root.join("data").join(set);
    if !folder.is_dir() {
        eprintln!("skipped: the photographs of {set} are not here (PORTGATE_SHARED)");
        return None;
    }
    Some(folder)
}

fn recogniser() -> Recogniser {
    static MODELS: OnceLock<Arc<Models>> = OnceLock::new();
    let load = || Arc::new(Models::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")).unwrap());
    Recogniser::new(MODELS.get_or_init(load).clone())
}

fn report(recogniser: &Recogniser, set: &str) -> Option<SetReport> {
    let report = evaluate(recogniser, &shared(set)?).unwrap();
    eprintln!("{report}");
    Some(report)
}

#[test]
fn toll_lanes_are_read() {
    let Some(report) = report(&recogniser(), "toll-lanes") else { return };
    assert!(report.plates.share() >= Some(0.98), "{report}");
    assert!(report.sure_and_wrong.of <= 1, "{report}");
    assert!(report.right_and_sure.share() >= Some(0.95), "{report}");
    for colour in report.by_colour.values() {
        assert!(colour.share() >= Some(0.96), "yellow and blue alike: {report}");
    }
}

#[test]
fn cut_out_plates_are_read() {
    let Some(report) = report(&recogniser(), "crops-road") else { return };
    assert!(report.plates.share() >= Some(0.985), "{report}");
    assert!(report.sure_and_wrong.share() <= Some(0.005), "{report}");
    assert!(report.right_and_sure.share() >= Some(0.95), "{report}");
}

/// Scenes of towns, never trained on; a few labels are of another vehicle than the nearest.
#[test]
fn street_scenes_are_read() {
    let Some(report) = report(&recogniser().second_look(SecondLook::Tiles), "street-scenes") else { return };
    assert!(report.plates.share() >= Some(0.94), "{report}");
    assert!(report.found.share() >= Some(0.98), "{report}");
    assert!(report.sure_and_wrong.share() <= Some(0.04), "{report}");
}

#[test]
fn cars_without_a_plate_have_none() {
    for second_look in [SecondLook::Never, SecondLook::Tiles] {
        let Some(report) = report(&recogniser().second_look(second_look), "no-plate") else { return };
        assert_eq!((report.false_plates.of, report.unreadable), (0, 0), "{report}");
    }
}

/// The same photograph upside down with an EXIF note is read as the photograph itself; cut in half
/// it is an error.
#[test]
fn a_turned_photograph_is_read_and_half_a_one_refused() {
    let Some(folder) = shared("toll-lanes") else { return };
    let recogniser = recogniser();
    let (mut same, mut read) = (0, 0);
    for path in pictures(&[folder]).iter().take(12) {
        let bytes = std::fs::read(path).unwrap();
        let upright = recogniser.read_picture(&bytes).unwrap();
        let pixels = imdecode(&Mat::from_slice(&bytes).unwrap(), IMREAD_COLOR).unwrap();
        let mut turned = Mat::default();
        rotate(&pixels, &mut turned, ROTATE_180).unwrap();
        let mut jpeg = Vector::new();
        imencode_def(".jpg", &turned, &mut jpeg).unwrap();
        let jpeg = crate::decode::tests::with_orientation(&jpeg.to_vec(), 3);
        let again = recogniser.read_picture(&jpeg).unwrap();
        read += usize::from(!upright.is_empty());
        same += usize::from(upright.first().map(|p| &p.text) == again.first().map(|p| &p.text));
        for half in [&bytes[..bytes.len() / 2], &jpeg[..jpeg.len() / 2]] {
            assert!(matches!(recogniser.read_picture(half), Err(LprError::Picture(DecodeError::Truncated(_)))));
        }
    }
    assert!(read >= 11 && same >= 11, "{read} of 12 read, {same} of 12 alike after JPEG and turning");
}

//! Pictures from outside that are odd, broken or no pictures at all: each is an error for that file
//! or read right, and nothing crashes. The drawn plate in `pictures/` is invented.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use opencv::core::{Mat, MatTraitConst, Vector, VectorToVec, CV_16UC3};
use opencv::imgcodecs::{imdecode, imencode, imencode_def, IMREAD_COLOR, IMWRITE_JPEG_PROGRESSIVE};
use portgate_lpr::decode::Picture;
use portgate_lpr::files::read_line;
use portgate_lpr::{Models, ReadLine, Recogniser};

const PLATE: &str = "苏G3K572";

fn recogniser() -> Recogniser {
    static MODELS: OnceLock<Arc<Models>> = OnceLock::new();
    Recogniser::new(MODELS.get_or_init(|| Arc::new(Models::built_in().unwrap())).clone())
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

fn plate() -> Mat {
    imdecode(&Mat::from_slice(&std::fs::read(sample("plate.jpg")).unwrap()).unwrap(), IMREAD_COLOR).unwrap()
}

fn encoded(extension: &str, image: &Mat) -> Vec<u8> {
    let mut out = Vector::new();
    assert!(imencode_def(extension, image, &mut out).unwrap());
    out.to_vec()
}

/// The same picture with 16 bits a channel.
fn deep(image: &Mat) -> Mat {
    let mut out = Mat::default();
    image.convert_to(&mut out, CV_16UC3, 257.0, 0.0).unwrap();
    out
}

fn texts(line: &ReadLine) -> Vec<String> {
    match line {
        ReadLine::Read { plates, .. } => plates.iter().map(|p| p.text.clone()).collect(),
        ReadLine::Failed { file, error } => panic!("{file}: {error}"),
    }
}

#[test]
fn odd_but_whole_pictures_are_read() {
    let recogniser = recogniser();
    let folder = tempfile::tempdir().unwrap();
    let mut progressive = Vector::new();
    let parameters = Vector::from_slice(&[IMWRITE_JPEG_PROGRESSIVE, 1]);
    assert!(imencode(".jpg", &plate(), &mut progressive, &parameters).unwrap());
    let made = [
        ("deep.png", encoded(".png", &deep(&plate()))),
        ("progressive.jpg", progressive.to_vec()),
        // Content decides, never the name.
        ("a-png.jpg", encoded(".png", &plate())),
    ];
    let mut files: Vec<PathBuf> = ["plate.jpg", "cmyk.jpg", "animated.png"].iter().map(|n| sample(n)).collect();
    for (name, bytes) in made {
        files.push(folder.path().join(name));
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    for file in files {
        assert_eq!(texts(&read_line(&recogniser, &file, true)), [PLATE], "{}", file.display());
    }
}

#[test]
fn what_is_no_whole_picture_is_an_error_of_that_file() {
    let recogniser = recogniser();
    let folder = tempfile::tempdir().unwrap();
    let jpeg = encoded(".jpg", &plate());
    let wide = Mat::new_rows_cols_with_default(4, 30_000, opencv::core::CV_8UC3, opencv::core::Scalar::all(80.0)).unwrap();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty.jpg", Vec::new(), "0 bytes"),
        ("paper.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n".to_vec(), "PDF"),
        ("moving.jpg", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "GIF"),
        ("text.png", b"not a picture".to_vec(), "neither JPEG nor PNG"),
        ("wide.png", encoded(".png", &wide), "30000"),
        ("wide.jpg", encoded(".jpg", &wide), "30000"),
        ("half.jpg", jpeg[..jpeg.len() / 2].to_vec(), "cut off"),
        ("head.png", encoded(".png", &plate())[..24].to_vec(), "cut off"),
    ];
    for (name, bytes, says) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        for crop in [false, true] {
            match read_line(&recogniser, &file, crop) {
                ReadLine::Failed { error, .. } => assert!(error.contains(says), "{name}: {error}"),
                ReadLine::Read { .. } => panic!("{name} was read"),
            }
        }
    }
    assert!(matches!(read_line(&recogniser, &folder.path().join("gone.jpg"), false), ReadLine::Failed { .. }));
}

/// Thin, tiny and blank pictures hold no plate.
#[test]
fn pictures_without_room_for_a_plate_hold_none() {
    let recogniser = recogniser();
    for (width, height) in [(1, 1), (1, 900), (3000, 2), (16, 16), (640, 480)] {
        let grey = Mat::new_rows_cols_with_default(height, width, opencv::core::CV_8UC3, opencv::core::Scalar::all(120.0)).unwrap();
        let bytes = encoded(".png", &grey);
        assert!(recogniser.read_picture(&bytes).unwrap().is_empty(), "{width} x {height}");
        assert!(recogniser.read_crop(&bytes).unwrap().iter().all(|p| p.confidence < 0.9), "{width} x {height}");
    }
}

/// A bounded fuzz of everything between bytes and pixels: seeds of every sort, changed in many
/// ways by a generator with a fixed seed, so that a failure comes again.
#[test]
fn changed_bytes_give_pixels_or_an_error() {
    let small = {
        let mut out = Mat::default();
        opencv::imgproc::resize(&plate(), &mut out, opencv::core::Size::new(66, 21), 0.0, 0.0, opencv::imgproc::INTER_AREA).unwrap();
        out
    };
    let mut progressive = Vector::new();
    assert!(imencode(".jpg", &small, &mut progressive, &Vector::from_slice(&[IMWRITE_JPEG_PROGRESSIVE, 1])).unwrap());
    let seeds = [
        encoded(".jpg", &small),
        progressive.to_vec(),
        encoded(".png", &small),
        encoded(".png", &deep(&small)),
        std::fs::read(sample("cmyk.jpg")).unwrap(),
        std::fs::read(sample("animated.png")).unwrap(),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let (mut decoded, mut refused) = (0, 0);
    for round in 0..2_400 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let (at, other) = (random(bytes.len()), random(bytes.len()));
            match random(6) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.drain(at.min(other)..at.max(other).min(at.min(other) + 64)).for_each(drop),
                4 => bytes.insert(at, [0x00, 0xff, 0xd8, 0xda][random(4)]),
                // Large numbers in the header: sizes, lengths, tables.
                _ => bytes[at.min(40)] = 0xff,
            }
            if bytes.is_empty() {
                break;
            }
        }
        match Picture::new(&bytes) {
            Ok(picture) => {
                for reduction in [1, 2, 8] {
                    match picture.decode(reduction) {
                        Ok(pixels) => {
                            decoded += 1;
                            assert!(pixels.width() > 0 && pixels.height() > 0);
                        }
                        Err(_) => refused += 1,
                    }
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(decoded > 300 && refused > 300, "the changes reach both sides: {decoded} decoded, {refused} refused");
}

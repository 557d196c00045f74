//! Pictures on disk: walking folders, one line a picture, and what the time went into.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::LprError;
use crate::pipeline::{Recogniser, Times};
use crate::reading::{PlateLine, ReadLine};

/// A larger file is not a picture this program reads.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Folders are walked this deep.
const DEPTH_MAX: usize = 32;

/// The pictures under these paths: a file as it is, a folder walked in the order of names for
/// everything that calls itself a picture.
#[must_use]
pub fn pictures(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, DEPTH_MAX, &mut out);
        } else {
            out.push(path.clone());
        }
    }
    out
}

fn walk(folder: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_symlink() && path.is_dir() {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, out);
            }
        } else if is_picture(&path) {
            out.push(path);
        }
    }
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    matches!(extension.as_str(), "jpg" | "jpeg" | "png")
}

/// The content of a picture file.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn load(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("the file has {length} bytes; at most {FILE_BYTES_MAX} are read"));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// Reads one picture file for `portgate read`; `crop`: it is one plate from edge to edge.
#[must_use]
pub fn read_line(recogniser: &Recogniser, path: &Path, crop: bool) -> ReadLine {
    let file = path.to_string_lossy().into_owned();
    let bytes = match load(path) {
        Ok(bytes) => bytes,
        Err(error) => return ReadLine::Failed { file, error },
    };
    let start = Instant::now();
    let plates = if crop { recogniser.read_crop(&bytes) } else { recogniser.read_picture(&bytes) };
    match plates {
        Ok(plates) => ReadLine::Read {
            file,
            plates: plates.iter().map(PlateLine::from).collect(),
            elapsed_ms: (start.elapsed().as_secs_f64() * 1e5).round() / 100.0,
        },
        Err(e) => ReadLine::Failed { file, error: e.to_string() },
    }
}

/// Reads each picture `rounds` times, one after the other on this thread; for the benchmark.
///
/// # Errors
/// [`LprError`] of the first picture that cannot be read.
pub fn time_stages(recogniser: &Recogniser, pictures: &[Vec<u8>], rounds: usize) -> Result<Vec<Times>, LprError> {
    let mut out = Vec::with_capacity(pictures.len() * rounds);
    for _ in 0..rounds {
        for picture in pictures {
            out.push(recogniser.read_frame(picture)?.times);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.JPG", "a.png", "b/x.jpeg", "notes.txt"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let lone = folder.path().join("notes.txt");
        let found = pictures(&[folder.path().to_owned(), lone.clone()]);
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.png", "b/x.jpeg", "c.JPG", "notes.txt"]);
    }
}

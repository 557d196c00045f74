//! `portgate read` and `portgate evaluate`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use portgate_lpr::files::{pictures, read_line};
use portgate_lpr::{Models, ReadLine, Recogniser, SecondLook};

/// The models of a folder, or the built-in ones.
pub fn models(dir: Option<&Path>) -> Result<Arc<Models>> {
    let models = match dir.filter(|d| !d.as_os_str().is_empty()) {
        Some(dir) => Models::load(dir),
        None => Models::built_in(),
    };
    Ok(Arc::new(models.context("the recogniser's models cannot be used")?))
}

/// Reads every picture; one JSON line each.
pub fn run(crop: bool, dir: Option<&Path>, paths: &[PathBuf]) -> Result<u8> {
    let recogniser = Recogniser::new(models(dir)?).second_look(SecondLook::Tiles);
    let mut out = std::io::stdout().lock();
    let mut failed = false;
    for path in pictures(paths) {
        let line = read_line(&recogniser, &path, crop);
        failed |= matches!(line, ReadLine::Failed { .. });
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)?;
    }
    Ok(if failed { crate::FOUND } else { 0 })
}

/// Measures recognition over labelled folders; `sheet`: where to put a page of what was misread.
pub fn evaluate(dir: Option<&Path>, sheet: Option<&Path>, sets: &[PathBuf]) -> Result<u8> {
    let recogniser = Recogniser::new(models(dir)?).second_look(SecondLook::Tiles);
    println!("models {}", recogniser.model());
    let mut reports = Vec::with_capacity(sets.len());
    for set in sets {
        let report = portgate_lpr::evaluate::evaluate(&recogniser, set).with_context(|| format!("set {}", set.display()))?;
        println!("{report}");
        for failure in &report.failures {
            println!("  failed            {}", failure.name());
        }
        reports.push(report);
    }
    if let Some(folder) = sheet {
        println!("misread: {}", portgate_lpr::evaluate::sheet::write(folder, &reports)?.display());
    }
    Ok(0)
}

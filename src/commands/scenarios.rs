//! `portgate scenarios`

use std::path::PathBuf;

use anyhow::{Context, Result};
use portgate_core::scenario::run_file;

/// Runs scenario files through the rules and the site; a line per difference, the counts last.
/// A scenario that cannot be read is bad input; the rest still runs.
pub fn run(files: &[PathBuf]) -> Result<u8> {
    let (mut passed, mut failed, mut unreadable) = (0, 0, false);
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("scenario file {} cannot be read", file.display()))?;
        let report = run_file(&text).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
        for difference in &report.differences {
            println!("{difference}");
        }
        for invalid in &report.invalid {
            println!("{}: {invalid}", file.display());
        }
        unreadable |= !report.invalid.is_empty();
        passed += report.passed;
        failed += report.failed;
    }
    println!("{passed} passed, {failed} failed");
    Ok(match (unreadable, failed) {
        (true, _) => crate::BAD,
        (false, 0) => 0,
        (false, _) => crate::FOUND,
    })
}

//! The disk under a node's store: it fails writes, loses power in the middle of one, and then keeps
//! what was synced and any part of what was not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use portgate_store::Probe;

use crate::process::Process;
use crate::rng::Rng;

/// The disk of one life of a node.
pub struct Disk {
    dir: PathBuf,
    process: Arc<Process>,
    inner: Mutex<Inner>,
}

struct Inner {
    rng: Rng,
    /// Chance in a thousand that a write fails.
    fail: u64,
    /// Synced writes until the power goes in the middle of one.
    power_off_in: Option<u64>,
    /// What is known to be on the disk: write-ahead log, length; the latest last.
    synced: Vec<(PathBuf, u64)>,
}

impl Disk {
    /// The disk below a store that has just been opened.
    pub fn new(dir: &Path, process: &Arc<Process>, rng: Rng, fail: u64, power_off_in: Option<u64>) -> Arc<Self> {
        let synced = newest_log(dir).into_iter().collect();
        Arc::new(Self { dir: dir.to_owned(), process: process.clone(), inner: Mutex::new(Inner { rng, fail, power_off_in, synced }) })
    }

    /// No write fails any more.
    pub fn heal(&self) {
        let mut inner = self.inner.lock();
        inner.fail = 0;
        inner.power_off_in = None;
    }

    /// What is left after the power was off: the tail that was not synced is torn. `forget`: so
    /// many synced writes are lost, too, which no disk that keeps its word does. The store is closed.
    pub fn power_off(&self, forget: usize) -> io::Result<String> {
        let mut inner = self.inner.lock();
        let Some((log, length)) = newest_log(&self.dir) else { return Ok("nothing was written".into()) };
        let kept = inner.synced.len().saturating_sub(forget);
        let safe = inner.synced.iter().take(kept).rev().find(|(l, _)| *l == log).map_or(0, |(_, n)| *n);
        let left = inner.rng.between(safe.min(length), length);
        let left = if forget > 0 { safe } else { left };
        std::fs::OpenOptions::new().write(true).open(&log)?.set_len(left)?;
        Ok(format!("{left} of {length} bytes are left, {safe} were safe"))
    }
}

impl Probe for Disk {
    fn before(&self, _: bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let fail = inner.fail;
        if self.process.is_dead() || inner.rng.chance(fail) {
            return Err(io::Error::other("no space left on the device"));
        }
        Ok(())
    }

    fn after(&self, synced: bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if !synced {
            return Ok(());
        }
        if let Some(left) = &mut inner.power_off_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.process.kill();
                return Err(io::Error::other("the power is off"));
            }
        }
        if let Some(newest) = newest_log(&self.dir) {
            inner.synced.push(newest);
        }
        Ok(())
    }
}

/// The newest write-ahead log and its length.
fn newest_log(dir: &Path) -> Option<(PathBuf, u64)> {
    let logs = std::fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|e| e.path());
    let newest = logs.filter(|p| p.extension().is_some_and(|e| e == "log")).max()?;
    let length = std::fs::metadata(&newest).ok()?.len();
    Some((newest, length))
}

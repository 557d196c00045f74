//! What happened in a world, line by line: the last lines in full, all of them as a hash.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::process::wall;

/// Lines kept.
const LINES_MAX: usize = 4000;

/// The trace of one world.
pub struct Trace {
    inner: Mutex<Inner>,
    print: bool,
}

struct Inner {
    lines: VecDeque<String>,
    hash: u64,
    count: u64,
}

impl Trace {
    /// An empty trace; `print`: every line also goes to standard output.
    pub fn new(print: bool) -> Self {
        Self { inner: Mutex::new(Inner { lines: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325, count: 0 }), print }
    }

    /// Adds a line.
    pub fn note(&self, us: u64, line: impl FnOnce() -> String) {
        let line = format!("{:>11.6} {} {}", us as f64 / 1e6, wall(us), line());
        let mut inner = self.inner.lock();
        inner.hash = line.bytes().fold(inner.hash, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        inner.count += 1;
        if self.print {
            println!("{line}");
        }
        inner.lines.push_back(line);
        if inner.lines.len() > LINES_MAX {
            inner.lines.pop_front();
        }
    }

    /// The last lines.
    pub fn tail(&self, n: usize) -> Vec<String> {
        let inner = self.inner.lock();
        inner.lines.iter().skip(inner.lines.len().saturating_sub(n)).cloned().collect()
    }

    /// A hash over everything so far, and how many lines that were.
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hash, inner.count)
    }
}

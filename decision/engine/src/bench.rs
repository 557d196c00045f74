//! Measurements that `make bench` prints.

use std::path::Path;
use std::time::Instant as Clock;

use portgate_core::journal::JournalEvent;
use portgate_core::read::ReadMessage;
use portgate_core::site::{Change, Step};
use portgate_core::time::Instant;
use portgate_store::Store;

use crate::error::EngineError;

/// Runs of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// How many.
    pub count: usize,
    /// Per second, one after the other.
    pub per_second: f64,
    /// Median, microseconds.
    pub p50_us: f64,
    /// 99th percentile, microseconds.
    pub p99_us: f64,
    /// Slowest, microseconds.
    pub max_us: f64,
}

impl Timing {
    pub(crate) fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let at = |share: f64| {
            let place = (nanos.len().saturating_sub(1) as f64 * share).round() as usize;
            nanos.get(place).copied().unwrap_or(0) as f64 / 1e3
        };
        let total: u64 = nanos.iter().sum();
        Self {
            count: nanos.len(),
            per_second: if total == 0 { 0.0 } else { nanos.len() as f64 * 1e9 / total as f64 },
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    }
}

const SITE: &str = "bench";

/// Times `n` synced commits of one journalled read each, in the folder `dir`.
///
/// # Errors
/// What the disk says.
pub fn bench_commits(dir: &Path, n: usize) -> Result<Timing, EngineError> {
    let store = Store::open(dir, SITE)?;
    let mut nanos = Vec::with_capacity(n);
    let from = store.journal_head().seq;
    for i in 0..n {
        let at = Instant::from_millis(1_773_108_000_000 + i64::try_from(i).unwrap_or(0));
        let event_id = format!("bench-{from}-{i}");
        let read =
            ReadMessage { lane: "JCZ-1.L1".into(), event_id: Some(event_id.clone()), card: Some("C001".into()), ..ReadMessage::default() };
        let step = Step { events: vec![JournalEvent::Read { read: Box::new(read) }], changes: vec![Change::Seen { event_id, at }] };
        let started = Clock::now();
        let mut batch = store.begin();
        batch.apply(step, at)?;
        store.commit(batch, true)?;
        nanos.push(elapsed(started));
    }
    Ok(Timing::of(nanos))
}

fn elapsed(since: Clock) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

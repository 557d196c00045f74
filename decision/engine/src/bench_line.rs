//! Measures the line from the last needed read to its command, and beside it a bare record through
//! the same log.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use portgate_core::command::{Command, Order};
use portgate_log::{topics, Log, LogError, NewRecord};
use portgate_store::Store;
use serde_json::{json, Value};

use crate::bench::Timing;
use crate::clock::{Clock as _, SystemClock};
use crate::engine::{Engine, EngineOptions};
use crate::error::EngineError;
use crate::frames::NoFrames;

/// Longest wait for one command.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets `n` vehicles, one after the other, be read at a lane of a site of its own, decided and
/// commanded, and times each from before its read is appended until its open command has been read
/// from the log: what a barrier would see. The topics must exist with one partition each; the store
/// of the site goes into `dir`.
///
/// # Errors
/// What log or disk say; [`EngineError::Worker`] when no command comes.
pub async fn bench_line(log: Arc<dyn Log>, dir: &Path, n: usize) -> Result<Timing, EngineError> {
    let site = format!("bench-{}", SystemClock.now().as_micros());
    let (lane, plate) = (format!("{site}.L1"), "苏G00001");
    let registry = [
        (format!("site/{site}"), json!({})),
        (format!("checkpoint/{site}"), json!({"site": site, "profile": "LYG"})),
        (format!("lane/{lane}"), json!({"checkpoint": site, "direction": "ENTRY", "lane_class": "PASSENGER"})),
        (format!("vehicle/{plate}"), json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})),
    ];
    for (key, value) in registry {
        log.append(NewRecord::json(topics::REGISTRY, key, &value)?).await?;
    }
    let store = Arc::new(Store::open(dir, &site)?);
    let engine = Engine::new(store, log.clone(), Arc::new(NoFrames), Arc::new(SystemClock), EngineOptions::default());
    let handle = engine.handle();
    let running = tokio::spawn(async move { engine.run(std::future::pending()).await });
    let result = async {
        let waiting = Clock::now();
        while handle.ready().is_err() {
            if waiting.elapsed() > PATIENCE {
                return Err(EngineError::Worker(format!("the engine is not ready: {:?}", handle.status())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut from = log.end_offsets(topics::COMMANDS).await?.first().map_or(0, |end| *end);
        let mut nanos = Vec::with_capacity(n);
        for i in 0..n {
            let read = json!({"lane": lane, "event_id": format!("{site}-{i}"), "plate_read": {"text": plate, "confidence": 0.98}});
            let started = Clock::now();
            report(&*log, &site, &read).await?;
            from = next_open(&*log, &site, from).await?;
            nanos.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
            // The departure is not timed, nor in the next one's way; and the same plate read within
            // the millisecond of the departure would be a late read of the one that left.
            let seq = handle.store().journal_head().seq;
            report(&*log, &site, &json!({"lane": lane, "event_id": format!("{site}-{i}-gone"), "vehicle_gone": true})).await?;
            while handle.store().journal_head().seq == seq || handle.store().outbox_depth() > 0 {
                if started.elapsed() > PATIENCE {
                    return Err(EngineError::Worker("a departure was not taken in".into()));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(Timing::of(nanos))
    }
    .await;
    running.abort();
    // Its store is closed when the task has ended.
    let _ = running.await;
    result
}

/// Times `n` records of a read's size, one after the other, from before each is appended to `topic`
/// (of one partition) until it has been read back: the least that any line over this log takes.
///
/// # Errors
/// What the log says.
pub async fn bench_bare(log: &dyn Log, topic: &str, n: usize) -> Result<Timing, LogError> {
    let mut from = log.end_offsets(topic).await?.first().map_or(0, |end| *end);
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let started = Clock::now();
        log.append(NewRecord::new(topic, "bench", vec![b'x'; 160])).await?;
        loop {
            let batch = log.read(topic, 0, from, 16, PATIENCE).await?;
            from = batch.next_offset;
            if !batch.records.is_empty() {
                break;
            }
        }
        nanos.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(Timing::of(nanos))
}

async fn report(log: &dyn Log, site: &str, read: &Value) -> Result<(), LogError> {
    log.append(NewRecord::json(topics::READS, site.to_owned(), read)?).await.map(drop)
}

/// Waits for the site's next open command; answers with where to read on.
async fn next_open(log: &dyn Log, site: &str, mut from: u64) -> Result<u64, EngineError> {
    let waiting = Clock::now();
    while waiting.elapsed() < PATIENCE {
        let batch = log.read(topics::COMMANDS, 0, from, 64, PATIENCE).await?;
        from = batch.next_offset;
        let mine = |c: &Command| c.site == site && c.order == Order::Open;
        if batch.records.iter().filter_map(|r| r.json::<Command>().ok()).any(|c| mine(&c)) {
            return Ok(from);
        }
    }
    Err(EngineError::Worker("no command came".into()))
}

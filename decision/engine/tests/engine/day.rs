//! Twenty-four hours of made-up traffic in minutes: the embedded log, the store and the engine under a
//! clock that runs fast, with every retention shortened by so much that a day sees it at work many
//! times. Memory must stay flat, and files must grow by what is kept for ever (the journal) and no more.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Real};

use portgate_core::time::Instant;
use portgate_engine::{topics, Clock, Engine, EngineOptions, RecentFrames, Sleep, SystemClock, ANSWERS};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{Log, NewRecord, TopicSpec};
use portgate_store::Store;
use serde_json::{json, Value};
use tokio::sync::oneshot;

use crate::kit::SITE;

/// How much faster than the world.
const FASTER: u32 = 120;
/// A vehicle comes every so many milliseconds of the day: a truck a second, as at the busiest port.
const EVERY_MS: u64 = 1_000;
const LANES: usize = 8;
const VEHICLES: u64 = 2_000;
/// What is kept for a time is kept for one hour of the day.
const KEPT_MS: u64 = 3_600_000;
/// Hours until everything that is kept for a time has been forgotten once.
const SETTLED: usize = 6;
const PICTURE_BYTES: usize = 8_000;

/// A clock that runs fast.
struct Fast(Instant, Real);

impl Clock for Fast {
    fn now(&self) -> Instant {
        self.0.plus_millis(i64::try_from((self.1.elapsed() * FASTER).as_millis()).unwrap())
    }
    fn steady(&self) -> Option<Duration> {
        Some(self.1.elapsed() * FASTER)
    }
    fn sleep(&self, how_long: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(how_long / FASTER))
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok()).unwrap()
}

fn bytes(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).sum()
}

/// What one hour left behind.
struct Hour {
    resident_mib: f64,
    log_mib: f64,
    store_mib: f64,
    /// The journal so far, as its entries are stored.
    journal_mib: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a quarter of an hour: make soak"]
async fn a_day_leaves_memory_flat_and_files_bounded() {
    let hours: usize = std::env::var("PORTGATE_DAY_HOURS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let dir = tempfile::tempdir().unwrap();
    let (log_dir, store_dir) = (dir.path().join("log"), dir.path().join("store"));
    let real_ms = |day_ms: u64| (day_ms / u64::from(FASTER)).max(1);
    let config = EmbeddedConfig {
        retention_interval: Duration::from_secs(1),
        segment_ms: real_ms(60_000),
        segment_bytes: 1 << 20,
        ..EmbeddedConfig::new(&log_dir)
    };
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(config).unwrap());
    let mut specs = topics::default_specs(1, 1);
    specs.retain(|s| s.name != ANSWERS);
    specs.push(TopicSpec::new(ANSWERS, 1));
    for spec in specs.iter_mut().filter(|s| !s.compacted && s.name != topics::JOURNAL) {
        // The log's retention goes by the time of appending.
        spec.retention_ms = Some(real_ms(KEPT_MS));
    }
    log.create_topics(&specs).await.unwrap();
    put(&*log, "site", SITE, json!({})).await;
    put(&*log, "checkpoint", "JCZ-1", json!({"site": SITE, "profile": "LYG"})).await;
    for lane in 0..LANES {
        let value = json!({"checkpoint": "JCZ-1", "direction": if lane % 2 == 0 { "ENTRY" } else { "EXIT" }, "lane_class": "PASSENGER"});
        put(&*log, "lane", &format!("JCZ-1.L{lane}"), value).await;
    }
    for n in 0..VEHICLES {
        put(&*log, "vehicle", &plate(n), json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
    }
    let clock = Arc::new(Fast(SystemClock.now(), Real::now()));
    let store = Arc::new(Store::open(&store_dir, SITE).unwrap());
    let frames = Arc::new(RecentFrames::default());
    let options = EngineOptions {
        seen_horizon_ms: KEPT_MS as i64,
        evidence_retention_ms: KEPT_MS as i64,
        // A hiccup of this machine is two minutes of the day.
        live_lag_ms: 600_000,
        registry_stale_ms: 3_600_000,
        clock_step_ms: 3_600_000,
        ..EngineOptions::default()
    };
    let engine = Engine::new(store.clone(), log.clone(), frames.clone(), clock.clone(), options);
    let handle = engine.handle();
    let (stop, stopped) = oneshot::channel::<()>();
    let (stop_frames, frames_stopped) = oneshot::channel::<()>();
    let following = tokio::spawn(frames.follow(log.clone(), async move { drop(frames_stopped.await) }));
    let running = tokio::spawn(async move { engine.run(async move { drop(stopped.await) }).await });
    while handle.ready().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let began = clock.now();
    let per_hour = 3_600_000 / EVERY_MS;
    let (mut after, mut journal_bytes, mut seen) = (0, 0_u64, Vec::<Hour>::new());
    println!("hour  vehicles   reads behind  resident MiB  log MiB  store MiB  journal MiB");
    for hour in 0..hours as u64 {
        for n in hour * per_hour..(hour + 1) * per_hour {
            let due = began.plus_millis(i64::try_from(n * EVERY_MS).unwrap());
            let early_ms = due.millis_since(clock.now());
            if early_ms > 1_000 {
                clock.sleep(Duration::from_millis(early_ms.unsigned_abs())).await;
            }
            vehicle(&*log, n, clock.now()).await;
        }
        loop {
            let entries = store.journal_after(after, 5_000).unwrap();
            let Some((last, _)) = entries.last() else { break };
            after = last.seq;
            journal_bytes += entries.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        }
        let end = log.end_offsets(topics::READS).await.unwrap()[0];
        let behind = end - store.offset(topics::READS, 0).unwrap().unwrap_or(0);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let now = Hour {
            resident_mib: resident_kib() as f64 / 1024.0,
            log_mib: mib(bytes(&log_dir)),
            store_mib: mib(bytes(&store_dir)),
            journal_mib: mib(journal_bytes),
        };
        println!(
            "{:>4}{:>10}{:>15}{:>14.0}{:>9.0}{:>11.0}{:>13.0}",
            hour + 1,
            (hour + 1) * per_hour,
            behind,
            now.resident_mib,
            now.log_mib,
            now.store_mib,
            now.journal_mib
        );
        assert!(behind < 20_000, "the engine does not keep up");
        seen.push(now);
    }
    let real = clock.1.elapsed();
    drop((stop, stop_frames));
    running.await.unwrap().unwrap();
    following.await.unwrap();
    println!("{hours} h in {:.0} s", real.as_secs_f64());
    if seen.len() > SETTLED * 2 {
        let (settled, last) = (&seen[SETTLED - 1], &seen[seen.len() - 1]);
        let most = seen[SETTLED..].iter().map(|h| h.resident_mib).fold(0.0, f64::max);
        assert!(most <= settled.resident_mib * 1.25 + 64.0, "memory grows: {} → {most} MiB", settled.resident_mib);
        let journal = last.journal_mib - settled.journal_mib;
        // The journal stands in the store and, whole, on its topic; what is written and not yet
        // compacted comes and goes.
        let slack = 192.0;
        let (log_grew, store_grew) = (last.log_mib - settled.log_mib, last.store_mib - settled.store_mib);
        assert!(log_grew <= journal * 1.5 + slack, "the log grew by {log_grew} MiB, the journal by {journal}");
        assert!(store_grew <= journal * 2.5 + slack, "the store grew by {store_grew} MiB, the journal by {journal}");
    }
}

fn plate(n: u64) -> String {
    format!("苏G{:05}", n % VEHICLES)
}

async fn put(log: &dyn Log, kind: &str, id: &str, value: Value) {
    log.append(NewRecord::json(topics::REGISTRY, format!("{kind}/{id}"), &value).unwrap()).await.unwrap();
}

/// A vehicle comes in at one lane or leaves at another: picture, plate, loop.
async fn vehicle(log: &dyn Log, n: u64, at: Instant) {
    let lane = format!("JCZ-1.L{}", n % LANES as u64);
    let frame = format!("f-{n}");
    let picture: Vec<u8> = (0..PICTURE_BYTES as u64).map(|i| (i.wrapping_mul(n | 1) >> 5) as u8).collect();
    let record = NewRecord::new(topics::FRAMES, lane.clone(), picture).header(topics::HEADER_FRAME_ID, frame.clone());
    let record = record.header(topics::HEADER_LANE, lane.clone()).header(topics::HEADER_CAPTURED_AT, at.to_string());
    log.append(record).await.unwrap();
    let claims = [
        json!({"vehicle_present": true}),
        json!({"plate_read": {"text": plate(n / LANES as u64), "confidence": 0.98}, "track_id": format!("t-{n}"), "frame_id": frame}),
        json!({"vehicle_passed": true}),
    ];
    let reads = claims.into_iter().enumerate().map(|(i, mut read)| {
        read["lane"] = json!(lane);
        read["event_id"] = json!(format!("d-{n}-{i}"));
        NewRecord::json(topics::READS, SITE, &read).unwrap().at(at.as_millis() + i as i64)
    });
    log.append_batch(reads.collect()).await.unwrap();
}

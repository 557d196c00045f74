//! Measurements that `make bench` prints.

use std::path::Path;
use std::time::Instant as Clock;

use portgate_core::journal::JournalEvent;
use portgate_core::policy::Policy;
use portgate_core::read::{PlateRead, ReadMessage};
use portgate_core::registry::{Direction, Kind, LaneClass, Profile};
use portgate_core::rules::{decide, Context};
use portgate_core::site::{Change, Step};
use portgate_core::time::Instant;
use portgate_store::Store;
use serde_json::{json, Value};

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

/// Times `n` decisions (facts from the store, then the rules) over a registry of `vehicles`
/// vehicles with a card and a task each, taken in an order without locality. Also answers with how
/// long loading that registry took, seconds.
///
/// # Errors
/// What the disk says.
pub fn bench_decide(dir: &Path, vehicles: usize, n: usize) -> Result<(Timing, f64), EngineError> {
    let store = Store::open(dir, SITE)?;
    let started = Clock::now();
    let enterprise = (Kind::Enterprise, "E1".to_owned(), Some(json!({"name": "甲物流", "status": "APPROVED"})));
    store.import(std::iter::once(enterprise).chain((0..vehicles).flat_map(dossier)))?;
    let loading_s = started.elapsed().as_secs_f64();
    let policy = Policy::default();
    let context = Context {
        checkpoint: "JCZ-1",
        lane: "JCZ-1.L1",
        profile: Profile::Lyg,
        direction: Direction::Entry,
        lane_class: LaneClass::Freight,
        it_port: false,
        peak_mode: None,
        policy: &policy,
        approach_id: "bench",
        degraded: None,
    };
    // 2026-03-10T10:00:00+08:00
    let at = Instant::from_millis(1_773_108_000_000);
    let mut nanos = Vec::with_capacity(n);
    for i in 0..n {
        // A step of a large prime visits vehicles all over the registry.
        let vehicle = i.wrapping_mul(7_368_787) % vehicles.max(1);
        let inputs = ReadMessage {
            lane: "JCZ-1.L1".into(),
            plate_read: Some(PlateRead {
                text: plate(vehicle),
                confidence: 0.98,
                colour: None,
                kind: None,
                characters: Vec::new(),
                corners: None,
                settled: None,
                model: None,
            }),
            card: Some(format!("C{vehicle}")),
            ..ReadMessage::default()
        };
        let started = Clock::now();
        let outcome = decide(&context, &inputs, at, &store);
        nanos.push(elapsed(started));
        std::hint::black_box(outcome);
    }
    Ok((Timing::of(nanos), loading_s))
}

fn plate(vehicle: usize) -> String {
    format!("苏G{vehicle:08}")
}

fn dossier(vehicle: usize) -> [(Kind, String, Option<Value>); 3] {
    let (plate, card, task) = (plate(vehicle), format!("C{vehicle}"), format!("HP{vehicle}"));
    [
        (
            Kind::Vehicle,
            plate.clone(),
            Some(json!({
                "plate": plate, "plate_colour": "yellow", "category": "PF_GENERAL", "body": "FREIGHT", "enterprise": "E1",
                "registration": "APPROVED", "registration_valid_to": null, "documents_valid_to": "2026-12-31",
                "presence": "OUTSIDE"
            })),
        ),
        (
            Kind::Card,
            card,
            Some(json!({
                "type": "SINGLE", "plate": plate, "status": "ISSUED", "valid_from": "2026-03-10", "valid_to": "2026-03-10",
                "task": task
            })),
        ),
        (
            Kind::Task,
            task,
            Some(json!({
                "kind": "PF", "plate": plate, "state": "CALLED", "cargo_in": null, "cargo_out": "铁矿石",
                "window_from": null, "window_to": null
            })),
        ),
    ]
}

fn elapsed(since: Clock) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

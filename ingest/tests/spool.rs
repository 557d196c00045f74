//! Reads posted while the log is away: kept, in order, within a bound, over a restart, and forwarded
//! once. The log is the real embedded one behind a door that can be shut.

use std::future::pending;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::Router;
use portgate_core::people::{Principal, Role};
use portgate_core::read::ReadMessage;
use portgate_ingest::{router, EdgeLimits, EdgeState, LaneDirectory, Spool};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{
    topics, Consumer, ConsumerOptions, Health, Log, LogError, LogTransaction, NewRecord, PartitionLag, PartitionRange, Position, ReadBatch,
    Record, Result, TopicSpec,
};
use serde_json::{json, Value};
use tower::ServiceExt;

struct Door {
    inner: EmbeddedLog,
    shut: AtomicBool,
}

impl Door {
    fn through(&self) -> Result<&EmbeddedLog> {
        match self.shut.load(Ordering::SeqCst) {
            true => Err(LogError::Unavailable("the door is shut".into())),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Log for Door {
    async fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.through()?.create_topics(specs).await
    }
    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.through()?.partitions(topic).await
    }
    async fn append(&self, record: NewRecord) -> Result<Position> {
        self.through()?.append(record).await
    }
    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        self.through()?.append_batch(records).await
    }
    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.through()?.consumer(options).await
    }
    async fn read(&self, topic: &str, partition: u32, from: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        self.through()?.read(topic, partition, from, max, wait).await
    }
    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        self.through()?.ranges(topic).await
    }
    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
        self.through()?.lag(group, topics).await
    }
    async fn transaction(&self, id: &str) -> Result<Box<dyn LogTransaction>> {
        self.through()?.transaction(id).await
    }
    async fn health(&self) -> Health {
        self.inner.health().await
    }
}

struct Gate {
    app: Router,
    log: Arc<Door>,
    spool: Arc<Spool>,
}

async fn gate(dir: &Path, shut: bool, records_max: u64) -> Gate {
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir.join("log"))).unwrap();
    log.create_topics(&topics::default_specs(1, 1)).await.unwrap();
    let log = Arc::new(Door { inner: log, shut: AtomicBool::new(shut) });
    let lanes = LaneDirectory::new();
    lanes.apply("checkpoint", "JCZ-1", Some(&json!({"site": "LYG-1", "profile": "LYG"})));
    lanes.apply("lane", "JCZ-1.L1", Some(&json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "FREIGHT"})));
    let spool = Spool::open(dir.join("spool"), records_max).await.unwrap();
    let app = router(EdgeState::spooled(log.clone(), lanes, EdgeLimits::default(), spool.clone()));
    Gate { app, log, spool }
}

impl Gate {
    async fn post(&self, what: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let mut request = Request::post(format!("/v1/lanes/JCZ-1.L1/{what}")).body(body.into()).unwrap();
        request.extensions_mut().insert(Principal { name: "reader-1".into(), role: Role::Device, lanes: Vec::new() });
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn read(&self, n: usize) -> (StatusCode, String) {
        self.post("reads", format!(r#"{{"event_id":"E-{n:03}","card":"C"}}"#)).await
    }

    async fn stored(&self) -> Vec<Record> {
        self.log.inner.read(topics::READS, 0, 0, 1000, Duration::ZERO).await.unwrap().records
    }

    /// Lets the spool forward until nothing waits.
    async fn heal(&self) {
        self.log.shut.store(false, Ordering::SeqCst);
        let forward = tokio::spawn(self.spool.clone().forward(self.log.clone(), pending()));
        while self.spool.standing().await.unwrap().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        forward.abort();
        let _ = forward.await;
    }
}

fn ids(records: &[Record]) -> Vec<String> {
    records.iter().map(|r| r.json::<ReadMessage>().unwrap().event_id.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_an_outage_reach_the_log_once_in_order_and_with_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let open = gate(dir.path(), false, 1000).await;
    assert_eq!(open.read(0).await.0, StatusCode::ACCEPTED);
    assert_eq!((open.stored().await.len(), open.spool.standing().await.unwrap().kept), (1, 0), "with the log there nothing is kept");
    open.log.shut.store(true, Ordering::SeqCst);
    for n in 1..=50 {
        assert_eq!(open.read(n).await.0, StatusCode::ACCEPTED, "{n}");
    }
    assert_eq!(open.post("frames", vec![0xff, 0xd8]).await, (StatusCode::SERVICE_UNAVAILABLE, "PG-HTTP-LOG-UNAVAILABLE".into()));
    assert_eq!(open.spool.standing().await.unwrap().waiting, 50);
    drop(open);

    // The node stops and starts again while the log is still away.
    let again = gate(dir.path(), true, 1000).await;
    assert_eq!(again.spool.standing().await.unwrap().waiting, 50);
    let restarted = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    again.log.shut.store(false, Ordering::SeqCst);
    assert_eq!(again.read(51).await.0, StatusCode::ACCEPTED);
    assert_eq!(again.stored().await.len(), 1, "it waits behind the others though the log is there");
    again.heal().await;
    assert_eq!(again.read(52).await.0, StatusCode::ACCEPTED);
    let stored = again.stored().await;
    assert_eq!(ids(&stored), (0..=52).map(|n| format!("E-{n:03}")).collect::<Vec<_>>());
    assert!(stored.iter().all(|r| r.key_str() == Some("LYG-1")));
    assert!(stored[1..=50].iter().all(|r| r.timestamp_ms <= restarted), "with the time at which the gate got them");
    drop(again);
    let later = gate(dir.path(), false, 1000).await;
    assert_eq!(later.spool.standing().await.unwrap().waiting, 0, "what is forwarded is gone from the spool for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_says_so_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path(), true, 10).await;
    for n in 0..10 {
        assert_eq!(gate.read(n).await.0, StatusCode::ACCEPTED, "{n}");
    }
    for n in 10..13 {
        assert_eq!(gate.read(n).await, (StatusCode::SERVICE_UNAVAILABLE, "PG-HTTP-SPOOL-FULL".into()));
    }
    // What became of an arm finds room all the same, within a bound.
    let own = |id: &str| ReadMessage { lane: "L".into(), event_id: Some(id.into()), ..ReadMessage::default() };
    gate.spool.take_own(&*gate.log, "LYG-1", &own("own-1")).await.unwrap();
    assert!(gate.spool.take_own(&*gate.log, "LYG-1", &own("own-2")).await.unwrap_err().contains("11 reads wait already"));
    gate.heal().await;
    assert_eq!(gate.read(13).await.0, StatusCode::ACCEPTED);
    assert_eq!(ids(&gate.stored().await).len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path(), true, 10).await;
    assert_eq!(gate.post("reads", r#"{"crad":"C"}"#).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(gate.spool.standing().await.unwrap().waiting, 0);
}

/// What a desk is told; it is at work while `lease` says so.
#[derive(Default)]
struct Told {
    lease: AtomicBool,
    kept: std::sync::Mutex<Vec<(String, bool, Option<bool>)>>,
    over: AtomicBool,
}

impl portgate_ingest::spool::Desk for Told {
    fn at_work(&self, _: bool) -> bool {
        self.lease.load(Ordering::SeqCst)
    }
    fn kept(&self, read: ReadMessage, first: bool) {
        self.kept.lock().unwrap().push((read.event_id.unwrap(), first, read.cut_off));
    }
    fn over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_hears_what_is_kept_and_what_it_might_open_on_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path(), true, 1000).await;
    let desk = Arc::new(Told { lease: AtomicBool::new(true), ..Told::default() });
    gate.spool.hand_to(desk.clone());
    for n in 0..2 {
        assert_eq!(gate.read(n).await.0, StatusCode::ACCEPTED);
    }
    desk.lease.store(false, Ordering::SeqCst);
    assert_eq!(gate.read(2).await.0, StatusCode::ACCEPTED);
    // The gate's own: a barrier's report is heard as a read is; what the desk opened itself is kept only.
    let own = |id: &str| ReadMessage { lane: "L".into(), event_id: Some(id.into()), ..ReadMessage::default() };
    gate.spool.take_own(&*gate.log, "LYG-1", &own("own")).await.unwrap();
    assert!(!desk.over.load(Ordering::SeqCst), "the log is still away");
    gate.heal().await;
    assert!(desk.over.load(Ordering::SeqCst), "what was kept is out: the owner decides");
    assert_eq!(gate.read(3).await.0, StatusCode::ACCEPTED);
    let heard = |id: &str, first, marked| (id.to_owned(), first, marked);
    let kept = desk.kept.lock().unwrap().clone();
    assert_eq!(
        kept,
        [heard("E-000", true, Some(true)), heard("E-001", false, Some(true)), heard("E-002", false, None), heard("own", false, None)]
    );
    let marks: Vec<Option<bool>> = gate.stored().await.iter().map(|r| r.json::<ReadMessage>().unwrap().cut_off).collect();
    assert_eq!(marks, [Some(true), Some(true), None, None, None]);
}

/// A desk as the gate's own: an outage that it knows from the first read on.
#[derive(Default)]
struct Outage {
    known: AtomicBool,
    unmarked: std::sync::Mutex<Vec<String>>,
}

impl portgate_ingest::spool::Desk for Outage {
    fn at_work(&self, first: bool) -> bool {
        first || self.known.load(Ordering::SeqCst)
    }
    fn kept(&self, read: ReadMessage, first: bool) {
        if first {
            // A thread that has to wait here.
            std::thread::sleep(Duration::from_millis(5));
            self.known.store(true, Ordering::SeqCst);
        }
        if read.cut_off.is_none() {
            self.unmarked.lock().unwrap().extend(read.event_id);
        }
    }
    fn over(&self) {
        self.known.store(false, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_that_come_at_once_as_the_log_goes_away_are_all_of_that_outage() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(gate(dir.path(), true, 1000).await);
    let desk = Arc::new(Outage::default());
    gate.spool.hand_to(desk.clone());
    for outage in 0..5 {
        gate.log.shut.store(true, Ordering::SeqCst);
        let posted: Vec<_> = (0..16)
            .map(|n| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(n / 2)).await;
                    gate.read((outage * 100 + n) as usize).await
                })
            })
            .collect();
        for answer in posted {
            assert_eq!(answer.await.unwrap().0, StatusCode::ACCEPTED);
        }
        gate.heal().await;
    }
    assert_eq!(*desk.unmarked.lock().unwrap(), [""; 0], "an unmarked read ends what is opened on the spot");
    assert_eq!(gate.stored().await.len(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_says_that_something_was_opened_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path(), false, 10).await;
    assert_eq!(gate.post("reads", r#"{"card":"C","cut_off":true}"#).await, (StatusCode::BAD_REQUEST, "PG-HTTP-READ-INVALID".into()));
    let command = r#"{"command_id":"C-x","site":"LYG-1","lane":"L","approach_id":"x","decision_id":"D-x","decision_version":1,
        "order":"open","fence":1,"issued_at":"2026-11-22T10:00:00+08:00","expires_at":"2026-11-22T10:00:10+08:00"}"#;
    let spot = format!(
        r#"{{"on_the_spot":{{"command":{command},"plate":"苏G00001","row":null,"reasons":[],"policy_revision":"r","registry_revision":1,"registry_age_ms":1}}}}"#
    );
    assert_eq!(gate.post("reads", spot).await, (StatusCode::BAD_REQUEST, "PG-HTTP-READ-INVALID".into()));
    assert_eq!(gate.stored().await.len(), 0);
}

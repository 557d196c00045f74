//! A site on temporary folders.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portgate_core::command::{Command, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::read::ReadMessage;
use portgate_engine::barrier::{drive, Barrier, BarrierFault, BarrierOptions};
use portgate_engine::{topics, Clock, Engine, EngineError, EngineHandle, EngineOptions, Frames, NoFrames, SystemClock, ANSWERS};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{
    Consumer, ConsumerOptions, Health, Log, LogTransaction, NewRecord, PartitionLag, PartitionRange, Position, ReadBatch, Result, TopicSpec,
};
use portgate_store::Store;
use serde::de::DeserializeOwned;
use serde_json::{json, Value};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const SITE: &str = "LYG-1";
pub const IN: &str = "JCZ-1.L1";
pub const IN2: &str = "JCZ-1.L5";
pub const CARS: &str = "JCZ-1.L3";
const PATIENCE: Duration = Duration::from_secs(20);

/// What the log does with the engine's publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outlet {
    Open,
    /// Nothing gets out, and nobody hears of it.
    Stuck,
    /// It gets out, and the answer is lost.
    Mute,
}

/// The embedded log with an outlet that can be shut.
pub struct Gated {
    pub inner: EmbeddedLog,
    outlet: AtomicU8,
}

impl Gated {
    pub fn set(&self, outlet: Outlet) {
        self.outlet.store(outlet as u8, Ordering::SeqCst);
    }
}

#[async_trait]
impl Log for Gated {
    async fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        self.inner.create_topics(specs).await
    }
    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.inner.partitions(topic).await
    }
    async fn append(&self, record: NewRecord) -> Result<Position> {
        self.inner.append(record).await
    }
    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        let outlet = self.outlet.load(Ordering::SeqCst);
        if outlet == Outlet::Stuck as u8 {
            std::future::pending::<()>().await;
        }
        let positions = self.inner.append_batch(records).await;
        if outlet == Outlet::Mute as u8 {
            std::future::pending::<()>().await;
        }
        positions
    }
    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        self.inner.consumer(options).await
    }
    async fn read(&self, topic: &str, partition: u32, from: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        self.inner.read(topic, partition, from, max, wait).await
    }
    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        self.inner.ranges(topic).await
    }
    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
        self.inner.lag(group, topics).await
    }
    async fn transaction(&self, id: &str) -> Result<Box<dyn LogTransaction>> {
        self.inner.transaction(id).await
    }
    async fn health(&self) -> Health {
        self.inner.health().await
    }
}

/// A barrier that counts how often it was raised.
#[derive(Default)]
pub struct Counting(std::sync::Mutex<Vec<String>>);

impl Counting {
    pub fn raised(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Barrier for Counting {
    async fn raise(&self, lane: &str) -> std::result::Result<(), BarrierFault> {
        self.0.lock().unwrap().push(lane.to_owned());
        Ok(())
    }
    async fn lower(&self, _: &str) -> std::result::Result<(), BarrierFault> {
        Ok(())
    }
}

pub struct Running<T> {
    task: JoinHandle<T>,
    stop: Option<oneshot::Sender<()>>,
}

impl<T> Running<T> {
    /// Ends it in order.
    pub async fn stop(mut self) -> T {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops in time").expect("it does not panic")
    }
    /// Ends it where it stands, as far as a task can be.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
    pub async fn ended(self) -> T {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends by itself").expect("it does not panic")
    }
}

pub struct Kit {
    pub dir: tempfile::TempDir,
    pub log: Arc<Gated>,
}

impl Kit {
    /// Topics and the registry, nothing decided yet.
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
        let log = Arc::new(Gated { inner, outlet: AtomicU8::new(Outlet::Open as u8) });
        let kit = Self { dir, log };
        kit.log_topics().await;
        kit.put("site", SITE, json!({"name": "连云港"})).await;
        kit.put("checkpoint", "JCZ-1", json!({"site": SITE, "profile": "LYG"})).await;
        for (lane, class) in [(IN, "FREIGHT"), (IN2, "FREIGHT"), (CARS, "PASSENGER")] {
            kit.put("lane", lane, json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": class})).await;
        }
        kit.put("vehicle", "苏G12345", json!({"category": "PF_GENERAL", "registration": "APPROVED", "body": "FREIGHT"})).await;
        kit.put("card", "C1", json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "task": "T1"})).await;
        kit.put("task", "T1", json!({"kind": "PF", "plate": "苏G12345", "state": "CALLED"})).await;
        kit.put("vehicle", "苏G00001", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
        kit
    }

    /// Creates the topics.
    pub async fn log_topics(&self) {
        let mut specs = topics::default_specs(1, 1);
        if specs.iter().all(|s| s.name != ANSWERS) {
            specs.push(TopicSpec::new(ANSWERS, 1));
        }
        self.log.create_topics(&specs).await.unwrap();
    }

    /// The same store on another log.
    pub fn with_log(self, path: &std::path::Path) -> Self {
        let inner = EmbeddedLog::open(EmbeddedConfig::new(path)).unwrap();
        Self { log: Arc::new(Gated { inner, outlet: AtomicU8::new(Outlet::Open as u8) }), ..self }
    }

    pub fn store_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("site")
    }

    /// Opens the store, waiting for a crashed engine's last hand on it.
    pub async fn store(&self) -> Arc<Store> {
        for _ in 0..200 {
            match Store::open(&self.store_dir(), SITE) {
                Ok(store) => return Arc::new(store),
                Err(portgate_store::StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(e) => panic!("{e}"),
            }
        }
        panic!("the store stays locked");
    }

    pub async fn engine(&self) -> (Running<std::result::Result<(), EngineError>>, EngineHandle) {
        self.engine_with(Arc::new(NoFrames), Arc::new(SystemClock)).await
    }

    pub async fn engine_with(
        &self,
        frames: Arc<dyn Frames>,
        clock: Arc<dyn Clock>,
    ) -> (Running<std::result::Result<(), EngineError>>, EngineHandle) {
        let engine = Engine::new(self.store().await, self.log.clone(), frames, clock, EngineOptions::default());
        let handle = engine.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            engine
                .run(async move {
                    let _ = stopped.await;
                })
                .await
        });
        (Running { task, stop: Some(stop) }, handle)
    }

    pub fn barrier(&self, machine: Arc<Counting>) -> Running<Result<()>> {
        let (stop, stopped) = oneshot::channel::<()>();
        let log = self.log.clone();
        let task = tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.await;
            };
            drive(log, machine, Arc::new(SystemClock), BarrierOptions::default(), stop).await
        });
        Running { task, stop: Some(stop) }
    }

    pub async fn put(&self, kind: &str, id: &str, value: Value) {
        self.append(NewRecord::json(topics::REGISTRY, format!("{kind}/{id}"), &value).unwrap()).await;
    }

    pub async fn append(&self, record: NewRecord) {
        self.log.append(record).await.unwrap();
    }

    pub async fn read(&self, value: Value) {
        self.append(NewRecord::json(topics::READS, SITE, &value).unwrap()).await;
        // Nobody stands where another has just left within the same millisecond: a plate read that
        // early is rightly taken for a late one of the vehicle that left.
        if value["vehicle_gone"] == true || value["vehicle_passed"] == true {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn plate(&self, lane: &str, plate: &str, event_id: &str) {
        self.read(json!({"lane": lane, "event_id": event_id, "plate_read": {"text": plate, "confidence": 0.98}})).await;
    }

    /// Everything on a topic.
    pub async fn all<T: DeserializeOwned>(&self, topic: &str) -> Vec<T> {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let batch = self.log.read(topic, 0, from, 1000, Duration::ZERO).await.unwrap();
            if batch.records.is_empty() {
                return found;
            }
            found.extend(batch.records.iter().map(|r| r.json::<T>().unwrap()));
            from = batch.next_offset;
        }
    }

    pub async fn decisions(&self) -> Vec<Decision> {
        self.all(topics::DECISIONS).await
    }

    pub async fn opens(&self) -> Vec<Command> {
        let commands: Vec<Command> = self.all(topics::COMMANDS).await;
        commands.into_iter().filter(|c| c.order == Order::Open).collect()
    }

    /// Waits until as many decision versions are published.
    pub async fn decided(&self, n: usize) -> Vec<Decision> {
        self.until(|| async { Some(self.decisions().await).filter(|d| d.len() >= n) }, "decisions").await
    }

    /// Waits until a journalled event is there.
    pub async fn journalled(&self, want: impl Fn(&JournalEvent) -> bool) -> JournalEntry {
        let find = || async {
            let journal: Vec<JournalEntry> = self.all(topics::JOURNAL).await;
            journal.into_iter().find(|e| want(&e.event))
        };
        self.until(find, "an entry of the journal").await
    }

    pub async fn until<T, F: std::future::Future<Output = Option<T>>>(&self, look: impl Fn() -> F, what: &str) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if tokio::time::Instant::now() > deadline {
                let reads: Vec<ReadMessage> = self.all(topics::READS).await;
                let rejected: Vec<Value> = self.all(topics::REJECTED).await;
                panic!("no {what} in time; reads: {reads:#?}; rejected: {rejected:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn release(&self, decision: &Decision, request: &str) {
        assert_ne!(decision.verdict, Verdict::Open);
        self.read(json!({"lane": decision.lane, "event_id": request, "word": {
            "request_id": request, "decision_id": decision.id, "action": "release", "reason": "核对行驶证",
            "by": {"name": "wang", "role": "guard"}}}))
            .await;
    }

    /// The store is sound.
    pub async fn sound(&self) {
        drop(self.store().await);
        let report = portgate_store::check(&self.store_dir()).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    }
}

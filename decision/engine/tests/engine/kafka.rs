//! The same on a real Kafka, where `PORTGATE_KAFKA=host:port` names one.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::{Command, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::JournalEntry;
use portgate_engine::{topics, Clock, Engine, EngineError, EngineHandle, EngineOptions, NoFrames, SystemClock, ANSWERS};
use portgate_log::kafka::{KafkaConfig, KafkaLog};
use portgate_log::{Log, LogError, NewRecord, TopicSpec};
use portgate_store::Store;
use serde::de::DeserializeOwned;
use serde_json::{json, Value};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

struct Gate {
    log: Arc<dyn Log>,
    site: String,
    lane: String,
    plate: String,
    dir: tempfile::TempDir,
}

type Task = JoinHandle<Result<(), EngineError>>;

impl Gate {
    /// A site of its own on a broker that others use, too.
    async fn new() -> Option<Self> {
        let Ok(brokers) = std::env::var("PORTGATE_KAFKA") else {
            println!("skipped: PORTGATE_KAFKA names no broker");
            return None;
        };
        let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(KafkaConfig::new(brokers)).await.unwrap());
        let mut specs: Vec<TopicSpec> = topics::default_specs(1, 1);
        specs.retain(|s| s.name != topics::FRAMES && s.name != ANSWERS);
        specs.push(TopicSpec::new(ANSWERS, 1));
        log.create_topics(&specs).await.unwrap();
        let mark = SystemClock.now().as_micros().to_string();
        let gate = Self {
            log,
            site: format!("T-{mark}"),
            lane: format!("T-{mark}.L1"),
            plate: format!("苏T{mark}"),
            dir: tempfile::tempdir().unwrap(),
        };
        let (site, checkpoint) = (gate.site.clone(), gate.site.clone());
        gate.put("site", &site, json!({})).await;
        gate.put("checkpoint", &checkpoint, json!({"site": site, "profile": "LYG"})).await;
        gate.put("lane", &gate.lane, json!({"checkpoint": checkpoint, "direction": "ENTRY", "lane_class": "PASSENGER"})).await;
        gate.put("vehicle", &gate.plate, json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
        Some(gate)
    }

    async fn put(&self, kind: &str, id: &str, value: Value) {
        self.log.append(NewRecord::json(topics::REGISTRY, format!("{kind}/{id}"), &value).unwrap()).await.unwrap();
    }

    async fn read(&self, event_id: &str, more: Value) {
        let mut value = json!({"lane": self.lane, "event_id": format!("{}-{event_id}", self.site)});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.log.append(NewRecord::json(topics::READS, self.site.clone(), &value).unwrap()).await.unwrap();
    }

    async fn arrives(&self, event_id: &str) {
        self.read(event_id, json!({"plate_read": {"text": self.plate, "confidence": 0.98}})).await;
    }

    fn engine(&self, store: &str) -> (Arc<Engine>, EngineHandle) {
        let store = Arc::new(Store::open(&self.dir.path().join(store), &self.site).unwrap());
        let engine = Engine::new(store, self.log.clone(), Arc::new(NoFrames), Arc::new(SystemClock), EngineOptions::default());
        let handle = engine.handle();
        (Arc::new(engine), handle)
    }

    async fn mine<T: DeserializeOwned>(&self, topic: &str) -> Vec<T> {
        let mut found = Vec::new();
        let mut from = self.log.ranges(topic).await.unwrap()[0].earliest;
        loop {
            let batch = self.log.read(topic, 0, from, 1000, Duration::from_millis(200)).await.unwrap();
            found.extend(batch.records.iter().filter(|r| r.key_str() == Some(&self.site)).map(|r| r.json::<T>().unwrap()));
            if batch.next_offset <= from {
                return found;
            }
            from = batch.next_offset;
        }
    }

    async fn decided(&self, n: usize) -> Vec<Decision> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let decisions: Vec<Decision> = self.mine(topics::DECISIONS).await;
            if decisions.len() >= n {
                return decisions;
            }
            assert!(tokio::time::Instant::now() < deadline, "{n} decisions in time, not {decisions:#?}");
        }
    }
}

fn start(engine: &Arc<Engine>) -> Task {
    let engine = engine.clone();
    tokio::spawn(async move { engine.run(std::future::pending()).await })
}

async fn ended(task: Task) -> Result<(), EngineError> {
    tokio::time::timeout(PATIENCE, task).await.expect("it ends in time").expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_owner_decides_and_a_former_one_is_fenced_off() {
    let Some(gate) = Gate::new().await else { return };
    let (owner, handle) = gate.engine("owner");
    let first = start(&owner);
    gate.arrives("r1").await;
    let decision = gate.decided(1).await.remove(0);
    assert_eq!(decision.verdict, Verdict::Open);
    // A node with an empty store takes the site over: it must not decide, but the owner is fenced.
    let (other, _) = gate.engine("other");
    let refused = ended(start(&other)).await;
    assert!(matches!(refused, Err(EngineError::Behind { store: 0, .. })), "{refused:?}");
    gate.read("gone", json!({"vehicle_gone": true})).await;
    let fenced = ended(first).await;
    assert!(matches!(fenced, Err(EngineError::Log(LogError::Fenced(_)))), "{fenced:?}");
    // Its store is still the one the journal on the log belongs to: it can take the site over again.
    let again = start(&owner);
    gate.arrives("r2").await;
    let decisions = gate.decided(2).await;
    assert_eq!(decisions.len(), 2, "{decisions:#?}");
    assert_ne!(decisions[0].id, decisions[1].id);
    let mut opens: Vec<Command> = gate.mine(topics::COMMANDS).await;
    opens.retain(|c| c.order == Order::Open);
    assert_eq!(opens.iter().map(|c| &c.decision_id).collect::<Vec<_>>(), decisions.iter().map(|d| &d.id).collect::<Vec<_>>());
    let journal: Vec<JournalEntry> = gate.mine(topics::JOURNAL).await;
    assert!(journal.iter().map(|e| e.seq).eq(1..=journal.len() as u64), "no gap and no repeat");
    assert!(handle.ready().is_ok(), "{:?}", handle.status());
    again.abort();
}

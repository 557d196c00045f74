//! The same on a real Kafka, where `PORTGATE_KAFKA=host:port` names one.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::{Command, Order};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::JournalEntry;
use portgate_engine::{topics, Clock, Engine, EngineError, EngineHandle, EngineOptions, NoFrames, Standing, SystemClock, ANSWERS};
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

/// Waits until the node is what `want` says.
async fn stands(handle: &EngineHandle, want: impl Fn(Standing) -> bool) {
    let seen = tokio::time::timeout(PATIENCE, async { handle.watch().wait_for(|s| want(s.standing)).await.map(|s| s.clone()) }).await;
    assert!(matches!(seen, Ok(Ok(_))), "{:?}", handle.status());
}

fn owner(standing: Standing) -> bool {
    standing == Standing::Owner
}

fn journal_of(handle: &EngineHandle) -> Vec<Vec<u8>> {
    handle.store().journal_after(0, usize::MAX).unwrap().into_iter().map(|(_, bytes)| bytes).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_follows_the_owner_and_takes_over_when_it_is_gone() {
    let Some(gate) = Gate::new().await else { return };
    let (first, first_handle) = gate.engine("first");
    let first_task = start(&first);
    stands(&first_handle, owner).await;
    gate.arrives("r1").await;
    let decision = gate.decided(1).await.remove(0);
    assert_eq!(decision.verdict, Verdict::Open);
    // A second node stands by: it holds the same journal and decides nothing.
    let (second, second_handle) = gate.engine("second");
    let second_task = start(&second);
    stands(&second_handle, |s| matches!(s, Standing::Standby { seq, left: 0 } if seq > 0)).await;
    assert!(second_handle.ready().is_ok(), "a standby is well");
    gate.read("passed", json!({"vehicle_passed": true})).await;
    let head = || first_handle.store().journal_head().seq;
    tokio::time::timeout(PATIENCE, async {
        while second_handle.store().journal_head().seq < head() || first_handle.store().outbox_depth() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the standby keeps up");
    assert_eq!(journal_of(&first_handle), journal_of(&second_handle), "byte for byte");
    assert!(owner(first_handle.status().standing) && !owner(second_handle.status().standing));
    // The owner dies; the standby goes on.
    first_task.abort();
    let _ = first_task.await;
    let began = std::time::Instant::now();
    stands(&second_handle, owner).await;
    println!("taken over by the standby after {} ms", began.elapsed().as_millis());
    gate.arrives("r2").await;
    gate.arrives("r1").await; // a repeat of what the former owner took in
    let decisions = gate.decided(2).await;
    assert_eq!(decisions.iter().map(|d| &d.id).collect::<std::collections::BTreeSet<_>>().len(), 2, "{decisions:#?}");
    let mut opens: Vec<Command> = gate.mine(topics::COMMANDS).await;
    opens.retain(|c| c.order == Order::Open);
    assert!(opens.len() <= 2, "{opens:#?}");
    assert_eq!(opens.iter().map(|c| &c.approach_id).collect::<std::collections::BTreeSet<_>>().len(), opens.len(), "one per approach");
    let journal: Vec<JournalEntry> = gate.mine(topics::JOURNAL).await;
    assert!(journal.iter().map(|e| e.seq).eq(1..=journal.len() as u64), "no gap and no repeat");
    second_task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_owner_is_fenced_off_and_its_own_ending_is_set_aside() {
    let Some(gate) = Gate::new().await else { return };
    let (first, first_handle) = gate.engine("first");
    let task = start(&first);
    stands(&first_handle, owner).await;
    gate.arrives("r1").await;
    gate.decided(1).await;
    // Somebody else takes the site's transactional id: nothing of this node gets out any more.
    let _thief = gate.log.transaction(&format!("portgate-site-{}", gate.site)).await.unwrap();
    gate.read("gone", json!({"vehicle_gone": true})).await;
    let fenced = ended(task).await;
    assert!(matches!(fenced, Err(EngineError::Log(LogError::Fenced(_)))), "{fenced:?}");
    let alone = first_handle.store().journal_head().seq;
    drop((first, first_handle));
    // Another node takes over from the journal and comes to another history.
    let (second, second_handle) = gate.engine("second");
    let task = start(&second);
    stands(&second_handle, owner).await;
    gate.read("present", json!({"queue_length": 2})).await;
    gate.arrives("r2").await;
    tokio::time::timeout(PATIENCE, async {
        while second_handle.store().journal_head().seq <= alone || second_handle.store().outbox_depth() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the new owner decides");
    task.abort();
    let _ = task.await;
    // Started again, the former owner's store is set aside, and the node follows.
    let dir = gate.dir.path().join("first");
    let store = portgate_engine::open_store(&dir, &gate.site, &*gate.log).await.unwrap();
    assert_eq!(store.journal_head().seq, 0);
    drop(store);
    assert!(gate.dir.path().join(format!("first.set-aside-{alone}")).is_dir());
    drop((second, second_handle));
    let (first, first_handle) = gate.engine("first");
    let task = start(&first);
    stands(&first_handle, owner).await;
    let journal: Vec<JournalEntry> = gate.mine(topics::JOURNAL).await;
    assert_eq!(first_handle.store().journal_head().seq, journal.last().unwrap().seq);
    task.abort();
}

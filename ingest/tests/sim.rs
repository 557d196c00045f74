//! The simulated lanes against a scripted gate and over the real embedded log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portgate_core::command::BarrierState;
use portgate_core::decision::Verdict;
use portgate_core::read::{Action, BarrierReport, ReadMessage};
use portgate_core::registry::Kind;
use portgate_ingest::sim::{run_simulation, Decided, DemoSite, GatePort, GuardWord, LogPort, PortError, Signal, SimConfig, SITE};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log, NewRecord};
use serde_json::Value;
use tokio::sync::{mpsc, watch, Mutex};

/// A gate that opens passenger lanes at the third frame and refuses everybody on freight lanes.
struct Scripted {
    seen: Mutex<Seen>,
    sender: mpsc::Sender<Signal>,
    receiver: Mutex<mpsc::Receiver<Signal>>,
}

#[derive(Default)]
struct Seen {
    frames: BTreeMap<String, usize>,
    events: BTreeMap<String, Vec<&'static str>>,
    records: Vec<(Kind, String)>,
}

impl Scripted {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(100);
        Self { seen: Mutex::default(), sender, receiver: Mutex::new(receiver) }
    }
}

#[async_trait]
impl GatePort for Scripted {
    async fn post_frame(&self, lane: &str, jpeg: Bytes) -> Result<(), PortError> {
        assert!(jpeg.starts_with(&[0xff, 0xd8]));
        let mut seen = self.seen.lock().await;
        let frames = seen.frames.entry(lane.to_owned()).or_default();
        *frames += 1;
        if *frames != 3 {
            return Ok(());
        }
        let freight = lane.ends_with("L1") || lane.ends_with("L2");
        let signal = if freight {
            Signal::Decided(Decided {
                id: "D".into(),
                version: 1,
                lane: lane.into(),
                verdict: Verdict::Refuse,
                in_order: false,
                reasons: Vec::new(),
                arrived_at: "2099-01-01T00:00:00Z".parse().unwrap(),
                action: None,
            })
        } else {
            Signal::Barrier { lane: lane.into(), state: BarrierState::Open }
        };
        let _ = self.sender.send(signal).await;
        Ok(())
    }

    async fn post_read(&self, read: ReadMessage) -> Result<(), PortError> {
        assert!(read.event_id.is_some());
        let mut seen = self.seen.lock().await;
        let what = match &read {
            r if r.vehicle_present == Some(true) => "present",
            r if r.vehicle_passed == Some(true) => "passed",
            r if r.vehicle_gone == Some(true) => "gone",
            r if r.card.is_some() => "card",
            _ => return Ok(()),
        };
        if what == "present" {
            seen.frames.insert(read.lane.clone(), 0);
        }
        seen.events.entry(read.lane).or_default().push(what);
        Ok(())
    }

    async fn put_record(&self, kind: Kind, id: &str, _: Option<&Value>) -> Result<(), PortError> {
        self.seen.lock().await.records.push((kind, id.to_owned()));
        Ok(())
    }

    async fn say(&self, _: GuardWord) -> Result<(), PortError> {
        Ok(())
    }

    async fn next_signal(&self) -> Option<Signal> {
        self.receiver.lock().await.recv().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_drive_through_an_open_barrier_and_turn_back_from_a_refusal() {
    let gate = Arc::new(Scripted::new());
    let config = SimConfig { rate_per_min: 60.0, seconds: Some(14), seed: 11, dwell_s: (1, 2), ..SimConfig::default() };
    let (_stop, stopped) = watch::channel(false);
    let summary = run_simulation(config, gate.clone(), stopped).await.unwrap();
    assert!(summary.passed >= 1 && summary.turned_back >= 1 && summary.failures == 0, "{summary:?}");
    let seen = gate.seen.lock().await;
    assert!(seen.records.iter().any(|(kind, _)| *kind == Kind::Lane), "the site's records were written first");
    assert!(seen.records.iter().any(|(kind, _)| matches!(kind, Kind::Task | Kind::Reception)), "papers were issued");
    let passenger = &seen.events["JCZ-1.L3"];
    assert_eq!(passenger[..3], ["gone", "present", "passed"], "whoever was left over goes first: {passenger:?}");
    assert!(!seen.events["JCZ-1.L1"].contains(&"passed"), "nobody passes a closed barrier");
    for events in seen.events.values() {
        let arrivals = events.iter().filter(|e| **e == "present").count();
        let ends = events.iter().skip(1).filter(|e| matches!(**e, "passed" | "gone")).count();
        assert!(arrivals == ends || arrivals == ends + 1, "one vehicle at a time: {events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_log_papers_reads_and_words_go_out_and_the_barrier_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap());
    log.create_topics(&topics::default_specs(1, 4)).await.unwrap();
    let port = LogPort::connect(log.clone(), SITE).await.unwrap();

    let site = DemoSite::new(4, "2026-03-10T12:00:00+08:00".parse().unwrap());
    let (kind, id, value) = site.registry().swap_remove(1);
    port.put_record(kind, &id, Some(&value)).await.unwrap();
    port.post_frame("JCZ-1.L1", Bytes::from_static(b"\xff\xd8")).await.unwrap();
    let word = GuardWord {
        decision_id: "D-1".into(),
        lane: "JCZ-1.L1".into(),
        version: 1,
        action: Action::Release,
        reason: "ok".into(),
        plate: None,
    };
    port.say(word).await.unwrap();
    let report = BarrierReport { state: BarrierState::Open, command_id: None };
    let read = ReadMessage { lane: "JCZ-1.L1".into(), barrier: Some(report), ..ReadMessage::default() };
    log.append(NewRecord::json(topics::READS, SITE, &read).unwrap()).await.unwrap();

    let passage = |plate: &str, direction: &str| {
        let passage = serde_json::json!({"plate": plate, "direction": direction, "lane": "L"});
        NewRecord::json(topics::JOURNAL, SITE, &serde_json::json!({"seq": 1, "event": {"type": "passage", "passage": passage}})).unwrap()
    };
    for (plate, direction) in [("A", "ENTRY"), ("B", "ENTRY"), ("A", "EXIT")] {
        log.append(passage(plate, direction)).await.unwrap();
    }
    log.append(NewRecord::json(topics::JOURNAL, SITE, &serde_json::json!({"event": {"type": "timer"}})).unwrap()).await.unwrap();
    assert_eq!(port.inside().await, ["B"]);

    let signal = tokio::time::timeout(Duration::from_secs(5), port.next_signal()).await.unwrap();
    assert_eq!(signal, Some(Signal::Barrier { lane: "JCZ-1.L1".into(), state: BarrierState::Open }));
    let records = log.read(topics::REGISTRY, 0, 0, 10, Duration::ZERO).await.unwrap().records;
    assert_eq!(records[0].key_str(), Some(format!("{kind}/{id}").as_str()));
    let reads = log.read(topics::READS, 0, 0, 10, Duration::ZERO).await.unwrap().records;
    let said: ReadMessage = reads[0].json().unwrap();
    assert_eq!(said.word.map(|w| (w.action, w.version)), Some((Action::Release, Some(1))));
    assert_eq!(reads[0].key_str(), Some(SITE));
}

//! A made-up site on a real log: it writes the journal an engine would write, and answers words
//! and registry writes as an engine would. For tests of the control room and for looking at it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portgate_core::command::BarrierState;
use portgate_core::decision::{Answer, AnswerOutcome, Decision, Evidence, PlateSource, ReasonRecord, Severity, Verdict};
use portgate_core::journal::{AuthorisedBy, Ending, JournalEntry, JournalEvent, Passage, Violation};
use portgate_core::people::Role;
use portgate_core::plate::PlateKind;
use portgate_core::read::{Action, BarrierReport, PlateRead, ReadCharacter, ReadMessage, Word};
use portgate_core::time::Instant;
use portgate_dashboards::answers;
use portgate_log::{topics, Log, NewRecord, TopicSpec};

pub const SITE: &str = "LYG";
pub const CHECKPOINT: &str = "JCZ-1";

/// The topics of a small gate.
pub async fn create_topics(log: &dyn Log) {
    let mut specs = topics::default_specs(1, 1);
    specs.push(portgate_dashboards::room::topic_spec());
    if !specs.iter().any(|s| s.name == answers::TOPIC) {
        specs.push(TopicSpec::new(answers::TOPIC, 1));
    }
    log.create_topics(&specs).await.unwrap();
}

pub fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Instant::from_micros(since.as_micros() as i64)
}

pub fn reason(code: &str, check: &str, cite: Option<&str>, verdict: Verdict, severity: Severity, zh: &str, en: &str) -> ReasonRecord {
    ReasonRecord {
        code: code.into(),
        check: check.into(),
        cite: cite.map(str::to_owned),
        disposition: verdict,
        severity,
        zh: zh.into(),
        en: en.into(),
    }
}

pub fn manual_release() -> ReasonRecord {
    reason(
        "MANUAL_RELEASE_REQUIRED",
        "C19",
        Some("LYG-7.6a"),
        Verdict::Hold,
        Severity::Info,
        "核验无误，请人工放行",
        "All checks passed; manual release by the guard",
    )
}

pub fn plate_read(text: &str, kind: PlateKind, confidences: &[f64]) -> PlateRead {
    let sure = |i: usize| confidences.get(i).copied().unwrap_or(0.99);
    let characters: Vec<ReadCharacter> = text
        .chars()
        .enumerate()
        .map(|(i, c)| ReadCharacter { char: c.to_string(), confidence: sure(i), alternatives: Vec::new() })
        .collect();
    let confidence = characters.iter().map(|c| c.confidence).fold(1.0, f64::min);
    PlateRead {
        text: text.into(),
        confidence,
        colour: Some(kind.colour().into()),
        kind: Some(kind),
        characters,
        corners: None,
        settled: Some(true),
        model: None,
    }
}

/// What is said of one vehicle.
#[derive(Clone)]
pub struct Vehicle {
    pub lane: String,
    pub plate: Option<PlateRead>,
    pub card: Option<String>,
    pub category: Option<String>,
    pub verdict: Verdict,
    pub in_order: bool,
    pub reasons: Vec<ReasonRecord>,
    pub release_role: Option<Role>,
    pub enterprise: Option<String>,
    pub frame_id: Option<String>,
    /// How long it has stood there already.
    pub waited_ms: i64,
}

impl Vehicle {
    pub fn in_order(lane: &str, plate: &str) -> Self {
        Self {
            lane: lane.into(),
            plate: Some(plate_read(plate, PlateKind::Yellow, &[])),
            card: Some("C0001".into()),
            category: Some("PF_GENERAL".into()),
            verdict: Verdict::Hold,
            in_order: true,
            reasons: vec![manual_release()],
            release_role: Some(Role::Guard),
            enterprise: Some("连云港甲物流有限公司".into()),
            frame_id: None,
            waited_ms: 0,
        }
    }
}

#[derive(Default)]
struct Inner {
    seq: u64,
    decisions: HashMap<String, Decision>,
    count: u64,
}

/// The made-up site.
pub struct FakeSite {
    log: Arc<dyn Log>,
    inner: Mutex<Inner>,
    writing: tokio::sync::Mutex<()>,
}

impl FakeSite {
    pub fn new(log: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self { log, inner: Mutex::default(), writing: tokio::sync::Mutex::new(()) })
    }

    pub async fn journal(&self, event: JournalEvent) -> u64 {
        let _in_order = self.writing.lock().await;
        let seq = {
            let mut inner = self.inner.lock();
            inner.seq += 1;
            inner.seq
        };
        let entry = JournalEntry { site: SITE.into(), seq, at: now(), chain: "00".into(), event };
        self.log.append(NewRecord::json(topics::JOURNAL, SITE, &entry).unwrap()).await.unwrap();
        seq
    }

    pub async fn lane(&self, lane: &str, direction: &str, class: &str, name: &str) {
        self.record("site", SITE, serde_json::json!({"id": SITE, "name": "连云港"})).await;
        self.record(
            "checkpoint",
            CHECKPOINT,
            serde_json::json!({"id": CHECKPOINT, "site": SITE, "profile": "LYG", "name": "连云港一号检查站"}),
        )
        .await;
        let value = serde_json::json!({"id": lane, "checkpoint": CHECKPOINT, "direction": direction, "lane_class": class, "name": name});
        self.record("lane", lane, value).await;
    }

    async fn record(&self, kind: &str, id: &str, value: serde_json::Value) {
        self.log.append(NewRecord::json(topics::REGISTRY, format!("{kind}/{id}"), &value).unwrap()).await.unwrap();
    }

    pub async fn frame(&self, lane: &str, id: &str, bytes: Vec<u8>) {
        let record = NewRecord::new(topics::FRAMES, lane.to_owned(), bytes)
            .header(topics::HEADER_FRAME_ID, id.to_owned())
            .header(topics::HEADER_LANE, lane.to_owned())
            .header(topics::HEADER_CAPTURED_AT, now().to_string());
        self.log.append(record).await.unwrap();
    }

    pub async fn read(&self, read: ReadMessage) {
        self.journal(JournalEvent::Read { read: Box::new(read) }).await;
    }

    pub async fn barrier(&self, lane: &str, state: BarrierState) {
        self.read(ReadMessage { lane: lane.into(), barrier: Some(BarrierReport { state, command_id: None }), ..ReadMessage::default() })
            .await;
    }

    pub async fn queue(&self, lane: &str, length: u32) {
        self.read(ReadMessage { lane: lane.into(), queue_length: Some(length), ..ReadMessage::default() }).await;
    }

    /// A vehicle arrives, is read, and is decided. Returns the decision's id.
    pub async fn arrive(&self, v: &Vehicle) -> String {
        let n = {
            let mut inner = self.inner.lock();
            inner.count += 1;
            inner.count
        };
        let approach_id = format!("A{n:05}");
        let arrived_at = now().plus_millis(-v.waited_ms);
        let inputs = ReadMessage { lane: v.lane.clone(), plate_read: v.plate.clone(), card: v.card.clone(), ..ReadMessage::default() };
        self.read(inputs.clone()).await;
        self.journal(JournalEvent::Arrived { approach_id: approach_id.clone(), lane: v.lane.clone(), arrived_at }).await;
        let direction = if v.lane.ends_with('1') || v.lane.ends_with('3') { "ENTRY" } else { "EXIT" };
        let decision = Decision {
            id: format!("D-{approach_id}"),
            version: 1,
            approach_id,
            site: SITE.into(),
            checkpoint: CHECKPOINT.into(),
            lane: v.lane.clone(),
            profile: "LYG".into(),
            direction: direction.into(),
            row: Some("LYG-R01".into()),
            category: v.category.clone(),
            verdict: v.verdict,
            in_order: v.in_order,
            reasons: v.reasons.clone(),
            violations: Vec::new(),
            effects: vec!["PRESENCE_OPENED".into(), "SINGLE_CARD_CONSUMED".into()],
            release_role: v.release_role,
            plate: v.plate.as_ref().map(|p| p.text.clone()),
            plate_source: v.plate.as_ref().map(|_| PlateSource::Camera),
            enterprise: v.enterprise.clone(),
            plate_read: v.plate.clone(),
            card: v.card.clone(),
            inputs: Box::new(inputs),
            read_ids: vec!["r1".into()],
            arrived_at,
            evidence_at: now(),
            decided_at: now(),
            latency_us: 1830,
            policy_revision: "lyg-2026-01".into(),
            registry_revision: 4711,
            registry_age_ms: 120,
            model: None,
            evidence: v.frame_id.as_ref().map(|f| Evidence { frame_id: f.clone(), sha256: "00".into() }),
            by: None,
            action: None,
            note: None,
            shadow: None,
            advisory: None,
        };
        let id = decision.id.clone();
        self.decide(decision).await;
        id
    }

    async fn decide(&self, decision: Decision) {
        self.inner.lock().decisions.insert(decision.id.clone(), decision.clone());
        self.journal(JournalEvent::Decision { decision: Box::new(decision) }).await;
    }

    pub async fn violation(&self, lane: &str, code: &str) {
        let n = now();
        let violation = Violation {
            violation_id: format!("V-{}", n.as_micros()),
            code: code.into(),
            source: "test".into(),
            status: "SUSPECTED".into(),
            site: SITE.into(),
            checkpoint: CHECKPOINT.into(),
            lane: lane.into(),
            approach_id: None,
            decision_id: None,
            plate: Some("苏G12345".into()),
            enterprise: None,
            raised_at: n,
            version: 1,
            profile: Some("LYG".into()),
            bodies: Vec::new(),
            passage_id: None,
            found_by: None,
            ground: None,
            offence: None,
            changed_at: None,
            by: None,
            act: None,
            note: None,
            evidence: Vec::new(),
            sanctions: Vec::new(),
        };
        self.journal(JournalEvent::Violation { violation: Box::new(violation) }).await;
    }

    /// The vehicle goes through.
    pub async fn pass(&self, id: &str) {
        let Some(d) = self.inner.lock().decisions.get(id).cloned() else { return };
        let authorised_by = if d.by.is_some() { AuthorisedBy::Guard } else { AuthorisedBy::Auto };
        let passage = Passage {
            passage_id: format!("P-{id}"),
            approach_id: Some(d.approach_id.clone()),
            decision_id: Some(id.to_owned()),
            site: SITE.into(),
            checkpoint: CHECKPOINT.into(),
            lane: d.lane.clone(),
            direction: d.direction.clone(),
            category: d.category.clone(),
            plate: d.plate.clone(),
            passed_at: now(),
            authorised_by,
            effects: d.effects.clone(),
        };
        self.journal(JournalEvent::Passage { passage }).await;
        self.end(id, Ending::Passed).await;
    }

    pub async fn end(&self, id: &str, ending: Ending) {
        let Some(d) = self.inner.lock().decisions.remove(id) else { return };
        self.journal(JournalEvent::Ended { approach_id: d.approach_id, lane: d.lane, ending }).await;
    }

    /// Answers words and registry writes until dropped.
    pub async fn engine(self: Arc<Self>) {
        let mut reads = self.log.end_offsets(topics::READS).await.unwrap()[0];
        let mut registry = self.log.end_offsets(topics::REGISTRY).await.unwrap()[0];
        loop {
            let wait = Duration::from_millis(50);
            let batch = self.log.read(topics::READS, 0, reads, 100, wait).await.unwrap();
            reads = batch.next_offset;
            for record in batch.records {
                let read: ReadMessage = record.json().unwrap();
                if let Some(word) = read.word {
                    self.word(word).await;
                }
            }
            let batch = self.log.read(topics::REGISTRY, 0, registry, 100, Duration::ZERO).await.unwrap();
            registry = batch.next_offset;
            for record in batch.records {
                if let Some(request_id) = record.header_str("request_id") {
                    let subject = record.key_str().unwrap().to_owned();
                    self.answer(request_id, AnswerOutcome::Done, &subject, record.offset + 1, None).await;
                }
            }
        }
    }

    async fn word(&self, word: Word) {
        let found = self.inner.lock().decisions.get(&word.decision_id).cloned();
        let Some(mut d) = found else {
            return self.answer(&word.request_id, AnswerOutcome::NotFound, &word.decision_id, 0, Some("no such decision")).await;
        };
        if d.by.is_some() || word.version.is_some_and(|v| v != d.version) {
            return self.answer(&word.request_id, AnswerOutcome::Conflict, &d.id, d.version.into(), Some("somebody was faster")).await;
        }
        if d.verdict == Verdict::Refuse && word.by.role != Role::Supervisor {
            return self.answer(&word.request_id, AnswerOutcome::Forbidden, &d.id, d.version.into(), Some("only a supervisor may")).await;
        }
        d.version += 1;
        d.decided_at = now();
        d.by = Some(word.by.clone());
        d.action = Some(word.action);
        d.note = Some(word.reason.clone());
        match word.action {
            Action::Release => d.verdict = Verdict::Open,
            Action::Refuse => d.verdict = Verdict::Refuse,
            Action::Correct => {
                d.plate = word.plate.clone();
                d.plate_source = Some(PlateSource::Manual);
                d.by = None;
            }
        }
        let (id, version, lane, released) = (d.id.clone(), d.version, d.lane.clone(), word.action == Action::Release);
        self.decide(d).await;
        self.answer(&word.request_id, AnswerOutcome::Done, &id, version.into(), None).await;
        if released {
            self.barrier(&lane, BarrierState::Open).await;
        }
    }

    async fn answer(&self, request_id: &str, outcome: AnswerOutcome, subject: &str, version: u64, message: Option<&str>) {
        let answer =
            Answer { request_id: request_id.into(), outcome, subject: subject.into(), version, message: message.map(str::to_owned) };
        self.log.append(NewRecord::json(answers::TOPIC, SITE, &answer).unwrap()).await.unwrap();
    }
}

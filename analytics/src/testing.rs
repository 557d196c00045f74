//! Journal entries for the tests.

use portgate_core::decision::{Decision, ReasonRecord, Severity, Verdict};
use portgate_core::journal::{AuthorisedBy, JournalEntry, JournalEvent, Passage, Use};
use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;

/// Half past eleven in the evening: sixty minutes on it is another day.
pub const START: &str = "2026-03-10T23:30:00+08:00";

/// An entry of site LYG, a minute per place after [`START`].
pub fn entry(seq: u64, event: JournalEvent) -> JournalEntry {
    let start: Instant = START.parse().unwrap();
    let at = start.plus_millis(i64::try_from(seq % 60).unwrap() * 60_000);
    entry_at(seq, &at.to_string(), event)
}

/// An entry of site LYG at an instant.
pub fn entry_at(seq: u64, at: &str, event: JournalEvent) -> JournalEntry {
    JournalEntry { site: "LYG".into(), seq, at: at.parse().unwrap(), chain: format!("chain{seq}"), event }
}

/// Somebody arrives at lane 1 at the start.
pub fn arrived(approach: &str) -> JournalEvent {
    arrived_at(approach, "JCZ-1.L1", START)
}

/// Somebody arrives.
pub fn arrived_at(approach: &str, lane: &str, at: &str) -> JournalEvent {
    JournalEvent::Arrived { approach_id: approach.into(), lane: lane.into(), arrived_at: at.parse().unwrap() }
}

/// Lane 1 reports its queue at the start.
pub fn queue(waiting: u32) -> JournalEvent {
    queue_at(waiting, START)
}

/// Lane 1 reports its queue.
pub fn queue_at(waiting: u32, at: &str) -> JournalEvent {
    JournalEvent::Read {
        read: Box::new(ReadMessage {
            lane: "JCZ-1.L1".into(),
            received_at: Some(at.parse().unwrap()),
            queue_length: Some(waiting),
            ..ReadMessage::default()
        }),
    }
}

/// A vehicle goes through lane 1.
pub fn passage(id: &str, approach: Option<&str>, direction: &str, plate: &str, at: &str) -> JournalEvent {
    JournalEvent::Passage {
        passage: Passage {
            passage_id: id.into(),
            approach_id: approach.map(str::to_owned),
            decision_id: approach.map(|a| format!("D-{a}")),
            site: "LYG".into(),
            checkpoint: "JCZ-1".into(),
            lane: "JCZ-1.L1".into(),
            direction: direction.into(),
            category: Some("PF_GENERAL".into()),
            plate: Some(plate.into()),
            passed_at: at.parse().unwrap(),
            authorised_by: AuthorisedBy::Guard,
            effects: vec!["PRESENCE_OPENED".into()],
        },
    }
}

/// A single card is used by a passage.
pub fn used(effect: &str, card: &str, at: &str) -> JournalEvent {
    JournalEvent::Used {
        used: Use {
            effect: effect.into(),
            kind: "card".into(),
            id: card.into(),
            plate: Some("苏G12345".into()),
            passage_id: format!("P-{card}-{at}"),
            at: at.parse().unwrap(),
        },
    }
}

/// The registry's word on a single card.
pub fn card(id: &str, status: &str, issued_at: &str) -> JournalEvent {
    JournalEvent::Registry {
        revision: 1,
        kind: "card".into(),
        id: id.into(),
        value: Some(serde_json::json!({
            "type": "SINGLE", "status": status, "plate": "苏G12345", "enterprise": "E1", "issued_at": issued_at,
        })),
        by: None,
    }
}

/// A reason of the table.
pub fn reason(code: &str) -> ReasonRecord {
    ReasonRecord {
        code: code.into(),
        check: "C07".into(),
        cite: Some("LYG-5.4".into()),
        disposition: Verdict::Hold,
        severity: Severity::Info,
        zh: "需人工放行".into(),
        en: "manual release".into(),
    }
}

/// The machine's decision on approach `approach`, of id `D-…`.
pub fn decision(approach: &str, verdict: Verdict, reasons: &[&str], at: &str) -> Decision {
    let at: Instant = at.parse().unwrap();
    Decision {
        id: format!("D-{approach}"),
        version: 1,
        approach_id: approach.into(),
        site: "LYG".into(),
        checkpoint: "JCZ-1".into(),
        lane: "JCZ-1.L1".into(),
        profile: "LYG".into(),
        direction: "ENTRY".into(),
        row: Some("LYG-R01".into()),
        category: Some("PF_GENERAL".into()),
        verdict,
        in_order: true,
        reasons: reasons.iter().map(|c| reason(c)).collect(),
        violations: vec![],
        effects: vec![],
        release_role: None,
        plate: Some("苏G12345".into()),
        plate_source: None,
        enterprise: None,
        plate_read: None,
        card: Some("C001".into()),
        inputs: Box::new(ReadMessage { lane: "JCZ-1.L1".into(), ..ReadMessage::default() }),
        read_ids: vec!["r1".into(), "r2".into()],
        arrived_at: at.plus_millis(-5000),
        evidence_at: at,
        decided_at: at,
        latency_us: 1500,
        policy_revision: "p1".into(),
        registry_revision: 7,
        registry_age_ms: 20,
        model: None,
        evidence: None,
        by: None,
        action: None,
        note: None,
        shadow: None,
        advisory: None,
    }
}

/// A decision as the journal has it.
pub fn decided(decision: Decision) -> JournalEvent {
    JournalEvent::Decision { decision: Box::new(decision) }
}

/// Arrivals and queue reports in turn, a minute apart, over midnight: a row each.
pub fn entries(n: u64) -> Vec<JournalEntry> {
    (1..=n)
        .map(|seq| {
            let event = if seq % 2 == 0 { queue(u32::try_from(seq).unwrap()) } else { arrived(&format!("A{seq}")) };
            entry(seq, event)
        })
        .collect()
}

/// The registry's word on any record.
pub fn registry(kind: &str, id: &str, value: Option<serde_json::Value>) -> JournalEvent {
    // By way of its message, which leaves out what it need not say.
    let event = serde_json::json!({"type": "registry", "revision": 1, "kind": kind, "id": id, "value": value});
    serde_json::from_value(event).unwrap()
}

//! Messages on topics that are damaged or meant to do damage: each becomes an input of the site or goes
//! on record as rejected, and the engine goes on.
#![allow(clippy::print_stdout)]

#[path = "../../../../tests/mutate.rs"]
mod mutate;

use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_engine::Rejected;
use portgate_log::{topics, Log, NewRecord};
use serde_json::json;

use crate::kit::{Kit, CARS, IN, SITE};
use mutate::{inputs, Mutator};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bent_messages_are_taken_in_or_on_record_and_the_loop_goes_on() {
    let kit = Kit::new().await;
    let (engine, _) = kit.engine().await;
    let word = json!({"request_id": "R", "decision_id": "D", "action": "release", "reason": "r", "by": {"name": "g", "role": "guard"}});
    let reads = [
        json!({"lane": IN, "plate_read": {"text": "苏G12345", "confidence": 0.98}, "track_id": "t"}).to_string(),
        json!({"lane": IN, "card": "C1", "observed_at": "2026-03-10T10:00:00+08:00"}).to_string(),
        json!({"lane": CARS, "vehicle_passed": true, "barrier": {"state": "open", "command_id": "C"}}).to_string(),
        json!({"lane": CARS, "word": word}).to_string(),
    ];
    let records = [
        json!({"category": "PF_GENERAL", "registration": "APPROVED", "body": "FREIGHT"}).to_string(),
        json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "task": "T1"}).to_string(),
    ];
    let reads: Vec<&[u8]> = reads.iter().map(String::as_bytes).collect();
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let (mut mutator, count) = (Mutator::new(7), inputs(3_000));
    let mut batch = Vec::new();
    for n in 0..count {
        batch.push(NewRecord::new(topics::READS, SITE, mutator.bend(&reads)));
        let key = mutator.bend(&[format!("vehicle/苏G8{n:04}").as_bytes(), b"card/C9"]);
        batch.push(NewRecord::new(topics::REGISTRY, if key.is_empty() { b"-".to_vec() } else { key }, mutator.bend(&records)));
        if batch.len() >= 200 {
            kit.log.append_batch(std::mem::take(&mut batch)).await.unwrap();
        }
    }
    kit.log.append_batch(batch).await.unwrap();
    // Behind all of it the lane decides as ever.
    kit.read(json!({"lane": CARS, "event_id": "gone", "vehicle_gone": true})).await;
    kit.plate(CARS, "苏G00001", "last").await;
    let last = |e: &JournalEntry| matches!(&e.event, JournalEvent::Read { read } if read.event_id.as_deref() == Some("last"));
    kit.until(|| async { kit.all::<JournalEntry>(topics::JOURNAL).await.iter().any(last).then_some(()) }, "the last read").await;
    engine.stop().await.unwrap();

    let journal: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    let of = |e: &JournalEntry| matches!(e.event, JournalEvent::Read { .. } | JournalEvent::Dropped { .. });
    let taken = journal.iter().filter(|e| of(e)).count();
    let rejected: Vec<Rejected> = kit.all(topics::REJECTED).await;
    let (reads, others): (Vec<_>, Vec<_>) = rejected.iter().partition(|r| r.topic == topics::READS);
    println!("{count} reads: {taken} taken in, {} rejected; {count} registry records: {} rejected", reads.len(), others.len());
    assert!(rejected.iter().all(|r| !r.reason.is_empty()));
    // A read can be taken in and one word of it dropped: never fewer than there were.
    assert!(taken + reads.len() >= count + 2, "a message vanished");
    assert!(!reads.is_empty() && !others.is_empty());
}

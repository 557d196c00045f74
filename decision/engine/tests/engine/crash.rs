//! Ended at each commit point, started again: the same decisions, none lost, none twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::decision::{Decision, Verdict};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_engine::topics;
use serde_json::json;

use crate::kit::{Counting, Kit, Outlet, CARS, IN};

async fn committed(kit: &Kit, handle: &portgate_engine::EngineHandle, seq_min: u64) {
    kit.until(|| async { Some(()).filter(|()| handle.store().journal_head().seq >= seq_min) }, "commit").await;
}

/// What every run has to come to, whatever happened on the way.
async fn one_opening(kit: &Kit, machine: &Counting) -> Vec<Decision> {
    let decisions = kit.decided(1).await;
    let ids: BTreeSet<&str> = decisions.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids.len(), 1, "one vehicle, one decision: {ids:?}");
    let first: Vec<&Decision> = decisions.iter().filter(|d| d.version == 1).collect();
    assert!(first.iter().all(|d| *d == first[0]), "repeats are the same to the byte");
    assert_eq!(first[0].verdict, Verdict::Open);
    // A barrier that was started anew is down: what has not passed is held, and not opened again.
    assert!(decisions.iter().all(|d| d.version == 1 || d.verdict == Verdict::Hold));
    let commands: BTreeSet<String> = kit.opens().await.into_iter().map(|c| c.command_id).collect();
    assert_eq!(commands.len(), 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(machine.raised(), [CARS], "opened once");
    let journal: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    let seqs: BTreeSet<u64> = journal.iter().map(|e| e.seq).collect();
    assert_eq!(seqs.iter().copied().collect::<Vec<_>>(), (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap");
    decisions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_after_the_read_is_accepted_and_before_the_commit() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    kit.until(|| async { Some(()).filter(|()| handle.ready().is_ok()) }, "readiness").await;
    drop(handle);
    engine.crash().await;
    kit.plate(CARS, "苏G00001", "r1").await;
    let machine = Arc::new(Counting::default());
    let barrier = kit.barrier(machine.clone());
    let (engine, handle) = kit.engine().await;
    one_opening(&kit, &machine).await;
    engine.stop().await.unwrap();
    barrier.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_after_the_commit_and_before_publishing() {
    let kit = Kit::new().await;
    let machine = Arc::new(Counting::default());
    let barrier = kit.barrier(machine.clone());
    let (engine, handle) = kit.engine().await;
    kit.until(|| async { Some(()).filter(|()| handle.ready().is_ok() && handle.store().outbox_depth() == 0) }, "readiness").await;
    let seq = handle.store().journal_head().seq;
    kit.log.set(Outlet::Stuck);
    kit.plate(CARS, "苏G00001", "r1").await;
    committed(&kit, &handle, seq + 3).await;
    assert!(kit.decisions().await.is_empty(), "nothing has got out");
    assert!(handle.store().outbox_depth() > 0);
    drop(handle);
    engine.crash().await;
    kit.log.set(Outlet::Open);
    let (engine, handle) = kit.engine().await;
    let decisions = one_opening(&kit, &machine).await;
    assert_eq!(decisions.len(), 1);
    engine.stop().await.unwrap();
    barrier.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_after_publishing_and_before_knowing_it() {
    let kit = Kit::new().await;
    let machine = Arc::new(Counting::default());
    let barrier = kit.barrier(machine.clone());
    let (engine, handle) = kit.engine().await;
    kit.until(|| async { Some(()).filter(|()| handle.ready().is_ok() && handle.store().outbox_depth() == 0) }, "readiness").await;
    kit.log.set(Outlet::Mute);
    kit.plate(CARS, "苏G00001", "r1").await;
    kit.decided(1).await;
    assert!(handle.store().outbox_depth() > 0, "nobody has heard that it is out");
    drop(handle);
    engine.crash().await;
    // The barrier is started anew, too: it must not open for the repeat.
    kit.until(|| async { Some(()).filter(|()| machine.raised() == [CARS]) }, "opening").await;
    barrier.crash().await;
    let barrier = kit.barrier(machine.clone());
    kit.log.set(Outlet::Open);
    let (engine, handle) = kit.engine().await;
    kit.decided(2).await;
    one_opening(&kit, &machine).await;
    engine.stop().await.unwrap();
    barrier.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_are_dropped_also_after_a_start() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    for _ in 0..2 {
        kit.plate(IN, "苏G12345", "p").await;
        kit.read(json!({"lane": IN, "event_id": "c", "card": "C1"})).await;
    }
    kit.decided(1).await;
    drop(handle);
    engine.stop().await.unwrap();
    let (engine, handle) = kit.engine().await;
    kit.plate(IN, "苏G12345", "p").await;
    kit.plate(CARS, "苏G00001", "other").await;
    kit.until(|| async { kit.decisions().await.into_iter().find(|d| d.lane == CARS) }, "the other decision").await;
    assert_eq!(kit.decisions().await.iter().filter(|d| d.lane == IN).count(), 1);
    drop(handle);
    engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_put_back_from_an_older_copy_is_caught_up_and_takes_no_card_twice() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    kit.plate(CARS, "苏G00001", "r1").await;
    kit.decided(1).await;
    engine.stop().await.unwrap();
    drop(handle);
    let copy = kit.dir.path().join("copy");
    kit.log.inner.checkpoint(&copy).unwrap();
    let (engine, handle) = kit.engine().await;
    kit.plate(IN, "苏G12345", "p").await;
    kit.read(json!({"lane": IN, "event_id": "c", "card": "C1"})).await;
    kit.decided(2).await;
    engine.stop().await.unwrap();
    let before: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    drop(handle);
    // The log of before the second vehicle, the store of after it.
    let kit = kit.with_log(&copy);
    assert_eq!(kit.decisions().await.len(), 1);
    let (engine, handle) = kit.engine().await;
    let decisions = kit.decided(2).await;
    assert_eq!(decisions.len(), 2);
    let after: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    assert_eq!(before, after, "the journal on the log is whole again");
    assert_eq!(kit.opens().await.len(), 1, "a command that went out once does not go out again");
    // The log goes on with offsets the store has seen before; what is new is taken in.
    kit.read(json!({"lane": CARS, "vehicle_gone": true})).await;
    kit.journalled(|e| matches!(e, JournalEvent::Ended { .. })).await;
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

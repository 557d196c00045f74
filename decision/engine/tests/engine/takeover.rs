//! A node that comes to a site with another node's history.

use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_engine::{topics, EngineError};
use portgate_log::NewRecord;
use portgate_store::Store;
use serde_json::json;

use crate::kit::{Kit, CARS, IN, SITE};

/// A day of one lane: an Open that passed, a hold that was released, a card used up, a correction.
async fn history(kit: &Kit) {
    let (engine, handle) = kit.engine().await;
    kit.plate(CARS, "苏G00001", "r1").await;
    kit.decided(1).await;
    kit.read(json!({"lane": CARS, "event_id": "r2", "vehicle_passed": true})).await;
    kit.plate(IN, "苏G12345", "p").await;
    kit.read(json!({"lane": IN, "event_id": "c", "card": "C1"})).await;
    let held = kit.decided(2).await.pop().unwrap();
    kit.release(&held, "word-1").await;
    kit.decided(3).await;
    kit.read(json!({"lane": IN, "event_id": "passed", "vehicle_passed": true})).await;
    kit.put("vehicle", "苏G77777", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
    kit.journalled(|e| matches!(e, JournalEvent::Used { used } if used.id == "C1")).await;
    kit.journalled(|e| matches!(e, JournalEvent::Registry { id, .. } if id == "苏G77777")).await;
    engine.stop().await.unwrap();
    drop(handle);
}

fn content(store: &Store) -> Vec<Vec<u8>> {
    store.journal_after(0, usize::MAX).unwrap().into_iter().map(|(_, bytes)| bytes).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_store_is_made_from_the_journal_and_the_site_goes_on() {
    let kit = Kit::new().await;
    history(&kit).await;
    let former = kit.store().await;
    let (journal, lanes, revision) = (content(&former), former.lanes().unwrap(), former.registry_head().revision);
    drop(former);
    std::fs::rename(kit.store_dir(), kit.dir.path().join("former")).unwrap();

    let (engine, handle) = kit.engine().await;
    kit.until(|| async { handle.ready().ok() }, "a site that is taken over").await;
    engine.stop().await.unwrap();
    drop(handle);
    let store = kit.store().await;
    assert_eq!(content(&store), journal, "the journal, byte for byte");
    assert_eq!(store.lanes().unwrap(), lanes);
    assert_eq!(store.registry_head().revision, revision, "no registry record was taken in twice");
    drop(store);
    let before: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;

    // What the former owner took in is known: a repeat is dropped, the card is used up.
    let (engine, handle) = kit.engine().await;
    kit.plate(CARS, "苏G00001", "r1").await;
    kit.plate(IN, "苏G12345", "p-again").await;
    kit.read(json!({"lane": IN, "event_id": "c-again", "card": "C1"})).await;
    let decisions = kit.decided(4).await;
    assert_eq!(decisions.len(), 4, "{decisions:#?}");
    let last = decisions.last().unwrap();
    assert!(last.reasons.iter().any(|r| r.code == "SINGLE_CARD_ALREADY_USED"), "{last:#?}");
    assert_eq!(kit.opens().await.len(), 2, "nothing is commanded again");
    engine.stop().await.unwrap();
    drop(handle);
    let after: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    assert_eq!(after[..before.len()], before[..], "what is on the log stays as it is");
    assert!(after.iter().map(|e| e.seq).eq(1..=after.len() as u64), "no gap and no repeat");
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_went_on_alone_decides_nothing_and_is_set_aside_at_the_next_start() {
    let kit = Kit::new().await;
    history(&kit).await;
    // Another node's journal on the log: the same first entries, then others.
    let lone = kit.dir.path().join("lone");
    let store = Store::open(&lone, SITE).unwrap();
    let mut batch = store.begin();
    for entry in kit.all::<JournalEntry>(topics::JOURNAL).await.into_iter().take(5) {
        let step = portgate_core::site::Step { events: vec![entry.event], changes: Vec::new() };
        batch.apply(step, entry.at).unwrap();
    }
    let dropped = JournalEvent::Dropped { event_id: "x".into(), reason: "of its own".into() };
    let at = batch.journal_head().at;
    batch.apply(portgate_core::site::Step { events: vec![dropped], changes: Vec::new() }, at).unwrap();
    store.commit(batch, true).unwrap();
    drop(store);
    std::fs::rename(kit.store_dir(), kit.dir.path().join("former")).unwrap();
    std::fs::rename(&lone, kit.store_dir()).unwrap();

    let (engine, handle) = kit.engine().await;
    let ended = engine.ended().await;
    assert!(matches!(ended, Err(EngineError::Diverged { seq: 7, .. })), "{ended:?}");
    assert!(handle.ready().is_err());
    drop(handle);
    let store = portgate_engine::open_store(&kit.store_dir(), SITE, &*kit.log).await.unwrap();
    assert_eq!(store.journal_head().seq, 0, "a new store");
    drop(store);
    assert!(kit.dir.path().join("site.set-aside-6").is_dir(), "and the other is kept");
    let (engine, handle) = kit.engine().await;
    kit.until(|| async { handle.ready().ok() }, "a site that is taken over").await;
    engine.stop().await.unwrap();
    drop(handle);
    let same = portgate_engine::open_store(&kit.store_dir(), SITE, &*kit.log).await.unwrap();
    assert!(same.journal_head().seq > 6, "a sound store is left alone");
    drop(same);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_entries_cut_in_the_middle_is_finished_by_the_new_owner() {
    let kit = Kit::new().await;
    history(&kit).await;
    let whole: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    // As if the former owner had died between two entries of one step: after the decision, before its command.
    let cut = whole.iter().position(|e| matches!(e.event, JournalEvent::Command { .. })).unwrap();
    let path = kit.dir.path().join("cut-log");
    let kit = kit.with_log(&path);
    kit.log_topics().await;
    for entry in &whole[..cut] {
        let record = NewRecord::json(topics::JOURNAL, SITE, entry).unwrap().header(portgate_engine::HEADER_SEQ, entry.seq.to_string());
        kit.append(record.at(entry.at.as_millis())).await;
    }
    std::fs::remove_dir_all(kit.store_dir()).unwrap();
    let (engine, handle) = kit.engine().await;
    kit.journalled(|e| matches!(e, JournalEvent::Command { .. })).await;
    engine.stop().await.unwrap();
    drop(handle);
    let finished: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    assert_eq!(finished[..=cut], whole[..=cut], "the same step, finished");
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_with_a_hole_is_not_guessed_at() {
    let kit = Kit::new().await;
    history(&kit).await;
    let whole: Vec<JournalEntry> = kit.all(topics::JOURNAL).await;
    let path = kit.dir.path().join("holed-log");
    let kit = kit.with_log(&path);
    kit.log_topics().await;
    for entry in whole.iter().filter(|e| e.seq != 9 && e.seq != 10) {
        let record = NewRecord::json(topics::JOURNAL, SITE, entry).unwrap().header(portgate_engine::HEADER_SEQ, entry.seq.to_string());
        kit.append(record.at(entry.at.as_millis())).await;
    }
    std::fs::remove_dir_all(kit.store_dir()).unwrap();
    let (engine, _handle) = kit.engine().await;
    let ended = engine.ended().await;
    assert!(matches!(ended, Err(EngineError::Gap { first: 9, last: 10, .. })), "{ended:?}");
}

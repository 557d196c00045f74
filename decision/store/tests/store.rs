//! The store on a real disk: what is written is read back, whole or not at all, and damage is found.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portgate_core::facts::{FactSource, Reservation, UseBook};
use portgate_core::journal::JournalEvent;
use portgate_core::registry::Kind;
use portgate_core::site::{Change, LaneState, Step, World};
use portgate_core::time::Instant;
use portgate_store::{check, Store, StoreError};
use rocksdb::{BoundColumnFamily, Options, DB};
use serde_json::{json, Value};

const SITE: &str = "LYG-1";

type Family<'a> = Arc<BoundColumnFamily<'a>>;

fn at(s: i64) -> Instant {
    Instant::from_millis(1_773_108_000_000 + s * 1000)
}

fn record(kind: Kind, id: &str, value: Option<Value>) -> Change {
    Change::Record { kind, id: id.into(), value }
}

fn card(plate: &str) -> Value {
    json!({"type": "SINGLE", "plate": plate, "status": "ISSUED"})
}

fn commit(store: &Store, changes: Vec<Change>, events: Vec<JournalEvent>, s: i64) {
    let mut batch = store.begin();
    batch.apply(Step { events, changes }, at(s)).unwrap();
    store.commit(batch, true).unwrap();
}

fn dropped(id: &str) -> JournalEvent {
    JournalEvent::Dropped { event_id: id.into(), reason: "test".into() }
}

/// A store with something of everything.
fn filled(dir: &Path) {
    let store = Store::open(dir, SITE).unwrap();
    let registry = vec![
        record(Kind::Enterprise, "E1", Some(json!({"name": "甲", "status": "APPROVED"}))),
        record(Kind::Card, "C1", Some(card("苏G1"))),
        record(Kind::Card, "C2", Some(card("苏G2"))),
    ];
    commit(&store, registry, vec![dropped("a"), dropped("b")], 1);
    let mut batch = store.begin();
    batch.apply(Step { events: vec![dropped("c")], changes: vec![Change::Seen { event_id: "e1".into(), at: at(2) }] }, at(2)).unwrap();
    batch.keep_evidence("F1", b"picture", at(2)).unwrap();
    batch.set_offset("portgate.reads", 0, 7);
    store.commit(batch, true).unwrap();
    let lane = Change::Lane(Box::new(LaneState::new("JCZ-1.L1")));
    commit(&store, vec![lane], vec![dropped("d")], 3);
}

fn codes(dir: &Path) -> Vec<&'static str> {
    check(dir).unwrap().findings.iter().map(|f| f.code).collect()
}

/// Opens the files behind the store's back.
fn behind_its_back(dir: &Path, family: &str, damage: impl FnOnce(&DB, &Family<'_>)) {
    let names = DB::list_cf(&Options::default(), dir).unwrap();
    let db = DB::open_cf(&Options::default(), dir, names).unwrap();
    let cf = db.cf_handle(family).unwrap();
    damage(&db, &cf);
}

#[test]
fn a_dossier_keeps_the_order_of_first_writing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), SITE).unwrap();
    commit(&store, vec![record(Kind::Card, "C9", Some(card("苏G1"))), record(Kind::Card, "C1", Some(card("苏G1")))], vec![], 1);
    commit(&store, vec![record(Kind::Card, "C9", Some(json!({"type": "SINGLE", "plate": "苏G1", "status": "REJECTED"})))], vec![], 2);
    let ids = |store: &Store, plate: &str| store.dossier(plate).unwrap().into_iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(&store, "苏G1"), ["C9", "C1"], "writing again keeps the place");
    assert_eq!(store.registry_head().revision, 3);
    // Bound to another plate: it leaves the one dossier for the other.
    commit(&store, vec![record(Kind::Card, "C9", Some(card("苏G2")))], vec![], 3);
    assert_eq!((ids(&store, "苏G1"), ids(&store, "苏G2")), (vec!["C1".into()], vec!["C9".into()]));
    // Deleted and written again: a new record.
    commit(&store, vec![record(Kind::Card, "C9", None)], vec![], 4);
    assert!(store.get(Kind::Card, "C9").unwrap().is_none() && ids(&store, "苏G2").is_empty());
    commit(&store, vec![record(Kind::Card, "C0", Some(card("苏G1"))), record(Kind::Card, "C9", Some(card("苏G1")))], vec![], 5);
    assert_eq!(ids(&store, "苏G1"), ["C1", "C0", "C9"]);
    drop(store);
    assert!(codes(dir.path()).is_empty(), "{:?}", check(dir.path()).unwrap());
}

#[test]
fn children_and_lists_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), SITE).unwrap();
    for (id, name) in [("E1", "甲"), ("E2", "乙"), ("F1", "丙")] {
        commit(&store, vec![record(Kind::Enterprise, id, Some(json!({"name": name, "status": "APPROVED"})))], vec![], 1);
    }
    let ids = |prefix: &str, after: Option<&str>, limit| {
        store.list(Kind::Enterprise, prefix, after, limit).unwrap().into_iter().map(|e| e.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("E", None, 10), ["E1", "E2"]);
    assert_eq!(ids("", Some("E1"), 1), ["E2"]);
    assert!(ids("G", None, 10).is_empty());
}

#[test]
fn a_batch_sees_itself_and_nobody_else_does_before_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), SITE).unwrap();
    let mut batch = store.begin();
    let changes = vec![record(Kind::Card, "C1", Some(card("苏G1"))), Change::Seen { event_id: "e".into(), at: at(1) }];
    batch.apply(Step { events: vec![dropped("x")], changes }, at(1)).unwrap();
    assert!(batch.seen("e").unwrap() && batch.dossier("苏G1").unwrap().len() == 1);
    assert!(store.dossier("苏G1").unwrap().is_empty() && store.journal_head().seq == 0);
    let other = store.begin();
    store.commit(batch, true).unwrap();
    assert!(matches!(store.commit(other, true), Err(StoreError::Conflict)));
    // Given up: as if it had never been.
    let mut batch = store.begin();
    batch.apply(Step { events: vec![dropped("y")], changes: vec![] }, at(2)).unwrap();
    drop(batch);
    assert_eq!(store.journal_head().seq, 1);
}

#[test]
fn everything_committed_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = Store::open(dir.path(), SITE).unwrap();
    assert_eq!((store.journal_head().seq, store.registry_head().revision), (4, 3));
    assert_eq!(store.offset("portgate.reads", 0).unwrap(), Some(7));
    assert_eq!(store.evidence("F1").unwrap().unwrap().1, b"picture");
    assert_eq!(store.lanes().unwrap().len(), 1);
    assert_eq!(store.outbox_depth(), 4);
    store.mark_published(3).unwrap();
    let left: Vec<u64> = store.journal_after(store.published(), 10).unwrap().iter().map(|(e, _)| e.seq).collect();
    assert_eq!(left, [4]);
}

#[test]
fn what_is_older_than_the_horizon_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = Store::open(dir.path(), SITE).unwrap();
    let mut batch = store.begin();
    assert_eq!(batch.prune(at(2), at(2), 10).unwrap(), 0);
    assert_eq!(batch.prune(at(3), at(3), 10).unwrap(), 2);
    store.commit(batch, true).unwrap();
    assert!(!store.begin().seen("e1").unwrap() && store.evidence("F1").unwrap().is_none());
    drop(store);
    assert!(codes(dir.path()).is_empty());
}

#[test]
fn a_second_process_a_newer_format_and_another_site_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let store = Store::open(dir.path(), SITE).unwrap();
    assert!(matches!(Store::open(dir.path(), SITE), Err(StoreError::Locked { .. })));
    drop(store);
    assert!(matches!(Store::open(dir.path(), "HGS-1"), Err(StoreError::WrongStore { .. })));
    behind_its_back(dir.path(), "meta", |db, cf| db.put_cf(cf, "format", "2").unwrap());
    assert!(matches!(Store::open(dir.path(), SITE), Err(StoreError::NewerFormat { found: 2, .. })));
}

#[test]
fn an_import_is_there_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), SITE).unwrap();
    let written = store.import((0..10_000).map(|i| (Kind::Card, format!("C{i}"), Some(card(&format!("苏G{}", i % 5000)))))).unwrap();
    assert_eq!((written, store.registry_head().revision), (10_000, 10_000));
    assert_eq!(store.dossier("苏G7").unwrap().len(), 2);
    assert!(!store.import_unfinished().unwrap());
    drop(store);
    assert!(codes(dir.path()).is_empty());
}

#[test]
fn a_backup_is_a_store_of_that_moment() {
    let dir = tempfile::tempdir().unwrap();
    filled(&dir.path().join("store"));
    let store = Store::open(&dir.path().join("store"), SITE).unwrap();
    let copy = dir.path().join("copies/one");
    store.backup(&copy).unwrap();
    commit(&store, vec![], vec![dropped("later")], 9);
    assert!(codes(&copy).is_empty());
    let copy = Store::open(&copy, SITE).unwrap();
    assert_eq!((copy.journal_head().seq, store.journal_head().seq), (4, 5));
}

#[test]
fn damage_is_found() {
    type Damage = fn(&DB, &Family<'_>);
    let cases: [(&str, &str, Damage); 9] = [
        ("journal", "chain_broken", |db, cf| {
            let key = 2u64.to_be_bytes();
            let entry = String::from_utf8(db.get_cf(cf, key).unwrap().unwrap()).unwrap();
            db.put_cf(cf, key, entry.replace("\"b\"", "\"B\"")).unwrap();
        }),
        ("journal", "journal_gap", |db, cf| db.delete_cf(cf, 3u64.to_be_bytes()).unwrap()),
        ("journal", "journal_head", |db, cf| db.delete_cf(cf, 4u64.to_be_bytes()).unwrap()),
        ("journal", "unreadable", |db, cf| db.put_cf(cf, 4u64.to_be_bytes(), "{half").unwrap()),
        ("dossier", "record_lost", |db, cf| db.delete_cf(cf, "苏G1").unwrap()),
        ("record", "record_orphan", |db, cf| db.delete_cf(cf, "card\0C2").unwrap()),
        ("evidence", "evidence_differs", |db, cf| db.put_cf(cf, "F1", "another picture").unwrap()),
        ("seen_at", "seen_orphan", |db, cf| {
            let key = db.iterator_cf(cf, rocksdb::IteratorMode::Start).next().unwrap().unwrap().0;
            db.delete_cf(cf, key).unwrap();
        }),
        ("latest", "latest_wrong", |db, cf| db.put_cf(cf, "D-nothing", 1u32.to_be_bytes()).unwrap()),
    ];
    for (family, expected, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        assert!(codes(dir.path()).is_empty());
        behind_its_back(dir.path(), family, damage);
        let found = codes(dir.path());
        assert!(found.contains(&expected), "{family}: {expected} not in {found:?}");
    }
}

#[test]
fn a_claim_of_an_approach_that_has_ended_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), SITE).unwrap();
    let claim = Reservation { approach_id: "gone".into(), lane: "JCZ-1.L1".into(), until: at(100) };
    let book = UseBook { reserved: BTreeMap::from([("card/C1".to_owned(), claim)]), ..UseBook::default() };
    commit(&store, vec![Change::UseBook { plate: "苏G1".into(), book }], vec![dropped("a")], 1);
    assert_eq!(store.use_book("苏G1").unwrap().reserved.len(), 1);
    commit(&store, vec![Change::UseBook { plate: "苏G2".into(), book: UseBook::default() }], vec![dropped("b")], 2);
    drop(store);
    assert_eq!(codes(dir.path()), ["reservation_orphan"]);
}

#[test]
fn rotten_bytes_on_the_disk_are_found_by_their_checksum() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    behind_its_back(dir.path(), "journal", |db, cf| db.flush_cf(cf).unwrap());
    let tables: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "sst")).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[12] ^= 0x20;
        std::fs::write(&table, bytes).unwrap();
    }
    let found = codes(dir.path());
    assert!(found.contains(&"checksum"), "{found:?}");
}

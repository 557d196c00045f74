//! A first registry in bulk: the same store as record by record, or none.

use std::path::Path;

use portgate_core::facts::FactSource;
use portgate_core::registry::{Kind, Record};
use portgate_store::{check, Bare, Noting, Store, StoreError};
use serde_json::{json, Value};

type Row = (Kind, String, Value);

/// Records of many plates in no order, approvals by their appointment, carriers of no plate.
fn registry(plates: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        (Kind::Enterprise, "E1".into(), json!({"name": "甲", "status": "APPROVED"})),
        (Kind::Approval, "N2".into(), json!({"appointment": "AP1", "state": "APPROVED", "approver": "WH-001"})),
        (Kind::Approval, "N1".into(), json!({"appointment": "AP1", "state": "APPROVED", "approver": "WH-001"})),
    ];
    for i in 0..plates * 3 {
        let plate = format!("苏G{:05}", i * 7919 % plates);
        rows.push((Kind::ExitPermit, format!("P{i}"), json!({"plate": plate, "state": "ISSUED"})));
    }
    rows
}

fn sound(dir: &Path) {
    let report = check(dir).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_load_is_what_an_import_would_have_written() {
    let dir = tempfile::tempdir().unwrap();
    let (loaded, imported) = (dir.path().join("loaded"), dir.path().join("imported"));
    let (plates, rows) = (2_000, registry(2_000));
    let store = Store::open(&loaded, "LYG-1").unwrap();
    assert_eq!(store.load(rows.clone()).unwrap(), rows.len() as u64);
    let other = Store::open(&imported, "LYG-1").unwrap();
    other.import(rows.iter().cloned().map(|(kind, id, value)| (kind, id, Some(value)))).unwrap();
    assert_eq!(store.registry_head().revision, other.registry_head().revision);
    for (kind, id, _) in &rows {
        assert_eq!(store.record(*kind, id).unwrap(), other.record(*kind, id).unwrap(), "{kind} {id}");
    }
    for i in 0..plates {
        let plate = format!("苏G{i:05}");
        assert_eq!(store.dossier(&plate).unwrap().len(), 3);
        assert_eq!(store.dossier(&plate).unwrap(), other.dossier(&plate).unwrap(), "{plate}");
    }
    assert_eq!(store.children(Kind::Approval, "AP1").unwrap(), other.children(Kind::Approval, "AP1").unwrap());
    assert!(!store.import_unfinished().unwrap() && !loaded.join("loading").exists());
    // What comes later finds it.
    store.import([(Kind::ExitPermit, "P0".to_owned(), None)]).unwrap();
    assert!(store.record(Kind::ExitPermit, "P0").unwrap().is_none());
    drop((store, other));
    sound(&loaded);
    sound(&imported);
    let store = Store::open(&loaded, "LYG-1").unwrap();
    assert_eq!(store.dossier("苏G00000").unwrap().len(), 2);
}

#[test]
fn a_load_that_is_refused_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "LYG-1").unwrap();
    let mut twice = registry(10);
    twice.push(twice[5].clone());
    let wrong = vec![(Kind::Ban, "B1".to_owned(), json!({"plate": "苏G1"}))];
    for rows in [twice, wrong] {
        assert!(matches!(store.load(rows), Err(StoreError::Invalid(_))));
        assert_eq!(store.registry_head().revision, 0);
        assert!(!store.import_unfinished().unwrap() && store.list(Kind::ExitPermit, "", None, 10).unwrap().is_empty());
    }
    store.load(registry(10)).unwrap();
    let again = store.load(registry(10)).unwrap_err().to_string();
    assert!(again.contains("there is a registry already"), "{again}");
    drop(store);
    sound(dir.path());
}

#[test]
fn records_read_from_their_text_are_those_of_the_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "LYG-1").unwrap();
    let bare = json!({"type": "SINGLE", "plate": "苏G1", "status": "ISSUED", "valid_to": "2026-03-31"});
    let whole = Record::parse(Kind::Card, "C2", &bare).unwrap().to_value();
    // C1 does not repeat its id, so that it is not written as the registry writes it.
    store.import([(Kind::Card, "C1".to_owned(), Some(bare)), (Kind::Card, "C2".to_owned(), Some(whole))]).unwrap();
    let entries: Vec<Record> = store.dossier("苏G1").unwrap().iter().map(|e| Record::from_entry(e).unwrap()).collect();
    assert_eq!((store.records_of("苏G1").unwrap(), entries.len()), (entries.clone(), 2));
    assert_eq!(store.record_of(Kind::Card, "C2").unwrap().as_ref(), entries.get(1));
    let batch = store.begin();
    assert_eq!(batch.records_of("苏G1").unwrap(), entries);
    assert!(store.record_of(Kind::Card, "C3").unwrap().is_none() && store.records_of("苏G9").unwrap().is_empty());

    let noting = Noting::new(&store);
    noting.records_of("苏G1").unwrap();
    noting.records_of("苏G1").unwrap();
    noting.use_book("苏G1").unwrap();
    let keys = noting.take();
    assert_eq!((keys.len(), noting.take().len()), (2, 0));
    assert!(Bare::new(&store).unwrap().read(&keys).unwrap() > 100);
}

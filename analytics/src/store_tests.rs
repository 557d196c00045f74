//! The store: exactly once over crashes, damaged files, merges and expiry.

use std::sync::Arc;

use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::time::Instant;
use tempfile::TempDir;

use super::*;
use crate::config::AnalyticsConfig;
use crate::tables;
use crate::testing::{arrived, entries, entry, entry_at, queue};
use crate::upkeep;

fn offsets(entries: Vec<JournalEntry>) -> Vec<Taken> {
    entries.into_iter().map(|e| Taken { offset: e.seq - 1, entry: Ok(e) }).collect()
}

/// The journal places of a table's rows, in order, from files and memory.
fn seqs(store: &Store, table: &str) -> Vec<i64> {
    let (index, _) = tables::by_name(table).unwrap();
    let snapshot = store.snapshot().table(index);
    let mut batches: Vec<RecordBatch> = snapshot.live;
    for file in snapshot.files.iter() {
        batches.extend(crate::files::read_all(file).unwrap());
    }
    let mut out: Vec<i64> = batches
        .iter()
        .flat_map(|b| {
            let column = b.column_by_name("seq").unwrap();
            column.as_any().downcast_ref::<arrow::array::Int64Array>().unwrap().values().to_vec()
        })
        .collect();
    out.sort_unstable();
    out
}

fn expected(n: u64) -> Vec<i64> {
    (1..=n).map(|i| i64::try_from(i).unwrap()).collect()
}

/// Where a flush may be cut off.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Frozen,
    SomeFiles,
    AllFiles,
    Adopted,
    Settled,
}

/// Takes the journal up to `upto` and is cut off at that point of the flush.
fn run_until(dir: &TempDir, journal: &[JournalEntry], upto: usize, crash: Crash) {
    let store = Store::create(dir.path()).unwrap();
    // As the writer does: from the last record taken on.
    let from = store.position().offsets.get(&0).map_or(0, |o| usize::try_from(*o).unwrap());
    store.take(0, offsets(journal[from..upto].to_vec())).unwrap();
    let position = store.freeze();
    if matches!(crash, Crash::Frozen) {
        return;
    }
    let files = store.write_frozen().unwrap();
    match crash {
        Crash::Frozen => {}
        Crash::SomeFiles => {
            for (_, file) in files.iter().skip(1) {
                std::fs::remove_file(&file.path).unwrap();
            }
        }
        Crash::AllFiles => {}
        Crash::Adopted => store.adopt(files),
        Crash::Settled => {
            store.adopt(files);
            store.settle(position).unwrap();
        }
    }
}

#[test]
fn every_row_is_there_exactly_once_wherever_a_flush_is_cut_off() {
    let journal = entries(60); // arrivals and queue reports in turn, over midnight
    for crash in [Crash::Frozen, Crash::SomeFiles, Crash::AllFiles, Crash::Adopted, Crash::Settled] {
        for lost_position in [false, true] {
            let dir = TempDir::new().unwrap();
            run_until(&dir, &journal, 17, Crash::Settled);
            run_until(&dir, &journal, 40, crash);
            if lost_position {
                let _ = std::fs::remove_file(dir.path().join(POSITION));
            }
            run_until(&dir, &journal, 55, crash);
            run_until(&dir, &journal, 60, Crash::Settled);
            let store = Store::create(dir.path()).unwrap();
            let mut all = seqs(&store, "arrivals");
            all.extend(seqs(&store, "queue_samples"));
            all.sort_unstable();
            assert_eq!(all, expected(60), "{crash:?}, position lost: {lost_position}");
            assert_eq!(store.position().sites["LYG"].seq, 60);
        }
    }
}

#[test]
fn repeats_are_ignored_and_gaps_are_told() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let journal = entries(10);
    assert_eq!(store.take(0, offsets(journal[..5].to_vec())).unwrap(), Took { rows: 5, missing: 0 });
    assert_eq!(store.take(0, offsets(journal[2..6].to_vec())).unwrap(), Took { rows: 1, missing: 0 });
    assert_eq!(store.take(0, offsets(journal[8..].to_vec())).unwrap(), Took { rows: 2, missing: 2 });
    let unreadable = Taken { offset: 10, entry: Err("not JSON".into()) };
    assert_eq!(store.take(0, vec![unreadable]).unwrap(), Took::default());
    assert_eq!(store.position().offsets[&0], 10);
}

#[test]
fn another_journal_is_not_mixed_in() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    store.take(0, offsets(entries(5))).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = Store::create(dir.path()).unwrap();
    for seq in [1, 5] {
        let mut other = entry(seq, arrived("x"));
        other.chain = "another".into();
        let err = store.take(0, offsets(vec![other])).unwrap_err();
        assert!(matches!(err, AnalyticsError::ForeignJournal { .. }), "{err}");
    }
    assert_eq!(store.position().sites["LYG"].seq, 5);
    assert_eq!(seqs(&store, "arrivals").len() + seqs(&store, "queue_samples").len(), 5);
}

#[test]
fn nothing_is_missing_or_twice_while_a_flush_runs() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(Store::create(dir.path()).unwrap());
    let (index, _) = tables::by_name("arrivals").unwrap();
    let flusher = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for _ in 0..40 {
                store.flush().unwrap();
            }
        })
    };
    for n in 1..=400u64 {
        store.take(0, offsets(vec![entry(n, arrived(&format!("A{n}")))])).unwrap();
        let table = store.snapshot().table(index);
        let rows: usize = table.live.iter().map(RecordBatch::num_rows).sum::<usize>() + table.files.iter().map(|f| f.rows()).sum::<usize>();
        assert_eq!(rows as u64, n);
    }
    flusher.join().unwrap();
    assert_eq!(seqs(&store, "arrivals"), expected(400));
}

#[test]
fn rows_stay_in_memory_few_batches_and_all_visible() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    for n in 1..=1000u64 {
        store.take(0, offsets(vec![entry(n, arrived(&format!("A{n}")))])).unwrap();
    }
    let (index, _) = tables::by_name("arrivals").unwrap();
    assert!(store.snapshot().table(index).live.len() < 16);
    assert_eq!(seqs(&store, "arrivals"), expected(1000));
    assert_eq!(store.live_rows(), 1000);
    store.flush().unwrap();
    assert_eq!(store.live_rows(), 0);
}

#[test]
fn a_flush_that_fails_is_repeated_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    store.take(0, offsets(entries(10))).unwrap();
    // No room: a file where the table's folder should be.
    std::fs::write(dir.path().join("queue_samples"), b"").unwrap();
    assert!(matches!(store.flush().unwrap_err(), AnalyticsError::Io { .. }));
    assert!(store.has_unwritten());
    store.take(0, offsets(entries(12).split_off(10))).unwrap();
    std::fs::remove_file(dir.path().join("queue_samples")).unwrap();
    store.flush().unwrap(); // what was frozen before
    store.flush().unwrap(); // and what came since
    assert!(!store.has_unwritten());
    let mut all = seqs(&store, "arrivals");
    all.extend(seqs(&store, "queue_samples"));
    all.sort_unstable();
    assert_eq!(all, expected(12));
    assert_eq!(store.live_rows(), 0);
}

fn days_later(days: i64) -> Instant {
    crate::testing::START.parse::<Instant>().unwrap().plus_millis(days * 86_400_000)
}

/// One file per flush.
fn fill(store: &Store, flushes: u64) {
    for n in 1..=flushes {
        store.take(0, offsets(vec![entry(n, arrived(&format!("A{n}")))])).unwrap();
        store.flush().unwrap();
    }
}

fn files(store: &Store) -> usize {
    store.snapshot().files().count()
}

#[test]
fn small_files_are_merged_and_a_reader_keeps_what_it_reads() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut config = AnalyticsConfig::new(dir.path());
    config.compact_files = 4;
    fill(&store, 5);
    let (index, _) = tables::by_name("arrivals").unwrap();
    let reader = store.snapshot().table(index);
    upkeep::round(&store, &config, days_later(0)).unwrap();
    assert_eq!(files(&store), 1);
    assert_eq!(seqs(&store, "arrivals"), expected(5));
    for file in reader.files.iter() {
        assert_eq!(crate::files::read_all(file).unwrap().len(), 1, "still there for the one who reads it");
    }
    let paths: Vec<_> = reader.files.iter().map(|f| f.path.clone()).collect();
    drop(reader);
    assert!(paths.iter().all(|p| !p.exists()), "gone once nobody reads them");
    drop(store);
    let again = Store::create(dir.path()).unwrap();
    assert_eq!((files(&again), seqs(&again, "arrivals")), (1, expected(5)));
}

#[test]
fn a_crash_in_a_merge_leaves_no_row_twice() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    fill(&store, 4);
    let (index, spec) = tables::by_name("arrivals").unwrap();
    let parts = store.snapshot().table(index).files;
    let batches: Vec<_> = parts.iter().flat_map(|f| crate::files::read_all(f).unwrap()).collect();
    let part = Part { last: 4, ..parts[0].part.clone() };
    store.folder().write(spec, part, &batches).unwrap(); // merged, and nothing deleted yet
    drop((store, parts));
    let store = Store::create(dir.path()).unwrap();
    assert_eq!((files(&store), seqs(&store, "arrivals")), (1, expected(4)));
}

#[test]
fn what_is_not_settled_is_not_merged() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut config = AnalyticsConfig::new(dir.path());
    config.compact_files = 2;
    fill(&store, 3);
    drop(store);
    std::fs::remove_file(dir.path().join(POSITION)).unwrap();
    let store = Store::create(dir.path()).unwrap();
    upkeep::round(&store, &config, days_later(0)).unwrap();
    assert_eq!(files(&store), 3);
}

#[test]
fn days_over_their_time_are_deleted() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut config = AnalyticsConfig::new(dir.path());
    config.keep_days_of.insert("arrivals".into(), 365);
    store.take(0, offsets(vec![entry(1, arrived("A")), entry(2, queue(3))])).unwrap();
    store.flush().unwrap();
    upkeep::round(&store, &config, days_later(365)).unwrap();
    assert_eq!(files(&store), 2, "the last day it is kept");
    upkeep::round(&store, &config, days_later(366)).unwrap();
    assert_eq!((seqs(&store, "arrivals"), seqs(&store, "queue_samples")), (vec![], vec![2]));
}

#[test]
fn a_damaged_file_is_put_aside_and_the_others_stay() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    fill(&store, 3);
    let (index, _) = tables::by_name("arrivals").unwrap();
    let path = store.snapshot().table(index).files[1].path.clone();
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let store = Store::create(dir.path()).unwrap();
    assert_eq!(seqs(&store, "arrivals"), vec![1, 3]);
    assert!(!path.exists());
    let kept = dir.path().join(crate::files::QUARANTINE).join(path.strip_prefix(dir.path()).unwrap());
    assert!(kept.exists());
    // Its range is not claimed by a merge, so that it can be put back.
    let mut config = AnalyticsConfig::new(dir.path());
    config.compact_files = 2;
    upkeep::round(&store, &config, days_later(0)).unwrap();
    assert_eq!(files(&store), 2);
    drop(store);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(seqs(&Store::create(dir.path()).unwrap(), "arrivals"), expected(3));
}

#[test]
fn late_entries_lie_under_the_day_the_gate_took_them_in() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let event = JournalEvent::Arrived {
        approach_id: "A".into(),
        lane: "JCZ-1.L1".into(),
        arrived_at: "1999-01-01T00:00:00+08:00".parse().unwrap(), // a device with a dead clock
    };
    store.take(0, offsets(vec![entry_at(1, "2026-03-10T16:00:00Z", event)])).unwrap();
    store.flush().unwrap();
    let (index, _) = tables::by_name("arrivals").unwrap();
    assert_eq!(store.snapshot().table(index).files[0].part.date, "2026-03-11");
}

/// The gate that [`killed_at_any_write_every_row_is_there_once`] kills: takes the journal, flushes
/// after every few entries and merges, until it is through.
#[test]
#[ignore = "run by the test that kills it"]
fn the_one_that_is_killed() {
    let Some(dir) = std::env::var_os("PORTGATE_KILLED_DIR") else { return };
    let journal = entries(KILLED_ENTRIES);
    let config = AnalyticsConfig { compact_files: 4, ..AnalyticsConfig::new(&dir) };
    let store = Store::create(dir.as_ref()).unwrap();
    let mut from = store.position().offsets.get(&0).map_or(0, |o| usize::try_from(*o).unwrap());
    while from < journal.len() {
        let upto = (from + 7).min(journal.len());
        store.take(0, offsets(journal[from..upto].to_vec())).unwrap();
        store.flush().unwrap();
        upkeep::round(&store, &config, "2026-03-11T00:10:00+08:00".parse().unwrap()).unwrap();
        from = upto;
    }
    std::fs::write(std::path::Path::new(&dir).join("through"), "").unwrap();
}

/// Entries of the journal that the killed ones take between them.
const KILLED_ENTRIES: u64 = 600;

#[test]
fn killed_at_any_write_every_row_is_there_once() {
    let dir = TempDir::new().unwrap();
    let whole = TempDir::new().unwrap();
    let store = Store::create(whole.path()).unwrap();
    store.take(0, offsets(entries(KILLED_ENTRIES))).unwrap();
    let mut kills = 0;
    for n in 0u64.. {
        assert!(n < 400, "it never gets through");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::the_one_that_is_killed", "--ignored", "--nocapture"])
            .env("PORTGATE_KILLED_DIR", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Later and later within its work, so that every write is met sooner or later.
        std::thread::sleep(std::time::Duration::from_millis(15 + n * 7 % 90));
        let killed = child.try_wait().unwrap().is_none();
        child.kill().unwrap(); // SIGKILL; it may have ended
        child.wait().unwrap();
        kills += usize::from(killed);
        let after = Store::create(dir.path()).unwrap();
        for table in ["arrivals", "queue_samples"] {
            let found = seqs(&after, table);
            let mut once = found.clone();
            once.dedup();
            assert_eq!(found, once, "{table}: a row twice after kill {n}");
            let all = seqs(&store, table);
            assert!(found.iter().all(|seq| all.contains(seq)), "{table}: a row from nowhere after kill {n}");
        }
        if dir.path().join("through").exists() {
            break;
        }
    }
    let after = Store::create(dir.path()).unwrap();
    for table in ["arrivals", "queue_samples"] {
        assert_eq!(seqs(&after, table), seqs(&store, table), "{table}");
    }
    println!("killed {kills} times");
    assert!(kills >= 3, "it was through before it could be killed");
}

/// A disk of its own that is full: rows stay in memory and visible, and are written once there is room.
#[test]
fn a_full_disk_keeps_rows_in_memory_and_is_got_over() {
    let dir = TempDir::new().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = |args: &[&str]| std::process::Command::new("mount").args(args).arg(&disk).status().is_ok_and(|s| s.success());
    if !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        println!("skipped: no right to mount a small disk here");
        return;
    }
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(disk.clone());
    let store = Store::create(&disk.join("analytics")).unwrap();
    store.take(0, offsets(entries(100))).unwrap();
    store.flush().unwrap();
    std::fs::write(disk.join("filler"), vec![0u8; 400_000]).unwrap_err();
    let journal = entries(6_000);
    store.take(0, offsets(journal[100..].to_vec())).unwrap();
    let e = store.flush().unwrap_err();
    assert!(e.to_string().contains("space"), "{e}");
    assert_eq!(seqs(&store, "arrivals").len() + seqs(&store, "queue_samples").len(), 6_000, "all of it answers");
    assert!(store.flush().is_err(), "as long as it is full");
    std::fs::remove_file(disk.join("filler")).unwrap();
    assert!(mount(&["-o", "remount,size=16m"]));
    store.flush().unwrap();
    drop(store);
    let again = Store::create(&disk.join("analytics")).unwrap();
    assert_eq!(seqs(&again, "arrivals").len() + seqs(&again, "queue_samples").len(), 6_000, "on disk, once");
}

//! The embedded log as a fixture, and what only it promises: it survives a kill, its offsets never go
//! back, one process at a time.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{Log, LogError, NewRecord, TopicSpec};
use tempfile::TempDir;

use crate::{put, read_all, topic, topic_with, value, Fixture};

pub struct Embedded {
    folder: TempDir,
    names: AtomicU32,
}

impl Embedded {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), names: AtomicU32::new(0) }
    }

    fn config(&self) -> EmbeddedConfig {
        config(&self.folder.path().join("log"))
    }
}

/// Small segments and a busy janitor.
fn config(path: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        retention_interval: Duration::from_millis(100),
        segment_records: 10,
        segment_bytes: 50_000,
        segment_ms: 200,
        ..EmbeddedConfig::new(path)
    }
}

#[async_trait]
impl Fixture for Embedded {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(EmbeddedLog::open(self.config()).unwrap())
    }

    async fn open_narrow(&self) -> Arc<dyn Log> {
        let config = EmbeddedConfig { queue_appends_max: 16, queue_bytes_max: 100_000, ..self.config() };
        Arc::new(EmbeddedLog::open(config).unwrap())
    }

    fn name(&self, base: &str) -> String {
        format!("{base}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn prompt_ms(&self) -> u64 {
        250
    }
}

const CHILD_FOLDER: &str = "PORTGATE_TEST_LOG_FOLDER";

/// Not a test by itself: what [`a_kill_loses_nothing_acknowledged`] kills.
#[test]
#[ignore = "run by a_kill_loses_nothing_acknowledged"]
fn child_appends_until_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = Arc::new(EmbeddedLog::open(config(Path::new(&folder))).unwrap());
        log.create_topics(&[TopicSpec::new("t", 1)]).await.unwrap();
        let appenders = (0..4).map(|who| {
            let log = log.clone();
            tokio::spawn(async move {
                for i in 0u64.. {
                    let record = NewRecord::new("t", "k", format!("{who}:{i}"));
                    let place = log.append(record).await.unwrap();
                    println!("acked {} {who}:{i}", place.offset);
                }
            })
        });
        futures::future::join_all(appenders).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut acked: Vec<(u64, String)> = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::child_appends_until_killed", "--ignored", "--nocapture"])
            .env(CHILD_FOLDER, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut of_this_round = 0;
        for line in lines {
            let line = line.unwrap();
            let mut words = line.split(' ').skip_while(|w| *w != "acked").skip(1);
            if let (Some(offset), Some(what)) = (words.next(), words.next()) {
                acked.push((offset.parse().unwrap(), what.to_owned()));
                of_this_round += 1;
            }
            if of_this_round == 1 && round == 1 {
                match EmbeddedLog::open(config(&path)) {
                    Err(LogError::Locked { path: named, .. }) => assert_eq!(named, path),
                    Err(other) => panic!("{other}"),
                    Ok(_) => panic!("two processes have the log open"),
                }
            }
            if of_this_round == 150 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let log = EmbeddedLog::open(config(&path)).unwrap();
        let stored = read_all(&log, "t", 0).await;
        let offsets: Vec<u64> = stored.iter().map(|r| r.offset).collect();
        assert_eq!(offsets, (0..stored.len() as u64).collect::<Vec<_>>(), "no gaps");
        for (offset, what) in &acked {
            assert_eq!(value(&stored[*offset as usize]), what, "acknowledged, so it is there");
        }
        println!("kill {round}: {} acknowledged, {} stored", acked.len(), stored.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_log_in_the_folder_is_refused_by_name() {
    let fixture = Embedded::new();
    let _open = fixture.open().await;
    match EmbeddedLog::open(fixture.config()) {
        Err(e @ LogError::Locked { .. }) => {
            let folder = fixture.folder.path().join("log");
            assert!(e.to_string().contains(folder.to_str().unwrap()), "{e}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened twice"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_never_go_back_when_everything_is_deleted() {
    let fixture = Embedded::new();
    let config = EmbeddedConfig { tombstone_ms: 0, ..fixture.config() };
    let open = || EmbeddedLog::open(config.clone()).unwrap();
    let log = open();
    let aged = topic_with(&log, &fixture, 1, |spec| TopicSpec { retention_ms: Some(300), ..spec }).await;
    let compacted = topic_with(&log, &fixture, 1, |spec| TopicSpec { compacted: true, ..spec }).await;
    for i in 0..25 {
        put(&log, &aged, "k", &i.to_string()).await;
        put(&log, &compacted, "k", &i.to_string()).await;
    }
    log.append(NewRecord::tombstone(&compacted, "k")).await.unwrap();
    let began = Instant::now();
    while !read_all(&log, &aged, 0).await.is_empty() || !read_all(&log, &compacted, 0).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "everything goes in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(log.ranges(&aged).await.unwrap()[0].earliest, 25);
    drop(log);
    let log = open();
    assert_eq!(log.end_offsets(&aged).await.unwrap(), [25]);
    assert_eq!(log.end_offsets(&compacted).await.unwrap(), [26]);
    assert_eq!(put(&log, &aged, "k", "next").await, 25);
    assert_eq!(put(&log, &compacted, "k", "next").await, 26);
    assert_eq!(read_all(&log, &compacted, 0).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn size_is_bounded() {
    let fixture = Embedded::new();
    let log = fixture.open().await;
    let frames = topic_with(&*log, &fixture, 1, |spec| TopicSpec { retention_bytes: Some(1_000_000), large_values: true, ..spec }).await;
    let frame = "x".repeat(100_000);
    for _ in 0..40 {
        put(&*log, &frames, "lane", &frame).await;
    }
    let began = Instant::now();
    loop {
        let held = read_all(&*log, &frames, 0).await;
        let bytes: usize = held.iter().map(|r| value(r).len()).sum();
        if bytes <= 1_000_000 {
            assert!(bytes >= 800_000, "and no more is deleted than must be: {bytes}");
            assert_eq!(held.last().unwrap().offset, 39);
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{bytes} bytes are held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The newest write-ahead log of the store.
fn newest_wal(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_but_other_damage_is_an_error() {
    let fixture = Embedded::new();
    let log = fixture.open().await;
    let topic = topic(&*log, &fixture, 1).await;
    for i in 0..20 {
        put(&*log, &topic, "k", &format!("{i}-{}", "x".repeat(200))).await;
    }
    drop(log);
    let folder = fixture.folder.path().join("log");
    let wal = newest_wal(&folder);
    let whole = std::fs::read(&wal).unwrap();
    assert!(whole.len() > 4000, "the records lie in the write-ahead log");
    let mut damaged = whole.clone();
    damaged[2000] ^= 0xff;
    std::fs::write(&wal, &damaged).unwrap();
    match EmbeddedLog::open(fixture.config()) {
        Err(LogError::Corrupt(_)) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("damage in the middle went unnoticed"),
    }
    std::fs::write(&wal, &whole[..whole.len() - 9]).unwrap();
    let log = fixture.open().await;
    let kept = read_all(&*log, &topic, 0).await;
    assert_eq!(kept.len(), 19, "only the torn record is gone");
    assert_eq!(put(&*log, &topic, "k", "next").await, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_while_running_opens() {
    let fixture = Embedded::new();
    let log = EmbeddedLog::open(fixture.config()).unwrap();
    let topic = topic_with(&log, &fixture, 1, |spec| TopicSpec { large_values: true, ..spec }).await;
    put(&log, &topic, "k", &"x".repeat(20_000)).await;
    let to = fixture.folder.path().join("copy");
    log.checkpoint(&to).unwrap();
    put(&log, &topic, "k", "after").await;
    let copy = EmbeddedLog::open(config(&to)).unwrap();
    assert_eq!(read_all(&copy, &topic, 0).await.len(), 1);
    assert_eq!(read_all(&log, &topic, 0).await.len(), 2);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(EmbeddedLog::open(config(folder.path())).unwrap());
    let families = ["default", "records", "blobs"];
    let store = rocksdb::DB::open_cf(&rocksdb::Options::default(), folder.path(), families).unwrap();
    store.put([1], 99u32.to_be_bytes()).unwrap();
    drop(store);
    let opened = EmbeddedLog::open(config(folder.path()));
    assert!(matches!(opened, Err(LogError::NewerFormat { found: 99, .. })));
}

/// A small file system of its own, where the test may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: no right to mount a small file system");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_error_and_loses_nothing() {
    // Once full, RocksDB goes on by itself when there is room for its write buffers again.
    let Some(disk) = SmallDisk::mount("192m") else {
        return;
    };
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![1; 180 << 20]).unwrap();
    let path = disk.0.path().join("log");
    let log = EmbeddedLog::open(config(&path)).unwrap();
    log.create_topics(&[TopicSpec::new("t", 1)]).await.unwrap();
    let payload = "x".repeat(100_000);
    let mut acked = Vec::new();
    let failure = loop {
        let value = format!("{} {payload}", acked.len());
        match log.append(NewRecord::new("t", "k", value.clone())).await {
            Ok(place) => acked.push((place.offset, value)),
            Err(e) => break e,
        }
        assert!(acked.len() < 200, "the disk is never full");
    };
    assert!(failure.is_retriable(), "{failure}");
    let health = log.health().await;
    assert!(!health.ok && !health.detail.is_empty(), "{health:?}");
    println!("after {} records: {failure}; health: {}", acked.len(), health.detail);
    std::fs::remove_file(&filler).unwrap();
    let began = Instant::now();
    while !log.health().await.ok {
        assert!(began.elapsed() < Duration::from_secs(40), "with room it works again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("room again: healthy after {:?}", began.elapsed());
    put(&log, "t", "k", "after").await;
    let before = read_all(&log, "t", 0).await;
    drop(log);
    let log = EmbeddedLog::open(config(&path)).unwrap();
    let stored = read_all(&log, "t", 0).await;
    assert_eq!(stored, before, "what was seen stays");
    for (offset, sent) in &acked {
        let there = stored.iter().find(|r| r.offset == *offset);
        assert_eq!(there.map(value), Some(sent.as_str()), "acknowledged, so it is there");
    }
    assert_eq!(stored.last().map(value), Some("after"));
}

/// Prints what group commit brings on this disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p portgate-log -- --ignored --nocapture measure"]
async fn measure_synced_appends() {
    use std::io::{Seek, Write};
    let fixture = Embedded::new();
    let mut bare = std::fs::File::create(fixture.folder.path().join("bare")).unwrap();
    // The store's write-ahead log too is allocated ahead.
    bare.write_all(&vec![0; 300 * 400]).unwrap();
    bare.sync_all().unwrap();
    bare.rewind().unwrap();
    let began = Instant::now();
    for _ in 0..300 {
        bare.write_all(&[7; 400]).unwrap();
        bare.sync_data().unwrap();
    }
    let bare_ms = began.elapsed().as_secs_f64() * 1000.0 / 300.0;
    println!("bare write and fdatasync of 400 bytes: {bare_ms:.3} ms");
    let log = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(fixture.folder.path().join("log"))).unwrap());
    let topic = topic(&*log, &fixture, 1).await;
    let payload = "x".repeat(300);
    for appenders in [1usize, 8, 64, 256] {
        let each = (2000 / appenders).max(30);
        let began = Instant::now();
        let tasks = (0..appenders).map(|_| {
            let (log, topic, payload) = (log.clone(), topic.clone(), payload.clone());
            tokio::spawn(async move {
                let mut taken = Vec::with_capacity(each);
                for _ in 0..each {
                    let began = Instant::now();
                    let record = NewRecord::new(&topic, "site", payload.clone());
                    log.append(record).await.unwrap();
                    taken.push(began.elapsed().as_secs_f64() * 1000.0);
                }
                taken
            })
        });
        let mut taken: Vec<f64> = futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        let seconds = began.elapsed().as_secs_f64();
        taken.sort_by(f64::total_cmp);
        println!(
            "{appenders} appenders: {:.0} appends/s, p50 {:.2} ms, p99 {:.2} ms",
            taken.len() as f64 / seconds,
            taken[taken.len() / 2],
            taken[taken.len() * 99 / 100]
        );
    }
}

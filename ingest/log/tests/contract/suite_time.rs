//! What happens by itself in time: compaction, retention, waking up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portgate_log::{LogError, NewRecord, TopicSpec};

use crate::{consumer, put, read_all, take, topic, topic_with, value, Fixture};

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes Kafka's segments short, so that there is something to clean up.
fn short_segments(spec: TopicSpec) -> TopicSpec {
    let settings = [("segment.ms", "200"), ("min.cleanable.dirty.ratio", "0.01"), ("max.compaction.lag.ms", "200")];
    TopicSpec { kafka_settings: settings.map(|(k, v)| (k.to_owned(), v.to_owned())).into(), ..spec }
}

pub async fn compaction_keeps_the_latest(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic_with(&*log, fixture, 1, |spec| short_segments(TopicSpec { compacted: true, ..spec })).await;
    let keyless = NewRecord { key: None, ..NewRecord::new(&topic, "", "v") };
    assert!(matches!(log.append(keyless).await, Err(LogError::Invalid(_))));
    for version in 1..=5 {
        for key in ["card/1", "card/2", "card/3"] {
            put(&*log, &topic, key, &format!("v{version}")).await;
        }
    }
    log.append(NewRecord::tombstone(&topic, "card/3")).await.unwrap();
    let began = Instant::now();
    loop {
        let records = read_all(&*log, &topic, 0).await;
        let mut view = BTreeMap::new();
        for record in &records {
            view.insert(record.key_str().unwrap().to_owned(), value(record).to_owned());
        }
        assert_eq!(view["card/1"], "v5", "the latest is always there");
        assert_eq!(view["card/2"], "v5");
        assert_eq!(view.get("card/3").map_or("-", String::as_str), "-");
        let stale = records.iter().filter(|r| value(r) != "v5" && value(r) != "-" && value(r) != "tick").count();
        if stale == 0 {
            assert!(records.iter().all(|r| r.offset > 0));
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{stale} superseded records are still there");
        tokio::time::sleep(Duration::from_millis(300)).await;
        put(&*log, &topic, "tick", "tick").await;
    }
}

pub async fn retention_by_age(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic_with(&*log, fixture, 1, |spec| short_segments(TopicSpec { retention_ms: Some(2000), ..spec })).await;
    for i in 0..50 {
        put(&*log, &topic, "k", &i.to_string()).await;
    }
    let earliest = wait_for_trim(fixture, &*log, &topic, 50, "tick").await;
    assert!(matches!(log.read(&topic, 0, earliest - 1, 1, Duration::ZERO).await, Err(LogError::OffsetOutOfRange { .. })));
    let next = put(&*log, &topic, "k", "fresh").await;
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    let mut last = None;
    while last != Some(next) {
        let got = take(&*group, 1).await;
        last = Some(got.last().expect("the fresh record arrives").offset);
    }
}

pub async fn retention_by_size(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic_with(&*log, fixture, 1, |spec| short_segments(TopicSpec { retention_bytes: Some(200_000), ..spec })).await;
    let payload = "x".repeat(20_000);
    for _ in 0..30 {
        put(&*log, &topic, "k", &payload).await;
    }
    wait_for_trim(fixture, &*log, &topic, 1, &payload).await;
    let held: usize = read_all(&*log, &topic, 0).await.iter().map(|r| value(r).len()).sum();
    println!("{held} bytes held");
    assert!(held > 0, "the newest stay");
}

/// Goes on appending until the oldest offset held is at least `least`.
async fn wait_for_trim(fixture: &dyn Fixture, log: &dyn portgate_log::Log, topic: &str, least: u64, payload: &str) -> u64 {
    let began = Instant::now();
    loop {
        let range = log.ranges(topic).await.unwrap()[0];
        assert!(range.earliest <= range.end);
        if range.earliest >= least {
            return range.earliest;
        }
        assert!(began.elapsed() < PATIENCE, "{}: {range:?}", fixture.name("retention"));
        tokio::time::sleep(Duration::from_millis(150)).await;
        put(log, topic, "k", payload).await;
    }
}

pub async fn waking_up(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    put(&*log, &topic, "k", "warm").await;
    take(&*group, 1).await;
    let mut taken_ms = Vec::new();
    for _ in 0..30 {
        let (log, topic) = (log.clone(), topic.clone());
        let appended = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let began = Instant::now();
            put(&*log, &topic, "k", "v").await;
            (began, began.elapsed())
        });
        let got = group.poll(1, Duration::from_secs(10)).await.unwrap();
        let arrived = Instant::now();
        assert_eq!(got.len(), 1);
        let (began, _) = appended.await.unwrap();
        taken_ms.push((arrived - began).as_secs_f64() * 1000.0);
    }
    taken_ms.sort_by(f64::total_cmp);
    println!("append to delivery: p50 {:.2} ms, slowest {:.2} ms", taken_ms[15], taken_ms[29]);
    assert!(taken_ms[15] < fixture.prompt_ms() as f64);
    let began = Instant::now();
    let none = group.poll(1, Duration::from_millis(200)).await.unwrap();
    assert!(none.is_empty());
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(190) && waited < Duration::from_secs(3));
}

//! Appending and reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use portgate_log::{partition_for_key, LogError, NewRecord, TopicSpec};

use crate::{consumer, put, read_all, take, topic, topic_with, value, values, Fixture};

pub async fn order_per_partition(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 3).await;
    let records = (0..300).map(|i| NewRecord::new(&topic, format!("key-{}", i % 10), i.to_string())).collect();
    log.append_batch(records).await.unwrap();
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    let got = take(&*group, 300).await;
    assert_eq!(got.len(), 300);
    let mut last_offset: BTreeMap<u32, u64> = BTreeMap::new();
    let mut last_value: BTreeMap<String, u32> = BTreeMap::new();
    for record in &got {
        let key = record.key_str().unwrap();
        assert_eq!(record.partition, partition_for_key(key.as_bytes(), 3));
        let before = last_offset.insert(record.partition, record.offset);
        assert!(before.is_none_or(|b| b < record.offset));
        let number = value(record).parse().unwrap();
        let before = last_value.insert(key.to_owned(), number);
        assert!(before.is_none_or(|b| b + 10 == number), "{key}: {before:?} {number}");
    }
    assert_eq!(last_offset.len(), 3, "the keys spread over all partitions");
}

pub async fn headers_and_tombstones(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    let full = NewRecord::new(&topic, "k", "值")
        .header("frame_id", "1")
        .header("same", "a")
        .header("same", "b")
        .header("binary", Bytes::from_static(&[0, 255, 10]))
        .header("empty", "")
        .at(1_700_000_000_123);
    let records = vec![
        full.clone(),
        NewRecord::tombstone(&topic, "k"),
        NewRecord::new(&topic, "", ""),
        NewRecord { topic: topic.clone(), value: Some("no key".into()), ..NewRecord::default() },
    ];
    for record in &records {
        log.append(record.clone()).await.unwrap();
    }
    let got = read_all(&*log, &topic, 0).await;
    assert_eq!(got.len(), records.len());
    for (got, sent) in got.iter().zip(&records) {
        assert_eq!(got.key, sent.key);
        assert_eq!(got.value, sent.value);
        assert_eq!(got.headers, sent.headers);
    }
    assert_eq!(got[0].timestamp_ms, 1_700_000_000_123);
    assert_eq!(got[0].header_str("frame_id"), Some("1"));
    assert_eq!(got[0].header_str("same"), Some("a"));
    assert_eq!(got[0].header("nothing"), None);
    assert!(got[1].timestamp_ms > 1_700_000_000_123, "the time of appending");
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    assert_eq!(take(&*group, 4).await, got, "a group sees the same");
}

pub async fn batches_answer_in_order(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let (one, two) = (topic(&*log, fixture, 2).await, topic(&*log, fixture, 1).await);
    let records: Vec<_> = (0..50)
        .map(|i| {
            let topic = if i % 3 == 0 { &two } else { &one };
            NewRecord::new(topic, i.to_string(), i.to_string())
        })
        .collect();
    let positions = log.append_batch(records.clone()).await.unwrap();
    assert_eq!(positions.len(), 50);
    for (position, record) in positions.iter().zip(&records) {
        assert_eq!(position.topic, record.topic);
        let read = log.read(&position.topic, position.partition, position.offset, 1, Duration::ZERO).await.unwrap();
        assert_eq!(read.records[0].value, record.value);
        assert_eq!(read.records[0].position(), *position);
    }
    assert_eq!(log.append_batch(Vec::new()).await.unwrap(), vec![]);
}

pub async fn large_frames(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic_with(&*log, fixture, 1, |spec| TopicSpec { record_bytes_max: (1 << 20) + 1024, large_values: true, ..spec }).await;
    let frame =
        |seed: u32, bytes: u32| -> Bytes { (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect() };
    for seed in 0..5 {
        let record = NewRecord::new(&topic, "JCZ-1.L1", frame(seed, 1 << 20)).header("frame_id", "x");
        log.append(record).await.unwrap();
    }
    let too_large = NewRecord::new(&topic, "JCZ-1.L1", frame(9, (1 << 20) + 2048));
    match log.append(too_large).await {
        Err(LogError::TooLarge { max, bytes, .. }) => assert!(bytes > max),
        other => panic!("{other:?}"),
    }
    put(&*log, &topic, "JCZ-1.L1", "small").await;
    let got = read_all(&*log, &topic, 0).await;
    assert_eq!(got.len(), 6);
    for (seed, record) in (0..5).zip(&got) {
        assert!(record.value.as_ref().unwrap() == &frame(seed, 1 << 20));
    }
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    assert!(take(&*group, 6).await == got);
}

pub async fn read_from_offset(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    let empty = log.read(&topic, 0, 0, 10, Duration::ZERO).await.unwrap();
    assert!(empty.records.is_empty() && empty.next_offset == 0);
    for i in 0..20 {
        put(&*log, &topic, "k", &i.to_string()).await;
    }
    assert_eq!(log.end_offsets(&topic).await.unwrap(), [20]);
    let batch = log.read(&topic, 0, 5, 3, Duration::ZERO).await.unwrap();
    assert_eq!(values(&batch.records), ["5", "6", "7"]);
    assert_eq!(batch.next_offset, 8);
    let batch = log.read(&topic, 0, 8, 100, Duration::ZERO).await.unwrap();
    assert_eq!(batch.records.len(), 12);
    assert_eq!(batch.next_offset, 20);
    let again = log.read(&topic, 0, 2, 1, Duration::ZERO).await.unwrap();
    assert_eq!(values(&again.records), ["2"]);
    let at_end = log.read(&topic, 0, 20, 10, Duration::ZERO).await.unwrap();
    assert!(at_end.records.is_empty() && at_end.next_offset == 20);

    let tail = {
        let (log, topic) = (log.clone(), topic.clone());
        tokio::spawn(async move { log.read(&topic, 0, 20, 10, Duration::from_secs(20)).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    put(&*log, &topic, "k", "new").await;
    let batch = tail.await.unwrap().unwrap();
    assert_eq!(values(&batch.records), ["new"]);

    match log.read(&topic, 0, 99, 10, Duration::ZERO).await {
        Err(LogError::OffsetOutOfRange { asked, end, .. }) => assert_eq!((asked, end), (99, 21)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(log.read(&topic, 7, 0, 10, Duration::ZERO).await, Err(LogError::UnknownPartition { partition: 7, .. })));
    assert!(matches!(log.read("no.such.topic", 0, 0, 10, Duration::ZERO).await, Err(LogError::UnknownTopic(_))));
}

pub async fn concurrent_appenders(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 2).await;
    let appenders = (0..8).map(|who| {
        let (log, topic) = (log.clone(), topic.clone());
        tokio::spawn(async move {
            let mut places = Vec::new();
            for i in 0..100 {
                let record = NewRecord::new(&topic, format!("appender-{who}"), i.to_string());
                places.push(log.append(record).await.unwrap());
            }
            places
        })
    });
    let mut places = BTreeSet::new();
    for appender in join_all(appenders).await {
        for place in appender.unwrap() {
            assert!(places.insert(place), "every record has its own place");
        }
    }
    let mut last: BTreeMap<Bytes, i64> = BTreeMap::new();
    for partition in 0..2 {
        for record in read_all(&*log, &topic, partition).await {
            assert!(places.remove(&record.position()));
            let number: i64 = value(&record).parse().unwrap();
            let before = last.insert(record.key.unwrap(), number).unwrap_or(-1);
            assert_eq!(before + 1, number, "each appender's order is kept");
        }
    }
    assert!(places.is_empty(), "everything acknowledged is there");
}

pub async fn topics_are_checked(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let name = topic(&*log, fixture, 2).await;
    let spec = TopicSpec::new(&name, 2);
    log.create_topics(std::slice::from_ref(&spec)).await.unwrap();
    assert_eq!(log.partitions(&name).await.unwrap(), 2);
    let differing = [TopicSpec { partitions: 3, ..spec.clone() }, TopicSpec { compacted: true, ..spec.clone() }];
    for other in differing {
        match log.create_topics(&[other]).await {
            Err(LogError::TopicMismatch { topic, .. }) => assert_eq!(topic, name),
            other => panic!("{other:?}"),
        }
    }
    let nowhere = fixture.name("nowhere");
    assert!(matches!(log.append(NewRecord::new(&nowhere, "k", "v")).await, Err(LogError::UnknownTopic(_))));
    assert!(matches!(log.partitions(&nowhere).await, Err(LogError::UnknownTopic(_))));
    let beyond = NewRecord::new(&name, "k", "v").on_partition(2);
    assert!(matches!(log.append(beyond).await, Err(LogError::UnknownPartition { partition: 2, .. })));
    let chosen = NewRecord::new(&name, "k", "v").on_partition(1);
    assert_eq!(log.append(chosen).await.unwrap().partition, 1);
    assert!(log.create_topics(&[TopicSpec::new("no/slash", 1)]).await.is_err());
}

pub async fn back_pressure(fixture: &dyn Fixture) {
    let log = fixture.open_narrow().await;
    let topic = topic(&*log, fixture, 1).await;
    put(&*log, &topic, "first", "warm").await;
    let payload = "x".repeat(10_000);
    let flood = (0..500).map(|i| {
        let record = NewRecord::new(&topic, i.to_string(), payload.clone());
        log.append(record)
    });
    let (mut stored, mut refused) = (0, 0);
    for outcome in join_all(flood).await {
        match outcome {
            Ok(_) => stored += 1,
            Err(e) => {
                assert!(e.is_retriable(), "{e}");
                assert!(matches!(e, LogError::Busy { retry_after_ms } if retry_after_ms > 0), "{e}");
                refused += 1;
            }
        }
    }
    println!("of 500 appends at once {stored} stored, {refused} refused as busy");
    assert!(stored > 0 && refused > 0);
    assert_eq!(read_all(&*log, &topic, 0).await.len(), stored + 1, "nothing dropped in silence");
    put(&*log, &topic, "last", "goes on").await;
}

pub async fn reopening(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 2).await;
    let group_name = fixture.name("group");
    for i in 0..40 {
        put(&*log, &topic, &i.to_string(), &i.to_string()).await;
    }
    let group = consumer(&*log, &group_name, &[&topic]).await;
    let first = take(&*group, 40).await;
    let done: Vec<_> = first.iter().map(|r| r.position()).collect();
    group.commit(&done).await.unwrap();
    group.close().await.unwrap();
    let ends = log.end_offsets(&topic).await.unwrap();
    let before = [read_all(&*log, &topic, 0).await, read_all(&*log, &topic, 1).await];
    drop(group);
    drop(log);

    let log = fixture.open().await;
    assert_eq!(log.end_offsets(&topic).await.unwrap(), ends);
    let after = [read_all(&*log, &topic, 0).await, read_all(&*log, &topic, 1).await];
    assert_eq!(before, after);
    let next = NewRecord::new(&topic, "k", "next").on_partition(0);
    assert_eq!(log.append(next).await.unwrap().offset, ends[0]);
    let group = consumer(&*log, &group_name, &[&topic]).await;
    assert_eq!(values(&take(&*group, 1).await), ["next"]);
}

pub async fn health_is_good(fixture: &dyn Fixture) {
    let log: Arc<dyn portgate_log::Log> = fixture.open().await;
    let health = log.health().await;
    assert!(health.ok, "{health:?}");
    assert!(!health.detail.is_empty());
}

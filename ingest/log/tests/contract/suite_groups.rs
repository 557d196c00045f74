//! Consumer groups.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portgate_log::{Consumer, ConsumerOptions, LogError, Position, RebalanceListener, StartFrom, TopicPartition};

use crate::{consumer, put, take, topic, value, values, Fixture};

pub async fn a_group_resumes_where_it_committed(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    let name = fixture.name("group");
    for i in 0..10 {
        put(&*log, &topic, "k", &i.to_string()).await;
    }
    let group = consumer(&*log, &name, &[&topic]).await;
    let got = take(&*group, 10).await;
    assert_eq!(got.len(), 10);
    // In any order: the furthest counts.
    group.commit(&[got[4].position(), got[2].position()]).await.unwrap();
    group.close().await.unwrap();
    let group = consumer(&*log, &name, &[&topic]).await;
    let again = take(&*group, 5).await;
    assert_eq!(values(&again), ["5", "6", "7", "8", "9"], "what was not committed comes again");
    group.commit(&[]).await.unwrap();
}

#[derive(Default)]
struct Noted {
    held: Mutex<BTreeSet<TopicPartition>>,
    events: Mutex<Vec<String>>,
}

impl RebalanceListener for Noted {
    fn assigned(&self, partitions: &[TopicPartition]) {
        self.held.lock().unwrap().extend(partitions.iter().cloned());
        self.note("assigned", partitions);
    }

    fn revoked(&self, partitions: &[TopicPartition]) {
        let mut held = self.held.lock().unwrap();
        for partition in partitions {
            assert!(held.remove(partition), "only what was held is revoked");
        }
        drop(held);
        self.note("revoked", partitions);
    }
}

impl Noted {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let event = format!("{what} {}", partitions.len());
        self.events.lock().unwrap().push(event);
    }

    fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

pub async fn two_consumers_split_partitions(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 4).await;
    let name = fixture.name("group");
    let join = |listener: Arc<Noted>| {
        let options = ConsumerOptions::new(&name, &[&topic], StartFrom::Earliest).listener(listener);
        log.consumer(options)
    };
    let (noted_a, noted_b) = (Arc::new(Noted::default()), Arc::new(Noted::default()));
    let short = Duration::from_millis(50);
    let patience = Duration::from_secs(30);

    let a = join(noted_a.clone()).await.unwrap();
    let began = Instant::now();
    while noted_a.held() < 4 {
        a.poll(10, short).await.unwrap();
        assert!(began.elapsed() < patience, "one member holds everything");
    }
    let b = join(noted_b.clone()).await.unwrap();
    while (noted_a.held(), noted_b.held()) != (2, 2) {
        a.poll(10, short).await.unwrap();
        b.poll(10, short).await.unwrap();
        assert!(began.elapsed() < patience * 2, "two members share");
    }
    let (held_a, held_b) = (a.assignment(), b.assignment());
    assert_eq!(held_a.len() + held_b.len(), 4);
    assert!(held_a.iter().all(|p| !held_b.contains(p)), "no partition has two holders");
    assert!(noted_a.events.lock().unwrap().contains(&"revoked 2".to_owned()), "only what moves is revoked");

    for i in 0..80 {
        put(&*log, &topic, &i.to_string(), &i.to_string()).await;
    }
    let mut seen = BTreeSet::new();
    let share = |member: &dyn Consumer, records: &[portgate_log::Record]| {
        let held = member.assignment();
        for record in records {
            assert!(held.contains(&TopicPartition::new(&record.topic, record.partition)));
        }
        records.iter().map(|r| value(r).to_owned()).collect::<Vec<_>>()
    };
    let began = Instant::now();
    while seen.len() < 80 {
        for member in [&a, &b] {
            let records = member.poll(100, short).await.unwrap();
            for value in share(&**member, &records) {
                assert!(seen.insert(value), "each record goes to one member");
            }
            let done: Vec<_> = records.iter().map(|r| r.position()).collect();
            member.commit(&done).await.unwrap();
        }
        assert!(began.elapsed() < patience, "all records arrive");
    }

    a.close().await.unwrap();
    assert_eq!(noted_a.held(), 0, "closing revokes");
    let began = Instant::now();
    while noted_b.held() < 4 {
        assert!(b.poll(10, short).await.unwrap().is_empty(), "all was committed");
        assert!(began.elapsed() < patience, "the other takes over");
    }
}

pub async fn groups_are_independent(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 2).await;
    for i in 0..6 {
        put(&*log, &topic, &i.to_string(), &i.to_string()).await;
    }
    for _ in 0..2 {
        let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
        assert_eq!(take(&*group, 6).await.len(), 6);
    }
}

pub async fn latest_skips_what_was(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    put(&*log, &topic, "k", "old").await;
    let options = ConsumerOptions::new(fixture.name("group"), &[&topic], StartFrom::Latest);
    let group = log.consumer(options).await.unwrap();
    let began = Instant::now();
    let mut got = Vec::new();
    // Joining takes a while; from then on every record arrives.
    while got.is_empty() && began.elapsed() < Duration::from_secs(30) {
        got = group.poll(10, Duration::from_millis(200)).await.unwrap();
        put(&*log, &topic, "k", "new").await;
    }
    assert!(!got.is_empty() && values(&got).iter().all(|v| *v == "new"));
}

pub async fn seek_goes_back(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    for i in 0..5 {
        put(&*log, &topic, "k", &i.to_string()).await;
    }
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    assert_eq!(take(&*group, 5).await.len(), 5);
    let partition = TopicPartition::new(&topic, 0);
    group.seek(&partition, 3).await.unwrap();
    assert_eq!(values(&take(&*group, 2).await), ["3", "4"]);
    assert!(matches!(group.seek(&TopicPartition::new(&topic, 9), 0).await, Err(LogError::NotAssigned { partition: 9, .. })));
}

pub async fn lost_partitions_refuse_commits(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let (mine, other) = (topic(&*log, fixture, 1).await, topic(&*log, fixture, 1).await);
    put(&*log, &mine, "k", "v").await;
    let group = consumer(&*log, &fixture.name("group"), &[&mine]).await;
    let got = take(&*group, 1).await;
    let elsewhere = Position { topic: other, ..got[0].position() };
    match group.commit(&[elsewhere]).await {
        Err(e @ LogError::NotAssigned { .. }) => assert!(!e.is_retriable()),
        other => panic!("{other:?}"),
    }
    group.commit(&[got[0].position()]).await.unwrap();
}

pub async fn a_dropped_poll_loses_nothing(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 2).await;
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    let writer = {
        let (log, topic) = (log.clone(), topic.clone());
        tokio::spawn(async move {
            for i in 0..200 {
                put(&*log, &topic, &(i % 2).to_string(), &i.to_string()).await;
            }
        })
    };
    let began = Instant::now();
    let mut seen = Vec::new();
    while seen.len() < 200 && began.elapsed() < Duration::from_secs(40) {
        let poll = group.poll(7, Duration::from_secs(5));
        if let Ok(records) = tokio::time::timeout(Duration::from_micros(700), poll).await {
            seen.extend(records.unwrap().iter().map(|r| value(r).to_owned()));
        }
    }
    writer.await.unwrap();
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (200, 200), "each record once");
}

pub async fn lag_counts(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    let name = fixture.name("group");
    for _ in 0..10 {
        put(&*log, &topic, "k", "v").await;
    }
    let lag = log.lag(&name, &[&topic]).await.unwrap();
    assert_eq!((lag.len(), lag[0].committed, lag[0].lag), (1, None, 10));
    let group = consumer(&*log, &name, &[&topic]).await;
    let got = take(&*group, 10).await;
    group.commit(&[got[6].position()]).await.unwrap();
    let lag = log.lag(&name, &[&topic]).await.unwrap();
    assert_eq!((lag[0].committed, lag[0].end, lag[0].lag), (Some(7), 10, 3));
}

pub async fn a_closed_consumer_says_so(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let topic = topic(&*log, fixture, 1).await;
    put(&*log, &topic, "k", "v").await;
    let group = consumer(&*log, &fixture.name("group"), &[&topic]).await;
    let got = take(&*group, 1).await;
    group.close().await.unwrap();
    assert!(group.assignment().is_empty());
    let short = Duration::from_millis(10);
    assert!(matches!(group.poll(1, short).await, Err(LogError::Closed)));
    assert!(group.commit(&[got[0].position()]).await.is_err());
    assert!(group.group().is_err());
}

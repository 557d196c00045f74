//! Transactions.

use std::time::Duration;

use portgate_log::{LogError, NewRecord, Position};

use crate::{consumer, put, read_all, read_soon, take, topic, values, Fixture};

pub async fn a_transaction_is_atomic(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let source = topic(&*log, fixture, 1).await;
    let (one, two) = (topic(&*log, fixture, 1).await, topic(&*log, fixture, 1).await);
    let name = fixture.name("group");
    for i in 0..3 {
        put(&*log, &source, "site", &i.to_string()).await;
    }
    let group = consumer(&*log, &name, &[&source]).await;
    let watcher = consumer(&*log, &fixture.name("watcher"), &[&one, &two]).await;
    let reads = take(&*group, 3).await;
    let done: Vec<_> = reads.iter().map(|r| r.position()).collect();

    let mut transaction = log.transaction(&fixture.name("owner")).await.unwrap();
    assert!(matches!(transaction.append(NewRecord::new(&one, "k", "v")).await, Err(LogError::Invalid(_))));
    for round in ["first", "second"] {
        let lag_before = log.lag(&name, &[&source]).await.unwrap()[0].lag;
        transaction.begin().await.unwrap();
        assert!(transaction.begin().await.is_err(), "one at a time");
        for topic in [&one, &two, &one] {
            let record = NewRecord::new(topic, "site", round);
            transaction.append(record).await.unwrap();
        }
        let upto = if round == "first" { &done[..2] } else { &done[..] };
        transaction.send_offsets(&group.group().unwrap(), upto).await.unwrap();
        let early = watcher.poll(10, Duration::from_millis(500)).await.unwrap();
        assert_eq!(early, vec![], "nothing is visible before the commit");
        let lag = log.lag(&name, &[&source]).await.unwrap()[0].lag;
        assert_eq!(lag, lag_before, "offsets move with the commit");
        let places = transaction.commit().await.unwrap();
        let topics: Vec<_> = places.iter().map(|p| p.topic.as_str()).collect();
        assert_eq!(topics, [&one, &two, &one]);
        let seen = take(&*watcher, 3).await;
        assert_eq!(values(&seen), [round; 3]);
        let mut seen: Vec<Position> = seen.iter().map(|r| r.position()).collect();
        let mut places = places;
        seen.sort();
        places.sort();
        assert_eq!(seen, places);
    }
    assert_eq!(log.lag(&name, &[&source]).await.unwrap()[0].committed, Some(3));
    assert_eq!(values(&read_all(&*log, &one, 0).await), ["first", "first", "second", "second"]);
    group.close().await.unwrap();
    let group = consumer(&*log, &name, &[&source]).await;
    put(&*log, &source, "site", "next").await;
    assert_eq!(values(&take(&*group, 1).await), ["next"]);
}

/// What a transaction leaves behind its records is no record; who reads on in small steps comes past it all the same.
pub async fn small_steps_come_to_the_end(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let out = topic(&*log, fixture, 1).await;
    let mut transaction = log.transaction(&fixture.name("owner")).await.unwrap();
    transaction.begin().await.unwrap();
    for i in 0..6 {
        transaction.append(NewRecord::new(&out, "site", i.to_string())).await.unwrap();
    }
    transaction.commit().await.unwrap();
    read_soon(&*log, &out, 6).await;
    let end = log.end_offsets(&out).await.unwrap()[0];
    let (mut next, mut seen) = (0, Vec::new());
    for _ in 0..8 {
        let batch = log.read(&out, 0, next, 2, Duration::from_millis(500)).await.unwrap();
        next = batch.next_offset;
        seen.extend(batch.records);
        if next >= end {
            break;
        }
    }
    assert_eq!((next, seen.len()), (end, 6));
}

pub async fn an_aborted_transaction_leaves_nothing(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let source = topic(&*log, fixture, 1).await;
    let out = topic(&*log, fixture, 1).await;
    let name = fixture.name("group");
    put(&*log, &source, "site", "read").await;
    let group = consumer(&*log, &name, &[&source]).await;
    let reads = take(&*group, 1).await;
    let mut transaction = log.transaction(&fixture.name("owner")).await.unwrap();
    transaction.begin().await.unwrap();
    transaction.append(NewRecord::new(&out, "site", "given up")).await.unwrap();
    transaction.send_offsets(&group.group().unwrap(), &[reads[0].position()]).await.unwrap();
    transaction.abort().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.append(NewRecord::new(&out, "site", "kept")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(values(&read_soon(&*log, &out, 1).await), ["kept"]);
    assert_eq!(log.lag(&name, &[&source]).await.unwrap()[0].committed, None);
    // A holder that goes away in the middle does not block readers.
    transaction.begin().await.unwrap();
    transaction.append(NewRecord::new(&out, "site", "left behind")).await.unwrap();
    drop(transaction);
    put(&*log, &out, "site", "after").await;
    let group = consumer(&*log, &fixture.name("group"), &[&out]).await;
    assert_eq!(values(&take(&*group, 2).await), ["kept", "after"]);
}

pub async fn a_newer_holder_fences_the_older(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let out = topic(&*log, fixture, 1).await;
    let id = fixture.name("site-owner");
    let mut old = log.transaction(&id).await.unwrap();
    old.begin().await.unwrap();
    old.append(NewRecord::new(&out, "site", "by the old owner, committed")).await.unwrap();
    old.commit().await.unwrap();
    old.begin().await.unwrap();
    old.append(NewRecord::new(&out, "site", "by the old owner, too late")).await.unwrap();

    let mut new = log.transaction(&id).await.unwrap();
    match old.commit().await {
        Err(e @ LogError::Fenced(_)) => {
            assert!(!e.is_retriable());
            assert!(e.to_string().contains(&id), "{e}");
        }
        other => panic!("{other:?}"),
    }
    let stopped = old.begin().await;
    assert!(matches!(stopped, Err(LogError::Fenced(_))), "{stopped:?}");
    new.begin().await.unwrap();
    new.append(NewRecord::new(&out, "site", "by the new owner")).await.unwrap();
    new.commit().await.unwrap();
    assert_eq!(values(&read_all(&*log, &out, 0).await), ["by the old owner, committed", "by the new owner"]);
}

pub async fn offsets_of_lost_partitions_stop_a_transaction(fixture: &dyn Fixture) {
    let log = fixture.open().await;
    let (source, out) = (topic(&*log, fixture, 1).await, topic(&*log, fixture, 1).await);
    put(&*log, &source, "site", "read").await;
    let group = consumer(&*log, &fixture.name("group"), &[&source]).await;
    let reads = take(&*group, 1).await;
    let handle = group.group().unwrap();
    group.close().await.unwrap();
    let mut transaction = log.transaction(&fixture.name("owner")).await.unwrap();
    transaction.begin().await.unwrap();
    transaction.append(NewRecord::new(&out, "site", "decided too late")).await.unwrap();
    let sent = transaction.send_offsets(&handle, &[reads[0].position()]).await;
    let outcome = match sent {
        Ok(()) => transaction.commit().await.map(|_| ()),
        Err(e) => {
            transaction.abort().await.unwrap();
            Err(e)
        }
    };
    assert!(outcome.is_err(), "a member that left commits nothing");
    assert_eq!(read_all(&*log, &out, 0).await, vec![]);
}

//! The contract of the log, checked on both implementations.
//!
//! `suite_*` hold the checks; each runs on the embedded log in a fresh folder and, where
//! `PORTGATE_KAFKA=host:port` names a broker (`scripts/kafka.sh start`), on Kafka.
#![allow(clippy::print_stdout, missing_docs)]

mod embedded;
mod kafka;
mod secure;
mod suite_groups;
mod suite_log;
mod suite_time;
mod suite_transactions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portgate_log::{Consumer, ConsumerOptions, Log, NewRecord, Record, StartFrom, TopicSpec};

/// Where a check gets its log from.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the log; opened again after it was dropped, it is the same log.
    async fn open(&self) -> Arc<dyn Log>;

    /// Opens the log with room for very little in its queue.
    async fn open_narrow(&self) -> Arc<dyn Log>;

    /// A name nobody else uses.
    fn name(&self, base: &str) -> String;

    /// How long what should happen at once may take, milliseconds.
    fn prompt_ms(&self) -> u64;
}

macro_rules! contract {
    ($($suite:ident: $($check:ident),+;)+) => {
        mod on_embedded {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    crate::$suite::$check(&crate::embedded::Embedded::new()).await;
                }
            )+)+
        }
        mod on_kafka {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    if let Some(kafka) = crate::kafka::Kafka::from_env() {
                        crate::$suite::$check(&kafka).await;
                    }
                }
            )+)+
        }
    };
}

contract! {
    suite_log: order_per_partition, headers_and_tombstones, batches_answer_in_order, large_frames,
        read_from_offset, concurrent_appenders, topics_are_checked, back_pressure, reopening,
        health_is_good;
    suite_groups: a_group_resumes_where_it_committed, two_consumers_split_partitions,
        groups_are_independent, latest_skips_what_was, seek_goes_back, lost_partitions_refuse_commits,
        a_dropped_poll_loses_nothing, lag_counts, a_closed_consumer_says_so;
    suite_transactions: a_transaction_is_atomic, small_steps_come_to_the_end, an_aborted_transaction_leaves_nothing,
        a_newer_holder_fences_the_older, offsets_of_lost_partitions_stop_a_transaction;
    suite_time: compaction_keeps_the_latest, retention_by_age, retention_by_size, waking_up;
}

/// A topic of its own for a check.
pub async fn topic(log: &dyn Log, fixture: &dyn Fixture, partitions: u32) -> String {
    topic_with(log, fixture, partitions, |spec| spec).await
}

/// A topic of its own, kept in a certain way.
pub async fn topic_with(log: &dyn Log, fixture: &dyn Fixture, partitions: u32, adjust: impl Fn(TopicSpec) -> TopicSpec) -> String {
    let name = fixture.name("topic");
    let spec = adjust(TopicSpec::new(&name, partitions));
    log.create_topics(&[spec]).await.expect("topic");
    name
}

pub async fn put(log: &dyn Log, topic: &str, key: &str, value: &str) -> u64 {
    let record = NewRecord::new(topic, key.to_owned(), value.to_owned());
    log.append(record).await.expect("append").offset
}

pub async fn consumer(log: &dyn Log, group: &str, topics: &[&str]) -> Box<dyn Consumer> {
    let options = ConsumerOptions::new(group, topics, StartFrom::Earliest);
    log.consumer(options).await.expect("consumer")
}

/// Polls until there are `n` records or nothing has come for a while.
pub async fn take(consumer: &dyn Consumer, n: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < n {
        let more = consumer.poll(n - records.len(), Duration::from_secs(10)).await.expect("poll");
        if more.is_empty() {
            break;
        }
        records.extend(more);
    }
    records
}

/// Everything a partition holds now.
pub async fn read_all(log: &dyn Log, topic: &str, partition: u32) -> Vec<Record> {
    let range = log.ranges(topic).await.expect("ranges")[partition as usize];
    let (mut next, mut records) = (range.earliest, Vec::new());
    while next < range.end {
        let batch = log.read(topic, partition, next, 100, Duration::ZERO).await.expect("read");
        next = batch.next_offset;
        records.extend(batch.records);
    }
    records
}

/// What a transaction has committed to the first partition, once as many are there, for ten seconds at the most: a
/// commit is answered when it is decided, and what it wrote is there for readers a little later, all at once.
pub async fn read_soon(log: &dyn Log, topic: &str, wanted: usize) -> Vec<Record> {
    let began = std::time::Instant::now();
    loop {
        let records = read_all(log, topic, 0).await;
        if records.len() >= wanted || began.elapsed() > Duration::from_secs(10) {
            return records;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn value(record: &Record) -> &str {
    record.value.as_ref().map_or("-", |v| std::str::from_utf8(v).expect("text"))
}

pub fn values(records: &[Record]) -> Vec<&str> {
    records.iter().map(value).collect()
}

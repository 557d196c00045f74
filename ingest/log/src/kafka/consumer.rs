//! A member of a Kafka consumer group.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use parking_lot::RwLock;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerGroupMetadata, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::client::{client_config, is_lost_membership, kafka_error, of_known_topic, partition_number, partitions, Context, Role};
use super::KafkaConfig;
use crate::api::{Consumer, ConsumerOptions, GroupHandle, GroupHandleInner, StartFrom};
use crate::error::{LogError, Result};
use crate::record::{Position, Record, TopicPartition};

/// At most about so many bytes come from one poll.
pub(super) const POLL_BYTES_MAX: usize = 8 << 20;

pub(super) struct KafkaConsumer {
    group: String,
    timeout: Duration,
    /// What the group waits for this member to be heard of; none: the broker's to say.
    session: Option<Duration>,
    /// Gone once closed.
    client: RwLock<Option<Arc<StreamConsumer<Context>>>>,
    polling: tokio::sync::Mutex<()>,
    closed: watch::Sender<bool>,
}

/// A membership of a Kafka consumer group.
pub struct KafkaGroup {
    client: Weak<StreamConsumer<Context>>,
}

impl KafkaGroup {
    /// The membership as it is now, and the processed positions as offsets to commit, if the member
    /// still holds their partitions.
    pub(super) fn offsets(&self, processed: &[Position]) -> Result<(ConsumerGroupMetadata, TopicPartitionList)> {
        let client = self.client.upgrade().ok_or(LogError::Closed)?;
        let list = offsets(&client, processed)?;
        let membership = client.group_metadata().ok_or(LogError::Closed)?;
        Ok((membership, list))
    }
}

impl KafkaConsumer {
    pub fn join(config: &KafkaConfig, options: &ConsumerOptions) -> Result<Self> {
        let reset = match options.start {
            StartFrom::Earliest => "earliest",
            StartFrom::Latest => "latest",
        };
        let mut settings = client_config(config, Role::Consumer);
        settings.set("group.id", &options.group).set("auto.offset.reset", reset);
        let session = settings.get("session.timeout.ms").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        let context = Context::member(options.group.clone(), options.listener.clone());
        let client: StreamConsumer<Context> =
            StreamConsumer::from_config_and_context(&settings, context).map_err(|e| kafka_error(&e, &options.group))?;
        let topics: Vec<_> = options.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(|e| kafka_error(&e, &options.group))?;
        Ok(Self {
            group: options.group.clone(),
            timeout: config.timeout,
            session,
            client: RwLock::new(Some(Arc::new(client))),
            polling: tokio::sync::Mutex::new(()),
            closed: watch::Sender::new(false),
        })
    }

    fn client(&self) -> Result<Arc<StreamConsumer<Context>>> {
        self.client.read().clone().ok_or(LogError::Closed)
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn poll(&self, max: usize, timeout: Duration) -> Result<Vec<Record>> {
        let _one = self.polling.lock().await;
        let client = self.client()?;
        let mut closed = self.closed.subscribe();
        let mut records = Vec::new();
        let first = tokio::select! {
            first = tokio::time::timeout(timeout, client.recv()) => first,
            _ = closed.wait_for(|c| *c) => return Err(LogError::Closed),
        };
        let Ok(first) = first else {
            return Ok(records);
        };
        let first = first.map_err(|e| of_known_topic(kafka_error(&e, &self.group)))?;
        let first = record(&first);
        let mut bytes = first.size_bytes();
        records.push(first);
        // No await from here on: a poll that is dropped has taken nothing.
        while records.len() < max && bytes < POLL_BYTES_MAX {
            match client.recv().now_or_never() {
                Some(Ok(message)) => {
                    let next = record(&message);
                    bytes += next.size_bytes();
                    records.push(next);
                }
                Some(Err(error)) => {
                    tracing::warn!(target: "portgate_log::kafka", %error, group = self.group, "poll");
                    break;
                }
                None => break,
            }
        }
        Ok(records)
    }

    async fn commit(&self, processed: &[Position]) -> Result<()> {
        let client = self.client()?;
        let list = offsets(&client, processed)?;
        if list.count() == 0 {
            return Ok(());
        }
        let group = self.group.clone();
        let first = processed.first().cloned();
        let commit = move || client.commit(&list, CommitMode::Sync);
        tokio::task::spawn_blocking(commit).await.map_err(|_| LogError::Closed)?.map_err(|error| {
            match (error.rdkafka_error_code(), first) {
                (Some(code), Some(place)) if is_lost_membership(code) => {
                    LogError::NotAssigned { topic: place.topic, partition: place.partition }
                }
                _ => kafka_error(&error, &group),
            }
        })
    }

    async fn seek(&self, partition: &TopicPartition, offset: u64) -> Result<()> {
        let client = self.client()?;
        if !holds(&client, partition) {
            return Err(LogError::NotAssigned { topic: partition.topic.clone(), partition: partition.partition });
        }
        let number = partition_number(&partition.topic, partition.partition)?;
        let offset = offset_number(offset)?;
        let (topic, timeout) = (partition.topic.clone(), self.timeout);
        tokio::task::spawn_blocking(move || {
            client.seek(&topic, number, Offset::Offset(offset), timeout).map_err(|e| kafka_error(&e, &topic))
        })
        .await
        .map_err(|_| LogError::Closed)?
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        self.client().ok().and_then(|client| client.assignment().ok()).map(|list| partitions(&list)).unwrap_or_default()
    }

    /// A commit is answered only to a member of the present generation, and begins its session anew
    /// (the broker's `commitOffset` for classic groups); the client's own heartbeats do the same, but it
    /// does not tell when.
    async fn renew(&self, unread: &TopicPartition) -> Result<Option<Duration>> {
        let Some(session) = self.session else { return Ok(None) };
        let client = self.client()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&unread.topic, partition_number(&unread.topic, unread.partition)?, Offset::Offset(0))
            .map_err(|e| kafka_error(&e, &unread.topic))?;
        let group = self.group.clone();
        let commit = move || client.commit(&list, CommitMode::Sync);
        tokio::task::spawn_blocking(commit).await.map_err(|_| LogError::Closed)?.map_err(|e| kafka_error(&e, &group))?;
        Ok(Some(session))
    }

    fn group(&self) -> Result<GroupHandle> {
        Ok(GroupHandle(GroupHandleInner::Kafka(Arc::new(KafkaGroup { client: Arc::downgrade(&self.client()?) }))))
    }

    async fn close(&self) -> Result<()> {
        let client = self.client.write().take();
        self.closed.send_replace(true);
        let _one = self.polling.lock().await;
        tokio::task::spawn_blocking(move || drop(client)).await.map_err(|_| LogError::Closed)
    }
}

impl Drop for KafkaConsumer {
    /// Leaving the group takes a conversation with the broker, which must not block a task.
    fn drop(&mut self) {
        if let Some(client) = self.client.write().take() {
            let leave = std::thread::Builder::new().name("log-leave".into());
            if let Err(error) = leave.spawn(move || drop(client)) {
                tracing::warn!(%error, "no thread to leave the group with");
            }
        }
    }
}

/// A message as a record.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|h| {
                let value = h.value.map_or_else(Bytes::new, Bytes::copy_from_slice);
                (h.key.to_owned(), value)
            })
            .collect()
    });
    Record {
        topic: message.topic().to_owned(),
        partition: u32::try_from(message.partition()).unwrap_or(0),
        offset: u64::try_from(message.offset()).unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
    }
}

/// An offset as Kafka takes it.
pub(super) fn offset_number(offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| LogError::Invalid(format!("offset {offset}")))
}

fn holds(client: &StreamConsumer<Context>, partition: &TopicPartition) -> bool {
    let number = i32::try_from(partition.partition).unwrap_or(-1);
    client.assignment().is_ok_and(|held| held.find_partition(&partition.topic, number).is_some())
}

/// The furthest of the processed positions of each partition, as offsets to commit; the broker
/// would take them from any member, so the assignment is checked here.
fn offsets(client: &StreamConsumer<Context>, processed: &[Position]) -> Result<TopicPartitionList> {
    let mut next: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for position in processed {
        let after = position.offset.saturating_add(1);
        let furthest = next.entry((position.topic.as_str(), position.partition)).or_insert(after);
        *furthest = after.max(*furthest);
    }
    let held = client.assignment().map_err(|e| kafka_error(&e, "assignment"))?;
    let mut list = TopicPartitionList::with_capacity(next.len());
    for ((topic, partition), offset) in next {
        let number = partition_number(topic, partition)?;
        if held.find_partition(topic, number).is_none() {
            return Err(LogError::NotAssigned { topic: topic.to_owned(), partition });
        }
        list.add_partition_offset(topic, number, Offset::Offset(offset_number(offset)?)).map_err(|e| kafka_error(&e, topic))?;
    }
    Ok(list)
}

//! Reading a partition from an offset, without a group.
//!
//! A reader keeps its client and its place between calls, so that tailing goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{timeout_at, Instant};

use super::client::{client_config, kafka_error, of_known_topic, partition_number, Context, Role};
use super::consumer::{offset_number, record, POLL_BYTES_MAX};
use super::Cluster;
use crate::api::ReadBatch;
use crate::error::{LogError, Result};

/// Clients kept for the next call; more are made and dropped.
const IDLE_MAX: usize = 8;
/// How long a record that should be there may take before the call returns without it.
const FETCH: Duration = Duration::from_secs(2);

pub(super) struct Readers {
    cluster: Arc<Cluster>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

struct Reader {
    client: StreamConsumer<Context>,
    topic: String,
    partition: u32,
    /// The offset it reads next.
    next: u64,
    /// It has come to the partition's end once. Before that it has to be told where that is: what stands there may be
    /// gaps (the marks of transactions), which only [`Reader::fetch`] passes.
    at_end: bool,
}

/// A reader in use; goes back to the others when dropped.
struct Lent {
    reader: Option<Reader>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            let mut idle = self.idle.lock();
            if idle.len() >= IDLE_MAX {
                idle.remove(0);
            }
            idle.push(reader);
        }
    }
}

impl Readers {
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, idle: Arc::default() }
    }

    pub async fn read(&self, topic: &str, partition: u32, from: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        let (mut lent, goes_on) = self.lend(topic, partition, from)?;
        let reader = lent.reader.as_mut().ok_or(LogError::Closed)?;
        let batch = if goes_on && reader.at_end && !wait.is_zero() {
            reader.tail(max, wait).await
        } else {
            match self.end(topic, partition, from).await? {
                end if from < end => reader.fetch(end, max).await,
                _ => {
                    reader.at_end = true;
                    reader.tail(max, wait).await
                }
            }
        };
        let next = reader.next;
        let batch = match batch {
            // A node is away, which need not be the one that leads: that one says whether there is more.
            Err(LogError::Unavailable(_)) if self.end(topic, partition, next).await.is_ok_and(|end| end == next) => {
                Ok(Batch::default().finish(next))
            }
            read => read,
        };
        if batch.is_err() {
            // Its client may be out of step: the next call makes a new one.
            lent.reader = None;
        }
        batch
    }

    /// The end of the partition, once `from` is known to lie within it.
    async fn end(&self, topic: &str, partition: u32, from: u64) -> Result<u64> {
        let number = partition_number(topic, partition)?;
        let name = topic.to_owned();
        self.cluster
            .ask(move |meta, timeout| {
                let (low, high) = meta.fetch_watermarks(&name, number, timeout).map_err(|e| kafka_error(&e, &name))?;
                let earliest = u64::try_from(low).unwrap_or(0);
                let end = u64::try_from(high).unwrap_or(0);
                if from < earliest || from > end {
                    return Err(LogError::OffsetOutOfRange { topic: name.clone(), partition, asked: from, earliest, end });
                }
                Ok(end)
            })
            .await
    }

    /// A reader that reads `from` next, and whether it goes on from an earlier call.
    fn lend(&self, topic: &str, partition: u32, from: u64) -> Result<(Lent, bool)> {
        let mut idle = self.idle.lock();
        let place = idle.iter().position(|r| r.topic == topic && r.partition == partition && r.next == from);
        let reader = if let Some(place) = place {
            // INVARIANT: its client has delivered everything before `next` and nothing after.
            idle.remove(place)
        } else {
            let other = idle.iter().position(|r| r.topic == topic && r.partition == partition);
            let client = match other {
                Some(place) => idle.remove(place).client,
                None => self.client()?,
            };
            drop(idle);
            Reader::start(client, topic, partition, from)?
        };
        let lent = Lent { reader: Some(reader), idle: self.idle.clone() };
        Ok((lent, place.is_some()))
    }

    fn client(&self) -> Result<StreamConsumer<Context>> {
        let mut settings = client_config(&self.cluster.config, Role::Consumer);
        settings
            .set("group.id", "portgate-read")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", "8192")
            .set("enable.partition.eof", "true");
        StreamConsumer::from_config_and_context(&settings, Context::default()).map_err(|e| kafka_error(&e, "Kafka client"))
    }
}

impl Reader {
    fn start(client: StreamConsumer<Context>, topic: &str, partition: u32, from: u64) -> Result<Self> {
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(offset_number(from)?);
        list.add_partition_offset(topic, partition_number(topic, partition)?, offset)
            .and_then(|()| client.assign(&list))
            .map_err(|e| kafka_error(&e, topic))?;
        Ok(Self { client, topic: topic.to_owned(), partition, next: from, at_end: false })
    }

    /// Reads what lies before `end`.
    async fn fetch(&mut self, end: u64, max: usize) -> Result<ReadBatch> {
        let deadline = Instant::now() + FETCH;
        let (mut batch, mut away) = (Batch::default(), None);
        while self.next < end && batch.has_room(max) {
            match timeout_at(deadline, self.client.recv()).await {
                Ok(Ok(message)) => batch.take(&message, &mut self.next),
                // What is left before the end are gaps.
                Ok(Err(KafkaError::PartitionEOF(_))) => self.next = end.max(self.next),
                // Of some node; the leader may answer all the same.
                Ok(Err(error)) if error.rdkafka_error_code() == Some(Code::BrokerTransportFailure) => away = Some(error),
                Ok(Err(error)) if batch.records.is_empty() => return Err(self.error(&error)),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.at_end |= self.next >= end;
        match away {
            Some(error) if batch.records.is_empty() && self.next < end => Err(self.error(&error)),
            _ => Ok(batch.finish(self.next)),
        }
    }

    /// Waits at the end for what comes.
    async fn tail(&mut self, max: usize, wait: Duration) -> Result<ReadBatch> {
        let deadline = Instant::now() + wait;
        let mut batch = Batch::default();
        while !wait.is_zero() && batch.records.is_empty() {
            match timeout_at(deadline, self.client.recv()).await {
                Ok(Ok(message)) => batch.take(&message, &mut self.next),
                Ok(Err(KafkaError::PartitionEOF(_))) => {}
                Ok(Err(error)) => return Err(self.error(&error)),
                Err(_) => break,
            }
        }
        while !batch.records.is_empty() && batch.has_room(max) {
            match self.client.recv().now_or_never() {
                Some(Ok(message)) => batch.take(&message, &mut self.next),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(_)) | None => break,
            }
        }
        Ok(batch.finish(self.next))
    }

    fn error(&self, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => LogError::OffsetOutOfRange {
                topic: self.topic.clone(),
                partition: self.partition,
                asked: self.next,
                earliest: self.next,
                end: self.next,
            },
            _ => of_known_topic(kafka_error(error, &self.topic)),
        }
    }
}

#[derive(Default)]
struct Batch {
    records: Vec<crate::Record>,
    bytes: usize,
}

impl Batch {
    fn has_room(&self, max: usize) -> bool {
        self.records.len() < max && self.bytes < POLL_BYTES_MAX
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, next: &mut u64) {
        let record = record(message);
        *next = record.offset + 1;
        self.bytes += record.size_bytes();
        self.records.push(record);
    }

    fn finish(self, next_offset: u64) -> ReadBatch {
        ReadBatch { records: self.records, next_offset }
    }
}

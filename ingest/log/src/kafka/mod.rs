//! The log on a Kafka cluster, over librdkafka.
//!
//! * An append is acknowledged by all in-sync replicas (`acks=all`, idempotent producer).
//! * Readers see committed records only (`read_committed`); groups rebalance cooperatively.
//! * The client's own settings (TLS, SASL, time-outs …) are passed through ([`KafkaConfig::settings`])
//!   except those the promises rest on.
//! * Topics must exist ([`crate::Log::create_topics`]): a misspelt topic is an error, not a new topic.

mod admin;
mod client;
mod consumer;
mod reader;
mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::{Delivery, DeliveryFuture};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::api::{Consumer, ConsumerOptions, Health, Log, LogTransaction, PartitionLag, PartitionRange, ReadBatch};
use crate::error::{LogError, Result};
use crate::record::{NewRecord, Position};
use crate::telemetry;
use crate::topics::TopicSpec;

use client::{client_config, kafka_error, of_known_topic, partition_number, Context, Role};
pub use consumer::KafkaGroup;

/// A question without an answer is put again after this: whoever was asked may be there and silent.
const QUESTION: Duration = Duration::from_secs(3);
/// Wait before that.
const QUESTION_WAIT: Duration = Duration::from_millis(100);
/// Longest for the question whether anybody is there.
const PING: Duration = Duration::from_secs(10);
/// Events of a client looked at after it got no answer.
const CLIENT_EVENTS_MAX: usize = 50;
/// Wait for each of them.
const CLIENT_EVENT_WAIT: Duration = Duration::from_millis(10);

/// How to reach the cluster.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The first brokers to ask: `host:port,host:port`.
    pub brokers: String,
    /// The client's own settings, as librdkafka names them.
    pub settings: BTreeMap<String, String>,
    /// At most so many appends wait for the brokers; one more is [`LogError::Busy`].
    pub queue_records_max: usize,
    /// At most so many bytes wait for the brokers; one more is [`LogError::Busy`].
    pub queue_bytes_max: usize,
    /// The largest message sent.
    pub message_bytes_max: usize,
    /// How long an append, a commit or a question may take.
    pub timeout: Duration,
}

impl KafkaConfig {
    /// The usual settings, for a cluster at `brokers`.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            settings: BTreeMap::new(),
            queue_records_max: 10_000,
            queue_bytes_max: 64 << 20,
            message_bytes_max: 2 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

/// The log on Kafka.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
    producer: RwLock<FutureProducer<Context>>,
    readers: reader::Readers,
    /// A client per group whose lag was asked.
    lag_clients: Mutex<BTreeMap<String, Arc<BaseConsumer<Context>>>>,
}

/// What the log, its consumers and its transactions share.
struct Cluster {
    config: KafkaConfig,
    /// For questions to the cluster; reads nothing.
    meta: Arc<BaseConsumer<Context>>,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
}

/// What is remembered of a topic.
struct Topic {
    partitions: u32,
    compacted: bool,
    record_bytes_max: usize,
}

impl KafkaLog {
    /// Connects, and waits until a broker answers.
    ///
    /// # Errors
    /// [`LogError::Invalid`] for a setting that is fixed, [`LogError::Refused`] for one librdkafka
    /// does not take, [`LogError::Unavailable`] when no broker answers within the time-out.
    pub async fn connect(config: KafkaConfig) -> Result<Self> {
        client::check_settings(&config.settings)?;
        let mut meta = client_config(&config, Role::Consumer);
        meta.set("group.id", "portgate-meta");
        let meta = BaseConsumer::from_config_and_context(&meta, Context::default()).map_err(|e| kafka_error(&e, "Kafka client"))?;
        let cluster = Arc::new(Cluster { config, meta: Arc::new(meta), topics: RwLock::default() });
        cluster.ping().await?;
        Ok(Self {
            producer: RwLock::new(producer(&cluster.config, None)?),
            readers: reader::Readers::new(cluster.clone()),
            lag_clients: Mutex::default(),
            cluster,
        })
    }

    fn producer(&self) -> FutureProducer<Context> {
        self.producer.read().clone()
    }

    /// Hands a record to the producer; a full queue is an error at once.
    async fn send(&self, record: &NewRecord) -> Result<DeliveryFuture> {
        self.cluster.check(record).await?;
        let producer = self.producer();
        metrics::gauge!(telemetry::QUEUE_RECORDS, "backend" => "kafka").set(f64::from(producer.in_flight_count()));
        send(&producer, record)
    }

    async fn delivered(&self, record: &NewRecord, delivery: DeliveryFuture) -> Result<Position> {
        delivered(&record.topic, delivery).await.map_err(|e| {
            self.renew_after_fatal(&e);
            into_log_error(&e, record, &self.cluster)
        })
    }

    /// An idempotent producer that lost its place in order can't go on; a new one can.
    fn renew_after_fatal(&self, error: &KafkaError) {
        let mut current = self.producer.write();
        if current.client().fatal_error().is_none() {
            return;
        }
        tracing::warn!(target: "portgate_log::kafka", %error, "the producer failed for good; making a new one");
        match producer(&self.cluster.config, None) {
            Ok(fresh) => *current = fresh,
            Err(error) => tracing::error!(target: "portgate_log::kafka", %error, "no new producer"),
        }
    }

    async fn ranges_of(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        let partitions = self.cluster.partitions(topic).await?;
        let name = topic.to_owned();
        self.cluster
            .ask(move |meta, timeout| {
                (0..partitions)
                    .map(|partition| {
                        let number = partition_number(&name, partition)?;
                        let (low, high) = meta.fetch_watermarks(&name, number, timeout).map_err(|e| kafka_error(&e, &name))?;
                        Ok(PartitionRange { partition, earliest: u64::try_from(low).unwrap_or(0), end: u64::try_from(high).unwrap_or(0) })
                    })
                    .collect()
            })
            .await
    }

    fn lag_client(&self, group: &str) -> Result<Arc<BaseConsumer<Context>>> {
        let mut clients = self.lag_clients.lock();
        if let Some(client) = clients.get(group) {
            return Ok(client.clone());
        }
        let client: BaseConsumer<Context> = client_config(&self.cluster.config, Role::Consumer)
            .set("group.id", group)
            // Else the answer would wait for the end of an open transaction of the group.
            .set("isolation.level", "read_uncommitted")
            .create_with_context(Context::default())
            .map_err(|e| kafka_error(&e, group))?;
        let client = Arc::new(client);
        clients.insert(group.to_owned(), client.clone());
        Ok(client)
    }
}

impl Cluster {
    /// Asks the cluster something on a thread that may block.
    async fn ask<T: Send + 'static>(&self, question: impl Fn(&BaseConsumer<Context>, Duration) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask_for(self.config.timeout, question).await
    }

    /// The same for at most so long.
    async fn ask_for<T: Send + 'static>(
        &self,
        longest: Duration,
        question: impl Fn(&BaseConsumer<Context>, Duration) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let meta = self.meta.clone();
        tokio::task::spawn_blocking(move || {
            let until = Instant::now() + longest;
            loop {
                // Serves what has gathered in the client's event queue; nothing is consumed by it.
                drop(meta.poll(Duration::ZERO));
                let left = until.saturating_duration_since(Instant::now());
                match question(&meta, left.min(QUESTION)) {
                    Err(LogError::Timeout(_) | LogError::Unavailable(_)) if left > QUESTION => std::thread::sleep(QUESTION_WAIT),
                    answer => return answer,
                }
            }
        })
        .await
        .map_err(|_| LogError::Closed)?
    }

    async fn ping(&self) -> Result<usize> {
        let brokers = self.config.brokers.clone();
        self.ask_for(self.config.timeout.min(PING), move |meta, timeout| {
            let answer = meta.fetch_metadata(None, timeout);
            // What the client has met on its way tells a broker that is away from one that refuses.
            let mut refusal = None;
            for _ in 0..CLIENT_EVENTS_MAX {
                if answer.is_ok() || refusal.is_some() {
                    break;
                }
                drop(meta.poll(CLIENT_EVENT_WAIT));
                refusal = meta.context().refusal();
            }
            match (answer, refusal) {
                (Ok(answer), _) => Ok(answer.brokers().len()),
                (Err(_), Some(why)) => Err(LogError::Refused(format!(
                    "the brokers at {brokers} turn this client away: {why}; see security.protocol, ssl.ca.location, \
                     sasl.mechanism, sasl.username and sasl.password in [kafka.settings]"
                ))),
                (Err(e), None) => Err(LogError::Unavailable(format!("no Kafka broker answers at {brokers}: {e}"))),
            }
        })
        .await
    }

    /// How many partitions the topic has now.
    async fn partitions(&self, topic: &str) -> Result<u32> {
        let name = topic.to_owned();
        let seen = self.topics.read().contains_key(topic);
        self.ask(move |meta, timeout| {
            let answer = meta.fetch_metadata(Some(&name), timeout).map_err(|e| kafka_error(&e, &name))?;
            let found = answer.topics().iter().find(|t| t.name() == name && t.error().is_none()).map_or(0, |t| t.partitions().len());
            match u32::try_from(found) {
                Ok(n) if n > 0 => Ok(n),
                _ if seen => Err(of_known_topic(LogError::UnknownTopic(name.clone()))),
                _ => Err(LogError::UnknownTopic(name.clone())),
            }
        })
        .await
    }

    /// What is known of a topic, asked once.
    async fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.topics.read().get(name) {
            return Ok(topic.clone());
        }
        let partitions = self.partitions(name).await?;
        let described = admin::describe(self, name).await?;
        let topic = Arc::new(Topic { partitions, compacted: described.compacted, record_bytes_max: described.record_bytes_max() });
        self.topics.write().insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    /// Checks a record before it is sent.
    async fn check(&self, record: &NewRecord) -> Result<()> {
        let topic = self.topic(&record.topic).await?;
        record.check(topic.compacted, topic.record_bytes_max)?;
        match record.partition {
            Some(partition) if partition >= topic.partitions => Err(LogError::UnknownPartition { topic: record.topic.clone(), partition }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn create_topics(&self, specs: &[TopicSpec]) -> Result<()> {
        admin::create_topics(&self.cluster, specs).await
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.cluster.partitions(topic).await
    }

    async fn append(&self, record: NewRecord) -> Result<Position> {
        let began = Instant::now();
        let outcome = match self.send(&record).await {
            Ok(delivery) => self.delivered(&record, delivery).await,
            Err(e) => Err(e),
        };
        telemetry::appended("kafka", &record.topic, began, outcome.as_ref().err());
        outcome
    }

    async fn append_batch(&self, records: Vec<NewRecord>) -> Result<Vec<Position>> {
        let Some(topic) = records.first().map(|r| r.topic.clone()) else {
            return Ok(Vec::new());
        };
        let began = Instant::now();
        let mut deliveries = Vec::with_capacity(records.len());
        let mut refused = None;
        for record in &records {
            match self.send(record).await {
                Ok(delivery) => deliveries.push(self.delivered(record, delivery)),
                Err(e) => {
                    refused = Some(e);
                    break;
                }
            }
        }
        // What was handed over is waited for even if the rest was refused.
        let delivered = join_all(deliveries).await.into_iter().collect();
        let outcome = refused.map_or(delivered, Err);
        telemetry::appended("kafka", &topic, began, outcome.as_ref().err());
        outcome
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        if options.topics.is_empty() {
            return Err(LogError::Invalid("a consumer without topics".into()));
        }
        for topic in &options.topics {
            self.cluster.topic(topic).await?;
        }
        Ok(Box::new(consumer::KafkaConsumer::join(&self.cluster.config, &options)?))
    }

    async fn read(&self, topic: &str, partition: u32, from_offset: u64, max: usize, wait: Duration) -> Result<ReadBatch> {
        let known = self.cluster.topic(topic).await?;
        if partition >= known.partitions {
            return Err(LogError::UnknownPartition { topic: topic.to_owned(), partition });
        }
        self.readers.read(topic, partition, from_offset, max, wait).await
    }

    async fn ranges(&self, topic: &str) -> Result<Vec<PartitionRange>> {
        self.ranges_of(topic).await
    }

    async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<PartitionLag>> {
        let client = self.lag_client(group)?;
        let timeout = self.cluster.config.timeout;
        let mut lags = Vec::new();
        for topic in topics {
            let ranges = self.ranges_of(topic).await?;
            let mut asked = TopicPartitionList::new();
            for range in &ranges {
                asked.add_partition(topic, partition_number(topic, range.partition)?);
            }
            let (client, name) = (client.clone(), (*topic).to_owned());
            let answer = tokio::task::spawn_blocking(move || {
                drop(client.poll(Duration::ZERO));
                client.committed_offsets(asked, timeout).map_err(|e| kafka_error(&e, &name))
            })
            .await
            .map_err(|_| LogError::Closed)??;
            for range in ranges {
                let number = partition_number(topic, range.partition)?;
                let committed = answer.find_partition(topic, number).and_then(|e| match e.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                });
                lags.push(PartitionLag::new(group, topic, range, committed));
            }
        }
        Ok(lags)
    }

    async fn transaction(&self, transactional_id: &str) -> Result<Box<dyn LogTransaction>> {
        let transaction = transaction::KafkaTransaction::begin(self.cluster.clone(), transactional_id).await?;
        Ok(Box::new(transaction))
    }

    async fn health(&self) -> Health {
        let answer = self.cluster.ping().await;
        Health {
            ok: answer.is_ok(),
            backend: "kafka",
            detail: match answer {
                Ok(n) => format!("{n} broker(s), from {}", self.cluster.config.brokers),
                Err(e) => e.to_string(),
            },
        }
    }
}

/// A producer; with a transactional id, one for transactions.
fn producer(config: &KafkaConfig, id: Option<&str>) -> Result<FutureProducer<Context>> {
    let mut client = client_config(config, Role::Producer);
    if let Some(id) = id {
        client.set("transactional.id", id);
        if !config.settings.contains_key("transaction.timeout.ms") {
            client.set("transaction.timeout.ms", "15000");
            client.set("delivery.timeout.ms", "15000");
        }
    }
    FutureProducer::from_config_and_context(&client, Context::default()).map_err(|e| kafka_error(&e, "Kafka producer"))
}

/// Hands a checked record to a producer; a full queue is an error at once.
fn send(producer: &FutureProducer<Context>, record: &NewRecord) -> Result<DeliveryFuture> {
    let mut message: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&record.topic);
    message.key = record.key.as_deref();
    message.payload = record.value.as_deref();
    message.timestamp = record.timestamp_ms;
    if let Some(partition) = record.partition {
        message.partition = Some(partition_number(&record.topic, partition)?);
    }
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        message.headers =
            Some(record.headers.iter().fold(headers, |all, (name, value)| all.insert(Header { key: name, value: Some(value.as_ref()) })));
    }
    producer.send_result(message).map_err(|(e, _)| kafka_error(&e, &record.topic))
}

/// Waits until a record is acknowledged.
async fn delivered(topic: &str, delivery: DeliveryFuture) -> Result<Position, KafkaError> {
    let Delivery { partition, offset, .. } = delivery.await.map_err(|_| KafkaError::Canceled)?.map_err(|(e, _)| e)?;
    Ok(Position { topic: topic.to_owned(), partition: u32::try_from(partition).unwrap_or(0), offset: u64::try_from(offset).unwrap_or(0) })
}

fn into_log_error(error: &KafkaError, record: &NewRecord, cluster: &Cluster) -> LogError {
    use rdkafka::error::RDKafkaErrorCode as Code;
    let too_large = matches!(error.rdkafka_error_code(), Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize));
    if too_large {
        return LogError::TooLarge { topic: record.topic.clone(), bytes: record.size_bytes(), max: cluster.config.message_bytes_max };
    }
    // It was known when the record was checked.
    of_known_topic(kafka_error(error, &record.topic))
}

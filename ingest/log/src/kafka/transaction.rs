//! Kafka transactions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, Producer as _};

use super::client::{kafka_error, Context};
use super::{delivered, producer, send, Cluster};
use crate::api::{GroupHandle, GroupHandleInner, LogTransaction};
use crate::error::{LogError, Result};
use crate::record::{NewRecord, Position};

/// A record counts as in flight a moment longer than its arrival is known.
const SETTLE_WAIT: Duration = Duration::from_millis(1);
const SETTLE_TRIES: u32 = 20;

pub(super) struct KafkaTransaction {
    cluster: Arc<Cluster>,
    id: String,
    producer: FutureProducer<Context>,
    /// The records sent since `begin`, with their topics; `None` when no transaction is open.
    open: Option<Vec<(String, DeliveryFuture)>>,
}

impl KafkaTransaction {
    /// Takes the transactional id over; this fences off whoever held it.
    pub async fn begin(cluster: Arc<Cluster>, id: &str) -> Result<Self> {
        let transaction = Self { producer: producer(&cluster.config, Some(id))?, cluster, id: id.to_owned(), open: None };
        let timeout = transaction.cluster.config.timeout;
        transaction.blocking(move |producer| producer.init_transactions(timeout)).await?;
        Ok(transaction)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&FutureProducer<Context>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let producer = self.producer.clone();
        let outcome = tokio::task::spawn_blocking(move || act(&producer)).await.map_err(|_| LogError::Closed)?;
        outcome.map_err(|e| self.error(&e))
    }

    /// Once fenced, librdkafka's later errors name other causes; it stays fenced.
    fn error(&self, error: &KafkaError) -> LogError {
        let error = match self.producer.client().fatal_error() {
            Some((code, text)) => match kafka_error(&KafkaError::Global(code), &self.id) {
                LogError::Fenced(id) => LogError::Fenced(id),
                _ => LogError::Refused(format!("{}: {text}", self.id)),
            },
            None => kafka_error(error, &self.id),
        };
        match error {
            LogError::Fenced(_) => LogError::Fenced(self.id.clone()),
            other => other,
        }
    }

    fn is_open(&self) -> Result<()> {
        match self.open {
            Some(_) => Ok(()),
            None => Err(LogError::Invalid("no transaction has begun".into())),
        }
    }
}

#[async_trait]
impl LogTransaction for KafkaTransaction {
    async fn begin(&mut self) -> Result<()> {
        if self.open.is_some() {
            return Err(LogError::Invalid("a transaction has begun already".into()));
        }
        self.producer.begin_transaction().map_err(|e| self.error(&e))?;
        self.open = Some(Vec::new());
        Ok(())
    }

    async fn append(&mut self, record: NewRecord) -> Result<()> {
        self.is_open()?;
        self.cluster.check(&record).await?;
        let delivery = send(&self.producer, &record).map_err(|e| match self.producer.client().fatal_error() {
            Some(_) => self.error(&KafkaError::Canceled),
            None => e,
        })?;
        if let Some(sent) = &mut self.open {
            sent.push((record.topic, delivery));
        }
        Ok(())
    }

    async fn send_offsets(&mut self, group: &GroupHandle, processed: &[Position]) -> Result<()> {
        self.is_open()?;
        let GroupHandleInner::Kafka(group) = &group.0 else {
            return Err(LogError::Invalid("the group is of another log".into()));
        };
        let (membership, offsets) = group.offsets(processed)?;
        let timeout = self.cluster.config.timeout;
        self.blocking(move |p| p.send_offsets_to_transaction(&offsets, &membership, timeout)).await
    }

    async fn commit(&mut self) -> Result<Vec<Position>> {
        self.is_open()?;
        // The records first: with one still in flight librdkafka's commit waits in steps of 100 ms.
        // What failed to arrive makes the commit fail, too.
        let sent = self.open.as_mut().map(std::mem::take).unwrap_or_default();
        let arrivals = sent.into_iter().map(|(topic, delivery)| async move { delivered(&topic, delivery).await });
        let arrived = join_all(arrivals).await;
        for _ in 0..SETTLE_TRIES {
            if self.producer.in_flight_count() == 0 {
                break;
            }
            tokio::time::sleep(SETTLE_WAIT).await;
        }
        let timeout = self.cluster.config.timeout;
        let outcome = self.blocking(move |p| p.commit_transaction(timeout)).await;
        if let Err(error) = outcome {
            // Where it must be aborted it stays open for that.
            if !matches!(error, LogError::MustAbort(_)) {
                self.open = None;
            }
            return Err(error);
        }
        self.open = None;
        arrived.into_iter().map(|p| p.map_err(|e| self.error(&e))).collect()
    }

    async fn abort(&mut self) -> Result<()> {
        if self.open.take().is_none() {
            return Ok(());
        }
        let timeout = self.cluster.config.timeout;
        self.blocking(move |p| p.abort_transaction(timeout)).await
    }
}

impl Drop for KafkaTransaction {
    /// An open transaction would hide everything after it from readers until it times out.
    fn drop(&mut self) {
        if self.open.is_some() {
            let (producer, timeout) = (self.producer.clone(), self.cluster.config.timeout);
            let abort = std::thread::Builder::new().name("log-abort".into());
            let spawned = abort.spawn(move || {
                if let Err(error) = producer.abort_transaction(timeout) {
                    tracing::debug!(%error, "an open transaction was not aborted");
                }
            });
            if let Err(error) = spawned {
                tracing::warn!(%error, "no thread to abort a transaction with");
            }
        }
    }
}

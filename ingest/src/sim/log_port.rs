//! A gate reached through its log: the demonstration in one process, or `--kafka`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portgate_core::decision::Decision;
use portgate_core::read::{ReadMessage, Word};
use portgate_core::registry::Kind;
use portgate_log::{topics, Log, LogError, NewRecord, Record};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, Mutex};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::port::{device, guard, Decided, GatePort, GuardWord, PortError, Signal};
use crate::clock;
use crate::http::frame_record;

/// Signals waiting for the simulator.
const SIGNALS_MAX: usize = 1024;
/// Records asked for at once.
const READ_RECORDS_MAX: usize = 256;
/// How long a read waits for something new.
const READ_WAIT: Duration = Duration::from_secs(1);

/// Journal entries looked back at for who is inside, per partition.
const LOOK_BACK: u64 = 10_000;

/// A gate over its log.
pub struct LogPort {
    log: Arc<dyn Log>,
    site: String,
    signals: Mutex<mpsc::Receiver<Signal>>,
    // Reading ends when the port is dropped.
    _tails: JoinSet<()>,
}

impl LogPort {
    /// Follows what the gate says from now on.
    ///
    /// # Errors
    /// [`LogError`] when the topics cannot be read.
    pub async fn connect(log: Arc<dyn Log>, site: impl Into<String>) -> Result<Self, LogError> {
        let (sender, receiver) = mpsc::channel(SIGNALS_MAX);
        let mut tails = JoinSet::new();
        for topic in [topics::READS, topics::DECISIONS] {
            for range in log.ranges(topic).await? {
                tails.spawn(tail(log.clone(), topic, range.partition, range.end, sender.clone()));
            }
        }
        Ok(Self { log, site: site.into(), signals: Mutex::new(receiver), _tails: tails })
    }

    /// Who went in and has not come out, by the journal's latest entries.
    async fn passages(&self) -> Result<Vec<String>, LogError> {
        let mut inside = BTreeMap::new();
        for range in self.log.ranges(topics::JOURNAL).await? {
            let mut next = range.end.saturating_sub(LOOK_BACK).max(range.earliest);
            while next < range.end {
                let batch = self.log.read(topics::JOURNAL, range.partition, next, READ_RECORDS_MAX, Duration::ZERO).await?;
                let passages = batch.records.iter().filter_map(|r| r.json::<JournalLine>().ok()?.event.passage);
                inside.extend(passages.filter_map(|p| Some((p.plate?, p.direction == "ENTRY"))));
                if batch.next_offset <= next {
                    break;
                }
                next = batch.next_offset;
            }
        }
        Ok(inside.into_iter().filter(|(_, is_inside)| *is_inside).map(|(plate, _)| plate).collect())
    }

    async fn append(&self, record: Result<NewRecord, LogError>) -> Result<(), PortError> {
        self.log.append(record?).await?;
        Ok(())
    }
}

/// What the simulator needs of a journal entry.
#[derive(Deserialize)]
struct JournalLine {
    event: EventLine,
}

#[derive(Deserialize)]
struct EventLine {
    passage: Option<PassageLine>,
}

#[derive(Deserialize)]
struct PassageLine {
    plate: Option<String>,
    direction: String,
}

impl From<LogError> for PortError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Busy { retry_after_ms } => Self::Busy { retry_after_ms },
            other if other.is_retriable() => Self::Unavailable(other.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

async fn tail(log: Arc<dyn Log>, topic: &'static str, partition: u32, from: u64, sender: mpsc::Sender<Signal>) {
    let mut next = from;
    loop {
        match log.read(topic, partition, next, READ_RECORDS_MAX, READ_WAIT).await {
            Ok(batch) => {
                next = batch.next_offset;
                for signal in batch.records.iter().filter_map(signal_of) {
                    if sender.send(signal).await.is_err() {
                        return;
                    }
                }
            }
            Err(LogError::OffsetOutOfRange { earliest, .. }) => next = earliest,
            Err(LogError::Closed) => return,
            Err(error) => {
                tracing::debug!(topic, partition, %error, "the simulator cannot read now");
                tokio::time::sleep(READ_WAIT).await;
            }
        }
    }
}

/// What a record says to those at the lanes, if anything.
fn signal_of(record: &Record) -> Option<Signal> {
    if record.topic == topics::DECISIONS {
        let decision: Decision = record.json().ok()?;
        return Some(Signal::Decided(Decided::from(&decision)));
    }
    let read: ReadMessage = record.json().ok()?;
    let report = read.barrier?;
    Some(Signal::Barrier { lane: read.lane, state: report.state })
}

#[async_trait]
impl GatePort for LogPort {
    async fn post_frame(&self, lane: &str, jpeg: Bytes) -> Result<(), PortError> {
        let id = Uuid::now_v7().to_string();
        self.append(Ok(frame_record(lane, &id, clock::now(), jpeg))).await
    }

    async fn post_read(&self, mut read: ReadMessage) -> Result<(), PortError> {
        let now = clock::now();
        read.event_id.get_or_insert_with(|| Uuid::now_v7().to_string());
        read.observed_at.get_or_insert(now);
        read.received_at.get_or_insert(now);
        read.reported_by.get_or_insert_with(device);
        self.append(NewRecord::json(topics::READS, self.site.clone(), &read)).await
    }

    async fn put_record(&self, kind: Kind, id: &str, value: Option<&Value>) -> Result<(), PortError> {
        let key = format!("{kind}/{id}");
        let record = match value {
            Some(value) => NewRecord::json(topics::REGISTRY, key, value),
            None => Ok(NewRecord::tombstone(topics::REGISTRY, key)),
        };
        self.append(record).await
    }

    async fn say(&self, word: GuardWord) -> Result<(), PortError> {
        let read = ReadMessage {
            lane: word.lane,
            reported_by: Some(guard()),
            word: Some(Word {
                request_id: Uuid::now_v7().to_string(),
                decision_id: word.decision_id,
                version: Some(word.version),
                action: word.action,
                reason: word.reason,
                plate: word.plate,
                by: guard(),
            }),
            ..ReadMessage::default()
        };
        self.post_read(read).await
    }

    async fn inside(&self) -> Vec<String> {
        self.passages().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "who is inside cannot be read");
            Vec::new()
        })
    }

    async fn next_signal(&self) -> Option<Signal> {
        self.signals.lock().await.recv().await
    }
}

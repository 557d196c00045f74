//! The outbox: what was committed goes to the log in the order of the journal, and again after a
//! crash; receivers drop repeats by sequence and id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::Order;
use portgate_core::journal::{JournalEntry, JournalEvent, Violation};
use portgate_core::time::Instant;
use portgate_core::violation::{Sanction, SanctionStatus};
use portgate_log::{topics, Log, LogError, LogTransaction, NewRecord};
use portgate_store::Store;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::error::EngineError;
use crate::input::HEADER_BY;
use crate::telemetry;

/// Topic of the answers to people's words and registry writes; key site.
pub const ANSWERS: &str = "portgate.answers";

/// Header of a journal record: the entry's sequence.
pub const HEADER_SEQ: &str = "seq";

/// Entries published at once.
const ENTRIES_MAX: usize = 512;
/// Longest wait between two attempts.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Header of a journal record: how far the sources had been taken in with this entry, as
/// `TOPIC/PARTITION=NEXT,…`. A node that comes to this entry goes on reading there.
pub const HEADER_SOURCES: &str = "sources";

/// A journal entry with the bytes it is stored as.
pub(crate) type Sealed = (JournalEntry, Vec<u8>);

/// Next offsets of sources: topic, partition, offset.
pub(crate) type Sources = Vec<(String, u32, u64)>;

/// What one commit has to tell.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Sealed>,
    /// How far the sources are taken in with it.
    pub(crate) sources: Sources,
}

/// How records get out.
pub(crate) enum Outlet {
    /// One atomic batch of the embedded log, whose folder has one owner.
    Batch,
    /// One transaction of Kafka, whose id has one holder: a newer owner of the site fences this one
    /// off, and then nothing gets out any more.
    Transaction(Box<dyn LogTransaction>),
}

impl Outlet {
    /// Takes the site over: from here on no former owner can publish.
    pub(crate) async fn acquire(log: &dyn Log, site: &str) -> Result<Self, LogError> {
        if log.health().await.backend == "kafka" {
            Ok(Self::Transaction(log.transaction(&format!("portgate-site-{site}")).await?))
        } else {
            Ok(Self::Batch)
        }
    }

    /// Appends the records, all or none.
    async fn send(&mut self, log: &dyn Log, records: Vec<NewRecord>) -> Result<(), LogError> {
        let transaction = match self {
            Self::Batch => return log.append_batch(records).await.map(drop),
            Self::Transaction(transaction) => transaction,
        };
        // A producer that can neither begin nor abort goes on with nothing: the site is taken over anew.
        transaction.begin().await.map_err(given_up)?;
        let mut sent = Ok(());
        for record in records {
            sent = transaction.append(record).await;
            if sent.is_err() {
                break;
            }
        }
        if sent.is_ok() {
            sent = match transaction.commit().await {
                Ok(_) => return Ok(()),
                // Whether it is out is settled by whoever takes the site over next, this engine
                // included: by the journal on the log.
                Err(LogError::Timeout(what)) => return Err(LogError::Refused(format!("a commit was not confirmed: {what}"))),
                Err(e) => Err(e),
            };
        }
        transaction.abort().await.map_err(given_up)?;
        sent
    }
}

fn given_up(error: LogError) -> LogError {
    match error {
        fenced @ LogError::Fenced(_) => fenced,
        other => LogError::Refused(format!("a transaction was given up: {other}")),
    }
}

/// Publishes what earlier runs left in the outbox, then what arrives.
pub(crate) struct Publisher {
    pub(crate) outlet: Outlet,
    pub(crate) store: Arc<Store>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) trouble: watch::Sender<Option<String>>,
    /// Last entry left over by earlier runs, and how far the sources were taken in with it.
    pub(crate) left: (u64, Sources),
}

impl Publisher {
    /// Ends without error when the sender is dropped and everything is out.
    pub(crate) async fn run(mut self, mut committed: mpsc::Receiver<Batch>) -> Result<(), EngineError> {
        loop {
            let left = self.store.journal_after(self.store.published(), ENTRIES_MAX)?;
            if left.is_empty() {
                break;
            }
            // What is committed meanwhile goes out with what its own batch says of the sources.
            let entries: Vec<Sealed> = left.into_iter().filter(|(entry, _)| entry.seq <= self.left.0).collect();
            let Some((last, _)) = entries.last() else { break };
            let sources = if last.seq == self.left.0 { std::mem::take(&mut self.left.1) } else { Sources::new() };
            self.publish(&Batch { entries, sources }).await?;
        }
        while let Some(mut batch) = committed.recv().await {
            while batch.entries.len() < ENTRIES_MAX {
                match committed.try_recv() {
                    Ok(more) => {
                        batch.entries.extend(more.entries);
                        further(&mut batch.sources, more.sources);
                    }
                    Err(_) => break,
                }
            }
            self.publish(&batch).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let entries = &batch.entries;
        let Some((last, _)) = entries.last() else { return Ok(()) };
        let records = records(batch, self.store.published_before())?;
        let mut wait = Duration::from_millis(20);
        while let Err(e) = self.outlet.send(&*self.log, records.clone()).await {
            if !e.is_retriable() {
                return Err(e.into());
            }
            tracing::warn!(error = %e, entries = entries.len(), "the outbox waits for the log");
            metrics::counter!(telemetry::RETRIES).increment(1);
            self.trouble.send_replace(Some(format!("the outbox waits for the log: {e}")));
            self.clock.sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
        if self.trouble.borrow().is_some() {
            self.trouble.send_replace(None);
        }
        self.observe(entries, self.clock.now());
        self.store.mark_published(last.seq)?;
        metrics::gauge!(telemetry::OUTBOX_ENTRIES).set(self.store.outbox_depth() as f64);
        Ok(())
    }

    /// Latency is from the last needed read to the command on the log.
    fn observe(&self, entries: &[Sealed], now: Instant) {
        let mut evidence_at = BTreeMap::new();
        let mut received_at = BTreeMap::new();
        for (entry, _) in entries {
            match &entry.event {
                JournalEvent::Read { read } => {
                    received_at.extend(read.received_at.map(|at| (&read.lane, at)));
                }
                JournalEvent::Decision { decision } => {
                    evidence_at.insert((&decision.id, decision.version), decision.evidence_at);
                    metrics::histogram!(telemetry::DECISION_LATENCY_SECONDS).record(decision.latency_us as f64 / 1e6);
                    for reason in &decision.reasons {
                        metrics::counter!(telemetry::VERDICTS, "verdict" => decision.verdict.as_str(), "reason" => reason.code.clone())
                            .increment(1);
                    }
                    if decision.reasons.is_empty() {
                        metrics::counter!(telemetry::VERDICTS, "verdict" => decision.verdict.as_str(), "reason" => "").increment(1);
                    }
                }
                JournalEvent::Command { command } => {
                    let order = match command.order {
                        Order::Open => "open",
                        Order::Withdraw => "withdraw",
                    };
                    metrics::counter!(telemetry::COMMANDS, "order" => order).increment(1);
                    if let (Order::Open, Some(at)) = (command.order, evidence_at.get(&(&command.decision_id, command.decision_version))) {
                        let at = received_at.get(&command.lane).map_or(*at, |received| *at.min(received));
                        metrics::histogram!(telemetry::COMMAND_LATENCY_SECONDS).record(now.micros_since(at).max(0) as f64 / 1e6);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What a run of entries says to the world: each as a journal record, and decisions, commands and
/// answers on their own topics. Commands and answers up to `told` went out long ago.
fn records(batch: &Batch, told: u64) -> Result<Vec<NewRecord>, LogError> {
    let mut records = Vec::with_capacity(batch.entries.len() * 2);
    let last = batch.entries.last().map_or(0, |(entry, _)| entry.seq);
    for (entry, bytes) in &batch.entries {
        let site = entry.site.clone();
        let at = entry.at.as_millis();
        let mut journal = NewRecord::new(topics::JOURNAL, site.clone(), bytes.clone()).header(HEADER_SEQ, entry.seq.to_string());
        if entry.seq == last && !batch.sources.is_empty() {
            journal = journal.header(HEADER_SOURCES, sources_in_words(&batch.sources));
        }
        records.push(journal.at(at));
        let told = match &entry.event {
            JournalEvent::Decision { decision } => Some(NewRecord::json(topics::DECISIONS, site, decision)?),
            JournalEvent::Command { .. } | JournalEvent::Answered { .. } if entry.seq <= told => None,
            JournalEvent::Command { command } => Some(NewRecord::json(topics::COMMANDS, site, command)?),
            JournalEvent::Answered { answer } => Some(NewRecord::json(ANSWERS, site, answer)?),
            JournalEvent::Violation { violation } => {
                if entry.seq > told {
                    records.extend(decided(violation)?.into_iter().map(|record| record.at(at)));
                }
                Some(NewRecord::json(topics::VIOLATIONS, violation.violation_id.clone(), violation)?)
            }
            _ => None,
        };
        records.extend(told.map(|record| record.at(at)));
    }
    Ok(records)
}

/// The registry records of the sanctions that this version of a violation says are accepted: they
/// go the way of every registry write, so that every site takes them in.
fn decided(violation: &Violation) -> Result<Vec<NewRecord>, LogError> {
    let mut records = Vec::new();
    let fresh = |s: &&Sanction| s.status == SanctionStatus::Accepted && s.decided_at == violation.changed_at;
    for sanction in violation.sanctions.iter().filter(fresh) {
        for write in &sanction.writes {
            let record = NewRecord::json(topics::REGISTRY, format!("{}/{}", write.kind, write.id), &write.value)?;
            let by = sanction.by.as_ref().and_then(|by| serde_json::to_vec(by).ok());
            records.push(match by {
                Some(by) => record.header(HEADER_BY, by),
                None => record,
            });
        }
    }
    Ok(records)
}

/// Takes the later offsets over.
pub(crate) fn further(known: &mut Sources, later: Sources) {
    for (topic, partition, next) in later {
        match known.iter_mut().find(|(t, p, _)| *t == topic && *p == partition) {
            Some((_, _, offset)) => *offset = next.max(*offset),
            None => known.push((topic, partition, next)),
        }
    }
}

fn sources_in_words(sources: &Sources) -> String {
    let all: Vec<String> = sources.iter().map(|(topic, partition, next)| format!("{topic}/{partition}={next}")).collect();
    all.join(",")
}

/// Reads [`HEADER_SOURCES`]. What cannot be read is left out: what follows is then read once more
/// and dropped as repeats.
pub(crate) fn sources_from(header: &str) -> Sources {
    let one = |part: &str| {
        let (place, next) = part.split_once('=')?;
        let (topic, partition) = place.rsplit_once('/')?;
        Some((topic.to_owned(), partition.parse().ok()?, next.parse().ok()?))
    };
    header.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_an_entry_read_back() {
        let mut sources = vec![("portgate.reads".to_owned(), 3, 17)];
        further(&mut sources, vec![("portgate.registry".to_owned(), 0, 5), ("portgate.reads".to_owned(), 3, 19)]);
        assert_eq!(sources_in_words(&sources), "portgate.reads/3=19,portgate.registry/0=5");
        assert_eq!(sources_from(&sources_in_words(&sources)), sources);
        assert_eq!(sources_from("x,portgate.reads/3,/=,portgate.reads/1=2"), [("portgate.reads".to_owned(), 1, 2)]);
    }
}

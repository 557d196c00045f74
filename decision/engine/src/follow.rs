//! Following the journal on the log: how a standby keeps up with the owner, and how a new owner
//! comes to the state of the former one.
//!
//! The inputs in the journal (reads, registry changes, timers) are stepped again at their times over
//! this node's store, and what comes out is compared with what the owner put on record. The store
//! then holds the very same journal, byte for byte; its hash chain says so. The pictures behind the
//! decisions are not in the journal: they are kept where they are still at hand.
//!
//! Invariant: what has been followed is never published again, and nothing of it is commanded.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portgate_core::decision::Decision;
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::site::{input_of, step, Change, Step};
use portgate_core::time::Instant;
use portgate_log::{partition_for_key, topics, Log, PartitionRange, Record};
use portgate_store::{sha256_hex, Overlay, Store, StoreError};

use crate::blocking::blocking;
use crate::error::EngineError;
use crate::frames::Frames;
use crate::publish::{sources_from, Sources, HEADER_SEQ, HEADER_SOURCES};

/// Records of the journal read at once.
const READ_RECORDS_MAX: usize = 1024;
/// Records looked at in one step of a search.
const SEARCH_RECORDS_MAX: usize = 64;
/// Entries taken in with one commit.
const COMMIT_ENTRIES_MAX: usize = 2048;

/// An entry on the log, not yet in the store.
#[derive(Debug)]
struct Recorded {
    entry: JournalEntry,
    /// How far the sources were taken in with it, where its record says so.
    sources: Sources,
}

/// How far a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Last entry in the store.
    pub(crate) seq: u64,
    /// Records of the journal's partition still to be looked at.
    pub(crate) left: u64,
}

/// The place of one site's store in the journal on the log.
pub(crate) struct Follower {
    store: Arc<Store>,
    log: Arc<dyn Log>,
    frames: Arc<dyn Frames>,
    partition: u32,
    /// Where to read on; none: not looked for yet.
    from: Option<u64>,
    waiting: VecDeque<Recorded>,
}

impl Follower {
    /// A follower of the store's site.
    pub(crate) async fn new(store: Arc<Store>, log: Arc<dyn Log>, frames: Arc<dyn Frames>) -> Result<Self, EngineError> {
        let partition = partition_for_key(store.site().as_bytes(), log.partitions(topics::JOURNAL).await?);
        Ok(Self { store, log, frames, partition, from: None, waiting: VecDeque::new() })
    }

    /// Takes in what is on the log by now. `over`: the former owner cannot add to it any more, so
    /// that what it had begun and not put out whole is finished here.
    ///
    /// # Errors
    /// [`EngineError::Diverged`], [`EngineError::Differs`], [`EngineError::Gap`]; what the log or the
    /// disk says.
    pub(crate) async fn catch_up(&mut self, over: bool, mut told: impl FnMut(Progress)) -> Result<(), EngineError> {
        let Some(range) = range_of(&*self.log, self.partition).await? else { return Ok(()) };
        let mut from = match self.from {
            Some(from) => from,
            None => after(&*self.log, self.store.site(), range, self.store.journal_head().seq).await?,
        };
        while from < range.end {
            let batch = self.log.read(topics::JOURNAL, self.partition, from, READ_RECORDS_MAX, Duration::ZERO).await?;
            for record in &batch.records {
                self.queue(record)?;
            }
            if batch.next_offset <= from {
                break;
            }
            from = batch.next_offset;
            self.take_in(false).await?;
            told(Progress { seq: self.store.journal_head().seq, left: range.end.saturating_sub(from) });
        }
        self.from = Some(from);
        if over {
            self.take_in(true).await?;
        }
        Ok(())
    }

    /// Puts an entry of the site into the line, unless the store has it.
    fn queue(&mut self, record: &Record) -> Result<(), EngineError> {
        if record.key_str() != Some(self.store.site()) {
            return Ok(());
        }
        let head = self.store.journal_head().seq;
        let next = self.waiting.back().map_or(head, |r| r.entry.seq).saturating_add(1);
        let site = self.store.site();
        let seq = seq_of(record).ok_or_else(|| EngineError::Journal(format!("a record at offset {} names no sequence", record.offset)))?;
        if seq < next {
            return Ok(());
        }
        if seq > next {
            return Err(EngineError::Gap { site: site.to_owned(), first: next, last: seq.saturating_sub(1) });
        }
        let entry = record.json().map_err(|e| EngineError::Journal(format!("entry {seq} cannot be read: {e}")))?;
        let sources = record.header_str(HEADER_SOURCES).map(sources_from).unwrap_or_default();
        self.waiting.push_back(Recorded { entry, sources });
        Ok(())
    }

    async fn take_in(&mut self, over: bool) -> Result<(), EngineError> {
        while !self.waiting.is_empty() {
            let (store, frames) = (self.store.clone(), self.frames.clone());
            let mut waiting = std::mem::take(&mut self.waiting);
            let (waiting, taken) = blocking(move || {
                let taken = take_in(&store, &*frames, &mut waiting, over);
                (waiting, taken)
            })
            .await?;
            self.waiting = waiting;
            if taken? == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Opens the store of a site on a node that may have been its owner. One that holds another journal
/// than the log is set aside (its folder gets the name of the entry up to which it reached) and an
/// empty one is opened, which the engine fills from the journal.
///
/// # Errors
/// As [`Store::open`]; what the log says.
pub async fn open_store(dir: &Path, site: &str, log: &dyn Log) -> Result<Store, EngineError> {
    let store = Store::open(dir, site)?;
    if !diverged(&store, log).await? {
        return Ok(store);
    }
    let head = store.journal_head().seq;
    drop(store);
    let mut aside = dir.as_os_str().to_owned();
    aside.push(format!(".set-aside-{head}"));
    std::fs::rename(dir, &aside).map_err(|source| StoreError::File { path: dir.to_owned(), source })?;
    tracing::warn!(
        site,
        entry = head,
        folder = %Path::new(&aside).display(),
        "another node had taken the site over; the store is set aside and made anew from the journal"
    );
    Ok(Store::open(dir, site)?)
}

/// Whether the store holds another journal than the log: it was its owner's, who went on after
/// another node had taken the site over. Nothing of what it holds beyond ever got out.
///
/// # Errors
/// What the log or the disk says.
async fn diverged(store: &Store, log: &dyn Log) -> Result<bool, EngineError> {
    let partition = partition_for_key(store.site().as_bytes(), log.partitions(topics::JOURNAL).await?);
    let Some(range) = range_of(log, partition).await? else { return Ok(false) };
    let head = store.journal_head().seq;
    if head == 0 {
        return Ok(false);
    }
    // The last entry that both could have.
    let last = last_seq(log, store.site(), range).await?.map_or(0, |(seq, _)| seq).min(head);
    let Some(seq) = last.checked_sub(1) else { return Ok(false) };
    let from = after(log, store.site(), range, seq).await?;
    let follows = |record: &Record| record.key_str() == Some(store.site()) && seq_of(record).is_some_and(|s| s > seq);
    let theirs = first(log, partition, from..range.end, READ_RECORDS_MAX, follows).await?;
    let mine = store.journal_after(seq, 1)?.pop().map(|(_, bytes)| bytes);
    // Entries before those kept are past comparing.
    Ok(theirs.filter(|r| seq_of(r) == Some(last)).is_some_and(|record| mine.as_deref() != record.value.as_deref()))
}

/// The last entry of the site on the log with its bytes.
pub(crate) async fn last_seq(log: &dyn Log, site: &str, range: PartitionRange) -> Result<Option<(u64, Bytes)>, EngineError> {
    let mut to = range.end;
    while to > range.earliest {
        let from = to.saturating_sub(READ_RECORDS_MAX as u64).max(range.earliest);
        let mut at = from;
        let mut last: Option<(u64, Bytes)> = None;
        while at < to {
            let batch = log.read(topics::JOURNAL, range.partition, at, READ_RECORDS_MAX, Duration::ZERO).await?;
            for record in batch.records.iter().filter(|r| r.offset < to && r.key_str() == Some(site)) {
                if let Some(seq) = seq_of(record).filter(|seq| last.as_ref().is_none_or(|(known, _)| seq >= known)) {
                    last = record.value.clone().map(|value| (seq, value));
                }
            }
            if batch.next_offset <= at {
                break;
            }
            at = batch.next_offset;
        }
        if last.is_some() {
            return Ok(last);
        }
        to = from;
    }
    Ok(None)
}

/// The journal's range on the log.
pub(crate) async fn range_of(log: &dyn Log, partition: u32) -> Result<Option<PartitionRange>, EngineError> {
    Ok(log.ranges(topics::JOURNAL).await?.into_iter().find(|r| r.partition == partition))
}

/// An offset from which the site's entries after `seq` follow, perhaps with some before them, which the
/// reader drops: entries stand in their order but for repeats. A node that starts again lacks few, so
/// it is looked for from the end in growing steps, then by halving; a question takes a cluster half a
/// second, and a stretch that is read in one go is close enough.
async fn after(log: &dyn Log, site: &str, range: PartitionRange, seq: u64) -> Result<u64, EngineError> {
    let stretch = READ_RECORDS_MAX as u64;
    let (mut low, mut high) = (range.earliest, range.end);
    let mut step = stretch;
    let mut below = false;
    while high.saturating_sub(low) > stretch {
        let middle = if below { low + (high - low) / 2 } else { range.end.saturating_sub(step).max(low + 1) };
        step = step.saturating_mul(8);
        let found = first(log, range.partition, middle..high, SEARCH_RECORDS_MAX, |r| r.key_str() == Some(site)).await?;
        if found.is_some_and(|record| seq_of(&record).is_some_and(|s| s <= seq)) {
            (low, below) = (middle, true);
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The first record in `offsets` that is `wanted`, read in batches of at most `max`.
async fn first(
    log: &dyn Log,
    partition: u32,
    offsets: std::ops::Range<u64>,
    max: usize,
    wanted: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, EngineError> {
    let mut at = offsets.start;
    while at < offsets.end {
        let batch = log.read(topics::JOURNAL, partition, at, max, Duration::ZERO).await?;
        if let Some(found) = batch.records.into_iter().find(|r| r.offset < offsets.end && wanted(r)) {
            return Ok(Some(found));
        }
        if batch.next_offset <= at {
            break;
        }
        at = batch.next_offset;
    }
    Ok(None)
}

fn seq_of(record: &Record) -> Option<u64> {
    record.header_str(HEADER_SEQ)?.parse().ok()
}

/// Steps what waits over the store, group by group (an input and what came of it), and commits.
/// Answers with the entries taken in. A group whose end has not come yet waits, unless `over`.
fn take_in(store: &Store, frames: &dyn Frames, waiting: &mut VecDeque<Recorded>, over: bool) -> Result<usize, EngineError> {
    let mut batch = store.begin();
    if let Some(first) = waiting.front() {
        if !batch.journal_head().accepts(&first.entry)? {
            return Err(EngineError::Diverged { site: store.site().to_owned(), seq: first.entry.seq });
        }
    }
    let mut taken = 0;
    while taken < COMMIT_ENTRIES_MAX {
        match take_group(&mut batch, store.site(), frames, waiting, over)? {
            0 => break,
            n => taken += n,
        }
    }
    let recorded = batch.journal_head().seq;
    if taken > 0 {
        let finished = batch.entries().count().saturating_sub(taken);
        store.commit(batch, true)?;
        store.mark_published(recorded.saturating_sub(finished as u64))?;
    }
    Ok(taken)
}

fn take_group(
    batch: &mut Overlay<'_>,
    site: &str,
    frames: &dyn Frames,
    waiting: &mut VecDeque<Recorded>,
    over: bool,
) -> Result<usize, EngineError> {
    let Some(first) = waiting.front() else { return Ok(0) };
    let at = first.entry.at;
    let mut outcome = Step::default();
    if let Some(input) = input_of(&first.entry.event)? {
        // How old the registry was is the owner's to say.
        let group = waiting.iter().take_while(|r| r.entry.at == at).map(|r| &r.entry.event);
        if let Some(decision) = group.filter_map(decision_of).next() {
            batch.set_registry_current_at(decision.decided_at.plus_millis(-decision.registry_age_ms));
        }
        outcome = step(&*batch, site, input, at)?;
    }
    outcome.events.retain(|e| !aside(e));
    // What is on record, in its order, against what comes out.
    let mut expected = outcome.events.into_iter().peekable();
    let mut n = 0;
    while expected.peek().is_some() || n == 0 {
        let Some(recorded) = waiting.get(n) else {
            if over {
                break;
            }
            return Ok(0);
        };
        if !aside(&recorded.entry.event) {
            let same = |want: &JournalEvent| recorded.entry.at == at && same(want, &recorded.entry.event);
            match expected.next() {
                Some(want) if same(&want) => {}
                // An outcome that stands for itself.
                None => {}
                Some(want) => {
                    return Err(EngineError::Differs {
                        site: site.to_owned(),
                        seq: recorded.entry.seq,
                        recorded: kind_of(&recorded.entry.event),
                        got: kind_of(&want),
                    });
                }
            }
        }
        n += 1;
    }
    let group: Vec<Recorded> = waiting.drain(..n).collect();
    for change in &mut outcome.changes {
        if let Change::Decision(formed) = change {
            let on_record =
                group.iter().filter_map(|r| decision_of(&r.entry.event)).find(|d| d.id == formed.id && d.version == formed.version);
            if let Some(on_record) = on_record {
                **formed = on_record.clone();
            }
        }
    }
    for decision in group.iter().filter_map(|r| decision_of(&r.entry.event)) {
        keep_evidence(batch, frames, decision, at)?;
    }
    let last = group.last().map(|r| (r.entry.seq, r.entry.chain.clone()));
    for (topic, partition, next) in group.iter().flat_map(|r| &r.sources) {
        batch.set_offset(topic, *partition, *next);
    }
    let events = group.into_iter().map(|r| r.entry.event).collect();
    batch.apply(Step { events, changes: outcome.changes }, at)?;
    if let Some((seq, chain)) = last {
        if batch.journal_head().seq != seq || batch.journal_head().chain != chain {
            return Err(EngineError::Diverged { site: site.to_owned(), seq });
        }
    }
    batch.apply(Step { events: expected.collect(), changes: Vec::new() }, at)?;
    Ok(n)
}

/// The picture, if it is still at hand and is the one on record.
fn keep_evidence(batch: &mut Overlay<'_>, frames: &dyn Frames, decision: &Decision, at: Instant) -> Result<(), EngineError> {
    let Some(evidence) = &decision.evidence else { return Ok(()) };
    if let Some(picture) = frames.frame(&evidence.frame_id) {
        if sha256_hex(&picture) == evidence.sha256 {
            batch.keep_evidence(&evidence.frame_id, &picture, at)?;
        }
    }
    Ok(())
}

fn decision_of(event: &JournalEvent) -> Option<&Decision> {
    match event {
        JournalEvent::Decision { decision } => Some(decision),
        _ => None,
    }
}

/// What is said to somebody and changes nothing.
fn aside(event: &JournalEvent) -> bool {
    matches!(event, JournalEvent::Answered { .. } | JournalEvent::Dropped { .. })
}

/// Whether the same came out, but for what the shell adds: the picture's hash, the registry's age.
fn same(got: &JournalEvent, recorded: &JournalEvent) -> bool {
    match (decision_of(got), decision_of(recorded)) {
        (Some(got), Some(recorded)) => {
            let mut got = got.clone();
            got.evidence.clone_from(&recorded.evidence);
            got.registry_age_ms = recorded.registry_age_ms;
            got == *recorded
        }
        _ => got == recorded,
    }
}

/// An event in words without anybody's data.
fn kind_of(event: &JournalEvent) -> String {
    match event {
        JournalEvent::Decision { decision } => {
            let codes: Vec<&str> = decision.reasons.iter().map(|r| r.code.as_str()).collect();
            format!("decision {} v{} {} {}", decision.id, decision.version, decision.verdict.as_str(), codes.join(" "))
        }
        other => serde_json::to_value(other).ok().and_then(|v| v.get("type")?.as_str().map(str::to_owned)).unwrap_or_default(),
    }
}

//! What is known now: files, rows not yet in a file, and how far the journal is taken.
//!
//! # Exactly once
//! * An entry is taken when its place in the site's journal is beyond the last one taken; repeats
//!   are ignored.
//! * A flush freezes the rows in memory together with the position they lead up to, writes one file
//!   per table, day and site, and only then the position (`position.json`).
//! * After a crash the journal is read again from the position. Files written beyond it name the
//!   range of the journal they hold whole, so rows in that range are not taken a second time, and
//!   rows that only another table lacks are.
//!
//! INVARIANT: rows are in exactly one of `live`, `flushing` and `files`, and [`Store::snapshot`]
//! reads all three under one lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parking_lot::{Mutex, RwLock};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::error::{AnalyticsError, Result};
use crate::files::{DataFile, Folder, Part};
use crate::tables::{rows_of, LaneNames, Row, ALL};
use crate::telemetry;

/// The file that keeps the position.
pub(crate) const POSITION: &str = "position.json";
/// A decision older than this is history being read, not a lane waiting; it is no figure of lag.
const LAG_MAX_US: i64 = 3_600_000_000;

/// How far a site's journal is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SitePosition {
    /// Place of the last entry taken.
    pub seq: u64,
    /// Its chain value: tells this journal from another one.
    pub chain: String,
    /// The chain value of the site's first entry, where it was seen: the same.
    pub origin: Option<String>,
}

impl SitePosition {
    /// Whether the entry stands where this journal has another one.
    fn is_of_another(&self, entry: &JournalEntry) -> bool {
        (entry.seq == self.seq && entry.chain != self.chain) || (entry.seq == 1 && self.origin.as_ref().is_some_and(|o| *o != entry.chain))
    }
}

/// How far the journal is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPosition {
    /// Per site.
    pub sites: BTreeMap<String, SitePosition>,
    /// Per partition of the journal topic, the offset of the last record taken.
    pub offsets: BTreeMap<u32, u64>,
    /// Where lanes stand, as learned on the way.
    pub(crate) lanes: LaneNames,
}

/// What one file may hold: index of the table, site, day.
type Group = (usize, String, String);

/// Rows of one table, day and site in memory.
#[derive(Clone, Debug)]
struct Live {
    table: usize,
    part: Part,
    batch: RecordBatch,
}

/// One table at one instant.
#[derive(Clone, Debug, Default)]
pub struct TableSnapshot {
    /// Its files.
    pub files: Arc<Vec<Arc<DataFile>>>,
    /// Its rows not yet in a file.
    pub live: Vec<RecordBatch>,
}

/// All tables at one instant: nothing is missing and nothing is in it twice.
#[derive(Clone, Debug)]
pub struct Snapshot(Vec<TableSnapshot>);

impl Snapshot {
    /// The table at this index of [`ALL`].
    pub fn table(&self, index: usize) -> TableSnapshot {
        self.0.get(index).cloned().unwrap_or_default()
    }

    /// Every file of every table.
    pub fn files(&self) -> impl Iterator<Item = (usize, &Arc<DataFile>)> {
        self.0.iter().enumerate().flat_map(|(i, t)| t.files.iter().map(move |f| (i, f)))
    }
}

#[derive(Default)]
struct State {
    files: Vec<Arc<Vec<Arc<DataFile>>>>,
    flushing: Vec<Live>,
    live: Vec<Live>,
    rows: usize,
}

/// What is taken, and what a flush has on hand.
#[derive(Default)]
struct Progress {
    taken: JournalPosition,
    /// Files beyond the position: what they hold is not taken again.
    ahead: Vec<(usize, Part)>,
    /// The position the rows in `flushing` lead up to.
    frozen: Option<JournalPosition>,
    /// The position on disk.
    durable: JournalPosition,
}

/// An entry of the journal with its place in the log.
pub struct Taken {
    /// Offset in the partition.
    pub offset: u64,
    /// The entry; an error's words where the record is none.
    pub entry: std::result::Result<JournalEntry, String>,
}

/// What became of a batch of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Rows added.
    pub rows: usize,
    /// Entries missing before the batch's first new one.
    pub missing: u64,
}

/// The store: shared by the writer, the queries and the maintenance.
pub struct Store {
    folder: Folder,
    state: RwLock<State>,
    progress: Mutex<Progress>,
    /// Held during a flush or a merge, so that there is one at a time.
    disk: Mutex<()>,
    /// False: opened to ask only, and nothing in the folder is changed.
    writable: bool,
}

impl Store {
    /// Opens the folder to write in it.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`].
    pub fn create(dir: &Path) -> Result<Self> {
        let folder = Folder::create(dir)?;
        let files = folder.files(true)?;
        let durable = read_position(&folder);
        let ahead = files
            .iter()
            .enumerate()
            .flat_map(|(table, files)| files.iter().map(move |f| (table, f.part.clone())))
            .filter(|(_, part)| durable.sites.get(&part.site).is_none_or(|s| part.last > s.seq))
            .collect();
        let progress = Progress { taken: durable.clone(), ahead, frozen: None, durable };
        Ok(Self::new(folder, files, progress, true))
    }

    /// Opens the folder only to read what is there.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`].
    pub fn open(dir: &Path) -> Result<Self> {
        let folder = Folder::open(dir)?;
        let files = folder.files(false)?;
        let durable = read_position(&folder);
        Ok(Self::new(folder, files, Progress { taken: durable.clone(), durable, ..Progress::default() }, false))
    }

    fn new(folder: Folder, files: Vec<Vec<Arc<DataFile>>>, progress: Progress, writable: bool) -> Self {
        let state = State { files: files.into_iter().map(Arc::new).collect(), ..State::default() };
        let store = Self { folder, state: RwLock::new(state), progress: Mutex::new(progress), disk: Mutex::new(()), writable };
        store.gauges();
        store
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How far the journal is taken: what queries see.
    pub fn position(&self) -> JournalPosition {
        self.progress.lock().taken.clone()
    }

    /// Rows not yet in a file.
    pub fn live_rows(&self) -> usize {
        self.state.read().rows
    }

    /// All tables as of now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        let mut tables: Vec<TableSnapshot> =
            state.files.iter().map(|files| TableSnapshot { files: Arc::clone(files), live: Vec::new() }).collect();
        for live in state.flushing.iter().chain(&state.live) {
            if let Some(table) = tables.get_mut(live.table) {
                table.live.push(live.batch.clone());
            }
        }
        Snapshot(tables)
    }

    /// Takes entries in the order of the journal's partition; their rows are visible on return.
    ///
    /// # Errors
    /// [`AnalyticsError::ForeignJournal`], [`AnalyticsError::Rows`].
    pub fn take(&self, partition: u32, entries: Vec<Taken>) -> Result<Took> {
        let mut took = Took::default();
        let mut rows: BTreeMap<Group, (u64, u64, Vec<Row>)> = BTreeMap::new();
        let mut decided = Vec::new();
        let mut progress = self.progress.lock();
        // Nothing counts as taken unless the whole batch is.
        let mut taken = progress.taken.clone();
        for Taken { offset, entry } in entries {
            taken.offsets.insert(partition, offset);
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    telemetry::count(telemetry::ENTRIES_INVALID, 1);
                    tracing::error!(partition, offset, error = %e, "a record of the journal can't be read and is left out");
                    continue;
                }
            };
            let last = taken.sites.get(&entry.site);
            if last.is_some_and(|l| l.is_of_another(&entry)) {
                return Err(AnalyticsError::ForeignJournal { path: self.folder.path().to_owned(), site: entry.site });
            }
            let next = last.map_or(1, |l| l.seq + 1);
            if entry.seq < next {
                telemetry::count(telemetry::ENTRIES_REPEATED, 1);
                continue;
            }
            if entry.seq > next {
                let missing = entry.seq - next;
                took.missing += missing;
                telemetry::count(telemetry::ENTRIES_MISSING, usize::try_from(missing).unwrap_or(usize::MAX));
                tracing::error!(site = entry.site, from = next, to = entry.seq - 1, "entries are missing from the journal");
            }
            let origin = if entry.seq == 1 { Some(entry.chain.clone()) } else { last.and_then(|l| l.origin.clone()) };
            let date = entry.at.date().to_string();
            for row in rows_of(&entry, &mut taken.lanes) {
                let written = progress.ahead.iter().any(|(table, part)| *table == row.table && part.covers(&entry.site, &date, entry.seq));
                if !written {
                    let group = rows.entry((row.table, entry.site.clone(), date.clone())).or_insert((entry.seq, entry.seq, Vec::new()));
                    group.1 = entry.seq;
                    group.2.push(row);
                }
            }
            if let JournalEvent::Decision { decision } = &entry.event {
                decided.push(decision.decided_at);
            }
            taken.sites.insert(entry.site, SitePosition { seq: entry.seq, chain: entry.chain, origin });
        }
        let mut fresh = Vec::with_capacity(rows.len());
        for ((table, site, date), (first, last, rows)) in rows {
            let Some(spec) = ALL.get(table) else { continue };
            telemetry::rows_taken(spec.name, rows.len());
            took.rows += rows.len();
            fresh.push(Live { table, part: Part { date, site, first, last }, batch: spec.batch(&rows)? });
        }
        {
            let mut state = self.state.write();
            state.rows += took.rows;
            for live in fresh {
                push(&mut state.live, live);
            }
            telemetry::rows_live(state.rows);
        }
        progress.ahead.retain(|(_, part)| taken.sites.get(&part.site).is_none_or(|s| part.last > s.seq));
        progress.taken = taken;
        drop(progress);
        let now = Instant::from_micros(chrono::Utc::now().timestamp_micros());
        for at in decided {
            let lag = now.micros_since(at);
            if lag < LAG_MAX_US {
                telemetry::visible_lag(lag);
            }
        }
        Ok(took)
    }

    /// Whether something is taken that is not on disk.
    pub fn has_unwritten(&self) -> bool {
        let progress = self.progress.lock();
        progress.taken != progress.durable
    }

    /// Writes what is in memory to files, and the position. May be repeated after an error; the rows
    /// stay in memory and visible until they are in files.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] (a full disk, …), [`AnalyticsError::Parquet`].
    pub fn flush(&self) -> Result<()> {
        let _one = self.disk.lock();
        if !self.has_unwritten() {
            return Ok(());
        }
        let started = std::time::Instant::now();
        let position = self.freeze();
        let files = self.write_frozen()?;
        self.adopt(files);
        self.settle(position)?;
        telemetry::flushed(started.elapsed());
        self.gauges();
        Ok(())
    }

    /// First step of a flush: what is in memory now, and the position it leads up to.
    fn freeze(&self) -> JournalPosition {
        let mut progress = self.progress.lock();
        let mut state = self.state.write();
        match &progress.frozen {
            // An earlier flush failed: its rows first.
            Some(position) if !state.flushing.is_empty() => position.clone(),
            _ => {
                state.flushing = std::mem::take(&mut state.live);
                progress.frozen = Some(progress.taken.clone());
                progress.taken.clone()
            }
        }
    }

    /// Second step: the files. Written again after an error, they get the same names.
    fn write_frozen(&self) -> Result<Vec<(usize, DataFile)>> {
        let frozen = self.state.read().flushing.clone();
        let mut groups: BTreeMap<Group, (Part, Vec<RecordBatch>)> = BTreeMap::new();
        for live in frozen {
            let key = (live.table, live.part.site.clone(), live.part.date.clone());
            let (part, batches) = groups.entry(key).or_insert_with(|| (live.part.clone(), Vec::new()));
            part.first = part.first.min(live.part.first);
            part.last = part.last.max(live.part.last);
            batches.push(live.batch);
        }
        let mut files = Vec::with_capacity(groups.len());
        for ((table, _, _), (part, batches)) in groups {
            if let Some(spec) = ALL.get(table) {
                let file = self.folder.write(spec, part, &batches)?;
                telemetry::rows_written(spec.name, file.rows());
                files.push((table, file));
            }
        }
        Ok(files)
    }

    /// Third step: from now on queries read the files instead of the rows.
    fn adopt(&self, written: Vec<(usize, DataFile)>) {
        let mut state = self.state.write();
        for (table, file) in written {
            if let Some(files) = state.files.get_mut(table) {
                Arc::make_mut(files).push(Arc::new(file));
            }
        }
        let frozen: usize = state.flushing.iter().map(|l| l.batch.num_rows()).sum();
        state.rows = state.rows.saturating_sub(frozen);
        state.flushing.clear();
        telemetry::rows_live(state.rows);
    }

    /// Last step: the position.
    fn settle(&self, position: JournalPosition) -> Result<()> {
        let text = serde_json::to_vec_pretty(&position).unwrap_or_default();
        self.folder.write_small(POSITION, &text)?;
        let mut progress = self.progress.lock();
        progress.durable = position;
        progress.frozen = None;
        Ok(())
    }

    /// Runs `work` while no flush or merge runs.
    pub(crate) fn with_disk<T>(&self, work: impl FnOnce() -> T) -> T {
        let _one = self.disk.lock();
        work()
    }

    /// Whether the position on disk is beyond the file's rows: it will not be written again.
    pub(crate) fn is_settled(&self, part: &Part) -> bool {
        self.progress.lock().durable.sites.get(&part.site).is_some_and(|s| part.last <= s.seq)
    }

    /// Takes files out of use, and puts the one that holds their rows in.
    pub(crate) fn replace(&self, table: usize, old: &[Arc<DataFile>], new: Option<DataFile>) {
        let mut state = self.state.write();
        if let Some(files) = state.files.get_mut(table) {
            let files = Arc::make_mut(files);
            files.retain(|f| !old.iter().any(|o| o.part == f.part));
            files.extend(new.map(Arc::new));
        }
    }

    /// Reads every file whole; those that don't read back are named, left out and, where the folder
    /// is open to write, put aside. Answers how many.
    pub fn verify(&self) -> usize {
        let snapshot = self.snapshot();
        let mut bad = 0;
        for (table, file) in snapshot.files() {
            if let Err(e) = crate::files::read_all(file) {
                bad += 1;
                self.folder.set_aside(&file.path, &e, self.writable);
                self.replace(table, std::slice::from_ref(file), None);
            }
        }
        self.gauges();
        bad
    }

    pub(crate) fn gauges(&self) {
        let state = self.state.read();
        for (table, files) in ALL.iter().zip(&state.files) {
            telemetry::files(table.name, files.len(), files.iter().map(|f| f.bytes).sum());
        }
        telemetry::rows_live(state.rows);
    }
}

/// Adds rows in memory. Batches of like size are joined, so that there are few of them and each
/// row is copied only a handful of times.
fn push(all: &mut Vec<Live>, mut new: Live) {
    while let Some(i) = all.iter().rposition(|l| l.table == new.table && l.part.site == new.part.site && l.part.date == new.part.date) {
        let joined = all
            .get(i)
            .filter(|l| l.batch.num_rows() <= 2 * new.batch.num_rows())
            .and_then(|l| concat_batches(&l.batch.schema(), [&l.batch, &new.batch]).ok());
        let Some(batch) = joined else { break };
        let first = all.remove(i).part.first;
        new = Live { part: Part { first, ..new.part }, batch, ..new };
    }
    all.push(new);
}

/// The position on disk; unreadable or missing, the journal is read from its beginning, which the
/// files' names make harmless.
fn read_position(folder: &Folder) -> JournalPosition {
    let path = folder.path().join(POSITION);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|e| {
            tracing::warn!(file = %path.display(), error = %e, "the position can't be read; the journal is read again from its beginning");
            JournalPosition::default()
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => JournalPosition::default(),
        Err(e) => {
            tracing::warn!(file = %path.display(), error = %e, "the position can't be read; the journal is read again from its beginning");
            JournalPosition::default()
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

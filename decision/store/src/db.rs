//! Opening, committing, reading back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant as Clock;

use parking_lot::Mutex;
use portgate_core::decision::Decision;
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::journal::{JournalEntry, Violation};
use portgate_core::reason::SysReason;
use portgate_core::registry::{Kind, Record};
use portgate_core::site::LaneState;
use portgate_core::time::Instant;
use portgate_core::timeline::Timeline;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Direction,
    IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions, DB,
};

use crate::error::{Result, StoreError};
use crate::journal::Head;
use crate::keys::{decision_prefix, kind_key, meta, seq_from, split_decision_key, split_kind_key, Cf};
use crate::overlay::Overlay;
use crate::probe::Probe;
use crate::read::{EvidenceMeta, Raw};
use crate::registry::{decode, encode, RegistryHead};
use crate::telemetry;

/// The format this program writes. Raised when a family's layout changes in a way that an older
/// program would misread; a step from each older format to the next belongs in [`Store::open`].
pub const FORMAT: u32 = 1;

/// Block cache shared by all families: enough for what a port's day of 20,000 vehicles touches in
/// a registry of ten million.
const CACHE_BYTES: usize = 512 << 20;
/// Memory for writes not yet in files, over all families.
const WRITE_BUFFER_BYTES: usize = 128 << 20;
/// The write-ahead log is cut at this size by flushing the oldest family.
const WAL_BYTES_MAX: u64 = 512 << 20;
/// RocksDB's own log files kept.
const INFO_LOGS_MAX: usize = 4;

/// A row as RocksDB hands it out.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// The store of one site. One process has it open at a time; one task writes, any may read.
pub struct Store {
    pub(crate) db: DB,
    pub(crate) site: String,
    pub(crate) dir: PathBuf,
    pub(crate) heads: Mutex<Heads>,
    /// Policy revisions as last read or committed, so that no decision parses them.
    pub(crate) policies: Mutex<BTreeMap<String, Arc<Timeline>>>,
    probe: OnceLock<Arc<dyn Probe>>,
}

/// What every batch starts from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    pub(crate) journal: Head,
    pub(crate) registry: RegistryHead,
    pub(crate) published: u64,
    /// Components that are away.
    pub(crate) degraded: BTreeMap<SysReason, Instant>,
    /// What had been published when publishing was taken back; 0: it never was.
    pub(crate) published_before: u64,
}

/// What a commit made durable.
#[derive(Debug)]
pub struct Committed {
    /// Journal entries of the batch, with the very bytes to publish.
    pub entries: Vec<(JournalEntry, Vec<u8>)>,
    /// Lane states of the batch.
    pub lanes: Vec<LaneState>,
}

impl Store {
    /// Opens the store of `site` in `dir`, creating it where there is none.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NewerFormat`], [`StoreError::WrongStore`], or what the
    /// disk says.
    pub fn open(dir: &Path, site: &str) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| StoreError::File { path: dir.to_owned(), source })?;
        let mut options = options();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let db = DB::open_cf_descriptors(&options, dir, families()).map_err(|e| open_error(e, dir))?;
        let store = Self {
            db,
            site: site.to_owned(),
            dir: dir.to_owned(),
            heads: Mutex::default(),
            policies: Mutex::default(),
            probe: OnceLock::new(),
        };
        store.begin_format()?;
        store.load_heads()?;
        Ok(store)
    }

    /// Opens what is there for reading only, for examination; needs no lock and writes nothing.
    /// Heads that cannot be read are answered beside it.
    pub(crate) fn open_read_only(dir: &Path) -> Result<(Self, Option<StoreError>)> {
        let db = DB::open_cf_descriptors_read_only(&options(), dir, families(), false).map_err(|e| open_error(e, dir))?;
        let mut store = Self {
            db,
            site: String::new(),
            dir: dir.to_owned(),
            heads: Mutex::default(),
            policies: Mutex::default(),
            probe: OnceLock::new(),
        };
        let heads = match store.check_format() {
            Err(e @ (StoreError::NewerFormat { .. } | StoreError::WrongStore { .. })) => return Err(e),
            Err(e) => Err(e),
            Ok(site) => {
                store.site = site.unwrap_or_default();
                store.load_heads()
            }
        };
        Ok((store, heads.err()))
    }

    /// The site of the store in that format, if a format is recorded.
    fn check_format(&self) -> Result<Option<String>> {
        let wrong = |found: &str| StoreError::WrongStore { path: self.dir.clone(), wanted: self.site.clone(), found: found.to_owned() };
        let Some(format) = self.raw(Cf::Meta, meta::FORMAT)? else { return Ok(None) };
        let found = std::str::from_utf8(&format).ok().and_then(|f| f.parse::<u32>().ok());
        match found {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => {
                return Err(StoreError::NewerFormat { path: self.dir.clone(), found, known: FORMAT });
            }
            Some(_) | None => return Err(wrong("its format is unknown")),
        }
        let site = self.raw(Cf::Meta, meta::SITE)?.unwrap_or_default();
        String::from_utf8(site).map(Some).map_err(|_| wrong("its site is unreadable"))
    }

    fn begin_format(&self) -> Result<()> {
        match self.check_format()? {
            Some(site) if site == self.site => Ok(()),
            Some(site) => Err(StoreError::WrongStore {
                path: self.dir.clone(),
                wanted: self.site.clone(),
                found: format!("it belongs to site {site}"),
            }),
            None => {
                let cf = self.cf(Cf::Meta)?;
                let mut batch = WriteBatch::default();
                batch.put_cf(&cf, meta::FORMAT, FORMAT.to_string());
                batch.put_cf(&cf, meta::SITE, &self.site);
                self.write(batch, true)
            }
        }
    }

    fn load_heads(&self) -> Result<()> {
        let mut heads = self.heads.lock();
        heads.journal = self.value(Cf::Meta, meta::JOURNAL)?.unwrap_or_default();
        heads.registry = self.value(Cf::Meta, meta::REGISTRY)?.unwrap_or_default();
        heads.degraded = self.value(Cf::Meta, meta::DEGRADED)?.unwrap_or_default();
        heads.published = self.raw(Cf::Meta, meta::PUBLISHED)?.and_then(|b| seq_from(&b)).unwrap_or(0);
        Ok(())
    }

    /// A batch over the last commit.
    pub fn begin(&self) -> Overlay<'_> {
        Overlay::new(self, self.heads.lock().clone())
    }

    /// Makes a batch durable and visible, all of it or nothing. With `sync` it answers after the
    /// disk has it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another batch was committed since this one was begun;
    /// otherwise what the disk says. The inputs can then be applied to a new batch.
    pub fn commit(&self, batch: Overlay<'_>, sync: bool) -> Result<Committed> {
        let mut heads = self.heads.lock();
        if heads.journal.seq != batch.based_on {
            return Err(StoreError::Conflict);
        }
        let started = Clock::now();
        let parts = batch.into_parts()?;
        let mut write = WriteBatch::default();
        for ((cf, key), value) in &parts.writes {
            let cf = self.cf(*cf)?;
            match value {
                Some(value) => write.put_cf(&cf, key, value),
                None => write.delete_cf(&cf, key),
            }
        }
        metrics::histogram!(telemetry::COMMIT_BYTES).record(write.size_in_bytes() as f64);
        if let Err(e) = self.write(write, sync) {
            metrics::counter!(telemetry::COMMIT_FAILURES).increment(1);
            return Err(e);
        }
        heads.journal = parts.journal;
        heads.registry = parts.registry;
        heads.degraded = parts.degraded;
        self.policies.lock().extend(parts.policies);
        metrics::histogram!(telemetry::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(parts.committed)
    }

    /// Everything up to `seq` has reached the log. Not synced: after a crash some of it is
    /// published again, and receivers drop repeats.
    ///
    /// # Errors
    /// What the disk says.
    pub fn mark_published(&self, seq: u64) -> Result<()> {
        let mut heads = self.heads.lock();
        if seq > heads.published {
            let mut batch = WriteBatch::default();
            batch.put_cf(&self.cf(Cf::Meta)?, meta::PUBLISHED, seq.to_be_bytes());
            self.write(batch, false)?;
            heads.published = seq;
        }
        Ok(())
    }

    /// The log has lost what followed `seq`: it is published once more. Until the next start
    /// [`Store::published_before`] says how far it had been.
    ///
    /// # Errors
    /// What the disk says.
    pub fn publish_again(&self, seq: u64) -> Result<()> {
        let mut heads = self.heads.lock();
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.cf(Cf::Meta)?, meta::PUBLISHED, seq.to_be_bytes());
        self.write(batch, true)?;
        heads.published_before = heads.published_before.max(heads.published);
        heads.published = seq;
        Ok(())
    }

    /// How far the journal had been published before [`Store::publish_again`].
    pub fn published_before(&self) -> u64 {
        self.heads.lock().published_before
    }

    /// The site.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last journal entry committed.
    pub fn journal_head(&self) -> Head {
        self.heads.lock().journal.clone()
    }

    /// The registry's revision and when it was last known to be current.
    pub fn registry_head(&self) -> RegistryHead {
        self.heads.lock().registry
    }

    /// Journal entries committed and not yet known to be published: the outbox.
    pub fn outbox_depth(&self) -> u64 {
        let heads = self.heads.lock();
        heads.journal.seq.saturating_sub(heads.published)
    }

    /// Sequence up to which the journal has been published.
    pub fn published(&self) -> u64 {
        self.heads.lock().published
    }

    /// Journal entries after `seq` with their bytes, in order, at most `max`.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn journal_after(&self, seq: u64, max: usize) -> Result<Vec<(JournalEntry, Vec<u8>)>> {
        self.rows(Cf::Journal, &seq.saturating_add(1).to_be_bytes())?
            .take(max)
            .map(|row| {
                let (_, value) = row?;
                Ok((decode(&value, "journal")?, value.into_vec()))
            })
            .collect()
    }

    /// Next offset to read of a source.
    ///
    /// # Errors
    /// What the disk says.
    pub fn offset(&self, topic: &str, partition: u32) -> Result<Option<u64>> {
        self.source_offset(topic, partition)
    }

    /// Every lane at which something has happened.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn lanes(&self) -> Result<Vec<LaneState>> {
        self.rows(Cf::Lane, &[])?.map(|row| decode(&row?.1, "lane")).collect()
    }

    /// Every version of a decision, oldest first; none: no such decision.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn decision_versions(&self, id: &str) -> Result<Vec<Decision>> {
        let mut versions = Vec::new();
        for row in self.rows(Cf::Decision, &decision_prefix(id))? {
            let (key, value) = row?;
            if split_decision_key(&key).is_none_or(|(found, _)| found != id) {
                break;
            }
            versions.push(decode(&value, "decision")?);
        }
        Ok(versions)
    }

    /// The latest version of a decision.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn decision(&self, id: &str) -> Result<Option<Decision>> {
        self.decision_latest(id)
    }

    /// One registry record.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn record(&self, kind: Kind, id: &str) -> Result<Option<Entry>> {
        self.entry(kind, id)
    }

    /// Records of a kind whose id starts with `prefix` and lies after `after`, in the order of
    /// their ids, at most `limit`.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>> {
        let from = match after {
            Some(after) if after >= prefix => {
                let mut key = kind_key(kind, after);
                key.push(0);
                key
            }
            Some(_) | None => kind_key(kind, prefix),
        };
        let mut found = Vec::new();
        for row in self.rows(Cf::Record, &from)? {
            let (key, value) = row?;
            match split_kind_key(&key) {
                Some((k, id)) if k == kind && id.starts_with(prefix) && found.len() < limit => {
                    found.push(self.resolve(kind, &id, decode(&value, "record")?)?);
                }
                Some(_) | None => break,
            }
        }
        Ok(found)
    }

    /// Components that are away, with the gate's time since when.
    pub fn degraded(&self) -> BTreeMap<SysReason, Instant> {
        self.heads.lock().degraded.clone()
    }

    /// The policy revisions of a scope; empty: there has never been one.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn policies(&self, scope: &str) -> Result<Arc<Timeline>> {
        if let Some(known) = self.policies.lock().get(scope) {
            return Ok(known.clone());
        }
        let timeline = Arc::new(self.timeline(scope)?);
        self.policies.lock().insert(scope.to_owned(), timeline.clone());
        Ok(timeline)
    }

    /// Every scope with its policy revisions, in the order of the scopes.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn policy_scopes(&self) -> Result<Vec<(String, Timeline)>> {
        self.rows(Cf::Policy, &[])?
            .map(|row| {
                let (key, value) = row?;
                Ok((String::from_utf8_lossy(&key).into_owned(), decode(&value, "policy")?))
            })
            .collect()
    }

    /// The latest version of a violation.
    ///
    /// # Errors
    /// What the disk says; [`StoreError::Corrupt`].
    pub fn violation(&self, id: &str) -> Result<Option<Violation>> {
        self.violation_latest(id)
    }

    /// An evidence frame and what is kept beside it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn evidence(&self, frame_id: &str) -> Result<Option<(EvidenceMeta, Vec<u8>)>> {
        let meta = self.evidence_meta(frame_id)?;
        Ok(meta.zip(self.raw(Cf::Evidence, frame_id.as_bytes())?))
    }

    /// A consistent copy in the folder `to`, which must not exist yet; the store goes on meanwhile.
    /// The copy opens as a store; restoring is copying it back.
    ///
    /// # Errors
    /// What the disk says.
    pub fn backup(&self, to: &Path) -> Result<()> {
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|source| StoreError::File { path: parent.to_owned(), source })?;
        }
        self.db.flush_wal(true)?;
        Checkpoint::new(&self.db)?.create_checkpoint(to)?;
        Ok(())
    }

    /// Syncs what was committed without sync.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }

    pub(crate) fn cf(&self, cf: Cf) -> Result<Arc<BoundColumnFamily<'_>>> {
        self.db.cf_handle(cf.name()).ok_or_else(|| StoreError::Corrupt(format!("family {} is missing", cf.name())))
    }

    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let Some(probe) = self.probe.get() else { return Ok(self.db.write_opt(batch, &options)?) };
        let failed = |source| StoreError::File { path: self.dir.clone(), source };
        probe.before(sync).map_err(failed)?;
        self.db.write_opt(batch, &options)?;
        probe.after(sync).map_err(failed)
    }

    /// Lets a test look at every write from here on and break some; once a store.
    pub fn set_probe(&self, probe: Arc<dyn Probe>) {
        // A second one is none: the first stays.
        let _ = self.probe.set(probe);
    }

    /// Rows of a family from a key on, in order.
    pub(crate) fn rows(&self, cf: Cf, from: &[u8]) -> Result<impl Iterator<Item = Result<Row>> + '_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let rows = self.db.iterator_cf_opt(&self.cf(cf)?, options, IteratorMode::From(from, Direction::Forward));
        Ok(rows.map(|row| Ok(row?)))
    }

    pub(crate) fn set_importing(&self, importing: bool) -> Result<()> {
        let cf = self.cf(Cf::Meta)?;
        let mut batch = WriteBatch::default();
        if importing {
            batch.put_cf(&cf, meta::IMPORTING, encode("importing")?);
        } else {
            batch.delete_cf(&cf, meta::IMPORTING);
        }
        self.write(batch, true)
    }
}

impl Raw for Store {
    fn raw(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get_cf(&self.cf(cf)?, key)?)
    }
}

impl FactSource for Store {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        Ok(self.entry(kind, id)?)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        Ok(self.entries(Cf::Dossier, plate.as_bytes())?)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        Ok(self.entries(Cf::Child, &kind_key(kind, parent))?)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        Ok(self.book(plate)?)
    }
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        Ok(self.understood(kind, id)?)
    }
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        Ok(self.understood_dossier(plate)?)
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_db_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_keep_log_file_num(INFO_LOGS_MAX);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    // A torn tail is what a crash leaves behind; damage before the tail must not pass unnoticed.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

fn families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(CACHE_BYTES);
    let family = |cf: Cf| ColumnFamilyDescriptor::new(cf.name(), family_options(cf, &cache));
    std::iter::once(ColumnFamilyDescriptor::new("default", Options::default())).chain(Cf::ALL.map(family)).collect()
}

/// How a family's tables are written and read.
pub(crate) fn family_options(cf: Cf, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    // What decisions read is found by its key inside a block, too, without a search.
    blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    // Read by every decision: their indexes and filters stay in memory beside the cache, where nothing
    // drives them out. They grow with the registry, by some 20 bytes a vehicle.
    let resident = matches!(cf, Cf::Record | Cf::Dossier | Cf::Child | Cf::Use);
    blocks.set_cache_index_and_filter_blocks(!resident);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(!resident);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    if cf == Cf::Evidence {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(4096);
        options.set_enable_blob_gc(true);
        options.set_compression_type(DBCompressionType::None);
    }
    options
}

fn open_error(e: rocksdb::Error, dir: &Path) -> StoreError {
    let text = e.to_string();
    if text.contains("LOCK") && (text.contains("lock ") || text.contains("Lock ")) {
        return StoreError::Locked { path: dir.to_owned() };
    }
    if text.contains("Column families not opened") {
        return StoreError::NewerFormat { path: dir.to_owned(), found: FORMAT + 1, known: FORMAT };
    }
    StoreError::Storage(e)
}

//! The store behind the embedded log: opening it, its topics, and reading a partition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Direction, ErrorKind,
    IteratorMode, LogLevel, Options, ReadOptions, WriteOptions, DB,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::group::Groups;
use super::writer::{Append, Job};
use super::{codec, keys, EmbeddedConfig};
use crate::api::ReadBatch;
use crate::error::{LogError, Result};
use crate::topics::TopicSpec;

/// At most about so many bytes are read in one call.
pub(super) const READ_BYTES_MAX: usize = 8 << 20;
/// What a full queue answers.
const RETRY_AFTER_MS: u64 = 500;
const PARTITIONS_MAX: u32 = 4096;
const MIB: usize = 1 << 20;

/// What the log, its consumers, its writer and its janitor share.
pub(super) struct Shared {
    pub db: DB,
    pub config: EmbeddedConfig,
    pub topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    pub groups: Groups,
    pub epochs: Mutex<BTreeMap<String, u64>>,
    /// Bytes in the queue.
    pub queued_bytes: AtomicUsize,
    /// What the last write failed with.
    pub write_error: Mutex<Option<String>>,
    queue: RwLock<Option<mpsc::Sender<Job>>>,
}

/// A topic and where its partitions stand.
pub(super) struct Topic {
    pub id: u16,
    pub name: String,
    pub spec: RwLock<TopicSpec>,
    pub parts: Vec<Part>,
    /// Whose turn it is among the partitions for a record without key.
    pub turn: AtomicU32,
    /// Changes whenever something was appended.
    pub wake: watch::Sender<u64>,
}

/// A partition: what readers may see, and what the writer knows of its end.
pub(super) struct Part {
    pub start: AtomicU64,
    pub end: AtomicU64,
    pub tail: Mutex<Tail>,
    /// Bytes deleted whose space was not given back to the disk yet.
    pub reclaim_bytes: AtomicU64,
}

/// The writer's view of a partition's end. A segment is what retention deletes at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    /// The offset the next record gets.
    pub end: u64,
    /// Bytes written so far (from some origin: only differences mean anything).
    pub bytes: u64,
    /// When the last record was appended.
    pub last_append_ms: i64,
    segment_records: u64,
    segment_bytes: u64,
    segment_began_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredTopic {
    id: u16,
    spec: TopicSpec,
}

impl Tail {
    pub fn add(&mut self, bytes: u64, now_ms: i64) {
        if self.segment_records == 0 {
            self.segment_began_ms = now_ms;
        }
        self.end += 1;
        self.bytes += bytes;
        self.segment_records += 1;
        self.segment_bytes += bytes;
        self.last_append_ms = now_ms;
    }

    pub fn begin_segment(&mut self) {
        self.segment_records = 0;
        self.segment_bytes = 0;
    }

    /// Whether the last segment holds a record, that is, rolling makes sense.
    pub fn segment_has_records(&self) -> bool {
        self.segment_records > 0
    }

    pub fn segment_is_full(&self, config: &EmbeddedConfig, now_ms: i64) -> bool {
        let age_ms = u64::try_from(now_ms.saturating_sub(self.segment_began_ms)).unwrap_or(0);
        self.segment_records > 0
            && (self.segment_records >= config.segment_records || self.segment_bytes >= config.segment_bytes || age_ms >= config.segment_ms)
    }
}

impl Topic {
    pub fn part(&self, partition: u32) -> Option<&Part> {
        self.parts.get(usize::try_from(partition).ok()?)
    }

    pub fn partitions(&self) -> u32 {
        // INVARIANT: at most PARTITIONS_MAX, checked on creation.
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }
}

impl Shared {
    /// Opens the store and finds out where each partition ends.
    pub fn open(config: EmbeddedConfig, queue: mpsc::Sender<Job>) -> Result<Self> {
        let db = open_db(&config.path)?;
        check_format(&db, &config.path)?;
        let shared = Self {
            db,
            config,
            topics: RwLock::default(),
            groups: Groups::default(),
            epochs: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            write_error: Mutex::new(None),
            queue: RwLock::new(Some(queue)),
        };
        let mut topics = BTreeMap::new();
        for stored in shared.stored_topics()? {
            let topic = shared.load_topic(stored)?;
            topics.insert(topic.name.clone(), Arc::new(topic));
        }
        *shared.topics.write() = topics;
        Ok(shared)
    }

    pub fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        self.topics.read().get(name).cloned().ok_or_else(|| LogError::UnknownTopic(name.to_owned()))
    }

    /// The column family of a topic's records.
    pub fn family(&self, topic: &Topic) -> Result<Arc<BoundColumnFamily<'_>>> {
        let name = if topic.spec.read().large_values { keys::CF_BLOBS } else { keys::CF_RECORDS };
        self.db.cf_handle(name).ok_or_else(|| LogError::Corrupt(format!("no column family {name}")))
    }

    /// Creates a topic, or checks and updates the one there is.
    pub fn create_topic(&self, spec: &TopicSpec) -> Result<()> {
        check_spec(spec)?;
        let mut topics = self.topics.write();
        if let Some(topic) = topics.get(&spec.name) {
            let mut known = topic.spec.write();
            check_same(&known, spec)?;
            if *known != *spec {
                self.store_topic(topic.id, spec)?;
                *known = spec.clone();
            }
            return Ok(());
        }
        let id =
            topics.values().map(|t| t.id).max().unwrap_or(0).checked_add(1).ok_or_else(|| LogError::Invalid("too many topics".into()))?;
        self.store_topic(id, spec)?;
        let topic = self.load_topic(StoredTopic { id, spec: spec.clone() })?;
        topics.insert(spec.name.clone(), Arc::new(topic));
        Ok(())
    }

    /// The offset a group reads next, if it has committed one.
    pub fn committed(&self, group: &str, topic: &Topic, partition: u32) -> Result<Option<u64>> {
        let stored = self.db.get(keys::committed(topic.id, partition, group)).map_err(store_error)?;
        Ok(stored.as_deref().and_then(keys::number))
    }

    /// Reads at most `max` records that are there now. Blocks on the disk.
    pub fn read(&self, topic: &Topic, partition: u32, from: u64, max: usize, bytes_max: usize) -> Result<ReadBatch> {
        let part = topic.part(partition).ok_or_else(|| LogError::UnknownPartition { topic: topic.name.clone(), partition })?;
        let end = part.end.load(Ordering::Acquire);
        let earliest = part.start.load(Ordering::Acquire);
        if from < earliest || from > end {
            return Err(LogError::OffsetOutOfRange { topic: topic.name.clone(), partition, asked: from, earliest, end });
        }
        let cf = self.family(topic)?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::record(topic.id, partition, end));
        options.fill_cache(!topic.spec.read().large_values);
        let mut rows = self.db.raw_iterator_cf_opt(&cf, options);
        rows.seek(keys::record(topic.id, partition, from));
        let mut batch = ReadBatch { records: Vec::new(), next_offset: end };
        let mut bytes = 0;
        while let Some((key, value)) = rows.item() {
            let offset = keys::offset_of(key).ok_or_else(|| LogError::Corrupt(format!("a key of {}", topic.name)))?;
            if batch.records.len() >= max || bytes >= bytes_max {
                batch.next_offset = offset;
                return Ok(batch);
            }
            let record = codec::decode(&topic.name, partition, offset, Bytes::copy_from_slice(value))?;
            bytes += record.size_bytes();
            batch.records.push(record);
            rows.next();
        }
        rows.status().map_err(store_error)?;
        Ok(batch)
    }

    /// Queues an append, or says that the queue is full.
    pub fn try_append(&self, append: Append) -> Result<()> {
        let bytes = append.bytes;
        let sender = self.sender()?;
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let busy = LogError::Busy { retry_after_ms: RETRY_AFTER_MS };
        if before > 0 && before.saturating_add(bytes) > self.config.queue_bytes_max {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(busy);
        }
        sender.try_send(Job::Append(append)).map_err(|e| {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            match e {
                mpsc::error::TrySendError::Full(_) => busy,
                mpsc::error::TrySendError::Closed(_) => LogError::Closed,
            }
        })
    }

    /// Queues an append that waits for room: offsets, and transactions, of which there are few.
    pub async fn append_in_turn(&self, append: Append) -> Result<()> {
        let bytes = append.bytes;
        let sender = self.sender()?;
        let permit = sender.reserve().await.map_err(|_| LogError::Closed)?;
        self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        permit.send(Job::Append(append));
        Ok(())
    }

    /// The way to the writer.
    pub fn sender(&self) -> Result<mpsc::Sender<Job>> {
        self.queue.read().clone().ok_or(LogError::Closed)
    }

    /// Nothing more is accepted; the writer finishes what is queued and ends.
    pub fn close_queue(&self) {
        self.queue.write().take();
    }

    fn store_topic(&self, id: u16, spec: &TopicSpec) -> Result<()> {
        let stored = serde_json::to_vec(&StoredTopic { id, spec: spec.clone() }).map_err(|e| LogError::Invalid(e.to_string()))?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.put_opt(keys::topic(&spec.name), stored, &options).map_err(store_error)
    }

    fn stored_topics(&self) -> Result<Vec<StoredTopic>> {
        let mut topics = Vec::new();
        let first = [keys::TOPIC_PREFIX];
        for row in self.db.iterator(IteratorMode::From(&first, Direction::Forward)) {
            let (key, value) = row.map_err(store_error)?;
            if !key.starts_with(&first) {
                break;
            }
            topics.push(serde_json::from_slice(&value).map_err(|e| LogError::Corrupt(format!("a topic's description: {e}")))?);
        }
        Ok(topics)
    }

    fn load_topic(&self, stored: StoredTopic) -> Result<Topic> {
        let mut topic = Topic {
            id: stored.id,
            name: stored.spec.name.clone(),
            parts: Vec::new(),
            turn: AtomicU32::new(0),
            wake: watch::Sender::new(0),
            spec: RwLock::new(stored.spec),
        };
        let partitions = topic.spec.read().partitions;
        for partition in 0..partitions {
            let part = self.load_part(&topic, partition)?;
            topic.parts.push(part);
        }
        Ok(topic)
    }

    /// Finds the ends of a partition. INVARIANT: the end is never below where it was before.
    fn load_part(&self, topic: &Topic, partition: u32) -> Result<Part> {
        let number = |key: Vec<u8>| -> Result<u64> {
            let stored = self.db.get(key).map_err(store_error)?;
            Ok(stored.as_deref().and_then(keys::number).unwrap_or(0))
        };
        let start = number(keys::start(topic.id, partition))?;
        let floor = number(keys::end_floor(topic.id, partition))?;
        let mut tail = Tail { end: start.max(floor), ..Tail::default() };
        let mut segment_from = start;
        let last_segment = keys::segment(topic.id, partition, u64::MAX);
        let mut rows = self.db.raw_iterator();
        rows.seek_for_prev(&last_segment);
        if let Some((key, value)) = rows.item() {
            if key.starts_with(&keys::segment(topic.id, partition, 0)[..7]) {
                let (ms, bytes) = keys::parse_segment_value(value).ok_or_else(|| LogError::Corrupt("a segment's row".into()))?;
                tail.last_append_ms = ms;
                tail.bytes = bytes;
                segment_from = keys::offset_of(key).unwrap_or(0).max(start);
                tail.end = tail.end.max(segment_from);
            }
        }
        rows.status().map_err(store_error)?;

        let cf = self.family(topic)?;
        if topic.spec.read().compacted {
            let mut rows = self.db.raw_iterator_cf(&cf);
            rows.seek_for_prev(keys::record(topic.id, partition, u64::MAX));
            if let Some(key) = rows.key() {
                if key.starts_with(&keys::record(topic.id, partition, 0)[..6]) {
                    tail.end = tail.end.max(keys::offset_of(key).unwrap_or(0) + 1);
                }
            }
            rows.status().map_err(store_error)?;
        } else {
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(keys::record(topic.id, partition, u64::MAX));
            let mut rows = self.db.raw_iterator_cf_opt(&cf, options);
            rows.seek(keys::record(topic.id, partition, segment_from));
            while let Some((key, value)) = rows.item() {
                let offset = keys::offset_of(key).unwrap_or(0);
                tail.add(value.len() as u64, codec::append_ms(value).unwrap_or(0));
                tail.end = tail.end.max(offset + 1);
                rows.next();
            }
            rows.status().map_err(store_error)?;
        }
        Ok(Part { start: AtomicU64::new(start), end: AtomicU64::new(tail.end), tail: Mutex::new(tail), reclaim_bytes: AtomicU64::new(0) })
    }
}

fn check_spec(spec: &TopicSpec) -> Result<()> {
    let good_name = !spec.name.is_empty()
        && spec.name.len() <= 249
        && spec.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if !good_name {
        return Err(LogError::Invalid(format!("topic name {:?}", spec.name)));
    }
    if spec.partitions == 0 || spec.partitions > PARTITIONS_MAX {
        return Err(LogError::Invalid(format!("topic {} with {} partitions (1 to {PARTITIONS_MAX})", spec.name, spec.partitions)));
    }
    Ok(())
}

/// What of a topic can't change: its partitions, its clean-up, where its values lie.
fn check_same(known: &TopicSpec, wanted: &TopicSpec) -> Result<()> {
    let differs = |what: String| Err(LogError::TopicMismatch { topic: known.name.clone(), what });
    if known.partitions != wanted.partitions {
        return differs(format!("has {} partitions, not {}", known.partitions, wanted.partitions));
    }
    if known.compacted != wanted.compacted {
        return differs(format!("compacted is {}", known.compacted));
    }
    if known.large_values != wanted.large_values {
        return differs(format!("large_values is {}", known.large_values));
    }
    Ok(())
}

fn open_db(path: &Path) -> Result<DB> {
    let cache = Cache::new_lru_cache(32 * MIB);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&cache);
    table.set_bloom_filter(10.0, false);
    table.set_format_version(5);

    let family = |write_buffer: usize| {
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(write_buffer);
        options.set_compression_type(DBCompressionType::Lz4);
        options
    };
    let mut blobs = family(32 * MIB);
    blobs.set_enable_blob_files(true);
    blobs.set_min_blob_size(4096);
    blobs.set_blob_file_size(64 * MIB as u64);
    blobs.set_enable_blob_gc(true);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(128 * MIB as u64);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(4);
    options.set_log_level(LogLevel::Warn);
    // Everything acknowledged was synced, so only the end of the write-ahead log may be torn; any
    // other damage is an error, not a silent loss.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);

    let families = vec![
        ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, family(8 * MIB)),
        ColumnFamilyDescriptor::new(keys::CF_RECORDS, family(16 * MIB)),
        ColumnFamilyDescriptor::new(keys::CF_BLOBS, blobs),
    ];
    std::fs::create_dir_all(path).map_err(|e| LogError::Unavailable(format!("folder {}: {e}", path.display())))?;
    DB::open_cf_descriptors(&options, path, families).map_err(|e| {
        let text = e.to_string();
        if e.kind() == ErrorKind::IOError && text.to_lowercase().contains("lock") {
            LogError::Locked { path: PathBuf::from(path), detail: text }
        } else {
            store_error(e)
        }
    })
}

fn check_format(db: &DB, path: &Path) -> Result<()> {
    match db.get(keys::FORMAT_KEY).map_err(store_error)? {
        None => db.put(keys::FORMAT_KEY, keys::FORMAT.to_be_bytes()).map_err(store_error),
        Some(found) => {
            let found = found.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| LogError::Corrupt("the format version".into()))?;
            if found > keys::FORMAT {
                return Err(LogError::NewerFormat { path: PathBuf::from(path), found, known: keys::FORMAT });
            }
            Ok(())
        }
    }
}

/// What the store's error means to a caller.
pub(super) fn store_error(error: rocksdb::Error) -> LogError {
    match error.kind() {
        ErrorKind::Corruption => LogError::Corrupt(error.to_string()),
        _ => LogError::Unavailable(error.to_string()),
    }
}

/// Milliseconds since the epoch; 0 for a clock before it.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0)
}

//! The first registry of a store, in bulk: millions of records in minutes, in bounded memory.
//!
//! [`Store::import`] reads and rewrites what is there, record by record. Where nothing is there yet,
//! the rows of all records are sorted once, on the disk, and written as finished tables.

use std::path::{Path, PathBuf};

use portgate_core::registry::Kind;
use rocksdb::{
    Cache, DBCompressionType, Direction, IngestExternalFileOptions, IteratorMode, MemtableFactory, Options, ReadOptions, SstFileWriter,
    WriteBatch, WriteOptions, DB,
};
use serde_json::Value;

use crate::bind::binding;
use crate::db::{family_options, Row, Store};
use crate::error::{Result, StoreError};
use crate::keys::{kind_key, meta, Cf};
use crate::registry::{encode, Packed, Pointer, RegistryHead};

/// Folder in the store's for what is being sorted; gone afterwards.
const FOLDER: &str = "loading";
/// Rows handed to RocksDB at once.
const BATCH_ROWS: usize = 4096;
/// Memory for one run of sorted rows; three may be in the making.
const RUN_BYTES: usize = 128 << 20;
/// Size of a finished table.
const TABLE_BYTES: u64 = 128 << 20;
/// Read from the disk at once while merging.
const READAHEAD_BYTES: usize = 1 << 20;
/// The families that a registry lies in, by the first byte of a row being sorted.
const FAMILIES: [Cf; 3] = [Cf::Record, Cf::Dossier, Cf::Child];
/// What follows a home's key in a row being sorted: a zero byte and the order of first writing.
const ORDER_BYTES: usize = 9;

impl Store {
    /// Writes the first registry of a store, in any order, each record once. The records are checked.
    /// All of them are durable when this answers, or none is; should the process die in the last
    /// moments, the store says so ([`Store::import_unfinished`]) and the same load is to be repeated.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the store has a registry already, a record is not valid, or stands
    /// twice; otherwise what the disk says. The registry is then as it was.
    pub fn load(&self, records: impl IntoIterator<Item = (Kind, String, Value)>) -> Result<u64> {
        if self.registry_head().revision > 0 {
            return Err(StoreError::Invalid("there is a registry already; import into it instead".into()));
        }
        let folder = self.dir.join(FOLDER);
        clear(&folder)?;
        let loaded = self.sort_and_ingest(&folder, records);
        clear(&folder)?;
        loaded
    }

    fn sort_and_ingest(&self, folder: &Path, records: impl IntoIterator<Item = (Kind, String, Value)>) -> Result<u64> {
        let sorter = Sorter::create(&folder.join("rows"))?;
        let count = sorter.take_in(records)?;
        let tables = sorter.tables(folder, count)?;
        if self.import_unfinished()? {
            self.forget_registry()?;
        }
        self.set_importing(true)?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        for (cf, paths) in tables {
            self.db.ingest_external_file_cf_opts(&self.cf(cf)?, &options, paths)?;
        }
        let mut heads = self.heads.lock();
        let registry = RegistryHead { revision: count, ..heads.registry };
        let mut batch = WriteBatch::default();
        let cf = self.cf(Cf::Meta)?;
        batch.put_cf(&cf, meta::REGISTRY, encode(&registry)?);
        batch.delete_cf(&cf, meta::IMPORTING);
        self.write(batch, true)?;
        heads.registry = registry;
        Ok(count)
    }

    /// What a load that was cut short has left.
    fn forget_registry(&self) -> Result<()> {
        let mut batch = WriteBatch::default();
        for cf in FAMILIES {
            // No key begins with the byte 255: keys are text.
            batch.delete_range_cf(&self.cf(cf)?, &[][..], &[255][..]);
        }
        self.write(batch, true)
    }
}

/// Sorts the rows of a registry on the disk.
struct Sorter {
    db: DB,
}

impl Sorter {
    fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
        let mut options = Options::default();
        options.create_if_missing(true);
        // Rows are appended, sorted when the memory is full, and merged when they are read.
        options.set_memtable_factory(MemtableFactory::Vector);
        options.set_allow_concurrent_memtable_write(false);
        options.set_write_buffer_size(RUN_BYTES);
        options.set_max_write_buffer_number(3);
        options.set_disable_auto_compactions(true);
        options.set_level_zero_slowdown_writes_trigger(i32::MAX);
        options.set_level_zero_stop_writes_trigger(i32::MAX);
        options.set_compression_type(DBCompressionType::Lz4);
        Ok(Self { db: DB::open(&options, folder)? })
    }

    /// Takes the rows of all records; answers with how many records there were.
    fn take_in(&self, records: impl IntoIterator<Item = (Kind, String, Value)>) -> Result<u64> {
        let mut count = 0;
        let mut batch = WriteBatch::default();
        for (kind, id, value) in records {
            count += 1;
            let bound = binding(kind, &id, &value)?;
            let mut pointer = Pointer { order: count, plate: bound.plate, parent: bound.parent, value: None };
            let homes = pointer.homes(kind);
            let key = tagged(Cf::Record, &kind_key(kind, &id));
            if homes.is_empty() {
                pointer.value = Some(value);
            } else {
                let packed = encode(&Packed(count, kind, id, value))?;
                for (cf, home) in homes {
                    let mut key = tagged(cf, &home);
                    key.push(0);
                    key.extend_from_slice(&count.to_be_bytes());
                    batch.put(key, &packed);
                }
            }
            batch.put(key, encode(&pointer)?);
            if batch.len() >= BATCH_ROWS {
                self.write(std::mem::take(&mut batch))?;
            }
        }
        self.write(batch)?;
        self.db.flush()?;
        Ok(count)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    /// Writes the rows as tables of the store's families.
    fn tables(&self, folder: &Path, count: u64) -> Result<Vec<(Cf, Vec<PathBuf>)>> {
        let mut tables = Vec::new();
        for (tag, cf) in (0..).zip(FAMILIES) {
            let options = family_options(cf, &Cache::new_lru_cache(0));
            let mut out = Tables { name: folder.join(cf.name()), options: &options, open: None, paths: Vec::new() };
            let rows = if cf == Cf::Record { self.write_rows(tag, &mut out)? } else { self.write_lists(tag, &mut out)? };
            if cf == Cf::Record && rows != count {
                return Err(StoreError::Invalid(format!("{} record(s) stand twice", count.saturating_sub(rows))));
            }
            let paths = out.finish()?;
            if !paths.is_empty() {
                tables.push((cf, paths));
            }
        }
        Ok(tables)
    }

    /// A table row for each row.
    fn write_rows(&self, tag: u8, out: &mut Tables<'_>) -> Result<u64> {
        let mut rows = 0;
        for row in self.rows(tag) {
            let (key, value) = row?;
            out.put(untagged(&key)?, &value)?;
            rows += 1;
        }
        Ok(rows)
    }

    /// A table row for each home, with the list of its records in order of first writing.
    fn write_lists(&self, tag: u8, out: &mut Tables<'_>) -> Result<u64> {
        let (mut lists, mut home, mut list) = (0, Vec::new(), Vec::new());
        for row in self.rows(tag) {
            let (key, value) = row?;
            let key = untagged(&key)?;
            let key = key.get(..key.len().saturating_sub(ORDER_BYTES)).unwrap_or_default();
            if list.is_empty() || home != key {
                if !list.is_empty() {
                    list.push(b']');
                    out.put(&home, &list)?;
                }
                lists += 1;
                home = key.to_vec();
                list.clear();
                list.push(b'[');
            } else {
                list.push(b',');
            }
            list.extend_from_slice(&value);
        }
        if !list.is_empty() {
            list.push(b']');
            out.put(&home, &list)?;
        }
        Ok(lists)
    }

    fn rows(&self, tag: u8) -> impl Iterator<Item = Result<Row>> + '_ {
        let mut reading = ReadOptions::default();
        reading.set_readahead_size(READAHEAD_BYTES);
        reading.fill_cache(false);
        reading.set_iterate_upper_bound([tag + 1]);
        self.db.iterator_opt(IteratorMode::From(&[tag], Direction::Forward), reading).map(|row| Ok(row?))
    }
}

/// The key of a row being sorted: its family comes first.
fn tagged(cf: Cf, key: &[u8]) -> Vec<u8> {
    let family = FAMILIES.iter().position(|f| *f == cf).and_then(|i| u8::try_from(i).ok()).unwrap_or(u8::MAX);
    let mut tagged = Vec::with_capacity(1 + key.len() + ORDER_BYTES);
    tagged.push(family);
    tagged.extend_from_slice(key);
    tagged
}

fn untagged(key: &[u8]) -> Result<&[u8]> {
    key.get(1..).ok_or_else(|| StoreError::Corrupt("a row being sorted".into()))
}

/// Tables of one family, written in the order of their keys.
struct Tables<'a> {
    name: PathBuf,
    options: &'a Options,
    open: Option<SstFileWriter<'a>>,
    paths: Vec<PathBuf>,
}

impl Tables<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.open.as_ref().is_some_and(|t| t.file_size() >= TABLE_BYTES) {
            self.close()?;
        }
        if self.open.is_none() {
            let path = self.name.with_extension(format!("{}.sst", self.paths.len()));
            let table = SstFileWriter::create(self.options);
            table.open(&path)?;
            self.paths.push(path);
            self.open = Some(table);
        }
        // A home that holds a zero byte could come out of order: RocksDB says so, and nothing is loaded.
        if let Some(table) = &mut self.open {
            table.put(key, value)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if let Some(mut table) = self.open.take() {
            table.finish()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<PathBuf>> {
        self.close()?;
        Ok(self.paths)
    }
}

fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::File { path: folder.to_owned(), source: e }),
        Ok(()) | Err(_) => Ok(()),
    }
}

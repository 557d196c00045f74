//! The folder: `TABLE/date=YYYY-MM-DD/part-SITE-FIRST-LAST.parquet`.
//!
//! `date` is the day of Asia/Shanghai on which the gate took the row in. FIRST and LAST are the
//! places in the site's journal of the file's first and last row, and the file holds *every* row of
//! its table, day and site between them: that is what lets a start after any crash tell what is
//! written, whatever else was lost. A file is written under a temporary name, synced and renamed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, lexsort_to_indices, take_record_batch, SortColumn};
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use portgate_core::time::Date;

use crate::error::{AnalyticsError, Result};
use crate::tables::{Table, ALL};
use crate::telemetry;

/// Where files that cannot be read are put.
pub const QUARANTINE: &str = "quarantine";
const TEMPORARY: &str = "tmp";
/// Rows of a row group; small enough that time ranges skip most of a day.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// What a file holds: its place and the range of the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Day the gate took the rows in.
    pub date: String,
    /// Site.
    pub site: String,
    /// Journal place of the first row.
    pub first: u64,
    /// Journal place of the last row.
    pub last: u64,
}

impl Part {
    /// The path within the table's folder.
    fn path(&self) -> PathBuf {
        let name = format!("part-{}-{:020}-{:020}.parquet", escape(&self.site), self.first, self.last);
        Path::new(&format!("date={}", self.date)).join(name)
    }

    /// The part of this path within a table's folder.
    fn parse(date_dir: &OsStr, name: &OsStr) -> Option<Self> {
        let date = date_dir.to_str()?.strip_prefix("date=")?;
        date.parse::<Date>().ok()?;
        let stem = name.to_str()?.strip_prefix("part-")?.strip_suffix(".parquet")?;
        let (rest, last) = stem.rsplit_once('-')?;
        let (site, first) = rest.rsplit_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Self { date: date.to_owned(), site: unescape(site)?, first, last })
    }

    /// Whether the file holds the rows of this entry, if its table has any.
    pub fn covers(&self, site: &str, date: &str, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq) && self.site == site && self.date == date
    }

    fn contains(&self, other: &Self) -> bool {
        self.site == other.site && self.date == other.date && self.first <= other.first && other.last <= self.last
    }
}

/// Letters, digits and `-` stay; every other byte becomes `_xx`.
fn escape(site: &str) -> String {
    site.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b == b'-' {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("_{b:02x}"));
        }
        out
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        if b == b'_' {
            let hex = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

/// A Parquet file in use. When it is replaced, the last query that reads it deletes it.
#[derive(Debug)]
pub struct DataFile {
    /// What it holds.
    pub part: Part,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Rows, and the range of every column: lets queries skip the file.
    pub statistics: Arc<Statistics>,
    replaced: AtomicBool,
}

impl DataFile {
    /// Rows in the file.
    pub fn rows(&self) -> usize {
        self.statistics.num_rows.get_value().copied().unwrap_or(0)
    }

    /// The file is not needed any more: deleted as soon as nobody reads it.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Acquire) {
            if let Err(e) = fs::remove_file(&self.path) {
                tracing::warn!(file = %self.path.display(), error = %e, "a replaced file could not be deleted");
            }
            if let Some(day) = self.path.parent() {
                let _ = fs::remove_dir(day); // fails, as it should, where other files are left
            }
        }
    }
}

/// The folder of one gate's analytics.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens the folder for writing, creating what is missing and clearing leftovers of a crash.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`].
    pub fn create(dir: &Path) -> Result<Self> {
        let temporary = dir.join(TEMPORARY);
        if temporary.is_dir() {
            fs::remove_dir_all(&temporary).map_err(AnalyticsError::io(&temporary))?;
        }
        fs::create_dir_all(&temporary).map_err(AnalyticsError::io(&temporary))?;
        Ok(Self(dir.to_owned()))
    }

    /// The folder, only to be read.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when it is no folder.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::read_dir(dir).map_err(AnalyticsError::io(dir))?;
        Ok(Self(dir.to_owned()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every table's files, in the order of [`ALL`]. A file that can't be read is named and, with
    /// `mend`, moved to quarantine; a file whose rows another one holds as well is left out and,
    /// with `mend`, deleted.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when a folder can't be listed.
    pub fn files(&self, mend: bool) -> Result<Vec<Vec<Arc<DataFile>>>> {
        ALL.iter().map(|table| self.table_files(table, mend)).collect()
    }

    fn table_files(&self, table: &'static Table, mend: bool) -> Result<Vec<Arc<DataFile>>> {
        let root = self.0.join(table.name);
        let mut parts = Vec::new();
        for day in list(&root)? {
            for file in list(&day)? {
                let names = (day.file_name(), file.file_name());
                if let (Some(date), Some(name)) = names {
                    if let Some(part) = Part::parse(date, name) {
                        parts.push((part, file));
                    }
                }
            }
        }
        // Of files within another's range the widest stays: a crash after a merge left the others.
        parts.sort_by(|(a, _), (b, _)| (&a.date, &a.site, a.first).cmp(&(&b.date, &b.site, b.first)).then(b.last.cmp(&a.last)));
        let mut files: Vec<Arc<DataFile>> = Vec::new();
        for (part, path) in parts {
            if files.last().is_some_and(|f| f.part.contains(&part)) {
                if mend {
                    fs::remove_file(&path).map_err(AnalyticsError::io(&path))?;
                }
                continue;
            }
            match inspect(table, part, &path) {
                Ok(file) => files.push(Arc::new(file)),
                Err(e) => self.set_aside(&path, &e, mend),
            }
        }
        Ok(files)
    }

    /// Names a file that can't be read, and takes it out of the way.
    pub fn set_aside(&self, path: &Path, why: &AnalyticsError, mend: bool) {
        telemetry::count(telemetry::QUARANTINED, 1);
        let within = path.strip_prefix(&self.0).unwrap_or(path);
        let to = self.0.join(QUARANTINE).join(within);
        tracing::error!(file = %path.display(), error = %why, "a Parquet file can't be read; its rows are missing from answers");
        if mend {
            let moved = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::rename(path, &to));
            if let Err(e) = moved {
                tracing::error!(file = %path.display(), error = %e, "it could not be moved to quarantine");
            }
        }
    }

    /// Whether a file of the table's day lies in quarantine: its rows may come back under its name,
    /// so no other file may claim their range.
    pub fn has_quarantined(&self, table: &Table, date: &str) -> bool {
        self.0.join(QUARANTINE).join(table.name).join(format!("date={date}")).is_dir()
    }

    /// Writes the rows, sorted by the table's time, as one file; answers once it is durable.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] (a full disk, …), [`AnalyticsError::Parquet`].
    pub fn write(&self, table: &'static Table, part: Part, batches: &[RecordBatch]) -> Result<DataFile> {
        let path = self.0.join(table.name).join(part.path());
        let temporary = self.0.join(TEMPORARY).join(format!(
            "{}-{}-{}",
            table.name,
            part.date,
            part.path().file_name().map(OsStr::to_string_lossy).unwrap_or_default()
        ));
        let written = write_parquet(table, batches, &temporary).and_then(|()| {
            let day = path.parent().unwrap_or(&self.0);
            fs::create_dir_all(day).map_err(AnalyticsError::io(day))?;
            fs::rename(&temporary, &path).map_err(AnalyticsError::io(&path))?;
            sync_dir(day)?;
            inspect(table, part, &path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary); // best effort: the next start clears it as well
        }
        written
    }

    /// Replaces a small file as a whole, durably.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`].
    pub fn write_small(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        let temporary = self.0.join(TEMPORARY).join(name);
        fs::write(&temporary, bytes)
            .and_then(|()| File::open(&temporary)?.sync_all())
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(AnalyticsError::io(&path))?;
        sync_dir(&self.0)
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(AnalyticsError::io(dir))
}

/// The entries of a folder; none where there is no such folder.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| Ok(e.map_err(AnalyticsError::io(dir))?.path())).collect(),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(AnalyticsError::io(dir)(e)),
    }
}

/// Reads the file's footer: checks that it is a table's file, and takes its statistics.
fn inspect(table: &Table, part: Part, path: &Path) -> Result<DataFile> {
    let file = File::open(path).map_err(AnalyticsError::io(path))?;
    let bytes = file.metadata().map_err(AnalyticsError::io(path))?.len();
    let metadata = ArrowReaderMetadata::load(&file, Default::default()).map_err(AnalyticsError::parquet(path))?;
    let schema = table.schema();
    for field in metadata.schema().fields() {
        if let Ok(wanted) = schema.field_with_name(field.name()) {
            if wanted.data_type() != field.data_type() {
                return Err(AnalyticsError::Parquet {
                    path: path.to_owned(),
                    detail: format!("column {} is {}, not {}", field.name(), field.data_type(), wanted.data_type()),
                });
            }
        }
    }
    let statistics =
        DFParquetMetadata::statistics_from_parquet_metadata(metadata.metadata(), &schema).map_err(AnalyticsError::parquet(path))?;
    Ok(DataFile { part, path: path.to_owned(), bytes, statistics: Arc::new(statistics), replaced: AtomicBool::new(false) })
}

/// All rows of a file.
///
/// # Errors
/// [`AnalyticsError::Parquet`] when it does not read back.
pub fn read_all(file: &DataFile) -> Result<Vec<RecordBatch>> {
    let handle = File::open(&file.path).map_err(AnalyticsError::io(&file.path))?;
    ParquetRecordBatchReaderBuilder::try_new(handle)
        .and_then(|b| b.build())
        .map_err(AnalyticsError::parquet(&file.path))?
        .map(|batch| batch.map_err(AnalyticsError::parquet(&file.path)))
        .collect()
}

fn write_parquet(table: &'static Table, batches: &[RecordBatch], to: &Path) -> Result<()> {
    let schema = table.schema();
    let sorted = sort(table, batches).map_err(|e| AnalyticsError::Rows { table: table.name, detail: e.to_string() })?;
    let rows = sorted.num_rows();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("portgate ", env!("CARGO_PKG_VERSION")).to_owned());
    if let Some(index) = schema.index_of(table.time).ok().and_then(|i| i32::try_from(i).ok()) {
        properties = properties.set_sorting_columns(Some(vec![SortingColumn { column_idx: index, descending: false, nulls_first: true }]));
    }
    for column in table.bloom {
        let path = ColumnPath::from(*column);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_max_ndv(path, rows.clamp(64, ROW_GROUP_ROWS) as u64);
    }
    let file = File::create(to).map_err(AnalyticsError::io(to))?;
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties.build())).map_err(AnalyticsError::parquet(to))?;
    writer.write(&sorted).map_err(AnalyticsError::parquet(to))?;
    let file = writer.into_inner().map_err(AnalyticsError::parquet(to))?;
    file.sync_all().map_err(AnalyticsError::io(to))
}

/// One batch of all rows, by the table's time, then by their place in the journal.
fn sort(table: &'static Table, batches: &[RecordBatch]) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let whole = concat_batches(&table.schema(), batches)?;
    let columns = [table.time, "seq"]
        .iter()
        .filter_map(|name| whole.column_by_name(name))
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect::<Vec<_>>();
    let order = lexsort_to_indices(&columns, None)?;
    take_record_batch(&whole, &order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_again_by_its_name() {
        for site in ["LYG", "port-1", "连云港", "a_b/c%"] {
            let part = Part { date: "2026-03-10".into(), site: site.into(), first: 7, last: 4711 };
            let path = part.path();
            let names = (path.parent().unwrap().file_name().unwrap(), path.file_name().unwrap());
            assert_eq!(Part::parse(names.0, names.1), Some(part), "{site}");
        }
        for name in ["part-LYG-9-7.parquet", "part-LYG-7.parquet", "part-LYG-1-2.tmp", "x"] {
            assert_eq!(Part::parse(OsStr::new("date=2026-03-10"), OsStr::new(name)), None, "{name}");
        }
        assert_eq!(Part::parse(OsStr::new("date=2026-13-10"), OsStr::new("part-LYG-1-2.parquet")), None);
    }
}

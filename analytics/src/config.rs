//! What analytics can be told. The defaults are meant to be kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How analytics keeps and answers.
#[derive(Clone, Debug)]
pub struct AnalyticsConfig {
    /// The folder of the Parquet files.
    pub dir: PathBuf,
    /// Rows are written to files after at most this time …
    pub flush_every: Duration,
    /// … or once this many are in memory …
    pub flush_rows: usize,
    /// … and beyond this many the journal is not read on until some are written.
    pub live_rows_max: usize,
    /// This many small files of one day and table are merged into one.
    pub compact_files: usize,
    /// Files above this size are not merged any more, bytes.
    pub compact_bytes_max: u64,
    /// Days a table is kept (by the day the gate took the row in); GA/T 1742 asks for 365 at least.
    pub keep_days: u32,
    /// Other figures for single tables.
    pub keep_days_of: BTreeMap<String, u32>,
    /// Longest time of a query.
    pub query_timeout: Duration,
    /// Memory all queries share, bytes; beyond it sorts and joins spill to disk, then the query is refused.
    pub query_memory_bytes: usize,
    /// Disk that spilling may take, bytes.
    pub query_spill_bytes: u64,
    /// Queries answered at the same time.
    pub queries_max: usize,
    /// Threads a single query uses.
    pub query_threads: usize,
    /// Rows an answer of [`crate::Analytics::query`] may have.
    pub answer_rows_max: usize,
}

/// Days that differ: counts without plates are kept longer than what names vehicles; the registry's
/// words as long as what rests on them may be asked; who looked for plates, three years.
const KEEP_DAYS_OF: [(&str, u32); 9] = [
    ("queue_samples", 1100),
    ("arrivals", 1100),
    ("endings", 1100),
    ("reasons", 1100),
    ("card_events", 1100),
    ("records", 3660),
    ("lanes", 3660),
    ("plate_lookups", 1100),
    ("policy_differences", 400),
];

impl AnalyticsConfig {
    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            flush_every: Duration::from_secs(60),
            flush_rows: 50_000,
            live_rows_max: 500_000,
            compact_files: 16,
            compact_bytes_max: 256 << 20,
            keep_days: 400,
            keep_days_of: KEEP_DAYS_OF.into_iter().map(|(table, days)| (table.to_owned(), days)).collect(),
            query_timeout: Duration::from_secs(60),
            query_memory_bytes: 512 << 20,
            query_spill_bytes: 4 << 30,
            queries_max: 8,
            query_threads: std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
            answer_rows_max: 1_000_000,
        }
    }

    /// Days rows of the table are kept.
    pub fn keep_days(&self, table: &str) -> u32 {
        self.keep_days_of.get(table).copied().unwrap_or(self.keep_days)
    }
}

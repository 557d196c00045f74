//! The crate's metrics, all in one place.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Rows taken from the journal, by `table`.
pub const ROWS_TAKEN: &str = "portgate_analytics_rows_taken_total";
/// Rows written to Parquet, by `table`.
pub const ROWS_WRITTEN: &str = "portgate_analytics_rows_written_total";
/// Rows in memory, not yet in a file.
pub const ROWS_LIVE: &str = "portgate_analytics_rows_live";
/// Parquet files, by `table`.
pub const FILES: &str = "portgate_analytics_files";
/// Bytes of Parquet, by `table`.
pub const FILES_BYTES: &str = "portgate_analytics_files_bytes";
/// Files put into quarantine because they could not be read.
pub const QUARANTINED: &str = "portgate_analytics_files_quarantined_total";
/// Flushes that failed (a full disk, …), and will be tried again.
pub const FLUSH_ERRORS: &str = "portgate_analytics_flush_errors_total";
/// Time of a flush, seconds.
pub const FLUSH_SECONDS: &str = "portgate_analytics_flush_seconds";
/// Files merged into larger ones.
pub const COMPACTED: &str = "portgate_analytics_files_compacted_total";
/// Files deleted because their day is older than the table is kept.
pub const EXPIRED: &str = "portgate_analytics_files_expired_total";
/// Journal entries that could not be read as such.
pub const ENTRIES_INVALID: &str = "portgate_analytics_entries_invalid_total";
/// Places missing in a site's journal.
pub const ENTRIES_MISSING: &str = "portgate_analytics_entries_missing_total";
/// Journal entries ignored because they were taken before.
pub const ENTRIES_REPEATED: &str = "portgate_analytics_entries_repeated_total";
/// Failed reads of the journal, by `code`.
pub const LOG_ERRORS: &str = "portgate_analytics_log_errors_total";
/// From the decision to its row being visible to queries, seconds.
pub const VISIBLE_LAG_SECONDS: &str = "portgate_analytics_decision_visible_seconds";
/// Time of a query until its last row, seconds, by `outcome`.
pub const QUERY_SECONDS: &str = "portgate_analytics_query_seconds";
/// Queries running now.
pub const QUERIES_RUNNING: &str = "portgate_analytics_queries_running";
/// Connections of the PostgreSQL protocol, by `outcome` of the sign-in.
pub const SIGN_INS: &str = "portgate_analytics_sign_ins_total";

pub(crate) fn rows_taken(table: &'static str, rows: usize) {
    counter!(ROWS_TAKEN, "table" => table).increment(rows as u64);
}

pub(crate) fn rows_written(table: &'static str, rows: usize) {
    counter!(ROWS_WRITTEN, "table" => table).increment(rows as u64);
}

pub(crate) fn rows_live(rows: usize) {
    #[allow(clippy::cast_precision_loss)]
    gauge!(ROWS_LIVE).set(rows as f64);
}

pub(crate) fn files(table: &'static str, files: usize, bytes: u64) {
    #[allow(clippy::cast_precision_loss)]
    {
        gauge!(FILES, "table" => table).set(files as f64);
        gauge!(FILES_BYTES, "table" => table).set(bytes as f64);
    }
}

pub(crate) fn count(name: &'static str, by: usize) {
    counter!(name).increment(by as u64);
}

pub(crate) fn log_error(code: &'static str) {
    counter!(LOG_ERRORS, "code" => code).increment(1);
}

pub(crate) fn flushed(took: Duration) {
    histogram!(FLUSH_SECONDS).record(took);
}

pub(crate) fn visible_lag(micros: i64) {
    #[allow(clippy::cast_precision_loss)]
    histogram!(VISIBLE_LAG_SECONDS).record(micros.max(0) as f64 / 1e6);
}

pub(crate) fn query(outcome: &'static str, took: Duration) {
    histogram!(QUERY_SECONDS, "outcome" => outcome).record(took);
}

pub(crate) fn sign_in(outcome: &'static str) {
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
}

/// Counts a running query for as long as it lives, and its time when it is dropped.
pub(crate) struct RunningQuery {
    started: std::time::Instant,
    pub(crate) outcome: &'static str,
}

impl RunningQuery {
    /// A query begins; it counts as given up until told otherwise.
    pub(crate) fn begin() -> Self {
        gauge!(QUERIES_RUNNING).increment(1.0);
        Self { started: std::time::Instant::now(), outcome: "given_up" }
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        gauge!(QUERIES_RUNNING).decrement(1.0);
        query(self.outcome, self.started.elapsed());
    }
}

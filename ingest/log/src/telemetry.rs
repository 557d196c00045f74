//! The names of this crate's metrics.

use std::time::Instant;

use crate::error::LogError;

/// Histogram, seconds: from the call to the durable acknowledgement; labels `backend`, `topic`.
pub const APPEND_SECONDS: &str = "portgate_log_append_seconds";
/// Counter: appends that failed; labels `backend`, `code` ([`crate::LogError::code`]).
pub const APPEND_FAILURES: &str = "portgate_log_append_failures_total";
/// Histogram, seconds: one synced write of the embedded log.
pub const SYNC_SECONDS: &str = "portgate_log_sync_seconds";
/// Histogram, records: how many records share one synced write.
pub const SYNC_RECORDS: &str = "portgate_log_sync_records";
/// Gauge, records: appended but not yet durable; label `backend`.
pub const QUEUE_RECORDS: &str = "portgate_log_queue_records";
/// Gauge, bytes: appended but not yet durable; label `backend`.
pub const QUEUE_BYTES: &str = "portgate_log_queue_bytes";
/// Gauge, offsets: how far a group is behind; labels `group`, `topic`, `partition`.
pub const LAG_OFFSETS: &str = "portgate_log_lag_offsets";
/// Counter, records: deleted by age, size or compaction (embedded); labels `topic`, `cause`.
pub const RETENTION_DELETED_RECORDS: &str = "portgate_log_retention_deleted_records_total";
/// Counter, offsets: a group had not read them when retention deleted them; labels `group`, `topic`.
pub const SKIPPED_OFFSETS: &str = "portgate_log_skipped_offsets_total";
/// Counter: rebalances seen by consumers; labels `group`, `kind` (assigned, revoked, lost).
pub const REBALANCES: &str = "portgate_log_rebalances_total";

/// Notes an append's outcome.
pub(crate) fn appended(backend: &'static str, topic: &str, began: Instant, failure: Option<&LogError>) {
    match failure {
        None => {
            metrics::histogram!(APPEND_SECONDS, "backend" => backend, "topic" => topic.to_owned()).record(began.elapsed().as_secs_f64())
        }
        Some(error) => metrics::counter!(APPEND_FAILURES, "backend" => backend, "code" => error.code()).increment(1),
    }
}

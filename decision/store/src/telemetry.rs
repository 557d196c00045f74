//! The names of this crate's metrics.

/// Histogram, seconds: one commit, the sync included.
pub const COMMIT_SECONDS: &str = "portgate_store_commit_seconds";
/// Histogram, bytes: size of one committed batch.
pub const COMMIT_BYTES: &str = "portgate_store_commit_bytes";
/// Counter: commits that failed.
pub const COMMIT_FAILURES: &str = "portgate_store_commit_failures_total";

//! The gate's clock. The core has none; the edge stamps what comes in.

use std::time::{SystemTime, UNIX_EPOCH};

use portgate_core::time::Instant;

/// Now. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

//! Work that waits for a disk.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::EngineError;

/// Runs the work on a thread where it holds up nobody; on a runtime of one thread, in its place, so
/// that everything there happens in one order.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|e| EngineError::Worker(e.to_string()))
}

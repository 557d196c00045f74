//! Time as the engine sees it: an argument, so that a simulation can turn it.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portgate_core::time::Instant;

/// A wait; ends when its time has passed.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the engine and the barriers look at the time, and what they wait by.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;

    /// Time passed since some beginning, by a clock that never steps: what [`Clock::now`] is compared
    /// with. None: there is none.
    fn steady(&self) -> Option<Duration> {
        None
    }

    /// Waits so long, whatever becomes of [`Clock::now`] meanwhile.
    fn sleep(&self, how_long: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(how_long))
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Instant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Option<Duration> {
        static BEGINNING: OnceLock<std::time::Instant> = OnceLock::new();
        Some(BEGINNING.get_or_init(std::time::Instant::now).elapsed())
    }
}

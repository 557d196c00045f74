//! Telling everybody who waits, always in the same order. (A channel that wakes its waiters in an
//! order of its own making would give a seed another trace each time.)

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Something that changes.
#[derive(Clone, Default)]
pub struct Signal {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    version: u64,
    asked: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Signal {
    /// How often it has changed.
    pub fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// It has changed: everybody is woken.
    pub fn change(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.version += 1;
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Ends when it has changed since that version.
    pub fn since(&self, version: u64) -> Changed {
        let mut inner = self.inner.lock();
        inner.asked += 1;
        Changed { signal: self.clone(), place: inner.asked, version }
    }
}

/// A wait for a change.
pub struct Changed {
    signal: Signal,
    place: u64,
    version: u64,
}

impl Future for Changed {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.signal.inner.lock();
        if inner.version > self.version {
            return Poll::Ready(());
        }
        inner.waiting.insert(self.place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        self.signal.inner.lock().waiting.remove(&self.place);
    }
}

/// Something that is so or not.
#[derive(Clone, Default)]
pub struct Flag {
    on: Arc<Mutex<bool>>,
    signal: Signal,
}

impl Flag {
    /// Whether it is so.
    pub fn is(&self) -> bool {
        *self.on.lock()
    }

    /// From now on it is so, or not.
    pub fn set(&self, on: bool) {
        *self.on.lock() = on;
        self.signal.change();
    }

    /// Ends when it is so, or not.
    pub async fn until(&self, on: bool) {
        loop {
            let version = self.signal.version();
            if self.is() == on {
                return;
            }
            self.signal.since(version).await;
        }
    }
}

//! Virtual time: it stands still while anything can run, and jumps to the next wait when nothing
//! can. Woken in the order of their times, then of their asking.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

/// Jumps after which a run is given up as one that never comes to rest.
const JUMPS_MAX: u64 = 20_000_000;

/// The time of one simulated world, microseconds from its beginning.
#[derive(Default)]
pub struct Time {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now_us: u64,
    asked: u64,
    jumps: u64,
    waits: BTreeMap<(u64, u64), Waker>,
    root: Option<Waker>,
}

impl Time {
    /// Microseconds since the world began.
    pub fn now_us(&self) -> u64 {
        self.inner.lock().now_us
    }

    /// Waits so long.
    pub fn sleep(self: &Arc<Self>, how_long: Duration) -> Wait {
        let us = u64::try_from(how_long.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock();
        inner.asked += 1;
        Wait { key: (inner.now_us.saturating_add(us), inner.asked), time: self.clone() }
    }

    /// Waits so many milliseconds.
    pub fn sleep_ms(self: &Arc<Self>, ms: u64) -> Wait {
        self.sleep(Duration::from_millis(ms))
    }

    /// Nothing can run: goes to the next wait.
    ///
    /// # Panics
    /// When nobody waits either, or when the world never comes to rest.
    pub fn jump(&self) {
        let (waker, root) = {
            let mut inner = self.inner.lock();
            inner.jumps += 1;
            assert!(inner.jumps < JUMPS_MAX, "the world does not come to rest");
            let Some(((at, _), waker)) = inner.waits.pop_first() else { return };
            inner.now_us = inner.now_us.max(at);
            (waker, inner.root.clone())
        };
        waker.wake();
        // Whoever waited may have gone: then there is still somebody to run, and the next jump.
        if let Some(root) = root {
            root.wake();
        }
    }
}

/// The world itself, which runs after every jump.
pub struct Root<F> {
    world: Pin<Box<F>>,
    time: Arc<Time>,
}

impl<F: Future> Root<F> {
    /// A world in its time.
    pub fn new(world: F, time: &Arc<Time>) -> Self {
        Self { world: Box::pin(world), time: time.clone() }
    }
}

impl<F: Future> Future for Root<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.time.inner.lock().root = Some(context.waker().clone());
        self.world.as_mut().poll(context)
    }
}

/// A wait in virtual time.
pub struct Wait {
    key: (u64, u64),
    time: Arc<Time>,
}

impl Future for Wait {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.time.inner.lock();
        if inner.now_us >= self.key.0 {
            inner.waits.remove(&self.key);
            return Poll::Ready(());
        }
        inner.waits.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.time.inner.lock().waits.remove(&self.key);
    }
}

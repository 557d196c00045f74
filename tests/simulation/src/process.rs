//! A process of the simulated world: it can die, freeze, be cut off from the log, and its clock can
//! be wrong.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portgate_core::time::Instant;
use portgate_engine::{Clock, Sleep};
use tokio::sync::Notify;

use crate::rng::Rng;
use crate::time::Time;

/// When the simulated world begins: 2026-03-02 08:00 in Shanghai, microseconds since 1970.
pub const BEGINS_US: i64 = 1_772_409_600_000_000;

/// True time after so many microseconds.
pub fn wall(us: u64) -> Instant {
    Instant::from_micros(BEGINS_US.saturating_add_unsigned(us))
}

/// One life of a process.
pub struct Process {
    /// Its name in the trace.
    pub name: String,
    /// The world's time.
    pub time: Arc<Time>,
    /// Its chance.
    pub rng: Mutex<Rng>,
    /// What its clock is off by, microseconds.
    pub skew_us: AtomicI64,
    dead: AtomicBool,
    killed: Notify,
    frozen_until: AtomicU64,
    cut_until: AtomicU64,
    silent_since: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Process {
    /// A process that has just been started.
    pub fn new(name: &str, time: &Arc<Time>, rng: Rng, skew_us: i64) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            time: time.clone(),
            rng: Mutex::new(rng),
            skew_us: AtomicI64::new(skew_us),
            dead: AtomicBool::new(false),
            killed: Notify::new(),
            frozen_until: AtomicU64::new(0),
            cut_until: AtomicU64::new(0),
            silent_since: AtomicU64::new(NEVER),
        })
    }

    /// Ends it where it stands: it does nothing more.
    pub fn kill(&self) {
        if !self.is_dead() {
            self.silent();
            self.dead.store(true, Ordering::SeqCst);
            self.killed.notify_one();
        }
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Ends when the process has been killed.
    pub async fn killed(&self) {
        if !self.is_dead() {
            self.killed.notified().await;
        }
    }

    /// Stops it for so long, as SIGSTOP does; its clock runs on.
    pub fn freeze(&self, ms: u64) {
        self.silent();
        self.frozen_until.fetch_max(self.time.now_us() + ms * 1000, Ordering::SeqCst);
    }

    /// Cuts it off from the log for so long.
    pub fn cut(&self, ms: u64) {
        self.silent();
        self.cut_until.fetch_max(self.time.now_us() + ms * 1000, Ordering::SeqCst);
    }

    /// Ends everything that keeps it from the log.
    pub fn heal(&self) {
        self.frozen_until.store(0, Ordering::SeqCst);
        self.cut_until.store(0, Ordering::SeqCst);
    }

    fn silent(&self) {
        let now = self.time.now_us();
        if self.heard() {
            self.silent_since.store(now, Ordering::SeqCst);
        }
    }

    fn heard(&self) -> bool {
        let now = self.time.now_us();
        self.silent_since.load(Ordering::SeqCst) == NEVER
            || !self.is_dead() && self.frozen_until.load(Ordering::SeqCst) <= now && self.cut_until.load(Ordering::SeqCst) <= now
    }

    /// For how long the log has heard nothing of it, microseconds.
    pub fn silent_us(&self) -> u64 {
        let since = self.silent_since.load(Ordering::SeqCst);
        if since == NEVER || !self.is_dead() && self.until_heard_us() == 0 {
            return 0;
        }
        self.time.now_us().saturating_sub(since)
    }

    /// How long it stays cut off from the log, microseconds.
    pub fn until_heard_us(&self) -> u64 {
        let until = self.frozen_until.load(Ordering::SeqCst).max(self.cut_until.load(Ordering::SeqCst));
        until.saturating_sub(self.time.now_us())
    }

    /// Whether the log cannot hear it now.
    pub fn is_cut(&self) -> bool {
        self.until_heard_us() > 0
    }

    /// Ends when the process can run.
    pub async fn runs(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let frozen = self.frozen_until.load(Ordering::SeqCst).saturating_sub(self.time.now_us());
            if frozen == 0 {
                return;
            }
            self.time.sleep(Duration::from_micros(frozen)).await;
        }
    }
}

/// The clock of a process.
pub struct SimClock(pub Arc<Process>);

impl Clock for SimClock {
    fn now(&self) -> Instant {
        let skew = self.0.skew_us.load(Ordering::SeqCst);
        Instant::from_micros(wall(self.0.time.now_us()).as_micros().saturating_add(skew))
    }

    fn sleep(&self, how_long: Duration) -> Sleep {
        let process = self.0.clone();
        let wait = process.time.sleep(how_long);
        Box::pin(async move {
            wait.await;
            process.runs().await;
        })
    }
}

//! Slowing down whoever guesses: failures are counted per key (client and name), and beyond a
//! few of them the next attempt has to wait, twice as long each time. Bounded in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Keys remembered at most; beyond it the longest quiet ones are forgotten.
const KEYS_MAX: usize = 4096;

struct Failures {
    count: u32,
    last: Instant,
    until: Option<Instant>,
}

/// Failed attempts per key.
pub struct Lockout<K> {
    free: u32,
    first_wait: Duration,
    wait_max: Duration,
    keys: Mutex<HashMap<K, Failures>>,
}

impl<K: Eq + Hash + Clone> Lockout<K> {
    /// `free` failures cost nothing; each further one makes the key wait, `first_wait` at first,
    /// twice as long every time, never longer than `wait_max`.
    pub fn new(free: u32, first_wait: Duration, wait_max: Duration) -> Self {
        Self { free, first_wait, wait_max, keys: Mutex::new(HashMap::new()) }
    }

    /// How long the key still has to wait; `None`: it may try.
    pub fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let keys = self.keys.lock();
        let until = keys.get(key)?.until?;
        (until > now).then(|| until - now)
    }

    /// An attempt has failed.
    pub fn failed(&self, key: &K, now: Instant) {
        let mut keys = self.keys.lock();
        if keys.len() >= KEYS_MAX && !keys.contains_key(key) {
            let quiet = keys.iter().min_by_key(|(_, f)| f.last).map(|(k, _)| k.clone());
            if let Some(quiet) = quiet {
                keys.remove(&quiet);
            }
        }
        let entry = keys.entry(key.clone()).or_insert(Failures { count: 0, last: now, until: None });
        // A key that has been quiet for the longest wait begins anew.
        if now.saturating_duration_since(entry.last) > self.wait_max {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if entry.count > self.free {
            let doublings = (entry.count - self.free - 1).min(20);
            let wait = self.first_wait.saturating_mul(1 << doublings).min(self.wait_max);
            entry.until = Some(now + wait);
        }
    }

    /// An attempt has succeeded.
    pub fn succeeded(&self, key: &K) {
        self.keys.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let lock = Lockout::new(2, Duration::from_secs(1), Duration::from_secs(60));
        let t0 = Instant::now();
        lock.failed(&1, t0);
        lock.failed(&1, t0);
        assert_eq!(lock.wait(&1, t0), None);
        lock.failed(&1, t0);
        assert_eq!(lock.wait(&1, t0), Some(Duration::from_secs(1)));
        lock.failed(&1, t0);
        lock.failed(&1, t0);
        assert_eq!(lock.wait(&1, t0), Some(Duration::from_secs(4)));
        assert_eq!(lock.wait(&1, t0 + Duration::from_secs(4)), None);
        assert_eq!(lock.wait(&2, t0), None);
        for _ in 0..40 {
            lock.failed(&1, t0);
        }
        assert_eq!(lock.wait(&1, t0), Some(Duration::from_secs(60)));
        lock.succeeded(&1);
        assert_eq!(lock.wait(&1, t0), None);
    }

    #[test]
    fn memory_is_bounded() {
        let lock = Lockout::new(0, Duration::from_secs(1), Duration::from_secs(60));
        let t0 = Instant::now();
        for i in 0..(KEYS_MAX + 100) {
            lock.failed(&i, t0 + Duration::from_millis(i as u64));
        }
        assert_eq!(lock.keys.lock().len(), KEYS_MAX);
    }
}

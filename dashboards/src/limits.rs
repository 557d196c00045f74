//! How fast one account (or, unknown, one address) may call: a bucket of calls that refills
//! steadily. What devices report has its own limit at the edge, by what the log can take.

use std::time::Instant;

use dashmap::DashMap;

/// Callers remembered at most.
const KEYS_MAX: usize = 8192;

/// One kind of calls.
pub struct Rate {
    per_s: f64,
    burst: f64,
    buckets: DashMap<String, (f64, Instant)>,
}

impl Rate {
    /// `burst` calls at once, refilled at `per_s`.
    pub fn new(per_s: f64, burst: f64) -> Self {
        Self { per_s, burst, buckets: DashMap::new() }
    }

    /// Takes one call; else the seconds to wait.
    ///
    /// # Errors
    /// Seconds after which the next call is taken.
    pub fn take(&self, key: &str, now: Instant) -> Result<(), u64> {
        if self.buckets.len() >= KEYS_MAX && !self.buckets.contains_key(key) {
            let full = |left: f64, at: Instant| left + now.saturating_duration_since(at).as_secs_f64() * self.per_s >= self.burst;
            self.buckets.retain(|_, (left, at)| !full(*left, *at));
            if self.buckets.len() >= KEYS_MAX {
                return Err(1);
            }
        }
        let mut bucket = self.buckets.entry(key.to_owned()).or_insert((self.burst, now));
        let (left, at) = *bucket;
        let left = (left + now.saturating_duration_since(at).as_secs_f64() * self.per_s).min(self.burst);
        if left < 1.0 {
            *bucket = (left, now);
            return Err(1);
        }
        *bucket = (left - 1.0, now);
        Ok(())
    }
}

/// The limits of the interface.
pub struct Limits {
    /// Reading: pages with 64 lanes ask for many pictures.
    pub read: Rate,
    /// Writing: a person, or a program that keeps the registry.
    pub write: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read: Rate::new(400.0, 1600.0), write: Rate::new(40.0, 200.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_refills_for_each_caller_alone() {
        let rate = Rate::new(2.0, 3.0);
        let t0 = Instant::now();
        for _ in 0..3 {
            assert_eq!(rate.take("a", t0), Ok(()));
        }
        assert_eq!(rate.take("a", t0), Err(1));
        assert_eq!(rate.take("b", t0), Ok(()));
        assert_eq!(rate.take("a", t0 + Duration::from_millis(500)), Ok(()));
        assert_eq!(rate.take("a", t0 + Duration::from_millis(500)), Err(1));
    }

    #[test]
    fn memory_is_bounded_and_the_quiet_are_forgotten() {
        let rate = Rate::new(1.0, 2.0);
        let t0 = Instant::now();
        for i in 0..KEYS_MAX {
            assert_eq!(rate.take(&i.to_string(), t0), Ok(()));
        }
        assert_eq!(rate.take("one more", t0), Err(1));
        assert_eq!(rate.take("one more", t0 + Duration::from_secs(5)), Ok(()));
    }
}

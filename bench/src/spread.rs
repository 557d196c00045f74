//! Runs of one operation, boiled down.

use std::time::Duration;

use portgate_engine::Timing;

/// Median, 99th percentile and rate of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Median, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// Per second.
    pub per_second: f64,
}

impl Spread {
    /// Of operations done one after the other.
    pub fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort_unstable();
        let at = |share: f64| {
            let place = (runs.len().saturating_sub(1) as f64 * share).round() as usize;
            runs.get(place).map_or(0.0, |d| d.as_secs_f64() * 1e3)
        };
        let total: Duration = runs.iter().sum();
        Self { p50_ms: at(0.5), p99_ms: at(0.99), per_second: rate(runs.len(), total) }
    }

    /// Of several rounds of the same operation, each figure's median: one disturbed round in three
    /// does not show.
    pub fn median(rounds: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(pick).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        Self { p50_ms: of(|s| s.p50_ms), p99_ms: of(|s| s.p99_ms), per_second: of(|s| s.per_second) }
    }
}

impl From<Timing> for Spread {
    fn from(t: Timing) -> Self {
        Self { p50_ms: t.p50_us / 1e3, p99_ms: t.p99_us / 1e3, per_second: t.per_second }
    }
}

/// How many per second, of `n` in `total`.
pub fn rate(n: usize, total: Duration) -> f64 {
    if total.is_zero() {
        0.0
    } else {
        n as f64 / total.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_by_rank() {
        let spread = Spread::of((1..=101).rev().map(Duration::from_millis).collect());
        assert!((spread.p50_ms - 51.0).abs() < 1e-9 && (spread.p99_ms - 100.0).abs() < 1e-9, "{spread:?}");
        assert!((spread.per_second - 101.0 / 5.151).abs() < 1e-6, "{spread:?}");
    }

    #[test]
    fn a_disturbed_round_does_not_show() {
        let round = |ms| Spread { p50_ms: ms, p99_ms: 2.0 * ms, per_second: 1e3 / ms };
        assert_eq!(Spread::median(&[round(1.0), round(90.0), round(2.0)]), round(2.0));
    }
}

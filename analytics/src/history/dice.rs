//! The dice that everything made up follows from.

/// SplitMix64: small, even, and the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    /// With `n` chances in a million.
    pub(super) fn millionths(&mut self, n: u64) -> bool {
        self.below(1_000_000) < n
    }
    /// From `a` to before `b`.
    pub(super) fn between(&mut self, a: i64, b: i64) -> i64 {
        a + i64::try_from(self.below(u64::try_from(b - a).unwrap_or(1))).unwrap_or(0)
    }
    /// 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// About a lognormal: the product of four even factors, median about `m`.
    pub(super) fn skewed(&mut self, m: f64) -> i64 {
        let f: f64 = (0..4).map(|_| 0.6 + 0.9 * self.share()).product();
        (m * f) as i64
    }
    pub(super) fn hex(&mut self, words: usize) -> String {
        (0..words).fold(String::new(), |s, _| format!("{s}{:016x}", self.next()))
    }
}

//! Damaged input for the parsers that face the outside: good examples, bent by a seed. The same seed
//! bends the same way. Shared by path among the crates' tests.

/// How many inputs a target gets: `PORTGATE_FUZZ`, or `usual`.
pub fn inputs(usual: usize) -> usize {
    std::env::var("PORTGATE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Bends examples.
pub struct Mutator(u64);

/// What parsers stumble over.
const ODD: [&[u8]; 28] = [
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\"",
    b"\\",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\t",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0001-01-01T00:00:00Z",
    b"9999-12-31T23:59:60+23:59",
    b"&a *a",
    "\u{202e}\u{0}\u{1F69B}".as_bytes(),
];

impl Mutator {
    /// By a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    /// One of the examples, bent one to five times.
    pub fn bend(&mut self, examples: &[&[u8]]) -> Vec<u8> {
        let mut bytes = examples[self.below(examples.len())].to_vec();
        for _ in 0..=self.below(5) {
            let (a, b) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
            match self.below(8) {
                0 if !bytes.is_empty() => {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1 << self.below(8);
                }
                1 => bytes.truncate(from),
                2 => drop(bytes.drain(from..to)),
                3 => {
                    let again = bytes[from..to].to_vec();
                    bytes.splice(to..to, again);
                }
                4 => {
                    let odd = ODD[self.below(ODD.len())];
                    bytes.splice(from..from, odd.iter().copied());
                }
                5 => {
                    let other = examples[self.below(examples.len())];
                    let cut = self.below(other.len() + 1);
                    bytes.splice(from..to, other[cut..].iter().copied());
                }
                6 => {
                    let odd = ODD[self.below(ODD.len())];
                    bytes.splice(from..to, odd.iter().copied());
                }
                _ => {
                    // Deep or long.
                    let (what, times) = ([b"[".as_slice(), b"{\"a\":", b"- ", b"9", "苏".as_bytes()][self.below(5)], 1 + self.below(600));
                    bytes.splice(from..from, what.repeat(times));
                }
            }
        }
        bytes
    }
}

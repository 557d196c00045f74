//! Which texts a plate of each kind may carry (GA 36-2018).
//!
//! The recogniser only ever emits what this accepts: letters never I; O only directly after the
//! province; at most two letters in the serial of an ordinary plate; 挂学警港澳使领 in their places.

use portgate_core::plate::PlateKind;

use Slot::{Alnum, Digit, Energy, Exact, Letter, Office, Province};

/// The 31 provinces' characters.
pub const PROVINCES: &str = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新";

/// What may stand at one place.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// A province.
    Province,
    /// A letter, or O (older official plates such as 粤O).
    Office,
    /// A letter but I and O.
    Letter,
    /// A digit.
    Digit,
    /// A digit or a letter but I and O.
    Alnum,
    /// The letters that mark new energy.
    Energy,
    /// This character.
    Exact(char),
}

impl Slot {
    fn accepts(self, c: char) -> bool {
        match self {
            Province => PROVINCES.contains(c),
            Office => c == 'O' || Letter.accepts(c),
            Letter => c.is_ascii_uppercase() && c != 'I' && c != 'O',
            Digit => c.is_ascii_digit(),
            Alnum => Digit.accepts(c) || Letter.accepts(c),
            Energy => ('A'..='K').contains(&c) && c != 'I',
            Exact(own) => c == own,
        }
    }
}

/// One layout of text.
struct Pattern {
    slots: &'static [Slot],
    kinds: &'static [PlateKind],
}

/// Letters allowed from the third character on.
const SERIAL_LETTERS_MAX: u8 = 2;
/// The longest text.
pub const CHARACTERS_MAX: usize = 8;

/// All layouts. At most 32 (a bit each).
const PATTERNS: [Pattern; 14] = [
    Pattern {
        slots: &[Province, Office, Alnum, Alnum, Alnum, Alnum, Alnum],
        kinds: &[PlateKind::Blue, PlateKind::Yellow, PlateKind::YellowTwoLine, PlateKind::Temporary],
    },
    Pattern { slots: &[Province, Office, Alnum, Alnum, Alnum, Alnum, Exact('挂')], kinds: &[PlateKind::YellowTwoLine] },
    // Small new energy: a letter, then a digit or letter, then digits.
    Pattern { slots: &[Province, Office, Energy, Alnum, Digit, Digit, Digit, Digit], kinds: &[PlateKind::GreenSmall] },
    Pattern { slots: &[Province, Office, Digit, Digit, Digit, Digit, Digit, Energy], kinds: &[PlateKind::GreenLarge] },
    Pattern { slots: &[Exact('粤'), Exact('Z'), Alnum, Alnum, Alnum, Alnum, Exact('港')], kinds: &[PlateKind::BlackHk] },
    Pattern { slots: &[Exact('粤'), Exact('Z'), Alnum, Alnum, Alnum, Alnum, Exact('澳')], kinds: &[PlateKind::BlackMacao] },
    Pattern { slots: &[Exact('使'), Digit, Digit, Digit, Digit, Digit, Digit], kinds: &[PlateKind::Embassy] },
    Pattern { slots: &[Digit, Digit, Digit, Digit, Digit, Digit, Exact('使')], kinds: &[PlateKind::Embassy] },
    Pattern { slots: &[Province, Office, Digit, Digit, Digit, Digit, Exact('领')], kinds: &[PlateKind::Consular] },
    Pattern { slots: &[Province, Digit, Digit, Digit, Digit, Digit, Exact('领')], kinds: &[PlateKind::Consular] },
    Pattern { slots: &[Province, Office, Alnum, Alnum, Alnum, Alnum, Exact('警')], kinds: &[PlateKind::Police] },
    Pattern { slots: &[Province, Letter, Alnum, Alnum, Alnum, Alnum, Exact('学')], kinds: &[PlateKind::Learner] },
    Pattern { slots: &[Province, Digit, Digit, Alnum, Alnum, Alnum, Alnum, Alnum], kinds: &[PlateKind::Agricultural] },
    // Large learner plates stand on two lines.
    Pattern { slots: &[Province, Letter, Alnum, Alnum, Alnum, Alnum, Exact('学')], kinds: &[PlateKind::YellowTwoLine] },
];

/// Whether plates of this kind carry their text on two lines.
#[must_use]
pub fn is_two_line(kind: PlateKind) -> bool {
    matches!(kind, PlateKind::YellowTwoLine | PlateKind::Agricultural)
}

/// How far a text has come: the layouts it still fits, and its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    patterns: u32,
    length: u8,
    letters: u8,
}

/// The layouts of a set of kinds, against an alphabet.
pub struct Grammar {
    /// `accepts[place][index]`: the layouts in which that character may stand there.
    accepts: Vec<Vec<u32>>,
    letters: Vec<bool>,
    /// For each layout: its length, and the places of its kinds in the list given.
    layouts: Vec<(usize, Vec<usize>)>,
}

impl Grammar {
    /// The grammar over `alphabet` (index 0 is the blank) for the recogniser's `kinds`.
    #[must_use]
    pub fn new(alphabet: &[char], kinds: &[PlateKind]) -> Self {
        let mut accepts = vec![vec![0u32; alphabet.len()]; CHARACTERS_MAX];
        for (p, pattern) in PATTERNS.iter().enumerate() {
            for (row, slot) in accepts.iter_mut().zip(pattern.slots) {
                for (cell, c) in row.iter_mut().zip(alphabet).skip(1) {
                    *cell |= u32::from(slot.accepts(*c)) << p;
                }
            }
        }
        let layouts = PATTERNS
            .iter()
            .map(|p| {
                let of = |k: &PlateKind| kinds.iter().position(|x| x == k);
                (p.slots.len(), p.kinds.iter().filter_map(of).collect())
            })
            .collect();
        let letters = alphabet.iter().map(char::is_ascii_uppercase).collect();
        Self { accepts, letters, layouts }
    }

    /// The start: nothing written, every layout that some kind with `allowed[kind]` uses.
    #[must_use]
    pub fn start(&self, allowed: &[bool]) -> Progress {
        let mut patterns = 0;
        for (p, (_, kinds)) in self.layouts.iter().enumerate() {
            let any = kinds.iter().any(|k| allowed.get(*k).copied().unwrap_or(false));
            patterns |= u32::from(any) << p;
        }
        Progress { patterns, length: 0, letters: 0 }
    }

    /// One more character (an index of the alphabet); `None` where no layout allows it.
    #[must_use]
    pub fn next(&self, at: Progress, index: usize) -> Option<Progress> {
        let row = self.accepts.get(usize::from(at.length))?;
        let patterns = at.patterns & row.get(index)?;
        let letter = at.length >= 2 && self.letters.get(index).copied().unwrap_or(false);
        let letters = at.letters + u8::from(letter);
        (patterns != 0 && letters <= SERIAL_LETTERS_MAX).then_some(Progress { patterns, length: at.length + 1, letters })
    }

    /// The kinds (places in the list given) for which the text is whole; each once.
    pub fn complete(&self, at: Progress) -> impl Iterator<Item = usize> + '_ {
        let mut seen = 0u64;
        self.layouts
            .iter()
            .enumerate()
            .filter(move |(p, (length, _))| at.patterns >> p & 1 == 1 && *length == usize::from(at.length))
            .flat_map(|(_, (_, kinds))| kinds.iter().copied())
            .filter(move |k| {
                let new = seen >> k & 1 == 0;
                seen |= 1 << k;
                new
            })
    }

    /// Whether a whole text is lawful for some allowed kind.
    #[must_use]
    pub fn accepts(&self, text: &[u8], allowed: &[bool]) -> bool {
        let mut at = self.start(allowed);
        for index in text {
            match self.next(at, usize::from(*index)) {
                Some(next) => at = next,
                None => return false,
            }
        }
        self.complete(at).any(|k| allowed.get(k).copied().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHABET: &str =
        "-京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新0123456789ABCDEFGHJKLMNPQRSTUVWXYZO港澳学警挂领使I";

    fn kinds_of(text: &str) -> Vec<PlateKind> {
        let kinds = [
            PlateKind::Blue,
            PlateKind::Yellow,
            PlateKind::YellowTwoLine,
            PlateKind::GreenSmall,
            PlateKind::GreenLarge,
            PlateKind::BlackHk,
            PlateKind::BlackMacao,
            PlateKind::Embassy,
            PlateKind::Consular,
            PlateKind::Police,
            PlateKind::Learner,
            PlateKind::Agricultural,
        ];
        let alphabet: Vec<char> = ALPHABET.chars().collect();
        let grammar = Grammar::new(&alphabet, &kinds);
        let mut at = grammar.start(&[true; 12]);
        for c in text.chars() {
            let index = alphabet.iter().position(|a| *a == c).unwrap();
            match grammar.next(at, index) {
                Some(next) => at = next,
                None => return vec![],
            }
        }
        grammar.complete(at).map(|k| kinds[k]).collect()
    }

    #[test]
    fn each_kind_has_its_texts() {
        use PlateKind::*;
        for (text, kinds) in [
            ("苏G12345", vec![Blue, Yellow, YellowTwoLine]),
            ("苏GA2B45", vec![Blue, Yellow, YellowTwoLine]),
            ("粤OA0001", vec![Blue, Yellow, YellowTwoLine]),
            ("苏G1234挂", vec![YellowTwoLine]),
            ("苏GD12345", vec![GreenSmall]),
            ("苏GDA2345", vec![GreenSmall]),
            ("苏G12345F", vec![GreenLarge]),
            ("粤Z1234港", vec![BlackHk]),
            ("粤ZAB12澳", vec![BlackMacao]),
            ("使123456", vec![Embassy]),
            ("123456使", vec![Embassy]),
            ("沪A0023领", vec![Consular]),
            ("沪12345领", vec![Consular]),
            ("苏G1234警", vec![Police]),
            ("苏G1234学", vec![Learner, YellowTwoLine]),
            ("苏0712345", vec![Agricultural]),
        ] {
            assert_eq!(kinds_of(text), kinds, "{text}");
        }
    }

    #[test]
    fn nothing_unlawful_is_whole() {
        for text in [
            "苏GI2345",
            "苏G1O345",
            "苏IA2345",
            "苏GABC45",
            "苏G1234",
            "苏G123456",
            "G12345苏",
            "苏G123挂4",
            "京Z1234港",
            "粤A1234港",
            "苏G1警345",
            "使12345",
            "苏GDAB345",
            "苏GL12345",
            "",
            "1234567",
        ] {
            assert_eq!(kinds_of(text), vec![], "{text}");
        }
    }

    #[test]
    fn the_recognisers_alphabet_holds_no_i() {
        // The I above is there only to be refused.
        assert!(!ALPHABET.trim_end_matches('I').contains('I'));
    }
}

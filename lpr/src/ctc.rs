//! From the recogniser's columns to a lawful text with honest confidences.
//!
//! The network answers, per column of the plate, with a distribution over the alphabet and a blank
//! (CTC). [`decode`] finds the most probable text among those the grammar accepts, weighing each
//! by the network's opinion of the plate's kind, and then asks for each character: summed over all
//! alignments, how probable is the text with this character against the same text with any other,
//! or with none? Unlawful alternatives count against it too: where the network would rather read
//! something the grammar forbids, the confidence is low instead of a guess being forced.

use crate::grammar::{Grammar, Progress, CHARACTERS_MAX};

/// Prefixes kept per column.
const BEAM_WIDTH: usize = 20;
/// A character less probable than this in a column is not followed there.
const FLOOR: f64 = 1e-7;
/// At most so many characters are followed in a column.
const FOLLOWED_MAX: usize = 16;
/// Texts taken from each look into the choice between all looks' texts.
const CANDIDATES_MAX: usize = 4;
/// Kinds less probable than this are not considered.
const KIND_FLOOR: f64 = 1e-4;
/// Alternatives given per character.
const ALTERNATIVES_MAX: usize = 3;
/// Alternatives less probable than this are not given.
const ALTERNATIVE_MIN: f64 = 0.001;

/// Distributions over the alphabet, one per column; index 0 is the blank.
pub struct Columns {
    values: Vec<f64>,
    classes: usize,
}

impl Columns {
    /// From logits, column by column, `classes` each, by softmax at a temperature (1: as trained;
    /// above: less sure).
    #[must_use]
    pub fn from_logits(logits: &[f32], classes: usize, temperature: f64) -> Self {
        let mut values = Vec::with_capacity(logits.len());
        for column in logits.chunks_exact(classes.max(1)) {
            values.extend(softmax(column, temperature));
        }
        Self { values, classes: classes.max(1) }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &[f64]> + ExactSizeIterator {
        self.values.chunks_exact(self.classes)
    }

    fn len(&self) -> usize {
        self.values.len() / self.classes
    }
}

/// Softmax; a value that is not finite gives even probabilities.
#[must_use]
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut values: Vec<f64> = logits.iter().map(|v| (f64::from(v - top) / temperature).exp()).collect();
    let sum: f64 = values.iter().sum();
    if sum.is_finite() && sum > 0.0 {
        values.iter_mut().for_each(|v| *v /= sum);
    } else {
        let even = 1.0 / values.len().max(1) as f64;
        values.iter_mut().for_each(|v| *v = even);
    }
    values
}

/// One character of a decoded text.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedCharacter {
    /// Index in the alphabet.
    pub index: u8,
    /// Probability that it is right, 0 to 1.
    pub confidence: f64,
    /// The next best lawful characters at this place, best first.
    pub alternatives: Vec<(u8, f64)>,
}

/// The best lawful text.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Its characters.
    pub characters: Vec<DecodedCharacter>,
    /// The plate's kind: place in the list the grammar was made with.
    pub kind: usize,
    /// Probability of the text over all alignments times that of the kinds it fits: to compare
    /// different crops of one plate with.
    pub score: f64,
}

impl Decoded {
    /// The plate's confidence: the minimum over its characters.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.characters.iter().map(|c| c.confidence).fold(1.0, f64::min)
    }
}

/// A text in the beam: its probability ending in a blank and ending in its last character.
#[derive(Clone, Copy)]
struct Prefix {
    text: [u8; CHARACTERS_MAX],
    at: Progress,
    length: usize,
    blank: f64,
    character: f64,
}

impl Prefix {
    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or(&self.text)
    }
    fn last(&self) -> Option<u8> {
        self.text().last().copied()
    }
    fn total(&self) -> f64 {
        self.blank + self.character
    }
}

/// What the network said about one view of a plate.
pub struct Look {
    /// Its characters, column by column.
    pub columns: Columns,
    /// Its distribution over the grammar's kinds.
    pub kinds: Vec<f64>,
}

/// The best text the grammar accepts for the allowed kinds, by all looks at one plate together;
/// `None` where none has any probability.
///
/// Each look has an equal say, in the text and in every confidence: looks that differ leave a low
/// one. `allowed`: which of the grammar's kinds the layout (one line or two) can be.
#[must_use]
pub fn decode(looks: &[Look], grammar: &Grammar, allowed: &[bool]) -> Option<Decoded> {
    let mut kinds = vec![0.0; allowed.len()];
    for look in looks {
        kinds.iter_mut().zip(&look.kinds).for_each(|(sum, p)| *sum += p / looks.len() as f64);
    }
    let considered: Vec<bool> = kinds.iter().zip(allowed).map(|(p, allowed)| *allowed && *p >= KIND_FLOOR).collect();
    let fits = |at: Progress| -> Vec<usize> { grammar.complete(at).filter(|k| considered.get(*k).copied().unwrap_or(false)).collect() };
    let of = |k: &usize| kinds.get(*k).copied().unwrap_or(0.0);
    let mass = |at: Progress| fits(at).iter().map(of).sum::<f64>();
    let mut candidates: Vec<Prefix> = Vec::new();
    for look in looks {
        let mut beam = search(&look.columns, grammar, &considered);
        let worth = |p: &Prefix| p.total() * mass(p.at);
        beam.retain(|p| worth(p) > 0.0);
        beam.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        for prefix in beam.into_iter().take(CANDIDATES_MAX) {
            if !candidates.iter().any(|c| c.text() == prefix.text()) {
                candidates.push(prefix);
            }
        }
    }
    let mean = |of: &dyn Fn(&Columns) -> f64| looks.iter().map(|l| of(&l.columns)).sum::<f64>() / looks.len().max(1) as f64;
    let (score, prefix) = candidates
        .iter()
        .map(|p| (mean(&|columns| probability(columns, p.text())) * mass(p.at), p))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.0)?;
    let fitting = fits(prefix.at);
    let kind = fitting.iter().copied().max_by(|a, b| of(a).total_cmp(&of(b)))?;

    let text = prefix.text();
    let mut characters = confidences(looks, text, |changed| grammar.accepts(changed, &considered));
    // What the characters' own alternatives do not show caps them all: another length, and a kind
    // that does not go with the text.
    let length = mean(&|columns| other_length(columns, text));
    let kind_mass: f64 = fitting.iter().map(of).sum::<f64>();
    let cap = length.min(kind_mass);
    for c in &mut characters {
        c.confidence = c.confidence.min(cap);
    }
    Some(Decoded { characters, kind, score })
}

/// Prefix beam search over the texts the grammar allows.
fn search(columns: &Columns, grammar: &Grammar, allowed: &[bool]) -> Vec<Prefix> {
    let mut beam = vec![Prefix { text: [0; CHARACTERS_MAX], at: grammar.start(allowed), length: 0, blank: 1.0, character: 0.0 }];
    let mut next: Vec<Prefix> = Vec::new();
    for column in columns.iter() {
        let of = |index: usize| column.get(index).copied().unwrap_or(0.0);
        let followed = followed(column);
        next.clear();
        next.extend(beam.iter().map(|p| Prefix {
            blank: p.total() * of(0),
            character: p.character * p.last().map_or(0.0, |l| of(usize::from(l))),
            ..*p
        }));
        let stays = next.len();
        for p in &beam {
            for index in &followed {
                let Some(at) = grammar.next(p.at, usize::from(*index)) else { continue };
                let mut longer = Prefix { at, length: p.length + 1, blank: 0.0, ..*p };
                let Some(place) = longer.text.get_mut(p.length) else { continue };
                *place = *index;
                let from = if p.last() == Some(*index) { p.blank } else { p.total() };
                longer.character = from * of(usize::from(*index));
                // Two prefixes grow into different texts: only one that stays can be the same.
                let same = next.iter_mut().take(stays);
                match same.into_iter().find(|s| s.length == longer.length && s.text == longer.text) {
                    Some(s) => s.character += longer.character,
                    None => next.push(longer),
                }
            }
        }
        let better = |a: &Prefix, b: &Prefix| b.total().total_cmp(&a.total()).then_with(|| a.text.cmp(&b.text));
        if next.len() > BEAM_WIDTH {
            next.select_nth_unstable_by(BEAM_WIDTH, better);
            next.truncate(BEAM_WIDTH);
        }
        next.sort_by(better);
        std::mem::swap(&mut beam, &mut next);
    }
    beam
}

/// The characters worth following in a column.
fn followed(column: &[f64]) -> Vec<u8> {
    let mut best: Vec<(u8, f64)> =
        column.iter().enumerate().skip(1).filter(|(_, p)| **p >= FLOOR).filter_map(|(i, p)| Some((u8::try_from(i).ok()?, *p))).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(FOLLOWED_MAX);
    best.into_iter().map(|(i, _)| i).collect()
}

/// For each cut `t` of the columns: the probability that those before `t` spell `text`, ending in
/// its last character, or in a blank (or nothing at all).
fn spelled(columns: &Columns, text: &[u8]) -> Vec<(f64, f64)> {
    spell(columns.iter(), text)
}

/// As [`spelled`], for the columns from `t` on: beginning with the first character, or a blank.
fn spelled_back(columns: &Columns, text: &[u8]) -> Vec<(f64, f64)> {
    let reversed: Vec<u8> = text.iter().rev().copied().collect();
    let mut cuts = spell(columns.iter().rev(), &reversed);
    cuts.reverse();
    cuts
}

fn spell<'a>(columns: impl Iterator<Item = &'a [f64]>, text: &[u8]) -> Vec<(f64, f64)> {
    // states[k]: the first k characters are written; (ends in character, ends in blank).
    let mut states = vec![(0.0, 0.0); text.len() + 1];
    if let Some(first) = states.first_mut() {
        first.1 = 1.0;
    }
    let end = |s: &[(f64, f64)]| s.last().copied().unwrap_or((0.0, 0.0));
    let mut cuts = vec![end(&states)];
    for column in columns {
        let blank = column.first().copied().unwrap_or(0.0);
        let before = states.clone();
        for (k, state) in states.iter_mut().enumerate() {
            let (own_character, own_blank) = before.get(k).copied().unwrap_or((0.0, 0.0));
            state.1 = (own_character + own_blank) * blank;
            state.0 = 0.0;
            let Some(k1) = k.checked_sub(1) else { continue };
            let Some(c) = text.get(k1) else { continue };
            let p = column.get(usize::from(*c)).copied().unwrap_or(0.0);
            let (character, after_blank) = before.get(k1).copied().unwrap_or((0.0, 0.0));
            let same = k1.checked_sub(1).and_then(|j| text.get(j)) == Some(c);
            let from = if same { after_blank } else { character + after_blank };
            state.0 = (own_character + from) * p;
        }
        cuts.push(end(&states));
    }
    cuts
}

/// The probability of exactly this text, over all alignments.
fn probability(columns: &Columns, text: &[u8]) -> f64 {
    spelled(columns, text).last().map_or(0.0, |(a, b)| a + b)
}

/// For each character its share against every other character (and none) at its place, the mean
/// over the looks.
fn confidences(looks: &[Look], text: &[u8], lawful: impl Fn(&[u8]) -> bool) -> Vec<DecodedCharacter> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = text.to_vec();
    for (i, own) in text.iter().enumerate() {
        let classes = looks.first().map_or(0, |l| l.columns.classes);
        let mut mean = vec![0.0; classes];
        for look in looks {
            let own = shares(&look.columns, text, i);
            mean.iter_mut().zip(own).for_each(|(sum, share)| *sum += share / looks.len() as f64);
        }
        let mut alternatives: Vec<(u8, f64)> = mean
            .iter()
            .enumerate()
            .filter_map(|(c, p)| Some((u8::try_from(c).ok()?, *p)))
            .filter(|(c, p)| c != own && *p >= ALTERNATIVE_MIN)
            .collect();
        alternatives.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        alternatives.retain(|(c, _)| {
            if let Some(place) = changed.get_mut(i) {
                *place = *c;
            }
            lawful(&changed)
        });
        alternatives.truncate(ALTERNATIVES_MAX);
        if let Some(place) = changed.get_mut(i) {
            *place = *own;
        }
        let confidence = mean.get(usize::from(*own)).copied().unwrap_or(0.0);
        out.push(DecodedCharacter { index: *own, confidence, alternatives });
    }
    out
}

/// The share of every character at place `i` of the text, against each other and against none.
fn shares(columns: &Columns, text: &[u8], i: usize) -> Vec<f64> {
    let (left, rest) = text.split_at(i);
    let right = rest.get(1..).unwrap_or(&[]);
    let before = spelled(columns, left);
    let after = spelled_back(columns, right);
    let weight = |c: u8| -> f64 {
        let (mut run, mut sum) = (0.0, 0.0);
        let cuts = before.iter().zip(columns.iter()).zip(after.iter().skip(1));
        for (((character, blank), column), (after_character, after_blank)) in cuts {
            let from = if left.last() == Some(&c) { *blank } else { character + blank };
            run = (run + from) * column.get(usize::from(c)).copied().unwrap_or(0.0);
            let to = if right.first() == Some(&c) { *after_blank } else { after_character + after_blank };
            sum += run * to;
        }
        sum
    };
    let mut weights: Vec<f64> = (0..columns.classes).map(|c| if c == 0 { 0.0 } else { u8::try_from(c).map_or(0.0, weight) }).collect();
    let without: Vec<u8> = left.iter().chain(right).copied().collect();
    let all: f64 = weights.iter().sum::<f64>() + probability(columns, &without);
    weights.iter_mut().for_each(|w| *w = if all > 0.0 { *w / all } else { 0.0 });
    weights
}

/// 1, or less where the network by itself reads a text of another length: that text's share
/// against this one, taken away.
fn other_length(columns: &Columns, text: &[u8]) -> f64 {
    let mut free: Vec<u8> = Vec::with_capacity(columns.len());
    let mut last = 0;
    for column in columns.iter() {
        let best = column.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
        if best != 0 && best != last {
            free.push(u8::try_from(best).unwrap_or(0));
        }
        last = best;
    }
    if free.len() == text.len() {
        return 1.0;
    }
    let (own, other) = (probability(columns, text), probability(columns, &free));
    if own + other > 0.0 {
        own / (own + other)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portgate_core::plate::PlateKind;

    const ALPHABET: &str =
        "-京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新0123456789ABCDEFGHJKLMNPQRSTUVWXYZO港澳学警挂领使";
    const KINDS: [PlateKind; 3] = [PlateKind::Blue, PlateKind::YellowTwoLine, PlateKind::GreenSmall];

    fn alphabet() -> Vec<char> {
        ALPHABET.chars().collect()
    }

    /// Columns that spell `text` (`_`: a blank), each character with probability `p`; `second`
    /// gives what stands behind it in a column.
    fn columns(text: &str, p: f64, second: &[(usize, char)]) -> Columns {
        let alphabet = alphabet();
        let index = |c: char| if c == '_' { 0 } else { alphabet.iter().position(|a| *a == c).unwrap() };
        let mut values = Vec::new();
        for (t, c) in text.chars().enumerate() {
            let mut column = vec![1e-9; alphabet.len()];
            column[index(c)] = p;
            let other = second.iter().find(|(at, _)| *at == t).map_or(0, |(_, c)| index(*c));
            column[other] += 1.0 - p;
            values.extend(column);
        }
        Columns { values, classes: alphabet.len() }
    }

    fn look(columns: &Columns, kinds: &[f64]) -> Look {
        Look { columns: Columns { values: columns.values.clone(), classes: columns.classes }, kinds: kinds.to_vec() }
    }

    fn read(columns: &Columns, kinds: &[f64]) -> Option<(String, Decoded)> {
        read_looks(&[look(columns, kinds)])
    }

    fn read_looks(looks: &[Look]) -> Option<(String, Decoded)> {
        let grammar = Grammar::new(&alphabet(), &KINDS);
        let decoded = decode(looks, &grammar, &[true; 3])?;
        let text = decoded.characters.iter().map(|c| alphabet()[usize::from(c.index)]).collect();
        Some((text, decoded))
    }

    #[test]
    fn reads_repeats_and_merges_runs() {
        let c = columns("_苏苏_G_1_1_22_3_4__", 0.99, &[]);
        let (text, d) = read(&c, &[0.9, 0.05, 0.05]).unwrap();
        assert_eq!(text, "苏G11234");
        assert_eq!(d.kind, 0);
        // Every column is right with 0.99; no confidence can be beyond that by much or far below.
        assert!(d.confidence() > 0.94 && d.confidence() <= 1.0, "{}", d.confidence());
    }

    #[test]
    fn a_doubtful_character_is_the_plates_confidence_and_shows_its_alternative() {
        let c = columns("苏_G_1_2_3_4_8_", 0.6, &[(12, 'B'), (0, '皖')]);
        // Only columns 0 and 12 have a rival character; the others' rest is blank.
        let (text, d) = read(&c, &[1.0, 0.0, 0.0]).unwrap();
        assert_eq!(text, "苏G12348");
        let last = d.characters.last().unwrap();
        assert_eq!(alphabet()[usize::from(last.alternatives[0].0)], 'B');
        assert!((last.confidence + last.alternatives[0].1 - 1.0).abs() < 0.02);
        assert!(d.confidence() <= last.confidence);
    }

    #[test]
    fn an_unlawful_text_is_never_emitted_and_its_lawful_neighbour_is_not_trusted() {
        // The network sees an O in the serial, and a zero behind it.
        let c = columns("苏_G_1_O_3_4_5_", 0.9, &[(6, '0')]);
        let (text, d) = read(&c, &[1.0, 0.0, 0.0]).unwrap();
        assert_eq!(text, "苏G10345");
        assert!(d.confidence() < 0.2, "{}", d.confidence());
        assert!(d.characters[3].alternatives.is_empty(), "O is not lawful there");
    }

    #[test]
    fn three_letters_in_a_serial_become_two() {
        let c = columns("苏_G_A_B_8_4_5_", 0.7, &[(8, 'B')]);
        let (text, _) = read(&c, &[1.0, 0.0, 0.0]).unwrap();
        assert_eq!(text, "苏GAB845");
        let c = columns("苏_G_A_B_D_4_5_", 0.7, &[(8, '0')]);
        let (text, d) = read(&c, &[1.0, 0.0, 0.0]).unwrap();
        assert_eq!(text, "苏GAB045");
        assert!(d.confidence() < 0.5);
    }

    #[test]
    fn kind_and_length_decide_together() {
        let c = columns("苏_G_D_1_2_3_4_5_", 0.95, &[]);
        let (text, d) = read(&c, &[0.3, 0.0, 0.7]).unwrap();
        assert_eq!((text.as_str(), d.kind), ("苏GD12345", 2));
        assert!(d.confidence() <= 0.7, "a doubtful kind is a doubtful read");
        let c = columns("苏_G_1_2_3_4_挂_", 0.95, &[]);
        assert_eq!(read(&c, &[0.5, 0.5, 0.0]).unwrap().1.kind, 1);
    }

    #[test]
    fn a_text_too_long_for_its_kind_is_not_trusted() {
        let c = columns("苏_G_1_1_2_3_4_5_", 0.95, &[]);
        // Eight characters that fit no eight-character kind: some seven remain, without trust.
        if let Some((text, d)) = read(&c, &[1.0, 0.0, 0.0]) {
            assert_eq!(text.chars().count(), 7);
            assert!(d.confidence() < 0.3, "{}", d.confidence());
        }
    }

    #[test]
    fn nothing_to_read_gives_nothing_or_no_confidence() {
        let blanks = columns("_____________________", 0.999, &[]);
        assert!(read(&blanks, &[1.0, 0.0, 0.0]).is_none_or(|(_, d)| d.confidence() < 0.05));
        let even = Columns::from_logits(&vec![0.0; 21 * 76], 76, 1.0);
        assert!(read(&even, &[0.4, 0.3, 0.3]).is_none_or(|(_, d)| d.confidence() < 0.3));
        let broken = Columns::from_logits(&vec![f32::NAN; 21 * 76], 76, 1.0);
        assert!(read(&broken, &[0.4, 0.3, 0.3]).is_none_or(|(_, d)| d.confidence() < 0.3));
    }

    #[test]
    fn looks_that_differ_decide_together_and_leave_doubt() {
        let kinds = [1.0, 0.0, 0.0];
        let (v, n) = (columns("苏_E_V_0_8_0_1_", 0.95, &[]), columns("苏__E_N_0_8_0_1", 0.95, &[]));
        let (text, two_to_one) = read_looks(&[look(&n, &kinds), look(&v, &kinds), look(&v, &kinds)]).unwrap();
        assert_eq!(text, "苏EV0801");
        let (place, doubted) = two_to_one.characters.iter().enumerate().min_by(|a, b| a.1.confidence.total_cmp(&b.1.confidence)).unwrap();
        assert_eq!((place, alphabet()[usize::from(doubted.alternatives[0].0)]), (2, 'N'));
        assert!((0.6..0.7).contains(&doubted.confidence), "two of three: {}", doubted.confidence);
        let (_, agreed) = read_looks(&[look(&v, &kinds), look(&v, &kinds)]).unwrap();
        let (_, alone) = read(&v, &kinds).unwrap();
        assert!((agreed.confidence() - alone.confidence()).abs() < 1e-9);
        assert!(read_looks(&[]).is_none());
    }

    /// The shares at one place, computed by brute force over all alignments of a short text.
    #[test]
    fn confidences_agree_with_enumeration() {
        let classes = 4;
        let logits: Vec<f32> = (0..5 * classes).map(|i| ((i * 7919) % 13) as f32 / 5.0).collect();
        let columns = Columns::from_logits(&logits, classes, 1.0);
        let of = |want: &[u8]| -> f64 {
            let mut sum = 0.0;
            for path in 0..classes.pow(5) {
                let (mut text, mut last, mut p, mut rest) = (vec![], 0, 1.0, path);
                for column in columns.iter() {
                    let c = rest % classes;
                    rest /= classes;
                    p *= column[c];
                    if c != 0 && c != last {
                        text.push(c as u8);
                    }
                    last = c;
                }
                if text == want {
                    sum += p;
                }
            }
            sum
        };
        for text in [[1u8, 2], [2, 2], [3, 1]] {
            assert!((probability(&columns, &text) - of(&text)).abs() < 1e-12);
            let got = confidences(&[look(&columns, &[])], &text, |_| true);
            for i in 0..2 {
                let mut all = of(&[text[1 - i]]);
                for c in 1..4u8 {
                    let mut t = text;
                    t[i] = c;
                    all += of(&t);
                }
                assert!((got[i].confidence - of(&text) / all).abs() < 1e-12);
            }
        }
    }
}

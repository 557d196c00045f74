//! Many reads of one plate into one: weighed by sharpness and by each character's confidence.

use std::collections::BTreeMap;

use crate::reading::{CharacterReading, PlateReading};

/// Different texts remembered for one plate; the lightest go first.
const TEXTS_MAX: usize = 16;
/// A plate this wide in pixels carries all its detail.
const WIDTH_FULL_PX: f64 = 160.0;
/// Alternatives kept per character.
const ALTERNATIVES_MAX: usize = 3;

/// All that was read for one text.
#[derive(Clone, Debug)]
struct Text {
    weight: f64,
    /// Per character: the weight of the frames that read it so.
    characters: Vec<f64>,
    frames: u32,
    /// The reading of each character that was surest.
    surest: Vec<CharacterReading>,
    /// The sharpest reading and the frame it is from.
    best: PlateReading,
    best_quality: f64,
    frame_id: String,
}

/// The votes on one plate.
#[derive(Clone, Debug, Default)]
pub struct Votes {
    texts: BTreeMap<String, Text>,
}

/// What the votes say.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The text with its fused confidences; corners and sharpness of the evidence frame.
    pub reading: PlateReading,
    /// Frames that read exactly this text.
    pub frames: u32,
    /// The sharpest of them: the evidence.
    pub frame_id: String,
}

/// How much a picture of a plate is worth: its sharpness, less where it is small.
fn quality(reading: &PlateReading) -> f64 {
    let width = crate::geometry::Quad(reading.corners).width();
    reading.sharpness.max(0.01) * (width / WIDTH_FULL_PX).clamp(0.05, 1.0)
}

impl Votes {
    /// Counts one frame's reading.
    pub fn add(&mut self, reading: &PlateReading, frame_id: &str) {
        let quality = quality(reading);
        match self.texts.get_mut(&reading.text) {
            Some(text) => {
                text.weight += quality * reading.confidence;
                text.frames = text.frames.saturating_add(1);
                for (weight, c) in text.characters.iter_mut().zip(&reading.characters) {
                    *weight += quality * c.confidence;
                }
                for (own, c) in text.surest.iter_mut().zip(&reading.characters) {
                    if c.confidence > own.confidence {
                        *own = c.clone();
                    }
                }
                if quality > text.best_quality {
                    text.best_quality = quality;
                    text.best = reading.clone();
                    text.frame_id = frame_id.to_owned();
                }
            }
            None => {
                self.make_room();
                let text = Text {
                    weight: quality * reading.confidence,
                    characters: reading.characters.iter().map(|c| quality * c.confidence).collect(),
                    frames: 1,
                    surest: reading.characters.clone(),
                    best: reading.clone(),
                    best_quality: quality,
                    frame_id: frame_id.to_owned(),
                };
                self.texts.insert(reading.text.clone(), text);
            }
        }
    }

    fn make_room(&mut self) {
        if self.texts.len() < TEXTS_MAX {
            return;
        }
        let lightest = self.texts.iter().min_by(|a, b| a.1.weight.total_cmp(&b.1.weight));
        if let Some(text) = lightest.map(|(text, _)| text.clone()) {
            self.texts.remove(&text);
        }
    }

    /// The text with the most weight; each character as sure as in its surest frame, less by the
    /// share of the votes that read something else there. `None` before the first vote.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let (winner, text) = self.texts.iter().max_by(|a, b| a.1.weight.total_cmp(&b.1.weight).then(b.0.cmp(a.0)))?;
        let length = text.surest.len();
        let characters: Vec<CharacterReading> = text
            .surest
            .iter()
            .enumerate()
            .map(|(i, surest)| {
                // What each character gathered here; a text of another length disagrees everywhere.
                let mut votes: BTreeMap<Option<char>, f64> = BTreeMap::new();
                for other in self.texts.values() {
                    let (c, weight) = if other.surest.len() == length {
                        (other.surest.get(i).map(|c| c.char), other.characters.get(i).copied())
                    } else {
                        (None, Some(other.weight))
                    };
                    *votes.entry(c).or_default() += weight.unwrap_or(0.0);
                }
                let all: f64 = votes.values().sum();
                let share = |c: Option<char>| {
                    if all > 0.0 {
                        votes.get(&c).copied().unwrap_or(0.0) / all
                    } else {
                        1.0
                    }
                };
                let confidence = surest.confidence * share(Some(surest.char));
                let mut alternatives = surest.alternatives.clone();
                for c in votes.keys().flatten().filter(|c| **c != surest.char) {
                    match alternatives.iter_mut().find(|(a, _)| a == c) {
                        Some((_, p)) => *p = p.max(share(Some(*c))),
                        None => alternatives.push((*c, share(Some(*c)))),
                    }
                }
                alternatives.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                alternatives.truncate(ALTERNATIVES_MAX);
                CharacterReading { char: surest.char, confidence, alternatives }
            })
            .collect();
        let confidence = characters.iter().map(|c| c.confidence).fold(1.0, f64::min);
        let reading = PlateReading { text: winner.clone(), confidence, characters, ..text.best.clone() };
        Some(Verdict { reading, frames: text.frames, frame_id: text.frame_id.clone() })
    }
}

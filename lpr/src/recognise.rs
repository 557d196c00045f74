//! Reads one plate that was found: rectify, run the recogniser, decode by the grammar.

use std::sync::Arc;

use crate::ctc::{decode, softmax, Columns, Decoded};
use crate::decode::Pixels;
use crate::detect::Detection;
use crate::error::LprError;
use crate::geometry::Quad;
use crate::models::Models;
use crate::reading::{CharacterReading, PlateReading};
use crate::rectify::crop;

/// Below this probability a layout (one line or two) is not tried.
const LAYOUT_MIN: f64 = 0.1;
/// A read whose mean character confidence is lower is taken for something that is no plate.
const LEGIBLE_MIN: f64 = 0.35;

/// A reading with the score that crops of one plate are compared by.
pub(crate) struct Scored {
    pub reading: PlateReading,
    pub score: f64,
}

/// Reads the plate of a detection, in the layout (or both) the detector holds possible.
pub(crate) fn recognise(models: &Models, model: &Arc<str>, pixels: &Pixels, found: &Detection) -> Result<Option<Scored>, LprError> {
    let mut best: Option<Scored> = None;
    for (two_line, probability) in [(false, 1.0 - found.two_line), (true, found.two_line)] {
        if probability < LAYOUT_MIN {
            continue;
        }
        let read = read_at(models, model, pixels, &found.corners, two_line, found.score)?;
        best = better(best, read);
    }
    Ok(best)
}

/// The better scored of two.
pub(crate) fn better(a: Option<Scored>, b: Option<Scored>) -> Option<Scored> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.score > a.score { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Reads what stands between these corners as a plate of one line or two.
pub(crate) fn read_at(
    models: &Models,
    model: &Arc<str>,
    pixels: &Pixels,
    corners: &Quad,
    two_line: bool,
    detection: f64,
) -> Result<Option<Scored>, LprError> {
    let Some(crop) = crop(models, pixels, corners, two_line)? else { return Ok(None) };
    let shape = &models.recogniser_shape;
    let (characters, kinds) = models.recognise(crop.input)?;
    let columns = Columns::from_logits(&characters, shape.alphabet.len(), shape.temperature);
    let [one_line_kinds, two_line_kinds] = &shape.allowed;
    let allowed = if two_line { two_line_kinds } else { one_line_kinds };
    let decoded = decode(&columns, &softmax(&kinds, shape.temperature), &models.grammar, allowed);
    Ok(decoded.and_then(|d| reading(models, model, &d, corners, crop.sharpness, detection)))
}

fn reading(models: &Models, model: &Arc<str>, decoded: &Decoded, corners: &Quad, sharpness: f64, detection: f64) -> Option<Scored> {
    let shape = &models.recogniser_shape;
    let char_of = |index: &u8| shape.alphabet.get(usize::from(*index)).copied();
    let characters: Vec<CharacterReading> = decoded
        .characters
        .iter()
        .map(|c| {
            let other = |(index, p): &(u8, f64)| Some((char_of(index)?, *p));
            Some(CharacterReading {
                char: char_of(&c.index)?,
                confidence: c.confidence,
                alternatives: c.alternatives.iter().filter_map(other).collect(),
            })
        })
        .collect::<Option<_>>()?;
    let mean = characters.iter().map(|c| c.confidence).sum::<f64>() / characters.len().max(1) as f64;
    (mean >= LEGIBLE_MIN).then_some(())?;
    Some(Scored {
        score: decoded.score,
        reading: PlateReading {
            text: characters.iter().map(|c| c.char).collect(),
            kind: *shape.kinds.get(decoded.kind)?,
            confidence: decoded.confidence(),
            characters,
            corners: corners.0,
            sharpness,
            detection,
            model: model.clone(),
        },
    })
}

//! Reads one plate that was found: rectify, run the recogniser, decode by the grammar.

use std::sync::Arc;

use portgate_core::plate::PlateKind;

use crate::ctc::{decode, softmax, Columns, Look};
use crate::decode::Pixels;
use crate::detect::Detection;
use crate::error::LprError;
use crate::geometry::{project, unit_to_quad, Quad};
use crate::models::Models;
use crate::reading::{CharacterReading, PlateReading};
use crate::rectify::crop;

/// Below this probability a layout (one line or two) is not tried.
const LAYOUT_MIN: f64 = 0.1;
/// A read this sure in the likelier layout is not compared with one in the other.
const DOUBTLESS: f64 = 0.98;
/// A read whose mean character confidence is lower is taken for something that is no plate.
const LEGIBLE_MIN: f64 = 0.35;
/// Further cuts through an unsure plate, in fractions of it: wider, narrower, and leaning each way
/// by less than the detector errs.
const CUTS: [[[f64; 2]; 4]; 4] = [
    [[-0.01, -0.07], [1.01, -0.07], [1.01, 1.07], [-0.01, 1.07]],
    [[0.01, 0.05], [0.99, 0.05], [0.99, 0.95], [0.01, 0.95]],
    [[0.0, -0.06], [1.0, 0.06], [1.0, 1.06], [0.0, 0.94]],
    [[0.0, 0.06], [1.0, -0.06], [1.0, 0.94], [0.0, 1.06]],
];
/// Cuts through a plate whose sides lean: the upper edge shifted against the lower, or one side
/// against the other.
const LEANS: [[[f64; 2]; 4]; 6] = [
    [[-0.09, 0.0], [0.91, 0.0], [1.09, 1.0], [0.09, 1.0]],
    [[0.09, 0.0], [1.09, 0.0], [0.91, 1.0], [-0.09, 1.0]],
    [[-0.05, 0.0], [0.95, 0.0], [1.05, 1.0], [0.05, 1.0]],
    [[0.05, 0.0], [1.05, 0.0], [0.95, 1.0], [-0.05, 1.0]],
    [[0.0, -0.15], [1.0, 0.15], [1.0, 1.15], [0.0, 0.85]],
    [[0.0, 0.15], [1.0, -0.15], [1.0, 0.85], [0.0, 1.15]],
];

/// A reading with the score that crops of one plate are compared by, and the look it comes from.
pub(crate) struct Scored {
    pub reading: PlateReading,
    pub score: f64,
    two_line: bool,
    look: Look,
}

/// Reads the plate of a detection in the layout the detector holds likelier, and in the other one
/// where that is possible and the first read leaves a doubt.
pub(crate) fn recognise(models: &Models, model: &Arc<str>, pixels: &Pixels, found: &Detection) -> Result<Option<Scored>, LprError> {
    let mut best: Option<Scored> = None;
    let likelier = found.two_line > 0.5;
    for two_line in [likelier, !likelier] {
        let probability = if two_line { found.two_line } else { 1.0 - found.two_line };
        if probability < LAYOUT_MIN || best.as_ref().is_some_and(|b| b.reading.confidence >= DOUBTLESS) {
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
    let Some((look, sharpness)) = look(models, pixels, corners, two_line)? else { return Ok(None) };
    let looks = [look];
    let read = decoded(models, &looks, two_line);
    let [look] = looks;
    Ok(read.map(|(characters, kind, score)| Scored {
        reading: PlateReading {
            text: characters.iter().map(|c| c.char).collect(),
            kind,
            confidence: lowest(&characters),
            characters,
            corners: corners.0,
            sharpness,
            detection,
            model: model.clone(),
        },
        score,
        two_line,
        look,
    }))
}

/// Reads the same plate through slightly other cuts too and lets all of them decide together.
///
/// What a cut's error made is outvoted, and what only one cut shows loses its confidence.
pub(crate) fn settle(models: &Models, pixels: &Pixels, mut read: Scored) -> Result<Scored, LprError> {
    let mut looks = vec![read.look];
    for quad in cuts(&Quad(read.reading.corners), &CUTS) {
        looks.extend(look(models, pixels, &quad, read.two_line)?.map(|(look, _)| look));
    }
    if let Some((characters, kind, score)) = decoded(models, &looks, read.two_line) {
        read.reading.text = characters.iter().map(|c| c.char).collect();
        read.reading.kind = kind;
        read.reading.confidence = lowest(&characters);
        read.reading.characters = characters;
        read.score = score;
    }
    read.look = looks.swap_remove(0);
    Ok(read)
}

/// The best read of a plate whose sides lean more than its corners say, as those of a plate seen
/// from the side and turned do.
pub(crate) fn leaning(
    models: &Models,
    model: &Arc<str>,
    pixels: &Pixels,
    read: Option<Scored>,
    found: &Detection,
) -> Result<Option<Scored>, LprError> {
    let two_line = read.as_ref().map_or(found.two_line > 0.5, |r| r.two_line);
    let mut best = read;
    for quad in cuts(&found.corners, &LEANS) {
        best = better(best, read_at(models, model, pixels, &quad, two_line, found.score)?);
    }
    Ok(best)
}

/// Quadrilaterals in fractions of this one.
pub(crate) fn cuts<'a>(corners: &Quad, cuts: &'a [[[f64; 2]; 4]]) -> impl Iterator<Item = Quad> + 'a {
    let to_picture = unit_to_quad(corners);
    cuts.iter().filter_map(move |cut| to_picture.map(|m| Quad(*cut).map(|p| project(&m, p))))
}

/// What the network says about one cut, and how sharp it is.
fn look(models: &Models, pixels: &Pixels, corners: &Quad, two_line: bool) -> Result<Option<(Look, f64)>, LprError> {
    let Some(crop) = crop(models, pixels, corners, two_line)? else { return Ok(None) };
    let shape = &models.recogniser_shape;
    let (characters, kinds) = models.recognise(crop.input)?;
    let columns = Columns::from_logits(&characters, shape.alphabet.len(), shape.temperature);
    Ok(Some((Look { columns, kinds: softmax(&kinds, shape.temperature) }, crop.sharpness)))
}

/// The characters, the kind and the score of the text that looks at one plate give together;
/// `None` where it is no plate.
fn decoded(models: &Models, looks: &[Look], two_line: bool) -> Option<(Vec<CharacterReading>, PlateKind, f64)> {
    let shape = &models.recogniser_shape;
    let [one_line_kinds, two_line_kinds] = &shape.allowed;
    let decoded = decode(looks, &models.grammar, if two_line { two_line_kinds } else { one_line_kinds })?;
    let char_of = |index: &u8| shape.alphabet.get(usize::from(*index)).copied();
    let characters: Vec<CharacterReading> = decoded
        .characters
        .iter()
        .map(|c| {
            let other = |(index, p): &(u8, f64)| Some((char_of(index)?, *p));
            Some(CharacterReading {
                char: char_of(&c.index)?,
                confidence: at_odds(c.confidence, shape.confidence_odds),
                alternatives: c.alternatives.iter().filter_map(other).collect(),
            })
        })
        .collect::<Option<_>>()?;
    let mean = characters.iter().map(|c| c.confidence).sum::<f64>() / characters.len().max(1) as f64;
    (mean >= LEGIBLE_MIN).then_some(())?;
    Some((characters, *shape.kinds.get(decoded.kind)?, decoded.score))
}

/// A probability, its odds multiplied.
fn at_odds(p: f64, factor: f64) -> f64 {
    let odds = factor * p;
    odds / (1.0 - p + odds).max(f64::MIN_POSITIVE)
}

fn lowest(characters: &[CharacterReading]) -> f64 {
    characters.iter().map(|c| c.confidence).fold(1.0, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_multiplied_and_certainty_stays() {
        assert!((at_odds(0.85, 1.588) - 0.9).abs() < 1e-4);
        assert_eq!((at_odds(0.0, 1.588), at_odds(1.0, 1.588), at_odds(0.7, 1.0)), (0.0, 1.0, 0.7));
    }
}

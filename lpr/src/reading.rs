//! What recognition says of a plate, and its shapes on the topic and on the command line.

use std::sync::Arc;

use portgate_core::plate::PlateKind;
use portgate_core::read::{PlateRead, ReadCharacter};
use serde::Serialize;

/// One character as read.
#[derive(Clone, Debug, PartialEq)]
pub struct CharacterReading {
    /// The character.
    pub char: char,
    /// Probability that it is right, 0 to 1.
    pub confidence: f64,
    /// The next best lawful characters at this place, best first.
    pub alternatives: Vec<(char, f64)>,
}

/// One plate as read from one picture, or voted over many.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateReading {
    /// The text; lawful for its kind.
    pub text: String,
    /// Layout and colour class.
    pub kind: PlateKind,
    /// The minimum over the characters.
    pub confidence: f64,
    /// Each character.
    pub characters: Vec<CharacterReading>,
    /// Corners in pixels of the upright picture: top left, top right, bottom right, bottom left.
    pub corners: [[f64; 2]; 4],
    /// How sharp the plate stands in this picture, 0 to 1; to compare pictures of one plate with.
    pub sharpness: f64,
    /// How sure the detector is that it is a plate, 0 to 1.
    pub detection: f64,
    /// Which models read it ([`crate::models::Models::id`]).
    pub model: Arc<str>,
}

impl PlateReading {
    /// Takes confidence beyond this away from the plate and its characters.
    pub(crate) fn limit(&mut self, most: f64) {
        self.confidence = self.confidence.min(most);
        self.characters.iter_mut().for_each(|c| c.confidence = c.confidence.min(most));
    }

    /// The colour word registry records use.
    #[must_use]
    pub fn colour(&self) -> &'static str {
        self.kind.colour()
    }

    /// As it stands on `portgate.reads`.
    #[must_use]
    pub fn to_read(&self, settled: Option<bool>) -> PlateRead {
        let character = |c: &CharacterReading| ReadCharacter {
            char: c.char.to_string(),
            confidence: round(c.confidence),
            alternatives: c.alternatives.iter().map(|(c, p)| (c.to_string(), round(*p))).collect(),
        };
        PlateRead {
            text: self.text.clone(),
            confidence: round(self.confidence),
            colour: Some(self.colour().to_owned()),
            kind: Some(self.kind),
            characters: self.characters.iter().map(character).collect(),
            corners: Some(self.corners.map(|p| p.map(tenth))),
            settled,
            model: Some(self.model.to_string()),
        }
    }
}

/// Four decimals, downwards: a confidence is never rounded over a threshold.
fn round(p: f64) -> f64 {
    (p * 1e4).floor() / 1e4
}

fn tenth(v: f64) -> f64 {
    (v * 10.0).round() / 10.0
}

/// One line of `portgate read`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum ReadLine {
    /// The picture was read.
    Read {
        /// The picture's path as given.
        file: String,
        /// The most confident plate first; empty: none.
        plates: Vec<PlateLine>,
        /// Decoding, finding and reading together.
        elapsed_ms: f64,
    },
    /// The picture could not be read.
    Failed {
        /// The picture's path as given.
        file: String,
        /// Why.
        error: String,
    },
}

/// One plate in a [`ReadLine`].
#[derive(Clone, Debug, Serialize)]
pub struct PlateLine {
    /// The text.
    pub text: String,
    /// Layout and colour class.
    pub kind: PlateKind,
    /// The minimum over the characters.
    pub confidence: f64,
    /// Each character.
    pub characters: Vec<CharacterLine>,
    /// Corners in pixels.
    pub corners: [[f64; 2]; 4],
}

/// One character in a [`PlateLine`].
#[derive(Clone, Debug, Serialize)]
pub struct CharacterLine {
    /// The character.
    pub char: char,
    /// Probability that it is right.
    pub confidence: f64,
}

impl From<&PlateReading> for PlateLine {
    fn from(r: &PlateReading) -> Self {
        Self {
            text: r.text.clone(),
            kind: r.kind,
            confidence: round(r.confidence),
            characters: r.characters.iter().map(|c| CharacterLine { char: c.char, confidence: round(c.confidence) }).collect(),
            corners: r.corners.map(|p| p.map(tenth)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_contracts_keys() {
        let reading = PlateReading {
            text: "苏G12345".into(),
            kind: PlateKind::YellowTwoLine,
            confidence: 0.899_99,
            characters: vec![CharacterReading { char: '苏', confidence: 0.899_99, alternatives: vec![('皖', 0.1)] }],
            corners: [[1.04, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]],
            sharpness: 0.5,
            detection: 0.9,
            model: "0123456789abcdef".into(),
        };
        let line = ReadLine::Read { file: "a.jpg".into(), plates: vec![(&reading).into()], elapsed_ms: 1.5 };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"file":"a.jpg","plates":[{"text":"苏G12345","kind":"yellow_two_line","confidence":0.8999,"characters":[{"char":"苏","confidence":0.8999}],"corners":[[1.0,2.0],[3.0,2.0],[3.0,4.0],[1.0,4.0]]}],"elapsed_ms":1.5}"#
        );
        let read = reading.to_read(Some(true));
        assert_eq!(read.colour.as_deref(), Some("yellow"));
        assert!(read.confidence < 0.9, "never rounded over a threshold");
        assert_eq!(read.characters[0].alternatives, vec![("皖".to_owned(), 0.1)]);
    }
}

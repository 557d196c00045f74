//! Plates: the one normal form, colours and kinds (GA 36-2018).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Brings a plate text of a read or a manual entry to the form records use: the separators
/// (U+00B7 and its look-alikes), hyphens and blanks removed, upper case (decision-table 7.1).
/// Equality afterwards is exact; a similar plate is another plate.
pub fn normalise(text: &str) -> String {
    if text.chars().all(plain) {
        return text.to_owned();
    }
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '\u{b7}' | '\u{2022}' | '\u{30fb}' | '\u{2027}' | '-'))
        .flat_map(char::to_uppercase)
        .collect()
}

/// Whether a plate is written as [`normalise`] writes it, and not empty.
pub fn is_normal(plate: &str) -> bool {
    !plate.is_empty() && (plate.chars().all(plain) || normalise(plate) == plate)
}

/// Characters that stay as they are, and which most plates consist of.
fn plain(c: char) -> bool {
    matches!(c, 'A'..='Z' | '0'..='9' | '\u{4e00}'..='\u{9fff}')
}

/// What a plate is by layout and colour; the recogniser's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlateKind {
    /// Small vehicles: white on blue, one line, 7 characters.
    Blue,
    /// Large vehicles, front: black on yellow, one line, 7 characters.
    Yellow,
    /// Large vehicles' rear and trailers (挂): black on yellow, two lines.
    YellowTwoLine,
    /// Small new-energy vehicles: black on green, 8 characters.
    GreenSmall,
    /// Large new-energy vehicles: black on yellow-green, 8 characters.
    GreenLarge,
    /// 粤Z…港: white on black.
    BlackHk,
    /// 粤Z…澳: white on black.
    BlackMacao,
    /// 使: white on black.
    Embassy,
    /// 领: white on black.
    Consular,
    /// 警: black and red on white.
    Police,
    /// 学: black on yellow.
    Learner,
    /// Agricultural machines: white on green, two lines.
    Agricultural,
    /// Temporary paper plates.
    Temporary,
}

impl PlateKind {
    /// The colour word registry records use (`plate_colour`).
    pub fn colour(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Yellow | Self::YellowTwoLine | Self::Learner => "yellow",
            Self::GreenSmall | Self::Agricultural => "green",
            Self::GreenLarge => "yellow-green",
            Self::BlackHk | Self::BlackMacao | Self::Embassy | Self::Consular => "black",
            Self::Police | Self::Temporary => "white",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_case_go_and_nothing_else() {
        assert_eq!(normalise(" 苏g·12 345"), "苏G12345");
        assert_eq!(normalise("苏G12346"), "苏G12346");
        assert_ne!(normalise("苏G1234O"), normalise("苏G12340"));
        for plate in ["苏G12345", "粤ZA123港", "", "苏g12345", "苏G·12345", "苏G 1234", "ß12", "Ä12", "é12"] {
            assert_eq!(is_normal(plate), !plate.is_empty() && normalise(plate) == plate, "{plate}");
        }
    }
}

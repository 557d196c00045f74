//! Plates handed over already cut out. The drawn plates in `pictures/` are invented.

use std::path::Path;
use std::sync::Arc;

use portgate_lpr::{Models, Recogniser};

/// Cut by its corners the plate's two M's stand a column apart and run into one, so that in its own layout it is
/// no lawful text. Read as one line it is 川N75811, with no confidence; once that stood in its place.
#[test]
fn a_plate_of_two_lines_that_its_first_cut_does_not_show_is_not_given_up_for_one_line() {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/two-line.jpg");
    let recogniser = Recogniser::new(Arc::new(Models::built_in().unwrap()));
    let plates = recogniser.read_crop(&std::fs::read(picture).unwrap()).unwrap();
    let texts: Vec<&str> = plates.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["甘FMM58挂"]);
}

//! How well plates are read, on labelled pictures.
//!
//! A set is a folder with a `labels.tsv` (or whose parent has one with rows `SET/file`), with the
//! columns `file`, `plate` and, where known, `colour` and `mark_x0_y0_x1_y1`. A folder whose name
//! begins with `no-plate` needs none: nothing may be read there. Pictures no larger than a cut-out
//! plate are read as one plate from edge to edge.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use portgate_core::plate::normalise;
use serde::Serialize;

use crate::error::LprError;
use crate::files::{load, pictures};
use crate::geometry::{Bounds, Quad};
use crate::pipeline::Recogniser;
use crate::reading::PlateReading;
use crate::sniff::sniff;
use crate::track::differing;

pub mod sheet;

/// Confidence from which a read would be acted on.
const SURE: f64 = 0.9;
/// A read that differs from the label in more characters is another plate's.
const SAME_PLATE_MAX: usize = 3;
/// Pictures within this size are cut-out plates, pixels.
const CROP_MAX: (u32, u32) = (260, 110);
/// Lower edges of the classes of confidence that calibration is counted in.
const CONFIDENCES: [f64; 8] = [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];
/// Lower edges of the classes of width (the label's mark), pixels of the whole picture.
const WIDTHS: [u32; 8] = [0, 60, 80, 100, 150, 200, 300, 400];
/// Provinces printed in a line.
const PROVINCES_A_LINE: usize = 8;
/// The standard normal's 97.5th percentile, for 95 % intervals.
const Z95: f64 = 1.959_964;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ratio {
    /// How many.
    pub of: u64,
    /// Out of how many.
    pub all: u64,
}

impl Ratio {
    fn count(&mut self, hit: bool) {
        self.of += u64::from(hit);
        self.all += 1;
    }

    /// The share; `None` out of none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.all > 0).then(|| self.of as f64 / self.all as f64)
    }

    /// Wilson's interval at 95 %.
    #[must_use]
    pub fn wilson(&self) -> Option<(f64, f64)> {
        let p = self.share()?;
        let n = self.all as f64;
        let z2 = Z95 * Z95;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        Some(((centre - half).max(0.0), (centre + half).min(1.0)))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.share(), self.wilson()) {
            (Some(p), Some((low, high))) => {
                write!(f, "{p:.4} ({}/{}, 95 %: {low:.3} to {high:.3})", self.of, self.all)
            }
            _ => f.write_str("–"),
        }
    }
}

/// Figures over one set.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SetReport {
    /// The folder.
    pub set: String,
    /// The labelled plate is among those read.
    pub plates: Ratio,
    /// The same, by the label's colour.
    pub by_colour: BTreeMap<String, Ratio>,
    /// The same, by the label's first character: the province, on nearly every plate.
    pub by_province: BTreeMap<String, Ratio>,
    /// The province's character of the nearest read.
    pub province: Ratio,
    /// What follows it.
    pub serial: Ratio,
    /// A plate was read where the label says (or at all, where it says no place).
    pub found: Ratio,
    /// Wrong characters (edit distance of the nearest read, all where there is none) and all.
    pub character_errors: Ratio,
    /// Reads as sure as to be acted on that are wrong, of all such reads of labelled pictures.
    pub sure_and_wrong: Ratio,
    /// Right reads that are sure.
    pub right_and_sure: Ratio,
    /// How often reads of a confidence are right, by the lower edges [`CONFIDENCES`].
    pub calibration: [Ratio; CONFIDENCES.len()],
    /// Plates found, by the width of the label's mark, by the lower edges [`WIDTHS`].
    pub found_by_width: BTreeMap<u32, Ratio>,
    /// Pictures without a plate in which something was read.
    pub false_plates: Ratio,
    /// Pictures that could not be read.
    pub unreadable: u64,
    /// Milliseconds a picture: median, 99th percentile.
    pub elapsed_ms: (f64, f64),
    /// Pictures whose plate is not among those read (or that should have none).
    #[serde(skip)]
    pub failures: Vec<Failure>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A picture not read as its label says.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The picture.
    pub file: PathBuf,
    /// What the label says; `None`: no plate.
    pub label: Option<String>,
    /// The read that comes nearest.
    pub read: Option<PlateReading>,
}

impl Failure {
    /// The picture's name without its folders.
    #[must_use]
    pub fn name(&self) -> String {
        self.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl fmt::Display for SetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.set)?;
        if self.plates.all > 0 {
            writeln!(f, "  plates            {}", self.plates)?;
            for (colour, ratio) in &self.by_colour {
                writeln!(f, "    {colour:<16}{ratio}")?;
            }
            let provinces: Vec<String> = self.by_province.iter().map(|(p, r)| format!("{p} {}/{}", r.of, r.all)).collect();
            for (i, line) in provinces.chunks(PROVINCES_A_LINE).enumerate() {
                writeln!(f, "  {:<18}{}", if i == 0 { "by province" } else { "" }, line.join("  "))?;
            }
            writeln!(f, "  province          {}", self.province)?;
            writeln!(f, "  serial            {}", self.serial)?;
            writeln!(f, "  found             {}", self.found)?;
            writeln!(f, "  character errors  {}", self.character_errors)?;
            writeln!(f, "  sure and wrong    {}", self.sure_and_wrong)?;
            writeln!(f, "  right and sure    {}", self.right_and_sure)?;
            for (from, ratio) in CONFIDENCES.iter().zip(&self.calibration).filter(|(_, r)| r.all > 0) {
                writeln!(f, "    from {from:<11}{ratio}")?;
            }
            for (width, ratio) in &self.found_by_width {
                writeln!(f, "    from {:<11}{ratio} found", format!("{width} px"))?;
            }
        }
        if let Some(share) = self.false_plates.share() {
            writeln!(f, "  false plates      {}, {:.0} in 1000 pictures", self.false_plates, 1e3 * share)?;
        }
        if self.unreadable > 0 {
            writeln!(f, "  unreadable        {}", self.unreadable)?;
        }
        write!(f, "  time              {:.1} ms (p99 {:.1} ms)", self.elapsed_ms.0, self.elapsed_ms.1)
    }
}

/// One labelled picture.
struct Label {
    file: PathBuf,
    /// Normalised; `None`: there is no plate.
    plate: Option<String>,
    colour: String,
    mark: Option<Bounds>,
}

/// Reads every labelled picture of a set and counts.
///
/// # Errors
/// [`LprError::Labels`] naming file and line; errors of the recogniser itself. Pictures that cannot
/// be read are counted.
pub fn evaluate(recogniser: &Recogniser, set: &Path) -> Result<SetReport, LprError> {
    let labels = labels(set)?;
    let mut report = SetReport { set: set.to_string_lossy().into_owned(), ..SetReport::default() };
    let mut times = Vec::with_capacity(labels.len());
    for label in &labels {
        let start = Instant::now();
        let read = load(&label.file).ok().map(|bytes| {
            let crop = sniff(&bytes).is_ok_and(|i| i.width <= CROP_MAX.0 && i.height <= CROP_MAX.1);
            if crop {
                recogniser.read_crop(&bytes)
            } else {
                recogniser.read_picture(&bytes)
            }
        });
        let plates = match read {
            Some(Ok(plates)) => plates,
            Some(Err(e)) if !e.is_picture() => return Err(e),
            _ => {
                report.unreadable += 1;
                Vec::new()
            }
        };
        times.push(start.elapsed().as_secs_f64() * 1e3);
        count(&mut report, label, &plates);
    }
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get(((times.len() as f64 * q) as usize).min(times.len().saturating_sub(1))).copied();
    report.elapsed_ms = (at(0.5).unwrap_or(0.0), at(0.99).unwrap_or(0.0));
    Ok(report)
}

fn count(report: &mut SetReport, label: &Label, plates: &[PlateReading]) {
    let failure = |read: Option<&PlateReading>| Failure { file: label.file.clone(), label: label.plate.clone(), read: read.cloned() };
    let Some(truth) = &label.plate else {
        report.false_plates.count(!plates.is_empty());
        if !plates.is_empty() {
            report.failures.push(failure(plates.first()));
        }
        return;
    };
    // The read that comes nearest: a scene may hold other plates than the labelled one.
    let nearest = plates.iter().min_by_key(|p| differing(&p.text, truth));
    let right = nearest.is_some_and(|p| p.text == *truth);
    report.plates.count(right);
    if !label.colour.is_empty() {
        report.by_colour.entry(label.colour.clone()).or_default().count(right);
    }
    let split = |text: &str| -> (String, String) { (text.chars().take(1).collect(), text.chars().skip(1).collect()) };
    let (province, serial) = split(truth);
    let (read_province, read_serial) = nearest.map(|p| split(&p.text)).unwrap_or_default();
    report.by_province.entry(province.clone()).or_default().count(right);
    report.province.count(province == read_province);
    report.serial.count(serial == read_serial);
    let there = |p: &PlateReading| label.mark.is_none_or(|m| m.contains(Quad(p.corners).centre()));
    let found = plates.iter().any(there);
    report.found.count(found);
    if let Some(m) = label.mark {
        let class = WIDTHS.iter().rev().find(|w| m.x1 - m.x0 >= f64::from(**w)).copied().unwrap_or(0);
        report.found_by_width.entry(class).or_default().count(found);
    }
    let length = truth.chars().count() as u64;
    let wrong = nearest.map_or(length, |p| (differing(&p.text, truth) as u64).min(length));
    report.character_errors.of += wrong;
    report.character_errors.all += length;
    // Beyond that it is another plate of the scene, rightly or wrongly read.
    if let Some(p) = nearest.filter(|p| differing(&p.text, truth) <= SAME_PLATE_MAX) {
        let class = CONFIDENCES.iter().rposition(|from| p.confidence >= *from);
        if let Some(ratio) = class.and_then(|c| report.calibration.get_mut(c)) {
            ratio.count(right);
        }
        if p.confidence >= SURE {
            report.sure_and_wrong.count(!right);
        }
        if right {
            report.right_and_sure.count(p.confidence >= SURE);
        }
    }
    if !right {
        report.failures.push(failure(nearest));
    }
}

fn labels(set: &Path) -> Result<Vec<Label>, LprError> {
    let name = set.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if name.starts_with("no-plate") {
        let none = |file| Label { file, plate: None, colour: String::new(), mark: None };
        return Ok(pictures(&[set.to_owned()]).into_iter().map(none).collect());
    }
    let own = set.join("labels.tsv");
    let (table, folder, prefix) = if own.is_file() {
        (own, set.to_owned(), String::new())
    } else {
        let parent = set.parent().unwrap_or(Path::new("."));
        (parent.join("labels.tsv"), parent.to_owned(), format!("{name}/"))
    };
    let wrong = |reason: String| LprError::Labels { path: table.clone(), reason };
    let text = std::fs::read_to_string(&table).map_err(|e| wrong(format!("{e}; a labelled folder has a labels.tsv in it or beside it")))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let column = |name: &str| header.iter().position(|h| *h == name);
    let (Some(file), Some(plate)) = (column("file"), column("plate")) else {
        return Err(wrong("line 1: the columns `file` and `plate` are needed, separated by tabs".into()));
    };
    let (colour, mark) = (column("colour"), column("mark_x0_y0_x1_y1"));
    let mut out = Vec::new();
    for (i, line) in lines.enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", |c| c.trim());
        if !cell(Some(file)).starts_with(&prefix) {
            continue;
        }
        let (name, text) = (cell(Some(file)), normalise(cell(Some(plate))));
        if name.is_empty() || text.is_empty() {
            return Err(wrong(format!("line {}: file or plate is missing", i + 2)));
        }
        let numbers: Option<Vec<f64>> = cell(mark).split_whitespace().map(|v| v.parse().ok()).collect();
        let mark = match numbers.as_deref() {
            Some([]) => None,
            Some([x0, y0, x1, y1]) => Some(Bounds { x0: *x0, y0: *y0, x1: *x1, y1: *y1 }),
            _ => return Err(wrong(format!("line {}: the mark must be four numbers: x0 y0 x1 y1", i + 2))),
        };
        let colour = cell(colour).to_owned();
        out.push(Label { file: folder.join(name), plate: Some(text), colour, mark });
    }
    if out.is_empty() {
        return Err(wrong(format!("no row for {}", set.display())));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_interval() {
        let (low, high) = Ratio { of: 98, all: 100 }.wilson().unwrap();
        assert!((low - 0.930).abs() < 0.001 && (high - 0.9945).abs() < 0.001, "{low} {high}");
        assert_eq!(Ratio::default().wilson(), None);
        assert_eq!(Ratio { of: 5, all: 5 }.wilson().unwrap().1, 1.0);
    }

    #[test]
    fn labels_name_the_line_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("lane");
        std::fs::create_dir(&set).unwrap();
        let table = folder.path().join("labels.tsv");
        let write = |text: &str| std::fs::write(&table, text).unwrap();
        let reason = || labels(&set).map(|l| l.len()).map_err(|e| e.to_string());

        assert!(reason().unwrap_err().contains("labels.tsv"));
        write("file\tplate\tcolour\tmark_x0_y0_x1_y1\nlane/a.jpg\t苏G·12345\tblue\t1 2 3 4\nother/b.jpg\t苏G12345\t\t\n");
        assert_eq!(reason(), Ok(1));
        assert_eq!(labels(&set).unwrap()[0].plate.as_deref(), Some("苏G12345"));
        write("file\tplate\tmark_x0_y0_x1_y1\nlane/a.jpg\t苏G12345\t1 2 3\n");
        assert!(reason().unwrap_err().contains("line 2"));
        write("file\tnumber\n");
        assert!(reason().unwrap_err().contains("`plate`"));
        write("file\tplate\nother/b.jpg\t苏G12345\n");
        assert!(reason().unwrap_err().contains("no row"));
    }

    #[test]
    fn counts_what_is_right_and_how() {
        let reading = |text: &str, confidence| PlateReading {
            text: text.into(),
            kind: portgate_core::plate::PlateKind::Blue,
            confidence,
            characters: vec![],
            corners: Quad::upright(10.0, 10.0, 50.0, 20.0).0,
            sharpness: 0.5,
            detection: 0.9,
            model: "m".into(),
        };
        let label = |plate: Option<&str>| Label {
            file: "a.jpg".into(),
            plate: plate.map(str::to_owned),
            colour: "blue".into(),
            mark: Some(Bounds { x0: 0.0, y0: 0.0, x1: 60.0, y1: 30.0 }),
        };
        let mut report = SetReport::default();
        count(&mut report, &label(Some("苏G12345")), &[reading("鲁A00000", 0.99), reading("苏G12345", 0.95)]);
        count(&mut report, &label(Some("苏G12345")), &[reading("皖G12345", 0.92)]);
        count(&mut report, &label(Some("苏G12345")), &[]);
        count(&mut report, &label(None), &[reading("苏G12345", 0.5)]);
        assert_eq!(report.plates, Ratio { of: 1, all: 3 });
        assert_eq!(report.province, Ratio { of: 1, all: 3 });
        assert_eq!(report.by_province.get("苏"), Some(&Ratio { of: 1, all: 3 }));
        assert!(report.to_string().contains("by province       苏 1/3"), "{report}");
        assert_eq!(report.serial, Ratio { of: 2, all: 3 });
        assert_eq!(report.found, Ratio { of: 2, all: 3 });
        assert_eq!(report.character_errors, Ratio { of: 8, all: 21 });
        assert_eq!(report.sure_and_wrong, Ratio { of: 1, all: 2 });
        assert_eq!(report.right_and_sure, Ratio { of: 1, all: 1 });
        assert_eq!(report.false_plates, Ratio { of: 1, all: 1 });
        assert_eq!(report.failures.len(), 3);
        assert_eq!(report.failures[0].name(), "a.jpg");
        assert_eq!(report.calibration[4], Ratio { of: 0, all: 1 }, "0.92, wrong");
        assert_eq!(report.calibration[5], Ratio { of: 1, all: 1 }, "0.95, right");
        assert_eq!(report.found_by_width.get(&60), Some(&Ratio { of: 2, all: 3 }));
    }
}

//! What was measured: the table people read, and the file programs read.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::machine;
use crate::spread::Spread;

/// One figure and what stands beside it.
#[derive(Debug, Serialize)]
struct Figure {
    figure: String,
    unit: &'static str,
    value: f64,
    compared_with: Option<String>,
    compared_value: Option<f64>,
    /// `value / compared_value`.
    ratio: Option<f64>,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    revision: String,
    machine: String,
    /// Of the last minute, before and after the run.
    load_average: [f64; 2],
    remarks: Vec<String>,
    figures: Vec<Figure>,
    #[serde(skip)]
    peak_mib: f64,
}

impl Report {
    /// An empty report about this machine, with data in `dir`.
    pub fn new(dir: &Path) -> Self {
        let load = machine::load();
        Self {
            revision: machine::revision(),
            machine: machine::line(dir),
            load_average: [load, load],
            remarks: Vec::new(),
            figures: Vec::new(),
            peak_mib: 0.0,
        }
    }

    /// Says something that belongs to the figures.
    pub fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        eprintln!("bench: {remark}");
        self.remarks.push(remark);
    }

    /// Adds a figure that stands alone.
    pub fn add(&mut self, figure: impl Into<String>, unit: &'static str, value: f64) {
        let value = rounded(value);
        self.figures.push(Figure { figure: figure.into(), unit, value, compared_with: None, compared_value: None, ratio: None });
    }

    /// Adds a figure beside another of the same run.
    pub fn beside(&mut self, figure: impl Into<String>, unit: &'static str, value: f64, with: impl Into<String>, other: f64) {
        self.figures.push(Figure {
            figure: figure.into(),
            unit,
            value: rounded(value),
            compared_with: Some(with.into()),
            compared_value: Some(rounded(other)),
            ratio: (other > 0.0).then(|| rounded(value / other)),
        });
    }

    /// Adds median and 99th percentile beside another's.
    pub fn latency(&mut self, figure: &str, value: &Spread, with: &str, other: &Spread) {
        self.beside(format!("{figure}, p50"), "ms", value.p50_ms, format!("{with}, p50"), other.p50_ms);
        self.beside(format!("{figure}, p99"), "ms", value.p99_ms, format!("{with}, p99"), other.p99_ms);
    }

    /// Says what part begins, and begins a new peak of memory.
    pub fn begin(&self, part: &str) {
        eprintln!("bench: {part}");
        machine::reset_peak();
    }

    /// Adds the peak of memory since [`Self::begin`].
    pub fn memory(&mut self, part: &str) {
        if let Some(mib) = machine::peak_mib() {
            self.peak_mib = self.peak_mib.max(mib);
            self.add(format!("peak memory, {part}"), "MiB", mib);
        }
    }

    /// Adds what is known only at the end, prints the table, and writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, to: &Path) -> anyhow::Result<()> {
        self.add("peak memory, whole run", "MiB", self.peak_mib);
        self.load_average[1] = machine::load();
        let [before, after] = self.load_average;
        if before > machine::cores() as f64 / 2.0 {
            self.remark(format!(
                "other programs ran at the same time (load average {before} before, {after} after, on {} cores): \
                 times are longer than on an idle machine, above all the 99th percentiles; ratios of one run hold better",
                machine::cores()
            ));
        }
        print!("{}", self.table());
        std::fs::write(to, serde_json::to_string_pretty(&self)? + "\n").with_context(|| format!("writing {}", to.display()))?;
        eprintln!("bench: written to {}", to.display());
        Ok(())
    }

    fn table(&self) -> String {
        let rows = self.figures.iter().map(|f| {
            let with = f.compared_with.as_ref().zip(f.compared_value).map(|(with, value)| format!("{with}: {value}"));
            [
                f.figure.clone(),
                format!("{} {}", f.value, f.unit),
                f.ratio.map_or_else(String::new, |r| format!("× {r}")),
                with.unwrap_or_default(),
            ]
        });
        let rows: Vec<[String; 4]> =
            std::iter::once(["figure", "value", "ratio", "compared with"].map(str::to_owned)).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let (figure, value, ratio) = (width(0), width(1), width(2));
        let mut out = format!("\nrevision {}; {}\n\n", self.revision, self.machine);
        for [f, v, r, with] in &rows {
            let line = format!("{f:figure$}  {v:>value$}  {r:>ratio$}  {with}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Four significant digits; whole numbers beyond that stay whole.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 9);
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_to_what_they_say() {
        let rounds = [(0.012_345_6, 0.012_35), (12.345_6, 12.35), (123_456.7, 123_457.0), (0.0, 0.0), (f64::NAN, 0.0)];
        for (value, expected) in rounds {
            assert!((rounded(value) - expected).abs() < 1e-12, "{value}: {}", rounded(value));
        }
    }

    #[test]
    fn a_ratio_is_of_the_figure_to_the_other() {
        let mut report = Report::new(Path::new("."));
        report.beside("line", "ms", 30.0, "bare", 12.0);
        report.beside("line", "ms", 30.0, "nothing", 0.0);
        assert_eq!(report.figures.iter().map(|f| f.ratio).collect::<Vec<_>>(), [Some(2.5), None]);
        assert!(report.table().contains("× 2.5  bare: 12"), "{}", report.table());
    }
}

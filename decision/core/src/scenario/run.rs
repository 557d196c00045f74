//! Runs scenarios through the rules and reports what differs.

use std::fmt;

use super::course::run_course;
use super::format::{parse_cases, Case, Scenario, ScenarioError};
use crate::decision::Verdict;
use crate::registry::LaneClass;
use crate::rules::{decide, Context, Outcome};

/// A scenario that came out otherwise than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Id of the scenario.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// The fields of `then` that differ.
    pub fields: Vec<FieldDifference>,
}

/// A field of `then` that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its name; in a course of steps with the step: `steps[2].decision`.
    pub field: String,
    /// What the file expects.
    pub expected: String,
    /// What the rules say.
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.scenario, self.title)?;
        for (index, d) in self.fields.iter().enumerate() {
            let mark = if index == 0 { ":" } else { ";" };
            write!(f, "{mark} {}: expected {}, got {}", d.field, d.expected, d.got)?;
        }
        Ok(())
    }
}

/// What came of a scenario file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Scenarios that came out as they say.
    pub passed: usize,
    /// Scenarios that did not, or could not be read.
    pub failed: usize,
    /// Scenarios that came out otherwise, in the order of the file.
    pub differences: Vec<Difference>,
    /// Scenarios that could not be read.
    pub invalid: Vec<ScenarioError>,
}

/// Runs every scenario of a file.
///
/// # Errors
/// If the file as a whole is no scenario file; a single wrong scenario is in [`Report::invalid`].
pub fn run_file(text: &str) -> Result<Report, ScenarioError> {
    let mut report = Report::default();
    for case in parse_cases(text)? {
        let difference = match case {
            Ok(Case::Single(scenario)) => run_scenario(&scenario),
            Ok(Case::Course(course)) => run_course(&course),
            Err(error) => {
                report.invalid.push(error);
                report.failed = report.failed.saturating_add(1);
                continue;
            }
        };
        match difference {
            Some(difference) => {
                report.differences.push(difference);
                report.failed = report.failed.saturating_add(1);
            }
            None => report.passed = report.passed.saturating_add(1),
        }
    }
    Ok(report)
}

impl Scenario {
    /// Decides the scenario's approach.
    pub fn outcome(&self) -> Outcome {
        let context = Context {
            checkpoint: self.checkpoint.id.as_deref().unwrap_or("checkpoint"),
            lane: self.checkpoint.lane.as_deref().unwrap_or("lane"),
            profile: self.checkpoint.profile,
            direction: self.checkpoint.direction,
            lane_class: self.checkpoint.lane_class.unwrap_or(LaneClass::Mixed),
            it_port: self.checkpoint.it_port.unwrap_or(true),
            peak_mode: self.peak_mode.as_ref(),
            policy: &self.policy,
            approach_id: self.inputs.event_id.as_deref().unwrap_or(&self.id),
            degraded: None,
            now: self.at,
        };
        decide(&context, &self.inputs, self.at, &self.facts)
    }
}

/// Runs one scenario; none if it comes out as it says.
pub fn run_scenario(scenario: &Scenario) -> Option<Difference> {
    let outcome = scenario.outcome();
    let mut fields = Vec::new();
    let mut compare = |field: &'static str, expected: String, got: String| {
        if expected != got {
            fields.push(FieldDifference { field: field.to_owned(), expected, got });
        }
    };
    let then = &scenario.then;
    compare("decision", then.decision.as_str().to_owned(), outcome.verdict.as_str().to_owned());
    compare("reasons", list(then.reasons.iter().map(|r| r.code())), list(outcome.reasons.iter().map(|r| r.reason.code())));
    let cite = |c: Option<&str>| c.unwrap_or("null").to_owned();
    let expected = then.reason_cites.iter().map(|c| cite(c.as_deref()));
    compare("reason_cites", list(expected), list(outcome.reasons.iter().map(|r| cite(r.cite))));
    compare("violations", list(then.violations.iter().map(|v| v.as_str())), list(outcome.violations.iter().map(|v| v.as_str())));
    if let Some(expected) = &then.on_release {
        compare("on_release", list(expected.iter().map(|e| e.as_str())), list(outcome.effects.iter().map(|e| e.as_str())));
    }
    if then.idempotent == Some(true) {
        compare("idempotent", "true".to_owned(), idempotent(scenario, &outcome).to_string());
    }
    if fields.is_empty() {
        return None;
    }
    Some(Difference { scenario: scenario.id.clone(), title: scenario.title.clone(), fields })
}

/// The same event again gives the same decision, and the same passage changes nothing again.
fn idempotent(scenario: &Scenario, outcome: &Outcome) -> bool {
    if scenario.outcome() != *outcome {
        return false;
    }
    if outcome.verdict == Verdict::Refuse {
        return outcome.effects.is_empty();
    }
    let mut facts = scenario.facts.clone();
    let first = facts.pass(&outcome.uses, &scenario.id, scenario.at);
    let once = facts.clone();
    let second = facts.pass(&outcome.uses, &scenario.id, scenario.at);
    first == outcome.effects && second.is_empty() && facts == once
}

pub(super) fn list(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    let items: Vec<String> = items.map(|i| i.as_ref().to_owned()).collect();
    format!("[{}]", items.join(", "))
}

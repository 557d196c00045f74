//! Scenario files: gate situations as test cases (format: decision-table section 8), run through
//! the real rules.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod format;
mod run;

#[cfg(test)]
mod tests;

pub use format::{parse_file, Scenario, ScenarioError};
pub use run::{run_file, run_scenario, Difference, FieldDifference, Report};

//! Scenario files: gate situations as test cases, run through the real rules (format:
//! decision-table section 8), and courses of several steps, run through the real site
//! (`docs/scenarios.md`).

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod course;
mod format;
mod run;

#[cfg(test)]
mod tests;

pub use course::{claims, run_course, Course, CourseStep, Doing, Known, SITE};
pub use format::{parse_cases, parse_file, Case, Scenario, ScenarioCheckpoint, ScenarioError, Then};
pub use run::{run_file, run_scenario, Difference, FieldDifference, Report};

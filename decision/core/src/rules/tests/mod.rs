//! Corner cases of decision-table section 7, boundary instants, use, reservation and switches.
//!
//! A case is a regulation scenario with some fields set otherwise, and the verdict, reasons and
//! articles that must come of it.

#![allow(clippy::cloned_ref_to_slice_refs)] // a case reads the same with one edit and with two

mod articles;
mod corners;
mod corners_customs;
mod corners_gate;
mod corners_horgos;
mod switches;
mod table;
mod uses;

use serde_json::{json, Value};

use crate::rules::Outcome;
use crate::scenario::{parse_file, Scenario};

/// A field to set: JSON pointer under the scenario; a pointer that ends in `/-` appends to a list.
type Edit = (&'static str, Value);

/// The scenario of that id from the project's own file, with fields set otherwise.
fn scenario(base: &str, edits: &[Edit]) -> Scenario {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/regulations.yaml")).unwrap();
    // Cut the one scenario out of the text: parsing all of them for every case would take long.
    let start = text.find(&format!("- id: {base}\n")).unwrap();
    let rest = &text[start..];
    let end = rest[1..].find("\n- id: ").map_or(rest.len(), |n| n + 2);
    let mut list: Value = serde_yaml_ng::from_str(&rest[..end]).unwrap();
    for (pointer, value) in edits {
        set(&mut list[0], pointer, value.clone());
    }
    let file = json!({"version": 1, "timezone": "Asia/Shanghai", "scenarios": list});
    let mut scenarios = parse_file(&file.to_string()).unwrap();
    scenarios.pop().unwrap().unwrap_or_else(|e| panic!("{e}"))
}

fn set(root: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = root;
    for part in parent.split('/').skip(1) {
        at = match at {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            Value::Object(fields) => fields.entry(part).or_insert_with(|| json!({})),
            other => panic!("{pointer}: {other} has no fields"),
        };
    }
    match at {
        Value::Object(fields) if key == "-" && fields.is_empty() => *at = json!([value]),
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        other => panic!("{pointer}: {other} has no fields"),
    }
}

fn outcome(base: &str, edits: &[Edit]) -> Outcome {
    scenario(base, edits).outcome()
}

/// `VERDICT REASON@article …`, without article where none is shown.
fn said(outcome: &Outcome) -> String {
    let mut text = outcome.verdict.as_str().to_owned();
    for finding in &outcome.reasons {
        text.push(' ');
        text.push_str(finding.reason.code());
        if let Some(cite) = finding.cite {
            text.push('@');
            text.push_str(cite);
        }
    }
    text
}

/// Checks one case.
fn check(why: &str, base: &str, edits: &[Edit], expected: &str) {
    assert_eq!(said(&outcome(base, edits)), expected, "{why} ({base})");
}

//! The project's own copy of the regulation scenarios, and wrong scenario files.

use super::*;

fn own_file() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/regulations.yaml")).unwrap()
}

#[test]
fn every_regulation_scenario_comes_out_as_it_says() {
    let report = run_file(&own_file()).unwrap();
    for difference in &report.differences {
        println!("{difference}");
    }
    for error in &report.invalid {
        println!("{error}");
    }
    assert_eq!((report.passed, report.failed), (206, 0));
}

#[test]
fn every_scenario_falls_under_the_row_it_speaks_of() {
    for scenario in parse_file(&own_file()).unwrap() {
        let scenario = scenario.unwrap();
        let row = scenario.outcome().row;
        // Where the identity or the registry is missing no row can be told.
        if row.is_some() {
            assert_eq!(row, Some(scenario.row), "{} {}", scenario.id, scenario.title);
        }
    }
}

/// A file of one scenario: S018 with a line replaced.
fn altered(from: &str, to: &str) -> String {
    let text = own_file();
    let start = text.find("- id: S018\n").unwrap();
    let one = &text[start..text.find("- id: S019\n").unwrap()];
    assert!(one.contains(from), "{from}");
    format!("version: 1\ntimezone: Asia/Shanghai\nscenarios:\n{}", one.replacen(from, to, 1))
}

#[test]
fn a_wrong_file_names_scenario_and_field() {
    for (from, to, field, problem) in [
        ("registration: APPROVED", "registration: YES_PLEASE", "given.records.vehicles[0].registration", "unknown variant"),
        ("registration: APPROVED", "registrtion: APPROVED", "given.records.vehicles[0].registrtion", "unknown field"),
        ("direction: ENTRY", "direction: INWARDS", "given.checkpoint.direction", "unknown variant"),
        ("direction: ENTRY", "direction: OUTBOUND", "given.checkpoint.direction", "does not exist in the profile LYG"),
        ("profile: LYG", "profile: LYG\n      gate: 1", "given.checkpoint.gate", "unknown field"),
        ("confidence: 0.9", "confidence: high0.9", "when.plate_read.confidence", "invalid type"),
        ("AUTO_RELEASE_BUSINESS_ENTRY", "AUTO_RELEASE", "then.reasons[0]", "unknown variant"),
        ("- LYG-4.4a\n    violations", "- LYG-4.4a\n    - LYG-4.4a\n    violations", "then.reason_cites", "2 articles for 1 reasons"),
        ("row: LYG-R15", "row: LYG-R99", "row", "unknown variant"),
        ("vehicles:", "lorries:", "given.records.lorries", "no such list"),
    ] {
        let report = run_file(&altered(from, to)).unwrap();
        assert_eq!(report.failed, 1, "{to}");
        let error = &report.invalid[0];
        assert_eq!((error.scenario.as_str(), error.field.as_str()), ("S018", field), "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
    assert!(run_file("version: 2\ntimezone: Asia/Shanghai\nscenarios: []\n").unwrap_err().to_string().contains("version"));
    assert!(run_file("version: 1\ntimezone: UTC\nscenarios: []\n").unwrap_err().to_string().contains("timezone"));
    assert!(run_file("scenarios: [").is_err());
}

#[test]
fn the_same_id_twice_is_an_error_and_the_rest_still_runs() {
    let one = altered("id: S018", "id: S018");
    let twice = format!("{one}{}", one.split("scenarios:\n").nth(1).unwrap());
    let report = run_file(&twice).unwrap();
    assert_eq!((report.passed, report.failed), (1, 1));
    assert!(report.invalid[0].to_string().contains("another scenario has it already"));
}

#[test]
fn a_scenario_that_comes_out_otherwise_says_what_was_expected_and_got() {
    let report = run_file(&altered("decision: OPEN", "decision: HOLD")).unwrap();
    assert_eq!((report.differences.len(), report.failed), (1, 1));
    let difference = report.differences[0].to_string();
    assert!(difference.starts_with("S018 (") && difference.ends_with("decision: expected HOLD, got OPEN"), "{difference}");
    let text = altered("decision: OPEN", "decision: HOLD").replace("LYG-4.4a\n    violations", "LYG-4.4b\n    violations");
    let both = run_file(&text).unwrap().differences[0].to_string();
    assert!(both.ends_with("got OPEN; reason_cites: expected [LYG-4.4b], got [LYG-4.4a]"), "one line a scenario: {both}");
}

fn courses() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/courses.yaml")).unwrap()
}

#[test]
fn every_course_comes_out_as_it_says() {
    let report = run_file(&courses()).unwrap();
    for difference in &report.differences {
        println!("{difference}");
    }
    for error in &report.invalid {
        println!("{error}");
    }
    assert_eq!((report.passed, report.failed), (50, 0));
}

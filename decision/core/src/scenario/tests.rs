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

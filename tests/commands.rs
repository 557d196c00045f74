//! The command line from outside: help, exit codes, errors that name the place.

use std::path::Path;

use crate::support::{run, text};

fn here(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_string_lossy().into_owned()
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "up",
        "run",
        "read",
        "scenarios",
        "registry",
        "sql",
        "replay",
        "simulate",
        "check",
        "conflicts",
        "backup",
        "restore",
        "evaluate",
        "config",
    ] {
        let out = run(&[command, "--help"]);
        assert!(out.status.success() && text(&out).contains("Usage:"), "{command}: {}", text(&out));
    }
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn the_regulations_scenarios_all_come_out() {
    let out = run(&["scenarios", &here("tests/scenarios/regulations.yaml")]);
    assert_eq!((out.status.code(), text(&out).lines().last()), (Some(0), Some("206 passed, 0 failed")), "{}", text(&out));
}

#[test]
fn a_scenario_that_differs_is_shown_with_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("changed.yaml");
    let changed =
        std::fs::read_to_string(here("tests/scenarios/regulations.yaml")).unwrap().replacen("decision: HOLD", "decision: OPEN", 1);
    std::fs::write(&file, changed).unwrap();
    let out = run(&["scenarios", file.to_str().unwrap()]);
    let said = text(&out);
    assert!(out.status.code() == Some(1) && said.contains("S001") && said.ends_with("205 passed, 1 failed\n"), "{said}");
}

#[test]
fn pictures_that_cannot_be_read_are_said_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jpg"), b"not a picture").unwrap();
    std::fs::copy(here("docs/pictures/wall-zh.png"), dir.path().join("b.png")).unwrap();
    let out = run(&["read", dir.path().to_str().unwrap()]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((out.status.code(), lines.len()), (Some(1), 2), "{}", text(&out));
    assert!(lines[0]["error"].is_string() && lines[1]["plates"].is_array() && lines[1]["elapsed_ms"].is_number(), "{lines:?}");
}

#[test]
fn a_model_the_manifest_does_not_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["manifest.json", "detector.onnx", "recogniser.onnx"] {
        std::fs::copy(here(&format!("models/{name}")), dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("recogniser.onnx"), b"damaged").unwrap();
    let out = run(&["read", "--models", dir.path().to_str().unwrap(), &here("docs/pictures/wall-zh.png")]);
    assert!(out.status.code() == Some(2) && text(&out).contains("recogniser.onnx"), "{}", text(&out));
}

#[test]
fn registry_files_are_taken_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let bad = dir.path().join("bad.jsonl");
    std::fs::write(&bad, "{\"kind\":\"vehicle\",\"id\":\"苏G1\",\"value\":{\"category\":\"PF_GENERAL\",\"registration\":\"APPROVED\"}}\n{\"kind\":\"vehicle\",\"id\":\"苏G2\",\"value\":{\"category\":\"BUS\",\"registration\":\"APPROVED\"}}\n").unwrap();
    let out = run(&["registry", "import", bad.to_str().unwrap(), "--data", at]);
    assert!(out.status.code() == Some(2) && text(&out).contains("bad.jsonl:2:") && text(&out).contains("category"), "{}", text(&out));
    let csv = dir.path().join("vehicle.csv");
    std::fs::write(&csv, "plate,category,registration,rated_load_t\n苏G3,PF_GENERAL,APPROVED,1.8\n苏G4,AUX_LONG,APPROVED,\n").unwrap();
    let out = run(&["registry", "import", csv.to_str().unwrap(), "--data", at]);
    assert!(out.status.success() && text(&out).contains("2 records"), "{}", text(&out));
    let out = run(&["registry", "export", "--data", at]);
    assert!(text(&out).lines().count() == 2 && !text(&out).contains("苏G1"), "{}", text(&out));
    let out = run(&["registry", "show", "vehicle", "苏G3", "--data", at]);
    assert!(text(&out).contains("1.8"), "{}", text(&out));
    assert_eq!(run(&["registry", "show", "vehicle", "苏G9", "--data", at]).status.code(), Some(2));

    // As a spreadsheet writes it: a byte order mark, blanks beside the commas; or another encoding.
    std::fs::write(&csv, "\u{feff}plate, category,registration\r\n苏G5, PF_GENERAL,APPROVED\r\n").unwrap();
    let out = run(&["registry", "import", csv.to_str().unwrap(), "--data", at]);
    assert!(out.status.success() && text(&out).contains("1 records"), "{}", text(&out));
    std::fs::write(&csv, "plate,category,registration\n苏G6,PF_GENERAL,APPROVED\n苏G7,BUS,APPROVED\n").unwrap();
    let out = run(&["registry", "import", csv.to_str().unwrap(), "--data", at]);
    assert!(out.status.code() == Some(2) && text(&out).contains("vehicle.csv:3:") && text(&out).contains("category"), "{}", text(&out));
    std::fs::write(&csv, b"plate,category,registration\n\xcb\xd5G8,PF_GENERAL,APPROVED\n").unwrap();
    let out = run(&["registry", "import", csv.to_str().unwrap(), "--data", at]);
    assert!(out.status.code() == Some(2) && text(&out).contains("vehicle.csv:2: not UTF-8"), "{}", text(&out));
    let out = run(&["registry", "export", "--data", at]);
    assert!(text(&out).lines().count() == 3, "{}", text(&out));
}

#[test]
fn an_unknown_configuration_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("portgate.toml");
    std::fs::write(&file, "[http]\nlisten_on = \"127.0.0.1:1\"\n").unwrap();
    let out = run(&["up", "--config", file.to_str().unwrap(), "--data", dir.path().join("d").to_str().unwrap()]);
    assert!(out.status.code() == Some(2) && text(&out).contains("listen_on") && text(&out).contains("line 2"), "{}", text(&out));
}

#[test]
fn a_wrong_scenario_is_named_with_file_line_and_field_and_the_rest_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yaml");
    let whole = std::fs::read_to_string(here("tests/scenarios/regulations.yaml")).unwrap();
    let line = whole.lines().position(|l| l == "- id: S002").unwrap() + 1;
    let at = whole.find("- id: S002").unwrap();
    let (before, after) = whole.split_at(at);
    std::fs::write(&file, format!("{before}{}", after.replacen("category: PF_TRADE", "category: LORRY", 1))).unwrap();
    let out = run(&["scenarios", file.to_str().unwrap()]);
    let said = text(&out);
    assert_eq!(out.status.code(), Some(2), "{said}");
    let place = format!(
        "wrong.yaml: S002 (line {line}): given.records.vehicles[0].category: unknown variant `LORRY`, expected one of `PF_GENERAL`"
    );
    assert!(said.contains(&place) && said.ends_with("205 passed, 1 failed\n"), "{said}");

    for (content, says) in
        [("scenarios: [", "line"), ("version: 3\ntimezone: Asia/Shanghai\nscenarios: []\n", "version: 3 is not known; 1 is")]
    {
        std::fs::write(&file, content).unwrap();
        let out = run(&["scenarios", file.to_str().unwrap()]);
        assert!(out.status.code() == Some(2) && text(&out).contains("wrong.yaml") && text(&out).contains(says), "{}", text(&out));
    }
    let out = run(&["scenarios", "no-such-file.yaml"]);
    assert!(out.status.code() == Some(2) && text(&out).contains("no-such-file.yaml"), "{}", text(&out));
}

#[test]
fn the_courses_all_come_out() {
    let out = run(&["scenarios", &here("tests/scenarios/courses.yaml"), &here("tests/scenarios/corners.yaml")]);
    assert!(out.status.success() && text(&out).ends_with(" passed, 0 failed\n"), "{}", text(&out));
}

//! `tests/scenarios/corners.yaml`: what the text decides case by case, run, and measured against the
//! specification: every reason in both directions, every article of 5.2, every cell of section 4.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{cells, is_own, specification};
use crate::reason::Reason;
use crate::row::Row;
use crate::scenario::{parse_file, run_file, Scenario};

fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios/corners.yaml")).unwrap()
}

fn scenarios() -> Vec<Scenario> {
    parse_file(&text()).unwrap().into_iter().map(|s| s.unwrap_or_else(|e| panic!("{e}"))).collect()
}

#[test]
fn every_corner_comes_out_as_the_text_says() {
    let report = run_file(&text()).unwrap();
    for difference in &report.differences {
        println!("{difference}");
    }
    for error in &report.invalid {
        println!("{error}");
    }
    assert_eq!((report.passed, report.failed), (847, 0));
}

#[test]
fn every_corner_falls_under_the_row_it_speaks_of() {
    for scenario in scenarios() {
        let row = scenario.outcome().row;
        // Where the identity or the registry is missing no row can be told.
        if row.is_some() {
            assert_eq!(row, Some(scenario.row), "{} {}", scenario.id, scenario.title);
        }
    }
}

#[test]
fn the_corners_show_every_reason_and_every_row() {
    let scenarios = scenarios();
    let rows: BTreeSet<Row> = scenarios.iter().map(|s| s.row).collect();
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), Row::ALL);
    let shown: BTreeSet<Reason> = scenarios.iter().flat_map(|s| s.then.reasons.clone()).collect();
    let missing: Vec<Reason> = Reason::ALL.iter().copied().filter(|r| !is_own(*r) && !shown.contains(r)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Cells of section 5 that say a disposition where a more particular sentence lets none occur: the
/// window is tested at entry (7.12), lateness and confirmation where the trip arrives (7.26, CH-42),
/// and an inspection is a way to go at arrivals only (CH-45).
fn cannot_occur(reason: Reason, entry: bool) -> bool {
    !entry
        && [
            Reason::TaskOutsideWindow,
            Reason::ManifestLate,
            Reason::TripNotConfirmed,
            Reason::TripConfirmedLate,
            Reason::ProceedToInspection,
        ]
        .contains(&reason)
}

#[test]
fn every_cell_of_section_5_is_shown_and_no_empty_one() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 5. Reasons").nth(1).unwrap().split("### 5.2").next().unwrap();
    let shown: BTreeSet<(&str, bool)> = scenarios()
        .iter()
        .flat_map(|s| s.then.reasons.iter().map(|r| (r.code(), s.checkpoint.direction.is_entry())).collect::<Vec<_>>())
        .collect();
    for line in section.lines().filter(|l| l.starts_with("| `")) {
        let row = cells(line);
        let reason = Reason::from_code(row[0].trim_matches('`')).unwrap();
        for (cell, entry) in [(row[2], true), (row[3], false)] {
            let expected = cell != "-" && !cannot_occur(reason, entry);
            assert_eq!(shown.contains(&(reason.code(), entry)), expected, "{reason}, entry: {entry}");
        }
    }
}

/// Ids of statements in a text, without what stands in brackets.
pub(super) fn articles(text: &str) -> BTreeSet<String> {
    let mut outside = String::new();
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let words = outside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    let of_gate = |w: &&str| ["LYG-", "HGS-", "NNG-"].iter().any(|p| w.starts_with(p));
    words.map(|w| w.trim_end_matches('.')).filter(of_gate).map(str::to_owned).collect()
}

#[test]
fn every_article_of_5_2_is_shown() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("### 5.2").nth(1).unwrap().split("## 6.").next().unwrap();
    let mut shown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for scenario in scenarios() {
        for (reason, cite) in scenario.then.reasons.iter().zip(&scenario.then.reason_cites) {
            shown.entry(reason.code()).or_default().extend(cite.clone());
        }
    }
    for line in section.lines().filter(|l| l.starts_with("| `")) {
        let row = cells(line);
        let code = row[0].trim_matches('`');
        let missing: Vec<String> = articles(row[1]).difference(&shown[code]).cloned().collect();
        assert!(missing.is_empty(), "{code}: {missing:?}");
    }
}

/// `LYG-R01, R02 (…)`, `LYG-R15 – R17`: the rows a line of section 4 speaks of.
fn rows_named(cell: &str) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    let (mut profile, mut last, mut through) = ("", 0_u32, false);
    for word in cell.split('(').next().unwrap().split([',', ' ', '/']).filter(|w| !w.is_empty()) {
        if word == "–" {
            through = true;
            continue;
        }
        let number = match word.split_once("-R") {
            Some((p, n)) => {
                profile = p;
                n
            }
            None => word.strip_prefix('R').unwrap(),
        };
        let number: u32 = number.parse().unwrap();
        let first = if through { last + 1 } else { number };
        named.extend((first..=number).map(|n| format!("{profile}-R{n:02}")));
        (last, through) = (number, false);
    }
    named
}

#[test]
fn every_cell_of_section_4_is_shown_and_no_empty_one() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 4. Which").nth(1).unwrap().split("## 5.").next().unwrap();
    let mut table: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut heads: Vec<String> = Vec::new();
    for line in section.lines().filter(|l| l.starts_with("| ")) {
        let row = cells(line);
        if row[0] == "Rows" {
            heads = row[1..].iter().map(|h| h.split(' ').next().unwrap().to_owned()).collect();
            continue;
        }
        for name in rows_named(row[0]) {
            for (head, cell) in heads.iter().zip(&row[1..]) {
                table.insert((name.clone(), head.clone()), (*cell).to_owned());
            }
        }
    }
    assert!(table.len() > 200, "{} cells", table.len());

    let mut shown = BTreeSet::new();
    let mut entries = BTreeSet::new();
    for scenario in scenarios() {
        if scenario.checkpoint.direction.is_entry() {
            entries.insert(scenario.row.as_str().to_owned());
        }
        for reason in &scenario.then.reasons {
            let key = (scenario.row.as_str().to_owned(), reason.check().as_str().to_owned());
            // 7.30: a broken seal is reported in every case, also where none is looked for otherwise.
            if *reason != Reason::SealBroken {
                let entry = scenario.checkpoint.direction.is_entry();
                let applies = table.get(&key).is_none_or(|cell| applies(cell, entry));
                assert!(applies, "{}: {reason} under {:?}", scenario.id, key);
            }
            shown.insert(key);
        }
    }
    for (key, cell) in &table {
        let entry = entries.contains(&key.0);
        // Without a card no vehicle is told to be on a long-term one.
        let by_card = key.1 == "C07" && (key.0 == "LYG-R02" || key.0 == "LYG-R04");
        if applies(cell, entry) && !by_card {
            assert!(shown.contains(key), "{key:?} {cell:?} is shown by no scenario");
        }
    }
}

/// Whether a cell of section 4 says that the check applies.
fn applies(cell: &str, entry: bool) -> bool {
    match cell {
        c if c.starts_with('–') || c.starts_with('○') => false,
        c if c.starts_with("exit") => !entry,
        c if c.starts_with("entry") => entry,
        _ => true,
    }
}

/// Every source of the rules and their tables, without tests.
fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_statement_and_choice_of_the_gate_is_named_where_it_is_done() {
    let Some(regulations) = specification("regulations.md") else { return };
    let mut code = String::new();
    sources(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut code);
    let corners = text();
    let words = |text: &str| -> BTreeSet<String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        text.split(|c| !word(c)).map(|w| w.trim_end_matches('.').to_owned()).collect()
    };
    let (code, corners) = (words(&code), words(&corners));
    let mut missing = Vec::new();
    for line in regulations.lines().filter(|l| l.starts_with("| ")) {
        let row = cells(line);
        let statement = ["LYG-", "HGS-", "NNG-"].iter().any(|p| row[0].starts_with(p));
        // A statement ends with its marks, a choice begins with its own.
        if statement && row.last().is_some_and(|marks| marks.split(", ").any(|m| m == "gate")) && !code.contains(row[0]) {
            missing.push(format!("{} in code", row[0]));
        }
        if row[0].starts_with("CH-") && row[1] == "gate" {
            for (place, named) in [("code", &code), ("corner scenarios", &corners)] {
                if !named.contains(row[0]) {
                    missing.push(format!("{} in {place}", row[0]));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

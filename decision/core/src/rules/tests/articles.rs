//! What the code can show, compared with the specification line by line: the articles of 5.2, the
//! software's own reasons of section 9, the violations, and the words records are written in.

use std::collections::{BTreeMap, BTreeSet};

use super::corners::articles;
use super::table::{cells, is_own, matters, profiles, specification};
use crate::cite::{article, Matter};
use crate::decision::{Severity, Verdict};
use crate::reason::{Check, Reason};
use crate::registry::*;
use crate::violation::Violation;

/// The articles a reason can be shown with, `none` for a system notice.
fn showable(reason: Reason) -> BTreeSet<String> {
    // No release at all by card where the export yard is entered (7.29).
    let happens = |m: &Matter| !(reason == Reason::IcCardRelease && m.direction == Direction::ExportYardIn);
    // The cell's document: a release of the software's own mode at Horgos shows no article.
    let listed = |m: &Matter| reason != Reason::ManualReleaseRequired || m.direction.profile() == Profile::Lyg;
    matters()
        .filter(|m| profiles(reason).contains(&m.direction.profile()) && happens(m) && listed(m))
        .map(|m| article(reason, &m).unwrap_or("none").to_owned())
        .collect()
}

#[test]
fn the_articles_shown_are_those_of_5_2_and_no_others() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("### 5.2").nth(1).unwrap().split("## 6.").next().unwrap();
    let lines: BTreeMap<String, &str> = section
        .lines()
        .filter(|l| l.starts_with("| `"))
        .map(|l| (cells(l)[0].trim_matches('`').to_owned(), l))
        .map(|(code, l)| (code, l.split_once(" | ").unwrap().1.trim_end_matches('|').trim()))
        .collect();
    let listed = |code: &str| -> BTreeSet<String> {
        let cell = lines[code];
        let mut found = articles(cell);
        if cell.contains("none") {
            found.insert("none".to_owned());
        }
        // "as MANIFEST_MISSING": that line's articles too, but for those of the export yard entry.
        for (other, line) in &lines {
            if cell.contains(&format!("as {other}")) {
                found.extend(articles(line));
            }
        }
        found
    };
    for reason in Reason::ALL.iter().copied().filter(|r| !is_own(*r)) {
        let expected = match lines.contains_key(reason.code()) {
            true => listed(reason.code()),
            false => reason.cites().first().map(|c| (*c).to_owned()).into_iter().collect(),
        };
        let mut shown = showable(reason);
        if reason == Reason::ManifestAlreadyWrittenOff {
            // "transit as MANIFEST_MISSING": of that line's four articles the two of transit.
            assert!(shown.is_subset(&expected), "{reason}: {shown:?}");
            shown.extend(articles(lines["MANIFEST_MISSING"]));
        }
        assert_eq!(shown, expected, "{reason}");
    }
}

#[test]
fn the_softwares_own_reasons_say_what_section_9_says() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 9.").nth(1).unwrap();
    for reason in [Reason::CredentialReserved, Reason::ImpossibleTravel] {
        let line = section.lines().find(|l| l.starts_with(&format!("| `{reason}`"))).unwrap();
        let row = cells(line);
        assert_eq!(row[1], reason.check().as_str());
        assert_eq!((row[2], row[3]), ("H", "H"));
        for entry in [true, false] {
            assert_eq!(reason.disposition(entry), Verdict::Hold);
        }
        let severity = if reason.severity() == Severity::Critical { "critical" } else { "high" };
        assert_eq!((row[4], row[6], row[7]), (severity, reason.zh(), reason.en()));
        let violation = row[5].split('`').nth(1);
        assert_eq!(violation, reason.violation(true).map(Violation::as_str), "{reason}");
    }
    for reason in Reason::ALL.iter().filter(|r| r.check() == Check::Sys) {
        assert!(reason.code().starts_with("SYS_"), "{reason}");
        assert_eq!(
            (reason.severity(), reason.disposition(true), reason.disposition(false)),
            (Severity::High, Verdict::Hold, Verdict::Hold)
        );
    }
}

#[test]
fn every_reason_speaks_chinese_and_english_in_words_of_its_own() {
    let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let (mut zh, mut en) = (BTreeSet::new(), BTreeSet::new());
    for reason in Reason::ALL {
        assert!(reason.zh().chars().any(chinese) && !reason.zh().contains(' '), "{reason}: {}", reason.zh());
        assert!(reason.en().is_ascii() && reason.en().starts_with(char::is_uppercase), "{reason}: {}", reason.en());
        assert!(zh.insert(reason.zh()) && en.insert(reason.en()), "{reason} says what another says");
    }
}

#[test]
fn violations_are_raised_by_the_reasons_the_specification_maps() {
    let Some(text) = specification("violations-and-analytics.md") else { return };
    let section = text.split("### 2.1").nth(1).unwrap().split("### 2.2").next().unwrap();
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in section.lines().filter(|l| l.starts_with("| `V_")) {
        let row = cells(line);
        let reasons = row[1].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        listed.insert(row[0].trim_matches('`').to_owned(), reasons);
    }
    let mut raised: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for reason in Reason::ALL.iter().filter(|r| !is_own(**r)) {
        if let Some(violation) = reason.violation(true) {
            raised.entry(violation.as_str().to_owned()).or_default().insert(reason.code().to_owned());
        }
        let leaving_is_no_attempt = reason.violation(true) == Some(Violation::BannedAttempt);
        let expected = reason.violation(true).filter(|_| !leaving_is_no_attempt);
        assert_eq!(reason.violation(false), expected, "{reason}");
    }
    assert_eq!(raised, listed);
}

#[test]
fn records_are_written_in_the_specifications_words() {
    let pages = ["registry.md", "codes.md", "decision-table.md", "regulations.md"].map(specification);
    let [Some(registry), Some(codes), Some(table), Some(regulations)] = pages else { return };
    let text = [registry, codes, table, regulations].join("\n");
    let words: BTreeSet<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).collect();
    macro_rules! spelt {
        ($($name:ident)+) => {$(
            for word in $name::ALL {
                assert!(words.contains(word.as_str()), "{} {word} stands nowhere in the specification", stringify!($name));
            }
        )+};
    }
    spelt!(Profile Direction LaneClass EnterpriseStatus VehicleCategory Body Registration PlateColour CardType CardStatus CancelReason);
    spelt!(TaskKind TaskState ReceptionState BanKind PermitState ConsentState InspectionState AppointmentKind AppointmentState);
    spelt!(VinSource ApprovalState QrState CustomsEnterpriseStatus Flow Regime TripState ManifestState);
}

/// The functions of a source in which a reason of each check is named.
fn finders(module: &str, source: &str, found: &mut BTreeMap<&'static str, BTreeSet<String>>) {
    let variants: BTreeMap<String, Reason> = Reason::ALL.iter().map(|r| (format!("{r:?}"), *r)).collect();
    let mut function = String::new();
    for line in source.lines().filter(|l| !l.trim_start().starts_with("//")) {
        if let Some(rest) = line.trim_start().trim_start_matches("pub(super) ").trim_start_matches("pub ").strip_prefix("fn ") {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            function = if module.is_empty() { name } else { format!("{module}::{name}") };
        }
        for rest in line.split("Reason::").skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            if let Some(reason) = variants.get(&name) {
                found.entry(reason.check().as_str()).or_default().insert(function.clone());
            }
        }
    }
}

#[test]
fn the_index_of_the_checks_names_where_each_is() {
    let overview = include_str!("../mod.rs");
    let mut found = BTreeMap::new();
    for (module, source) in [
        ("", overview),
        ("identity", include_str!("../identity.rs")),
        ("outcome", include_str!("../outcome.rs")),
        ("lianyungang", include_str!("../lianyungang.rs")),
        ("horgos", include_str!("../horgos.rs")),
        ("nanning", include_str!("../nanning.rs")),
    ] {
        finders(module, source, &mut found);
    }
    let index: BTreeMap<&str, BTreeSet<String>> = overview
        .lines()
        .filter(|l| l.starts_with("//! | C"))
        .map(|l| cells(l.trim_start_matches("//! ")))
        .map(|row| (row[0], row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect()))
        .collect();
    found.remove("SYS");
    assert_eq!(found, index);
}

//! The tables in code against the specification's, where it is at hand, and against themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::cite::{article, Class, Matter};
use crate::decision::{Severity, Verdict};
use crate::reason::{Basis, Check, Reason};
use crate::registry::{CancelReason, Direction, Profile};
use crate::row::Row;

/// A page of the specification; none: not on this machine.
pub(super) fn specification(page: &str) -> Option<String> {
    let shared = std::env::var_os("PORTGATE_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = shared.join("spec").join(page);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: the specification's {page} is not here");
    }
    text
}

pub(super) fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// The software's own reasons, which the specification's tables do not list by row.
pub(super) fn is_own(reason: Reason) -> bool {
    reason.check() == Check::Sys || matches!(reason, Reason::CredentialReserved | Reason::ImpossibleTravel | Reason::AutoReleaseProduction)
}

#[test]
fn every_reason_says_what_the_specification_says() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 5. Reasons").nth(1).unwrap().split("### 5.2").next().unwrap();
    let listed: BTreeMap<String, Vec<&str>> =
        section.lines().filter(|l| l.starts_with("| `")).map(cells).map(|c| (c[0].trim_matches('`').to_owned(), c)).collect();
    let letter = |v| match v {
        Verdict::Refuse => "R",
        Verdict::Hold => "H",
        Verdict::Open => "O",
    };
    let mut seen = BTreeSet::new();
    for reason in Reason::ALL.iter().copied().filter(|r| !is_own(*r)) {
        let row = &listed[reason.code()];
        let basis = match reason.basis() {
            Basis::Text => "T",
            Basis::Derived => "D",
            Basis::Choice => "C",
        };
        let severity = match reason.severity() {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        };
        assert_eq!(row[1], reason.check().as_str(), "{reason}");
        assert!(row[2] == "-" || row[2] == letter(reason.disposition(true)), "{reason} at entry");
        assert!(row[3] == "-" || row[3] == letter(reason.disposition(false)), "{reason} at exit");
        assert_eq!((row[4], row[5]), (severity, basis), "{reason}");
        assert_eq!(row[6].split(", ").collect::<Vec<_>>(), reason.cites(), "{reason}");
        assert_eq!((row[7], row[8]), (reason.zh(), reason.en()), "{reason}");
        let violation = reason.violation(true).map_or("", |v| v.as_str());
        assert_eq!(row[9].split(' ').next().unwrap(), violation, "{reason}");
        seen.insert(reason.code().to_owned());
    }
    assert_eq!(seen, listed.into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn reasons_stand_in_the_order_of_the_checks() {
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 2. Checks").nth(1).unwrap().split("## 3.").next().unwrap();
    let listed: Vec<&str> = section
        .lines()
        .filter(|l| l.starts_with("| C0") || l.starts_with("| C1"))
        .flat_map(|l| cells(l)[2].split(", ").map(|c| c.trim_matches('`')).collect::<Vec<_>>())
        .collect();
    let own: Vec<&str> = Reason::ALL.iter().filter(|r| !is_own(**r)).map(|r| r.code()).collect();
    assert_eq!(own, listed);
    assert!(Reason::ALL.windows(2).all(|w| w[0] < w[1] && w[0].check() <= w[1].check()));
}

#[test]
fn there_are_forty_rows_as_the_specification_has_them() {
    assert_eq!(Row::ALL.len(), 40);
    let Some(text) = specification("decision-table.md") else { return };
    let section = text.split("## 3. Rows").nth(1).unwrap().split("Release wording").next().unwrap();
    for row in Row::ALL {
        let line = section.lines().find(|l| l.starts_with(&format!("| {} |", row.as_str()))).unwrap();
        let effects: Vec<&str> = row.effects().iter().map(|e| e.as_str()).collect();
        let listed: Vec<&str> = cells(line)[6].split(' ').filter(|w| w.contains('_')).collect();
        assert_eq!(effects, listed, "{}", row.as_str());
        assert_eq!(row.cites(), cells(line)[7].split(' ').collect::<Vec<_>>(), "{}", row.as_str());
    }
}

/// Every context an article can depend on.
pub(super) fn matters() -> impl Iterator<Item = Matter> {
    let classes = [None, Some(Class::Production), Some(Class::Auxiliary), Some(Class::Business), Some(Class::Reception)];
    let cancels = CancelReason::ALL.iter().copied().map(Some).chain([None]).collect::<Vec<_>>();
    let flags = (0..16_u8).map(|n| [n & 1 != 0, n & 2 != 0, n & 4 != 0, n & 8 != 0]);
    let contexts = flags.flat_map(move |f| classes.into_iter().map(move |c| (f, c)));
    contexts.flat_map(move |([fast, escort, outside_warehouse, vins_from_excel], class)| {
        let cancels = cancels.clone();
        Direction::ALL.iter().flat_map(move |direction| {
            cancels.clone().into_iter().map(move |cancel_reason| Matter {
                direction: *direction,
                class,
                fast,
                escort,
                outside_warehouse,
                vins_from_excel,
                cancel_reason,
            })
        })
    })
}

/// The profiles at which a reason can be given.
pub(super) fn profiles(reason: Reason) -> &'static [Profile] {
    const ALL: &[Profile] = &[Profile::Lyg, Profile::Hgs, Profile::Nng];
    let own = |p: &str| reason.cites().iter().all(|c| c.starts_with(p));
    match reason {
        Reason::PlateUnreadable
        | Reason::PlateLowConfidence
        | Reason::ManualPlateEntry
        | Reason::InspectionOrdered
        | Reason::ManualReleaseRequired => ALL,
        _ if reason.cites().is_empty() || reason == Reason::RegistryUnavailable => ALL,
        _ if own("LYG") => &[Profile::Lyg],
        _ if own("HGS") => &[Profile::Hgs],
        _ => &[Profile::Nng],
    }
}

#[test]
fn an_article_shown_is_of_the_document_that_governs_and_exists() {
    let statements = specification("regulations.md");
    let exists = |id: &str| statements.as_ref().is_none_or(|t| t.contains(&format!("| {id} |")));
    let mut shown = BTreeSet::new();
    for matter in matters() {
        let profile = matter.direction.profile();
        for reason in Reason::ALL.iter().copied().filter(|r| profiles(*r).contains(&profile)) {
            if let Some(id) = article(reason, &matter) {
                assert!(id.starts_with(profile.as_str()), "{reason} shows {id} at {profile}");
                shown.insert(id);
            }
        }
    }
    for id in shown.into_iter().chain(Reason::ALL.iter().flat_map(|r| r.cites().iter().copied())) {
        assert!(exists(id), "{id} is no statement");
    }
}

#[test]
fn only_release_modes_open_and_only_those_the_table_names() {
    let opens: Vec<&str> = Reason::ALL
        .iter()
        .filter(|r| r.disposition(true) == Verdict::Open || r.disposition(false) == Verdict::Open)
        .map(|r| r.code())
        .collect();
    assert_eq!(
        opens,
        [
            "PROCEED_TO_INSPECTION",
            "AUTO_RELEASE_BUSINESS_ENTRY",
            "AUTO_RELEASE_AUXILIARY_ENTRY",
            "AUTO_RELEASE_RECEPTION_ENTRY",
            "PEAK_MODE_EXIT",
            "QR_RELEASE",
            "IC_CARD_RELEASE",
            "FAST_CLEARANCE_RELEASE",
            "AUTO_RELEASE_PRODUCTION",
        ]
    );
    assert!(Reason::ALL.iter().all(|r| r.blocks() || r.check() >= Check::C18), "what passes says how");
}

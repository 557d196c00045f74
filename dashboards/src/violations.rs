//! Violations as the control room knows them: the latest version of each, from
//! `portgate.violations`, where the engine puts every version and the latest one stays.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use portgate_core::journal::Violation;
use portgate_core::plate::normalise;
use portgate_core::time::Instant;
use portgate_core::violation::{Sanction, SanctionStatus};

/// Violations kept in memory; the earliest go.
pub const VIOLATIONS_MAX: usize = 50_000;

/// What a list is asked for. Everything given must agree.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// SUSPECTED, VERIFIED or DISMISSED.
    pub status: Option<String>,
    /// Code, like `V_CARD_MISUSE`.
    pub code: Option<String>,
    /// Plate, exactly.
    pub plate: Option<String>,
    /// Lane.
    pub lane: Option<String>,
    /// Raised after this.
    pub after: Option<Instant>,
    /// Raised before this.
    pub before: Option<Instant>,
}

impl Filter {
    fn admits(&self, v: &Violation) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        is(&self.status, &v.status)
            && is(&self.code, &v.code)
            && is(&self.lane, &v.lane)
            && self.plate.as_ref().is_none_or(|p| v.plate.as_deref() == Some(&normalise(p)))
            && self.after.is_none_or(|t| v.raised_at > t)
            && self.before.is_none_or(|t| v.raised_at < t)
    }
}

#[derive(Default)]
struct Book {
    by_id: BTreeMap<String, Violation>,
    /// In the order in which they were raised.
    order: BTreeMap<(Instant, String), ()>,
}

/// The latest version of every violation.
#[derive(Default)]
pub struct Violations {
    book: RwLock<Book>,
}

impl Violations {
    /// Takes a version in; an older one than what is known changes nothing.
    pub fn apply(&self, violation: Violation) {
        let mut guard = self.book.write();
        let book = &mut *guard;
        if book.by_id.get(&violation.violation_id).is_some_and(|known| known.version >= violation.version) {
            return;
        }
        book.order.insert((violation.raised_at, violation.violation_id.clone()), ());
        book.by_id.insert(violation.violation_id.clone(), violation);
        while book.by_id.len() > VIOLATIONS_MAX {
            let Some(((_, id), ())) = book.order.pop_first() else { return };
            book.by_id.remove(&id);
        }
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Violation> {
        self.book.read().by_id.get(id).cloned()
    }

    /// Those that the filter admits, the latest first, at most `limit`, and whether there are more.
    pub fn list(&self, filter: &Filter, limit: usize) -> (Vec<Violation>, bool) {
        let book = self.book.read();
        let all = book.order.keys().rev().filter_map(|(_, id)| book.by_id.get(id)).filter(|v| filter.admits(v));
        let mut found: Vec<Violation> = all.take(limit.saturating_add(1)).cloned().collect();
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    /// The violation that a sanction was proposed from.
    pub fn of_sanction(&self, sanction_id: &str) -> Option<Violation> {
        let book = self.book.read();
        book.by_id.values().find(|v| v.sanctions.iter().any(|s| s.sanction_id == sanction_id)).cloned()
    }

    /// Sanctions with what they were proposed from, the latest violation first, at most `limit`.
    pub fn sanctions(&self, status: Option<SanctionStatus>, limit: usize) -> Vec<(Sanction, Violation)> {
        let book = self.book.read();
        let all = book.order.keys().rev().filter_map(|(_, id)| book.by_id.get(id));
        let sanctions = all.flat_map(|v| v.sanctions.iter().map(move |s| (s, v)));
        sanctions.filter(|(s, _)| status.is_none_or(|w| s.status == w)).take(limit).map(|(s, v)| (s.clone(), v.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn violation(n: u32, version: u32, status: &str) -> Violation {
        let at = Instant::from_millis(i64::from(n) * 1000);
        let sanctions = if status == "VERIFIED" {
            json!([{"sanction_id": format!("S-{n}"), "kind": "BLACKLIST", "cite": "LYG-6.4e", "decided_by": "PBD", "status": "PROPOSED",
                "proposed_at": at, "decided_at": null, "by": null, "note": null}])
        } else {
            json!([])
        };
        serde_json::from_value(json!({
            "violation_id": format!("V-{n}"), "code": "V_CARD_MISUSE", "source": "CARD_CANCELLED", "status": status, "site": "LYG",
            "checkpoint": "JCZ-1", "lane": "JCZ-1.L1", "approach_id": null, "decision_id": null, "plate": format!("苏G0000{n}"),
            "enterprise": null, "raised_at": at, "version": version, "sanctions": sanctions,
        }))
        .unwrap()
    }

    #[test]
    fn the_latest_version_stays_and_lists_are_filtered() {
        let book = Violations::default();
        for n in 1..=3 {
            book.apply(violation(n, 1, "SUSPECTED"));
        }
        book.apply(violation(2, 2, "VERIFIED"));
        book.apply(violation(2, 1, "SUSPECTED"));
        assert_eq!(book.get("V-2").unwrap().status, "VERIFIED", "an older version that comes again changes nothing");
        let ids = |filter: Filter, limit| book.list(&filter, limit).0.into_iter().map(|v| v.violation_id).collect::<Vec<_>>();
        assert_eq!(ids(Filter::default(), 10), ["V-3", "V-2", "V-1"]);
        assert_eq!(ids(Filter { status: Some("SUSPECTED".into()), ..Filter::default() }, 10), ["V-3", "V-1"]);
        assert_eq!(ids(Filter { plate: Some("苏g·00001".into()), ..Filter::default() }, 10), ["V-1"]);
        assert_eq!(ids(Filter { after: Some(Instant::from_millis(1000)), ..Filter::default() }, 10), ["V-3", "V-2"]);
        assert!(ids(Filter { code: Some("V_TAILGATING".into()), ..Filter::default() }, 10).is_empty());
        assert!(book.list(&Filter::default(), 2).1 && !book.list(&Filter::default(), 3).1);
        assert_eq!(book.sanctions(Some(SanctionStatus::Proposed), 10).len(), 1);
        assert!(book.sanctions(Some(SanctionStatus::Accepted), 10).is_empty());
        assert_eq!(book.of_sanction("S-2").unwrap().violation_id, "V-2");
    }
}

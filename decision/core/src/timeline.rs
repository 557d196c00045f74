//! The timeline of a policy: every revision of a scope with the instant from which it counts.
//!
//! A scope is a checkpoint, or [`DEFAULT_SCOPE`] for every checkpoint without a live revision of its
//! own. A revision written is never lost: a later one takes over at its instant (that instant
//! included), several can wait for theirs, and taking one away lets its predecessor count again.
//! Which revision decides is settled by the gate's time of the decision, which the journal carries.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::Principal;
use crate::policy::Policy;
use crate::registry::{PolicyMode, PolicyRecord};
use crate::time::Instant;

/// The scope of every checkpoint that has no live revision of its own.
pub const DEFAULT_SCOPE: &str = "default";
/// Between the scope and a name of one's own in the id of a policy record, like `JCZ-1@2026-spring`.
const SCOPE_END: char = '@';
/// Revisions of a scope that may wait for their instant.
const PENDING_MAX: usize = 64;
/// Revisions of a scope that are kept at hand; the journal has them all.
const REVISIONS_MAX: usize = 512;
/// What a decision names where no revision is in force.
const NO_REVISION: &str = "none";

/// One revision of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Id of the record that brought it.
    pub id: String,
    /// Hash of its switches ([`Policy::revision`]); what decisions name.
    pub revision: String,
    /// How it counts.
    pub mode: PolicyMode,
    /// The instant asked for; null: at once.
    pub effective_from: Option<Instant>,
    /// It counts from this instant on, this one included: the one asked for, or when it was taken
    /// in if that was later.
    pub effective_at: Instant,
    /// When it was taken in.
    pub entered_at: Instant,
    /// Who wrote it, where that is known.
    pub by: Option<Principal>,
    /// It counts no more from this instant on.
    pub withdrawn_at: Option<Instant>,
    /// The switches.
    pub switches: Policy,
}

impl Revision {
    fn counts_at(&self, at: Instant) -> bool {
        self.effective_at <= at && self.withdrawn_at.is_none_or(|end| at < end)
    }

    fn pends_at(&self, at: Instant) -> bool {
        at < self.effective_at && self.withdrawn_at.is_none()
    }
}

/// Every revision of a scope, in the order in which they were taken in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The revisions.
    pub revisions: Vec<Revision>,
}

/// More revisions wait for their instant than a scope may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{PENDING_MAX} revisions wait for their instant already; take one of them away first")]
pub struct TimelineFull;

/// The scope of a policy record: its `checkpoint`, else its id up to an `@`.
pub fn scope_of(record: &PolicyRecord) -> &str {
    record.checkpoint.as_deref().unwrap_or_else(|| scope_of_id(&record.id))
}

/// The scope that the id of a policy record names by itself.
pub fn scope_of_id(id: &str) -> &str {
    id.split(SCOPE_END).next().unwrap_or(id)
}

impl Timeline {
    /// Takes a record in at gate time `at`. The same record as the last one of its id changes
    /// nothing and answers with none.
    ///
    /// # Errors
    /// [`TimelineFull`]; nothing is changed then.
    pub fn enter(&mut self, record: &PolicyRecord, at: Instant, by: Option<Principal>) -> Result<Option<&Revision>, TimelineFull> {
        let revision = record.switches.revision();
        let mode = record.mode.unwrap_or(PolicyMode::Live);
        let last = self.revisions.iter().rev().find(|r| r.id == record.id && r.withdrawn_at.is_none());
        if last.is_some_and(|r| r.revision == revision && r.mode == mode && r.effective_from == record.effective_from) {
            return Ok(None);
        }
        let effective_at = record.effective_from.map_or(at, |from| from.max(at));
        if effective_at > at && self.revisions.iter().filter(|r| r.pends_at(at)).count() >= PENDING_MAX {
            return Err(TimelineFull);
        }
        let (id, switches) = (record.id.clone(), record.switches.clone());
        let effective_from = record.effective_from;
        self.revisions.push(Revision {
            id,
            revision,
            mode,
            effective_from,
            effective_at,
            entered_at: at,
            by,
            withdrawn_at: None,
            switches,
        });
        self.forget(at);
        Ok(self.revisions.last())
    }

    /// Takes every revision of a record away from `at` on; answers with how many that were.
    pub fn withdraw(&mut self, id: &str, at: Instant) -> usize {
        let mine = self.revisions.iter_mut().filter(|r| r.id == id && r.withdrawn_at.is_none());
        mine.map(|r| r.withdrawn_at = Some(at)).count()
    }

    /// The revision of that mode that counts at the instant: the one with the latest instant, of
    /// several the last one written.
    pub fn in_force(&self, mode: PolicyMode, at: Instant) -> Option<&Revision> {
        self.revisions.iter().filter(|r| r.mode == mode && r.counts_at(at)).max_by_key(|r| r.effective_at)
    }

    /// Whether a live revision that counted has been taken away and nothing has taken its place.
    pub fn taken_away(&self, at: Instant) -> bool {
        let ended = |r: &Revision| r.mode == PolicyMode::Live && r.withdrawn_at.is_some_and(|end| r.effective_at <= end && end <= at);
        self.in_force(PolicyMode::Live, at).is_none() && self.revisions.iter().any(ended)
    }

    /// Where a revision stands at the instant, in a word for screens.
    pub fn standing_of(&self, revision: &Revision, at: Instant) -> &'static str {
        match self.in_force(revision.mode, at) {
            Some(counting) if std::ptr::eq(counting, revision) => "IN_FORCE",
            _ if revision.withdrawn_at.is_some_and(|end| end <= at) => "WITHDRAWN",
            _ if at < revision.effective_at => "PENDING",
            _ => "PAST",
        }
    }

    /// Forgets the oldest that count no more, beyond the bound.
    fn forget(&mut self, at: Instant) {
        while self.revisions.len() > REVISIONS_MAX {
            let modes = [PolicyMode::Live, PolicyMode::Shadow, PolicyMode::Advisory];
            let counting: Vec<&Revision> = modes.iter().filter_map(|m| self.in_force(*m, at)).collect();
            let over = self.revisions.iter().position(|r| !r.pends_at(at) && !counting.iter().any(|c| std::ptr::eq(*c, r)));
            let Some(over) = over else { return };
            self.revisions.remove(over);
        }
    }
}

/// What a checkpoint decides under.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The revision id decisions name; `none` where the policy was taken away.
    pub revision: String,
    /// The switches.
    pub switches: Policy,
    /// The policy was taken away: nothing is decided by machine.
    pub missing: bool,
    /// What decides beside it and is only recorded.
    pub shadow: Option<Revision>,
    /// What decides beside it and is shown as advice.
    pub advisory: Option<Revision>,
}

impl Standing {
    /// Where no policy can be read: nothing is decided by machine.
    pub fn missing() -> Self {
        let switches = Policy::default();
        Self { revision: NO_REVISION.to_owned(), switches, missing: true, shadow: None, advisory: None }
    }

    /// What counts at a checkpoint at `at`, by its own timeline and the one of [`DEFAULT_SCOPE`].
    ///
    /// Where neither has ever held a live revision, the recommended defaults of the regulations'
    /// choices count. A live revision taken away without another in its place leaves nothing that
    /// decides: the lane holds.
    pub fn at(own: &Timeline, default: &Timeline, at: Instant) -> Self {
        let mine = own.in_force(PolicyMode::Live, at);
        let live = mine.or_else(|| default.in_force(PolicyMode::Live, at));
        let missing = live.is_none() && (own.taken_away(at) || default.taken_away(at));
        let (revision, switches) = match live {
            Some(live) => (live.revision.clone(), live.switches.clone()),
            None if missing => (NO_REVISION.to_owned(), Policy::default()),
            None => (Policy::default().revision(), Policy::default()),
        };
        // A trial that says the same as what decides has nothing to say.
        let beside = |mode: PolicyMode| {
            let common = || default.in_force(mode, at).filter(|_| mine.is_none());
            own.in_force(mode, at).or_else(common).filter(|r| r.revision != revision).cloned()
        };
        let (shadow, advisory) = (beside(PolicyMode::Shadow), beside(PolicyMode::Advisory));
        Self { revision, switches, missing, shadow, advisory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Instant {
        format!("2026-03-{text}:00+08:00").parse().unwrap()
    }

    fn record(id: &str, from: Option<&str>, mode: Option<PolicyMode>, pairing_window_s: u32) -> PolicyRecord {
        let switches = Policy { pairing_window_s, ..Policy::default() };
        PolicyRecord { id: id.into(), checkpoint: None, effective_from: from.map(t), mode, switches }
    }

    fn window(timeline: &Timeline, at: &str) -> Option<u32> {
        timeline.in_force(PolicyMode::Live, t(at)).map(|r| r.switches.pairing_window_s)
    }

    #[test]
    fn each_revision_counts_from_its_instant_and_none_is_lost() {
        let mut line = Timeline::default();
        line.enter(&record("JCZ-1", None, None, 10), t("01T08:00"), None).unwrap();
        line.enter(&record("JCZ-1", Some("20T00:00"), None, 30), t("02T08:00"), None).unwrap();
        line.enter(&record("JCZ-1", Some("10T00:00"), None, 20), t("03T08:00"), None).unwrap();
        assert_eq!(window(&line, "01T07:59"), None, "before the first one");
        assert_eq!(window(&line, "01T08:00"), Some(10));
        assert_eq!(window(&line, "09T23:59"), Some(10));
        assert_eq!(window(&line, "10T00:00"), Some(20), "the instant itself is included");
        let just_before = t("20T00:00").plus_millis(-1);
        assert_eq!(line.in_force(PolicyMode::Live, just_before).unwrap().switches.pairing_window_s, 20);
        assert_eq!(window(&line, "20T00:00"), Some(30));
        assert_eq!(line.revisions.len(), 3);
        let standing = |at: &str| line.revisions.iter().map(|r| line.standing_of(r, t(at))).collect::<Vec<_>>();
        assert_eq!(standing("10T00:00"), ["PAST", "PENDING", "IN_FORCE"]);
    }

    #[test]
    fn an_instant_that_has_passed_counts_at_once_and_never_backwards() {
        let mut line = Timeline::default();
        line.enter(&record("JCZ-1", None, None, 10), t("02T08:00"), None).unwrap();
        line.enter(&record("JCZ-1@late", Some("01T00:00"), None, 20), t("03T08:00"), None).unwrap();
        assert_eq!(window(&line, "03T07:59"), Some(10), "what was decided then stays decided under the old one");
        assert_eq!(window(&line, "03T08:00"), Some(20));
    }

    #[test]
    fn of_two_with_one_instant_the_later_written_counts_and_a_repeat_is_none() {
        let mut line = Timeline::default();
        for seconds in [20, 30] {
            line.enter(&record("JCZ-1", Some("10T00:00"), None, seconds), t("01T08:00"), None).unwrap();
        }
        assert_eq!(window(&line, "10T00:00"), Some(30));
        assert_eq!(line.enter(&record("JCZ-1", Some("10T00:00"), None, 30), t("01T09:00"), None), Ok(None));
        assert_eq!(line.revisions.len(), 2);
    }

    #[test]
    fn taking_one_away_lets_its_predecessor_count_again() {
        let mut line = Timeline::default();
        line.enter(&record("JCZ-1@a", None, None, 10), t("01T08:00"), None).unwrap();
        line.enter(&record("JCZ-1@b", None, None, 20), t("02T08:00"), None).unwrap();
        line.enter(&record("JCZ-1@c", Some("20T00:00"), None, 30), t("02T09:00"), None).unwrap();
        assert_eq!(line.withdraw("JCZ-1@c", t("03T00:00")), 1);
        assert_eq!(window(&line, "20T00:00"), Some(20), "a waiting one that was taken away never counts");
        assert_eq!(line.withdraw("JCZ-1@b", t("04T00:00")), 1);
        assert_eq!((window(&line, "03T23:59"), window(&line, "04T00:00")), (Some(20), Some(10)));
        assert!(!line.taken_away(t("04T00:00")));
        line.withdraw("JCZ-1@a", t("05T00:00"));
        assert!(line.taken_away(t("05T00:00")) && !line.taken_away(t("04T23:59")));
    }

    #[test]
    fn what_decides_at_a_checkpoint() {
        let (mut own, mut default) = (Timeline::default(), Timeline::default());
        let at = t("10T00:00");
        let standing = Standing::at(&own, &default, at);
        assert_eq!((standing.revision, standing.missing), (Policy::default().revision(), false));
        default.enter(&record("default", None, None, 10), t("01T00:00"), None).unwrap();
        default.enter(&record("default@trial", None, Some(PolicyMode::Shadow), 11), t("01T00:00"), None).unwrap();
        let standing = Standing::at(&own, &default, at);
        assert_eq!((standing.switches.pairing_window_s, standing.shadow.unwrap().switches.pairing_window_s), (10, 11));
        own.enter(&record("JCZ-1", None, None, 20), t("01T00:00"), None).unwrap();
        own.enter(&record("JCZ-1@advice", None, Some(PolicyMode::Advisory), 21), t("01T00:00"), None).unwrap();
        own.enter(&record("JCZ-1@same", None, Some(PolicyMode::Shadow), 20), t("01T00:00"), None).unwrap();
        let standing = Standing::at(&own, &default, at);
        assert_eq!(standing.switches.pairing_window_s, 20);
        assert_eq!(standing.advisory.unwrap().id, "JCZ-1@advice");
        assert_eq!(standing.shadow, None, "the trial of what decides anyway, and the trial of what does not decide here");
        own.withdraw("JCZ-1", t("09T00:00"));
        assert_eq!(Standing::at(&own, &default, at).switches.pairing_window_s, 10, "the default counts again");
        default.withdraw("default", t("09T00:00"));
        let standing = Standing::at(&own, &default, at);
        assert_eq!((standing.revision.as_str(), standing.missing), ("none", true), "a policy taken away opens nothing");
    }

    #[test]
    fn the_line_is_bounded_and_keeps_what_counts() {
        let mut line = Timeline::default();
        line.enter(&record("shadow", None, Some(PolicyMode::Shadow), 5), t("01T00:00"), None).unwrap();
        for n in 0..600 {
            let at = t("01T00:00").plus_millis(n);
            line.enter(&record("JCZ-1", None, None, 10 + u32::try_from(n % 200).unwrap()), at, None).unwrap();
        }
        assert_eq!(line.revisions.len(), REVISIONS_MAX);
        assert_eq!(window(&line, "02T00:00"), Some(209));
        assert!(line.in_force(PolicyMode::Shadow, t("02T00:00")).is_some());
        let mut full = Ok(None);
        for n in 0..70 {
            let waiting = PolicyRecord { effective_from: Some(t("20T00:00").plus_millis(n)), ..record("JCZ-1", None, None, 10) };
            full = line.enter(&waiting, t("03T00:00"), None).map(|r| r.map(|_| ()));
        }
        assert_eq!(full, Err(TimelineFull));
    }

    #[test]
    fn the_scope_is_named_by_the_checkpoint_or_the_id() {
        let of = |id: &str, checkpoint: Option<&str>| {
            let record = PolicyRecord { checkpoint: checkpoint.map(Into::into), ..record(id, None, None, 10) };
            scope_of(&record).to_owned()
        };
        assert_eq!(of("JCZ-1", None), "JCZ-1");
        assert_eq!(of("JCZ-1@2026", None), "JCZ-1");
        assert_eq!(of("spring", Some("JCZ-2")), "JCZ-2");
        assert_eq!(of("default@x", None), DEFAULT_SCOPE);
    }
}

//! `policy_differences`: what a policy revision on trial would have decided otherwise.

use portgate_core::decision::{Beside, Decision};
use portgate_core::journal::JournalEntry;

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "policy_differences",
    doc: "One row per decision that a policy revision in shadow or advisory would have made otherwise. What a revision would have changed in the past stands in `replay_differences`.",
    time: "decided_at",
    bloom: &["plate"],
    columns: &[
        SITE,
        SEQ,
        col("id", Kind::Text, "Decision id."),
        col("version", Kind::Int, "Version of the decision."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction."),
        col("category", Kind::Text, "Vehicle category."),
        col("plate", Kind::Plate, "Plate."),
        col("mode", Kind::Text, "SHADOW or ADVISORY."),
        col("policy", Kind::Text, "Policy record on trial."),
        col("policy_revision", Kind::Text, "Its revision."),
        col("in_force_revision", Kind::Text, "Revision decided under."),
        col("verdict", Kind::Text, "Verdict in force."),
        col("verdict_other", Kind::Text, "Verdict under the revision on trial."),
        col("reasons", Kind::Texts, "Reasons in force."),
        col("reasons_other", Kind::Texts, "Reasons under the revision on trial."),
        col("decided_at", Kind::Time, "When."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, d: &Decision, out: &mut Rows) {
    for (mode, beside) in [("SHADOW", &d.shadow), ("ADVISORY", &d.advisory)] {
        if let Some(other) = beside.as_deref().filter(|b| b.differs) {
            row(entry, d, mode, other, out);
        }
    }
}

fn row(entry: &JournalEntry, d: &Decision, mode: &str, other: &Beside, out: &mut Rows) {
    let codes = |reasons: &[portgate_core::decision::ReasonRecord]| reasons.iter().map(|r| r.code.clone()).collect::<Vec<_>>();
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&d.id).into(),
            d.version.into(),
            (&d.checkpoint).into(),
            (&d.lane).into(),
            (&d.direction).into(),
            (&d.category).into(),
            (&d.plate).into(),
            mode.into(),
            (&other.policy).into(),
            (&other.policy_revision).into(),
            (&d.policy_revision).into(),
            d.verdict.as_str().into(),
            other.verdict.as_str().into(),
            (&codes(&d.reasons)).into(),
            (&codes(&other.reasons)).into(),
            d.decided_at.into(),
        ],
    );
}

//! `reasons`: one row per machine decision and reason.

use portgate_core::decision::{Decision, Severity};
use portgate_core::journal::JournalEntry;

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "reasons",
    doc: "One row per decision and reason (of the machine's first decision).",
    time: "decided_at",
    bloom: &["id"],
    columns: &[
        SITE,
        SEQ,
        col("id", Kind::Text, "Decision id."),
        col("approach_id", Kind::Text, "Approach decided."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane."),
        col("category", Kind::Text, "Vehicle category."),
        col("verdict", Kind::Text, "Verdict of the decision."),
        col("position", Kind::Int, "Place among the decision's reasons, from 1."),
        col("code", Kind::Text, "Code of the reason."),
        col("check_id", Kind::Text, "Check that found it: C01 to C19, or SYS."),
        col("cite", Kind::Text, "Article it rests on; null: a system notice."),
        col("disposition", Kind::Text, "What this reason alone would come to."),
        col("severity", Kind::Text, "info, low, medium, high or critical."),
        col("zh", Kind::Text, "Its words in Chinese."),
        col("en", Kind::Text, "Its words in English."),
        col("decided_at", Kind::Time, "When the decision was formed."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, d: &Decision, out: &mut Rows) {
    if d.version > 1 {
        return;
    }
    for (reason, position) in d.reasons.iter().zip(1u32..) {
        out.push(
            &TABLE,
            [
                (&entry.site).into(),
                entry.seq.into(),
                (&d.id).into(),
                (&d.approach_id).into(),
                (&d.checkpoint).into(),
                (&d.lane).into(),
                (&d.direction).into(),
                (&d.category).into(),
                d.verdict.as_str().into(),
                position.into(),
                (&reason.code).into(),
                (&reason.check).into(),
                (&reason.cite).into(),
                reason.disposition.as_str().into(),
                severity(reason.severity).into(),
                (&reason.zh).into(),
                (&reason.en).into(),
                d.decided_at.into(),
            ],
        );
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

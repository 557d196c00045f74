//! `uses`: what passages changed of credentials, cards and presence.

use portgate_core::journal::{JournalEntry, Use};

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "uses",
    doc: "One row per effect of a passage.",
    time: "used_at",
    bloom: &["plate"],
    columns: &[
        SITE,
        SEQ,
        col("effect", Kind::Text, "Effect, like SINGLE_CARD_CONSUMED."),
        col("kind", Kind::Text, "Registry kind of what was used."),
        col("subject_id", Kind::Plate, "Its id (of a presence or a vehicle: the plate)."),
        col("plate", Kind::Plate, "Plate it was used with."),
        col("passage_id", Kind::Text, "Passage that used it."),
        col("used_at", Kind::Time, "When, event time."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, u: &Use, out: &mut Rows) {
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&u.effect).into(),
            (&u.kind).into(),
            (&u.id).into(),
            (&u.plate).into(),
            (&u.passage_id).into(),
            u.at.into(),
        ],
    );
}

//! `card_events`: the life of port pass cards, from the registry and from passages.

use portgate_core::journal::{JournalEntry, Use};
use portgate_core::registry::Kind as RecordKind;
use portgate_core::time::Instant;
use serde_json::Value;

use super::{col, Cell, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "card_events",
    doc: "One row per change of a card: by the registry (issue, loss, cancellation …) or by a passage (in use, recovered).",
    time: "happened_at",
    bloom: &["card_id", "plate"],
    columns: &[
        SITE,
        SEQ,
        col("card_id", Kind::Text, "Card."),
        col("issue", Kind::Text, "Issue of the card (its issue id or instant of issue), where the record has one."),
        col("type", Kind::Text, "SINGLE, LONG or IC."),
        col(
            "event",
            Kind::Text,
            "Status reached: ISSUED, IN_USE, RECOVERED, HANDED_OVER, LOST, CANCELLED …; DELETED: the record was removed.",
        ),
        col("source", Kind::Text, "registry or passage."),
        col("plate", Kind::Plate, "Plate it belongs to."),
        col("enterprise", Kind::Text, "Carrier it belongs to."),
        col("passage_id", Kind::Text, "Passage that changed it."),
        col("happened_at", Kind::Time, "When: of an issue or a recovery the registry's own instant, else when the gate learned of it."),
    ],
};

/// A passage took a single card into use, or gave it back.
pub(super) fn rows_of_use(entry: &JournalEntry, u: &Use, out: &mut Rows) {
    let event = match u.effect.as_str() {
        "SINGLE_CARD_CONSUMED" => "IN_USE",
        "SINGLE_CARD_RECOVERED" => "RECOVERED",
        _ => return,
    };
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&u.id).into(),
            Cell::Null,
            "SINGLE".into(),
            event.into(),
            "passage".into(),
            (&u.plate).into(),
            Cell::Null,
            (&u.passage_id).into(),
            u.at.into(),
        ],
    );
}

/// The registry's word on a card.
pub(super) fn rows_of_record(entry: &JournalEntry, kind: &str, id: &str, value: Option<&Value>, out: &mut Rows) {
    if kind != RecordKind::Card.as_str() {
        return;
    }
    let text = |name: &str| value.and_then(|v| v.get(name)).and_then(Value::as_str).filter(|t| !t.is_empty());
    let instant = |name: &str| text(name).and_then(|t| t.parse::<Instant>().ok());
    let event = if value.is_some() { text("status").unwrap_or("ISSUED") } else { "DELETED" };
    let at = match event {
        "ISSUED" => instant("issued_at"),
        "RECOVERED" => instant("recovered_at"),
        _ => None,
    };
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            id.into(),
            text("issue_id").or_else(|| text("issued_at")).into(),
            text("type").into(),
            event.into(),
            "registry".into(),
            text("plate").into(),
            text("enterprise").into(),
            Cell::Null,
            at.unwrap_or(entry.at).into(),
        ],
    );
}

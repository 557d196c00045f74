//! `records`: what the registry said, and when: vehicles, cards, tasks, bans, permits, consents,
//! appointments, trips, manifests, escorts, peak modes …
//!
//! One shape for all kinds, with the fields analysts ask about. Names, phones and other words of
//! people stay in the registry.

use portgate_core::journal::JournalEntry;
use portgate_core::registry::Kind as RecordKind;
use portgate_core::time::{Date, Instant};
use serde_json::Value;

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "records",
    doc: "One row per change of a registry record, of any kind; the latest one holds.",
    time: "changed_at",
    bloom: &["plate", "record_id"],
    columns: &[
        SITE,
        SEQ,
        col("kind", Kind::Text, "Registry kind, like vehicle, card, task, ban, leave_consent, trip."),
        col("record_id", Kind::Text, "Its id; null of a vehicle, whose id is its plate."),
        col("revision", Kind::Int, "Registry revision the change made."),
        col("removed", Kind::Bool, "The record was deleted."),
        col("plate", Kind::Plate, "Plate it belongs to."),
        col("enterprise", Kind::Text, "Carrier it belongs to."),
        col("state", Kind::Text, "Status or state; of a vehicle that of its registration."),
        col(
            "type",
            Kind::Text,
            "Category of a vehicle, type of a card, kind of a task, ban or appointment, flow of a trip, profile of a checkpoint.",
        ),
        col("regime", Kind::Text, "Regime of a trip: TRANSIT, FAST or ESCORT."),
        col("parent", Kind::Text, "Record it belongs to: trip of a manifest, appointment of an approval or QR code, task of a card."),
        col(
            "unit",
            Kind::Text,
            "Work unit of a task, yard of an appointment, approver of an approval, terminal of a consent, host of a reception.",
        ),
        col("officers", Kind::Int, "Officers of an escort."),
        col("fee_paid", Kind::Bool, "Fee of an escort paid."),
        col("active", Kind::Bool, "Peak pass mode switched on."),
        col("from_at", Kind::Time, "Start of validity or window; of a trip its confirmation, of a manifest its transmission."),
        col("to_at", Kind::Time, "End of validity or window, exclusive."),
        col("issue", Kind::Text, "Issue of a single-use credential."),
        col("changed_at", Kind::Time, "When the gate applied it."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, revision: u64, kind: &str, id: &str, value: Option<&Value>, out: &mut Rows) {
    let Ok(of) = kind.parse::<RecordKind>() else { return };
    let field = |name: &str| value.and_then(|v| v.get(name));
    let text = |names: &[&str]| names.iter().find_map(|n| field(n).and_then(Value::as_str)).filter(|t| !t.is_empty());
    let is_plate = matches!(of, RecordKind::Vehicle | RecordKind::CustomsVehicle);
    let start = |names: &[&str]| text(names).and_then(|t| t.parse().ok().or_else(|| t.parse::<Date>().ok().map(Date::start)));
    let end = |names: &[&str]| text(names).and_then(|t| t.parse::<Instant>().ok().or_else(|| t.parse::<Date>().ok().map(Date::end)));
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            kind.into(),
            (!is_plate).then_some(id).into(),
            revision.into(),
            value.is_none().into(),
            text(&["plate"]).or(is_plate.then_some(id)).into(),
            text(&["enterprise"]).into(),
            text(&["status", "state", "registration"]).into(),
            text(&["category", "type", "kind", "flow", "profile", "lane_class"]).into(),
            text(&["regime"]).into(),
            text(&["trip", "appointment", "task", "checkpoint", "site"]).into(),
            text(&["work_unit", "yard", "approver", "granted_by", "host_unit"]).into(),
            field("officers").and_then(Value::as_i64).into(),
            field("fee_paid").and_then(Value::as_bool).into(),
            field("active").and_then(Value::as_bool).into(),
            start(&["from", "window_from", "valid_from", "confirmed_at", "transmitted_at", "effective_from"]).into(),
            end(&["to", "window_to", "valid_to", "registration_valid_to"]).into(),
            text(&["issue_id"]).into(),
            entry.at.into(),
        ],
    );
}

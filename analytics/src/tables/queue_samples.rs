//! `queue_samples`: how many vehicles wait, as the lanes report it.

use portgate_core::journal::JournalEntry;
use portgate_core::read::ReadMessage;

use super::{col, Kind, LaneNames, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "queue_samples",
    doc: "One row per report of a lane's queue.",
    time: "sampled_at",
    bloom: &[],
    columns: &[
        SITE,
        SEQ,
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane, where known."),
        col("vehicles_waiting", Kind::Int, "Vehicles waiting, the one at the barrier included."),
        col("sampled_at", Kind::Time, "When: the gate's time of receipt, or the device's where it has none."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, read: &ReadMessage, lanes: &LaneNames, out: &mut Rows) {
    let Some(waiting) = read.queue_length else { return };
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            lanes.checkpoint(&read.lane).into(),
            (&read.lane).into(),
            lanes.direction(&read.lane).into(),
            waiting.into(),
            read.received_at.or(read.observed_at).unwrap_or(entry.at).into(),
        ],
    );
}

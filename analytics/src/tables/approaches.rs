//! `arrivals` and `endings`: the beginning and the end of a vehicle's stay at a lane.

use portgate_core::journal::{Ending, JournalEntry};
use portgate_core::time::Instant;

use super::{col, Kind, LaneNames, Rows, Table, SEQ, SITE};

pub(super) static ARRIVALS: Table = Table {
    name: "arrivals",
    doc: "One row per vehicle that arrived at a lane.",
    time: "arrived_at",
    bloom: &["approach_id"],
    columns: &[
        SITE,
        SEQ,
        col("approach_id", Kind::Text, "Approach."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane, where known."),
        col("arrived_at", Kind::Time, "First read, event time."),
    ],
};

pub(super) static ENDINGS: Table = Table {
    name: "endings",
    doc: "One row per approach that ended.",
    time: "ended_at",
    bloom: &["approach_id"],
    columns: &[
        SITE,
        SEQ,
        col("approach_id", Kind::Text, "Approach."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane, where known."),
        col("ending", Kind::Text, "PASSED, GONE (left without passing) or EXPIRED (nothing more was heard)."),
        col("ended_at", Kind::Time, "When the gate took it as ended."),
    ],
};

pub(super) fn arrived(entry: &JournalEntry, approach_id: &str, lane: &str, arrived_at: Instant, lanes: &LaneNames, out: &mut Rows) {
    out.push(
        &ARRIVALS,
        [
            (&entry.site).into(),
            entry.seq.into(),
            approach_id.into(),
            lanes.checkpoint(lane).into(),
            lane.into(),
            lanes.direction(lane).into(),
            arrived_at.into(),
        ],
    );
}

pub(super) fn ended(entry: &JournalEntry, approach_id: &str, lane: &str, ending: Ending, lanes: &LaneNames, out: &mut Rows) {
    let ending = match ending {
        Ending::Passed => "PASSED",
        Ending::Gone => "GONE",
        Ending::Expired => "EXPIRED",
    };
    out.push(
        &ENDINGS,
        [
            (&entry.site).into(),
            entry.seq.into(),
            approach_id.into(),
            lanes.checkpoint(lane).into(),
            lane.into(),
            lanes.direction(lane).into(),
            ending.into(),
            entry.at.into(),
        ],
    );
}

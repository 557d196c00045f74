//! `lanes`: the lanes as the registry described them, and where a lane named in a read stands.

use std::collections::BTreeMap;

use portgate_core::journal::JournalEntry;
use portgate_core::registry::Kind as RecordKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "lanes",
    doc: "One row per change of a lane's record in the registry; the latest one holds.",
    time: "changed_at",
    bloom: &[],
    columns: &[
        SITE,
        SEQ,
        col("lane", Kind::Text, "Lane."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("class", Kind::Text, "PASSENGER, FREIGHT or MIXED; null: the record was removed."),
        col("direction", Kind::Text, "Direction."),
        col("changed_at", Kind::Time, "When the gate applied it."),
    ],
};

/// Where lanes stand, learned from the journal; arrivals and queue reports name only the lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneNames(BTreeMap<String, Place>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    checkpoint: String,
    direction: Option<String>,
}

/// More lanes than any port has; beyond it nothing is learned.
const LANES_MAX: usize = 10_000;

impl LaneNames {
    /// Takes note of where a lane stands.
    pub fn learn(&mut self, lane: &str, checkpoint: &str, direction: Option<&str>) {
        let known = self.0.get(lane);
        if known.is_some_and(|p| p.checkpoint == checkpoint && (direction.is_none() || p.direction.as_deref() == direction))
            || (known.is_none() && self.0.len() >= LANES_MAX)
        {
            return;
        }
        let direction = direction.map(str::to_owned).or_else(|| known.and_then(|p| p.direction.clone()));
        self.0.insert(lane.to_owned(), Place { checkpoint: checkpoint.to_owned(), direction });
    }

    /// The lane's checkpoint; unknown: what stands before the last dot of its name.
    pub fn checkpoint<'a>(&'a self, lane: &'a str) -> &'a str {
        match self.0.get(lane) {
            Some(place) => &place.checkpoint,
            None => lane.rsplit_once('.').map_or(lane, |(checkpoint, _)| checkpoint),
        }
    }

    /// The lane's direction, where known.
    pub fn direction(&self, lane: &str) -> Option<&str> {
        self.0.get(lane).and_then(|p| p.direction.as_deref())
    }
}

pub(super) fn rows(entry: &JournalEntry, kind: &str, id: &str, value: Option<&Value>, lanes: &mut LaneNames, out: &mut Rows) {
    if kind != RecordKind::Lane.as_str() {
        return;
    }
    let text = |name: &str| value.and_then(|v| v.get(name)).and_then(Value::as_str);
    let checkpoint = text("checkpoint").unwrap_or_else(|| id.rsplit_once('.').map_or(id, |(c, _)| c));
    lanes.learn(id, checkpoint, text("direction"));
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            id.into(),
            checkpoint.into(),
            text("class").into(),
            text("direction").into(),
            entry.at.into(),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::LaneNames;

    #[test]
    fn a_lane_is_placed_by_its_name_until_it_is_known() {
        let mut lanes = LaneNames::default();
        assert_eq!(lanes.checkpoint("JCZ-1.L2"), "JCZ-1");
        assert_eq!(lanes.direction("JCZ-1.L2"), None);
        lanes.learn("JCZ-1.L2", "EAST", Some("EXIT"));
        lanes.learn("JCZ-1.L2", "EAST", None);
        assert_eq!((lanes.checkpoint("JCZ-1.L2"), lanes.direction("JCZ-1.L2")), ("EAST", Some("EXIT")));
    }
}

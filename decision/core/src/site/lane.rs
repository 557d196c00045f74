//! What is known about a lane between two inputs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approach::Approach;
use crate::command::BarrierState;
use crate::plate::normalise;
use crate::read::{PlateRead, ReadMessage};
use crate::time::Instant;

/// The vehicle that was at the barrier last. A plate read of it that comes late, from a slow
/// recogniser or after a restart, must not begin an approach of a vehicle that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Event time at which it passed or went.
    pub at: Instant,
    /// What its camera read; none: nothing had been read.
    pub plate: Option<String>,
    /// Its camera tracks.
    pub tracks: BTreeSet<String>,
}

impl Left {
    /// Whether a plate read is of the vehicle that has left.
    pub fn is_of(&self, read: &ReadMessage, plate: &PlateRead, event_at: Instant) -> bool {
        let track = read.track_id.as_ref();
        if track.is_some_and(|t| self.tracks.contains(t)) {
            return true;
        }
        event_at <= self.at
            && match &self.plate {
                Some(own) => *own == normalise(&plate.text),
                None => track.is_some(),
            }
    }
}

/// State of one lane. Holds at most the approach at the barrier and the one behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneState {
    /// Lane.
    pub lane: String,
    /// Approaches so far; part of the next approach's id.
    pub approaches: u64,
    /// Highest fence commanded; a barrier obeys nothing below it.
    pub fence: u64,
    /// The vehicle at the barrier.
    pub current: Option<Approach>,
    /// The vehicle behind it, if something of it was read already. It is never commanded.
    pub behind: Option<Approach>,
    /// The vehicle before.
    pub left: Option<Left>,
    /// Vehicles waiting, as last reported.
    pub queue_length: u32,
    /// Barrier, as last reported.
    pub barrier: BarrierState,
}

impl LaneState {
    /// A lane at which nothing has happened.
    pub fn new(lane: &str) -> Self {
        Self {
            lane: lane.to_owned(),
            approaches: 0,
            fence: 0,
            current: None,
            behind: None,
            left: None,
            queue_length: 0,
            barrier: BarrierState::Closed,
        }
    }

    /// When the shell has to come back with [`super::Input::Tick`]; none: nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        [&self.current, &self.behind].into_iter().flatten().map(|a| a.deadline).min()
    }
}

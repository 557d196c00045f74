//! What is known about a lane between two inputs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approach::Approach;
use crate::command::BarrierState;
use crate::effect::UseIntent;
use crate::journal::AuthorisedBy;
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

/// An open command that is not meant any more (taken back, run out, or its arm down again and nobody seen to
/// pass), while the barrier has not said that it did not obey it. The arm may be rising, or the passage's
/// message be on its way: what the passage would use stays claimed until the barrier has spoken, the time here
/// is over, or the vehicle goes through or away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unanswered {
    /// The approach it was for.
    pub approach_id: String,
    /// Who allowed it.
    pub by: AuthorisedBy,
    /// The open command.
    pub command_id: String,
    /// After this the barrier must not execute it.
    pub expires_at: Instant,
    /// The arm came down again then: who went through later did so without it. None: it has not been up, as
    /// far as is known.
    pub down_at: Option<Instant>,
    /// What has not been said until then did not happen.
    pub until: Instant,
    /// What the passage would use.
    pub uses: Vec<UseIntent>,
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
    /// The last command that was taken back or ran out, until the barrier has answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Unanswered>,
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
            unanswered: None,
        }
    }

    /// Whether the arm may be rising for this approach on a command that is not meant any more.
    pub(super) fn may_rise(&self, approach: &Approach, now: Instant) -> bool {
        self.unanswered.as_ref().is_some_and(|u| u.approach_id == approach.approach_id && now < u.until && u.down_at.is_none())
    }

    /// When the shell has to come back with [`super::Input::Tick`]; none: nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        [&self.current, &self.behind].into_iter().flatten().map(|a| a.deadline).min()
    }
}

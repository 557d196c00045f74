//! What is known about a lane between two inputs.

use serde::{Deserialize, Serialize};

use super::approach::Approach;
use crate::command::BarrierState;
use crate::time::Instant;

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
            queue_length: 0,
            barrier: BarrierState::Closed,
        }
    }

    /// When the shell has to come back with [`super::Input::Tick`]; none: nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        [&self.current, &self.behind].into_iter().flatten().map(|a| a.deadline).min()
    }
}

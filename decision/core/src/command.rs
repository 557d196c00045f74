//! Commands: what the barrier is told (topic `portgate.commands`).
//!
//! A command is idempotent (by `command_id`), fenced (by `fence`: a barrier obeys only the
//! highest it has seen) and expires: after `expires_at` it is recorded, never executed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// What is commanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Open for one vehicle, then close (一车一杆, LYG-3.7).
    Open,
    /// Do not execute the named open command if that has not happened yet.
    Withdraw,
}

/// State of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BarrierState {
    /// Down.
    Closed,
    /// Going up.
    Opening,
    /// Up.
    Open,
    /// Going down.
    Closing,
    /// Refused a command: repeated, fenced off or withdrawn.
    Rejected,
    /// Got a command after its expiry and did not execute it.
    Expired,
    /// Out of order.
    Fault,
}

/// A message on `portgate.commands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Unique; repeats are dropped by the barrier.
    pub command_id: String,
    /// Site whose owner commands.
    pub site: String,
    /// Lane whose barrier is meant.
    pub lane: String,
    /// Approach it lets through.
    pub approach_id: String,
    /// The committed decision that allows it.
    pub decision_id: String,
    /// And its version.
    pub decision_version: u32,
    /// What to do.
    pub order: Order,
    /// Rises with every approach of the lane and with every owner of the site.
    pub fence: u64,
    /// When it was committed.
    pub issued_at: Instant,
    /// After this it must not be executed.
    pub expires_at: Instant,
}

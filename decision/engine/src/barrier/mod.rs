//! The other end of a command: barriers.
//!
//! [`control`] decides what one barrier does (pure; at most once per command, the highest fence,
//! never after the expiry, one vehicle per opening). [`drive`] connects it to the log and to a
//! [`Barrier`], the machine itself. [`SimulatedBarrier`] is one that takes its time and does what
//! it is told.
//!
//! A command is on the log only after its decision is committed, and a barrier knows nothing else:
//! it cannot act on a decision that is not on record.

mod control;
mod drive;
mod lease;
mod passages;
mod simulated;

pub use control::{Act, Control};
pub use drive::{drive, drive_with, BarrierOptions, OnTheSpot};
pub use lease::Lease;
pub use simulated::SimulatedBarrier;

use async_trait::async_trait;

/// A barrier that did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the barrier of lane {lane} is out of order: {what}")]
pub struct BarrierFault {
    /// Lane.
    pub lane: String,
    /// What went wrong.
    pub what: String,
}

/// The machines of the lanes. Each call answers when the arm has arrived.
#[async_trait]
pub trait Barrier: Send + Sync + 'static {
    /// Raises the arm.
    ///
    /// # Errors
    /// [`BarrierFault`]; the arm is then where it was, or somewhere between.
    async fn raise(&self, lane: &str) -> Result<(), BarrierFault>;
    /// Lowers the arm.
    ///
    /// # Errors
    /// [`BarrierFault`].
    async fn lower(&self, lane: &str) -> Result<(), BarrierFault>;
}

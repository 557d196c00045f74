//! The edge in: what reaches the gate from outside.
//!
//! * [`http`]: cameras push frames, devices and people report reads.
//! * [`spool`]: where reads wait while the log is away.
//! * [`camera`]: the `camera` role, which plays files and streams and sends only frames in which
//!   something happens.
//! * [`validate`]: what a message on a topic must look like, and [`validate::Rejected`] for what
//!   does not; the published schemas are in `schemas/` ([`schema`]).
//! * [`sim`]: the demonstration site, its traffic and its guard.
//!
//! Architecture invariant: this crate decides nothing. It checks form, stamps receipt, and writes
//! to the log; whatever it cannot write is answered with an error, never dropped in silence.

pub mod camera;
mod clock;
pub mod http;
pub mod lanes;
pub mod problem;
pub mod schema;
pub mod sim;
/// The recogniser's own check of a picture's skeleton. One source in two crates, because the edge
/// must not link the recogniser to refuse half a JPEG.
#[path = "../../lpr/src/sniff.rs"]
#[allow(dead_code)] // each of the two crates uses its part
mod sniff;
pub mod spool;
pub mod telemetry;
mod transcode;
pub mod validate;

pub use http::{router, EdgeLimits, EdgeState};
pub use lanes::{LaneClass, LaneDirectory, LaneInfo};
pub use problem::Problem;
pub use spool::{Spool, SpoolStanding};
pub use transcode::TranscodeError;

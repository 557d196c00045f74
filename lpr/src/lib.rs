//! Frame to plate read: find, rectify, recognise, track, vote.
//!
//! A picture goes through [`sniff`] (is it one?), [`decode`] (pixels, no more than needed),
//! [`detect`] (where are plates, by their four corners), [`rectify`] and [`recognise`] (what do
//! they say, by the grammar of their kind); [`pipeline::Recogniser`] is all of that. Over a lane's
//! frames [`track`] makes one settled read a vehicle; [`stage`] is the role that does it between
//! `portgate.frames` and `portgate.reads`. [`evaluate`] measures it on labelled pictures.
//!
//! Architecture invariant: only this crate names tract. Its output is journalled as events, so
//! nothing behind it ever needs the models again.

#[cfg(target_arch = "x86_64")]
mod convolve;
pub mod ctc;
pub mod decode;
pub mod detect;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod geometry;
pub mod grammar;
pub mod models;
#[cfg(test)]
mod photographs;
pub mod pipeline;
pub mod reading;
mod recognise;
mod rectify;
pub mod sniff;
pub mod stage;
pub mod telemetry;
pub mod track;
pub mod vote;

pub use error::LprError;
pub use models::Models;
pub use pipeline::{PictureReading, Recogniser, SecondLook, Times};
pub use reading::{PlateLine, PlateReading, ReadLine};
pub use sniff::{sniff, DecodeError, ImageFormat, ImageInfo};
pub use stage::{run, StageConfig};
pub use track::{FrameSeen, LaneTracker, TrackConfig};

//! The real engine in a simulated world that breaks.
//!
//! [`run`] builds a world from a seed: one machine, or a cluster with two nodes. In it run the real
//! [`portgate_engine::Engine`], the real [`portgate_store::Store`] on RocksDB and the real
//! [`portgate_engine::barrier::drive`]; simulated are the time ([`time`]), the log ([`cluster`],
//! [`log`]), the disk's misfortunes ([`disk`]), the arms ([`machine`]) and everything outside
//! ([`workload`]). Everything happens on one thread in one order that the seed decides, so a seed
//! gives the same trace again.
//!
//! The [`oracle`] knows what went in and what came out, and judges by named invariants
//! ([`oracle::INVARIANTS`]). That it can see is shown by planted bugs ([`plant`]).

pub mod cluster;
pub mod disk;
pub mod log;
pub mod machine;
pub mod node;
pub mod oracle;
pub mod plant;
pub mod process;
pub mod rng;
pub mod signal;
pub mod time;
pub mod trace;
pub mod workload;
pub mod world;

pub use oracle::Violation;
pub use plant::Plant;
pub use world::{run, Counts, Options, Outcome};

/// Seeds that once found something: the program is held to them for good.
/// * 0, 10, 14, 16, 35: an order to open and its withdrawal in one batch; the barrier opened first.
/// * 3197: a deadline fired at the wall's time before a read that had waited; the journal's time went back.
/// * 4041: two commands for one vehicle heard in one batch; the barrier rose for each.
/// * 103656: two commands of one lane heard in one batch; the oracle took both raises for the later one's
///   (the world's own mistake).
/// * 200656: a doubtful read while the arm was up freed what it was up on; a second lane opened on the same.
/// * 403043, 409156: claims lapsed by a device's clock that ran ahead; a second lane opened a second too early.
/// * 49: a read posted after the world was taken for resting (the world's own mistake).
pub const REGRESSIONS: &[u64] = &[0, 10, 14, 16, 35, 49, 3197, 4041, 103_656, 200_656, 403_043, 409_156];

//! The loop of one site: reads → facts → decide → commit → act.
//!
//! ```text
//! portgate.reads ──┐                       ┌─ journal ───┐
//! portgate.registry├─ Input ─ step (core) ─┤  state      ├─ one synced commit ─ publisher ─ topics
//! deadlines ───────┘                       └─ evidence ──┘
//! ```
//!
//! * [`Engine::run`] takes in what has come, commits it in one batch and only then lets the
//!   publisher tell the world: `portgate.journal`, `portgate.decisions`, `portgate.commands`,
//!   `portgate.answers`. The outbox is the journal beyond what is known to be published, so that
//!   after a crash it goes out again; receivers drop repeats by sequence and id.
//! * Sources start at the offsets in the store, which were committed with what they led to: nothing
//!   is lost and nothing decided twice.
//! * What waited while the engine was away is stepped at the time the log got it, in the order of
//!   the log's times: it comes to the same decisions, and commands for vehicles of that time have
//!   expired when a barrier sees them.
//! * A site has one owner at a time. Over Kafka that is the node to which the consumer group gives the
//!   site's partition; the others stand by and follow the journal. A new owner fences the former one
//!   off, follows the journal to its end and goes on where the last entry says the sources stood.
//! * A message that does not fit goes to `portgate.rejected` with the reason, and the loop goes on.
//! * [`barrier`] is the other end: it obeys commands, each at most once.
//!
//! Architecture invariant: nothing leaves this crate for the log before the store has committed it.

mod apply;
pub mod barrier;
mod bench;
mod bench_line;
mod blocking;
mod clock;
pub mod cut_off;
mod engine;
mod error;
mod follow;
mod frames;
mod handle;
mod health;
mod import;
mod input;
mod publish;
mod registry_tail;
pub mod telemetry;

pub use bench::{bench_commits, Timing};
pub use bench_line::{bench_bare, bench_line};
pub use clock::{Clock, Sleep, SystemClock};
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use follow::open_store;
pub use frames::{Frames, NoFrames, RecentFrames};
pub use handle::{EngineHandle, Standing, Status};
pub use import::{import_lines, parse_lines, to_records, ImportError, LineError, RegistryLine};
pub use input::{Rejected, HEADER_BY, HEADER_REQUEST_ID};
pub use portgate_log::topics;
pub use publish::{ANSWERS, HEADER_SEQ, HEADER_SOURCES};

//! The store of one site on RocksDB: registry, use books, lane states, decisions, journal, outbox,
//! evidence.
//!
//! The engine begins a batch ([`Store::begin`]), lets the core step over it ([`Overlay`] is a
//! [`portgate_core::site::World`]), takes the outcomes in ([`Overlay::apply`]) and makes the whole
//! batch durable at once ([`Store::commit`]): state, deduplication, source offsets, journal and
//! evidence in one synced write. The outbox is the journal beyond [`Store::published`]: what was
//! committed and is not yet known to have reached the log.
//!
//! One store holds one site, so that a site can move between machines as a whole and its journal,
//! registry revisions and offsets stand in one order.
//!
//! Architecture invariant: besides the embedded log no other crate names RocksDB.

mod bare;
mod bind;
mod check;
mod db;
mod error;
mod import;
mod journal;
mod keys;
mod load;
mod overlay;
mod probe;
mod read;
mod registry;
pub mod telemetry;

pub use bare::{Bare, Noting, ReadKey};
pub use check::{check, Finding, Report};
pub use db::{Committed, Store, FORMAT};
pub use error::{Result, StoreError};
pub use journal::{chain_next, Head};
pub use overlay::{sha256_hex, Overlay};
pub use probe::Probe;
pub use read::EvidenceMeta;
pub use registry::RegistryHead;

//! The embedded log, on RocksDB.

/// A membership of an embedded consumer group.
pub struct EmbeddedGroup;

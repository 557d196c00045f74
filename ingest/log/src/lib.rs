//! The log: one interface, two real implementations.
//!
//! Every stage of Portgate speaks to the others through a log of ordered, partitioned, durable
//! records. [`Log`] is that log; [`embedded::EmbeddedLog`] keeps it on RocksDB in this process (the
//! default, nothing to install), [`kafka::KafkaLog`] on any Kafka cluster (how one gate becomes many
//! machines). One contract test suite (`tests/contract.rs`) runs on both.
//!
//! What both promise:
//! * **Accepted means durable.** [`Log::append`] answers after the record is synced (embedded) or
//!   acknowledged by all in-sync replicas (Kafka). An error means "not known to be stored": repeat
//!   it with the same id, receivers drop repeats.
//! * **Order** within a partition; a key always goes to the same partition ([`partition_for_key`],
//!   the same as Kafka's Java clients).
//! * **At least once** to consumer groups: what was not committed is delivered again.
//! * **Atomic batches**: a [`LogTransaction`] makes its records and the consumed offsets visible
//!   together or not at all, and a newer holder of the same transactional id fences the older one.
//! * **Bounded**: a full queue is [`LogError::Busy`], never a silent drop and never unbounded memory.
//!
//! Architecture invariant: no other crate names rdkafka, and no other crate but the decision store
//! names RocksDB.

mod api;
pub mod embedded;
mod error;
pub mod kafka;
mod partition;
mod record;
pub mod telemetry;
pub mod topics;

pub use api::{
    Consumer, ConsumerOptions, GroupHandle, Health, Log, LogTransaction, PartitionLag, PartitionRange, ReadBatch, RebalanceListener,
    StartFrom,
};
pub use error::{LogError, Result};
pub use partition::partition_for_key;
pub use record::{NewRecord, Position, Record, TopicPartition};
pub use topics::TopicSpec;

//! The log on a Kafka cluster.

/// A membership of a Kafka consumer group.
pub struct KafkaGroup;

//! Records and where they stand.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::Serialize;

use crate::error::LogError;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    #[must_use]
    pub fn new(topic: impl Into<String>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// The place of one record: unique for ever, and growing with time within a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The topic's name.
    pub topic: String,
    /// The partition, from 0.
    pub partition: u32,
    /// The record's offset in its partition. Offsets grow but may have gaps (compaction, retention,
    /// a transaction's markers in Kafka).
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

/// A record as read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic's name.
    pub topic: String,
    /// The partition, from 0.
    pub partition: u32,
    /// The offset in the partition.
    pub offset: u64,
    /// The key it was partitioned (and is compacted) by.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone: on a compacted topic it deletes the key.
    pub value: Option<Bytes>,
    /// Headers in the order they were written; names may repeat.
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since the epoch as the writer stated them, else the time of appending.
    pub timestamp_ms: i64,
}

impl Record {
    /// Where this record stands; what [`crate::Consumer::commit`] takes once it is processed.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        find(&self.headers, name)
    }

    /// The first header of that name, if it is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// The key, if it is UTF-8.
    #[must_use]
    pub fn key_str(&self) -> Option<&str> {
        self.key.as_ref().and_then(|k| std::str::from_utf8(k).ok())
    }

    /// The value as JSON. The caller sends what does not fit to `portgate.rejected`.
    ///
    /// # Errors
    /// The reason in words, when there is no value or it does not parse as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        let value = self.value.as_ref().ok_or("the record has no value")?;
        serde_json::from_slice(value).map_err(|e| e.to_string())
    }

    /// About how many bytes the record takes in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        size_bytes(&self.key, &self.value, &self.headers)
    }
}

/// A record to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The topic's name.
    pub topic: String,
    /// Which partition; `None` (the usual): by the key's hash, or in turn where there is no key.
    pub partition: Option<u32>,
    /// The key; required on a compacted topic.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, kept in order.
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since the epoch; `None`: the time of appending.
    pub timestamp_ms: Option<i64>,
}

impl NewRecord {
    /// A record with a key and a value.
    #[must_use]
    pub fn new(topic: impl Into<String>, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), key: Some(key.into()), value: Some(value.into()), ..Self::default() }
    }

    /// A record whose value is `value` as JSON.
    ///
    /// # Errors
    /// [`LogError::Invalid`] when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(topic: impl Into<String>, key: impl Into<Bytes>, value: &T) -> Result<Self, LogError> {
        let value = serde_json::to_vec(value).map_err(|e| LogError::Invalid(format!("value is not JSON: {e}")))?;
        Ok(Self::new(topic, key, value))
    }

    /// A record that deletes `key` from a compacted topic.
    #[must_use]
    pub fn tombstone(topic: impl Into<String>, key: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), key: Some(key.into()), ..Self::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// States the record's time, milliseconds since the epoch.
    #[must_use]
    pub fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Chooses the partition instead of leaving it to the key.
    #[must_use]
    pub fn on_partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// About how many bytes the record takes in memory and on the wire.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_bytes(&self.key, &self.value, &self.headers)
    }

    /// Whether a topic takes it.
    pub(crate) fn check(&self, compacted: bool, bytes_max: usize) -> Result<(), LogError> {
        let bytes = self.size_bytes() - OVERHEAD_BYTES;
        if bytes > bytes_max {
            return Err(LogError::TooLarge { topic: self.topic.clone(), bytes, max: bytes_max });
        }
        if compacted && self.key.is_none() {
            return Err(LogError::Invalid(format!("topic {} is compacted: a record needs a key", self.topic)));
        }
        Ok(())
    }
}

/// What a record takes beside key, value and headers.
const OVERHEAD_BYTES: usize = 64;

/// Key, value and headers, with a fixed allowance for the rest.
fn size_bytes(key: &Option<Bytes>, value: &Option<Bytes>, headers: &[(String, Bytes)]) -> usize {
    OVERHEAD_BYTES
        + key.as_ref().map_or(0, Bytes::len)
        + value.as_ref().map_or(0, Bytes::len)
        + headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
}

fn find<'a>(headers: &'a [(String, Bytes)], name: &str) -> Option<&'a Bytes> {
    headers.iter().find(|(n, _)| n == name).map(|(_, v)| v)
}

//! Where everything lies in the store. Prefixes are fixed for ever and never reused.
//!
//! Column family `default` (small facts), by first byte:
//!
//! | key | value |
//! |---|---|
//! | `01` | format version, u32 |
//! | `02` topic name | the topic's id and spec, JSON |
//! | `03` topic id · partition · group name | the group's next offset, u64 |
//! | `04` topic id · partition | the oldest offset that can be read, u64 |
//! | `05` topic id · partition | an offset the end is never below, u64 |
//! | `06` topic id · partition · offset | a segment begins here: when the last record before it was appended (ms, i64), bytes of the partition before it (u64) |
//! | `07` topic id · partition · key | compacted topics: the offset of the key's latest record, u64 |
//! | `08` topic id · time appended (ms, u64) · partition · offset | compacted topics: a tombstone to be removed in time; the key |
//! | `09` | written to find out whether writing works |
//!
//! Column families `records` and `blobs` (topics with large values, whose values go to blob files):
//! topic id · partition · offset → the record ([`super::codec`]).
//!
//! Topic ids are u16, partitions u32, offsets u64; all numbers big-endian, so that keys sort.

/// The newest format this program writes and reads.
pub(super) const FORMAT: u32 = 1;
/// Column family of ordinary records.
pub(super) const CF_RECORDS: &str = "records";
/// Column family of records with large values.
pub(super) const CF_BLOBS: &str = "blobs";

pub(super) const FORMAT_KEY: &[u8] = &[1];
pub(super) const TOPIC_PREFIX: u8 = 2;
pub(super) const PROBE_KEY: &[u8] = &[9];

const RECORD_KEY_BYTES: usize = 14;

/// The key of a record.
pub(super) fn record(topic: u16, partition: u32, offset: u64) -> [u8; RECORD_KEY_BYTES] {
    let mut key = [0; RECORD_KEY_BYTES];
    let (t, rest) = key.split_at_mut(2);
    let (p, o) = rest.split_at_mut(4);
    t.copy_from_slice(&topic.to_be_bytes());
    p.copy_from_slice(&partition.to_be_bytes());
    o.copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset at the end of a record's or a segment's key.
pub(super) fn offset_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|b| u64::from_be_bytes(*b))
}

pub(super) fn topic(name: &str) -> Vec<u8> {
    join(TOPIC_PREFIX, &[name.as_bytes()])
}

pub(super) fn committed(topic: u16, partition: u32, group: &str) -> Vec<u8> {
    join(3, &[&topic.to_be_bytes(), &partition.to_be_bytes(), group.as_bytes()])
}

pub(super) fn start(topic: u16, partition: u32) -> Vec<u8> {
    join(4, &[&topic.to_be_bytes(), &partition.to_be_bytes()])
}

pub(super) fn end_floor(topic: u16, partition: u32) -> Vec<u8> {
    join(5, &[&topic.to_be_bytes(), &partition.to_be_bytes()])
}

pub(super) fn segment(topic: u16, partition: u32, offset: u64) -> Vec<u8> {
    join(6, &[&topic.to_be_bytes(), &partition.to_be_bytes(), &offset.to_be_bytes()])
}

pub(super) fn latest(topic: u16, partition: u32, key: &[u8]) -> Vec<u8> {
    join(7, &[&topic.to_be_bytes(), &partition.to_be_bytes(), key])
}

pub(super) fn tombstone(topic: u16, append_ms: i64, partition: u32, offset: u64) -> Vec<u8> {
    // Times before 1970 are all the same to retention.
    let ms = u64::try_from(append_ms).unwrap_or(0);
    join(8, &[&topic.to_be_bytes(), &ms.to_be_bytes(), &partition.to_be_bytes(), &offset.to_be_bytes()])
}

/// Partition and offset of a tombstone's key.
pub(super) fn tombstone_place(key: &[u8]) -> Option<(u32, u64)> {
    let offset = offset_of(key)?;
    let before = key.get(..key.len().checked_sub(8)?)?;
    let partition = before.last_chunk::<4>()?;
    Some((u32::from_be_bytes(*partition), offset))
}

/// A u64 as stored.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// The value of a segment's key.
pub(super) fn segment_value(last_append_ms: i64, bytes_before: u64) -> [u8; 16] {
    let mut value = [0; 16];
    let (a, b) = value.split_at_mut(8);
    a.copy_from_slice(&last_append_ms.to_be_bytes());
    b.copy_from_slice(&bytes_before.to_be_bytes());
    value
}

pub(super) fn parse_segment_value(value: &[u8]) -> Option<(i64, u64)> {
    let (ms, bytes) = value.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*ms), number(bytes)?))
}

fn join(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.push(prefix);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_offset_and_read_back() {
        assert!(record(1, 2, 255) < record(1, 2, 256));
        assert!(record(1, 2, u64::MAX) < record(1, 3, 0));
        assert_eq!(offset_of(&record(7, 8, 9)), Some(9));
        assert_eq!(tombstone_place(&tombstone(1, 5, 3, 4)), Some((3, 4)));
        assert_eq!(parse_segment_value(&segment_value(-1, 77)), Some((-1, 77)));
        assert_eq!(number(&[1, 2]), None);
    }
}

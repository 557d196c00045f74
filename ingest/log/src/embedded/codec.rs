//! How a record lies in the store.
//!
//! ```text
//! u8 version (1) · i64 time appended, ms · i64 timestamp, ms · u8 flags
//! [u32 length · key] · u16 number of headers · { u16 length · name · u32 length · value }…
//! the value up to the end
//! ```
//! Flags: 1 there is a key, 2 there is a value, 4 the timestamp is the time appended. Numbers are
//! big-endian. The store's own checksums guard the bytes.

use bytes::{Buf, Bytes};

use crate::error::{LogError, Result};
use crate::record::{NewRecord, Record};

const VERSION: u8 = 1;
const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;
const APPEND_TIME: u8 = 4;
const APPEND_MS_AT: std::ops::Range<usize> = 1..9;

/// Writes a record, leaving room for the time of appending.
///
/// # Errors
/// [`LogError::Invalid`] when a length does not fit its field.
pub(super) fn encode(record: &NewRecord) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(record.size_bytes() + 8 * record.headers.len());
    out.push(VERSION);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&record.timestamp_ms.unwrap_or(0).to_be_bytes());
    let mut flags = 0;
    if record.key.is_some() {
        flags |= HAS_KEY;
    }
    if record.value.is_some() {
        flags |= HAS_VALUE;
    }
    if record.timestamp_ms.is_none() {
        flags |= APPEND_TIME;
    }
    out.push(flags);
    if let Some(key) = &record.key {
        put_u32(&mut out, key.len(), "key")?;
        out.extend_from_slice(key);
    }
    put_u16(&mut out, record.headers.len(), "headers")?;
    for (name, value) in &record.headers {
        put_u16(&mut out, name.len(), "header name")?;
        out.extend_from_slice(name.as_bytes());
        put_u32(&mut out, value.len(), "header value")?;
        out.extend_from_slice(value);
    }
    if let Some(value) = &record.value {
        out.extend_from_slice(value);
    }
    Ok(out)
}

/// Sets the time of appending in an encoded record.
pub(super) fn stamp(encoded: &mut [u8], append_ms: i64) {
    if let Some(field) = encoded.get_mut(APPEND_MS_AT) {
        field.copy_from_slice(&append_ms.to_be_bytes());
    }
}

/// The time of appending of an encoded record, if it is one.
pub(super) fn append_ms(encoded: &[u8]) -> Option<i64> {
    let field = encoded.get(APPEND_MS_AT)?;
    field.try_into().ok().map(i64::from_be_bytes)
}

/// Reads a record back.
///
/// # Errors
/// [`LogError::Corrupt`], naming the place.
pub(super) fn decode(topic: &str, partition: u32, offset: u64, bytes: Bytes) -> Result<Record> {
    let damaged = || LogError::Corrupt(format!("record {topic}[{partition}]@{offset}"));
    let mut rest = bytes;
    if take(&mut rest, 1).ok_or_else(damaged)?.get_u8() != VERSION {
        return Err(damaged());
    }
    let append_ms = take(&mut rest, 8).ok_or_else(damaged)?.get_i64();
    let stated_ms = take(&mut rest, 8).ok_or_else(damaged)?.get_i64();
    let flags = take(&mut rest, 1).ok_or_else(damaged)?.get_u8();
    let key = if flags & HAS_KEY == 0 {
        None
    } else {
        let len = take_u32(&mut rest).ok_or_else(damaged)?;
        Some(take(&mut rest, len).ok_or_else(damaged)?)
    };
    let count = take_u16(&mut rest).ok_or_else(damaged)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let len = take_u16(&mut rest).ok_or_else(damaged)?;
        let name = take(&mut rest, len).ok_or_else(damaged)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| damaged())?;
        let len = take_u32(&mut rest).ok_or_else(damaged)?;
        headers.push((name, take(&mut rest, len).ok_or_else(damaged)?));
    }
    let value = if flags & HAS_VALUE == 0 {
        if !rest.is_empty() {
            return Err(damaged());
        }
        None
    } else {
        Some(rest)
    };
    Ok(Record {
        topic: topic.to_owned(),
        partition,
        offset,
        key,
        value,
        headers,
        timestamp_ms: if flags & APPEND_TIME == 0 { stated_ms } else { append_ms },
    })
}

fn take(rest: &mut Bytes, len: usize) -> Option<Bytes> {
    (rest.len() >= len).then(|| rest.split_to(len))
}

fn take_u16(rest: &mut Bytes) -> Option<usize> {
    take(rest, 2).map(|mut b| usize::from(b.get_u16()))
}

fn take_u32(rest: &mut Bytes) -> Option<usize> {
    take(rest, 4).and_then(|mut b| usize::try_from(b.get_u32()).ok())
}

fn put_u16(out: &mut Vec<u8>, n: usize, what: &str) -> Result<()> {
    let n = u16::try_from(n).map_err(|_| LogError::Invalid(format!("{what} of {n}")))?;
    out.extend_from_slice(&n.to_be_bytes());
    Ok(())
}

fn put_u32(out: &mut Vec<u8>, n: usize, what: &str) -> Result<()> {
    let n = u32::try_from(n).map_err(|_| LogError::Invalid(format!("{what} of {n} bytes")))?;
    out.extend_from_slice(&n.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(record: &NewRecord, at: i64) -> Record {
        let mut bytes = encode(record).unwrap();
        stamp(&mut bytes, at);
        assert_eq!(append_ms(&bytes), Some(at));
        decode("t", 1, 2, Bytes::from(bytes)).unwrap()
    }

    #[test]
    fn reads_back_what_was_written() {
        let full = NewRecord::new("t", "k", "v").header("a", "1").header("a", "").at(-5);
        let got = round(&full, 77);
        assert_eq!(got.key, full.key);
        assert_eq!(got.value, full.value);
        assert_eq!(got.headers, full.headers);
        assert_eq!(got.timestamp_ms, -5);
        let bare = round(&NewRecord::default(), 77);
        assert_eq!((bare.key, bare.value, bare.timestamp_ms), (None, None, 77));
        let empty = round(&NewRecord::new("t", "", ""), 0);
        assert_eq!(empty.value, Some(Bytes::new()));
        assert_eq!(empty.key, Some(Bytes::new()));
    }

    #[test]
    fn damage_is_an_error_at_every_length() {
        let bytes = encode(&NewRecord::tombstone("t", "key").header("h", "x")).unwrap();
        for len in 0..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..len]);
            assert!(decode("t", 0, 0, cut).is_err(), "{len}");
        }
        let mut other = bytes;
        other[0] = 9;
        assert!(decode("t", 0, 0, Bytes::from(other)).is_err());
    }
}

//! What a read must look like, wherever it comes from, and what becomes of one that does not.

use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use portgate_log::{topics, LogError, NewRecord, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::telemetry;

/// Longest id (card, QR code, permit, driver, event …), characters.
pub const ID_CHARS_MAX: usize = 128;
/// Most VINs in one read.
pub const VINS_MAX: usize = 200;
/// How much of a rejected value is kept on record, bytes.
const EXCERPT_BYTES_MAX: usize = 2048;

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// Path of the field, like `plate_read.confidence`; `.` for the message as a whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A message on `portgate.rejected`: what did not fit its schema, where it stood, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Topic it stood on.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
    /// Its key; null: none, or not UTF-8.
    pub key: Option<String>,
    /// What is wrong, with field and place.
    pub reason: String,
    /// When the gate found it.
    pub received_at: Instant,
    /// Its length in bytes; null: it had no value.
    pub value_bytes: Option<u64>,
    /// Its beginning as text, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_utf8: Option<String>,
    /// Its beginning in hexadecimal, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_hex: Option<String>,
}

impl Rejected {
    /// The note on a record that does not fit.
    #[must_use]
    pub fn of(record: &Record, reason: impl Into<String>) -> Self {
        let value = record.value.as_deref();
        let (utf8, hex) = match value.map(excerpt) {
            Some(Ok(text)) => (Some(text), None),
            Some(Err(hex)) => (None, Some(hex)),
            None => (None, None),
        };
        Self {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            key: record.key_str().map(str::to_owned),
            reason: reason.into(),
            received_at: clock::now(),
            value_bytes: value.map(|v| v.len() as u64),
            value_utf8: utf8,
            value_hex: hex,
        }
    }

    /// The record for `portgate.rejected`, keyed like the one it speaks of; also counts it.
    ///
    /// # Errors
    /// [`LogError::Invalid`] if it cannot be written as JSON.
    pub fn to_record(&self) -> Result<NewRecord, LogError> {
        metrics::counter!(telemetry::REJECTED, "topic" => self.topic.clone()).increment(1);
        let key = self.key.clone().unwrap_or_else(|| self.topic.clone());
        NewRecord::json(topics::REJECTED, key, self)
    }
}

/// The beginning as text, or else in hexadecimal.
fn excerpt(value: &[u8]) -> Result<String, String> {
    let head = value.get(..EXCERPT_BYTES_MAX.min(value.len())).unwrap_or(value);
    match std::str::from_utf8(head) {
        Ok(text) => Ok(text.to_owned()),
        // Cut inside a character at the very end of the excerpt: still text.
        Err(e) if e.error_len().is_none() && value.len() > head.len() => {
            let whole = head.get(..e.valid_up_to()).unwrap_or_default();
            Ok(String::from_utf8_lossy(whole).into_owned())
        }
        Err(_) => Err(head.iter().take(EXCERPT_BYTES_MAX / 2).map(|b| format!("{b:02x}")).collect()),
    }
}

/// A record of `portgate.reads` as a read, completed with an id from its place in the log and the
/// log's time, where the writer gave none.
///
/// # Errors
/// The note for `portgate.rejected`.
pub fn read_of_record(record: &Record) -> Result<ReadMessage, Box<Rejected>> {
    let reject = |reason: String| Box::new(Rejected::of(record, reason));
    let Some(value) = record.value.as_deref() else {
        return Err(reject("a read needs a value".to_owned()));
    };
    let mut read: ReadMessage = parse(value).map_err(|e| reject(e.to_string()))?;
    check_read(&read).map_err(|e| reject(e.to_string()))?;
    read.event_id.get_or_insert_with(|| format!("{}-{}-{}", record.topic, record.partition, record.offset));
    read.received_at.get_or_insert(Instant::from_millis(record.timestamp_ms));
    Ok(read)
}

/// Parses JSON; the error names the field's path, line and column.
///
/// # Errors
/// [`Invalid`].
pub fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Invalid> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|e| {
        let path = e.path().to_string();
        Invalid::new(path, e.into_inner().to_string())
    })?;
    source.end().map_err(|e| Invalid::new(".", e.to_string()))?;
    Ok(value)
}

/// Checks what the types cannot: lengths, ranges, and that something is claimed at all.
///
/// # Errors
/// [`Invalid`], naming the first field that is wrong.
pub fn check_read(read: &ReadMessage) -> Result<(), Invalid> {
    id("lane", &read.lane)?;
    for (field, value) in [
        ("event_id", &read.event_id),
        ("track_id", &read.track_id),
        ("frame_id", &read.frame_id),
        ("card", &read.card),
        ("qr", &read.qr),
        ("exit_permit", &read.exit_permit),
        ("transit_declaration", &read.transit_declaration),
        ("driver", &read.driver),
        ("lane_override", &read.lane_override),
    ] {
        if let Some(value) = value {
            id(field, value)?;
        }
    }
    if let Some(plate) = &read.plate_read {
        text("plate_read.text", &plate.text, 32)?;
        probability("plate_read.confidence", plate.confidence)?;
        if plate.characters.len() > 16 {
            return Err(Invalid::new("plate_read.characters", "at most 16 characters"));
        }
        for c in &plate.characters {
            probability("plate_read.characters.confidence", c.confidence)?;
        }
    }
    if let Some(manual) = &read.manual_plate {
        text("manual_plate.text", &manual.text, 32)?;
    }
    if let Some(name) = read.cargo_observed.as_ref().and_then(|c| c.name.as_ref()) {
        text("cargo_observed.name", name, ID_CHARS_MAX)?;
    }
    if let Some(no) = read.seal.as_ref().and_then(|s| s.no.as_ref()) {
        text("seal.no", no, ID_CHARS_MAX)?;
    }
    if let Some(vins) = &read.vins_observed {
        if vins.len() > VINS_MAX {
            return Err(Invalid::new("vins_observed", format!("at most {VINS_MAX} VINs")));
        }
        for vin in vins {
            id("vins_observed", vin)?;
        }
    }
    if claims(read) {
        Ok(())
    } else {
        Err(Invalid::new(
            ".",
            "nothing is reported; give one of plate_read, manual_plate, card, qr, exit_permit, cargo_observed, \
             vins_observed, seal, logbook, transit_declaration, driver, lane_override, registry_available, \
             vehicle_present, vehicle_passed, vehicle_gone, queue_length",
        ))
    }
}

/// Whether anything is claimed beyond ids and times.
fn claims(read: &ReadMessage) -> bool {
    let bare = ReadMessage {
        lane: read.lane.clone(),
        event_id: read.event_id.clone(),
        observed_at: read.observed_at,
        received_at: read.received_at,
        reported_by: read.reported_by.clone(),
        track_id: read.track_id.clone(),
        frame_id: read.frame_id.clone(),
        ..ReadMessage::default()
    };
    bare != *read
}

fn id(field: &str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() {
        return Err(Invalid::new(field, "is empty; leave it out instead"));
    }
    text(field, value, ID_CHARS_MAX)
}

fn text(field: &str, value: &str, chars_max: usize) -> Result<(), Invalid> {
    if value.chars().count() > chars_max {
        return Err(Invalid::new(field, format!("has more than {chars_max} characters")));
    }
    if value.chars().any(char::is_control) {
        return Err(Invalid::new(field, "holds control characters"));
    }
    Ok(())
}

fn probability(field: &str, value: f64) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::new(field, format!("is {value}; it must lie between 0 and 1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &[u8]) -> Record {
        Record {
            topic: topics::READS.to_owned(),
            partition: 0,
            offset: 7,
            key: Some("LYG-1".into()),
            value: Some(value.to_vec().into()),
            headers: Vec::new(),
            timestamp_ms: 1_000,
        }
    }

    fn reason(value: &[u8]) -> String {
        read_of_record(&record(value)).unwrap_err().reason
    }

    #[test]
    fn a_bare_card_read_is_completed_from_its_place_in_the_log() {
        let read = read_of_record(&record(br#"{"lane":"JCZ-1.L1","card":"C-1"}"#)).unwrap();
        assert_eq!(read.event_id.as_deref(), Some("portgate.reads-0-7"));
        assert_eq!(read.received_at, Some(Instant::from_millis(1_000)));
    }

    #[test]
    fn a_reason_names_field_and_place() {
        let nested = reason(b"{\"lane\":\"L\",\n\"plate_read\":{\"txt\":\"x\"}}");
        assert!(nested.contains("plate_read") && nested.contains("txt") && nested.contains("line 2"), "{nested}");
        assert!(reason(br#"{"card":"C"}"#).contains("missing field `lane`"));
        assert!(reason(br#"{"lane":"L","card":"A","card":"B"}"#).contains("duplicate field `card`"));
        assert!(reason(br#"{"lane":"L","card":"A"} {}"#).contains("trailing"));
        assert!(reason(br#"{"lane":"L"}"#).contains("nothing is reported"));
        assert!(reason(br#"{"lane":"L","plate_read":{"text":"x","confidence":1.5}}"#).contains("between 0 and 1"));
        assert!(reason(br#"{"lane":"L","card":""}"#).contains("card: is empty"));
    }

    #[test]
    fn what_is_rejected_stays_legible_and_bounded() {
        let long = "字".repeat(5_000);
        let note = Rejected::of(&record(long.as_bytes()), "too long");
        assert!(note.value_utf8.as_ref().is_some_and(|t| t.len() <= EXCERPT_BYTES_MAX && t.starts_with('字')));
        let note = Rejected::of(&record(&[0xff, 0x00, 0x41]), "binary");
        assert_eq!(note.value_hex.as_deref(), Some("ff0041"));
        assert_eq!(note.value_bytes, Some(3));
        let back: Rejected = note.to_record().unwrap().value.map(|v| serde_json::from_slice(&v).unwrap()).unwrap();
        assert_eq!(back, note);
    }
}

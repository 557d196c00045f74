//! From a record of the log to an input of the site, or to a note on `portgate.rejected`.

use portgate_core::read::ReadMessage;
use portgate_core::registry::{Kind, Record as RegistryRecord};
use portgate_core::site::Input;
use portgate_core::time::Instant;
use portgate_log::{topics, LogError, NewRecord, Record};
use portgate_store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Header of a registry write: the request that the answer names.
pub const HEADER_REQUEST_ID: &str = "request_id";

/// Header of a registry write: the account behind it, JSON ([`portgate_core::people::Principal`]).
pub const HEADER_BY: &str = "by";

/// Largest read taken in. An approach joins at most fourteen claims, so that a decision with all
/// of them still fits a record of the log.
const READ_BYTES_MAX: usize = 16 << 10;
/// Largest registry record taken in; it is journalled whole.
const REGISTRY_BYTES_MAX: usize = 128 << 10;
/// How much of a rejected value is kept on record, bytes.
const EXCERPT_BYTES_MAX: usize = 2048;

/// What a record of the log comes to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// An input of this site, with the time at which the log got it.
    Input(Input, Instant),
    /// None of this site's business.
    Other,
    /// Does not fit; goes on record.
    Rejected(Box<Rejected>),
}

/// A message on `portgate.rejected`: what did not fit, where it stood, and why.
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
    /// When the log got it.
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
    fn of(record: &Record, reason: impl Into<String>) -> Taken {
        let value = record.value.as_deref();
        let head = value.map(|v| v.get(..EXCERPT_BYTES_MAX).unwrap_or(v));
        let text = head.map(|h| match std::str::from_utf8(h) {
            Ok(text) => Ok(text.to_owned()),
            // Cut inside a character at the end of the excerpt: still text.
            Err(e) if e.error_len().is_none() => Ok(String::from_utf8_lossy(h.get(..e.valid_up_to()).unwrap_or(h)).into_owned()),
            Err(_) => Err(hex::encode(h.get(..EXCERPT_BYTES_MAX / 2).unwrap_or(h))),
        });
        Taken::Rejected(Box::new(Self {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            key: record.key_str().map(str::to_owned),
            reason: reason.into(),
            received_at: Instant::from_millis(record.timestamp_ms),
            value_bytes: value.map(|v| v.len() as u64),
            value_utf8: text.clone().and_then(Result::ok),
            value_hex: text.and_then(Result::err),
        }))
    }

    /// The record for `portgate.rejected`.
    pub(crate) fn to_record(&self) -> Result<NewRecord, LogError> {
        let key = self.key.clone().unwrap_or_else(|| self.topic.clone());
        NewRecord::json(topics::REJECTED, key, self)
    }
}

/// A record of `portgate.reads`. `site_partition`: where this site's reads belong, so that they
/// stand in one order.
pub(crate) fn read(store: &Store, site_partition: u32, record: &Record) -> Result<Taken, StoreError> {
    let value = match record.value.as_deref() {
        Some(value) if value.len() <= READ_BYTES_MAX => value,
        Some(value) => {
            let reason = format!("a read has at most {READ_BYTES_MAX} bytes, this one has {}", value.len());
            return reject(store, record, reason);
        }
        None => return reject(store, record, "a read needs a value"),
    };
    let mut message: ReadMessage = match parse(value) {
        Ok(message) => message,
        Err(reason) => return reject(store, record, reason),
    };
    match site_of(store, &message.lane)? {
        Some(site) if site != store.site() => return Ok(Taken::Other),
        Some(_) => {}
        None => return reject(store, record, format!("there is no lane {:?} in the registry", short(&message.lane))),
    }
    if record.partition != site_partition {
        let reason = format!(
            "reads of site {} belong on partition {site_partition} (key the message by site; kcat: -X partitioner=murmur2_random)",
            store.site()
        );
        return Ok(Rejected::of(record, reason));
    }
    let received = Instant::from_millis(record.timestamp_ms);
    // With the time, so that a topic made anew does not give the same ids again.
    message.event_id.get_or_insert_with(|| format!("{}-{}-{}-{}", record.topic, record.partition, record.offset, record.timestamp_ms));
    message.received_at.get_or_insert(received);
    Ok(Taken::Input(Input::Read(Box::new(message)), received))
}

/// A record of `portgate.registry`.
pub(crate) fn registry(store: &Store, record: &Record) -> Result<Taken, StoreError> {
    let Some((kind, id)) = record.key_str().and_then(|k| k.split_once('/')) else {
        return reject(store, record, "the key of a registry record is kind/id");
    };
    let kind: Kind = match kind.parse() {
        Ok(kind) => kind,
        Err(e) => return reject(store, record, format!("{e}")),
    };
    let value = match record.value.as_deref() {
        None => None,
        Some(bytes) if bytes.len() > REGISTRY_BYTES_MAX => {
            return reject(store, record, format!("a registry record has at most {REGISTRY_BYTES_MAX} bytes"));
        }
        Some(bytes) => match parse::<serde_json::Value>(bytes) {
            Ok(value) => Some(value),
            Err(reason) => return reject(store, record, reason),
        },
    };
    let request_id = record.header_str(HEADER_REQUEST_ID).map(str::to_owned);
    // Where somebody waits for the answer, the step says what is wrong; otherwise the record is the place.
    if let (Some(value), None) = (&value, &request_id) {
        if let Err(e) = RegistryRecord::parse(kind, id, value) {
            return reject(store, record, e.to_string());
        }
    }
    let by = record.header_str(HEADER_BY).and_then(|by| serde_json::from_str(by).ok());
    let received = Instant::from_millis(record.timestamp_ms);
    Ok(Taken::Input(Input::Registry { kind, id: id.to_owned(), value, request_id, by }, received))
}

/// Several sites may read one partition; exactly one of them puts a misfit on record: the one its
/// key names, or else the first site there is.
fn reject(store: &Store, record: &Record, reason: impl Into<String>) -> Result<Taken, StoreError> {
    let mine = match record.key_str() {
        Some(key) if key == store.site() => true,
        Some(key) if store.record(Kind::Site, key)?.is_some() => false,
        Some(_) | None => store.list(Kind::Site, "", None, 1)?.first().is_none_or(|first| first.id == store.site()),
    };
    Ok(if mine { Rejected::of(record, reason) } else { Taken::Other })
}

/// The site of a lane that is in the registry with its checkpoint.
fn site_of(store: &Store, lane: &str) -> Result<Option<String>, StoreError> {
    let field =
        |entry: portgate_core::facts::Entry, name: &str| entry.value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let Some(checkpoint) = store.record(Kind::Lane, lane)?.and_then(|e| field(e, "checkpoint")) else { return Ok(None) };
    Ok(store.record(Kind::Checkpoint, &checkpoint)?.and_then(|e| field(e, "site")))
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|e| e.to_string())?;
    source.end().map_err(|e| e.to_string())?;
    Ok(value)
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

//! How registry records lie: one packed value per plate, so that the facts of a decision cost one
//! point read however large the registry is.

use std::borrow::Cow;
use std::fmt;

use portgate_core::facts::Entry;
use portgate_core::registry::{Kind, Record, RecordSeed};
use portgate_core::time::Instant;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::Value;

use crate::error::{Result, StoreError};
use crate::keys::{kind_key, Cf};

/// Where the registry stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryHead {
    /// Changes applied.
    pub revision: u64,
    /// When it was last known to be current.
    pub current_at: Instant,
}

/// What `record` holds for a registry record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pointer {
    /// Revision of its first writing.
    pub(crate) order: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    /// The record itself, where it has neither plate nor parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Value>,
}

impl Pointer {
    /// The packed values that hold the record.
    pub(crate) fn homes(&self, kind: Kind) -> Vec<(Cf, Vec<u8>)> {
        let plate = self.plate.as_ref().map(|p| (Cf::Dossier, p.clone().into_bytes()));
        let parent = self.parent.as_ref().map(|p| (Cf::Child, kind_key(kind, p)));
        plate.into_iter().chain(parent).collect()
    }
}

/// One record inside a packed value: order, kind, id, fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Packed(pub(crate) u64, pub(crate) Kind, pub(crate) String, pub(crate) Value);

impl From<Packed> for Entry {
    fn from(Packed(_, kind, id, value): Packed) -> Self {
        Self { kind, id, value }
    }
}

/// [`Pointer`] as it lies, the record not yet understood.
#[derive(Deserialize)]
pub(crate) struct PointerText<'a> {
    #[serde(default, borrow)]
    plate: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    parent: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(crate) value: Option<&'a RawValue>,
}

impl PointerText<'_> {
    /// One of the packed values that hold the record.
    pub(crate) fn home(&self, kind: Kind) -> Option<(Cf, Vec<u8>)> {
        match (&self.plate, &self.parent) {
            (Some(plate), _) => Some((Cf::Dossier, plate.as_bytes().to_vec())),
            (None, Some(parent)) => Some((Cf::Child, kind_key(kind, parent))),
            (None, None) => None,
        }
    }
}

/// [`Packed`] as it lies.
#[derive(Deserialize)]
pub(crate) struct PackedText<'a>(
    #[allow(dead_code)] u64,
    pub(crate) Kind,
    #[serde(borrow)] pub(crate) Cow<'a, str>,
    #[serde(borrow)] pub(crate) &'a RawValue,
);

impl PackedText<'_> {
    /// The record, read straight from its text.
    pub(crate) fn record(&self) -> Result<Record> {
        understood(self.1, &self.2, self.3)
    }
}

/// The same, understood while it is read.
pub(crate) struct PackedRecord(pub(crate) Record);

impl<'de> Deserialize<'de> for PackedRecord {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        d.deserialize_tuple(4, PackedVisitor)
    }
}

struct PackedVisitor;

impl<'de> Visitor<'de> for PackedVisitor {
    type Value = PackedRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("order, kind, id, fields")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<PackedRecord, A::Error> {
        let short = || A::Error::custom("a record is cut short");
        seq.next_element::<u64>()?.ok_or_else(short)?;
        let kind = seq.next_element::<Kind>()?.ok_or_else(short)?;
        let id = seq.next_element::<Cow<'de, str>>()?.ok_or_else(short)?;
        let record = seq.next_element_seed(RecordSeed { kind, id: &id })?.ok_or_else(short)?;
        Ok(PackedRecord(record))
    }
}

pub(crate) fn understood(kind: Kind, id: &str, text: &RawValue) -> Result<Record> {
    Record::from_text(kind, id, text.get()).map_err(|e| StoreError::Corrupt(e.to_string()))
}

pub(crate) fn unpack(bytes: Option<&[u8]>) -> Result<Vec<Packed>> {
    bytes.map_or(Ok(Vec::new()), |b| decode(b, "packed records"))
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Corrupt(format!("{what}: {e}")))
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| StoreError::Invalid(format!("value cannot be stored: {e}")))
}

//! What a registry record is bound to.

use portgate_core::registry::{Kind, Record};
use serde_json::Value;

use crate::error::{Result, StoreError};

/// Plate and parent of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) plate: Option<String>,
    pub(crate) parent: Option<String>,
}

/// The binding of a record.
pub(crate) fn binding(kind: Kind, id: &str, value: &Value) -> Result<Binding> {
    let record = Record::parse(kind, id, value).map_err(|e| StoreError::Invalid(e.to_string()))?;
    Ok(Binding { plate: record.plate().map(str::to_owned), parent: record.parent().map(str::to_owned) })
}

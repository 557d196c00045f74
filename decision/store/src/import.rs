//! Bulk loading of a registry into a store that no engine has open.

use portgate_core::registry::Kind;
use serde_json::Value;

use crate::db::Store;
use crate::error::Result;
use crate::keys::{meta, Cf};
use crate::read::Raw;

/// Records of one batch.
const CHUNK_RECORDS: usize = 4096;

impl Store {
    /// Writes records that have been validated. They are durable, all of them, when this answers;
    /// should the process die before, the store says so ([`Store::import_unfinished`]) and the same
    /// import is to be repeated, which changes nothing that it had already written.
    ///
    /// # Errors
    /// What the disk says.
    pub fn import(&self, records: impl IntoIterator<Item = (Kind, String, Option<Value>)>) -> Result<u64> {
        self.set_importing(true)?;
        let mut written = 0;
        let mut batch = self.begin();
        let mut in_batch = 0;
        for (kind, id, value) in records {
            if kind == Kind::Policy {
                batch.load_policy(&id, value.as_ref())?;
            }
            batch.write_record(kind, &id, value)?;
            written += 1;
            in_batch += 1;
            if in_batch == CHUNK_RECORDS {
                self.commit(batch, false)?;
                batch = self.begin();
                in_batch = 0;
            }
        }
        self.commit(batch, true)?;
        self.set_importing(false)?;
        Ok(written)
    }
}

impl Store {
    /// Whether an import was cut short.
    ///
    /// # Errors
    /// What the disk says.
    pub fn import_unfinished(&self) -> Result<bool> {
        Ok(self.raw(Cf::Meta, meta::IMPORTING)?.is_some())
    }
}

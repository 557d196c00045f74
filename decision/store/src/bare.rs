//! What the same reads cost without the store around them: the measure that `make bench` puts beside
//! decisions.

use std::sync::Arc;

use parking_lot::Mutex;
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::registry::{Kind, Record};
use rocksdb::BoundColumnFamily;

use crate::db::Store;
use crate::error::Result;
use crate::keys::{kind_key, Cf};
use crate::read::Raw;

/// A key that a decision has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadKey(Cf, Vec<u8>);

/// A store that notes which keys are read, each once, in the order of their first reading.
pub struct Noting<'a> {
    store: &'a Store,
    keys: Mutex<Vec<ReadKey>>,
}

impl<'a> Noting<'a> {
    /// Over a store.
    pub fn new(store: &'a Store) -> Self {
        Self { store, keys: Mutex::default() }
    }

    /// What was read since the last call.
    pub fn take(&self) -> Vec<ReadKey> {
        std::mem::take(&mut *self.keys.lock())
    }
}

impl Raw for Noting<'_> {
    fn raw(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut keys = self.keys.lock();
        if !keys.iter().any(|k| k.0 == cf && k.1 == key) {
            keys.push(ReadKey(cf, key.to_vec()));
        }
        drop(keys);
        self.store.raw(cf, key)
    }
}

impl FactSource for Noting<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        Ok(self.entry(kind, id)?)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        Ok(self.entries(Cf::Dossier, plate.as_bytes())?)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        Ok(self.entries(Cf::Child, &kind_key(kind, parent))?)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        Ok(self.book(plate)?)
    }
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        Ok(self.understood(kind, id)?)
    }
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        Ok(self.understood_dossier(plate)?)
    }
}

/// The store's families, looked up once, for reading keys and nothing else.
pub struct Bare<'a> {
    store: &'a Store,
    families: Vec<(Cf, Arc<BoundColumnFamily<'a>>)>,
}

impl<'a> Bare<'a> {
    /// Over a store.
    ///
    /// # Errors
    /// A family is missing.
    pub fn new(store: &'a Store) -> Result<Self> {
        let families = Cf::ALL.into_iter().map(|cf| Ok((cf, store.cf(cf)?))).collect::<Result<_>>()?;
        Ok(Self { store, families })
    }

    /// Reads the keys, one after the other; answers with the bytes found under them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, keys: &[ReadKey]) -> Result<usize> {
        let mut bytes = 0;
        for ReadKey(cf, key) in keys {
            let Some((_, family)) = self.families.iter().find(|(c, _)| c == cf) else { continue };
            bytes += self.store.db.get_pinned_cf(family, key)?.map_or(0, |value| value.len());
        }
        Ok(bytes)
    }
}

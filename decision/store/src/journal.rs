//! The journal's head and its hash chain.
//!
//! `chain(n) = SHA-256( chain(n-1) ‖ JSON of [site, seq, at, event] )`, `chain(0)` being 32 zero
//! bytes. Whoever changes, drops or adds an entry has to change every entry after it.

use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, StoreError};

/// Where the journal stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Sequence of the last entry; 0: none yet.
    pub seq: u64,
    /// Its chain value, hex.
    pub chain: String,
    /// Its time; the engine's clock never goes back behind it.
    pub at: Instant,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, chain: hex::encode([0; 32]), at: Instant::default() }
    }
}

/// The chain value of the entry that follows `previous` (hex).
///
/// # Errors
/// [`StoreError::Corrupt`] if the event cannot be written as JSON or `previous` is not hex.
pub fn chain_next(previous: &str, site: &str, seq: u64, at: Instant, event: &JournalEvent) -> Result<String> {
    let previous = hex::decode(previous).map_err(|e| StoreError::Corrupt(format!("chain value: {e}")))?;
    let body = serde_json::to_vec(&(site, seq, at, event)).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    Ok(hex::encode(Sha256::new().chain_update(previous).chain_update(body).finalize()))
}

impl Head {
    /// The next entry of the journal.
    ///
    /// # Errors
    /// As [`chain_next`].
    pub fn next(&self, site: &str, at: Instant, event: JournalEvent) -> Result<JournalEntry> {
        let seq = self.seq + 1;
        let chain = chain_next(&self.chain, site, seq, at, &event)?;
        Ok(JournalEntry { site: site.to_owned(), seq, at, chain, event })
    }

    /// Whether `entry` is the one that follows, with the right chain value.
    ///
    /// # Errors
    /// As [`chain_next`].
    pub fn accepts(&self, entry: &JournalEntry) -> Result<bool> {
        Ok(entry.seq == self.seq + 1 && entry.chain == chain_next(&self.chain, &entry.site, entry.seq, entry.at, &entry.event)?)
    }

    /// The head after `entry`.
    pub fn after(entry: &JournalEntry) -> Self {
        Self { seq: entry.seq, chain: entry.chain.clone(), at: entry.at }
    }
}

//! What ends the engine.

use portgate_core::facts::FactError;
use portgate_log::LogError;
use portgate_store::StoreError;

/// Why the engine stopped or could not start. While it does not run nothing is opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What the step needs could not be read.
    #[error(transparent)]
    Facts(#[from] FactError),
    /// The store holds another journal than the log: it went on after another node had taken the
    /// site over. Nothing of that ever got out.
    #[error("the store of site {site} holds another entry {seq} than the journal on the log: another node has taken the site over meanwhile; this node decides nothing until it is started again, when the store is set aside and made anew from the journal")]
    Diverged {
        /// The site.
        site: String,
        /// The first entry found to differ.
        seq: u64,
    },
    /// The journal on the log lacks entries that the store needs.
    #[error("the journal of site {site} on the log lacks entries {first} to {last}; restore a backup that goes further")]
    Gap {
        /// The site.
        site: String,
        /// First entry lacking.
        first: u64,
        /// Last entry lacking.
        last: u64,
    },
    /// This program comes to something else than the one that wrote the journal.
    #[error("entry {seq} of the journal of site {site} comes out otherwise: on record {recorded}, now {got}; the journal was written by another version of the program, or over a registry imported offline: bring a backup of the owner's store to this node")]
    Differs {
        /// The site.
        site: String,
        /// The entry.
        seq: u64,
        /// What is on record.
        recorded: String,
        /// What comes out.
        got: String,
    },
    /// A record of the journal cannot be read.
    #[error("the journal on the log cannot be followed: {0}")]
    Journal(String),
    /// The site has gone to another node.
    #[error("site {0} has gone to another node; this one follows it from now on")]
    Unowned(String),
    /// A worker ended without an answer.
    #[error("a worker of the engine ended: {0}")]
    Worker(String),
}

impl EngineError {
    /// Whether trying the same again may succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Store(e) => e.is_retriable(),
            Self::Log(e) => e.is_retriable(),
            Self::Facts(_) => true,
            Self::Diverged { .. } | Self::Gap { .. } | Self::Differs { .. } | Self::Journal(_) | Self::Unowned(_) | Self::Worker(_) => {
                false
            }
        }
    }
}

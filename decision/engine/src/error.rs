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
    /// The journal on the log goes beyond this store, or says something else: another owner has
    /// decided since.
    #[error("the journal of site {site} stands at {journal} on the log, and the store, which stands at {store}, does not hold that entry: another node has decided meanwhile; restore or rebuild the store before this node may decide")]
    Behind {
        /// The site.
        site: String,
        /// Last entry on the log.
        journal: u64,
        /// Last entry in the store.
        store: u64,
    },
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
            Self::Behind { .. } | Self::Worker(_) => false,
        }
    }
}

//! What can go wrong with the store.

use std::path::PathBuf;

use portgate_core::facts::FactError;

/// The crate's result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store did not do what it was asked. Whatever it is, nothing of the batch is visible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// RocksDB or the disk below it failed. The same call may succeed later.
    #[error("the store could not read or write: {0}")]
    Storage(#[from] rocksdb::Error),
    /// A file operation around the store failed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the store.
    #[error("the store in {} is open in another process; stop that one first, or let it do this through its control socket", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Written by a newer version of the program.
    #[error("the store in {} has format {found}, this program reads format {known}; use the newer program", path.display())]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format this program writes.
        known: u32,
    },
    /// The folder holds the store of another site, or no store of this program.
    #[error("{} is not the store of site {wanted}: {found}", path.display())]
    WrongStore {
        /// The folder.
        path: PathBuf,
        /// The site asked for.
        wanted: String,
        /// What was found.
        found: String,
    },
    /// What is stored does not read back.
    #[error("the store is damaged: {0}; run `portgate check` and restore a backup")]
    Corrupt(String),
    /// A batch was begun before another one was committed.
    #[error("the batch was begun on an older state of the store; begin it again")]
    Conflict,
    /// A registry record cannot be stored.
    #[error("{0}")]
    Invalid(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Storage(_) | Self::File { .. } | Self::Conflict | Self::Locked { .. } => true,
            Self::NewerFormat { .. } | Self::WrongStore { .. } | Self::Corrupt(_) | Self::Invalid(_) => false,
        }
    }
}

impl From<StoreError> for FactError {
    fn from(e: StoreError) -> Self {
        Self(e.to_string())
    }
}

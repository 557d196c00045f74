//! What others may see of a site's engine while it runs.

use std::path::Path;
use std::sync::Arc;

use portgate_store::{check, Report, Store, StoreError};
use tokio::sync::watch;

/// What this node is to the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Not known yet.
    #[default]
    Joining,
    /// Another node decides; this one follows its journal.
    Standby {
        /// Last entry taken in.
        seq: u64,
        /// Records of the journal still to be looked at.
        left: u64,
    },
    /// This node becomes the owner: it follows the journal to its end.
    TakingOver {
        /// Last entry taken in.
        seq: u64,
        /// Records of the journal still to be looked at.
        left: u64,
    },
    /// This node decides.
    Owner,
}

/// How the engine is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What this node is to the site.
    pub standing: Standing,
    /// The backlog that was there at the start is taken in.
    pub caught_up: bool,
    /// Last journal entry committed.
    pub journal_seq: u64,
    /// What keeps it from taking in inputs; none: nothing.
    pub trouble: Option<String>,
    /// What keeps the outbox from the log; none: nothing.
    pub outbox_trouble: Option<String>,
}

/// Access to a running engine and its store; cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    store: Arc<Store>,
    status: watch::Receiver<Status>,
}

impl EngineHandle {
    pub(crate) fn new(store: Arc<Store>, status: watch::Receiver<Status>) -> Self {
        Self { store, status }
    }

    /// The store, for reading: registry records ([`Store::record`], [`Store::list`]), decisions,
    /// evidence. Reads a disk: not from async code.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// How the engine is doing.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// A receiver that is told of every change.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Whether the site is decided for now, by this node or by one that it stands by for.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ready(&self) -> Result<(), String> {
        let status = self.status.borrow();
        match (&status.trouble, &status.outbox_trouble) {
            (Some(trouble), _) | (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => match status.standing {
                Standing::Joining => Err("the nodes of the site are being asked who decides".into()),
                Standing::Standby { left: 0, .. } => Ok(()),
                Standing::Standby { seq, left } => Err(format!("stands by at entry {seq} of the journal, {left} records to follow")),
                Standing::TakingOver { seq, left } => {
                    Err(format!("takes the site over at entry {seq} of the journal, {left} records to follow"))
                }
                Standing::Owner if !status.caught_up => Err("the backlog is being taken in".into()),
                Standing::Owner => Ok(()),
            },
        }
    }

    /// A consistent copy of the store in `to`, which must not exist yet; the engine goes on.
    /// Reads and writes a disk: not from async code.
    ///
    /// # Errors
    /// What the disk says.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.store.backup(to)
    }

    /// Examines a consistent copy of the store, made in the folder `scratch` (which must not exist
    /// yet and is deleted afterwards), while the engine goes on. Not from async code.
    ///
    /// # Errors
    /// When the copy cannot be made or opened.
    pub fn check(&self, scratch: &Path) -> Result<Report, StoreError> {
        self.store.backup(scratch)?;
        let report = check(scratch);
        if let Err(e) = std::fs::remove_dir_all(scratch) {
            tracing::warn!(error = %e, "the copy made for the examination could not be deleted");
        }
        report
    }
}

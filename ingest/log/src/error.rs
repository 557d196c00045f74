//! What can go wrong, and what the caller does about it.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = LogError> = std::result::Result<T, E>;

/// Why the log did not do what it was asked.
///
/// [`LogError::is_retriable`] says whether the same call may succeed later. An append that fails in
/// any way is *not known* to be stored; it may be repeated with the same id.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A bounded queue is full; HTTP answers 429 with Retry-After.
    #[error("the log's queue is full; try again in {retry_after_ms} ms")]
    Busy {
        /// After how many milliseconds it is worth trying again.
        retry_after_ms: u64,
    },
    /// The log, its disk or its brokers can't be reached or can't write now.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// No answer in time; what was asked may or may not have happened.
    #[error("the log did not answer in time: {0}")]
    Timeout(String),
    /// There is no such topic.
    #[error("there is no topic {0}; create it first")]
    UnknownTopic(String),
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: u32,
    },
    /// A topic exists already and differs from what is asked in something that can't be changed.
    #[error("topic {topic} exists, but {what}")]
    TopicMismatch {
        /// The topic.
        topic: String,
        /// What differs: found and wanted.
        what: String,
    },
    /// The record is larger than its topic takes.
    #[error("a record of {bytes} bytes is too large for topic {topic}, which takes {max}")]
    TooLarge {
        /// The topic.
        topic: String,
        /// The record's size.
        bytes: usize,
        /// The topic's limit.
        max: usize,
    },
    /// The offset asked for is no longer, or not yet, in the log.
    #[error("{topic}[{partition}] holds offsets {earliest} to {end} (not included), not {asked}")]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset asked for.
        asked: u64,
        /// The first offset still held.
        earliest: u64,
        /// The offset the next record will get.
        end: u64,
    },
    /// The partition belongs to another member of the group (after a rebalance); its records will be
    /// delivered there again.
    #[error("{topic}[{partition}] is not assigned to this consumer any more")]
    NotAssigned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// A newer holder of the same transactional id exists, or the cluster gave this one's transaction
    /// up because it took too long. Either way this one must stop; it may take the id anew only
    /// after making sure that it still owns what it writes for.
    #[error("the transactional id {0} has a newer holder or its transaction took too long; this holder is fenced off and must stop")]
    Fenced(String),
    /// The transaction could not be completed and must be aborted; it may then be repeated.
    #[error("the transaction must be aborted and repeated: {0}")]
    MustAbort(String),
    /// Another process holds the log's folder.
    #[error("the log in {} is open in another process: {detail}", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What the store said.
        detail: String,
    },
    /// The store was written by a newer version of the program.
    #[error("the log in {} has format {found}, this program reads up to {known}; use the newer program", path.display())]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// What is stored does not read back.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// The call itself is wrong.
    #[error("not a valid call to the log: {0}")]
    Invalid(String),
    /// The log, consumer or transaction was closed.
    #[error("the log is closed")]
    Closed,
    /// The brokers refused for good (authorisation, configuration …).
    #[error("Kafka refused: {0}")]
    Refused(String),
}

impl LogError {
    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unavailable(_) | Self::Timeout(_) | Self::MustAbort(_) => true,
            Self::UnknownTopic(_)
            | Self::UnknownPartition { .. }
            | Self::TopicMismatch { .. }
            | Self::TooLarge { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::NotAssigned { .. }
            | Self::Fenced(_)
            | Self::Locked { .. }
            | Self::NewerFormat { .. }
            | Self::Corrupt(_)
            | Self::Invalid(_)
            | Self::Closed
            | Self::Refused(_) => false,
        }
    }

    /// A short stable word for metrics and help pages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timeout",
            Self::UnknownTopic(_) => "unknown_topic",
            Self::UnknownPartition { .. } => "unknown_partition",
            Self::TopicMismatch { .. } => "topic_mismatch",
            Self::TooLarge { .. } => "too_large",
            Self::OffsetOutOfRange { .. } => "offset_out_of_range",
            Self::NotAssigned { .. } => "not_assigned",
            Self::Fenced(_) => "fenced",
            Self::MustAbort(_) => "must_abort",
            Self::Locked { .. } => "locked",
            Self::NewerFormat { .. } => "newer_format",
            Self::Corrupt(_) => "corrupt",
            Self::Invalid(_) => "invalid",
            Self::Closed => "closed",
            Self::Refused(_) => "refused",
        }
    }
}

//! What can go wrong in analytics. None of it ever stops a lane.

use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;
use portgate_log::LogError;

/// Why analytics did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyticsError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A Parquet file could not be written or does not read back.
    #[error("{}: {detail}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What Parquet said.
        detail: String,
    },
    /// Rows that do not fit their table: a fault of the program.
    #[error("table {table}: {detail}")]
    Rows {
        /// The table.
        table: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// The data in the folder was made from another journal than the one at hand.
    #[error("{} holds the analytics of another journal of site {site}; move that folder away, or give back its journal", path.display())]
    ForeignJournal {
        /// The folder.
        path: PathBuf,
        /// The site.
        site: String,
    },
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The question is not valid SQL, or names what does not exist. DataFusion's words.
    #[error("{0}")]
    Sql(String),
    /// Something else than a question.
    #[error("only questions are answered here (SELECT, WITH, EXPLAIN, SHOW, DESCRIBE); {0} is not one")]
    ReadOnly(String),
    /// The role may not ask.
    #[error("the role {0} may not ask in SQL")]
    Forbidden(&'static str),
    /// The question ran too long.
    #[error("the query was stopped after {seconds} s; narrow it, by time above all")]
    Timeout {
        /// How long it was let run.
        seconds: u64,
    },
    /// The question needs more memory than it may have.
    #[error("the query needs more memory than it may use: {0}")]
    Memory(String),
    /// A look-up by plate could not be put on record, and so is not answered.
    #[error("questions about plates are kept on record, and this one could not be: {0}")]
    Unrecorded(String),
    /// As many questions as allowed are being answered already.
    #[error("{running} queries are running already; try again shortly")]
    Busy {
        /// How many.
        running: usize,
    },
    /// The answer has more rows than are given out at once.
    #[error("the answer has more than {max} rows; add LIMIT or narrow it")]
    TooManyRows {
        /// The bound.
        max: usize,
    },
    /// A file did not read back while a question was answered.
    #[error("a file could not be read: {0}")]
    Unreadable(String),
    /// The question failed on the way.
    #[error("the query failed: {0}")]
    Query(String),
}

/// The crate's result.
pub type Result<T, E = AnalyticsError> = std::result::Result<T, E>;

impl AnalyticsError {
    /// A short stable word for metrics, messages and help pages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Parquet { .. } => "parquet",
            Self::Rows { .. } => "rows",
            Self::ForeignJournal { .. } => "foreign_journal",
            Self::Log(_) => "log",
            Self::Sql(_) => "sql",
            Self::ReadOnly(_) => "read_only",
            Self::Forbidden(_) => "forbidden",
            Self::Timeout { .. } => "timeout",
            Self::Memory(_) => "memory",
            Self::Unrecorded(_) => "unrecorded",
            Self::Busy { .. } => "busy",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::Unreadable(_) => "unreadable",
            Self::Query(_) => "query",
        }
    }

    /// Whether the one who asked can mend it by asking differently.
    pub fn is_askers(&self) -> bool {
        matches!(
            self,
            Self::Sql(_) | Self::ReadOnly(_) | Self::Forbidden(_) | Self::Timeout { .. } | Self::Memory(_) | Self::TooManyRows { .. }
        )
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn parquet<E: std::fmt::Display>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |e| Self::Parquet { path, detail: e.to_string() }
    }
}

impl From<DataFusionError> for AnalyticsError {
    fn from(e: DataFusionError) -> Self {
        match e.find_root() {
            DataFusionError::ResourcesExhausted(m) => Self::Memory(m.clone()),
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Diagnostic(..) => Self::Sql(e.strip_backtrace()),
            root if is_unreadable(root) => Self::Unreadable(e.strip_backtrace()),
            _ => Self::Query(e.strip_backtrace()),
        }
    }
}

/// Whether the error is of a file, not of the question.
pub(crate) fn is_unreadable(e: &DataFusionError) -> bool {
    match e.find_root() {
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(e, _) => {
            matches!(e.as_ref(), ArrowError::ParquetError(_) | ArrowError::IoError(..) | ArrowError::ExternalError(_))
        }
        DataFusionError::External(e) => e.is::<ParquetError>(),
        _ => false,
    }
}

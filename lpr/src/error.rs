//! What can go wrong in recognition, and what the caller does about it.

use std::path::PathBuf;

use crate::sniff::DecodeError;

/// Why a picture was not read or the recogniser could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LprError {
    /// The picture is at fault: reject it, go on with the next.
    #[error(transparent)]
    Picture(#[from] DecodeError),
    /// A file of the models folder cannot be read.
    #[error("cannot read {}: {source}; the models folder must hold manifest.json and the two .onnx files it names", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not what this program reads.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The manifest does not name this model.
    #[error("{} has SHA-256 {found}, but the manifest names {wanted}; restore the file that belongs to the manifest, or export both again", path.display())]
    ModelHash {
        /// The model file.
        path: PathBuf,
        /// Hash of the file as it is.
        found: String,
        /// Hash the manifest names.
        wanted: String,
    },
    /// A model is not a network this program runs.
    #[error("{}: not a network this program can run: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// What tract said.
        reason: String,
    },
    /// A network failed while running.
    #[error("a network failed: {0}")]
    Network(String),
    /// OpenCV failed on something that was decoded.
    #[error("OpenCV failed: {0}")]
    OpenCv(String),
    /// A label file or a file of a labelled folder.
    #[error("{}: {reason}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] portgate_log::LogError),
}

impl LprError {
    /// Whether the picture is at fault, so that repeating is useless and the stream goes on.
    #[must_use]
    pub fn is_picture(&self) -> bool {
        matches!(self, Self::Picture(_))
    }
}

impl From<opencv::Error> for LprError {
    fn from(e: opencv::Error) -> Self {
        Self::OpenCv(e.message)
    }
}

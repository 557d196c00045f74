//! Registry files: JSON Lines of `{"kind", "id", "value"}`, taken in whole or not at all.

use std::io::BufRead;

use portgate_core::registry::{Kind, Record};
use portgate_log::{topics, LogError, NewRecord};
use portgate_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Faults listed; a file with more is listed up to here.
const FAULTS_MAX: usize = 100;
/// Longest line, bytes.
const LINE_BYTES_MAX: usize = 256 << 10;

/// One line of a registry file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryLine {
    /// Kind of the record.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// The record; null deletes it.
    pub value: Option<Value>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Why a file was not taken in. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Lines that do not fit, at most a hundred.
    #[error("{} line(s) do not fit; nothing was imported", .0.len())]
    Lines(Vec<LineError>),
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads and checks a whole file; blank lines are passed over.
///
/// # Errors
/// [`ImportError::Lines`] with every fault found; [`ImportError::File`].
pub fn parse_lines(file: impl BufRead) -> Result<Vec<RegistryLine>, ImportError> {
    let mut lines = Vec::new();
    let mut faults = Vec::new();
    for (number, text) in (1..).zip(file.lines()) {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        match parse_line(&text) {
            Ok(line) => lines.push(line),
            Err(what) => faults.push(LineError { line: number, what }),
        }
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() {
        Ok(lines)
    } else {
        Err(ImportError::Lines(faults))
    }
}

fn parse_line(text: &str) -> Result<RegistryLine, String> {
    if text.len() > LINE_BYTES_MAX {
        return Err(format!("has more than {LINE_BYTES_MAX} bytes"));
    }
    let mut source = serde_json::Deserializer::from_str(text);
    let mut line: RegistryLine = serde_path_to_error::deserialize(&mut source).map_err(|e| e.to_string())?;
    source.end().map_err(|e| e.to_string())?;
    if let Some(value) = &mut line.value {
        *value = Record::parse(line.kind, &line.id, value).map_err(|e| e.to_string())?.to_value();
    }
    Ok(line)
}

/// The records of `portgate.registry` that write these lines through a running gate.
///
/// # Errors
/// [`LogError::Invalid`] if a value cannot be written as JSON.
pub fn to_records(lines: &[RegistryLine]) -> Result<Vec<NewRecord>, LogError> {
    lines
        .iter()
        .map(|line| {
            let key = format!("{}/{}", line.kind, line.id);
            match &line.value {
                Some(value) => NewRecord::json(topics::REGISTRY, key, value),
                None => Ok(NewRecord::tombstone(topics::REGISTRY, key)),
            }
        })
        .collect()
}

/// Writes a file straight into a store that no engine has open, all or nothing; answers with the
/// number of records.
///
/// # Errors
/// [`ImportError`].
pub fn import_lines(store: &Store, file: impl BufRead) -> Result<u64, ImportError> {
    let lines = parse_lines(file)?;
    Ok(store.import(lines.into_iter().map(|l| (l.kind, l.id, l.value)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_with_its_line() {
        let file = "{\"kind\":\"enterprise\",\"id\":\"E1\",\"value\":{\"name\":\"x\",\"status\":\"APPROVED\"}}\n\nnonsense\n{\"kind\":\"nothing\",\"id\":\"1\",\"value\":{}}\n";
        let Err(ImportError::Lines(faults)) = parse_lines(file.as_bytes()) else { panic!("faults expected") };
        assert_eq!(faults.iter().map(|f| f.line).collect::<Vec<_>>(), [3, 4]);
    }
}

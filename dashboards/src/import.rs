//! Registry files as people bring them: JSON Lines of `{"kind", "id", "value"}`, or a CSV of one
//! kind. A file is taken whole or not at all; what is wrong is said line by line.

use std::collections::BTreeMap;

use portgate_core::registry::{Kind, Record};
use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};

/// Faults listed.
pub const FAULTS_MAX: usize = 100;

/// One change a file asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Kind.
    pub kind: Kind,
    /// Id.
    pub id: String,
    /// The record; none: deleted.
    pub value: Option<Value>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Number of the line, from 1.
    pub line: u64,
    /// What is wrong and what would be right.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: Kind,
    id: String,
    value: Option<Value>,
}

/// JSON Lines; blank lines are passed over.
///
/// # Errors
/// Every fault, up to [`FAULTS_MAX`].
pub fn json_lines(text: &str) -> Result<Vec<Change>, Vec<Fault>> {
    collect((1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty()).map(|(line, text)| {
        let parsed: Result<Line, _> = serde_json::from_str(text);
        let change = parsed.map_err(|e| e.to_string()).and_then(|l| {
            let value = match l.value.filter(|v| !v.is_null()) {
                Some(value) => Some(Record::parse(l.kind, &l.id, &value).map_err(|e| e.to_string())?.to_value()),
                None => None,
            };
            Ok(Change { kind: l.kind, id: l.id, value })
        });
        (line, change)
    }))
}

/// A CSV with a header of field names. A cell is text unless its field wants a truth value, a
/// number or a list (`a;b`); an empty cell is left out.
///
/// # Errors
/// Every fault, up to [`FAULTS_MAX`].
pub fn csv(kind: Kind, text: &str) -> Result<Vec<Change>, Vec<Fault>> {
    let at = |line: u64, what: String| vec![Fault { line, what }];
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(|h| h.trim().to_owned()).collect(),
        Err(e) => return Err(at(1, e.to_string())),
    };
    let Some(id_column) = [kind.id_field(), "id"].into_iter().find(|f| header.iter().any(|h| h == f)) else {
        return Err(at(1, format!("no column `id` or `{}`", kind.id_field())));
    };
    collect(reader.records().map(|row| match row {
        Err(e) => (e.position().map_or(0, csv::Position::line), Err(e.to_string())),
        Ok(row) => {
            let line = row.position().map_or(0, csv::Position::line);
            let cells = header.iter().cloned().zip(row.iter().map(str::trim).map(str::to_owned));
            let cells: BTreeMap<String, String> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
            let id = cells.get(id_column).cloned().unwrap_or_default();
            (line, cells_to_record(kind, &id, cells).map(|value| Change { kind, id, value: Some(value) }))
        }
    }))
}

fn collect(lines: impl Iterator<Item = (u64, Result<Change, String>)>) -> Result<Vec<Change>, Vec<Fault>> {
    let (mut changes, mut faults) = (Vec::new(), Vec::new());
    for (line, change) in lines {
        match change {
            Ok(change) => changes.push(change),
            Err(what) => faults.push(Fault { line, what }),
        }
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() {
        Ok(changes)
    } else {
        Err(faults)
    }
}

fn cells_to_record(kind: Kind, id: &str, cells: BTreeMap<String, String>) -> Result<Value, String> {
    let mut fields: Map<String, Value> = cells.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
    if kind.id_field() != "id" {
        fields.remove("id");
    }
    let mut typed = Vec::new();
    loop {
        let error = match Record::parse(kind, id, &Value::Object(fields.clone())) {
            Ok(record) => return Ok(record.to_value()),
            Err(error) => error,
        };
        // The field wants something else than text: give it what the text reads as, once.
        match fields.get_mut(&error.field) {
            Some(cell @ Value::String(_)) if !typed.contains(&error.field) => {
                let text = cell.as_str().unwrap_or_default().to_owned();
                let read = serde_json::from_str(&text).ok().filter(|v: &Value| !v.is_string());
                *cell = read.unwrap_or_else(|| json!(text.split(';').collect::<Vec<_>>()));
                typed.push(error.field);
            }
            _ => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_becomes_records_and_faults_name_their_line() {
        let text = "plate,category,registration,rated_load_t\n苏G12345,PF_GENERAL,APPROVED,31.5\n";
        let changes = csv(Kind::Vehicle, text).unwrap();
        assert_eq!((changes[0].id.as_str(), changes[0].value.as_ref().unwrap()["rated_load_t"].as_f64()), ("苏G12345", Some(31.5)));
        let wrong = "plate,category,registration\n苏G1,PF_GENERAL,APPROVED\n苏G2,UNICORN,APPROVED\n";
        let faults = csv(Kind::Vehicle, wrong).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].line == 3 && faults[0].what.contains("category"), "{faults:?}");
        assert_eq!(csv(Kind::Vehicle, "colour\nred\n").unwrap_err()[0].line, 1);
    }

    #[test]
    fn json_lines_are_taken_whole_or_not_at_all() {
        let good = r#"{"kind":"enterprise","id":"E1","value":{"id":"E1","status":"APPROVED"}}"#;
        let text = format!("{good}\n\n{{\"kind\":\"enterprise\",\"id\":\"E2\",\"value\":null}}\n");
        assert_eq!(json_lines(&text).unwrap().len(), 2);
        let faults = json_lines(&format!("{good}\n{{\"kind\":\"unicorn\",\"id\":\"x\",\"value\":{{}}}}\nnot json\n")).unwrap_err();
        assert_eq!(faults.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 3]);
    }
}

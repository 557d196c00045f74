//! `portgate registry import | export | show`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{bail, Context, Result};
use portgate_core::registry::{Kind, Record};
use portgate_engine::{import_lines, parse_lines};
use portgate_store::Store;
use serde_json::{json, Value};

use crate::adapters::{export, faults};
use crate::cli::RegistryAction;
use crate::config::SiteConfig;
use crate::control::{self, Request};

/// Faults of a CSV file listed.
const FAULTS_MAX: usize = 100;

/// Runs the action on the gate of `data`, running or not.
pub fn run(action: RegistryAction, data: &Path) -> Result<u8> {
    match action {
        RegistryAction::Import { files } => {
            for file in &files {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(file).with_context(|| format!("registry file {name} cannot be read"))?;
                let csv = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
                let lines = if csv { from_csv(file, &text)? } else { text };
                parse_lines(lines.as_bytes()).map_err(|e| faults(&name, &e))?;
                import(data, &name, lines)?;
            }
        }
        RegistryAction::Export => {
            let mut out = std::io::stdout().lock();
            if control::call(data, &Request::RegistryExport, &mut out)?.is_none() {
                out.write_all(&export(&open(data)?)?)?;
            }
        }
        RegistryAction::Show { kind, id } => {
            let parsed: Kind = kind.parse()?;
            let mut out = std::io::stdout().lock();
            let request = Request::RegistryShow { kind, id: id.clone() };
            if control::call(data, &request, &mut out)?.is_none() {
                match open(data)?.record(parsed, &id)? {
                    Some(entry) => writeln!(out, "{}", serde_json::to_string_pretty(&entry.value)?)?,
                    None => bail!("there is no {parsed} {id:?}"),
                }
            }
        }
    }
    Ok(0)
}

fn open(data: &Path) -> Result<Store> {
    let path = data.join("store");
    let site = match path.is_dir() {
        true => portgate_store::check(&path)?.site,
        false => SiteConfig::default().id,
    };
    Ok(Store::open(&path, &site)?)
}

fn import(data: &Path, name: &str, lines: String) -> Result<()> {
    let request = Request::RegistryImport { name: name.to_owned(), lines: lines.clone() };
    if control::call(data, &request, &mut std::io::stdout().lock())?.is_some() {
        return Ok(());
    }
    let count = import_lines(&open(data)?, lines.as_bytes()).map_err(|e| faults(name, &e))?;
    println!("{name}: {count} records");
    Ok(())
}

/// A CSV named after its kind (`vehicle.csv`), a header of field names, a record a line, as JSON
/// Lines. A cell is text unless its field wants a truth value, a number or a list (`a;b`).
fn from_csv(file: &Path, text: &str) -> Result<String> {
    let name = file.display();
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let kind: Kind = stem.parse().with_context(|| format!("{name}: a CSV is named after its kind, like vehicle.csv"))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().with_context(|| format!("{name}:1"))?.iter().map(str::to_owned).collect();
    let id_column = [kind.id_field(), "id"].into_iter().find(|f| header.iter().any(|h| h == f));
    let Some(id_column) = id_column else { bail!("{name}:1: no column `id` or `{}`", kind.id_field()) };
    let mut out = String::new();
    let mut wrong = Vec::new();
    for row in reader.records() {
        let row = row.with_context(|| format!("{name}"))?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells: BTreeMap<String, String> =
            header.iter().cloned().zip(row.iter().map(str::to_owned)).filter(|(_, cell)| !cell.is_empty()).collect();
        let id = cells.get(id_column).cloned().unwrap_or_default();
        match record(kind, &id, cells) {
            Ok(value) => {
                out.push_str(&json!({"kind": kind, "id": id, "value": value}).to_string());
                out.push('\n');
            }
            Err(what) => wrong.push(format!("\n  {name}:{line}: {what}")),
        }
    }
    if !wrong.is_empty() {
        wrong.truncate(FAULTS_MAX);
        bail!("{name}: {} line(s) do not fit; nothing was imported{}", wrong.len(), wrong.concat());
    }
    Ok(out)
}

fn record(kind: Kind, id: &str, cells: BTreeMap<String, String>) -> Result<Value, String> {
    let mut fields: serde_json::Map<String, Value> = cells.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
    if kind.id_field() != "id" {
        fields.remove("id");
    }
    let mut typed = Vec::new();
    loop {
        let value = Value::Object(fields.clone());
        let error = match Record::parse(kind, id, &value) {
            Ok(record) => return Ok(record.to_value()),
            Err(error) => error,
        };
        // The field wants something else than text: give it what the text reads as, once.
        let again = match fields.get_mut(&error.field) {
            Some(cell @ Value::String(_)) if !typed.contains(&error.field) => {
                let text = cell.as_str().unwrap_or_default().to_owned();
                *cell = serde_json::from_str(&text)
                    .ok()
                    .filter(|v: &Value| !v.is_string())
                    .unwrap_or_else(|| json!(text.split(';').collect::<Vec<_>>()));
                typed.push(error.field.clone());
                true
            }
            _ => false,
        };
        if !again {
            return Err(error.to_string());
        }
    }
}

//! `portgate registry import | export | show`

use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};
use portgate_core::registry::Kind;
use portgate_engine::{import_lines, parse_lines};
use portgate_store::Store;
use serde_json::json;

use crate::adapters::{export, faults};
use crate::cli::RegistryAction;
use crate::config::SiteConfig;
use crate::control::{self, Request};

/// Runs the action on the gate of `data`, running or not.
pub fn run(action: RegistryAction, data: &Path) -> Result<u8> {
    match action {
        RegistryAction::Import { files } => {
            for file in &files {
                let name = file.display().to_string();
                let bytes = std::fs::read(file).with_context(|| format!("registry file {name} cannot be read"))?;
                let text = utf8(&name, bytes)?;
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

/// The text of a file; a spreadsheet in Chinese writes GBK unless it is told otherwise.
fn utf8(name: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let before = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        anyhow!("{name}:{line}: not UTF-8 (GBK, perhaps); save the file as UTF-8 (a spreadsheet: \"CSV UTF-8\")")
    })
}

/// A CSV named after its kind (`vehicle.csv`), read as the registry page reads one, as JSON Lines.
fn from_csv(file: &Path, text: &str) -> Result<String> {
    let name = file.display();
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let kind: Kind = stem.parse().with_context(|| format!("{name}: a CSV is named after its kind, like vehicle.csv"))?;
    let changes = portgate_dashboards::import::csv(kind, text).map_err(|faults| {
        let lines: String = faults.iter().map(|f| format!("\n  {name}:{}: {}", f.line, f.what)).collect();
        anyhow!("{name}: {} line(s) do not fit; nothing was imported{lines}", faults.len())
    })?;
    Ok(changes.into_iter().map(|c| json!({"kind": c.kind, "id": c.id, "value": c.value}).to_string() + "\n").collect())
}

//! `portgate sql`

use std::io::Write;
use std::path::Path;

use anyhow::{bail, Result};
use portgate_analytics::format::{self, Format as Written};
use portgate_analytics::Analytics;
use portgate_core::people::Role;

use crate::cli::Format;
use crate::control::{self, Request};

/// Asks the running gate on `data`, or the files it left behind.
pub fn run(query: &str, form: Format, data: &Path) -> Result<u8> {
    let name = match form {
        Format::Table => "table",
        Format::Csv => "csv",
        Format::Json => "json",
    };
    let mut out = std::io::stdout().lock();
    let request = Request::Sql { query: query.to_owned(), format: name.into() };
    if control::call(data, &request, &mut out)?.is_some() {
        return Ok(0);
    }
    let folder = data.join("analytics");
    if !folder.is_dir() {
        bail!("no gate runs on {}, and there is no {}: name the folder with --data", data.display(), folder.display());
    }
    let analytics = Analytics::open_offline(&folder)?;
    let form: Written = name.parse().map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let answer = runtime.block_on(analytics.query(query, Role::Security))?;
    format::write(&answer, form, &mut out)?;
    out.flush()?;
    runtime.shutdown_background();
    Ok(0)
}

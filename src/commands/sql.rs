//! `portgate sql`

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use portgate_analytics::format::{self, Format as Written};
use portgate_analytics::{Analytics, Asker, Progress};
use portgate_core::people::Role;

use crate::cli::Format;
use crate::control::{self, Request};

/// How often a long query says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Asks the running gate on `data`, or the files it left behind.
pub fn run(query: &str, form: Format, output: Option<&Path>, data: &Path) -> Result<u8> {
    let name = match form {
        Format::Table => "table",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Arrow => "arrow",
        Format::Parquet => "parquet",
    };
    let written: Written = name.parse().map_err(anyhow::Error::msg)?;
    if written.is_binary() && output.is_none() && std::io::stdout().is_terminal() {
        bail!("{name} is not for a screen: name a file with --output, or send it on with a pipe");
    }
    let request = Request::Sql { query: query.to_owned(), format: name.into() };
    // The answer first, then the file: a question that fails leaves no file behind.
    let mut bytes = Vec::new();
    if control::call(data, &request, &mut bytes)?.is_none() {
        bytes = offline(query, written, data)?;
    }
    let put = |mut to: Box<dyn Write>| to.write_all(&bytes).and_then(|()| to.flush());
    match output {
        Some(path) => std::fs::File::create(path)
            .and_then(|file| put(Box::new(BufWriter::new(file))))
            .with_context(|| format!("{} cannot be written", path.display()))?,
        None => match put(Box::new(std::io::stdout().lock())) {
            // Whoever read it has seen enough (`| head`).
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        },
    }
    Ok(0)
}

fn offline(query: &str, form: Written, data: &Path) -> Result<Vec<u8>> {
    let folder = data.join("analytics");
    if !folder.is_dir() {
        bail!("no gate runs on {}, and there is no {}: name the folder with --data", data.display(), folder.display());
    }
    let analytics = Analytics::open_offline(&folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let answer = runtime.block_on(answer(&analytics, query, form, |words| eprintln!("sql: {words}")));
    runtime.shutdown_background();
    answer
}

/// The answer in its form; `progress` hears now and then how far a long question is.
pub async fn answer(analytics: &Analytics, query: &str, form: Written, mut progress: impl FnMut(String)) -> Result<Vec<u8>> {
    // Whoever may read the folder's files may read what is in them.
    let who = Asker::from(Role::Security);
    let tell = |elapsed: Duration, now: Progress| {
        progress(match now.rows_max {
            0 => format!("{} s", elapsed.as_secs()),
            max => format!("{} s, {} of {max} rows read", elapsed.as_secs(), now.rows),
        });
    };
    let answer = analytics.query_with_progress(query, who, PROGRESS_EVERY, tell).await?;
    Ok(format::to_bytes(&answer, form)?)
}

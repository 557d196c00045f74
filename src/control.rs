//! The control socket: how commands talk to a running gate without touching its stores.
//!
//! `DIR/control.sock`, mode 0600: whoever may read the folder's files may use it. One request per
//! connection: a JSON line in; while it takes long, lines `{"progress":…}` out; then a line
//! `{"ok":true}` or `{"error":…}` and the output until the end of the stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Longest request, bytes: a registry file travels in it.
const REQUEST_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Requests served at once.
const CALLS_MAX: usize = 8;

/// What can be asked of a running gate.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Request {
    /// A query.
    Sql {
        /// The query.
        query: String,
        /// `table`, `csv`, `json`, `arrow` or `parquet`.
        format: String,
    },
    /// Records to write, all or none: `(kind, id, value)`; checked by the caller already.
    RegistryImport {
        /// File they come from, for messages.
        name: String,
        /// JSON Lines.
        lines: String,
    },
    /// Every record as JSON Lines.
    RegistryExport,
    /// One record.
    RegistryShow {
        /// Kind.
        kind: String,
        /// Id.
        id: String,
    },
    /// What did not fit when a lane that had been cut off was heard again.
    Conflicts,
    /// A consistent copy.
    Backup {
        /// Where to.
        to: PathBuf,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
struct Head {
    #[serde(default)]
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
}

/// Answers requests inside the gate.
#[async_trait::async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The whole output, or what went wrong in words. `progress` takes how far it is, in words, and
    /// drops what nobody waits for.
    async fn handle(&self, request: Request, progress: mpsc::Sender<String>) -> Result<Vec<u8>>;
}

/// Path of the socket in a state folder.
pub fn path_in(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// Sends a request to the gate that runs on `dir` and writes its output; `None` if none runs.
pub fn call(dir: &Path, request: &Request, out: &mut dyn Write) -> Result<Option<()>> {
    let path = path_in(dir);
    let Ok(mut stream) = UnixStream::connect(&path) else { return Ok(None) };
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    serde_json::to_writer(&mut stream, request).context("the gate's control socket does not take the request")?;
    stream.write_all(b"\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let head = loop {
        line.clear();
        reader.read_line(&mut line)?;
        let head: Head = serde_json::from_str(&line).context("the gate closed its control socket without an answer")?;
        match head.progress {
            Some(words) => eprintln!("portgate: {words}"),
            None => break head,
        }
    };
    if let Some(error) = head.error {
        bail!(error);
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            return Ok(Some(()));
        }
        out.write_all(buffer.get(..n).unwrap_or_default())?;
    }
}

/// Takes the socket of `dir`. Fails if a running gate answers on it.
pub fn bind(dir: &Path) -> Result<UnixListener> {
    let path = path_in(dir);
    if UnixStream::connect(&path).is_ok() {
        bail!("{} is held by another process: a gate is running on it already", dir.display());
    }
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("control socket {} cannot be made", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket until the task is dropped.
pub async fn serve(listener: UnixListener, handler: Arc<dyn Handler>) {
    let calls = Arc::new(tokio::sync::Semaphore::new(CALLS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&calls).acquire_owned().await else { return };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = answer(stream, handler.as_ref()).await {
                tracing::debug!(%error, "control connection ended early");
            }
        });
    }
}

async fn answer(stream: tokio::net::UnixStream, handler: &dyn Handler) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(read.take(REQUEST_BYTES_MAX));
    reader.read_line(&mut line).await?;
    let result = match serde_json::from_str(&line) {
        Ok(request) => {
            let (say, mut said) = mpsc::channel(1);
            let mut work = handler.handle(request, say);
            loop {
                tokio::select! {
                    done = &mut work => break done,
                    Some(words) = said.recv() => {
                        let mut bytes = serde_json::to_vec(&Head { progress: Some(words), ..Head::default() })?;
                        bytes.push(b'\n');
                        write.write_all(&bytes).await?; // nobody there any more: the work is given up
                    }
                }
            }
        }
        Err(error) => Err(anyhow::anyhow!("no such call: {error}")),
    };
    let head = match &result {
        Ok(_) => Head { ok: true, ..Head::default() },
        Err(error) => Head { error: Some(format!("{error:#}")), ..Head::default() },
    };
    let mut bytes = serde_json::to_vec(&head)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await?;
    if let Ok(output) = result {
        write.write_all(&output).await?;
    }
    write.shutdown().await?;
    Ok(())
}

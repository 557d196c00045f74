//! The small pieces that fit one crate's trait to another crate's type.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use bytes::Bytes;
use portgate_analytics::format::{self, Format};
use portgate_analytics::Analytics;
use portgate_core::people::Principal;
use portgate_core::read::ReadMessage;
use portgate_core::registry::Kind;
use portgate_core::timeline::Timeline;
use portgate_dashboards::evidence::EvidenceStore;
use portgate_dashboards::registry::{split_key, RegistryItem, RegistryReader};
use portgate_dashboards::{ReadyCheck, SqlRunner, SqlTable};
use portgate_engine::cut_off::{self, Keeper};
use portgate_engine::{parse_lines, to_records, EngineHandle, ImportError};
use portgate_ingest::{LaneDirectory, Spool, SpoolStanding};
use portgate_log::embedded::EmbeddedLog;
use portgate_log::{topics, Log, LogError};
use portgate_store::Store;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::control::{Handler, Request};

/// How long an import waits until the engine has applied it.
const APPLY_WAIT: Duration = Duration::from_secs(120);
/// How often the spool is looked at.
const SPOOL_LOOKS: Duration = Duration::from_millis(500);
/// Records appended at once.
const IMPORT_BATCH: usize = 1000;
/// Records listed at once.
const PAGE: usize = 1000;

/// The registry as the engine's store holds it.
pub struct StoreRegistry(pub Arc<Store>);

impl RegistryReader for StoreRegistry {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Value>, String> {
        self.0.record(kind, id).map(|e| e.map(|e| e.value)).map_err(|e| e.to_string())
    }
    fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<RegistryItem>, String> {
        let entries = self.0.list(kind, prefix, after, limit).map_err(|e| e.to_string())?;
        Ok(entries.into_iter().map(|e| RegistryItem { id: e.id, value: e.value }).collect())
    }
    fn policies(&self) -> Result<Vec<(String, Timeline)>, String> {
        self.0.policy_scopes().map_err(|e| e.to_string())
    }
}

/// Evidence as the engine's store retains it.
pub struct StoreEvidence(pub Arc<Store>);

impl EvidenceStore for StoreEvidence {
    fn get(&self, frame_id: &str) -> Option<Bytes> {
        match self.0.evidence(frame_id) {
            Ok(found) => found.map(|(_, jpeg)| Bytes::from(jpeg)),
            Err(error) => {
                tracing::error!(%error, "evidence cannot be read");
                None
            }
        }
    }
}

/// Queries from the page.
pub struct Sql(pub Analytics);

#[async_trait::async_trait]
impl SqlRunner for Sql {
    async fn query(&self, who: &Principal, sql: &str, rows_max: usize) -> Result<SqlTable, String> {
        let answer = self.0.query(sql, who).await.map_err(|e| e.to_string())?;
        let columns: Vec<String> = answer.schema.fields().iter().map(|f| f.name().clone()).collect();
        let truncated = answer.rows() > rows_max;
        let text = format::to_string(&answer, Format::Json).map_err(|e| e.to_string())?;
        let rows = text
            .lines()
            .take(rows_max)
            .map(|line| {
                let row: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
                Ok(columns.iter().map(|c| row.get(c).cloned().unwrap_or(Value::Null)).collect())
            })
            .collect::<Result<_, String>>()?;
        Ok(SqlTable { columns, rows, truncated })
    }
}

/// Readiness of the engine.
pub fn engine_ready(handle: EngineHandle) -> ReadyCheck {
    Arc::new(move || handle.ready())
}

/// Readiness of the edge: nothing waits in its spool, as it was at the last look.
pub fn spool_ready(spool: Arc<Spool>) -> ReadyCheck {
    let seen = Arc::new(std::sync::Mutex::new(None));
    let looks = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let standing = spool.standing().await.map_err(|e| format!("the spool does not say what waits in it: {e}"));
            if let Ok(mut seen) = looks.lock() {
                *seen = Some(standing);
            }
            tokio::time::sleep(SPOOL_LOOKS).await;
        }
    });
    Arc::new(move || match seen.lock().ok().and_then(|s| s.clone()).transpose()? {
        Some(SpoolStanding { waiting, kept, forwarded, records_max }) if waiting > 0 => {
            Err(format!("{waiting} of at most {records_max} reads wait for the log ({kept} kept, {forwarded} forwarded since the start)"))
        }
        _ => Ok(()),
    })
}

/// Keeps the directory of lanes in step with `portgate.registry`.
pub async fn follow_lanes(log: Arc<dyn Log>, lanes: LaneDirectory, stop: impl Future<Output = ()> + Send + 'static) {
    let follow = async {
        let mut from = 0;
        loop {
            match log.read(topics::REGISTRY, 0, from, 1000, Duration::from_secs(30)).await {
                Ok(batch) => {
                    for record in &batch.records {
                        let Some((kind, id)) = record.key_str().and_then(split_key) else { continue };
                        let value: Option<Value> = record.value.as_ref().and_then(|v| serde_json::from_slice(v).ok());
                        lanes.apply(kind.as_str(), id, value.as_ref());
                    }
                    from = batch.next_offset;
                }
                Err(LogError::OffsetOutOfRange { .. }) => {
                    from = log.ranges(topics::REGISTRY).await.ok().and_then(|r| r.first().map(|r| r.earliest)).unwrap_or(0);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the registry topic cannot be read now");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    };
    tokio::select! {
        () = follow => (),
        () = stop => (),
    }
}

/// What the control socket can do.
pub struct ControlHandler {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The same, where it is the embedded one.
    pub embedded: Option<Arc<EmbeddedLog>>,
    /// The store, where this process decides.
    pub store: Option<Arc<Store>>,
    /// Analytics, where it runs here.
    pub analytics: Option<Analytics>,
}

#[async_trait::async_trait]
impl Handler for ControlHandler {
    async fn handle(&self, request: Request, progress: mpsc::Sender<String>) -> Result<Vec<u8>> {
        match request {
            Request::Sql { query, format } => {
                let analytics = self.analytics.as_ref().context("this process does not run the role analyse")?;
                let format: Format = format.parse().map_err(anyhow::Error::msg)?;
                crate::commands::sql::answer(analytics, &query, format, |words| drop(progress.try_send(words))).await
            }
            Request::RegistryImport { name, lines } => self.import(&name, &lines).await,
            Request::RegistryExport => {
                let store = self.store()?;
                tokio::task::spawn_blocking(move || export(&store)).await?
            }
            Request::RegistryShow { kind, id } => {
                let store = self.store()?;
                let kind: Kind = kind.parse()?;
                match store.record(kind, &id)? {
                    Some(entry) => Ok(format!("{}\n", serde_json::to_string_pretty(&entry.value)?).into_bytes()),
                    None => bail!("there is no {kind} {id:?}"),
                }
            }
            Request::Conflicts => {
                let store = self.store()?;
                tokio::task::spawn_blocking(move || crate::commands::stores::conflicts_of(&store)).await?
            }
            Request::Backup { to } => {
                let (store, log, target) = (self.store()?, self.embedded.clone(), to.clone());
                tokio::task::spawn_blocking(move || {
                    std::fs::create_dir_all(&target)?;
                    // The log first: a store may be ahead of its log, never behind it.
                    if let Some(log) = log {
                        log.checkpoint(&target.join("log"))?;
                    }
                    store.backup(&target.join("store")).map_err(anyhow::Error::from)
                })
                .await??;
                Ok(format!("copied to {}\n", to.display()).into_bytes())
            }
        }
    }
}

impl ControlHandler {
    fn store(&self) -> Result<Arc<Store>> {
        self.store.clone().context("this process does not run the role decide")
    }

    /// Appends the records and waits until the owner of the site has applied them.
    async fn import(&self, name: &str, lines: &str) -> Result<Vec<u8>> {
        let parsed = parse_lines(lines.as_bytes()).map_err(|e| faults(name, &e))?;
        let records = to_records(&parsed)?;
        let count = records.len();
        let mut last = None;
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let batch = records.by_ref().take(IMPORT_BATCH).collect();
            last = self.log.append_batch(batch).await?.pop().or(last);
        }
        if let (Some(last), Some(store)) = (last, &self.store) {
            let start = Instant::now();
            while store.offset(&last.topic, last.partition)?.is_none_or(|next| next <= last.offset) {
                if start.elapsed() > APPLY_WAIT {
                    bail!("{count} records are in the log, but the engine has not applied them within {APPLY_WAIT:?}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(format!("{name}: {count} records\n").into_bytes())
    }
}

/// Every fault of a registry file, a line each.
pub fn faults(name: &str, error: &ImportError) -> anyhow::Error {
    match error {
        ImportError::Lines(faults) => {
            let mut text = format!("{name}: {error}");
            for fault in faults {
                text.push_str(&format!("\n  {name}:{}: {}", fault.line, fault.what));
            }
            anyhow::Error::msg(text)
        }
        other => anyhow::anyhow!("{name}: {other}"),
    }
}

/// Every record as JSON Lines, in the order of kinds and ids.
pub fn export(store: &Store) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for kind in Kind::ALL {
        let mut after: Option<String> = None;
        loop {
            let page = store.list(kind, "", after.as_deref(), PAGE)?;
            for entry in &page {
                serde_json::to_writer(&mut out, entry)?;
                out.push(b'\n');
            }
            match page.last() {
                Some(entry) if page.len() == PAGE => after = Some(entry.id.clone()),
                _ => break,
            }
        }
    }
    Ok(out)
}

/// Keeps what barriers and the desk report, behind the reads kept before.
pub struct SpoolKeeper {
    /// The spool.
    pub spool: Arc<Spool>,
    /// The log it forwards to.
    pub log: Arc<dyn Log>,
}

#[async_trait::async_trait]
impl Keeper for SpoolKeeper {
    async fn keep(&self, site: &str, read: &ReadMessage) -> Result<(), String> {
        self.spool.take_own(&*self.log, site, read).await
    }
}

/// The desk as the spool knows it.
pub struct SpoolDesk(pub cut_off::Desk);

impl portgate_ingest::spool::Desk for SpoolDesk {
    fn at_work(&self, first: bool) -> bool {
        self.0.at_work(first)
    }

    fn kept(&self, read: ReadMessage, first: bool) {
        self.0.kept(read, first);
    }

    fn over(&self) {
        self.0.over();
    }
}

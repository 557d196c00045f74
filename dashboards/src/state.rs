//! What every call can reach.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portgate_core::people::Principal;
use portgate_core::time::Instant;
use portgate_log::Log;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::answers::Answers;
use crate::board::Board;
use crate::evidence::{EvidenceStore, FrameCache};
use crate::follow::Following;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::registry::RegistryReader;
use crate::room::Room;
use crate::sessions::Sessions;
use crate::violations::Violations;

/// The result of a query.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SqlTable {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, values in the order of the columns.
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than asked for.
    pub truncated: bool,
}

/// Runs a read-only query with the rights of a role; given by the wiring where analytics runs.
#[async_trait]
pub trait SqlRunner: Send + Sync + 'static {
    /// At most `rows_max` rows of the answer.
    ///
    /// # Errors
    /// What is wrong with the query, in words for its writer.
    async fn query(&self, who: &Principal, sql: &str, rows_max: usize) -> Result<SqlTable, String>;
}

/// A further condition of readiness, given by the wiring: fine, or what is wrong.
pub type ReadyCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What every call can reach.
pub struct AppState {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sessions: Sessions,
    pub(crate) board: Arc<Board>,
    pub(crate) frames: Arc<FrameCache>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) registry: Arc<dyn RegistryReader>,
    pub(crate) room: Arc<Room>,
    pub(crate) violations: Arc<Violations>,
    pub(crate) limits: Limits,
    pub(crate) evidence: Arc<dyn EvidenceStore>,
    pub(crate) sql: Option<Arc<dyn SqlRunner>>,
    pub(crate) metrics_render: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) ready_checks: BTreeMap<String, ReadyCheck>,
    pub(crate) following: Vec<Arc<Following>>,
    /// How long a word or a registry write waits for the engine.
    pub(crate) answer_wait: Duration,
    /// Passwords being checked at once: argon2 takes memory and time.
    pub(crate) sign_ins: Semaphore,
    /// Listeners to live events at once.
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
    pub(crate) demo: bool,
    /// Served over TLS: cookies are for it alone.
    pub(crate) tls: bool,
}

/// The gate's time.
pub(crate) fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Instant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

//! Analytics: everything the gate decided, in SQL, up to this second.
//!
//! The journal (`portgate.journal`) is read in order ([`writer`]), drawn into tables ([`tables`]),
//! kept in memory for a minute and then in Parquet files ([`store`], [`files`], [`upkeep`]), and
//! asked through DataFusion ([`query`], [`views`]) over files and memory at once. Columns and
//! folder are documented in `analytics/README.md`.
//!
//! Architecture invariant: analytics only reads the journal. Whatever happens here (a full disk, a
//! heavy query, a damaged file) no lane waits for it.

mod config;
pub mod docs;
mod error;
mod files;
pub mod format;
pub mod history;
pub mod lookups;
#[cfg(test)]
mod oracle_tests;
pub mod pg;
mod provider;
mod query;
pub mod reference;
mod store;
pub mod tables;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod upkeep;
pub mod views;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_log::Log;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::AnalyticsConfig;
pub use error::{AnalyticsError, Result};
pub use lookups::Asker;
pub use query::{mask_plate, Answer, Progress, QueryResult};
pub use store::{JournalPosition, SitePosition};

use query::Queries;
use store::Store;

/// The analytics of one gate. Clones share everything.
#[derive(Clone)]
pub struct Analytics {
    store: Arc<Store>,
    queries: Arc<Queries>,
    answer_rows_max: usize,
    writer: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

impl Analytics {
    /// Opens the folder and begins to take the journal from `log`, until `shutdown` turns true or
    /// its sender is dropped; [`Analytics::finished`] then waits for the last rows to be written.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when the folder can't be used.
    pub fn start(config: AnalyticsConfig, log: Arc<dyn Log>, shutdown: watch::Receiver<bool>) -> Result<Self> {
        let store = Arc::new(Store::create(&absolute(&config.dir)?)?);
        let analytics = Self::over(Arc::clone(&store), &config)?;
        let task = tokio::spawn(writer::run(store, log, config, shutdown));
        Ok(Self { writer: Arc::new(tokio::sync::Mutex::new(Some(task))), ..analytics })
    }

    /// Opens what lies in the folder, to ask only; no gate need run, nothing is changed.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when there is no such folder.
    pub fn open_offline(dir: &Path) -> Result<Self> {
        Self::open_with(&AnalyticsConfig::new(dir))
    }

    /// The same, with other bounds than the defaults.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when there is no such folder.
    pub fn open_with(config: &AnalyticsConfig) -> Result<Self> {
        Self::over(Arc::new(Store::open(&absolute(&config.dir)?)?), config)
    }

    fn over(store: Arc<Store>, config: &AnalyticsConfig) -> Result<Self> {
        let queries = Arc::new(Queries::new(Arc::clone(&store), config)?);
        Ok(Self { store, queries, answer_rows_max: config.answer_rows_max, writer: Arc::default() })
    }

    /// Answers one question whole.
    ///
    /// # Errors
    /// [`AnalyticsError::Sql`] with DataFusion's message, [`AnalyticsError::ReadOnly`],
    /// [`AnalyticsError::Forbidden`], [`AnalyticsError::Busy`], [`AnalyticsError::Timeout`],
    /// [`AnalyticsError::Memory`], [`AnalyticsError::TooManyRows`], [`AnalyticsError::Unrecorded`],
    /// [`AnalyticsError::Query`].
    pub async fn query(&self, sql: &str, who: impl Into<Asker>) -> Result<QueryResult> {
        self.query_with_progress(sql, who, Duration::from_secs(3600), |_, _| {}).await
    }

    /// The same; while it takes long, `tell` hears every so often for how long and how far it is.
    ///
    /// # Errors
    /// As [`Analytics::query`].
    pub async fn query_with_progress(
        &self,
        sql: &str,
        who: impl Into<Asker>,
        every: Duration,
        mut tell: impl FnMut(Duration, Progress),
    ) -> Result<QueryResult> {
        let who = who.into();
        match self.collect(sql, who.clone(), every, &mut tell).await {
            // A file that does not read back is taken out of the way, and the rest answers.
            Err(AnalyticsError::Unreadable(_)) if self.queries.mend().await > 0 => self.collect(sql, who, every, &mut tell).await,
            answer => answer,
        }
    }

    async fn collect(&self, sql: &str, who: Asker, every: Duration, tell: &mut impl FnMut(Duration, Progress)) -> Result<QueryResult> {
        let started = Instant::now();
        let answer = self.query_stream(sql, who).await?;
        let meter = answer.meter();
        let mut work = std::pin::pin!(answer.collect(self.answer_rows_max));
        let mut tick = tokio::time::interval_at((started + every).into(), every);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => tell(started.elapsed(), meter.now()),
            }
        }
    }

    /// Answers one question as the rows are found: for answers of any size. Dropping the answer
    /// stops the question.
    ///
    /// # Errors
    /// As [`Analytics::query`].
    pub async fn query_stream(&self, sql: &str, who: impl Into<Asker>) -> Result<Answer> {
        self.queries.ask(sql, who).await
    }

    /// How far the journal is taken: what queries see.
    pub fn position(&self) -> JournalPosition {
        self.store.position()
    }

    /// Writes what is in memory to files now.
    ///
    /// # Errors
    /// [`AnalyticsError::Io`], [`AnalyticsError::Parquet`].
    pub async fn flush(&self) -> Result<()> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.flush()).await.unwrap_or_else(|e| Err(AnalyticsError::Query(e.to_string())))
    }

    /// Waits until the writer has ended, after the shutdown was told.
    pub async fn finished(&self) {
        if let Some(task) = self.writer.lock().await.take() {
            let _ = task.await; // a writer that panicked has said so
        }
    }
}

/// The folder with no relative part, as files are named to DataFusion.
fn absolute(dir: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(dir).map_err(AnalyticsError::io(dir))
}

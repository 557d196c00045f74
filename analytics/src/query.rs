//! Questions: one DataFusion catalogue for those who may see plates, one for those who may not.
//!
//! Architecture invariant: who sees masked plates can't reach the clear ones. The tables and views
//! of that catalogue are plans with the masking in them; the tables beneath have no name there.
//! Questions run on threads of their own, so that a scan takes no lane's time.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::{provider_as_source, ViewTable};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{create_udf, ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableType, Volatility};
use datafusion::physical_plan::{execute_stream, ExecutionPlan};
use datafusion::prelude::{col, lit, DataFrame, SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use portgate_core::people::Role;
use tokio::sync::{mpsc, OwnedSemaphorePermit, Semaphore};

use crate::config::AnalyticsConfig;
use crate::error::{AnalyticsError, Result};
use crate::lookups::{self, Asker, Lookups};
use crate::provider::LiveTable;
use crate::reference::{self, ReferenceTable};
use crate::store::Store;
use crate::tables::{self, Kind, Table, TIME_ZONE};
use crate::telemetry::RunningQuery;
use crate::views;

/// Name of the catalogue (to PostgreSQL's clients: the database).
pub const CATALOG: &str = "portgate";
/// Name of its schema.
pub const SCHEMA: &str = "public";
/// Batches on their way to the one who asked.
const BATCHES_AHEAD: usize = 4;

/// What a role may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Everything.
    Clear,
    /// Plates masked, people's words withheld.
    Masked,
}

/// What the role may see.
///
/// # Errors
/// [`AnalyticsError::Forbidden`]: a device asks nothing.
pub fn sight(role: Role) -> Result<Sight> {
    match role {
        Role::Analyst => Ok(Sight::Masked),
        Role::Guard | Role::Supervisor | Role::Security | Role::Registrar | Role::Customs | Role::Administrator => Ok(Sight::Clear),
        Role::Device => Err(AnalyticsError::Forbidden(Role::Device.as_str())),
    }
}

/// Answers questions.
pub struct Queries {
    store: Arc<Store>,
    clear: SessionContext,
    masked: SessionContext,
    lookups: Arc<Lookups>,
    running: Arc<Semaphore>,
    queries_max: usize,
    timeout: Duration,
    threads: Threads,
}

/// The threads questions run on; given up, not waited for, when the last handle goes.
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Of a hundred; about niceness 15, a thirtieth of an ordinary thread's share where both want a core.
const PRIORITY: u8 = 10;

/// Puts the calling thread behind those that decide and recognise: whoever scans a year delays no lane.
fn behind_the_lanes() {
    use thread_priority::{set_current_thread_priority, ThreadPriority, ThreadPriorityValue};
    let set = ThreadPriorityValue::try_from(PRIORITY).map(|p| set_current_thread_priority(ThreadPriority::Crossplatform(p)));
    if !matches!(set, Ok(Ok(()))) {
        tracing::warn!("threads for SQL run at the lanes' priority: {set:?}");
    }
}

impl Queries {
    /// The catalogues over the store.
    ///
    /// # Errors
    /// [`AnalyticsError::Query`] when DataFusion can't be set up.
    pub fn new(store: Arc<Store>, config: &AnalyticsConfig) -> Result<Self> {
        let clear = context(config)?;
        let masked = context(config)?;
        register(&store, &clear, &masked)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // One more than a query uses: a heavy one leaves room for a light one.
            .worker_threads(config.query_threads.saturating_add(1))
            .thread_name("portgate-sql")
            .on_thread_start(behind_the_lanes)
            .enable_all()
            .build()
            .map_err(|e| AnalyticsError::Query(format!("no threads for queries: {e}")))?;
        let lookups = Arc::new(Lookups::new(store.folder().path()));
        Ok(Self {
            lookups,
            store,
            clear,
            masked,
            running: Arc::new(Semaphore::new(config.queries_max)),
            queries_max: config.queries_max,
            timeout: config.query_timeout,
            threads: Threads(Some(runtime)),
        })
    }

    /// The record of look-ups by plate.
    pub fn lookups(&self) -> &Arc<Lookups> {
        &self.lookups
    }

    /// The threads questions run on.
    pub fn runtime(&self) -> Result<&tokio::runtime::Runtime> {
        self.threads.0.as_ref().ok_or_else(|| AnalyticsError::Query("analytics is closed".into()))
    }

    /// The longest time of a question.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The catalogue of those who may see that much.
    pub fn base(&self, sight: Sight) -> &SessionContext {
        match sight {
            Sight::Clear => &self.clear,
            Sight::Masked => &self.masked,
        }
    }

    /// A session that sees all tables as of now.
    pub fn session(&self, sight: Sight) -> SessionContext {
        let mut state = self.base(sight).state();
        state.config_mut().set_extension(Arc::new(self.store.snapshot()));
        SessionContext::new_with_state(state)
    }

    /// Room for one more question.
    ///
    /// # Errors
    /// [`AnalyticsError::Busy`].
    pub fn admit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().map_err(|_| AnalyticsError::Busy { running: self.queries_max })
    }

    /// Begins to answer; the rows come as they are found. Dropping the answer stops the question.
    ///
    /// # Errors
    /// [`AnalyticsError::Sql`] with DataFusion's message, [`AnalyticsError::ReadOnly`],
    /// [`AnalyticsError::Busy`], [`AnalyticsError::Timeout`], [`AnalyticsError::Memory`].
    pub async fn ask(&self, sql: &str, who: impl Into<Asker>) -> Result<Answer> {
        let who = who.into();
        let sight = sight(who.role)?;
        let permit = self.admit()?;
        let running = RunningQuery::begin();
        let deadline = Instant::now() + self.timeout;
        let session = self.session(sight);
        let sql = sql.to_owned();
        let (to, batches) = mpsc::channel(BATCHES_AHEAD);
        let (tell, told) = tokio::sync::oneshot::channel();
        let lookups = Arc::clone(&self.lookups);
        let seen = Arc::new(Mutex::new(None));
        let plan_seen = Arc::clone(&seen);
        let seconds = self.timeout.as_secs();
        let task = self.runtime()?.spawn(async move {
            let _permit = permit;
            let mut running = running; // the whole of it: it counts as running until dropped
            let work = async {
                let begin = async {
                    let frame = plan(&session, &sql).await?;
                    if sight == Sight::Clear {
                        lookups.note(&who, &sql, frame.logical_plan())?;
                    }
                    let physical = frame.create_physical_plan().await?;
                    *plan_seen.lock() = Some(Arc::clone(&physical));
                    Ok::<_, AnalyticsError>(execute_stream(physical, session.task_ctx())?)
                };
                let mut stream = match begin.await {
                    Ok(stream) => {
                        let _ = tell.send(Ok(stream.schema())); // the asker may be gone; the next send tells
                        stream
                    }
                    Err(e) => {
                        running.outcome = e.code();
                        let _ = tell.send(Err(e));
                        return;
                    }
                };
                running.outcome = "ok";
                while let Some(batch) = stream.next().await {
                    let batch = batch.map_err(AnalyticsError::from);
                    if let Err(e) = &batch {
                        running.outcome = e.code();
                    }
                    let failed = batch.is_err();
                    if to.send(batch).await.is_err() {
                        running.outcome = "given_up";
                        return;
                    }
                    if failed {
                        return;
                    }
                }
            };
            if tokio::time::timeout_at(deadline.into(), work).await.is_err() {
                running.outcome = "timeout";
                let _ = to.try_send(Err(AnalyticsError::Timeout { seconds }));
            }
        });
        let guard = AbortOnDrop(task);
        // A question deep in its work notices its end late: the one who asked is told in time.
        let schema = match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(begun)) => begun?,
            Ok(Err(_)) | Err(_) => return Err(AnalyticsError::Timeout { seconds }),
        };
        Ok(Answer { schema, batches, deadline, seconds, plan: seen, _guard: guard })
    }

    /// After a failed read: names and puts aside the files that do not read back. Answers how many.
    pub async fn mend(&self) -> usize {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.verify()).await.unwrap_or(0)
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer on its way: a schema, and batches as they are found.
pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    deadline: Instant,
    seconds: u64,
    plan: Arc<Mutex<Option<Arc<dyn ExecutionPlan>>>>,
    _guard: AbortOnDrop,
}

/// How far a question is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read so far.
    pub rows: u64,
    /// Rows there are to read at most.
    pub rows_max: u64,
}

/// Tells how far a question is, while its answer is collected.
#[derive(Clone)]
pub struct ProgressMeter(Arc<Mutex<Option<Arc<dyn ExecutionPlan>>>>);

impl ProgressMeter {
    /// How far it is now.
    pub fn now(&self) -> Progress {
        let mut progress = Progress::default();
        if let Some(plan) = self.0.lock().as_ref() {
            add_leaves(plan, &mut progress);
        }
        progress
    }
}

fn add_leaves(plan: &Arc<dyn ExecutionPlan>, progress: &mut Progress) {
    let children = plan.children();
    if children.is_empty() {
        let read = plan.metrics().and_then(|m| m.output_rows()).unwrap_or(0);
        #[allow(deprecated)] // its successor wants a context per plan; rows of files are known without
        let all = plan.partition_statistics(None).ok().and_then(|s| s.num_rows.get_value().copied()).unwrap_or(read);
        progress.rows += read as u64;
        progress.rows_max += all.max(read) as u64;
    }
    for child in children {
        add_leaves(child, progress);
    }
}

impl Answer {
    /// Tells how far the question is.
    pub fn meter(&self) -> ProgressMeter {
        ProgressMeter(Arc::clone(&self.plan))
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// All of it, if it has no more than `max` rows.
    ///
    /// # Errors
    /// [`AnalyticsError::TooManyRows`], and whatever stops the question on the way.
    pub async fn collect(mut self, max: usize) -> Result<QueryResult> {
        let mut result = QueryResult { schema: self.schema(), batches: Vec::new() };
        let mut rows = 0;
        let (deadline, seconds) = (self.deadline, self.seconds);
        loop {
            match tokio::time::timeout_at(deadline.into(), self.next()).await {
                Ok(Some(batch)) => {
                    let batch = batch?;
                    rows += batch.num_rows();
                    if rows > max {
                        return Err(AnalyticsError::TooManyRows { max });
                    }
                    result.batches.push(batch);
                }
                // A question stopped for its time may have found no room to say so.
                Ok(None) if Instant::now() < deadline => return Ok(result),
                Ok(None) | Err(_) => return Err(AnalyticsError::Timeout { seconds }),
            }
        }
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(cx)
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl QueryResult {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The plan of one question; anything but a question is refused.
async fn plan(session: &SessionContext, sql: &str) -> Result<DataFrame> {
    let state = session.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql.trim().trim_end_matches(';'), &dialect).map_err(sql_error)?;
    if let Some(word) = not_a_question(&statement) {
        return Err(AnalyticsError::ReadOnly(word));
    }
    let plan = state.statement_to_plan(statement).await.map_err(sql_error)?;
    questions_only().verify_plan(&plan).map_err(|e| AnalyticsError::ReadOnly(e.strip_backtrace()))?;
    session.execute_logical_plan(plan).await.map_err(sql_error)
}

/// What DataFusion lets a plan hold here.
pub(crate) fn questions_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// The first word of a statement that is no question.
fn not_a_question(statement: &DfStatement) -> Option<String> {
    match statement {
        DfStatement::Statement(inner) => not_a_sql_question(inner),
        DfStatement::Explain(explain) => not_a_question(&explain.statement),
        DfStatement::CreateExternalTable(_) | DfStatement::CopyTo(_) | DfStatement::Reset(_) => Some(first_word(&statement.to_string())),
    }
}

/// The first word of a statement that is no question.
pub(crate) fn not_a_sql_question(statement: &Statement) -> Option<String> {
    match statement {
        Statement::Query(_)
        | Statement::ExplainTable { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. } => None,
        Statement::Explain { statement, .. } => not_a_sql_question(statement),
        other => Some(first_word(&other.to_string())),
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// DataFusion's message, with the place where it knows it.
fn sql_error(e: DataFusionError) -> AnalyticsError {
    let place = e.diagnostic().and_then(|d| d.span).map(|s| (s.start.line, s.start.column));
    match (AnalyticsError::from(e), place) {
        (AnalyticsError::Sql(message), Some((line, column))) => AnalyticsError::Sql(format!("{message} (at line {line}, column {column})")),
        (AnalyticsError::Query(message), _) => AnalyticsError::Sql(message),
        (e, _) => e,
    }
}

fn context(config: &AnalyticsConfig) -> Result<SessionContext> {
    let mut session = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(true)
        .with_target_partitions(config.query_threads.max(1));
    {
        let options = session.options_mut();
        options.execution.time_zone = Some(TIME_ZONE.to_owned());
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.sql_parser.collect_spans = true;
    }
    let pool = TrackConsumersPool::new(FairSpillPool::new(config.query_memory_bytes), std::num::NonZeroUsize::MIN.saturating_add(2));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory).with_max_temp_directory_size(config.query_spill_bytes),
        )
        .build_arc()?;
    let state = SessionStateBuilder::new().with_config(session).with_runtime_env(runtime).with_default_features().build();
    Ok(SessionContext::new_with_state(state))
}

/// Tables and views of both catalogues.
fn register(store: &Arc<Store>, clear: &SessionContext, masked: &SessionContext) -> Result<()> {
    let mask = mask_udf();
    for (index, table) in tables::ALL.iter().enumerate() {
        let provider: Arc<dyn TableProvider> = Arc::new(LiveTable::new(Arc::clone(store), index, table));
        offer(table, provider, clear, masked, &mask)?;
    }
    for table in reference::ALL {
        let provider: Arc<dyn TableProvider> = Arc::new(ReferenceTable::new(store.folder().path(), table));
        offer(table, provider, clear, masked, &mask)?;
    }
    offer(&lookups::TABLE, Arc::new(ReferenceTable::lookups(store.folder().path())), clear, masked, &mask)?;
    for spec in views::all() {
        let plan = futures::executor::block_on(clear.state().create_logical_plan(spec.sql))?;
        clear.register_table(spec.name, Arc::new(ViewTable::new(plan.clone(), None)))?;
        let kinds: Vec<(&str, Kind)> = spec.columns.iter().map(|(name, _)| (*name, views::View::kind(name))).collect();
        masked.register_table(spec.name, Arc::new(ViewTable::new(masked_plan(plan, &kinds, &mask)?, None)))?;
    }
    Ok(())
}

/// A table in both catalogues.
fn offer(table: &Table, provider: Arc<dyn TableProvider>, clear: &SessionContext, masked: &SessionContext, mask: &ScalarUDF) -> Result<()> {
    clear.register_table(table.name, Arc::clone(&provider))?;
    let scan = LogicalPlanBuilder::scan(table.name, provider_as_source(provider), None)?.build()?;
    let kinds: Vec<(&str, Kind)> = table.columns.iter().map(|c| (c.name, c.kind)).collect();
    masked.register_table(table.name, Arc::new(MaskedTable(ViewTable::new(masked_plan(scan, &kinds, mask)?, None))))?;
    Ok(())
}

/// The plan with plates masked and people's words left out.
fn masked_plan(plan: LogicalPlan, columns: &[(&str, Kind)], mask: &ScalarUDF) -> DfResult<LogicalPlan> {
    let shown: Vec<Expr> = columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Plate => mask.call(vec![col(*name)]).alias(*name),
            Kind::Words => lit(ScalarValue::Utf8View(None)).alias(*name),
            Kind::Text | Kind::Bool | Kind::Int | Kind::Float | Kind::Time | Kind::Date | Kind::Texts => col(*name),
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(shown)?.build()
}

/// A masked table: a view to DataFusion, a table to those who list tables.
#[derive(Debug)]
struct MaskedTable(ViewTable);

#[async_trait]
impl TableProvider for MaskedTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.0.get_logical_plan()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

fn mask_udf() -> ScalarUDF {
    create_udf(
        "mask_plate",
        vec![DataType::Utf8View],
        DataType::Utf8View,
        Volatility::Immutable,
        Arc::new(|args: &[ColumnarValue]| {
            let array = match args.first() {
                Some(ColumnarValue::Array(array)) => Arc::clone(array),
                Some(ColumnarValue::Scalar(scalar)) => scalar.to_array()?,
                None => return Err(DataFusionError::Internal("mask_plate takes one value".into())),
            };
            let texts = array
                .as_any()
                .downcast_ref::<StringViewArray>()
                .ok_or_else(|| DataFusionError::Internal(format!("mask_plate takes text, not {}", array.data_type())))?;
            let mut out = StringViewBuilder::with_capacity(texts.len());
            for text in texts {
                out.append_option(text.map(mask_plate));
            }
            Ok(ColumnarValue::Array(Arc::new(out.finish()) as ArrayRef))
        }),
    )
}

/// 苏G12345 → 苏G1***5: enough to tell vehicles of a page apart, not to look one up.
pub fn mask_plate(plate: &str) -> String {
    let characters: Vec<char> = plate.chars().collect();
    match characters.as_slice() {
        [] => String::new(),
        [a, b, c, _, _, .., z] => format!("{a}{b}{c}***{z}"),
        [a, ..] => format!("{a}***"),
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;

//! The PostgreSQL protocol: `psql`, Grafana and other tools ask here.
//!
//! Built on pgwire's interfaces and datafusion-postgres' session. Their ready-made server lets
//! everybody in, shares one catalogue and runs every statement; here a password (the account's
//! token) is asked for, the account's role chooses the catalogue, only questions are answered, each
//! within the time and the number that [`crate::AnalyticsConfig`] allows, and each sees all its
//! tables at one instant.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{create_udf, ColumnarValue, LogicalPlan, ScalarUDF, Volatility};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_postgres::hooks::cursor::CursorStatementHook;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::auth::{
    finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata, DefaultServerParameterProvider, LoginInfo,
    StartupHandler,
};
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldInfo, Response};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{
    ClientInfo, ClientPortalStore, ErrorHandler, PgWireConnectionState, PgWireServerHandlers, PidSecretKeyGenerator,
    RandomPidSecretKeyGenerator, Type,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::messages::startup::{Authentication, SecretKey};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::process_socket;
use datafusion_postgres::{DfSessionService, Parser, QueryHook};
use futures::{Sink, SinkExt, StreamExt};
use parking_lot::Mutex;
use portgate_core::people::Role;
use tokio::net::TcpListener;
use tokio::sync::{watch, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::{is_unreadable, AnalyticsError, Result};
use crate::lookups::{Asker, Lookups};
use crate::query::{not_a_sql_question, questions_only, sight, Queries, Sight, CATALOG};
use crate::telemetry::{self, RunningQuery};
use crate::Analytics;

/// Connections held at the same time.
const CONNECTIONS_MAX: usize = 64;
/// Pause after a failed accept (no file handles left, …).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Tells the role of the account `user` if `secret` is its token. May block (password hashing).
pub type Authenticate = dyn Fn(&str, &str) -> Option<Role> + Send + Sync;

impl Analytics {
    /// Serves the PostgreSQL protocol on `address` until `shutdown` turns true or its sender is
    /// dropped. Answers with the address it listens on (port 0: a free one).
    ///
    /// # Errors
    /// [`AnalyticsError::Io`] when it can't listen there; [`AnalyticsError::Query`] when the
    /// catalogue for clients can't be set up.
    pub async fn serve_postgres(
        &self,
        address: SocketAddr,
        authenticate: Arc<Authenticate>,
        shutdown: watch::Receiver<bool>,
    ) -> Result<(SocketAddr, JoinHandle<()>)> {
        self.queries.offer_catalog()?;
        let listener = TcpListener::bind(address).await.map_err(AnalyticsError::io(address.to_string()))?;
        let bound = listener.local_addr().map_err(AnalyticsError::io(address.to_string()))?;
        let listener = listener.into_std().map_err(AnalyticsError::io(address.to_string()))?;
        let queries = Arc::clone(&self.queries);
        let task = self.queries.runtime()?.spawn(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, queries, authenticate, shutdown).await,
                Err(e) => tracing::error!(error = %e, "the SQL port was lost"),
            }
        });
        Ok((bound, task))
    }
}

impl Queries {
    /// The system catalogue that PostgreSQL's clients look into, once.
    fn offer_catalog(&self) -> Result<()> {
        for sight in [Sight::Clear, Sight::Masked] {
            let base = self.base(sight);
            if base.catalog(CATALOG).is_some_and(|c| c.schema("pg_catalog").is_none()) {
                setup_pg_catalog(base, CATALOG, EmptyContextProvider).map_err(|e| AnalyticsError::Query(e.to_string()))?;
                base.register_udf(current_setting());
            }
        }
        Ok(())
    }
}

/// `current_setting(name)`: what clients ask of it to tell whom they are talking to.
fn current_setting() -> ScalarUDF {
    let value = |name: &str| match name.to_ascii_lowercase().as_str() {
        "server_version_num" => Some("160006"),
        "server_version" => Some("16.6"),
        "search_path" => Some("\"$user\", public"),
        "timezone" => Some("Asia/Shanghai"),
        "server_encoding" | "client_encoding" => Some("UTF8"),
        _ => None,
    };
    create_udf(
        "current_setting",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable, // as far as a session goes: settled when it is planned
        Arc::new(move |args: &[ColumnarValue]| {
            let names = ColumnarValue::values_to_arrays(args)?;
            let names = names.first().and_then(|a| a.as_any().downcast_ref::<StringArray>().cloned());
            let names = names.ok_or_else(|| DataFusionError::Execution("current_setting takes a name".into()))?;
            Ok(ColumnarValue::Array(Arc::new(names.iter().map(|n| n.and_then(value)).collect::<StringArray>())))
        }),
    )
}

async fn serve(listener: TcpListener, queries: Arc<Queries>, authenticate: Arc<Authenticate>, mut shutdown: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let cancels = Arc::new(Cancels::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(e) => {
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            telemetry::sign_in("too_many");
            continue; // dropping the socket closes it
        };
        let service = Arc::new(Service {
            queries: Arc::clone(&queries),
            authenticate: Arc::clone(&authenticate),
            cancels: Arc::clone(&cancels),
            cancelled: watch::Sender::new(()),
            asker: OnceLock::new(),
        });
        let mut stop = shutdown.clone();
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                ended = process_socket(socket, None, Connection(service)) => {
                    if let Err(e) = ended {
                        tracing::debug!(error = %e, "a SQL connection broke off");
                    }
                }
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// The handlers of one connection.
struct Connection(Arc<Service>);

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.0)
    }
    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.0)
    }
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.0)
    }
    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.0.cancels)
    }
    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(Errors)
    }
}

struct Errors;

impl ErrorHandler for Errors {
    fn on_error<C: ClientInfo>(&self, _client: &C, error: &mut PgWireError) {
        tracing::debug!(%error, "a SQL client is told of an error");
    }
}

/// One connection: who it is, and its questions.
struct Service {
    queries: Arc<Queries>,
    authenticate: Arc<Authenticate>,
    cancels: Arc<Cancels>,
    /// Told when somebody cancels what runs here.
    cancelled: watch::Sender<()>,
    asker: OnceLock<(Sight, Asker)>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let own = &self.cancelled;
        self.cancels.signed_in.lock().retain(|_, (_, c)| !c.same_channel(own));
    }
}

/// Who is signed in, by process number and key, so that another connection can cancel.
///
/// pgwire's own handler stops a question only until its first row; this one until the last.
#[derive(Default)]
struct Cancels {
    next: AtomicI32,
    signed_in: Mutex<BTreeMap<i32, (SecretKey, watch::Sender<()>)>>,
}

impl Cancels {
    fn sign_in(&self, client: &dyn ClientInfo, cancelled: &watch::Sender<()>) -> (i32, SecretKey) {
        let (_, key) = RandomPidSecretKeyGenerator::default().generate(client);
        let pid = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.signed_in.lock().insert(pid, (key.clone(), cancelled.clone()));
        (pid, key)
    }
}

fn key_bytes(key: &SecretKey) -> Vec<u8> {
    match key {
        SecretKey::I32(n) => n.to_be_bytes().to_vec(),
        SecretKey::Bytes(bytes) => bytes.to_vec(),
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some((key, cancelled)) = self.signed_in.lock().get(&request.pid) {
            if key_bytes(key) == key_bytes(&request.secret_key) {
                let _ = cancelled.send(()); // nothing runs there
            }
        }
    }
}

fn refused(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".into(), code.into(), message.into())))
}

impl From<AnalyticsError> for PgWireError {
    fn from(e: AnalyticsError) -> Self {
        let code = match &e {
            AnalyticsError::Sql(_) => "42601",
            AnalyticsError::ReadOnly(_) => "25006",
            AnalyticsError::Forbidden(_) => "42501",
            AnalyticsError::Timeout { .. } => "57014",
            AnalyticsError::Memory(_) => "53200",
            AnalyticsError::Unrecorded(_) => "58030",
            AnalyticsError::Busy { .. } => "53300",
            AnalyticsError::TooManyRows { .. } => "54000",
            _ => "XX000",
        };
        refused(code, e.to_string())
    }
}

#[async_trait]
impl StartupHandler for Service {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(ref startup) => {
                protocol_negotiation(client, startup).await?;
                save_startup_parameters_to_metadata(client, startup);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(password) => {
                let secret = password.into_password()?.password;
                let user = LoginInfo::from_client_info(client).user().unwrap_or_default().to_owned();
                let (check, name) = (Arc::clone(&self.authenticate), user.clone());
                let role = tokio::task::spawn_blocking(move || check(&name, &secret)).await.ok().flatten();
                let Some(role) = role else {
                    telemetry::sign_in("refused");
                    return Err(PgWireError::InvalidPassword(user));
                };
                let seen = sight(role).inspect_err(|_| telemetry::sign_in("forbidden"))?;
                let asker = Asker { account: user, role, via: "postgres" };
                if self.asker.set((seen, asker)).is_err() {
                    return Err(refused("08P01", "signed in already"));
                }
                telemetry::sign_in("ok");
                let (pid, key) = self.cancels.sign_in(client, &self.cancelled);
                client.set_pid_and_secret_key(pid, key);
                let mut parameters = DefaultServerParameterProvider::default();
                parameters.is_superuser = false;
                parameters.default_transaction_read_only = true;
                parameters.time_zone = "Asia/Shanghai".into();
                finish_authentication(client, &parameters).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Service {
    /// A session that sees all tables as of now, through the eyes of the one signed in.
    fn session(&self) -> PgWireResult<DfSessionService> {
        let (sight, asker) = self.asker.get().ok_or_else(|| refused("28000", "not signed in"))?.clone();
        let lookups = (sight == Sight::Clear).then(|| Arc::clone(self.queries.lookups()));
        let hooks: Vec<Arc<dyn QueryHook>> = vec![
            Arc::new(Questions { lookups, asker }),
            Arc::new(CursorStatementHook),
            Arc::new(SetShowHook),
            Arc::new(TransactionStatementHook),
        ];
        Ok(DfSessionService::new_with_hooks(Arc::new(self.queries.session(sight)), hooks))
    }

    /// Runs `work` and whatever rows it answers within the time a question has, until it is
    /// cancelled.
    async fn within_bounds<T>(
        &self,
        wished: Option<Duration>,
        work: impl Future<Output = PgWireResult<T>>,
        bound: impl FnOnce(T, Bounds) -> T,
    ) -> PgWireResult<T> {
        let permit = self.queries.admit()?;
        let mut running = RunningQuery::begin();
        let longest = self.queries.timeout();
        let ends = Ends {
            deadline: tokio::time::Instant::now() + wished.map_or(longest, |w| w.min(longest)),
            wished: wished.is_some_and(|w| w < longest),
            seconds: longest.as_secs(),
            cancelled: self.cancelled.subscribe(),
        };
        match ends.clone().before_end(work).await {
            Ok(Ok(done)) => {
                running.outcome = "ok";
                let queries = Arc::clone(&self.queries);
                Ok(bound(done, Bounds { ends, running, queries, _permit: permit }))
            }
            Ok(Err(e)) => {
                running.outcome = "failed";
                Err(e)
            }
            Err(end) => {
                running.outcome = end.0;
                Err(end.1)
            }
        }
    }
}

/// What ends a question before its last row.
#[derive(Clone)]
struct Ends {
    deadline: tokio::time::Instant,
    /// The client asked for an earlier end (`SET statement_timeout`).
    wished: bool,
    seconds: u64,
    cancelled: watch::Receiver<()>,
}

impl Ends {
    /// What `work` gives, or the outcome for the figures and the error for the client.
    async fn before_end<T>(mut self, work: impl Future<Output = T>) -> std::result::Result<T, (&'static str, PgWireError)> {
        tokio::select! {
            biased;
            Ok(()) = self.cancelled.changed() => Err(("cancelled", refused("57014", "canceling statement due to user request"))),
            () = tokio::time::sleep_until(self.deadline) => Err(("timeout", if self.wished {
                refused("57014", "canceling statement due to statement timeout")
            } else {
                AnalyticsError::Timeout { seconds: self.seconds }.into()
            })),
            done = work => Ok(done),
        }
    }
}

/// `SET statement_timeout`, as datafusion-postgres keeps it; 0 and absent: none.
fn wished_timeout(client: &impl ClientInfo) -> Option<Duration> {
    client.metadata().get("statement_timeout_ms").and_then(|ms| ms.parse().ok()).filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// Held until the last row of an answer is sent.
struct Bounds {
    ends: Ends,
    running: RunningQuery,
    queries: Arc<Queries>,
    _permit: OwnedSemaphorePermit,
}

impl Bounds {
    /// A file that did not read back is taken out of the way of the next question.
    fn note(&self, e: &PgWireError) {
        let PgWireError::ApiError(e) = e else { return };
        if e.downcast_ref::<DataFusionError>().is_some_and(is_unreadable) {
            let queries = Arc::clone(&self.queries);
            tokio::spawn(async move { queries.mend().await });
        }
    }
}

/// The answer, ended with an error when its time is over.
fn bounded(response: Response, bounds: Arc<Mutex<Bounds>>) -> Response {
    match response {
        Response::Query(mut answer) => {
            let rows = std::mem::replace(&mut answer.data_rows, Box::pin(futures::stream::empty()));
            let ends = bounds.lock().ends.clone();
            answer.data_rows = Box::pin(futures::stream::unfold(Some((rows, bounds, ends)), move |state| async move {
                let (mut rows, bounds, ends) = state?;
                match ends.clone().before_end(rows.next()).await {
                    Ok(Some(row)) => {
                        if let Err(e) = &row {
                            let mut bounds = bounds.lock();
                            bounds.running.outcome = "failed";
                            bounds.note(e);
                        }
                        Some((row, Some((rows, bounds, ends))))
                    }
                    Ok(None) => None,
                    Err((outcome, error)) => {
                        bounds.lock().running.outcome = outcome;
                        Some((Err(error), None))
                    }
                }
            }));
            Response::Query(answer)
        }
        other => other,
    }
}

#[async_trait]
impl SimpleQueryHandler for Service {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = self.session()?;
        let wished = wished_timeout(client);
        let work = SimpleQueryHandler::do_query(&session, client, query);
        self.within_bounds(wished, work, |responses, bounds| {
            let bounds = Arc::new(Mutex::new(bounds));
            responses.into_iter().map(|r| bounded(r, Arc::clone(&bounds))).collect()
        })
        .await
    }
}

#[async_trait]
impl ExtendedQueryHandler for Service {
    type Statement = (String, Option<(Statement, LogicalPlan)>);
    type QueryParser = SessionParser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::new(SessionParser(self.session().map(|s| ExtendedQueryHandler::query_parser(&s)).ok()))
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Self::Statement>, max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = self.session()?;
        let wished = wished_timeout(client);
        let work = ExtendedQueryHandler::do_query(&session, client, portal, max_rows);
        self.within_bounds(wished, work, |response, bounds| bounded(response, Arc::new(Mutex::new(bounds)))).await
    }
}

/// datafusion-postgres' parser over the session of the one signed in.
struct SessionParser(Option<Arc<Parser>>);

impl SessionParser {
    fn inner(&self) -> PgWireResult<&Arc<Parser>> {
        self.0.as_ref().ok_or_else(|| refused("28000", "not signed in"))
    }
}

#[async_trait]
impl QueryParser for SessionParser {
    type Statement = (String, Option<(Statement, LogicalPlan)>);

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.inner()?.parse_sql(client, sql, types).await
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        self.inner()?.get_parameter_types(statement)
    }

    fn get_result_schema(&self, statement: &Self::Statement, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        self.inner()?.get_result_schema(statement, format)
    }
}

/// The first hook: nothing but questions, and what clients say around them; look-ups by plate go
/// on record first.
struct Questions {
    /// Where look-ups are recorded; none for who sees masked plates.
    lookups: Option<Arc<Lookups>>,
    asker: Asker,
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

impl Questions {
    fn check(statement: &Statement) -> PgWireResult<()> {
        let around = matches!(
            statement,
            Statement::Set(_)
                | Statement::ShowStatus { .. }
                | Statement::ShowCatalogs { .. }
                | Statement::StartTransaction { .. }
                | Statement::Commit { .. }
                | Statement::Rollback { .. }
                | Statement::Declare { .. }
                | Statement::Fetch { .. }
                | Statement::Close { .. }
                | Statement::Deallocate { .. }
                | Statement::Discard { .. }
        );
        match not_a_sql_question(statement) {
            Some(word) if !around => Err(AnalyticsError::ReadOnly(word).into()),
            _ => Ok(()),
        }
    }

    /// The question itself, or those cursors are declared for.
    async fn note(&self, statement: &Statement, session: &SessionContext) -> PgWireResult<()> {
        let Some(lookups) = &self.lookups else { return Ok(()) };
        let asked: Vec<Statement> = match statement {
            Statement::Declare { stmts } => stmts.iter().filter_map(|d| d.for_query.clone()).map(Statement::Query).collect(),
            other => vec![other.clone()],
        };
        for question in asked {
            let text = question.to_string();
            // What has no plan is told to the client a moment later.
            if let Ok(plan) = session.state().statement_to_plan(DfStatement::Statement(Box::new(question))).await {
                lookups.note(&self.asker, &text, &plan)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl QueryHook for Questions {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        session: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        match Self::check(statement) {
            Ok(()) => self.note(statement, session).await.err().map(Err),
            Err(e) => Some(Err(e)),
        }
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _session: &SessionContext,
        _client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        Self::check(statement).err().map(Err)
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
        params: &ParamValues,
        session: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        let checked = Self::check(statement)
            .and_then(|()| questions_only().verify_plan(plan).map_err(|e| AnalyticsError::ReadOnly(e.to_string()).into()));
        if let Err(e) = checked {
            return Some(Err(e));
        }
        if matches!(statement, Statement::Declare { .. }) {
            return self.note(statement, session).await.err().map(Err);
        }
        // With its parameters in place; a plan that does not take them is told a moment later.
        let plan = plan.clone().replace_params_with_values(params).unwrap_or_else(|_| plan.clone());
        let lookups = self.lookups.as_ref()?;
        lookups.note(&self.asker, &statement.to_string(), &plan).err().map(|e| Err(e.into()))
    }
}

#[cfg(test)]
#[path = "pg_tests.rs"]
mod tests;

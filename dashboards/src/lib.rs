//! The control room's server: HTTP, live events, accounts, the embedded web application.
//!
//! It needs nothing but the log: it follows `portgate.journal`, `portgate.registry`,
//! `portgate.frames`, `portgate.answers` and its own `portgate.room`, and keeps a live board in memory. What people say is
//! appended to `portgate.reads` (words) or `portgate.registry` (records) under a request id; the
//! site's owner commits it and answers under the same id.
//!
//! The wiring opens the [`accounts::Accounts`], builds a [`Serve`] from its [`Parts`] and runs it.

pub mod accounts;
pub mod answers;
pub mod api;
pub mod auth;
pub mod board;
pub mod error;
pub mod evidence;
mod follow;
mod hub;
pub mod import;
mod limits;
mod lockout;
mod post;
pub mod registry;
pub mod room;
pub mod sessions;
pub mod state;
pub mod telemetry;
pub mod tls;
pub mod views;
pub mod violations;
mod web;
pub mod webhook;
pub mod wildcard;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use dashmap::DashSet;
use portgate_core::decision::Answer;
use portgate_core::journal::{JournalEntry, Violation};
use portgate_log::{topics, Log, Record};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::answers::Answers;
use crate::board::Board;
pub use crate::error::ServeError;
use crate::evidence::{EvidenceStore, Frame, FrameCache};
use crate::follow::{follow, Following, Start};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::registry::{split_key, RegistryReader, TopicRegistry};
use crate::room::{Room, RoomEntry};
pub use crate::state::{AppState, ReadyCheck, SqlRunner, SqlTable};
pub use crate::tls::TlsFiles;
use crate::tls::{Peer, TlsListener};
use crate::violations::Violations;
pub use crate::webhook::WebhookConfig;
use crate::webhook::Webhooks;

/// Journal lines read back at the start, per partition: what the board and the ring begin with.
const JOURNAL_TAIL: u64 = 30_000;
/// Pictures read back at the start, per partition.
const FRAMES_TAIL: u64 = 32;
/// A lane's new picture is announced at most this often.
const PICTURES_EVERY: Duration = Duration::from_millis(400);
/// The metrics of the lanes are renewed this often.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
/// After the stop, open calls may take this long.
const LINGER: Duration = Duration::from_secs(5);

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Where it listens; port 0: any free one.
    pub listen: SocketAddr,
    /// The demonstration: loopback only.
    pub demo: bool,
    /// How long a word or a registry write waits for the engine's answer.
    pub answer_wait: Duration,
    /// Serve over TLS with this certificate; none: in clear.
    pub tls: Option<TlsFiles>,
    /// Who is told of alerts.
    pub webhooks: Vec<WebhookConfig>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            demo: false,
            answer_wait: Duration::from_secs(10),
            tls: None,
            webhooks: Vec::new(),
        }
    }
}

/// What the wiring gives.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Who may call; shared with the SQL server.
    pub accounts: Arc<Accounts>,
    /// Where registry records are read; `None`: the topic materialised in memory.
    pub registry: Option<Arc<dyn RegistryReader>>,
    /// Where evidence is kept; [`evidence::NoEvidence`] away from the engine.
    pub evidence: Arc<dyn EvidenceStore>,
    /// Queries, where analytics runs.
    pub sql: Option<Arc<dyn SqlRunner>>,
    /// Renders the metrics in Prometheus' text format.
    pub metrics_render: Arc<dyn Fn() -> String + Send + Sync>,
    /// Further conditions of readiness by name.
    pub ready_checks: BTreeMap<String, ReadyCheck>,
    /// The ingest's routes (`POST /v1/lanes/{lane}/frames` and `/reads`); they find an
    /// `Extension<Principal>` in every request.
    pub edge: Router,
}

/// The server, bound to its address, not running yet.
pub struct Serve {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    state: Arc<AppState>,
    feeds: Feeds,
    tls: Option<Arc<ServerConfig>>,
}

struct Feeds {
    log: Arc<dyn Log>,
    board: Arc<Board>,
    hub: Arc<Hub>,
    frames: Arc<FrameCache>,
    answers: Arc<Answers>,
    room: Arc<Room>,
    senders: Vec<webhook::Sender>,
    topic_registry: Option<Arc<TopicRegistry>>,
    journal: Arc<Following>,
    registry: Arc<Following>,
    pictures: Arc<Following>,
    replies: Arc<Following>,
    entries: Arc<Following>,
    violations: Arc<Violations>,
    suspicions: Arc<Following>,
}

impl Serve {
    /// Binds the address; nothing is served before [`Serve::run`].
    ///
    /// # Errors
    /// The port is in use, the address can't be listened on, or a demonstration would be
    /// reachable from outside.
    pub async fn new(config: ServeConfig, parts: Parts) -> Result<Self, ServeError> {
        if config.demo && !config.listen.ip().is_loopback() {
            return Err(ServeError::DemoNotLoopback(config.listen));
        }
        let listener = TcpListener::bind(config.listen).await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => ServeError::PortInUse(config.listen),
            _ => ServeError::Listen { addr: config.listen, source },
        })?;
        let addr = listener.local_addr().map_err(|source| ServeError::Listen { addr: config.listen, source })?;
        let tls = config.tls.as_ref().map(TlsFiles::read).transpose()?;
        let (state, feeds) = assemble(&config, &parts);
        let router = api::router(state.clone(), parts.edge);
        Ok(Self { listener, addr, router, state, feeds, tls })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is done; then lets open calls finish, for a few seconds.
    ///
    /// # Errors
    /// The connection loop broke down.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let stop = self.state.stop.clone();
        let mut feeds = self.feeds.start(&stop);
        let make = self.router.into_make_service_with_connect_info::<Peer>();
        let stopped = stop.clone().cancelled_owned();
        let server = match self.tls {
            None => {
                let server = axum::serve(self.listener, make).with_graceful_shutdown(stopped);
                tokio::spawn(async move { server.await })
            }
            Some(tls) => {
                let listener = TlsListener::new(self.listener, self.addr, tls);
                let server = axum::serve(listener, make).with_graceful_shutdown(stopped);
                tokio::spawn(async move { server.await })
            }
        };
        let lingered = {
            let stop = stop.clone();
            async move {
                shutdown.await;
                stop.cancel();
                tokio::time::sleep(LINGER).await;
            }
        };
        let abort = server.abort_handle();
        let result = tokio::select! {
            ended = server => ended.unwrap_or_else(|e| Err(std::io::Error::other(e))),
            () = lingered => {
                abort.abort();
                Ok(())
            }
        };
        stop.cancel();
        while feeds.join_next().await.is_some() {}
        result.map_err(ServeError::Http)
    }
}

fn assemble(config: &ServeConfig, parts: &Parts) -> (Arc<AppState>, Feeds) {
    let hub = Arc::new(Hub::default());
    let answers = Arc::new(Answers::default());
    let room = Arc::new(Room::default());
    let violations = Arc::new(Violations::default());
    let (webhooks, senders) = Webhooks::new(&config.webhooks);
    let board = Arc::new(Board::new(hub.clone(), answers.clone(), room.clone(), webhooks));
    let frames = Arc::new(FrameCache::default());
    let topic_registry = parts.registry.is_none().then(|| Arc::new(TopicRegistry::default()));
    let registry: Arc<dyn RegistryReader> = match (&parts.registry, &topic_registry) {
        (Some(given), _) => given.clone(),
        (None, Some(own)) => own.clone(),
        (None, None) => Arc::new(TopicRegistry::default()),
    };
    let feeds = Feeds {
        log: parts.log.clone(),
        board: board.clone(),
        hub: hub.clone(),
        frames: frames.clone(),
        answers: answers.clone(),
        room: room.clone(),
        senders,
        topic_registry,
        journal: Following::new(topics::JOURNAL),
        registry: Following::new(topics::REGISTRY),
        pictures: Following::new(topics::FRAMES),
        replies: Following::new(answers::TOPIC),
        entries: Following::new(room::TOPIC),
        violations: violations.clone(),
        suspicions: Following::new(topics::VIOLATIONS),
    };
    let own = [&feeds.journal, &feeds.registry, &feeds.pictures, &feeds.replies, &feeds.entries, &feeds.suspicions];
    let following = own.into_iter().cloned().collect();
    let state = AppState {
        log: parts.log.clone(),
        accounts: parts.accounts.clone(),
        sessions: sessions::Sessions::default(),
        board,
        frames,
        hub,
        answers,
        registry,
        room,
        violations,
        limits: Limits::default(),
        evidence: parts.evidence.clone(),
        sql: parts.sql.clone(),
        metrics_render: parts.metrics_render.clone(),
        ready_checks: parts.ready_checks.clone(),
        following,
        answer_wait: config.answer_wait,
        sign_ins: Semaphore::new(2),
        listeners: Arc::new(Semaphore::new(512)),
        stop: CancellationToken::new(),
        demo: config.demo,
        tls: config.tls.is_some(),
    };
    (Arc::new(state), feeds)
}

impl Feeds {
    fn start(mut self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let nothing: Arc<dyn Fn() + Send + Sync> = Arc::new(|| ());
        let follow_on = |following: &Arc<Following>, start, apply, caught_up| {
            follow(self.log.clone(), following.clone(), start, apply, caught_up, stop.clone())
        };

        let board = self.board.clone();
        let journal: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            board.apply(records.iter().filter_map(read_json::<JournalEntry>).collect());
        });
        let (hub, board) = (self.hub.clone(), self.board.clone());
        let live: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            hub.go_live();
            for lane in board.lanes() {
                if let Some(lane) = lane.get("lane").and_then(Value::as_str) {
                    board.announce(lane);
                }
            }
        });
        // The room is known before the journal is read: a watch-list entry of yesterday speaks of what
        // came since.
        let known = CancellationToken::new();
        let (room, answers, hub) = (self.room.clone(), self.answers.clone(), self.hub.clone());
        let entries: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            for record in &records {
                let Some((entry, bytes)) = read_json::<RoomEntry>(record).zip(record.value.as_ref()) else { continue };
                let id = entry.id.clone();
                let applied = room.apply(entry, bytes);
                if let Some(ask) = applied.ask {
                    let view = serde_json::json!(ask);
                    hub.state("ask", view.to_string(), Some(views::mask(&view).to_string()));
                }
                let message = applied.message.map(str::to_owned);
                answers.arrived(&Answer { request_id: id.clone(), outcome: applied.outcome, subject: id, version: 1, message });
            }
        });
        let begin: Arc<dyn Fn() + Send + Sync> = {
            let known = known.clone();
            Arc::new(move || known.cancel())
        };
        tasks.spawn(follow_on(&self.entries, Start::Earliest, entries, begin));
        let following = follow_on(&self.journal, Start::Tail(JOURNAL_TAIL), journal, live);
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = known.cancelled() => following.await,
                () = stopped.cancelled() => (),
            }
        });
        for sender in std::mem::take(&mut self.senders) {
            tasks.spawn(sender.run(stop.clone()));
        }

        let (board, own) = (self.board.clone(), self.topic_registry.clone());
        let registry: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            for record in &records {
                let Some((kind, id)) = record.key_str().and_then(split_key) else { continue };
                let value = record.value.as_ref().and_then(|_| read_json::<Value>(record));
                if record.value.is_some() && value.is_none() {
                    continue;
                }
                board.registry(kind, id, value.as_ref());
                if let Some(own) = &own {
                    own.apply(kind, id, value);
                }
            }
        });
        tasks.spawn(follow_on(&self.registry, Start::Earliest, registry, nothing.clone()));

        let answers = self.answers.clone();
        let replies: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            for answer in records.iter().filter_map(read_json::<Answer>) {
                answers.arrived(&answer);
            }
        });
        tasks.spawn(follow_on(&self.replies, Start::Tail(0), replies, nothing.clone()));

        let book = self.violations.clone();
        let suspicions: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            records.iter().filter_map(read_json::<Violation>).for_each(|violation| book.apply(violation));
        });
        tasks.spawn(follow_on(&self.suspicions, Start::Earliest, suspicions, nothing.clone()));

        let changed = Arc::new(DashSet::new());
        let (frames, board, to_announce) = (self.frames.clone(), self.board.clone(), changed.clone());
        let pictures: Arc<dyn Fn(Vec<Record>) + Send + Sync> = Arc::new(move |records| {
            for record in records {
                if let Some((lane, frame)) = picture(record) {
                    if board.picture(&lane, &frame) {
                        to_announce.insert(lane.clone());
                    }
                    frames.insert(&lane, frame);
                }
            }
        });
        tasks.spawn(follow_on(&self.pictures, Start::Tail(FRAMES_TAIL), pictures, nothing));

        let (board, stopped) = (self.board.clone(), stop.clone());
        tasks.spawn(async move {
            let measure = async {
                let mut tick = tokio::time::interval(MEASURED_EVERY);
                loop {
                    tick.tick().await;
                    board.measure(state::now());
                }
            };
            stopped.run_until_cancelled(measure).await;
        });

        let (board, stop) = (self.board.clone(), stop.clone());
        tasks.spawn(async move {
            let announce = async {
                let mut tick = tokio::time::interval(PICTURES_EVERY);
                loop {
                    tick.tick().await;
                    let lanes: Vec<String> = changed.iter().map(|l| l.clone()).collect();
                    for lane in lanes {
                        changed.remove(&lane);
                        board.announce(&lane);
                    }
                }
            };
            stop.run_until_cancelled(announce).await;
        });
        tasks
    }
}

fn picture(record: Record) -> Option<(String, Frame)> {
    let lane = record.header_str(topics::HEADER_LANE).or_else(|| record.key_str())?.to_owned();
    let id = record.header_str(topics::HEADER_FRAME_ID)?.to_owned();
    let captured_at = record.header_str(topics::HEADER_CAPTURED_AT).map(str::to_owned);
    let bytes: Bytes = record.value?;
    evidence::picture_type(&bytes)?;
    Some((lane, Frame { id, captured_at, bytes }))
}

/// A message's JSON; one that does not fit is counted and passed by.
fn read_json<T: serde::de::DeserializeOwned>(record: &Record) -> Option<T> {
    match record.json() {
        Ok(value) => Some(value),
        Err(why) => {
            metrics::counter!(telemetry::UNREADABLE_TOTAL, "topic" => record.topic.clone()).increment(1);
            tracing::warn!(topic = %record.topic, offset = record.offset, %why, "a message does not fit and is passed by");
            None
        }
    }
}

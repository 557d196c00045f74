//! A control room on a real embedded log with a made-up site behind it, and a client.

pub mod site;
pub mod traffic;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use portgate_core::people::Principal;
use portgate_dashboards::accounts::Accounts;
use portgate_dashboards::evidence::EvidenceStore;
use portgate_dashboards::{Parts, Serve, ServeConfig, SqlRunner, SqlTable};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::Log;
use serde_json::Value;
use site::{create_topics, FakeSite};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A picture of one black pixel.
pub const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155, 85, 0, 0, 0, 10, 73,
    68, 65, 84, 120, 156, 99, 96, 0, 0, 0, 2, 0, 1, 72, 175, 164, 113, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

/// The smallest thing that passes for a JPEG.
pub const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3];

struct KeptEvidence;

impl EvidenceStore for KeptEvidence {
    fn get(&self, frame_id: &str) -> Option<Bytes> {
        (frame_id == "KEPT").then(|| Bytes::from_static(JPEG))
    }
}

pub struct Room {
    pub addr: SocketAddr,
    pub site: Arc<FakeSite>,
    pub dir: tempfile::TempDir,
    pub log: Arc<dyn Log>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    engine: Option<JoinHandle<()>>,
}

/// Stands in for analytics: every answer tells the query it was asked; a day of hand-over has five cards.
struct Echo;

#[async_trait::async_trait]
impl SqlRunner for Echo {
    async fn query(&self, _who: &Principal, sql: &str, _rows_max: usize) -> Result<SqlTable, String> {
        let columns = vec!["sql".to_owned(), "recovered".to_owned()];
        Ok(SqlTable { columns, rows: vec![vec![Value::from(sql), Value::from(5)]], truncated: false })
    }
}

/// What stands in for the ingest's routes: it says who it thinks is calling.
fn edge() -> Router {
    let answer = |Extension(who): Extension<Principal>| async move { who.name };
    Router::new().route("/v1/lanes/{lane}/frames", post(answer)).route("/v1/lanes/{lane}/reads", post(answer))
}

impl Room {
    pub async fn open(with_engine: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap());
        create_topics(&*log).await;
        let site = FakeSite::new(log.clone());
        let mut room = Self { addr: ([127, 0, 0, 1], 0).into(), site: site.clone(), dir, log, stop: None, served: None, engine: None };
        room.start().await;
        if with_engine {
            room.engine = Some(tokio::spawn(site.engine()));
            // The engine takes words from where the log ends when it begins.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        room
    }

    pub fn config() -> ServeConfig {
        ServeConfig { listen: ([127, 0, 0, 1], 0).into(), demo: true, answer_wait: Duration::from_secs(2), ..ServeConfig::default() }
    }

    /// Starts the server (again) on the same log.
    pub async fn start(&mut self) {
        self.start_with(Self::config()).await;
        self.until("/readyz", None, |status, _| status == 200).await;
    }

    pub async fn start_with(&mut self, config: ServeConfig) {
        let (accounts, _) = Accounts::open(self.dir.path(), true).unwrap();
        let parts = Parts {
            log: self.log.clone(),
            accounts: Arc::new(accounts),
            registry: None,
            evidence: Arc::new(KeptEvidence),
            sql: Some(Arc::new(Echo)),
            metrics_render: Arc::new(|| "portgate_test 1\n".to_owned()),
            ready_checks: BTreeMap::new(),
            edge: edge(),
        };
        let serve = Serve::new(config, parts).await.unwrap();
        self.addr = serve.addr();
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        self.served = Some(tokio::spawn(async move {
            serve.run(async { drop(stopped.await) }).await.unwrap();
        }));
    }

    pub async fn halt(&mut self) {
        drop(self.stop.take());
        self.served.take().unwrap().await.unwrap();
    }

    pub fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("demo-credentials")).unwrap();
        text.lines().find_map(|l| l.strip_prefix(&format!("{name} ")).map(str::to_owned)).unwrap()
    }

    /// One call; `who` is an account of the demonstration.
    pub async fn call(&self, method: &str, path: &str, who: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let mut headers = Vec::new();
        if let Some(who) = who {
            headers.push(("authorization", format!("Bearer {}", self.secret(who))));
        }
        let (status, _, text) = self.raw(method, path, headers, body).await;
        (status, serde_json::from_slice(&text).unwrap_or(Value::String(String::from_utf8_lossy(&text).into_owned())))
    }

    /// One call with headers: status, headers, body.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: Option<Value>,
    ) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let mut headers = headers;
        headers.push(("content-type", "application/json".to_owned()));
        self.text(method, path, headers, &body.map(|b| b.to_string()).unwrap_or_default()).await
    }

    /// One call with a body of any kind.
    pub async fn text(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: &str,
    ) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let body = body.to_owned();
        let (method, url) = (method.to_owned(), format!("http://{}{path}", self.addr));
        let call = move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
            let agent: ureq::Agent = config.build().into();
            let mut request = ureq::http::Request::builder().method(method.as_str()).uri(url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let mut response = agent.run(request.body(body).unwrap()).unwrap();
            let headers = response.headers().iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or("").to_owned())).collect();
            (response.status().as_u16(), headers, response.body_mut().read_to_vec().unwrap())
        };
        tokio::task::spawn_blocking(call).await.unwrap()
    }

    /// Repeats a GET until it is as wished, for at most ten seconds.
    pub async fn until(&self, path: &str, who: Option<&str>, wished: impl Fn(u16, &Value) -> bool) -> Value {
        let mut last = (0, Value::Null);
        for _ in 0..200 {
            last = self.call("GET", path, who, None).await;
            if wished(last.0, &last.1) {
                return last.1;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never became as wished; last: {last:?}");
    }

    /// Listens to live events.
    pub fn listen(&self, who: &str, last_id: Option<&str>) -> Events {
        let (send, events) = std::sync::mpsc::channel();
        let (addr, token, last_id) = (self.addr, self.secret(who), last_id.map(str::to_owned));
        std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
            let head = format!("GET /v1/events HTTP/1.0\r\nHost: gate\r\nAuthorization: Bearer {token}\r\n{last}\r\n");
            std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
            let mut event = Event::default();
            for line in BufReader::new(stream.take(u64::MAX)).lines().map_while(Result::ok) {
                if let Some(kind) = line.strip_prefix("event: ") {
                    event.kind = kind.into();
                } else if let Some(id) = line.strip_prefix("id: ") {
                    event.id = Some(id.into());
                } else if let Some(data) = line.strip_prefix("data: ") {
                    event.data = data.into();
                } else if line.is_empty() && !event.kind.is_empty() && send.send(std::mem::take(&mut event)).is_err() {
                    return;
                }
            }
        });
        Events { events }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(engine) = &self.engine {
            engine.abort();
        }
        if let Some(served) = &self.served {
            served.abort();
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Event {
    pub kind: String,
    pub id: Option<String>,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

pub struct Events {
    events: Receiver<Event>,
}

impl Events {
    /// Events up to and including the first that is as wished.
    pub fn until(&self, wished: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut heard = Vec::new();
        loop {
            match self.events.recv_timeout(Duration::from_secs(10)) {
                Ok(event) => {
                    let done = wished(&event);
                    heard.push(event);
                    if done {
                        return heard;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("never heard it; heard: {heard:#?}"),
            }
        }
    }
}

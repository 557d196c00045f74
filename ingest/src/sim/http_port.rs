//! A gate reached over HTTP, as real cameras, readers, offices and guards would.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portgate_core::command::BarrierState;
use portgate_core::read::{Action, ReadMessage};
use portgate_core::registry::Kind;
use serde::Deserialize;
use serde_json::{json, Value};
use tokio::sync::{mpsc, Mutex};
use ureq::Agent;

use super::port::{Decided, GatePort, GuardWord, PortError, Signal};
use crate::clock;

/// Signals waiting for the simulator.
const SIGNALS_MAX: usize = 1024;
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const RECONNECT_WAIT: Duration = Duration::from_secs(2);
/// Longest line of the events that is read.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Whose bearer tokens the simulator uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// For frames and reads.
    pub device: String,
    /// For the papers of each visit.
    pub registrar: Option<String>,
    /// For the site, its checkpoints and lanes; without it they must be there already.
    pub administrator: Option<String>,
    /// For peak pass mode.
    pub supervisor: Option<String>,
    /// For the guard's words and for listening; without it the device's is used to listen.
    pub guard: Option<String>,
}

/// A gate over HTTP.
pub struct HttpPort {
    agent: Agent,
    url: String,
    tokens: Tokens,
    signals: Mutex<mpsc::Receiver<Signal>>,
    stop: Arc<AtomicBool>,
}

impl Drop for HttpPort {
    fn drop(&mut self) {
        // The listening thread sees it at the next line; the gate sends one every ten seconds.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl HttpPort {
    /// A gate at `url` (like `http://127.0.0.1:8080`); starts to listen to its events.
    #[must_use]
    pub fn new(url: &str, tokens: Tokens) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let (sender, receiver) = mpsc::channel(SIGNALS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            url: format!("{url}/v1/events"),
            token: tokens.guard.clone().unwrap_or_else(|| tokens.device.clone()),
            sender,
            stop: stop.clone(),
        };
        std::thread::spawn(move || listener.run());
        let agent = Agent::config_builder().timeout_global(Some(CALL_TIMEOUT)).http_status_as_error(false).build().into();
        Self { agent, url, tokens, signals: Mutex::new(receiver), stop }
    }

    /// One call, off the async threads.
    async fn call(&self, method: &'static str, path: String, token: String, body: Body) -> Result<(), PortError> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.url));
        let answer = tokio::task::spawn_blocking(move || {
            let bearer = format!("Bearer {token}");
            let sent = match (method, body) {
                ("DELETE", _) => agent.delete(&url).header("Authorization", &bearer).call(),
                ("PUT", Body::Json(value)) => agent.put(&url).header("Authorization", &bearer).send_json(value),
                (_, Body::Json(value)) => agent.post(&url).header("Authorization", &bearer).send_json(value),
                (_, Body::Bytes(bytes)) => agent.post(&url).header("Authorization", &bearer).send(&bytes[..]),
            };
            let mut response = sent.map_err(|e| PortError::Unavailable(e.to_string()))?;
            let status = response.status().as_u16();
            let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
            let retry_after_s = header.and_then(|v| v.parse::<u64>().ok()).unwrap_or(1);
            let text = response.body_mut().read_to_string().unwrap_or_default();
            let said = || text.chars().take(300).collect::<String>();
            match status {
                200..=299 => Ok(()),
                429 => Err(PortError::Busy { retry_after_ms: retry_after_s.saturating_mul(1000) }),
                500.. => Err(PortError::Unavailable(format!("{status} {}", said()))),
                _ => Err(PortError::Refused(format!("{status} {}", said()))),
            }
        });
        answer.await.unwrap_or_else(|e| Err(PortError::Unavailable(e.to_string())))
    }
}

enum Body {
    Json(Value),
    Bytes(Bytes),
}

#[async_trait]
impl GatePort for HttpPort {
    async fn post_frame(&self, lane: &str, jpeg: Bytes) -> Result<(), PortError> {
        let token = self.tokens.device.clone();
        self.call("POST", format!("/v1/lanes/{lane}/frames"), token, Body::Bytes(jpeg)).await
    }

    async fn post_read(&self, mut read: ReadMessage) -> Result<(), PortError> {
        read.observed_at.get_or_insert_with(clock::now);
        let path = format!("/v1/lanes/{}/reads", read.lane);
        let body = serde_json::to_value(&read).map_err(|e| PortError::Refused(e.to_string()))?;
        self.call("POST", path, self.tokens.device.clone(), Body::Json(body)).await
    }

    async fn put_record(&self, kind: Kind, id: &str, value: Option<&Value>) -> Result<(), PortError> {
        let token = match kind {
            // A device's or registrar's account cannot make lanes; they are there on any real gate.
            Kind::Site | Kind::Checkpoint | Kind::Lane if self.tokens.administrator.is_none() => return Ok(()),
            Kind::Site | Kind::Checkpoint | Kind::Lane | Kind::Policy => self.tokens.administrator.clone(),
            Kind::PeakMode => self.tokens.supervisor.clone(),
            _ => self.tokens.registrar.clone(),
        };
        let Some(token) = token else {
            return Err(PortError::Refused(format!("there is no token of an account that may write a {kind}")));
        };
        let path = format!("/v1/registry/{kind}/{}", encode(id));
        match value {
            Some(value) => self.call("PUT", path, token, Body::Json(value.clone())).await,
            None => self.call("DELETE", path, token, Body::Json(Value::Null)).await,
        }
    }

    async fn say(&self, word: GuardWord) -> Result<(), PortError> {
        let Some(token) = self.tokens.guard.clone() else {
            return Err(PortError::Refused("there is no guard's token to speak with".to_owned()));
        };
        let verb = match word.action {
            Action::Release => "release",
            Action::Refuse => "refuse",
            Action::Correct => "correct",
        };
        let mut body = json!({"reason": word.reason, "version": word.version});
        if let (Some(plate), Some(fields)) = (word.plate, body.as_object_mut()) {
            fields.insert("plate".to_owned(), plate.into());
        }
        self.call("POST", format!("/v1/decisions/{}/{verb}", encode(&word.decision_id)), token, Body::Json(body)).await
    }

    async fn next_signal(&self) -> Option<Signal> {
        self.signals.lock().await.recv().await
    }
}

/// One segment of an address.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Reads the gate's server-sent events on a thread of its own.
struct Listener {
    url: String,
    token: String,
    sender: mpsc::Sender<Signal>,
    stop: Arc<AtomicBool>,
}

/// What the simulator needs of a lane's state.
#[derive(Deserialize)]
struct LaneState {
    lane: String,
    barrier: Option<BarrierState>,
}

impl Listener {
    fn done(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.sender.is_closed()
    }

    fn run(self) {
        while !self.done() {
            if let Err(error) = self.listen() {
                tracing::debug!(%error, "the gate's events broke off");
            }
            if !self.done() {
                std::thread::sleep(RECONNECT_WAIT);
            }
        }
    }

    fn listen(&self) -> Result<(), String> {
        let agent: Agent = Agent::config_builder().timeout_connect(Some(CALL_TIMEOUT)).build().into();
        let response = agent
            .get(&self.url)
            .header("Authorization", &format!("Bearer {}", self.token))
            .header("Accept", "text/event-stream")
            .call()
            .map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(response.into_body().into_reader());
        let (mut event, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let mut bounded = std::io::Read::take(&mut lines, LINE_BYTES_MAX);
            if bounded.read_line(&mut line).map_err(|e| e.to_string())? == 0 || self.done() {
                return Ok(());
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().to_owned();
            } else if let Some(part) = line.strip_prefix("data:") {
                data.push_str(part.strip_prefix(' ').unwrap_or(part));
            } else if line.is_empty() {
                if let Some(signal) = signal_of(&event, &data) {
                    if self.sender.blocking_send(signal).is_err() {
                        return Ok(());
                    }
                }
                event.clear();
                data.clear();
            }
        }
    }
}

/// What an event says to those at the lanes, if anything.
fn signal_of(event: &str, data: &str) -> Option<Signal> {
    match event {
        "decision" => Some(Signal::Decided(serde_json::from_str::<Decided>(data).ok()?)),
        "lane" => {
            let state: LaneState = serde_json::from_str(data).ok()?;
            Some(Signal::Barrier { lane: state.lane, state: state.barrier? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_signals() {
        let lane = r#"{"lane":"JCZ-1.L1","name":null,"barrier":"open","queue":2}"#;
        let open = Signal::Barrier { lane: "JCZ-1.L1".to_owned(), state: BarrierState::Open };
        assert_eq!(signal_of("lane", lane), Some(open));
        let decision = r#"{"id":"D1","version":1,"lane":"L","verdict":"HOLD","in_order":true,"state":"held",
            "reasons":[{"code":"MANUAL_RELEASE_REQUIRED","severity":"info","zh":"","en":""}],
            "arrived_at":"2026-03-10T12:00:00+08:00","action":null}"#;
        let Some(Signal::Decided(decided)) = signal_of("decision", decision) else { panic!("no decision") };
        assert!(decided.in_order && decided.says("MANUAL_RELEASE_REQUIRED"));
        assert_eq!(signal_of("passage", "{}"), None);
        assert_eq!(signal_of("decision", "not json"), None);
    }

    #[test]
    fn addresses_are_safe() {
        assert_eq!(encode("苏G/1"), "%E8%8B%8FG%2F1");
    }
}

//! Alerts to other systems: each is posted as JSON, signed, and posted again while the receiver
//! does not answer. Every receiver has a bounded queue of its own, so that one that is down holds
//! up nobody; what does not fit is counted and said.
//!
//! `X-Portgate-Signature: sha256=HEX` is HMAC-SHA256 over `TIMESTAMP.BODY` with the shared secret,
//! `X-Portgate-Timestamp` the seconds since 1970, `X-Portgate-Alert` the id by which a receiver
//! drops repeats. Over `https://` nothing is sent to a receiver whose certificate does not hold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::error::ServeError;
use crate::post::{post, trusting, Target};
use crate::state::now;
use crate::telemetry;

/// Alerts that wait for one receiver.
const QUEUE_MAX: usize = 256;
/// Waits between the attempts.
const WAITS: [Duration; 5] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15), Duration::from_secs(60), Duration::from_secs(240)];
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One receiver.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    target: Target,
    /// What its certificate may rest on, where it is spoken to over TLS.
    tls: Option<Arc<ClientConfig>>,
    secret: String,
    codes: Vec<String>,
}

impl WebhookConfig {
    /// Posts to `url`, signed with `secret`, of these codes only (none: all). Over `https://` its
    /// certificate rests on the PEM file of `authorities`, or on the machine's own.
    ///
    /// # Errors
    /// [`ServeError::Webhook`] or [`ServeError::Authorities`]: the address or the file is not usable.
    pub fn new(url: &str, secret: &str, codes: Vec<String>, authorities: Option<&Path>) -> Result<Self, ServeError> {
        let wrong = |why: &str| ServeError::Webhook { url: url.to_owned(), why: why.to_owned() };
        let target = Target::parse(url).ok_or_else(|| wrong("it is http://HOST[:PORT]/PATH or https://…, without name and password"))?;
        if authorities.is_some() && !target.tls {
            return Err(wrong("`authorities` goes with https:// only"));
        }
        let tls = target.tls.then(|| trusting(authorities)).transpose()?;
        Ok(Self { target, tls, secret: secret.to_owned(), codes })
    }
}

/// One alert under way.
#[derive(Clone)]
struct Post {
    id: String,
    body: Arc<String>,
}

struct Receiver {
    codes: Vec<String>,
    queue: mpsc::Sender<Post>,
}

/// Every receiver.
#[derive(Default)]
pub struct Webhooks {
    receivers: Vec<Receiver>,
}

/// What is to be run for the receivers.
pub struct Sender {
    config: WebhookConfig,
    queue: mpsc::Receiver<Post>,
    waits: &'static [Duration],
}

impl Webhooks {
    /// The receivers, and what delivers to them.
    pub fn new(configs: &[WebhookConfig]) -> (Self, Vec<Sender>) {
        let (mut receivers, mut senders) = (Vec::new(), Vec::new());
        for config in configs {
            let (sender, queue) = mpsc::channel(QUEUE_MAX);
            receivers.push(Receiver { codes: config.codes.clone(), queue: sender });
            senders.push(Sender { config: config.clone(), queue, waits: &WAITS });
        }
        (Self { receivers }, senders)
    }

    /// Puts an alert into the queues of those who want it. Never waits.
    pub fn alert(&self, id: &str, code: &str, body: &str) {
        let post = Post { id: id.to_owned(), body: Arc::new(body.to_owned()) };
        for receiver in self.receivers.iter().filter(|r| r.codes.is_empty() || r.codes.iter().any(|c| c == code)) {
            if receiver.queue.try_send(post.clone()).is_err() {
                telemetry::webhook("dropped");
                tracing::warn!(code, "an alert for a webhook is dropped: its queue is full");
            }
        }
    }
}

impl Sender {
    /// Delivers until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let post = tokio::select! {
                post = self.queue.recv() => post,
                () = stop.cancelled() => return,
            };
            let Some(post) = post else { return };
            tokio::select! {
                () = self.deliver(&post) => (),
                () = stop.cancelled() => return,
            }
        }
    }

    async fn deliver(&self, post: &Post) {
        let mut waits = self.waits.iter();
        loop {
            let sent = tokio::time::timeout(ANSWER_MAX, send(&self.config, post)).await;
            match sent.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs()))) {
                Ok(()) => return telemetry::webhook("delivered"),
                Err(why) => match waits.next() {
                    Some(wait) => {
                        telemetry::webhook("retried");
                        tracing::info!(%why, wait_s = wait.as_secs(), "a webhook did not take an alert; it is tried again");
                        tokio::time::sleep(*wait).await;
                    }
                    None => {
                        telemetry::webhook("given_up");
                        return tracing::warn!(%why, alert = %post.id, "a webhook took an alert not at all");
                    }
                },
            }
        }
    }
}

async fn send(config: &WebhookConfig, alert: &Post) -> Result<(), String> {
    let timestamp = (now().as_millis() / 1000).to_string();
    let mac = hmac_sha256(config.secret.as_bytes(), format!("{timestamp}.{}", alert.body).as_bytes());
    let signature = format!("sha256={}", hex::encode(mac));
    let headers = [("x-portgate-timestamp", timestamp.as_str()), ("x-portgate-signature", &signature), ("x-portgate-alert", &alert.id)];
    match post(&config.target, config.tls.clone(), &headers, &alert.body).await? {
        200..=299 => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}

/// HMAC-SHA256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    let short = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
    for (to, from) in block.iter_mut().zip(short) {
        *to = from;
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn hmac_gives_the_values_of_rfc_4231() {
        let hex = |key: &[u8], message: &[u8]| hex::encode(hmac_sha256(key, message));
        assert_eq!(hex(&[0x0b; 20], b"Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(
            hex(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// A receiver on loopback that fails twice, then takes it.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_alert_is_posted_signed_and_again_until_it_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let received = std::thread::spawn(move || {
            let mut bodies = Vec::new();
            for answer in ["503 Not Now", "503 Not Now", "204 No Content"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = Vec::new();
                let mut chunk = [0u8; 4096];
                while !text.ends_with("\"苏G1\"}".as_bytes()) {
                    let n = stream.read(&mut chunk).unwrap();
                    text.extend_from_slice(&chunk[..n]);
                }
                write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
                bodies.push(String::from_utf8(text).unwrap());
            }
            bodies
        });
        let config = WebhookConfig::new(&format!("http://{addr}/alerts"), "s3cret", vec!["WATCH_LIST".into()], None).unwrap();
        let (hooks, mut senders) = Webhooks::new(&[config]);
        let mut sender = senders.remove(0);
        const SOON: [Duration; 2] = [Duration::from_millis(10); 2];
        sender.waits = &SOON;
        let stop = CancellationToken::new();
        let running = tokio::spawn(sender.run(stop.clone()));
        let body = "{\"plate\":\"苏G1\"}";
        hooks.alert("A0", "BARRIER_FAULT", body);
        hooks.alert("A1", "WATCH_LIST", body);
        let bodies = tokio::task::spawn_blocking(move || received.join().unwrap()).await.unwrap();
        stop.cancel();
        running.await.unwrap();
        let last = bodies.last().unwrap();
        let header = |name: &str| {
            let line = last.lines().find(|l| l.to_ascii_lowercase().starts_with(name)).unwrap();
            line.split_once(':').unwrap().1.trim().to_owned()
        };
        assert_eq!(header("x-portgate-alert"), "A1", "other codes are not sent");
        let signed = format!("{}.{body}", header("x-portgate-timestamp"));
        assert_eq!(header("x-portgate-signature"), format!("sha256={}", hex::encode(hmac_sha256(b"s3cret", signed.as_bytes()))));
        assert!(last.ends_with(body));
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_never_waits() {
        let config = WebhookConfig::new("http://127.0.0.1:9/", "", Vec::new(), None).unwrap();
        let (hooks, senders) = Webhooks::new(&[config]);
        for i in 0..QUEUE_MAX + 10 {
            hooks.alert(&i.to_string(), "X", "{}");
        }
        assert_eq!(senders[0].queue.len(), QUEUE_MAX);
    }
}

//! A broker that wants TLS and a password: the log works over it, and a client it turns away says why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_log::kafka::{KafkaConfig, KafkaLog};
use portgate_log::{Log, LogError, NewRecord, TopicSpec};

use crate::{consumer, put, read_all, take, values};

const PASSWORD: &str = "gate-secret";
const PORT: u16 = 19692;

struct Secure(PathBuf);

impl Secure {
    fn start() -> Option<Self> {
        if std::env::var_os("PORTGATE_KAFKA").is_none() {
            println!("skipped: PORTGATE_KAFKA not set");
            return None;
        }
        let state = std::env::temp_dir().join(format!("portgate-kafka-{PORT}"));
        let broker = Self(state);
        broker.run("stop");
        broker.run("start");
        Some(broker)
    }

    fn run(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka.sh");
        let mut script = Command::new(script);
        script.arg(command).env("KAFKA_PORT", PORT.to_string()).env("KAFKA_SECURE", PASSWORD).env("KAFKA_DATA", &self.0);
        assert!(script.status().unwrap().success(), "kafka.sh {command}");
    }

    /// The secure listener, with these settings over the right ones; empty: left out.
    async fn connect(&self, other: &[(&str, &str)]) -> Result<KafkaLog, LogError> {
        let ca = self.0.join("tls/ca.pem").to_str().unwrap().to_owned();
        let mut settings = BTreeMap::new();
        for (key, value) in [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", &ca),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "portgate"),
            ("sasl.password", PASSWORD),
        ] {
            settings.insert(key.to_owned(), value.to_owned());
        }
        for (key, value) in other {
            settings.insert((*key).to_owned(), (*value).to_owned());
        }
        settings.retain(|_, value| !value.is_empty());
        KafkaLog::connect(KafkaConfig { settings, ..KafkaConfig::new(format!("127.0.0.1:{}", PORT + 2)) }).await
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.run("stop");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_passwords() {
    let Some(broker) = Secure::start() else { return };
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let log: Arc<dyn Log> = Arc::new(broker.connect(&[("sasl.mechanism", mechanism)]).await.unwrap());
        let topic = format!("secure-{mechanism}");
        log.create_topics(&[TopicSpec::new(&topic, 1)]).await.unwrap();
        put(&*log, &topic, "k", "appended").await;
        let mut transaction = log.transaction(&format!("secure-{mechanism}")).await.unwrap();
        transaction.begin().await.unwrap();
        transaction.append(NewRecord::new(&topic, "k", "in a transaction")).await.unwrap();
        transaction.commit().await.unwrap();
        let wanted = ["appended", "in a transaction"];
        // What is committed is seen a moment later.
        let began = Instant::now();
        while read_all(&*log, &topic, 0).await.len() < wanted.len() && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(values(&read_all(&*log, &topic, 0).await), wanted);
        let group = consumer(&*log, &topic, &[&topic]).await;
        assert_eq!(values(&take(&*group, 2).await), wanted);
        println!("{mechanism} over TLS: appended, committed, read, polled");
    }
    for (other, words) in [
        (vec![("sasl.password", "wrong"), ("sasl.mechanism", "PLAIN")], ["uthentication failed", "sasl.password"]),
        (vec![("sasl.password", "wrong")], ["uthentication failed", "sasl.password"]),
        (vec![("ssl.ca.location", "")], ["certificate verify failed", "ssl.ca.location"]),
        (vec![("sasl.mechanism", "SCRAM-SHA-256")], ["SCRAM-SHA-256", "sasl.mechanism"]),
    ] {
        let began = Instant::now();
        match broker.connect(&other).await {
            Err(e @ LogError::Refused(_)) => {
                let said = e.to_string();
                assert!(!e.is_retriable() && said.contains("127.0.0.1:19694") && words.iter().all(|w| said.contains(w)), "{said}");
                assert!(!said.contains("wrong") && !said.contains(PASSWORD), "no secret in {said}");
                println!("{other:?}: {said}");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("let in with {other:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "said soon");
    }
}

//! Kafka as a fixture, and what only it can be asked: other clients, settings, a broker that dies.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use portgate_log::kafka::{KafkaConfig, KafkaLog};
use portgate_log::{topics, Log, LogError, NewRecord, TopicSpec};

use crate::{consumer, put, read_all, take, topic, value, values, Fixture};

pub struct Kafka {
    brokers: String,
    names: AtomicU32,
}

impl Kafka {
    /// The broker to test on, or a printed word that there is none.
    pub fn from_env() -> Option<Self> {
        match std::env::var("PORTGATE_KAFKA") {
            Ok(brokers) => Some(Self::at(brokers)),
            Err(_) => {
                println!("skipped: PORTGATE_KAFKA not set");
                None
            }
        }
    }

    fn at(brokers: String) -> Self {
        Self { brokers, names: AtomicU32::new(0) }
    }
}

#[async_trait]
impl Fixture for Kafka {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(KafkaLog::connect(KafkaConfig::new(&self.brokers)).await.unwrap())
    }

    async fn open_narrow(&self) -> Arc<dyn Log> {
        let config = KafkaConfig { queue_records_max: 16, queue_bytes_max: 100_000, ..KafkaConfig::new(&self.brokers) };
        Arc::new(KafkaLog::connect(config).await.unwrap())
    }

    /// Tests of one run and of many share the broker.
    fn name(&self, base: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        format!("{base}-{:x}-{n}", now.as_nanos())
    }

    fn prompt_ms(&self) -> u64 {
        500
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_broker_is_said_plainly() {
    let config = KafkaConfig { timeout: Duration::from_secs(1), ..KafkaConfig::new("127.0.0.1:9") };
    match KafkaLog::connect(config).await {
        Err(e @ LogError::Unavailable(_)) => {
            assert!(e.is_retriable());
            assert!(e.to_string().contains("127.0.0.1:9"), "{e}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("connected to nothing"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_break_promises_are_refused() {
    for (key, value, wanted) in
        [("acks", "0", "acks"), ("isolation.level", "read_uncommitted", "isolation.level"), ("no.such.setting", "1", "no.such.setting")]
    {
        let mut config = KafkaConfig::new("127.0.0.1:9");
        config.settings.insert(key.into(), value.into());
        match KafkaLog::connect(config).await {
            Err(e) => {
                assert!(!e.is_retriable(), "{e}");
                assert!(e.to_string().contains(wanted), "{e}");
            }
            Ok(_) => panic!("{key} was taken"),
        }
    }
}

/// `kcat`, if it is installed.
fn kcat(args: &[&str], input: Option<&str>) -> Option<String> {
    use std::io::Write;
    use std::process::Stdio;
    let child = Command::new("kcat").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: kcat is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "kcat {args:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcat_writes_and_reads() {
    let Some(kafka) = Kafka::from_env() else {
        return;
    };
    let log = kafka.open().await;
    log.create_topics(&topics::default_specs(1, 4)).await.unwrap();
    let end = log.end_offsets(topics::READS).await.unwrap()[0];
    let read = r#"{"lane":"JCZ-1.L1","card":{"id":"c-1"}}"#;
    let args = ["-b", &kafka.brokers, "-P", "-t", topics::READS, "-K", "|", "-H", "by=kcat"];
    if kcat(&args, Some(&format!("lyg|{read}\n"))).is_none() {
        return;
    }
    let tail = log.read(topics::READS, 0, end, 10, Duration::from_secs(10)).await.unwrap();
    assert_eq!(values(&tail.records), [read]);
    assert_eq!(tail.records[0].key_str(), Some("lyg"));
    assert_eq!(tail.records[0].header_str("by"), Some("kcat"));
    let group = consumer(&*log, &kafka.name("group"), &[topics::READS]).await;
    let everything = take(&*group, usize::try_from(end).unwrap() + 1).await;
    assert_eq!(everything.last().map(value), Some(read), "and through a group");

    let decision = NewRecord::new(topics::DECISIONS, "lyg", r#"{"verdict":"open"}"#);
    let place = log.append(decision).await.unwrap();
    let from = place.offset.to_string();
    let args = ["-b", &kafka.brokers, "-C", "-t", topics::DECISIONS, "-o", &from, "-c", "1", "-q", "-f", "%k %s"];
    let out = kcat(&args, None).unwrap();
    assert_eq!(out, r#"lyg {"verdict":"open"}"#);
    println!("kcat -P {} → {} → consumer; append → kcat -C: {out}", topics::READS, read);
}

/// A key goes where Kafka's own clients with the same rule send it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_choose_the_same_partitions() {
    let Some(kafka) = Kafka::from_env() else {
        return;
    };
    let log = kafka.open().await;
    let topic = topic(&*log, &kafka, 5).await;
    let lines: String = (0..40).map(|i| format!("site-{i}|{i}\n")).collect();
    let args = ["-b", &kafka.brokers, "-P", "-t", &topic, "-K", "|", "-X", "partitioner=murmur2_random"];
    if kcat(&args, Some(&lines)).is_none() {
        return;
    }
    for i in 0..40 {
        let key = format!("site-{i}");
        let ours = log.append(NewRecord::new(&topic, key.clone(), "ours")).await.unwrap();
        let there = read_all(&*log, &topic, ours.partition).await;
        assert!(there.iter().any(|r| r.key_str() == Some(&key) && value(r) == i.to_string()), "{key}");
    }
}

/// A topic's limit holds for what the client sends in one piece, too: however much is written at once, it fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_at_once_fits_a_topic_of_small_records() {
    let Some(kafka) = Kafka::from_env() else {
        return;
    };
    let log = kafka.open().await;
    let topic = topic(&*log, &kafka, 1).await;
    let record = || NewRecord::new(&topic, "k", vec![b'x'; 1_000]);
    let mut transaction = log.transaction(&kafka.name("much")).await.unwrap();
    transaction.begin().await.unwrap();
    for _ in 0..3_000 {
        transaction.append(record()).await.unwrap();
    }
    assert_eq!(transaction.commit().await.unwrap().len(), 3_000);
    assert_eq!(log.append_batch((0..3_000).map(|_| record()).collect()).await.unwrap().len(), 3_000);
    let largest = NewRecord::new(&topic, "k", vec![b'x'; 250 << 10]);
    log.append(largest).await.unwrap();
}

/// A broker of its own, which may be killed.
struct OwnBroker {
    script: PathBuf,
    port: u16,
    nodes: u16,
}

impl OwnBroker {
    fn run(&self, command: &str) {
        let status = self.command(command).status().unwrap();
        assert!(status.success(), "kafka.sh {command}");
    }

    fn command(&self, command: &str) -> Command {
        let mut script = Command::new(&self.script);
        script.arg(command).env("KAFKA_PORT", self.port.to_string()).env("KAFKA_NODES", self.nodes.to_string());
        script.env_remove("KAFKA_DATA").env_remove("KAFKA_NODE").env_remove("KAFKA_HEAP");
        script
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _ = self.command("stop").status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_and_repeats_nothing() {
    if Kafka::from_env().is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka.sh");
    let broker = OwnBroker { script, port: 19192, nodes: 1 };
    broker.run("start");
    let kafka = Kafka::at(format!("127.0.0.1:{}", broker.port));
    let log = kafka.open().await;
    let topic = topic(&*log, &kafka, 1).await;
    let group_name = kafka.name("group");
    let group = consumer(&*log, &group_name, &[&topic]).await;
    put(&*log, &topic, "k", "0").await;
    // Done with: whether its session outlasts the broker or not, the member goes on behind it.
    let first = take(&*group, 1).await;
    group.commit(&[first[0].position()]).await.unwrap();

    let appender = {
        let (log, topic) = (log.clone(), topic.clone());
        tokio::spawn(async move {
            for i in 1..400 {
                put(&*log, &topic, "k", &i.to_string()).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(700)).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.run("kill");
        broker.run("start");
        broker
    })
    .await
    .unwrap();
    appender.await.unwrap();
    let expected: Vec<String> = (0..400).map(|i| i.to_string()).collect();
    assert_eq!(values(&read_all(&*log, &topic, 0).await), expected, "each once, in order");
    let mut seen = Vec::new();
    let began = Instant::now();
    while seen.len() < 399 && began.elapsed() < Duration::from_secs(40) {
        match group.poll(100, Duration::from_secs(1)).await {
            Ok(records) => seen.extend(records.iter().map(|r| value(r).to_owned())),
            Err(e) => assert!(e.is_retriable(), "{e}"),
        }
    }
    assert_eq!(seen, expected[1..], "the consumer goes on");
    drop((group, log, broker));
}

/// Who comes while a node of three has just been killed finds everything, and writes; a topic that is to be
/// kept more often than there are nodes is an error that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_a_node_away_is_as_good() {
    if Kafka::from_env().is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka.sh");
    let cluster = OwnBroker { script, port: 20092, nodes: 3 };
    cluster.run("stop");
    cluster.run("start");
    let kafka = Kafka::at("127.0.0.1:20092,127.0.0.1:20102,127.0.0.1:20112".into());
    // Each node leads one of three partitions.
    let spec = TopicSpec::new(kafka.name("topic"), 3);
    let log = kafka.open().await;
    log.create_topics(std::slice::from_ref(&spec)).await.unwrap();
    for i in 0..30 {
        put(&*log, &spec.name, &format!("k{i}"), &i.to_string()).await;
    }
    assert!(cluster.command("kill").env("KAFKA_NODE", "2").status().unwrap().success());
    let began = Instant::now();
    let fresh = kafka.open().await;
    fresh.create_topics(std::slice::from_ref(&spec)).await.unwrap();
    let mut found = 0;
    for partition in 0..3 {
        found += read_all(&*fresh, &spec.name, partition).await.len();
    }
    assert_eq!(found, 30);
    for log in [&fresh, &log] {
        for i in 0..10 {
            put(&**log, &spec.name, &format!("k{i}"), "again").await;
        }
    }
    println!("a node killed: found and written {:.1} s afterwards", began.elapsed().as_secs_f64());
    match fresh.create_topics(&[TopicSpec { replication: Some(4), ..TopicSpec::new(kafka.name("more"), 1) }]).await {
        Err(e @ LogError::Refused(_)) => assert!(e.to_string().contains("start the others"), "{e}"),
        other => panic!("{other:?}"),
    }
    drop((fresh, log, cluster));
}

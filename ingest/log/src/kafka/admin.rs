//! Topics on the cluster: creating and checking them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::{client_config, kafka_error, Context, Role};
use super::{Cluster, Topic};
use crate::error::{LogError, Result};
use crate::topics::TopicSpec;

/// What a batch of one record takes beside the record.
const BATCH_BYTES: usize = 4096;

/// How a topic is set up on the cluster.
pub(super) struct Described {
    pub compacted: bool,
    message_bytes_max: usize,
}

impl Described {
    /// The largest record that surely fits.
    pub fn record_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_sub(BATCH_BYTES)
    }
}

/// Creates what is missing, checks what is there, and waits until all have leaders.
pub(super) async fn create_topics(cluster: &Cluster, specs: &[TopicSpec]) -> Result<()> {
    let admin = admin(cluster)?;
    let timeout = cluster.config.timeout;
    let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let settings: Vec<_> = specs.iter().map(settings).collect();
    let topics: Vec<_> = specs.iter().zip(&settings).map(|(spec, settings)| new_topic(spec, settings)).collect::<Result<_>>()?;
    if topics.is_empty() {
        return Ok(());
    }
    let answers = admin.create_topics(&topics, &options).await.map_err(|e| kafka_error(&e, "creating topics"))?;
    let mut there = Vec::new();
    for (answer, spec) in answers.into_iter().zip(specs) {
        match answer {
            Ok(_) => tracing::info!(topic = spec.name, partitions = spec.partitions, "topic created"),
            Err((_, Code::TopicAlreadyExists)) => there.push(spec),
            Err((name, code)) => return Err(kafka_error(&KafkaError::AdminOp(code), &name)),
        }
    }
    check(cluster, &admin, &there).await?;
    for spec in specs {
        wait_for_leaders(cluster, spec).await?;
        let topic = Topic { partitions: spec.partitions, compacted: spec.compacted, record_bytes_max: spec.record_bytes_max };
        let mut topics = cluster.topics.write();
        topics.insert(spec.name.clone(), std::sync::Arc::new(topic));
    }
    Ok(())
}

/// How a topic is set up.
pub(super) async fn describe(cluster: &Cluster, topic: &str) -> Result<Described> {
    let mut found = describe_all(cluster, &admin(cluster)?, &[topic]).await?;
    found.remove(topic).ok_or_else(|| LogError::Unavailable(format!("{topic}: no answer")))
}

/// How topics are set up, asked at once: a client for each would take the better part of a second.
async fn describe_all(cluster: &Cluster, admin: &AdminClient<Context>, topics: &[&str]) -> Result<BTreeMap<String, Described>> {
    let options = AdminOptions::new().request_timeout(Some(cluster.config.timeout));
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let mut found = BTreeMap::new();
    if asked.is_empty() {
        return Ok(found);
    }
    for answer in admin.describe_configs(&asked, &options).await.map_err(|e| kafka_error(&e, "describing topics"))? {
        let answer = answer.map_err(|code| kafka_error(&KafkaError::AdminOp(code), "describing topics"))?;
        let value = |name: &str| answer.get(name).and_then(|e| e.value.clone());
        let described = Described {
            compacted: value("cleanup.policy").is_some_and(|v| v.contains("compact")),
            message_bytes_max: value("max.message.bytes").and_then(|v| v.parse().ok()).unwrap_or(usize::MAX),
        };
        if let OwnedResourceSpecifier::Topic(name) = answer.specifier {
            found.insert(name, described);
        }
    }
    Ok(found)
}

/// Topics that were there already are as they are wanted.
async fn check(cluster: &Cluster, admin: &AdminClient<Context>, specs: &[&TopicSpec]) -> Result<()> {
    // Another node may have created them this very moment, and not every broker knows them yet.
    let deadline = tokio::time::Instant::now() + cluster.config.timeout;
    for spec in specs {
        let partitions = loop {
            match cluster.partitions(&spec.name).await {
                Err(LogError::UnknownTopic(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                known => break known?,
            }
        };
        if partitions != spec.partitions {
            return differs(spec, format!("has {partitions} partitions, not {}", spec.partitions));
        }
    }
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let described = describe_all(cluster, admin, &names).await?;
    for spec in specs {
        let Some(is) = described.get(&spec.name) else {
            return Err(LogError::Unavailable(format!("{}: no answer", spec.name)));
        };
        if is.compacted != spec.compacted {
            return differs(spec, format!("compacted is {}", is.compacted));
        }
        if is.record_bytes_max() < spec.record_bytes_max {
            return differs(spec, format!("takes records of {} bytes, not {}", is.record_bytes_max(), spec.record_bytes_max));
        }
    }
    Ok(())
}

fn differs(spec: &TopicSpec, what: String) -> Result<()> {
    Err(LogError::TopicMismatch { topic: spec.name.clone(), what })
}

/// A topic just created may have no leader for a moment; what is sent then is refused.
async fn wait_for_leaders(cluster: &Cluster, spec: &TopicSpec) -> Result<()> {
    use rdkafka::consumer::Consumer as _;
    let deadline = tokio::time::Instant::now() + cluster.config.timeout;
    loop {
        let name = spec.name.clone();
        let led = cluster
            .ask(move |meta, timeout| {
                let answer = meta.fetch_metadata(Some(&name), timeout).map_err(|e| kafka_error(&e, &name))?;
                Ok(answer
                    .topics()
                    .iter()
                    .filter(|t| t.name() == name && t.error().is_none())
                    .flat_map(|t| t.partitions())
                    .filter(|p| p.leader() >= 0 && p.error().is_none())
                    .count())
            })
            .await?;
        if u32::try_from(led).is_ok_and(|n| n >= spec.partitions) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(LogError::Timeout(format!("topic {} has leaders for {led} of {} partitions", spec.name, spec.partitions)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn admin(cluster: &Cluster) -> Result<AdminClient<Context>> {
    AdminClient::from_config_and_context(&client_config(&cluster.config, Role::Admin), Context::default())
        .map_err(|e| kafka_error(&e, "Kafka admin client"))
}

fn settings(spec: &TopicSpec) -> Vec<(String, String)> {
    let keep = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |n| n.to_string());
    let mut settings = vec![
        ("max.message.bytes", (spec.record_bytes_max + BATCH_BYTES).to_string()),
        ("retention.ms", keep(spec.retention_ms)),
        ("retention.bytes", keep(spec.retention_bytes)),
        ("cleanup.policy", if spec.compacted { "compact" } else { "delete" }.to_owned()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect::<Vec<_>>();
    settings.extend(spec.kafka_settings.clone());
    settings
}

fn new_topic<'a>(spec: &'a TopicSpec, settings: &'a [(String, String)]) -> Result<NewTopic<'a>> {
    let partitions = i32::try_from(spec.partitions).map_err(|_| LogError::Invalid(format!("{} partitions", spec.partitions)))?;
    let copies = spec.replication.map_or(-1, i32::from);
    let topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(copies));
    Ok(settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value)))
}

//! Topics on the cluster: creating and checking them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::time::Instant;

use super::client::{client_config, kafka_error, Context, Role};
use super::{Cluster, Topic};
use crate::error::{LogError, Result};
use crate::topics::TopicSpec;

/// What a batch of one record takes beside the record.
const BATCH_BYTES: usize = 4096;
/// A request without an answer is made anew after this, by a new client: the one that was made waits for the
/// node it chose, and that one may be away.
const REQUEST: Duration = Duration::from_secs(8);

/// How a topic is set up on the cluster.
pub(super) struct Described {
    pub compacted: bool,
    message_bytes_max: usize,
    /// How many copies a write must have reached to be confirmed.
    confirming: usize,
}

impl Described {
    /// The largest record that surely fits.
    pub fn record_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_sub(BATCH_BYTES)
    }
}

/// Creates what is missing, checks what is there, and waits until all have leaders.
pub(super) async fn create_topics(cluster: &Cluster, specs: &[TopicSpec]) -> Result<()> {
    let settings: Vec<_> = specs.iter().map(settings).collect();
    let topics: Vec<_> = specs.iter().zip(&settings).map(|(spec, settings)| new_topic(spec, settings)).collect::<Result<_>>()?;
    if topics.is_empty() {
        return Ok(());
    }
    let until = Instant::now() + cluster.config.timeout;
    let there = loop {
        let admin = admin(cluster)?;
        let (mut there, mut failed) = (Vec::new(), None);
        match admin.create_topics(&topics, &request(cluster)).await {
            Ok(answers) => {
                for (answer, spec) in answers.into_iter().zip(specs) {
                    match answer {
                        Ok(_) => tracing::info!(topic = spec.name, partitions = spec.partitions, "topic created"),
                        Err((_, Code::TopicAlreadyExists)) => there.push(spec),
                        Err((_, Code::InvalidReplicationFactor)) => return Err(too_few_nodes(cluster, spec).await),
                        Err((name, code)) => failed = Some(kafka_error(&KafkaError::AdminOp(code), &name)),
                    }
                }
            }
            Err(e) => failed = Some(kafka_error(&e, "creating topics")),
        }
        match failed {
            None => break there,
            Some(e) => again(e, until).await?,
        }
    };
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let described = describe_all(cluster, &names).await?;
    check(cluster, &there, &described).await?;
    let nodes = cluster.ping().await?;
    let mut weak: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for spec in specs {
        let copies = wait_for_leaders(cluster, spec).await?;
        let confirming = described.get(&spec.name).map_or(1, |is| is.confirming);
        if let Some(why) = weakness(nodes, copies, confirming) {
            weak.entry(why).or_default().push(&spec.name);
        }
        let topic = Topic { partitions: spec.partitions, compacted: spec.compacted, record_bytes_max: spec.record_bytes_max };
        let mut topics = cluster.topics.write();
        topics.insert(spec.name.clone(), std::sync::Arc::new(topic));
    }
    for (why, topics) in weak {
        tracing::warn!(topics = topics.join(" "), "{why}");
    }
    Ok(())
}

async fn too_few_nodes(cluster: &Cluster, spec: &TopicSpec) -> LogError {
    let copies = spec.replication.map_or_else(|| "default.replication.factor".to_owned(), |n| n.to_string());
    match cluster.ping().await {
        Ok(nodes) => LogError::Refused(format!(
            "topic {} is to be kept {copies} times, and the cluster has {nodes} node(s) now: start the others, or ask for fewer copies",
            spec.name
        )),
        Err(e) => e,
    }
}

/// What a cluster of some nodes does not give a topic kept in so many copies.
fn weakness(nodes: usize, copies: usize, confirming: usize) -> Option<String> {
    if nodes < 2 {
        None
    } else if copies < 2 {
        Some("kept once in a cluster: with its node away the lanes stand still, with its disk lost it is lost (replication factor 3 is right)".into())
    } else if confirming >= copies {
        Some(format!("kept in {copies} copies of which a write needs {confirming}: with one node away the lanes stand still"))
    } else if confirming < 2 {
        Some("a write is confirmed by one node alone, and lost with its disk (min.insync.replicas 2 is right)".into())
    } else {
        None
    }
}

/// How a topic is set up.
pub(super) async fn describe(cluster: &Cluster, topic: &str) -> Result<Described> {
    let mut found = describe_all(cluster, &[topic]).await?;
    found.remove(topic).ok_or_else(|| LogError::Unavailable(format!("{topic}: no answer")))
}

/// How topics are set up, asked at once: a client for each would take the better part of a second.
async fn describe_all(cluster: &Cluster, topics: &[&str]) -> Result<BTreeMap<String, Described>> {
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let mut found = BTreeMap::new();
    if asked.is_empty() {
        return Ok(found);
    }
    let until = Instant::now() + cluster.config.timeout;
    let answers = loop {
        match admin(cluster)?.describe_configs(&asked, &request(cluster)).await {
            Ok(answers) => break answers,
            Err(e) => again(kafka_error(&e, "describing topics"), until).await?,
        }
    };
    for answer in answers {
        let answer = answer.map_err(|code| kafka_error(&KafkaError::AdminOp(code), "describing topics"))?;
        let value = |name: &str| answer.get(name).and_then(|e| e.value.clone());
        let described = Described {
            compacted: value("cleanup.policy").is_some_and(|v| v.contains("compact")),
            message_bytes_max: value("max.message.bytes").and_then(|v| v.parse().ok()).unwrap_or(usize::MAX),
            confirming: value("min.insync.replicas").and_then(|v| v.parse().ok()).unwrap_or(1),
        };
        if let OwnedResourceSpecifier::Topic(name) = answer.specifier {
            found.insert(name, described);
        }
    }
    Ok(found)
}

/// Topics that were there already are as they are wanted.
async fn check(cluster: &Cluster, specs: &[&TopicSpec], described: &BTreeMap<String, Described>) -> Result<()> {
    // Another node may have created them this very moment, and not every broker knows them yet.
    let deadline = Instant::now() + cluster.config.timeout;
    for spec in specs {
        let partitions = loop {
            match cluster.partitions(&spec.name).await {
                Err(LogError::UnknownTopic(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                known => break known?,
            }
        };
        if partitions != spec.partitions {
            return differs(spec, format!("has {partitions} partitions, not {}", spec.partitions));
        }
    }
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
/// Answers with the number of copies.
async fn wait_for_leaders(cluster: &Cluster, spec: &TopicSpec) -> Result<usize> {
    use rdkafka::consumer::Consumer as _;
    let deadline = Instant::now() + cluster.config.timeout;
    loop {
        let name = spec.name.clone();
        let (led, copies) = cluster
            .ask(move |meta, timeout| {
                let answer = meta.fetch_metadata(Some(&name), timeout).map_err(|e| kafka_error(&e, &name))?;
                let topics = answer.topics().iter().filter(|t| t.name() == name && t.error().is_none());
                let led = topics.flat_map(|t| t.partitions()).filter(|p| p.leader() >= 0 && p.error().is_none());
                Ok(led.fold((0, usize::MAX), |(n, copies), p| (n + 1, copies.min(p.replicas().len()))))
            })
            .await?;
        if led >= spec.partitions {
            return Ok(copies);
        }
        if Instant::now() > deadline {
            return Err(LogError::Timeout(format!("topic {} has leaders for {led} of {} partitions", spec.name, spec.partitions)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn request(cluster: &Cluster) -> AdminOptions {
    let timeout = Some(cluster.config.timeout.min(REQUEST));
    AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
}

/// Waits before a request is made anew, if it is worth that.
async fn again(error: LogError, until: Instant) -> Result<()> {
    if !error.is_retriable() || Instant::now() >= until {
        return Err(error);
    }
    tracing::debug!(%error, "asking anew");
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::weakness;

    #[test]
    fn a_cluster_that_keeps_things_once_is_told_of() {
        assert_eq!(weakness(1, 1, 1), None, "one node has no more to give");
        assert!(weakness(3, 1, 1).is_some_and(|why| why.contains("kept once")));
        assert!(weakness(3, 2, 2).is_some_and(|why| why.contains("stand still")));
        assert!(weakness(3, 3, 1).is_some_and(|why| why.contains("one node alone")));
        assert_eq!(weakness(3, 3, 2), None);
        assert!(weakness(2, 3, 3).is_some(), "also while a node is away");
    }
}

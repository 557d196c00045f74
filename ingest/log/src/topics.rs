//! The topics, the headers, and how the topics are kept by default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Pictures from lane cameras; key lane, value the JPEG or PNG, headers [`HEADER_FRAME_ID`],
/// [`HEADER_LANE`], [`HEADER_CAPTURED_AT`].
pub const FRAMES: &str = "portgate.frames";
/// Every read of a site's lanes in one order; key site.
pub const READS: &str = "portgate.reads";
/// Verdicts on record; key site.
pub const DECISIONS: &str = "portgate.decisions";
/// What barriers are told; key site.
pub const COMMANDS: &str = "portgate.commands";
/// What is authorised; key `kind/id`, compacted, a tombstone deletes.
pub const REGISTRY: &str = "portgate.registry";
/// Suspected, verified and dismissed violations; key violation id, compacted: the latest version of each.
pub const VIOLATIONS: &str = "portgate.violations";
/// The engine's own order of everything that decides; key site.
pub const JOURNAL: &str = "portgate.journal";
/// Messages that did not fit their schema, with the reason.
pub const REJECTED: &str = "portgate.rejected";

/// Header of a frame: its id.
pub const HEADER_FRAME_ID: &str = "frame_id";
/// Header of a frame: the lane it was taken at.
pub const HEADER_LANE: &str = "lane";
/// Header of a frame: RFC 3339 time of the picture.
pub const HEADER_CAPTURED_AT: &str = "captured_at";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How a topic is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSpec {
    /// Its name: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// In how many partitions. Fixed once created.
    pub partitions: u32,
    /// Records older than this may be deleted; `None`: age deletes nothing.
    pub retention_ms: Option<u64>,
    /// A partition larger than this may lose its oldest records; `None`: size deletes nothing.
    pub retention_bytes: Option<u64>,
    /// Whether only the latest record of each key is kept (then age and size delete nothing).
    pub compacted: bool,
    /// The largest record (key, value and headers) it takes.
    pub record_bytes_max: usize,
    /// Whether values are pictures: the embedded log then keeps them in blob files.
    pub large_values: bool,
    /// Kafka: how many copies; `None`: the cluster's default.
    pub replication: Option<u16>,
    /// Kafka: further topic settings, passed through.
    pub kafka_settings: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic that keeps everything, records up to 256 KiB.
    #[must_use]
    pub fn new(name: impl Into<String>, partitions: u32) -> Self {
        Self {
            name: name.into(),
            partitions,
            retention_ms: None,
            retention_bytes: None,
            compacted: false,
            record_bytes_max: 256 * KIB,
            large_values: false,
            replication: None,
            kafka_settings: BTreeMap::new(),
        }
    }
}

/// The topics of contract and design, to be adjusted and handed to [`crate::Log::create_topics`].
///
/// `site_partitions`: over how many owners the sites can spread; `lane_partitions`: over how many
/// recognisers the lanes can. One partition for one site also lets clients with another
/// partitioner (kcat's default) write its reads; the engine checks that a read stands in its site's
/// partition. The journal is kept whole, because a new owner rebuilds from it.
#[must_use]
pub fn default_specs(site_partitions: u32, lane_partitions: u32) -> Vec<TopicSpec> {
    let kept = |name: &str, days: u64| TopicSpec { retention_ms: Some(days * DAY_MS), ..TopicSpec::new(name, site_partitions) };
    vec![
        TopicSpec {
            retention_ms: Some(HOUR_MS),
            retention_bytes: Some(1024 * MIB as u64),
            record_bytes_max: MIB + 64 * KIB,
            large_values: true,
            ..TopicSpec::new(FRAMES, lane_partitions)
        },
        kept(READS, 30),
        kept(DECISIONS, 400),
        kept(COMMANDS, 30),
        TopicSpec { compacted: true, ..TopicSpec::new(REGISTRY, 1) },
        TopicSpec { compacted: true, ..TopicSpec::new(VIOLATIONS, site_partitions) },
        TopicSpec::new(JOURNAL, site_partitions),
        TopicSpec { record_bytes_max: MIB + 128 * KIB, ..kept(REJECTED, 90) },
    ]
}

//! Which lanes exist: what the edge needs to know of the registry.

use std::sync::Arc;

use dashmap::DashMap;
use serde_json::Value;

/// What vehicles a lane is marked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneClass {
    /// 客车通道.
    Passenger,
    /// 货车通道.
    Freight,
    /// Both.
    Mixed,
}

impl LaneClass {
    /// From the registry's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PASSENGER" => Some(Self::Passenger),
            "FREIGHT" => Some(Self::Freight),
            "MIXED" => Some(Self::Mixed),
            _ => None,
        }
    }
}

/// A lane as the edge sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneInfo {
    /// Its site: the key of its reads.
    pub site: String,
    /// Its checkpoint.
    pub checkpoint: String,
    /// Its direction, in the registry's words (`ENTRY`, `EXIT`, `OUTBOUND` …).
    pub direction: String,
    /// Its class, where the registry names one.
    pub class: Option<LaneClass>,
}

/// The lanes that exist, by id; shared by everything that lets something in.
///
/// The wiring feeds it from the registry with [`LaneDirectory::apply`]; lookups never wait.
#[derive(Clone, Debug, Default)]
pub struct LaneDirectory {
    lanes: Arc<DashMap<String, Value>>,
    checkpoints: Arc<DashMap<String, String>>,
}

impl LaneDirectory {
    /// No lane yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one registry record; `None` deletes it. Kinds other than `lane` and `checkpoint`
    /// are none of the edge's business and are passed over.
    pub fn apply(&self, kind: &str, id: &str, value: Option<&Value>) {
        match (kind, value) {
            ("lane", Some(value)) => {
                self.lanes.insert(id.to_owned(), value.clone());
            }
            ("lane", None) => {
                self.lanes.remove(id);
            }
            ("checkpoint", Some(value)) => match text(value, "site") {
                Some(site) => {
                    self.checkpoints.insert(id.to_owned(), site);
                }
                None => {
                    self.checkpoints.remove(id);
                }
            },
            ("checkpoint", None) => {
                self.checkpoints.remove(id);
            }
            _ => {}
        }
    }

    /// The lane, if it exists and stands at a known checkpoint of a known site.
    #[must_use]
    pub fn get(&self, lane: &str) -> Option<LaneInfo> {
        let value = self.lanes.get(lane)?;
        let checkpoint = text(&value, "checkpoint")?;
        let site = self.checkpoints.get(&checkpoint)?.clone();
        Some(LaneInfo {
            site,
            checkpoint,
            direction: text(&value, "direction").unwrap_or_default(),
            class: text(&value, "lane_class").as_deref().and_then(LaneClass::parse),
        })
    }

    /// The ids of all lanes that exist, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.lanes.iter().map(|e| e.key().clone()).collect();
        ids.retain(|id| self.get(id).is_some());
        ids.sort();
        ids
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lane_exists_only_with_its_checkpoint() {
        let lanes = LaneDirectory::new();
        lanes.apply("lane", "A.L1", Some(&json!({"checkpoint": "A", "direction": "ENTRY", "lane_class": "FREIGHT"})));
        assert_eq!(lanes.get("A.L1"), None);
        lanes.apply("checkpoint", "A", Some(&json!({"site": "S", "profile": "LYG"})));
        let info = lanes.get("A.L1").unwrap();
        assert_eq!((info.site.as_str(), info.class), ("S", Some(LaneClass::Freight)));
        assert_eq!(lanes.ids(), ["A.L1"]);
        lanes.apply("lane", "A.L1", None);
        assert!(lanes.get("A.L1").is_none() && lanes.ids().is_empty());
    }
}

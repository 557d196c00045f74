//! What the control room shows of lanes, decisions, passages and alerts, as JSON.

use portgate_core::command::BarrierState;
use portgate_core::decision::Decision;
use portgate_core::journal::{Ending, Passage};
use portgate_core::read::PlateRead;
use portgate_core::time::Instant;
use serde::Serialize;
use serde_json::{Map, Value};

/// Where a decided vehicle stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    /// Waits for a person.
    Held,
    /// Turned back, still at the lane; a supervisor may say otherwise.
    Refused,
    /// May go; has not passed yet.
    Opened,
    /// Has passed.
    Passed,
    /// Has left without passing.
    Gone,
    /// Nothing more was heard of it.
    Expired,
}

impl DecisionState {
    /// The state an ending leaves behind.
    pub fn ended(ending: Ending) -> Self {
        match ending {
            Ending::Passed => Self::Passed,
            Ending::Gone => Self::Gone,
            Ending::Expired => Self::Expired,
        }
    }
    /// The word in addresses and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Refused => "refused",
            Self::Opened => "opened",
            Self::Passed => "passed",
            Self::Gone => "gone",
            Self::Expired => "expired",
        }
    }
}

/// One picture, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameView {
    /// Id.
    pub id: String,
    /// When it was taken, as the camera says.
    pub captured_at: Option<String>,
    /// Where to get it.
    pub url: String,
}

/// One lane as it is now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneView {
    /// Id, like `JCZ-1.L1`.
    pub lane: String,
    /// Name on screens.
    pub name: Option<String>,
    /// Checkpoint.
    pub checkpoint: Option<String>,
    /// Name of the checkpoint.
    pub checkpoint_name: Option<String>,
    /// Site.
    pub site: Option<String>,
    /// Direction, like `ENTRY`.
    pub direction: Option<String>,
    /// Class, like `FREIGHT`.
    pub lane_class: Option<String>,
    /// The latest picture.
    pub frame: Option<FrameView>,
    /// The vehicle standing there.
    pub approach_id: Option<String>,
    /// Since when (event time).
    pub arrived_at: Option<Instant>,
    /// What the camera read of it.
    pub plate_read: Option<PlateRead>,
    /// Card it presented.
    pub card: Option<String>,
    /// The decision on it; after it has gone, the last one.
    pub decision: Option<Value>,
    /// Barrier.
    pub barrier: Option<BarrierState>,
    /// Vehicles waiting, the first one included.
    pub queue: Option<u32>,
    /// When anything was last read there (the gate's time).
    pub last_read_at: Option<Instant>,
}

/// One alert.
#[derive(Clone, Debug, Serialize)]
pub struct AlertView {
    /// Id.
    pub id: String,
    /// When.
    pub at: Instant,
    /// Code: a violation's, or `BARRIER_FAULT`, `COMMAND_EXPIRED`, `UNAUTHORISED_PASSAGE`, `WATCH_LIST`.
    pub code: String,
    /// `warning` or `critical`.
    pub level: &'static str,
    /// Lane.
    pub lane: String,
    /// Checkpoint.
    pub checkpoint: Option<String>,
    /// Decision it came with.
    pub decision_id: Option<String>,
    /// Plate.
    pub plate: Option<String>,
    /// What to do, where a person wrote it: of a watch-list entry.
    pub note: Option<String>,
}

fn object(value: impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        // INVARIANT: the views are structs; anything else is shown as nothing.
        _ => Map::new(),
    }
}

/// A decision as lists and events show it: all of it but the joined inputs.
pub fn decision_view(decision: &Decision, state: DecisionState) -> Value {
    let mut map = object(decision);
    map.remove("inputs");
    map.remove("read_ids");
    map.insert("state".into(), Value::from(state.as_str()));
    if decision.evidence.is_some() {
        map.insert("frame_url".into(), Value::from(format!("/v1/decisions/{}/frame", encode_path(&decision.id))));
    }
    Value::Object(map)
}

/// A passage as events show it.
pub fn passage_view(passage: &Passage) -> Value {
    Value::Object(object(passage))
}

/// One segment of an address.
pub fn encode_path(text: &str) -> String {
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

/// Keys whose text is a plate.
const PLATE_KEYS: [&str; 1] = ["plate"];
/// Keys that go for whoever sees plates masked: they would give the plate away, or a person.
const PRIVATE_KEYS: [&str; 7] = ["plate_read", "frame", "frame_url", "evidence", "inputs", "card", "note"];

/// The same value for a role that must not see plates: masked, and what shows them removed.
pub fn mask(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let masked = map.iter().map(|(k, v)| {
                let v = match v {
                    Value::String(s) if PLATE_KEYS.contains(&k.as_str()) => Value::from(mask_plate(s)),
                    _ if PRIVATE_KEYS.contains(&k.as_str()) => Value::Null,
                    other => mask(other),
                };
                (k.clone(), v)
            });
            Value::Object(masked.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(mask).collect()),
        other => other.clone(),
    }
}

/// Province, letter and the last character stay: enough to talk about, too little to find.
pub fn mask_plate(plate: &str) -> String {
    let n = plate.chars().count();
    plate.chars().enumerate().map(|(i, c)| if i < 2 || i + 1 == n { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn masking_leaves_no_plate_behind() {
        let value = json!({"plate": "苏G12345", "plate_read": {"text": "苏G12345"}, "card": "C1", "decision": {"plate": "苏G12345", "inputs": {"manual_plate": {"text": "苏G12345"}}, "verdict": "HOLD"}});
        let text = mask(&value).to_string();
        assert!(!text.contains("G1234"), "{text}");
        assert!(text.contains("苏G****5") && text.contains("HOLD"));
        assert_eq!(mask_plate(""), "");
    }

    #[test]
    fn segments_are_safe() {
        assert_eq!(encode_path("D-a/b 苏"), "D-a%2Fb%20%E8%8B%8F");
    }
}

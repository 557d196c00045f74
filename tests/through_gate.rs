//! The regulation scenarios through the running gate: records by the registry API, every claim a
//! read of its own by HTTP, all lanes at once and in shuffled order, the decision from
//! `/v1/decisions`. Each scenario has a checkpoint of its own; its plates and ids are renamed one
//! to one, so that all of them can stand in one registry.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use portgate_core::decision::Verdict;
use portgate_core::registry::{Kind, LaneClass};
use portgate_core::scenario::{parse_file, Scenario};
use serde_json::{json, Map, Value};

use crate::support::{eventually, Gate, PATIENCE};

/// Scenarios that cannot be told over HTTP, with the reason. None.
const NOT_OVER_HTTP: [(&str, &str); 0] = [];
const SEED: u64 = 20_260_310;
/// Calls under way at once.
const HANDS: usize = 6;

/// Numbers that a seed gives again (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

fn scenarios() -> Vec<Scenario> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/regulations.yaml");
    parse_file(&std::fs::read_to_string(path).unwrap()).unwrap().into_iter().map(Result::unwrap).collect()
}

/// A plate of the scenario: the same text gives the same plate, another another.
fn plate(scenario: &Scenario, text: &str) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    format!("{text}{}", scenario.id)
}

/// An id of the scenario, likewise.
fn id(scenario: &Scenario, text: &str) -> String {
    format!("{}-{text}", scenario.id)
}

/// A record with its plates and ids renamed and what is null left out.
fn renamed(scenario: &Scenario, value: &Value) -> Value {
    let fields = value.as_object().cloned().unwrap_or_default();
    let rename = |(name, value): (String, Value)| {
        let value = match (name.as_str(), value.as_str()) {
            ("plate" | "declared_plate", Some(text)) => json!(plate(scenario, text)),
            ("id" | "code" | "enterprise" | "task" | "appointment" | "trip", Some(text)) => json!(id(scenario, text)),
            _ => value,
        };
        (name, value)
    };
    Value::Object(fields.into_iter().filter(|(_, v)| !v.is_null()).map(rename).collect())
}

/// The claims of the scenario, a read each, as devices post them.
fn reads(scenario: &Scenario) -> Vec<Value> {
    let Value::Object(mut claims) = serde_json::to_value(&scenario.inputs).unwrap() else { panic!("a read is an object") };
    for envelope in ["lane", "event_id", "observed_at"] {
        claims.remove(envelope);
    }
    // Nothing recognised is a read without a text.
    claims.entry("plate_read").or_insert_with(|| json!({"text": "", "confidence": 0.0}));
    for (name, value) in &mut claims {
        match (name.as_str(), &mut *value) {
            ("plate_read" | "manual_plate", Value::Object(read)) => {
                if let Some(text) = read.get("text").and_then(Value::as_str).map(|t| plate(scenario, t)) {
                    read.insert("text".to_owned(), json!(text));
                }
            }
            ("card" | "qr" | "exit_permit" | "driver", Value::String(text)) => *text = id(scenario, text),
            _ => {}
        }
    }
    let read = |(name, value): (String, Value)| {
        let mut read = Map::from_iter([(name.clone(), value)]);
        read.insert("event_id".to_owned(), json!(format!("{}-{name}", scenario.id)));
        read.insert("observed_at".to_owned(), json!(scenario.at));
        Value::Object(read)
    };
    let mut reads: Vec<Value> = claims.into_iter().map(read).collect();
    if scenario.then.idempotent == Some(true) {
        reads.extend(reads.clone());
    }
    reads
}

fn lane(scenario: &Scenario) -> String {
    format!("{}.L1", scenario.id)
}

/// A call that waits where it is told that it comes too fast.
fn call(gate: &Gate, method: &str, path: &str, role: &str, body: &Value) -> (u16, Value) {
    let start = std::time::Instant::now();
    loop {
        let answer = gate.call(method, path, role, Some(body.to_string().as_bytes()));
        if answer.0 != 429 || start.elapsed() > PATIENCE {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Writes a record with the account that may.
fn put(gate: &Gate, kind: Kind, id: &str, value: &Value) {
    let path: String = format!("/v1/registry/{kind}/{}", encoded(id));
    let mut answer = (0, Value::Null);
    for role in ["registrar", "administrator", "supervisor", "customs"] {
        answer = call(gate, "PUT", &path, role, value);
        if answer.0 != 403 {
            break;
        }
    }
    assert_eq!(answer.0, 200, "PUT {kind} {id}: {} for {value}", answer.1);
}

fn encoded(id: &str) -> String {
    id.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"-._".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Does the work with several hands; the order inside one piece stays.
fn together<T: Sync>(work: &[T], hand: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                while let Some(piece) = work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    hand(piece);
                }
            });
        }
    });
}

/// The version of the decision that the reads came to: the last that no barrier had a part in (a
/// barrier closes again behind a vehicle that does not come).
fn version_of_the_reads(decision: &Value) -> Value {
    let versions = decision["versions"].as_array().cloned().unwrap_or_default();
    let by_reads = |v: &Value| v["reasons"][0]["code"] != "SYS_COMMAND_EXPIRED";
    versions.into_iter().filter(by_reads).max_by_key(|v| v["version"].as_u64()).unwrap_or_default()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|v| v.as_str().unwrap_or("null").to_owned()).collect()
}

/// What differs between the scenario's `then` and a decision version.
fn differences(scenario: &Scenario, version: &Value) -> Vec<String> {
    let then = &scenario.then;
    let mut found = Vec::new();
    let mut compare = |field: &str, expected: Vec<String>, got: Vec<String>| {
        if expected != got {
            found.push(format!("{field}: expected {expected:?}, got {got:?}"));
        }
    };
    compare("decision", vec![then.decision.as_str().to_owned()], vec![version["verdict"].as_str().unwrap_or("none").to_owned()]);
    let of = |name: &str| -> Vec<String> {
        version["reasons"].as_array().into_iter().flatten().map(|r| r[name].as_str().unwrap_or("null").to_owned()).collect()
    };
    compare("reasons", then.reasons.iter().map(|r| r.code().to_owned()).collect(), of("code"));
    let cites = then.reason_cites.iter().map(|c| c.clone().unwrap_or_else(|| "null".to_owned())).collect();
    compare("reason_cites", cites, of("cite"));
    compare("violations", then.violations.iter().map(|v| v.as_str().to_owned()).collect(), texts(&version["violations"]));
    if let Some(effects) = &then.on_release {
        compare("on_release", effects.iter().map(|e| e.as_str().to_owned()).collect(), texts(&version["effects"]));
    }
    found
}

#[test]
fn the_regulation_scenarios_come_out_the_same_through_the_running_gate() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo", "--without", "recognise"]);
    let all = scenarios();
    let told: Vec<&Scenario> = all.iter().filter(|s| NOT_OVER_HTTP.iter().all(|(id, _)| *id != s.id)).collect();

    // The scenarios' times are long past; here the device's clock is believed.
    put(&gate, Kind::Policy, "default", &json!({"switches": {"clock_skew_max_s": null}}));
    together(&told, |s| {
        let place = json!({"site": "LYG-1", "profile": s.checkpoint.profile, "it_port": s.checkpoint.it_port.unwrap_or(true)});
        put(&gate, Kind::Checkpoint, &s.id, &place);
        let class = s.checkpoint.lane_class.unwrap_or(LaneClass::Mixed);
        let standing = json!({"checkpoint": s.id, "direction": s.checkpoint.direction, "lane_class": class});
        put(&gate, Kind::Lane, &lane(s), &standing);
        let mut policy = s.policy.clone();
        if policy != portgate_core::policy::Policy::default() {
            policy.clock_skew_max_s = None;
            put(&gate, Kind::Policy, &s.id, &json!({"checkpoint": s.id, "switches": policy}));
        }
        if let Some(peak) = &s.peak_mode {
            let mut value = serde_json::to_value(peak).unwrap();
            value["id"] = json!(s.id);
            put(&gate, Kind::PeakMode, &s.id, &value);
        }
        for entry in s.facts.entries() {
            let own = if entry.kind.id_field() == "plate" { plate(s, &entry.id) } else { id(s, &entry.id) };
            put(&gate, entry.kind, &own, &renamed(s, &entry.value));
        }
    });
    together(&told, |s| {
        eventually("the lane is known at the edge", || (gate.read(&lane(s), &json!({"queue_length": 1})).0 == 202).then_some(()))
    });

    let mut dice = Dice(SEED);
    let mut posts: Vec<(String, Value)> = told.iter().flat_map(|s| reads(s).into_iter().map(|r| (lane(s), r))).collect();
    dice.shuffle(&mut posts);
    together(&posts, |(lane, read)| {
        let role = if read.get("manual_plate").is_some() {
            "guard"
        } else if read.get("lane_override").is_some() {
            "supervisor"
        } else {
            "device"
        };
        let answer = call(&gate, "POST", &format!("/v1/lanes/{lane}/reads"), role, read);
        assert_eq!(answer.0, 202, "{lane}: {read}: {}", answer.1);
    });

    // Reads of a site are taken in one order: once this one has been decided, all have been taken.
    let last = json!({"checkpoint": "S001", "direction": "ENTRY", "lane_class": "MIXED"});
    put(&gate, Kind::Lane, "S001.L9", &last);
    eventually("the last lane is known", || {
        (gate.read("S001.L9", &json!({"plate_read": {"text": "苏Z00000", "confidence": 0.99}})).0 == 202).then_some(())
    });
    eventually("the last read is decided", || gate.decisions("lane=S001.L9").pop());

    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for s in &told {
        let decision = eventually(&format!("a decision of {}", s.id), || gate.decisions(&format!("lane={}", lane(s))).pop());
        let whole = gate.get(&format!("/v1/decisions/{}", decision["id"].as_str().unwrap()), "guard");
        let found = differences(s, &version_of_the_reads(&whole));
        if !found.is_empty() {
            wrong.insert(&s.id, found);
        }
        // Nothing was granted that the rules do not grant.
        let opened = texts(&json!(whole["versions"].as_array().into_iter().flatten().map(|v| v["verdict"].clone()).collect::<Vec<_>>()));
        assert!(s.then.decision == Verdict::Open || opened.last().is_none_or(|v| v != "OPEN"), "{} opened: {whole}", s.id);
    }
    println!("{} scenarios through the gate, {} differ, {} not told over HTTP", told.len(), wrong.len(), NOT_OVER_HTTP.len());
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", gate.log().join("\n"));
    assert_eq!((told.len(), all.len()), (206, 206));
}

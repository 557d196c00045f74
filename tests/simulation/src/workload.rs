//! What happens at the site: vehicles that behave physically, devices that repeat and delay,
//! guards, and the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use portgate_core::decision::{Decision, Verdict};
use portgate_log::{topics, Log, LogError, NewRecord};
use serde_json::{json, Value};

use crate::log::Way;
use crate::process::{wall, Process};
use crate::rng::Rng;
use crate::world::{World, SITE};

/// The lanes: id, checkpoint, direction, class.
pub const LANES: [(&str, &str, &str, &str); 5] = [
    ("JCZ-1.L1", "JCZ-1", "ENTRY", "MIXED"),
    ("JCZ-1.L2", "JCZ-1", "EXIT", "MIXED"),
    ("JCZ-1.L3", "JCZ-1", "ENTRY", "PASSENGER"),
    ("JCZ-1.L4", "JCZ-1", "EXIT", "MIXED"),
    ("JCZ-2.L1", "JCZ-2", "ENTRY", "MIXED"),
];

/// What a vehicle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Business,
    SingleCard,
    Auxiliary,
    Reception,
    Unknown,
}

/// A vehicle with its papers.
#[derive(Clone, Debug)]
struct Vehicle {
    plate: String,
    kind: Kind,
    card: Option<String>,
}

/// The outside of the gate.
pub struct Site {
    world: Arc<World>,
    way: Way,
    vehicles: Vec<Vehicle>,
    rng: Mutex<Rng>,
    ids: Mutex<u64>,
    accepted: Mutex<BTreeSet<String>>,
    misfits: Mutex<usize>,
    under_way: Mutex<u64>,
    busy: BTreeMap<String, tokio::sync::Mutex<()>>,
    /// Passages seen by somebody standing there.
    pub passed: Mutex<u64>,
}

impl Site {
    /// The site of a world.
    pub fn new(world: &Arc<World>) -> Arc<Self> {
        let mut rng = Rng::new(world.seed, "site");
        let process = Process::new("devices", &world.time, Rng::new(world.seed, "devices"), 0);
        let count = rng.between(6, 14);
        let vehicles = (0..count)
            .map(|n| {
                let kind = *rng.pick(&[
                    Kind::Business,
                    Kind::Business,
                    Kind::SingleCard,
                    Kind::SingleCard,
                    Kind::Auxiliary,
                    Kind::Reception,
                    Kind::Unknown,
                ]);
                let card = (kind == Kind::SingleCard).then(|| format!("C{n}"));
                Vehicle { plate: format!("苏G{:05}", 10_000 + n * 137), kind, card }
            })
            .collect();
        Arc::new(Self {
            way: world.way(&process),
            world: world.clone(),
            vehicles,
            rng: Mutex::new(rng),
            ids: Mutex::new(0),
            accepted: Mutex::default(),
            misfits: Mutex::new(0),
            under_way: Mutex::new(0),
            busy: LANES.iter().map(|(lane, ..)| ((*lane).to_owned(), tokio::sync::Mutex::new(()))).collect(),
            passed: Mutex::new(0),
        })
    }

    /// Ids of the reads that were acknowledged, and how many misfits were.
    pub fn accepted(&self) -> (BTreeSet<String>, usize) {
        (self.accepted.lock().clone(), *self.misfits.lock())
    }

    /// Reads that have not reached the log yet and are not given up.
    pub fn under_way(&self) -> u64 {
        *self.under_way.lock()
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock())
    }

    fn id(&self, what: &str) -> String {
        let mut ids = self.ids.lock();
        *ids += 1;
        format!("{what}-{}", *ids)
    }

    // ---- registry -------------------------------------------------------------------------

    /// Writes what is authorised at the beginning.
    pub async fn register(&self) {
        let mut all: Vec<(String, Value)> = vec![
            (format!("site/{SITE}"), json!({"name": "港"})),
            ("checkpoint/JCZ-1".into(), json!({"site": SITE, "profile": "LYG"})),
            ("checkpoint/JCZ-2".into(), json!({"site": SITE, "profile": "LYG"})),
            (
                "policy/default".into(),
                json!({"switches": {"approach_idle_expiry_s": 60, "pairing_window_s": 6, "travel_min_default_s": 0, "command_expiry_s": 8}}),
            ),
        ];
        for (lane, checkpoint, direction, class) in LANES {
            all.push((format!("lane/{lane}"), json!({"checkpoint": checkpoint, "direction": direction, "lane_class": class})));
        }
        let today = wall(0).date().to_string();
        for v in &self.vehicles {
            let plate = &v.plate;
            let vehicle = |category: &str, body: &str| json!({"category": category, "registration": "APPROVED", "body": body});
            match v.kind {
                Kind::Business => all.push((format!("vehicle/{plate}"), vehicle("BIZ_STAFF", "PASSENGER"))),
                Kind::Auxiliary => all.push((format!("vehicle/{plate}"), vehicle("AUX_LONG", "MICRO_FREIGHT"))),
                Kind::Reception => {
                    all.push((format!("reception/R-{plate}"), json!({"plate": plate, "valid_from": today, "state": "FILED"})))
                }
                Kind::SingleCard => {
                    let card = v.card.as_deref().unwrap_or_default();
                    all.push((format!("vehicle/{plate}"), vehicle("PF_GENERAL", "MICRO_FREIGHT")));
                    all.push((
                        format!("card/{card}"),
                        json!({"type": "SINGLE", "plate": plate, "status": "ISSUED", "task": format!("T-{card}")}),
                    ));
                    all.push((format!("task/T-{card}"), json!({"kind": "PF", "plate": plate, "state": "CALLED"})));
                    all.push((format!("exit_permit/P-{card}"), json!({"plate": plate, "state": "ISSUED"})));
                }
                Kind::Unknown => {}
            }
        }
        for (key, value) in all {
            self.write(&key, Some(value), None).await;
        }
    }

    /// Writes one record until it is acknowledged; one that got no answer is written again.
    async fn write(&self, key: &str, value: Option<Value>, request: Option<String>) {
        let mut record = match value {
            Some(value) => NewRecord::new(topics::REGISTRY, key.to_owned(), value.to_string()),
            None => NewRecord::tombstone(topics::REGISTRY, key.to_owned()),
        };
        if let Some(request) = request {
            record = record.header("request_id", request);
        }
        while let Err(e) = self.way.append(record.clone()).await {
            if !e.is_retriable() {
                return self.world.violated("I2", format!("the registry cannot be written: {e}"));
            }
            self.world.time.sleep_ms(200).await;
        }
    }

    /// What the registry's keepers do meanwhile.
    pub async fn keep(self: Arc<Self>, until_us: u64) {
        let mut issue = 0;
        while self.world.time.now_us() < until_us {
            let pause = self.draw(|r| r.between(500, 25_000));
            self.world.time.sleep_ms(pause).await;
            let vehicle = self.draw(|r| r.pick(&self.vehicles).clone());
            let request = self.draw(|r| r.chance(400)).then(|| self.id("request"));
            match self.draw(|r| r.below(7)) {
                0 => {
                    let ban = json!({"plate": vehicle.plate, "kind": "BLACKLIST", "from": "2020-01-01T00:00:00.000+08:00"});
                    self.write(&format!("ban/B-{}", vehicle.plate), Some(ban), request).await;
                }
                1 => self.write(&format!("ban/B-{}", vehicle.plate), None, request).await,
                2 | 3 => {
                    if let Some(card) = &vehicle.card {
                        issue += 1;
                        let issue = format!("I{issue}");
                        let plate = &vehicle.plate;
                        let renewed =
                            json!({"type": "SINGLE", "plate": plate, "status": "ISSUED", "task": format!("T-{card}"), "issue_id": issue});
                        self.write(&format!("card/{card}"), Some(renewed), request).await;
                        self.write(
                            &format!("task/T-{card}"),
                            Some(json!({"kind": "PF", "plate": plate, "state": "CALLED", "issue_id": issue})),
                            None,
                        )
                        .await;
                        self.write(
                            &format!("exit_permit/P-{card}"),
                            Some(json!({"plate": plate, "state": "ISSUED", "issue_id": issue})),
                            None,
                        )
                        .await;
                    }
                }
                4 => {
                    let active = self.draw(|r| r.chance(600));
                    self.write("peak_mode/JCZ-1", Some(json!({"active": active, "activated_by": "sup"})), request).await;
                }
                // Written once more, as it is: nothing used comes back by it.
                5 => {
                    if let Some(card) = &vehicle.card {
                        if issue == 0 {
                            let same = json!({"type": "SINGLE", "plate": vehicle.plate, "status": "ISSUED", "task": format!("T-{card}")});
                            self.write(&format!("card/{card}"), Some(same), request).await;
                        }
                    }
                }
                // No record of its kind.
                _ => self.write("card/X", Some(json!({"type": "SINGEL", "plate": 7})), request).await,
            }
        }
    }

    // ---- devices --------------------------------------------------------------------------

    /// Posts a read as an edge does: again under the same id until it is acknowledged, or it is
    /// given up.
    fn post(self: &Arc<Self>, lane: &str, mut read: Value, delay_ms: u64) {
        let anonymous = self.draw(|r| r.chance(40));
        let id = self.id("e");
        let observed = wall(self.world.time.now_us());
        if let Some(fields) = read.as_object_mut() {
            fields.insert("lane".into(), lane.into());
            if !anonymous {
                fields.insert("event_id".into(), id.clone().into());
            }
            if self.draw(|r| r.chance(900)) {
                fields.insert("observed_at".into(), observed.to_string().into());
            }
        }
        let (misfit, repeats) = self.draw(|r| (r.chance(15), r.chance(80)));
        let text = if misfit { format!("{{\"lane\": \"{lane}\", \"speed\": 7}}") } else { read.to_string() };
        let site = self.clone();
        *self.under_way.lock() += 1;
        tokio::spawn(async move {
            site.world.time.sleep_ms(delay_ms).await;
            for repeat in 0..=u32::from(repeats) {
                if repeat > 0 {
                    site.world.time.sleep_ms(900).await;
                }
                let record = NewRecord::new(topics::READS, SITE, text.clone());
                let mut tries = 0;
                let acknowledged = loop {
                    match site.way.append(record.clone()).await {
                        Ok(_) => break true,
                        // Its own id is its place: it is not tried again where it may be stored.
                        Err(e) if !e.is_retriable() || anonymous && !matches!(e, LogError::Busy { .. }) => break false,
                        Err(_) => {
                            tries += 1;
                            if tries > 40 {
                                break false;
                            }
                            site.world.time.sleep_ms(300).await;
                        }
                    }
                };
                if acknowledged && misfit {
                    *site.misfits.lock() += 1;
                } else if acknowledged && !anonymous {
                    site.accepted.lock().insert(id.clone());
                }
            }
            *site.under_way.lock() -= 1;
        });
    }

    /// Vehicles come until then.
    pub async fn traffic(self: Arc<Self>, until_us: u64) {
        let mut trips = Vec::new();
        while self.world.time.now_us() < until_us {
            let vehicle = self.draw(|r| r.pick(&self.vehicles).clone());
            let lane = self.draw(|r| *r.pick(&LANES)).0;
            trips.push(tokio::spawn(self.clone().trip(vehicle.clone(), lane)));
            // The same papers at another lane at the same time.
            if vehicle.card.is_some() && self.draw(|r| r.chance(350)) {
                let other = if lane == "JCZ-1.L1" { "JCZ-2.L1" } else { "JCZ-1.L1" };
                trips.push(tokio::spawn(self.clone().trip(vehicle, other)));
            }
            let pause = self.draw(|r| r.between(300, 12_000));
            self.world.time.sleep_ms(pause).await;
        }
        for trip in trips {
            if let Err(e) = trip.await {
                self.world.violated("I6", format!("the workload panics: {e}"));
            }
        }
    }

    /// One vehicle at one lane, from its coming to its going.
    async fn trip(self: Arc<Self>, vehicle: Vehicle, lane: &'static str) {
        let Some(busy) = self.busy.get(lane) else { return };
        let _place = busy.lock().await;
        let track = self.id("track");
        let world = &self.world;
        world.note(|| format!("a vehicle {:?} comes to {lane}", vehicle.kind));
        if self.draw(|r| r.chance(800)) {
            self.post(lane, json!({"vehicle_present": true, "queue_length": 1}), 0);
        }
        let plate = match self.draw(|r| r.chance(60)) {
            true => vehicle.plate.replace("37", "87"),
            false => vehicle.plate.clone(),
        };
        let frames = self.draw(|r| r.below(3));
        for _ in 0..frames {
            let delay = self.draw(|r| r.between(0, 900));
            let sure = self.draw(|r| r.between(60, 95)) as f64 / 100.0;
            self.post(lane, json!({"track_id": track, "plate_read": {"text": plate, "confidence": sure, "settled": false}}), delay);
        }
        let sure = if self.draw(|r| r.chance(80)) { 0.55 } else { 0.98 };
        let late = self.draw(|r| if r.chance(80) { r.between(5_000, 40_000) } else { r.between(100, 1_500) });
        self.post(lane, json!({"track_id": track, "plate_read": {"text": plate, "confidence": sure}}), late);
        if let Some(card) = &vehicle.card {
            if self.draw(|r| r.chance(920)) {
                let delay = self.draw(|r| if r.chance(60) { r.between(5_000, 30_000) } else { r.between(300, 4_000) });
                self.post(lane, json!({"card": card}), delay);
            }
        }
        if self.draw(|r| r.chance(150)) {
            self.post(lane, json!({"cargo_observed": {"laden": false}}), 800);
        }
        let patience = self.draw(|r| r.between(8_000, 60_000));
        let arm = world.machine.arm(lane);
        let up = tokio::select! {
            biased;
            () = arm.until(true) => true,
            () = world.time.sleep_ms(patience) => false,
        };
        if up {
            let pause = self.draw(|r| r.between(300, 2_500));
            world.time.sleep_ms(pause).await;
        }
        let still = arm.is();
        if up && still {
            *self.passed.lock() += 1;
            world.note(|| format!("a vehicle passes at {lane}"));
            let delay = self.draw(|r| if r.chance(40) { r.between(2_000, 12_000) } else { r.between(10, 200) });
            self.post(lane, json!({"vehicle_passed": true}), delay);
            if self.draw(|r| r.chance(50)) {
                world.time.sleep_ms(400).await;
                world.note(|| format!("another one follows through at {lane}"));
                self.post(lane, json!({"vehicle_passed": true}), 50);
            }
        } else if self.draw(|r| r.chance(850)) {
            world.note(|| format!("a vehicle leaves {lane}"));
            self.post(lane, json!({"vehicle_gone": true}), 50);
        }
        let gap = self.draw(|r| r.between(300, 3_000));
        world.time.sleep_ms(gap).await;
    }

    // ---- people ---------------------------------------------------------------------------

    /// Guards look at what is held, and say something.
    pub async fn guard(self: Arc<Self>, until_us: u64) {
        let mut from = 0;
        while self.world.time.now_us() < until_us {
            let wait = std::time::Duration::from_millis(500);
            let Ok(batch) = self.way.read(topics::DECISIONS, 0, from, 50, wait).await else { continue };
            from = batch.next_offset;
            for record in batch.records {
                let Ok(decision) = record.json::<Decision>() else { continue };
                if decision.verdict != Verdict::Open && decision.by.is_none() && self.draw(|r| r.chance(850)) {
                    let people = self.draw(|r| if r.chance(200) { 2 } else { 1 });
                    for person in 0..people {
                        self.say(&decision, person);
                    }
                }
            }
        }
    }

    fn say(self: &Arc<Self>, decision: &Decision, person: u32) {
        let think = self.draw(|r| r.between(300, 6_000));
        let action = self.draw(|r| {
            if r.chance(if decision.in_order { 850 } else { 400 }) {
                "release"
            } else if r.chance(700) {
                "refuse"
            } else {
                "correct"
            }
        });
        let role = self.draw(|r| if decision.verdict == Verdict::Refuse && r.chance(600) { "supervisor" } else { "guard" });
        let mut word = json!({
            "request_id": self.id("word"), "decision_id": decision.id, "action": action, "reason": "seen at the lane",
            "by": {"name": format!("p{person}"), "role": role}
        });
        if let Some(fields) = word.as_object_mut() {
            if self.draw(|r| r.chance(700)) {
                fields.insert("version".into(), decision.version.into());
            }
            if action == "correct" {
                let plate = self.draw(|r| r.pick(&self.vehicles).plate.clone());
                fields.insert("plate".into(), plate.into());
            }
        }
        self.post(&decision.lane, json!({"word": word}), think);
    }
}

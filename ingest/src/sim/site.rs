//! The demonstration site: a port area of the Lianyungang profile with its carriers and vehicles.
//! Everybody and everything in it is made up.

use portgate_core::plate::PlateKind;
use portgate_core::registry::Kind;
use portgate_core::time::Instant;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{json, Value};

use super::render::{made_up_plate, Body};

/// The demonstration's site.
pub const SITE: &str = "LYG-1";
/// Seed of the demonstration's population: the same vehicles every day.
const POPULATION_SEED: u64 = 0x4c59_4721;
const DAY_MS: i64 = 86_400_000;

/// A registry record: kind, id and value; no value: deleted.
pub type RecordChange = (Kind, String, Option<Value>);

/// A lane of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneSpec {
    /// Id, like `JCZ-1.L1`.
    pub id: String,
    /// Its checkpoint.
    pub checkpoint: String,
    /// Into the port (else out of it).
    pub entry: bool,
    /// Freight lane (else passenger lane).
    pub freight: bool,
}

/// What a vehicle is to the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Production freight with a long-term card.
    LongCard,
    /// Production freight with a single card per visit.
    SingleCard,
    /// Container vehicle (card exempt).
    Container,
    /// Vehicle of a resident enterprise (card exempt).
    Resident,
    /// Short-haul with a long-term card.
    ShortHaul,
    /// Auxiliary vehicle on file.
    AuxLong,
    /// Auxiliary vehicle of a single visit.
    AuxSingle,
    /// Business-affairs vehicle on file.
    Business,
    /// Reception.
    Reception,
    /// On no record.
    Unknown,
}

/// A made-up vehicle.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicle {
    /// Plate, normalised.
    pub plate: String,
    /// Its layout and colours.
    pub kind: PlateKind,
    /// What it is to the port.
    pub role: Role,
    /// Category on record; none for those who are not registered.
    pub category: Option<&'static str>,
    /// Shape.
    pub body: Body,
    /// Carrier.
    pub enterprise: Option<String>,
    /// Its long-term card.
    pub long_card: Option<String>,
    /// Banned from the port.
    pub banned: bool,
    /// Makes its looks.
    pub seed: u64,
}

impl Vehicle {
    /// Whether it belongs on a freight lane.
    #[must_use]
    pub fn freight(&self) -> bool {
        matches!(self.body, Body::Truck | Body::ContainerTruck | Body::TrailerRear)
    }

    /// Its registration, if it has one.
    fn record(&self) -> Option<RecordChange> {
        let category = self.category?;
        let value = json!({
            "category": category,
            "registration": "APPROVED",
            "plate_colour": self.kind.colour(),
            "body": if self.freight() { "FREIGHT" } else { "PASSENGER" },
            "enterprise": self.enterprise,
            "documents_valid_to": "2035-12-31",
        });
        Some((Kind::Vehicle, self.plate.clone(), Some(value)))
    }
}

/// The demonstration site.
#[derive(Clone, Debug)]
pub struct DemoSite {
    lanes: Vec<LaneSpec>,
    vehicles: Vec<Vehicle>,
    now: Instant,
}

/// Carriers: id, name, status.
const ENTERPRISES: [(&str, &str, &str); 7] = [
    ("ENT-01", "演示一号物流公司", "APPROVED"),
    ("ENT-02", "演示二号集装箱运输公司", "APPROVED"),
    ("ENT-03", "演示三号散货运输公司", "APPROVED"),
    ("ENT-04", "演示四号港内短倒公司", "APPROVED"),
    ("ENT-05", "演示五号驻港企业", "APPROVED"),
    ("ENT-06", "演示六号辅助作业公司", "APPROVED"),
    ("ENT-99", "演示已注销运输公司", "DEREGISTERED"),
];

/// Role, category, carrier and how many there are per four lanes.
const FLEET: [(Role, &str, &str, usize); 13] = [
    (Role::LongCard, "PF_GENERAL", "ENT-01", 14),
    (Role::LongCard, "PF_TRADE", "ENT-03", 8),
    (Role::LongCard, "PF_DG", "ENT-03", 4),
    (Role::SingleCard, "PF_GENERAL", "ENT-01", 16),
    (Role::SingleCard, "PF_OTHER", "ENT-03", 6),
    (Role::Container, "PF_CONTAINER", "ENT-02", 20),
    (Role::Resident, "PF_RESIDENT", "ENT-05", 8),
    (Role::ShortHaul, "PF_SHORT_HAUL", "ENT-04", 8),
    (Role::AuxLong, "AUX_LONG", "ENT-06", 10),
    (Role::Business, "BIZ_GROUP", "ENT-05", 12),
    (Role::Business, "BIZ_STAFF", "ENT-05", 18),
    (Role::Business, "BIZ_RESIDENT", "ENT-05", 8),
    (Role::Business, "BIZ_PORTSIDE", "ENT-05", 6),
];

impl DemoSite {
    /// The site with this many lanes (four is the demonstration; more, four to a checkpoint, is for
    /// load). `now` is what validity dates are reckoned from.
    #[must_use]
    pub fn new(lanes: usize, now: Instant) -> Self {
        let lanes = (0..lanes.max(1))
            .map(|i| {
                let checkpoint = format!("JCZ-{}", i / 4 + 1);
                let n = i % 4;
                LaneSpec { id: format!("{checkpoint}.L{}", n + 1), checkpoint, entry: n % 2 == 0, freight: n < 2 }
            })
            .collect::<Vec<_>>();
        let mut rng = StdRng::seed_from_u64(POPULATION_SEED);
        let times = lanes.len().div_ceil(4);
        let mut vehicles: Vec<Vehicle> = Vec::new();
        for (role, category, enterprise, count) in FLEET {
            for _ in 0..count * times {
                let mut vehicle = make_up(role, &mut rng);
                while vehicles.iter().any(|v| v.plate == vehicle.plate) {
                    vehicle = make_up(role, &mut rng);
                }
                vehicle.category = Some(category);
                vehicle.enterprise = Some(enterprise.to_owned());
                if matches!(role, Role::LongCard | Role::ShortHaul) {
                    vehicle.long_card = Some(format!("LC-{:05}", 10_000 + vehicles.len()));
                }
                vehicles.push(vehicle);
            }
        }
        // Those who must not come in: two on the blacklist, one of a deregistered carrier.
        for (i, vehicle) in vehicles.iter_mut().filter(|v| v.role == Role::SingleCard).take(3).enumerate() {
            vehicle.banned = true;
            if i == 2 {
                vehicle.enterprise = Some("ENT-99".to_owned());
            }
        }
        Self { lanes, vehicles, now }
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &[LaneSpec] {
        &self.lanes
    }

    /// Everybody on file.
    #[must_use]
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// Every record that stands before the first vehicle arrives, parents first.
    #[must_use]
    pub fn registry(&self) -> Vec<(Kind, String, Value)> {
        let mut all = vec![(Kind::Site, SITE.to_owned(), json!({"name": "连云港演示港区"}))];
        for lane in &self.lanes {
            if all.iter().all(|(kind, id, _)| *kind != Kind::Checkpoint || *id != lane.checkpoint) {
                let number = lane.checkpoint.trim_start_matches("JCZ-");
                let value = json!({"site": SITE, "profile": "LYG", "name": format!("{number}号检查站")});
                all.push((Kind::Checkpoint, lane.checkpoint.clone(), value));
            }
            let name = format!("{}{}通道", if lane.freight { "货车" } else { "客车" }, if lane.entry { "进港" } else { "出港" });
            let value = json!({
                "checkpoint": lane.checkpoint,
                "direction": if lane.entry { "ENTRY" } else { "EXIT" },
                "lane_class": if lane.freight { "FREIGHT" } else { "PASSENGER" },
                "name": name,
            });
            all.push((Kind::Lane, lane.id.clone(), value));
        }
        for (id, name, status) in ENTERPRISES {
            all.push((Kind::Enterprise, id.to_owned(), json!({"name": name, "status": status})));
        }
        for vehicle in &self.vehicles {
            all.extend(vehicle.record().and_then(|(kind, id, value)| Some((kind, id, value?))));
            if let Some(card) = &vehicle.long_card {
                let value = json!({
                    "type": "LONG", "plate": vehicle.plate, "status": "ISSUED",
                    "valid_from": "2020-01-01", "valid_to": "2035-12-31",
                });
                all.push((Kind::Card, card.clone(), value));
            }
            if vehicle.banned && vehicle.enterprise.as_deref() != Some("ENT-99") {
                let from = self.now.plus_millis(-40 * DAY_MS).to_string();
                let value = json!({"plate": vehicle.plate, "kind": "BLACKLIST", "from": from, "to": null});
                all.push((Kind::Ban, format!("BAN-{}", vehicle.long_card.as_deref().unwrap_or(&vehicle.plate)), value));
            }
        }
        all
    }
}

/// A vehicle for a role, with a plate that fits.
pub(super) fn make_up(role: Role, rng: &mut StdRng) -> Vehicle {
    const TRUCKS: &[(PlateKind, u32)] = &[(PlateKind::Yellow, 78), (PlateKind::GreenLarge, 12), (PlateKind::Blue, 10)];
    const CARS: &[(PlateKind, u32)] = &[(PlateKind::Blue, 66), (PlateKind::GreenSmall, 34)];
    const GUESTS: &[(PlateKind, u32)] =
        &[(PlateKind::Blue, 66), (PlateKind::GreenSmall, 22), (PlateKind::BlackHk, 5), (PlateKind::Police, 4), (PlateKind::Consular, 3)];
    const OFFICES: [&str; 10] = ["苏G", "苏G", "苏G", "苏G", "苏C", "苏H", "鲁L", "鲁Q", "皖L", "豫N"];
    let freight = match role {
        Role::Business | Role::Reception => false,
        Role::AuxLong | Role::AuxSingle => rng.random_bool(0.6),
        Role::Unknown => rng.random_bool(0.5),
        _ => true,
    };
    let kinds = match (freight, role) {
        (true, _) => TRUCKS,
        (false, Role::Reception) => GUESTS,
        (false, _) => CARS,
    };
    let kind = kinds.choose_weighted(rng, |k| k.1).map_or(PlateKind::Blue, |k| k.0);
    let office = OFFICES.choose(rng).copied().filter(|_| kind != PlateKind::Consular || rng.random_bool(0.9));
    let body = match (freight, role) {
        (true, Role::Container) => Body::ContainerTruck,
        (true, _) => Body::Truck,
        (false, _) => {
            if rng.random_bool(0.25) {
                Body::Van
            } else {
                Body::Car
            }
        }
    };
    Vehicle {
        plate: made_up_plate(kind, office, rng),
        kind,
        role,
        category: None,
        body,
        enterprise: None,
        long_card: None,
        banned: false,
        seed: rng.random(),
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::registry::Record;

    use super::*;

    fn noon() -> Instant {
        "2026-03-10T12:00:00+08:00".parse().unwrap()
    }

    #[test]
    fn every_record_is_one_the_gate_accepts() {
        let site = DemoSite::new(4, noon());
        let all = site.registry();
        assert!(all.len() > 150, "{}", all.len());
        for (kind, id, value) in &all {
            Record::parse(*kind, id, value).unwrap();
        }
        let mut keys: Vec<_> = all.iter().map(|(k, id, _)| (*k, id)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all.len(), "ids are unique");
    }

    #[test]
    fn the_lanes_are_those_of_the_contract() {
        let lanes: Vec<_> = DemoSite::new(4, noon()).lanes().iter().map(|l| (l.id.clone(), l.entry, l.freight)).collect();
        let lane = |n: usize, entry, freight| (format!("JCZ-1.L{n}"), entry, freight);
        assert_eq!(lanes, [lane(1, true, true), lane(2, false, true), lane(3, true, false), lane(4, false, false)]);
        assert_eq!(DemoSite::new(6, noon()).lanes()[5].id, "JCZ-2.L2");
    }
}

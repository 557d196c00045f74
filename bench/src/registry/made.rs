//! A made-up registry, the same every time: production trucks with card, task and carrier, some of
//! them with a trouble, half of them with a history.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portgate_core::facts::{Presence, UseBook, UseState};
use portgate_core::read::{PlateRead, ReadMessage};
use portgate_core::registry::{Kind, Record};
use portgate_core::time::Instant;
use serde_json::{json, Value};

/// Raised when the registries made are others than before: those that lie in the cache are made anew.
pub const EDITION: u32 = 2;
/// The instant of all decisions: 2026-03-10T10:00:00+08:00.
pub const AT: Instant = Instant::from_millis(1_773_108_000_000);
/// The checkpoint of all decisions.
pub const CHECKPOINT: &str = "JCZ-1";
/// Vehicles of one carrier.
const FLEET: u64 = 500;
/// Where plates are from.
const PLACES: [&str; 8] = ["苏G", "鲁B", "浙B", "皖A", "沪A", "豫A", "冀B", "粤B"];
/// Characters of a plate's serial number: no I, no O.
const SERIAL: &[u8; 34] = b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Serial numbers of five such characters.
const SERIALS: u64 = 34 * 34 * 34 * 34 * 34;
/// Without a common factor with that number, and odd: steps through all of them.
const STEP: u64 = 7_368_787;

/// One vehicle with all that is on record of it.
pub struct Made {
    /// Its number in the registry, from 0.
    pub number: u64,
    /// Plate.
    pub plate: String,
    /// What its card reader reports.
    pub card: String,
    /// Code of its task.
    pub task: String,
    /// Its carrier.
    pub enterprise: String,
    /// Category.
    pub category: &'static str,
    /// A card for one visit, else for a year.
    pub single: bool,
    /// Has been here before.
    pub history: bool,
    /// Trouble: below 1000, evenly.
    trouble: u64,
    /// Carriers of the registry that are deregistered have this carrier's number among them.
    deregistered: bool,
}

impl Made {
    /// Vehicle `number` of a registry of `vehicles`.
    pub fn vehicle(number: u64, vehicles: u64) -> Self {
        let chance = mixed(number);
        let enterprise = chance % carriers(vehicles);
        let category = match chance >> 16 & 7 {
            0..=3 => "PF_GENERAL",
            4 => "PF_TRADE",
            5 => "PF_DG",
            6 => "PF_OTHER",
            _ => "PF_SHORT_HAUL",
        };
        Self {
            number,
            plate: plate(number),
            card: format!("E2{:010X}", number.wrapping_mul(0x9E_3779_B97F) & 0xFF_FFFF_FFFF),
            task: format!("HP2603{number:08}"),
            enterprise: format!("LYG-YS-{enterprise:05}"),
            category,
            single: category != "PF_SHORT_HAUL" && chance >> 20 & 3 != 0,
            history: chance >> 24 & 1 == 0,
            trouble: (chance >> 32) % 1000,
            deregistered: out_of_business(enterprise),
        }
    }

    fn lost(&self) -> bool {
        self.trouble < 10
    }
    fn unregistered(&self) -> bool {
        (10..20).contains(&self.trouble)
    }
    /// Last day of its documents.
    pub fn documents_valid_to(&self) -> &'static str {
        if (20..30).contains(&self.trouble) {
            "2026-02-28"
        } else {
            "2026-12-31"
        }
    }
    /// End of a ban, if it was ever banned.
    pub fn ban_to(&self) -> Option<&'static str> {
        match self.trouble {
            30..32 => Some("2026-09-01T00:00:00+08:00"),
            32..42 => Some("2025-09-01T00:00:00+08:00"),
            _ => None,
        }
    }
    /// Start of that ban.
    pub fn ban_from(&self) -> &'static str {
        if self.trouble < 32 {
            "2025-09-01T00:00:00+08:00"
        } else {
            "2024-09-01T00:00:00+08:00"
        }
    }
    /// State of its task.
    pub fn task_state(&self) -> &'static str {
        if (42..60).contains(&self.trouble) {
            "COMPLETED"
        } else {
            "CALLED"
        }
    }
    /// Whether the gate has it inside.
    pub fn inside(&self) -> bool {
        (60..70).contains(&self.trouble)
    }
    /// State of the order to inspect it, if there ever was one.
    pub fn inspection(&self) -> Option<&'static str> {
        match self.trouble {
            70..72 => Some("OPEN"),
            72..80 => Some("CONCLUDED"),
            _ => None,
        }
    }
    /// Status of its card.
    pub fn card_status(&self) -> &'static str {
        if self.lost() {
            "LOST"
        } else {
            "ISSUED"
        }
    }
    /// Review status of its registration.
    pub fn registration(&self) -> &'static str {
        if self.unregistered() {
            "DEREGISTERED"
        } else {
            "APPROVED"
        }
    }
    /// First and last day of its card.
    pub fn card_days(&self) -> (&'static str, &'static str) {
        if self.single {
            ("2026-03-01", "2026-03-31")
        } else {
            ("2025-07-01", "2026-06-30")
        }
    }
    /// What it is to bring out.
    pub fn cargo(&self) -> &'static str {
        ["铁矿石", "红土镍矿", "氧化铝", "大豆"][(self.number % 4) as usize]
    }
    /// Whether the gate keeps a use book of it.
    pub fn used(&self) -> bool {
        self.history || self.inside()
    }

    /// Whether nothing stands in the way of its entry.
    pub fn in_order(&self) -> bool {
        let banned = (30..32).contains(&self.trouble);
        let expired = (20..30).contains(&self.trouble);
        let finished = self.task_state() == "COMPLETED";
        let ordered = self.inspection() == Some("OPEN");
        !(self.lost() || self.unregistered() || self.deregistered || banned || expired || finished || ordered || self.inside())
    }

    /// What cameras and readers report of it.
    pub fn read(&self) -> ReadMessage {
        ReadMessage {
            lane: format!("{CHECKPOINT}.L1"),
            plate_read: Some(PlateRead {
                text: self.plate.clone(),
                confidence: 0.98,
                colour: Some("yellow".into()),
                kind: None,
                characters: Vec::new(),
                corners: None,
                settled: None,
                model: None,
            }),
            card: Some(self.card.clone()),
            ..ReadMessage::default()
        }
    }

    /// Its registry records.
    pub fn records(&self) -> Vec<(Kind, String, Value)> {
        let (from, to) = self.card_days();
        let mut records = vec![
            (
                Kind::Vehicle,
                self.plate.clone(),
                json!({
                    "category": self.category, "registration": self.registration(), "presence": "OUTSIDE", "plate_colour": "yellow",
                    "body": "FREIGHT", "enterprise": self.enterprise, "documents_valid_to": self.documents_valid_to(), "rated_load_t": 31.5,
                }),
            ),
            (
                Kind::Card,
                self.card.clone(),
                json!({
                    "type": if self.single { "SINGLE" } else { "LONG" }, "plate": self.plate, "status": self.card_status(),
                    "valid_from": from, "valid_to": to, "task": self.single.then_some(&self.task), "issue_id": self.issue(),
                }),
            ),
            (
                Kind::Task,
                self.task.clone(),
                json!({
                    "kind": "PF", "plate": self.plate, "state": self.task_state(), "cargo_out": self.cargo(),
                    "window_from": "2026-03-10T08:00:00+08:00", "window_to": "2026-03-10T20:00:00+08:00", "work_unit": "墟沟作业区",
                }),
            ),
        ];
        if let Some(to) = self.ban_to() {
            let ban = json!({"plate": self.plate, "kind": "ONE_YEAR", "from": self.ban_from(), "to": to});
            records.push((Kind::Ban, self.ban_id(), ban));
        }
        if let Some(state) = self.inspection() {
            records.push((Kind::InspectionOrder, self.inspection_id(), json!({"plate": self.plate, "state": state, "by": "海关"})));
        }
        records
    }

    /// Id of its ban.
    pub fn ban_id(&self) -> String {
        format!("BAN-{:08}", self.number)
    }

    /// Id of its inspection order.
    pub fn inspection_id(&self) -> String {
        format!("INS-{:08}", self.number)
    }

    /// Issue of its card: it has been issued before.
    pub fn issue(&self) -> &'static str {
        "3"
    }

    /// A card and a task of its last visit, used up then: kind, id, state, issue.
    pub fn uses(&self) -> Vec<(&'static str, String, &'static str, Option<&'static str>)> {
        let mut uses = Vec::new();
        if self.history {
            uses.push(("task", format!("HP2602{:08}", self.number), "COMPLETED", None));
            if self.single {
                uses.push(("card", self.card.clone(), "RECOVERED", Some("2")));
            }
        }
        uses
    }

    /// When it was last seen.
    pub fn seen_at(&self) -> Instant {
        AT.plus_millis(-i64::try_from(self.number % 86_400).unwrap_or(0) * 1000 - 86_400_000)
    }

    /// Its use book, if it has one.
    pub fn book(&self) -> Option<UseBook> {
        let used = self.uses().into_iter().map(|(kind, id, state, issue)| {
            let state = UseState {
                state: state.to_owned(),
                issue: issue.map(str::to_owned),
                passage_id: format!("P-JCZ-1.L2-{:08}", self.number),
                at: self.seen_at(),
            };
            (format!("{kind}/{id}"), state)
        });
        self.used().then(|| UseBook {
            presence: Some(if self.inside() { Presence::Inside } else { Presence::Outside }),
            used: used.collect::<BTreeMap<_, _>>(),
            sightings: BTreeMap::from([(CHECKPOINT.to_owned(), self.seen_at())]),
            ..UseBook::default()
        })
    }
}

/// Carriers of a registry of so many vehicles.
pub fn carriers(vehicles: u64) -> u64 {
    (vehicles / FLEET).max(1)
}

/// Id, name and status of a carrier.
pub fn carrier(number: u64) -> (String, String, &'static str) {
    let status = if out_of_business(number) { "DEREGISTERED" } else { "APPROVED" };
    (format!("LYG-YS-{number:05}"), format!("连云港第{number}运输有限公司"), status)
}

fn out_of_business(carrier: u64) -> bool {
    carrier % 200 == 199
}

/// Every record of a registry as an import takes it, each field written out.
pub fn registry(vehicles: u64) -> impl Iterator<Item = (Kind, String, Value)> {
    let enterprises = (0..carriers(vehicles)).map(|n| {
        let (id, name, status) = carrier(n);
        (Kind::Enterprise, id, json!({"name": name, "status": status}))
    });
    let records = (0..vehicles).flat_map(move |n| Made::vehicle(n, vehicles).records());
    enterprises.chain(records).map(|(kind, id, value)| {
        // A record that did not parse is handed on as it is: the store refuses it.
        let value = Record::parse(kind, &id, &value).map_or(value, |record| record.to_value());
        (kind, id, value)
    })
}

fn plate(number: u64) -> String {
    let places = PLACES.len() as u64;
    let mut serial = (number / places).wrapping_mul(STEP) % SERIALS;
    let mut plate = PLACES[(number % places) as usize].to_owned();
    for _ in 0..5 {
        let _ = plate.write_char(char::from(SERIAL[(serial % 34) as usize]));
        serial /= 34;
    }
    plate
}

/// Numbers that follow each other, made to look like chance (SplitMix64).
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_stands_twice_and_every_record_is_valid() {
        let mut ids = BTreeSet::new();
        let (mut fine, n) = (0, 20_000);
        for (kind, id, value) in registry(n) {
            assert_eq!(Record::parse(kind, &id, &value).map(|r| r.to_value()), Ok(value), "{kind} {id}");
            assert!(ids.insert((kind, id)));
        }
        assert!(ids.len() as u64 >= 3 * n);
        for i in 0..n {
            fine += u64::from(Made::vehicle(i, n).in_order());
        }
        assert!((n * 85 / 100..n * 97 / 100).contains(&fine), "{fine}");
    }
}

//! Customs trips between border and yard: confirmed, driven, sometimes too slow, astray or unseen.

use portgate_core::effect::Effect;
use portgate_core::reason::Reason;
use portgate_core::row::Row;
use portgate_core::time::Instant;
use serde_json::json;

use super::traffic::{Goal, Port, Visit, HOUR, MINUTE};

/// A trip under way.
pub(super) struct Trip {
    id: String,
    import: bool,
    fast: bool,
    escort: bool,
}

impl Port {
    pub(super) fn plan_trip(&mut self, at: i64, lane: usize, import: bool) {
        if self.customs.is_empty() {
            return;
        }
        let place = self.dice.below(self.customs.len() as u64) as usize;
        let vehicle = self.customs.swap_remove(place);
        let Some(plate) = self.vehicles.get(vehicle).map(|v| v.plate.clone()) else { return };
        let n = self.trips.len();
        let id = format!("CC{n:07}");
        let fast = self.dice.below(10) < 6;
        let escort = !fast && self.dice.below(100) < 8;
        let lead = if self.dice.below(100) < 97 { self.dice.between(HOUR, 5 * HOUR) } else { self.dice.between(10 * MINUTE, HOUR) };
        let regime = if fast {
            "FAST"
        } else if escort {
            "ESCORT"
        } else {
            "TRANSIT"
        };
        let flow = if import { "IMPORT" } else { "EXPORT" };
        // Known to the gate when the vehicle sets out for it.
        self.registry(at, "trip", &id, json!({"plate": plate, "flow": flow, "regime": regime, "state": "CONFIRMED", "confirmed_at": Instant::from_micros(at - lead).to_string()}));
        let manifests = match self.dice.below(200) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for m in 0..manifests {
            self.registry(
                at,
                "manifest",
                &format!("CD{n:07}-{m}"),
                json!({"trip": id, "state": "TRANSMITTED", "transmitted_at": Instant::from_micros(at - lead).to_string()}),
            );
        }
        if escort {
            let officers = if self.dice.below(20) == 0 { 1 } else { 2 };
            let paid = self.dice.below(25) != 0;
            self.registry(
                at,
                "escort",
                &format!("YS{n:07}"),
                json!({"plate": plate, "approved": true, "officers": officers, "fee_paid": paid}),
            );
        }
        self.trips.push(Trip { id, import, fast, escort });
        self.expect(at, Goal::Trip(n as u32, 0), lane, vehicle);
    }

    pub(super) fn customs_step(&mut self, at: i64, lane: usize, vehicle: usize, trip: usize, step: u8) {
        let Some((plate, enterprise)) = self.vehicles.get(vehicle).map(|v| (v.plate.clone(), v.enterprise.clone())) else { return };
        let Some((id, import, fast, escort)) = self.trips.get(trip).map(|t| (t.id.clone(), t.import, t.fast, t.escort)) else { return };
        let mut uses = vec![(Effect::TripTimeRecorded, "trip", id.clone())];
        let last = if import { step == 1 } else { step == 2 };
        if last && escort {
            uses.push((Effect::EscortRecordDue, "escort", id.replacen("CC", "YS", 1)));
        }
        let row = match (escort, fast, import, step) {
            (true, ..) => Row::NngR11,
            (_, true, true, 0) => Row::NngR06,
            (_, true, true, _) => Row::NngR07,
            (_, true, false, 0) => Row::NngR08,
            (_, true, false, 1) => Row::NngR09,
            (_, true, false, _) => Row::NngR10,
            (_, false, true, 0) => Row::NngR01,
            (_, false, true, _) => Row::NngR02,
            (_, false, false, 1) => Row::NngR03,
            (_, false, false, _) => Row::NngR04,
        };
        let inspect = fast && import && step == 0 && self.dice.below(20) == 0;
        let green = if escort {
            Reason::EscortReleaseRequired
        } else if inspect {
            Reason::ProceedToInspection
        } else if fast {
            Reason::FastClearanceRelease
        } else {
            Reason::IcCardRelease
        };
        let fault = if last && self.dice.below(400) == 0 {
            Some((if self.dice.below(2) == 0 { Reason::SealMismatch } else { Reason::SealBroken }, 30))
        } else {
            None
        };
        let service = self.dice.skewed(22e6);
        let (stands, done) = self.turn(at, lane, service);
        let visit = Visit {
            lane,
            plate,
            category: "CUSTOMS",
            enterprise,
            row,
            green,
            fault,
            card: Some(format!("IC{vehicle:06}")),
            uses,
            entry: step == 0 || import,
            profile: "NNG",
        };
        self.visit(visit, stands, done);
        let vanishes = inspect && self.dice.below(25) == 0;
        if last || vanishes {
            self.customs.push(vehicle);
            if escort && self.dice.below(12) != 0 {
                let written = Instant::from_micros(done + self.dice.between(HOUR, 30 * HOUR));
                self.escorts.push(format!(
                    "{},{},{},{written}",
                    id.replacen("CC", "YS", 1),
                    Instant::from_micros(done - 2 * HOUR),
                    Instant::from_micros(done)
                ));
            } else if escort {
                self.escorts.push(format!(
                    "{},{},{},",
                    id.replacen("CC", "YS", 1),
                    Instant::from_micros(done - 2 * HOUR),
                    Instant::from_micros(done)
                ));
            }
            return;
        }
        let direction = match (import, step) {
            (true, _) => "IMPORT_YARD_IN",
            (false, 0) => "EXPORT_YARD_OUT",
            (false, _) => "EXPORT_BORDER_OUT",
        };
        let to: Vec<usize> = (0..self.lanes.len()).filter(|i| self.lanes.get(*i).is_some_and(|l| l.direction == direction)).collect();
        let Some(next) = to.get(self.dice.below(to.len() as u64) as usize).copied() else { return };
        let way = if self.dice.below(80) == 0 { 260.0 } else { 50.0 } * MINUTE as f64;
        let takes = self.dice.skewed(way);
        if self.dice.below(10) == 0 {
            let stop = self.dice.skewed(300.0);
            let odd = self.dice.below(12);
            self.positions.push(format!(
                "{id},{},{},{},{}",
                Instant::from_micros(done + takes / 2),
                odd != 0,
                if odd == 1 { stop * 8 } else { stop },
                odd != 2
            ));
        }
        self.expect(done + takes, Goal::Trip(trip as u32, step + 1), next, vehicle);
    }
}

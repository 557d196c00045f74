//! When a barrier may open by itself, told a second time from the decision table and without the
//! rules' code: over the scenario as it is written, its dates and instants as text.

use serde_json::Value;

/// The one condition that fails.
pub type Why = &'static str;

/// A scenario as written.
pub struct World<'v> {
    given: &'v Value,
    when: &'v Value,
    /// Plate the camera read, in normal form.
    plate: String,
    /// Event time in UTC, as text that sorts.
    at: String,
    /// The day in Shanghai.
    today: String,
}

/// Whether the row of the scenario opens and every check that applies to it passes (sections 2 to
/// 4 and 7); otherwise why not.
pub fn may_open(scenario: &Value) -> Result<(), Why> {
    let (given, when) = (&scenario["given"], &scenario["when"]);
    let plate = normal(&when["plate_read"]["text"]);
    let at = utc(&when["at"]).ok_or("no time")?;
    let world = World { given, when, plate, today: shanghai_day(&at), at };
    world.evidence()?;
    match given["checkpoint"]["profile"].as_str() {
        Some("LYG") => world.lianyungang(),
        Some("HGS") => world.horgos(),
        Some("NNG") => world.nanning(),
        _ => Err("no profile"),
    }
}

fn need(passes: bool, why: Why) -> Result<(), Why> {
    if passes {
        Ok(())
    } else {
        Err(why)
    }
}

/// 7.1: middle dots and blanks removed, upper case.
fn normal(text: &Value) -> String {
    text.as_str().unwrap_or("").chars().filter(|c| *c != '\u{b7}' && !c.is_whitespace()).flat_map(char::to_uppercase).collect()
}

/// An instant as UTC text that sorts like time.
fn utc(value: &Value) -> Option<String> {
    let t = chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(t.to_utc().format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
}

fn shifted(utc: &str, by: chrono::TimeDelta, form: &str) -> String {
    let t = chrono::NaiveDateTime::parse_from_str(utc, "%Y-%m-%dT%H:%M:%S%.6f").unwrap() + by;
    t.format(form).to_string()
}

fn shanghai_day(utc: &str) -> String {
    shifted(utc, chrono::TimeDelta::hours(8), "%Y-%m-%d")
}

/// A Lianyungang day: null or absent is no limit (7.31).
fn holds(day: &Value, today: &str) -> bool {
    day.as_str().is_none_or(|d| today <= d)
}

/// A customs day: null or absent is expired (7.31).
fn holds_at_customs(day: &Value, today: &str) -> bool {
    day.as_str().is_some_and(|d| today <= d)
}

impl World<'_> {
    fn list(&self, kind: &str) -> &[Value] {
        self.given["records"][kind].as_array().map_or(&[], Vec::as_slice)
    }

    fn of_plate(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.list(kind).iter().filter(|r| r["plate"] == *self.plate)
    }

    fn by_id(&self, kind: &str, id: &Value) -> Option<&Value> {
        self.list(kind).iter().find(|r| !id.is_null() && r["id"] == *id)
    }

    /// Half-open; null: open.
    fn within(&self, from: &Value, to: &Value) -> bool {
        utc(from).is_none_or(|f| f <= self.at) && utc(to).is_none_or(|t| self.at < t)
    }

    fn direction(&self) -> &str {
        self.given["checkpoint"]["direction"].as_str().unwrap_or("")
    }

    fn inspected(&self) -> bool {
        self.of_plate("inspection_orders").any(|o| o["state"] == "OPEN")
    }

    /// A card on record (7.5: one not yet handed out is none).
    fn card(&self) -> Option<&Value> {
        let early = ["APPLIED", "TERMINAL_OK", "RECHECKED", "APPROVED", "REJECTED"];
        self.by_id("cards", &self.when["card"]).filter(|c| early.iter().all(|s| c["status"] != *s))
    }

    fn evidence(&self) -> Result<(), Why> {
        let when = self.when;
        need(when["registry_available"] != false, "registry unreachable")?;
        need(normal(&when["manual_plate"]["text"]).is_empty(), "typed by hand")?;
        need(!self.plate.is_empty(), "no plate read")?;
        let least = self.given["config"]["plate_confidence_min"].as_f64().unwrap_or(0.90);
        need(when["plate_read"]["confidence"].as_f64().unwrap_or(0.0) >= least, "not read surely")
    }

    // ---- Lianyungang: R11, R13, R15, R17, R18, R20 ---------------------------------------------

    fn lianyungang(&self) -> Result<(), Why> {
        let entry = self.direction() == "ENTRY";
        let vehicle = self.of_plate("vehicles").last();
        let filings: Vec<&Value> = self.of_plate("receptions").filter(|r| r["state"] != "WITHDRAWN").collect();
        let visits: Vec<&Value> = self.of_plate("tasks").filter(|t| t["kind"] == "AUX").collect();
        need(!self.card().is_some_and(|c| c["plate"] != *self.plate), "another's card")?;
        need(!self.of_plate("bans").any(|b| self.within(&b["from"], &b["to"])), "banned")?;
        need(!self.inspected(), "inspection ordered")?;
        let inside = ["vehicles", "receptions", "tasks"].iter().any(|k| self.of_plate(k).any(|r| r["presence"] == "INSIDE"));
        need(entry != inside, "presence contradicts the direction")?;
        let peak = &self.given["peak_mode"];
        let peak = !peak.is_null() && peak["active"] == true && self.within(&peak["from"], &peak["to"]);

        if let Some(vehicle) = vehicle {
            let category = vehicle["category"].as_str().unwrap_or("");
            need(!category.starts_with("PF"), "production freight is manual")?;
            let carrier = self.by_id("enterprises", &vehicle["enterprise"]);
            need(!carrier.is_some_and(|e| e["status"] == "DEREGISTERED"), "carrier deregistered")?;
            need(vehicle["registration"] == "APPROVED", "not approved")?;
            need(holds(&vehicle["registration_valid_to"], &self.today), "registration over")?;
            need(self.colour(&vehicle["plate_colour"]), "colour")?;
            return if category.starts_with("BIZ") {
                self.lane(&vehicle["body"], "PASSENGER")?;
                need(entry || peak, "business exits are manual")
            } else {
                self.lane(&vehicle["body"], "FREIGHT")?;
                need(entry, "auxiliary exits are manual")?;
                self.cargo(&visits, true)
            };
        }
        if !filings.is_empty() {
            // 7.9: a FILED one valid at `at`; there is no other that opens an entry.
            let valid = |r: &&&Value| r["state"] == "FILED" && self.two_days(&r["valid_from"]);
            let consumed = |r: &&&Value| r["state"] == "CONSUMED";
            let chosen = if entry { filings.iter().find(valid) } else { filings.iter().find(consumed).or(filings.first()) };
            let filing = chosen.ok_or("no filing that is valid now")?;
            need(self.colour(&filing["plate_colour"]), "colour")?;
            self.lane(&filing["body"], "PASSENGER")?;
            return need(entry || peak, "reception exits are manual");
        }
        need(entry, "auxiliary exits are manual")?;
        // 7.10: CALLED before APPOINTED before ENTERED …; among equals one whose window holds.
        let rank = |t: &&&Value| {
            let states = ["CALLED", "APPOINTED", "ENTERED", "COMPLETED", "CANCELLED"];
            let state = states.iter().position(|s| t["state"] == *s).unwrap_or(states.len());
            (state, !self.within(&t["window_from"], &t["window_to"]))
        };
        let task = visits.iter().min_by_key(rank).ok_or("unknown vehicle")?;
        need(task["state"] == "CALLED" || task["state"] == "APPOINTED", "single visit used, done or cancelled")?;
        need(self.within(&task["window_from"], &task["window_to"]), "outside the window")?;
        self.lane(&task["body"], "FREIGHT")?;
        self.cargo(&[task], false)
    }

    /// CH-08: two calendar days.
    fn two_days(&self, first: &Value) -> bool {
        let Some(first) = first.as_str() else { return false };
        let second = shifted(&format!("{first}T00:00:00.000000"), chrono::TimeDelta::days(1), "%Y-%m-%d");
        self.today == *first || self.today == second
    }

    /// 7.4: compared only when both are given.
    fn colour(&self, registered: &Value) -> bool {
        let read = &self.when["plate_read"]["colour"];
        read.is_null() || registered.is_null() || read == registered
    }

    /// CH-12, 7.18.
    fn lane(&self, body: &Value, otherwise: &str) -> Result<(), Why> {
        let class = self.given["checkpoint"]["lane_class"].as_str().unwrap_or("");
        let body = body.as_str().unwrap_or(otherwise);
        let sent = self.when["lane_override"].as_str().is_some_and(|m| !m.trim().is_empty());
        need(sent || class == "MIXED" || body == "MICRO_FREIGHT" || body == class, "wrong lane")
    }

    /// 7.13 against the one task that counts; a long-term filed vehicle only where a live one names it.
    fn cargo(&self, tasks: &[&Value], only_live: bool) -> Result<(), Why> {
        let Some(laden) = self.when["cargo_observed"]["laden"].as_bool() else { return Ok(()) };
        let rank = |t: &&&Value| {
            let state = ["CALLED", "APPOINTED", "ENTERED"].iter().position(|s| t["state"] == *s);
            (state.unwrap_or(9), !self.within(&t["window_from"], &t["window_to"]))
        };
        let Some(task) = tasks.iter().min_by_key(rank).filter(|t| !only_live || rank(t).0 < 9) else { return Ok(()) };
        let wanted = task["cargo_in"].as_str();
        let name = self.when["cargo_observed"]["name"].as_str();
        need(laden == wanted.is_some() && (!laden || name.is_none() || name == wanted), "cargo")
    }

    // ---- Horgos: R01 to R04 ---------------------------------------------------------------------

    fn horgos(&self) -> Result<(), Why> {
        let qr = self.by_id("qr_codes", &self.when["qr"]).ok_or("no release QR code on record")?;
        need(qr["plate"] == *self.plate, "another's QR code")?;
        need(qr["state"] == "ACTIVE", "QR code used or revoked")?;
        let counts = |a: &&Value| a["state"] != "DRAFT" && a["state"] != "FILLED";
        let booked = self.of_plate("appointments").filter(counts).find(|a| a["id"] == qr["appointment"]);
        let booked = booked.ok_or("the QR code names no appointment of this plate")?;
        need(booked["kind"] == "HEAVY", "commodity vehicles are manual")?;
        need(booked["state"] != "COMPLETED" && booked["state"] != "CANCELLED", "appointment used or cancelled")?;
        // Section 4: "declaration (not for transit), plate, count": what a form declares is compared in any case.
        need(booked["transit"] == true || booked["declaration_imported"] == true, "declaration not imported")?;
        let declared = booked["declared_plate"].as_str();
        need(booked["plate_corrected"] == true || declared.is_none_or(|p| p == self.plate), "declared for another plate")?;
        let count = booked["declared_count"].as_u64();
        need(booked["count_corrected"] == true || count.is_none_or(|n| booked["vehicle_count"] == n), "count")?;
        if booked["cargo_type"] == "CBEC_LIST" {
            need(booked["release_list"].as_str().is_some_and(|l| !l.trim().is_empty()), "no release list")?;
        }
        let competent = match booked["yard"].as_str() {
            Some("HUONEI_OTHER" | "HUOWAI") => "PORT_ADMINISTRATION",
            Some(warehouse) => warehouse,
            None => return Err("no yard"),
        };
        let approves = |a: &Value| a["appointment"] == booked["id"] && a["state"] == "APPROVED" && a["approver"] == competent;
        need(self.list("approvals").iter().any(approves), "not approved by the competent body")?;
        need(!self.inspected(), "inspection ordered")
    }

    // ---- customs: R01 to R04, R06 to R10 ----------------------------------------------------------

    fn nanning(&self) -> Result<(), Why> {
        let direction = self.direction();
        let vehicle = self.of_plate("customs_vehicles").last().ok_or("not on file")?;
        let card = self.card().ok_or("no IC card on record")?;
        need(card["type"] == "IC", "no IC card")?;
        need(card["plate"] == *self.plate, "another's IC card")?;
        let dead = ["CANCELLED", "LOST", "RECOVERED", "HANDED_OVER"];
        need(dead.iter().all(|s| card["status"] != *s), "IC card not in the holder's hands")?;
        let carrier = self.by_id("customs_enterprises", &vehicle["enterprise"]).ok_or("carrier not on record")?;
        need(carrier["status"] == "REGISTERED", "carrier not registered")?;
        need(holds_at_customs(&carrier["certificate_valid_to"], &self.today), "certificate over")?;
        need(holds_at_customs(&carrier["guarantee_valid_to"], &self.today), "guarantee over")?;
        need(holds_at_customs(&vehicle["permit_valid_to"], &self.today), "permit over")?;
        need(holds_at_customs(&vehicle["permit_review_due"], &self.today), "review missed")?;
        if !self.when["driver"].is_null() {
            let driver = self.by_id("customs_drivers", &self.when["driver"]).ok_or("driver not filed")?;
            need(driver["enterprise"] == vehicle["enterprise"], "driver of another carrier")?;
            need(holds_at_customs(&driver["contract_valid_to"], &self.today), "contract over")?;
        }
        let flow = if direction.starts_with("IMPORT") { "IMPORT" } else { "EXPORT" };
        let open = |t: &&Value| t["flow"] == flow && t["state"] != "COMPLETED";
        let trip = self.of_plate("trips").find(open).ok_or("no trip")?;
        let fast = trip["regime"] == "FAST";
        let counts = |m: &&Value| m["trip"] == trip["id"] && utc(&m["transmitted_at"]).is_some_and(|t| t < self.at);
        let manifests: Vec<&Value> = self.list("manifests").iter().filter(counts).collect();
        need(manifests.iter().any(|m| m["state"] == "TRANSMITTED"), "no manifest, or written off")?;
        if fast {
            need(manifests.len() == 1, "more than one manifest")?;
            need(vehicle["gps_approved"] == true && vehicle["eseal_approved"] == true, "equipment")?;
            if direction == "IMPORT_BORDER_IN" || direction == "EXPORT_YARD_IN" {
                let hour_before = shifted(&self.at, chrono::TimeDelta::minutes(-60), "%Y-%m-%dT%H:%M:%S%.6f");
                need(utc(&trip["confirmed_at"]).is_some_and(|t| t <= hour_before), "not confirmed an hour before")?;
            }
            if direction == "EXPORT_YARD_IN" {
                let lodged = utc(&trip["declaration_lodged_at"]);
                need(lodged.is_none_or(|l| manifests.iter().all(|m| utc(&m["transmitted_at"]).is_some_and(|t| t < l))), "manifest late")?;
            }
        } else {
            need(direction != "EXPORT_YARD_IN", "no article lets transit into the export yard by itself")?;
        }
        let seal = &self.when["seal"];
        // Wherever a seal is looked at, a broken one holds (corner case 30, NNG-T5d).
        need(seal["intact"] != false, "seal broken")?;
        match direction {
            "IMPORT_BORDER_IN" | "EXPORT_YARD_OUT" => need(trip["seal_no"].is_string(), "seal not recorded")?,
            "IMPORT_YARD_IN" | "EXPORT_BORDER_OUT" => {
                need(trip["seal_no"].is_string() && seal["no"] == trip["seal_no"], "seal")?;
                need(trip["deviation"] != true, "deviation")?;
            }
            _ => {}
        }
        let passes_on = fast && !direction.ends_with("_OUT");
        need(passes_on || !self.inspected(), "inspection ordered")
    }
}

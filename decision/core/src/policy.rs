//! The policy: every choice the regulations leave open (`CH-nn`) as a typed switch with its
//! recommended default, versioned by the hash of its canonical JSON.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// CH-11: what a failure comes to that the table refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefuseMode {
    /// As the table says.
    #[default]
    Strict,
    /// Every Refuse is applied as Hold.
    HoldAll,
}

/// CH-02, CH-27: whether a row that may open by text needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseMode {
    /// A person releases.
    Manual,
    /// The barrier opens when every check passed.
    Auto,
}

/// CH-13: who needs an exit permit (出门证).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitPermitMode {
    /// Every production freight and auxiliary vehicle.
    #[default]
    Always,
    /// Those not observed empty.
    LadenOnly,
}

/// The switches in force at a checkpoint. A field left out has its recommended default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// CH-20: a camera read counts from this confidence on, 0 to 1.
    pub plate_confidence_min: f64,
    /// CH-20: camera and card events of one lane pair within this many seconds.
    pub pairing_window_s: u32,
    /// A plate seen in a single frame counts as settled after this many milliseconds.
    pub lone_frame_settle_ms: u32,
    /// A barrier command must be executed within this many seconds.
    pub command_expiry_s: u32,
    /// An approach of which nothing more is heard ends after this many seconds.
    pub approach_idle_expiry_s: u32,
    /// A manager's lane override counts for the vehicle at the lane this many seconds (CH-12).
    pub lane_override_s: u32,
    /// A device's clock further than this many seconds from the gate's is not trusted: the gate's
    /// time counts instead, because a fraud could lie in a device's clock. None: always trusted.
    pub clock_skew_max_s: Option<u32>,
    /// CH-11.
    pub refuse_mode: RefuseMode,
    /// CH-02: production freight.
    pub production_release_mode: ReleaseMode,
    /// CH-27: Horgos heavy vehicles with a release QR code.
    pub hgs_heavy_release_mode: ReleaseMode,
    /// CH-14: an appointed task needs the terminal's release instruction.
    pub require_release_instruction: bool,
    /// CH-13.
    pub exit_permit: ExitPermitMode,
    /// CH-04: resident-enterprise vehicles need no port pass card.
    pub resident_card_exempt: bool,
    /// CH-05: resident-enterprise vehicles need a task.
    pub resident_task_required: bool,
    /// CH-08: calendar days a reception filing is valid.
    pub reception_days: u32,
    /// CH-15: short-haul vehicles need the terminal's consent to leave.
    pub leave_consent_required: bool,
    /// CH-42: a fast-clearance trip is confirmed at least this many minutes before arrival.
    pub trip_confirmation_min: u32,
    /// CH-48: officers an escort has at least.
    pub escort_officers_min: u32,
    /// CH-51: least seconds between two different checkpoints whose pair is not listed; 0: any.
    pub travel_min_default_s: u32,
    /// CH-51: least seconds from one checkpoint to another, configured or learned.
    pub travel_min_s: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            plate_confidence_min: 0.90,
            pairing_window_s: 20,
            lone_frame_settle_ms: 800,
            command_expiry_s: 10,
            approach_idle_expiry_s: 600,
            lane_override_s: 600,
            clock_skew_max_s: Some(300),
            refuse_mode: RefuseMode::Strict,
            production_release_mode: ReleaseMode::Manual,
            hgs_heavy_release_mode: ReleaseMode::Auto,
            require_release_instruction: true,
            exit_permit: ExitPermitMode::Always,
            resident_card_exempt: true,
            resident_task_required: true,
            reception_days: 2,
            leave_consent_required: true,
            trip_confirmation_min: 60,
            escort_officers_min: 2,
            travel_min_default_s: 60,
            travel_min_s: BTreeMap::new(),
        }
    }
}

/// A switch outside the range in which it makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{switch} must be {wanted}")]
pub struct PolicyError {
    /// Name of the switch.
    pub switch: &'static str,
    /// Its place in a policy record.
    pub place: &'static str,
    /// What it may be.
    pub wanted: &'static str,
}

impl Policy {
    /// Whether every switch is inside its range.
    ///
    /// # Errors
    /// Names the first switch that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let ranges = [
            (self.plate_confidence_min > 0.0 && self.plate_confidence_min <= 1.0, "switches.plate_confidence_min", "above 0 and at most 1"),
            ((1..=300).contains(&self.pairing_window_s), "switches.pairing_window_s", "1 to 300 seconds"),
            (self.lone_frame_settle_ms <= 10_000, "switches.lone_frame_settle_ms", "at most 10000 milliseconds"),
            ((1..=300).contains(&self.command_expiry_s), "switches.command_expiry_s", "1 to 300 seconds"),
            ((1..=86_400).contains(&self.approach_idle_expiry_s), "switches.approach_idle_expiry_s", "1 to 86400 seconds"),
            ((1..=86_400).contains(&self.lane_override_s), "switches.lane_override_s", "1 to 86400 seconds"),
            ((1..=31).contains(&self.reception_days), "switches.reception_days", "1 to 31 days"),
            (self.trip_confirmation_min <= 10_080, "switches.trip_confirmation_min", "at most 10080 minutes, a week"),
            ((1..=100).contains(&self.escort_officers_min), "switches.escort_officers_min", "1 to 100"),
            (self.travel_min_default_s <= 86_400, "switches.travel_min_default_s", "at most 86400 seconds"),
            (
                self.travel_min_s.values().flat_map(BTreeMap::values).all(|s| *s <= 86_400),
                "switches.travel_min_s",
                "at most 86400 seconds between any two checkpoints",
            ),
        ];
        match ranges.into_iter().find(|(inside, _, _)| !inside) {
            Some((_, place, wanted)) => Err(PolicyError { switch: place.strip_prefix("switches.").unwrap_or(place), place, wanted }),
            None => Ok(()),
        }
    }

    /// The revision id: the first 16 hex digits of the SHA-256 of the canonical JSON (every switch
    /// written out, in the order of the struct, maps sorted). Equal values have equal ids.
    pub fn revision(&self) -> String {
        // INVARIANT: the struct has string keys and, after `check`, finite numbers; it serialises.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(canonical)).chars().take(16).collect()
    }

    /// Least seconds between sightings of one plate at two checkpoints, in either direction.
    pub fn travel_min_between(&self, a: &str, b: &str) -> u32 {
        let one_way = |from: &str, to: &str| self.travel_min_s.get(from).and_then(|row| row.get(to)).copied();
        match (one_way(a, b), one_way(b, a)) {
            (Some(x), _) | (None, Some(x)) => x,
            (None, None) => self.travel_min_default_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_defaults_are_in_range_and_what_is_left_out_has_them() {
        assert_eq!(Policy::default().check(), Ok(()));
        let one: Policy = serde_json::from_str(r#"{"exit_permit": "laden_only"}"#).unwrap();
        assert_eq!(one, Policy { exit_permit: ExitPermitMode::LadenOnly, ..Policy::default() });
        assert!(serde_json::from_str::<Policy>(r#"{"exit_permit": "never"}"#).is_err());
    }

    #[test]
    fn a_revision_names_the_values_and_nothing_else() {
        let policy = Policy::default();
        let back: Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
        assert_eq!(policy.revision(), back.revision());
        assert_eq!(policy.revision().len(), 16);
        let other = Policy { pairing_window_s: 21, ..Policy::default() };
        assert_ne!(policy.revision(), other.revision());
    }

    #[test]
    fn travel_times_hold_both_ways() {
        let mut policy = Policy::default();
        policy.travel_min_s.entry("A".into()).or_default().insert("B".into(), 300);
        assert_eq!((policy.travel_min_between("A", "B"), policy.travel_min_between("B", "A")), (300, 300));
        assert_eq!(policy.travel_min_between("A", "C"), 60);
    }
}

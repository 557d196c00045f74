//! The registry: kinds of records (the singulars of `given.records` in the scenario files, and the
//! gate's own: site, checkpoint, lane, peak_mode, policy), their fields and how they are read.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod record;
mod records;
mod words;

pub use record::{Record, RecordError, RecordSeed};
pub use records::*;
pub use words::*;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of a registry record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each variant is the record of that name in `registry.md`
pub enum Kind {
    Enterprise,
    Vehicle,
    Card,
    Task,
    Reception,
    Ban,
    ExitPermit,
    LeaveConsent,
    InspectionOrder,
    Appointment,
    Approval,
    QrCode,
    CustomsEnterprise,
    CustomsVehicle,
    CustomsDriver,
    Trip,
    Manifest,
    Escort,
    Site,
    Checkpoint,
    Lane,
    PeakMode,
    Policy,
}

/// A kind that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no registry kind; the kinds are enterprise, vehicle, card, task, reception, ban, exit_permit, leave_consent, inspection_order, appointment, approval, qr_code, customs_enterprise, customs_vehicle, customs_driver, trip, manifest, escort, site, checkpoint, lane, peak_mode, policy")]
pub struct UnknownKind(pub String);

impl Kind {
    /// Every kind, in a fixed order.
    pub const ALL: [Self; 23] = [
        Self::Enterprise,
        Self::Vehicle,
        Self::Card,
        Self::Task,
        Self::Reception,
        Self::Ban,
        Self::ExitPermit,
        Self::LeaveConsent,
        Self::InspectionOrder,
        Self::Appointment,
        Self::Approval,
        Self::QrCode,
        Self::CustomsEnterprise,
        Self::CustomsVehicle,
        Self::CustomsDriver,
        Self::Trip,
        Self::Manifest,
        Self::Escort,
        Self::Site,
        Self::Checkpoint,
        Self::Lane,
        Self::PeakMode,
        Self::Policy,
    ];

    /// The name in addresses, keys and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Vehicle => "vehicle",
            Self::Card => "card",
            Self::Task => "task",
            Self::Reception => "reception",
            Self::Ban => "ban",
            Self::ExitPermit => "exit_permit",
            Self::LeaveConsent => "leave_consent",
            Self::InspectionOrder => "inspection_order",
            Self::Appointment => "appointment",
            Self::Approval => "approval",
            Self::QrCode => "qr_code",
            Self::CustomsEnterprise => "customs_enterprise",
            Self::CustomsVehicle => "customs_vehicle",
            Self::CustomsDriver => "customs_driver",
            Self::Trip => "trip",
            Self::Manifest => "manifest",
            Self::Escort => "escort",
            Self::Site => "site",
            Self::Checkpoint => "checkpoint",
            Self::Lane => "lane",
            Self::PeakMode => "peak_mode",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(s: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|k| k.as_str() == s).ok_or_else(|| UnknownKind(s.chars().take(40).collect()))
    }
}

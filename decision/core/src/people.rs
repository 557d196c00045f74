//! Who may say what: roles of accounts, and a person as a record keeps them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The role of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Checkpoint guard: releases and refuses what is held.
    Guard,
    /// Checkpoint supervisor: also what was refused, peak pass mode, lane override.
    Supervisor,
    /// Security team: violators, full plates.
    Security,
    /// Analyst: questions in SQL, masked plates.
    Analyst,
    /// Keeps the registry.
    Registrar,
    /// Customs officer: releases customs rows.
    Customs,
    /// Administers accounts and policy.
    Administrator,
    /// A camera, reader or barrier, not a person.
    Device,
}

impl Role {
    /// Every role, in the order of the contract.
    pub const ALL: [Self; 8] =
        [Self::Guard, Self::Supervisor, Self::Security, Self::Analyst, Self::Registrar, Self::Customs, Self::Administrator, Self::Device];

    /// The role's name as accounts, files and messages write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Supervisor => "supervisor",
            Self::Security => "security",
            Self::Analyst => "analyst",
            Self::Registrar => "registrar",
            Self::Customs => "customs",
            Self::Administrator => "administrator",
            Self::Device => "device",
        }
    }
}

/// The account behind a request or a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Account name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Lanes a device may post for; empty: every lane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<String>,
}

impl Principal {
    /// Whether this account may post reads and frames for the lane.
    pub fn may_post_for(&self, lane: &str) -> bool {
        self.lanes.is_empty() || self.lanes.iter().any(|l| l == lane)
    }
}

//! Violations: suspicions put on record, verified or dismissed by the body the regulation names,
//! and the sanctions that a person may then decide.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{Principal, Role};
use crate::registry::{Kind, Profile};
use crate::time::Instant;

macro_rules! violations {
    ($($variant:ident $code:literal $doc:literal;)+) => {
        /// A violation raised at decision or passage time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Violation { $(#[doc = $doc] #[serde(rename = $code)] $variant),+ }

        impl Violation {
            /// Every violation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable code, like `V_CARD_MISUSE`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

violations! {
    WrongLane "V_WRONG_LANE" "In the wrong lane class without a manager's override.";
    CardMisuse "V_CARD_MISUSE" "Card, IC card or QR code used for another vehicle, after cancellation, loss or use.";
    ClonePlateSuspected "V_CLONE_PLATE_SUSPECTED" "Signs of a clone plate (套牌).";
    BannedAttempt "V_BANNED_ATTEMPT" "A banned or blacklisted vehicle presented itself for entry.";
    CargoMismatch "V_CARGO_MISMATCH" "Cargo or VIN differs from task or declaration.";
    UnauthorisedLeave "V_UNAUTHORISED_LEAVE" "A short-haul vehicle leaves without consent.";
    SealTamper "V_SEAL_TAMPER" "Seal number differs or seal broken.";
    RouteDeviation "V_ROUTE_DEVIATION" "Left the approved route on the way.";
    Tailgating "V_TAILGATING" "Passage without an authorisation of its own (一车一杆).";
    PassedWhileRefused "V_PASSED_WHILE_REFUSED" "Passed although refused, or although held without release.";
}

// ---- who finds, and what follows -----------------------------------------------------------

/// A body that the regulations give a say (`registry.md`, roles).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Body {
    /// Guard of the checkpoint.
    Guard,
    /// Supervisor of the checkpoint (检查站管理人员).
    CheckpointSupervisor,
    /// Public Asset Management Company (公管公司).
    Pamc,
    /// Road port (公路港).
    RoadPort,
    /// Port Police Branch (港口分局).
    PortPolice,
    /// Traffic police (交巡警).
    TrafficPolice,
    /// Terminal company (码头公司).
    Terminal,
    /// Production Business Department (生产业务部): decides sanctions.
    Pbd,
    /// Port administration (口岸管理局).
    PortAdmin,
    /// Customs (海关).
    Customs,
}

impl Body {
    /// As messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "GUARD",
            Self::CheckpointSupervisor => "CHECKPOINT_SUPERVISOR",
            Self::Pamc => "PAMC",
            Self::RoadPort => "ROAD_PORT",
            Self::PortPolice => "PORT_POLICE",
            Self::TrafficPolice => "TRAFFIC_POLICE",
            Self::Terminal => "TERMINAL",
            Self::Pbd => "PBD",
            Self::PortAdmin => "PORT_ADMIN",
            Self::Customs => "CUSTOMS",
        }
    }

    /// Whether an account of that role speaks for it. Bodies without desks at the gate are spoken
    /// for by the security team, the department that keeps the registry by the registrar.
    pub const fn is_spoken_for_by(self, role: Role) -> bool {
        match self {
            Self::Guard => matches!(role, Role::Guard | Role::Supervisor),
            Self::CheckpointSupervisor => matches!(role, Role::Supervisor),
            Self::Pamc | Self::RoadPort | Self::PortPolice | Self::TrafficPolice | Self::Terminal | Self::PortAdmin => {
                matches!(role, Role::Security)
            }
            Self::Pbd => matches!(role, Role::Registrar),
            Self::Customs => matches!(role, Role::Customs),
        }
    }
}

/// A ground of the one-year forced exit (LYG-2.5b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    /// Breach of the vehicle rules of the Measures.
    B1,
    /// Breach of terminal units' production-safety rules.
    B2,
    /// Breach of entry/exit inspection requirements, verified by the Public Asset Management Company.
    B3,
    /// Breach of road-port rules, verified by the road port.
    B4,
    /// Disturbing port public order, verified by the Port Police Branch.
    B5,
}

impl Ground {
    /// The statement of `regulations.md`.
    pub const fn cite(self) -> &'static str {
        match self {
            Self::B1 => "LYG-2.5b1",
            Self::B2 => "LYG-2.5b2",
            Self::B3 => "LYG-2.5b3",
            Self::B4 => "LYG-2.5b4",
            Self::B5 => "LYG-2.5b5",
        }
    }

    /// The body the text names; none: it names none.
    pub const fn body(self) -> Option<Body> {
        match self {
            Self::B1 | Self::B2 => None,
            Self::B3 => Some(Body::Pamc),
            Self::B4 => Some(Body::RoadPort),
            Self::B5 => Some(Body::PortPolice),
        }
    }
}

/// An offence that costs a card (LYG-6.4). Findings of the traffic police on the East Port road
/// (LYG-6.4f) are none of the gate's suspicions; they reach the registry from their own body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Offence {
    /// Declared although its documents are unlawful or incomplete (LYG-6.4c).
    Documents,
    /// Theft of cargo (LYG-6.4d).
    CargoTheft,
    /// Swapping of cargo (LYG-6.4d).
    CargoSwap,
}

/// What a person does with a violation or with a sanction proposed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// It is so: SUSPECTED → VERIFIED.
    Verify,
    /// It is not: SUSPECTED → DISMISSED.
    Dismiss,
    /// The proposed sanction is decided: PROPOSED → ACCEPTED; its records are written.
    Accept,
    /// The proposed sanction is not imposed: PROPOSED → REJECTED.
    Reject,
}

/// A sanction of the regulations (`violations-and-analytics.md` section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SanctionKind {
    /// Blacklist of a short-haul vehicle that left without consent (LYG-6.4e, CH-17).
    Blacklist,
    /// One-year forced exit (LYG-2.5b).
    OneYearBan,
    /// Every port pass card of the vehicle is cancelled (LYG-6.4c).
    CancelCards,
    /// The long-term card of the vehicle is cancelled (LYG-6.4d).
    CancelLongCard,
}

impl SanctionKind {
    /// As messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blacklist => "BLACKLIST",
            Self::OneYearBan => "ONE_YEAR_BAN",
            Self::CancelCards => "CANCEL_CARDS",
            Self::CancelLongCard => "CANCEL_LONG_CARD",
        }
    }
}

/// How far a sanction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SanctionStatus {
    /// It follows from what was verified; nothing has happened.
    Proposed,
    /// A person has decided it; its records go to the registry.
    Accepted,
    /// A person has decided against it.
    Rejected,
}

/// A record that an accepted sanction writes; what goes to `portgate.registry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryWrite {
    /// Kind.
    pub kind: Kind,
    /// Id.
    pub id: String,
    /// The record.
    pub value: serde_json::Value,
}

/// A sanction proposed from a verified violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sanction {
    /// Id, unique over the life of the site.
    pub sanction_id: String,
    /// Which one.
    pub kind: SanctionKind,
    /// The clause it rests on.
    pub cite: String,
    /// The body that decides it.
    pub decided_by: Body,
    /// How far it has come.
    pub status: SanctionStatus,
    /// When it was proposed, the gate's time.
    pub proposed_at: Instant,
    /// When it was decided.
    pub decided_at: Option<Instant>,
    /// Who decided it.
    pub by: Option<Principal>,
    /// Why.
    pub note: Option<String>,
    /// What it writes to the registry; empty before it is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<RegistryWrite>,
}

/// What a person verified a violation as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose finding it is.
    pub body: Body,
    /// The ground of a forced exit.
    pub ground: Option<Ground>,
    /// The offence.
    pub offence: Option<Offence>,
}

impl Violation {
    /// The violation of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| v.as_str() == code)
    }

    /// The bodies one of which verifies or dismisses it, the first named by the norm (section 2.2,
    /// *Consequence*). Horgos' and customs' own violations are their own bodies'.
    pub const fn bodies(self, profile: Profile) -> &'static [Body] {
        use Body::{CheckpointSupervisor, Customs, Guard, Pamc, PortAdmin, PortPolice, RoadPort, Terminal, TrafficPolice};
        match (self, profile) {
            // LYG-0.11a, LYG-7.4, LYG-7.8b: criticism and education by the guard.
            (Self::WrongLane, _) => &[Guard],
            // LYG-5.5a, LYG-6.3b: the Public Asset Management Company may verify it as ground 2.5b3.
            (Self::CardMisuse, Profile::Lyg) => &[Pamc, RoadPort, PortPolice],
            (Self::CardMisuse, Profile::Hgs) => &[PortAdmin],
            (Self::CardMisuse, Profile::Nng) => &[Customs],
            // LYG-6.1b3: referred to the traffic police.
            (Self::ClonePlateSuspected, _) => &[TrafficPolice, PortPolice],
            // LYG-7.8b: prohibition of entry; serious cases to the port police.
            (Self::BannedAttempt, _) => &[CheckpointSupervisor, PortPolice],
            // LYG-6.4d: serious cases to the port police; HGS-1.5c: the VINs are checked by hand.
            (Self::CargoMismatch, Profile::Hgs) => &[Guard, CheckpointSupervisor],
            (Self::CargoMismatch, Profile::Lyg | Profile::Nng) => &[CheckpointSupervisor, PortPolice],
            // LYG-6.4e: whose consent was lacking.
            (Self::UnauthorisedLeave, _) => &[Terminal],
            // NNG-1.5.i5, NNG-1.5.e5, NNG-T3, NNG-T5d.
            (Self::SealTamper | Self::RouteDeviation, _) => &[Customs],
            // LYG-3.7, LYG-4.4a; LYG-7.8b: serious cases to the port police.
            (Self::Tailgating | Self::PassedWhileRefused, Profile::Lyg | Profile::Hgs) => &[Guard, PortPolice],
            (Self::Tailgating | Self::PassedWhileRefused, Profile::Nng) => &[Customs, Guard],
        }
    }

    /// Whether only a vehicle that went through has done it: an attempt stays suspected
    /// (sections 2.2, CH-15).
    pub const fn needs_passage(self) -> bool {
        match self {
            Self::WrongLane | Self::UnauthorisedLeave => true,
            Self::CardMisuse
            | Self::ClonePlateSuspected
            | Self::BannedAttempt
            | Self::CargoMismatch
            | Self::SealTamper
            | Self::RouteDeviation
            | Self::Tailgating
            | Self::PassedWhileRefused => false,
        }
    }

    /// What contradicts the norm in a finding, in words; none: it stands.
    pub fn objection(self, profile: Profile, found: Found) -> Option<String> {
        if (found.ground.is_some() || found.offence.is_some()) && profile != Profile::Lyg {
            return Some("grounds and offences are of the Lianyungang rules only".to_owned());
        }
        if let Some(named) = found.ground.and_then(Ground::body).filter(|b| *b != found.body) {
            let ground = found.ground.map_or("", Ground::cite);
            return Some(format!("{ground} is verified by {}", named.as_str()));
        }
        let fits = match found.offence {
            None => true,
            Some(Offence::CargoTheft | Offence::CargoSwap) => self == Self::CargoMismatch,
            Some(Offence::Documents) => matches!(self, Self::CardMisuse | Self::ClonePlateSuspected),
        };
        (!fits).then(|| "this violation is no such offence: cargo offences go with V_CARGO_MISMATCH, DOCUMENTS with V_CARD_MISUSE or V_CLONE_PLATE_SUSPECTED".to_owned())
    }

    /// The sanctions that follow from it once verified so, each with its clause (section 3). All are
    /// decided by the Production Business Department; none is imposed by the gate.
    pub fn sanctions(self, found: Found) -> Vec<(SanctionKind, &'static str)> {
        let leave = (self == Self::UnauthorisedLeave).then_some((SanctionKind::Blacklist, "LYG-6.4e"));
        let exit = found.ground.map(|g| (SanctionKind::OneYearBan, g.cite()));
        let cards = found.offence.map(|o| match o {
            Offence::Documents => (SanctionKind::CancelCards, "LYG-6.4c"),
            Offence::CargoTheft | Offence::CargoSwap => (SanctionKind::CancelLongCard, "LYG-6.4d"),
        });
        [leave, exit, cards].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 3] = [Profile::Lyg, Profile::Hgs, Profile::Nng];

    #[test]
    fn every_violation_has_a_body_and_every_body_a_voice() {
        for violation in Violation::ALL {
            assert_eq!(Violation::from_code(violation.as_str()), Some(*violation));
            for profile in PROFILES {
                let bodies = violation.bodies(profile);
                assert!(!bodies.is_empty(), "{violation:?}");
                for body in bodies {
                    let voices: Vec<Role> = Role::ALL.into_iter().filter(|r| body.is_spoken_for_by(*r)).collect();
                    assert!(!voices.is_empty() && !voices.contains(&Role::Device) && !voices.contains(&Role::Analyst), "{body:?}");
                }
            }
        }
        assert_eq!(Violation::CardMisuse.bodies(Profile::Nng), [Body::Customs]);
    }

    #[test]
    fn a_ground_is_verified_by_the_body_the_text_names() {
        let found = |body, ground| Found { body, ground: Some(ground), offence: None };
        let misuse = Violation::CardMisuse;
        assert_eq!(misuse.objection(Profile::Lyg, found(Body::Pamc, Ground::B3)), None);
        assert_eq!(misuse.objection(Profile::Lyg, found(Body::RoadPort, Ground::B3)).as_deref(), Some("LYG-2.5b3 is verified by PAMC"));
        assert_eq!(misuse.objection(Profile::Lyg, found(Body::RoadPort, Ground::B4)), None);
        assert_eq!(misuse.objection(Profile::Lyg, found(Body::RoadPort, Ground::B1)), None, "the text names nobody");
        assert!(misuse.objection(Profile::Nng, found(Body::Customs, Ground::B1)).is_some());
    }

    #[test]
    fn sanctions_follow_from_what_was_verified_and_from_nothing_else() {
        let found = |ground, offence| Found { body: Body::Pamc, ground, offence };
        assert!(Violation::CardMisuse.sanctions(found(None, None)).is_empty());
        assert_eq!(Violation::CardMisuse.sanctions(found(Some(Ground::B3), None)), [(SanctionKind::OneYearBan, "LYG-2.5b3")]);
        assert_eq!(Violation::UnauthorisedLeave.sanctions(found(None, None)), [(SanctionKind::Blacklist, "LYG-6.4e")]);
        let swap = Violation::CargoMismatch.sanctions(found(None, Some(Offence::CargoSwap)));
        assert_eq!(swap, [(SanctionKind::CancelLongCard, "LYG-6.4d")]);
        let wrong = Found { body: Body::Guard, ground: None, offence: Some(Offence::CargoTheft) };
        assert!(Violation::WrongLane.objection(Profile::Lyg, wrong).is_some());
    }
}

//! The rules: facts + what was read + arrival + policy → outcome. Pure.
//!
//! All applicable checks run and each failure adds one reason (decision-table section 1). The
//! checks of a profile are in [`lianyungang`], [`horgos`] and [`nanning`]; what they share is here.
//!
//! Read beside the regulations: what a reason says, rests on and comes to is one line of
//! [`crate::reason`], the article shown one of [`crate::cite`], what a passage changes one of
//! [`crate::row`]; when a reason is found stands in
//!
//! | check | subject | where |
//! |---|---|---|
//! | C01 | evidence, identity | `identity::establish`, `outcome::unavailable` |
//! | C02 | lane | `lianyungang::check_lane` |
//! | C03 | agreement of plate, card, QR code, colour | `lianyungang::checks`, `horgos::checks`, `nanning::checks` |
//! | C04 | ban, blacklist, carrier | `lianyungang::checks`, `lianyungang::check_registration` |
//! | C05 | registration | `lianyungang::checks`, `lianyungang::check_registration` |
//! | C06 | validity | `lianyungang::check_registration`, `lianyungang::check_reception` |
//! | C07 | card required or exempt | `lianyungang::check_card`, `nanning::filed` |
//! | C08 | card validity | `lianyungang::check_card`, `nanning::filed` |
//! | C09 | task, release instruction, appointment | `lianyungang::check_task`, `horgos::checks` |
//! | C10 | cargo against task | `lianyungang::check_cargo` |
//! | C11 | exit permit | `lianyungang::check_exit_permit` |
//! | C12 | terminal's consent | `lianyungang::check_consent` |
//! | C13 | customs subjects | `nanning::checks`, `nanning::check_subjects`, `nanning::escorted` |
//! | C14 | manifest, trip, transit declaration, equipment | `nanning::check_trip`, `nanning::filed`, `nanning::escorted` |
//! | C15 | seal, route | `nanning::check_seal` |
//! | C16 | declaration, approval, QR code, VINs | `horgos::checks`, `horgos::heavy`, `horgos::commodity` |
//! | C17 | single use, presence, elsewhere | `lianyungang::check_reception`, `lianyungang::checks`, `check_elsewhere` |
//! | C18 | inspection | `check_inspection`, `nanning::filed` |
//! | C19 | release mode | `lianyungang::release_mode`, `horgos::checks`, `nanning::filed`, `nanning::escorted` |

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod horgos;
mod identity;
mod lianyungang;
mod nanning;
mod outcome;
mod recall;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use crate::effect::{Effect, UseIntent, UseKind};
pub use outcome::{Finding, Outcome};

use crate::cite::Matter;
use crate::facts::{FactError, FactSource};
use crate::policy::Policy;
use crate::read::ReadMessage;
use crate::reason::{Reason, SysReason};
use crate::registry::{Direction, LaneClass, PeakMode, Profile};
use crate::time::Instant;
use identity::Identity;
use outcome::stated_plate;
use recall::Recall;
use subject::Subject;

/// Where a decision is made, and under which policy.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Checkpoint.
    pub checkpoint: &'a str,
    /// Lane.
    pub lane: &'a str,
    /// The document that governs the checkpoint.
    pub profile: Profile,
    /// Direction of the lane.
    pub direction: Direction,
    /// What the lane is marked for; looked at by Lianyungang's checks only.
    pub lane_class: LaneClass,
    /// Customs port with an information system.
    pub it_port: bool,
    /// Peak pass mode of the checkpoint.
    pub peak_mode: Option<&'a PeakMode>,
    /// Switches in force.
    pub policy: &'a Policy,
    /// The approach being decided; its own reservations do not stand in its way.
    pub approach_id: &'a str,
    /// A component that is away or doubtful; the outcome is then never Open.
    pub degraded: Option<SysReason>,
    /// The gate's own time. Reservations lapse by it: a device's clock may run ahead.
    pub now: Instant,
}

/// Decides one approach: `inputs` is everything read of it, joined; `at` is its arrival (CH-42).
///
/// Never fails: a fact that cannot be read, a record that cannot be understood and a lane that
/// contradicts its profile all come to Hold.
pub fn decide(context: &Context<'_>, inputs: &ReadMessage, at: Instant, facts: &dyn FactSource) -> Outcome {
    let mut case = Case::new(context, inputs, at);
    if context.direction.profile() != context.profile || context.policy.check().is_err() {
        case.add(SysReason::LaneMisconfigured.reason());
        return case.finish();
    }
    if inputs.registry_available == Some(false) {
        return Case::new(context, inputs, at).unavailable();
    }
    match case.run(&Recall::new(facts)) {
        Ok(()) => case.finish(),
        Err(_) => Case::new(context, inputs, at).unavailable(),
    }
}

/// One decision being formed.
struct Case<'a> {
    context: &'a Context<'a>,
    inputs: &'a ReadMessage,
    at: Instant,
    found: BTreeSet<Reason>,
    matter: Matter,
    outcome: Outcome,
}

impl<'a> Case<'a> {
    fn new(context: &'a Context<'a>, inputs: &'a ReadMessage, at: Instant) -> Self {
        let mut case =
            Self { context, inputs, at, found: BTreeSet::new(), matter: Matter::at(context.direction), outcome: Outcome::empty() };
        if let Some(system) = context.degraded {
            case.add(system.reason());
        }
        case
    }

    fn add(&mut self, reason: Reason) {
        self.found.insert(reason);
    }

    fn add_if(&mut self, failed: bool, reason: Reason) {
        if failed {
            self.found.insert(reason);
        }
    }

    fn entry(&self) -> bool {
        self.context.direction.is_entry()
    }

    /// Whether no reason found so far stands in the way of the row's release mode.
    fn clear(&self) -> bool {
        !self.found.iter().any(|r| r.blocks())
    }

    fn run(&mut self, facts: &dyn FactSource) -> Result<(), FactError> {
        // Card and task mostly stand among the records of the plate that was read: those come first.
        if let Some((plate, _)) = stated_plate(self.inputs, self.context.policy.plate_confidence_min) {
            facts.records_of(&plate)?;
        }
        let Some(identity) = Identity::establish(self, facts)? else { return Ok(()) };
        self.outcome.plate = Some(identity.plate.clone());
        self.outcome.plate_source = Some(identity.source);
        let subject = Subject::load(facts, &identity.plate)?;
        match self.context.profile {
            Profile::Lyg => lianyungang::checks(self, &identity, &subject, facts),
            Profile::Hgs => horgos::checks(self, &identity, &subject, facts),
            Profile::Nng => nanning::checks(self, &identity, &subject, facts),
        }
    }

    /// C17, the software's own part (section 9): credentials reserved at another lane, and a plate
    /// seen elsewhere too recently. Runs on the uses the passage would have.
    fn check_elsewhere(&mut self, subject: &Subject, facts: &dyn FactSource) -> Result<(), FactError> {
        for intent in &self.outcome.uses {
            let other;
            let book = if intent.plate == subject.plate {
                &subject.book
            } else {
                other = facts.use_book(&intent.plate)?;
                &other
            };
            let claim = book.reserved.get(&intent.key());
            if claim.is_some_and(|c| c.approach_id != self.context.approach_id && self.at.min(self.context.now) < c.until) {
                self.found.insert(Reason::CredentialReserved);
            }
        }
        for (seen_at, at) in subject.book.sightings.iter().filter(|(checkpoint, _)| *checkpoint != self.context.checkpoint) {
            let least_ms = i64::from(self.context.policy.travel_min_between(seen_at, self.context.checkpoint)).saturating_mul(1000);
            let apart_ms = self.at.millis_since(*at).saturating_abs();
            self.add_if(apart_ms < least_ms, Reason::ImpossibleTravel);
        }
        Ok(())
    }

    /// C18 at the profiles where an inspection order always holds.
    fn check_inspection(&mut self, subject: &Subject) {
        self.add_if(subject.inspection_ordered(), Reason::InspectionOrdered);
    }
}

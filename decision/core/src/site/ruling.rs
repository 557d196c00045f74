//! A body's word on a violation: verify, dismiss, and decide the sanctions proposed from it. Every
//! word becomes a version; nothing is imposed by the gate itself.

use sha2::{Digest, Sha256};

use super::step::{Place, Run};
use super::{Approach, Change};
use crate::decision::AnswerOutcome;
use crate::facts::FactError;
use crate::journal::{JournalEvent, Violation};
use crate::read::Ruling;
use crate::registry::{Ban, BanKind, CancelReason, CardStatus, CardType, Kind, Profile, Record, Registration};
use crate::time::Instant;
use crate::violation::{Act, Body, Found, RegistryWrite, Sanction, SanctionKind, SanctionStatus, Violation as Code};

const SUSPECTED: &str = "SUSPECTED";
const VERIFIED: &str = "VERIFIED";
const DISMISSED: &str = "DISMISSED";
/// References a finding may rest on.
const EVIDENCE_MAX: usize = 32;
/// Longest reference, characters.
const EVIDENCE_CHARS_MAX: usize = 200;

/// A word that is not carried out, and why.
struct No(AnswerOutcome, String);

impl Run<'_> {
    /// The latest version of a violation, this step's included.
    fn violation(&self, id: &str) -> Result<Option<Violation>, FactError> {
        let mine = self.out.changes.iter().rev().find_map(|c| match c {
            Change::Violation(v) if v.violation_id == id => Some((**v).clone()),
            _ => None,
        });
        match mine {
            Some(v) => Ok(Some(v)),
            None => self.world.violation(id),
        }
    }

    /// Puts a suspected violation on record, once per approach and code.
    pub(super) fn raise(
        &mut self,
        place: &Place,
        approach: Option<&Approach>,
        plate: Option<String>,
        enterprise: Option<String>,
        code: &str,
        source: &str,
    ) -> Result<(), FactError> {
        let subject = match approach {
            Some(a) => a.approach_id.clone(),
            None => format!("{}-{}", place.lane.id, self.now.as_micros()),
        };
        let violation_id = format!("{code}-{subject}");
        if self.violation(&violation_id)?.is_some() {
            return Ok(());
        }
        let bodies = Code::from_code(code).map(|c| c.bodies(place.checkpoint.profile).to_vec()).unwrap_or_default();
        let violation = Violation {
            violation_id,
            code: code.to_owned(),
            source: source.to_owned(),
            status: SUSPECTED.to_owned(),
            site: self.site.to_owned(),
            checkpoint: place.checkpoint.id.clone(),
            lane: place.lane.id.clone(),
            approach_id: approach.map(|a| a.approach_id.clone()),
            decision_id: approach.filter(|a| a.version > 0).map(Approach::decision_id),
            plate,
            enterprise,
            raised_at: approach.map_or(self.now, |a| a.arrived_at),
            version: 1,
            profile: Some(place.checkpoint.profile.as_str().to_owned()),
            bodies,
            passage_id: None,
            found_by: None,
            ground: None,
            offence: None,
            changed_at: None,
            by: None,
            act: None,
            note: None,
            evidence: Vec::new(),
            sanctions: Vec::new(),
        };
        let violation = Box::new(violation);
        self.out.changes.push(Change::Violation(violation.clone()));
        self.emit(JournalEvent::Violation { violation });
        Ok(())
    }

    /// The vehicle went through: what was an attempt so far has been done. No word of a body, so no
    /// version; the next one says it.
    pub(super) fn passed_with(&mut self, approach: &Approach, codes: &[String], passage_id: &str) -> Result<(), FactError> {
        for code in codes {
            if let Some(mut violation) = self.violation(&format!("{code}-{}", approach.approach_id))? {
                violation.passage_id = Some(passage_id.to_owned());
                self.out.changes.push(Change::Violation(Box::new(violation)));
            }
        }
        Ok(())
    }

    /// Carries a body's word out, or answers why not.
    pub(super) fn ruling(&mut self, place: &Place, ruling: &Ruling) -> Result<(), FactError> {
        let Some(before) = self.violation(&ruling.violation_id)? else {
            self.answer(&ruling.request_id, AnswerOutcome::NotFound, &ruling.violation_id, 0, Some("no such violation".into()));
            return Ok(());
        };
        let version = u64::from(before.version);
        match self.ruled(place, &before, ruling) {
            Err(No(outcome, message)) => self.answer(&ruling.request_id, outcome, &ruling.violation_id, version, Some(message)),
            // Said before by the same person, in the same words: it stands.
            Ok(None) => self.answer(&ruling.request_id, AnswerOutcome::Done, &ruling.violation_id, version, None),
            Ok(Some(after)) => {
                let version = u64::from(after.version);
                let violation = Box::new(after);
                self.out.changes.push(Change::Violation(violation.clone()));
                self.emit(JournalEvent::Violation { violation });
                self.answer(&ruling.request_id, AnswerOutcome::Done, &ruling.violation_id, version, None);
            }
        }
        Ok(())
    }

    fn ruled(&self, place: &Place, before: &Violation, ruling: &Ruling) -> Result<Option<Violation>, No> {
        let invalid = |why: &str| Err(No(AnswerOutcome::Invalid, why.to_owned()));
        let note = ruling.reason.trim();
        if note.is_empty() {
            return invalid("field `reason`: say why, it is kept on record");
        }
        if ruling.evidence.len() > EVIDENCE_MAX || ruling.evidence.iter().any(|e| e.chars().count() > EVIDENCE_CHARS_MAX) {
            return invalid("field `evidence`: at most 32 references of at most 200 characters");
        }
        let repeated = before.by.as_ref() == Some(&ruling.by) && before.act == Some(ruling.act) && before.note.as_deref() == Some(note);
        if repeated && ruling.sanction_id.is_none() {
            return Ok(None);
        }
        if ruling.version.is_some_and(|v| v != before.version) {
            return Err(No(AnswerOutcome::Conflict, format!("the violation has changed: it is at version {} now", before.version)));
        }
        let mut after = before.clone();
        after.version = after.version.saturating_add(1);
        after.changed_at = Some(self.now);
        after.by = Some(ruling.by.clone());
        after.act = Some(ruling.act);
        after.note = Some(note.to_owned());
        match ruling.act {
            Act::Verify | Act::Dismiss => self.found(place, &mut after, ruling)?,
            Act::Accept | Act::Reject => self.decided(&mut after, ruling, note)?,
        }
        Ok(Some(after))
    }

    /// A suspicion is verified or dismissed.
    fn found(&self, place: &Place, after: &mut Violation, ruling: &Ruling) -> Result<(), No> {
        let invalid = |why: String| No(AnswerOutcome::Invalid, why);
        if after.status != SUSPECTED {
            let body = after.found_by.map_or("", Body::as_str);
            return Err(No(AnswerOutcome::Conflict, format!("it is {} already, by {body}", after.status)));
        }
        if ruling.sanction_id.is_some() {
            return Err(invalid("field `sanction_id`: goes with accept and reject only".into()));
        }
        let profile = place.checkpoint.profile;
        let code = Code::from_code(&after.code).ok_or_else(|| invalid(format!("{} is no violation of this program", after.code)))?;
        let bodies = code.bodies(profile);
        let mine = bodies.iter().copied().find(|b| b.is_spoken_for_by(ruling.by.role));
        let named = bodies.iter().map(|b| b.as_str()).collect::<Vec<_>>().join(", ");
        let body = match ruling.body.or(mine) {
            Some(body) if bodies.contains(&body) && body.is_spoken_for_by(ruling.by.role) => body,
            Some(_) | None => return Err(No(AnswerOutcome::Forbidden, format!("this is for {named}, whom your role does not speak for"))),
        };
        after.found_by = Some(body);
        after.evidence.clone_from(&ruling.evidence);
        let finding = Found { body, ground: ruling.ground, offence: ruling.offence };
        if ruling.act == Act::Dismiss {
            if finding.ground.is_some() || finding.offence.is_some() {
                return Err(invalid("fields `ground`, `offence`: go with verify only".into()));
            }
            after.status = DISMISSED.to_owned();
            return Ok(());
        }
        if let Some(why) = code.objection(profile, finding) {
            return Err(invalid(format!("fields `body`, `ground`, `offence`: {why}")));
        }
        if code.needs_passage() && after.passage_id.is_none() {
            return Err(No(
                AnswerOutcome::Conflict,
                "the vehicle has not gone through: an attempt stays suspected, or is dismissed".into(),
            ));
        }
        after.status = VERIFIED.to_owned();
        after.ground = ruling.ground;
        after.offence = ruling.offence;
        if after.plate.is_some() && profile == Profile::Lyg {
            let id = short_id(&after.violation_id);
            let proposed = code.sanctions(finding).into_iter().map(|(kind, cite)| Sanction {
                sanction_id: format!("S-{}-{id}", kind.as_str()),
                kind,
                cite: cite.to_owned(),
                decided_by: Body::Pbd,
                status: SanctionStatus::Proposed,
                proposed_at: self.now,
                decided_at: None,
                by: None,
                note: None,
                writes: Vec::new(),
            });
            after.sanctions = proposed.collect();
        }
        Ok(())
    }

    /// A proposed sanction is decided.
    fn decided(&self, after: &mut Violation, ruling: &Ruling, note: &str) -> Result<(), No> {
        if ruling.body.is_some() || ruling.ground.is_some() || ruling.offence.is_some() {
            return Err(No(AnswerOutcome::Invalid, "fields `body`, `ground`, `offence`: go with verify only".into()));
        }
        let (plate, violation_id) = (after.plate.clone().unwrap_or_default(), after.violation_id.clone());
        let wanted = ruling.sanction_id.as_deref().unwrap_or_default();
        let Some(sanction) = after.sanctions.iter_mut().find(|s| s.sanction_id == wanted) else {
            return Err(No(AnswerOutcome::NotFound, "field `sanction_id`: this violation proposes no such sanction".into()));
        };
        if !sanction.decided_by.is_spoken_for_by(ruling.by.role) {
            let body = sanction.decided_by.as_str();
            return Err(No(AnswerOutcome::Forbidden, format!("this is for {body}, whom your role does not speak for")));
        }
        if sanction.status != SanctionStatus::Proposed {
            return Err(No(AnswerOutcome::Conflict, "it has been decided already".into()));
        }
        sanction.decided_at = Some(self.now);
        sanction.by = Some(ruling.by.clone());
        sanction.note = Some(note.to_owned());
        if ruling.act == Act::Reject {
            sanction.status = SanctionStatus::Rejected;
            return Ok(());
        }
        let unread = |e: FactError| No(AnswerOutcome::Conflict, format!("the registry cannot be read now: {e}"));
        sanction.writes = self.writes_of(sanction.kind, &violation_id, &plate).map_err(unread)?;
        sanction.status = SanctionStatus::Accepted;
        Ok(())
    }

    /// What a sanction writes, from the registry as it is at this moment.
    fn writes_of(&self, kind: SanctionKind, violation_id: &str, plate: &str) -> Result<Vec<RegistryWrite>, FactError> {
        let ban = |kind: BanKind, to: Option<Instant>| {
            let id = format!("BAN-{}", short_id(violation_id));
            RegistryWrite::of(Record::Ban(Ban { id, plate: plate.to_owned(), kind, from: self.now, to }))
        };
        let cancelled = |why: CancelReason, long_only: bool| -> Result<Vec<RegistryWrite>, FactError> {
            let records = self.world.records_of(plate)?.into_iter();
            Ok(records
                .filter_map(|record| match record {
                    Record::Card(card) if card.r#type != CardType::Ic && (!long_only || card.r#type == CardType::Long) => Some(card),
                    _ => None,
                })
                .filter(|card| card.status != CardStatus::Cancelled)
                .map(|mut card| {
                    card.status = CardStatus::Cancelled;
                    card.cancel_reason = Some(why);
                    RegistryWrite::of(Record::Card(card))
                })
                .collect())
        };
        match kind {
            SanctionKind::Blacklist => Ok(vec![ban(BanKind::Blacklist, None)]),
            SanctionKind::OneYearBan => {
                let mut writes = vec![ban(BanKind::OneYear, Some(self.now.plus_one_year()))];
                // Forced exit ends the registration; the ban keeps a new one away for the year.
                if let Some(Record::Vehicle(mut vehicle)) = self.world.record_of(Kind::Vehicle, plate)? {
                    vehicle.registration = Registration::Deregistered;
                    writes.push(RegistryWrite::of(Record::Vehicle(vehicle)));
                }
                Ok(writes)
            }
            SanctionKind::CancelCards => cancelled(CancelReason::Documents, false),
            SanctionKind::CancelLongCard => cancelled(CancelReason::CargoOffence, true),
        }
    }
}

impl RegistryWrite {
    fn of(record: Record) -> Self {
        Self { kind: record.kind(), id: record.id().to_owned(), value: record.to_value() }
    }
}

/// A short id that stands for a longer one: the first 16 hex digits of its SHA-256.
fn short_id(of: &str) -> String {
    hex::encode(Sha256::digest(of)).chars().take(16).collect()
}

//! Nanning customs: transit by IC card or paper, fast clearance, escort (decision-table rows
//! NNG-R01 to R12, section 7.25 to 7.31).

use super::identity::{presented, Identity};
use super::subject::{self, Subject};
use super::{Case, Effect, UseIntent, UseKind};
use crate::facts::{FactError, FactSource};
use crate::reason::Reason;
use crate::registry::*;
use crate::row::Row;
use crate::time::Date;

/// What this checkpoint is on the way of a trip.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stage {
    flow: Flow,
    /// Customs records the seal here (R01, R03, R06, R09).
    records_seal: bool,
    /// The seal is compared and the route looked at here (7.30).
    verifies_seal: bool,
    /// Fast clearance: the trip is confirmed an hour before arrival here (R06, R08).
    confirms_trip: bool,
    /// Fast clearance: an inspection is a way to go (R06 to R08, CH-44, CH-45); else it holds (CH-46).
    sends_to_inspection: bool,
}

fn stage(direction: Direction) -> Stage {
    let stage = |flow, records_seal, verifies_seal, confirms_trip, sends_to_inspection| Stage {
        flow,
        records_seal,
        verifies_seal,
        confirms_trip,
        sends_to_inspection,
    };
    match direction {
        Direction::ImportBorderIn => stage(Flow::Import, true, false, true, true),
        Direction::ImportYardIn => stage(Flow::Import, false, true, false, true),
        Direction::ExportYardIn => stage(Flow::Export, false, false, true, true),
        Direction::ExportYardOut => stage(Flow::Export, true, false, false, false),
        // The others are no customs directions; `decide` has turned them away already.
        Direction::ExportBorderOut | Direction::Entry | Direction::Exit | Direction::Outbound => {
            stage(Flow::Export, false, true, false, false)
        }
    }
}

/// How the vehicle identifies itself to customs (7.28, CH-43; NNG-1.3.2). The logbook is for vehicles
/// on file only (NNG-T5a): one not on file is told before its credential is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credential {
    IcCard,
    Logbook,
    None,
}

pub(super) fn checks(case: &mut Case<'_>, who: &Identity, subject: &Subject, facts: &dyn FactSource) -> Result<(), FactError> {
    case.add_if(who.card_disagrees(), Reason::PlateIcCardMismatch);
    let stage = stage(case.context.direction);
    let open = |t: &&Trip| t.flow == stage.flow && t.state != Some(TripState::Completed);
    let trip = subject.trips.iter().find(open);
    match (&subject.customs_vehicle, subject.escorts.iter().find(|e| e.approved)) {
        (Some(vehicle), _) => filed(case, who, subject, vehicle, trip, stage, facts),
        (None, Some(escort)) => escorted(case, subject, escort, trip, facts),
        (None, None) => {
            case.add(Reason::CustomsVehicleNotFiled);
            case.outcome.row = Some(Row::NngR12);
            Ok(())
        }
    }
}

/// A vehicle on file with customs; an escort changes nothing for it (7.27).
fn filed(
    case: &mut Case<'_>,
    who: &Identity,
    subject: &Subject,
    vehicle: &CustomsVehicle,
    trip: Option<&Trip>,
    stage: Stage,
    facts: &dyn FactSource,
) -> Result<(), FactError> {
    let fast = trip.is_some_and(|t| t.regime == Regime::Fast);
    case.matter.fast = fast;
    case.outcome.enterprise = Some(vehicle.enterprise.clone());
    case.outcome.category = Some(if fast { "FAST" } else { "TRANSIT" }.to_owned());
    let credential = match (who.card_presented, case.inputs.logbook) {
        (true, _) => Credential::IcCard,
        (false, Some(true)) => Credential::Logbook,
        (false, Some(false) | None) => Credential::None,
    };
    case.add_if(credential == Credential::None, Reason::IcCardRequired);
    let valid_card = who.card.as_ref().is_some_and(valid_ic_card);
    case.add_if(credential == Credential::IcCard && !valid_card, Reason::IcCardInvalid);

    check_subjects(case, vehicle, facts)?;
    let manifest = match trip {
        Some(trip) => check_trip(case, subject, trip, fast, stage, facts)?,
        None => {
            case.add(Reason::ManifestMissing);
            None
        }
    };
    let declared = presented(case.inputs.transit_declaration.as_deref()).is_some();
    let paper = credential == Credential::Logbook && !case.context.it_port;
    case.add_if(paper && !declared, Reason::TransitDeclarationMissing);
    case.add_if(fast && !(vehicle.gps_approved && vehicle.eseal_approved), Reason::FastEquipmentMissing);
    if let Some(trip) = trip {
        check_seal(case, trip, stage);
    }

    let row = row(case.context.direction, credential, fast);
    case.outcome.row = Some(row);
    for effect in row.effects() {
        if let Some(intent) = intent(*effect, &subject.plate, trip, manifest.as_ref(), None) {
            case.outcome.uses.push(intent);
        }
    }
    case.check_elsewhere(subject, facts)?;
    if subject.inspection_ordered() {
        case.add(if fast && stage.sends_to_inspection { Reason::ProceedToInspection } else { Reason::InspectionOrdered });
    }
    if case.clear() {
        // No article lets the barrier rise for a transit vehicle at the export yard entry (7.29).
        let unheard_of = !fast && case.context.direction == Direction::ExportYardIn;
        case.add(match credential {
            Credential::Logbook | Credential::None => Reason::CustomsAnnotationRequired,
            Credential::IcCard if unheard_of => Reason::CustomsAnnotationRequired,
            Credential::IcCard if fast => Reason::FastClearanceRelease,
            Credential::IcCard => Reason::IcCardRelease,
        });
    }
    Ok(())
}

/// A vehicle not on file under an approved escort (CH-48; NNG-3.0 to NNG-3.2): C07, C08, manifest, trip, equipment and seal
/// are customs officers' business on the spot (7.27).
fn escorted(case: &mut Case<'_>, subject: &Subject, escort: &Escort, trip: Option<&Trip>, facts: &dyn FactSource) -> Result<(), FactError> {
    case.matter.escort = true;
    case.outcome.category = Some("ESCORT".to_owned());
    case.outcome.row = Some(Row::NngR11);
    case.add_if(escort.officers < case.context.policy.escort_officers_min, Reason::EscortStaffShort);
    case.add_if(!escort.fee_paid, Reason::EscortFeeUnpaid);
    case.add_if(presented(case.inputs.transit_declaration.as_deref()).is_none(), Reason::TransitDeclarationMissing);
    for effect in Row::NngR11.effects() {
        if let Some(intent) = intent(*effect, &subject.plate, trip, None, Some(escort)) {
            case.outcome.uses.push(intent);
        }
    }
    case.check_elsewhere(subject, facts)?;
    case.check_inspection(subject);
    if case.clear() {
        case.add(Reason::EscortReleaseRequired);
    }
    Ok(())
}

/// C08 (7.28; NNG-1.3.2): unknown and cancelled cards are invalid, and so is one that is no IC card.
fn valid_ic_card(card: &Card) -> bool {
    let in_force = match card.status {
        CardStatus::Issued | CardStatus::Suspended | CardStatus::InUse => true,
        CardStatus::Applied
        | CardStatus::TerminalOk
        | CardStatus::Rechecked
        | CardStatus::Approved
        | CardStatus::Rejected
        | CardStatus::Recovered
        | CardStatus::HandedOver
        | CardStatus::Lost
        | CardStatus::Cancelled => false,
    };
    card.r#type == CardType::Ic && in_force
}

/// C13 (CH-43, CH-49; NNG-1.2.7, NNG-1.2.2, NNG-T2, NNG-T4, NNG-1.4.1, NNG-T6): enterprise,
/// guarantee, permit, driver. A date that is missing counts as expired (7.31).
fn check_subjects(case: &mut Case<'_>, vehicle: &CustomsVehicle, facts: &dyn FactSource) -> Result<(), FactError> {
    let at = case.at;
    let expired = |day: Option<Date>| day.is_none_or(|day| at >= day.end());
    let carrier = subject::customs_enterprise(facts, &vehicle.enterprise)?;
    match carrier.filter(|c| c.status == CustomsEnterpriseStatus::Registered) {
        None => case.add(Reason::CustomsEnterpriseNotRegistered),
        Some(carrier) => {
            case.add_if(expired(carrier.certificate_valid_to), Reason::CustomsEnterpriseCertExpired);
            case.add_if(expired(carrier.guarantee_valid_to), Reason::CustomsGuaranteeExpired);
        }
    }
    let permit_over = expired(vehicle.permit_valid_to) || expired(vehicle.permit_review_due);
    case.add_if(permit_over, Reason::PermitToCarryExpired);
    if let Some(id) = presented(case.inputs.driver.as_deref()) {
        match subject::customs_driver(facts, id)? {
            None => case.add(Reason::DriverNotFiled),
            Some(driver) => {
                let employed = driver.enterprise == vehicle.enterprise && !expired(driver.contract_valid_to);
                case.add_if(!employed, Reason::DriverNotOfEnterprise);
            }
        }
    }
    Ok(())
}

/// C14 of a trip (7.26, CH-42; NNG-1.5.i1, NNG-1.5.e1, NNG-2.2.i1a to i1c, NNG-2.2.e1a, NNG-2.2.e1b, NNG-2.2.e3). Returns the manifest that a passage would write off.
fn check_trip(
    case: &mut Case<'_>,
    subject: &Subject,
    trip: &Trip,
    fast: bool,
    stage: Stage,
    facts: &dyn FactSource,
) -> Result<Option<Manifest>, FactError> {
    let at = case.at;
    let mut counting = subject::manifests(facts, &trip.id, &subject.book)?;
    counting.retain(|m| m.transmitted_at < at);
    if counting.is_empty() {
        case.add(Reason::ManifestMissing);
    } else {
        let late = trip.declaration_lodged_at.is_some_and(|lodged| counting.iter().any(|m| m.transmitted_at >= lodged));
        let before_declaration = fast && case.context.direction == Direction::ExportYardIn;
        case.add_if(before_declaration && late, Reason::ManifestLate);
        let written_off = counting.iter().all(|m| m.state == ManifestState::WrittenOff);
        case.add_if(written_off, Reason::ManifestAlreadyWrittenOff);
        case.add_if(fast && counting.len() > 1, Reason::TripManifestNotOneToOne);
    }
    if fast && stage.confirms_trip {
        let ahead_ms = i64::from(case.context.policy.trip_confirmation_min).saturating_mul(60_000);
        match trip.confirmed_at {
            None => case.add(Reason::TripNotConfirmed),
            Some(confirmed) => case.add_if(confirmed > at.plus_millis(ahead_ms.saturating_neg()), Reason::TripConfirmedLate),
        }
    }
    Ok(counting.into_iter().find(|m| m.state == ManifestState::Transmitted))
}

/// C15 (7.30, CH-47; NNG-1.5.i2, NNG-1.5.i5, NNG-1.5.e2, NNG-1.5.e5, NNG-T3, NNG-T5d).
fn check_seal(case: &mut Case<'_>, trip: &Trip, stage: Stage) {
    let recorded = presented(trip.seal_no.as_deref());
    let read = case.inputs.seal.as_ref();
    let number = presented(read.and_then(|s| s.no.as_deref()));
    case.add_if((stage.records_seal || stage.verifies_seal) && recorded.is_none(), Reason::SealNotRecorded);
    if stage.verifies_seal {
        case.add_if(number.is_none(), Reason::SealNotVerified);
        let differs = recorded.zip(number).is_some_and(|(recorded, number)| recorded != number);
        case.add_if(differs, Reason::SealMismatch);
        case.add_if(trip.deviation == Some(true), Reason::RouteDeviation);
    }
    case.add_if(read.is_some_and(|s| s.intact == Some(false)), Reason::SealBroken);
}

fn row(direction: Direction, credential: Credential, fast: bool) -> Row {
    if credential == Credential::Logbook {
        return Row::NngR05;
    }
    match (direction, fast) {
        (Direction::ImportBorderIn, false) => Row::NngR01,
        (Direction::ImportYardIn, false) => Row::NngR02,
        (Direction::ExportYardOut, false) => Row::NngR03,
        (Direction::ImportBorderIn, true) => Row::NngR06,
        (Direction::ImportYardIn, true) => Row::NngR07,
        (Direction::ExportYardIn, true) => Row::NngR08,
        (Direction::ExportYardOut, true) => Row::NngR09,
        // A transit vehicle at the export yard entry is annotated by hand, as on paper (7.29).
        (Direction::ExportYardIn, false) => Row::NngR05,
        (Direction::ExportBorderOut | Direction::Entry | Direction::Exit | Direction::Outbound, false) => Row::NngR04,
        (Direction::ExportBorderOut | Direction::Entry | Direction::Exit | Direction::Outbound, true) => Row::NngR10,
    }
}

/// What an effect would use or record; none where the record for it is missing.
fn intent(effect: Effect, plate: &str, trip: Option<&Trip>, manifest: Option<&Manifest>, escort: Option<&Escort>) -> Option<UseIntent> {
    let on = |kind, id: &str, issue: Option<String>, state: &str| UseIntent {
        effect,
        plate: plate.to_owned(),
        kind,
        id: id.to_owned(),
        issue,
        state: state.to_owned(),
    };
    match effect {
        Effect::TripTimeRecorded => {
            let of_trip = trip.map(|t| on(UseKind::Trip, &t.id, None, "UNDER_WAY"));
            of_trip.or_else(|| escort.map(|e| on(UseKind::Escort, &e.id, None, "UNDER_WAY")))
        }
        Effect::SealVerified => {
            let number = presented(trip.and_then(|t| t.seal_no.as_deref()))?;
            Some(on(UseKind::Seal, number, None, "VERIFIED"))
        }
        Effect::ManifestWrittenOff => manifest.map(|m| on(UseKind::Manifest, &m.id, m.issue_id.clone(), "WRITTEN_OFF")),
        Effect::EscortRecordDue => escort.map(|e| on(UseKind::Escort, &e.id, None, "RECORD_DUE")),
        Effect::PresenceOpened
        | Effect::PresenceClosed
        | Effect::SingleCardConsumed
        | Effect::SingleCardRecovered
        | Effect::TaskEntered
        | Effect::TaskCompleted
        | Effect::ExitPermitUsed
        | Effect::LeaveConsentUsed
        | Effect::ReceptionConsumed
        | Effect::ReceptionClosed
        | Effect::QrUsed
        | Effect::AppointmentCompleted => None,
    }
}

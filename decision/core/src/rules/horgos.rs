//! Horgos: heavy and commodity vehicles leaving on an appointment (decision-table rows HGS-R01 to
//! R06, section 7.20 to 7.24).

use std::collections::BTreeSet;

use super::identity::{presented, Identity};
use super::subject::{self, Subject};
use super::{Case, Effect, UseIntent, UseKind};
use crate::facts::{FactError, FactSource};
use crate::policy::ReleaseMode;
use crate::reason::Reason;
use crate::registry::*;
use crate::row::Row;

/// The body competent where the yard is no warehouse (HGS-2.2).
const PORT_ADMINISTRATION: &str = "PORT_ADMINISTRATION";
/// 霍内其他区域换装.
const HUONEI_OTHER: &str = "HUONEI_OTHER";
/// 霍外换装.
const HUOWAI: &str = "HUOWAI";
/// 跨境电商(清单模式).
const CBEC_LIST: &str = "CBEC_LIST";

pub(super) fn checks(case: &mut Case<'_>, who: &Identity, subject: &Subject, facts: &dyn FactSource) -> Result<(), FactError> {
    case.add_if(who.qr_disagrees(), Reason::QrPlateMismatch);
    let Some(appointment) = choose_appointment(who, subject, facts)? else {
        case.add(Reason::AppointmentMissing);
        case.add_if(who.qr_presented && who.qr.is_none(), Reason::QrInvalid);
        return Ok(());
    };
    // The QR code's appointment is another plate's: the vehicle holds, whatever the code says (7.20).
    case.add_if(who.sure() && appointment.plate != who.plate, Reason::QrPlateMismatch);
    let over = match appointment.state {
        AppointmentState::Completed | AppointmentState::Cancelled => true,
        AppointmentState::Draft | AppointmentState::Filled | AppointmentState::Booked | AppointmentState::Approved => false,
    };
    case.add_if(over, Reason::AppointmentNotActive);
    // 转关单 is filled in by hand: there is nothing to import (HGS-1.6a).
    case.add_if(!appointment.transit && !appointment.declaration_imported, Reason::DeclarationNotImported);
    case.outcome.category = Some(appointment.kind.as_str().to_owned());
    let row = match appointment.kind {
        AppointmentKind::Heavy => heavy(case, who, &appointment, facts)?,
        AppointmentKind::Commodity => commodity(case, &appointment),
    };
    case.outcome.row = Some(row);
    for effect in row.effects() {
        if let Some(intent) = intent(*effect, who, &appointment) {
            case.outcome.uses.push(intent);
        }
    }
    case.check_elsewhere(subject, facts)?;
    case.check_inspection(subject);
    if case.clear() {
        case.add(match (appointment.kind, case.context.policy.hgs_heavy_release_mode) {
            (AppointmentKind::Commodity, _) => Reason::CommodityManualRelease,
            (AppointmentKind::Heavy, ReleaseMode::Auto) => Reason::QrRelease,
            (AppointmentKind::Heavy, ReleaseMode::Manual) => Reason::ManualReleaseRequired,
        });
    }
    Ok(())
}

/// C09 (7.20; HGS-1.1, HGS-2.1b). Of the plate's appointments: the one the presented QR code names, else a live one, else any;
/// only if the plate has none, the one the QR code names (7.20).
fn choose_appointment(who: &Identity, subject: &Subject, facts: &dyn FactSource) -> Result<Option<Appointment>, FactError> {
    let booked = |a: &&Appointment| match a.state {
        AppointmentState::Draft | AppointmentState::Filled => false,
        AppointmentState::Booked | AppointmentState::Approved | AppointmentState::Completed | AppointmentState::Cancelled => true,
    };
    let live = |a: &&Appointment| match a.state {
        AppointmentState::Booked | AppointmentState::Approved => true,
        AppointmentState::Draft | AppointmentState::Filled | AppointmentState::Completed | AppointmentState::Cancelled => false,
    };
    let named = who.qr.as_ref().map(|q| q.appointment.as_str());
    let own = || subject.appointments.iter().filter(booked);
    let of_plate = own().find(|a| Some(a.id.as_str()) == named).or_else(|| own().find(live)).or_else(|| own().next());
    match (of_plate, named) {
        (Some(appointment), _) => Ok(Some(appointment.clone())),
        (None, Some(id)) => Ok(subject::appointment(facts, id)?.filter(|a| booked(&a))),
        (None, None) => Ok(None),
    }
}

/// C16 of a heavy vehicle (7.21, 7.22, CH-29, CH-30, CH-33; HGS-1.5a, HGS-1.5b, HGS-1.6b, HGS-2.1b, HGS-2.2).
fn heavy(case: &mut Case<'_>, who: &Identity, appointment: &Appointment, facts: &dyn FactSource) -> Result<Row, FactError> {
    let yard = appointment.yard.as_deref();
    case.matter.outside_warehouse = matches!(yard, Some(HUONEI_OTHER | HUOWAI));
    let corrected = |flag: Option<bool>| flag == Some(true);
    let other_plate = appointment.declared_plate.as_ref().is_some_and(|p| *p != who.plate);
    case.add_if(other_plate && !corrected(appointment.plate_corrected), Reason::DeclarationPlateMismatch);
    let other_count = appointment.declared_count.is_some_and(|n| n != appointment.vehicle_count);
    case.add_if(other_count && !corrected(appointment.count_corrected), Reason::HeavyVehicleCountMismatch);
    let listed = appointment.cargo_type.as_deref() == Some(CBEC_LIST);
    case.add_if(listed && presented(appointment.release_list.as_deref()).is_none(), Reason::CbecReleaseListMissing);

    // One approval by the competent body suffices, whatever others exist (7.22).
    let approvals = subject::approvals(facts, &appointment.id)?;
    let given = || approvals.iter().filter(|a| a.state == ApprovalState::Approved);
    let competent = if case.matter.outside_warehouse { Some(PORT_ADMINISTRATION) } else { yard };
    if !given().any(|a| Some(a.approver.as_str()) == competent) {
        let by_another = given().next().is_some();
        case.add(if by_another { Reason::WarehouseApproverNotCompetent } else { Reason::WarehouseApprovalMissing });
    }
    match (&who.qr, who.qr_presented) {
        (None, false) => case.add(Reason::QrNotPresented),
        (None, true) => case.add(Reason::QrInvalid),
        (Some(qr), _) => {
            // Another plate's code is QR_PLATE_MISMATCH, not another appointment's (7.21).
            let elsewhere = qr.plate == who.plate && qr.appointment != appointment.id;
            case.add_if(elsewhere || qr.state == QrState::Revoked, Reason::QrInvalid);
            case.add_if(qr.state == QrState::Used, Reason::QrAlreadyUsed);
        }
    }
    Ok(if appointment.transit {
        Row::HgsR03
    } else if listed {
        Row::HgsR04
    } else if case.matter.outside_warehouse {
        Row::HgsR02
    } else {
        Row::HgsR01
    })
}

/// C16 of a commodity vehicle (商品车; 7.24, CH-28; HGS-1.4b, HGS-1.5c, HGS-1.6c).
fn commodity(case: &mut Case<'_>, appointment: &Appointment) -> Row {
    case.matter.vins_from_excel = appointment.vin_source == Some(VinSource::Excel);
    let listed: BTreeSet<&str> = appointment.vins.iter().flatten().map(String::as_str).collect();
    let complete = u32::try_from(listed.len()).is_ok_and(|n| n == appointment.vehicle_count);
    case.add_if(!complete, Reason::VinListIncomplete);
    let seen = case.inputs.vins_observed.iter().flatten();
    let unlisted = seen.map(String::as_str).any(|vin| !listed.contains(vin));
    case.add_if(unlisted, Reason::VinMismatch);
    if case.matter.vins_from_excel {
        Row::HgsR06
    } else {
        Row::HgsR05
    }
}

/// What an effect would use; none where the code or the appointment can no longer serve.
fn intent(effect: Effect, who: &Identity, appointment: &Appointment) -> Option<UseIntent> {
    match effect {
        Effect::QrUsed => {
            let qr = who.qr.as_ref().filter(|q| q.state == QrState::Active && q.appointment == appointment.id)?;
            Some(UseIntent {
                effect,
                plate: qr.plate.clone(),
                kind: UseKind::QrCode,
                id: qr.id.clone(),
                issue: qr.issue_id.clone(),
                state: "USED".to_owned(),
            })
        }
        Effect::AppointmentCompleted => Some(UseIntent {
            effect,
            plate: appointment.plate.clone(),
            kind: UseKind::Appointment,
            id: appointment.id.clone(),
            issue: None,
            state: "COMPLETED".to_owned(),
        })
        .filter(|_| appointment.state != AppointmentState::Cancelled),
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
        | Effect::TripTimeRecorded
        | Effect::SealVerified
        | Effect::ManifestWrittenOff
        | Effect::EscortRecordDue => None,
    }
}

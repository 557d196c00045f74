//! Lianyungang: production freight, auxiliary, business-affairs and reception vehicles
//! (decision-table rows LYG-R01 to R22, section 7.7 to 7.19).

use super::identity::{presented, Identity};
use super::subject::{self, Subject};
use super::{Case, Effect, UseIntent, UseKind};
use crate::cite::Class;
use crate::decision::PlateSource;
use crate::facts::{FactError, FactSource};
use crate::policy::{ExitPermitMode, ReleaseMode};
use crate::reason::Reason;
use crate::registry::*;
use crate::row::Row;
use crate::time::Instant;

/// What the vehicle is at this gate: the first record that says so decides (7.8, CH-54; LYG-4.6c2, LYG-3.6).
enum Standing<'s> {
    Registered(&'s Vehicle),
    Reception(&'s Reception),
    SingleVisit(&'s Task),
    Unknown,
}

/// The records this passage is judged by and would use.
#[derive(Default)]
struct Chosen {
    task: Option<Task>,
    permit: Option<ExitPermit>,
    consent: Option<LeaveConsent>,
    single_card: Option<Card>,
    reception: Option<Reception>,
}

pub(super) fn checks(case: &mut Case<'_>, who: &Identity, subject: &Subject, facts: &dyn FactSource) -> Result<(), FactError> {
    let at = case.at;
    let entry = case.entry();
    let standing = standing(subject, at, entry, case.context.policy.reception_days);
    let class = standing.class();
    case.matter.class = class;
    case.matter.cancel_reason = who.card.as_ref().and_then(|c| c.cancel_reason);
    case.outcome.category = standing.category();

    // C03 (7.4, CH-26; LYG-7.2), C04 (7.17, CH-17; LYG-2.5b, LYG-6.4e): also of an unknown vehicle (7.7).
    case.add_if(who.card_disagrees(), Reason::PlateCardMismatch);
    case.add_if(colour_disagrees(case, who, &standing), Reason::PlateColourMismatch);
    for ban in subject.bans.iter().filter(|b| b.from <= at && b.to.is_none_or(|to| at < to)) {
        case.add(match ban.kind {
            BanKind::Blacklist => Reason::VehicleBlacklisted,
            BanKind::OneYear => Reason::VehicleBannedOneYear,
        });
    }
    let Some(class) = class else {
        case.add(Reason::VehicleNotRegistered);
        case.outcome.row = Some(if who.source == PlateSource::Manual { Row::LygR21 } else { Row::LygR22 });
        return Ok(());
    };
    check_lane(case, &standing);
    let mut chosen = Chosen::default();
    match &standing {
        Standing::Registered(vehicle) => check_registration(case, vehicle, class, facts)?,
        Standing::Reception(reception) => {
            check_reception(case, reception);
            chosen.reception = Some((*reception).clone());
        }
        Standing::SingleVisit(_) | Standing::Unknown => {}
    }
    let category = match &standing {
        Standing::Registered(vehicle) => Some(vehicle.category),
        Standing::Reception(_) | Standing::SingleVisit(_) | Standing::Unknown => None,
    };
    if category.is_some_and(|c| needs_card(case, c)) {
        check_card(case, who);
        chosen.single_card = who.card.clone().filter(|c| c.r#type == CardType::Single && c.plate == who.plate);
    }
    check_task(case, who, subject, &standing, category, &mut chosen, facts)?;
    if class == Class::Production || class == Class::Auxiliary {
        check_exit_permit(case, subject, facts, &mut chosen)?;
    }
    let mut owes_consent = false;
    if category == Some(VehicleCategory::PfShortHaul) && !entry {
        owes_consent = check_consent(case, subject, &mut chosen);
    }
    // C17 (7.16, CH-51; LYG-5.5a, LYG-6.1b2)
    let inside = subject.inside();
    case.add_if(entry && inside, Reason::PlateAlreadyInside);
    case.add_if(!entry && !inside, Reason::NoEntryRecord);
    case.check_inspection(subject);

    let peak = !entry && case.context.peak_mode.is_some_and(|p| p.counts_at(at));
    let row = row(case, &standing, who, peak, chosen.single_card.is_some() && !owes_consent);
    case.outcome.row = Some(if who.source == PlateSource::Manual { Row::LygR21 } else { row });
    for effect in effects(row, &chosen) {
        if let Some(intent) = intent(effect, &who.plate, &chosen) {
            case.outcome.uses.push(intent);
        }
    }
    case.check_elsewhere(subject, facts)?;
    if case.clear() {
        let release = release_mode(case, &standing, peak);
        case.add(release);
    }
    Ok(())
}

fn standing(subject: &Subject, at: Instant, entry: bool, days: u32) -> Standing<'_> {
    if let Some(vehicle) = &subject.vehicle {
        return Standing::Registered(vehicle);
    }
    if let Some(reception) = choose_reception(&subject.receptions, at, entry, days) {
        return Standing::Reception(reception);
    }
    match choose_task(&subject.tasks, TaskKind::Aux, at, entry) {
        Some(task) => Standing::SingleVisit(task),
        None => Standing::Unknown,
    }
}

impl Standing<'_> {
    /// The three classes (LYG-0.3): production freight in its seven kinds (LYG-0.4, LYG-2.2; no rule
    /// of their own for dangerous goods, CH-52), auxiliary (LYG-0.5, LYG-3.3; a single visit is filed
    /// by its task, CH-06), business-affairs (LYG-0.6, LYG-4.3) and among those reception vehicles.
    fn class(&self) -> Option<Class> {
        match self {
            Self::Registered(vehicle) => Some(match vehicle.category {
                VehicleCategory::PfGeneral
                | VehicleCategory::PfContainer
                | VehicleCategory::PfTrade
                | VehicleCategory::PfDg
                | VehicleCategory::PfResident
                | VehicleCategory::PfShortHaul
                | VehicleCategory::PfOther => Class::Production,
                VehicleCategory::AuxLong => Class::Auxiliary,
                VehicleCategory::BizGroup | VehicleCategory::BizStaff | VehicleCategory::BizResident | VehicleCategory::BizPortside => {
                    Class::Business
                }
            }),
            Self::Reception(_) => Some(Class::Reception),
            Self::SingleVisit(_) => Some(Class::Auxiliary),
            Self::Unknown => None,
        }
    }

    fn category(&self) -> Option<String> {
        match self {
            Self::Registered(vehicle) => Some(vehicle.category.as_str().to_owned()),
            Self::Reception(_) => Some("BIZ_RECEPTION".to_owned()),
            Self::SingleVisit(_) => Some("AUX_SINGLE".to_owned()),
            Self::Unknown => None,
        }
    }
}

/// Of several filings (7.9, CH-09; LYG-4.6c3). At the exit every state can be the one under which it came in.
fn choose_reception(receptions: &[Reception], at: Instant, entry: bool, days: u32) -> Option<&Reception> {
    let first = |wanted: &dyn Fn(&Reception) -> bool| receptions.iter().find(|r| wanted(r));
    if entry {
        let filed = |r: &Reception| r.state == ReceptionState::Filed;
        let valid = |r: &Reception| filed(r) && r.valid_from.start() <= at && at < r.valid_from.plus_days(u64::from(days)).start();
        first(&valid).or_else(|| first(&filed)).or_else(|| first(&|r| r.state != ReceptionState::Withdrawn))
    } else {
        first(&|r| r.state == ReceptionState::Consumed).or_else(|| first(&|_| true))
    }
}

/// Of several tasks of a kind (7.10). A published tray is nobody's task yet.
fn choose_task(tasks: &[Task], kind: TaskKind, at: Instant, entry: bool) -> Option<&Task> {
    let rank = |task: &Task| match (task.state, entry) {
        (TaskState::Called, true) | (TaskState::Entered, false) => 0,
        (TaskState::Appointed, true) | (TaskState::Called, false) => 1,
        (TaskState::Entered, true) | (TaskState::Appointed, false) => 2,
        (TaskState::Completed, _) => 3,
        (TaskState::Cancelled, _) => 4,
        (TaskState::Published, _) => 5,
    };
    let own = tasks.iter().filter(|t| t.kind == kind && t.state != TaskState::Published);
    // min_by_key keeps the first of equals: the order given.
    own.min_by_key(|t| (rank(t), !in_window(t, at)))
}

fn in_window(task: &Task, at: Instant) -> bool {
    task.window_from.is_none_or(|from| from <= at) && task.window_to.is_none_or(|to| at < to)
}

/// C02 (CH-12; LYG-0.11a, LYG-0.11b, LYG-4.5, LYG-7.4): by body; what is not known is a truck among auxiliary and a car among business vehicles (7.18).
fn check_lane(case: &mut Case<'_>, standing: &Standing<'_>) {
    let body = match standing {
        Standing::Registered(v) => match standing.class() {
            Some(Class::Production) => Body::Freight,
            Some(Class::Auxiliary) => v.body.unwrap_or(Body::Freight),
            Some(Class::Business | Class::Reception) | None => v.body.unwrap_or(Body::Passenger),
        },
        Standing::Reception(r) => r.body.unwrap_or(Body::Passenger),
        Standing::SingleVisit(t) => t.body.unwrap_or(Body::Freight),
        Standing::Unknown => return,
    };
    let wrong = match (case.context.lane_class, body) {
        (LaneClass::Mixed, _) | (_, Body::MicroFreight) => false,
        (LaneClass::Freight, body) => body == Body::Passenger,
        (LaneClass::Passenger, body) => body == Body::Freight,
    };
    let directed = presented(case.inputs.lane_override.as_deref()).is_some();
    case.add_if(wrong && !directed, Reason::WrongLane);
}

/// C03 (CH-51; LYG-4.6b, LYG-4.6c1, LYG-6.1b2): compared only when the camera read the very plate that was established surely (7.4).
fn colour_disagrees(case: &Case<'_>, who: &Identity, standing: &Standing<'_>) -> bool {
    if !who.sure() || who.camera_text.as_deref() != Some(who.plate.as_str()) {
        return false;
    }
    let registered = match standing {
        Standing::Registered(v) => v.plate_colour,
        Standing::Reception(r) => r.plate_colour,
        Standing::SingleVisit(_) | Standing::Unknown => None,
    };
    let seen = presented(case.inputs.plate_read.as_ref().and_then(|r| r.colour.as_deref()));
    match (registered, seen) {
        (Some(registered), Some(seen)) => registered.as_str() != seen,
        (None, _) | (_, None) => false,
    }
}

/// C04 (carrier; LYG-1.5, LYG-1.6a), C05 (LYG-0.12a, LYG-0.9d, LYG-7.5a) and C06 (CH-19, CH-25;
/// LYG-2.3a) of a registered vehicle.
fn check_registration(case: &mut Case<'_>, vehicle: &Vehicle, class: Class, facts: &dyn FactSource) -> Result<(), FactError> {
    let at = case.at;
    case.outcome.enterprise.clone_from(&vehicle.enterprise);
    if let Some(id) = &vehicle.enterprise {
        let carrier = subject::enterprise(facts, id)?;
        case.add_if(carrier.is_some_and(|c| c.status == EnterpriseStatus::Deregistered), Reason::EnterpriseDeregistered);
    }
    match vehicle.registration {
        Registration::Approved => {}
        Registration::Pending | Registration::Rejected => case.add(Reason::RegistrationNotApproved),
        Registration::Deregistered => case.add(Reason::RegistrationCancelled),
    }
    case.add_if(vehicle.registration_valid_to.is_some_and(|day| at >= day.end()), Reason::RegistrationExpired);
    // 附件2第三条 speaks of production freight vehicles only.
    let documents_expired = vehicle.documents_valid_to.is_some_and(|day| at >= day.end());
    case.add_if(class == Class::Production && documents_expired, Reason::VehicleDocumentExpired);
    Ok(())
}

/// C06 and C17 of a reception filing (CH-08; LYG-4.6c3); expiry and use never refuse the exit (CH-09).
fn check_reception(case: &mut Case<'_>, reception: &Reception) {
    if !case.entry() {
        return;
    }
    let days = u64::from(case.context.policy.reception_days);
    case.add_if(case.at < reception.valid_from.start(), Reason::ReceptionNotYetValid);
    let over = case.at >= reception.valid_from.plus_days(days).start();
    case.add_if(over || reception.state == ReceptionState::Expired, Reason::ReceptionExpired);
    let used = match reception.state {
        ReceptionState::Consumed | ReceptionState::Closed => true,
        ReceptionState::Filed | ReceptionState::Expired | ReceptionState::Withdrawn => false,
    };
    case.add_if(used, Reason::ReceptionAlreadyUsed);
}

/// C07: who needs a port pass card (CH-04; LYG-0.9c, LYG-5.4, LYG-7.2, LYG-7.6a).
fn needs_card(case: &Case<'_>, category: VehicleCategory) -> bool {
    match category {
        VehicleCategory::PfGeneral
        | VehicleCategory::PfTrade
        | VehicleCategory::PfDg
        | VehicleCategory::PfOther
        | VehicleCategory::PfShortHaul => true,
        VehicleCategory::PfResident => !case.context.policy.resident_card_exempt,
        VehicleCategory::PfContainer
        | VehicleCategory::AuxLong
        | VehicleCategory::BizGroup
        | VehicleCategory::BizStaff
        | VehicleCategory::BizResident
        | VehicleCategory::BizPortside => false,
    }
}

/// C07, C08 where a card is needed (7.5, CH-16, CH-25; LYG-0.9c, LYG-0.10a, LYG-5.3 to 5.5a, LYG-6.3b,
/// LYG-6.3c, LYG-6.4c, LYG-6.4d, LYG-6.4f, LYG-7.6a).
fn check_card(case: &mut Case<'_>, who: &Identity) {
    if !who.card_presented {
        case.add(Reason::CardRequired);
        return;
    }
    let Some(card) = &who.card else {
        case.add(Reason::CardUnknown);
        return;
    };
    let (at, entry) = (case.at, case.entry());
    case.add_if(card.r#type == CardType::Ic, Reason::CardTypeNotAccepted);
    case.add_if(card.valid_from.is_some_and(|day| at < day.start()), Reason::CardNotYetValid);
    case.add_if(card.valid_to.is_some_and(|day| at >= day.end()), Reason::CardExpired);
    match card.status {
        CardStatus::Cancelled => case.add(Reason::CardCancelled),
        CardStatus::Lost => case.add(Reason::CardReportedLost),
        CardStatus::InUse => case.add_if(entry && card.r#type == CardType::Single, Reason::SingleCardAlreadyUsed),
        CardStatus::Recovered => case.add_if(card.r#type == CardType::Single, Reason::SingleCardAlreadyUsed),
        CardStatus::HandedOver => case.add(Reason::SingleCardAlreadyUsed),
        // Not handed out counts as not on record and never comes here; suspended changes nothing (CH-16).
        CardStatus::Issued
        | CardStatus::Suspended
        | CardStatus::Applied
        | CardStatus::TerminalOk
        | CardStatus::Rechecked
        | CardStatus::Approved
        | CardStatus::Rejected => {}
    }
}

/// C09 (7.10 to 7.12, CH-05, CH-14, CH-24; LYG-0.9b, LYG-2.7b, LYG-2.8a, LYG-2.9b, LYG-3.6) and C10.
/// Keeps the task the passage serves.
fn check_task(
    case: &mut Case<'_>,
    who: &Identity,
    subject: &Subject,
    standing: &Standing<'_>,
    category: Option<VehicleCategory>,
    chosen: &mut Chosen,
    facts: &dyn FactSource,
) -> Result<(), FactError> {
    let (at, entry) = (case.at, case.entry());
    match standing.class() {
        Some(Class::Production) => {
            if category.is_some_and(|c| needs_card(case, c)) {
                if let Some(named) = named_task(who, facts)? {
                    if named.plate != who.plate {
                        case.add(Reason::TaskVehicleMismatch);
                        return Ok(());
                    }
                    chosen.task = Some(named);
                }
            }
            if chosen.task.is_none() {
                chosen.task = choose_task(&subject.tasks, TaskKind::Pf, at, entry).cloned();
            }
        }
        Some(Class::Auxiliary) => {
            chosen.task = choose_task(&subject.tasks, TaskKind::Aux, at, entry).cloned();
            if category == Some(VehicleCategory::AuxLong) {
                // No task is needed; a live one is compared with the load (CH-03).
                chosen.task = chosen.task.take().filter(|t| t.state != TaskState::Completed && t.state != TaskState::Cancelled);
                check_cargo(case, chosen.task.as_ref());
                return Ok(());
            }
        }
        Some(Class::Business | Class::Reception) | None => return Ok(()),
    }
    let Some(task) = &chosen.task else {
        let excused = category == Some(VehicleCategory::PfResident) && !case.context.policy.resident_task_required;
        case.add_if(!excused, Reason::TaskMissing);
        return Ok(());
    };
    let over = match task.state {
        TaskState::Completed | TaskState::Cancelled => true,
        TaskState::Entered => task.kind == TaskKind::Aux && entry,
        TaskState::Published | TaskState::Appointed | TaskState::Called => false,
    };
    case.add_if(over, Reason::TaskNotActive);
    case.add_if(entry && !in_window(task, at), Reason::TaskOutsideWindow);
    let uninstructed = task.kind == TaskKind::Pf && entry && task.state == TaskState::Appointed;
    case.add_if(uninstructed && case.context.policy.require_release_instruction, Reason::NoReleaseInstruction);
    check_cargo(case, Some(task));
    Ok(())
}

/// The production task the presented card was issued for, if it is on record (7.11).
fn named_task(who: &Identity, facts: &dyn FactSource) -> Result<Option<Task>, FactError> {
    let Some(code) = who.card.as_ref().and_then(|c| presented(c.task.as_deref())) else { return Ok(None) };
    Ok(subject::task(facts, code)?.filter(|t| t.kind == TaskKind::Pf && t.state != TaskState::Published))
}

/// C10 (7.13, CH-03; LYG-0.12a, LYG-0.12b, LYG-7.6a, LYG-7.6b, LYG-7.7).
fn check_cargo(case: &mut Case<'_>, task: Option<&Task>) {
    let (Some(task), Some(seen)) = (task, &case.inputs.cargo_observed) else { return };
    let due = if case.entry() { &task.cargo_in } else { &task.cargo_out };
    let differs = match (seen.laden, due) {
        (None, _) | (Some(false), None) => false,
        (Some(true), None) | (Some(false), Some(_)) => true,
        (Some(true), Some(due)) => seen.name.as_ref().is_some_and(|name| !name.is_empty() && name != due),
    };
    case.add_if(differs, Reason::CargoTaskMismatch);
}

/// C11 (7.14, CH-13; LYG-7.6b, LYG-7.7). Keeps the permit the passage uses: the presented one
/// before the others. A permit that was issued is used by the exit even where none was demanded.
fn check_exit_permit(case: &mut Case<'_>, subject: &Subject, facts: &dyn FactSource, chosen: &mut Chosen) -> Result<(), FactError> {
    if case.entry() {
        return Ok(());
    }
    let shown = presented(case.inputs.exit_permit.as_deref());
    let issued = || subject.exit_permits.iter().filter(|p| p.state == PermitState::Issued);
    chosen.permit = issued().find(|p| Some(p.id.as_str()) == shown).or_else(|| issued().next()).cloned();
    let empty = case.inputs.cargo_observed.as_ref().is_some_and(|c| c.laden == Some(false));
    let waived = empty && case.context.policy.exit_permit == ExitPermitMode::LadenOnly;
    if waived || chosen.permit.is_some() {
        return Ok(());
    }
    let of_another = match shown {
        Some(id) => subject::exit_permit(facts, id)?.is_some_and(|p| p.plate != subject.plate),
        None => false,
    };
    let invalid = of_another || !subject.exit_permits.is_empty();
    case.add(if invalid { Reason::ExitPermitInvalid } else { Reason::ExitPermitMissing });
    Ok(())
}

/// C12 (7.15, CH-15; LYG-6.4e): demanded of every short-haul vehicle except one that leaves on its own
/// single card while no long-term card on record is bound to it. Returns whether it was demanded.
fn check_consent(case: &mut Case<'_>, subject: &Subject, chosen: &mut Chosen) -> bool {
    let holder = subject.cards.iter().any(|c| c.r#type == CardType::Long && c.status.handed_out());
    let demanded = case.context.policy.leave_consent_required && (chosen.single_card.is_none() || holder);
    if demanded {
        let valid = |c: &&LeaveConsent| c.state == ConsentState::Granted && c.valid_to.is_none_or(|to| case.at < to);
        chosen.consent = subject.leave_consents.iter().find(valid).cloned();
        case.add_if(chosen.consent.is_none(), Reason::LeaveConsentMissing);
    }
    demanded
}

/// The row. A short-haul vehicle on its own single card passes as R01 and R03, unless it owes the
/// terminal's consent: `as_single`.
fn row(case: &Case<'_>, standing: &Standing<'_>, who: &Identity, peak: bool, as_single: bool) -> Row {
    let entry = case.entry();
    let by_direction = |at_entry, at_exit| if entry { at_entry } else { at_exit };
    let long = who.card.as_ref().is_some_and(|c| c.r#type == CardType::Long && c.plate == who.plate);
    match standing {
        Standing::Registered(vehicle) => match vehicle.category {
            VehicleCategory::PfGeneral | VehicleCategory::PfTrade | VehicleCategory::PfDg | VehicleCategory::PfOther if long => {
                by_direction(Row::LygR02, Row::LygR04)
            }
            VehicleCategory::PfGeneral | VehicleCategory::PfTrade | VehicleCategory::PfDg | VehicleCategory::PfOther => {
                by_direction(Row::LygR01, Row::LygR03)
            }
            VehicleCategory::PfContainer => by_direction(Row::LygR05, Row::LygR06),
            // Without the exemption (CH-04) it is carded freight like any other.
            VehicleCategory::PfResident if needs_card(case, vehicle.category) && long => by_direction(Row::LygR02, Row::LygR04),
            VehicleCategory::PfResident if needs_card(case, vehicle.category) => by_direction(Row::LygR01, Row::LygR03),
            VehicleCategory::PfResident => by_direction(Row::LygR07, Row::LygR08),
            VehicleCategory::PfShortHaul if as_single => by_direction(Row::LygR01, Row::LygR03),
            VehicleCategory::PfShortHaul => by_direction(Row::LygR09, Row::LygR10),
            VehicleCategory::AuxLong => by_direction(Row::LygR11, Row::LygR12),
            VehicleCategory::BizGroup | VehicleCategory::BizStaff | VehicleCategory::BizResident | VehicleCategory::BizPortside => {
                by_direction(Row::LygR15, if peak { Row::LygR17 } else { Row::LygR16 })
            }
        },
        Standing::Reception(_) => by_direction(Row::LygR18, if peak { Row::LygR20 } else { Row::LygR19 }),
        Standing::SingleVisit(_) => by_direction(Row::LygR13, Row::LygR14),
        Standing::Unknown => Row::LygR22,
    }
}

/// C19 (CH-01, CH-02, CH-03, CH-07, CH-10; LYG-0.12a, LYG-3.7, LYG-4.4a to 4.4c, LYG-4.6c2, LYG-7.6b).
fn release_mode(case: &Case<'_>, standing: &Standing<'_>, peak: bool) -> Reason {
    let entry = case.entry();
    match standing.class() {
        Some(Class::Production) => match case.context.policy.production_release_mode {
            ReleaseMode::Manual => Reason::ManualReleaseRequired,
            ReleaseMode::Auto => Reason::AutoReleaseProduction,
        },
        Some(Class::Auxiliary) if entry => Reason::AutoReleaseAuxiliaryEntry,
        Some(Class::Business) if entry => Reason::AutoReleaseBusinessEntry,
        Some(Class::Reception) if entry => Reason::AutoReleaseReceptionEntry,
        Some(Class::Business | Class::Reception) if peak => Reason::PeakModeExit,
        Some(Class::Auxiliary | Class::Business | Class::Reception) | None => Reason::ManualReleaseRequired,
    }
}

/// The effects of the row; a single card shown together with the consent is recovered too.
fn effects(row: Row, chosen: &Chosen) -> Vec<Effect> {
    let mut effects = row.effects().to_vec();
    if row == Row::LygR10 && chosen.single_card.is_some() {
        effects = Row::LygR03.effects().to_vec();
        effects.push(Effect::LeaveConsentUsed);
    }
    effects
}

/// What an effect would use; none where the record for it is missing or can no longer serve.
fn intent(effect: Effect, plate: &str, chosen: &Chosen) -> Option<UseIntent> {
    let on = |kind, id: &str, issue: &Option<String>, state: &str| UseIntent {
        effect,
        plate: plate.to_owned(),
        kind,
        id: id.to_owned(),
        issue: issue.clone(),
        state: state.to_owned(),
    };
    let live_task = || chosen.task.as_ref().filter(|t| t.state != TaskState::Completed && t.state != TaskState::Cancelled);
    let live_card = |entry: bool| {
        chosen.single_card.as_ref().filter(|c| match c.status {
            CardStatus::Issued | CardStatus::Suspended => true,
            CardStatus::InUse => !entry,
            CardStatus::Applied
            | CardStatus::TerminalOk
            | CardStatus::Rechecked
            | CardStatus::Approved
            | CardStatus::Rejected
            | CardStatus::Recovered
            | CardStatus::HandedOver
            | CardStatus::Lost
            | CardStatus::Cancelled => false,
        })
    };
    match effect {
        Effect::PresenceOpened => Some(on(UseKind::Presence, plate, &None, "INSIDE")),
        Effect::PresenceClosed => Some(on(UseKind::Presence, plate, &None, "OUTSIDE")),
        Effect::SingleCardConsumed => live_card(true).map(|c| on(UseKind::Card, &c.id, &c.issue_id, "IN_USE")),
        Effect::SingleCardRecovered => live_card(false).map(|c| on(UseKind::Card, &c.id, &c.issue_id, "RECOVERED")),
        Effect::TaskEntered => live_task().map(|t| on(UseKind::Task, &t.code, &t.issue_id, "ENTERED")),
        Effect::TaskCompleted => live_task().map(|t| on(UseKind::Task, &t.code, &t.issue_id, "COMPLETED")),
        Effect::ExitPermitUsed => chosen.permit.as_ref().map(|p| on(UseKind::ExitPermit, &p.id, &p.issue_id, "USED")),
        Effect::LeaveConsentUsed => chosen.consent.as_ref().map(|c| on(UseKind::LeaveConsent, &c.id, &c.issue_id, "USED")),
        Effect::ReceptionConsumed => {
            let filed = chosen.reception.as_ref().filter(|r| r.state == ReceptionState::Filed);
            filed.map(|r| on(UseKind::Reception, &r.id, &r.issue_id, "CONSUMED"))
        }
        // Whatever its state: neither expiry nor use stops the exit (CH-09).
        Effect::ReceptionClosed => chosen.reception.as_ref().map(|r| on(UseKind::Reception, &r.id, &r.issue_id, "CLOSED")),
        Effect::QrUsed
        | Effect::AppointmentCompleted
        | Effect::TripTimeRecorded
        | Effect::SealVerified
        | Effect::ManifestWrittenOff
        | Effect::EscortRecordDue => None,
    }
}

//! Everything on record of one plate: registry records with their use merged in.
//!
//! Registry and use are two things: a record says what was authorised, the use book what has
//! become of it. A use counts only for the issue it was made under.

use crate::effect::UseKind;
use crate::facts::{Entry, FactError, FactSource, Presence, UseBook};
use crate::registry::*;

/// The dossier of a plate.
pub(super) struct Subject {
    pub plate: String,
    pub vehicle: Option<Vehicle>,
    pub cards: Vec<Card>,
    pub tasks: Vec<Task>,
    pub receptions: Vec<Reception>,
    pub bans: Vec<Ban>,
    pub exit_permits: Vec<ExitPermit>,
    pub leave_consents: Vec<LeaveConsent>,
    pub inspection_orders: Vec<InspectionOrder>,
    pub appointments: Vec<Appointment>,
    pub customs_vehicle: Option<CustomsVehicle>,
    pub trips: Vec<Trip>,
    pub escorts: Vec<Escort>,
    pub book: UseBook,
}

impl Subject {
    /// Reads the dossier and the use book of a plate.
    pub(super) fn load(facts: &dyn FactSource, plate: &str) -> Result<Self, FactError> {
        let mut subject = Self {
            plate: plate.to_owned(),
            vehicle: None,
            cards: Vec::new(),
            tasks: Vec::new(),
            receptions: Vec::new(),
            bans: Vec::new(),
            exit_permits: Vec::new(),
            leave_consents: Vec::new(),
            inspection_orders: Vec::new(),
            appointments: Vec::new(),
            customs_vehicle: None,
            trips: Vec::new(),
            escorts: Vec::new(),
            book: facts.use_book(plate)?,
        };
        for mut record in facts.records_of(plate)? {
            if record.plate() != Some(plate) {
                return Err(FactError(format!("{} {:?} is not of this plate", record.kind(), record.id())));
            }
            merge(&mut record, &subject.book)?;
            subject.keep(record);
        }
        Ok(subject)
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Vehicle(r) => self.vehicle = Some(r),
            Record::Card(r) => self.cards.push(r),
            Record::Task(r) => self.tasks.push(r),
            Record::Reception(r) => self.receptions.push(r),
            Record::Ban(r) => self.bans.push(r),
            Record::ExitPermit(r) => self.exit_permits.push(r),
            Record::LeaveConsent(r) => self.leave_consents.push(r),
            Record::InspectionOrder(r) => self.inspection_orders.push(r),
            Record::Appointment(r) => self.appointments.push(r),
            Record::CustomsVehicle(r) => self.customs_vehicle = Some(r),
            Record::Trip(r) => self.trips.push(r),
            Record::Escort(r) => self.escorts.push(r),
            // QR codes are read by their id when presented; the rest has no plate.
            Record::QrCode(_)
            | Record::Enterprise(_)
            | Record::Approval(_)
            | Record::CustomsEnterprise(_)
            | Record::CustomsDriver(_)
            | Record::Manifest(_)
            | Record::Site(_)
            | Record::Checkpoint(_)
            | Record::Lane(_)
            | Record::PeakMode(_)
            | Record::Policy(_) => {}
        }
    }

    /// Whether the plate is inside: by passages, else by any of its records (7.16).
    pub(super) fn inside(&self) -> bool {
        let by_record = || {
            let vehicle = self.vehicle.iter().map(|r| r.presence);
            let receptions = self.receptions.iter().map(|r| r.presence);
            let tasks = self.tasks.iter().map(|r| r.presence);
            vehicle.chain(receptions).chain(tasks).any(|p| p == Some(Presence::Inside))
        };
        self.book.presence.map_or_else(by_record, |p| p == Presence::Inside)
    }

    /// Whether an inspection order is open.
    pub(super) fn inspection_ordered(&self) -> bool {
        self.inspection_orders.iter().any(|o| o.state == InspectionState::Open)
    }
}

fn stray(entry: &Entry, parent: &str) -> FactError {
    FactError(format!("{} {:?} is no child of {parent:?}", entry.kind, entry.id))
}

fn understood(entry: &Entry) -> Result<Record, FactError> {
    Ok(Record::from_entry(entry)?)
}

/// Declares a look-up by id; the use under the record's own plate is merged in.
macro_rules! lookups {
    ($($(#[$meta:meta])* $name:ident -> $variant:ident;)+) => {$(
        $(#[$meta])*
        pub(super) fn $name(facts: &dyn FactSource, id: &str) -> Result<Option<$variant>, FactError> {
            let Some(mut record) = facts.record_of(Kind::$variant, id)? else { return Ok(None) };
            if record.id() != id {
                return Err(FactError(format!("asked for {} {id:?}, got {:?}", Kind::$variant, record.id())));
            }
            let owner = record.plate().map(str::to_owned);
            if let Some(plate) = owner {
                merge(&mut record, &facts.use_book(&plate)?)?;
            }
            match record {
                Record::$variant(r) => Ok(Some(r)),
                other => Err(FactError(format!("asked for {} {id:?}, got {} {:?}", Kind::$variant, other.kind(), other.id()))),
            }
        }
    )+};
}

lookups! {
    any_card -> Card;
    /// A task by its code.
    task -> Task;
    /// A Horgos appointment.
    appointment -> Appointment;
    /// A release QR code.
    qr_code -> QrCode;
    /// An exit permit.
    exit_permit -> ExitPermit;
    /// A carrier.
    enterprise -> Enterprise;
    /// A carrier at customs.
    customs_enterprise -> CustomsEnterprise;
    /// A driver at customs.
    customs_driver -> CustomsDriver;
}

/// A card that is on record: one not yet handed out is not (7.5).
pub(super) fn card(facts: &dyn FactSource, id: &str) -> Result<Option<Card>, FactError> {
    Ok(any_card(facts, id)?.filter(|c| c.status.handed_out()))
}

/// The approvals of an appointment, in the order given.
pub(super) fn approvals(facts: &dyn FactSource, appointment: &str) -> Result<Vec<Approval>, FactError> {
    let mut approvals = Vec::new();
    for entry in facts.children(Kind::Approval, appointment)? {
        let record = understood(&entry)?;
        let Record::Approval(approval) = record else { return Err(stray(&entry, appointment)) };
        if approval.appointment != appointment {
            return Err(stray(&entry, appointment));
        }
        approvals.push(approval);
    }
    Ok(approvals)
}

/// The manifests of a trip, in the order given, with their use under the trip's plate.
pub(super) fn manifests(facts: &dyn FactSource, trip: &str, book: &UseBook) -> Result<Vec<Manifest>, FactError> {
    let mut manifests = Vec::new();
    for entry in facts.children(Kind::Manifest, trip)? {
        let mut record = understood(&entry)?;
        merge(&mut record, book)?;
        let Record::Manifest(manifest) = record else { return Err(stray(&entry, trip)) };
        if manifest.trip != trip {
            return Err(stray(&entry, trip));
        }
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// The state a credential has come to by its use, if that use was of this issue.
fn used<'b>(book: &'b UseBook, kind: UseKind, id: &str, issue: Option<&str>) -> Option<&'b str> {
    book.used.get(&format!("{kind}/{id}")).filter(|u| u.issue.as_deref() == issue).map(|u| u.state.as_str())
}

fn unknown_state(kind: UseKind, state: &str) -> FactError {
    FactError(format!("the use book has a {kind} in state {state:?}, which does not exist"))
}

/// Moves a record to the state its use has brought it to. A registry state that stands beside the
/// lifecycle (lost, cancelled, revoked, void, withdrawn) stays; of the lifecycle's own states the
/// further one counts.
fn merge(record: &mut Record, book: &UseBook) -> Result<(), FactError> {
    if book.used.is_empty() {
        return Ok(());
    }
    match record {
        Record::Card(r) => {
            let Some(state) = used(book, UseKind::Card, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.status = match (state, r.status) {
                ("IN_USE", CardStatus::Issued | CardStatus::Suspended) => CardStatus::InUse,
                ("RECOVERED", CardStatus::Issued | CardStatus::Suspended | CardStatus::InUse) => CardStatus::Recovered,
                ("IN_USE" | "RECOVERED", status) => status,
                (other, _) => return Err(unknown_state(UseKind::Card, other)),
            };
        }
        Record::Task(r) => {
            let Some(state) = used(book, UseKind::Task, &r.code, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("ENTERED", TaskState::Published | TaskState::Appointed | TaskState::Called) => TaskState::Entered,
                ("COMPLETED", TaskState::Published | TaskState::Appointed | TaskState::Called | TaskState::Entered) => TaskState::Completed,
                ("ENTERED" | "COMPLETED", state) => state,
                (other, _) => return Err(unknown_state(UseKind::Task, other)),
            };
        }
        Record::Reception(r) => {
            let Some(state) = used(book, UseKind::Reception, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("CONSUMED", ReceptionState::Filed | ReceptionState::Expired) => ReceptionState::Consumed,
                ("CLOSED", ReceptionState::Filed | ReceptionState::Expired | ReceptionState::Consumed) => ReceptionState::Closed,
                ("CONSUMED" | "CLOSED", state) => state,
                (other, _) => return Err(unknown_state(UseKind::Reception, other)),
            };
        }
        Record::ExitPermit(r) => {
            let Some(state) = used(book, UseKind::ExitPermit, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("USED", PermitState::Issued) => PermitState::Used,
                ("USED", state) => state,
                (other, _) => return Err(unknown_state(UseKind::ExitPermit, other)),
            };
        }
        Record::LeaveConsent(r) => {
            let Some(state) = used(book, UseKind::LeaveConsent, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("USED", ConsentState::Granted) => ConsentState::Used,
                ("USED", state) => state,
                (other, _) => return Err(unknown_state(UseKind::LeaveConsent, other)),
            };
        }
        Record::QrCode(r) => {
            let Some(state) = used(book, UseKind::QrCode, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("USED", QrState::Active) => QrState::Used,
                ("USED", state) => state,
                (other, _) => return Err(unknown_state(UseKind::QrCode, other)),
            };
        }
        Record::Appointment(r) => {
            let Some(state) = used(book, UseKind::Appointment, &r.id, None) else { return Ok(()) };
            r.state = match (state, r.state) {
                ("COMPLETED", AppointmentState::Cancelled) => AppointmentState::Cancelled,
                ("COMPLETED", _) => AppointmentState::Completed,
                (other, _) => return Err(unknown_state(UseKind::Appointment, other)),
            };
        }
        Record::Manifest(r) => {
            let Some(state) = used(book, UseKind::Manifest, &r.id, r.issue_id.as_deref()) else { return Ok(()) };
            r.state = match state {
                "WRITTEN_OFF" => ManifestState::WrittenOff,
                other => return Err(unknown_state(UseKind::Manifest, other)),
            };
        }
        // Nothing of these is used up by a passage.
        Record::Enterprise(_)
        | Record::Vehicle(_)
        | Record::Ban(_)
        | Record::InspectionOrder(_)
        | Record::Approval(_)
        | Record::CustomsEnterprise(_)
        | Record::CustomsVehicle(_)
        | Record::CustomsDriver(_)
        | Record::Trip(_)
        | Record::Escort(_)
        | Record::Site(_)
        | Record::Checkpoint(_)
        | Record::Lane(_)
        | Record::PeakMode(_)
        | Record::Policy(_) => {}
    }
    Ok(())
}

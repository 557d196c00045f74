//! Registry writes: policy revisions go on their timeline, inspection orders and peak pass mode say
//! who ordered them; everything is on record with the account behind it.

use super::step::Run;
use super::Change;
use crate::decision::AnswerOutcome;
use crate::facts::FactError;
use crate::journal::JournalEvent;
use crate::people::{Principal, Role};
use crate::registry::{InspectionOrder, InspectionState, Kind, PolicyRecord, Record};
use crate::time::Instant;
use crate::timeline::{scope_of, scope_of_id};

/// A registry write as it came.
pub(super) struct Write {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) value: Option<serde_json::Value>,
    pub(super) request_id: Option<String>,
    pub(super) by: Option<Principal>,
}

/// A write that is not carried out, and why.
struct No(AnswerOutcome, String);

impl Run<'_> {
    /// Takes a write in, or puts on record why not. What was in force before stays then.
    pub(super) fn registry(&mut self, write: Write) -> Result<(), FactError> {
        let Write { kind, id, value, request_id, by } = write;
        let subject = format!("{kind}/{id}");
        let record = value.map(|v| Record::parse(kind, &id, &v)).transpose();
        let done = match record {
            Err(e) => Err(No(AnswerOutcome::Invalid, e.to_string())),
            Ok(record) => self.write_record(kind, &id, record, by)?,
        };
        match done {
            Ok(revision) => {
                if let Some(r) = request_id {
                    self.answer(&r, AnswerOutcome::Done, &subject, revision, None);
                }
            }
            Err(No(outcome, why)) => {
                let event_id = request_id.clone().unwrap_or_else(|| subject.clone());
                self.emit(JournalEvent::Dropped { event_id, reason: format!("{subject}: {why}") });
                if let Some(r) = request_id {
                    self.answer(&r, outcome, &subject, self.world.registry_revision(), Some(why));
                }
            }
        }
        Ok(())
    }

    fn write_record(
        &mut self,
        kind: Kind,
        id: &str,
        mut record: Option<Record>,
        by: Option<Principal>,
    ) -> Result<Result<u64, No>, FactError> {
        // A stored record that this program cannot read stands in nobody's way.
        let before = self.world.record_of(kind, id).unwrap_or(None);
        if kind == Kind::InspectionOrder {
            let before = before.as_ref().and_then(|r| if let Record::InspectionOrder(o) = r { Some(o) } else { None });
            let after = record.as_mut().and_then(|r| if let Record::InspectionOrder(o) = r { Some(o) } else { None });
            if let Err(no) = inspection(before, after, by.as_ref(), self.now) {
                return Ok(Err(no));
            }
        }
        if let (Some(Record::PeakMode(mode)), Some(by)) = (&mut record, &by) {
            if mode.active && mode.activated_by.is_none() {
                mode.activated_by = Some(by.name.clone());
            }
        }
        let policy = match (kind, &record) {
            (Kind::Policy, Some(Record::Policy(policy))) => match self.policy_written(policy, before.as_ref(), by.as_ref())? {
                Ok(told) => told,
                Err(no) => return Ok(Err(no)),
            },
            (Kind::Policy, _) => self.policy_taken_away(id, before.as_ref())?,
            _ => Vec::new(),
        };
        let revision = self.world.registry_revision().saturating_add(1);
        let value = record.map(|r| r.to_value());
        self.emit(JournalEvent::Registry { revision, kind: kind.as_str().to_owned(), id: id.to_owned(), value: value.clone(), by });
        self.out.changes.push(Change::Record { kind, id: id.to_owned(), value });
        for (event, change) in policy {
            self.emit(event);
            self.out.changes.push(change);
        }
        Ok(Ok(revision))
    }

    /// Puts a revision on the timeline of its scope.
    fn policy_written(
        &self,
        policy: &PolicyRecord,
        before: Option<&Record>,
        by: Option<&Principal>,
    ) -> Result<Result<Vec<(JournalEvent, Change)>, No>, FactError> {
        let scope = scope_of(policy);
        let mut timeline = (*self.world.policies(scope)?).clone();
        let mut told = match before {
            Some(Record::Policy(old)) if scope_of(old) != scope => self.policy_taken_away(&policy.id, before)?,
            _ => Vec::new(),
        };
        match timeline.enter(policy, self.now, by.cloned()) {
            Err(full) => return Ok(Err(No(AnswerOutcome::Invalid, full.to_string()))),
            Ok(None) => {}
            Ok(Some(revision)) => {
                let revision = Some(Box::new(revision.clone()));
                let event = JournalEvent::Policy { scope: scope.to_owned(), id: policy.id.clone(), revision };
                told.push((event, Change::Policies { scope: scope.to_owned(), timeline }));
            }
        }
        Ok(Ok(told))
    }

    /// Takes the revisions of a record away; past ones stay on the timeline.
    fn policy_taken_away(&self, id: &str, before: Option<&Record>) -> Result<Vec<(JournalEvent, Change)>, FactError> {
        let scope = match before {
            Some(Record::Policy(old)) => scope_of(old),
            _ => scope_of_id(id),
        };
        let mut timeline = (*self.world.policies(scope)?).clone();
        if timeline.withdraw(id, self.now) == 0 {
            return Ok(Vec::new());
        }
        let event = JournalEvent::Policy { scope: scope.to_owned(), id: id.to_owned(), revision: None };
        Ok(vec![(event, Change::Policies { scope: scope.to_owned(), timeline })])
    }
}

/// Who ordered an inspection, who ends it (LYG-7.8a, NNG-2.2.i3, NNG-2.2.e2): customs' orders are
/// customs' own, a guard's may also be ended by the supervisor, the registrar keeps the rest.
fn inspection(
    before: Option<&InspectionOrder>,
    after: Option<&mut InspectionOrder>,
    by: Option<&Principal>,
    now: Instant,
) -> Result<(), No> {
    let open = before.filter(|o| o.state == InspectionState::Open);
    let Some(by) = by else {
        // Written by another system over the log: as it says.
        return Ok(());
    };
    if let Some(ordered_by) = open.and_then(|o| o.ordered_by) {
        let may = match ordered_by {
            Role::Customs => by.role == Role::Customs,
            Role::Guard => matches!(by.role, Role::Guard | Role::Supervisor | Role::Registrar),
            other => by.role == other || matches!(by.role, Role::Supervisor | Role::Registrar),
        };
        if !may {
            let who = ordered_by.as_str();
            return Err(No(AnswerOutcome::Forbidden, format!("this inspection was ordered by the role {who}, which also concludes it")));
        }
    }
    let Some(after) = after else { return Ok(()) };
    match (after.state, open) {
        (_, Some(open)) => {
            after.ordered_by = open.ordered_by;
            after.ordered_at = open.ordered_at;
            after.by = after.by.take().or_else(|| open.by.clone());
        }
        (InspectionState::Open, None) => {
            after.ordered_by = Some(by.role);
            after.ordered_at = Some(now);
            after.by.get_or_insert_with(|| by.name.clone());
        }
        (InspectionState::Concluded, None) => {}
    }
    if after.state == InspectionState::Concluded {
        after.concluded_by.get_or_insert_with(|| by.name.clone());
        after.concluded_at.get_or_insert(now);
    }
    Ok(())
}

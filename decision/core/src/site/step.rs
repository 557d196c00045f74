//! One input, one step: routing a read to its approach, closing, deciding, commanding.

use std::collections::BTreeMap;

use super::approach::{is_evidence, Approach, Phase};
use super::registry::Write;
use super::{Change, Input, LaneState, Left, Step, World};
use crate::decision::{Answer, AnswerOutcome, Beside, Decision, PlateSource, ReasonRecord, Verdict};
use crate::facts::{Entry, FactError, FactSource, UseBook};
use crate::journal::{AuthorisedBy, Ending, JournalEvent, REPEATED_READ};
use crate::people::Principal;
use crate::plate::normalise;
use crate::policy::Policy;
use crate::read::{Action, ReadMessage};
use crate::reason::{Reason, SysReason};
use crate::registry::{Kind, Record};
use crate::rules::{decide, Context, Outcome};
use crate::time::Instant;
use crate::timeline::{Revision, Standing, DEFAULT_SCOPE};

/// Takes one input of a site at gate time `now`.
///
/// Errors only where the store itself could not be read; the shell then stops and starts again
/// from its last commit. A fact that cannot be read during a decision is no error here: the
/// decision is Hold.
pub fn step(world: &dyn World, site: &str, input: Input, now: Instant) -> Result<Step, FactError> {
    let mut run = Run { world, site, now, out: Step::default(), books: BTreeMap::new() };
    match input {
        Input::Registry { kind, id, value, request_id, by } => run.registry(Write { kind, id, value, request_id, by })?,
        Input::Degraded { component, away } => run.component(component, away),
        Input::Tick { lane } => run.tick(&lane)?,
        Input::Read(read) => run.read(*read)?,
    }
    Ok(run.finish())
}

/// One step being taken. Use books changed on the way are seen by what follows in the same step.
pub(super) struct Run<'w> {
    pub(super) world: &'w dyn World,
    pub(super) site: &'w str,
    pub(super) now: Instant,
    pub(super) out: Step,
    books: BTreeMap<String, UseBook>,
}

/// What a lane is, and under which policy it decides.
pub(super) struct Place {
    pub(super) lane: crate::registry::Lane,
    pub(super) checkpoint: crate::registry::Checkpoint,
    pub(super) peak_mode: Option<crate::registry::PeakMode>,
    pub(super) policy: Policy,
    /// What decisions name as their policy, and what decides beside it.
    pub(super) standing: Standing,
}

/// Why a version is made, where it is not the machine's first.
pub(super) struct Said<'a> {
    pub(super) by: &'a Principal,
    pub(super) action: Action,
    pub(super) note: &'a str,
}

impl FactSource for Run<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.world.get(kind, id)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.world.dossier(plate)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.world.children(kind, parent)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        match self.books.get(plate) {
            Some(book) => Ok(book.clone()),
            None => self.world.use_book(plate),
        }
    }
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        self.world.record_of(kind, id)
    }
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        self.world.records_of(plate)
    }
}

impl Run<'_> {
    fn finish(mut self) -> Step {
        for (plate, book) in self.books {
            self.out.changes.push(Change::UseBook { plate, book });
        }
        self.out
    }

    pub(super) fn emit(&mut self, event: JournalEvent) {
        self.out.events.push(event);
    }

    pub(super) fn edit_book(&mut self, plate: &str, edit: impl FnOnce(&mut UseBook)) -> Result<(), FactError> {
        let mut book = self.use_book(plate)?;
        edit(&mut book);
        self.books.insert(plate.to_owned(), book);
        Ok(())
    }

    pub(super) fn answer(&mut self, request_id: &str, outcome: AnswerOutcome, subject: &str, version: u64, message: Option<String>) {
        let answer = Answer { request_id: request_id.to_owned(), outcome, subject: subject.to_owned(), version, message };
        self.emit(JournalEvent::Answered { answer });
    }

    // ---- inputs -------------------------------------------------------------------------

    fn tick(&mut self, lane: &str) -> Result<(), FactError> {
        let Some(mut state) = self.world.lane(lane)? else { return Ok(()) };
        if state.deadline().is_none_or(|d| d > self.now) {
            return Ok(());
        }
        let Some(place) = self.place(lane)? else { return Ok(()) };
        self.run_deadlines(&place, &mut state)?;
        self.out.changes.push(Change::Lane(Box::new(state)));
        Ok(())
    }

    fn read(&mut self, read: ReadMessage) -> Result<(), FactError> {
        let event_id = read.event_id.clone().unwrap_or_default();
        if self.world.seen(&event_id)? {
            self.emit(JournalEvent::Dropped { event_id, reason: REPEATED_READ.into() });
            return Ok(());
        }
        let Some(place) = self.place(&read.lane)? else {
            self.emit(JournalEvent::Dropped { event_id, reason: format!("no lane {:?} with a checkpoint in the registry", read.lane) });
            return Ok(());
        };
        self.out.changes.push(Change::Seen { event_id: event_id.clone(), at: self.now });
        self.emit(JournalEvent::Read { read: Box::new(read.clone()) });

        let mut state = self.world.lane(&read.lane)?.unwrap_or_else(|| LaneState::new(&read.lane));
        self.run_deadlines(&place, &mut state)?;
        if let Some(n) = read.queue_length {
            state.queue_length = n;
        }
        if let Some(report) = &read.barrier {
            self.barrier(&place, &mut state, report)?;
        }
        if read.vehicle_present == Some(true) && state.current.is_none() {
            let at = self.event_time(&place, &read);
            let approach = self.begin(&mut state, at, &place);
            state.current = Some(approach);
        }
        if is_evidence(&read) {
            self.evidence(&place, &mut state, &read)?;
        } else if let Some(current) = &mut state.current {
            current.last_read_at = self.now;
            schedule(current, &place.policy, self.now);
        }
        if read.vehicle_passed == Some(true) {
            self.passed(&place, &mut state, &read, &event_id)?;
        }
        // An empty loop before a barrier that was not told to open: the vehicle has turned away.
        let turned_away = read.vehicle_present == Some(false)
            && state
                .current
                .as_ref()
                .is_some_and(|a| a.authorisation.is_none() && a.phase == Phase::Decided && !state.may_rise(a, self.now));
        if read.vehicle_gone == Some(true) || turned_away {
            let at = self.event_time(&place, &read);
            self.leave(&place, &mut state, Ending::Gone, at)?;
        }
        if let Some(word) = &read.word {
            self.word(&place, &mut state, word)?;
        }
        if let Some(ruling) = &read.ruling {
            self.ruling(&place, ruling)?;
        }
        if let Some(spot) = &read.on_the_spot {
            self.on_the_spot(&place, &mut state, spot, event_id)?;
        }
        self.out.changes.push(Change::Lane(Box::new(state)));
        Ok(())
    }

    // ---- approaches ---------------------------------------------------------------------

    pub(super) fn place(&self, lane: &str) -> Result<Option<Place>, FactError> {
        let Some(Record::Lane(lane)) = self.record(Kind::Lane, lane)? else { return Ok(None) };
        let Some(Record::Checkpoint(checkpoint)) = self.record(Kind::Checkpoint, &lane.checkpoint)? else {
            return Ok(None);
        };
        let peak_mode = match self.record(Kind::PeakMode, &checkpoint.id)? {
            Some(Record::PeakMode(p)) => Some(p),
            _ => None,
        };
        let standing = match (self.world.policies(&checkpoint.id), self.world.policies(DEFAULT_SCOPE)) {
            (Ok(own), Ok(default)) => Standing::at(&own, &default, self.now),
            // A policy that cannot be read opens nothing.
            (Err(_), _) | (_, Err(_)) => Standing::missing(),
        };
        Ok(Some(Place { lane, checkpoint, peak_mode, policy: standing.switches.clone(), standing }))
    }

    fn record(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        self.world.record_of(kind, id)
    }

    /// The device's time, unless its clock is further off than the policy trusts: then the
    /// gate's, because a fraud could lie in a device's clock.
    pub(super) fn event_time(&self, place: &Place, read: &ReadMessage) -> Instant {
        let received = read.received_at.unwrap_or(self.now);
        match (read.observed_at, place.policy.clock_skew_max_s) {
            (Some(at), Some(max)) if at.millis_since(received).abs() > i64::from(max).saturating_mul(1000) => received,
            (Some(at), _) => at,
            (None, _) => received,
        }
    }

    fn begin(&mut self, state: &mut LaneState, at: Instant, place: &Place) -> Approach {
        state.approaches = state.approaches.saturating_add(1);
        let stamp: String = at.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let id = format!("{}-{stamp}-{:04}", state.lane, state.approaches);
        self.emit(JournalEvent::Arrived { approach_id: id.clone(), lane: state.lane.clone(), arrived_at: at });
        let mut approach = Approach::begin(id, &state.lane, at, self.now);
        schedule(&mut approach, &place.policy, self.now);
        approach
    }

    /// Brings evidence to the vehicle at the barrier or to the one behind it.
    fn evidence(&mut self, place: &Place, state: &mut LaneState, read: &ReadMessage) -> Result<(), FactError> {
        let at = self.event_time(place, read);
        if let (Some(plate), Some(left)) = (&read.plate_read, &state.left) {
            if left.is_of(read, plate, at) {
                let event_id = read.event_id.clone().unwrap_or_default();
                self.emit(JournalEvent::Dropped { event_id, reason: "plate read of a vehicle that has left".into() });
                return Ok(());
            }
        }
        let behind = match &state.current {
            None => false,
            Some(current) => self.belongs_behind(current, state.behind.as_ref(), read)?,
        };
        if behind {
            let mut next = match state.behind.take() {
                Some(a) => a,
                None => self.begin(state, at, place),
            };
            next.join(read, at, self.now);
            // Its driver reaches the reader only at the barrier; until then only its end is timed.
            next.window_from = None;
            next.deadline = idle_end(&next, &place.policy);
            state.behind = Some(next);
            return Ok(());
        }
        let mut current = match state.current.take() {
            Some(a) => a,
            None => self.begin(state, at, place),
        };
        current.join(read, at, self.now);
        match current.phase {
            Phase::Pending => self.evaluate(place, state, &mut current)?,
            Phase::Decided => self.late(place, state, &mut current, read.lane_override.is_some())?,
        }
        schedule(&mut current, &place.policy, self.now);
        state.current = Some(current);
        Ok(())
    }

    /// Whether a read is of the vehicle behind the one at the barrier: its camera track or its
    /// plate says so, or the plate its credential is bound to.
    fn belongs_behind(&self, current: &Approach, behind: Option<&Approach>, read: &ReadMessage) -> Result<bool, FactError> {
        if let Some(plate) = &read.plate_read {
            if let Some(track) = &read.track_id {
                if current.tracks.contains(track) {
                    return Ok(false);
                }
                if behind.is_some_and(|b| b.tracks.contains(track)) {
                    return Ok(true);
                }
            }
            // Without a track, reads that differ while evidence is still coming are one vehicle's.
            let tells_apart = read.track_id.is_some() && !current.tracks.is_empty() || current.phase == Phase::Decided;
            return Ok(tells_apart && !plate.text.is_empty() && current.reads_other_plate(&plate.text));
        }
        let bound = match (&read.card, &read.qr) {
            (Some(id), _) => self.world.get(Kind::Card, id)?,
            (None, Some(id)) => self.world.get(Kind::QrCode, id)?,
            (None, None) => None,
        };
        let bound = bound.and_then(|e| e.value.get("plate").and_then(|p| p.as_str()).map(str::to_owned));
        let Some(bound) = bound else { return Ok(current.authorisation.is_some() && behind.is_some()) };
        let is = |a: &Approach| a.inputs.plate_read.as_ref().is_some_and(|p| normalise(&p.text) == bound);
        // While the barrier has not moved yet, a strange card is a doubt about the vehicle before it.
        let through = current.authorisation.as_ref().is_some_and(|a| a.executed);
        Ok(!is(current) && (through || behind.is_some_and(is)))
    }

    pub(super) fn decide(&self, place: &Place, approach: &Approach) -> Outcome {
        self.decide_under(&place.policy, place, approach)
    }

    fn decide_under(&self, policy: &Policy, place: &Place, approach: &Approach) -> Outcome {
        let context = Context {
            checkpoint: &place.checkpoint.id,
            lane: &place.lane.id,
            profile: place.checkpoint.profile,
            direction: place.lane.direction,
            lane_class: place.lane.lane_class,
            it_port: place.checkpoint.has_it(),
            peak_mode: place.peak_mode.as_ref(),
            policy,
            approach_id: &approach.approach_id,
            degraded: self.degraded(place, approach),
            now: self.now,
        };
        let lapsed = approach.overridden_at.is_some_and(|at| seconds_after(at, place.policy.lane_override_s) <= self.now);
        if lapsed {
            let inputs = ReadMessage { lane_override: None, ..(*approach.inputs).clone() };
            return decide(&context, &inputs, approach.arrived_at, self);
        }
        decide(&context, &approach.inputs, approach.arrived_at, self)
    }

    /// What is away or in doubt; of several what puts the facts in doubt comes first.
    fn degraded(&self, place: &Place, approach: &Approach) -> Option<SysReason> {
        if place.standing.missing {
            return Some(SysReason::PolicyMissing);
        }
        let away = self.world.degraded().into_keys().chain(approach.cut_off.then_some(SysReason::CutOff));
        // Nothing is missing where no picture is needed.
        let concerned = away.filter(|c| *c != SysReason::EvidenceAway || approach.inputs.frame_id.is_some());
        concerned.min_by_key(|c| (!c.doubts_facts(), *c))
    }

    /// What a revision on trial says at this moment, beside what the rules say under the one in force.
    fn beside(&self, revision: Option<&Revision>, place: &Place, approach: &Approach, live: &Outcome) -> Option<Box<Beside>> {
        let revision = revision?;
        let other = self.decide_under(&revision.switches, place, approach);
        let codes = |o: &Outcome| o.reasons.iter().map(|r| r.reason).collect::<Vec<_>>();
        Some(Box::new(Beside {
            policy: revision.id.clone(),
            policy_revision: revision.revision.clone(),
            differs: (other.verdict, codes(&other)) != (live.verdict, codes(live)),
            verdict: other.verdict,
            in_order: other.in_order(),
            reasons: other.reason_records(),
        }))
    }

    /// A component has gone away or come back; said twice it is on record once.
    fn component(&mut self, component: SysReason, away: bool) {
        if self.world.degraded().contains_key(&component) == away {
            return;
        }
        let since = away.then_some(self.now);
        self.emit(JournalEvent::Degraded { component, since });
        self.out.changes.push(Change::Degraded { component, since });
    }

    /// Decides a pending approach if its evidence is complete or its time is up.
    fn evaluate(&mut self, place: &Place, state: &mut LaneState, approach: &mut Approach) -> Result<(), FactError> {
        let Some(from) = approach.window_from else { return Ok(()) };
        let closes = from.plus_millis(i64::from(place.policy.pairing_window_s).saturating_mul(1000));
        if self.now < closes {
            if let Some(since) = approach.unsettled_since {
                if self.now < since.plus_millis(i64::from(place.policy.lone_frame_settle_ms)) {
                    return Ok(());
                }
            }
        }
        let outcome = self.decide(place, approach);
        if self.now < closes && outcome.reasons.iter().any(|r| awaited(r.reason)) {
            return Ok(());
        }
        self.record_decision(place, approach, &outcome, None, None)?;
        if outcome.verdict == Verdict::Open {
            self.authorise(place, state, approach, AuthorisedBy::Auto)?;
        }
        Ok(())
    }

    /// A read after closing: a new version if it changes anything. It can withdraw a command not
    /// yet executed; it opens nothing, unless a manager's lane override is what came.
    fn late(&mut self, place: &Place, state: &mut LaneState, approach: &mut Approach, may_open: bool) -> Result<(), FactError> {
        if approach.refused_by_person {
            return Ok(());
        }
        let Some(before) = self.latest(approach)? else { return Ok(()) };
        let outcome = self.decide(place, approach);
        if !differs(&before, &outcome) {
            return Ok(());
        }
        let opens = outcome.verdict == Verdict::Open;
        let stands = approach.authorisation.as_ref().is_some_and(|a| a.executed);
        let late = opens && !may_open && approach.authorisation.is_none();
        if stands && !opens {
            // The arm is up on what was claimed: the passage uses that, whatever is doubted now.
            let claimed = approach.uses.clone();
            self.record_decision(place, approach, &outcome, None, None)?;
            approach.uses = claimed;
            return Ok(());
        }
        if !opens {
            self.withdraw(state, approach)?;
        }
        // The claims follow what the passage will use now: perhaps another plate's.
        self.free(state, approach)?;
        self.record_decision(place, approach, &outcome, None, late.then_some(Reason::SysLateEvidence))?;
        if opens && may_open && approach.authorisation.is_none() {
            self.authorise(place, state, approach, AuthorisedBy::Auto)?;
        } else if approach.authorisation.is_some() {
            self.reserve(place, state, approach)?;
        }
        Ok(())
    }

    pub(super) fn latest(&self, approach: &Approach) -> Result<Option<Decision>, FactError> {
        for event in self.out.events.iter().rev() {
            if let JournalEvent::Decision { decision } = event {
                if decision.approach_id == approach.approach_id {
                    return Ok(Some((**decision).clone()));
                }
            }
        }
        self.world.decision(&approach.decision_id())
    }

    // ---- decisions and commands ---------------------------------------------------------

    /// Writes the next version of the approach's decision from an outcome of the rules, or a
    /// person's word on it; `system` adds a reason of the software's own.
    pub(super) fn record_decision(
        &mut self,
        place: &Place,
        approach: &mut Approach,
        outcome: &Outcome,
        said: Option<&Said<'_>>,
        system: Option<Reason>,
    ) -> Result<(), FactError> {
        let before = if approach.version == 0 { None } else { self.latest(approach)? };
        let mut verdict = outcome.verdict;
        let mut reasons: Vec<ReasonRecord> = outcome.reason_records();
        if let Some(reason) = system {
            reasons.insert(0, reason.record(None, Verdict::Hold));
            verdict = verdict.max(Verdict::Hold);
        }
        match said.map(|s| s.action) {
            Some(Action::Release) => verdict = Verdict::Open,
            Some(Action::Refuse) => verdict = Verdict::Refuse,
            Some(Action::Correct) | None => {}
        }
        let in_order = outcome.in_order();
        approach.version = approach.version.saturating_add(1);
        approach.phase = Phase::Decided;
        approach.verdict = Some(verdict);
        approach.release_role = if verdict == Verdict::Open { None } else { outcome.release_role.or(Some(crate::people::Role::Guard)) };
        approach.uses.clone_from(&outcome.uses);
        let evidence_at = if said.is_some() || system == Some(Reason::SysCommandExpired) { self.now } else { approach.evidence_at };
        let decision = Decision {
            id: approach.decision_id(),
            version: approach.version,
            approach_id: approach.approach_id.clone(),
            site: self.site.to_owned(),
            checkpoint: place.checkpoint.id.clone(),
            lane: place.lane.id.clone(),
            profile: place.checkpoint.profile.as_str().to_owned(),
            direction: place.lane.direction.as_str().to_owned(),
            row: outcome.row.map(|r| r.as_str().to_owned()),
            category: outcome.category.clone(),
            verdict,
            in_order,
            violations: outcome.violations.iter().map(|v| v.as_str().to_owned()).collect(),
            effects: outcome.effects.iter().map(|e| e.as_str().to_owned()).collect(),
            release_role: approach.release_role,
            plate: outcome.plate.clone(),
            plate_source: outcome.plate_source,
            enterprise: outcome.enterprise.clone(),
            plate_read: approach.inputs.plate_read.clone(),
            card: approach.inputs.card.clone(),
            inputs: approach.inputs.clone(),
            read_ids: approach.read_ids.clone(),
            arrived_at: approach.arrived_at,
            evidence_at,
            decided_at: self.now,
            latency_us: self.now.micros_since(evidence_at),
            policy_revision: place.standing.revision.clone(),
            registry_revision: self.world.registry_revision(),
            registry_age_ms: self.now.millis_since(self.world.registry_current_at()).max(0),
            model: approach.inputs.plate_read.as_ref().and_then(|p| p.model.clone()),
            evidence: None,
            by: said.map(|s| s.by.clone()),
            action: said.map(|s| s.action),
            note: said.map(|s| s.note.to_owned()),
            shadow: self.beside(place.standing.shadow.as_ref(), place, approach, outcome),
            advisory: self.beside(place.standing.advisory.as_ref(), place, approach, outcome),
            reasons,
        };
        self.sighted(place, approach, before.as_ref(), outcome)?;
        let raised = before.map(|b| b.violations).unwrap_or_default();
        let fresh: Vec<(String, String)> = outcome
            .reasons
            .iter()
            .filter_map(|r| r.violation.map(|v| (v.as_str().to_owned(), r.reason.code().to_owned())))
            .filter(|(code, _)| !raised.contains(code))
            .collect();
        self.out.changes.push(Change::Decision(Box::new(decision.clone())));
        self.emit(JournalEvent::Decision { decision: Box::new(decision) });
        let mut codes: Vec<String> = Vec::new();
        for (code, source) in fresh {
            if !codes.contains(&code) {
                codes.push(code.clone());
                self.raise(place, Some(approach), outcome.plate.clone(), outcome.enterprise.clone(), &code, &source)?;
            }
        }
        Ok(())
    }

    /// Remembers where the plate was seen: from the decision on, so that its double at another
    /// checkpoint is noticed while this vehicle still stands here (CH-51).
    fn sighted(&mut self, place: &Place, approach: &Approach, before: Option<&Decision>, outcome: &Outcome) -> Result<(), FactError> {
        let (checkpoint, at) = (&place.checkpoint.id, approach.arrived_at);
        let was = before.and_then(|b| b.plate.as_deref());
        if before.is_some() && was == outcome.plate.as_deref() {
            return Ok(());
        }
        if let Some(was) = was {
            self.edit_book(was, |book| book.not_seen(checkpoint, at))?;
        }
        match (&outcome.plate, outcome.plate_source) {
            (Some(plate), Some(PlateSource::Camera | PlateSource::Manual)) => self.edit_book(plate, |book| book.seen(checkpoint, at)),
            (_, Some(_) | None) => Ok(()),
        }
    }

    /// Does what is due on the lane at `now`.
    fn run_deadlines(&mut self, place: &Place, state: &mut LaneState) -> Result<(), FactError> {
        if state.deadline().is_none_or(|d| d > self.now) {
            return Ok(());
        }
        let now = self.now;
        let idle = |a: &Approach| idle_end(a, &place.policy) <= now;
        if state.behind.as_ref().is_some_and(idle) {
            if let Some(gone) = state.behind.take() {
                self.emit(JournalEvent::Ended { approach_id: gone.approach_id, lane: state.lane.clone(), ending: Ending::Expired });
            }
        }
        let Some(mut current) = state.current.take() else { return Ok(()) };
        if current.deadline > self.now {
            state.current = Some(current);
            return Ok(());
        }
        self.emit(JournalEvent::Timer { approach_id: current.approach_id.clone(), lane: state.lane.clone() });
        let over = idle(&current);
        // What closes now closes for want of evidence; its latency counts from the deadline.
        current.evidence_at = current.evidence_at.max(current.deadline);
        match current.phase {
            Phase::Pending if !over => self.evaluate(place, state, &mut current)?,
            Phase::Decided => {
                if let Some(auth) = current.authorisation.take_if(|a| !a.executed && a.expires_at <= now) {
                    self.await_word(state, &current, auth, None)?;
                    self.not_passed(place, &mut current)?;
                }
            }
            Phase::Pending => {}
        }
        schedule(&mut current, &place.policy, self.now);
        state.current = Some(current);
        if over {
            self.leave(place, state, Ending::Expired, self.now)?;
        }
        Ok(())
    }

    /// Ends the approach at the barrier without a passage.
    fn leave(&mut self, place: &Place, state: &mut LaneState, ending: Ending, at: Instant) -> Result<(), FactError> {
        let Some(mut gone) = state.current.take() else { return Ok(()) };
        if gone.authorisation.as_ref().is_some_and(|a| !a.executed) {
            self.withdraw(state, &mut gone)?;
        }
        // Nobody stands there to go through, whether the arm rises or not.
        if let Some(unanswered) = state.unanswered.take() {
            self.free_uses(&unanswered.uses, &unanswered.approach_id)?;
        }
        self.free(state, &gone)?;
        self.end(place, state, &gone, ending, at)
    }

    /// Puts the end on record and lets the next one step up.
    pub(super) fn end(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        gone: &Approach,
        ending: Ending,
        at: Instant,
    ) -> Result<(), FactError> {
        let plate = gone.inputs.plate_read.as_ref().map(|p| normalise(&p.text)).filter(|t| !t.is_empty());
        state.left = Some(Left { at, plate, tracks: gone.tracks.clone() });
        self.emit(JournalEvent::Ended { approach_id: gone.approach_id.clone(), lane: state.lane.clone(), ending });
        if let Some(mut next) = state.behind.take() {
            next.window_from = super::approach::is_evidence(&next.inputs).then_some(self.now);
            next.evidence_at = self.now;
            self.evaluate(place, state, &mut next)?;
            schedule(&mut next, &place.policy, self.now);
            state.current = Some(next);
        }
        Ok(())
    }
}

/// Reasons that more evidence may still lift: while the pairing window is open they keep an
/// approach pending.
fn awaited(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PlateUnreadable
            | Reason::PlateLowConfidence
            | Reason::CardRequired
            | Reason::IcCardRequired
            | Reason::QrNotPresented
            | Reason::SealNotVerified
            | Reason::TransitDeclarationMissing
    )
}

/// Whether an outcome says something else than a version on record.
fn differs(before: &Decision, outcome: &Outcome) -> bool {
    let mine: Vec<(&str, Option<&str>)> =
        before.reasons.iter().filter(|r| r.check != "SYS").map(|r| (r.code.as_str(), r.cite.as_deref())).collect();
    let theirs: Vec<(&str, Option<&str>)> = outcome.reasons.iter().map(|r| (r.reason.code(), r.cite)).collect();
    mine != theirs || before.plate != outcome.plate
}

fn seconds_after(from: Instant, s: u32) -> Instant {
    from.plus_millis(i64::from(s).saturating_mul(1000))
}

/// When an approach ends if nothing more is heard of it.
fn idle_end(approach: &Approach, policy: &Policy) -> Instant {
    seconds_after(approach.last_read_at, policy.approach_idle_expiry_s)
}

/// Sets when the shell has to come back for the approach at the barrier: always after `now`, or
/// at an end that is already due.
pub(super) fn schedule(approach: &mut Approach, policy: &Policy, now: Instant) {
    let idle = idle_end(approach, policy);
    approach.deadline = match (&approach.phase, &approach.authorisation) {
        (Phase::Pending, _) => {
            let window = approach.window_from.map_or(idle, |from| seconds_after(from, policy.pairing_window_s));
            let settle = approach.unsettled_since.map(|s| s.plus_millis(i64::from(policy.lone_frame_settle_ms)));
            // A settle time already past means the approach waits for credentials, not for frames.
            idle.min(window).min(settle.filter(|s| *s > now).unwrap_or(window))
        }
        (Phase::Decided, Some(auth)) if !auth.executed => idle.min(auth.expires_at),
        (Phase::Decided, _) => idle,
    };
}

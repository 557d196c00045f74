//! Courses: scenarios of several steps, run through the real site over a world in memory
//! (format: `docs/scenarios.md`).
//!
//! What a step does not expect must not happen: without `decision` no decision is made in it,
//! without `commands` nothing is commanded, and so on. Every course runs twice, the second time
//! with each read delivered again at once, and must come out the same (CH-18).

#![allow(clippy::wildcard_enum_match_arm)] // a course speaks of some events of the journal, not of all

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{json, Value};

use super::format::{records, switches, Fault, Lists, Scenario};
use super::run::{list, Difference, FieldDifference};
use crate::command::{BarrierState, Order};
use crate::decision::{AnswerOutcome, Decision, Verdict};
use crate::effect::Effect;
use crate::facts::{FactError, FactSource, Presence};
use crate::journal::{AuthorisedBy, Ending, JournalEvent};
use crate::people::{Principal, Role};
use crate::read::{Action, BarrierReport, ReadMessage, Word};
use crate::reason::Reason;
use crate::registry::{Direction, Kind, LaneClass, PeakMode, Profile, Record};
use crate::site::{Input, MemoryWorld};
use crate::time::Instant;

/// The site of every course.
pub const SITE: &str = "SITE-1";
/// Deadlines run between two steps at most; more is a timer that never rests.
const TICKS_MAX: u32 = 1000;

/// A scenario of several steps, ready to be run.
#[derive(Debug, Clone)]
pub struct Course {
    /// Id, like `M001`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Registry on file before the first step.
    pub setup: Vec<(Kind, String, Value)>,
    /// Steps in the order of time.
    pub steps: Vec<CourseStep>,
}

/// One step of a course.
#[derive(Debug, Clone)]
pub struct CourseStep {
    /// Gate time.
    pub at: Instant,
    /// What happens.
    pub doing: Doing,
    /// What must come of it, and of the deadlines since the step before.
    then: StepThen,
}

/// What happens at a step.
#[derive(Debug, Clone)]
pub enum Doing {
    /// Nothing; time passes.
    Wait,
    /// A device or a person reports something.
    Read(Box<ReadMessage>),
    /// A registry record is written, or deleted (none).
    Registry(Kind, String, Option<Value>),
    /// A person speaks on the latest decision of a lane.
    Say {
        /// Lane.
        lane: String,
        /// The word; its decision is filled in when it is spoken.
        word: Box<Word>,
    },
    /// The barrier of a lane reports on the latest open command.
    Barrier {
        /// Lane.
        lane: String,
        /// State reported.
        state: BarrierState,
    },
}

/// What people and barriers have heard of the gate so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    decisions: BTreeMap<String, String>,
    commands: BTreeMap<String, String>,
}

impl Known {
    /// The gate says something.
    pub fn hear(&mut self, event: &JournalEvent) {
        match event {
            JournalEvent::Decision { decision } => {
                self.decisions.insert(decision.lane.clone(), decision.id.clone());
            }
            JournalEvent::Command { command } if command.order == Order::Open => {
                self.commands.insert(command.lane.clone(), command.command_id.clone());
            }
            _ => {}
        }
    }
}

impl CourseStep {
    /// The step as an input of the site, `index` its place in the course; none: time passes.
    pub fn input(&self, index: usize, known: &Known) -> Option<Input> {
        match &self.doing {
            Doing::Wait => None,
            Doing::Read(read) => Some(Input::Read(read.clone())),
            Doing::Registry(kind, id, value) => Some(written(*kind, id, value.as_ref())),
            Doing::Say { lane, word } => {
                let mut word = word.clone();
                word.decision_id = known.decisions.get(lane).cloned().unwrap_or_default();
                Some(reported(index, self.at, lane, |r| r.word = Some(*word)))
            }
            Doing::Barrier { lane, state } => {
                let report = BarrierReport { state: *state, command_id: known.commands.get(lane).cloned() };
                Some(reported(index, self.at, lane, |r| r.barrier = Some(report)))
            }
        }
    }
}

impl Course {
    /// The registry before the first step, as inputs of the site.
    pub fn registry(&self) -> impl Iterator<Item = Input> + '_ {
        self.setup.iter().map(|(kind, id, value)| written(*kind, id, Some(value)))
    }

    /// When it begins.
    pub fn start(&self) -> Instant {
        self.steps.first().map_or(Instant::default(), |s| s.at)
    }

    /// A single decision as a course that expects nothing of its steps: each claim read for itself,
    /// the pairing window over, a person's release, the barrier open, the vehicle through.
    pub fn of(scenario: &Scenario) -> Self {
        let checkpoint = scenario.checkpoint.id.clone().unwrap_or_else(|| "CP".to_owned());
        let lane = format!("{checkpoint}.L1");
        let class = scenario.checkpoint.lane_class.unwrap_or(LaneClass::Mixed);
        let value = json!({"site": SITE, "profile": scenario.checkpoint.profile, "it_port": scenario.checkpoint.it_port});
        let place = json!({"checkpoint": checkpoint, "direction": scenario.checkpoint.direction, "lane_class": class});
        let mut setup = vec![
            (Kind::Site, SITE.to_owned(), json!({})),
            (Kind::Checkpoint, checkpoint.clone(), value),
            (Kind::Lane, lane.clone(), place),
            (Kind::Policy, "default".to_owned(), json!({ "switches": scenario.policy })),
        ];
        if let Some(peak) = &scenario.peak_mode {
            setup.push((Kind::PeakMode, checkpoint.clone(), Record::PeakMode(PeakMode { id: checkpoint, ..peak.clone() }).to_value()));
        }
        setup.extend(scenario.facts.entries().into_iter().map(|e| (e.kind, e.id, e.value)));
        let mut doings: Vec<(i64, Doing)> = claims(&scenario.inputs)
            .into_iter()
            .map(|mut read| {
                read.lane.clone_from(&lane);
                read.observed_at = Some(scenario.at);
                read.received_at = Some(scenario.at);
                (0, Doing::Read(Box::new(read)))
            })
            .collect();
        let role = if scenario.checkpoint.profile == Profile::Nng { Role::Customs } else { Role::Supervisor };
        let word = Word {
            request_id: "release".to_owned(),
            decision_id: String::new(),
            version: None,
            action: Action::Release,
            reason: "核验".to_owned(),
            plate: None,
            by: Principal { name: role.as_str().to_owned(), role, lanes: Vec::new() },
        };
        let passed =
            ReadMessage { lane: lane.clone(), event_id: Some("passed".to_owned()), vehicle_passed: Some(true), ..ReadMessage::default() };
        doings.push((2_000, Doing::Wait));
        doings.push((21_000, Doing::Say { lane: lane.clone(), word: Box::new(word) }));
        doings.push((22_000, Doing::Barrier { lane, state: BarrierState::Open }));
        doings.push((25_000, Doing::Read(Box::new(passed))));
        doings.push((700_000, Doing::Wait));
        let step = |(ms, mut doing): (i64, Doing)| {
            let at = scenario.at.plus_millis(ms);
            if let Doing::Read(read) = &mut doing {
                read.received_at = Some(at);
            }
            CourseStep { at, doing, then: StepThen::default() }
        };
        Self { id: scenario.id.clone(), title: scenario.title.clone(), setup, steps: doings.into_iter().map(step).collect() }
    }
}

/// Every claim of a read as a read of its own, under an id that names it.
pub fn claims(read: &ReadMessage) -> Vec<ReadMessage> {
    let mut found = Vec::new();
    macro_rules! each {
        ($($claim:ident),*) => {$(
            if read.$claim.is_some() {
                let event_id = Some(stringify!($claim).to_owned());
                found.push(ReadMessage { event_id, $claim: read.$claim.clone(), ..ReadMessage::default() });
            }
        )*};
    }
    each!(
        plate_read,
        manual_plate,
        card,
        qr,
        exit_permit,
        cargo_observed,
        vins_observed,
        seal,
        logbook,
        transit_declaration,
        driver,
        lane_override,
        registry_available
    );
    found
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCourse {
    id: String,
    title: String,
    #[allow(dead_code)] // documentation of the course; checked to be a list of texts
    cites: Vec<String>,
    given: CourseGiven,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CourseGiven {
    lanes: Vec<CourseLane>,
    config: Option<Value>,
    peak_modes: Option<Vec<PeakMode>>,
    records: Option<Lists>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CourseLane {
    id: String,
    direction: Direction,
    lane_class: Option<LaneClass>,
    it_port: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: Option<Instant>,
    after_s: Option<f64>,
    lane: Option<String>,
    read: Option<serde_json::Map<String, Value>>,
    put: Option<BTreeMap<Kind, Value>>,
    delete: Option<BTreeMap<Kind, String>>,
    say: Option<Say>,
    barrier: Option<BarrierState>,
    then: Option<StepThen>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    action: Action,
    role: Role,
    by: Option<String>,
    reason: Option<String>,
    version: Option<u32>,
    plate: Option<String>,
}

/// `then` of a step. What is left out must not happen, except where it says otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepThen {
    /// Verdict of the step's last decision version.
    decision: Option<Verdict>,
    /// Its reasons in order; asked for with `decision`.
    reasons: Option<Vec<Reason>>,
    /// The article shown with each; left out: not asserted.
    reason_cites: Option<Vec<Option<String>>>,
    /// What its passage will change; left out: not asserted.
    on_release: Option<Vec<Effect>>,
    /// Its version; left out: not asserted.
    version: Option<u32>,
    /// The plate decided on; left out: not asserted.
    plate: Option<String>,
    /// Versions made in the step; left out: one if there is a `decision`.
    versions: Option<usize>,
    /// Violations raised in the step, in order.
    #[serde(default)]
    violations: Vec<String>,
    /// Commands given in the step, in order.
    #[serde(default)]
    commands: Vec<Order>,
    /// Answer to the word.
    answer: Option<AnswerOutcome>,
    /// The passage.
    passage: Option<ThenPassage>,
    /// How approaches ended in the step; left out: not asserted.
    ended: Option<Vec<Ending>>,
    /// The read or record was dropped on record.
    #[serde(default)]
    dropped: bool,
    /// Presence of plates afterwards, by the gate's own passages.
    #[serde(default)]
    presence: BTreeMap<String, Presence>,
    /// State of what was used under a plate, by `kind/id`; all of it.
    #[serde(default)]
    used: BTreeMap<String, BTreeMap<String, String>>,
    /// What is claimed under a plate, sorted; all of it.
    #[serde(default)]
    reserved: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThenPassage {
    authorised_by: AuthorisedBy,
    effects: Vec<Effect>,
}

/// Makes a course of what the file says.
pub(super) fn course(raw: RawCourse) -> Result<Course, Fault> {
    let mut setup = places(raw.given.lanes)?;
    let policy = switches(raw.given.config, "given.config")?;
    let value = json!({ "switches": policy });
    setup.push((Kind::Policy, "default".to_owned(), value));
    for peak in raw.given.peak_modes.unwrap_or_default() {
        setup.push((Kind::PeakMode, peak.id.clone(), Record::PeakMode(peak).to_value()));
    }
    setup.extend(records(raw.given.records.unwrap_or_default())?);
    let lanes: BTreeSet<String> = setup.iter().filter(|(kind, ..)| *kind == Kind::Lane).map(|(_, id, _)| id.clone()).collect();
    let mut steps: Vec<CourseStep> = Vec::new();
    for (index, raw) in raw.steps.into_iter().enumerate() {
        let step = step(raw, index, steps.last().map(|s| s.at), &lanes).map_err(|(field, problem)| {
            let dot = if field.is_empty() { "" } else { "." };
            (format!("steps[{index}]{dot}{field}"), problem)
        })?;
        steps.push(step);
    }
    Ok(Course { id: raw.id, title: raw.title, setup, steps })
}

/// The records of site, checkpoints and lanes.
fn places(lanes: Vec<CourseLane>) -> Result<Vec<(Kind, String, Value)>, Fault> {
    let mut found = vec![(Kind::Site, SITE.to_owned(), json!({}))];
    let mut checkpoints: BTreeMap<String, Value> = BTreeMap::new();
    for (index, lane) in lanes.into_iter().enumerate() {
        let Some((checkpoint, _)) = lane.id.split_once('.').filter(|(c, l)| !c.is_empty() && !l.is_empty()) else {
            return Err((format!("given.lanes[{index}].id"), "a lane's id begins with its checkpoint's: JCZ-1.L1".to_owned()));
        };
        let value = json!({"site": SITE, "profile": lane.direction.profile(), "it_port": lane.it_port});
        if checkpoints.get(checkpoint).is_some_and(|known| *known != value) {
            let problem = format!("{checkpoint} has one profile and one it_port for all its lanes");
            return Err((format!("given.lanes[{index}].direction"), problem));
        }
        checkpoints.insert(checkpoint.to_owned(), value);
        let class = lane.lane_class.unwrap_or(LaneClass::Mixed);
        found.push((Kind::Lane, lane.id.clone(), json!({"checkpoint": checkpoint, "direction": lane.direction, "lane_class": class})));
    }
    // A checkpoint before its lanes.
    found.splice(1..1, checkpoints.into_iter().map(|(id, value)| (Kind::Checkpoint, id, value)));
    Ok(found)
}

fn step(raw: RawStep, index: usize, before: Option<Instant>, lanes: &BTreeSet<String>) -> Result<CourseStep, Fault> {
    let fault = |field: &str, problem: &str| (field.to_owned(), problem.to_owned());
    let at = match (raw.at, raw.after_s, before) {
        (Some(at), None, _) => at,
        (None, Some(s), Some(before)) if s.is_finite() && s >= 0.0 => before.plus_millis((s * 1000.0).round() as i64),
        (None, None, Some(before)) => before,
        (None, _, None) => return Err(fault("at", "the first step needs an instant")),
        (Some(_), Some(_), _) => return Err(fault("after_s", "either at or after_s")),
        (None, Some(_), Some(_)) => return Err(fault("after_s", "seconds since the step before, 0 or more")),
    };
    if before.is_some_and(|b| at < b) {
        return Err(fault("at", "before the step before; steps are in the order of time"));
    }
    let lane = |field: &str| match &raw.lane {
        Some(lane) if lanes.contains(lane) => Ok(lane.clone()),
        Some(lane) => Err(("lane".to_owned(), format!("{lane:?} is none of given.lanes"))),
        None => Err(("lane".to_owned(), format!("missing; {field} happens at a lane"))),
    };
    let record = |kind: Kind, id: &str, value: &Value| match Record::parse(kind, id, value) {
        Ok(record) => Ok(record.to_value()),
        Err(e) => Err((format!("put.{kind}.{}", e.field), e.problem)),
    };
    let doing = match (raw.read, raw.put, raw.delete, raw.say, raw.barrier) {
        (None, None, None, None, None) => Doing::Wait,
        (Some(mut claims), None, None, None, None) => {
            claims.insert("lane".to_owned(), Value::String(lane("read")?));
            let mut read: ReadMessage = serde_path_to_error::deserialize(Value::Object(claims))
                .map_err(|e| (format!("read.{}", e.path()), e.into_inner().to_string()))?;
            read.event_id.get_or_insert_with(|| format!("step-{index}"));
            read.received_at = Some(at);
            Doing::Read(Box::new(read))
        }
        (None, Some(put), None, None, None) => match put.into_iter().collect::<Vec<_>>().as_slice() {
            [(kind, value)] => {
                let id = value.get(kind.id_field()).and_then(Value::as_str);
                let id = id.ok_or_else(|| (format!("put.{kind}.{}", kind.id_field()), "missing, or no text".to_owned()))?;
                Doing::Registry(*kind, id.to_owned(), Some(record(*kind, id, value)?))
            }
            [] | [_, _, ..] => return Err(fault("put", "one record, by its kind")),
        },
        (None, None, Some(delete), None, None) => match delete.into_iter().collect::<Vec<_>>().as_slice() {
            [(kind, id)] => Doing::Registry(*kind, id.clone(), None),
            [] | [_, _, ..] => return Err(fault("delete", "one record, by its kind")),
        },
        (None, None, None, Some(say), None) => {
            let by = Principal { name: say.by.unwrap_or_else(|| say.role.as_str().to_owned()), role: say.role, lanes: Vec::new() };
            let word = Word {
                request_id: format!("step-{index}"),
                decision_id: String::new(),
                version: say.version,
                action: say.action,
                reason: say.reason.unwrap_or_else(|| "核验".to_owned()),
                plate: say.plate,
                by,
            };
            Doing::Say { lane: lane("say")?, word: Box::new(word) }
        }
        (None, None, None, None, Some(state)) => Doing::Barrier { lane: lane("barrier")?, state },
        _ => return Err(fault("", "one of read, put, delete, say and barrier")),
    };
    let then = raw.then.unwrap_or_default();
    if then.decision.is_some() != then.reasons.is_some() {
        return Err(fault("then.reasons", "decision and reasons are given together"));
    }
    if matches!((&then.reasons, &then.reason_cites), (Some(r), Some(c)) if r.len() != c.len()) {
        return Err(fault("then.reason_cites", "one article for each reason"));
    }
    Ok(CourseStep { at, doing, then })
}

/// Runs a course; none if it comes out as it says, both times.
pub fn run_course(course: &Course) -> Option<Difference> {
    let fields = match walk(course, false) {
        Ok(fields) if fields.is_empty() => walk(course, true).unwrap_or_else(broken),
        Ok(fields) => fields,
        Err(e) => broken(e),
    };
    if fields.is_empty() {
        return None;
    }
    Some(Difference { scenario: course.id.clone(), title: course.title.clone(), fields })
}

fn broken(error: FactError) -> Vec<FieldDifference> {
    vec![FieldDifference { field: "steps".to_owned(), expected: "a world that can be read".to_owned(), got: error.to_string() }]
}

/// Takes every step; what differs.
fn walk(course: &Course, redeliver: bool) -> Result<Vec<FieldDifference>, FactError> {
    let mut world = MemoryWorld::default();
    for input in course.registry() {
        world.take(SITE, input, course.start())?;
    }
    let mut known = Known::default();
    let mut fields = Vec::new();
    for (index, step) in course.steps.iter().enumerate() {
        let mut compare = |field: &str, expected: String, got: String| {
            if expected != got {
                let again = if redeliver { " (each read delivered again)" } else { "" };
                fields.push(FieldDifference { field: format!("steps[{index}].{field}{again}"), expected, got });
            }
        };
        let mut events = tick(&mut world, step.at)?;
        if let Some(input) = step.input(index, &known) {
            let again = input.clone();
            events.extend(world.take(SITE, input, step.at)?.events);
            if redeliver && matches!(again, Input::Read(_)) {
                let second = world.take(SITE, again, step.at)?;
                let only_dropped = matches!(second.events.as_slice(), [JournalEvent::Dropped { .. }]) && second.changes.is_empty();
                compare(
                    "read",
                    "dropped the second time".to_owned(),
                    if only_dropped { "dropped the second time" } else { "taken twice" }.to_owned(),
                );
            }
        }
        events.iter().for_each(|event| known.hear(event));
        check(&step.then, &events, &world, &mut compare)?;
    }
    Ok(fields)
}

fn written(kind: Kind, id: &str, value: Option<&Value>) -> Input {
    Input::Registry { kind, id: id.to_owned(), value: value.cloned(), request_id: None, by: None }
}

fn reported(index: usize, at: Instant, lane: &str, fill: impl FnOnce(&mut ReadMessage)) -> Input {
    let mut read =
        ReadMessage { lane: lane.to_owned(), event_id: Some(format!("step-{index}")), received_at: Some(at), ..ReadMessage::default() };
    fill(&mut read);
    Input::Read(Box::new(read))
}

/// Runs what falls due up to and at `to`, in the order of time.
fn tick(world: &mut MemoryWorld, to: Instant) -> Result<Vec<JournalEvent>, FactError> {
    let mut events = Vec::new();
    for _ in 0..TICKS_MAX {
        let due = world.lanes.values().filter_map(|l| l.deadline().map(|d| (d, l.lane.clone()))).min();
        let Some((at, lane)) = due.filter(|(at, _)| *at <= to) else { return Ok(events) };
        events.extend(world.take(SITE, Input::Tick { lane }, at)?.events);
    }
    Err(FactError("a deadline that never rests".to_owned()))
}

/// Compares what happened in a step with what it expects.
fn check(
    then: &StepThen,
    events: &[JournalEvent],
    world: &MemoryWorld,
    compare: &mut impl FnMut(&str, String, String),
) -> Result<(), FactError> {
    let mut decisions: Vec<&Decision> = Vec::new();
    let (mut violations, mut commands, mut answers, mut passages, mut ended) = (vec![], vec![], vec![], vec![], vec![]);
    let mut dropped = false;
    for event in events {
        match event {
            JournalEvent::Decision { decision } => decisions.push(decision),
            JournalEvent::Violation { violation } => violations.push(violation.code.clone()),
            JournalEvent::Command { command } => commands.push(word(&command.order)),
            JournalEvent::Answered { answer } => answers.push(word(&answer.outcome)),
            JournalEvent::Passage { passage } => {
                passages.push(format!("{} {}", word(&passage.authorised_by), list(passage.effects.iter())));
            }
            JournalEvent::Ended { ending, .. } => ended.push(word(ending)),
            JournalEvent::Dropped { .. } => dropped = true,
            _ => {}
        }
    }
    let last = decisions.last();
    let said = |verdict: Option<Verdict>| verdict.map_or("none", Verdict::as_str).to_owned();
    compare("decision", said(then.decision), said(last.map(|d| d.verdict)));
    let versions = then.versions.unwrap_or(usize::from(then.decision.is_some()));
    compare("versions", versions.to_string(), decisions.len().to_string());
    if let Some(last) = last {
        let reasons = then.reasons.iter().flatten().map(|r| r.code());
        compare("reasons", list(reasons), list(last.reasons.iter().map(|r| &r.code)));
        if let Some(cites) = &then.reason_cites {
            let cite = |c: &Option<String>| c.clone().unwrap_or_else(|| "null".to_owned());
            compare("reason_cites", list(cites.iter().map(cite)), list(last.reasons.iter().map(|r| cite(&r.cite))));
        }
        if let Some(effects) = &then.on_release {
            compare("on_release", list(effects.iter().map(|e| e.as_str())), list(last.effects.iter()));
        }
        if let Some(version) = then.version {
            compare("version", version.to_string(), last.version.to_string());
        }
        if let Some(plate) = &then.plate {
            compare("plate", plate.clone(), last.plate.clone().unwrap_or_else(|| "none".to_owned()));
        }
    }
    compare("violations", list(then.violations.iter()), list(violations.iter()));
    compare("commands", list(then.commands.iter().map(word)), list(commands.iter()));
    compare("answer", list(then.answer.iter().map(word)), list(answers.iter()));
    let passage = then.passage.iter().map(|p| format!("{} {}", word(&p.authorised_by), list(p.effects.iter().map(|e| e.as_str()))));
    compare("passage", list(passage), list(passages.iter()));
    if let Some(endings) = &then.ended {
        compare("ended", list(endings.iter().map(word)), list(ended.iter()));
    }
    compare("dropped", then.dropped.to_string(), dropped.to_string());
    for (plate, presence) in &then.presence {
        let got = world.use_book(plate)?.presence;
        compare(&format!("presence.{plate}"), word(presence), got.map_or_else(|| "none".to_owned(), |p| word(&p)));
    }
    for (plate, used) in &then.used {
        let book = world.use_book(plate)?;
        let got = book.used.iter().map(|(key, use_state)| format!("{key}: {}", use_state.state));
        compare(&format!("used.{plate}"), list(used.iter().map(|(key, state)| format!("{key}: {state}"))), list(got));
    }
    for (plate, reserved) in &then.reserved {
        let book = world.use_book(plate)?;
        compare(&format!("reserved.{plate}"), list(reserved.iter()), list(book.reserved.keys()));
    }
    Ok(())
}

/// A word as messages write it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

//! The scenario file's format: parsed strictly, errors name the scenario, its line and the field.
//! What no check reads (marked `*` in section 8) is never an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::course::Course;
use crate::decision::Verdict;
use crate::effect::Effect;
use crate::memory::MemoryFacts;
use crate::plate;
use crate::policy::Policy;
use crate::read::{CargoObserved, ManualPlate, PlateRead, ReadMessage, SealRead};
use crate::reason::Reason;
use crate::registry::{Direction, Kind, LaneClass, PeakMode, Profile, Record};
use crate::row::Row;
use crate::time::Instant;
use crate::violation::Violation;

/// The only version of the format.
const VERSION: u32 = 1;
/// The only time zone of the format.
const TIMEZONE: &str = "Asia/Shanghai";

/// Why a scenario cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scenario}{}: {field}: {problem}", .line.map(|l| format!(" (line {l})")).unwrap_or_default())]
pub struct ScenarioError {
    /// Id of the scenario, or `file`.
    pub scenario: String,
    /// Line on which the scenario says its id; none where that cannot be told.
    pub line: Option<usize>,
    /// Path of the field; `.` for the scenario as a whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// One scenario, ready to be run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Id, like `S001`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Row it speaks of; documentation, not compared.
    pub row: Row,
    /// Checkpoint of the situation.
    pub checkpoint: ScenarioCheckpoint,
    /// Switches in force.
    pub policy: Policy,
    /// Peak pass mode of the checkpoint.
    pub peak_mode: Option<PeakMode>,
    /// Records on file.
    pub facts: MemoryFacts,
    /// Event time of the approach.
    pub at: Instant,
    /// What is read, joined.
    pub inputs: ReadMessage,
    /// What must come out.
    pub then: Then,
}

/// `given.checkpoint`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioCheckpoint {
    /// Id (informative).
    pub id: Option<String>,
    /// Lane (informative).
    pub lane: Option<String>,
    /// Governing document.
    pub profile: Profile,
    /// Direction.
    pub direction: Direction,
    /// Lane class; LYG only.
    pub lane_class: Option<LaneClass>,
    /// NNG: port with an information system.
    pub it_port: Option<bool>,
}

/// `then`: what must come out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Then {
    /// Verdict.
    pub decision: Verdict,
    /// Reasons in order.
    pub reasons: Vec<Reason>,
    /// The article shown with each; null: a system notice.
    pub reason_cites: Vec<Option<String>>,
    /// Violations in order.
    pub violations: Vec<Violation>,
    /// Effects at the passage; null: not asserted.
    pub on_release: Option<Vec<Effect>>,
    /// Deciding twice gives one record and one set of effects.
    pub idempotent: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    timezone: String,
    scenarios: Vec<serde_yaml_ng::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    row: Row,
    #[allow(dead_code)] // documentation of the scenario; checked to be a list of texts
    cites: Vec<String>,
    given: Given,
    when: When,
    then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    checkpoint: ScenarioCheckpoint,
    config: Option<Value>,
    peak_mode: Option<Peak>,
    records: Option<Lists>,
}

/// Lists of records by the plural of their kind.
pub(super) type Lists = BTreeMap<String, Option<Vec<Value>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peak {
    active: bool,
    from: Option<Instant>,
    to: Option<Instant>,
    activated_by: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    at: Instant,
    plate_read: Option<Read>,
    manual_plate: Option<Typed>,
    card: Option<String>,
    qr: Option<String>,
    exit_permit: Option<String>,
    cargo_observed: Option<CargoObserved>,
    vins_observed: Option<Vec<String>>,
    seal: Option<SealRead>,
    logbook: Option<bool>,
    transit_declaration: Option<String>,
    driver: Option<String>,
    lane_override: Option<String>,
    registry_available: Option<bool>,
    event_id: Option<Value>,
    #[allow(dead_code)] // informative: a redelivery decides the same
    redelivered: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    text: Option<String>,
    confidence: Option<f64>,
    colour: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    text: Option<String>,
    document: Option<Value>,
}

/// One entry of a scenario file.
#[derive(Debug, Clone)]
pub enum Case {
    /// One approach decided by the rules: `given`, `when`, `then`.
    Single(Box<Scenario>),
    /// Several steps through the site: `given`, `steps`.
    Course(Box<Course>),
}

/// Reads a scenario file. Each entry is either ready to run or says what is wrong with it.
///
/// # Errors
/// If the file as a whole is no scenario file.
pub fn parse_cases(text: &str) -> Result<Vec<Result<Case, ScenarioError>>, ScenarioError> {
    let fault = |field: &str, problem: String| ScenarioError { scenario: "file".to_owned(), line: None, field: field.to_owned(), problem };
    let file: File = serde_yaml_ng::from_str(text).map_err(|e| fault(".", e.to_string()))?;
    if file.version != VERSION {
        return Err(fault("version", format!("{} is not known; {VERSION} is", file.version)));
    }
    if file.timezone != TIMEZONE {
        return Err(fault("timezone", format!("{:?} is not known; {TIMEZONE} is", file.timezone)));
    }
    let mut ids = BTreeSet::new();
    let cases = file.scenarios.into_iter().enumerate().map(|(index, value)| {
        let name = match value.get("id").and_then(|id| id.as_str()) {
            Some(id) => id.to_owned(),
            None => format!("scenarios[{index}]"),
        };
        let case = if !ids.insert(name.clone()) {
            Err(("id".to_owned(), "another scenario has it already".to_owned()))
        } else if value.get("steps").is_some() {
            typed(value).and_then(super::course::course).map(|c| Case::Course(Box::new(c)))
        } else {
            typed(value).and_then(scenario).map(|s| Case::Single(Box::new(s)))
        };
        case.map_err(|(field, problem)| ScenarioError { line: line_of(text, &name), scenario: name, field, problem })
    });
    Ok(cases.collect())
}

/// Reads a scenario file of single decisions: as [`parse_cases`], without courses of steps.
///
/// # Errors
/// If the file as a whole is no scenario file.
pub fn parse_file(text: &str) -> Result<Vec<Result<Scenario, ScenarioError>>, ScenarioError> {
    let single = |case| match case {
        Ok(Case::Single(scenario)) => Some(Ok(*scenario)),
        Ok(Case::Course(_)) => None,
        Err(e) => Some(Err(e)),
    };
    Ok(parse_cases(text)?.into_iter().filter_map(single).collect())
}

/// Field and problem.
pub(super) type Fault = (String, String);

fn typed<T: serde::de::DeserializeOwned>(value: serde_yaml_ng::Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|e| (e.path().to_string(), e.into_inner().to_string()))
}

/// The last line that says this id, counted from 1.
fn line_of(text: &str, id: &str) -> Option<usize> {
    let says = |line: &str| {
        let line = line.trim().trim_start_matches("- ").trim_start();
        line.strip_prefix("id:").is_some_and(|rest| rest.trim().trim_matches(['\'', '"']) == id)
    };
    text.lines().enumerate().filter(|(_, line)| says(line)).last().map(|(index, _)| index.saturating_add(1))
}

/// Switches given by name over the recommended defaults; null: the default.
pub(super) fn switches(given: Option<Value>, field: &str) -> Result<Policy, Fault> {
    let mut given = given.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let Value::Object(switches) = &mut given {
        switches.retain(|_, v| !v.is_null());
    }
    let policy: Policy =
        serde_path_to_error::deserialize(given).map_err(|e| (format!("{field}.{}", e.path()), e.into_inner().to_string()))?;
    policy.check().map_err(|e| (format!("{field}.{}", e.switch), e.to_string()))?;
    Ok(policy)
}

fn scenario(raw: Raw) -> Result<Scenario, Fault> {
    let checkpoint = raw.given.checkpoint;
    if checkpoint.direction.profile() != checkpoint.profile {
        let problem = format!("{} does not exist in the profile {}", checkpoint.direction, checkpoint.profile);
        return Err(("given.checkpoint.direction".to_owned(), problem));
    }
    if checkpoint.profile == Profile::Lyg && checkpoint.lane_class.is_none() {
        let problem = "missing; FREIGHT, PASSENGER or MIXED".to_owned();
        return Err(("given.checkpoint.lane_class".to_owned(), problem));
    }
    if raw.then.reasons.len() != raw.then.reason_cites.len() {
        let problem = format!("{} articles for {} reasons; one each", raw.then.reason_cites.len(), raw.then.reasons.len());
        return Err(("then.reason_cites".to_owned(), problem));
    }
    let policy = switches(raw.given.config, "given.config")?;
    let id = checkpoint.id.clone().unwrap_or_else(|| "checkpoint".to_owned());
    let peak_mode = raw.given.peak_mode.map(|p| PeakMode {
        id,
        active: p.active,
        from: p.from,
        to: p.to,
        activated_by: p.activated_by.as_ref().and_then(text),
    });
    let mut facts = MemoryFacts::default();
    for (kind, id, value) in records(raw.given.records.unwrap_or_default())? {
        facts.put(kind, &id, &value).map_err(|e| (format!("given.records.{}.{}", kind.plural(), e.field), e.problem))?;
    }
    Ok(Scenario {
        id: raw.id,
        title: raw.title,
        row: raw.row,
        policy,
        peak_mode,
        facts,
        at: raw.when.at,
        inputs: inputs(raw.when, checkpoint.lane.as_deref()),
        checkpoint,
        then: raw.then,
    })
}

/// An informative value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// `given.records`: lists by the plural of the kind, each in its order; every record fits its kind.
pub(super) fn records(given: Lists) -> Result<Vec<(Kind, String, Value)>, Fault> {
    let mut found: Vec<(Kind, String, Value)> = Vec::new();
    for (plural, list) in given {
        let Some(kind) = Kind::ALL.into_iter().filter(|k| k.in_scenarios()).find(|k| k.plural() == plural) else {
            let known: Vec<&str> = Kind::ALL.into_iter().filter(|k| k.in_scenarios()).map(Kind::plural).collect();
            return Err((format!("given.records.{plural}"), format!("no such list; the lists are {}", known.join(", "))));
        };
        let mut ids = BTreeSet::new();
        for (index, mut value) in list.unwrap_or_default().into_iter().enumerate() {
            let field = |name: &str| format!("given.records.{plural}[{index}].{name}");
            let own = value.get(kind.id_field()).and_then(Value::as_str).map(str::to_owned);
            let id = match own {
                Some(id) if ids.insert(id.clone()) => id,
                // Records that section 8 gives no id, or an informative one, have one by their place.
                Some(_) | None if kind.id_is_optional() => {
                    let id = format!("{}-{}", kind.as_str(), index.saturating_add(1));
                    if let Value::Object(fields) = &mut value {
                        fields.remove(kind.id_field());
                    }
                    ids.insert(id.clone());
                    id
                }
                Some(id) => return Err((field(kind.id_field()), format!("{id:?} is there twice"))),
                None => return Err((field(kind.id_field()), "missing, or no text".to_owned())),
            };
            let record = loop {
                match Record::parse(kind, &id, &value) {
                    Ok(record) => break record,
                    Err(e) => match value.as_object_mut().filter(|_| kind.informative().contains(&e.field.as_str())) {
                        Some(fields) => {
                            fields.remove(&e.field);
                        }
                        None => return Err((field(&e.field), e.problem)),
                    },
                };
            };
            found.push((kind, id, record.to_value()));
        }
    }
    Ok(found)
}

impl Kind {
    /// Whether scenario files have a list of it.
    fn in_scenarios(self) -> bool {
        match self {
            Self::Enterprise
            | Self::Vehicle
            | Self::Card
            | Self::Task
            | Self::Reception
            | Self::Ban
            | Self::ExitPermit
            | Self::LeaveConsent
            | Self::InspectionOrder
            | Self::Appointment
            | Self::Approval
            | Self::QrCode
            | Self::CustomsEnterprise
            | Self::CustomsVehicle
            | Self::CustomsDriver
            | Self::Trip
            | Self::Manifest
            | Self::Escort => true,
            Self::Site | Self::Checkpoint | Self::Lane | Self::PeakMode | Self::Policy => false,
        }
    }

    /// Whether section 8 gives its records no id, or an informative one.
    fn id_is_optional(self) -> bool {
        matches!(
            self,
            Self::Reception | Self::Ban | Self::LeaveConsent | Self::InspectionOrder | Self::Approval | Self::Manifest | Self::Escort
        )
    }

    /// Fields no check reads (marked `*` in section 8).
    fn informative(self) -> &'static [&'static str] {
        match self {
            Self::Enterprise => &["name", "deregistered_at"],
            Self::Vehicle => &["rated_load_t"],
            Self::Task => &["work_unit", "phone"],
            Self::Reception => &["purpose", "declarant"],
            Self::LeaveConsent => &["granted_by"],
            Self::InspectionOrder => &["by"],
            Self::Appointment => &["declaration_no"],
            Self::CustomsVehicle => &["permit_no"],
            Self::Card
            | Self::Ban
            | Self::ExitPermit
            | Self::Approval
            | Self::QrCode
            | Self::CustomsEnterprise
            | Self::CustomsDriver
            | Self::Trip
            | Self::Manifest
            | Self::Escort
            | Self::Site
            | Self::Checkpoint
            | Self::Lane
            | Self::PeakMode
            | Self::Policy => &[],
        }
    }

    /// Name of its list in scenario files.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprises",
            Self::Vehicle => "vehicles",
            Self::Card => "cards",
            Self::Task => "tasks",
            Self::Reception => "receptions",
            Self::Ban => "bans",
            Self::ExitPermit => "exit_permits",
            Self::LeaveConsent => "leave_consents",
            Self::InspectionOrder => "inspection_orders",
            Self::Appointment => "appointments",
            Self::Approval => "approvals",
            Self::QrCode => "qr_codes",
            Self::CustomsEnterprise => "customs_enterprises",
            Self::CustomsVehicle => "customs_vehicles",
            Self::CustomsDriver => "customs_drivers",
            Self::Trip => "trips",
            Self::Manifest => "manifests",
            Self::Escort => "escorts",
            Self::Site => "sites",
            Self::Checkpoint => "checkpoints",
            Self::Lane => "lanes",
            Self::PeakMode => "peak_modes",
            Self::Policy => "policies",
        }
    }
}

fn inputs(when: When, lane: Option<&str>) -> ReadMessage {
    let plate_read = when.plate_read.map(|r| PlateRead {
        text: plate::normalise(&r.text.unwrap_or_default()),
        confidence: r.confidence.unwrap_or_default(),
        colour: r.colour,
        kind: None,
        characters: Vec::new(),
        corners: None,
        settled: None,
        model: None,
    });
    ReadMessage {
        lane: lane.unwrap_or_default().to_owned(),
        event_id: when.event_id.as_ref().and_then(text),
        observed_at: Some(when.at),
        plate_read,
        manual_plate: when
            .manual_plate
            .map(|m| ManualPlate { text: m.text.unwrap_or_default(), document: m.document.as_ref().and_then(text) }),
        card: when.card,
        qr: when.qr,
        exit_permit: when.exit_permit,
        cargo_observed: when.cargo_observed,
        vins_observed: when.vins_observed,
        seal: when.seal,
        logbook: when.logbook,
        transit_declaration: when.transit_declaration,
        driver: when.driver,
        lane_override: when.lane_override,
        registry_available: when.registry_available,
        ..ReadMessage::default()
    }
}

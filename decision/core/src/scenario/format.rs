//! The scenario file's format: parsed strictly, errors name the scenario and the field.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::decision::Verdict;
use crate::effect::Effect;
use crate::memory::MemoryFacts;
use crate::plate;
use crate::policy::{ExitPermitMode, Policy};
use crate::read::{CargoObserved, ManualPlate, PlateRead, ReadMessage, SealRead};
use crate::reason::Reason;
use crate::registry::{Direction, Kind, LaneClass, PeakMode, Profile};
use crate::row::Row;
use crate::time::Instant;
use crate::violation::Violation;

/// The only version of the format.
const VERSION: u32 = 1;
/// The only time zone of the format.
const TIMEZONE: &str = "Asia/Shanghai";

/// Why a scenario cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scenario}: {field}: {problem}")]
pub struct ScenarioError {
    /// Id of the scenario, or `file`.
    pub scenario: String,
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
    config: Option<Config>,
    peak_mode: Option<Peak>,
    records: Option<BTreeMap<String, Option<Vec<Value>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    plate_confidence_min: Option<f64>,
    exit_permit: Option<ExitPermitMode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peak {
    active: bool,
    from: Option<Instant>,
    to: Option<Instant>,
    activated_by: Option<String>,
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
    event_id: Option<String>,
    #[allow(dead_code)] // informative: a redelivery decides the same
    redelivered: Option<bool>,
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
    document: Option<String>,
}

/// Reads a scenario file. Each scenario is either ready to run or says what is wrong with it.
///
/// # Errors
/// If the file as a whole is no scenario file.
pub fn parse_file(text: &str) -> Result<Vec<Result<Scenario, ScenarioError>>, ScenarioError> {
    let fault = |field: &str, problem: String| ScenarioError { scenario: "file".to_owned(), field: field.to_owned(), problem };
    let file: File = serde_yaml_ng::from_str(text).map_err(|e| fault(".", e.to_string()))?;
    if file.version != VERSION {
        return Err(fault("version", format!("{} is not known; {VERSION} is", file.version)));
    }
    if file.timezone != TIMEZONE {
        return Err(fault("timezone", format!("{:?} is not known; {TIMEZONE} is", file.timezone)));
    }
    let mut ids = BTreeSet::new();
    let scenarios = file.scenarios.into_iter().enumerate().map(|(index, value)| {
        let name = match value.get("id").and_then(|id| id.as_str()) {
            Some(id) => id.to_owned(),
            None => format!("scenarios[{index}]"),
        };
        if !ids.insert(name.clone()) {
            return Err(ScenarioError { scenario: name, field: "id".to_owned(), problem: "another scenario has it already".to_owned() });
        }
        scenario(&name, value)
    });
    Ok(scenarios.collect())
}

fn scenario(name: &str, value: serde_yaml_ng::Value) -> Result<Scenario, ScenarioError> {
    let fault = |field: String, problem: String| ScenarioError { scenario: name.to_owned(), field, problem };
    let raw: Raw = serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        fault(path, e.into_inner().to_string())
    })?;
    let checkpoint = raw.given.checkpoint;
    if checkpoint.direction.profile() != checkpoint.profile {
        let problem = format!("{} does not exist in the profile {}", checkpoint.direction, checkpoint.profile);
        return Err(fault("given.checkpoint.direction".to_owned(), problem));
    }
    if checkpoint.profile == Profile::Lyg && checkpoint.lane_class.is_none() {
        let problem = "missing; FREIGHT, PASSENGER or MIXED".to_owned();
        return Err(fault("given.checkpoint.lane_class".to_owned(), problem));
    }
    if raw.then.reasons.len() != raw.then.reason_cites.len() {
        let problem = format!("{} articles for {} reasons; one each", raw.then.reason_cites.len(), raw.then.reasons.len());
        return Err(fault("then.reason_cites".to_owned(), problem));
    }
    let mut policy = Policy::default();
    if let Some(config) = raw.given.config {
        policy.plate_confidence_min = config.plate_confidence_min.unwrap_or(policy.plate_confidence_min);
        policy.exit_permit = config.exit_permit.unwrap_or(policy.exit_permit);
        policy.check().map_err(|e| fault("given.config".to_owned(), e.to_string()))?;
    }
    let id = checkpoint.id.clone().unwrap_or_else(|| "checkpoint".to_owned());
    let peak_mode = raw.given.peak_mode.map(|p| PeakMode { id, active: p.active, from: p.from, to: p.to, activated_by: p.activated_by });
    let facts = records(raw.given.records.unwrap_or_default()).map_err(|(field, problem)| fault(field, problem))?;
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

/// `given.records`: lists by the plural of the kind, each in its order.
fn records(given: BTreeMap<String, Option<Vec<Value>>>) -> Result<MemoryFacts, (String, String)> {
    let mut facts = MemoryFacts::default();
    for (plural, list) in given {
        let Some(kind) = Kind::ALL.into_iter().filter(|k| k.in_scenarios()).find(|k| k.plural() == plural) else {
            let known: Vec<&str> = Kind::ALL.into_iter().filter(|k| k.in_scenarios()).map(Kind::plural).collect();
            return Err((format!("given.records.{plural}"), format!("no such list; the lists are {}", known.join(", "))));
        };
        for (index, value) in list.unwrap_or_default().into_iter().enumerate() {
            let field = |name: &str| format!("given.records.{plural}[{index}].{name}");
            let own = value.get(kind.id_field());
            let id = match own.and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                // Records that section 8 gives no id have one by their place.
                None if own.is_none() && kind.id_is_optional() => format!("{}-{}", kind.as_str(), index.saturating_add(1)),
                None => return Err((field(kind.id_field()), "missing, or no text".to_owned())),
            };
            if facts.contains(kind, &id) {
                return Err((field(kind.id_field()), format!("{id:?} is there twice")));
            }
            facts.put(kind, &id, &value).map_err(|e| (field(&e.field), e.problem))?;
        }
    }
    Ok(facts)
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
        event_id: when.event_id,
        observed_at: Some(when.at),
        plate_read,
        manual_plate: when.manual_plate.map(|m| ManualPlate { text: m.text.unwrap_or_default(), document: m.document }),
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

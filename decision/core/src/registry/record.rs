//! A record of any kind, read from the JSON that a registry write carries.

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::facts::Entry;
use crate::plate;
use crate::registry::records::*;
use crate::registry::Kind;

/// Longest id, in characters (`registry.md`).
const ID_MAX: usize = 64;

/// Why a value is no record of its kind: which field, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {id:?}: field {field}: {problem}")]
pub struct RecordError {
    /// Kind that was asked for.
    pub kind: Kind,
    /// Id of the address.
    pub id: String,
    /// Path of the field; `.` for the record as a whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Declares [`Record`] and what depends on its kind, so that a new kind cannot be forgotten.
macro_rules! record {
    ($($variant:ident($type:ty) = $kind:ident by $id:ident),+ $(,)?) => {
        /// A registry record of any kind.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, clippy::large_enum_variant)] // each variant is the record of that name
        pub enum Record { $($variant($type)),+ }

        impl Record {
            /// The record's kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$kind),+ }
            }

            /// The record as JSON, every field written out; what a store keeps.
            pub fn to_value(&self) -> Value {
                let value = match self { $(Self::$variant(r) => serde_json::to_value(r)),+ };
                // INVARIANT: records are maps with string keys of finite numbers; they always serialise.
                value.unwrap_or(Value::Null)
            }

            /// Its id: the plate of a vehicle, the code of a task.
            pub fn id(&self) -> &str {
                match self { $(Self::$variant(r) => &r.$id),+ }
            }

            fn typed(kind: Kind, value: &Value) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
                match kind { $(Kind::$kind => typed::<$type>(value).map(Self::$variant)),+ }
            }

        }

        impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
            type Value = Record;
            fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Record, D::Error> {
                let record = match self.kind { $(Kind::$kind => <$type>::deserialize(d).map(Record::$variant)?),+ };
                if record.id() == self.id && is_id(self.id) && record.fault().is_none() {
                    Ok(record)
                } else {
                    Err(D::Error::custom("not as the registry writes it"))
                }
            }
        }
    };
}

record! {
    Enterprise(Enterprise) = Enterprise by id,
    Vehicle(Vehicle) = Vehicle by plate,
    Card(Card) = Card by id,
    Task(Task) = Task by code,
    Reception(Reception) = Reception by id,
    Ban(Ban) = Ban by id,
    ExitPermit(ExitPermit) = ExitPermit by id,
    LeaveConsent(LeaveConsent) = LeaveConsent by id,
    InspectionOrder(InspectionOrder) = InspectionOrder by id,
    Appointment(Appointment) = Appointment by id,
    Approval(Approval) = Approval by id,
    QrCode(QrCode) = QrCode by id,
    CustomsEnterprise(CustomsEnterprise) = CustomsEnterprise by id,
    CustomsVehicle(CustomsVehicle) = CustomsVehicle by plate,
    CustomsDriver(CustomsDriver) = CustomsDriver by id,
    Trip(Trip) = Trip by id,
    Manifest(Manifest) = Manifest by id,
    Escort(Escort) = Escort by id,
    Site(Site) = Site by id,
    Checkpoint(Checkpoint) = Checkpoint by id,
    Lane(Lane) = Lane by id,
    PeakMode(PeakMode) = PeakMode by id,
    Policy(PolicyRecord) = Policy by id,
}

/// Reads the value; only a value that does not fit is read again to find out where.
fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, serde_path_to_error::Error<serde_json::Error>> {
    T::deserialize(value).or_else(|_| serde_path_to_error::deserialize(value))
}

/// Reads the record `kind/id` in passing, from within a longer text. A value that is not written as
/// [`Record::to_value`] writes it may be refused although [`Record::parse`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct RecordSeed<'a> {
    /// Kind.
    pub kind: Kind,
    /// Id.
    pub id: &'a str,
}

/// Whether a text can be the id of a record.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= ID_MAX && !id.chars().any(char::is_control)
}

impl Kind {
    /// The field of the value that repeats the id of the address.
    pub fn id_field(self) -> &'static str {
        match self {
            Self::Vehicle | Self::CustomsVehicle => "plate",
            Self::Task => "code",
            Self::Enterprise
            | Self::Card
            | Self::Reception
            | Self::Ban
            | Self::ExitPermit
            | Self::LeaveConsent
            | Self::InspectionOrder
            | Self::Appointment
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
            | Self::Policy => "id",
        }
    }
}

impl Record {
    /// Reads the record `kind/id` from its JSON. The field that repeats the id may be left out; if
    /// it is there it must agree.
    ///
    /// # Errors
    /// [`RecordError`] names the first field that is unknown, missing, misspelt or contradicts the
    /// address, and says what would be right.
    pub fn parse(kind: Kind, id: &str, value: &Value) -> Result<Self, RecordError> {
        let fault =
            |field: &str, problem: String| RecordError { kind, id: id.chars().take(ID_MAX).collect(), field: field.to_owned(), problem };
        let id_field = kind.id_field();
        if !is_id(id) {
            return Err(fault(id_field, format!("an id has 1 to {ID_MAX} printable characters")));
        }
        let Value::Object(fields) = value else {
            return Err(fault(".", "a record is a JSON object".to_owned()));
        };
        let parsed = match fields.get(id_field) {
            None => {
                let mut completed = fields.clone();
                completed.insert(id_field.to_owned(), Value::String(id.to_owned()));
                Self::typed(kind, &Value::Object(completed))
            }
            Some(Value::String(own)) if own == id => Self::typed(kind, value),
            Some(own) => return Err(fault(id_field, format!("{own} contradicts the address, which says {id:?}"))),
        };
        let record = parsed.map_err(|e| {
            let path = e.path().to_string();
            fault(if path.is_empty() { "." } else { &path }, e.into_inner().to_string())
        })?;
        match record.fault() {
            Some((field, problem)) => Err(fault(field, problem)),
            None => Ok(record),
        }
    }

    /// [`Record::parse`] of the value's JSON text: the same answer, sooner for what a store holds.
    ///
    /// # Errors
    /// As [`Record::parse`]; field `.` for a text that is no JSON.
    pub fn from_text(kind: Kind, id: &str, text: &str) -> Result<Self, RecordError> {
        let mut source = serde_json::Deserializer::from_str(text);
        let short = RecordSeed { kind, id }.deserialize(&mut source);
        if let Some(record) = short.ok().filter(|_| source.end().is_ok()) {
            return Ok(record);
        }
        let value: Value = serde_json::from_str(text).map_err(|e| RecordError {
            kind,
            id: id.chars().take(ID_MAX).collect(),
            field: ".".to_owned(),
            problem: format!("is no JSON: {e}"),
        })?;
        Self::parse(kind, id, &value)
    }

    /// Reads a stored entry.
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn from_entry(entry: &Entry) -> Result<Self, RecordError> {
        Self::parse(entry.kind, &entry.id, &entry.value)
    }

    /// Plate whose dossier the record belongs to.
    pub fn plate(&self) -> Option<&str> {
        match self {
            Self::Vehicle(r) => Some(&r.plate),
            Self::Card(r) => Some(&r.plate),
            Self::Task(r) => Some(&r.plate),
            Self::Reception(r) => Some(&r.plate),
            Self::Ban(r) => Some(&r.plate),
            Self::ExitPermit(r) => Some(&r.plate),
            Self::LeaveConsent(r) => Some(&r.plate),
            Self::InspectionOrder(r) => Some(&r.plate),
            Self::Appointment(r) => Some(&r.plate),
            Self::QrCode(r) => Some(&r.plate),
            Self::CustomsVehicle(r) => Some(&r.plate),
            Self::Trip(r) => Some(&r.plate),
            Self::Escort(r) => Some(&r.plate),
            Self::Enterprise(_)
            | Self::Approval(_)
            | Self::CustomsEnterprise(_)
            | Self::CustomsDriver(_)
            | Self::Manifest(_)
            | Self::Site(_)
            | Self::Checkpoint(_)
            | Self::Lane(_)
            | Self::PeakMode(_)
            | Self::Policy(_) => None,
        }
    }

    /// Id of the parent record that its children are looked up by: the appointment of an approval,
    /// the trip of a manifest.
    pub fn parent(&self) -> Option<&str> {
        match self {
            Self::Approval(r) => Some(&r.appointment),
            Self::Manifest(r) => Some(&r.trip),
            Self::Enterprise(_)
            | Self::Vehicle(_)
            | Self::Card(_)
            | Self::Task(_)
            | Self::Reception(_)
            | Self::Ban(_)
            | Self::ExitPermit(_)
            | Self::LeaveConsent(_)
            | Self::InspectionOrder(_)
            | Self::Appointment(_)
            | Self::QrCode(_)
            | Self::CustomsEnterprise(_)
            | Self::CustomsVehicle(_)
            | Self::CustomsDriver(_)
            | Self::Trip(_)
            | Self::Escort(_)
            | Self::Site(_)
            | Self::Checkpoint(_)
            | Self::Lane(_)
            | Self::PeakMode(_)
            | Self::Policy(_) => None,
        }
    }

    /// What is wrong with a record whose fields are all readable, with the field to mend.
    fn fault(&self) -> Option<(&'static str, String)> {
        if let Some(written) = self.plate() {
            if !plate::is_normal(written) {
                let normal = plate::normalise(written);
                return Some(("plate", format!("a plate is written without separators and in capitals: {normal:?}")));
            }
        }
        self.contradiction()
    }

    /// What contradicts itself inside the record, with the field to mend.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Lane(lane) => (!lane.id.starts_with(&format!("{}.", lane.checkpoint)))
                .then(|| ("id", format!("a lane's id begins with its checkpoint's: \"{}.L1\"", lane.checkpoint))),
            Self::Policy(record) => record.switches.check().err().map(|e| (e.place, e.to_string())),
            Self::Enterprise(_)
            | Self::Vehicle(_)
            | Self::Card(_)
            | Self::Task(_)
            | Self::Reception(_)
            | Self::Ban(_)
            | Self::ExitPermit(_)
            | Self::LeaveConsent(_)
            | Self::InspectionOrder(_)
            | Self::Appointment(_)
            | Self::Approval(_)
            | Self::QrCode(_)
            | Self::CustomsEnterprise(_)
            | Self::CustomsVehicle(_)
            | Self::CustomsDriver(_)
            | Self::Trip(_)
            | Self::Manifest(_)
            | Self::Escort(_)
            | Self::Site(_)
            | Self::Checkpoint(_)
            | Self::PeakMode(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(kind: Kind, id: &str, value: Value) -> String {
        Record::parse(kind, id, &value).map_or_else(|e| e.to_string(), |_| "fine".to_owned())
    }

    #[test]
    fn the_id_of_the_address_is_filled_in_and_must_agree() {
        let task = json!({"kind": "PF", "plate": "苏G12345", "state": "CALLED"});
        let record = Record::parse(Kind::Task, "HP1", &task).unwrap();
        assert_eq!(record.to_value()["code"], "HP1");
        let again = record.to_value();
        assert_eq!(Record::parse(Kind::Task, "HP1", &again).unwrap(), record);
        assert_eq!(said(Kind::Task, "HP2", again), r#"task "HP2": field code: "HP1" contradicts the address, which says "HP2""#);
        let vehicle = json!({"category": "PF_DG", "registration": "APPROVED"});
        assert_eq!(Record::parse(Kind::Vehicle, "苏G12345", &vehicle).unwrap().plate(), Some("苏G12345"));
    }

    #[test]
    fn an_error_names_the_field_and_what_would_be_right() {
        let card = |more: Value| {
            let mut value = json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED"});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said(Kind::Card, "C1", value)
        };
        assert_eq!(card(json!({})), "fine");
        assert_eq!(card(json!({"valid_from": null, "task": null})), "fine");
        let wrong = card(json!({"type": "DOUBLE"}));
        assert!(wrong.contains("field type:") && wrong.contains("`SINGLE`"), "{wrong}");
        let wrong = card(json!({"valid_to": "2026-02-29"}));
        assert!(wrong.contains("field valid_to:") && wrong.contains("a day, like"), "{wrong}");
        let wrong = card(json!({"colour": "red"}));
        assert!(wrong.contains("field colour:") && wrong.contains("cancel_reason"), "{wrong}");
        let wrong = card(json!({"plate": "苏g·12345"}));
        assert!(wrong.contains("field plate:") && wrong.contains("苏G12345"), "{wrong}");
        let wrong = said(Kind::Ban, "B1", json!({"plate": "苏G12345", "kind": "BLACKLIST", "from": "2026-03-10T10:00:00"}));
        assert!(wrong.contains("field from:") && wrong.contains("RFC 3339"), "{wrong}");
        let wrong = said(Kind::Manifest, "M1", json!({"transmitted_at": "2026-03-10T10:00:00Z", "state": "TRANSMITTED"}));
        assert!(wrong.contains("missing field `trip`"), "{wrong}");
        assert!(said(Kind::Enterprise, "E1", json!([])).contains("a JSON object"));
        assert!(said(Kind::Enterprise, "", json!({})).contains("1 to 64"));
        assert!(said(Kind::Enterprise, &"x".repeat(65), json!({})).contains("1 to 64"));
    }

    #[test]
    fn a_text_is_read_as_its_value_is() {
        let good = json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED"});
        let with = |field: &str, value: Value| {
            let mut card = good.clone();
            card[field] = value;
            card
        };
        let cards = [
            good.clone(),
            with("id", json!("C1")),
            with("id", json!("C2")),
            with("valid_to", json!(null)),
            with("valid_to", json!("2026-02-29")),
            with("colour", json!("red")),
            with("plate", json!("苏g12345")),
            with("plate", json!("")),
            json!([]),
        ];
        for card in cards {
            assert_eq!(Record::from_text(Kind::Card, "C1", &card.to_string()), Record::parse(Kind::Card, "C1", &card), "{card}");
        }
        let lane = json!({"checkpoint": "JCZ-2", "direction": "ENTRY", "lane_class": "FREIGHT", "id": "JCZ-1.L1"});
        assert!(Record::from_text(Kind::Lane, "JCZ-1.L1", &lane.to_string()).unwrap_err().problem.contains("begins with"));
        assert_eq!(Record::from_text(Kind::Card, "C1", "{half").unwrap_err().field, ".");
        let long = "x".repeat(65);
        let card = with("id", json!(long));
        assert!(Record::from_text(Kind::Card, &long, &card.to_string()).is_err());
    }

    #[test]
    fn the_gates_own_records() {
        assert_eq!(said(Kind::Site, "LYG", json!({})), "fine");
        assert_eq!(said(Kind::Checkpoint, "JCZ-1", json!({"site": "LYG", "profile": "LYG"})), "fine");
        let lane = |checkpoint: &str| json!({"checkpoint": checkpoint, "direction": "ENTRY", "lane_class": "FREIGHT"});
        assert_eq!(said(Kind::Lane, "JCZ-1.L1", lane("JCZ-1")), "fine");
        assert!(said(Kind::Lane, "JCZ-1.L1", lane("JCZ-2")).contains("begins with its checkpoint's"));
        assert_eq!(said(Kind::PeakMode, "JCZ-1", json!({"active": true})), "fine");
        assert_eq!(said(Kind::Policy, "P1", json!({"switches": {"exit_permit": "laden_only"}})), "fine");
        let wrong = said(Kind::Policy, "P1", json!({"switches": {"plate_confidence_min": 2}}));
        assert!(wrong.contains("plate_confidence_min must be above 0 and at most 1"), "{wrong}");
        assert!(said(Kind::Policy, "P1", json!({"switches": {"speed": 1}})).contains("unknown field `speed`"));
    }

    #[test]
    fn every_kind_has_a_record_that_survives_the_way_to_json_and_back() {
        for kind in Kind::ALL {
            let empty = Record::parse(kind, "X1", &json!({}));
            if let Ok(record) = empty {
                assert_eq!(Record::parse(kind, "X1", &record.to_value()).unwrap(), record);
            }
        }
    }
}

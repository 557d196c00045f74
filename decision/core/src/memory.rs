//! Facts in memory: for scenarios, property tests and simulation. Same order, same answers as a
//! store: records of a plate or a parent come in the order in which they were first written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::effect::{Effect, UseIntent};
use crate::facts::{Entry, FactError, FactSource, UseBook};
use crate::registry::{Kind, Record, RecordError};
use crate::time::Instant;

/// A registry and its use books in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryFacts {
    records: BTreeMap<(Kind, String), Held>,
    by_plate: BTreeMap<String, BTreeMap<u64, (Kind, String)>>,
    by_parent: BTreeMap<(Kind, String), BTreeMap<u64, String>>,
    books: BTreeMap<String, UseBook>,
    passages: BTreeSet<String>,
    next: u64,
}

/// A record with its place in the order of first writing and the indexes it stands in.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    place: u64,
    value: Value,
    plate: Option<String>,
    parent: Option<String>,
}

impl MemoryFacts {
    /// Writes a record, or replaces it in its place.
    ///
    /// # Errors
    /// As [`Record::parse`]; nothing is written then.
    pub fn put(&mut self, kind: Kind, id: &str, value: &Value) -> Result<(), RecordError> {
        let record = Record::parse(kind, id, value)?;
        let place = match self.remove(kind, id) {
            Some(held) => held.place,
            None => {
                self.next = self.next.saturating_add(1);
                self.next
            }
        };
        let plate = record.plate().map(str::to_owned);
        let parent = record.parent().map(str::to_owned);
        if let Some(plate) = &plate {
            self.by_plate.entry(plate.clone()).or_default().insert(place, (kind, id.to_owned()));
        }
        if let Some(parent) = &parent {
            self.by_parent.entry((kind, parent.clone())).or_default().insert(place, id.to_owned());
        }
        self.records.insert((kind, id.to_owned()), Held { place, value: record.to_value(), plate, parent });
        Ok(())
    }

    /// Deletes a record; returns whether it was there. Its use stays.
    pub fn delete(&mut self, kind: Kind, id: &str) -> bool {
        self.remove(kind, id).is_some()
    }

    fn remove(&mut self, kind: Kind, id: &str) -> Option<Held> {
        let held = self.records.remove(&(kind, id.to_owned()))?;
        if let Some(row) = held.plate.as_ref().and_then(|p| self.by_plate.get_mut(p)) {
            row.remove(&held.place);
        }
        if let Some(row) = held.parent.as_ref().and_then(|p| self.by_parent.get_mut(&(kind, p.clone()))) {
            row.remove(&held.place);
        }
        Some(held)
    }

    /// Whether a record is there.
    pub fn contains(&self, kind: Kind, id: &str) -> bool {
        self.records.contains_key(&(kind, id.to_owned()))
    }

    /// Every record, in the order of first writing.
    pub fn entries(&self) -> Vec<Entry> {
        let mut held: Vec<(&(Kind, String), &Held)> = self.records.iter().collect();
        held.sort_by_key(|(_, h)| h.place);
        held.into_iter().map(|((kind, id), h)| Entry { kind: *kind, id: id.clone(), value: h.value.clone() }).collect()
    }

    /// The use book of a plate, to be changed.
    pub fn book_mut(&mut self, plate: &str) -> &mut UseBook {
        self.books.entry(plate.to_owned()).or_default()
    }

    /// A vehicle goes through: its uses are applied, once per passage id (CH-18). Returns the
    /// effects applied now.
    pub fn pass(&mut self, uses: &[UseIntent], passage_id: &str, at: Instant) -> Vec<Effect> {
        if !self.passages.insert(passage_id.to_owned()) {
            return Vec::new();
        }
        uses.iter()
            .map(|intent| {
                intent.apply(self.book_mut(&intent.plate), passage_id, at);
                intent.effect
            })
            .collect()
    }

    fn entry(&self, kind: Kind, id: &str) -> Option<Entry> {
        self.records.get(&(kind, id.to_owned())).map(|held| Entry { kind, id: id.to_owned(), value: held.value.clone() })
    }
}

impl FactSource for MemoryFacts {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        Ok(self.entry(kind, id))
    }

    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        let places = self.by_plate.get(plate).into_iter().flat_map(BTreeMap::values);
        Ok(places.filter_map(|(kind, id)| self.entry(*kind, id)).collect())
    }

    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        let places = self.by_parent.get(&(kind, parent.to_owned())).into_iter().flat_map(BTreeMap::values);
        Ok(places.filter_map(|id| self.entry(kind, id)).collect())
    }

    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        Ok(self.books.get(plate).cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(facts: &MemoryFacts, plate: &str) -> Vec<String> {
        facts.dossier(plate).unwrap().into_iter().map(|e| e.id).collect()
    }

    #[test]
    fn the_order_of_first_writing_survives_a_rewrite_and_a_change_of_plate() {
        let mut facts = MemoryFacts::default();
        let permit = |plate: &str| json!({"plate": plate, "state": "ISSUED"});
        for id in ["B", "A", "C"] {
            facts.put(Kind::ExitPermit, id, &permit("苏G1")).unwrap();
        }
        facts.put(Kind::ExitPermit, "B", &permit("苏G1")).unwrap();
        assert_eq!(ids(&facts, "苏G1"), ["B", "A", "C"]);
        facts.put(Kind::ExitPermit, "A", &permit("苏G2")).unwrap();
        assert_eq!(ids(&facts, "苏G1"), ["B", "C"]);
        assert_eq!(ids(&facts, "苏G2"), ["A"]);
        assert!(facts.delete(Kind::ExitPermit, "B") && !facts.delete(Kind::ExitPermit, "B"));
        assert_eq!(ids(&facts, "苏G1"), ["C"]);
    }

    #[test]
    fn children_come_by_their_parent() {
        let mut facts = MemoryFacts::default();
        let approval = json!({"appointment": "AP1", "state": "APPROVED", "approver": "WH-001"});
        facts.put(Kind::Approval, "N1", &approval).unwrap();
        assert_eq!(facts.children(Kind::Approval, "AP1").unwrap().len(), 1);
        assert!(facts.children(Kind::Approval, "AP2").unwrap().is_empty());
        assert!(facts.children(Kind::Manifest, "AP1").unwrap().is_empty());
    }
}

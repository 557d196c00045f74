//! Facts of one decision, each read once: checks ask for the same plate's records and use again and
//! again, under the plate and under the id of a card or a task.

use std::cell::RefCell;

use crate::facts::{Entry, FactError, FactSource, UseBook};
use crate::registry::{Kind, Record};

/// What has been read for a decision so far. During one decision the facts do not change.
pub(super) struct Recall<'a> {
    source: &'a dyn FactSource,
    /// Records by plate.
    known: RefCell<Vec<(String, Vec<Record>)>>,
    books: RefCell<Vec<(String, UseBook)>>,
}

impl<'a> Recall<'a> {
    pub(super) fn new(source: &'a dyn FactSource) -> Self {
        Self { source, known: RefCell::default(), books: RefCell::default() }
    }
}

impl FactSource for Recall<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.source.get(kind, id)
    }

    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.source.dossier(plate)
    }

    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.source.children(kind, parent)
    }

    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        if let Some((_, book)) = self.books.borrow().iter().find(|(p, _)| p == plate) {
            return Ok(book.clone());
        }
        let book = self.source.use_book(plate)?;
        self.books.borrow_mut().push((plate.to_owned(), book.clone()));
        Ok(book)
    }

    /// A record has one plate: where it stands among the records of one, that is the record.
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        let known = self.known.borrow();
        match known.iter().flat_map(|(_, records)| records).find(|r| r.kind() == kind && r.id() == id) {
            Some(record) => Ok(Some(record.clone())),
            None => self.source.record_of(kind, id),
        }
    }

    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        if let Some((_, records)) = self.known.borrow().iter().find(|(p, _)| p == plate) {
            return Ok(records.clone());
        }
        let records = self.source.records_of(plate)?;
        self.known.borrow_mut().push((plate.to_owned(), records.clone()));
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryFacts;
    use serde_json::json;

    /// Notes what is asked of it.
    struct Asked(MemoryFacts, RefCell<Vec<String>>);

    impl FactSource for Asked {
        fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
            self.1.borrow_mut().push(format!("{kind}/{id}"));
            self.0.get(kind, id)
        }
        fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
            self.1.borrow_mut().push(format!("dossier {plate}"));
            self.0.dossier(plate)
        }
        fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
            self.0.children(kind, parent)
        }
        fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
            self.1.borrow_mut().push(format!("use {plate}"));
            self.0.use_book(plate)
        }
    }

    #[test]
    fn each_fact_is_read_once_and_a_strange_card_by_its_id() {
        let mut facts = MemoryFacts::default();
        let task = json!({"kind": "PF", "plate": "苏G1", "state": "CALLED"});
        let card = |plate: &str| json!({"type": "SINGLE", "plate": plate, "status": "ISSUED", "task": "T1"});
        facts.put(Kind::Task, "T1", &task).unwrap();
        facts.put(Kind::Card, "C1", &card("苏G1")).unwrap();
        facts.put(Kind::Card, "C2", &card("苏G2")).unwrap();
        let source = Asked(facts, RefCell::default());
        let recall = Recall::new(&source);
        for _ in 0..2 {
            assert_eq!(recall.records_of("苏G1").unwrap().len(), 2);
            assert_eq!(recall.record_of(Kind::Card, "C1").unwrap().unwrap().plate(), Some("苏G1"));
            assert_eq!(recall.record_of(Kind::Task, "T1").unwrap().unwrap().id(), "T1");
            recall.use_book("苏G1").unwrap();
        }
        assert_eq!(*source.1.borrow(), ["dossier 苏G1", "use 苏G1"]);
        assert_eq!(recall.record_of(Kind::Card, "C2").unwrap().unwrap().plate(), Some("苏G2"));
        assert!(recall.record_of(Kind::Card, "T1").unwrap().is_none());
        assert_eq!(source.1.borrow()[2..], ["card/C2", "card/T1"]);
    }
}

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

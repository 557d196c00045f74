//! The read side's tables: one file each, with its columns and the rows it draws from the journal.
//!
//! A table is described once, by its [`Table`]: the Arrow schema, the Parquet settings, the masking
//! of roles and the page `analytics/README.md` all follow from it. Every table begins with `site`
//! and `seq`, the place in the site's journal the row came from: what makes rows countable exactly
//! once.

mod approaches;
mod card_events;
mod decisions;
mod guard_actions;
mod lanes;
mod passages;
mod policy_differences;
mod queue_samples;
mod reasons;
mod records;
mod uses;
mod violations;

use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, RecordBatch, StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::time::Instant;

use crate::error::{AnalyticsError, Result};

pub use lanes::LaneNames;

/// The time zone of every timestamp column: Asia/Shanghai, which has no daylight saving.
pub const TIME_ZONE: &str = "+08:00";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text (`Utf8View`).
    Text,
    /// A plate, or text that may be one: masked for analysts.
    Plate,
    /// Words of people, which may name plates: withheld from analysts.
    Words,
    /// `BOOLEAN`.
    Bool,
    /// `BIGINT`.
    Int,
    /// `DOUBLE`.
    Float,
    /// An instant, microseconds, shown at +08:00.
    Time,
    /// A day.
    Date,
    /// A list of texts.
    Texts,
}

impl Kind {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text | Self::Plate | Self::Words => DataType::Utf8View,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(TIME_ZONE.into())),
            Self::Texts => DataType::List(Arc::new(list_item())),
        }
    }

    /// The type's name in the documentation.
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::Text | Self::Plate | Self::Words => "text",
            Self::Bool => "boolean",
            Self::Int => "bigint",
            Self::Float => "double",
            Self::Time => "timestamptz",
            Self::Date => "date",
            Self::Texts => "text[]",
        }
    }
}

fn list_item() -> Field {
    Field::new("item", DataType::Utf8View, true)
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its stable name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its meaning, with the unit.
    pub doc: &'static str,
}

/// Shorthand of the tables' files.
pub(crate) const fn col(name: &'static str, kind: Kind, doc: &'static str) -> Column {
    Column { name, kind, doc }
}

pub(crate) const SITE: Column = col("site", Kind::Text, "Site (port area).");
pub(crate) const SEQ: Column = col("seq", Kind::Int, "Place in the site's journal the row came from.");

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name: the folder's, and the base of the view of that name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// The column rows are sorted by within a file.
    pub time: &'static str,
    /// Columns with a bloom filter.
    pub bloom: &'static [&'static str],
    /// The columns.
    pub columns: &'static [Column],
}

impl Table {
    /// The Arrow schema; every column may be null, so that columns can be added later.
    pub fn schema(&self) -> SchemaRef {
        static SCHEMAS: OnceLock<Vec<SchemaRef>> = OnceLock::new();
        let all = SCHEMAS.get_or_init(|| ALL.iter().map(|t| t.fresh_schema()).collect());
        ALL.iter().zip(all).find(|(t, _)| t.name == self.name).map_or_else(|| self.fresh_schema(), |(_, s)| Arc::clone(s))
    }

    fn fresh_schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(|c| Field::new(c.name, c.kind.data_type(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The rows as one Arrow batch.
    ///
    /// # Errors
    /// [`AnalyticsError::Rows`] when a row does not fit the columns.
    pub fn batch(&self, rows: &[Row]) -> Result<RecordBatch> {
        let wrong = |detail: String| AnalyticsError::Rows { table: self.name, detail };
        if let Some(row) = rows.iter().find(|r| r.cells.len() != self.columns.len()) {
            return Err(wrong(format!("{} cells for {} columns", row.cells.len(), self.columns.len())));
        }
        let arrays = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| array(column, rows.iter().filter_map(|r| r.cells.get(i)), rows.len()))
            .collect::<std::result::Result<Vec<_>, String>>()
            .map_err(wrong)?;
        RecordBatch::try_new(self.schema(), arrays).map_err(|e| wrong(e.to_string()))
    }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// An instant.
    Time(Instant),
    /// A list of texts.
    Texts(Vec<String>),
}

impl From<&str> for Cell {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<&String> for Cell {
    fn from(v: &String) -> Self {
        Self::Text(v.clone())
    }
}
impl From<String> for Cell {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}
impl From<bool> for Cell {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<i64> for Cell {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}
impl From<u32> for Cell {
    fn from(v: u32) -> Self {
        Self::Int(i64::from(v))
    }
}
impl From<u64> for Cell {
    fn from(v: u64) -> Self {
        Self::Int(i64::try_from(v).unwrap_or(i64::MAX))
    }
}
impl From<f64> for Cell {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}
impl From<Instant> for Cell {
    fn from(v: Instant) -> Self {
        Self::Time(v)
    }
}
impl From<&Vec<String>> for Cell {
    fn from(v: &Vec<String>) -> Self {
        Self::Texts(v.clone())
    }
}
impl<'a, T> From<&'a Option<T>> for Cell
where
    Cell: From<&'a T>,
{
    fn from(v: &'a Option<T>) -> Self {
        v.as_ref().map_or(Self::Null, <Self as From<&'a T>>::from)
    }
}
impl<T> From<Option<T>> for Cell
where
    Cell: From<T>,
{
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, <Self as From<T>>::from)
    }
}

/// One row, its cells in the order of the table's columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Index of the table in [`ALL`].
    pub table: usize,
    /// The cells.
    pub cells: Vec<Cell>,
}

/// Every table, in a fixed order.
pub static ALL: [&Table; 15] = [
    &decisions::DECISIONS,
    &decisions::VERSIONS,
    &reasons::TABLE,
    &guard_actions::TABLE,
    &passages::TABLE,
    &violations::TABLE,
    &uses::TABLE,
    &card_events::TABLE,
    &queue_samples::TABLE,
    &approaches::ARRIVALS,
    &approaches::ENDINGS,
    &lanes::TABLE,
    &records::TABLE,
    &violations::VERSIONS,
    &policy_differences::TABLE,
];

/// The table of that name.
pub fn by_name(name: &str) -> Option<(usize, &'static Table)> {
    ALL.iter().enumerate().find(|(_, t)| t.name == name).map(|(i, t)| (i, *t))
}

/// Collects the rows of an entry.
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// Adds a row of `table`.
    pub(crate) fn push<const N: usize>(&mut self, table: &'static Table, cells: [Cell; N]) {
        if let Some((index, _)) = by_name(table.name) {
            self.0.push(Row { table: index, cells: cells.into() });
        }
    }
}

/// The rows the journal entry adds. `lanes` learns from it where lanes stand.
pub fn rows_of(entry: &JournalEntry, lanes: &mut LaneNames) -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    match &entry.event {
        JournalEvent::Decision { decision } => {
            lanes.learn(&decision.lane, &decision.checkpoint, Some(&decision.direction));
            decisions::rows(entry, decision, &mut rows);
            reasons::rows(entry, decision, &mut rows);
            guard_actions::rows(entry, decision, &mut rows);
            policy_differences::rows(entry, decision, &mut rows);
        }
        JournalEvent::Passage { passage } => {
            lanes.learn(&passage.lane, &passage.checkpoint, Some(&passage.direction));
            passages::rows(entry, passage, &mut rows);
        }
        JournalEvent::Violation { violation } => violations::rows(entry, violation, &mut rows),
        JournalEvent::Used { used } => {
            uses::rows(entry, used, &mut rows);
            card_events::rows_of_use(entry, used, &mut rows);
        }
        JournalEvent::Registry { revision, kind, id, value, .. } => {
            records::rows(entry, *revision, kind, id, value.as_ref(), &mut rows);
            card_events::rows_of_record(entry, kind, id, value.as_ref(), &mut rows);
            lanes::rows(entry, kind, id, value.as_ref(), lanes, &mut rows);
        }
        JournalEvent::Arrived { approach_id, lane, arrived_at } => {
            approaches::arrived(entry, approach_id, lane, *arrived_at, lanes, &mut rows);
        }
        JournalEvent::Ended { approach_id, lane, ending } => {
            approaches::ended(entry, approach_id, lane, *ending, lanes, &mut rows);
        }
        JournalEvent::Read { read } => queue_samples::rows(entry, read, lanes, &mut rows),
        JournalEvent::Timer { .. }
        | JournalEvent::Policy { .. }
        | JournalEvent::Degraded { .. }
        | JournalEvent::Command { .. }
        | JournalEvent::Answered { .. }
        | JournalEvent::Dropped { .. } => {}
    }
    rows.0
}

fn array<'a>(column: &Column, cells: impl Iterator<Item = &'a Cell>, rows: usize) -> std::result::Result<ArrayRef, String> {
    let misfit = |cell: &Cell| format!("column {} takes {:?}, not {cell:?}", column.name, column.kind);
    macro_rules! build {
        ($builder:expr, $pattern:pat => $value:expr) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    Cell::Null => builder.append_null(),
                    $pattern => builder.append_value($value),
                    other => return Err(misfit(other)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    match column.kind {
        Kind::Text | Kind::Plate | Kind::Words => {
            build!(StringViewBuilder::with_capacity(rows), Cell::Text(v) => v)
        }
        Kind::Bool => build!(BooleanBuilder::with_capacity(rows), Cell::Bool(v) => *v),
        Kind::Int => build!(Int64Builder::with_capacity(rows), Cell::Int(v) => *v),
        Kind::Date => Err(format!("column {}: days come from reference files only", column.name)),
        Kind::Float => build!(Float64Builder::with_capacity(rows), Cell::Float(v) => *v),
        Kind::Time => {
            build!(
                TimestampMicrosecondBuilder::with_capacity(rows).with_timezone(TIME_ZONE),
                Cell::Time(v) => v.as_micros()
            )
        }
        Kind::Texts => {
            let mut builder = ListBuilder::new(StringViewBuilder::new()).with_field(list_item());
            for cell in cells {
                match cell {
                    Cell::Null => builder.append_null(),
                    Cell::Texts(list) => {
                        for text in list {
                            builder.values().append_value(text);
                        }
                        builder.append(true);
                    }
                    other => return Err(misfit(other)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_whole() {
        for table in ALL {
            let names: Vec<&str> = table.columns.iter().map(|c| c.name).collect();
            assert_eq!(names.get(..2), Some(["site", "seq"].as_slice()), "{}", table.name);
            assert!(names.contains(&table.time), "{}: sorted by a column it lacks", table.name);
            assert!(table.bloom.iter().all(|b| names.contains(b)), "{}", table.name);
            let mut unique = names.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), names.len(), "{}: a column twice", table.name);
            assert_eq!(table.schema().fields().len(), names.len());
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused() {
        let short = Row { table: 0, cells: vec![Cell::Null] };
        assert!(decisions::DECISIONS.batch(&[short]).is_err());
        let mut cells = vec![Cell::Null; approaches::ARRIVALS.columns.len()];
        cells[1] = Cell::Bool(true);
        let err = approaches::ARRIVALS.batch(&[Row { table: 9, cells }]).unwrap_err();
        assert!(err.to_string().contains("seq"), "{err}");
    }
}

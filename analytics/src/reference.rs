//! Reference tables: what indicators need and no gate records (the count by hand at 17:00,
//! distances, satellite positions, reviewers …), from `reference/NAME.csv` in the folder.
//!
//! A header names the columns, in any order; those left out are null. A changed file is read at the
//! next question. A file that does not fit answers with its line and column, to questions that name
//! its table and to no others; a file that is not there is an empty table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{new_null_array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::lookups;
use crate::tables::{col, Kind, Table};

/// Folder of the files, within the analytics folder.
pub const FOLDER: &str = "reference";
/// Largest file read, bytes.
const BYTES_MAX: u64 = 256 << 20;

const fn table(name: &'static str, doc: &'static str, columns: &'static [crate::tables::Column]) -> Table {
    Table { name, doc, time: "", bloom: &[], columns }
}

/// Every reference table.
pub static ALL: [&Table; 11] = [
    &table(
        "handovers",
        "The slip signed at 17:00 (港通卡交收单): one row per site and accounting day.",
        &[
            col("site", Kind::Text, "Site."),
            col("day", Kind::Date, "Accounting day."),
            col("counted", Kind::Int, "Single cards counted by hand."),
            col("signed_road_port", Kind::Words, "Who signed for the road port."),
            col("signed_pamc", Kind::Words, "Who signed for the public administration company."),
            col("signed_at", Kind::Time, "When both had signed; null: not signed."),
        ],
    ),
    &table(
        "peak_schedules",
        "Off-work windows in which peak pass mode may be suggested (CH-10).",
        &[
            col("checkpoint", Kind::Text, "Checkpoint."),
            col("isodow", Kind::Int, "Day of the week, Monday 1 to Sunday 7."),
            col("from_local", Kind::Text, "First minute, HH:MM:SS at Asia/Shanghai."),
            col("to_local", Kind::Text, "End, exclusive, HH:MM:SS."),
        ],
    ),
    &table(
        "checkpoint_distances",
        "Road distances between checkpoints, a row per direction.",
        &[
            col("from_checkpoint", Kind::Text, "Where from."),
            col("to_checkpoint", Kind::Text, "Where to."),
            col("km", Kind::Float, "Distance by road, kilometres."),
        ],
    ),
    &table(
        "positions",
        "Satellite positions of customs trips.",
        &[
            col("trip_id", Kind::Text, "Trip."),
            col("sampled_at", Kind::Time, "When."),
            col("inside_route", Kind::Bool, "On the approved route."),
            col("stationary_s", Kind::Int, "Standing still for so long, seconds."),
            col("eseal_ok", Kind::Bool, "The electronic seal reports no alarm."),
        ],
    ),
    &table(
        "escort_records",
        "Customs' escorts as they ended (途中监管押运记录).",
        &[
            col("escort_id", Kind::Text, "Escort, as in the registry."),
            col("started_at", Kind::Time, "When it began."),
            col("ended_at", Kind::Time, "When it ended; null: under way."),
            col("record_written_at", Kind::Time, "When the record was written; null: it is missing."),
        ],
    ),
    &table(
        "reviewers",
        "Reviewers named by units (LYG-4.7c).",
        &[
            col("unit", Kind::Text, "Unit."),
            col("reviewer", Kind::Words, "Reviewer."),
            col("active", Kind::Bool, "In office."),
        ],
    ),
    &table(
        "approval_log",
        "Who approved which vehicle (LYG-4.7d).",
        &[
            col("plate", Kind::Plate, "Vehicle approved."),
            col("reviewer", Kind::Words, "Reviewer."),
            col("unit", Kind::Text, "The reviewer's unit."),
            col("approved_at", Kind::Time, "When."),
        ],
    ),
    &table(
        "vehicle_facts",
        "What long-term cards rest on and the gate's registry does not keep (LYG-6.1).",
        &[
            col("plate", Kind::Plate, "Vehicle."),
            col("owner", Kind::Words, "Owner as on the licence."),
            col("commercial_insurance_yuan", Kind::Int, "Commercial insurance, yuan."),
        ],
    ),
    &table(
        "enterprise_facts",
        "Carriers eligible for long-term cards (LYG-6.1a).",
        &[
            col("enterprise", Kind::Text, "Carrier, as in the registry."),
            col("name", Kind::Words, "Its name, as owners are written."),
            col("long_card_eligibility", Kind::Text, "NONE, ELIGIBLE or REVOKED."),
        ],
    ),
    &table(
        "replay_differences",
        "What another policy would have decided otherwise in the recorded journal: written by `portgate replay DIR --policy FILE`, of the latest such replay.",
        &[
            col("policy", Kind::Text, "Policy file replayed with."),
            col("seq", Kind::Int, "Place in the journal."),
            col("id", Kind::Text, "Decision id; the rest of it stands in `decisions`."),
            col("version", Kind::Int, "Version of the decision on record."),
            col("recorded", Kind::Text, "Verdict and reasons on record."),
            col("replayed", Kind::Text, "Verdict and reasons under the policy."),
        ],
    ),
    &table(
        "findings",
        "What the named bodies found outside the gate (traffic police, port police …); the newest of a violation counts, before what was said at the gate.",
        &[
            col("violation_id", Kind::Text, "Violation, as in `violations`; another id: one the gate did not raise."),
            col("code", Kind::Text, "Code, where the gate did not raise it."),
            col("plate", Kind::Plate, "Vehicle, where the gate did not raise it."),
            col("enterprise", Kind::Text, "Carrier, where the gate did not raise it."),
            col("occurred_at", Kind::Time, "When it happened, where the gate did not raise it."),
            col("status", Kind::Text, "VERIFIED or DISMISSED."),
            col("source", Kind::Text, "Who reported it, like TRAFFIC_POLICE."),
            col("ground", Kind::Text, "Ground of LYG-2.5b: b1 to b5."),
            col("road", Kind::Text, "Road, of a finding of the traffic police."),
            col("offence", Kind::Text, "DOCUMENTS, CARGO_THEFT, CARGO_SWAP, OVERSPEED, FATIGUE, ILLEGAL_STOP, SIMILAR."),
            col("verified_by", Kind::Text, "PAMC, ROAD_PORT, PORT_POLICE or another body."),
            col("found_at", Kind::Time, "When it was found."),
        ],
    ),
];

type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// A table of CSV files to DataFusion: a reference table, or the look-ups on record.
pub struct ReferenceTable {
    /// The file, or the folder whose files are one table.
    path: PathBuf,
    schema: SchemaRef,
    read: Mutex<Option<(Stamp, Vec<RecordBatch>)>>,
}

impl ReferenceTable {
    /// The table over its file in the analytics folder.
    pub fn new(analytics: &Path, table: &Table) -> Self {
        let path = analytics.join(FOLDER).join(format!("{}.csv", table.name));
        Self { path, schema: table.schema(), read: Mutex::new(None) }
    }

    /// The look-ups on record.
    pub fn lookups(analytics: &Path) -> Self {
        let (path, schema) = (analytics.join(lookups::FOLDER), lookups::TABLE.schema());
        Self { path, schema, read: Mutex::new(None) }
    }

    /// The rows, read again where a file has changed.
    fn rows(&self) -> Result<Vec<RecordBatch>> {
        let stamp = self.stamp().map_err(|e| self.wrong(&self.path, &e))?;
        let mut read = self.read.lock();
        if let Some((at, rows)) = read.as_ref() {
            if *at == stamp {
                return Ok(rows.clone());
            }
        }
        if stamp.iter().map(|s| s.2).sum::<u64>() > BYTES_MAX {
            return Err(self.wrong(&self.path, &format!("more than {} MiB", BYTES_MAX >> 20)));
        }
        let rows = stamp
            .iter()
            .map(|(path, ..)| std::fs::read(path).map_err(|e| self.wrong(path, &e)).and_then(|bytes| self.parse(path, &bytes)))
            .collect::<Result<Vec<_>>>()?;
        *read = Some((stamp, rows.clone()));
        Ok(rows)
    }

    /// The files there are, and what tells that they have changed.
    fn stamp(&self) -> std::io::Result<Stamp> {
        let absent = |e: std::io::Error| if e.kind() == std::io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(e) };
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) => return absent(e),
        };
        if !meta.is_dir() {
            return Ok(vec![(self.path.clone(), meta.modified().ok(), meta.len())]);
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|e| e == "csv") {
                let meta = entry.metadata()?;
                files.push((entry.path(), meta.modified().ok(), meta.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn parse(&self, path: &Path, bytes: &[u8]) -> Result<RecordBatch> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let header = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let header = std::str::from_utf8(header).map_err(|e| self.wrong(path, &e))?;
        let named = header
            .trim_end()
            .split(',')
            .map(|name| {
                let name = name.trim().trim_matches('"');
                self.schema.field_with_name(name).cloned().map_err(|_| {
                    let known: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
                    self.wrong(path, &format!("line 1: there is no column {name:?}; the columns are {}", known.join(", ")))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let named = Arc::new(Schema::new(named));
        let batches = ReaderBuilder::new(Arc::clone(&named))
            .with_header(true)
            .build(bytes)
            .and_then(Iterator::collect::<std::result::Result<Vec<RecordBatch>, _>>)
            .map_err(|e| self.wrong(path, &with_header(&e.to_string())))?;
        let read = concat_batches(&named, &batches)?;
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|f| read.column_by_name(f.name()).cloned().unwrap_or_else(|| new_null_array(f.data_type(), read.num_rows())))
            .collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The file is the asker's to mend, not one of the gate's to put aside.
    fn wrong(&self, path: &Path, detail: &dyn std::fmt::Display) -> DataFusionError {
        DataFusionError::Plan(format!("reference file {}: {detail}", path.display()))
    }
}

/// The reader's words with the line as an editor counts it: the reader leaves the header out.
fn with_header(words: &str) -> String {
    const PLACE: &str = " at line ";
    let Some((before, rest)) = words.split_once(PLACE) else { return words.to_owned() };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    match line.parse::<u64>() {
        Ok(line) => format!("{before}{PLACE}{}{after}", line.saturating_add(1)),
        Err(_) => words.to_owned(),
    }
}

impl std::fmt::Debug for ReferenceTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReferenceTable").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ReferenceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows()?;
        Ok(MemorySourceConfig::try_new_exec(&[rows], self.schema(), projection.cloned())?)
    }
}

//! Answers as people and programs read them: a table, CSV, JSON lines, Arrow, Parquet.
//!
//! Instants are written as RFC 3339 at +08:00 everywhere; lists as JSON in CSV.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::LineDelimitedWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{AnalyticsError, Result};
use crate::query::QueryResult;

/// How instants are written.
const INSTANT: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns drawn with lines, and the number of rows below.
    #[default]
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Json,
    /// Arrow's IPC stream, types and all.
    Arrow,
    /// One Parquet file.
    Parquet,
}

impl Format {
    /// Whether it is bytes, not text for a screen.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "arrow" => Ok(Self::Arrow),
            "parquet" => Ok(Self::Parquet),
            other => Err(format!("{other:?} is no format; the formats are table, csv, json, arrow and parquet")),
        }
    }
}

/// Writes the answer.
///
/// # Errors
/// [`AnalyticsError::Query`] when it can't be written.
pub fn write(result: &QueryResult, format: Format, to: impl Write + Send) -> Result<()> {
    match format {
        Format::Table => table(result, to),
        Format::Csv => csv(result, to),
        Format::Json => json(result, to),
        Format::Arrow => arrow_stream(result, to),
        Format::Parquet => parquet_file(result, to),
    }
}

/// The answer as bytes, in any form.
///
/// # Errors
/// As [`write`].
pub fn to_bytes(result: &QueryResult, format: Format) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(result, format, &mut out)?;
    Ok(out)
}

fn arrow_stream(result: &QueryResult, to: impl Write) -> Result<()> {
    let mut writer = StreamWriter::try_new(to, &result.schema).map_err(failed)?;
    result.batches.iter().try_for_each(|batch| writer.write(batch)).and_then(|()| writer.finish()).map_err(failed)
}

fn parquet_file(result: &QueryResult, to: impl Write + Send) -> Result<()> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(to, Arc::clone(&result.schema), Some(properties)).map_err(failed)?;
    result.batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.close().map(|_| ()).map_err(failed)
}

/// The answer as text.
///
/// # Errors
/// As [`write`].
pub fn to_string(result: &QueryResult, format: Format) -> Result<String> {
    let mut out = Vec::new();
    write(result, format, &mut out)?;
    String::from_utf8(out).map_err(failed)
}

fn failed(e: impl std::fmt::Display) -> AnalyticsError {
    AnalyticsError::Query(format!("the answer could not be written: {e}"))
}

fn options() -> FormatOptions<'static> {
    FormatOptions::default().with_timestamp_tz_format(Some(INSTANT)).with_null("")
}

fn table(result: &QueryResult, mut to: impl Write) -> Result<()> {
    let mut batches = result.batches.clone();
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::clone(&result.schema)));
    }
    let drawn = pretty_format_batches_with_options(&batches, &options()).map_err(failed)?;
    let rows = result.rows();
    let noun = if rows == 1 { "row" } else { "rows" };
    writeln!(to, "{drawn}\n({rows} {noun})").map_err(failed)
}

fn csv(result: &QueryResult, to: impl Write) -> Result<()> {
    let mut writer = WriterBuilder::new().with_header(true).with_timestamp_tz_format(INSTANT.to_owned()).build(to);
    let mut batches = result.batches.clone();
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::clone(&result.schema)));
    }
    for batch in &batches {
        writer.write(&lists_as_text(batch)?).map_err(failed)?;
    }
    Ok(())
}

/// CSV has no lists: they become JSON.
fn lists_as_text(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            let texts = nested_as_json(column)?;
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(texts));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}

fn nested_as_json(column: &ArrayRef) -> Result<StringArray> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", column.data_type().clone(), true)]));
    let mut out = Vec::new();
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(column)]).map_err(failed)?;
    let mut writer = LineDelimitedWriter::new(&mut out);
    writer.write(&batch).and_then(|()| writer.finish()).map_err(failed)?;
    let values = out
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let row: serde_json::Value = serde_json::from_slice(line).map_err(failed)?;
            Ok(row.get("v").map(ToString::to_string))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(StringArray::from(values))
}

fn json(result: &QueryResult, mut to: impl Write) -> Result<()> {
    for batch in &result.batches {
        let batch = instants_as_text(batch)?;
        let mut writer =
            arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(&mut to);
        writer.write(&batch).and_then(|()| writer.finish()).map_err(failed)?;
    }
    Ok(())
}

/// JSON's instants in the one form of all messages.
fn instants_as_text(batch: &RecordBatch) -> Result<RecordBatch> {
    let options = options();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if matches!(field.data_type(), DataType::Timestamp(_, Some(_))) {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?;
            let texts: StringArray = (0..column.len()).map(|i| column.is_valid(i).then(|| formatter.value(i).to_string())).collect();
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(texts));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{self, Cell, Row};

    fn sample() -> QueryResult {
        let (index, spec) = tables::by_name("passages").unwrap();
        let at = "2026-03-10T08:00:00.5+08:00".parse::<portgate_core::time::Instant>().unwrap();
        let mut cells = vec![Cell::Null; spec.columns.len()];
        for (i, column) in spec.columns.iter().enumerate() {
            match column.name {
                "seq" => cells[i] = Cell::Int(7),
                "plate" => cells[i] = "苏G12345".into(),
                "effects" => cells[i] = Cell::Texts(vec!["A".into(), "B,\"C".into()]),
                "passed_at" => cells[i] = at.into(),
                _ => {}
            }
        }
        let batch = spec.batch(&[Row { table: index, cells }]).unwrap();
        let pick: Vec<usize> =
            ["seq", "plate", "lane", "effects", "passed_at"].iter().map(|n| batch.schema().index_of(n).unwrap()).collect();
        let batch = batch.project(&pick).unwrap();
        QueryResult { schema: batch.schema(), batches: vec![batch] }
    }

    #[test]
    fn csv_has_a_header_and_lists_as_json() {
        assert_eq!(
            to_string(&sample(), Format::Csv).unwrap(),
            "seq,plate,lane,effects,passed_at\n7,苏G12345,,\"[\"\"A\"\",\"\"B,\\\"\"C\"\"]\",2026-03-10T08:00:00.500+08:00\n"
        );
    }

    #[test]
    fn json_has_every_column_of_every_row() {
        assert_eq!(
            to_string(&sample(), Format::Json).unwrap(),
            "{\"seq\":7,\"plate\":\"苏G12345\",\"lane\":null,\"effects\":[\"A\",\"B,\\\"C\"],\"passed_at\":\"2026-03-10T08:00:00.500+08:00\"}\n"
        );
    }

    #[test]
    fn arrow_and_parquet_keep_types_and_rows() {
        let result = sample();
        let arrow = to_bytes(&result, Format::Arrow).unwrap();
        let back = datafusion::arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).unwrap();
        assert_eq!(back.schema(), result.schema);
        assert_eq!(back.map(|b| b.unwrap()).collect::<Vec<_>>(), result.batches);
        let file = bytes::Bytes::from(to_bytes(&result, Format::Parquet).unwrap());
        let back = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        assert_eq!(back.map(|b| b.unwrap()).collect::<Vec<_>>(), result.batches);
        let none = QueryResult { batches: vec![], ..result };
        assert!(!to_bytes(&none, Format::Parquet).unwrap().is_empty(), "a file with columns and no rows");
    }

    #[test]
    fn a_table_counts_its_rows_and_shows_its_columns_when_empty() {
        let text = to_string(&sample(), Format::Table).unwrap();
        assert!(text.contains("苏G12345") && text.ends_with("(1 row)\n"), "{text}");
        let mut none = sample();
        none.batches.clear();
        let text = to_string(&none, Format::Table).unwrap();
        assert!(text.contains("passed_at") && text.ends_with("(0 rows)\n"), "{text}");
        assert_eq!(to_string(&none, Format::Csv).unwrap(), "seq,plate,lane,effects,passed_at\n");
    }
}

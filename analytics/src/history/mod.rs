//! `portgate simulate --history`: a lawful made-up year, straight into an analytics folder.
//!
//! For benches and training: daily and weekly rhythm, holidays, ships, accidents, mistakes and
//! frauds at stated rates ([`traffic`]). It is drawn into tables by the same code as a real
//! journal, so that whatever asks cannot tell it from one; no gate can go on from it.

mod customs;
mod dice;
mod traffic;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{mpsc, OnceLock};

use portgate_core::decision::Decision;
use portgate_core::journal::{JournalEntry, Violation};
use portgate_core::time::Date;

use crate::error::{AnalyticsError, Result};
use crate::files::{Folder, Part};
use crate::reference;
use crate::store::{JournalPosition, SitePosition};
use crate::tables::{rows_of, LaneNames, Row, ALL};

/// What year to make up.
#[derive(Clone, Debug)]
pub struct HistoryConfig {
    /// The analytics folder to write; must hold no data yet.
    pub dir: PathBuf,
    /// First day.
    pub first: Date,
    /// Days.
    pub days: u32,
    /// Checkpoints; of four or more the last two are customs checkpoints.
    pub gates: u32,
    /// Lanes, spread evenly over the checkpoints.
    pub lanes: u32,
    /// Vehicles that come to an entry lane on an ordinary day.
    pub vehicles_per_lane_day: u32,
    /// Same seed, same year.
    pub seed: u64,
    /// Site.
    pub site: String,
}

impl HistoryConfig {
    /// A year of eight gates with 64 lanes, about ten million decisions.
    pub fn new(dir: impl Into<PathBuf>, first: Date) -> Self {
        Self { dir: dir.into(), first, days: 365, gates: 8, lanes: 64, vehicles_per_lane_day: 560, seed: 1, site: "LYG".into() }
    }
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct HistorySummary {
    /// Rows of each table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Bytes of each table's files.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Entries of the journal there would have been.
    pub entries: u64,
}

impl HistorySummary {
    /// Rows of all tables.
    pub fn rows_all(&self) -> u64 {
        self.rows.values().sum()
    }
    /// Bytes of all files.
    pub fn bytes_all(&self) -> u64 {
        self.bytes.values().sum()
    }
}

type Day = (Date, u64, u64, Vec<Vec<(u64, Row)>>);

/// Writes the history; `progress` hears of each day written, with how many there are.
///
/// # Errors
/// [`AnalyticsError::Io`] (a full disk, a folder that holds data), [`AnalyticsError::Parquet`].
pub fn write_history(config: &HistoryConfig, mut progress: impl FnMut(u32, u32) + Send) -> Result<HistorySummary> {
    let folder = Folder::create(&config.dir)?;
    if folder.files(false)?.iter().any(|files| !files.is_empty()) {
        let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "holds data already: name an empty folder");
        return Err(AnalyticsError::Io { path: config.dir.clone(), source });
    }
    let mut port = traffic::Port::new(config);
    let mut lanes = LaneNames::default();
    let mut seq = 0;
    let (to_disk, from_port) = mpsc::sync_channel::<Day>(2);
    let summary = std::thread::scope(|scope| {
        let folder = &folder;
        let writer = scope.spawn(move || {
            let mut summary = HistorySummary::default();
            for (written, (day, _, last, tables)) in (1u32..).zip(from_port) {
                write_day(folder, &config.site, day, tables, &mut summary)?;
                summary.entries = last;
                progress(written, config.days);
            }
            Ok::<_, AnalyticsError>(summary)
        });
        let mut day = config.first;
        for _ in 0..config.days {
            let first = seq + 1;
            let mut tables: Vec<Vec<(u64, Row)>> = vec![Vec::new(); ALL.len()];
            for (at, event) in port.day(day) {
                seq += 1;
                let entry = JournalEntry { site: config.site.clone(), seq, at, chain: String::new(), event };
                for row in rows_of(&entry, &mut lanes) {
                    if let Some(rows) = tables.get_mut(row.table) {
                        rows.push((seq, row));
                    }
                }
            }
            if to_disk.send((day, first, seq, tables)).is_err() {
                break; // the writer has failed and says why
            }
            day = day.plus_days(1);
        }
        drop(to_disk);
        writer.join().unwrap_or_else(|_| Err(AnalyticsError::Query("the writer broke off".into())))
    })?;
    let place = SitePosition { seq, chain: "made-up".into(), origin: Some("made-up".into()) };
    let position = JournalPosition { sites: BTreeMap::from([(config.site.clone(), place)]), lanes, ..JournalPosition::default() };
    folder.write_small(crate::store::POSITION, &serde_json::to_vec_pretty(&position).unwrap_or_default())?;
    write_reference(config, &port)?;
    Ok(summary)
}

/// The journal of such a past, entry by entry, a day at a time in memory.
pub fn journal(config: &HistoryConfig) -> impl Iterator<Item = JournalEntry> {
    let mut port = traffic::Port::new(config);
    let site = config.site.clone();
    let days = std::iter::successors(Some(config.first), |day| Some(day.plus_days(1))).take(config.days as usize);
    days.flat_map(move |day| port.day(day)).zip(1..).map(move |((at, event), seq)| JournalEntry {
        site: site.clone(),
        seq,
        at,
        chain: format!("made-up {seq}"),
        event,
    })
}

fn write_day(folder: &Folder, site: &str, day: Date, tables: Vec<Vec<(u64, Row)>>, summary: &mut HistorySummary) -> Result<()> {
    for (table, rows) in ALL.iter().zip(tables) {
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { continue };
        let part = Part { date: day.to_string(), site: site.to_owned(), first: *first, last: *last };
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        let file = folder.write(table, part, &[table.batch(&rows)?])?;
        *summary.rows.entry(table.name).or_default() += rows.len() as u64;
        *summary.bytes.entry(table.name).or_default() += file.bytes;
    }
    Ok(())
}

/// What the gate does not record, as offices would hand it in.
fn write_reference(config: &HistoryConfig, port: &traffic::Port) -> Result<()> {
    let dir = config.dir.join(reference::FOLDER);
    std::fs::create_dir_all(&dir).map_err(AnalyticsError::io(&dir))?;
    let write = |name: &str, header: &str, lines: Vec<String>| {
        let path = dir.join(format!("{name}.csv"));
        std::fs::write(&path, format!("{header}\n{}\n", lines.join("\n")).replace("\n\n", "\n")).map_err(AnalyticsError::io(&path))
    };
    let handovers =
        port.handovers.iter().map(|(day, n)| format!("{},{day},{n},zhou,wu,{}", config.site, day.start().plus_millis(63_000_000)));
    write("handovers", "site,day,counted,signed_road_port,signed_pamc,signed_at", handovers.collect())?;
    let gates = config.gates;
    let distances =
        (1..=gates).flat_map(|a| (1..=gates).filter(move |b| *b != a).map(move |b| format!("JCZ-{a},JCZ-{b},{}", 1 + 2 * a.abs_diff(b))));
    write("checkpoint_distances", "from_checkpoint,to_checkpoint,km", distances.collect())?;
    let schedule = (1..=gates).flat_map(|g| (1..=5).map(move |d| format!("JCZ-{g},{d},17:00:00,18:30:00")));
    write("peak_schedules", "checkpoint,isodow,from_local,to_local", schedule.collect())?;
    write("positions", "trip_id,sampled_at,inside_route,stationary_s,eseal_ok", port.positions.clone())?;
    write("escort_records", "escort_id,started_at,ended_at,record_written_at", port.escorts.clone())
}

/// A decision and a violation with nothing in them: whatever fields they have, the made-up ones
/// fill in theirs.
fn blank() -> Decision {
    static BLANK: OnceLock<Option<Decision>> = OnceLock::new();
    let made = BLANK.get_or_init(|| {
        let at = "2026-01-01T00:00:00+08:00";
        serde_json::from_value(serde_json::json!({
            "id": "", "version": 1, "approach_id": "", "site": "", "checkpoint": "", "lane": "", "profile": "", "direction": "",
            "row": null, "category": null, "verdict": "HOLD", "in_order": false, "reasons": [], "violations": [], "effects": [],
            "release_role": null, "plate": null, "plate_source": null, "enterprise": null, "plate_read": null, "card": null,
            "inputs": {"lane": ""}, "read_ids": [], "arrived_at": at, "evidence_at": at, "decided_at": at, "latency_us": 0,
            "policy_revision": "", "registry_revision": 0, "registry_age_ms": 0, "model": null, "evidence": null, "by": null,
            "action": null, "note": null
        }))
        .ok()
    });
    // INVARIANT: the text above is a decision; a test says so.
    made.clone().unwrap_or_else(|| unreachable!("a blank decision"))
}

fn blank_violation() -> Violation {
    static BLANK: OnceLock<Option<Violation>> = OnceLock::new();
    let made = BLANK.get_or_init(|| {
        serde_json::from_value(serde_json::json!({
            "violation_id": "", "code": "", "source": "", "status": "SUSPECTED", "site": "", "checkpoint": "", "lane": "",
            "approach_id": null, "decision_id": null, "plate": null, "enterprise": null, "raised_at": "2026-01-01T00:00:00+08:00"
        }))
        .ok()
    });
    made.clone().unwrap_or_else(|| unreachable!("a blank violation"))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;

//! Upkeep of the folder: merging small files, and deleting days that are kept no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portgate_core::time::Instant;

use crate::config::AnalyticsConfig;
use crate::error::{AnalyticsError, Result};
use crate::files::{read_all, DataFile, Part};
use crate::lookups::{self, Lookups};
use crate::store::Store;
use crate::tables::ALL;
use crate::telemetry;

/// Files of a past day are merged once nothing was added for this long.
const QUIET: Duration = Duration::from_secs(3600);
/// Merges of one round, so that a flush never waits long.
const MERGES_MAX: usize = 16;

/// One round: expired days go, small files are merged.
///
/// # Errors
/// [`AnalyticsError::Io`] (a full disk, …): nothing is lost, the next round tries again.
pub fn round(store: &Store, config: &AnalyticsConfig, now: Instant) -> Result<()> {
    store.with_disk(|| {
        expire(store, config, now);
        expire_lookups(store, config, now);
        merge(store, config, now)
    })?;
    store.gauges();
    Ok(())
}

fn expire(store: &Store, config: &AnalyticsConfig, now: Instant) {
    let snapshot = store.snapshot();
    for (index, table) in ALL.iter().enumerate() {
        let days = i64::from(config.keep_days(table.name));
        let oldest = now.plus_millis(-days * 86_400_000).date().to_string();
        for file in snapshot.table(index).files.iter().filter(|f| f.part.date < oldest && store.is_settled(&f.part)) {
            tracing::info!(table = table.name, date = file.part.date, "a day is over its time and is deleted");
            store.replace(index, std::slice::from_ref(file), None);
            file.replace();
            telemetry::count(telemetry::EXPIRED, 1);
        }
    }
}

fn expire_lookups(store: &Store, config: &AnalyticsConfig, now: Instant) {
    let days = i64::from(config.keep_days(lookups::TABLE.name));
    let months = Lookups::new(store.folder().path()).expire(&now.plus_millis(-days * 86_400_000).date().to_string());
    if months > 0 {
        tracing::info!(months, "look-ups on record are over their time and are deleted");
    }
}

fn merge(store: &Store, config: &AnalyticsConfig, now: Instant) -> Result<()> {
    let today = now.date().to_string();
    let snapshot = store.snapshot();
    let mut merges = 0;
    for (index, table) in ALL.iter().enumerate() {
        let mut groups: BTreeMap<(&str, &str), Vec<Arc<DataFile>>> = BTreeMap::new();
        let held = snapshot.table(index).files;
        for file in held.iter().filter(|f| f.bytes < config.compact_bytes_max && store.is_settled(&f.part)) {
            groups.entry((&file.part.date, &file.part.site)).or_default().push(Arc::clone(file));
        }
        for ((date, _), mut files) in groups {
            files.sort_by_key(|f| f.part.first);
            while files.iter().map(|f| f.bytes).sum::<u64>() > config.compact_bytes_max {
                files.remove(0);
            }
            let due = files.len() >= config.compact_files || (files.len() > 1 && *date < *today && files.iter().all(|f| is_quiet(f)));
            if !due || merges == MERGES_MAX || !adjacent(&held, &files) || store.folder().has_quarantined(table, date) {
                continue;
            }
            merges += 1;
            let mut batches = Vec::new();
            let mut sound = true;
            for file in &files {
                match read_all(file) {
                    Ok(read) => batches.extend(read),
                    Err(e @ AnalyticsError::Parquet { .. }) => {
                        sound = false;
                        store.folder().set_aside(&file.path, &e, true);
                        store.replace(index, std::slice::from_ref(file), None);
                    }
                    Err(e) => return Err(e),
                }
            }
            let (true, Some(first), Some(last)) = (sound, files.first(), files.last()) else { continue };
            let part = Part { last: last.part.last, ..first.part.clone() };
            let merged = store.folder().write(table, part, &batches)?;
            store.replace(index, &files, Some(merged));
            telemetry::count(telemetry::COMPACTED, files.len());
            files.iter().for_each(|f| f.replace());
        }
    }
    Ok(())
}

/// Whether no other file of the day and site lies between those to be merged: the merged file's
/// name will claim the whole range.
fn adjacent(held: &[Arc<DataFile>], files: &[Arc<DataFile>]) -> bool {
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return false };
    held.iter().all(|h| {
        h.part.site != first.part.site
            || h.part.date != first.part.date
            || h.part.last < first.part.first
            || h.part.first > last.part.last
            || files.iter().any(|f| f.part == h.part)
    })
}

fn is_quiet(file: &DataFile) -> bool {
    std::fs::metadata(&file.path)
        .and_then(|m| m.modified())
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok())
        .is_some_and(|age| age >= QUIET)
}

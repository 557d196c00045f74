//! `portgate check`, `backup`, `restore`, `replay` and `conflicts`

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::path::Path;

use anyhow::{bail, Context, Result};
use portgate_core::journal::{AuthorisedBy, JournalEvent, REPEATED_READ};
use portgate_core::people::Role;
use portgate_core::policy::Policy;
use portgate_core::reason::SysReason;
use portgate_core::site::{Difference, Replay};
use portgate_store::Store;

use crate::control::{self, Request};

/// Name of the store inside a gate's folder.
const STORE: &str = "store";
/// What a copy holds; the log is there where it is the embedded one. Analytics is made from it.
const PARTS: [&str; 2] = ["log", STORE];
/// Journal entries read at once.
const PAGE: usize = 1000;
/// Conflicts shown; older ones are only counted.
const CONFLICTS_MAX: usize = 10_000;

fn store_of(dir: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join(STORE);
    if !path.is_dir() {
        bail!("{} holds no gate's state: there is no {}", dir.display(), path.display());
    }
    Ok(path)
}

/// Examines the store of a stopped gate.
pub fn check(dir: &Path) -> Result<u8> {
    let report = portgate_store::check(&store_of(dir)?)?;
    for finding in &report.findings {
        println!("{}: {}", finding.code, finding.what);
    }
    if report.more > 0 {
        println!("and {} more", report.more);
    }
    for (family, rows) in &report.rows {
        println!("{family:<12} {rows:>10} rows");
    }
    println!("site {}, journal verified up to entry {}", report.site, report.verified_seq);
    let found = report.findings.len() as u64 + report.more;
    println!("{found} findings");
    Ok(if found == 0 { 0 } else { crate::FOUND })
}

/// Copies the stores, of a running gate through its control socket.
pub fn backup(dir: &Path, to: &Path) -> Result<u8> {
    if to.exists() {
        bail!("{} exists already: name a folder that does not", to.display());
    }
    let to = std::path::absolute(to)?;
    if control::call(dir, &Request::Backup { to: to.clone() }, &mut std::io::stdout().lock())?.is_some() {
        return Ok(0);
    }
    store_of(dir)?;
    for part in PARTS {
        copy(&dir.join(part), &to.join(part))?;
    }
    println!("copied to {}", to.display());
    Ok(0)
}

/// Copies a folder of a stopped gate, if it is there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(to).with_context(|| format!("folder {} cannot be made", to.display()))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).with_context(|| format!("{} cannot be copied", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Puts a copy back into an empty place.
pub fn restore(from: &Path, dir: &Path) -> Result<u8> {
    store_of(from)?;
    for part in PARTS {
        if dir.join(part).exists() {
            bail!("{} exists already: a copy is put back into an empty folder only", dir.join(part).display());
        }
    }
    for part in PARTS {
        copy(&from.join(part), &dir.join(part))?;
    }
    println!("restored to {}", dir.display());
    check(dir)
}

/// Decides the recorded journal again and reports every decision that comes out differently.
pub fn replay(dir: &Path, file: Option<&Path>) -> Result<u8> {
    let policy = match file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("policy {} cannot be read", path.display()))?;
            // JSON is YAML too.
            let policy: Policy = serde_yaml_ng::from_str(&text).with_context(|| format!("policy {}", path.display()))?;
            policy.check().with_context(|| format!("policy {}", path.display()))?;
            Some(policy)
        }
    };
    let path = store_of(dir)?;
    let site = portgate_store::check(&path)?.site;
    let store = Store::open(&path, &site)?;
    let mut replay = Replay::new(&site, policy);
    let mut after = 0;
    loop {
        let entries = store.journal_after(after, PAGE)?;
        let Some((last, _)) = entries.last() else { break };
        after = last.seq;
        for (entry, _) in &entries {
            replay.take(entry)?;
        }
    }
    let report = replay.finish();
    if let Some(policy) = file {
        offer(dir, policy, &report.differences)?;
    }
    for Difference { seq, id, expected, got } in &report.differences {
        println!("entry {seq}, {id}: recorded {expected}, now {got}");
    }
    println!("{} decisions replayed, {} differ", report.decisions, report.differences.len());
    Ok(if report.differences.is_empty() { 0 } else { crate::FOUND })
}

/// Puts what another policy would have changed where analysts ask (`replay_differences`).
fn offer(dir: &Path, policy: &Path, differences: &[Difference]) -> Result<()> {
    let analytics = dir.join("analytics");
    if !analytics.is_dir() {
        return Ok(());
    }
    let folder = analytics.join(portgate_analytics::reference::FOLDER);
    let (path, fresh) = (folder.join("replay_differences.csv"), folder.join("replay_differences.new"));
    let name = policy.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    std::fs::create_dir_all(&folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            let mut out = csv::Writer::from_path(&fresh)?;
            out.write_record(["policy", "seq", "id", "version", "recorded", "replayed"])?;
            for d in differences {
                let (id, version) = d.id.rsplit_once(" v").unwrap_or((&d.id, ""));
                out.write_record([&name, &d.seq.to_string(), id, version, &d.expected, &d.got])?;
            }
            out.flush()?;
            Ok(std::fs::rename(&fresh, &path)?)
        })
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("the differences can be asked about in SQL: replay_differences");
    Ok(())
}

/// Lists what did not fit when a lane that had been cut off was heard again.
pub fn conflicts(dir: &Path) -> Result<u8> {
    if control::call(dir, &Request::Conflicts, &mut std::io::stdout().lock())?.is_some() {
        return Ok(0);
    }
    let path = store_of(dir)?;
    let site = portgate_store::check(&path)?.site;
    std::io::stdout().write_all(&conflicts_of(&Store::open(&path, &site)?)?)?;
    Ok(0)
}

/// The conflicts in a store's journal, a line each, then their counts: reads that were dropped and why,
/// decisions made from reads of a lane that had been cut off (the owner opens nothing on them), those of
/// them that had been opened on the spot, with what the owner says of it now, and vehicles that went
/// through on such a decision without anybody's word.
pub fn conflicts_of(store: &Store) -> Result<Vec<u8>> {
    let mut lines = VecDeque::new();
    let (mut repeats, mut dropped, mut passed, mut spot, mut after) = (0_u64, 0_u64, 0_u64, 0_u64, 0);
    let mut late = BTreeSet::new();
    loop {
        let entries = store.journal_after(after, PAGE)?;
        let Some((last, _)) = entries.last() else { break };
        after = last.seq;
        for (entry, _) in &entries {
            let line = match &entry.event {
                JournalEvent::Dropped { reason, .. } if reason == REPEATED_READ => {
                    repeats += 1;
                    continue;
                }
                JournalEvent::Dropped { event_id, reason } => {
                    dropped += 1;
                    format!("dropped  read {event_id}: {reason}")
                }
                JournalEvent::Decision { decision } if decision.by.as_ref().is_some_and(|by| by.role == Role::Device) => {
                    spot += 1;
                    late.insert(decision.id.clone());
                    let codes: Vec<&str> = decision.reasons.iter().map(|r| r.code.as_str()).collect();
                    format!("opened   {} at {} on the spot; the owner says {}", decision.id, decision.lane, codes.join(", "))
                }
                JournalEvent::Decision { decision } => {
                    let cut_off = decision.reasons.iter().any(|r| r.code == SysReason::CutOff.reason().code());
                    if !cut_off || !late.insert(decision.id.clone()) {
                        continue;
                    }
                    format!("late     {} at {}: heard of after {} s", decision.id, decision.lane, decision.latency_us.max(0) / 1_000_000)
                }
                JournalEvent::Passage { passage } => {
                    let of_late = passage.decision_id.as_ref().is_some_and(|id| late.contains(id));
                    if !of_late || passage.authorised_by != AuthorisedBy::None {
                        continue;
                    }
                    passed += 1;
                    format!("passed   {} at {} without a word on record", passage.passage_id, passage.lane)
                }
                _ => continue,
            };
            if lines.len() == CONFLICTS_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{} {:>9}  {line}\n", entry.at, entry.seq));
        }
    }
    let mut out: Vec<u8> = lines.into_iter().collect::<String>().into_bytes();
    let late = late.len();
    writeln!(out, "{late} decided late, {spot} of them opened on the spot, {passed} passed without a word, {dropped} reads dropped, {repeats} repeats")?;
    Ok(out)
}

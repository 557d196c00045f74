//! Offline examination: every row is read (RocksDB verifies its checksums on the way) and the
//! invariants between the families are looked at.

use std::collections::BTreeSet;
use std::path::Path;

use portgate_core::decision::Decision;
use portgate_core::effect::UseKind;
use portgate_core::facts::UseBook;
use portgate_core::journal::{JournalEntry, JournalEvent, Violation};
use portgate_core::site::{Approach, LaneState};
use portgate_core::time::Instant;
use portgate_core::timeline::Timeline;
use sha2::{Digest, Sha256};

use crate::bind::binding;
use crate::db::{Row, Store};
use crate::error::Result;
use crate::journal::Head;
use crate::keys::{decision_key, kind_key, meta, seq_from, split_decision_key, split_kind_key, split_time_key, time_from, Cf};
use crate::read::{version_from, EvidenceMeta, Raw};
use crate::registry::{decode, unpack, Packed, Pointer};

/// Findings listed; the others are counted.
const FINDINGS_MAX: usize = 1000;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable word for the kind of damage, like `chain_broken`.
    pub code: &'static str,
    /// Where, in words.
    pub what: String,
}

/// What an examination found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The site of the store.
    pub site: String,
    /// What is wrong, at most a thousand of them; empty: the store is sound.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
    /// Rows per family.
    pub rows: Vec<(&'static str, u64)>,
    /// Last journal entry whose chain value is right.
    pub verified_seq: u64,
}

/// Examines the store in `dir` without writing to it.
///
/// # Errors
/// When the store cannot be opened at all.
pub fn check(dir: &Path) -> Result<Report> {
    let (store, unreadable) = Store::open_read_only(dir)?;
    let mut checker = Checker { store: &store, report: Report { site: store.site().to_owned(), ..Report::default() } };
    if let Some(e) = unreadable {
        checker.found("checksum", format!("meta: {e}"));
    }
    let live = checker.lanes();
    checker.journal();
    checker.decisions();
    checker.registry();
    checker.use_books(&live);
    checker.policies();
    checker.violations();
    checker.seen();
    checker.evidence();
    checker.meta();
    Ok(checker.report)
}

struct Checker<'a> {
    store: &'a Store,
    report: Report,
}

impl Checker<'_> {
    fn found(&mut self, code: &'static str, what: impl Into<String>) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { code, what: what.into() });
        } else {
            self.report.more += 1;
        }
    }

    /// Visits every row of a family; what cannot be read is a finding and ends the family.
    fn each(&mut self, cf: Cf, mut look: impl FnMut(&mut Self, Row) -> Result<()>) {
        let store = self.store;
        let mut rows = 0;
        match store.rows(cf, &[]) {
            Ok(all) => {
                for row in all {
                    rows += 1;
                    match row {
                        Ok(row) => {
                            let key = hex_or_text(&row.0);
                            if let Err(e) = look(self, row) {
                                self.found("unreadable", format!("{} {key}: {e}", cf.name()));
                            }
                        }
                        Err(e) => {
                            self.found("checksum", format!("{}: {e}", cf.name()));
                            break;
                        }
                    }
                }
            }
            Err(e) => self.found("checksum", format!("{}: {e}", cf.name())),
        }
        self.report.rows.push((cf.name(), rows));
    }

    /// Answers with the approaches that are alive.
    fn lanes(&mut self) -> BTreeSet<String> {
        let mut live = BTreeSet::new();
        self.each(Cf::Lane, |me, (key, value)| {
            let state: LaneState = decode(&value, "lane")?;
            if state.lane.as_bytes() != &*key {
                me.found("lane_misplaced", format!("lane {} lies under another key", state.lane));
            }
            for approach in [&state.current, &state.behind].into_iter().flatten() {
                me.approach(&state.lane, approach)?;
                live.insert(approach.approach_id.clone());
            }
            Ok(())
        });
        live
    }

    fn approach(&mut self, lane: &str, approach: &Approach) -> Result<()> {
        let id = approach.decision_id();
        if approach.version > 0 {
            let latest = self.store.raw(Cf::Latest, id.as_bytes())?.and_then(|v| version_from(&v));
            if latest != Some(approach.version) {
                self.found(
                    "approach_decision",
                    format!("lane {lane} stands at version {} of {id}, the latest stored is {latest:?}", approach.version),
                );
            }
        } else if approach.authorisation.is_some() {
            self.found("command_without_decision", format!("lane {lane}: {} is authorised and not decided", approach.approach_id));
        }
        Ok(())
    }

    fn journal(&mut self) {
        let site = self.store.site().to_owned();
        let mut head = Head::default();
        let mut broken = false;
        self.each(Cf::Journal, |me, (key, value)| {
            let entry: JournalEntry = decode(&value, "journal")?;
            if seq_from(&key) != Some(entry.seq) || entry.site != site {
                me.found("journal_misplaced", format!("entry {} of {} lies under another key", entry.seq, entry.site));
            }
            if entry.seq != head.seq + 1 {
                me.found("journal_gap", format!("entry {} follows {}", entry.seq, head.seq));
            }
            if head.accepts(&entry)? && !broken {
                me.report.verified_seq = entry.seq;
            } else if !broken {
                broken = true;
                me.found("chain_broken", format!("the chain does not verify from entry {} on", entry.seq));
            }
            if entry.at < head.at {
                me.found("journal_time", format!("entry {} is older than the one before it", entry.seq));
            }
            me.journalled(&entry)?;
            head = Head::after(&entry);
            Ok(())
        });
        let recorded = self.store.journal_head();
        if recorded != head {
            self.found("journal_head", format!("the head says {}, the journal ends at {}", recorded.seq, head.seq));
        }
        if self.store.published() > head.seq {
            let published = self.store.published();
            self.found("published_beyond", format!("{published} published, the journal ends at {}", head.seq));
        }
    }

    /// A journalled decision is stored as it was journalled; a command names one that is.
    fn journalled(&mut self, entry: &JournalEntry) -> Result<()> {
        match &entry.event {
            JournalEvent::Decision { decision } => {
                let stored = self.store.decision_version(&decision.id, decision.version)?;
                if stored.as_ref() != Some(decision) {
                    self.found(
                        "decision_differs",
                        format!("{} version {} is not stored as journalled in {}", decision.id, decision.version, entry.seq),
                    );
                }
            }
            JournalEvent::Violation { violation } => {
                // A journal from before violations had versions left none behind.
                let stored = self.store.violation_latest(&violation.violation_id)?;
                if violation.profile.is_some() && stored.is_none_or(|s| s.version < violation.version) {
                    let (id, version) = (&violation.violation_id, violation.version);
                    self.found("violation_lost", format!("{id} version {version} is not stored as journalled in {}", entry.seq));
                }
            }
            JournalEvent::Command { command } => {
                let key = decision_key(&command.decision_id, command.decision_version);
                if self.store.raw(Cf::Decision, &key)?.is_none() {
                    self.found("command_without_decision", format!("{} names a decision that is not stored", command.command_id));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn decisions(&mut self) {
        let mut last: Option<(String, u32)> = None;
        self.each(Cf::Decision, |me, (key, value)| {
            let decision: Decision = decode(&value, "decision")?;
            let named = split_decision_key(&key);
            if named != Some((decision.id.clone(), decision.version)) {
                me.found("decision_misplaced", format!("{} version {} lies under another key", decision.id, decision.version));
            }
            let before = last.as_ref().filter(|(id, _)| *id == decision.id).map_or(0, |(_, v)| *v);
            if decision.version != before + 1 {
                me.found("version_gap", format!("{} version {} follows {before}", decision.id, decision.version));
            }
            let latest = me.store.raw(Cf::Latest, decision.id.as_bytes())?.and_then(|v| version_from(&v));
            let next = me.store.raw(Cf::Decision, &decision_key(&decision.id, decision.version + 1))?;
            if next.is_none() && latest != Some(decision.version) {
                me.found("latest_wrong", format!("{}: the latest is {latest:?}, the highest {}", decision.id, decision.version));
            }
            if let Some(evidence) = &decision.evidence {
                let kept = me.store.evidence_meta(&evidence.frame_id)?;
                if kept.is_some_and(|k| k.sha256 != evidence.sha256) {
                    me.found("evidence_differs", format!("{}: frame {} has another hash", decision.id, evidence.frame_id));
                }
            }
            last = Some((decision.id, decision.version));
            Ok(())
        });
        self.each(Cf::Latest, |me, (key, value)| {
            let id = String::from_utf8_lossy(&key).into_owned();
            let version = version_from(&value).unwrap_or(0);
            if me.store.raw(Cf::Decision, &decision_key(&id, version))?.is_none() {
                me.found("latest_wrong", format!("{id}: version {version} is not stored"));
            }
            Ok(())
        });
    }

    fn registry(&mut self) {
        let revision = self.store.registry_head().revision;
        self.each(Cf::Record, |me, (key, value)| {
            let pointer: Pointer = decode(&value, "record")?;
            let Some((kind, id)) = split_kind_key(&key) else {
                me.found("record_misplaced", format!("{} names no record", hex_or_text(&key)));
                return Ok(());
            };
            if pointer.order > revision {
                me.found("record_order", format!("{kind}/{id} is newer than the registry's revision {revision}"));
            }
            for (cf, home) in pointer.homes(kind) {
                let there = unpack(me.store.raw(cf, &home)?.as_deref())?;
                if !there.iter().any(|p| p.0 == pointer.order && p.1 == kind && p.2 == id) {
                    me.found("record_lost", format!("{kind}/{id} is not in its {}", cf.name()));
                }
            }
            if pointer.homes(kind).is_empty() && pointer.value.is_none() {
                me.found("record_lost", format!("{kind}/{id} has no value"));
            }
            Ok(())
        });
        self.each(Cf::Dossier, |me, (key, value)| me.packed(Cf::Dossier, &key, &value));
        self.each(Cf::Child, |me, (key, value)| me.packed(Cf::Child, &key, &value));
    }

    fn packed(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        let packed = unpack(Some(value))?;
        if !packed.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0)) {
            self.found("packed_order", format!("{} {} is not in order of first writing", cf.name(), hex_or_text(key)));
        }
        for Packed(order, kind, id, value) in packed {
            let bound = binding(kind, &id, &value)?;
            let home = match cf {
                Cf::Child => bound.parent.map(|p| kind_key(kind, &p)),
                _ => bound.plate.map(String::into_bytes),
            };
            let indexed = self.store.pointer(kind, &id)?;
            if home.as_deref() != Some(key) || indexed.is_none_or(|p| p.order != order) {
                self.found("record_orphan", format!("{kind}/{id} in {} is not what the index names", cf.name()));
            }
        }
        Ok(())
    }

    fn use_books(&mut self, live: &BTreeSet<String>) {
        let now = self.store.journal_head().at;
        self.each(Cf::Use, |me, (_, value)| {
            let book: UseBook = decode(&value, "use book")?;
            for (what, claim) in &book.reserved {
                if claim.until > now && !live.contains(&claim.approach_id) {
                    me.found("reservation_orphan", format!("{what} is reserved by {}, which has ended", claim.approach_id));
                }
            }
            for (what, state) in &book.used {
                let kind = what.split_once('/').and_then(|(kind, _)| UseKind::ALL.iter().find(|k| k.as_str() == kind));
                if kind.is_none() || state.passage_id.is_empty() {
                    me.found("use_unnamed", format!("{what} does not say what was used by which passage"));
                }
            }
            Ok(())
        });
    }

    fn policies(&mut self) {
        self.each(Cf::Policy, |me, (key, value)| {
            let timeline: Timeline = decode(&value, "policy")?;
            for revision in &timeline.revisions {
                if revision.revision != revision.switches.revision() || revision.switches.check().is_err() {
                    me.found("policy_differs", format!("{}: {} is not the revision it says", hex_or_text(&key), revision.id));
                }
            }
            Ok(())
        });
    }

    fn violations(&mut self) {
        self.each(Cf::Violation, |me, (key, value)| {
            let violation: Violation = decode(&value, "violation")?;
            if violation.violation_id.as_bytes() != &*key {
                me.found("violation_misplaced", format!("{} lies under another key", violation.violation_id));
            }
            Ok(())
        });
    }

    fn seen(&mut self) {
        self.each(Cf::Seen, |me, (key, value)| {
            let id = String::from_utf8_lossy(&key).into_owned();
            let at = time_from(&value).unwrap_or_default();
            if me.store.raw(Cf::SeenAt, &crate::keys::time_key(at, &id))?.is_none() {
                me.found("seen_orphan", format!("read {id} would never be forgotten"));
            }
            Ok(())
        });
        self.each(Cf::SeenAt, |me, (key, _)| {
            let known = match split_time_key(&key) {
                Some((at, id)) => me.store.seen_at(&id)? == Some(at),
                None => false,
            };
            if !known {
                me.found("seen_orphan", format!("{} is listed and not remembered", hex_or_text(&key)));
            }
            Ok(())
        });
    }

    fn evidence(&mut self) {
        self.each(Cf::EvidenceMeta, |me, (key, value)| {
            let kept: EvidenceMeta = decode(&value, "evidence")?;
            let frame = hex_or_text(&key);
            match me.store.raw(Cf::Evidence, &key)? {
                None => me.found("evidence_lost", format!("the picture of frame {frame} is missing")),
                Some(picture) if hex::encode(Sha256::digest(&picture)) != kept.sha256 => {
                    me.found("evidence_differs", format!("the picture of frame {frame} has another hash"));
                }
                Some(_) => {}
            }
            Ok(())
        });
        self.each(Cf::Evidence, |me, (key, _)| {
            if me.store.raw(Cf::EvidenceMeta, &key)?.is_none() {
                me.found("evidence_orphan", format!("frame {} has no hash", hex_or_text(&key)));
            }
            Ok(())
        });
        self.each(Cf::EvidenceAt, |me, (key, _)| {
            let meta = split_time_key(&key).map(|(_, frame)| me.store.evidence_meta(&frame)).transpose()?.flatten();
            if meta.is_none() {
                me.found("evidence_orphan", format!("{} is listed and not kept", hex_or_text(&key)));
            }
            Ok(())
        });
    }

    fn meta(&mut self) {
        self.each(Cf::Meta, |me, (key, value)| {
            if key.starts_with(meta::OFFSET.as_bytes()) && seq_from(&value).is_none() {
                me.found("offset_unreadable", hex_or_text(&key));
            }
            if &*key == meta::IMPORTING {
                me.found("import_unfinished", "a registry import was cut short; repeat it");
            }
            Ok(())
        });
        let site = self.report.site.clone();
        let at = self.store.journal_head().at;
        if site.is_empty() && at > Instant::default() {
            self.found("site_missing", "the store does not say whose it is");
        }
    }
}

fn hex_or_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
        Ok(_) | Err(_) => hex::encode(bytes),
    }
}

//! A batch in the making: the last commit plus what the steps since have written.

use std::collections::BTreeMap;
use std::sync::Arc;

use portgate_core::decision::{Decision, Evidence};
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::journal::{JournalEntry, JournalEvent, Violation};
use portgate_core::reason::SysReason;
use portgate_core::registry::{Kind, Record};
use portgate_core::site::{Change, LaneState, Step, World};
use portgate_core::time::Instant;
use portgate_core::timeline::{scope_of, scope_of_id, Timeline};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bind::binding;
use crate::db::{Committed, Heads, Store};
use crate::error::{Result, StoreError};
use crate::journal::Head;
use crate::keys::{decision_key, kind_key, meta, offset_key, split_time_key, time_bytes, time_key, Cf};
use crate::read::{EvidenceMeta, Raw};
use crate::registry::{encode, unpack, Packed, Pointer, RegistryHead};

type Writes = BTreeMap<(Cf, Vec<u8>), Option<Vec<u8>>>;

/// A batch over the last commit. Reads see what it has written; nobody else does before
/// [`Store::commit`]. Dropping it gives it up.
pub struct Overlay<'a> {
    store: &'a Store,
    writes: Writes,
    heads: Heads,
    pub(crate) based_on: u64,
    entries: Vec<(JournalEntry, Vec<u8>)>,
    lanes: BTreeMap<String, LaneState>,
    policies: BTreeMap<String, Arc<Timeline>>,
}

pub(crate) struct Parts {
    pub(crate) degraded: BTreeMap<SysReason, Instant>,
    pub(crate) policies: BTreeMap<String, Arc<Timeline>>,
    pub(crate) writes: Writes,
    pub(crate) journal: Head,
    pub(crate) registry: RegistryHead,
    pub(crate) committed: Committed,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(store: &'a Store, heads: Heads) -> Self {
        let based_on = heads.journal.seq;
        Self { store, writes: Writes::new(), heads, based_on, entries: Vec::new(), lanes: BTreeMap::new(), policies: BTreeMap::new() }
    }

    /// Takes the outcome of one step in: its changes, and its events as the next entries of the
    /// journal, at the time of the step.
    ///
    /// # Errors
    /// When something stored does not read back; the batch is then to be given up.
    pub fn apply(&mut self, step: Step, at: Instant) -> Result<()> {
        for change in step.changes {
            self.change(change)?;
        }
        for event in step.events {
            self.journal(event, at)?;
        }
        Ok(())
    }

    fn journal(&mut self, event: JournalEvent, at: Instant) -> Result<()> {
        let entry = self.heads.journal.next(&self.store.site, at, event)?;
        self.heads.journal = Head::after(&entry);
        let bytes = encode(&entry)?;
        self.put(Cf::Journal, entry.seq.to_be_bytes().to_vec(), bytes.clone());
        self.entries.push((entry, bytes));
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Lane(state) => {
                self.put(Cf::Lane, state.lane.clone().into_bytes(), encode(&state)?);
                self.lanes.insert(state.lane.clone(), *state);
            }
            Change::Decision(decision) => {
                let key = decision_key(&decision.id, decision.version);
                self.put(Cf::Decision, key, encode(&decision)?);
                self.put(Cf::Latest, decision.id.into_bytes(), decision.version.to_be_bytes().to_vec());
            }
            Change::UseBook { plate, book } => {
                if book == UseBook::default() {
                    self.delete(Cf::Use, plate.into_bytes());
                } else {
                    self.put(Cf::Use, plate.into_bytes(), encode(&book)?);
                }
            }
            Change::Seen { event_id, at } => {
                self.put(Cf::SeenAt, time_key(at, &event_id), Vec::new());
                self.put(Cf::Seen, event_id.into_bytes(), time_bytes(at).to_vec());
            }
            Change::Policies { scope, timeline } => {
                self.put(Cf::Policy, scope.clone().into_bytes(), encode(&timeline)?);
                self.policies.insert(scope, Arc::new(timeline));
            }
            Change::Violation(violation) => {
                self.put(Cf::Violation, violation.violation_id.clone().into_bytes(), encode(&violation)?);
            }
            Change::Degraded { component, since } => {
                match since {
                    Some(since) => self.heads.degraded.insert(component, since),
                    None => self.heads.degraded.remove(&component),
                };
                self.put(Cf::Meta, meta::DEGRADED.to_vec(), encode(&self.heads.degraded)?);
            }
            Change::Record { kind, id, value } => self.write_record(kind, &id, value)?,
        }
        Ok(())
    }

    /// Puts a policy that no step takes in on its timeline: it counts from the journal's last time on.
    pub(crate) fn load_policy(&mut self, id: &str, value: Option<&Value>) -> Result<()> {
        let at = self.heads.journal.at;
        let known = |id: &str| match self.understood(Kind::Policy, id) {
            Ok(Some(Record::Policy(old))) => scope_of(&old).to_owned(),
            _ => scope_of_id(id).to_owned(),
        };
        let (scope, record) = match value {
            None => (known(id), None),
            Some(value) => match Record::parse(Kind::Policy, id, value) {
                Ok(Record::Policy(record)) => (scope_of(&record).to_owned(), Some(record)),
                Ok(_) => return Ok(()),
                Err(e) => return Err(StoreError::Invalid(e.to_string())),
            },
        };
        let mut timeline = (*World::policies(self, &scope).map_err(|e| StoreError::Corrupt(e.to_string()))?).clone();
        match record {
            Some(record) => {
                timeline.enter(&record, at, None).map_err(|e| StoreError::Invalid(e.to_string()))?;
            }
            None => {
                timeline.withdraw(id, at);
            }
        }
        self.change(Change::Policies { scope, timeline })
    }

    /// Writes or deletes a registry record and raises the revision.
    pub(crate) fn write_record(&mut self, kind: Kind, id: &str, value: Option<Value>) -> Result<()> {
        self.heads.registry.revision += 1;
        let old = self.pointer(kind, id)?;
        let old_homes = old.as_ref().map(|p| p.homes(kind)).unwrap_or_default();
        let Some(value) = value else {
            for home in &old_homes {
                self.repack(home, kind, id, None)?;
            }
            self.delete(Cf::Record, kind_key(kind, id));
            return Ok(());
        };
        let order = old.map_or(self.heads.registry.revision, |p| p.order);
        let bound = binding(kind, id, &value)?;
        let mut pointer = Pointer { order, plate: bound.plate, parent: bound.parent, value: None };
        let homes = pointer.homes(kind);
        for home in old_homes.iter().filter(|h| !homes.contains(h)) {
            self.repack(home, kind, id, None)?;
        }
        for home in &homes {
            self.repack(home, kind, id, Some(Packed(order, kind, id.to_owned(), value.clone())))?;
        }
        if homes.is_empty() {
            pointer.value = Some(value);
        }
        self.put(Cf::Record, kind_key(kind, id), encode(&pointer)?);
        Ok(())
    }

    /// Takes a record out of a packed value and puts the new one in, if any, at its place.
    fn repack(&mut self, home: &(Cf, Vec<u8>), kind: Kind, id: &str, record: Option<Packed>) -> Result<()> {
        let (cf, key) = home;
        let mut packed = unpack(self.raw(*cf, key)?.as_deref())?;
        packed.retain(|p| p.1 != kind || p.2 != id);
        if let Some(record) = record {
            let place = packed.partition_point(|p| p.0 < record.0);
            packed.insert(place, record);
        }
        if packed.is_empty() {
            self.delete(*cf, key.clone());
        } else {
            self.put(*cf, key.clone(), encode(&packed)?);
        }
        Ok(())
    }

    /// Keeps an evidence frame and answers with its hash; a frame already kept stays as it is.
    ///
    /// # Errors
    /// When something stored does not read back.
    pub fn keep_evidence(&mut self, frame_id: &str, picture: &[u8], at: Instant) -> Result<Evidence> {
        if let Some(kept) = self.evidence(frame_id)? {
            return Ok(kept);
        }
        let sha256 = sha256_hex(picture);
        let meta = EvidenceMeta { sha256: sha256.clone(), bytes: picture.len() as u64, at };
        self.put(Cf::Evidence, frame_id.as_bytes().to_vec(), picture.to_vec());
        self.put(Cf::EvidenceMeta, frame_id.as_bytes().to_vec(), encode(&meta)?);
        self.put(Cf::EvidenceAt, time_key(at, frame_id), Vec::new());
        Ok(Evidence { frame_id: frame_id.to_owned(), sha256 })
    }

    /// The evidence kept under the frame id.
    ///
    /// # Errors
    /// When something stored does not read back.
    pub fn evidence(&self, frame_id: &str) -> Result<Option<Evidence>> {
        let kept = self.evidence_meta(frame_id)?;
        Ok(kept.map(|meta| Evidence { frame_id: frame_id.to_owned(), sha256: meta.sha256 }))
    }

    /// The source is processed up to and not including `next`.
    pub fn set_offset(&mut self, topic: &str, partition: u32, next: u64) {
        self.put(Cf::Meta, offset_key(topic, partition), next.to_be_bytes().to_vec());
    }

    /// The registry was known to be current at `at`.
    pub fn set_registry_current_at(&mut self, at: Instant) {
        self.heads.registry.current_at = self.heads.registry.current_at.max(at);
    }

    /// Forgets reads taken in before `before` and evidence kept before `evidence_before`, at most
    /// `max` of each; answers with how many of both.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prune(&mut self, before: Instant, evidence_before: Instant, max: usize) -> Result<usize> {
        let seen = self.prune_by_time(Cf::SeenAt, &[Cf::Seen], before, max)?;
        Ok(seen + self.prune_by_time(Cf::EvidenceAt, &[Cf::EvidenceMeta, Cf::Evidence], evidence_before, max)?)
    }

    fn prune_by_time(&mut self, order: Cf, families: &[Cf], before: Instant, max: usize) -> Result<usize> {
        let mut old = Vec::new();
        for row in self.store.rows(order, &[])?.take(max) {
            let (key, _) = row?;
            match split_time_key(&key) {
                Some((at, id)) if at < before => old.push((key.into_vec(), id)),
                Some(_) | None => break,
            }
        }
        let pruned = old.len();
        for (key, id) in old {
            self.delete(order, key);
            for family in families {
                self.delete(*family, id.clone().into_bytes());
            }
        }
        Ok(pruned)
    }

    /// The last journal entry, this batch's included.
    pub fn journal_head(&self) -> &Head {
        &self.heads.journal
    }

    /// Journal entries of this batch.
    pub fn entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// Lane states this batch writes.
    pub fn lanes(&self) -> &BTreeMap<String, LaneState> {
        &self.lanes
    }

    /// Whether the batch writes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn put(&mut self, cf: Cf, key: Vec<u8>, value: Vec<u8>) {
        self.writes.insert((cf, key), Some(value));
    }

    fn delete(&mut self, cf: Cf, key: Vec<u8>) {
        self.writes.insert((cf, key), None);
    }

    pub(crate) fn into_parts(mut self) -> Result<Parts> {
        let Heads { journal, registry, degraded, .. } = self.heads.clone();
        self.put(Cf::Meta, meta::JOURNAL.to_vec(), encode(&journal)?);
        self.put(Cf::Meta, meta::REGISTRY.to_vec(), encode(&registry)?);
        let committed = Committed { entries: self.entries, lanes: self.lanes.into_values().collect() };
        Ok(Parts { writes: self.writes, journal, registry, degraded, policies: self.policies, committed })
    }
}

/// The hash under which a picture is on record, hex.
pub fn sha256_hex(picture: &[u8]) -> String {
    hex::encode(Sha256::digest(picture))
}

impl Raw for Overlay<'_> {
    fn raw(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let written = if self.writes.is_empty() { None } else { self.writes.get(&(cf, key.to_vec())) };
        match written {
            Some(value) => Ok(value.clone()),
            None => self.store.raw(cf, key),
        }
    }
}

impl FactSource for Overlay<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        Ok(self.entry(kind, id)?)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        Ok(Raw::entries(self, Cf::Dossier, plate.as_bytes())?)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        Ok(Raw::entries(self, Cf::Child, &kind_key(kind, parent))?)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        Ok(self.book(plate)?)
    }
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        Ok(self.understood(kind, id)?)
    }
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        Ok(self.understood_dossier(plate)?)
    }
}

impl World for Overlay<'_> {
    fn lane(&self, lane: &str) -> Result<Option<LaneState>, FactError> {
        if let Some(state) = self.lanes.get(lane) {
            return Ok(Some(state.clone()));
        }
        Ok(self.store.lane_state(lane)?)
    }
    fn decision(&self, id: &str) -> Result<Option<Decision>, FactError> {
        Ok(self.decision_latest(id)?)
    }
    fn seen(&self, event_id: &str) -> Result<bool, FactError> {
        Ok(self.seen_at(event_id)?.is_some())
    }
    fn registry_revision(&self) -> u64 {
        self.heads.registry.revision
    }
    fn registry_current_at(&self) -> Instant {
        self.heads.registry.current_at
    }
    fn policies(&self, scope: &str) -> Result<Arc<Timeline>, FactError> {
        match self.policies.get(scope) {
            Some(written) => Ok(written.clone()),
            None => Ok(self.store.policies(scope)?),
        }
    }
    fn violation(&self, id: &str) -> Result<Option<Violation>, FactError> {
        Ok(self.violation_latest(id)?)
    }
    fn degraded(&self) -> BTreeMap<SysReason, Instant> {
        self.heads.degraded.clone()
    }
}

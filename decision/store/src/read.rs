//! Reading: the same look-ups on the last commit ([`crate::Store`]) and on a batch in the making
//! ([`crate::Overlay`]).

use portgate_core::decision::Decision;
use portgate_core::facts::{Entry, UseBook};
use portgate_core::journal::Violation;
use portgate_core::registry::{Kind, Record};
use portgate_core::site::LaneState;
use portgate_core::time::Instant;
use portgate_core::timeline::Timeline;
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::keys::{decision_key, kind_key, offset_key, seq_from, time_from, Cf};
use crate::registry::{decode, understood, unpack, PackedRecord, PackedText, Pointer, PointerText};

/// What is kept beside an evidence frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceMeta {
    /// SHA-256 of the picture, hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Gate time at which it was kept.
    pub at: Instant,
}

/// A value by its key.
pub(crate) trait Raw {
    fn raw(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>>;

    fn value<T: for<'a> Deserialize<'a>>(&self, cf: Cf, key: &[u8]) -> Result<Option<T>> {
        self.raw(cf, key)?.map(|bytes| decode(&bytes, cf.name())).transpose()
    }

    fn pointer(&self, kind: Kind, id: &str) -> Result<Option<Pointer>> {
        self.value(Cf::Record, &kind_key(kind, id))
    }

    fn entry(&self, kind: Kind, id: &str) -> Result<Option<Entry>> {
        let Some(pointer) = self.pointer(kind, id)? else { return Ok(None) };
        self.resolve(kind, id, pointer).map(Some)
    }

    fn resolve(&self, kind: Kind, id: &str, pointer: Pointer) -> Result<Entry> {
        let Some((cf, key)) = pointer.homes(kind).into_iter().next() else {
            let value = pointer.value.ok_or_else(|| lost(kind, id))?;
            return Ok(Entry { kind, id: id.to_owned(), value });
        };
        unpack(self.raw(cf, &key)?.as_deref())?
            .into_iter()
            .find(|p| p.1 == kind && p.2 == id)
            .map(Entry::from)
            .ok_or_else(|| lost(kind, id))
    }

    fn entries(&self, cf: Cf, key: &[u8]) -> Result<Vec<Entry>> {
        Ok(unpack(self.raw(cf, key)?.as_deref())?.into_iter().map(Entry::from).collect())
    }

    /// [`Self::entry`], understood, without taking the whole packed value apart.
    fn understood(&self, kind: Kind, id: &str) -> Result<Option<Record>> {
        let Some(bytes) = self.raw(Cf::Record, &kind_key(kind, id))? else { return Ok(None) };
        let pointer: PointerText<'_> = decode(&bytes, Cf::Record.name())?;
        let Some((cf, key)) = pointer.home(kind) else {
            return pointer.value.map(|text| understood(kind, id, text)).ok_or_else(|| lost(kind, id))?.map(Some);
        };
        let bytes = self.raw(cf, &key)?.ok_or_else(|| lost(kind, id))?;
        let packed: Vec<PackedText<'_>> = decode(&bytes, cf.name())?;
        let found = packed.iter().find(|p| p.1 == kind && p.2 == id);
        found.ok_or_else(|| lost(kind, id))?.record().map(Some)
    }

    /// The records of a plate, understood.
    fn understood_dossier(&self, plate: &str) -> Result<Vec<Record>> {
        let Some(bytes) = self.raw(Cf::Dossier, plate.as_bytes())? else { return Ok(Vec::new()) };
        // In one go where every record is written as the registry writes it.
        if let Ok(packed) = serde_json::from_slice::<Vec<PackedRecord>>(&bytes) {
            return Ok(packed.into_iter().map(|p| p.0).collect());
        }
        let packed: Vec<PackedText<'_>> = decode(&bytes, Cf::Dossier.name())?;
        packed.iter().map(PackedText::record).collect()
    }

    fn book(&self, plate: &str) -> Result<UseBook> {
        Ok(self.value(Cf::Use, plate.as_bytes())?.unwrap_or_default())
    }

    fn lane_state(&self, lane: &str) -> Result<Option<LaneState>> {
        self.value(Cf::Lane, lane.as_bytes())
    }

    fn decision_version(&self, id: &str, version: u32) -> Result<Option<Decision>> {
        self.value(Cf::Decision, &decision_key(id, version))
    }

    fn decision_latest(&self, id: &str) -> Result<Option<Decision>> {
        let Some(version) = self.raw(Cf::Latest, id.as_bytes())? else { return Ok(None) };
        let version = version_from(&version).ok_or_else(|| StoreError::Corrupt("latest version of a decision".into()))?;
        let found = self.decision_version(id, version)?;
        found.map(Some).ok_or_else(|| StoreError::Corrupt(format!("decision {id} version {version} is missing")))
    }

    /// The policy revisions of a scope. A store from before there were timelines holds the record
    /// alone, which has counted since it was written.
    fn timeline(&self, scope: &str) -> Result<Timeline> {
        if let Some(timeline) = self.value(Cf::Policy, scope.as_bytes())? {
            return Ok(timeline);
        }
        let mut timeline = Timeline::default();
        if let Some(Record::Policy(record)) = self.understood(Kind::Policy, scope)? {
            // INVARIANT: an empty timeline has room.
            let _ = timeline.enter(&record, Instant::from_micros(i64::MIN), None);
        }
        Ok(timeline)
    }

    fn violation_latest(&self, id: &str) -> Result<Option<Violation>> {
        self.value(Cf::Violation, id.as_bytes())
    }

    fn seen_at(&self, event_id: &str) -> Result<Option<Instant>> {
        Ok(self.raw(Cf::Seen, event_id.as_bytes())?.and_then(|b| time_from(&b)))
    }

    fn source_offset(&self, topic: &str, partition: u32) -> Result<Option<u64>> {
        Ok(self.raw(Cf::Meta, &offset_key(topic, partition))?.and_then(|b| seq_from(&b)))
    }

    fn evidence_meta(&self, frame_id: &str) -> Result<Option<EvidenceMeta>> {
        self.value(Cf::EvidenceMeta, frame_id.as_bytes())
    }
}

pub(crate) fn version_from(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn lost(kind: Kind, id: &str) -> StoreError {
    StoreError::Corrupt(format!("{kind}/{id} is not where the index says"))
}

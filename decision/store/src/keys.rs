//! Column families and keys. Names and layouts are fixed: a family is never renamed, and the name
//! of one that is given up is never used again.
//!
//! | family | key | value |
//! |---|---|---|
//! | `meta` | see [`meta`] | heads, counters and source offsets |
//! | `record` | kind `00` id | [`crate::registry::Pointer`]: order of first writing and home of a registry record (the record itself where it has no home) |
//! | `dossier` | plate | all records bound to the plate, in order of first writing |
//! | `child` | kind `00` parent | all records of the kind that name the parent, in order of first writing |
//! | `use` | plate | use book |
//! | `lane` | lane | lane state |
//! | `decision` | id `00` version (4 bytes, big-endian) | that version of the decision |
//! | `latest` | id | its latest version (4 bytes) |
//! | `seen` | event id | gate time (8 bytes) |
//! | `seen_at` | gate time, event id | nothing; the order in which `seen` is pruned |
//! | `policy` | scope | policy revisions of the scope, in the order in which they were taken in |
//! | `violation` | id | latest version of a violation |
//! | `journal` | sequence (8 bytes) | journal entry, the very bytes that are published |
//! | `evidence` | frame id | the picture (blob files) |
//! | `evidence_meta` | frame id | hash, size and time |
//! | `evidence_at` | gate time, frame id | nothing; the order in which `evidence` is pruned |
//!
//! Times in keys are microseconds since the epoch, sign bit flipped, big-endian, so that bytes sort
//! as times. Values are JSON unless stated otherwise.

use portgate_core::registry::Kind;
use portgate_core::time::Instant;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cf {
    Meta,
    Record,
    Dossier,
    Child,
    Use,
    Lane,
    Decision,
    Latest,
    Seen,
    SeenAt,
    Policy,
    Violation,
    Journal,
    Evidence,
    EvidenceMeta,
    EvidenceAt,
}

impl Cf {
    pub(crate) const ALL: [Self; 16] = [
        Self::Meta,
        Self::Record,
        Self::Dossier,
        Self::Child,
        Self::Use,
        Self::Lane,
        Self::Decision,
        Self::Latest,
        Self::Seen,
        Self::SeenAt,
        Self::Policy,
        Self::Violation,
        Self::Journal,
        Self::Evidence,
        Self::EvidenceMeta,
        Self::EvidenceAt,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Record => "record",
            Self::Dossier => "dossier",
            Self::Child => "child",
            Self::Use => "use",
            Self::Lane => "lane",
            Self::Decision => "decision",
            Self::Latest => "latest",
            Self::Seen => "seen",
            Self::SeenAt => "seen_at",
            Self::Policy => "policy",
            Self::Violation => "violation",
            Self::Journal => "journal",
            Self::Evidence => "evidence",
            Self::EvidenceMeta => "evidence_meta",
            Self::EvidenceAt => "evidence_at",
        }
    }
}

/// Keys of the family `meta`.
pub(crate) mod meta {
    /// Format version, decimal.
    pub(crate) const FORMAT: &[u8] = b"format";
    /// The site whose store this is.
    pub(crate) const SITE: &[u8] = b"site";
    /// [`crate::journal::Head`]: last journal entry.
    pub(crate) const JOURNAL: &[u8] = b"journal";
    /// Sequence up to which the journal has been published (8 bytes): the outbox is what follows.
    pub(crate) const PUBLISHED: &[u8] = b"published";
    /// [`crate::registry::RegistryHead`].
    pub(crate) const REGISTRY: &[u8] = b"registry";
    /// Present while an import is being written.
    pub(crate) const IMPORTING: &[u8] = b"importing";
    /// Components that are away, with the time since when.
    pub(crate) const DEGRADED: &[u8] = b"degraded";
    /// Prefix of `offset/TOPIC/PARTITION`: next offset to read (8 bytes).
    pub(crate) const OFFSET: &str = "offset/";
}

pub(crate) fn offset_key(topic: &str, partition: u32) -> Vec<u8> {
    format!("{}{topic}/{partition}", meta::OFFSET).into_bytes()
}

/// `kind 00 id`; kinds contain no zero byte, so the first one separates.
pub(crate) fn kind_key(kind: Kind, id: &str) -> Vec<u8> {
    joined(kind.as_str().as_bytes(), id.as_bytes())
}

pub(crate) fn split_kind_key(key: &[u8]) -> Option<(Kind, String)> {
    let at = key.iter().position(|b| *b == 0)?;
    let (kind, id) = key.split_at(at);
    let kind = std::str::from_utf8(kind).ok()?.parse().ok()?;
    Some((kind, String::from_utf8(id.get(1..)?.to_vec()).ok()?))
}

pub(crate) fn decision_prefix(id: &str) -> Vec<u8> {
    joined(id.as_bytes(), &[])
}

pub(crate) fn decision_key(id: &str, version: u32) -> Vec<u8> {
    joined(id.as_bytes(), &version.to_be_bytes())
}

/// Id and version of a key of the family `decision`.
pub(crate) fn split_decision_key(key: &[u8]) -> Option<(String, u32)> {
    let (id, version) = key.split_at_checked(key.len().checked_sub(5)?)?;
    let version = version.strip_prefix(&[0])?;
    Some((String::from_utf8(id.to_vec()).ok()?, u32::from_be_bytes(version.try_into().ok()?)))
}

pub(crate) fn time_key(at: Instant, id: &str) -> Vec<u8> {
    let mut key = time_bytes(at).to_vec();
    key.extend_from_slice(id.as_bytes());
    key
}

pub(crate) fn split_time_key(key: &[u8]) -> Option<(Instant, String)> {
    let (at, id) = key.split_at_checked(8)?;
    Some((time_from(at)?, String::from_utf8(id.to_vec()).ok()?))
}

pub(crate) fn time_bytes(at: Instant) -> [u8; 8] {
    (at.as_micros().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(crate) fn time_from(bytes: &[u8]) -> Option<Instant> {
    let raw = u64::from_be_bytes(bytes.try_into().ok()?);
    Some(Instant::from_micros((raw ^ (1 << 63)).cast_signed()))
}

pub(crate) fn seq_from(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn joined(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(left.len() + 1 + right.len());
    key.extend_from_slice(left);
    key.push(0);
    key.extend_from_slice(right);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_apart_again() {
        assert_eq!(split_kind_key(&kind_key(Kind::Card, "C\u{0}1")), Some((Kind::Card, "C\u{0}1".into())));
        assert_eq!(split_decision_key(&decision_key("D-1", 256)), Some(("D-1".into(), 256)));
        let at = Instant::from_millis(-5);
        assert_eq!(split_time_key(&time_key(at, "e")), Some((at, "e".into())));
    }

    #[test]
    fn times_sort_as_bytes() {
        let mut times: Vec<_> = [-2, -1, 0, 1, 1 << 40].map(Instant::from_micros).into();
        times.sort_by_key(|t| time_bytes(*t));
        assert!(times.is_sorted());
    }
}

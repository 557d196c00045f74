//! One vehicle standing at one lane: all reads that belong together, joined so that the order in
//! which they arrive does not matter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::decision::Verdict;
use crate::effect::UseIntent;
use crate::journal::AuthorisedBy;
use crate::people::Role;
use crate::plate::normalise;
use crate::read::{PlateRead, ReadMessage};
use crate::time::Instant;

/// Reads remembered by id per approach; a flood beyond it is still joined, only not listed.
const READ_IDS_MAX: usize = 256;

/// Evidence that the gate had taken in longer ago than this is of a vehicle that need not stand there
/// any more, milliseconds; longer than a command lives.
const LATE_MS: i64 = 10_000;

/// Where an approach stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Evidence is still coming; nothing is commanded.
    Pending,
    /// Decided; later reads make new versions.
    Decided,
}

/// What has been commanded for an approach, if anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorisation {
    /// Who allowed it.
    pub by: AuthorisedBy,
    /// The open command.
    pub command_id: String,
    /// After this the barrier must not execute it.
    pub expires_at: Instant,
    /// The barrier has reported that it opened on it.
    pub executed: bool,
}

/// When a claim was observed; the join keeps the latest observation of each claim.
pub type Claim = Instant;

/// One approach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approach {
    /// Id, unique over the life of the site.
    pub approach_id: String,
    /// Arrival: event time of the first read; what the rules call `at`.
    pub arrived_at: Instant,
    /// Gate time of the first identity or credential: where the pairing window starts.
    pub window_from: Option<Instant>,
    /// Gate time at which the latest read was taken in.
    pub last_read_at: Instant,
    /// Gate time of receipt of the latest evidence: where a decision's latency begins.
    pub evidence_at: Instant,
    /// Gate time of the first unsettled plate read that no settled one has followed yet.
    pub unsettled_since: Option<Instant>,
    /// Pending or decided.
    pub phase: Phase,
    /// Everything read, joined.
    pub inputs: Box<ReadMessage>,
    /// Observation time of each claim in `inputs`, by claim name.
    pub claims: BTreeMap<String, Claim>,
    /// Ids of the reads joined.
    pub read_ids: Vec<String>,
    /// Camera tracks mapped to this approach.
    pub tracks: BTreeSet<String>,
    /// Latest decision version; 0: none yet.
    pub version: u32,
    /// Its verdict.
    pub verdict: Option<Verdict>,
    /// Who may release it.
    pub release_role: Option<Role>,
    /// A person has refused it; the machine says no more.
    pub refused_by_person: bool,
    /// What the passage will use.
    pub uses: Vec<UseIntent>,
    /// What has been commanded.
    pub authorisation: Option<Authorisation>,
    /// When the shell has to come back.
    pub deadline: Instant,
    /// Gate time at which a manager's lane override was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden_at: Option<Instant>,
    /// Some of its evidence came from a lane that had been cut off: for such a vehicle nothing opens by
    /// itself, and what was used meanwhile is not known, so that nothing is refused either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
}

impl Approach {
    /// A new approach that begins with this read.
    pub fn begin(approach_id: String, lane: &str, arrived_at: Instant, now: Instant) -> Self {
        Self {
            inputs: Box::new(ReadMessage {
                lane: lane.to_owned(),
                event_id: Some(approach_id.clone()),
                observed_at: Some(arrived_at),
                ..ReadMessage::default()
            }),
            approach_id,
            arrived_at,
            window_from: None,
            last_read_at: now,
            evidence_at: now,
            unsettled_since: None,
            phase: Phase::Pending,
            claims: BTreeMap::new(),
            read_ids: Vec::new(),
            tracks: BTreeSet::new(),
            version: 0,
            verdict: None,
            release_role: None,
            refused_by_person: false,
            uses: Vec::new(),
            authorisation: None,
            deadline: now,
            overridden_at: None,
            cut_off: false,
        }
    }

    /// Id of its decision.
    pub fn decision_id(&self) -> String {
        format!("D-{}", self.approach_id)
    }

    /// Whether a plate text differs from what this approach's camera or guard read so far.
    pub fn reads_other_plate(&self, text: &str) -> bool {
        let mine = self.inputs.plate_read.as_ref().map(|p| normalise(&p.text)).filter(|t| !t.is_empty());
        mine.is_some_and(|m| m != normalise(text))
    }

    /// Takes a read in: per claim the latest observation stays, ties by content, so any order of
    /// arrival gives the same approach. `event_at` is the read's event time under the skew rule.
    pub fn join(&mut self, read: &ReadMessage, event_at: Instant, now: Instant) {
        self.last_read_at = now;
        let late = read.received_at.is_some_and(|at| now.millis_since(at) > LATE_MS);
        self.cut_off |= is_evidence(read) && (late || read.cut_off == Some(true));
        self.evidence_at = read.received_at.unwrap_or(now).min(now);
        self.arrived_at = self.arrived_at.min(event_at);
        self.inputs.observed_at = Some(self.arrived_at);
        if let Some(id) = &read.event_id {
            if self.read_ids.len() < READ_IDS_MAX && !self.read_ids.contains(id) {
                self.read_ids.push(id.clone());
            }
        }
        if let Some(track) = &read.track_id {
            self.tracks.insert(track.clone());
        }
        if is_evidence(read) && self.window_from.is_none() {
            self.window_from = Some(now);
        }
        if read.lane_override.as_ref().is_some_and(|o| !o.is_empty()) {
            self.overridden_at = self.overridden_at.max(Some(now));
        }
        if let Some(plate) = &read.plate_read {
            self.join_plate(plate, read, now);
        }
        macro_rules! latest {
            ($($claim:ident),*) => {$(
                if let Some(new) = &read.$claim {
                    let at = self.claims.get(stringify!($claim)).copied();
                    if wins(at, self.inputs.$claim.as_ref(), event_at, new) {
                        self.inputs.$claim = Some(new.clone());
                        self.claims.insert(stringify!($claim).to_owned(), event_at);
                    }
                }
            )*};
        }
        latest!(
            manual_plate,
            card,
            qr,
            exit_permit,
            cargo_observed,
            vins_observed,
            seal,
            logbook,
            transit_declaration,
            driver,
            lane_override,
            registry_available
        );
    }

    fn join_plate(&mut self, plate: &PlateRead, read: &ReadMessage, now: Instant) {
        let settled = plate.settled != Some(false);
        if settled {
            self.unsettled_since = None;
        } else if self.inputs.plate_read.as_ref().is_none_or(|p| p.settled == Some(false)) {
            self.unsettled_since = self.unsettled_since.or(Some(now));
        }
        // A settled read outranks an unsettled one, then the surer, then the text decides.
        let rank = |p: &PlateRead| (p.settled != Some(false), (p.confidence.clamp(0.0, 1.0) * 1e9) as u64, normalise(&p.text));
        if self.inputs.plate_read.as_ref().is_none_or(|mine| rank(plate) > rank(mine)) {
            self.inputs.plate_read = Some(plate.clone());
            self.inputs.frame_id.clone_from(&read.frame_id);
            self.inputs.track_id.clone_from(&read.track_id);
        }
    }
}

/// Whether the read carries identity or a credential, and not only a lane signal.
pub(super) fn is_evidence(read: &ReadMessage) -> bool {
    read.plate_read.is_some()
        || read.manual_plate.is_some()
        || read.card.is_some()
        || read.qr.is_some()
        || read.exit_permit.is_some()
        || read.cargo_observed.is_some()
        || read.vins_observed.is_some()
        || read.seal.is_some()
        || read.logbook.is_some()
        || read.transit_declaration.is_some()
        || read.driver.is_some()
        || read.lane_override.is_some()
        || read.registry_available.is_some()
}

fn wins<T: Serialize + PartialEq>(have_at: Option<Instant>, have: Option<&T>, new_at: Instant, new: &T) -> bool {
    match (have_at, have) {
        (Some(at), Some(_)) if new_at != at => new_at > at,
        (Some(_), Some(old)) => text_of(new) > text_of(old),
        _ => true,
    }
}

fn text_of<T: Serialize>(v: &T) -> String {
    serde_json::to_string(v).unwrap_or_default()
}

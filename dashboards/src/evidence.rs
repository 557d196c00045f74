//! Pictures: the latest ones of each lane in memory, and the store that keeps the evidence.

use std::collections::VecDeque;

use bytes::Bytes;
use dashmap::DashMap;

/// Pictures kept in memory per lane.
const FRAMES_PER_LANE_MAX: usize = 24;
/// And their bytes.
const BYTES_PER_LANE_MAX: usize = 6 * 1024 * 1024;
/// Lanes for which pictures are kept.
const LANES_MAX: usize = 512;

/// Where evidence frames are retained; the engine writes it, the control room shows it.
pub trait EvidenceStore: Send + Sync + 'static {
    /// The picture, if it is (still) held. May read a disk: not called from async code.
    fn get(&self, frame_id: &str) -> Option<Bytes>;
}

/// For a node that holds no evidence: the `serve` role away from its engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvidence;

impl EvidenceStore for NoEvidence {
    fn get(&self, _frame_id: &str) -> Option<Bytes> {
        None
    }
}

/// A picture of a lane.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its id.
    pub id: String,
    /// RFC 3339 time of the picture, as its camera stated it.
    pub captured_at: Option<String>,
    /// The JPEG or PNG.
    pub bytes: Bytes,
}

/// The latest pictures of each lane.
#[derive(Default)]
pub struct FrameCache {
    lanes: DashMap<String, VecDeque<Frame>>,
}

impl FrameCache {
    /// Takes a picture in; the oldest ones of the lane go.
    pub fn insert(&self, lane: &str, frame: Frame) {
        if !self.lanes.contains_key(lane) && self.lanes.len() >= LANES_MAX {
            return;
        }
        let mut frames = self.lanes.entry(lane.to_owned()).or_default();
        frames.push_back(frame);
        let mut bytes: usize = frames.iter().map(|f| f.bytes.len()).sum();
        while frames.len() > FRAMES_PER_LANE_MAX || (bytes > BYTES_PER_LANE_MAX && frames.len() > 1) {
            let Some(oldest) = frames.pop_front() else { break };
            bytes = bytes.saturating_sub(oldest.bytes.len());
        }
    }

    /// The latest picture of the lane.
    pub fn latest(&self, lane: &str) -> Option<Frame> {
        self.lanes.get(lane)?.back().cloned()
    }

    /// A certain picture of the lane.
    pub fn get(&self, lane: &str, id: &str) -> Option<Frame> {
        self.lanes.get(lane)?.iter().rev().find(|f| f.id == id).cloned()
    }
}

/// What the bytes are, by their beginning; only the two kinds the gate takes.
pub fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        Some("image/jpeg")
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_keeps_its_latest_pictures_within_bounds() {
        let cache = FrameCache::default();
        for i in 0..100 {
            let bytes = Bytes::from(vec![0u8; 1024 * 1024]);
            cache.insert("L1", Frame { id: i.to_string(), captured_at: None, bytes });
        }
        assert_eq!(cache.latest("L1").unwrap().id, "99");
        assert!(cache.get("L1", "95").is_some());
        assert!(cache.get("L1", "90").is_none(), "beyond the bytes allowed");
        assert!(cache.latest("L2").is_none());
    }
}

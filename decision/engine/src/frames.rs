//! Recent frames in memory, so that the evidence of a decision is at hand when it is formed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use portgate_log::{topics, Log, LogError};

/// Bytes of recent frames kept.
const RECENT_BYTES_MAX: usize = 64 << 20;
/// Bytes kept of frames that a read rests on, until their decision is formed.
const PINNED_BYTES_MAX: usize = 64 << 20;
/// Frames per partition looked at again after a start.
const BACK_FRAMES: u64 = 500;
/// Frames asked for at once.
const POLL_FRAMES: usize = 64;
/// How long a poll waits for a frame.
const POLL_WAIT: Duration = Duration::from_secs(1);
/// Failures one after the other from which on frames are away.
const FAILURES_MAX: u32 = 10;
/// How long to wait after the log failed.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Where the evidence of a decision comes from. Answers at once: a decision waits for no picture.
pub trait Frames: Send + Sync + 'static {
    /// The picture of that frame, if it is still at hand.
    fn frame(&self, frame_id: &str) -> Option<Bytes>;
    /// A read rests on this frame: keep it until a decision may need it.
    fn pin(&self, frame_id: &str);
    /// Whether pictures have not come for a while for want of their log.
    fn away(&self) -> bool {
        false
    }
}

/// For sites without cameras, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFrames;

impl Frames for NoFrames {
    fn frame(&self, _: &str) -> Option<Bytes> {
        None
    }
    fn pin(&self, _: &str) {}
}

/// The latest frames of `portgate.frames`, bounded by bytes.
#[derive(Default)]
pub struct RecentFrames {
    inner: Mutex<Inner>,
    /// Failures to read frames, one after the other.
    failures: AtomicU32,
}

#[derive(Default)]
struct Inner {
    recent: Ring,
    pinned: Ring,
}

#[derive(Default)]
struct Ring {
    frames: BTreeMap<String, Bytes>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Ring {
    fn insert(&mut self, id: &str, picture: Bytes, bytes_max: usize) {
        if self.frames.contains_key(id) {
            return;
        }
        self.bytes += picture.len();
        self.frames.insert(id.to_owned(), picture);
        self.order.push_back(id.to_owned());
        while self.bytes > bytes_max {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.frames.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(gone.len());
            }
        }
    }
}

impl RecentFrames {
    /// Takes a frame in; the oldest go.
    pub fn insert(&self, frame_id: &str, picture: Bytes) {
        self.inner.lock().recent.insert(frame_id, picture, RECENT_BYTES_MAX);
    }

    /// Follows `portgate.frames` until `stop` ends. A failing log is tried again: frames only
    /// illustrate decisions.
    pub async fn follow(self: Arc<Self>, log: Arc<dyn Log>, stop: impl std::future::Future<Output = ()>) {
        let partitions = match log.partitions(topics::FRAMES).await {
            Ok(n) => n,
            Err(e) => {
                tracing::warn!(error = %e, "no frames to follow; decisions go without evidence frames");
                return;
            }
        };
        let mut tails = tokio::task::JoinSet::new();
        for partition in 0..partitions {
            tails.spawn(self.clone().follow_partition(log.clone(), partition));
        }
        stop.await;
        tails.shutdown().await;
    }

    async fn follow_partition(self: Arc<Self>, log: Arc<dyn Log>, partition: u32) {
        let mut from = None;
        loop {
            if let Err(e) = self.read_on(&*log, partition, &mut from).await {
                if matches!(e, LogError::OffsetOutOfRange { .. }) {
                    from = None;
                } else {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(error = %e, partition, "frames cannot be followed now");
                }
                tokio::time::sleep(RETRY_WAIT).await;
            }
        }
    }

    async fn read_on(&self, log: &dyn Log, partition: u32, from: &mut Option<u64>) -> Result<(), LogError> {
        let start = match *from {
            Some(offset) => offset,
            None => {
                let ranges = log.ranges(topics::FRAMES).await?;
                ranges.iter().find(|r| r.partition == partition).map_or(0, |r| r.end.saturating_sub(BACK_FRAMES).max(r.earliest))
            }
        };
        let batch = log.read(topics::FRAMES, partition, start, POLL_FRAMES, POLL_WAIT).await?;
        for record in &batch.records {
            if let (Some(id), Some(picture)) = (record.header_str(topics::HEADER_FRAME_ID), &record.value) {
                self.insert(id, picture.clone());
            }
        }
        *from = Some(batch.next_offset);
        self.failures.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl Frames for RecentFrames {
    fn frame(&self, frame_id: &str) -> Option<Bytes> {
        let inner = self.inner.lock();
        inner.pinned.frames.get(frame_id).or_else(|| inner.recent.frames.get(frame_id)).cloned()
    }

    fn pin(&self, frame_id: &str) {
        let mut inner = self.inner.lock();
        if let Some(picture) = inner.recent.frames.get(frame_id).cloned() {
            inner.pinned.insert(frame_id, picture, PINNED_BYTES_MAX);
        }
    }

    fn away(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_frame_outlives_the_recent_ones() {
        let frames = RecentFrames::default();
        frames.insert("needed", Bytes::from_static(b"jpeg"));
        frames.pin("needed");
        for i in 0..70 {
            frames.insert(&i.to_string(), Bytes::from(vec![0; 1 << 20]));
        }
        assert!(frames.frame("0").is_none(), "beyond the bytes allowed");
        assert!(frames.frame("69").is_some());
        assert_eq!(frames.frame("needed").as_deref(), Some(&b"jpeg"[..]));
    }

    #[test]
    fn frames_are_away_after_a_run_of_failures() {
        let frames = RecentFrames::default();
        frames.failures.store(FAILURES_MAX - 1, Ordering::Relaxed);
        assert!(!frames.away());
        frames.failures.fetch_add(1, Ordering::Relaxed);
        assert!(frames.away());
    }
}

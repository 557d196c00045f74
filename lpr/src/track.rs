//! One lane's vehicles over its frames: which plate is whose, which one stands at the barrier, and
//! when its read is settled.
//!
//! Pure: frames and the time go in, messages for `portgate.reads` come out. The same frames at the
//! same times give the same messages with the same ids, so that a frame delivered twice does no
//! harm (receivers drop repeats by `event_id`).
//!
//! * A plate belongs to a track if its text is nearly the track's, or if it stands where the track
//!   stood and is not firmly another text. So flicker stays one vehicle, and the next truck at the
//!   same place is a new one.
//! * The vehicle at the barrier is the largest and lowest plate in the lane's zone. It keeps its
//!   place through missed frames; only it is reported. A plate behind it is voted on silently and
//!   comes up when the front one has gone and it has moved; one that never moves is parked.
//! * A read is settled when enough frames agree surely, when no frame comes any more, or when
//!   patience ends.

use std::collections::VecDeque;

use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;

use crate::geometry::{distance, Bounds, Quad};
use crate::reading::PlateReading;
use crate::vote::{Verdict, Votes};

/// Tracks of one lane at a time; the one seen longest ago goes first.
const TRACKS_MAX: usize = 16;
/// Parked plates remembered per lane.
const PARKED_MAX: usize = 16;

/// How a lane's frames become reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackConfig {
    /// Frames that must agree, surely, before a read settles.
    pub agreeing_frames: u32,
    /// Confidence from which a read is sure.
    pub sure_confidence: f64,
    /// A plate not seen for so long settles as it is, milliseconds.
    pub lone_ms: i64,
    /// A plate that is seen on but does not become sure settles after this, milliseconds.
    pub patience_ms: i64,
    /// A plate not seen for so long has gone, milliseconds.
    pub gone_ms: i64,
    /// The lane's part of the frame, as fractions of its sides: left, top, right, bottom.
    pub zone: [f64; 4],
    /// A plate narrower than this fraction of the frame's width is too far away.
    pub width_min: f64,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self {
            agreeing_frames: 3,
            sure_confidence: 0.9,
            lone_ms: 800,
            patience_ms: 3000,
            gone_ms: 2500,
            zone: [0.0, 0.0, 1.0, 1.0],
            width_min: 0.02,
        }
    }
}

/// One recognised frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameSeen<'a> {
    /// Its id.
    pub frame_id: &'a str,
    /// When it was taken.
    pub at: Instant,
    /// Its place in its source (the log's offset), to know how far work is finished.
    pub place: u64,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// The plates read in it.
    pub plates: &'a [PlateReading],
}

/// One vehicle's plate.
struct Track {
    id: String,
    place: u64,
    first_at: Instant,
    last_at: Instant,
    corners: Quad,
    /// Place and size when it was first behind another vehicle; `None`: it may be at the barrier.
    behind: Option<Quad>,
    rank: f64,
    frames: u32,
    votes: Votes,
    /// Frames in a row in which it stood before the vehicle held to be at the barrier.
    before: u32,
    said: Option<Said>,
    messages: u32,
}

/// What was last put out for a track.
struct Said {
    text: String,
    confidence: f64,
    settled: bool,
}

/// The vehicles of one lane.
pub struct LaneTracker {
    lane: String,
    config: TrackConfig,
    tracks: Vec<Track>,
    /// Id of the track at the barrier.
    front: Option<String>,
    parked: VecDeque<(String, Quad)>,
}

impl LaneTracker {
    /// An empty lane.
    #[must_use]
    pub fn new(lane: impl Into<String>, config: TrackConfig) -> Self {
        Self { lane: lane.into(), config, tracks: Vec::new(), front: None, parked: VecDeque::new() }
    }

    /// Takes in a frame; answers with what is to be reported.
    pub fn frame(&mut self, frame: &FrameSeen<'_>) -> Vec<ReadMessage> {
        let mut out = self.tick(frame.at);
        let seen = self.assign(frame);
        self.choose_front(&seen);
        self.report(frame.at, &mut out);
        out
    }

    /// Lets time pass without a frame.
    pub fn tick(&mut self, now: Instant) -> Vec<ReadMessage> {
        let mut out = Vec::new();
        self.report(now, &mut out);
        while let Some(gone) = self.front_gone(now) {
            let last_at = self.tracks.get(gone).map(|t| t.last_at);
            self.tracks.remove(gone);
            self.front = self
                .tracks
                .iter()
                .filter(|t| Some(t.last_at) > last_at && t.behind.is_none_or(|b| moved(&b, &t.corners)))
                .max_by(|a, b| a.rank.total_cmp(&b.rank))
                .map(|t| t.id.clone());
            self.report(now, &mut out);
        }
        self.forget(now);
        out
    }

    /// Whether the vehicle at the barrier is known, so that further frames of it matter less.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.front_track().is_some_and(|t| t.said.as_ref().is_some_and(|s| s.settled))
    }

    /// Whether any vehicle is being followed.
    #[must_use]
    pub fn busy(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// Place of the first frame of the vehicles still followed, but for those followed since before
    /// `since`: to begin there again after a restart and come to the same tracks.
    #[must_use]
    pub fn first_place(&self, since: Instant) -> Option<u64> {
        self.tracks.iter().filter(|t| t.first_at >= since).map(|t| t.place).min()
    }

    fn front_track(&self) -> Option<&Track> {
        let id = self.front.as_ref()?;
        self.tracks.iter().find(|t| t.id == *id)
    }

    fn front_gone(&self, now: Instant) -> Option<usize> {
        let id = self.front.as_ref()?;
        let at = self.tracks.iter().position(|t| t.id == *id)?;
        self.tracks.get(at).filter(|t| now.millis_since(t.last_at) >= self.config.gone_ms).map(|_| at)
    }

    /// Drops tracks that are gone; those that stood still behind are remembered as parked.
    fn forget(&mut self, now: Instant) {
        let (gone_ms, front) = (self.config.gone_ms, self.front.clone());
        let parked = &mut self.parked;
        self.tracks.retain(|t| {
            let stays = Some(&t.id) == front.as_ref() || now.millis_since(t.last_at) < gone_ms;
            if let (false, Some(still), Some(v)) = (stays, t.behind, t.votes.verdict()) {
                if !moved(&still, &t.corners) {
                    parked.retain(|(text, _)| *text != v.reading.text);
                    parked.push_back((v.reading.text, t.corners));
                    if parked.len() > PARKED_MAX {
                        parked.pop_front();
                    }
                }
            }
            stays
        });
    }

    /// Gives each plate of the frame to a track, old or new; answers the tracks seen.
    fn assign(&mut self, frame: &FrameSeen<'_>) -> Vec<String> {
        let (w, h) = (f64::from(frame.size.0.max(1)), f64::from(frame.size.1.max(1)));
        let [x0, y0, x1, y1] = self.config.zone;
        let zone = Bounds { x0: x0 * w, y0: y0 * h, x1: x1 * w, y1: y1 * h };
        let mut plates: Vec<(&PlateReading, Quad)> = frame
            .plates
            .iter()
            .map(|p| (p, Quad(p.corners)))
            .filter(|(_, q)| zone.contains(q.centre()) && q.width() >= self.config.width_min * w)
            .collect();
        let mut seen: Vec<String> = Vec::new();
        // The surest pairs first.
        loop {
            let mut best: Option<(f64, usize, usize)> = None;
            for (p, (plate, quad)) in plates.iter().enumerate() {
                for (t, track) in self.tracks.iter().enumerate() {
                    let Some(score) = (!seen.contains(&track.id)).then(|| track.fits(plate, quad)).flatten() else {
                        continue;
                    };
                    if best.is_none_or(|b| score > b.0) {
                        best = Some((score, p, t));
                    }
                }
            }
            let Some((_, p, t)) = best else { break };
            let (plate, quad) = plates.remove(p);
            if let Some(track) = self.tracks.get_mut(t) {
                track.see(plate, quad, frame, (w, h));
                seen.push(track.id.clone());
            }
        }
        for (i, (plate, quad)) in plates.into_iter().enumerate() {
            if self.tracks.len() >= TRACKS_MAX {
                self.drop_oldest();
            }
            let suffix = if i == 0 { String::new() } else { format!("/{i}") };
            let behind = self.parked.iter().find(|(text, at)| *text == plate.text && !moved(at, &quad)).map(|(_, at)| *at);
            let mut track = Track {
                id: format!("{}/{}{suffix}", self.lane, frame.frame_id),
                place: frame.place,
                first_at: frame.at,
                last_at: frame.at,
                corners: quad,
                behind,
                rank: 0.0,
                frames: 0,
                votes: Votes::default(),
                before: 0,
                said: None,
                messages: 0,
            };
            track.see(plate, quad, frame, (w, h));
            seen.push(track.id.clone());
            self.tracks.push(track);
        }
        seen
    }

    fn drop_oldest(&mut self) {
        let oldest = self
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, t)| Some(&t.id) != self.front.as_ref())
            .min_by_key(|(_, t)| t.last_at)
            .map(|(i, _)| i);
        if let Some(i) = oldest {
            self.tracks.remove(i);
        }
    }

    /// Decides which of the tracks seen in this frame stands at the barrier.
    fn choose_front(&mut self, seen: &[String]) {
        let candidate = self
            .tracks
            .iter()
            .filter(|t| seen.contains(&t.id) && t.behind.is_none_or(|b| moved(&b, &t.corners)))
            .max_by(|a, b| a.rank.total_cmp(&b.rank))
            .map(|t| (t.id.clone(), t.rank, t.corners));
        let front = self.front_track().map(|t| (t.id.clone(), t.rank, t.corners, seen.contains(&t.id)));
        let next = match (candidate, front) {
            (None, front) => front.map(|f| f.0),
            (Some(c), None) => Some(c.0),
            (Some((id, ..)), Some((front, ..))) if id == front => Some(front),
            (Some((id, rank, corners)), Some((front, front_rank, front_corners, visible))) => {
                // Another plate wins by standing clearly before the front one, or, while that is
                // not seen, in its very place; and not by a single frame.
                let wins = if visible { rank > front_rank + 0.05 } else { rank >= front_rank || near(&corners, &front_corners) };
                let frames = self.count_before(&id, wins);
                if wins && frames >= 2 {
                    if !visible {
                        self.tracks.retain(|t| t.id != front);
                    }
                    Some(id)
                } else {
                    Some(front)
                }
            }
        };
        self.front = next;
        // Only what is seen beside the front vehicle is known to stand behind it.
        let beside = self.front.as_ref().is_some_and(|f| seen.contains(f));
        for t in &mut self.tracks {
            if Some(&t.id) == self.front.as_ref() {
                t.behind = None;
                t.before = 0;
            } else if beside && t.behind.is_none() && t.before == 0 && seen.contains(&t.id) {
                t.behind = Some(t.corners);
            }
        }
    }

    fn count_before(&mut self, id: &str, wins: bool) -> u32 {
        let mut count = 0;
        for t in &mut self.tracks {
            if t.id == id && wins {
                t.before += 1;
                count = t.before;
            } else {
                t.before = 0;
            }
        }
        count
    }

    /// Puts out what is new about the vehicle at the barrier.
    fn report(&mut self, now: Instant, out: &mut Vec<ReadMessage>) {
        let (config, lane) = (self.config, self.lane.clone());
        let Some(id) = self.front.clone() else { return };
        let Some(track) = self.tracks.iter_mut().find(|t| t.id == id) else { return };
        let Some(verdict) = track.votes.verdict() else { return };
        if let Some(settled) = track.news(&config, &verdict, now) {
            out.push(track.message(lane, verdict, settled));
        }
    }
}

impl Track {
    fn see(&mut self, plate: &PlateReading, quad: Quad, frame: &FrameSeen<'_>, (w, h): (f64, f64)) {
        self.votes.add(plate, frame.frame_id);
        self.corners = quad;
        self.last_at = self.last_at.max(frame.at);
        self.frames = self.frames.saturating_add(1);
        // Larger and lower is nearer the barrier.
        self.rank = quad.width() / w + 0.5 * quad.bounds().y1 / h;
    }

    /// How well a plate fits this track; `None`: it is another vehicle's.
    fn fits(&self, plate: &PlateReading, quad: &Quad) -> Option<f64> {
        let own = self.votes.verdict()?.reading;
        let differing = differing(&own.text, &plate.text);
        let near = near(&self.corners, quad);
        let firm = differing >= 3 && own.confidence.min(plate.confidence) >= 0.5;
        let fits = differing <= 1 || (near && !firm);
        let nearness = self.corners.bounds().iou(&quad.bounds());
        fits.then_some(nearness - differing as f64)
    }

    /// Whether there is something to say, and whether it is settled.
    fn news(&self, config: &TrackConfig, verdict: &Verdict, now: Instant) -> Option<bool> {
        let sure = verdict.reading.confidence >= config.sure_confidence;
        let agreed = verdict.frames >= config.agreeing_frames && sure;
        let silent = now.millis_since(self.last_at) >= config.lone_ms;
        let patient = now.millis_since(self.first_at) >= config.patience_ms;
        match &self.said {
            None => Some(agreed || silent || patient),
            Some(said) if !said.settled => {
                let settled = agreed || silent || patient;
                (settled || said.text != verdict.reading.text).then_some(settled)
            }
            // Settled: only a surely better read is worth another word.
            Some(said) => {
                let better = said.text != verdict.reading.text || said.confidence < config.sure_confidence;
                (agreed && better).then_some(true)
            }
        }
    }

    fn message(&mut self, lane: String, verdict: Verdict, settled: bool) -> ReadMessage {
        let event_id = format!("{}#{}", self.id, self.messages);
        self.messages = self.messages.saturating_add(1);
        let message = ReadMessage {
            lane,
            event_id: Some(event_id),
            observed_at: Some(self.last_at),
            track_id: Some(self.id.clone()),
            frame_id: Some(verdict.frame_id),
            plate_read: Some(verdict.reading.to_read(Some(settled))),
            ..ReadMessage::default()
        };
        self.said = Some(Said { text: verdict.reading.text, confidence: verdict.reading.confidence, settled });
        message
    }
}

/// Whether two plates stand so close that they can be one vehicle's in neighbouring frames.
fn near(a: &Quad, b: &Quad) -> bool {
    let width = a.width().max(b.width());
    let alike = a.width().min(b.width()) / width.max(1e-9);
    a.bounds().iou(&b.bounds()) > 0.1 || (distance(a.centre(), b.centre()) < 1.2 * width && alike > 0.6)
}

/// Whether a plate has left its place or come nearer.
fn moved(from: &Quad, to: &Quad) -> bool {
    let (a, b) = (from.width(), to.width());
    distance(from.centre(), to.centre()) > 0.5 * a || b > 1.15 * a
}

/// In how many characters two texts differ (edit distance).
pub(crate) fn differing(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let up = *cell;
            let value = (diagonal + usize::from(ca != *cb)).min(up + 1).min(left + 1);
            diagonal = up;
            left = value;
            *cell = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;

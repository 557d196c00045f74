//! A picture in, its plates out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opencv::core::Rect;

use crate::decode::{Picture, Pixels};
use crate::detect::{detect, detect_closer, detect_tiles, fitted, Detection};
use crate::error::LprError;
use crate::geometry::{project, Quad};
use crate::grammar::is_two_line;
use crate::models::Models;
use crate::reading::PlateReading;
use crate::recognise::{better, cuts, leaning, read_at, recognise, settle, Scored};
use crate::telemetry;

/// A read at least this sure needs no closer look.
const SURE: f64 = 0.9;
/// A read less sure than this is settled by several looks together.
const SETTLED: f64 = 0.994;
/// The same for a lane's frame, which does not stand alone: the frames of a vehicle vote.
const SETTLED_IN_LANE: f64 = 0.95;
/// A place the detector hardly believes in is a plate if it is read at least this surely.
const WEAK_CONFIDENCE: f64 = 0.7;
/// A place is a plate only if its characters are read at least this surely on the average: a grille is
/// not.
const FOUND_MEAN: f64 = 0.5;
/// … and no character of it is read less surely than this.
const FOUND_LEAST: f64 = 0.12;
/// A plate is read from pixels in which it is at least this wide, where the picture has them: from fewer even a
/// wrong character may look sure.
const READ_WIDTH: f64 = 64.0;
/// Corners a cut-out plate may have that is not cut exactly: closer, wider, and leaning either way
/// a little or much (the box of a slanting plate cuts its corners off), in fractions of the picture.
const VARIANTS: [[[f64; 2]; 4]; 8] = [
    [[0.0, 0.12], [1.0, -0.12], [1.0, 0.88], [0.0, 1.12]],
    [[0.0, -0.12], [1.0, 0.12], [1.0, 1.12], [0.0, 0.88]],
    [[0.04, 0.1], [0.96, 0.1], [0.96, 0.9], [0.04, 0.9]],
    [[-0.02, -0.06], [1.02, -0.06], [1.02, 1.06], [-0.02, 1.06]],
    [[0.02, 0.3], [0.98, -0.12], [0.98, 0.7], [0.02, 1.12]],
    [[0.02, -0.12], [0.98, 0.3], [0.98, 1.12], [0.02, 0.7]],
    [[0.06, 0.28], [1.02, -0.1], [0.94, 0.72], [-0.02, 1.1]],
    [[-0.02, -0.1], [0.94, 0.28], [1.02, 1.1], [0.06, 0.72]],
];
/// A whole picture of these proportions (width to height) may be a plate of two lines.
const TWO_LINE_ASPECT_MAX: f64 = 2.4;
/// A whole picture of these proportions may be a plate of one line.
const ONE_LINE_ASPECT_MIN: f64 = 1.35;

/// Tiles across and down in which a picture is looked at from closer; beyond the first only where
/// nothing was legible.
const TILES: [u32; 3] = [2, 4, 6];
/// Turns, in degrees, in which a picture is looked at again that gave nothing upright: the detector
/// knows plates up to about 20 degrees, so these two reach 45.
const TURNS: [f64; 2] = [-30.0, 30.0];
/// A picture that gave no read this sure is looked at from closer still, and turned.
const LEGIBLE: f64 = 0.7;
/// A plate found only by a closer look is believed from this confidence on.
const CLOSER_CONFIDENCE: f64 = 0.8;
/// The whole of a frame, as a lane's zone.
pub const WHOLE: [f64; 4] = [0.0, 0.0, 1.0, 1.0];
/// What a lane's zone is widened by at each edge when plates are sought in it: the tracker takes a
/// plate whose centre lies inside.
const ZONE_MARGIN: f64 = 0.06;

/// How thoroughly a picture is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondLook {
    /// Once, as a whole: a lane's camera, where plates at the barrier are large and most frames empty.
    #[default]
    Never,
    /// Closer too, tile by tile, and turned if nothing legible was found: single pictures.
    Tiles,
}

/// Where the time of one picture went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Decoding, all sizes.
    pub decode: Duration,
    /// Finding plates.
    pub detect: Duration,
    /// Rectifying and reading plates.
    pub recognise: Duration,
}

impl Times {
    /// All stages together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.decode + self.detect + self.recognise
    }
}

/// What was read from one picture.
#[derive(Clone, Debug, Default)]
pub struct PictureReading {
    /// The plates, the most confident first.
    pub plates: Vec<PlateReading>,
    /// Width and height of the upright picture in pixels.
    pub size: (u32, u32),
    /// Where the time went.
    pub times: Times,
}

/// Reads pictures. Cheap to clone, used from any thread.
#[derive(Clone)]
pub struct Recogniser {
    models: Arc<Models>,
    model: Arc<str>,
    second_look: SecondLook,
}

impl Recogniser {
    /// A recogniser on these models that looks once.
    #[must_use]
    pub fn new(models: Arc<Models>) -> Self {
        // The stage runs a frame per thread; OpenCV's own threads would only stand in their way.
        if let Err(e) = opencv::core::set_num_threads(1) {
            tracing::debug!(error = %e, "OpenCV keeps its threads");
        }
        let model = models.id().into();
        Self { models, model, second_look: SecondLook::Never }
    }

    /// Sets how thoroughly it looks.
    #[must_use]
    pub fn second_look(mut self, second_look: SecondLook) -> Self {
        self.second_look = second_look;
        self
    }

    /// Which models read ([`Models::id`]).
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Reads the plates of a JPEG or PNG, the most confident first.
    ///
    /// # Errors
    /// [`LprError::Picture`] where the picture is at fault; others where the program is.
    pub fn read_picture(&self, bytes: &[u8]) -> Result<Vec<PlateReading>, LprError> {
        Ok(self.read_frame(bytes)?.plates)
    }

    /// As [`Self::read_picture`], with the picture's size and where the time went.
    ///
    /// # Errors
    /// As [`Self::read_picture`].
    pub fn read_frame(&self, bytes: &[u8]) -> Result<PictureReading, LprError> {
        self.read_zone(bytes, &WHOLE)
    }

    /// As [`Self::read_frame`], where plates matter only in a part of the frame: left, top, right and
    /// bottom in fractions of its sides. A smaller zone shows its plates to the detector larger.
    ///
    /// # Errors
    /// As [`Self::read_picture`].
    pub fn read_zone(&self, bytes: &[u8], zone: &[f64; 4]) -> Result<PictureReading, LprError> {
        let mut times = Times::default();
        let shape = &self.models.detector_shape;
        let picture = Picture::new(bytes)?;
        let (w, h) = picture.size();
        let zone = widened(zone);
        let share = [zone[2] - zone[0], zone[3] - zone[1]];
        let (fitted_w, fitted_h) = fitted(shape, f64::from(w) * share[0], f64::from(h) * share[1]);
        // How far the picture may be reduced for its zone to fill the detector's input so many times.
        let reduction = |across: f64| {
            let side = |fitted: u32, share: f64| (f64::from(fitted) * across / share).ceil() as u32;
            picture.reduction_for(side(fitted_w, share[0]), side(fitted_h, share[1]))
        };
        let mut pixels = timed(&mut times.decode, || picture.decode(reduction(1.0)))?;

        let part = (zone != WHOLE).then(|| part(&pixels, &zone));
        let found = timed(&mut times.detect, || detect(&self.models, &pixels, part))?;
        let mut read = self.read_found(&picture, &mut pixels, found, false, &mut times)?;
        if self.second_look == SecondLook::Tiles {
            self.look_closer(&picture, &mut pixels, &mut read, reduction, &mut times)?;
        }
        let mut plates: Vec<PlateReading> = read.into_iter().map(|s| s.reading).collect();
        plates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));

        telemetry::stage("decode", times.decode);
        telemetry::stage("detect", times.detect);
        if times.recognise > Duration::ZERO {
            telemetry::stage("recognise", times.recognise);
        }
        Ok(PictureReading { plates, size: picture.size(), times })
    }

    /// Adds what a closer look finds, tile by tile; where nothing is legible, a still closer one,
    /// and one at the turned picture.
    fn look_closer(
        &self,
        picture: &Picture<'_>,
        pixels: &mut Pixels,
        read: &mut Vec<Scored>,
        reduction: impl Fn(f64) -> u32,
        times: &mut Times,
    ) -> Result<(), LprError> {
        for across in TILES {
            let shape = &self.models.detector_shape;
            let (w, h) = picture.size();
            let larger = |side: u32, input: usize| u64::from(side) * 2 > input as u64 * u64::from(across);
            let worth = larger(w, shape.width) || larger(h, shape.height);
            if !worth || (across > TILES[0] && legible(read)) {
                continue;
            }
            let closer = reduction(f64::from(across));
            if !pixels.is_full() && f64::from(closer) < pixels.scale[0].round() {
                *pixels = timed(&mut times.decode, || picture.decode(closer))?;
            }
            let mut found = timed(&mut times.detect, || detect_tiles(&self.models, pixels, across))?;
            // What is legible is not read again: the surer of two reads is the luckier one, too.
            found.retain(|d| !read.iter().any(|s| s.reading.confidence >= LEGIBLE && same_place(s, &d.corners)));
            let more = self.read_found(picture, pixels, found, true, times)?;
            add(read, more);
        }
        for degrees in TURNS {
            if legible(read) {
                break;
            }
            let Some((mut turned, back)) = pixels.turned(degrees)? else { continue };
            let found = timed(&mut times.detect, || detect(&self.models, &turned, None))?;
            let mut more = self.read_found(picture, &mut turned, found, true, times)?;
            for s in &mut more {
                s.reading.corners = s.reading.corners.map(|p| project(&back, p));
            }
            add(read, more);
        }
        Ok(())
    }

    /// Reads what was found, at the picture's full size where the reduced one gives no sure read;
    /// `closer`: in a picture looked at again, where nothing is left untried.
    fn read_found(
        &self,
        picture: &Picture<'_>,
        pixels: &mut Pixels,
        found: Vec<Detection>,
        closer: bool,
        times: &mut Times,
    ) -> Result<Vec<Scored>, LprError> {
        let mut plates = Vec::with_capacity(found.len());
        for mut d in found {
            let finer = [8, 4, 2].into_iter().find(|r| d.corners.width() / f64::from(*r) >= READ_WIDTH).unwrap_or(1);
            if !pixels.is_full() && f64::from(finer) < pixels.scale[0].round() && !d.is_weak(&self.models) {
                *pixels = timed(&mut times.decode, || picture.decode(finer))?;
            }
            let mut best = timed(&mut times.recognise, || self.read_plate(pixels, &mut d))?;
            // Nothing legible where hardly anything was found is not worth more.
            let worth = best.is_some() || !d.is_weak(&self.models);
            if worth && !pixels.is_full() && !best.as_ref().is_some_and(sure) {
                *pixels = timed(&mut times.decode, || picture.decode(1))?;
                let full = timed(&mut times.recognise, || self.read_plate(pixels, &mut d))?;
                best = better(best, full);
            }
            if closer && worth && !best.as_ref().is_some_and(sure) {
                best = timed(&mut times.recognise, || leaning(&self.models, &self.model, pixels, best, &d))?;
            }
            let settled = if self.second_look == SecondLook::Never { SETTLED_IN_LANE } else { SETTLED };
            if let Some(unsettled) = best.take_if(|s| s.reading.confidence < settled) {
                best = Some(timed(&mut times.recognise, || settle(&self.models, pixels, unsettled))?);
            }
            let believed = |s: &Scored| {
                let mean = s.reading.characters.iter().map(|c| c.confidence).sum::<f64>() / s.reading.characters.len().max(1) as f64;
                let read = mean >= FOUND_MEAN && s.reading.confidence >= FOUND_LEAST;
                read && (!d.is_weak(&self.models) || s.reading.confidence >= WEAK_CONFIDENCE)
            };
            plates.extend(best.filter(believed));
        }
        Ok(plates)
    }

    /// Reads one plate; where it was seen small or the read is not sure, looks again from closer for its
    /// corners, which then stand in `found`.
    fn read_plate(&self, pixels: &Pixels, found: &mut Detection) -> Result<Option<Scored>, LprError> {
        let mut lost = false;
        if found.is_coarse() {
            // Cut by such corners a plate may be read surely and wrong.
            match detect_closer(&self.models, pixels, found)? {
                Some(closer) => *found = closer,
                None => lost = true,
            }
        }
        let first = recognise(&self.models, &self.model, pixels, found)?;
        if lost || first.as_ref().is_some_and(sure) {
            return Ok(first);
        }
        let Some(closer) = detect_closer(&self.models, pixels, found)? else { return Ok(first) };
        *found = closer;
        Ok(better(first, recognise(&self.models, &self.model, pixels, found)?))
    }

    /// Reads a picture that is one plate from edge to edge.
    ///
    /// # Errors
    /// As [`Self::read_picture`].
    pub fn read_crop(&self, bytes: &[u8]) -> Result<Vec<PlateReading>, LprError> {
        let picture = Picture::new(bytes)?;
        let shape = &self.models.recogniser_shape;
        let (w, h) = picture.size();
        let pixels = picture.decode(picture.reduction_for(2 * shape.width as u32, 2 * shape.height as u32))?;
        let (w, h) = (f64::from(w), f64::from(h));
        let whole = Quad::upright(0.0, 0.0, w, h);
        let aspect = w / h;
        let possible = |two_line: bool| if two_line { aspect <= TWO_LINE_ASPECT_MAX } else { aspect >= ONE_LINE_ASPECT_MIN };
        let mut best = None;
        for two_line in [false, true].into_iter().filter(|l| possible(*l)) {
            best = better(best, read_at(&self.models, &self.model, &pixels, &whole, two_line, 1.0)?);
        }
        // The layout that reads better so far, then the other one: a doubled character that ran into one leaves a
        // plate unread in its own layout, and what the other layout makes of it would stand in its place.
        let likelier = best.as_ref().map_or(aspect < ONE_LINE_ASPECT_MIN, |s| is_two_line(s.reading.kind));
        for two_line in [likelier, !likelier].into_iter().filter(|l| possible(*l)) {
            if !best.as_ref().is_some_and(sure) {
                for quad in cuts(&whole, &VARIANTS) {
                    best = better(best, read_at(&self.models, &self.model, &pixels, &quad, two_line, 1.0)?);
                }
            }
        }
        // The best of many looks is sure by chance now and then: those beside it must say the same.
        if let Some(unsettled) = best.take_if(|s| s.reading.confidence < SETTLED) {
            best = Some(settle(&self.models, &pixels, unsettled)?);
        }
        Ok(best.map(|s| s.reading).into_iter().collect())
    }
}

/// Whether some plate was read at least legibly.
fn legible(read: &[Scored]) -> bool {
    read.iter().any(|s| s.reading.confidence >= LEGIBLE)
}

/// Adds plates that were not read yet, or not as surely. Two reads of one plate that differ take
/// each other's confidence away.
fn add(read: &mut Vec<Scored>, more: Vec<Scored>) {
    for mut new in more {
        match read.iter_mut().find(|s| same_place(s, &Quad(new.reading.corners))) {
            Some(old) => {
                let (own, other) = (new.reading.confidence, old.reading.confidence);
                let differ = new.reading.text != old.reading.text;
                if own > other {
                    std::mem::swap(old, &mut new);
                }
                if differ {
                    let share = own.max(other) / (own + other).max(f64::MIN_POSITIVE);
                    old.reading.limit(share);
                }
            }
            None if new.reading.confidence >= CLOSER_CONFIDENCE => read.push(new),
            None => {}
        }
    }
}

fn same_place(read: &Scored, corners: &Quad) -> bool {
    Quad(read.reading.corners).bounds().same_as(&corners.bounds())
}

/// A lane's zone with its margin, within the frame; the whole where it is none.
fn widened(zone: &[f64; 4]) -> [f64; 4] {
    let edge = |v: f64| v.clamp(0.0, 1.0);
    let [left, top, right, bottom] = *zone;
    let wide = [edge(left - ZONE_MARGIN), edge(top - ZONE_MARGIN), edge(right + ZONE_MARGIN), edge(bottom + ZONE_MARGIN)];
    if right > left && bottom > top && wide.iter().all(|v| v.is_finite()) {
        wide
    } else {
        WHOLE
    }
}

/// The zone in pixels.
fn part(pixels: &Pixels, zone: &[f64; 4]) -> Rect {
    let at = |share: f64, side: i32| (share * f64::from(side)) as i32;
    let (w, h) = (pixels.width(), pixels.height());
    let (x, y) = (at(zone[0], w).min(w - 1), at(zone[1], h).min(h - 1));
    Rect::new(x, y, (at(zone[2], w) - x).clamp(1, w - x), (at(zone[3], h) - y).clamp(1, h - y))
}

fn sure(read: &Scored) -> bool {
    read.reading.confidence >= SURE
}

fn timed<T>(sum: &mut Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = f();
    *sum += start.elapsed();
    out
}

//! A picture in, its plates out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::decode::{Picture, Pixels};
use crate::detect::{detect, detect_closer, detect_tiles, fitted, Detection};
use crate::error::LprError;
use crate::geometry::{project, unit_to_quad, Quad};
use crate::grammar::is_two_line;
use crate::models::Models;
use crate::reading::PlateReading;
use crate::recognise::{better, read_at, recognise, Scored};
use crate::telemetry;

/// A read at least this sure needs no closer look.
const SURE: f64 = 0.9;
/// A place the detector hardly believes in is a plate if it is read at least this surely.
const WEAK_CONFIDENCE: f64 = 0.6;
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
/// The confidence of a read that only one of many looks gave, at most.
const UNSUPPORTED_MAX: f64 = 0.8;
/// A whole picture of these proportions (width to height) may be a plate of two lines.
const TWO_LINE_ASPECT_MAX: f64 = 2.4;
/// A whole picture of these proportions may be a plate of one line.
const ONE_LINE_ASPECT_MIN: f64 = 1.7;

/// A picture with a longer side, in pixels, may hold plates too small to leave a trace at first.
const LARGE_PX: u32 = 2_400;

/// How thoroughly a picture in which nothing was found at first is looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondLook {
    /// Not at all: a lane's camera, where plates at the barrier are large and most frames empty.
    #[default]
    Never,
    /// Closer, tile by tile, where something hints at a plate or the picture is large: single
    /// pictures.
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
        let mut times = Times::default();
        let shape = &self.models.detector_shape;
        let picture = Picture::new(bytes)?;
        let (w, h) = picture.size();
        let (fitted_w, fitted_h) = fitted(shape, f64::from(w), f64::from(h));
        let reduction = picture.reduction_for(fitted_w, fitted_h);
        let mut pixels = timed(&mut times.decode, || picture.decode(reduction))?;

        let found = timed(&mut times.detect, || detect(&self.models, &pixels, None))?;
        let hint = !found.is_empty() || w.max(h) > LARGE_PX;
        let mut plates = self.read_found(&picture, &mut pixels, found, &mut times)?;
        if plates.is_empty() && hint && self.second_look == SecondLook::Tiles && w.max(h) > fitted_w.max(fitted_h) {
            let closer = picture.reduction_for(2 * fitted_w, 2 * fitted_h);
            if closer < reduction && !pixels.is_full() {
                pixels = timed(&mut times.decode, || picture.decode(closer))?;
            }
            let found = timed(&mut times.detect, || detect_tiles(&self.models, &pixels))?;
            plates = self.read_found(&picture, &mut pixels, found, &mut times)?;
        }
        plates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));

        telemetry::stage("decode", times.decode);
        telemetry::stage("detect", times.detect);
        if times.recognise > Duration::ZERO {
            telemetry::stage("recognise", times.recognise);
        }
        Ok(PictureReading { plates, size: picture.size(), times })
    }

    /// Reads what was found, at the picture's full size where the reduced one gives no sure read.
    fn read_found(
        &self,
        picture: &Picture<'_>,
        pixels: &mut Pixels,
        found: Vec<Detection>,
        times: &mut Times,
    ) -> Result<Vec<PlateReading>, LprError> {
        let mut plates = Vec::with_capacity(found.len());
        for mut d in found {
            let mut best = timed(&mut times.recognise, || self.read_plate(pixels, &mut d))?;
            // Nothing legible where hardly anything was found is not worth more.
            let worth = best.is_some() || !d.is_weak(&self.models);
            if worth && !pixels.is_full() && !best.as_ref().is_some_and(sure) {
                *pixels = timed(&mut times.decode, || picture.decode(1))?;
                let full = timed(&mut times.recognise, || self.read_plate(pixels, &mut d))?;
                best = better(best, full);
            }
            let believed = |s: &Scored| !d.is_weak(&self.models) || s.reading.confidence >= WEAK_CONFIDENCE;
            plates.extend(best.filter(believed).map(|s| s.reading));
        }
        Ok(plates)
    }

    /// Reads one plate; where the read is not sure, looks again from closer for its corners, which
    /// then stand in `found`.
    fn read_plate(&self, pixels: &Pixels, found: &mut Detection) -> Result<Option<Scored>, LprError> {
        let first = recognise(&self.models, &self.model, pixels, found)?;
        if first.as_ref().is_some_and(sure) {
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
        let mut best = None;
        for (two_line, possible) in [(false, aspect >= ONE_LINE_ASPECT_MIN), (true, aspect <= TWO_LINE_ASPECT_MAX)] {
            if possible {
                best = better(best, read_at(&self.models, &self.model, &pixels, &whole, two_line, 1.0)?);
            }
        }
        if let (false, Some(to_picture)) = (best.as_ref().is_some_and(sure), unit_to_quad(&whole)) {
            let two_line = best.as_ref().map_or(aspect < ONE_LINE_ASPECT_MIN, |s| is_two_line(s.reading.kind));
            let mut texts: Vec<String> = best.iter().map(|s| s.reading.text.clone()).collect();
            for variant in VARIANTS {
                let quad = Quad(variant).map(|p| project(&to_picture, p));
                let read = read_at(&self.models, &self.model, &pixels, &quad, two_line, 1.0)?;
                texts.extend(read.iter().map(|s| s.reading.text.clone()));
                best = better(best, read);
            }
            // The best of many looks is sure by chance now and then: another one must say the same.
            if let Some(s) = best.as_mut().filter(|s| texts.iter().filter(|t| **t == s.reading.text).count() < 2) {
                s.reading.confidence = s.reading.confidence.min(UNSUPPORTED_MAX);
                s.reading.characters.iter_mut().for_each(|c| c.confidence = c.confidence.min(UNSUPPORTED_MAX));
            }
        }
        Ok(best.map(|s| s.reading).into_iter().collect())
    }
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

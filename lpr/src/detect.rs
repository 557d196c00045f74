//! Finds plates: where they are, by their four corners, and whether they carry one line or two.

use opencv::core::{Mat, MatTraitConst, Rect, Size, ToInputArray};
use opencv::imgproc::{resize, INTER_AREA, INTER_LINEAR};

use crate::decode::Pixels;
use crate::error::LprError;
use crate::geometry::Quad;
use crate::models::{DetectorShape, Models};
use crate::rectify::fill;

/// At most so many plates are taken from one frame.
pub const PLATES_MAX: usize = 8;
/// Down to this share of the threshold a place is weak: a plate only if it can be read there.
const WEAK_SHARE: f64 = 0.5;
/// At most so many weak places are taken from one frame.
const WEAK_MAX: usize = 2;
/// A closer look has found the same plate if the two overlap more than this.
const CLOSER_IOU: f64 = 0.4;
/// Corners of a plate that was seen less wide than this, in pixels of the network's input, err by more than the
/// reader was taught to bear.
const COARSE_WIDTH: f64 = 28.0;
/// What the frame does not fill.
pub(crate) const PADDING: f32 = 114.0;
/// How far a small picture is enlarged at most.
const ENLARGE_MAX: f64 = 4.0;
/// Tiles overlap by this share of their side, so that a plate lies whole in one of them.
const TILE_OVERLAP: f64 = 0.25;
/// Tiles across and down at most.
const TILES_MAX: u32 = 8;

/// A plate found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Its corners in pixels of the whole picture, in reading order.
    pub corners: Quad,
    /// How sure the detector is, 0 to 1.
    pub score: f64,
    /// Probability, given it is a plate, that it carries two lines.
    pub two_line: f64,
    /// How wide it was in the network's input, pixels.
    pub seen: f64,
}

impl Detection {
    /// Whether the detector alone would not call it a plate.
    pub(crate) fn is_weak(&self, models: &Models) -> bool {
        self.score < models.detector_shape.threshold
    }

    /// Whether its corners are not to be read by: a look from closer comes first.
    pub(crate) fn is_coarse(&self) -> bool {
        self.seen < COARSE_WIDTH
    }
}

/// Finds the plates in a picture, or in a part of it (pixels of `pixels`).
pub(crate) fn detect(models: &Models, pixels: &Pixels, part: Option<Rect>) -> Result<Vec<Detection>, LprError> {
    let shape = &models.detector_shape;
    let part = part.unwrap_or_else(|| Rect::new(0, 0, pixels.width(), pixels.height()));
    let view = Mat::roi(&pixels.mat, part)?;
    let (small, scale) = letterbox(&view, shape)?;
    let output = models.detect(|planes| draw(&small, shape, planes))?;
    let mut found = peaks(&output, shape);
    for d in &mut found {
        // From the network's input to the part, to the pixels, to the whole picture.
        d.corners = d
            .corners
            .map(|[x, y]| [(x / scale[0] + f64::from(part.x)) * pixels.scale[0], (y / scale[1] + f64::from(part.y)) * pixels.scale[1]]);
    }
    Ok(suppress(found, shape.threshold))
}

/// Looks again at one plate, with it in the middle at a good size; `None` where it is lost.
pub(crate) fn detect_closer(models: &Models, pixels: &Pixels, found: &Detection) -> Result<Option<Detection>, LprError> {
    let shape = &models.detector_shape;
    let own = found.corners.map(|[x, y]| [x / pixels.scale[0], y / pixels.scale[1]]);
    let factor = own.width().max(4.0) / shape.refine_width;
    let [x, y] = own.centre();
    let (half_w, half_h) = (shape.width as f64 * factor / 2.0, shape.height as f64 * factor / 2.0);
    let clip = |v: f64, max: i32| v.clamp(0.0, f64::from(max)) as i32;
    let (x0, x1) = (clip((x - half_w).floor(), pixels.width()), clip((x + half_w).ceil(), pixels.width()));
    let (y0, y1) = (clip((y - half_h).floor(), pixels.height()), clip((y + half_h).ceil(), pixels.height()));
    if x1 - x0 < 8 || y1 - y0 < 8 {
        return Ok(None);
    }
    let again = detect(models, pixels, Some(Rect::new(x0, y0, x1 - x0, y1 - y0)))?;
    let bounds = found.corners.bounds();
    Ok(again.into_iter().find(|d| d.corners.bounds().iou(&bounds) > CLOSER_IOU))
}

/// Looks at overlapping tiles, so many across and down: for single pictures, in which plates may be
/// small.
pub(crate) fn detect_tiles(models: &Models, pixels: &Pixels, across: u32) -> Result<Vec<Detection>, LprError> {
    let shape = &models.detector_shape;
    let mut found = Vec::new();
    for tile in tiles(pixels.width(), pixels.height(), across, shape) {
        found.extend(detect(models, pixels, Some(tile))?);
    }
    Ok(suppress(found, shape.threshold))
}

/// Tiles that cover the picture, at most so many across and down, none smaller than the input.
fn tiles(width: i32, height: i32, across: u32, shape: &DetectorShape) -> Vec<Rect> {
    let n = f64::from(across.clamp(1, TILES_MAX));
    let side = |whole: i32, least: usize| {
        let least = (least as i32).min(whole).max(1);
        ((f64::from(whole) / (n - TILE_OVERLAP * (n - 1.0))).ceil() as i32).clamp(least, whole.max(1))
    };
    let (w, h) = (side(width, shape.width), side(height, shape.height));
    let starts = |whole: i32, side: i32| {
        let step = (f64::from(side) * (1.0 - TILE_OVERLAP)).max(1.0);
        let n = (f64::from(whole - side) / step).ceil() as i32 + 1;
        (0..n).map(move |i| if n == 1 { 0 } else { (whole - side) * i / (n - 1) })
    };
    starts(height, h).flat_map(|y| starts(width, w).map(move |x| Rect::new(x, y, w, h))).collect()
}

/// Width and height of a picture scaled by one factor to fit the detector's input.
pub(crate) fn fitted(shape: &DetectorShape, w: f64, h: f64) -> (u32, u32) {
    let scale = (shape.width as f64 / w).min(shape.height as f64 / h).min(ENLARGE_MAX);
    let side = |v: f64, max: usize| ((v * scale).round() as u32).clamp(1, max as u32);
    (side(w, shape.width), side(h, shape.height))
}

/// The picture scaled by one factor to fit, and the two factors as they came out after rounding.
fn letterbox(view: &(impl MatTraitConst + ToInputArray), shape: &DetectorShape) -> Result<(Mat, [f64; 2]), LprError> {
    let (w, h) = (f64::from(view.cols()), f64::from(view.rows()));
    let (fitted_w, fitted_h) = fitted(shape, w, h);
    let size = Size::new(fitted_w as i32, fitted_h as i32);
    let mut small = Mat::default();
    // Area averaging is slow but for whole factors: those first, what is left without it.
    let factor = (w / f64::from(size.width)).min(h / f64::from(size.height)).floor();
    if factor >= 2.0 {
        let mut half = Mat::default();
        let part = Size::new((w / factor).floor() as i32, (h / factor).floor() as i32);
        let whole = Rect::new(0, 0, part.width * factor as i32, part.height * factor as i32);
        resize(&Mat::roi(view, whole)?, &mut half, part, 0.0, 0.0, INTER_AREA)?;
        resize(&half, &mut small, size, 0.0, 0.0, INTER_LINEAR)?;
    } else {
        resize(view, &mut small, size, 0.0, 0.0, INTER_LINEAR)?;
    }
    Ok((small, [f64::from(size.width) / w, f64::from(size.height) / h]))
}

/// The scaled picture at the top left of the network's input, the rest grey.
fn draw(small: &Mat, shape: &DetectorShape, planes: &mut [f32]) -> Result<(), LprError> {
    let (w, h) = (small.cols().max(0) as usize, small.rows().max(0) as usize);
    for plane in planes.chunks_exact_mut(shape.width * shape.height) {
        let (drawn, below) = plane.split_at_mut(h.min(shape.height) * shape.width);
        below.fill(PADDING);
        drawn.chunks_exact_mut(shape.width).for_each(|row| row[w.min(shape.width)..].fill(PADDING));
    }
    fill(planes, small, 0, shape.width, shape.height)
}

fn sigmoid(v: f32) -> f64 {
    1.0 / (1.0 + f64::from(-v).exp())
}

/// Cells that are plates and at least as sure as their eight neighbours, in the network's pixels.
fn peaks(output: &[f32], shape: &DetectorShape) -> Vec<Detection> {
    let (rows, columns) = (shape.height / shape.stride, shape.width / shape.stride);
    let cells = rows * columns;
    let at = |channel: usize, row: usize, column: usize| {
        output.get(channel * cells + row * columns + column).copied().unwrap_or(f32::NEG_INFINITY)
    };
    let best = |row: usize, column: usize| at(0, row, column).max(at(1, row, column));
    let least = shape.threshold * WEAK_SHARE;
    let logit_min = (least / (1.0 - least)).ln() as f32;
    let mut found = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let own = best(row, column);
            // A logit that is not a number is no plate.
            if own.is_nan() || own < logit_min {
                continue;
            }
            let around = (row.saturating_sub(1)..=(row + 1).min(rows - 1))
                .flat_map(|r| (column.saturating_sub(1)..=(column + 1).min(columns - 1)).map(move |c| (r, c)));
            if around.clone().any(|(r, c)| best(r, c) > own) {
                continue;
            }
            let corner = |i: usize| {
                let x = column as f64 + 0.5 + f64::from(at(2 + 2 * i, row, column));
                let y = row as f64 + 0.5 + f64::from(at(3 + 2 * i, row, column));
                [x * shape.stride as f64, y * shape.stride as f64]
            };
            let corners = Quad([corner(0), corner(1), corner(2), corner(3)]);
            let (one, two) = (sigmoid(at(0, row, column)), sigmoid(at(1, row, column)));
            if corners.is_convex() {
                found.push(Detection { corners, score: one.max(two), two_line: two / (one + two), seen: corners.width() });
            }
        }
    }
    found
}

/// Keeps the surest of those that are the same plate; the surest first.
fn suppress(mut found: Vec<Detection>, threshold: f64) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for d in found {
        let same = |k: &Detection| k.corners.bounds().same_as(&d.corners.bounds());
        let weak = d.score < threshold;
        let room = kept.len() < PLATES_MAX && !(weak && kept.iter().filter(|k| k.score < threshold).count() >= WEAK_MAX);
        if room && !kept.iter().any(same) {
            kept.push(d);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: DetectorShape = DetectorShape { height: 384, width: 512, stride: 8, threshold: 0.35, refine_width: 160.0 };

    /// An output with these plates: row, column, channel, logit; each 10 cells wide, 3 high.
    fn output(plates: &[(usize, usize, usize, f32)]) -> Vec<f32> {
        let (rows, columns) = (48, 64);
        let mut out = vec![0.0; 10 * rows * columns];
        out[..2 * rows * columns].fill(-8.0);
        for (row, column, channel, logit) in plates {
            let mut set = |c: usize, v: f32| out[(c * rows + row) * columns + column] = v;
            set(*channel, *logit);
            for (i, v) in [-5.0, -1.5, 5.0, -1.5, 5.0, 1.5, -5.0, 1.5].into_iter().enumerate() {
                set(2 + i, v);
            }
        }
        out
    }

    #[test]
    fn peaks_give_corners_in_pixels() {
        let found = peaks(&output(&[(20, 30, 1, 2.0)]), &SHAPE);
        assert_eq!(found.len(), 1);
        let d = found[0];
        assert_eq!(d.corners, Quad::upright(30.5 * 8.0 - 40.0, 20.5 * 8.0 - 12.0, 30.5 * 8.0 + 40.0, 20.5 * 8.0 + 12.0));
        assert!(d.score > 0.85 && d.two_line > 0.99);
    }

    #[test]
    fn neighbours_and_overlaps_are_one_plate_and_weak_ones_none() {
        let plates = [(20, 30, 0, 2.0), (20, 31, 0, 1.5), (20, 33, 0, 1.0), (40, 10, 0, 3.0), (5, 5, 0, -1.0)];
        let found = suppress(peaks(&output(&plates), &SHAPE), SHAPE.threshold);
        assert_eq!(found.len(), 3);
        assert!(found[0].score > found[1].score);
        assert!(found[2].score < SHAPE.threshold, "weak: to be read before it is believed");
        let broken = vec![f32::NAN; 10 * 48 * 64];
        assert!(peaks(&broken, &SHAPE).is_empty());
        assert!(peaks(&[], &SHAPE).is_empty());
    }

    #[test]
    fn tiles_cover_the_frame() {
        for (w, h, across) in
            [(4096, 3072, 4), (4096, 3072, 2), (1600, 1200, 2), (700, 500, 2), (300, 200, 4), (5000, 100, 4), (2047, 1, 3)]
        {
            let tiles = tiles(w, h, across, &SHAPE);
            assert!(!tiles.is_empty() && tiles.len() <= (across * across) as usize, "{w}x{h}: {}", tiles.len());
            for (x, y) in [(0, 0), (w - 1, h - 1), (w / 2, h / 2), (w - 1, 0)] {
                assert!(tiles.iter().any(|t| x >= t.x && x < t.x + t.width && y >= t.y && y < t.y + t.height));
            }
            assert!(tiles.iter().all(|t| t.x >= 0 && t.y >= 0 && t.x + t.width <= w && t.y + t.height <= h));
        }
    }
}

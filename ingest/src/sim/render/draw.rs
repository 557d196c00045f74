//! Small drawing helpers over OpenCV: colours as BGR, coordinates as pixels.

use opencv::core::{Mat, Point, Rect, Scalar, Vector};
use opencv::imgproc::{self, LINE_AA};
use opencv::prelude::*;

/// Blue, green, red.
pub(super) type Bgr = [f64; 3];

pub(super) fn scalar(c: Bgr) -> Scalar {
    Scalar::new(c[0], c[1], c[2], 0.0)
}

/// The colour made lighter or darker.
pub(super) fn shade(c: Bgr, by: f64) -> Bgr {
    c.map(|v| (v * by).clamp(0.0, 255.0))
}

/// The colour `t` of the way from `a` to `b`.
pub(super) fn mix(a: Bgr, b: Bgr, t: f64) -> Bgr {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

fn point(p: (f64, f64)) -> Point {
    Point::new(p.0.round() as i32, p.1.round() as i32)
}

pub(super) fn polygon(canvas: &mut Mat, points: &[(f64, f64)], c: Bgr) -> opencv::Result<()> {
    let points: Vector<Point> = points.iter().copied().map(point).collect();
    imgproc::fill_convex_poly(canvas, &points, scalar(c), LINE_AA, 0)
}

pub(super) fn rectangle(canvas: &mut Mat, from: (f64, f64), to: (f64, f64), c: Bgr) -> opencv::Result<()> {
    let (a, b) = (point(from), point(to));
    let rect = Rect::new(a.x.min(b.x), a.y.min(b.y), (b.x - a.x).abs().max(1), (b.y - a.y).abs().max(1));
    imgproc::rectangle(canvas, rect, scalar(c), imgproc::FILLED, imgproc::LINE_8, 0)
}

pub(super) fn line(canvas: &mut Mat, a: (f64, f64), b: (f64, f64), c: Bgr, thick: f64) -> opencv::Result<()> {
    imgproc::line(canvas, point(a), point(b), scalar(c), (thick.round() as i32).max(1), LINE_AA, 0)
}

pub(super) fn disc(canvas: &mut Mat, at: (f64, f64), radius: f64, c: Bgr) -> opencv::Result<()> {
    imgproc::circle(canvas, point(at), (radius.round() as i32).max(1), scalar(c), imgproc::FILLED, LINE_AA, 0)
}

pub(super) fn ellipse(canvas: &mut Mat, at: (f64, f64), axes: (f64, f64), c: Bgr) -> opencv::Result<()> {
    let axes = opencv::core::Size::new((axes.0.round() as i32).max(1), (axes.1.round() as i32).max(1));
    imgproc::ellipse(canvas, point(at), axes, 0.0, 0.0, 360.0, scalar(c), imgproc::FILLED, LINE_AA, 0)
}

/// A vertical gradient between two rows.
pub(super) fn gradient(canvas: &mut Mat, from: i32, to: i32, top: Bgr, bottom: Bgr) -> opencv::Result<()> {
    let width = f64::from(canvas.cols());
    for y in from.max(0)..to.min(canvas.rows()) {
        let t = f64::from(y - from) / f64::from((to - from).max(1));
        rectangle(canvas, (0.0, f64::from(y)), (width, f64::from(y + 1)), mix(top, bottom, t))?;
    }
    Ok(())
}

/// Adds sensor noise of about `amount` grey levels, the same for the same seed.
pub(super) fn noise(canvas: &mut Mat, amount: f64, seed: u64) -> opencv::Result<()> {
    let scale = (amount * 256.0 / 37.0) as i32;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for pixel in canvas.data_bytes_mut()?.chunks_exact_mut(3) {
        // xorshift64; four bytes summed are near enough to a bell curve (deviation about 148).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let sum: i32 = state.to_le_bytes().iter().take(4).map(|b| i32::from(*b)).sum::<i32>() - 510;
        let tint = i32::from(state.to_le_bytes()[5]) / 128;
        let add = sum * scale / 1024 / 4;
        for (i, v) in pixel.iter_mut().enumerate() {
            let own = if i == 1 { add } else { add + tint };
            *v = (i32::from(*v) + own).clamp(0, 255) as u8;
        }
    }
    Ok(())
}

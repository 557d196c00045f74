//! A plate, cut out by its four corners, as the recogniser wants to see it.

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Rect, Scalar, Size, ToInputArray, Vec3b, VecN, BORDER_REPLICATE};
use opencv::imgproc::{resize, warp_perspective, INTER_AREA, INTER_LINEAR, WARP_INVERSE_MAP};

use crate::decode::Pixels;
use crate::error::LprError;
use crate::geometry::{unit_to_quad, Bounds, Homography, Quad};
use crate::models::{Layout, Models, RecogniserShape, Region};

/// A source larger than the input by more than this is shrunk first, so that nothing aliases.
const SHRINK_FROM: f64 = 1.8;

/// The recogniser's input (planes of RGB) for a plate, with its sharpness.
pub(crate) struct Crop {
    pub input: Vec<f32>,
    /// Mean contrast between neighbouring pixels against the plate's whole contrast, 0 to 1: to
    /// compare pictures of one plate with.
    pub sharpness: f64,
}

/// Cuts out the plate with these corners (pixels of the whole picture).
///
/// `None` where the corners do not span a plate inside the picture.
pub(crate) fn crop(models: &Models, pixels: &Pixels, corners: &Quad, two_line: bool) -> Result<Option<Crop>, LprError> {
    let shape = &models.recogniser_shape;
    let layout = if two_line { &shape.two_line } else { &shape.one_line };
    let [sx, sy] = pixels.scale;
    let quad = corners.map(|[x, y]| [x / sx, y / sy]);
    let Some(roi) = surroundings(pixels, &quad) else { return Ok(None) };
    let view = Mat::roi(&pixels.mat, roi)?;
    let quad = quad.map(|[x, y]| [x - f64::from(roi.x), y - f64::from(roi.y)]);

    let shrink = (quad.width() / shape.width as f64).min(quad.height() / shape.height as f64);
    let input = if shrink > SHRINK_FROM {
        let side = |v: i32| ((f64::from(v) / shrink).round() as i32).max(1);
        let size = Size::new(side(roi.width), side(roi.height));
        let mut small = Mat::default();
        resize(&view, &mut small, size, 0.0, 0.0, INTER_AREA)?;
        let factor = [f64::from(size.width) / f64::from(roi.width), f64::from(size.height) / f64::from(roi.height)];
        planes(shape, layout, &small, &quad.map(|[x, y]| [x * factor[0], y * factor[1]]))?
    } else {
        planes(shape, layout, &view, &quad)?
    };
    Ok(input.map(|input| Crop { sharpness: sharpness(&input, shape.width, shape.height), input }))
}

/// The recogniser's input for the plate between these corners of a view.
fn planes(shape: &RecogniserShape, layout: &Layout, view: &impl ToInputArray, quad: &Quad) -> Result<Option<Vec<f32>>, LprError> {
    let Some(to_picture) = unit_to_quad(quad) else { return Ok(None) };
    let mut input = vec![0f32; 3 * shape.height * shape.width];
    for region in &layout.regions {
        let part = warp(view, &to_picture, region, shape.height)?;
        fill(&mut input, &part, region.left, shape.width, shape.height)?;
    }
    Ok(Some(input))
}

/// The part of the picture that the plate's regions can reach.
fn surroundings(pixels: &Pixels, quad: &Quad) -> Option<Rect> {
    let Bounds { x0, y0, x1, y1 } = quad.bounds();
    let (w, h) = (x1 - x0, y1 - y0);
    if !(quad.is_convex() && w >= 4.0 && h >= 2.0) {
        return None;
    }
    let (mx, my) = (w * 0.1 + 2.0, h * 0.15 + 2.0);
    let clip = |v: f64, max: i32| v.clamp(0.0, f64::from(max)) as i32;
    let left = clip((x0 - mx).floor(), pixels.width());
    let top = clip((y0 - my).floor(), pixels.height());
    let right = clip((x1 + mx).ceil(), pixels.width());
    let bottom = clip((y1 + my).ceil(), pixels.height());
    (right - left >= 4 && bottom - top >= 2).then(|| Rect::new(left, top, right - left, bottom - top))
}

fn warp(view: &impl ToInputArray, to_picture: &Homography, region: &Region, height: usize) -> Result<Mat, LprError> {
    // From the region's pixel index to the plate's fraction: x0 + (u + 0.5) / width * (x1 - x0).
    let (dx, dy) = ((region.x[1] - region.x[0]) / region.width as f64, (region.y[1] - region.y[0]) / height as f64);
    let to_plate: Homography = [[dx, 0.0, region.x[0] + 0.5 * dx], [0.0, dy, region.y[0] + 0.5 * dy], [0.0, 0.0, 1.0]];
    let mut m = product(to_picture, &to_plate);
    // Continuous coordinates to OpenCV's, where a pixel's centre has a whole number.
    let last = m[2];
    for row in m.iter_mut().take(2) {
        for (cell, w) in row.iter_mut().zip(last) {
            *cell -= 0.5 * w;
        }
    }
    let m = Mat::from_slice_2d(&m)?;
    let mut out = Mat::default();
    let size = Size::new(region.width as i32, height as i32);
    warp_perspective(view, &mut out, &m, size, INTER_LINEAR | WARP_INVERSE_MAP, BORDER_REPLICATE, Scalar::default())?;
    Ok(out)
}

fn product(a: &Homography, b: &Homography) -> Homography {
    let mut out = [[0.0; 3]; 3];
    for (i, row) in out.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = (0..3).map(|k| a[i][k] * b[k][j]).sum();
        }
    }
    out
}

/// Writes a BGR picture into RGB planes of `width` x `height`, from column `left` on.
pub(crate) fn fill(planes: &mut [f32], part: &Mat, left: usize, width: usize, height: usize) -> Result<(), LprError> {
    let (r, rest) = planes.split_at_mut(width * height);
    let (g, b) = rest.split_at_mut(width * height);
    for y in 0..part.rows().min(height as i32) {
        let row = part.at_row::<Vec3b>(y)?;
        let from = y as usize * width + left;
        let to = (from + row.len()).min((y as usize + 1) * width);
        let planes = r[from..to].iter_mut().zip(&mut g[from..to]).zip(&mut b[from..to]);
        for (((r, g), b), VecN([pb, pg, pr])) in planes.zip(row) {
            (*r, *g, *b) = (f32::from(*pr), f32::from(*pg), f32::from(*pb));
        }
    }
    Ok(())
}

fn sharpness(planes: &[f32], width: usize, height: usize) -> f64 {
    let green = &planes[width * height..2 * width * height];
    let n = green.len() as f64;
    let mean = green.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let contrast = (green.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    let steps: f64 = green.chunks_exact(width).flat_map(|row| row.windows(2)).map(|w| f64::from(w[1] - w[0]).abs()).sum::<f64>() / n;
    (steps / (contrast + 8.0)).clamp(0.0, 1.0)
}

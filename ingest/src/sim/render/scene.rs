//! The lane behind the vehicle: sky, stacks of containers, road, kerbs, and the camera's caption.

use opencv::core::{Mat, Point, Scalar};
use opencv::imgproc;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::draw::{gradient, line, mix, polygon, rectangle, scalar, shade, Bgr};
use super::{HEIGHT_PX, WIDTH_PX};

/// What a camera's surroundings look like.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneLook {
    /// Makes the surroundings; the same seed gives the same place.
    pub seed: u64,
    /// Text burnt into the picture (ASCII).
    pub caption: String,
    /// By night, with headlights.
    pub night: bool,
    /// Light on vehicle and plate: 1 is a fair day.
    pub light: f64,
    /// Softness of the lens, pixels.
    pub blur: f64,
    /// Sensor noise, grey levels.
    pub noise: f64,
}

impl SceneLook {
    /// A fair day at the place made from `seed`.
    #[must_use]
    pub fn day(seed: u64, caption: impl Into<String>) -> Self {
        Self { seed, caption: caption.into(), night: false, light: 1.0, blur: 0.7, noise: 3.0 }
    }

    /// The same place at another hour, drawn by lot.
    #[must_use]
    pub fn varied(mut self, rng: &mut impl Rng) -> Self {
        self.night = rng.random_bool(0.15);
        self.light = rng.random_range(0.8..1.08);
        self.blur = rng.random_range(0.5..1.0);
        self.noise = rng.random_range(2.0..5.0);
        self
    }
}

/// Row of the horizon.
const HORIZON_PX: f64 = 190.0;

/// The place without a vehicle.
pub(super) fn backdrop(look: &SceneLook) -> opencv::Result<Mat> {
    let mut rng = StdRng::seed_from_u64(look.seed);
    let light = if look.night { 0.3 } else { look.light };
    let lit = |c: Bgr| shade(c, light);
    let mut canvas = Mat::new_rows_cols_with_default(HEIGHT_PX, WIDTH_PX, opencv::core::CV_8UC3, Scalar::all(0.0))?;
    let haze = rng.random_range(0.0..1.0);
    gradient(
        &mut canvas,
        0,
        HORIZON_PX as i32 + 1,
        lit(mix([215.0, 180.0, 140.0], [200.0, 198.0, 192.0], haze)),
        lit([225.0, 222.0, 214.0]),
    )?;
    stacks(&mut canvas, &mut rng, light)?;
    gradient(&mut canvas, HORIZON_PX as i32, HEIGHT_PX, lit([128.0, 130.0, 130.0]), lit([88.0, 90.0, 92.0]))?;
    road(&mut canvas, light)?;
    Ok(canvas)
}

/// Containers and a gantry crane on the horizon.
fn stacks(canvas: &mut Mat, rng: &mut StdRng, light: f64) -> opencv::Result<()> {
    const COLOURS: [Bgr; 5] = [[60.0, 60.0, 150.0], [140.0, 90.0, 40.0], [70.0, 120.0, 70.0], [60.0, 130.0, 190.0], [150.0, 150.0, 150.0]];
    let crane = rng.random_range(100.0..1100.0);
    let steel = shade([150.0, 110.0, 70.0], light);
    for leg in [0.0, 90.0] {
        line(canvas, (crane + leg, 40.0), (crane + leg, HORIZON_PX), steel, 5.0)?;
    }
    line(canvas, (crane - 60.0, 44.0), (crane + 170.0, 44.0), steel, 6.0)?;
    let mut x = -20.0;
    while x < f64::from(WIDTH_PX) {
        let tiers = rng.random_range(1..4);
        for tier in 0..tiers {
            let colour = COLOURS.get(rng.random_range(0..COLOURS.len())).copied().unwrap_or([90.0; 3]);
            let y = HORIZON_PX - 26.0 * f64::from(tier);
            rectangle(canvas, (x, y - 25.0), (x + 62.0, y), shade(colour, light))?;
        }
        x += 66.0 + if rng.random_bool(0.2) { 70.0 } else { 0.0 };
    }
    Ok(())
}

/// The lane with its marks, the islands at both sides and their posts.
fn road(canvas: &mut Mat, light: f64) -> opencv::Result<()> {
    let lit = |c: Bgr| shade(c, light);
    let (w, h) = (f64::from(WIDTH_PX), f64::from(HEIGHT_PX));
    polygon(canvas, &[(590.0, HORIZON_PX), (690.0, HORIZON_PX), (w + 60.0, h), (-60.0, h)], lit([98.0, 99.0, 102.0]))?;
    for side in [-1.0, 1.0] {
        let at = |far: f64, near: f64, y: f64| {
            let t = (y - HORIZON_PX) / (h - HORIZON_PX);
            (640.0 + side * (far + (near - far) * t), y)
        };
        let edge = [at(46.0, 640.0, HORIZON_PX), at(49.0, 665.0, HORIZON_PX), at(49.0, 665.0, h), at(46.0, 640.0, h)];
        polygon(canvas, &edge, lit([225.0, 228.0, 230.0]))?;
        let island = [at(56.0, 720.0, HORIZON_PX), at(150.0, 1200.0, HORIZON_PX), at(150.0, 1200.0, h), at(56.0, 720.0, h)];
        polygon(canvas, &island, lit([150.0, 152.0, 150.0]))?;
        for y in [235.0, 300.0, 400.0] {
            let foot = at(64.0, 760.0, y);
            let tall = (y - HORIZON_PX) * 0.9 + 14.0;
            let wide = tall * 0.14;
            for band in 0..4 {
                let colour = if band % 2 == 0 { [40.0, 190.0, 235.0] } else { [30.0, 30.0, 30.0] };
                let top = foot.1 - tall * f64::from(band + 1) / 4.0;
                let low = foot.1 - tall * f64::from(band) / 4.0;
                rectangle(canvas, (foot.0 - wide, top), (foot.0 + wide, low), lit(colour))?;
            }
        }
    }
    Ok(())
}

/// The camera's caption.
pub(super) fn caption(canvas: &mut Mat, look: &SceneLook) -> opencv::Result<()> {
    imgproc::put_text(
        canvas,
        &look.caption,
        Point::new(24, 40),
        imgproc::FONT_HERSHEY_SIMPLEX,
        0.8,
        scalar([240.0, 240.0, 240.0]),
        2,
        imgproc::LINE_AA,
        false,
    )
}

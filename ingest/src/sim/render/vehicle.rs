//! The vehicle itself: cab or car front, or a trailer's rear, and where its plate hangs.

use opencv::core::Mat;
use portgate_core::plate::PlateKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::draw::{disc, ellipse, line, polygon, rectangle, shade, Bgr};
use super::plate::size_mm;
use super::Corners;

/// Shape of a vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Tractor with a tipper or a tarpaulin behind.
    Truck,
    /// Tractor with a container behind.
    ContainerTruck,
    /// Passenger car.
    Car,
    /// Van or minibus.
    Van,
    /// A trailer from behind (two-line plate).
    TrailerRear,
}

/// What a vehicle looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct VehicleLook {
    /// Shape.
    pub body: Body,
    /// Text of its plate, in the records' form.
    pub plate: String,
    /// Layout and colours of its plate.
    pub plate_kind: PlateKind,
    /// How dirty the plate is, 0 to 1.
    pub dirt: f64,
    /// Makes its looks: the paint by the upper bits, place in the lane and tilt by all of them.
    pub seed: u64,
}

/// Where it stands in the picture.
pub(super) struct Pose {
    /// Centre, pixels from the left.
    x: f64,
    /// Where the tyres touch the road, pixels from the top.
    ground: f64,
    /// Pixels a metre at the vehicle's front.
    scale: f64,
    /// Turn to the side: relative difference of the plate's left and right height.
    yaw: f64,
    /// Tilt, radians.
    roll: f64,
}

impl Pose {
    /// At `progress` of the approach, 0 far, 1 at the barrier.
    pub(super) fn at(look: &VehicleLook, progress: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(look.seed);
        let t = progress.clamp(0.0, 1.0);
        let (far, near) = match look.body {
            Body::Truck | Body::ContainerTruck | Body::TrailerRear => (165.0, 330.0),
            Body::Car | Body::Van => (190.0, 390.0),
        };
        let drift = rng.random_range(-60.0..60.0);
        // Nearer vehicles grow faster: interpolate in distance, not in size.
        let scale = 1.0 / ((1.0 - t) / far + t / near);
        let share = (scale - far) / (near - far);
        Self {
            x: 640.0 + drift * (0.4 + 0.6 * share) + rng.random_range(-1.5..1.5) * (1.0 - t),
            ground: 470.0 + 225.0 * share,
            scale,
            yaw: rng.random_range(-0.07..0.07),
            roll: rng.random_range(-0.03..0.03),
        }
    }

    /// Metres right of the centre and above the road, as pixels.
    fn px(&self, x_m: f64, up_m: f64) -> (f64, f64) {
        (self.x + x_m * self.scale, self.ground - up_m * self.scale)
    }

    /// The plate's corners: top left, top right, bottom right, bottom left.
    pub(super) fn plate_corners(&self, look: &VehicleLook) -> Corners {
        let (w_mm, h_mm) = size_mm(look.plate_kind);
        // A camera looks down a little: what is upright appears shortened.
        let (half_w, half_h) = (w_mm / 2000.0 * self.scale, h_mm / 2000.0 * self.scale * 0.94);
        let (cx, cy) = self.px(0.0, plate_height_m(look.body));
        let (sin, cos) = self.roll.sin_cos();
        let corner = |sx: f64, sy: f64| {
            let tall = half_h * (1.0 + self.yaw * sx);
            let (x, y) = (sx * half_w * (1.0 - self.yaw.abs()), sy * tall);
            [cx + x * cos - y * sin, cy + x * sin + y * cos]
        };
        [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)]
    }
}

fn plate_height_m(body: Body) -> f64 {
    match body {
        Body::Truck | Body::ContainerTruck => 0.62,
        Body::Car => 0.47,
        Body::Van => 0.55,
        Body::TrailerRear => 0.85,
    }
}

/// A filled box, in metres right of the centre and above the road.
fn block(canvas: &mut Mat, pose: &Pose, x: (f64, f64), up: (f64, f64), c: Bgr) -> opencv::Result<()> {
    rectangle(canvas, pose.px(x.0, up.1), pose.px(x.1, up.0), c)
}

/// A filled trapezium: half widths below and above.
fn taper(canvas: &mut Mat, pose: &Pose, half: (f64, f64), up: (f64, f64), c: Bgr) -> opencv::Result<()> {
    let points = [pose.px(-half.0, up.0), pose.px(half.0, up.0), pose.px(half.1, up.1), pose.px(-half.1, up.1)];
    polygon(canvas, &points, c)
}

pub(super) fn draw(canvas: &mut Mat, look: &VehicleLook, pose: &Pose, night: bool) -> opencv::Result<()> {
    const PAINTS: [Bgr; 8] = [
        [225.0, 225.0, 225.0],
        [40.0, 40.0, 170.0],
        [150.0, 80.0, 30.0],
        [45.0, 45.0, 48.0],
        [60.0, 150.0, 210.0],
        [165.0, 168.0, 170.0],
        [70.0, 110.0, 40.0],
        [120.0, 60.0, 70.0],
    ];
    let mut rng = StdRng::seed_from_u64(look.seed >> 8);
    let light = if night { 0.35 } else { 0.95 };
    let paint = shade(PAINTS.get(rng.random_range(0..PAINTS.len())).copied().unwrap_or([200.0; 3]), light);
    ellipse(canvas, (pose.x, pose.ground), (1.45 * pose.scale, 0.16 * pose.scale), shade([45.0; 3], light))?;
    match look.body {
        Body::Truck | Body::ContainerTruck => truck(canvas, look, pose, paint, light, &mut rng)?,
        Body::Car => car(canvas, pose, paint, light)?,
        Body::Van => van(canvas, pose, paint, light)?,
        Body::TrailerRear => rear(canvas, pose, paint, light)?,
    }
    let lamps = match look.body {
        Body::Truck | Body::ContainerTruck => Some((0.98, 0.82, 0.13)),
        Body::Car => Some((0.66, 0.68, 0.10)),
        Body::Van => Some((0.68, 0.82, 0.11)),
        Body::TrailerRear => None,
    };
    if let Some((x, up, radius)) = lamps {
        for side in [-1.0, 1.0] {
            headlight(canvas, pose.px(side * x, up), radius * pose.scale, night, light)?;
        }
    }
    Ok(())
}

fn headlight(canvas: &mut Mat, at: (f64, f64), radius: f64, night: bool, light: f64) -> opencv::Result<()> {
    disc(canvas, at, radius * 1.15, shade([70.0; 3], light))?;
    if night {
        for (grow, value) in [(1.6, 120.0), (1.25, 190.0), (0.9, 252.0)] {
            disc(canvas, at, radius * grow, [value * 0.9, value, value])?;
        }
        Ok(())
    } else {
        disc(canvas, at, radius, shade([205.0, 205.0, 200.0], light))?;
        disc(canvas, (at.0 - radius * 0.2, at.1 - radius * 0.2), radius * 0.45, shade([245.0; 3], light))
    }
}

fn tyres(canvas: &mut Mat, pose: &Pose, inner: f64, outer: f64, tall: f64) -> opencv::Result<()> {
    for side in [-1.0, 1.0] {
        block(canvas, pose, (side * inner, side * outer), (0.0, tall), [28.0, 27.0, 26.0])?;
    }
    Ok(())
}

fn glass(canvas: &mut Mat, pose: &Pose, half: (f64, f64), up: (f64, f64), light: f64) -> opencv::Result<()> {
    taper(canvas, pose, half, up, shade([62.0, 52.0, 44.0], light))?;
    let (low, high) = (up.0 + 0.04, up.1 - 0.04);
    let sheen = [pose.px(-half.0 * 0.7, low), pose.px(-half.0 * 0.35, low), pose.px(-half.1 * 0.1, high), pose.px(-half.1 * 0.5, high)];
    polygon(canvas, &sheen, shade([96.0, 86.0, 78.0], light))?;
    for x in [-0.45, 0.1] {
        line(canvas, pose.px(half.0 * x, up.0), pose.px(half.0 * (x + 0.45), up.0 + 0.12), [20.0; 3], 0.02 * pose.scale)?;
    }
    Ok(())
}

fn truck(canvas: &mut Mat, look: &VehicleLook, pose: &Pose, paint: Bgr, light: f64, rng: &mut StdRng) -> opencv::Result<()> {
    const BOXES: [Bgr; 4] = [[60.0, 60.0, 150.0], [140.0, 90.0, 40.0], [60.0, 120.0, 60.0], [150.0, 150.0, 155.0]];
    let load = shade(BOXES.get(rng.random_range(0..BOXES.len())).copied().unwrap_or([120.0; 3]), light);
    if look.body == Body::ContainerTruck {
        block(canvas, pose, (-1.22, 1.22), (1.3, 4.0), load)?;
        for i in 0..14 {
            let x = -1.15 + 0.18 * f64::from(i);
            line(canvas, pose.px(x, 1.3), pose.px(x, 4.0), shade(load, 0.8), 0.02 * pose.scale)?;
        }
    } else {
        block(canvas, pose, (-1.24, 1.24), (1.1, 3.25), shade(load, 0.8))?;
    }
    tyres(canvas, pose, 0.85, 1.22, 0.9)?;
    block(canvas, pose, (-1.25, 1.25), (0.95, 2.95), paint)?;
    taper(canvas, pose, (1.25, 1.12), (2.95, 3.15), shade(paint, 0.85))?;
    block(canvas, pose, (-1.25, 1.25), (0.34, 0.98), shade(paint, 0.62))?;
    block(canvas, pose, (-1.0, 1.0), (0.34, 0.48), [35.0, 34.0, 33.0])?;
    block(canvas, pose, (-0.92, 0.92), (1.05, 1.72), shade([52.0, 50.0, 48.0], light))?;
    for i in 0..5 {
        let up = 1.12 + 0.13 * f64::from(i);
        block(canvas, pose, (-0.88, 0.88), (up, up + 0.045), shade([150.0, 148.0, 145.0], light))?;
    }
    disc(canvas, pose.px(0.0, 1.62), 0.09 * pose.scale, shade([190.0, 190.0, 195.0], light))?;
    glass(canvas, pose, (1.12, 1.05), (1.85, 2.75), light)?;
    for side in [-1.0, 1.0] {
        block(canvas, pose, (side * 1.3, side * 1.48), (1.9, 2.6), [30.0, 30.0, 30.0])?;
        block(canvas, pose, (side * 0.75, side * 0.95), (3.0, 3.06), shade([40.0, 150.0, 240.0], light))?;
    }
    Ok(())
}

fn car(canvas: &mut Mat, pose: &Pose, paint: Bgr, light: f64) -> opencv::Result<()> {
    tyres(canvas, pose, 0.62, 0.9, 0.5)?;
    taper(canvas, pose, (0.72, 0.58), (0.98, 1.46), shade(paint, 0.9))?;
    glass(canvas, pose, (0.70, 0.55), (1.0, 1.42), light)?;
    taper(canvas, pose, (0.92, 0.74), (0.74, 1.0), paint)?;
    block(canvas, pose, (-0.93, 0.93), (0.24, 0.76), shade(paint, 0.9))?;
    block(canvas, pose, (-0.45, 0.45), (0.6, 0.76), [40.0, 38.0, 36.0])?;
    for up in [0.64, 0.7] {
        line(canvas, pose.px(-0.44, up), pose.px(0.44, up), shade([170.0; 3], light), 0.015 * pose.scale)?;
    }
    disc(canvas, pose.px(0.0, 0.69), 0.05 * pose.scale, shade([200.0, 200.0, 205.0], light))?;
    block(canvas, pose, (-0.7, 0.7), (0.24, 0.36), [38.0, 36.0, 35.0])?;
    for side in [-1.0, 1.0] {
        block(canvas, pose, (side * 0.88, side * 1.04), (1.0, 1.12), shade(paint, 0.8))?;
    }
    Ok(())
}

fn van(canvas: &mut Mat, pose: &Pose, paint: Bgr, light: f64) -> opencv::Result<()> {
    tyres(canvas, pose, 0.62, 0.92, 0.55)?;
    block(canvas, pose, (-0.95, 0.95), (0.3, 1.2), paint)?;
    taper(canvas, pose, (0.95, 0.82), (1.2, 2.2), paint)?;
    glass(canvas, pose, (0.86, 0.76), (1.22, 1.98), light)?;
    block(canvas, pose, (-0.5, 0.5), (0.74, 0.98), [48.0, 46.0, 44.0])?;
    for up in [0.8, 0.86, 0.92] {
        line(canvas, pose.px(-0.48, up), pose.px(0.48, up), shade([160.0; 3], light), 0.015 * pose.scale)?;
    }
    block(canvas, pose, (-0.95, 0.95), (0.28, 0.7), shade(paint, 0.72))?;
    for side in [-1.0, 1.0] {
        block(canvas, pose, (side * 0.96, side * 1.12), (1.3, 1.6), [35.0; 3])?;
    }
    Ok(())
}

fn rear(canvas: &mut Mat, pose: &Pose, paint: Bgr, light: f64) -> opencv::Result<()> {
    tyres(canvas, pose, 0.6, 1.2, 1.0)?;
    block(canvas, pose, (-1.25, 1.25), (1.15, 4.0), paint)?;
    for x in [-1.2, -0.6, 0.0, 0.6, 1.2] {
        line(canvas, pose.px(x, 1.15), pose.px(x, 4.0), shade(paint, 0.7), 0.03 * pose.scale)?;
    }
    block(canvas, pose, (-1.25, 1.25), (0.62, 1.12), [48.0, 46.0, 45.0])?;
    for i in 0..10 {
        let x = -1.25 + 0.25 * f64::from(i);
        let colour = if i % 2 == 0 { [40.0, 40.0, 200.0] } else { [230.0, 230.0, 230.0] };
        block(canvas, pose, (x, x + 0.25), (0.5, 0.6), shade(colour, light))?;
    }
    for side in [-1.0, 1.0] {
        block(canvas, pose, (side * 0.85, side * 1.2), (0.78, 0.98), shade([40.0, 40.0, 190.0], light.max(0.6)))?;
    }
    Ok(())
}

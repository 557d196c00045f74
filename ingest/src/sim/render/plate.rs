//! The plate seen straight on: texts, layouts and colours of GA 36-2018 (millimetres).

use opencv::core::{Mat, Vec3b};
use opencv::imgcodecs;
use opencv::prelude::*;
use portgate_core::plate::PlateKind;
use rand::seq::IndexedRandom;
use rand::Rng;

use super::draw::{mix, Bgr};
use super::RenderError;

/// Provinces, municipalities and regions.
pub const PROVINCES: &str = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新";
/// Letters a serial may carry: neither I nor O.
const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ";
const ATLAS: &[u8] = include_bytes!("../../../assets/glyphs.png");
const ATLAS_CHARACTERS: &str =
    "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ挂学警港澳使领";
const CELL_W: usize = 90;
const CELL_H: usize = 180;
const ATLAS_COLUMNS: usize = 16;
/// Pixels a millimetre of the flat plate.
const PX_PER_MM: f64 = 2.0;

/// One character's cell, millimetres.
struct Slot {
    char: char,
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    red: bool,
}

/// Draws flat plates.
#[derive(Debug)]
pub struct PlateArt {
    /// Ink of each character, row by row, 0 to 255.
    glyphs: Vec<(char, Vec<u8>)>,
}

impl PlateArt {
    /// Unpacks the atlas.
    ///
    /// # Errors
    /// [`RenderError::OpenCv`].
    pub fn new() -> Result<Self, RenderError> {
        let atlas = imgcodecs::imdecode(&Mat::from_slice(ATLAS)?, imgcodecs::IMREAD_GRAYSCALE)?;
        let (bytes, stride) = (atlas.data_bytes()?, usize::try_from(atlas.cols()).unwrap_or(0));
        let glyphs = ATLAS_CHARACTERS
            .chars()
            .enumerate()
            .map(|(i, char)| {
                let (x, y) = (i % ATLAS_COLUMNS * CELL_W, i / ATLAS_COLUMNS * CELL_H);
                let rows = (y..y + CELL_H).filter_map(|row| bytes.get(row * stride + x..row * stride + x + CELL_W));
                (char, rows.flatten().copied().collect())
            })
            .collect();
        Ok(Self { glyphs })
    }

    fn glyph(&self, char: char) -> Result<&[u8], RenderError> {
        self.glyphs.iter().find(|(c, _)| *c == char).map(|(_, ink)| ink.as_slice()).ok_or(RenderError::NoGlyph(char))
    }

    /// The flat plate at two pixels a millimetre, BGR. `dirt` from 0 (clean) to 1.
    ///
    /// # Errors
    /// [`RenderError::NoGlyph`] for a character that no plate carries.
    pub fn draw(&self, kind: PlateKind, text: &str, dirt: f64, seed: u64) -> Result<Mat, RenderError> {
        let (w_mm, h_mm) = size_mm(kind);
        let (w, h) = ((w_mm * PX_PER_MM) as i32, (h_mm * PX_PER_MM) as i32);
        let mut pixels = Pixels { w, h, data: Vec::with_capacity((w * h) as usize) };
        let (_, ink) = colours(kind);
        for y in 0..h {
            for x in 0..w {
                let (u, v) = (f64::from(x) / f64::from(w), f64::from(y) / f64::from(h));
                pixels.data.push(grime(background(kind, u, v), u, v, dirt, seed));
            }
        }
        pixels.border(ink);
        if let Some((x, y)) = dot_mm(kind, text) {
            let (radius, colour) = match kind {
                PlateKind::GreenSmall | PlateKind::GreenLarge => (11.0, [90.0, 120.0, 40.0]),
                _ => (5.0, ink),
            };
            pixels.disc(x, y, radius, colour);
        }
        for bolt in [0.2, 0.8] {
            pixels.disc(w_mm * bolt, 10.0, 4.5, [150.0, 155.0, 160.0]);
            pixels.disc(w_mm * bolt, h_mm - 10.0, 4.5, [150.0, 155.0, 160.0]);
        }
        for slot in slots(kind, text) {
            let colour = if slot.red { [40.0, 30.0, 200.0] } else { ink };
            pixels.glyph(self.glyph(slot.char)?, &slot, grime(colour, slot.x / w_mm, 0.5, dirt * 0.5, seed));
        }
        pixels.into_mat()
    }
}

/// A picture being drawn.
struct Pixels {
    w: i32,
    h: i32,
    data: Vec<Bgr>,
}

impl Pixels {
    fn blend(&mut self, x: i32, y: i32, c: Bgr, alpha: f64) {
        if x < 0 || y < 0 || x >= self.w || y >= self.h {
            return;
        }
        if let Some(p) = self.data.get_mut((y * self.w + x) as usize) {
            *p = mix(*p, c, alpha);
        }
    }

    fn border(&mut self, c: Bgr) {
        let (inset, thick) = (6, 5);
        for y in 0..self.h {
            for x in 0..self.w {
                let d = x.min(y).min(self.w - 1 - x).min(self.h - 1 - y);
                if (inset..inset + thick).contains(&d) {
                    self.blend(x, y, c, 0.9);
                }
            }
        }
    }

    fn disc(&mut self, x_mm: f64, y_mm: f64, radius_mm: f64, c: Bgr) {
        let (cx, cy, r) = (x_mm * PX_PER_MM, y_mm * PX_PER_MM, radius_mm * PX_PER_MM);
        for y in (cy - r) as i32 - 1..=(cy + r) as i32 + 1 {
            for x in (cx - r) as i32 - 1..=(cx + r) as i32 + 1 {
                let d = (f64::from(x) - cx).hypot(f64::from(y) - cy);
                self.blend(x, y, c, (r - d).clamp(0.0, 1.0));
            }
        }
    }

    /// Stretches the glyph over its cell, each pixel the mean of what it covers.
    fn glyph(&mut self, ink: &[u8], slot: &Slot, c: Bgr) {
        let (x0, y0) = (slot.x * PX_PER_MM, slot.y * PX_PER_MM);
        let (w, h) = ((slot.w * PX_PER_MM) as i32, (slot.h * PX_PER_MM) as i32);
        let (sx, sy) = (CELL_W as f64 / f64::from(w), CELL_H as f64 / f64::from(h));
        for y in 0..h {
            for x in 0..w {
                let (gx, gy) = ((f64::from(x) + 0.5) * sx, (f64::from(y) + 0.5) * sy);
                let at = (gy as usize).min(CELL_H - 1) * CELL_W + (gx as usize).min(CELL_W - 1);
                let alpha = f64::from(ink.get(at).copied().unwrap_or(0)) / 255.0;
                self.blend(x0 as i32 + x, y0 as i32 + y, c, alpha);
            }
        }
    }

    fn into_mat(self) -> Result<Mat, RenderError> {
        let bytes: Vec<Vec3b> = self.data.iter().map(|c| Vec3b::from(c.map(|v| v.clamp(0.0, 255.0) as u8))).collect();
        let flat = Mat::from_slice(&bytes)?;
        Ok(flat.reshape(3, self.h)?.try_clone()?)
    }
}

/// Width and height of the plate, millimetres.
pub(super) fn size_mm(kind: PlateKind) -> (f64, f64) {
    match kind {
        PlateKind::YellowTwoLine => (440.0, 220.0),
        PlateKind::Agricultural => (300.0, 165.0),
        PlateKind::GreenSmall | PlateKind::GreenLarge => (480.0, 140.0),
        _ => (440.0, 140.0),
    }
}

/// Ground and ink.
fn colours(kind: PlateKind) -> (Bgr, Bgr) {
    const WHITE: Bgr = [245.0, 245.0, 245.0];
    const INK: Bgr = [22.0, 20.0, 20.0];
    match kind {
        PlateKind::Blue => ([168.0, 62.0, 8.0], WHITE),
        PlateKind::Yellow | PlateKind::YellowTwoLine | PlateKind::Learner => ([24.0, 184.0, 242.0], INK),
        PlateKind::GreenSmall => ([120.0, 200.0, 70.0], INK),
        PlateKind::GreenLarge => ([110.0, 195.0, 60.0], INK),
        PlateKind::BlackHk | PlateKind::BlackMacao | PlateKind::Embassy | PlateKind::Consular => ([22.0, 18.0, 18.0], WHITE),
        PlateKind::Police | PlateKind::Temporary => ([240.0, 240.0, 240.0], INK),
        PlateKind::Agricultural => ([60.0, 105.0, 10.0], WHITE),
    }
}

fn background(kind: PlateKind, u: f64, v: f64) -> Bgr {
    let (ground, _) = colours(kind);
    match kind {
        PlateKind::GreenSmall => mix([238.0, 248.0, 236.0], ground, v),
        PlateKind::GreenLarge if u < 0.25 => [24.0, 184.0, 242.0],
        _ => ground,
    }
}

/// Dust that gathers towards the lower edge in soft clouds.
fn grime(c: Bgr, u: f64, v: f64, dirt: f64, seed: u64) -> Bgr {
    if dirt <= 0.0 {
        return c;
    }
    let phase = (seed % 628) as f64 / 100.0;
    let cloud = ((u * 7.0 + phase).sin() + (u * 17.0 + v * 5.0 + phase * 3.0).sin() + 2.0) / 4.0;
    mix(c, [105.0, 120.0, 130.0], (dirt * 0.6 * cloud * (0.4 + 0.6 * v)).clamp(0.0, 0.8))
}

/// Centre of the separating dot, millimetres.
fn dot_mm(kind: PlateKind, text: &str) -> Option<(f64, f64)> {
    match kind {
        PlateKind::YellowTwoLine => Some((220.0, 45.0)),
        PlateKind::GreenSmall | PlateKind::GreenLarge => Some((139.0, 70.0)),
        PlateKind::Embassy => Some((if text.starts_with('使') { 248.5 } else { 191.5 }, 70.0)),
        PlateKind::Agricultural | PlateKind::Temporary => None,
        _ => Some((134.5, 70.0)),
    }
}

fn row(chars: &[char], xs: impl Iterator<Item = f64>, y: f64, w: f64, h: f64) -> Vec<Slot> {
    chars.iter().zip(xs).map(|(c, x)| Slot { char: *c, x, y, w, h, red: false }).collect()
}

fn steps(from: f64, step: f64) -> impl Iterator<Item = f64> {
    (0..16).map(move |i| from + step * f64::from(i))
}

/// The cell of each character in reading order.
fn slots(kind: PlateKind, text: &str) -> Vec<Slot> {
    let chars: Vec<char> = text.chars().collect();
    let split = |n: usize| chars.split_at(n.min(chars.len()));
    match kind {
        PlateKind::GreenSmall | PlateKind::GreenLarge => {
            let (office, serial) = split(2);
            let mut all = row(office, steps(15.5, 54.0), 25.0, 45.0, 90.0);
            all.extend(row(serial, steps(163.5, 52.0), 25.0, 43.0, 90.0));
            all
        }
        PlateKind::YellowTwoLine => {
            let (office, serial) = split(2);
            let mut all = row(office, steps(110.0, 140.0), 15.0, 80.0, 60.0);
            all.extend(row(serial, steps(27.5, 80.0), 90.0, 65.0, 110.0));
            all
        }
        PlateKind::Agricultural => {
            let (top, serial) = split(3);
            let mut all = row(top, [72.0, 140.0, 186.0].into_iter(), 12.0, 42.0, 42.0);
            all.extend(row(serial, steps(22.0, 53.0), 66.0, 44.0, 82.0));
            all
        }
        _ => {
            let gap_after = match (kind, text.starts_with('使')) {
                (PlateKind::Embassy, true) => 4,
                (PlateKind::Embassy, false) => 3,
                _ => 2,
            };
            let mut x = 15.5;
            let mut all = Vec::with_capacity(chars.len());
            for (i, c) in chars.iter().enumerate() {
                let red = kind == PlateKind::Police && *c == '警';
                all.push(Slot { char: *c, x, y: 25.0, w: 45.0, h: 90.0, red });
                x += 45.0 + if i + 1 == gap_after { 34.0 } else { 12.0 };
            }
            all
        }
    }
}

fn pick(rng: &mut impl Rng, from: &str) -> char {
    let chars: Vec<char> = from.chars().collect();
    chars.choose(rng).copied().unwrap_or('A')
}

fn digits(rng: &mut impl Rng, n: usize) -> String {
    (0..n).map(|_| char::from(b'0' + rng.random_range(0..10_u8))).collect()
}

/// Digits with at most two letters, as issued.
fn serial(rng: &mut impl Rng, n: usize) -> String {
    let mut text: Vec<char> = digits(rng, n).chars().collect();
    for _ in 0..rng.random_range(0..3) {
        let at = rng.random_range(0..n);
        if let Some(c) = text.get_mut(at) {
            *c = pick(rng, LETTERS);
        }
    }
    text.into_iter().collect()
}

/// A lawful plate text of the kind, made up. `office` fixes province and letter where the kind has
/// them (like `苏G`).
pub fn made_up_plate(kind: PlateKind, office: Option<&str>, rng: &mut impl Rng) -> String {
    let office = office.map_or_else(|| format!("{}{}", pick(rng, PROVINCES), pick(rng, LETTERS)), str::to_owned);
    let four = serial(rng, 4);
    match kind {
        PlateKind::Blue | PlateKind::Yellow | PlateKind::Temporary => office + &serial(rng, 5),
        PlateKind::YellowTwoLine => format!("{office}{four}挂"),
        PlateKind::GreenSmall => format!("{office}{}{}", pick(rng, "DF"), digits(rng, 5)),
        PlateKind::GreenLarge => format!("{office}{}{}", digits(rng, 5), pick(rng, "DF")),
        PlateKind::BlackHk => format!("粤Z{four}港"),
        PlateKind::BlackMacao => format!("粤Z{four}澳"),
        PlateKind::Embassy => format!("使{}", digits(rng, 6)),
        PlateKind::Consular => format!("{office}{}领", digits(rng, 4)),
        PlateKind::Police => format!("{office}{four}警"),
        PlateKind::Learner => format!("{office}{four}学"),
        PlateKind::Agricultural => format!("{}{}", pick(rng, PROVINCES), digits(rng, 7)),
    }
}

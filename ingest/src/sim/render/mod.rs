//! Draws what a lane camera sees: a vehicle coming nearer with a plate by GA 36-2018.
//!
//! Everything is a function of its arguments: the same look, scene and progress give the same
//! picture, so that a seed reproduces a whole demonstration. The renderer also says where the
//! plate stands, which makes its frames labelled samples ([`dump_frames`]).

mod draw;
mod dump;
mod plate;
mod scene;
mod vehicle;

pub use dump::dump_frames;
pub use plate::{made_up_plate, PlateArt};
pub use scene::SceneLook;
pub use vehicle::{Body, VehicleLook};

use opencv::core::{Mat, Point2f, Scalar, Size, Vector};
use opencv::prelude::*;
use opencv::{core, imgproc};

use crate::transcode;

/// Width of a frame, pixels.
pub const WIDTH_PX: i32 = 1280;
/// Height of a frame, pixels.
pub const HEIGHT_PX: i32 = 720;
/// Largest frame, bytes.
const FRAME_BYTES_MAX: usize = 400_000;

/// A frame could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// OpenCV failed.
    #[error("OpenCV: {0}")]
    OpenCv(#[from] opencv::Error),
    /// It could not be encoded.
    #[error("{0}")]
    Encode(#[from] transcode::TranscodeError),
    /// A character that no plate carries.
    #[error("there is no glyph for {0:?}")]
    NoGlyph(char),
    /// A dump could not be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Where the plate stands in a frame.
pub type Corners = [[f64; 2]; 4];

/// A drawn frame.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The JPEG.
    pub jpeg: Vec<u8>,
    /// The plate's corners, pixels: top left, top right, bottom right, bottom left; none: no vehicle.
    pub corners: Option<Corners>,
}

/// Draws frames; holds the glyphs. Cheap to share, safe to use from many threads.
#[derive(Debug)]
pub struct Renderer {
    art: PlateArt,
}

impl Renderer {
    /// Unpacks the glyphs.
    ///
    /// # Errors
    /// [`RenderError::OpenCv`].
    pub fn new() -> Result<Self, RenderError> {
        Ok(Self { art: PlateArt::new()? })
    }

    /// The empty lane.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn empty(&self, scene: &SceneLook) -> Result<Picture, RenderError> {
        let mut canvas = scene::backdrop(scene)?;
        self.finish(&mut canvas, scene, 0).map(|jpeg| Picture { jpeg, corners: None })
    }

    /// The vehicle at `progress` of its approach: 0 far, 1 at the barrier.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn frame(&self, look: &VehicleLook, scene: &SceneLook, progress: f64) -> Result<Picture, RenderError> {
        let mut canvas = scene::backdrop(scene)?;
        let pose = vehicle::Pose::at(look, progress);
        vehicle::draw(&mut canvas, look, &pose, scene.night)?;
        let corners = pose.plate_corners(look);
        self.place_plate(&mut canvas, look, &corners, scene)?;
        let salt = look.seed ^ (progress.clamp(0.0, 1.0) * 1e6) as u64;
        let jpeg = self.finish(&mut canvas, scene, salt)?;
        Ok(Picture { jpeg, corners: Some(corners) })
    }

    fn place_plate(&self, canvas: &mut Mat, look: &VehicleLook, corners: &Corners, scene: &SceneLook) -> Result<(), RenderError> {
        let flat = self.art.draw(look.plate_kind, &look.plate, look.dirt, look.seed)?;
        // Bring the flat plate near its size in the frame first: warping alone would alias.
        let wide = (corners[1][0] - corners[0][0]).abs().max(8.0) * 1.3;
        let ratio = wide / f64::from(flat.cols());
        let mut near = Mat::default();
        let size = Size::new((wide as i32).max(8), ((f64::from(flat.rows()) * ratio) as i32).max(4));
        imgproc::resize(&flat, &mut near, size, 0.0, 0.0, imgproc::INTER_AREA)?;
        let light = if scene.night { 0.85 } else { scene.light };
        let mut lit = Mat::default();
        near.convert_to(&mut lit, core::CV_8UC3, light, 0.0)?;
        let (w, h) = (lit.cols() as f32, lit.rows() as f32);
        let from = Vector::from_slice(&[Point2f::new(0.0, 0.0), Point2f::new(w, 0.0), Point2f::new(w, h), Point2f::new(0.0, h)]);
        let to: Vector<Point2f> = corners.iter().map(|c| Point2f::new(c[0] as f32, c[1] as f32)).collect();
        let matrix = imgproc::get_perspective_transform(&from, &to, core::DECOMP_LU)?;
        imgproc::warp_perspective(
            &lit,
            canvas,
            &matrix,
            Size::new(WIDTH_PX, HEIGHT_PX),
            imgproc::INTER_LINEAR,
            core::BORDER_TRANSPARENT,
            Scalar::default(),
        )?;
        Ok(())
    }

    /// Lens, sensor and encoder.
    fn finish(&self, canvas: &mut Mat, scene: &SceneLook, salt: u64) -> Result<Vec<u8>, RenderError> {
        let mut soft = Mat::default();
        imgproc::gaussian_blur(canvas, &mut soft, Size::new(3, 3), scene.blur, 0.0, core::BORDER_DEFAULT)?;
        draw::noise(&mut soft, scene.noise, scene.seed ^ salt)?;
        scene::caption(&mut soft, scene)?;
        Ok(transcode::encode_at(&soft, 82, FRAME_BYTES_MAX)?)
    }
}

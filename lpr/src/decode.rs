//! Pictures into pixels: JPEG and PNG through OpenCV, each only as large as it is needed.
//!
//! [`crate::sniff`] has the first word; what it lets through is decoded to 8-bit BGR, upright by
//! its EXIF orientation. A JPEG can be decoded at a half, a quarter or an eighth for little, which
//! is all that finding a plate in a large frame needs.

use opencv::core::{Mat, MatTraitConst, Rect, Scalar, Size, Vec3b, Vector, VectorToVec, BORDER_CONSTANT};
use opencv::imgcodecs::{imdecode, imencode_def, IMREAD_COLOR, IMREAD_REDUCED_COLOR_2, IMREAD_REDUCED_COLOR_4, IMREAD_REDUCED_COLOR_8};
use opencv::imgproc::{resize, warp_affine, INTER_CUBIC, INTER_LINEAR, WARP_INVERSE_MAP};

use crate::geometry::Homography;
use crate::sniff::{sniff, DecodeError, ImageFormat, ImageInfo};

/// A turned picture may have so many pixels.
const TURNED_MAX: f64 = 40e6;

/// A picture as it came, checked, not decoded yet.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    bytes: &'a [u8],
    info: ImageInfo,
}

/// Pixels of a picture, 8-bit BGR, upright.
pub struct Pixels {
    /// The pixels.
    pub mat: Mat,
    /// Pixels of the whole picture per pixel here (1: full size).
    pub scale: [f64; 2],
}

impl Pixels {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> i32 {
        self.mat.cols()
    }
    /// Rows.
    #[must_use]
    pub fn height(&self) -> i32 {
        self.mat.rows()
    }
    /// The picture turned about its centre, whole, and the map from there to the whole picture's
    /// pixels; `None` where that would be too large.
    ///
    /// It counts as a full-size picture of its own: there is no larger one of it.
    ///
    /// # Errors
    /// OpenCV's own.
    pub(crate) fn turned(&self, degrees: f64) -> Result<Option<(Self, Homography)>, opencv::Error> {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (w, h) = (f64::from(self.width()), f64::from(self.height()));
        let size = Size::new((w * cos.abs() + h * sin.abs()).ceil() as i32, (w * sin.abs() + h * cos.abs()).ceil() as i32);
        if f64::from(size.width) * f64::from(size.height) > TURNED_MAX {
            return Ok(None);
        }
        let (cx, cy) = (f64::from(size.width) / 2.0, f64::from(size.height) / 2.0);
        // From the turned picture's continuous coordinates back to this one's.
        let back = [[cos, -sin, w / 2.0 - cos * cx + sin * cy], [sin, cos, h / 2.0 - sin * cx - cos * cy]];
        // OpenCV's coordinates: a pixel's centre has a whole number.
        let shifted = back.map(|[a, b, c]| [a, b, c + 0.5 * (a + b) - 0.5]);
        let mut mat = Mat::default();
        let flags = INTER_LINEAR | WARP_INVERSE_MAP;
        warp_affine(&self.mat, &mut mat, &Mat::from_slice_2d(&shifted)?, size, flags, BORDER_CONSTANT, Scalar::all(114.0))?;
        let [sx, sy] = self.scale;
        let [first, second] = back;
        let to_whole = [first.map(|v| v * sx), second.map(|v| v * sy), [0.0, 0.0, 1.0]];
        Ok(Some((Self { mat, scale: [1.0, 1.0] }, to_whole)))
    }

    /// Whether it is the picture at its full size.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.scale == [1.0, 1.0]
    }
}

impl<'a> Picture<'a> {
    /// Checks header and skeleton.
    ///
    /// # Errors
    /// [`DecodeError`], see [`sniff`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { bytes, info: sniff(bytes)? })
    }

    /// What the header says.
    #[must_use]
    pub fn info(&self) -> ImageInfo {
        self.info
    }

    /// Width and height upright, in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.info.upright()
    }

    /// The largest cheap reduction (1, 2, 4 or 8) that leaves at least `width` x `height` pixels.
    #[must_use]
    pub fn reduction_for(&self, width: u32, height: u32) -> u32 {
        // A PNG is inflated whole either way.
        if self.info.format == ImageFormat::Png {
            return 1;
        }
        let (w, h) = self.size();
        [8, 4, 2].into_iter().find(|r| w / r >= width && h / r >= height).unwrap_or(1)
    }

    /// Decodes at a `reduction` of 1, 2, 4 or 8 (anything else: 1).
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`] where the content is broken inside.
    pub fn decode(&self, reduction: u32) -> Result<Pixels, DecodeError> {
        let flags = match reduction {
            2 => IMREAD_REDUCED_COLOR_2,
            4 => IMREAD_REDUCED_COLOR_4,
            8 => IMREAD_REDUCED_COLOR_8,
            _ => IMREAD_COLOR,
        };
        let undecodable = |e: opencv::Error| DecodeError::Undecodable(short(&e.message));
        let buffer = Mat::from_slice(self.bytes).map_err(undecodable)?;
        let mat = imdecode(&buffer, flags).map_err(undecodable)?;
        if mat.empty() || mat.typ() != <Vec3b as opencv::core::DataType>::opencv_type() {
            return Err(DecodeError::Undecodable("its compressed data is broken".into()));
        }
        let (width, height) = self.size();
        let scale = [f64::from(width) / f64::from(mat.cols()), f64::from(height) / f64::from(mat.rows())];
        // The decoder must agree with the header, up to the rounding of a reduced size.
        let wanted = f64::from(if matches!(flags, IMREAD_COLOR) { 1 } else { reduction });
        let rounding = |s: f64, side: u32| (s / wanted - 1.0).abs() <= wanted / f64::from(side).max(1.0) * 1.01;
        if !rounding(scale[0], width) || !rounding(scale[1], height) {
            return Err(DecodeError::Damaged("its header and its content differ in size"));
        }
        Ok(Pixels { mat, scale })
    }
}

impl Picture<'_> {
    /// A part of the picture (left, top, width, height, in pixels of the enlarged picture) as a JPEG
    /// of its own, `factor` times as large; for benchmarks, whose pictures must have given sizes.
    ///
    /// # Errors
    /// [`DecodeError::Undecodable`] where it cannot be decoded, or does not hold that part.
    pub fn cut(&self, factor: f64, [x, y, w, h]: [i32; 4]) -> Result<Vec<u8>, DecodeError> {
        let failed = |e: opencv::Error| DecodeError::Undecodable(short(&e.message));
        let whole = self.decode(1)?;
        let mut scaled = Mat::default();
        resize(&whole.mat, &mut scaled, Size::default(), factor, factor, INTER_CUBIC).map_err(failed)?;
        let part = Mat::roi(&scaled, Rect::new(x, y, w, h)).map_err(failed)?;
        let mut jpeg = Vector::new();
        imencode_def(".jpg", &part, &mut jpeg).map_err(failed)?;
        Ok(jpeg.to_vec())
    }
}

/// The first line of OpenCV's message, without its source path.
fn short(message: &str) -> String {
    message.lines().next().unwrap_or("").chars().take(120).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use opencv::core::{CV_16UC1, CV_8UC1, CV_8UC3, CV_8UC4};
    use opencv::imgcodecs::imencode;

    fn picture(width: i32, height: i32, typ: i32) -> Mat {
        let mut m = Mat::new_rows_cols_with_default(height, width, typ, Scalar::new(30.0, 90.0, 200.0, 255.0)).unwrap();
        // A mark in the upper left corner, to see how the picture stands.
        let mut corner = Mat::roi_mut(&mut m, opencv::core::Rect::new(0, 0, width / 4, height / 4)).unwrap();
        opencv::core::MatTrait::set_to_def(&mut corner, &Scalar::all(0.0)).unwrap();
        drop(corner);
        m
    }

    fn encoded(ext: &str, m: &Mat) -> Vec<u8> {
        let mut out = Vector::new();
        assert!(imencode_def(ext, m, &mut out).unwrap());
        out.to_vec()
    }

    /// Puts an EXIF block with this orientation behind a JPEG's first marker.
    pub(crate) fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        tiff.push(orientation);
        tiff.extend([0; 6]);
        let mut out = vec![0xff, 0xd8, 0xff, 0xe1];
        out.extend(u16::try_from(tiff.len() + 2).unwrap().to_be_bytes());
        out.extend(tiff);
        out.extend(&jpeg[2..]);
        out
    }

    fn dark(p: &Pixels, x: i32, y: i32) -> bool {
        p.mat.at_2d::<Vec3b>(y, x).unwrap().0.iter().all(|v| *v < 60)
    }

    #[test]
    fn decodes_every_depth_and_colour() {
        for (ext, typ) in
            [(".jpg", CV_8UC3), (".jpg", CV_8UC1), (".png", CV_8UC3), (".png", CV_8UC1), (".png", CV_8UC4), (".png", CV_16UC1)]
        {
            let bytes = encoded(ext, &picture(64, 48, typ));
            let pixels = Picture::new(&bytes).unwrap().decode(1).unwrap();
            assert_eq!((pixels.width(), pixels.height(), pixels.is_full()), (64, 48, true), "{ext} {typ}");
        }
    }

    #[test]
    fn reduces_and_turns() {
        let jpeg = encoded(".jpg", &picture(640, 480, CV_8UC3));
        let p = Picture::new(&jpeg).unwrap();
        assert_eq!((p.reduction_for(160, 100), p.reduction_for(200, 150), p.reduction_for(600, 400)), (4, 2, 1));
        let half = p.decode(2).unwrap();
        assert_eq!((half.width(), half.height(), half.scale), (320, 240, [2.0, 2.0]));
        assert!(dark(&half, 5, 5) && !dark(&half, 315, 5));
        let jpeg = with_orientation(&jpeg, 6);
        let p = Picture::new(&jpeg).unwrap();
        assert_eq!(p.size(), (480, 640));
        for reduction in [1, 4] {
            let r = p.decode(reduction).unwrap();
            assert_eq!(r.width(), 480 / reduction as i32);
            assert!(dark(&r, r.width() - 3, 3) && !dark(&r, 3, 3), "turned clockwise");
        }
    }

    #[test]
    fn a_turned_picture_knows_where_it_comes_from() {
        let mut mat = Mat::new_rows_cols_with_default(120, 200, CV_8UC3, Scalar::all(200.0)).unwrap();
        let spot = opencv::core::Rect::new(150, 20, 6, 6);
        opencv::core::MatTrait::set_to_def(&mut Mat::roi_mut(&mut mat, spot).unwrap(), &Scalar::all(0.0)).unwrap();
        let pixels = Pixels { mat, scale: [2.0, 2.0] };
        for degrees in [-30.0, 30.0, 12.0] {
            let (turned, back) = pixels.turned(degrees).unwrap().unwrap();
            let mut found = [0.0, 0.0, 0.0];
            for y in 0..turned.height() {
                for x in 0..turned.width() {
                    if dark(&turned, x, y) {
                        found = [found[0] + f64::from(x) + 0.5, found[1] + f64::from(y) + 0.5, found[2] + 1.0];
                    }
                }
            }
            let [x, y] = crate::geometry::project(&back, [found[0] / found[2], found[1] / found[2]]);
            assert!((x - 306.0).abs() < 1.0 && (y - 46.0).abs() < 1.0, "{degrees}: {x} {y} {found:?}");
        }
    }

    #[test]
    fn hostile_pictures_are_errors() {
        let jpeg = encoded(".jpg", &picture(320, 240, CV_8UC3));
        let png = encoded(".png", &picture(320, 240, CV_8UC3));
        assert!(matches!(Picture::new(&jpeg[..jpeg.len() / 2]), Err(DecodeError::Truncated(_))));
        assert!(matches!(Picture::new(&png[..png.len() / 2]), Err(DecodeError::Truncated(_))));
        // 200 megapixels in the header of a small file.
        let mut large = png.clone();
        large[16..20].copy_from_slice(&20_000u32.to_be_bytes());
        large[20..24].copy_from_slice(&10_000u32.to_be_bytes());
        assert!(matches!(Picture::new(&large), Err(DecodeError::TooLarge { .. })));
        // A header that passes, and nothing lawful behind it.
        let mut other = png.clone();
        other[16..20].copy_from_slice(&640u32.to_be_bytes());
        assert!(Picture::new(&other).unwrap().decode(1).is_err());
    }

    /// Changed bytes anywhere give pixels or an error, never a crash.
    #[test]
    fn survives_changed_bytes() {
        for ext in [".jpg", ".png"] {
            let whole = encoded(ext, &picture(96, 64, CV_8UC3));
            for at in (0..whole.len()).step_by(3) {
                for value in [0x00, 0x41, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    if let Ok(p) = Picture::new(&bytes) {
                        let _ = p.decode(1);
                        let _ = p.decode(2);
                    }
                }
            }
        }
    }

    #[test]
    fn progressive_jpeg_is_read() {
        let mut out = Vector::new();
        let parameters = Vector::from_slice(&[opencv::imgcodecs::IMWRITE_JPEG_PROGRESSIVE, 1]);
        assert!(imencode(".jpg", &picture(320, 240, CV_8UC3), &mut out, &parameters).unwrap());
        assert!(Picture::new(&out.to_vec()).unwrap().decode(2).is_ok());
    }
}

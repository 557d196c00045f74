//! Turns any picture OpenCV reads into a JPEG of bounded size.

use opencv::core::{Mat, Vector};
use opencv::imgcodecs;
use opencv::prelude::*;

/// Why a picture could not be turned into a JPEG.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// The decoder gave up.
    #[error("the picture cannot be decoded")]
    Undecodable,
    /// It stays larger than allowed at the lowest quality.
    #[error("as a JPEG the picture is still larger than {0} bytes; send a smaller one")]
    TooLarge(usize),
    /// OpenCV failed.
    #[error("OpenCV: {0}")]
    OpenCv(#[from] opencv::Error),
}

/// Decodes and encodes as JPEG.
///
/// # Errors
/// [`TranscodeError`].
pub(crate) fn to_jpeg(picture: &[u8], bytes_max: usize) -> Result<Vec<u8>, TranscodeError> {
    let source = Mat::from_slice(picture)?;
    let image = imgcodecs::imdecode(&source, imgcodecs::IMREAD_COLOR).map_err(|_| TranscodeError::Undecodable)?;
    if image.empty() {
        return Err(TranscodeError::Undecodable);
    }
    encode(&image, bytes_max)
}

/// Encodes as JPEG, at the best of a few qualities that fits.
///
/// # Errors
/// [`TranscodeError::TooLarge`], [`TranscodeError::OpenCv`].
pub(crate) fn encode(image: &Mat, bytes_max: usize) -> Result<Vec<u8>, TranscodeError> {
    encode_at(image, 90, bytes_max)
}

/// Encodes as JPEG at `quality`, or lower where it would not fit.
///
/// # Errors
/// [`TranscodeError::TooLarge`], [`TranscodeError::OpenCv`].
pub(crate) fn encode_at(image: &Mat, quality: i32, bytes_max: usize) -> Result<Vec<u8>, TranscodeError> {
    for quality in [quality, quality - 15, quality - 35, 35] {
        let mut out = Vector::<u8>::new();
        let params = Vector::from_slice(&[imgcodecs::IMWRITE_JPEG_QUALITY, quality]);
        imgcodecs::imencode(".jpg", image, &mut out, &params)?;
        if out.len() <= bytes_max {
            return Ok(out.to_vec());
        }
    }
    Err(TranscodeError::TooLarge(bytes_max))
}

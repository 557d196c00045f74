//! What a picture is, from its header and its skeleton, without decoding it.
//!
//! Everything that comes from outside passes here first: content decides (never a file name or a
//! content type), sizes are read from the header before anything is allocated, and a picture that
//! ends in the middle is an error instead of a half grey frame. No dependencies, no allocation,
//! linear in the file's length.

/// The largest picture that is decoded, in pixels.
pub const PIXELS_MAX: u64 = 40_000_000;
/// The longest side that is decoded, in pixels.
pub const SIDE_PX_MAX: u32 = 16_384;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG, baseline or progressive, grey, YCbCr, RGB or CMYK.
    Jpeg,
    /// PNG of any depth.
    Png,
}

/// What the header says of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The format by content.
    pub format: ImageFormat,
    /// Width in pixels as stored, before orientation.
    pub width: u32,
    /// Height in pixels as stored, before orientation.
    pub height: u32,
    /// EXIF orientation, 1 to 8 (1: as stored).
    pub orientation: u8,
}

impl ImageInfo {
    /// Width and height as the picture is to be looked at.
    #[must_use]
    pub fn upright(&self) -> (u32, u32) {
        if self.orientation >= 5 {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }
}

/// Why bytes are not a picture that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nothing at all.
    #[error("the picture is empty (0 bytes)")]
    Empty,
    /// Neither JPEG nor PNG.
    #[error("not a picture: the content is neither JPEG nor PNG{}", what_else(.0))]
    NotAPicture(Option<&'static str>),
    /// The end is missing.
    #[error("the {0} ends in the middle: it was cut off on the way")]
    Truncated(&'static str),
    /// The structure makes no sense.
    #[error("the picture is damaged: {0}")]
    Damaged(&'static str),
    /// More pixels than are decoded.
    #[error("the picture claims {width} x {height} pixels; at most {SIDE_PX_MAX} a side and {} megapixels are read", PIXELS_MAX / 1_000_000)]
    TooLarge {
        /// Width the header claims.
        width: u32,
        /// Height the header claims.
        height: u32,
    },
    /// The decoder gave up.
    #[error("the picture cannot be decoded: {0}")]
    Undecodable(String),
}

impl DecodeError {
    /// A short stable word for metrics and rejected messages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAPicture(_) => "not_a_picture",
            Self::Truncated(_) => "truncated",
            Self::Damaged(_) => "damaged",
            Self::TooLarge { .. } => "too_large",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

fn what_else(what: &Option<&'static str>) -> String {
    what.map(|w| format!(" (it looks like {w})")).unwrap_or_default()
}

/// Looks at a picture's header and skeleton.
///
/// # Errors
/// [`DecodeError`] unless it is a whole JPEG or PNG within [`PIXELS_MAX`] and [`SIDE_PX_MAX`].
/// What passes may still be undecodable inside.
pub fn sniff(bytes: &[u8]) -> Result<ImageInfo, DecodeError> {
    let info = if bytes.is_empty() {
        return Err(DecodeError::Empty);
    } else if bytes.starts_with(&[0xff, 0xd8]) {
        jpeg(bytes)?
    } else if bytes.starts_with(PNG_SIGNATURE) {
        png(bytes)?
    } else {
        return Err(DecodeError::NotAPicture(other(bytes)));
    };
    if info.width == 0 || info.height == 0 {
        return Err(DecodeError::Damaged("a side is 0 pixels long"));
    }
    let pixels = u64::from(info.width) * u64::from(info.height);
    if pixels > PIXELS_MAX || info.width > SIDE_PX_MAX || info.height > SIDE_PX_MAX {
        return Err(DecodeError::TooLarge { width: info.width, height: info.height });
    }
    Ok(info)
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Names common things that are sent by mistake.
fn other(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"%PDF", "a PDF"),
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"RIFF", "a WebP or AVI"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"{", "JSON"),
        (b"<", "HTML or XML"),
    ];
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some("a HEIC picture or a video");
    }
    KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let b: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(b))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let b: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(b))
}

/// Walks a JPEG's segments, through the compressed scans, to its end marker.
fn jpeg(bytes: &[u8]) -> Result<ImageInfo, DecodeError> {
    const CUT: DecodeError = DecodeError::Truncated("JPEG");
    let mut info = None;
    let mut orientation = 1;
    let mut scans = false;
    let mut at = 2;
    loop {
        // At a marker: any number of fill bytes 0xff, then its code.
        if *bytes.get(at).ok_or(CUT)? != 0xff {
            return Err(DecodeError::Damaged("a JPEG marker is missing"));
        }
        while *bytes.get(at).ok_or(CUT)? == 0xff {
            at += 1;
        }
        let code = *bytes.get(at).ok_or(CUT)?;
        at += 1;
        match code {
            0xd9 => break,
            0x01 | 0xd0..=0xd7 => continue,
            0x00 | 0xd8 => return Err(DecodeError::Damaged("a JPEG marker out of place")),
            _ => {}
        }
        let length = usize::from(be16(bytes, at).ok_or(CUT)?);
        if length < 2 {
            return Err(DecodeError::Damaged("a JPEG segment without length"));
        }
        let body = bytes.get(at + 2..at + length).ok_or(CUT)?;
        at += length;
        match code {
            // Start of frame; c4, c8 and cc are other things.
            0xc0..=0xcf if !matches!(code, 0xc4 | 0xc8 | 0xcc) => {
                let (Some(height), Some(width)) = (be16(body, 1), be16(body, 3)) else {
                    return Err(DecodeError::Damaged("a JPEG frame header is too short"));
                };
                if info.is_some() {
                    return Err(DecodeError::Damaged("a JPEG with two frame headers"));
                }
                info = Some((u32::from(width), u32::from(height)));
            }
            0xe1 if body.starts_with(b"Exif\0\0") => {
                orientation = exif_orientation(body.get(6..).unwrap_or(&[])).unwrap_or(1);
            }
            0xda => {
                if info.is_none() {
                    return Err(DecodeError::Damaged("a JPEG scan before the frame header"));
                }
                scans = true;
                at = end_of_scan(bytes, at).ok_or(CUT)?;
            }
            _ => {}
        }
    }
    match info {
        Some((width, height)) if scans => Ok(ImageInfo { format: ImageFormat::Jpeg, width, height, orientation }),
        _ => Err(DecodeError::Damaged("a JPEG without a picture in it")),
    }
}

/// From inside compressed data to the next marker that ends it.
fn end_of_scan(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xff)?;
        match *bytes.get(at + 1)? {
            0x00 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}

/// Orientation (tag 0x0112 of the first directory) of a TIFF block.
fn exif_orientation(tiff: &[u8]) -> Option<u8> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at: usize| be16(tiff, at).map(|v| if little { v.swap_bytes() } else { v });
    let u32_at = |at: usize| be32(tiff, at).map(|v| if little { v.swap_bytes() } else { v });
    let directory = usize::try_from(u32_at(4)?).ok()?;
    let entries = usize::from(u16_at(directory)?);
    for i in 0..entries {
        let entry = directory.checked_add(2 + 12 * i)?;
        if u16_at(entry)? == 0x0112 {
            let value = u16_at(entry.checked_add(8)?)?;
            return u8::try_from(value).ok().filter(|v| (1..=8).contains(v));
        }
    }
    None
}

/// Walks a PNG's chunks to its end.
fn png(bytes: &[u8]) -> Result<ImageInfo, DecodeError> {
    const CUT: DecodeError = DecodeError::Truncated("PNG");
    if bytes.get(12..16).ok_or(CUT)? != b"IHDR" {
        return Err(DecodeError::Damaged("a PNG does not begin with its header"));
    }
    let width = be32(bytes, 16).ok_or(CUT)?;
    let height = be32(bytes, 20).ok_or(CUT)?;
    let mut orientation = 1;
    let mut data = false;
    let mut at = PNG_SIGNATURE.len();
    loop {
        let length = usize::try_from(be32(bytes, at).ok_or(CUT)?).map_err(|_| CUT)?;
        let name = bytes.get(at + 4..at + 8).ok_or(CUT)?;
        let end = (at + 12).checked_add(length).ok_or(CUT)?;
        let body = bytes.get(at + 8..end - 4).ok_or(CUT)?;
        bytes.get(end - 4..end).ok_or(CUT)?;
        at = end;
        match name {
            b"IEND" => break,
            b"IDAT" => data = true,
            b"eXIf" => orientation = exif_orientation(body).unwrap_or(1),
            _ => {}
        }
    }
    if !data {
        return Err(DecodeError::Damaged("a PNG without a picture in it"));
    }
    Ok(ImageInfo { format: ImageFormat::Png, width, height, orientation })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A skeleton of a JPEG: right for `sniff`, nothing to decode.
    fn skeleton(width: u16, height: u16, exif: Option<u16>) -> Vec<u8> {
        let mut v = vec![0xff, 0xd8];
        if let Some(o) = exif {
            let mut tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
            tiff.extend(o.to_be_bytes());
            tiff.extend([0; 6]);
            v.extend([0xff, 0xe1]);
            v.extend(u16::try_from(tiff.len() + 2).unwrap().to_be_bytes());
            v.extend(tiff);
        }
        v.extend([0xff, 0xc0, 0, 11, 8]);
        v.extend(height.to_be_bytes());
        v.extend(width.to_be_bytes());
        v.extend([1, 1, 0x11, 0]);
        v.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        v.extend([1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xd9]);
        v
    }

    fn png_skeleton(width: u32, height: u32) -> Vec<u8> {
        let mut v = PNG_SIGNATURE.to_vec();
        v.extend([0, 0, 0, 13]);
        v.extend(b"IHDR");
        v.extend(width.to_be_bytes());
        v.extend(height.to_be_bytes());
        v.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
        v.extend([0, 0, 0, 1]);
        v.extend(b"IDATx\0\0\0\0");
        v.extend([0, 0, 0, 0]);
        v.extend(b"IEND\0\0\0\0");
        v
    }

    #[test]
    fn reads_size_and_orientation() {
        let info = sniff(&skeleton(1600, 1200, Some(6))).unwrap();
        assert_eq!((info.format, info.width, info.height), (ImageFormat::Jpeg, 1600, 1200));
        assert_eq!(info.upright(), (1200, 1600));
        assert_eq!(sniff(&skeleton(8, 9, Some(77))).unwrap().orientation, 1);
        assert_eq!(sniff(&png_skeleton(30, 20)).unwrap().upright(), (30, 20));
    }

    #[test]
    fn refuses_every_kind_of_wrong_picture() {
        assert_eq!(sniff(&[]), Err(DecodeError::Empty));
        assert_eq!(sniff(b"%PDF-1.4"), Err(DecodeError::NotAPicture(Some("a PDF"))));
        assert_eq!(sniff(b"hello"), Err(DecodeError::NotAPicture(None)));
        assert_eq!(sniff(&png_skeleton(20_000, 10_000)), Err(DecodeError::TooLarge { width: 20_000, height: 10_000 }));
        assert_eq!(sniff(&skeleton(30_000, 10, None)), Err(DecodeError::TooLarge { width: 30_000, height: 10 }));
        assert!(matches!(sniff(&skeleton(0, 10, None)), Err(DecodeError::Damaged(_))));
    }

    /// Every prefix of a picture is refused and nothing panics.
    #[test]
    fn refuses_every_prefix() {
        for whole in [skeleton(64, 48, Some(3)), png_skeleton(64, 48)] {
            assert!(sniff(&whole).is_ok());
            for n in 0..whole.len() {
                assert!(sniff(&whole[..n]).is_err(), "prefix of {n} bytes");
            }
        }
    }

    /// No input makes it panic: single bytes changed everywhere.
    #[test]
    fn survives_changed_bytes() {
        for whole in [skeleton(64, 48, Some(3)), png_skeleton(64, 48)] {
            for at in 0..whole.len() {
                for value in [0x00, 0x01, 0x7f, 0xd9, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    let _ = sniff(&bytes);
                }
            }
        }
    }
}

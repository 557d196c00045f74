//! A contact sheet of what was misread: one HTML page with small pictures beside it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use opencv::core::{Mat, MatTraitConst, Rect, Size, Vector, VectorToVec};
use opencv::imgcodecs::imencode_def;
use opencv::imgproc::{resize, INTER_AREA, INTER_CUBIC};

use super::{Failure, SetReport};
use crate::decode::Picture;
use crate::error::LprError;
use crate::files::load;
use crate::geometry::{Bounds, Quad};

/// Width of the sheet's pictures, pixels.
const WIDTH: f64 = 360.0;
/// What is shown around a plate, in its widths and heights.
const AROUND: (f64, f64) = (0.25, 0.8);

/// Writes `index.html` and its pictures into `folder` (made where missing); answers the page.
///
/// The pictures show number plates: they stay where the person who asked put them.
///
/// # Errors
/// [`LprError::Labels`] naming the file that cannot be written. A picture that cannot be read
/// stands on the sheet without its picture.
pub fn write(folder: &Path, reports: &[SetReport]) -> Result<PathBuf, LprError> {
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|e| LprError::Labels { path, reason: e.to_string() })
    };
    std::fs::create_dir_all(folder).map_err(|e| LprError::Labels { path: folder.to_owned(), reason: e.to_string() })?;
    let mut page = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>Misread</title><style>body{font:15px sans-serif}figure{display:inline-block;\
         width:360px;margin:6px;vertical-align:top}img{max-width:360px}b{color:#b00}</style>\n",
    );
    for (s, report) in reports.iter().enumerate() {
        let _ = writeln!(page, "<h2>{}: {} misread</h2>", escaped(&report.set), report.failures.len());
        for (i, failure) in report.failures.iter().enumerate() {
            let name = format!("{s}-{i}.jpg");
            let image = match picture(failure) {
                Some(jpeg) => {
                    save(&name, &jpeg)?;
                    format!("<img src=\"{name}\">")
                }
                None => "no picture".into(),
            };
            let label = failure.label.as_deref().unwrap_or("no plate");
            let read = failure
                .read
                .as_ref()
                .map_or_else(|| "nothing".into(), |r| format!("{} {:?} {:.3}", escaped(&r.text), r.kind, r.confidence));
            let file = escaped(&failure.name());
            let _ = writeln!(page, "<figure>{image}<figcaption>{file}: {}<br><b>{read}</b></figcaption></figure>", escaped(label));
        }
    }
    save("index.html", page.as_bytes())?;
    Ok(folder.join("index.html"))
}

/// The plate with what is around it, or the whole picture where nothing was read, as JPEG.
fn picture(failure: &Failure) -> Option<Vec<u8>> {
    let bytes = load(&failure.file).ok()?;
    let pixels = Picture::new(&bytes).ok()?.decode(1).ok()?;
    let (w, h) = (f64::from(pixels.width()), f64::from(pixels.height()));
    let part = match &failure.read {
        Some(read) => {
            let Bounds { x0, y0, x1, y1 } = Quad(read.corners).bounds();
            let (mx, my) = ((x1 - x0) * AROUND.0, (y1 - y0) * AROUND.1);
            let (left, top) = ((x0 - mx).clamp(0.0, w - 1.0), (y0 - my).clamp(0.0, h - 1.0));
            let (right, bottom) = ((x1 + mx).clamp(left + 1.0, w), (y1 + my).clamp(top + 1.0, h));
            Rect::new(left as i32, top as i32, (right - left) as i32, (bottom - top) as i32)
        }
        None => Rect::new(0, 0, pixels.width(), pixels.height()),
    };
    let view = Mat::roi(&pixels.mat, part).ok()?;
    let factor = WIDTH / f64::from(view.cols().max(1));
    let side = |v: i32| ((f64::from(v) * factor).round() as i32).clamp(1, 2 * WIDTH as i32);
    let size = Size::new(side(view.cols()), side(view.rows()));
    let mut small = Mat::default();
    resize(&view, &mut small, size, 0.0, 0.0, if factor < 1.0 { INTER_AREA } else { INTER_CUBIC }).ok()?;
    let mut jpeg = Vector::new();
    imencode_def(".jpg", &small, &mut jpeg).ok()?.then(|| jpeg.to_vec())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_misread() {
        let folder = tempfile::tempdir().unwrap();
        let mut jpeg = Vector::new();
        let grey = Mat::new_rows_cols_with_default(40, 80, opencv::core::CV_8UC3, opencv::core::Scalar::all(90.0)).unwrap();
        assert!(imencode_def(".jpg", &grey, &mut jpeg).unwrap());
        let file = folder.path().join("a<b.jpg");
        std::fs::write(&file, jpeg.to_vec()).unwrap();
        let failures = vec![
            Failure { file, label: Some("苏G12345".into()), read: None },
            Failure { file: folder.path().join("gone.jpg"), label: None, read: None },
        ];
        let report = SetReport { set: "lane".into(), failures, ..SetReport::default() };
        let page = write(&folder.path().join("sheet"), &[report]).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains("2 misread") && text.contains("a&lt;b.jpg: 苏G12345") && text.contains("no picture"), "{text}");
        assert!(page.with_file_name("0-0.jpg").is_file());
    }
}

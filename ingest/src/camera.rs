//! The `camera` role: plays a video file, a folder of pictures or a stream (RTSP, MJPEG), and sends
//! to the log only frames in which something happens.
//!
//! Reading blocks, so each camera has a thread; between it and the log stands a queue of two
//! frames. When the log cannot keep up, frames are dropped here, counted, and the latest ones kept.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use opencv::core::{Mat, Size, Vector};
use opencv::prelude::*;
use opencv::{imgcodecs, imgproc, videoio};
use portgate_core::time::Instant;
use portgate_log::{Log, LogError};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock;
use crate::http::frame_record;
use crate::sniff::sniff;
use crate::telemetry;
use crate::transcode;

/// Why a camera gives no picture.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The source cannot be opened.
    #[error("{source_name} cannot be opened: {reason}")]
    Open {
        /// The source, without credentials.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// A picture cannot be read.
    #[error("{0}")]
    Read(String),
    /// The stream goes on with one and the same picture.
    #[error("the picture has stood still for {0:?}: the camera hangs")]
    Frozen(Duration),
    /// OpenCV failed.
    #[error("OpenCV: {0}")]
    OpenCv(#[from] opencv::Error),
}

/// A picture from a source.
pub struct Shot {
    /// BGR, 8 bit.
    pub image: Mat,
    /// How long the source wants it shown before the next one; none: the source sets the pace.
    pub show_for: Option<Duration>,
}

/// Something that gives pictures one after the other.
pub trait Source: Send {
    /// The next picture; none: the end.
    ///
    /// # Errors
    /// [`CameraError`]; the source is then opened anew.
    fn next(&mut self) -> Result<Option<Shot>, CameraError>;
}

/// Opens a source, again and again if need be; tests put their own in its place.
pub trait Opener: Send + Sync + 'static {
    /// Opens it at its beginning.
    ///
    /// # Errors
    /// [`CameraError::Open`].
    fn open(&self) -> Result<Box<dyn Source>, CameraError>;

    /// Whether its end is its end (a file), or a broken connection (a stream).
    fn finite(&self) -> bool;
}

/// A camera of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraConfig {
    /// Lane it looks at.
    pub lane: String,
    /// At most this many frames a second are looked at and sent.
    pub rate_fps_max: f64,
    /// Largest frame, bytes.
    pub frame_bytes_max: usize,
    /// A finite source begins again at its end.
    pub repeat: bool,
    /// What counts as something happening.
    pub motion: MotionConfig,
    /// First and longest wait before a failed source is opened again, milliseconds.
    pub backoff_ms: (u64, u64),
    /// A stream that gives the very same picture for so long hangs, milliseconds.
    pub frozen_after_ms: u64,
}

impl CameraConfig {
    /// A camera with the usual bounds.
    #[must_use]
    pub fn new(lane: impl Into<String>) -> Self {
        Self {
            lane: lane.into(),
            rate_fps_max: 5.0,
            frame_bytes_max: 1 << 20,
            repeat: false,
            motion: MotionConfig::default(),
            backoff_ms: (500, 30_000),
            frozen_after_ms: 10_000,
        }
    }
}

/// The opener for a source by its name: a URL, a folder of pictures, or a video file.
#[must_use]
pub fn opener_for(source: &str) -> Box<dyn Opener> {
    if source.contains("://") {
        Box::new(VideoOpener { source: source.to_owned(), stream: true })
    } else if Path::new(source).is_dir() {
        Box::new(FolderOpener { folder: PathBuf::from(source), show_for: Duration::from_secs(1) })
    } else {
        Box::new(VideoOpener { source: source.to_owned(), stream: false })
    }
}

/// How long a stream may take to answer, and to give its next picture, milliseconds: a dead camera
/// is noticed within this time.
const STREAM_TIMEOUT_MS: i32 = 5_000;

/// A video file or stream.
struct VideoOpener {
    source: String,
    stream: bool,
}

/// The source's name as it may stand in logs: without user and password.
fn without_credentials(source: &str) -> String {
    match source.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split_once('/').map_or(rest, |(authority, _)| authority);
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/…")
        }
        None => source.to_owned(),
    }
}

impl Opener for VideoOpener {
    fn open(&self) -> Result<Box<dyn Source>, CameraError> {
        let fail = |reason: &str| CameraError::Open { source_name: without_credentials(&self.source), reason: reason.to_owned() };
        if !self.stream && !Path::new(&self.source).is_file() {
            return Err(fail("there is no such file"));
        }
        let capture = if self.stream {
            let timeouts = [videoio::CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS, videoio::CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS];
            videoio::VideoCapture::from_file_with_params(&self.source, videoio::CAP_FFMPEG, &Vector::from_slice(&timeouts))?
        } else {
            videoio::VideoCapture::from_file(&self.source, videoio::CAP_ANY)?
        };
        if !capture.is_opened()? {
            return Err(fail(if self.stream { "no stream answers" } else { "it is no video that can be read" }));
        }
        let fps = capture.get(videoio::CAP_PROP_FPS)?;
        let fps = if fps.is_finite() && (1.0..=240.0).contains(&fps) { fps } else { 25.0 };
        let show_for = (!self.stream).then(|| Duration::from_secs_f64(1.0 / fps));
        Ok(Box::new(VideoSource { capture, show_for }))
    }

    fn finite(&self) -> bool {
        !self.stream
    }
}

struct VideoSource {
    capture: videoio::VideoCapture,
    show_for: Option<Duration>,
}

impl Source for VideoSource {
    fn next(&mut self) -> Result<Option<Shot>, CameraError> {
        let mut image = Mat::default();
        let more = self.capture.read(&mut image)? && !image.empty();
        Ok(more.then_some(Shot { image, show_for: self.show_for }))
    }
}

/// A folder of pictures, in the order of their names.
struct FolderOpener {
    folder: PathBuf,
    show_for: Duration,
}

impl Opener for FolderOpener {
    fn open(&self) -> Result<Box<dyn Source>, CameraError> {
        let fail = |reason: String| CameraError::Open { source_name: self.folder.display().to_string(), reason };
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.folder)
            .map_err(|e| fail(e.to_string()))?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| {
                let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
                matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png"))
            })
            .collect();
        if files.is_empty() {
            return Err(fail("it holds no .jpg or .png".to_owned()));
        }
        files.sort();
        files.reverse();
        Ok(Box::new(FolderSource { files, show_for: self.show_for }))
    }

    fn finite(&self) -> bool {
        true
    }
}

struct FolderSource {
    /// The last one comes next.
    files: Vec<PathBuf>,
    show_for: Duration,
}

impl Source for FolderSource {
    fn next(&mut self) -> Result<Option<Shot>, CameraError> {
        while let Some(file) = self.files.pop() {
            match read_picture(&file) {
                Ok(image) => return Ok(Some(Shot { image, show_for: Some(self.show_for) })),
                // One bad picture does not end the folder.
                Err(error) => tracing::warn!(file = %file.display(), %error, "a picture is passed over"),
            }
        }
        Ok(None)
    }
}

fn read_picture(file: &Path) -> Result<Mat, CameraError> {
    let bytes = std::fs::read(file).map_err(|e| CameraError::Read(e.to_string()))?;
    sniff(&bytes).map_err(|e| CameraError::Read(e.to_string()))?;
    let image = imgcodecs::imdecode(&Mat::from_slice(&bytes)?, imgcodecs::IMREAD_COLOR)?;
    if image.empty() {
        return Err(CameraError::Read("it cannot be decoded".to_owned()));
    }
    Ok(image)
}

/// What counts as something happening.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionConfig {
    /// A point of the reduced picture has changed when it differs by this many grey levels.
    pub grey_levels_min: u8,
    /// It begins when this share of the points has changed.
    pub begin_share: f64,
    /// It ends when less than this share has changed …
    pub end_share: f64,
    /// … for this long, milliseconds.
    pub end_after_ms: u64,
}

impl Default for MotionConfig {
    fn default() -> Self {
        Self { grey_levels_min: 14, begin_share: 0.02, end_share: 0.006, end_after_ms: 1_500 }
    }
}

/// Tells frames in which something happens from a lane at rest, with hysteresis: it takes more to
/// begin than to go on, and it goes on a while after the last change, so that a vehicle that has
/// just stopped is still seen sharp.
#[derive(Debug)]
pub struct MotionGate {
    config: MotionConfig,
    last: Option<Vec<u8>>,
    /// Until when frames are let through without a new change.
    until_ms: Option<u64>,
}

/// Width and height of the reduced picture.
const REDUCED: (i32, i32) = (64, 36);

impl MotionGate {
    /// A gate that has seen nothing.
    #[must_use]
    pub fn new(config: MotionConfig) -> Self {
        Self { config, last: None, until_ms: None }
    }

    /// Whether something happens in this frame, taken at `now_ms` of any steady clock. The first
    /// frame of all is something.
    ///
    /// # Errors
    /// [`CameraError::OpenCv`] for what is no picture.
    pub fn look(&mut self, image: &Mat, now_ms: u64) -> Result<bool, CameraError> {
        let mut grey = Mat::default();
        if image.channels() == 1 {
            grey = image.clone();
        } else {
            imgproc::cvt_color_def(image, &mut grey, imgproc::COLOR_BGR2GRAY)?;
        }
        let mut small = Mat::default();
        imgproc::resize(&grey, &mut small, Size::new(REDUCED.0, REDUCED.1), 0.0, 0.0, imgproc::INTER_AREA)?;
        Ok(self.judge(small.data_bytes()?.to_vec(), now_ms))
    }

    fn judge(&mut self, points: Vec<u8>, now_ms: u64) -> bool {
        let share = match &self.last {
            Some(last) => {
                let changed = last.iter().zip(&points).filter(|(a, b)| a.abs_diff(**b) >= self.config.grey_levels_min);
                changed.count() as f64 / points.len().max(1) as f64
            }
            None => 1.0,
        };
        self.last = Some(points);
        let under_way = self.until_ms.is_some_and(|until| now_ms < until);
        let needed = if under_way { self.config.end_share } else { self.config.begin_share };
        if share >= needed {
            self.until_ms = Some(now_ms.saturating_add(self.config.end_after_ms));
        }
        self.until_ms.is_some_and(|until| now_ms < until)
    }
}

/// What tells a picture from the next: a hash over points spread over it. A camera's noise changes
/// some of them in every picture, even of a lane at rest.
fn fingerprint(image: &Mat) -> Option<u64> {
    let bytes = image.data_bytes().ok()?;
    // A step that shares no factor with a row's length, so that the points lie in all columns.
    let points = bytes.iter().step_by(61);
    Some(points.fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
}

/// A frame on its way to the log.
struct Outgoing {
    captured_at: Instant,
    jpeg: Vec<u8>,
}

/// Runs one camera until its finite source ends or `stop` turns true. A source that fails is opened
/// again with growing waits; a log that cannot keep up costs frames, which are counted.
///
/// # Errors
/// [`CameraError`] when a finite source cannot be opened at all.
pub async fn run_camera(
    config: CameraConfig,
    opener: Box<dyn Opener>,
    log: Arc<dyn Log>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), CameraError> {
    let (sender, mut receiver) = mpsc::channel::<Outgoing>(2);
    let stopping = Arc::new(AtomicBool::new(false));
    let lane = config.lane.clone();
    let thread_stop = stopping.clone();
    let reader = tokio::task::spawn_blocking(move || Reader { config, sender, stop: thread_stop }.run(&*opener));
    loop {
        let outgoing = tokio::select! {
            outgoing = receiver.recv() => outgoing,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(outgoing) = outgoing else { break };
        send(&*log, &lane, outgoing).await;
    }
    stopping.store(true, Ordering::Relaxed);
    drop(receiver);
    metrics::gauge!(telemetry::CAMERA_UP, "lane" => lane).set(0.0);
    reader.await.unwrap_or_else(|e| Err(CameraError::Read(e.to_string())))
}

async fn send(log: &dyn Log, lane: &str, outgoing: Outgoing) {
    let id = Uuid::now_v7().to_string();
    let jpeg = Bytes::from(outgoing.jpeg);
    let outcome = match log.append(frame_record(lane, &id, outgoing.captured_at, jpeg)).await {
        Ok(_) => "sent",
        Err(LogError::Busy { retry_after_ms }) => {
            // The camera's queue is short: waiting here makes it drop frames at its source.
            tokio::time::sleep(Duration::from_millis(retry_after_ms.min(2_000))).await;
            "refused"
        }
        Err(error) => {
            tracing::warn!(lane, %error, "a frame could not be stored");
            tokio::time::sleep(Duration::from_millis(500)).await;
            "refused"
        }
    };
    count(lane, outcome);
}

fn count(lane: &str, outcome: &'static str) {
    metrics::counter!(telemetry::CAMERA_FRAMES, "lane" => lane.to_owned(), "outcome" => outcome).increment(1);
}

/// The reading half, on a thread of its own.
struct Reader {
    config: CameraConfig,
    sender: mpsc::Sender<Outgoing>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.sender.is_closed()
    }

    fn sleep(&self, time: Duration) {
        let until = Clock::now() + time;
        while !self.stopped() {
            let left = until.saturating_duration_since(Clock::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    fn run(self, opener: &dyn Opener) -> Result<(), CameraError> {
        let lane = self.config.lane.clone();
        let mut wait_ms = self.config.backoff_ms.0;
        let mut ever = false;
        while !self.stopped() {
            let played = opener.open().and_then(|mut source| {
                metrics::gauge!(telemetry::CAMERA_UP, "lane" => lane.clone()).set(1.0);
                ever = true;
                let shots = self.play(&mut *source, opener.finite())?;
                if shots > 0 {
                    wait_ms = self.config.backoff_ms.0;
                }
                Ok(shots)
            });
            metrics::gauge!(telemetry::CAMERA_UP, "lane" => lane.clone()).set(0.0);
            match played {
                Ok(shots) if opener.finite() => {
                    if !self.config.repeat || shots == 0 {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if opener.finite() && !ever => return Err(error),
                Ok(_) => tracing::warn!(lane, wait_ms, "the camera's stream ended; it is opened again"),
                Err(error) => tracing::warn!(lane, wait_ms, %error, "the camera failed; it is opened again"),
            }
            metrics::counter!(telemetry::CAMERA_RECONNECTS, "lane" => lane.clone()).increment(1);
            self.sleep(Duration::from_millis(wait_ms));
            wait_ms = wait_ms.saturating_mul(2).min(self.config.backoff_ms.1);
        }
        Ok(())
    }

    /// Plays the source to its end; how many pictures it gave.
    fn play(&self, source: &mut dyn Source, finite: bool) -> Result<u64, CameraError> {
        let frozen_after = Duration::from_millis(self.config.frozen_after_ms);
        let mut changed = (None, Clock::now());
        let mut gate = MotionGate::new(self.config.motion.clone());
        let begun = Clock::now();
        let every = Duration::from_secs_f64(1.0 / self.config.rate_fps_max.max(0.01));
        let mut shown_until = begun;
        // The time of the source itself, so that a file played faster or slower reads the same.
        let (mut source_time, mut next_look) = (Duration::ZERO, Duration::ZERO);
        let mut shots = 0;
        while !self.stopped() {
            let Some(shot) = source.next()? else { break };
            shots += 1;
            let now = fingerprint(&shot.image);
            if changed.0 != now {
                changed = (now, Clock::now());
            } else if !finite && changed.1.elapsed() >= frozen_after {
                return Err(CameraError::Frozen(frozen_after));
            }
            let at = if shot.show_for.is_some() { source_time } else { begun.elapsed() };
            if at >= next_look {
                next_look = at + every;
                let now_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
                if gate.look(&shot.image, now_ms)? {
                    self.offer(&shot.image);
                } else {
                    count(&self.config.lane, "still");
                }
            }
            if let Some(show_for) = shot.show_for {
                source_time += show_for;
                shown_until += show_for;
                self.sleep(shown_until.saturating_duration_since(Clock::now()));
            }
        }
        Ok(shots)
    }

    fn offer(&self, image: &Mat) {
        let captured_at = clock::now();
        match transcode::encode_at(image, 88, self.config.frame_bytes_max) {
            Ok(jpeg) => {
                if self.sender.try_send(Outgoing { captured_at, jpeg }).is_err() {
                    count(&self.config.lane, "capped");
                }
            }
            Err(error) => {
                tracing::warn!(lane = self.config.lane, %error, "a frame cannot be sent");
                count(&self.config.lane, "refused");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: u8, changed: usize) -> Vec<u8> {
        let mut points = vec![value; (REDUCED.0 * REDUCED.1) as usize];
        points.iter_mut().take(changed).for_each(|p| *p = value.wrapping_add(100));
        points
    }

    #[test]
    fn a_lane_at_rest_is_not_sent_and_a_vehicle_is() {
        let mut gate = MotionGate::new(MotionConfig::default());
        assert!(gate.judge(points(90, 0), 0), "the first frame");
        assert!(!gate.judge(points(92, 0), 2_000), "noise");
        assert!(!gate.judge(points(92, 20), 2_200), "less than a begin");
        assert!(gate.judge(points(92, 600), 2_400), "a vehicle");
        assert!(gate.judge(points(92, 620), 2_600), "slowly: less than a begin, enough to go on");
        assert!(gate.judge(points(92, 620), 3_900), "just stopped");
        assert!(!gate.judge(points(92, 620), 4_200), "standing");
        assert!(gate.judge(points(92, 0), 9_000), "gone");
    }

    #[test]
    fn credentials_stay_out_of_the_logs() {
        assert_eq!(without_credentials("rtsp://admin:secret@10.0.0.8:554/Streaming/1"), "rtsp://10.0.0.8:554/…");
        assert_eq!(without_credentials("rtsp://cam/path?password=x@y"), "rtsp://cam/…");
        assert_eq!(without_credentials("gate.mp4"), "gate.mp4");
    }
}

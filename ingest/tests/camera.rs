//! The camera role with sources of our own: what it sends, and how it comes back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use opencv::core::{Mat, Scalar, CV_8UC3};
use portgate_ingest::camera::{opener_for, run_camera, CameraConfig, CameraError, Opener, Shot, Source};
use portgate_ingest::sim::render::{Body, Renderer, SceneLook, VehicleLook};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log};
use tokio::sync::watch;

async fn log() -> (Arc<dyn Log>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap());
    log.create_topics(&topics::default_specs(1, 1)).await.unwrap();
    (log, folder)
}

async fn frames(log: &Arc<dyn Log>) -> usize {
    log.read(topics::FRAMES, 0, 0, 1000, Duration::ZERO).await.unwrap().records.len()
}

fn grey(level: f64) -> Mat {
    Mat::new_rows_cols_with_default(180, 320, CV_8UC3, Scalar::all(level)).unwrap()
}

/// Plays levels of grey at ten pictures a second; 255 stands for a broken connection.
struct Script {
    levels: Vec<u8>,
    stream: bool,
    opened: Arc<AtomicUsize>,
}

struct Playing(std::vec::IntoIter<u8>);

impl Source for Playing {
    fn next(&mut self) -> Result<Option<Shot>, CameraError> {
        match self.0.next() {
            Some(255) => Err(CameraError::Read("connection reset".into())),
            Some(level) => Ok(Some(Shot { image: grey(f64::from(level)), show_for: Some(Duration::from_millis(100)) })),
            None => Ok(None),
        }
    }
}

impl Opener for Script {
    fn open(&self) -> Result<Box<dyn Source>, CameraError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Playing(self.levels.clone().into_iter())))
    }
    fn finite(&self) -> bool {
        !self.stream
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_at_rest_sends_little_and_a_change_sends_more() {
    let (log, _folder) = log().await;
    let (_stop, stopped) = watch::channel(false);
    let mut levels = vec![90; 40];
    levels.extend([160; 20]);
    let opened = Arc::new(AtomicUsize::new(0));
    let script = Script { levels, stream: false, opened: opened.clone() };
    let config = CameraConfig { rate_fps_max: 10.0, ..CameraConfig::new("L") };
    run_camera(config, Box::new(script), log.clone(), stopped).await.unwrap();
    // 60 pictures; the first second and a half, and the same after the change.
    let sent = frames(&log).await;
    assert!((20..=34).contains(&sent), "{sent} frames sent");
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_opened_again_and_stops_when_told() {
    let (log, _folder) = log().await;
    let (stop, stopped) = watch::channel(false);
    let opened = Arc::new(AtomicUsize::new(0));
    let script = Script { levels: vec![10, 200, 255], stream: true, opened: opened.clone() };
    let config = CameraConfig { rate_fps_max: 10.0, backoff_ms: (20, 100), ..CameraConfig::new("L") };
    let camera = tokio::spawn(run_camera(config, Box::new(script), log.clone(), stopped));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(3), camera).await.unwrap().unwrap().unwrap();
    assert!(opened.load(Ordering::Relaxed) >= 3, "{} times opened", opened.load(Ordering::Relaxed));
    assert!(frames(&log).await >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_played_and_a_bad_picture_passed_over() {
    let (log, _folder) = log().await;
    let pictures = tempfile::tempdir().unwrap();
    let renderer = Renderer::new().unwrap();
    let look = |n: u64| VehicleLook {
        body: Body::Truck,
        plate: "苏G12345".into(),
        plate_kind: portgate_core::plate::PlateKind::Yellow,
        dirt: 0.0,
        seed: n * 7919,
    };
    let scene = SceneLook::day(1, "L");
    std::fs::write(pictures.path().join("a.jpg"), renderer.frame(&look(1), &scene, 1.0).unwrap().jpeg).unwrap();
    std::fs::write(pictures.path().join("b.jpg"), b"\xff\xd8 half a picture").unwrap();
    std::fs::write(pictures.path().join("c.jpg"), renderer.empty(&scene).unwrap().jpeg).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let opener = opener_for(pictures.path().to_str().unwrap());
    run_camera(CameraConfig::new("L"), opener, log.clone(), stopped).await.unwrap();
    assert_eq!(frames(&log).await, 2);

    let (_stop, stopped) = watch::channel(false);
    let missing = run_camera(CameraConfig::new("L"), opener_for("no-such-file.mp4"), log, stopped).await;
    assert!(missing.unwrap_err().to_string().contains("there is no such file"));
}

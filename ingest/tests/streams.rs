//! The camera role on real streams: MJPEG over HTTP from a server of our own that can fall silent
//! or freeze, and RTSP from GStreamer's server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opencv::core::{Mat, Scalar, Vector, VectorToVec, CV_8UC3};
use opencv::imgcodecs::imencode_def;
use portgate_ingest::camera::{opener_for, run_camera, CameraConfig};
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
    log.read(topics::FRAMES, 0, 0, 10_000, Duration::ZERO).await.unwrap().records.len()
}

/// Waits until `enough`; fails after `seconds`.
async fn until(what: &str, seconds: u64, mut enough: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !enough().await {
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn config() -> CameraConfig {
    CameraConfig { rate_fps_max: 10.0, backoff_ms: (100, 500), frozen_after_ms: 1_500, ..CameraConfig::new("L") }
}

/// What a connection of the MJPEG server does after its first pictures.
#[derive(Clone, Copy)]
enum Then {
    Goes,
    Ends,
    FallsSilent,
    Freezes,
}

/// Serves MJPEG; the n-th connection does `plan[n]`, later ones as the last. Answers the URL and
/// the number of connections so far.
fn mjpeg(plan: &'static [Then]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/live.mjpg", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let n = counted.fetch_add(1, Ordering::SeqCst);
            let then = plan[n.min(plan.len() - 1)];
            std::thread::spawn(move || serve(stream, then));
        }
    });
    (url, connections)
}

fn serve(mut stream: TcpStream, then: Then) -> Option<()> {
    let mut request = [0; 2048];
    if stream.read(&mut request).ok()? == 0 {
        return None;
    }
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n").ok()?;
    for n in 0..100_000_u32 {
        let still = n >= 10 && matches!(then, Then::Freezes);
        let level = if still { 90.0 } else { f64::from(n * 23 % 230) };
        let image = Mat::new_rows_cols_with_default(120, 160, CV_8UC3, Scalar::all(level)).unwrap();
        let mut jpeg = Vector::new();
        imencode_def(".jpg", &image, &mut jpeg).unwrap();
        let jpeg = jpeg.to_vec();
        write!(stream, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).ok()?;
        stream.write_all(&jpeg).ok()?;
        stream.write_all(b"\r\n").ok()?;
        match then {
            Then::Ends if n == 20 => return None,
            Then::FallsSilent if n == 20 => std::thread::sleep(Duration::from_secs(60)),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn mjpeg_is_taken_and_a_dead_or_frozen_camera_is_opened_again() {
    let (log, _folder) = log().await;
    let (url, connections) = mjpeg(&[Then::Ends, Then::FallsSilent, Then::Freezes, Then::Goes]);
    let (stop, stopped) = watch::channel(false);
    let camera = tokio::spawn(run_camera(config(), opener_for(&url), log.clone(), stopped));
    until("the first frames", 20, async || frames(&log).await >= 3).await;
    until("a stream that ended is opened again", 20, async || connections.load(Ordering::SeqCst) >= 2).await;
    // Opening looks at the stream before the first picture comes; then five seconds of silence.
    until("silence is noticed", 30, async || connections.load(Ordering::SeqCst) >= 3).await;
    until("a frozen picture is noticed", 30, async || connections.load(Ordering::SeqCst) >= 4).await;
    let before = frames(&log).await;
    until("frames come again", 20, async || frames(&log).await >= before + 3).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(8), camera).await.unwrap().unwrap().unwrap();
}

/// Kills the server when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// GStreamer's RTSP server and its port; none where it is not installed.
fn rtsp(port: u16) -> Option<(Server, u16)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtsp_server.py");
    let mut command = Command::new("/usr/bin/python3");
    let child = command.arg(script).arg(port.to_string()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take()?).read_line(&mut line).ok()?;
    let port = line.trim().parse().ok()?;
    Some((server, port))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rtsp_camera_that_goes_away_comes_back() {
    let Some((server, port)) = rtsp(0) else {
        eprintln!("skipped: GStreamer's RTSP server is not installed (scripts/setup.sh test)");
        return;
    };
    let (log, _folder) = log().await;
    let (stop, stopped) = watch::channel(false);
    let source = format!("rtsp://127.0.0.1:{port}/lane");
    let camera = tokio::spawn(run_camera(config(), opener_for(&source), log.clone(), stopped));
    until("the first frames", 30, async || frames(&log).await >= 3).await;
    drop(server);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = frames(&log).await;
    let (_server, _) = rtsp(port).expect("the same port again");
    until("frames come again", 40, async || frames(&log).await >= before + 3).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(8), camera).await.unwrap().unwrap().unwrap();
}

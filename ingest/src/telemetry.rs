//! The names of this crate's metrics.

/// Counter: frames posted over HTTP; label `outcome` (accepted, or the problem's code).
pub const HTTP_FRAMES: &str = "portgate_ingest_http_frames_total";
/// Counter: reads posted over HTTP; label `outcome` (accepted, or the problem's code).
pub const HTTP_READS: &str = "portgate_ingest_http_reads_total";
/// Gauge: reads kept on this node's disk that wait for the log.
pub const SPOOL_WAITING: &str = "portgate_ingest_spool_waiting_reads";
/// Counter: reads that went through the spool; label `outcome` (kept, forwarded, full).
pub const SPOOL_READS: &str = "portgate_ingest_spool_reads_total";
/// Histogram, seconds: from the request's head to its answer; label `call` (frames, reads).
pub const HTTP_SECONDS: &str = "portgate_ingest_http_request_seconds";
/// Histogram, bytes: accepted frames.
pub const FRAME_BYTES: &str = "portgate_ingest_frame_bytes";
/// Counter: frames a camera looked at; labels `lane`, `outcome` (sent, still, capped, refused).
pub const CAMERA_FRAMES: &str = "portgate_ingest_camera_frames_total";
/// Counter: a camera's source ended or failed and is opened again; label `lane`.
pub const CAMERA_RECONNECTS: &str = "portgate_ingest_camera_reconnects_total";
/// Gauge, 1 or 0: the camera's source is open; label `lane`.
pub const CAMERA_UP: &str = "portgate_ingest_camera_up";
/// Counter: messages that did not fit their schema; label `topic`.
pub const REJECTED: &str = "portgate_ingest_rejected_total";
/// Counter: simulated vehicles; labels `lane`, `end` (passed, turned_back, gave_up).
pub const SIM_VEHICLES: &str = "portgate_sim_vehicles_total";
/// Histogram, seconds: drawing and encoding one frame.
pub const SIM_RENDER_SECONDS: &str = "portgate_sim_render_seconds";
/// Counter: the simulator's posts that the gate did not take; label `what`.
pub const SIM_POST_FAILURES: &str = "portgate_sim_post_failures_total";

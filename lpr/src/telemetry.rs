//! The crate's metrics: names and what they mean, in one place.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, Unit};

/// Histogram, seconds: one stage of one frame (label `stage`: `decode`, `detect`, `recognise`).
pub const STAGE_SECONDS: &str = "portgate_lpr_stage_seconds";
/// Histogram, seconds: a frame from the recogniser's queue to its reads.
pub const FRAME_SECONDS: &str = "portgate_lpr_frame_seconds";
/// Counter: frames recognised (label `plates`: `none`, `some`).
pub const FRAMES_TOTAL: &str = "portgate_lpr_frames_total";
/// Counter: frames not recognised because the recogniser can't keep up (label `lane`).
pub const FRAMES_SKIPPED_TOTAL: &str = "portgate_lpr_frames_skipped_total";
/// Counter: frames that could not be read (label `reason`).
pub const FRAMES_REJECTED_TOTAL: &str = "portgate_lpr_frames_rejected_total";
/// Counter: reads put out (label `settled`).
pub const READS_TOTAL: &str = "portgate_lpr_reads_total";
/// Gauge: frames waiting in the recogniser.
pub const QUEUE_FRAMES: &str = "portgate_lpr_queue_frames";

/// Tells the recorder what the metrics mean; call once at start.
pub fn describe() {
    describe_histogram!(STAGE_SECONDS, Unit::Seconds, "Time of one stage of one frame");
    describe_histogram!(FRAME_SECONDS, Unit::Seconds, "Time of one frame through the recogniser");
    describe_counter!(FRAMES_TOTAL, Unit::Count, "Frames recognised");
    describe_counter!(FRAMES_SKIPPED_TOTAL, Unit::Count, "Frames skipped to keep up");
    describe_counter!(FRAMES_REJECTED_TOTAL, Unit::Count, "Frames that could not be read");
    describe_counter!(READS_TOTAL, Unit::Count, "Plate reads put out");
    describe_gauge!(QUEUE_FRAMES, Unit::Count, "Frames waiting in the recogniser");
}

/// One stage of one frame took this long.
pub(crate) fn stage(name: &'static str, time: Duration) {
    histogram!(STAGE_SECONDS, "stage" => name).record(time.as_secs_f64());
}

/// A frame was recognised.
pub(crate) fn frame(plates: usize, time: Duration) {
    histogram!(FRAME_SECONDS).record(time.as_secs_f64());
    counter!(FRAMES_TOTAL, "plates" => if plates == 0 { "none" } else { "some" }).increment(1);
}

/// A frame of the lane was skipped.
pub(crate) fn skipped(lane: &str) {
    counter!(FRAMES_SKIPPED_TOTAL, "lane" => lane.to_owned()).increment(1);
}

/// A frame was rejected.
pub(crate) fn rejected(reason: &'static str) {
    counter!(FRAMES_REJECTED_TOTAL, "reason" => reason).increment(1);
}

/// A read was put out.
pub(crate) fn read(settled: bool) {
    counter!(READS_TOTAL, "settled" => if settled { "true" } else { "false" }).increment(1);
}

/// So many frames wait.
pub(crate) fn queue(frames: usize) {
    gauge!(QUEUE_FRAMES).set(frames as f64);
}

//! One simulated lane: vehicles arrive, are seen, hold a card to the reader, wait for the barrier,
//! and drive through or turn back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use portgate_core::command::BarrierState;
use portgate_core::decision::Verdict;
use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, Instant as Clock};

use super::port::{Decided, GatePort, PortError, Signal};
use super::render::{Picture, RenderError, Renderer, SceneLook, VehicleLook};
use super::site::LaneSpec;
use super::traffic::{End, Traffic, Visit};
use super::{Counts, SimConfig};
use crate::clock;
use crate::telemetry;

/// The real plate of whoever stands at each lane: what a guard can see.
pub(super) type AtLanes = DashMap<String, String>;

/// Vehicles that queue at most; more turn away beyond the picture.
const QUEUE_MAX: u32 = 9;
/// How often a standing vehicle is photographed.
const STILL_MS: u64 = 4_000;
/// How long a driver waits for the barrier.
const PATIENCE_MS: u64 = 75_000;
/// How often a busy gate is asked again to take a read.
const READ_TRIES: u32 = 6;

/// What all lanes share.
pub(super) struct Shared {
    pub(super) port: Arc<dyn GatePort>,
    pub(super) traffic: Mutex<Traffic>,
    pub(super) renderer: Arc<Renderer>,
    pub(super) at_lanes: Arc<AtLanes>,
    pub(super) config: SimConfig,
    pub(super) counts: Counts,
}

/// The lane's driver.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) spec: LaneSpec,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) stop: watch::Receiver<bool>,
    rng: StdRng,
    scene: SceneLook,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        spec: LaneSpec,
        number: u64,
        signals: mpsc::Receiver<Signal>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(shared.config.seed ^ (number + 1).wrapping_mul(0x9e37_79b9));
        let scene = SceneLook { light: rng.random_range(0.9..1.05), ..SceneLook::day(number + 1, spec.id.clone()) };
        Self { shared, spec, signals, stop, rng, scene }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Sleeps; says whether it is time to stop.
    async fn rest(&mut self, ms: u64) -> bool {
        tokio::select! {
            () = sleep(Duration::from_millis(ms)) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
        self.stopped()
    }

    fn gap(&mut self) -> Duration {
        let mean_s = 60.0 / self.shared.config.rate_per_min.max(0.001);
        let lot: f64 = self.rng.random_range(f64::EPSILON..1.0);
        Duration::from_secs_f64((-lot.ln() * mean_s).clamp(0.05, 3_600.0))
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        // Whoever stood here when an earlier run was cut off has gone.
        self.report(ReadMessage { vehicle_gone: Some(true), ..self.blank() }).await;
        let mut waiting = 0_u32;
        // The first ones come soon, so that somebody who has just started the gate sees it work.
        let mut next = Clock::now() + Duration::from_millis(self.rng.random_range(500..4_000));
        let mut shown = None;
        while !self.stopped() {
            while Clock::now() >= next {
                waiting = (waiting + 1).min(QUEUE_MAX);
                next += self.gap();
            }
            let queue = if self.spec.entry { waiting } else { self.leaving() };
            if shown != Some(queue) {
                shown = Some(queue);
                self.report(ReadMessage { queue_length: Some(queue), ..self.blank() }).await;
            }
            let visit = if queue > 0 { self.next_visit() } else { None };
            let Some(visit) = visit else {
                self.rest(400).await;
                continue;
            };
            self.serve(visit).await;
            waiting = waiting.saturating_sub(1);
        }
    }

    fn traffic<T>(&self, act: impl FnOnce(&mut Traffic) -> T) -> T {
        // A panic while the lock was held leaves a traffic that is still lawful.
        act(&mut self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn leaving(&self) -> u32 {
        let n = self.traffic(|t| t.leaving(self.spec.freight, clock::now()));
        u32::try_from(n).unwrap_or(QUEUE_MAX).min(QUEUE_MAX)
    }

    fn next_visit(&self) -> Option<Visit> {
        self.traffic(|t| t.next(&self.spec, clock::now()))
    }

    async fn serve(&mut self, visit: Visit) {
        let mut haunted = false;
        while let Ok(signal) = self.signals.try_recv() {
            haunted |= matches!(signal, Signal::Decided(_));
        }
        if haunted {
            self.loop_is_free().await;
        }
        for (kind, id, value) in &visit.records {
            if let Err(error) = self.shared.port.put_record(*kind, id, value.as_ref()).await {
                self.failed("record", &error);
            }
        }
        let arrived = clock::now();
        self.report(ReadMessage { vehicle_present: Some(true), ..self.blank() }).await;
        self.shared.at_lanes.insert(self.spec.id.clone(), visit.plate.clone());
        self.approach(&visit).await;
        self.present_papers(&visit).await;
        let end = self.wait(&visit, arrived).await;
        let ended = match end {
            End::Passed => {
                self.rest_between(900, 1_600).await;
                self.report(ReadMessage { vehicle_passed: Some(true), ..self.blank() }).await;
                "passed"
            }
            End::TurnedBack | End::Elsewhere => {
                self.report(ReadMessage { vehicle_gone: Some(true), ..self.blank() }).await;
                "turned_back"
            }
        };
        self.shared.at_lanes.remove(&self.spec.id);
        self.shared.counts.ended(end);
        metrics::counter!(telemetry::SIM_VEHICLES, "lane" => self.spec.id.clone(), "end" => ended).increment(1);
        self.traffic(|t| t.ended(&visit, self.spec.entry, end, clock::now()));
        self.show(None, 0.0).await;
        self.rest_between(1_200, 2_500).await;
    }

    /// The gate takes somebody for standing here who has left (a frame that was read late): the loop
    /// in the road knows better.
    async fn loop_is_free(&mut self) {
        self.report(ReadMessage { vehicle_present: Some(false), ..self.blank() }).await;
    }

    /// The vehicle comes nearer, frame by frame; its load is seen from above on the way.
    async fn approach(&mut self, visit: &Visit) {
        let frames = self.rng.random_range(4..=8_u32);
        for i in 0..frames {
            let begun = Clock::now();
            let t = f64::from(i) / f64::from(frames - 1);
            // Slows down towards the barrier.
            self.show(Some(&visit.look), 1.0 - (1.0 - t) * (1.0 - t)).await;
            if let Some(cargo) = visit.cargo.as_ref().filter(|_| i == 0) {
                self.report(ReadMessage { cargo_observed: Some(cargo.clone()), ..self.blank() }).await;
            }
            if self.stopped() {
                return;
            }
            sleep_until(begun + Duration::from_millis(280)).await;
        }
    }

    async fn present_papers(&mut self, visit: &Visit) {
        if visit.card.is_none() && visit.exit_permit.is_none() {
            return;
        }
        self.rest_between(800, 2_500).await;
        let papers = ReadMessage { card: visit.card.clone(), exit_permit: visit.exit_permit.clone(), ..self.blank() };
        self.report(papers).await;
    }

    /// Until the barrier opens, the driver is turned back, or loses patience.
    async fn wait(&mut self, visit: &Visit, arrived: Instant) -> End {
        let patience = Clock::now() + Duration::from_millis(PATIENCE_MS);
        let mut still = Clock::now() + Duration::from_millis(STILL_MS);
        let mut leave_at = patience;
        let mut elsewhere = false;
        loop {
            let signal = tokio::select! {
                signal = self.signals.recv() => match signal {
                    Some(signal) => Some(signal),
                    None => return End::TurnedBack,
                },
                () = sleep_until(still.min(leave_at)) => None,
                _ = self.stop.wait_for(|stop| *stop) => return End::TurnedBack,
            };
            match signal {
                Some(Signal::Barrier { state: BarrierState::Open, .. }) => return End::Passed,
                Some(Signal::Barrier { .. }) => {}
                Some(Signal::Decided(decided)) if decided.arrived_at >= arrived.plus_millis(-1_500) => {
                    elsewhere = lost_track(&decided, visit);
                    leave_at = match decided.verdict {
                        // The driver reads the sign and backs out.
                        Verdict::Refuse => patience.min(Clock::now() + Duration::from_millis(self.rng.random_range(3_500..7_000))),
                        Verdict::Open | Verdict::Hold => patience,
                    };
                }
                Some(Signal::Decided(_)) => {
                    self.loop_is_free().await;
                    self.report(ReadMessage { vehicle_present: Some(true), ..self.blank() }).await;
                }
                None if Clock::now() >= leave_at => {
                    return if elsewhere { End::Elsewhere } else { End::TurnedBack };
                }
                None => {
                    self.show(Some(&visit.look), 1.0).await;
                    still = Clock::now() + Duration::from_millis(STILL_MS);
                }
            }
        }
    }

    async fn rest_between(&mut self, from_ms: u64, to_ms: u64) {
        let ms = self.rng.random_range(from_ms..to_ms);
        self.rest(ms).await;
    }

    fn blank(&self) -> ReadMessage {
        ReadMessage { lane: self.spec.id.clone(), ..ReadMessage::default() }
    }

    /// Draws and posts a frame; a gate that is busy misses it, as it would miss a real one.
    async fn show(&mut self, look: Option<&VehicleLook>, progress: f64) {
        let (renderer, scene, look) = (self.shared.renderer.clone(), self.scene.clone(), look.cloned());
        let drawn = tokio::task::spawn_blocking(move || draw(&renderer, &scene, look.as_ref(), progress)).await;
        let picture = match drawn {
            Ok(Ok(picture)) => picture,
            Ok(Err(error)) => return tracing::warn!(%error, "a frame could not be drawn"),
            Err(error) => return tracing::warn!(%error, "a frame could not be drawn"),
        };
        match self.shared.port.post_frame(&self.spec.id, Bytes::from(picture.jpeg)).await {
            Ok(()) => self.shared.counts.frame(),
            Err(error) => self.failed("frame", &error),
        }
    }

    /// Posts a read; a device repeats what was not taken, under the same id.
    async fn report(&mut self, mut read: ReadMessage) {
        read.event_id = Some(uuid::Uuid::now_v7().to_string());
        for attempt in 1..=READ_TRIES {
            match self.shared.port.post_read(read.clone()).await {
                Ok(()) => return self.shared.counts.read(),
                Err(error @ PortError::Refused(_)) => return self.failed("read", &error),
                Err(error) if attempt == READ_TRIES || self.stopped() => return self.failed("read", &error),
                Err(PortError::Busy { retry_after_ms }) => sleep(Duration::from_millis(retry_after_ms.min(5_000))).await,
                Err(PortError::Unavailable(_)) => sleep(Duration::from_millis(500)).await,
            }
        }
    }

    fn failed(&self, what: &'static str, error: &PortError) {
        self.shared.counts.failure();
        metrics::counter!(telemetry::SIM_POST_FAILURES, "what" => what).increment(1);
        tracing::debug!(lane = self.spec.id, what, %error, "the gate did not take it");
    }
}

fn draw(renderer: &Renderer, scene: &SceneLook, look: Option<&VehicleLook>, progress: f64) -> Result<Picture, RenderError> {
    let begun = std::time::Instant::now();
    let picture = match look {
        Some(look) => renderer.frame(look, scene, progress),
        None => renderer.empty(scene),
    };
    metrics::histogram!(telemetry::SIM_RENDER_SECONDS).record(begun.elapsed().as_secs_f64());
    picture
}

/// Whether the gate knows this vehicle elsewhere than the simulator does (it was there before the
/// simulator started).
fn lost_track(decided: &Decided, visit: &Visit) -> bool {
    use super::traffic::Fault;
    visit.fault != Some(Fault::AlreadyInside) && (decided.says("PLATE_ALREADY_INSIDE") || decided.says("NO_ENTRY_RECORD"))
}

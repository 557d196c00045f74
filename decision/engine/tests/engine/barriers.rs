//! Barriers driven by more than one process, as on two nodes.

use std::sync::Arc;

use portgate_core::command::BarrierState;
use portgate_core::read::ReadMessage;
use portgate_core::registry::Kind;
use portgate_engine::topics;
use serde_json::json;

use crate::kit::{Counting, Kit, CARS};

/// An arm that nobody was seen to pass comes down by itself after 15 s.
const BEHIND_THE_VEHICLE_MS: i64 = 10_000;
const VEHICLES: usize = 3;

/// The group gives commands and reads to whom it likes; the arm still comes down behind its vehicle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_processes_an_arm_comes_down_behind_its_vehicle() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    let machine = Arc::new(Counting::default());
    let (first, second) = (kit.barrier(machine.clone()), kit.barrier(machine.clone()));
    for i in 0..VEHICLES {
        let (plate, track) = (format!("苏G0001{i}"), format!("t{i}"));
        kit.put("vehicle", &plate, json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
        let known = || async { Some(()).filter(|()| handle.store().record(Kind::Vehicle, &plate).unwrap().is_some()) };
        kit.until(known, "record of the vehicle").await;
        kit.read(json!({"lane": CARS, "event_id": format!("p{i}"), "plate_read": {"text": plate, "confidence": 0.98}, "track_id": track}))
            .await;
        let reported = |state: BarrierState, after: usize| {
            let kit = &kit;
            move || async move {
                let reads: Vec<ReadMessage> = kit.all(topics::READS).await;
                reads.into_iter().filter(|r| r.barrier.as_ref().is_some_and(|b| b.state == state)).nth(after)
            }
        };
        let open = kit.until(reported(BarrierState::Open, i), "report of the open barrier").await;
        kit.read(json!({"lane": CARS, "event_id": format!("g{i}"), "vehicle_passed": true})).await;
        let closed = kit.until(reported(BarrierState::Closed, i), "report of the closed barrier").await;
        let up_ms = closed.observed_at.unwrap().millis_since(open.observed_at.unwrap());
        assert!(up_ms < BEHIND_THE_VEHICLE_MS, "open for {up_ms} ms behind a vehicle that went through");
    }
    assert_eq!(machine.raised(), [CARS; VEHICLES]);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

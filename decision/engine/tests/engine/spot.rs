//! A node that is cut off: what it opens on the spot, and what it does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::decision::Verdict;
use portgate_core::journal::{AuthorisedBy, JournalEvent};
use portgate_core::read::ReadMessage;
use portgate_engine::barrier::Lease;
use portgate_engine::cut_off::{desk, Desk, Keeper};
use portgate_engine::{topics, Clock, EngineOptions, SystemClock};
use portgate_log::NewRecord;
use portgate_store::Store;
use serde_json::{json, Value};
use tokio::sync::{mpsc, oneshot};

use crate::kit::{Kit, CARS, SITE};

/// What is kept while the log is away, as the spool would.
#[derive(Default)]
struct Kept(Mutex<Vec<ReadMessage>>);

#[async_trait]
impl Keeper for Kept {
    async fn keep(&self, _: &str, read: &ReadMessage) -> Result<(), String> {
        self.0.lock().unwrap().push(read.clone());
        Ok(())
    }
}

impl Kept {
    fn opened(&self) -> Vec<Command> {
        self.0.lock().unwrap().iter().filter_map(|r| r.on_the_spot.as_ref().map(|s| s.command.clone())).collect()
    }
}

/// A node of the kit's site whose log is away.
struct CutOff {
    desk: Desk,
    lease: Lease,
    kept: Arc<Kept>,
    orders: mpsc::Receiver<Command>,
    reads: u32,
    _stop: oneshot::Sender<()>,
}

impl CutOff {
    fn over(store: Arc<Store>, lease_s: u64) -> Self {
        let (lease, kept) = (Lease::default(), Arc::new(Kept::default()));
        lease.extend(SystemClock.steady().unwrap(), Duration::from_secs(lease_s));
        let (desk, work, orders) = desk(store, Arc::new(SystemClock), lease.clone(), kept.clone(), &EngineOptions::default());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(work.run(async move { drop(stopped.await) }));
        Self { desk, lease, kept, orders, reads: 0, _stop: stop }
    }

    /// A device's read, kept and handed on as the spool does it.
    fn read(&mut self, claims: Value) {
        self.marked(claims, true);
    }

    fn marked(&mut self, mut claims: Value, marked: bool) {
        let first = self.reads == 0;
        self.reads += 1;
        claims["event_id"] = json!(format!("o{}", self.reads));
        let mut read: ReadMessage = serde_json::from_value(claims).unwrap();
        read.received_at = Some(SystemClock.now());
        read.cut_off = (marked && self.desk.at_work(first)).then_some(true);
        self.kept.0.lock().unwrap().push(read.clone());
        self.desk.kept(read, first);
    }

    fn comes(&mut self, plate: &str) {
        self.read(json!({"lane": CARS, "vehicle_present": true}));
        self.read(json!({"lane": CARS, "plate_read": {"text": plate, "confidence": 0.98}, "track_id": plate}));
    }

    async fn order(&mut self) -> Option<Command> {
        tokio::time::timeout(Duration::from_secs(10), self.orders.recv()).await.ok().flatten()
    }

    /// Nothing is ordered, long after the desk has looked at what was read.
    async fn nothing(&mut self) {
        let ordered = tokio::time::timeout(Duration::from_millis(700), self.orders.recv()).await;
        assert!(ordered.is_err(), "{ordered:?}");
        assert_eq!(self.kept.opened(), []);
    }
}

/// The kit's site with its registry taken in; nobody decides any more.
async fn site() -> (Kit, Arc<Store>) {
    let kit = Kit::new().await;
    let today: String = SystemClock.now().to_string().chars().take(10).collect();
    kit.put("reception", "RC1", json!({"plate": "苏G00002", "valid_from": today, "state": "FILED", "purpose": "接待"})).await;
    kit.put("vehicle", "苏G00003", json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"})).await;
    let (engine, handle) = kit.engine().await;
    let known = || async { handle.store().record(portgate_core::registry::Kind::Vehicle, "苏G00003").unwrap() };
    kit.until(known, "the last of the registry").await;
    engine.stop().await.unwrap();
    drop(handle);
    let store = kit.store().await;
    (kit, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_uses_nothing_up_opens_on_the_spot_and_the_owner_puts_it_on_record() {
    let (kit, store) = site().await;
    let mut away = CutOff::over(store, 60);
    away.comes("苏G00001");
    let command = away.order().await.expect("an order");
    assert_eq!((command.order, command.lane.as_str()), (Order::Open, CARS));
    assert_eq!(away.kept.opened(), std::slice::from_ref(&command), "durable before the barrier is told");
    away.read(json!({"lane": CARS, "vehicle_passed": true}));
    // The log is back: what was kept goes out in its order.
    let kept = std::mem::take(&mut *away.kept.0.lock().unwrap());
    drop(away);
    for read in kept {
        kit.append(NewRecord::json(topics::READS, SITE, &read).unwrap()).await;
    }
    let (engine, handle) = kit.engine().await;
    let passage = kit.journalled(|e| matches!(e, JournalEvent::Passage { .. })).await;
    let JournalEvent::Passage { passage } = passage.event else { unreachable!() };
    assert_eq!((passage.authorised_by, passage.plate.as_deref()), (AuthorisedBy::Auto, Some("苏G00001")));
    let decisions = kit.decisions().await;
    let verdicts: Vec<_> = decisions.iter().map(|d| (d.version, d.verdict, d.reasons[0].code.as_str())).collect();
    assert_eq!(verdicts, [(1, Verdict::Hold, "SYS_CUT_OFF"), (2, Verdict::Open, "SYS_CUT_OFF")]);
    assert_eq!(kit.opens().await, [], "the owner opens nothing for it a second time");
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_serves_once_waits_for_a_person() {
    let (kit, store) = site().await;
    let mut away = CutOff::over(store, 60);
    away.comes("苏G00002");
    away.nothing().await;
    // With the log it opens by itself: it is the use of the reception that is left to the owner.
    drop(away);
    let (engine, handle) = kit.engine().await;
    kit.plate(CARS, "苏G00002", "p").await;
    let decision = kit.decided(1).await.pop().unwrap();
    assert_eq!((decision.verdict, decision.effects.contains(&"RECEPTION_CONSUMED".to_owned())), (Verdict::Open, true), "{decision:?}");
    engine.stop().await.unwrap();
    drop(handle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lease_or_a_vehicle_on_the_loop_or_a_read_nothing_opens() {
    let (_kit, store) = site().await;
    // The lease is over at once: a second is less than what is kept off its end.
    let mut ended = CutOff::over(store.clone(), 1);
    ended.comes("苏G00001");
    ended.nothing().await;
    // A plate and no loop; the loop is heard of later.
    let mut unseen = CutOff::over(store.clone(), 60);
    unseen.read(json!({"lane": CARS, "plate_read": {"text": "苏G00001", "confidence": 0.98}, "track_id": "t"}));
    unseen.nothing().await;
    unseen.read(json!({"lane": CARS, "vehicle_present": true}));
    assert!(unseen.order().await.is_some());
    // A read that the owner may open on, too.
    let mut torn = CutOff::over(store.clone(), 60);
    torn.read(json!({"lane": CARS, "vehicle_present": true}));
    torn.marked(json!({"lane": CARS, "queue_length": 1}), false);
    torn.read(json!({"lane": CARS, "plate_read": {"text": "苏G00001", "confidence": 0.98}, "track_id": "t"}));
    torn.nothing().await;
    // The log is back, and with it the owner and people's words.
    let mut over = CutOff::over(store.clone(), 60);
    over.read(json!({"lane": CARS, "vehicle_present": true}));
    over.desk.over();
    over.read(json!({"lane": CARS, "plate_read": {"text": "苏G00001", "confidence": 0.98}, "track_id": "t"}));
    over.nothing().await;
    // What is commanded ends with the lease.
    let mut short = CutOff::over(store, 4);
    short.comes("苏G00003");
    let command = short.order().await.expect("an order");
    let lives_ms = command.expires_at.millis_since(command.issued_at);
    assert!(lives_ms <= 2_500, "{lives_ms} ms");
    assert!(short.lease.left(&SystemClock) <= Duration::from_millis(2_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_that_stood_there_before_is_the_owners() {
    let (kit, store) = site().await;
    drop(store);
    let (engine, handle) = kit.engine().await;
    kit.read(json!({"lane": CARS, "event_id": "before", "vehicle_present": true})).await;
    kit.journalled(|e| matches!(e, JournalEvent::Arrived { .. })).await;
    engine.stop().await.unwrap();
    drop(handle);
    let mut away = CutOff::over(kit.store().await, 60);
    away.comes("苏G00001");
    away.nothing().await;
}

/// A barrier obeys an order that is on no topic only while nobody else can be driving it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_obeys_on_the_spot_under_its_lease_only() {
    use crate::kit::Counting;
    use portgate_engine::barrier::{drive_with, BarrierOptions, OnTheSpot};
    let (kit, _store) = site().await;
    let (orders, ordered) = mpsc::channel(4);
    let (lease, kept, machine) = (Lease::default(), Arc::new(Kept::default()), Arc::new(Counting::default()));
    let spot = OnTheSpot { lease: lease.clone(), orders: ordered, keeper: kept.clone() };
    let (log, stop) = (kit.log.clone(), oneshot::channel::<()>());
    let (told, clock, stopped) = (machine.clone(), Arc::new(SystemClock), stop.1);
    let driven = tokio::spawn(async move {
        drive_with(log, told, clock, BarrierOptions::default(), Some(spot), async move { drop(stopped.await) }).await
    });
    let order = |id: &str, fence| Command {
        command_id: id.into(),
        site: SITE.into(),
        lane: CARS.into(),
        approach_id: format!("ap-{id}"),
        decision_id: format!("D-{id}"),
        decision_version: 1,
        order: Order::Open,
        fence,
        issued_at: SystemClock.now(),
        expires_at: SystemClock.now().plus_millis(5_000),
    };
    let reported = |state: BarrierState, id: &str| {
        let (kept, id) = (kept.clone(), id.to_owned());
        move || {
            let all = kept.0.lock().unwrap();
            let found = all.iter().filter_map(|r| r.barrier.clone()).find(|b| b.state == state && b.command_id.as_deref() == Some(&id));
            std::future::ready(found)
        }
    };
    orders.send(order("without", 1)).await.unwrap();
    kit.until(reported(BarrierState::Rejected, "without"), "refusal without a lease").await;
    assert!(machine.raised().is_empty());
    lease.extend(SystemClock.steady().unwrap(), Duration::from_secs(60));
    // The group gives the commands' partition to this process within moments.
    let mut n = 0;
    loop {
        n += 1;
        let id = format!("with-{n}");
        orders.send(order(&id, 1 + n)).await.unwrap();
        let opened = reported(BarrierState::Opening, &id);
        // Longer than a look for commands, which an order cuts short.
        tokio::time::sleep(Duration::from_millis(800)).await;
        if opened().await.is_some() {
            break;
        }
        assert!(n < 25, "never obeyed");
    }
    assert_eq!(machine.raised(), [CARS]);
    drop(stop.0);
    driven.await.unwrap().unwrap();
}

/// On one thread, so that the desk looks at nothing before all of it has happened.
#[tokio::test]
async fn what_is_left_over_from_an_outage_opens_nothing_in_the_next() {
    let (_kit, store) = site().await;
    let mut away = CutOff::over(store, 60);
    away.comes("苏G00001");
    away.desk.over();
    away.reads = 0;
    away.read(json!({"lane": CARS, "queue_length": 1}));
    away.nothing().await;
    // The new one is decided on as ever.
    away.comes("苏G00003");
    assert!(away.order().await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_read_doubts_is_taken_back_under_the_fence_it_was_opened_with() {
    let (_kit, store) = site().await;
    let mut away = CutOff::over(store, 60);
    away.comes("苏G00001");
    let open = away.order().await.expect("an order");
    away.read(json!({"lane": CARS, "registry_available": false}));
    let back = away.order().await.expect("a withdrawal");
    assert_eq!((back.order, &back.command_id, back.fence), (Order::Withdraw, &open.command_id, open.fence));
}

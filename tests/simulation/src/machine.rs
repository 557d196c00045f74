//! The arms: what really moves, whoever commanded it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use portgate_engine::barrier::{Barrier, BarrierFault};

use crate::rng::Rng;
use crate::signal::Flag;
use crate::time::Time;
use crate::trace::Trace;

/// An arm left up closes by itself after this, whatever becomes of its process.
const CLOSES_MS: u64 = 20_000;

/// An arm going up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The lane.
    pub lane: String,
    /// When the motor was started, microseconds.
    pub at_us: u64,
}

/// The arms of all lanes.
pub struct Machine {
    time: Arc<Time>,
    trace: Arc<Trace>,
    rng: Mutex<Rng>,
    /// Chances in a thousand: slow, out of order.
    slow: u64,
    fault: u64,
    lanes: BTreeMap<String, Flag>,
    raises: Mutex<Vec<Raise>>,
}

impl Machine {
    /// Arms that are down.
    pub fn new(lanes: &[&str], time: &Arc<Time>, trace: &Arc<Trace>, rng: Rng, slow: u64, fault: u64) -> Arc<Self> {
        Arc::new(Self {
            time: time.clone(),
            trace: trace.clone(),
            rng: Mutex::new(rng),
            slow,
            fault,
            lanes: lanes.iter().map(|l| ((*l).to_owned(), Flag::default())).collect(),
            raises: Mutex::new(Vec::new()),
        })
    }

    /// Whether the arm of the lane is up.
    pub fn arm(&self, lane: &str) -> Flag {
        self.lanes.get(lane).cloned().unwrap_or_default()
    }

    /// Every raise so far, from the `from`th on.
    pub fn raises(&self, from: usize) -> Vec<Raise> {
        self.raises.lock().iter().skip(from).cloned().collect()
    }

    async fn moves(&self, lane: &str) -> Result<(), BarrierFault> {
        let (slow, broken, ms) = {
            let mut rng = self.rng.lock();
            (rng.chance(self.slow), rng.chance(self.fault), rng.between(200, 500))
        };
        self.time.sleep_ms(if slow { ms * 10 } else { ms }).await;
        match broken {
            true => Err(BarrierFault { lane: lane.to_owned(), what: "the motor".into() }),
            false => Ok(()),
        }
    }

    fn set(&self, lane: &str, up: bool) {
        if let Some(arm) = self.lanes.get(lane) {
            self.trace.note(self.time.now_us(), || format!("arm of {lane} {}", if up { "up" } else { "down" }));
            arm.set(up);
        }
    }
}

/// The machine as a barrier process moves it.
pub struct Arms(pub Arc<Machine>);

#[async_trait]
impl Barrier for Arms {
    async fn raise(&self, lane: &str) -> Result<(), BarrierFault> {
        let machine = &self.0;
        machine.raises.lock().push(Raise { lane: lane.to_owned(), at_us: machine.time.now_us() });
        machine.trace.note(machine.time.now_us(), || format!("raise {lane}"));
        machine.moves(lane).await?;
        machine.set(lane, true);
        let (machine, lane) = (machine.clone(), lane.to_owned());
        tokio::spawn(async move {
            let arm = machine.arm(&lane);
            tokio::select! {
                biased;
                // Down again, by whoever lowered it.
                () = arm.until(false) => {}
                () = machine.time.sleep_ms(CLOSES_MS) => machine.set(&lane, false),
            }
        });
        Ok(())
    }

    async fn lower(&self, lane: &str) -> Result<(), BarrierFault> {
        self.0.moves(lane).await?;
        self.0.set(lane, false);
        Ok(())
    }
}

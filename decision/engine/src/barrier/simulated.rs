//! A barrier that takes its time and does what it is told.

use std::time::Duration;

use async_trait::async_trait;

use super::{Barrier, BarrierFault};

/// How long the arm of a fast toll barrier takes.
const ARM: Duration = Duration::from_millis(300);

/// Barriers of the demonstration.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedBarrier {
    arm: Duration,
}

impl SimulatedBarrier {
    /// Barriers whose arms take so long to rise or fall.
    pub fn taking(arm: Duration) -> Self {
        Self { arm }
    }
}

impl Default for SimulatedBarrier {
    fn default() -> Self {
        Self { arm: ARM }
    }
}

#[async_trait]
impl Barrier for SimulatedBarrier {
    async fn raise(&self, _: &str) -> Result<(), BarrierFault> {
        tokio::time::sleep(self.arm).await;
        Ok(())
    }
    async fn lower(&self, _: &str) -> Result<(), BarrierFault> {
        tokio::time::sleep(self.arm).await;
        Ok(())
    }
}

//! For how long this process alone drives its lanes' barriers, also with the cluster away.
//!
//! The group gives a lane's commands to another process only when it has not heard of this one for the
//! session's timeout. A renewal that the group has answered began a session no earlier than it was asked
//! for; so until then plus the timeout nobody else can be told to open here. What is left of it is
//! counted by a clock that does not step.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use portgate_log::{topics, Consumer, TopicPartition};

use crate::clock::Clock;

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Kept off its end: an arm that is told to rise still has to, and clocks run apart by a little.
const MARGIN: Duration = Duration::from_millis(1_500);
/// The group of barriers reads no rejected messages: a position of theirs says nothing.
const UNREAD: (&str, u32) = (topics::REJECTED, 0);

/// Until when nobody else drives these barriers; none so far.
#[derive(Clone, Default)]
pub struct Lease(Arc<AtomicU64>);

impl Lease {
    /// What is left of it; zero: it has ended, or the clock cannot tell.
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        let until = Duration::from_micros(self.0.load(Ordering::Acquire));
        clock.steady().map(|now| until.saturating_sub(now)).unwrap_or_default()
    }

    /// A session of so long began at `asked` by the steady clock, or later.
    pub fn extend(&self, asked: Duration, session: Duration) {
        let until = asked.saturating_add(session).saturating_sub(MARGIN);
        self.0.fetch_max(u64::try_from(until.as_micros()).unwrap_or(0), Ordering::AcqRel);
    }
}

/// Renews it until the worker is dropped.
pub(super) async fn keep(consumer: Arc<dyn Consumer>, clock: Arc<dyn Clock>, lease: Lease) {
    let unread = TopicPartition { topic: UNREAD.0.to_owned(), partition: UNREAD.1 };
    loop {
        if let Some(asked) = clock.steady() {
            match consumer.renew(&unread).await {
                Ok(Some(session)) => lease.extend(asked, session),
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "the barriers' lease is not renewed"),
            }
        }
        clock.sleep(RENEW_EVERY).await;
    }
}

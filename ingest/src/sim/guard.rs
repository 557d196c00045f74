//! The simulated guard: works the held vehicles off after a while, so that the lanes keep flowing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::decision::{Severity, Verdict};
use portgate_core::read::Action;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant as Clock;

use super::lane::AtLanes;
use super::port::{Decided, GatePort, GuardWord};
use crate::telemetry;

/// What a guard makes of a held vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What to do.
    pub action: Action,
    /// Why, in the guard's words.
    pub reason: &'static str,
    /// After how many milliseconds, from and to.
    pub after_ms: (u64, u64),
}

/// The guard's rule: what is in order is released, an unreadable plate is typed in from the licence,
/// everything else is turned back. Nothing is said about what is not held.
#[must_use]
pub fn judge(decided: &Decided) -> Option<Judgement> {
    match decided.verdict {
        Verdict::Hold => {}
        Verdict::Open | Verdict::Refuse => return None,
    }
    let wrong: Vec<&str> = decided.reasons.iter().filter(|r| r.severity != Severity::Info).map(|r| r.code.as_str()).collect();
    let say = |action, reason, after_ms| Some(Judgement { action, reason, after_ms });
    match wrong.as_slice() {
        [] => say(Action::Release, "单证核对无误", (6_000, 15_000)),
        ["MANUAL_PLATE_ENTRY"] => say(Action::Release, "已核对行驶证", (4_000, 8_000)),
        ["PLATE_UNREADABLE" | "PLATE_LOW_CONFIDENCE", ..] => say(Action::Correct, "按行驶证录入车牌", (8_000, 14_000)),
        _ => say(Action::Refuse, "核验不符，请返回处理", (18_000, 24_000)),
    }
}

/// Works until no more decisions come.
pub(super) async fn run(port: Arc<dyn GatePort>, lanes: Arc<AtLanes>, mut decisions: mpsc::Receiver<Decided>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x6775_6172);
    // One vehicle stands at a lane: the latest decision of each lane is all there is to do.
    let mut pending: BTreeMap<String, (Clock, Decided, Judgement)> = BTreeMap::new();
    loop {
        let due = pending.values().map(|p| p.0).min();
        let wait = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            decided = decisions.recv() => {
                let Some(decided) = decided else { return };
                match judge(&decided) {
                    Some(judgement) => {
                        let after = rng.random_range(judgement.after_ms.0..=judgement.after_ms.1);
                        let at = Clock::now() + Duration::from_millis(after);
                        pending.insert(decided.lane.clone(), (at, decided, judgement));
                    }
                    None => {
                        pending.remove(&decided.lane);
                    }
                }
            }
            () = wait => {
                let now = Clock::now();
                let ripe: Vec<String> =
                    pending.iter().filter(|(_, p)| p.0 <= now).map(|(lane, _)| lane.clone()).collect();
                for lane in ripe {
                    if let Some((_, decided, judgement)) = pending.remove(&lane) {
                        speak(&*port, &lanes, decided, judgement).await;
                    }
                }
            }
        }
    }
}

async fn speak(port: &dyn GatePort, lanes: &AtLanes, decided: Decided, judgement: Judgement) {
    // The vehicle may have left meanwhile; then there is nobody to speak to.
    let Some(plate) = lanes.get(&decided.lane).map(|p| p.clone()) else { return };
    let word = GuardWord {
        decision_id: decided.id,
        lane: decided.lane,
        version: decided.version,
        action: judgement.action,
        reason: judgement.reason.to_owned(),
        plate: (judgement.action == Action::Correct).then_some(plate),
    };
    if let Err(error) = port.say(word).await {
        metrics::counter!(telemetry::SIM_POST_FAILURES, "what" => "word").increment(1);
        tracing::debug!(%error, "the guard's word was not taken");
    }
}

#[cfg(test)]
mod tests {
    use super::super::port::ReasonCode;
    use super::*;

    fn held(codes: &[(&str, Severity)]) -> Decided {
        Decided {
            id: "D".to_owned(),
            version: 1,
            lane: "L".to_owned(),
            verdict: Verdict::Hold,
            in_order: codes.iter().all(|c| c.1 == Severity::Info),
            reasons: codes.iter().map(|c| ReasonCode { code: c.0.to_owned(), severity: c.1 }).collect(),
            arrived_at: "2026-03-10T12:00:00+08:00".parse().unwrap(),
            action: None,
        }
    }

    fn action(codes: &[(&str, Severity)]) -> Action {
        judge(&held(codes)).unwrap().action
    }

    #[test]
    fn only_what_is_in_order_is_released() {
        assert_eq!(action(&[("MANUAL_RELEASE_REQUIRED", Severity::Info)]), Action::Release);
        assert_eq!(action(&[("MANUAL_PLATE_ENTRY", Severity::Low)]), Action::Release);
        assert_eq!(action(&[("PLATE_CARD_MISMATCH", Severity::Critical)]), Action::Refuse);
        assert_eq!(action(&[("MANUAL_PLATE_ENTRY", Severity::Low), ("TASK_MISSING", Severity::High)]), Action::Refuse);
        assert_eq!(action(&[("PLATE_UNREADABLE", Severity::Medium)]), Action::Correct);
        let open = Decided { verdict: Verdict::Open, ..held(&[]) };
        let refuse = Decided { verdict: Verdict::Refuse, ..held(&[("CARD_EXPIRED", Severity::High)]) };
        assert!(judge(&open).is_none() && judge(&refuse).is_none());
    }
}

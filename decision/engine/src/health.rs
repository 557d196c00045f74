//! What the engine knows to be away or in doubt: the degradation ladder. A change is an input of the
//! site like any other, journalled, so that a replay and a standby see what the decision saw.

use std::collections::BTreeMap;
use std::time::Duration;

use portgate_core::reason::SysReason;
use portgate_core::time::Instant;

/// How long a clock that has stepped is in doubt.
const CLOCK_DOUBT: Duration = Duration::from_secs(60);
/// How long the outbox may wait for the log before that counts.
const LOG_AWAY_AFTER: Duration = Duration::from_secs(5);

/// Limits of what is still in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The registry may be known current this long ago, milliseconds.
    pub(crate) registry_stale_ms: i64,
    /// The clock may differ from the passing of time by this much between two looks, milliseconds.
    pub(crate) clock_step_ms: i64,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The clock.
    pub(crate) wall: Instant,
    /// Time passed, by a clock that does not step; none: there is none to compare with.
    pub(crate) steady: Option<Duration>,
    /// The time at which what comes next is decided.
    pub(crate) at: Instant,
    /// The registry was known to be current.
    pub(crate) registry_current_at: Instant,
    /// Time of the last journal entry.
    pub(crate) journal_at: Instant,
    /// The outbox waits for the log.
    pub(crate) outbox_waits: bool,
    /// Frames cannot be followed.
    pub(crate) frames_away: bool,
}

/// The looks so far.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Option<(Instant, Duration)>,
    stepped: Option<Duration>,
    outbox_waits_since: Option<Instant>,
}

impl Health {
    /// What has changed against what is on record: the component, and whether it is away now.
    pub(crate) fn look(&mut self, limits: Limits, seen: Seen, on_record: &BTreeMap<SysReason, Instant>) -> Vec<(SysReason, bool)> {
        let registry_stale = seen.at.millis_since(seen.registry_current_at) > limits.registry_stale_ms;
        if !seen.outbox_waits {
            self.outbox_waits_since = None;
        }
        let waits_since = seen.outbox_waits.then(|| *self.outbox_waits_since.get_or_insert(seen.wall));
        let patience_ms = i64::try_from(LOG_AWAY_AFTER.as_millis()).unwrap_or(i64::MAX);
        let log_away = waits_since.is_some_and(|since| seen.wall.millis_since(since) >= patience_ms);
        let now = [
            (SysReason::RegistryStale, registry_stale),
            (SysReason::ClockStepped, self.clock_in_doubt(limits, seen)),
            (SysReason::LogAway, log_away),
            (SysReason::EvidenceAway, seen.frames_away),
        ];
        now.into_iter().filter(|(component, away)| on_record.contains_key(component) != *away).collect()
    }

    /// The clock has stepped lately, or lies behind what is on record.
    fn clock_in_doubt(&mut self, limits: Limits, seen: Seen) -> bool {
        if let Some(steady) = seen.steady {
            if let Some((wall_before, steady_before)) = self.last.replace((seen.wall, steady)) {
                let passed_ms = i64::try_from(steady.saturating_sub(steady_before).as_millis()).unwrap_or(i64::MAX);
                let step_ms = seen.wall.millis_since(wall_before).saturating_sub(passed_ms).saturating_abs();
                if step_ms > limits.clock_step_ms {
                    tracing::warn!(step_ms, "the clock has stepped; what would open holds for a minute");
                    self.stepped = Some(steady);
                }
            }
            if self.stepped.is_some_and(|at| steady.saturating_sub(at) >= CLOCK_DOUBT) {
                self.stepped = None;
            }
        }
        self.stepped.is_some() || seen.journal_at.millis_since(seen.wall) > limits.clock_step_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { registry_stale_ms: 30_000, clock_step_ms: 5_000 };

    fn seen(wall_ms: i64, steady_ms: u64) -> Seen {
        let wall = Instant::from_millis(wall_ms);
        Seen {
            wall,
            steady: Some(Duration::from_millis(steady_ms)),
            at: wall,
            registry_current_at: wall,
            journal_at: Instant::default(),
            outbox_waits: false,
            frames_away: false,
        }
    }

    fn look(health: &mut Health, seen: Seen) -> Vec<(SysReason, bool)> {
        health.look(LIMITS, seen, &BTreeMap::new())
    }

    #[test]
    fn the_registry_is_stale_beyond_its_limit_and_no_sooner() {
        let mut health = Health::default();
        let aged = |ms: i64| Seen { registry_current_at: Instant::from_millis(100_000 - ms), ..seen(100_000, 0) };
        assert!(look(&mut health, aged(30_000)).is_empty());
        assert_eq!(look(&mut health, aged(30_001)), [(SysReason::RegistryStale, true)]);
        let on_record = BTreeMap::from([(SysReason::RegistryStale, Instant::default())]);
        assert!(health.look(LIMITS, aged(30_001), &on_record).is_empty(), "it is on record already");
        assert_eq!(health.look(LIMITS, aged(0), &on_record), [(SysReason::RegistryStale, false)]);
    }

    #[test]
    fn a_step_of_the_clock_is_doubted_for_a_minute_in_either_direction() {
        for step_ms in [5_001, -5_001] {
            let mut health = Health::default();
            assert!(look(&mut health, seen(1_000_000, 0)).is_empty());
            assert!(look(&mut health, seen(1_010_000, 10_000)).is_empty());
            assert_eq!(look(&mut health, seen(1_020_000 + step_ms, 20_000)), [(SysReason::ClockStepped, true)]);
            assert_eq!(look(&mut health, seen(1_079_999 + step_ms, 79_999)), [(SysReason::ClockStepped, true)]);
            assert!(look(&mut health, seen(1_080_000 + step_ms, 80_000)).is_empty());
        }
        let mut health = Health::default();
        look(&mut health, seen(0, 0));
        assert!(look(&mut health, seen(15_000, 10_000)).is_empty(), "within what a clock is set by");
    }

    #[test]
    fn a_clock_behind_the_journal_is_in_doubt_until_it_has_caught_up() {
        let mut health = Health::default();
        let behind = |ms: i64| Seen { journal_at: Instant::from_millis(100_000 + ms), steady: None, ..seen(100_000, 0) };
        assert!(look(&mut health, behind(5_000)).is_empty());
        assert_eq!(look(&mut health, behind(5_001)), [(SysReason::ClockStepped, true)]);
    }

    #[test]
    fn the_log_is_away_once_the_outbox_has_waited_a_while() {
        let mut health = Health::default();
        let waits = |ms| Seen { outbox_waits: true, steady: None, ..seen(ms, 0) };
        assert!(look(&mut health, waits(0)).is_empty());
        assert!(look(&mut health, waits(4_999)).is_empty());
        assert_eq!(look(&mut health, waits(5_000)), [(SysReason::LogAway, true)]);
        assert!(look(&mut health, seen(6_000, 0)).is_empty());
        assert!(look(&mut health, waits(7_000)).is_empty(), "a new wait");
        assert_eq!(look(&mut health, Seen { frames_away: true, ..seen(8_000, 2_000) }), [(SysReason::EvidenceAway, true)]);
    }
}

//! What one barrier does with what it hears. Pure: time is an argument, and what is to be done is
//! the answer.

use std::collections::VecDeque;

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::time::Instant;

/// Commands remembered to drop repeats; those older have expired.
const KNOWN_MAX: usize = 256;

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Move the arm up; [`Control::raised`] when it is.
    Raise,
    /// Move the arm down; [`Control::lowered`] when it is.
    Lower,
    /// Tell the gate.
    Report {
        /// The state.
        state: BarrierState,
        /// The command it answers.
        command_id: String,
    },
}

/// One lane's barrier.
#[derive(Clone, Debug)]
pub struct Control {
    fence: u64,
    /// Open commands obeyed, refused or known from before a start.
    known: VecDeque<String>,
    arm: Arm,
    /// Came while the barrier was busy with the vehicle before.
    waiting: Option<Command>,
    /// The last time the arm came down: for which approach it had been up, and from when until when.
    last: Option<Cycle>,
    /// A vehicle last went through at this time although the arm was not up by this control's doing.
    unled: Option<Instant>,
    open_ms_max: i64,
}

/// One raising of the arm, over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cycle {
    approach_id: String,
    since: Instant,
    down: Instant,
    /// Its vehicle went through; otherwise nobody came.
    passed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Arm {
    Down,
    Rising { command: Told, since: Instant, passed: bool },
    Up { command: Told, since: Instant, until: Instant },
    Falling { command: Told, since: Instant, passed: bool },
    Broken,
}

/// What the arm obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    command_id: String,
    approach_id: String,
}

impl Control {
    /// A barrier that is down. It closes by itself after `open_ms_max` milliseconds.
    pub fn new(open_ms_max: i64) -> Self {
        Self { fence: 0, known: VecDeque::new(), arm: Arm::Down, waiting: None, last: None, unled: None, open_ms_max }
    }

    /// A command that was taken off the log before a start: it is not executed again. The arm may
    /// have been up for its vehicle until `now`.
    pub fn remember(&mut self, command: &Command, now: Instant) {
        self.fence = self.fence.max(command.fence);
        if self.learn(&command.command_id) && command.order == Order::Open && self.arm == Arm::Down {
            let approach_id = command.approach_id.clone();
            self.last = Some(Cycle { approach_id, since: command.issued_at, down: now, passed: false });
        }
    }

    /// Whether the arm is down and nothing waits for it.
    pub fn is_down(&self) -> bool {
        self.arm == Arm::Down && self.waiting.is_none()
    }

    /// The last command heard of.
    pub fn last(&self) -> Option<String> {
        self.known.back().cloned()
    }

    /// A command from the log.
    pub fn command(&mut self, command: Command, now: Instant) -> Vec<Act> {
        match command.order {
            Order::Withdraw => {
                if command.fence < self.fence {
                    return Vec::new();
                }
                self.fence = command.fence;
                self.learn(&command.command_id);
                match self.waiting.take_if(|w| w.command_id == command.command_id) {
                    Some(withdrawn) => vec![report(BarrierState::Rejected, withdrawn.command_id)],
                    None => Vec::new(),
                }
            }
            Order::Open => {
                if !self.learn(&command.command_id) {
                    return Vec::new();
                }
                if command.fence <= self.fence {
                    return vec![report(BarrierState::Rejected, command.command_id)];
                }
                self.fence = command.fence;
                // Nobody else stood there between its decision and that passage.
                let gone = self.arm == Arm::Down && self.unled.is_some_and(|at| at > command.issued_at);
                if gone || self.is_through(&command.approach_id) {
                    return vec![report(BarrierState::Rejected, command.command_id)];
                }
                if let Some(acts) = self.adopt(&command, now) {
                    return acts;
                }
                let overtaken = self.waiting.replace(command).map(|c| report(BarrierState::Rejected, c.command_id));
                overtaken.into_iter().chain(self.next(now)).collect()
            }
        }
    }

    /// Whether the vehicle of this approach has gone through: what is commanded for it comes too late.
    fn is_through(&self, approach_id: &str) -> bool {
        let falling = matches!(&self.arm, Arm::Falling { command, passed: true, .. } if command.approach_id == approach_id);
        falling || self.last.as_ref().is_some_and(|l| l.passed && l.approach_id == approach_id)
    }

    /// A newer command for the vehicle the arm is up for already (a person released what the gate
    /// took for expired) is obeyed by the same opening: one vehicle, one raising.
    fn adopt(&mut self, newer: &Command, now: Instant) -> Option<Vec<Act>> {
        let up = matches!(self.arm, Arm::Up { .. });
        let (Arm::Rising { command, .. } | Arm::Up { command, .. }) = &mut self.arm else { return None };
        if command.approach_id != newer.approach_id {
            return None;
        }
        if now >= newer.expires_at {
            return Some(vec![report(BarrierState::Expired, newer.command_id.clone())]);
        }
        command.command_id.clone_from(&newer.command_id);
        if let Arm::Up { until, .. } = &mut self.arm {
            *until = now.plus_millis(self.open_ms_max);
        }
        let states = [Some(BarrierState::Opening), up.then_some(BarrierState::Open)];
        Some(states.into_iter().flatten().map(|s| report(s, newer.command_id.clone())).collect())
    }

    /// A vehicle went through behind the barrier, seen at `at`.
    pub fn passed(&mut self, at: Instant) -> Vec<Act> {
        match &mut self.arm {
            Arm::Rising { since, passed, .. } if at >= *since => {
                *passed = true;
                Vec::new()
            }
            Arm::Up { since, .. } if at >= *since => self.fall(true),
            // Heard late: the arm fell by time, and what waits for that same vehicle waits in vain.
            Arm::Falling { since, passed, command } if at >= *since => {
                *passed = true;
                let approach_id = command.approach_id.clone();
                let vain = self.waiting.take_if(|w| w.approach_id == approach_id);
                vain.map(|c| report(BarrierState::Rejected, c.command_id)).into_iter().collect()
            }
            Arm::Down => {
                match self.last.as_mut().filter(|l| (l.since..=l.down).contains(&at)) {
                    Some(last) => last.passed = true,
                    None => self.unled = self.unled.max(Some(at)),
                }
                Vec::new()
            }
            Arm::Rising { .. } | Arm::Up { .. } | Arm::Falling { .. } | Arm::Broken => Vec::new(),
        }
    }

    /// The arm is up.
    pub fn raised(&mut self, now: Instant) -> Vec<Act> {
        let Arm::Rising { command, since, passed } = self.arm.clone() else { return Vec::new() };
        let mut acts = vec![report(BarrierState::Open, command.command_id.clone())];
        self.arm = Arm::Up { command, since, until: now.plus_millis(self.open_ms_max) };
        if passed {
            acts.extend(self.fall(true));
        }
        acts
    }

    /// The arm is down.
    pub fn lowered(&mut self, now: Instant) -> Vec<Act> {
        let Arm::Falling { command, since, passed } = self.arm.clone() else { return Vec::new() };
        self.arm = Arm::Down;
        self.last = Some(Cycle { approach_id: command.approach_id, since, down: now, passed });
        std::iter::once(report(BarrierState::Closed, command.command_id)).chain(self.next(now)).collect()
    }

    /// The machine is out of order; nothing is commanded any more until a person sees to it.
    pub fn broken(&mut self) -> Vec<Act> {
        let command_id = match std::mem::replace(&mut self.arm, Arm::Broken) {
            Arm::Rising { command, .. } | Arm::Up { command, .. } | Arm::Falling { command, .. } => command.command_id,
            Arm::Down | Arm::Broken => return Vec::new(),
        };
        let waiting = self.waiting.take().map(|c| report(BarrierState::Fault, c.command_id));
        std::iter::once(report(BarrierState::Fault, command_id)).chain(waiting).collect()
    }

    /// Time has gone on to [`Control::deadline`].
    pub fn due(&mut self, now: Instant) -> Vec<Act> {
        match &self.arm {
            Arm::Up { until, .. } if *until <= now => self.fall(false),
            Arm::Down | Arm::Rising { .. } | Arm::Up { .. } | Arm::Falling { .. } | Arm::Broken => Vec::new(),
        }
    }

    /// When [`Control::due`] is to be called; none: nothing is pending.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.arm {
            Arm::Up { until, .. } => Some(*until),
            Arm::Down | Arm::Rising { .. } | Arm::Falling { .. } | Arm::Broken => None,
        }
    }

    /// Executes what waits, if the arm is down and the command still holds.
    fn next(&mut self, now: Instant) -> Vec<Act> {
        if self.arm == Arm::Broken {
            return self.waiting.take().map(|c| report(BarrierState::Fault, c.command_id)).into_iter().collect();
        }
        if self.arm != Arm::Down {
            return Vec::new();
        }
        let Some(command) = self.waiting.take() else { return Vec::new() };
        if now >= command.expires_at {
            return vec![report(BarrierState::Expired, command.command_id)];
        }
        let told = Told { command_id: command.command_id.clone(), approach_id: command.approach_id };
        self.arm = Arm::Rising { command: told, since: now, passed: false };
        vec![report(BarrierState::Opening, command.command_id), Act::Raise]
    }

    fn fall(&mut self, passed: bool) -> Vec<Act> {
        let Arm::Up { command, since, .. } = self.arm.clone() else { return Vec::new() };
        let command_id = command.command_id.clone();
        self.arm = Arm::Falling { command, since, passed };
        vec![report(BarrierState::Closing, command_id), Act::Lower]
    }

    /// Whether the id is new.
    fn learn(&mut self, id: &str) -> bool {
        if self.known.iter().any(|k| k == id) {
            return false;
        }
        self.known.push_back(id.to_owned());
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        true
    }
}

fn report(state: BarrierState, command_id: String) -> Act {
    Act::Report { state, command_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(id: &str, fence: u64) -> Command {
        Command {
            command_id: id.into(),
            site: "S".into(),
            lane: "A.L1".into(),
            approach_id: format!("ap-{id}"),
            decision_id: format!("D-{id}"),
            decision_version: 1,
            order: Order::Open,
            fence,
            issued_at: at(0),
            expires_at: at(10_000),
        }
    }

    fn withdraw(id: &str, fence: u64) -> Command {
        Command { order: Order::Withdraw, ..open(id, fence) }
    }

    fn at(ms: i64) -> Instant {
        Instant::from_millis(ms)
    }

    fn states(acts: &[Act]) -> Vec<BarrierState> {
        acts.iter().filter_map(|a| if let Act::Report { state, .. } = a { Some(*state) } else { None }).collect()
    }

    #[test]
    fn one_command_lets_one_vehicle_through() {
        let mut barrier = Control::new(15_000);
        let acts = barrier.command(open("a", 1), at(1));
        assert_eq!((states(&acts), acts.last()), (vec![BarrierState::Opening], Some(&Act::Raise)));
        assert_eq!(states(&barrier.raised(at(300))), [BarrierState::Open]);
        assert!(barrier.command(open("a", 1), at(400)).is_empty(), "a repeat is dropped");
        assert_eq!(states(&barrier.passed(at(2_000))), [BarrierState::Closing]);
        assert_eq!(states(&barrier.lowered(at(2_300))), [BarrierState::Closed]);
        assert!(barrier.command(open("a", 1), at(2_400)).is_empty(), "nor does it open once more");
    }

    #[test]
    fn an_expired_command_is_reported_and_not_executed() {
        let mut barrier = Control::new(15_000);
        let acts = barrier.command(open("a", 1), at(10_000));
        assert_eq!(states(&acts), [BarrierState::Expired]);
        assert!(!acts.contains(&Act::Raise));
    }

    #[test]
    fn a_command_heard_after_its_vehicle_went_through_raises_for_nobody() {
        let mut barrier = Control::new(15_000);
        barrier.passed(at(3_000));
        let acts = barrier.command(open("a", 1), at(7_000));
        assert_eq!((states(&acts), acts.contains(&Act::Raise)), (vec![BarrierState::Rejected], false));
        // What is decided after that passage is for the next vehicle.
        let next = Command { issued_at: at(3_000), ..open("b", 2) };
        assert!(barrier.command(next, at(7_100)).contains(&Act::Raise));
    }

    #[test]
    fn a_lower_fence_is_refused() {
        let mut barrier = Control::new(15_000);
        barrier.command(withdraw("x", 7), at(0));
        let acts = barrier.command(open("former-owner", 6), at(1));
        assert_eq!(states(&acts), [BarrierState::Rejected]);
        assert!(!acts.contains(&Act::Raise));
    }

    #[test]
    fn a_withdrawn_command_never_opens_whichever_comes_first() {
        let mut first = Control::new(15_000);
        first.command(withdraw("a", 2), at(0));
        assert!(!first.command(open("a", 1), at(1)).contains(&Act::Raise));
        // It waits behind the vehicle before, and is taken back meanwhile.
        let mut waiting = Control::new(15_000);
        waiting.command(open("before", 1), at(0));
        waiting.raised(at(300));
        assert!(waiting.command(open("a", 2), at(400)).is_empty());
        assert_eq!(states(&waiting.command(withdraw("a", 3), at(500))), [BarrierState::Rejected]);
        waiting.passed(at(600));
        assert!(!waiting.lowered(at(900)).contains(&Act::Raise));
    }

    #[test]
    fn the_next_vehicle_waits_until_the_arm_is_down() {
        let mut barrier = Control::new(15_000);
        barrier.command(open("a", 1), at(0));
        barrier.raised(at(300));
        barrier.passed(at(1_000));
        assert!(barrier.command(open("b", 2), at(1_100)).is_empty());
        let acts = barrier.lowered(at(1_300));
        assert_eq!(states(&acts), [BarrierState::Closed, BarrierState::Opening]);
        // A vehicle of before the opening is not taken for this one's.
        barrier.raised(at(1_600));
        assert!(barrier.passed(at(1_000)).is_empty());
    }

    #[test]
    fn a_second_command_for_the_vehicle_the_arm_is_up_for_does_not_raise_again() {
        let of = |approach: &str, c: Command| Command { approach_id: approach.into(), ..c };
        let mut barrier = Control::new(15_000);
        barrier.command(of("ap", open("v1", 1)), at(0));
        let acts = barrier.command(of("ap", open("v3", 2)), at(10));
        assert_eq!((states(&acts), acts.contains(&Act::Raise)), (vec![BarrierState::Opening], false));
        barrier.raised(at(300));
        let acts = barrier.command(of("ap", open("v4", 3)), at(400));
        assert_eq!(states(&acts), [BarrierState::Opening, BarrierState::Open]);
        barrier.passed(at(1_000));
        assert_eq!(states(&barrier.command(of("ap", open("v5", 4)), at(1_100))), [BarrierState::Rejected]);
        assert_eq!(states(&barrier.lowered(at(1_300))), [BarrierState::Closed]);
        assert_eq!(states(&barrier.command(of("ap", open("v6", 5)), at(1_400))), [BarrierState::Rejected], "it is through");
        assert!(barrier.command(of("next", open("w", 6)), at(1_500)).contains(&Act::Raise));
    }

    #[test]
    fn a_passage_heard_late_ends_what_waits_for_that_vehicle() {
        let of = |c: Command| Command { approach_id: "ap".into(), ..c };
        let mut barrier = Control::new(5_000);
        barrier.command(of(open("v1", 1)), at(0));
        barrier.raised(at(300));
        barrier.due(at(5_300));
        assert!(barrier.command(of(open("v2", 2)), at(5_400)).is_empty(), "nobody came: it would be raised again");
        assert_eq!(states(&barrier.passed(at(4_000))), [BarrierState::Rejected]);
        assert!(!barrier.lowered(at(5_600)).contains(&Act::Raise));
        // Heard when the arm is down already.
        let mut barrier = Control::new(5_000);
        barrier.command(of(open("v1", 1)), at(0));
        barrier.raised(at(300));
        barrier.due(at(5_300));
        barrier.lowered(at(5_600));
        barrier.passed(at(4_000));
        assert!(!barrier.command(of(open("v2", 2)), at(5_700)).contains(&Act::Raise));
    }

    #[test]
    fn nobody_came_and_a_person_releases_again() {
        let of = |c: Command| Command { approach_id: "ap".into(), ..c };
        let mut barrier = Control::new(5_000);
        barrier.command(of(open("v1", 1)), at(0));
        barrier.raised(at(300));
        barrier.due(at(5_300));
        barrier.lowered(at(5_600));
        assert!(barrier.command(of(open("v2", 2)), at(9_000)).contains(&Act::Raise));
    }

    #[test]
    fn nobody_came_and_it_closes_by_itself() {
        let mut barrier = Control::new(15_000);
        barrier.command(open("a", 1), at(0));
        barrier.raised(at(300));
        assert_eq!(barrier.deadline(), Some(at(15_300)));
        assert!(barrier.due(at(15_299)).is_empty());
        assert_eq!(states(&barrier.due(at(15_300))), [BarrierState::Closing]);
    }

    #[test]
    fn what_was_taken_off_the_log_before_a_start_is_not_executed_again() {
        let mut barrier = Control::new(15_000);
        barrier.remember(&open("a", 3), at(900));
        assert_eq!((barrier.last(), barrier.is_down()), (Some("a".into()), true));
        assert!(barrier.command(open("a", 3), at(1_000)).is_empty());
        assert_eq!(states(&barrier.command(open("b", 2), at(1_000))), [BarrierState::Rejected]);
    }

    #[test]
    fn a_vehicle_that_went_through_before_a_start_is_not_opened_for_again() {
        let again = || Command { approach_id: "ap-a".into(), ..open("again", 4) };
        let mut barrier = Control::new(15_000);
        barrier.remember(&open("a", 3), at(900));
        assert!(barrier.passed(at(700)).is_empty());
        assert_eq!(states(&barrier.command(again(), at(1_000))), [BarrierState::Rejected]);
        // Nobody came meanwhile: a person's word opens once more.
        let mut barrier = Control::new(15_000);
        barrier.remember(&open("a", 3), at(900));
        assert!(barrier.command(again(), at(1_000)).contains(&Act::Raise));
    }
}

//! Every scenario (some of them side by side in one site) and every course ended at each commit
//! point: before the commit, after it and before anybody is told, after telling and before knowing
//! so. The store is opened again each
//! time, the source delivers from where the store says, the outbox goes out again; journal, use
//! books, lanes and what the world has heard must be those of a run that nothing ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use portgate_core::facts::{FactSource, UseBook};
use portgate_core::journal::{JournalEntry, JournalEvent};
use portgate_core::registry::Kind;
use portgate_core::scenario::{parse_cases, Case, Course, Doing, Known, Scenario, SITE};
use portgate_core::site::{step, Input, LaneState, MemoryWorld};
use portgate_core::time::Instant;
use portgate_store::{check, Store};
use serde_json::json;

const TOPIC: &str = "portgate.reads";
/// Claims of a scenario at most.
const CLAIMS_MAX: usize = 6;
/// Deadlines between two steps at most.
const TICKS_MAX: usize = 100;

/// Where the gate is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The step is taken, its batch is not committed.
    Uncommitted,
    /// Committed, and nobody told.
    Untold,
    /// Told, and the store does not know it.
    Unknown,
}

/// Each run is ended at each of its points at every commit.
const RUNS: [&[End]; 2] = [&[End::Uncommitted, End::Untold], &[End::Unknown]];

/// A gate on a store, and the world that hears of it.
struct Gate {
    dir: PathBuf,
    store: Option<Store>,
    /// What has reached the log, by its place; receivers drop what they have.
    heard: BTreeMap<u64, JournalEntry>,
    known: Known,
    ended: usize,
}

impl Gate {
    fn new(dir: &Path) -> Self {
        let store = Store::open(dir, SITE).expect("a new store");
        Self { dir: dir.to_owned(), store: Some(store), heard: BTreeMap::new(), known: Known::default(), ended: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    /// Ended and started again: the outbox goes out before anything else.
    fn end(&mut self) {
        self.ended += 1;
        drop(self.store.take());
        self.store = Some(Store::open(&self.dir, SITE).expect("it opens again"));
        self.tell();
        self.mark();
    }

    fn tell(&mut self) {
        let out = self.store().journal_after(self.store().published(), 10_000).expect("the outbox reads back");
        for (entry, _) in out {
            let seq = entry.seq;
            match self.heard.get(&seq) {
                Some(before) => assert_eq!(before, &entry, "a repeat is the same to the byte"),
                None => {
                    assert_eq!(seq, self.heard.len() as u64 + 1, "no gap");
                    self.known.hear(&entry.event);
                    self.heard.insert(seq, entry);
                }
            }
        }
    }

    fn mark(&self) {
        let head = self.heard.last_key_value().map_or(0, |(seq, _)| *seq);
        self.store().mark_published(head).expect("marked");
    }

    fn offset(&self) -> u64 {
        self.store().offset(TOPIC, 0).expect("an offset reads back").unwrap_or(0)
    }

    /// Inputs in one batch. `next` is the source's offset after them, none for a timer. Ended at
    /// `end`, if it is given; then everything not committed is to be delivered again.
    fn take(&mut self, inputs: Vec<Input>, now: Instant, next: Option<u64>, end: Option<End>) {
        let store = self.store();
        let mut batch = store.begin();
        for input in inputs {
            let out = step(&batch, SITE, input, now).expect("the world can be read");
            batch.apply(out, now).expect("it can be written");
        }
        if let Some(next) = next {
            batch.set_offset(TOPIC, 0, next);
        }
        if end == Some(End::Uncommitted) {
            drop(batch);
            return self.end();
        }
        store.commit(batch, false).expect("committed");
        if end == Some(End::Untold) {
            return self.end();
        }
        self.tell();
        if end == Some(End::Unknown) {
            return self.end();
        }
        self.mark();
    }

    /// Does something until the store says that it is done, ended once at each of `ends`.
    fn ended_at_each(&mut self, ends: &[End], mut doing: impl FnMut(&mut Self, Option<End>), done: impl Fn(&Self) -> bool) {
        let mut ends = ends.iter();
        while !done(self) {
            doing(self, ends.next().copied());
        }
    }

    /// The next instant at which something falls due, up to `to`.
    fn due(&self, to: Instant) -> Option<Instant> {
        let lanes = self.store().lanes().expect("lanes read back");
        lanes.into_iter().filter_map(|l| l.deadline()).min().filter(|at| *at <= to)
    }

    /// The lanes at which it does.
    fn due_at(&self, at: Instant) -> Vec<String> {
        let lanes = self.store().lanes().expect("lanes read back");
        lanes.into_iter().filter(|l| l.deadline() == Some(at)).map(|l| l.lane).collect()
    }

    /// Runs all courses side by side: at each place in turn, their next steps in one batch.
    fn run(&mut self, courses: &[Course], ends: &[End]) {
        let start = courses[0].start();
        let registry: Vec<Input> = courses.iter().flat_map(Course::registry).collect();
        self.ended_at_each(ends, |g, end| g.take(registry.clone(), start, Some(1), end), |g| g.offset() >= 1);
        let steps = courses.iter().map(|c| c.steps.len()).max().unwrap_or(0);
        for index in 0..steps {
            let now: Vec<&Course> = courses.iter().filter(|c| index < c.steps.len()).collect();
            let at = now[0].steps[index].at;
            assert!(now.iter().all(|c| c.steps[index].at == at), "side by side in time");
            for _ in 0..TICKS_MAX {
                let Some(due) = self.due(at) else { break };
                let ticks: Vec<Input> = self.due_at(due).into_iter().map(|lane| Input::Tick { lane }).collect();
                self.ended_at_each(ends, |g, end| g.take(ticks.clone(), due, None, end), |g| g.due(at) != Some(due));
            }
            let next = index as u64 + 2;
            let input = |g: &mut Self, end| {
                let inputs = now.iter().filter_map(|c| input(c, index, &g.known)).collect();
                g.take(inputs, at, Some(next), end);
            };
            self.ended_at_each(ends, input, |g| g.offset() >= next);
        }
    }

    fn outcome(&self) -> Outcome {
        let store = self.store();
        let journal: Vec<JournalEntry> = store.journal_after(0, 100_000).unwrap().into_iter().map(|(e, _)| e).collect();
        let plates: BTreeSet<String> = journal
            .iter()
            .filter_map(|e| match &e.event {
                JournalEvent::Decision { decision } => decision.plate.clone(),
                _ => None,
            })
            .collect();
        let overlay = store.begin();
        let books = plates.into_iter().map(|p| (p.clone(), overlay.use_book(&p).unwrap())).collect();
        Outcome { journal, heard: self.heard.values().cloned().collect(), books, lanes: store.lanes().unwrap() }
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    journal: Vec<JournalEntry>,
    heard: Vec<JournalEntry>,
    books: BTreeMap<String, UseBook>,
    lanes: Vec<LaneState>,
}

/// The same over a world in memory: its events.
fn in_memory(courses: &[Course]) -> Vec<JournalEvent> {
    let mut world = MemoryWorld::default();
    let mut known = Known::default();
    let mut all = Vec::new();
    let mut take = |world: &mut MemoryWorld, known: &mut Known, input, at| {
        let events = world.take(SITE, input, at).unwrap().events;
        events.iter().for_each(|e| known.hear(e));
        all.extend(events);
    };
    for input in courses.iter().flat_map(Course::registry) {
        take(&mut world, &mut known, input, courses[0].start());
    }
    for index in 0..courses.iter().map(|c| c.steps.len()).max().unwrap_or(0) {
        let now: Vec<&Course> = courses.iter().filter(|c| index < c.steps.len()).collect();
        let at = now[0].steps[index].at;
        for _ in 0..TICKS_MAX {
            let due = world.lanes.values().filter_map(|l| l.deadline()).min();
            let Some(due) = due.filter(|due| *due <= at) else { break };
            let lanes: Vec<String> = world.lanes.values().filter(|l| l.deadline() == Some(due)).map(|l| l.lane.clone()).collect();
            lanes.into_iter().for_each(|lane| take(&mut world, &mut known, Input::Tick { lane }, due));
        }
        for course in now {
            if let Some(input) = input(course, index, &known) {
                take(&mut world, &mut known, input, at);
            }
        }
    }
    all
}

/// The input of a step; its event id is the course's own.
fn input(course: &Course, index: usize, known: &Known) -> Option<Input> {
    let mut input = course.steps[index].input(index, known)?;
    if let Input::Read(read) = &mut input {
        read.event_id = read.event_id.as_ref().map(|e| format!("{}-{e}", course.id));
        if let Some(word) = &mut read.word {
            word.request_id = format!("{}-{}", course.id, word.request_id);
        }
    }
    Some(input)
}

/// Events without what tells how old the registry's source is: the world in memory is always current.
fn ageless(events: Vec<JournalEvent>) -> Vec<JournalEvent> {
    let mut events = events;
    for event in &mut events {
        if let JournalEvent::Decision { decision } = event {
            decision.registry_age_ms = 0;
        }
    }
    events
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios").join(file);
    parse_cases(&std::fs::read_to_string(path).unwrap()).unwrap().into_iter().map(Result::unwrap).collect()
}

/// A scenario as a course beside others: its plates, ids and places renamed one to one, its steps
/// at times that all share. The devices' clocks are believed.
fn beside_others(scenario: &Scenario) -> Course {
    let mut scenario = scenario.clone();
    scenario.policy.clock_skew_max_s = None;
    scenario.checkpoint.id = Some(scenario.id.clone());
    let mut course = Course::of(&scenario);
    let mark = |text: &str| if text.trim().is_empty() { text.to_owned() } else { format!("{text}{}", course.id) };
    for (kind, id, value) in &mut course.setup {
        match kind {
            Kind::Site | Kind::Checkpoint | Kind::Lane | Kind::PeakMode => continue,
            Kind::Policy => {
                id.clone_from(&course.id);
                continue;
            }
            _ => *id = mark(id),
        }
        for (name, value) in value.as_object_mut().into_iter().flatten() {
            let names = ["plate", "declared_plate", "id", "code", "enterprise", "task", "appointment", "trip"];
            if let Some(text) = value.as_str().filter(|_| names.contains(&name.as_str())) {
                *value = json!(mark(text));
            }
        }
    }
    let begin: Instant = "2026-06-01T08:00:00+08:00".parse().unwrap();
    let reads = course.steps.iter().filter(|s| s.at == scenario.at).count();
    assert!(reads <= CLAIMS_MAX, "{}: {reads} claims", course.id);
    for (index, step) in course.steps.iter_mut().enumerate() {
        // The claims first, each at its own time, then what follows, at times of its own.
        step.at = begin.plus_millis(step.at.millis_since(scenario.at) + if index < reads { index as i64 * 10 } else { 0 });
        if let Doing::Read(read) = &mut step.doing {
            read.received_at = Some(step.at);
            read.plate_read.iter_mut().for_each(|p| p.text = mark(&p.text));
            read.manual_plate.iter_mut().for_each(|p| p.text = mark(&p.text));
            [&mut read.card, &mut read.qr, &mut read.exit_permit, &mut read.driver].into_iter().flatten().for_each(|id| *id = mark(id));
        }
    }
    // Those with fewer claims wait meanwhile.
    let wait = course.steps.iter().find(|s| matches!(s.doing, Doing::Wait)).cloned().expect("a step that waits");
    for index in reads..CLAIMS_MAX {
        let mut waiting = wait.clone();
        waiting.at = begin.plus_millis(index as i64 * 10);
        course.steps.insert(index, waiting);
    }
    course
}

/// Runs each group whole and ended at each commit point; how often it was ended.
fn all(groups: &[Vec<Course>]) -> usize {
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(courses) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = &courses[0].id;
                    let dir = tempfile::tempdir().unwrap();
                    let mut whole = Gate::new(&dir.path().join("whole"));
                    whole.run(courses, &[]);
                    let expected = whole.outcome();
                    assert!(expected.heard == expected.journal, "{name}: everything is told");
                    let events = expected.journal.iter().map(|e| e.event.clone()).collect();
                    assert!(ageless(events) == ageless(in_memory(courses)), "{name}: the store's world is the one in memory");
                    for ends in RUNS {
                        let mut broken = Gate::new(&dir.path().join(format!("{:?}", ends[0])));
                        broken.run(courses, ends);
                        assert_same(&broken.outcome(), &expected, &format!("{name} ended {ends:?}"));
                        ended.fetch_add(broken.ended, Ordering::Relaxed);
                        drop(broken.store.take());
                        let report = check(&broken.dir).unwrap();
                        assert!(report.findings.is_empty(), "{name}: {:?}", report.findings);
                    }
                }
            });
        }
    });
    ended.load(Ordering::Relaxed)
}

fn assert_same(got: &Outcome, expected: &Outcome, name: &str) {
    for (mine, theirs) in got.journal.iter().zip(&expected.journal) {
        assert_eq!(mine, theirs, "{name}");
    }
    assert_eq!((got.journal.len(), &got.books, &got.lanes), (expected.journal.len(), &expected.books, &expected.lanes), "{name}");
    assert!(got == expected, "{name}: the world has heard something else");
}

#[test]
fn every_scenario_ended_at_each_commit_point_comes_to_the_same() {
    let scenarios = cases("regulations.yaml").into_iter().map(|case| match case {
        Case::Single(scenario) => beside_others(&scenario),
        Case::Course(course) => panic!("{} is a course", course.id),
    });
    let scenarios: Vec<Course> = scenarios.collect();
    let groups: Vec<Vec<Course>> = scenarios.chunks(26).map(<[Course]>::to_vec).collect();
    let ended = all(&groups);
    println!("{} scenarios in {} stores, ended {ended} times", scenarios.len(), groups.len());
    assert!(scenarios.len() == 206 && ended > groups.len() * 3 * 10);
}

#[test]
fn every_course_ended_at_each_commit_point_comes_to_the_same() {
    let courses = cases("courses.yaml").into_iter().map(|case| match case {
        Case::Course(course) => vec![*course],
        Case::Single(scenario) => panic!("{} is no course", scenario.id),
    });
    let courses: Vec<Vec<Course>> = courses.collect();
    let ended = all(&courses);
    println!("{} courses, ended {ended} times", courses.len());
    assert!(ended > courses.len() * 3 * 4);
}

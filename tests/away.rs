//! The program with a part of its world gone for real: the cluster killed while devices go on
//! reporting, and a store whose disk is full.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portgate_core::command::{BarrierState, Command, Order};
use portgate_core::decision::Verdict;
use portgate_core::journal::{AuthorisedBy, JournalEvent, REPEATED_READ};
use portgate_core::people::Role;
use portgate_core::time::Instant as GateTime;
use portgate_store::Store;
use serde_json::{json, Value};

use crate::support::{eventually, kafka, run, sound, text, Broker, Gate, SmallDisk};

const SITE: &str = "LYG-1";
/// Lanes that open by themselves.
const LANES: usize = 8;
/// Vehicles per lane that may use it; the last of them is asked for by [`opens`] only.
const VEHICLES: u64 = 100;
/// Reads of an outage with every test.
const OFFLINE: u64 = 5_000;
/// Longest that the reconciliation of a million may take here.
const RECONCILED: Duration = Duration::from_secs(3_600);

fn lane(n: usize) -> String {
    format!("AWAY-1.L{n}")
}

fn plate(lane: usize, n: u64) -> String {
    format!("苏G{lane}8{n:03}")
}

fn registry(gate: &Gate) {
    let mut lines = vec![json!({"kind": "checkpoint", "id": "AWAY-1", "value": {"site": SITE, "profile": "LYG"}})];
    for n in 0..LANES {
        let value = json!({"checkpoint": "AWAY-1", "direction": "ENTRY", "lane_class": "PASSENGER"});
        lines.push(json!({"kind": "lane", "id": lane(n), "value": value}));
        for i in 0..VEHICLES {
            let value = json!({"category": "BIZ_STAFF", "registration": "APPROVED", "body": "PASSENGER"});
            lines.push(json!({"kind": "vehicle", "id": plate(n, i), "value": value}));
        }
    }
    let file = gate.dir.with_extension("jsonl");
    std::fs::write(&file, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
    let out = run(&["registry", "import", file.to_str().unwrap(), "--data", gate.dir.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out));
    eventually("the lanes are known at the edge", || (gate.read(&lane(LANES - 1), &json!({"queue_length": 1})).0 == 202).then_some(()));
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60))).build().into()
}

/// Posts a read until it is taken in; counts the answers that were none of 202.
fn post(agent: &ureq::Agent, gate: &Gate, lane: &str, read: &Value, refused: &AtomicU64) {
    loop {
        let sent = agent
            .post(format!("{}/v1/lanes/{lane}/reads", gate.http))
            .header("authorization", format!("Bearer {}", gate.secret("device")))
            .send_json(read);
        match sent {
            Ok(answer) if answer.status() == 202 => return,
            Ok(answer) if matches!(answer.status().as_u16(), 429 | 503) => refused.fetch_add(1, Ordering::Relaxed),
            Ok(answer) => panic!("{lane}: {}", answer.status()),
            Err(e) => panic!("{lane}: {e}"),
        };
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A vehicle that comes, is read and goes on, at each lane in turn: `total` reads in all.
fn drive_past(gate: &Gate, total: u64, refused: &AtomicU64) {
    std::thread::scope(|scope| {
        for n in 0..LANES {
            scope.spawn(move || {
                let (agent, lane) = (agent(), lane(n));
                let share = (total + LANES as u64 - 1 - n as u64) / LANES as u64;
                for i in 0..share {
                    let vehicle = (i / 2) % (VEHICLES - 1);
                    let claims = match i % 2 {
                        0 => {
                            json!({"plate_read": {"text": plate(n, vehicle), "confidence": 0.98}, "track_id": format!("{lane}-{}", i / 2)})
                        }
                        _ => json!({"vehicle_gone": true}),
                    };
                    let mut read = claims;
                    read["event_id"] = json!(format!("away-{n}-{i:07}"));
                    post(&agent, gate, &lane, &read, refused);
                }
            });
        }
    });
}

/// The gate opens for a vehicle that comes now.
fn opens(gate: &Gate, n: usize) {
    let (lane, plate) = (lane(n), plate(n, VEHICLES - 1));
    let mut turn = 0;
    eventually("the lane opens", || {
        if turn % 20 == 0 {
            gate.read(&lane, &json!({"vehicle_gone": true}));
            gate.read(&lane, &json!({"plate_read": {"text": plate, "confidence": 0.98}, "track_id": format!("now-{turn}")}));
        }
        turn += 1;
        let newest = gate.decisions(&format!("lane={lane}&limit=1")).into_iter().next()?;
        (newest["verdict"] == "OPEN" && newest["plate"] == plate.as_str()).then_some(())
    });
    gate.read(&lane, &json!({"vehicle_gone": true}));
}

#[derive(Default)]
struct Audit {
    /// Reads of the test taken in, by id.
    taken: BTreeMap<String, usize>,
    repeats: u64,
    decided: u64,
    cut_off: u64,
    raised: u64,
    /// Opened by a node that was cut off.
    on_the_spot: u64,
    /// Passages that somebody or the rules had allowed.
    passed: u64,
}

/// What the store of a stopped gate says; no arm went up after its command's expiry, and nothing was
/// commanded on evidence older than a command may be.
fn audit(dir: &Path) -> Audit {
    sound(dir);
    let store = Store::open(&dir.join("store"), SITE).unwrap();
    let mut audit = Audit::default();
    let mut commands: BTreeMap<String, Command> = BTreeMap::new();
    let mut evidence: BTreeMap<String, GateTime> = BTreeMap::new();
    let mut after = 0;
    loop {
        let entries = store.journal_after(after, 10_000).unwrap();
        let Some((last, _)) = entries.last() else { break };
        assert_eq!(last.seq, after + entries.len() as u64, "a gap or a repeat in the journal");
        after = last.seq;
        for (entry, _) in entries {
            match entry.event {
                JournalEvent::Read { read } => {
                    let id = read.event_id.unwrap_or_default();
                    if let Some(spot) = read.on_the_spot {
                        commands.insert(spot.command.command_id.clone(), spot.command);
                        audit.on_the_spot += 1;
                    }
                    if let Some(report) = read.barrier.filter(|b| b.state == BarrierState::Opening) {
                        let command = &commands[&report.command_id.unwrap_or_default()];
                        let late_ms = read.observed_at.unwrap().millis_since(command.expires_at);
                        assert!(late_ms <= 0, "raised {late_ms} ms after its expiry: {command:?}");
                        audit.raised += 1;
                    }
                    if id.starts_with("away-") {
                        *audit.taken.entry(id).or_default() += 1;
                    }
                }
                JournalEvent::Dropped { reason, .. } if reason == REPEATED_READ => audit.repeats += 1,
                JournalEvent::Decision { decision } => {
                    audit.decided += u64::from(decision.version == 1);
                    let cut_off = decision.reasons.iter().any(|r| r.code == "SYS_CUT_OFF");
                    let on_the_spot = decision.by.as_ref().is_some_and(|by| by.role == Role::Device);
                    assert!(!cut_off || on_the_spot || decision.verdict == Verdict::Hold, "{decision:?}");
                    audit.cut_off += u64::from(cut_off && decision.version == 1);
                    evidence.insert(decision.id.clone(), decision.evidence_at);
                }
                JournalEvent::Passage { passage } if passage.authorised_by != AuthorisedBy::None => audit.passed += 1,
                JournalEvent::Command { command } if command.order == Order::Open => {
                    let age_ms = command.issued_at.millis_since(evidence[&command.decision_id]);
                    assert!(age_ms <= 10_000, "commanded on evidence of {age_ms} ms before: {command:?}");
                    commands.insert(command.command_id.clone(), command);
                }
                _ => {}
            }
        }
    }
    audit
}

/// A broker is killed, the devices of eight lanes go on reporting, the broker comes back.
#[test]
fn reads_of_an_outage_are_reconciled_once_and_open_nothing() {
    if kafka().is_none() {
        return println!("skipped: PORTGATE_KAFKA not set");
    }
    let total = std::env::var("PORTGATE_OFFLINE").ok().and_then(|n| n.parse().ok()).unwrap_or(OFFLINE);
    let broker = Broker::start(19492);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("gate");
    let gate = Gate::up(&dir, &["--demo", "--kafka", &broker.address(), "--without", "recognise"]);
    registry(&gate);
    opens(&gate, 0);

    broker.run("kill");
    let idle_mib = gate.memory_kib("VmRSS") >> 10;
    let (refused, began) = (AtomicU64::new(0), Instant::now());
    drive_past(&gate, total, &refused);
    let posted = began.elapsed();
    let kept = gate.metric("portgate_ingest_spool_waiting_reads").unwrap_or_default();
    assert!(kept > total as f64 * 0.9, "{kept} wait");
    let (status, ready) = gate.call("GET", "/readyz", "", None);
    assert!(status == 503 && ready["checks"]["spool"]["why"].as_str().is_some_and(|w| w.contains("reads wait")), "{ready}");

    broker.run("start");
    let began = Instant::now();
    while gate.metric("portgate_ingest_spool_waiting_reads") != Some(0.0) {
        assert!(began.elapsed() < RECONCILED, "the spool is never empty");
        std::thread::sleep(Duration::from_millis(100));
    }
    let forwarded = began.elapsed();
    while gate.metric("portgate_decision_queue_reads").is_none_or(|n| n > 0.0) || gate.call("GET", "/readyz", "", None).0 != 200 {
        assert!(began.elapsed() < RECONCILED, "never all taken in");
        std::thread::sleep(Duration::from_millis(100));
    }
    let decided = began.elapsed();
    opens(&gate, 1);
    let peak_mib = gate.memory_kib("VmHWM") >> 10;
    let out = run(&["conflicts", dir.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out));
    let _ = gate.stop();

    let audit = audit(&dir);
    let twice = audit.taken.values().filter(|n| **n > 1).count();
    let rate = |took: Duration| format!("{:.1} s, {:.0}/s", took.as_secs_f64(), total as f64 / took.as_secs_f64());
    for (what, value) in [
        ("reads posted and answered 202", total.to_string()),
        ("… kept on the node's disk", format!("{kept:.0}")),
        ("… refused first (429, 503) and repeated", refused.load(Ordering::Relaxed).to_string()),
        ("… posting took", rate(posted)),
        ("… forwarded", rate(forwarded)),
        ("… all decided, from the broker's return on", rate(decided)),
        ("reads in the journal", audit.taken.len().to_string()),
        ("… twice", twice.to_string()),
        ("repeats dropped on record", audit.repeats.to_string()),
        ("decisions", audit.decided.to_string()),
        ("… held because the lane was cut off", audit.cut_off.to_string()),
        ("arms raised", audit.raised.to_string()),
        ("memory before and peak, MiB", format!("{idle_mib} and {peak_mib}")),
    ] {
        println!("{what:<44}{value:>24}");
    }
    println!("{}", text(&out).lines().last().unwrap_or_default());
    assert_eq!(audit.taken.len() as u64, total, "lost");
    assert_eq!(twice, 0, "taken in twice");
}

/// A broker is killed; within the lease staff come in all the same, what serves once waits, and with the
/// broker back all of it is on record, opened once.
#[test]
fn while_cut_off_what_uses_nothing_up_opens_on_the_spot_and_is_on_record_afterwards() {
    if kafka().is_none() {
        return println!("skipped: PORTGATE_KAFKA not set");
    }
    let broker = Broker::start(19592);
    let folder = tempfile::tempdir().unwrap();
    let (dir, file) = (folder.path().join("gate"), folder.path().join("gate.toml"));
    // Longer than the default, so that a busy machine is within the lease after the two seconds in which
    // a read is first tried on the log.
    std::fs::write(&file, "[kafka.settings]\n\"session.timeout.ms\" = \"30000\"\n").unwrap();
    let file = file.to_str().unwrap();
    let gate = Gate::up(&dir, &["--config", file, "--demo", "--kafka", &broker.address(), "--without", "recognise"]);
    let guest = "苏G80000";
    let today: String = portgate_engine::Clock::now(&portgate_engine::SystemClock).to_string().chars().take(10).collect();
    let line = json!({"kind": "reception", "id": "RC-AWAY", "value": {"plate": guest, "valid_from": today, "state": "FILED"}});
    let filing = folder.path().join("reception.jsonl");
    std::fs::write(&filing, format!("{line}\n")).unwrap();
    let out = run(&["registry", "import", filing.to_str().unwrap(), "--data", dir.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out));
    registry(&gate);
    // The last vehicle of the registry: so all of it is in the store.
    opens(&gate, LANES - 1);

    broker.run("kill");
    let killed = Instant::now();
    let come = |n: usize, plate: &str| {
        let (agent, lane, refused) = (agent(), lane(n), AtomicU64::new(0));
        post(&agent, &gate, &lane, &json!({"vehicle_present": true, "event_id": format!("away-{n}-present")}), &refused);
        let read = json!({"plate_read": {"text": plate, "confidence": 0.98}, "track_id": format!("cut-{n}"),
            "event_id": format!("away-{n}-plate")});
        post(&agent, &gate, &lane, &read, &refused);
    };
    let spot = || gate.metric("portgate_decision_opened_on_the_spot_total").unwrap_or_default();
    let raised = || gate.metric("portgate_barrier_commands_total{result=\"open\"}").unwrap_or_default();
    let before = raised();
    come(1, &plate(1, 0));
    come(2, &plate(2, 0));
    come(3, guest);
    eventually("two arms are up while the broker is dead", || (spot() == 2.0 && raised() >= before + 2.0).then_some(()));
    println!("two opened on the spot {:.1} s after the broker was killed", killed.elapsed().as_secs_f64());
    for n in 1..=2 {
        post(&agent(), &gate, &lane(n), &json!({"vehicle_passed": true, "event_id": format!("away-{n}-passed")}), &AtomicU64::new(0));
    }
    broker.run("start");
    eventually("what was kept is out and taken in", || {
        let empty = gate.metric("portgate_ingest_spool_waiting_reads") == Some(0.0);
        (empty && gate.decisions(&format!("lane={}&limit=1", lane(3))).first().is_some_and(|d| d["verdict"] == "HOLD")).then_some(())
    });
    opens(&gate, 4);
    for n in 1..=2 {
        let versions = gate.decisions(&format!("lane={}&limit=10", lane(n)));
        let newest = versions.first().expect("a decision");
        assert_eq!((&newest["verdict"], &newest["by"]["name"]), (&json!("OPEN"), &json!("cut-off lane")), "{newest}");
    }
    let held = gate.decisions(&format!("lane={}&limit=1", lane(3)));
    assert_eq!((&held[0]["plate"], &held[0]["reasons"][0]["code"]), (&json!(guest), &json!("SYS_CUT_OFF")), "{}", held[0]);
    let out = run(&["conflicts", dir.to_str().unwrap()]);
    let listed = text(&out);
    println!("{}", listed.lines().last().unwrap_or_default());
    assert!(listed.contains("3 decided late, 2 of them opened on the spot, 0 passed without a word"), "{listed}");
    let _ = gate.stop();
    let audit = audit(&dir);
    assert_eq!(audit.taken.len(), 8, "{:?}", audit.taken);
    assert!(audit.taken.values().all(|n| *n == 1), "taken in twice");
    assert_eq!(audit.on_the_spot, 2);
    assert_eq!(audit.passed, 2, "and both on record as let through");
}

/// The store's disk is full: nothing is decided, nothing opens, the reads stay in the log, and with
/// room it goes on by itself.
#[test]
fn with_the_stores_disk_full_nothing_opens_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("gate");
    let store = dir.join("store");
    let Some(_disk) = SmallDisk::mount(&store, "192m") else { return };
    // Little room from the start on, so that the store's log of writes claims none ahead.
    let filler = store.join("filler");
    std::fs::write(&filler, vec![1; 168 << 20]).unwrap();
    let gate = Gate::up(&dir, &["--demo", "--without", "recognise"]);
    registry(&gate);
    opens(&gate, 0);

    // All there is, up to the last block.
    let ballast = store.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    let refused = AtomicU64::new(0);
    let began = Instant::now();
    let mut posted = 0;
    // What lies in room the store had claimed before still gets through.
    while gate.call("GET", "/readyz", "", None).0 == 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "the disk is never full");
        for n in 0..50 {
            let read = json!({"event_id": format!("away-early-{posted}-{n}"), "queue_length": 1});
            post(&agent(), &gate, &lane(2), &read, &refused);
        }
        posted += 1;
    }
    let head = gate.metric("portgate_decision_commands_total");
    drive_past(&gate, 400, &refused);
    std::thread::sleep(Duration::from_secs(12));
    let (status, ready) = gate.call("GET", "/readyz", "", None);
    let why = ready["checks"]["decide"]["why"].as_str().unwrap_or_default().to_owned();
    assert!(status == 503 && why.contains("No space left"), "{ready}");
    assert_eq!(gate.metric("portgate_decision_commands_total"), head, "nothing is commanded");

    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(&filler).unwrap();
    let began = Instant::now();
    eventually("it goes on by itself", || (gate.call("GET", "/readyz", "", None).0 == 200).then_some(()));
    println!("disk full: {why}; well {:.1} s after there was room", began.elapsed().as_secs_f64());
    opens(&gate, 1);
    let _ = gate.stop();
    let audit = audit(&dir);
    assert_eq!(audit.taken.len() as u64, 400 + posted * 50, "lost");
    assert!(audit.taken.values().all(|n| *n == 1), "taken in twice");
    println!("{} reads accepted with the disk full, all taken in once, {} arms raised in all", audit.taken.len(), audit.raised);
}

//! The whole gate from outside: frame and card in, cited verdict out, on every surface.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use portgate_core::plate::PlateKind;
use portgate_ingest::sim::render::{Body, Renderer, SceneLook, VehicleLook};
use serde_json::{json, Value};

use crate::support::{eventually, kafka, portgate, run, shared, text, Gate};

/// A lane of its own, beside the demonstration's, so that no made-up traffic comes between.
const LANE: &str = "JCZ-9.L1";
const PLATE: &str = "苏G88N21";

fn import(gate: &Gate, lines: &str) {
    let file = gate.dir.join("import.jsonl");
    std::fs::write(&file, lines).unwrap();
    let out = run(&["registry", "import", file.to_str().unwrap(), "--data", gate.dir.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out));
}

fn lane_of_its_own(gate: &Gate) {
    let checkpoint = json!({"kind": "checkpoint", "id": "JCZ-9", "value": {"site": "LYG-1", "profile": "LYG"}});
    let lane = json!({"kind": "lane", "id": LANE, "value": {"checkpoint": "JCZ-9", "direction": "ENTRY", "lane_class": "FREIGHT"}});
    import(gate, &format!("{checkpoint}\n{lane}\n"));
    import(gate, &std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/example-truck.jsonl")).unwrap());
    eventually("the lane is known at the edge", || (gate.read(LANE, &json!({"queue_length": 1})).0 == 202).then_some(()));
}

/// A made-up picture of a truck close to the camera.
fn picture(plate: &str) -> Vec<u8> {
    let look = VehicleLook { body: Body::Truck, plate: plate.into(), plate_kind: PlateKind::Yellow, dirt: 0.0, seed: 7 };
    Renderer::new().unwrap().frame(&look, &SceneLook::day(3, LANE), 0.9).unwrap().jpeg
}

fn post_frame(gate: &Gate, lane: &str, picture: &[u8]) -> (u16, Value) {
    gate.call("POST", &format!("/v1/lanes/{lane}/frames"), "device", Some(picture))
}

fn codes(decision: &Value) -> Vec<String> {
    let reasons = decision["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().map(|r| r["code"].as_str().unwrap_or_default().to_owned()).collect()
}

fn sql(gate: &Gate, query: &str) -> Vec<Value> {
    let out = run(&["sql", query, "--format", "json", "--data", gate.dir.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out));
    String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

fn psql(gate: &Gate, role: &str, query: &str) -> String {
    let (host, port) = gate.sql.rsplit_once(':').unwrap();
    let out = Command::new("psql")
        .args(["-h", host, "-p", port, "-U", role, "-At", "-c", query])
        .env("PGPASSWORD", gate.secret(role))
        .output()
        .expect("psql is installed");
    assert!(out.status.success(), "{}", text(&out));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Everything `/v1/events` sends from now on, as lines.
fn listen(gate: &Gate) -> std::sync::mpsc::Receiver<String> {
    let mut child = Command::new("curl")
        .args(["-sN", "-H", &format!("Authorization: Bearer {}", gate.secret("guard")), &format!("{}/v1/events", gate.http)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    });
    receiver
}

#[test]
fn frame_and_card_in_cited_verdict_out_everywhere_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    lane_of_its_own(&gate);
    let events = listen(&gate);

    assert_eq!(post_frame(&gate, LANE, &picture(PLATE)).0, 202);
    assert_eq!(gate.read(LANE, &json!({"card": "K-2001"})).0, 202);
    let decision = eventually("a decision", || gate.decisions(&format!("lane={LANE}")).pop());
    assert_eq!((decision["verdict"].as_str(), codes(&decision)), (Some("HOLD"), vec!["MANUAL_RELEASE_REQUIRED".to_owned()]), "{decision}");
    assert_eq!(decision["reasons"][0]["cite"], "LYG-0.12a");
    assert_eq!((decision["plate"].as_str(), decision["in_order"].as_bool()), (Some(PLATE), Some(true)));
    let id = decision["id"].as_str().unwrap().to_owned();

    // The same id and reasons on the live stream, in SQL and over the PostgreSQL protocol.
    eventually("the live event", || {
        events.try_iter().any(|l| l.starts_with("data:") && l.contains(&id) && l.contains("MANUAL_RELEASE_REQUIRED")).then_some(())
    });
    let rows = eventually("the row", || {
        Some(sql(&gate, &format!("SELECT id, verdict, reasons FROM decisions WHERE id = '{id}'"))).filter(|r| !r.is_empty())
    });
    assert_eq!(rows, [json!({"id": id, "verdict": "HOLD", "reasons": ["MANUAL_RELEASE_REQUIRED"]})]);
    assert_eq!(psql(&gate, "security", &format!("SELECT plate FROM decisions WHERE id = '{id}'")), PLATE);
    assert_ne!(psql(&gate, "analyst", &format!("SELECT plate FROM decisions WHERE id = '{id}'")), PLATE, "analysts see masked plates");

    // The evidence frame stands behind it.
    let (status, _) = gate.call("GET", &format!("/v1/decisions/{id}/frame"), "guard", None);
    assert_eq!(status, 200);

    // One guard releases it; a second word is too late; the barrier opens; the passage uses the card.
    let path = format!("/v1/decisions/{id}/release");
    assert_eq!(gate.call("POST", &path, "analyst", Some(br#"{"reason":"x"}"#)).0, 403);
    assert_eq!(gate.call("POST", &path, "guard", Some("{\"reason\":\"核验无误\"}".as_bytes())).0, 200);
    assert_eq!(gate.call("POST", &path, "guard", Some("{\"reason\":\"核验无误\"}".as_bytes())).0, 409);
    eventually("the barrier opens", || {
        let lanes = gate.get("/v1/lanes", "guard");
        let lane = lanes["lanes"].as_array()?.iter().find(|l| l["lane"] == LANE)?.clone();
        (lane["barrier"] == "open").then_some(())
    });
    assert_eq!(gate.read(LANE, &json!({"vehicle_passed": true})).0, 202);
    let passage =
        eventually("the passage", || sql(&gate, &format!("SELECT authorised_by, effects FROM passages WHERE decision_id = '{id}'")).pop());
    assert_eq!(passage, json!({"authorised_by": "GUARD", "effects": ["PRESENCE_OPENED", "SINGLE_CARD_CONSUMED", "TASK_ENTERED"]}));

    // The card has served.
    assert_eq!(gate.read(LANE, &json!({"plate_read": {"text": PLATE, "confidence": 0.99}, "card": "K-2001"})).0, 202);
    let again = eventually("a second decision", || gate.decisions(&format!("lane={LANE}")).into_iter().find(|d| d["id"] != id.as_str()));
    assert!(codes(&again).contains(&"SINGLE_CARD_ALREADY_USED".to_owned()), "{again}");

    // Nothing personal in the log above DEBUG.
    let log = gate.stop();
    assert!(log.iter().all(|l| !l.contains(PLATE) && !l.contains("K-2001")), "a plate or card number in the log");
}

#[test]
fn a_real_photograph_is_read_and_decided() {
    let Some(shared) = shared() else { return println!("skipped: ../shared is absent") };
    let labels = std::fs::read_to_string(shared.join("data/labels.tsv")).unwrap();
    let (file, plate) = labels
        .lines()
        .filter_map(|l| Some((l.split('\t').next()?, l.split('\t').nth(1)?)))
        .find(|(f, _)| f.starts_with("toll-lanes/"))
        .expect("a toll-lane photograph");
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    lane_of_its_own(&gate);
    import(&gate, &json!({"kind": "vehicle", "id": plate, "value": {"category": "PF_CONTAINER", "registration": "APPROVED"}}).to_string());
    let picture = std::fs::read(shared.join("data").join(file)).unwrap();
    assert_eq!(post_frame(&gate, LANE, &picture).0, 202);
    let decision = eventually("a decision", || gate.decisions(&format!("lane={LANE}")).pop());
    assert!(decision["plate"] == plate && codes(&decision) == ["TASK_MISSING"], "the photograph {file} was read or decided otherwise");
}

#[test]
fn stopped_in_the_middle_nothing_is_lost_and_nothing_decided_twice() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let mut seen: Vec<String> = Vec::new();
    for round in 0..3 {
        let gate = Gate::up(dir.path(), &["--demo"]);
        if round == 0 {
            lane_of_its_own(&gate);
        }
        for id in &seen {
            assert_eq!(gate.call("GET", &format!("/v1/decisions/{id}"), "guard", None).0, 200, "a decision of before is gone");
        }
        // Whatever stood there before the start has gone.
        assert_eq!(gate.read(LANE, &json!({"vehicle_gone": true})).0, 202);
        // Reads acknowledged right before the end are decided, now or after the next start.
        let plate = format!("苏G7000{round}");
        import(
            &gate,
            &json!({"kind": "vehicle", "id": plate, "value": {"category": "PF_CONTAINER", "registration": "APPROVED"}}).to_string(),
        );
        assert_eq!(
            gate.read(LANE, &json!({"plate_read": {"text": plate, "confidence": 0.99}, "event_id": format!("last-{round}")})).0,
            202
        );
        if round == 1 {
            gate.kill();
        } else {
            let decision =
                eventually("a decision", || gate.decisions(&format!("lane={LANE}")).into_iter().find(|d| d["plate"] == plate.as_str()));
            seen.push(decision["id"].as_str().unwrap().to_owned());
            let _ = gate.stop();
        }
    }
    let out = run(&["check", at]);
    assert!(out.status.success(), "{}", text(&out));
    let out = run(&["replay", at]);
    assert!(out.status.success() && text(&out).contains(" 0 differ"), "{}", text(&out));
    // The same journal under another policy, and its differences where analysts ask.
    let policy = dir.path().join("milder.yaml");
    std::fs::write(&policy, "refuse_mode: hold_all\n").unwrap();
    let out = run(&["replay", at, "--policy", policy.to_str().unwrap()]);
    assert!(out.status.code() == Some(1) && !text(&out).contains(" 0 differ"), "{}", text(&out));
    let asked = "SELECT count(*) > 0 AS found FROM replay_differences WHERE policy = 'milder.yaml'";
    let asked = run(&["sql", asked, "--format", "csv", "--data", at]);
    assert!(text(&asked).lines().any(|l| l == "true"), "{}", text(&asked));
    std::fs::write(&policy, "refuse_mood: hold_all\n").unwrap();
    let out = run(&["replay", at, "--policy", policy.to_str().unwrap()]);
    assert!(out.status.code() == Some(2) && text(&out).contains("refuse_mood"), "{}", text(&out));
    let twice = run(&["sql", "SELECT count(*) - count(DISTINCT id) AS twice FROM decisions", "--format", "csv", "--data", at]);
    assert!(text(&twice).lines().any(|l| l == "0"), "{}", text(&twice));
    let killed = run(&["sql", "SELECT count(*) AS n FROM decisions WHERE plate = '苏G70001'", "--format", "csv", "--data", at]);
    assert!(text(&killed).lines().any(|l| l == "1"), "the read acknowledged before kill -9: {}", text(&killed));

    // A copy of it is whole, and can be put back.
    let (copy, back) = (dir.path().join("copy"), dir.path().join("back"));
    assert!(run(&["backup", at, copy.to_str().unwrap()]).status.success());
    let out = run(&["restore", copy.to_str().unwrap(), back.to_str().unwrap()]);
    assert!(out.status.success() && text(&out).contains("0 findings"), "{}", text(&out));
}

#[test]
fn bad_input_is_answered_and_stops_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    lane_of_its_own(&gate);
    let whole = picture(PLATE);
    let says = |answer: (u16, Value), status: u16, word: &str| {
        let message = answer.1["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.0 == status && message.contains(word), "wanted {status} naming {word:?}: {answer:?}");
    };
    says(post_frame(&gate, LANE, b"no picture at all"), 400, "");
    says(post_frame(&gate, LANE, &whole[..whole.len() / 2]), 400, "");
    let mut huge = whole.clone();
    let sof = huge.windows(2).position(|w| w == [0xff, 0xc0]).expect("a baseline JPEG");
    huge[sof + 5..sof + 9].copy_from_slice(&[0x38, 0x40, 0x38, 0x40]);
    says(post_frame(&gate, LANE, &huge), 400, "");
    says(post_frame(&gate, "JCZ-9.L7", &whole), 404, "JCZ-9.L7");
    says(gate.read(LANE, &json!({"crad": "C1"})), 400, "crad");
    says(gate.read(LANE, &json!({"card": 7})), 400, "");
    assert_eq!(gate.call("POST", &format!("/v1/lanes/{LANE}/reads"), "", Some(b"{}")).0, 401);
    let answer = gate.call("PUT", "/v1/registry/vehicle/X", "registrar", Some(br#"{"category":"PF_GENERAL","registration":"MAYBE"}"#));
    assert!(answer.0 == 400 || answer.0 == 422, "{answer:?}");
    assert!(answer.1.to_string().contains("MAYBE") || answer.1.to_string().contains("registration"), "{answer:?}");
    // After all of it the lane decides as ever.
    assert_eq!(gate.read(LANE, &json!({"plate_read": {"text": "苏A00000", "confidence": 0.99}})).0, 202);
    let decision = eventually("a decision", || gate.decisions(&format!("lane={LANE}")).pop());
    assert_eq!(codes(&decision), ["VEHICLE_NOT_REGISTERED"]);

    // A second gate on the same folder, or on the same port, is told so.
    let out = run(&["up", "--demo", "--data", dir.path().to_str().unwrap(), "--http", "127.0.0.1:0", "--sql", "127.0.0.1:0"]);
    assert!(out.status.code() == Some(2) && text(&out).contains("another process"), "{}", text(&out));
    let other = tempfile::tempdir().unwrap();
    let port = gate.http.trim_start_matches("http://");
    let out = run(&["up", "--demo", "--data", other.path().to_str().unwrap(), "--http", port, "--sql", "127.0.0.1:0"]);
    assert!(out.status.code() == Some(2) && text(&out).contains("in use"), "{}", text(&out));
}

#[test]
fn prometheus_scrapes_a_running_gate() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    lane_of_its_own(&gate);
    gate.read(LANE, &json!({"plate_read": {"text": "苏A00000", "confidence": 0.99}}));
    eventually("a decision", || gate.decisions(&format!("lane={LANE}")).pop());
    let config = dir.path().join("prometheus.yml");
    let target = gate.http.trim_start_matches("http://");
    std::fs::write(
        &config,
        format!("scrape_configs:\n- job_name: portgate\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"),
    )
    .unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()))
        .arg(format!("--web.listen-address={listen}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Prometheus is installed");
    let ask = |query: &str| -> Option<f64> {
        let out = Command::new("curl")
            .args(["-sG", "--data-urlencode", &format!("query={query}"), &format!("http://{listen}/api/v1/query")])
            .output()
            .ok()?;
        let body: Value = serde_json::from_slice(&out.stdout).ok()?;
        body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the gate is up in Prometheus", || ask("up{job=\"portgate\"}").filter(|v| *v == 1.0));
        eventually("verdicts by reason", || ask("sum({__name__=~\"portgate_.*verdicts_total\"})").filter(|v| *v >= 1.0));
        eventually("a latency histogram", || ask("count({__name__=~\"portgate_.*_seconds_bucket\"})").filter(|v| *v > 10.0));
    }));
    let _ = prometheus.kill();
    let _ = prometheus.wait();
    assert!(found.is_ok(), "Prometheus lacks a series; /metrics says:\n{}", gate.get("/metrics", "guard"));
}

#[test]
fn the_page_works_in_a_browser() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/web");
    if !web.join("node_modules/playwright-core").is_dir() {
        return println!("skipped: the page's packages are not installed (npm ci in dashboards/web)");
    }
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    let out = Command::new("node")
        .arg(web.join("tests/room.mjs"))
        .arg(&gate.http)
        .arg(&gate.dir)
        .current_dir(&web)
        .output()
        .expect("node is installed");
    assert!(out.status.success(), "{}", text(&out));
}

/// One test, because the demonstration's site has one owner and one journal on a broker.
#[test]
fn over_kafka_in_two_processes_the_decisions_are_the_same() {
    let Some(broker) = kafka() else { return println!("skipped: PORTGATE_KAFKA not set") };
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = dir.path().join("portgate.toml");
    // A broker that has seen an earlier run is no other: site and lane are this run's own.
    let site = format!("LYG-{}", std::process::id());
    let checkpoint = format!("JCZ-{}", std::process::id());
    let lane = format!("{checkpoint}.L1");
    std::fs::write(&config, format!("[site]\nid = \"{site}\"\n")).unwrap();
    let gate = Gate::up(dir.path(), &["--demo", "--kafka", &broker, "--without", "recognise", "--config", config.to_str().unwrap()]);
    let mut recogniser = portgate()
        .args(["run", "--roles", "recognise", "--kafka", &broker, "--data", other.path().to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let place = json!({"kind": "checkpoint", "id": checkpoint, "value": {"site": site, "profile": "LYG"}});
    let entry = json!({"kind": "lane", "id": lane, "value": {"checkpoint": checkpoint, "direction": "ENTRY", "lane_class": "FREIGHT"}});
    import(&gate, &format!("{place}\n{entry}\n"));
    import(&gate, &std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/example-truck.jsonl")).unwrap());
    eventually("the lane is known at the edge", || (gate.read(&lane, &json!({"queue_length": 1})).0 == 202).then_some(()));

    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_eq!(post_frame(&gate, &lane, &picture(PLATE)).0, 202);
        // The card comes from an ordinary client.
        let card = format!("{{\"lane\": \"{lane}\", \"card\": \"K-2001\"}}\n");
        let mut kcat = Command::new("kcat")
            .args(["-P", "-b", &broker, "-t", "portgate.reads", "-k", &site])
            .stdin(Stdio::piped())
            .spawn()
            .expect("kcat is installed");
        std::io::Write::write_all(&mut kcat.stdin.take().unwrap(), card.as_bytes()).unwrap();
        assert!(kcat.wait().unwrap().success());
        let decision = eventually("a decision", || gate.decisions(&format!("lane={lane}")).pop());
        assert_eq!(
            (decision["verdict"].as_str(), codes(&decision)),
            (Some("HOLD"), vec!["MANUAL_RELEASE_REQUIRED".to_owned()]),
            "{decision}"
        );
        // And an ordinary client reads the decision.
        let id = decision["id"].as_str().unwrap();
        let out = Command::new("kcat").args(["-C", "-b", &broker, "-t", "portgate.decisions", "-e", "-q"]).output().unwrap();
        let read = String::from_utf8_lossy(&out.stdout)
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok())
            .find(|d| d["id"] == id)
            .expect("kcat reads it");
        assert_eq!(codes(&read), codes(&decision));
        // What does not fit goes to portgate.rejected with its reason, and the stream goes on.
        let mut kcat =
            Command::new("kcat").args(["-P", "-b", &broker, "-t", "portgate.reads", "-k", &site]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut kcat.stdin.take().unwrap(), b"{\"lane\": \"JCZ-9.L1\", \"crad\": \"K\"}\n").unwrap();
        assert!(kcat.wait().unwrap().success());
        eventually("the reason on portgate.rejected", || {
            let out = Command::new("kcat").args(["-C", "-b", &broker, "-t", "portgate.rejected", "-e", "-q"]).output().ok()?;
            String::from_utf8_lossy(&out.stdout).contains("crad").then_some(())
        });
        assert_eq!(gate.call("POST", &format!("/v1/decisions/{id}/release"), "guard", Some(br#"{"reason":"ok"}"#)).0, 200);
    }));
    let _ = recogniser.kill();
    let _ = recogniser.wait();
    if outcome.is_err() {
        panic!("over Kafka:\n{}", gate.log().join("\n"));
    }
}

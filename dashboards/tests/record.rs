//! What people ask for, look up, watch and sign: over HTTP, on a real log; roles, pace, TLS.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use portgate_dashboards::webhook::{WebhookConfig, Webhooks};
use portgate_dashboards::{ServeConfig, TlsFiles};
use portgate_log::{topics, NewRecord};
use serde_json::{json, Value};
use support::site::Vehicle;
use support::Room;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const LANE: &str = "JCZ-1.L1";

/// A certificate of its own for this machine, and its key.
fn certificate(dir: &Path, constraints: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (dir.join("gate.pem"), dir.join("gate.key"));
    let what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
    let made = std::process::Command::new("openssl")
        .args(what.split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", &format!("basicConstraints=critical,{constraints}"), "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_asks_and_a_supervisor_settles_it_once_on_every_screen() {
    let room = Room::open(true).await;
    let id = room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    room.until(&format!("/v1/decisions/{id}"), Some("guard"), |s, _| s == 200).await;
    let other = room.listen("supervisor", None);
    other.until(|e| e.kind == "hello");
    let ask = json!({"want": "inspection", "note": "封条外观可疑"});
    let path = format!("/v1/decisions/{id}/ask");
    let (status, asked) = room.call("POST", &path, Some("guard"), Some(ask.clone())).await;
    assert_eq!(status, 200, "{asked}");
    let heard = other.until(|e| e.kind == "ask").pop().unwrap().json();
    assert_eq!((heard["decision_id"].as_str(), heard["by"].as_str()), (Some(id.as_str()), Some("guard")));
    assert_eq!(room.call("POST", &path, Some("supervisor"), Some(ask)).await.0, 409, "asked for already");
    let display = room.call("GET", &format!("/v1/lanes/{LANE}/display"), Some("device"), None).await.1;
    assert_eq!(display["zh"], "请等待查验", "{display}");
    let settle = format!("/v1/asks/{}/settle", asked["id"].as_str().unwrap());
    assert_eq!(room.call("POST", &settle, Some("supervisor"), Some(json!({"note": "已查验"}))).await.0, 200);
    assert_eq!(room.call("POST", &settle, Some("guard"), Some(json!({"note": "x"}))).await.0, 409);
    let (_, list) = room.call("GET", "/v1/asks", Some("guard"), None).await;
    assert_eq!(list["asks"][0]["outcome"], "已查验");
    let (_, masked) = room.call("GET", "/v1/asks", Some("analyst"), None).await;
    assert!(masked["asks"][0]["note"].is_null(), "{masked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_watched_raises_an_alert_and_nobody_else_does() {
    let mut room = Room::open(true).await;
    let mut entry = json!({"plate": "苏G12*", "why": "协查车辆，请通知安保", "level": "critical", "lanes": [LANE], "from": "2020-01-01T00:00:00+08:00"});
    let (status, answer) = room.call("PUT", "/v1/watch/W1", Some("security"), Some(entry.clone())).await;
    assert_eq!(status, 422, "without an end: {answer}");
    entry["to"] = json!("2099-01-01T00:00:00+08:00");
    assert_eq!(room.call("PUT", "/v1/watch/W1", Some("security"), Some(entry.clone())).await.0, 422, "too long");
    let now = support::site::now();
    entry["from"] = json!(now.plus_millis(-1000));
    entry["to"] = json!(now.plus_millis(86_400_000));
    assert_eq!(room.call("PUT", "/v1/watch/W1", Some("guard"), Some(entry.clone())).await.0, 403);
    assert_eq!(room.call("PUT", "/v1/watch/W1", Some("security"), Some(entry)).await.0, 200);
    for (lane, plate) in [("JCZ-1.L2", "苏G12345"), (LANE, "苏G99999"), (LANE, "苏G12345")] {
        room.site.arrive(&Vehicle::in_order(lane, plate)).await;
    }
    let one = |_: u16, v: &Value| v["alerts"].as_array().is_some_and(|a| a.iter().any(|a| a["code"] == "WATCH_LIST"));
    let alerts = room.until("/v1/alerts", Some("guard"), one).await;
    let watched: Vec<&Value> = alerts["alerts"].as_array().unwrap().iter().filter(|a| a["code"] == "WATCH_LIST").collect();
    assert_eq!(watched.len(), 1, "{alerts}");
    assert_eq!((watched[0]["lane"].as_str(), watched[0]["level"].as_str()), (Some(LANE), Some("critical")));
    assert_eq!(watched[0]["note"], "协查车辆，请通知安保");
    room.halt().await;
    room.start().await;
    let again = room.until("/v1/alerts", Some("guard"), one).await;
    assert_eq!(again["alerts"], alerts["alerts"], "the same after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_looked_up_unrecorded() {
    let room = Room::open(true).await;
    let search = |purpose: &str| json!({"purpose": purpose, "plate": "G12*"});
    assert_eq!(room.call("POST", "/v1/search", Some("guard"), Some(search(" "))).await.0, 422, "without a purpose");
    let too_wide = json!({"purpose": "x", "plate": "*1*"});
    assert_eq!(room.call("POST", "/v1/search", Some("guard"), Some(too_wide)).await.0, 422);
    let (status, rows) = room.call("POST", "/v1/search", Some("guard"), Some(search("核对投诉"))).await;
    assert_eq!(status, 200, "{rows}");
    let sql = rows["rows"][0]["sql"].as_str().unwrap();
    assert!(sql.contains("LIKE 'G12%'"), "{sql}");
    let inject = json!({"purpose": "x", "card": "C' OR '1'='1"});
    let (_, rows) = room.call("POST", "/v1/search", Some("guard"), Some(inject)).await;
    assert!(rows["rows"][0]["sql"].as_str().unwrap().contains("d.card = 'C'' OR ''1''=''1'"), "{rows}");
    let (_, audit) = room.call("GET", "/v1/audit", Some("security"), None).await;
    let first = &audit["entries"][1];
    assert_eq!((first["event"]["purpose"].as_str(), first["by"]["name"].as_str()), (Some("核对投诉"), Some("guard")), "{audit}");
    assert_eq!(audit["count"], 2, "what was refused was not looked up");
    assert_eq!(audit["chain"].as_str().map(str::len), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_is_signed_by_two_people_and_a_difference_needs_a_remark() {
    let room = Room::open(true).await;
    let sign = |party: &str, counted: u32, remark: Option<&str>| json!({"party": party, "counted": counted, "remark": remark});
    let path = "/v1/handovers/2026-03-10/sign";
    assert_eq!(room.call("POST", path, Some("guard"), Some(sign("PAMC", 5, None))).await.0, 403);
    assert_eq!(room.call("POST", path, Some("registrar"), Some(sign("ROAD_PORT", 4, None))).await.0, 422, "5 were recovered");
    assert_eq!(room.call("POST", path, Some("registrar"), Some(sign("ROAD_PORT", 4, Some("一张遗失")))).await.0, 200);
    assert_eq!(room.call("POST", path, Some("registrar"), Some(sign("PAMC", 5, None))).await.0, 409, "the same person");
    assert_eq!(room.call("POST", path, Some("supervisor"), Some(sign("PAMC", 5, None))).await.0, 200);
    assert_eq!(room.call("POST", path, Some("supervisor"), Some(sign("PAMC", 5, None))).await.0, 409);
    assert_eq!(room.call("POST", "/v1/handovers/2999-01-01/sign", Some("registrar"), Some(sign("PAMC", 5, None))).await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_saved_for_all_analysts_and_outlive_the_program() {
    let mut room = Room::open(true).await;
    let question = json!({"sql": "SELECT lane, count(*) FROM decisions GROUP BY lane", "chart": "bar"});
    let path = "/v1/questions/%E6%AF%8F%E9%80%9A%E9%81%93";
    assert_eq!(room.call("PUT", path, Some("analyst"), Some(question)).await.0, 200);
    assert_eq!(room.call("PUT", path, Some("analyst"), Some(json!({"sql": "SELECT 1", "chart": "pie"}))).await.0, 422);
    room.halt().await;
    room.start().await;
    let saved = room.call("GET", "/v1/questions", Some("analyst"), None).await.1;
    assert_eq!((saved["questions"][0]["name"].as_str(), saved["questions"][0]["chart"].as_str()), (Some("每通道"), Some("bar")));
    assert_eq!(room.call("DELETE", path, Some("analyst"), None).await.0, 200);
    assert_eq!(room.call("DELETE", path, Some("analyst"), None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_file_is_taken_whole_or_not_at_all() {
    let room = Room::open(true).await;
    let token = |who: &str| vec![("authorization", format!("Bearer {}", room.secret(who))), ("content-type", "text/plain".to_owned())];
    let csv = "plate,category,registration\n苏G1,PF_GENERAL,APPROVED\n苏G2,UNICORN,APPROVED\n";
    let (status, _, body) = room.text("POST", "/v1/registry/import?kind=vehicle", token("registrar"), csv).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, answer["error"]["faults"][0]["line"].as_u64()), (422, Some(3)), "{answer}");
    let good = "plate,category,registration\n苏G1,PF_GENERAL,APPROVED\n苏G2,PF_CONTAINER,APPROVED\n";
    let (status, _, body) = room.text("POST", "/v1/registry/import?kind=vehicle&check=true", token("registrar"), good).await;
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()["imported"].as_bool()), (200, Some(false)));
    assert_eq!(room.text("POST", "/v1/registry/import?kind=vehicle", token("security"), good).await.0, 403);
    assert_eq!(room.call("GET", "/v1/registry/vehicle/%E8%8B%8FG1", Some("guard"), None).await.0, 404, "nothing was taken so far");
    assert_eq!(room.text("POST", "/v1/registry/import?kind=vehicle", token("registrar"), good).await.0, 200);
    let found = room.until("/v1/registry/vehicle?q=g2", Some("guard"), |_, v| !v["records"].as_array().unwrap().is_empty()).await;
    assert_eq!(found["records"][0]["id"], "苏G2");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_doubtful_read_stand_the_facts_and_what_else_is_registered() {
    let room = Room::open(true).await;
    for plate in ["苏G12345", "苏G12845"] {
        let record = json!({"plate": plate, "category": "PF_GENERAL", "registration": "APPROVED"});
        let path = format!("/v1/registry/vehicle/{}", plate.replace('苏', "%E8%8B%8F"));
        assert_eq!(room.call("PUT", &path, Some("registrar"), Some(record)).await.0, 200);
    }
    let mut vehicle = Vehicle::in_order(LANE, "苏G12345");
    if let Some(character) = vehicle.plate.as_mut().and_then(|p| p.characters.get_mut(4)) {
        character.alternatives = vec![("8".into(), 0.3), ("B".into(), 0.1)];
    }
    let id = room.site.arrive(&vehicle).await;
    let facts = room.until(&format!("/v1/decisions/{id}/facts"), Some("guard"), |s, _| s == 200).await;
    assert_eq!((facts["records"][0]["kind"].as_str(), facts["records"][0]["id"].as_str()), (Some("vehicle"), Some("苏G12345")));
    assert_eq!(facts["suggestions"].as_array().unwrap().len(), 1, "only what is registered: {facts}");
    assert_eq!(facts["suggestions"][0]["plate"], "苏G12845");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_display_of_one_lane_shows_no_other_and_nothing_but_the_plate() {
    let room = Room::open(true).await;
    let display = json!({"role": "device", "lanes": [LANE]});
    let (_, made) = room.call("PUT", "/v1/accounts/display-1", Some("administrator"), Some(display)).await;
    let token = vec![("authorization", format!("Bearer {}", made["token"].as_str().unwrap()))];
    room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    room.site.arrive(&Vehicle::in_order("JCZ-1.L2", "苏G99999")).await;
    room.until("/v1/lanes", Some("guard"), |_, v| v["lanes"].as_array().unwrap().len() == 2).await;
    let shown = room.until(&format!("/v1/lanes/{LANE}/display"), Some("guard"), |_, v| v["code"] == "wait").await;
    assert_eq!(shown["plate"], "苏G12345");
    assert!(!shown.to_string().contains("C0001") && !shown.to_string().contains("物流"), "{shown}");
    assert_eq!(room.raw("GET", &format!("/v1/lanes/{LANE}/display"), token.clone(), None).await.0, 200);
    assert_eq!(room.raw("GET", "/v1/lanes/JCZ-1.L2/display", token, None).await.0, 403);
    assert_eq!(room.raw("GET", &format!("/display/{LANE}"), vec![], None).await.0, 200, "the page itself holds nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_too_fast_waits_and_holds_up_nobody_else() {
    let room = Room::open(true).await;
    let mut limited = 0;
    for _ in 0..400 {
        let (status, headers, _) = room.raw("POST", "/v1/asks/none/settle", vec![("authorization", "Bearer guessed".into())], None).await;
        if status == 429 {
            assert!(headers.iter().any(|(n, _)| n == "retry-after"));
            limited += 1;
        } else {
            assert_eq!(status, 401);
        }
    }
    assert!(limited > 50, "guessing tokens is slowed down: {limited}");
    assert_eq!(room.call("GET", "/v1/lanes", Some("guard"), None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_session_is_for_tls_alone() {
    let mut room = Room::open(false).await;
    room.halt().await;
    let (certificate, key) = certificate(room.dir.path(), "CA:TRUE");
    let missing = TlsFiles { certificate: room.dir.path().join("none.pem"), key: key.clone() };
    assert!(missing.read().is_err_and(|e| e.to_string().contains("none.pem")));
    let tls = Some(TlsFiles { certificate: certificate.clone(), key });
    room.start_with(ServeConfig { tls, ..Room::config() }).await;
    let sign_in = json!({"name": "guard", "secret": room.secret("guard")}).to_string();
    let curl = |extra: Vec<String>| {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-i", "--max-time", "10", "--cacert"]).arg(&certificate).args(extra);
        String::from_utf8(command.output().unwrap().stdout).unwrap().to_ascii_lowercase()
    };
    let url = format!("https://{}", room.addr);
    let answer =
        curl(vec!["-X".into(), "POST".into(), "-H".into(), "x-portgate: 1".into(), "-d".into(), sign_in, format!("{url}/v1/session")]);
    assert!(answer.starts_with("http/1.1 200") && answer.contains("; secure"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    // Somebody who never finishes the handshake holds up nobody.
    let _silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(room.addr).unwrap()).collect();
    let began = std::time::Instant::now();
    assert!(curl(vec![format!("{url}/healthz")]).starts_with("http/1.1 200"));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!curl(vec![format!("http://{}/healthz", room.addr)]).contains("200 ok"), "nothing in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_over_tls_to_whom_the_certificate_names_and_to_nobody_else() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = certificate(dir.path(), "CA:FALSE");
    let (stranger, _) = self::certificate(elsewhere.path(), "CA:FALSE");
    let acceptor = tokio_rustls::TlsAcceptor::from(TlsFiles { certificate: certificate.clone(), key }.read().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/alerts", listener.local_addr().unwrap());
    let (heard, mut posts) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            let Ok(mut stream) = acceptor.accept(stream).await else {
                heard.send("a handshake that failed".to_owned()).unwrap();
                continue;
            };
            let mut text = Vec::new();
            while !text.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            heard.send(String::from_utf8(text).unwrap()).unwrap();
        }
    });
    let stop = CancellationToken::new();
    for (authority, id) in [(&certificate, "A1"), (&stranger, "A2")] {
        let (hooks, senders) = Webhooks::new(&[WebhookConfig::new(&url, "s3cret", Vec::new(), Some(authority)).unwrap()]);
        for sender in senders {
            tokio::spawn(sender.run(stop.clone()));
        }
        hooks.alert(id, "WATCH_LIST", "{}");
        let post = tokio::time::timeout(Duration::from_secs(10), posts.recv()).await.unwrap().unwrap();
        assert_eq!(post.contains(&format!("x-portgate-alert: {id}")), id == "A1", "{post}");
    }
    stop.cancel();
    for (url, authority) in
        [("ftp://host/", None), ("http://host/", Some(certificate.as_path())), ("https://host/", Some(Path::new("none.pem")))]
    {
        assert!(WebhookConfig::new(url, "", Vec::new(), authority).is_err(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_to_a_checkpoint_or_a_body_acts_there_and_for_it_alone() {
    let room = Room::open(true).await;
    room.site.lane(LANE, "ENTRY", "FREIGHT", "1").await;
    let suspected = json!({
        "violation_id": "V-1", "code": "V_CARD_MISUSE", "source": "CARD_CANCELLED", "status": "SUSPECTED", "site": "LYG-1",
        "checkpoint": "JCZ-1", "lane": LANE, "approach_id": null, "decision_id": null, "plate": "苏G12345", "enterprise": null,
        "raised_at": support::site::now(), "version": 1,
    });
    room.log.append(NewRecord::json(topics::VIOLATIONS, "V-1", &suspected).unwrap()).await.unwrap();
    let id = room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    room.until(&format!("/v1/decisions/{id}"), Some("guard"), |s, _| s == 200).await;
    let known = |_: u16, v: &Value| v["violations"].as_array().is_some_and(|all| !all.is_empty());
    let violations = room.until("/v1/violations", Some("guard"), known).await;
    let suspicion = violations["violations"][0]["violation_id"].as_str().unwrap();
    let mut tokens = Vec::new();
    for (name, account) in [
        ("elsewhere", json!({"role": "guard", "checkpoints": ["JCZ-2"]})),
        ("here", json!({"role": "guard", "checkpoints": ["JCZ-2", "JCZ-1"]})),
        ("police", json!({"role": "security", "body": "PORT_POLICE"})),
        ("chief", json!({"role": "supervisor", "checkpoints": ["JCZ-2"]})),
    ] {
        let (status, made) = room.call("PUT", &format!("/v1/accounts/{name}"), Some("administrator"), Some(account)).await;
        assert_eq!(status, 200, "{made}");
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let foreign = json!({"role": "security", "body": "CUSTOMS"});
    assert_eq!(
        room.call("PUT", "/v1/accounts/x", Some("administrator"), Some(foreign)).await.0,
        409,
        "security does not speak for customs"
    );
    let post = async |token: &String, method: &str, path: &str, body: Value| {
        let headers = vec![("authorization", format!("Bearer {token}"))];
        let (status, _, text) = room.raw(method, path, headers, (!body.is_null()).then_some(body)).await;
        (status, String::from_utf8(text).unwrap())
    };
    let [elsewhere, here, police, chief] = tokens.as_slice() else { panic!("{tokens:?}") };
    let (release, ask) = (format!("/v1/decisions/{id}/release"), format!("/v1/decisions/{id}/ask"));
    let reads = format!("/v1/lanes/{}/reads", LANE.replace('.', "%2E"));
    let word = json!({"reason": "核验无误"});
    let (status, answer) = post(elsewhere, "POST", &release, word.clone()).await;
    assert!(status == 403 && answer.contains("JCZ-2"), "{status} {answer}");
    assert_eq!(post(elsewhere, "POST", &ask, json!({"want": "supervisor", "note": "x"})).await.0, 403);
    assert_eq!(post(elsewhere, "POST", &reads, json!({})).await.0, 403);
    assert_eq!(post(here, "POST", &reads, json!({})).await, (200, "here".to_owned()));
    assert_eq!(post(here, "POST", &release, word).await.0, 200);
    let peak = json!({"active": false});
    assert_eq!(post(chief, "PUT", "/v1/registry/peak_mode/JCZ-1", peak).await.0, 403);
    let verify = format!("/v1/violations/{suspicion}/verify");
    let (status, answer) = post(police, "POST", &verify, json!({"reason": "属实", "body": "PAMC"})).await;
    assert!(status == 403 && answer.contains("PORT_POLICE"), "{status} {answer}");
    let (status, answer) = post(chief, "POST", &verify, json!({"reason": "属实"})).await;
    assert!(status == 403 && answer.contains("JCZ-2"), "{status} {answer}");
    let (_, who) = post(police, "GET", "/v1/session", Value::Null).await;
    assert!(who.contains("\"body\":\"PORT_POLICE\""), "{who}");
    let (_, audit) = room.call("GET", "/v1/audit", Some("security"), None).await;
    let written = audit["entries"].as_array().unwrap().iter().filter(|e| e["event"]["type"] == "account").count();
    assert_eq!(written, 4, "{audit}");
}

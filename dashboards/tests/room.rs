//! The control room over HTTP, as a browser or a program meets it: on a real embedded log, with a
//! made-up site that answers as an engine would.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
mod support;

use axum::http::Method;
use portgate_core::decision::Verdict;
use portgate_core::people::Role;
use portgate_core::registry::Kind;
use portgate_dashboards::api::openapi;
use portgate_dashboards::auth::{access, may, may_write_kind, Access, Action};
use portgate_dashboards::{Parts, Serve, ServeConfig, ServeError};
use serde_json::{json, Value};
use support::site::{Vehicle, CHECKPOINT};
use support::{Room, JPEG, PNG};

const LANE: &str = "JCZ-1.L1";

fn routes() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase(), path.clone()));
        }
    }
    routes
}

/// A real address for a route.
fn address(route: &str) -> String {
    let filled = route.replace("{lane}", LANE).replace("{kind}", "vehicle").replace("{name}", "nobody");
    // Only looked at: without an engine nobody answers an import.
    let filled = filled.replace("/registry/import", "/registry/import?check=true");
    let filled = filled.replace("/registry/vehicle/{id}", "/registry/vehicle/X1").replace("{day}", "no-day");
    filled.replace("{id}", "D-none")
}

/// A body that is understood but changes nothing.
fn body(route: &str) -> Option<Value> {
    match route {
        "/v1/session" => Some(json!({"name": "nobody", "secret": "wrong"})),
        "/v1/sql" => Some(json!({"sql": "SELECT 1"})),
        "/v1/accounts/{name}" => Some(json!({"role": "no such role"})),
        "/v1/watch/{id}" => {
            Some(json!({"why": "", "level": "warning", "from": "2026-03-10T00:00:00+08:00", "to": "2026-03-11T00:00:00+08:00"}))
        }
        "/v1/questions/{name}" => Some(json!({"sql": ""})),
        "/v1/search" | "/v1/case" | "/v1/samples" => Some(json!({"purpose": ""})),
        r if r.ends_with("/ask") => Some(json!({"want": "inspection", "note": ""})),
        r if r.ends_with("/settle") => Some(json!({"note": ""})),
        r if r.ends_with("/sign") => Some(json!({"party": "PAMC", "counted": 0})),
        r if ["/verify", "/dismiss", "/accept", "/reject"].iter().any(|end| r.ends_with(end)) => Some(json!({"reason": ""})),
        r if r.ends_with("/release") || r.ends_with("/refuse") || r.ends_with("/correct") => Some(json!({"reason": ""})),
        "/v1/registry/import" => Some(json!({"kind": "vehicle", "id": "X1", "value": null})),
        r if r.starts_with("/v1/registry") => Some(json!({"no_such_field": 1})),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_route_exists_and_follows_the_table_role_by_action() {
    let room = Room::open(false).await;
    room.site.lane(LANE, "ENTRY", "FREIGHT", "1").await;
    let mut checked = 0;
    for (method, route) in routes() {
        let rule = access(&Method::from_bytes(method.as_bytes()).unwrap(), &route);
        let rule = rule.unwrap_or_else(|| panic!("{method} {route} is described but closed to everybody"));
        let anonymous = if route == "/v1/events" { 401 } else { room.call(&method, &address(&route), None, body(&route)).await.0 };
        match rule {
            Access::Open | Access::OpenOnLoopback(_) => {
                let sign_in = route == "/v1/session";
                assert!(sign_in || anonymous == 200, "{method} {route} without a token: {anonymous}");
            }
            Access::Needs(action) => {
                assert_eq!(anonymous, 401, "{method} {route} without a token");
                for role in Role::ALL {
                    if route == "/v1/events" && may(role, action) {
                        continue; // never ends; tested below
                    }
                    let (status, answer) = room.call(&method, &address(&route), Some(role.as_str()), body(&route)).await;
                    assert_ne!(status, 401, "{method} {route} as {role:?}: {answer}");
                    assert_ne!(status, 405, "{method} {route} as {role:?}: {answer}");
                    let refused = status == 403;
                    let mut expected = !may(role, action);
                    if action == Action::WriteRegistry {
                        expected = !may_write_kind(role, Kind::Vehicle);
                    }
                    assert_eq!(refused, expected, "{method} {route} as {role:?}: {status} {answer}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 120, "only {checked} combinations");
    for role in Role::ALL {
        for action in [Action::Speak, Action::PostFrames, Action::ManageAccounts] {
            // The three that would hurt most, said once more in plain words.
            let allowed = match action {
                Action::Speak => ["guard", "supervisor", "customs"].contains(&role.as_str()),
                Action::PostFrames => role.as_str() == "device",
                _ => role.as_str() == "administrator",
            };
            assert_eq!(may(role, action), allowed, "{role:?} {action:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_understood_is_said_so() {
    let room = Room::open(false).await;
    for path in ["/v1/nothing", "/nothing", "/v1/decisions/D-1/other"] {
        assert_eq!(room.call("GET", path, None, None).await.0, 401, "{path}");
        assert_eq!(room.call("GET", path, Some("guard"), None).await.0, 404, "{path}");
    }
    let wrong = vec![("authorization", "Bearer 0000".to_owned())];
    assert_eq!(room.raw("GET", "/v1/lanes", wrong, None).await.0, 401);
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=9999", "limit"),
        ("verdict=MAYBE", "verdict"),
        ("state=lost", "state"),
        ("after=today", "instant"),
        ("colour=red", "colour"),
    ] {
        let (status, answer) = room.call("GET", &format!("/v1/decisions?{query}"), Some("guard"), None).await;
        assert_eq!(status, 400, "{query}: {answer}");
        assert!(answer.to_string().contains(word), "{query}: {answer}");
    }
    let (status, answer) = room.call("PUT", "/v1/registry/vehicle/X1", Some("registrar"), Some(json!({"plate": "X1", "colour": 1}))).await;
    assert_eq!(status, 422, "{answer}");
    let (status, answer) = room.call("GET", "/v1/registry/unicorn", Some("registrar"), None).await;
    assert_eq!(status, 404);
    assert!(answer["error"]["message"].as_str().unwrap().contains("vehicle"), "the kinds there are: {answer}");
    let (_, headers, page) = room.raw("GET", "/", vec![], None).await;
    let header = |n: &str| headers.iter().find(|(name, _)| name == n).map(|(_, v)| v.clone()).unwrap_or_default();
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(String::from_utf8(page).unwrap().contains("<!doctype html>"));
    assert_eq!(room.call("GET", "/metrics", None, None).await.1, json!("portgate_test 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_in_writes_only_with_its_header_and_ends() {
    let room = Room::open(true).await;
    let secret = room.secret("guard");
    let csrf = ("x-portgate", "1".to_owned());
    let (status, ..) = room.raw("POST", "/v1/session", vec![csrf.clone()], Some(json!({"name": "guard", "secret": "wrong"}))).await;
    assert_eq!(status, 401);
    let sign_in = json!({"name": "guard", "secret": secret});
    assert_eq!(room.raw("POST", "/v1/session", vec![], Some(sign_in.clone())).await.0, 403, "another site can't sign in");
    let (status, headers, _) = room.raw("POST", "/v1/session", vec![csrf.clone()], Some(sign_in)).await;
    assert_eq!(status, 200);
    let set = headers.iter().find(|(n, _)| n == "set-cookie").unwrap().1.clone();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = ("cookie", set.split(';').next().unwrap().to_owned());

    let id = room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    room.until(&format!("/v1/decisions/{id}"), Some("guard"), |s, _| s == 200).await;
    let release = format!("/v1/decisions/{id}/release");
    let word = json!({"reason": "checked"});
    assert_eq!(room.raw("POST", &release, vec![cookie.clone()], Some(word.clone())).await.0, 403);
    assert_eq!(room.raw("POST", &release, vec![cookie.clone(), csrf.clone()], Some(word)).await.0, 200);
    assert_eq!(room.raw("DELETE", "/v1/session", vec![cookie.clone(), csrf], None).await.0, 204);
    assert_eq!(room.raw("GET", "/v1/lanes", vec![cookie], None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_is_slowed_down() {
    let room = Room::open(false).await;
    let mut statuses = Vec::new();
    for i in 0..8 {
        let guess = json!({"name": "guard", "secret": format!("guess {i}")});
        let (status, headers, _) = room.raw("POST", "/v1/session", vec![("x-portgate", "1".into())], Some(guess)).await;
        assert_eq!(status == 429, headers.iter().any(|(n, _)| n == "retry-after"));
        statuses.push(status);
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[6..].contains(&429), "{statuses:?}");
    assert_eq!(room.call("GET", "/v1/lanes", Some("guard"), None).await.0, 200, "who is signed in goes on working");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_shows_lanes_pictures_and_decisions() {
    let room = Room::open(false).await;
    room.site.lane(LANE, "ENTRY", "FREIGHT", "货车进港 1").await;
    room.site.queue(LANE, 3).await;
    let vehicle = Vehicle { frame_id: Some("F1".into()), ..Vehicle::in_order(LANE, "苏G12345") };
    let kept = Vehicle { frame_id: Some("KEPT".into()), ..Vehicle::in_order("JCZ-1.L2", "苏G99999") };
    room.until("/v1/lanes", Some("guard"), |_, v| !v["lanes"].as_array().unwrap().is_empty()).await;
    room.site.frame(LANE, "F1", JPEG.to_vec()).await;
    let id = room.site.arrive(&vehicle).await;
    let second = room.site.arrive(&kept).await;

    let shown = |v: &Value| v["lanes"][0]["decision"]["id"] == json!(id) && v["lanes"][0]["frame"]["id"] == "F1";
    let lanes = room.until("/v1/lanes", Some("guard"), |_, v| shown(v)).await;
    let lane = &lanes["lanes"][0];
    assert_eq!((lane["name"].as_str(), lane["queue"].as_u64()), (Some("货车进港 1"), Some(3)));
    assert_eq!(lane["checkpoint_name"], "连云港一号检查站");
    assert_eq!(lane["checkpoint"], CHECKPOINT);
    assert_eq!(lane["plate_read"]["text"], "苏G12345");

    let url = lane["frame"]["url"].as_str().unwrap();
    let picture = |path: String, who: &'static str| {
        let token = vec![("authorization", format!("Bearer {}", room.secret(who)))];
        let room = &room;
        async move { room.raw("GET", &path, token, None).await }
    };
    let (status, headers, bytes) = picture(url.to_owned(), "guard").await;
    assert_eq!((status, bytes.as_slice()), (200, JPEG));
    assert!(headers.contains(&("content-type".into(), "image/jpeg".into())));
    assert_eq!(picture(format!("/v1/decisions/{id}/frame"), "guard").await.2, JPEG, "from the recent pictures");
    room.until(&format!("/v1/decisions/{second}"), Some("guard"), |s, _| s == 200).await;
    assert_eq!(picture(format!("/v1/decisions/{second}/frame"), "guard").await.2, JPEG, "from the evidence store");
    assert_eq!(picture(format!("/v1/decisions/{id}/frame"), "analyst").await.0, 403);

    let (_, list) = room.call("GET", "/v1/decisions?state=held&verdict=HOLD", Some("guard"), None).await;
    let ids: Vec<&str> = list["decisions"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), id.as_str()], "the latest first");
    let by_plate = "/v1/decisions?plate=%E8%8B%8Fg%C2%B712345";
    assert_eq!(room.call("GET", by_plate, Some("guard"), None).await.1["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(room.call("GET", by_plate, Some("analyst"), None).await.0, 403);
    assert_eq!(room.call("GET", "/v1/decisions?lane=JCZ-1.L2&limit=1", Some("guard"), None).await.1["decisions"][0]["id"], json!(second));

    let (_, masked) = room.call("GET", &format!("/v1/decisions/{id}"), Some("analyst"), None).await;
    assert!(!masked.to_string().contains("G12345"), "{masked}");
    room.site.pass(&id).await;
    room.until("/v1/decisions?state=passed", Some("guard"), |_, v| v["decisions"][0]["id"] == json!(id)).await;
    let lanes = room.until("/v1/lanes", Some("guard"), |_, v| v["lanes"][0]["approach_id"].is_null()).await;
    assert_eq!(lanes["lanes"][0]["decision"]["state"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_word_goes_through_the_log_and_the_slower_one_hears_it() {
    let room = Room::open(true).await;
    let id = room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    let refused = Vehicle {
        verdict: Verdict::Refuse,
        in_order: false,
        release_role: Some(Role::Supervisor),
        ..Vehicle::in_order("JCZ-1.L2", "苏G2")
    };
    let refused = room.site.arrive(&refused).await;
    room.until(&format!("/v1/decisions/{refused}"), Some("guard"), |s, _| s == 200).await;
    let at = |id: &str, action: &str| format!("/v1/decisions/{id}/{action}");
    let said = json!({"reason": "核验无误", "version": 1});

    for (bad, status) in [
        (json!({"reason": "  "}), 422),
        (json!({}), 422),
        (json!({"reason": "x", "plates": "y"}), 422),
        (json!({"reason": "x", "plate": "苏G1"}), 422),
        (json!("x"), 422),
    ] {
        assert_eq!(room.call("POST", &at(&id, "release"), Some("guard"), Some(bad.clone())).await.0, status, "{bad}");
    }
    assert_eq!(room.call("POST", &at(&id, "correct"), Some("guard"), Some(said.clone())).await.0, 422, "without the plate");
    assert_eq!(room.call("POST", &at("D-none", "release"), Some("guard"), Some(said.clone())).await.0, 404);
    assert_eq!(room.call("POST", &at(&id, "release"), Some("analyst"), Some(said.clone())).await.0, 403);
    assert_eq!(room.call("POST", &at(&refused, "release"), Some("guard"), Some(said.clone())).await.0, 403, "the engine says who may");

    let release = at(&id, "release");
    let (one, other) = tokio::join!(
        room.call("POST", &release, Some("guard"), Some(said.clone())),
        room.call("POST", &release, Some("supervisor"), Some(said.clone())),
    );
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
    let done = if one.0 == 200 { &one.1 } else { &other.1 };
    assert_eq!((done["id"].as_str(), done["version"].as_u64()), (Some(id.as_str()), Some(2)));
    let detail = room.until(&format!("/v1/decisions/{id}"), Some("guard"), |_, v| v["version"] == 2).await;
    assert_eq!(detail["versions"].as_array().unwrap().len(), 2, "nothing is overwritten");
    assert_eq!((detail["versions"][0]["verdict"].as_str(), detail["verdict"].as_str()), (Some("HOLD"), Some("OPEN")));
    assert_eq!((detail["note"].as_str(), detail["state"].as_str()), (Some("核验无误"), Some("opened")));
    assert_eq!(room.call("POST", &at(&refused, "release"), Some("supervisor"), Some(said)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_it_says_that_it_is_not_known_yet() {
    let room = Room::open(false).await;
    let id = room.site.arrive(&Vehicle::in_order(LANE, "苏G12345")).await;
    room.until(&format!("/v1/decisions/{id}"), Some("guard"), |s, _| s == 200).await;
    let (status, answer) = room.call("POST", &format!("/v1/decisions/{id}/release"), Some("guard"), Some(json!({"reason": "x"}))).await;
    assert_eq!((status, answer["error"]["code"].as_str()), (504, Some("not_known_yet")));
    assert!(answer["error"]["request_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_is_written_through_the_log_and_read_back() {
    let room = Room::open(true).await;
    let record = json!({"id": "E1", "name": "连云港甲物流有限公司", "status": "APPROVED"});
    let (status, answer) = room.call("PUT", "/v1/registry/enterprise/E1", Some("registrar"), Some(record)).await;
    assert_eq!(status, 200, "{answer}");
    let shown = room.until("/v1/registry/enterprise/E1", Some("guard"), |s, _| s == 200).await;
    assert_eq!(shown["value"]["name"], "连云港甲物流有限公司");
    let (_, list) = room.call("GET", "/v1/registry/enterprise?prefix=E&limit=10", Some("guard"), None).await;
    assert_eq!(list["records"].as_array().unwrap().len(), 1);
    assert_eq!(
        room.call("PUT", "/v1/registry/lane/JCZ-1.L9", Some("registrar"), Some(json!({}))).await.0,
        403,
        "lanes are the administrator's"
    );
    assert_eq!(room.call("DELETE", "/v1/registry/enterprise/E1", Some("registrar"), None).await.0, 200);
    room.until("/v1/registry/enterprise/E1", Some("guard"), |s, _| s == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_events_arrive_and_are_caught_up_even_over_a_restart() {
    let mut room = Room::open(false).await;
    let events = room.listen("guard", None);
    events.until(|e| e.kind == "hello");
    let first = room.site.arrive(&Vehicle::in_order(LANE, "苏G1")).await;
    let heard = events.until(|e| e.kind == "decision" && e.json()["id"] == json!(first));
    let last_id = heard.last().unwrap().id.clone().unwrap();
    events.until(|e| e.kind == "lane" && e.json()["decision"]["id"] == json!(first));
    drop(events);

    let second = room.site.arrive(&Vehicle::in_order("JCZ-1.L2", "苏G2")).await;
    room.site.pass(&first).await;
    room.site.violation(LANE, "V_CARD_MISUSE").await;
    room.until("/v1/alerts", Some("guard"), |_, v| v["alerts"].as_array().is_some_and(|a| a.len() == 1)).await;
    let missed = |events: &support::Events| {
        let heard = events.until(|e| e.kind == "hello");
        assert_eq!(heard.iter().filter(|e| e.kind == "reset").count(), 0);
        let kinds = heard.iter().filter(|e| !["lane", "hello"].contains(&e.kind.as_str()));
        kinds.map(|e| (e.kind.clone(), e.json()["id"].as_str().unwrap_or("").to_owned())).collect::<Vec<_>>()
    };
    let expected = ["decision", "passage", "decision", "violation", "alert"];
    let caught = missed(&room.listen("guard", Some(&last_id)));
    assert_eq!(caught.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!((caught[0].1.as_str(), caught[2].1.as_str()), (second.as_str(), first.as_str()));

    room.halt().await;
    room.start().await;
    assert_eq!(missed(&room.listen("guard", Some(&last_id))), caught, "ids outlive the program");
    let heard = room.listen("guard", Some("LYG:999999")).until(|e| e.kind == "hello");
    assert!(heard.iter().any(|e| e.kind == "reset"), "an id of another journal");
    let masked = room.listen("analyst", Some(&last_id)).until(|e| e.kind == "alert");
    assert!(masked.iter().all(|e| !e.data.contains("苏G12345")), "{masked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_an_open_demonstration_are_clear_errors() {
    let room = Room::open(false).await;
    let parts = || Parts {
        log: room.log.clone(),
        accounts: std::sync::Arc::new(portgate_dashboards::accounts::Accounts::open(room.dir.path(), true).unwrap().0),
        registry: None,
        evidence: std::sync::Arc::new(portgate_dashboards::evidence::NoEvidence),
        sql: None,
        metrics_render: std::sync::Arc::new(String::new),
        ready_checks: Default::default(),
        edge: axum::Router::new(),
    };
    let taken = ServeConfig { listen: room.addr, ..ServeConfig::default() };
    match Serve::new(taken, parts()).await {
        Err(e @ ServeError::PortInUse(_)) => assert!(e.to_string().contains("already in use")),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("bound a port twice"),
    }
    let open = ServeConfig { listen: ([0, 0, 0, 0], 0).into(), demo: true, ..ServeConfig::default() };
    assert!(matches!(Serve::new(open, parts()).await, Err(ServeError::DemoNotLoopback(_))));
}

/// The page's types are those of the description: `npm run client` was not forgotten.
#[test]
fn the_generated_client_is_fresh() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    if !web.join("node_modules/.bin/openapi-typescript").exists() {
        println!("skipped: needs `npm ci` in dashboards/web");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("schema.d.ts");
    let made = std::process::Command::new("node_modules/.bin/openapi-typescript")
        .args(["../src/api/openapi.json", "-o"])
        .arg(&fresh)
        .current_dir(&web)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let committed = std::fs::read_to_string(web.join("src/schema.d.ts")).unwrap();
    let fresh_text = std::fs::read_to_string(&fresh).unwrap();
    assert!(committed == fresh_text, "openapi.json has changed: run `npm run client` in dashboards/web");
}

/// The page itself, in headless Chromium: `web/tests/room.mjs` says what is checked.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_works_the_page() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !std::path::Path::new(&chromium).exists() || !web.join("node_modules").exists() {
        println!("skipped: the browser test needs Chromium and `npm ci` in dashboards/web");
        return;
    }
    let room = Room::open(true).await;
    let every = std::time::Duration::from_secs(5);
    let traffic = tokio::spawn(support::traffic::traffic(room.site.clone(), vec![PNG.to_vec()], every));
    let run = tokio::process::Command::new("node")
        .arg("tests/room.mjs")
        .arg(format!("http://{}", room.addr))
        .arg(room.dir.path())
        .current_dir(&web)
        .output();
    let output = run.await.unwrap();
    traffic.abort();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

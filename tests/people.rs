//! Who may do what at a running gate, and what its log keeps to itself.

use serde_json::{json, Value};

use crate::support::{eventually, Gate};

fn with_token(gate: &Gate, method: &str, path: &str, token: &str, body: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", gate.http));
    let request = request.header("authorization", format!("Bearer {token}")).header("x-portgate", "1");
    let request = request.header("content-type", "application/json").body(body.to_owned()).unwrap();
    agent.run(request).unwrap().status().as_u16()
}

#[test]
fn a_lanes_device_posts_for_no_other_lane_and_the_log_keeps_plates_and_secrets_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    let account = json!({"role": "device", "lanes": ["JCZ-1.L1"]}).to_string();
    let (status, made) = gate.call("PUT", "/v1/accounts/camera-1", "administrator", Some(account.as_bytes()));
    assert_eq!(status, 200, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    let read = json!({"plate_read": {"text": "苏B7K9Q2", "confidence": 0.99}, "card": "SECRET-CARD-77"}).to_string();
    eventually("its own lane takes it", || (with_token(&gate, "POST", "/v1/lanes/JCZ-1.L1/reads", &token, &read) == 202).then_some(()));
    assert_eq!(with_token(&gate, "POST", "/v1/lanes/JCZ-1.L2/reads", &token, &read), 403);
    assert_eq!(with_token(&gate, "POST", "/v1/lanes/JCZ-1.L2/frames", &token, "x"), 403);
    assert_eq!(with_token(&gate, "GET", "/v1/decisions", &token, ""), 403);

    for i in 0..8 {
        let guess = json!({"name": "guard", "secret": format!("hunter2-{i}")}).to_string();
        let status = with_token(&gate, "POST", "/v1/session", "not-a-token", &guess);
        assert!(status == 401 || status == 429, "{status}");
    }
    let search = json!({"purpose": "核对", "plate": "B7K9Q2"}).to_string();
    eventually("the read can be searched for", || {
        let (status, found) = gate.call("POST", "/v1/search", "guard", Some(search.as_bytes()));
        assert_eq!(status, 200, "{found}");
        found["rows"].as_array().filter(|rows| !rows.is_empty()).map(|_| ())
    });
    let case = json!({"purpose": "核对", "plate": "苏B7K9Q2"}).to_string();
    let (status, file) = gate.call("POST", "/v1/case", "security", Some(case.as_bytes()));
    assert_eq!(status, 200, "{file}");
    assert!(file["decisions"].as_array().is_some_and(|d| !d.is_empty()), "{file}");
    let (_, audit) = gate.call("GET", "/v1/audit", "security", None);
    let purposes = audit["entries"].as_array().unwrap().iter().filter(|e| e["event"]["purpose"] == "核对").count();
    assert!(purposes >= 2, "{audit}");

    let mut secrets: Vec<String> = ["苏B7K9Q2", "SECRET-CARD-77", "hunter2"].map(str::to_owned).to_vec();
    secrets.push(token);
    for role in ["guard", "supervisor", "security", "analyst", "registrar", "customs", "administrator", "device"] {
        secrets.push(gate.secret(role).to_owned());
    }
    for decision in gate.decisions("limit=200") {
        secrets.extend(["plate", "card"].iter().filter_map(|f| decision.get(f).and_then(Value::as_str)).map(str::to_owned));
    }
    let log = gate.stop().join("\n");
    for secret in secrets.iter().filter(|s| s.chars().count() > 3) {
        assert!(!log.contains(secret.as_str()), "the log tells {secret}");
    }
}

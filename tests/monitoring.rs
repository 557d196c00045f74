//! Alerts and dashboards: the rules are lawful and fire in their tests; every expression of every
//! dashboard, and every metric a rule names, comes back from a real Prometheus beside a running gate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{json, Value};

use crate::support::{eventually, text, Gate};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards").join(name)
}

/// Expressions of every panel, with the dashboard they stand in.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder("grafana")).unwrap().map(|f| f.unwrap().path()) {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(panel["title"].as_str().is_some_and(|t| t.contains(" · ")), "a title in both languages: {panel}");
            for target in panel["targets"].as_array().unwrap() {
                all.push((file.file_name().unwrap().to_string_lossy().into_owned(), target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(all.len() > 40, "{}", all.len());
    all
}

/// Names of Portgate's metrics in an expression.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|w| w.starts_with("portgate_")).map(str::to_owned).collect()
}

#[test]
fn alerts_are_lawful_and_fire() {
    for (action, file) in [("check", "portgate.rules.yml"), ("test", "portgate.rules.test.yml")] {
        let out = Command::new("promtool").args([action, "rules", file]).current_dir(folder("prometheus")).output();
        let out = out.expect("promtool is installed");
        assert!(out.status.success(), "promtool {action} rules {file}:\n{}{}", text(&out), String::from_utf8_lossy(&out.stderr));
    }
    let rules = std::fs::read_to_string(folder("prometheus").join("portgate.rules.yml")).unwrap();
    let alerts = rules.matches("- alert:").count();
    assert!(alerts >= 15);
    assert_eq!(rules.matches("what_to_do:").count(), alerts, "every alert says what to do");
    let tests = std::fs::read_to_string(folder("prometheus").join("portgate.rules.test.yml")).unwrap();
    for alert in rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(alert), "{alert} is not tested");
    }
}

#[test]
fn every_expression_of_every_dashboard_answers_beside_a_running_gate() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    let config = dir.path().join("prometheus.yml");
    let target = gate.http.trim_start_matches("http://");
    let rules = folder("prometheus").join("portgate.rules.yml");
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n- job_name: portgate\n  static_configs:\n  - targets: ['{target}']\n",
            rules.display()
        ),
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
    let ask = |query: &str| -> usize {
        let url = format!("http://{listen}/api/v1/query");
        let out = Command::new("curl").args(["-sG", "--data-urlencode", &format!("query={query}"), &url]).output().unwrap();
        let body: Value = serde_json::from_slice(&out.stdout).unwrap_or(json!({}));
        body["data"]["result"].as_array().map_or(0, Vec::len)
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the gate is up in Prometheus", || (ask("up{job=\"portgate\"} == 1") == 1).then_some(()));
        // A word, so that words are counted; the demonstration gives everything else.
        eventually("a held vehicle to speak of", || {
            let held = gate.decisions("state=held").pop()?;
            let path = format!("/v1/decisions/{}/release", held["id"].as_str()?);
            (gate.call("POST", &path, "guard", Some(br#"{"reason": "test"}"#)).0 == 200).then_some(())
        });
        for (file, expression) in expressions() {
            eventually(&format!("{file}: {expression}"), || (ask(&expression) > 0).then_some(()));
        }
        let text = std::fs::read_to_string(&rules).unwrap();
        let known = gate.get("/metrics", "administrator").to_string();
        // Counters of trouble begin with the first trouble.
        let later = ["portgate_serve_webhook_total", "portgate_serve_unreadable_messages_total", "portgate_serve_sign_in_failures_total"];
        for metric in metrics(&text) {
            let name = metric.trim_end_matches("_bucket");
            assert!(known.contains(name) || later.contains(&name), "an alert names {metric}, which no gate has");
        }
        assert_eq!(ask("ALERTS{alertname=~\"PortgateDown|PortgateDecidingStopped|PortgateOutboxStuck\",alertstate=\"firing\"}"), 0);
    }));
    let _ = prometheus.kill();
    let _ = prometheus.wait();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

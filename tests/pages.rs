//! Every page beside the room, worked by a headless browser on a gate with its demonstration.

use std::path::Path;
use std::process::Command;

use crate::support::{text, Gate};

#[test]
fn every_page_works_in_a_browser() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/web");
    if !web.join("node_modules/playwright-core").is_dir() {
        return println!("skipped: the page's packages are not installed (npm ci in dashboards/web)");
    }
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::up(dir.path(), &["--demo"]);
    let out = Command::new("node")
        .arg(web.join("tests/pages.mjs"))
        .arg(&gate.http)
        .arg(&gate.dir)
        .current_dir(&web)
        .output()
        .expect("node is installed");
    assert!(out.status.success(), "{}", text(&out));
}

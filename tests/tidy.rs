//! House rules a machine can check: walls between crates, file sizes, dead links, stray paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files git tracks (or would, once added), relative to the root.
fn files() -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is needed to list the files");
    let text = String::from_utf8(out.stdout).expect("file names are UTF-8");
    let files: Vec<PathBuf> = text.lines().map(PathBuf::from).filter(|p| root().join(p).is_file()).collect();
    assert!(files.len() > 50, "git lists only {} files", files.len());
    files
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn has_ext(path: &Path, exts: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| exts.contains(&e))
}

/// Which of the project's crates a crate may name, and which of the heavy dependencies.
fn walls() -> BTreeMap<&'static str, (Vec<&'static str>, Vec<&'static str>)> {
    BTreeMap::from([
        ("decision/core", (vec![], vec![])),
        ("decision/store", (vec!["core"], vec!["rocksdb"])),
        ("decision/engine", (vec!["core", "store", "log"], vec!["tokio"])),
        ("ingest/log", (vec!["core"], vec!["rdkafka", "rocksdb", "tokio"])),
        ("ingest", (vec!["core", "log"], vec!["opencv", "tokio"])),
        ("lpr", (vec!["core", "log"], vec!["opencv", "tract-onnx", "tokio"])),
        ("analytics", (vec!["core", "log"], vec!["arrow", "parquet", "datafusion", "datafusion-postgres", "tokio"])),
        ("dashboards", (vec!["core", "log", "analytics"], vec!["tokio"])),
        ("tests/simulation", (vec!["core", "store", "engine", "log"], vec!["tokio"])),
    ])
}

const HEAVY: [&str; 9] = ["rdkafka", "rocksdb", "opencv", "tract-onnx", "arrow", "parquet", "datafusion", "datafusion-postgres", "tokio"];

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let table: toml::Table = toml::from_str(manifest).expect("a Cargo.toml parses");
    table.get("dependencies").and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn crates_keep_their_walls() {
    for (dir, (own, heavy)) in walls() {
        let manifest = read(&Path::new(dir).join("Cargo.toml")).unwrap_or_else(|| panic!("{dir}/Cargo.toml is missing"));
        for dep in dependencies(&manifest) {
            if let Some(name) = dep.strip_prefix("portgate-") {
                assert!(own.contains(&name), "{dir} depends on {dep}; it may depend on {own:?}");
            } else if HEAVY.contains(&dep.as_str()) {
                assert!(heavy.contains(&dep.as_str()), "{dir} depends on {dep}; it may depend on {heavy:?}");
            }
        }
    }
}

#[test]
fn the_core_is_pure() {
    for path in files().iter().filter(|p| {
        p.starts_with("decision/core/src")
            && has_ext(p, &["rs"])
            && !p.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs")
    }) {
        let text = read(path).unwrap_or_default();
        for word in
            ["SystemTime", "Utc::now", "Local::now", "std::fs", "std::net", "std::thread", "HashMap", "HashSet", "async fn", "rand::"]
        {
            assert!(!text.contains(word), "{}: the core names {word}", path.display());
        }
    }
}

#[test]
fn files_hold_one_subject() {
    let long: Vec<String> = files()
        .iter()
        .filter(|p| has_ext(p, &["rs", "ts", "vue", "py", "sh"]))
        // Generated from openapi.json, and held fresh by a test.
        .filter(|p| !p.ends_with("dashboards/web/src/schema.d.ts"))
        .filter_map(|p| read(p).map(|t| (p.clone(), t.lines().count())))
        .filter(|(_, n)| *n > 800)
        .map(|(p, n)| format!("{} has {n} lines", p.display()))
        .collect();
    assert!(long.is_empty(), "over 800 lines: {long:?}");
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for path in files().iter().filter(|p| has_ext(p, &["md"])) {
        let text = read(path).unwrap_or_default();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let from = root().join(path).parent().map(|p| p.join(target)).unwrap_or_default();
            if !from.exists() {
                dead.push(format!("{} → {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links: {dead:#?}");
}

#[test]
fn nothing_of_this_machine_or_unfinished_is_in_the_tree() {
    // Split, so that this file does not name what it forbids.
    let stray = [["/ro", "ot/"], ["/wo", "rk/"], ["/ho", "me/"], ["todo", "!("], ["unimple", "mented!("]].map(|p| p.concat());
    let mut found = Vec::new();
    for path in files() {
        if has_ext(&path, &["onnx", "png", "jpg", "jpeg", "lock", "ico", "svg", "woff2"]) || path.ends_with("package-lock.json") {
            continue;
        }
        let Some(text) = read(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in &stray {
                if line.contains(word.as_str()) {
                    found.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_lock_files_name_no_private_host() {
    for name in ["Cargo.lock", "dashboards/web/package-lock.json"] {
        let Some(text) = read(Path::new(name)) else { continue };
        for line in text.lines().filter(|l| l.contains("://")) {
            let public = [
                "https://github.com/rust-lang/crates.io-index",
                "https://opencollective.com",
                "https://github.com/",
                "https://paulmillr.com",
                "https://tidelift.com",
                "https://www.patreon.com",
                "https://feross.org",
            ];
            let resolved = line.contains("\"resolved\"");
            assert!(!resolved && (name != "Cargo.lock" || public.iter().any(|p| line.contains(p))), "{name}: {line}");
        }
    }
}

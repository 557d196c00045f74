//! The made-up year: same seed, same files; and it is lawful.

use portgate_core::people::Role;
use tempfile::TempDir;

use super::*;
use crate::format::{to_string, Format};
use crate::Analytics;

fn small(dir: &TempDir, seed: u64) -> HistoryConfig {
    let first = "2026-02-27".parse().unwrap();
    HistoryConfig {
        days: 3,
        gates: 4,
        lanes: 16,
        vehicles_per_lane_day: 150,
        seed,
        ..HistoryConfig::new(dir.path().join("analytics"), first)
    }
}

fn ask(config: &HistoryConfig, sql: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let analytics = Analytics::open_offline(&config.dir).unwrap();
    let answer = runtime.block_on(analytics.query(sql, Role::Security)).unwrap();
    let text = to_string(&answer, Format::Csv).unwrap();
    runtime.shutdown_background();
    text.split_once('\n').unwrap().1.trim_end().to_owned()
}

#[test]
fn the_same_seed_makes_the_same_year_and_another_seed_another() {
    let sums = |seed| {
        let dir = TempDir::new().unwrap();
        let config = small(&dir, seed);
        write_history(&config, |_, _| {}).unwrap();
        ask(&config, "SELECT count(*), sum(latency_us), max(id), min(CAST(decided_at AS BIGINT)) FROM decisions")
    };
    assert_eq!(sums(7), sums(7));
    assert_ne!(sums(7), sums(8));
}

#[test]
fn it_is_lawful_and_holds_something_of_everything() {
    let dir = TempDir::new().unwrap();
    let config = small(&dir, 1);
    let mut heard = 0;
    let summary = write_history(&config, |done, all| heard += u32::from(done <= all)).unwrap();
    assert_eq!(heard, 3);
    assert!(summary.rows["decisions"] > 1_000, "{summary:?}");
    // Nobody has said a word on violations yet, and no policy is on trial.
    assert_eq!(summary.rows.len(), ALL.len() - 2, "{:?}", summary.rows);
    // Whoever was refused by the machine did not pass with leave; every passage has its decision.
    assert_eq!(ask(&config, "SELECT count(*) FROM passages p JOIN decisions d ON d.approach_id = p.approach_id WHERE d.verdict = 'REFUSE' AND p.authorised_by <> 'NONE'"), "0");
    assert_eq!(ask(&config, "SELECT count(*) FROM passages p LEFT JOIN decisions d ON d.approach_id = p.approach_id WHERE p.approach_id IS NOT NULL AND d.id IS NULL"), "0");
    assert_eq!(ask(&config, "SELECT count(*) FROM decisions WHERE decided_at < evidence_at OR evidence_at < arrived_at"), "0");
    assert_eq!(
        ask(
            &config,
            "SELECT count(*) FROM (SELECT seq FROM decisions UNION ALL SELECT seq FROM arrivals) GROUP BY seq HAVING count(*) > 1"
        ),
        ""
    );
    // A second history does not go over the first.
    let again = write_history(&config, |_, _| {}).unwrap_err();
    assert!(again.to_string().contains("holds data already"), "{again}");
}

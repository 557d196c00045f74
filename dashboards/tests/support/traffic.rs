//! Made-up traffic of four lanes, with every kind of verdict, for eyes and browsers.

use std::sync::Arc;
use std::time::Duration;

use portgate_core::command::BarrierState;
use portgate_core::decision::{Severity, Verdict};
use portgate_core::people::Role;
use portgate_core::plate::PlateKind;

use super::site::{manual_release, plate_read, reason, FakeSite, Vehicle};

const LANES: [(&str, &str, &str, &str); 4] = [
    ("JCZ-1.L1", "ENTRY", "FREIGHT", "货车进港 1"),
    ("JCZ-1.L2", "EXIT", "FREIGHT", "货车出港 2"),
    ("JCZ-1.L3", "ENTRY", "PASSENGER", "客车进港 3"),
    ("JCZ-1.L4", "EXIT", "PASSENGER", "客车出港 4"),
];

fn script(n: usize, lane: &str) -> Vehicle {
    let base = Vehicle::in_order(lane, "苏G12345");
    let auto = reason(
        "AUTO_RELEASE_BUSINESS_ENTRY",
        "C19",
        Some("LYG-7.5a"),
        Verdict::Open,
        Severity::Info,
        "事务性车辆，自动放行",
        "Business-affairs vehicle: automatic release",
    );
    match n % 8 {
        0 => Vehicle { plate: Some(plate_read("苏G8K152", PlateKind::Yellow, &[0.99, 0.98, 0.97])), waited_ms: 21_000, ..base },
        1 => Vehicle {
            plate: Some(plate_read("鲁L7D033", PlateKind::YellowTwoLine, &[0.99, 0.99, 0.93, 0.62, 0.88])),
            verdict: Verdict::Hold,
            in_order: false,
            reasons: vec![
                reason(
                    "PLATE_CARD_MISMATCH",
                    "C03",
                    Some("LYG-5.5a"),
                    Verdict::Hold,
                    Severity::Critical,
                    "识别车牌与港通卡绑定车牌不一致",
                    "Recognised plate differs from the plate bound to the port pass card",
                ),
                reason(
                    "CARGO_TASK_MISMATCH",
                    "C10",
                    Some("LYG-7.6b"),
                    Verdict::Hold,
                    Severity::High,
                    "实际载货与任务不一致",
                    "Actual cargo does not match the task",
                ),
            ],
            waited_ms: 96_000,
            ..base
        },
        2 => Vehicle {
            plate: Some(plate_read("苏GD12345", PlateKind::GreenSmall, &[])),
            category: Some("BIZ_STAFF".into()),
            card: None,
            verdict: Verdict::Open,
            in_order: true,
            reasons: vec![auto],
            release_role: None,
            enterprise: None,
            ..base
        },
        3 => Vehicle {
            plate: Some(plate_read("苏A0F77K", PlateKind::Blue, &[0.99, 0.97, 0.71, 0.55, 0.9, 0.93, 0.8])),
            category: None,
            card: None,
            verdict: Verdict::Hold,
            in_order: false,
            reasons: vec![reason(
                "PLATE_LOW_CONFIDENCE",
                "C01",
                Some("LYG-7.2"),
                Verdict::Hold,
                Severity::Low,
                "车牌识别可信度不足，请刷卡或出示行驶证",
                "Plate read below confidence threshold; swipe card or show licence",
            )],
            waited_ms: 34_000,
            ..base
        },
        4 => Vehicle {
            plate: Some(plate_read("皖C62P18", PlateKind::Yellow, &[])),
            category: Some("PF_CONTAINER".into()),
            card: None,
            waited_ms: 8_000,
            ..base
        },
        5 => Vehicle {
            plate: Some(plate_read("豫N3A926", PlateKind::Yellow, &[])),
            category: Some("PF_TRADE".into()),
            verdict: Verdict::Refuse,
            in_order: false,
            reasons: vec![reason(
                "CARD_EXPIRED",
                "C08",
                Some("LYG-7.6a"),
                Verdict::Refuse,
                Severity::High,
                "港通卡已过有效期",
                "Card expired",
            )],
            release_role: Some(Role::Supervisor),
            waited_ms: 41_000,
            ..base
        },
        6 => Vehicle {
            plate: None,
            card: None,
            category: None,
            in_order: false,
            reasons: vec![reason(
                "PLATE_UNREADABLE",
                "C01",
                Some("LYG-7.3"),
                Verdict::Hold,
                Severity::Medium,
                "未识别到车牌，请出示行驶证人工录入",
                "No plate recognised; show the vehicle licence for manual entry",
            )],
            waited_ms: 12_000,
            ..base
        },
        _ => Vehicle { plate: Some(plate_read("苏G5T901", PlateKind::Yellow, &[])), reasons: vec![manual_release()], ..base },
    }
}

/// Arrivals and passages for ever; the first eight at once, then one every `every`.
pub async fn traffic(site: Arc<FakeSite>, pictures: Vec<Vec<u8>>, every: Duration) {
    for (lane, direction, class, name) in LANES {
        site.lane(lane, direction, class, name).await;
        site.barrier(lane, BarrierState::Closed).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut standing: [Option<String>; 4] = Default::default();
    let mut n = 0usize;
    loop {
        for (i, (lane, ..)) in LANES.iter().enumerate() {
            if n >= 8 {
                if let Some(id) = standing[i].take() {
                    site.barrier(lane, BarrierState::Open).await;
                    site.pass(&id).await;
                    site.barrier(lane, BarrierState::Closed).await;
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
            } else if let Some(id) = standing[i].take() {
                site.pass(&id).await;
            }
            let mut vehicle = script(n, lane);
            let frame = format!("F{n:05}");
            if let Some(picture) = pictures.get(n % pictures.len().max(1)) {
                site.frame(lane, &frame, picture.clone()).await;
                vehicle.frame_id = Some(frame);
            }
            site.queue(lane, (n * 7 % 5) as u32 + 1).await;
            standing[i] = Some(site.arrive(&vehicle).await);
            if vehicle.verdict == Verdict::Refuse {
                site.violation(lane, "V_CARD_MISUSE").await;
            }
            n += 1;
            if n > 8 {
                tokio::time::sleep(every).await;
            }
        }
    }
}

/// Many lanes, `per_s` journal entries a second in all: reads, decisions, passages, each lane in turn.
#[allow(dead_code)]
pub async fn load(site: Arc<FakeSite>, pictures: Vec<Vec<u8>>, lanes: usize, per_s: usize) {
    let names: Vec<String> = (1..=lanes).map(|i| format!("JCZ-{}.L{}", (i - 1) / 16 + 1, (i - 1) % 16 + 1)).collect();
    for (i, lane) in names.iter().enumerate() {
        let direction = if i % 2 == 0 { "ENTRY" } else { "EXIT" };
        site.lane(lane, direction, "FREIGHT", &format!("通道 {}", i + 1)).await;
        site.barrier(lane, BarrierState::Closed).await;
    }
    let mut standing: Vec<Option<String>> = vec![None; lanes];
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / per_s.max(1) as u64));
    let mut n = 0usize;
    loop {
        for (lane, standing) in names.iter().zip(standing.iter_mut()) {
            // A passage and its end, a read, an arrival, a decision, a queue: six entries.
            for _ in 0..6 {
                tick.tick().await;
            }
            if let Some(id) = standing.take() {
                site.pass(&id).await;
            }
            let mut vehicle = script(n, lane);
            if let Some(picture) = pictures.get(n % pictures.len().max(1)) {
                let frame = format!("F{n:07}");
                site.frame(lane, &frame, picture.clone()).await;
                vehicle.frame_id = Some(frame);
            }
            site.queue(lane, (n * 7 % 12) as u32).await;
            *standing = Some(site.arrive(&vehicle).await);
            n += 1;
        }
    }
}

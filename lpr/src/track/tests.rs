use super::*;
use crate::reading::CharacterReading;
use portgate_core::plate::PlateKind;

/// A plate of `text` whose characters are read with `confidence`, `width` px wide, its lower edge
/// at `y`, in a frame of 1000 x 1000.
fn plate(text: &str, confidence: f64, x: f64, y: f64, width: f64) -> PlateReading {
    let character = |char| CharacterReading { char, confidence, alternatives: vec![] };
    PlateReading {
        text: text.into(),
        kind: PlateKind::Yellow,
        confidence,
        characters: text.chars().map(character).collect(),
        corners: Quad::upright(x, y - width / 3.0, x + width, y).0,
        sharpness: 0.3,
        detection: 0.9,
        model: "m".into(),
    }
}

struct Lane {
    tracker: LaneTracker,
    n: u64,
}

impl Lane {
    fn new() -> Self {
        Self { tracker: LaneTracker::new("JCZ-1.L1", TrackConfig::default()), n: 0 }
    }
    fn at(&self, ms: i64) -> Instant {
        Instant::from_millis(1_000_000 + ms)
    }
    fn see(&mut self, ms: i64, plates: &[PlateReading]) -> Vec<ReadMessage> {
        self.n += 1;
        let frame_id = format!("f{}", self.n);
        let at = self.at(ms);
        self.tracker.frame(&FrameSeen { frame_id: &frame_id, at, place: self.n, size: (1000, 1000), plates })
    }
    fn tick(&mut self, ms: i64) -> Vec<ReadMessage> {
        self.tracker.tick(self.at(ms))
    }
}

fn said(messages: &[ReadMessage]) -> Vec<(String, bool)> {
    messages
        .iter()
        .map(|m| {
            let read = m.plate_read.as_ref().unwrap();
            (read.text.clone(), read.settled.unwrap())
        })
        .collect()
}

fn own(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(t, s)| ((*t).to_owned(), *s)).collect()
}

#[test]
fn three_agreeing_frames_settle_once() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    for i in 0..10 {
        out.extend(lane.see(i * 100, &[plate("苏G12345", 0.97, 400.0, 800.0 + i as f64, 200.0)]));
        assert_eq!(lane.tracker.settled(), i >= 2);
    }
    assert_eq!(said(&out), own(&[("苏G12345", false), ("苏G12345", true)]));
    assert_eq!(out[0].track_id, out[1].track_id);
    assert_ne!(out[0].event_id, out[1].event_id);
    assert_eq!(out[0].lane, "JCZ-1.L1");
}

#[test]
fn a_lone_frame_settles_after_800_ms_even_where_it_is_unsure() {
    let mut lane = Lane::new();
    assert_eq!(said(&lane.see(0, &[plate("苏G12345", 0.6, 400.0, 800.0, 200.0)])), own(&[("苏G12345", false)]));
    assert!(lane.tick(790).is_empty());
    let out = lane.tick(800);
    assert_eq!(said(&out), own(&[("苏G12345", true)]));
    assert!((out[0].plate_read.as_ref().unwrap().confidence - 0.6).abs() < 0.001);
    assert_eq!(out[0].observed_at, Some(lane.at(0)));
    assert!(lane.tick(5000).is_empty());
    assert!(!lane.tracker.busy());
}

#[test]
fn flicker_stays_one_vehicle_and_the_majority_wins() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    let reads = [("苏G12345", 0.7), ("苏G12845", 0.55), ("皖G12845", 0.5), ("苏G12345", 0.96), ("苏G12345", 0.97), ("苏G12345", 0.98)];
    for (i, (text, confidence)) in reads.into_iter().enumerate() {
        out.extend(lane.see(i as i64 * 100, &[plate(text, confidence, 400.0, 800.0, 200.0)]));
    }
    let tracks: std::collections::BTreeSet<_> = out.iter().map(|m| m.track_id.clone()).collect();
    assert_eq!(tracks.len(), 1);
    lane.tick(3100);
    let out = lane.tick(3100).into_iter().chain(out).collect::<Vec<_>>();
    assert!(out.iter().all(|m| m.plate_read.as_ref().unwrap().text == "苏G12345"));
    // The frames that read an 8 there count against the 3.
    let verdict = lane.tracker.front_track().map(|t| t.votes.verdict().unwrap());
    if let Some(v) = verdict {
        assert!(v.reading.characters[4].confidence < v.reading.characters[1].confidence);
        assert!(v.reading.characters[4].alternatives.iter().any(|(c, _)| *c == '8'));
    }
}

#[test]
fn a_wrong_first_read_is_corrected_before_it_settles() {
    let mut lane = Lane::new();
    let mut out = lane.see(0, &[plate("苏G12845", 0.5, 400.0, 500.0, 80.0)]);
    for i in 1..6 {
        out.extend(lane.see(i * 100, &[plate("苏G12345", 0.97, 400.0, 500.0 + 30.0 * i as f64, 80.0 + 20.0 * i as f64)]));
    }
    let said = said(&out);
    assert_eq!(said.first().unwrap(), &("苏G12845".to_owned(), false));
    assert_eq!(said.last().unwrap(), &("苏G12345".to_owned(), true));
}

#[test]
fn the_next_truck_at_the_same_place_is_a_new_track() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    for i in 0..5 {
        out.extend(lane.see(i * 100, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]));
    }
    for i in 10..15 {
        out.extend(lane.see(i * 100, &[plate("鲁B7K018", 0.97, 410.0, 805.0, 190.0)]));
    }
    assert_eq!(said(&out), own(&[("苏G12345", false), ("苏G12345", true), ("鲁B7K018", false), ("鲁B7K018", true)]));
    assert_ne!(out[1].track_id, out[2].track_id);
}

#[test]
fn the_same_truck_coming_back_is_a_new_track() {
    let mut lane = Lane::new();
    let first = lane.see(0, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]);
    lane.tick(4000);
    let second = lane.see(60_000, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]);
    assert_ne!(first[0].track_id, second[0].track_id);
}

#[test]
fn missed_frames_do_not_break_a_track() {
    let mut lane = Lane::new();
    let mut out = lane.see(0, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]);
    out.extend(lane.see(100, &[]));
    out.extend(lane.see(1500, &[]));
    out.extend(lane.see(2000, &[plate("苏G12345", 0.97, 420.0, 805.0, 200.0)]));
    let tracks: std::collections::BTreeSet<_> = out.iter().map(|m| m.track_id.clone()).collect();
    assert_eq!(tracks.len(), 1);
}

#[test]
fn the_plate_behind_is_not_reported_until_it_comes_forward() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    let behind = |y: f64, w: f64| plate("鲁B7K018", 0.98, 600.0, y, w);
    for i in 0..20 {
        // The front plate is missed in every third frame.
        let mut plates = vec![behind(300.0, 90.0)];
        if i % 3 != 2 {
            plates.push(plate("苏G12345", 0.95, 400.0, 800.0, 200.0));
        }
        out.extend(lane.see(i * 100, &plates));
    }
    assert!(out.iter().all(|m| m.plate_read.as_ref().unwrap().text == "苏G12345"), "{:?}", said(&out));
    out.clear();
    // The front one drives off, the other moves up.
    for i in 20..60 {
        let forward = (i - 20) as f64;
        out.extend(lane.see(i * 100, &[behind(300.0 + 12.0 * forward, 90.0 + 3.0 * forward)]));
    }
    assert_eq!(said(&out), own(&[("鲁B7K018", true)]));
}

#[test]
fn a_parked_plate_is_never_reported() {
    let mut lane = Lane::new();
    let parked = plate("鲁B7K018", 0.98, 600.0, 300.0, 90.0);
    let mut out = Vec::new();
    for i in 0..20 {
        out.extend(lane.see(i * 100, &[parked.clone(), plate("苏G12345", 0.95, 400.0, 800.0, 200.0)]));
    }
    for i in 20..100 {
        out.extend(lane.see(i * 100, std::slice::from_ref(&parked)));
    }
    // A truck hides it for a while; then it is seen alone again.
    for i in 100..150 {
        out.extend(lane.see(i * 100, &[plate("皖A99X01", 0.95, 400.0, 800.0, 200.0)]));
    }
    for i in 150..250 {
        out.extend(lane.see(i * 100, std::slice::from_ref(&parked)));
    }
    assert!(out.iter().all(|m| m.plate_read.as_ref().unwrap().text != "鲁B7K018"), "{:?}", said(&out));
    assert_eq!(out.len(), 4);
}

#[test]
fn a_truck_before_a_parked_car_takes_the_barrier() {
    let mut lane = Lane::new();
    let car = plate("鲁B7K018", 0.98, 600.0, 300.0, 90.0);
    lane.see(0, std::slice::from_ref(&car));
    let mut out = Vec::new();
    for i in 1..6 {
        out.extend(lane.see(i * 100, &[car.clone(), plate("苏G12345", 0.95, 400.0, 800.0, 200.0)]));
    }
    assert!(said(&out).contains(&("苏G12345".to_owned(), true)));
}

#[test]
fn single_pictures_of_different_trucks_are_all_reported() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    for (i, text) in ["苏G12345", "鲁B7K018", "皖A99X01"].into_iter().enumerate() {
        let x = 100.0 + 250.0 * i as f64;
        out.extend(lane.see(i as i64 * 1000, &[plate(text, 0.95, x, 900.0 - 150.0 * i as f64, 200.0)]));
    }
    for ms in (2000..12_000).step_by(100) {
        out.extend(lane.tick(ms));
    }
    for text in ["苏G12345", "鲁B7K018", "皖A99X01"] {
        assert!(said(&out).contains(&(text.to_owned(), true)), "{:?}", said(&out));
    }
}

#[test]
fn plates_outside_the_zone_or_far_away_are_nothing() {
    let config = TrackConfig { zone: [0.0, 0.4, 1.0, 1.0], width_min: 0.05, ..TrackConfig::default() };
    let mut lane = Lane { tracker: LaneTracker::new("L", config), n: 0 };
    assert!(lane.see(0, &[plate("苏G12345", 0.97, 400.0, 300.0, 200.0)]).is_empty());
    assert!(lane.see(100, &[plate("苏G12345", 0.97, 400.0, 800.0, 40.0)]).is_empty());
    assert!(!lane.tracker.busy());
}

#[test]
fn the_evidence_is_the_sharpest_frame_of_that_vehicle() {
    let mut lane = Lane::new();
    let mut out = Vec::new();
    for (i, sharpness) in [0.1, 0.5, 0.2].into_iter().enumerate() {
        let mut p = plate("苏G12345", 0.97, 400.0, 800.0, 200.0);
        p.sharpness = sharpness;
        out.extend(lane.see(i as i64 * 100, &[p]));
    }
    assert_eq!(out.last().unwrap().frame_id.as_deref(), Some("f2"));
}

#[test]
fn the_same_frames_give_the_same_messages() {
    let run = || {
        let mut lane = Lane::new();
        let mut out = Vec::new();
        for i in 0..30i64 {
            let text = if i % 4 == 0 { "苏G12845" } else { "苏G12345" };
            out.extend(lane.see(i * 130, &[plate(text, 0.8, 400.0, 800.0, 200.0), plate("鲁B7K018", 0.9, 100.0, 300.0, 90.0)]));
        }
        out
    };
    assert_eq!(run(), run());
}

#[test]
fn work_is_finished_up_to_the_first_vehicle_still_followed() {
    let mut lane = Lane::new();
    assert_eq!(lane.tracker.first_place(lane.at(0)), None);
    lane.see(0, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]);
    lane.see(100, &[plate("苏G12345", 0.97, 400.0, 800.0, 200.0)]);
    assert_eq!(lane.tracker.first_place(lane.at(0)), Some(1));
    assert_eq!(lane.tracker.first_place(lane.at(50)), None, "followed for too long to go back to");
}

#[test]
fn edit_distance() {
    for (a, b, n) in [("", "", 0), ("苏G12345", "苏G12345", 0), ("苏G12345", "皖G12346", 2), ("苏G12345", "苏GD12345", 1), ("", "苏", 1)]
    {
        assert_eq!(differing(a, b), n, "{a} {b}");
        assert_eq!(differing(b, a), n);
    }
}

use super::*;

fn waiting(offset: u64, ms: i64) -> Waiting {
    Waiting {
        record: Record {
            topic: topics::FRAMES.into(),
            partition: 0,
            offset,
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: 0,
        },
        frame_id: format!("f{offset}"),
        at: Instant::from_millis(ms),
    }
}

#[test]
fn a_short_queue_is_not_thinned() {
    let mut queue: VecDeque<Waiting> = (0..4).map(|i| waiting(i, i as i64)).collect();
    assert!(thin(&mut queue, true).is_empty());
    assert_eq!(queue.len(), 4);
}

#[test]
fn a_long_queue_keeps_its_first_its_last_and_an_even_rest() {
    let ten_a_second = |n: u64| (0..n).map(|i| waiting(i, 100 * i as i64)).collect::<VecDeque<_>>();
    let mut queue = ten_a_second(31);
    let skipped = thin(&mut queue, true);
    let kept: Vec<u64> = queue.iter().map(|w| w.record.offset).collect();
    assert_eq!(kept, [0, 5, 10, 15, 20, 25, 30]);
    assert_eq!(skipped.len(), 24);
    let mut queue = ten_a_second(8);
    thin(&mut queue, false);
    let kept: Vec<u64> = queue.iter().map(|w| w.record.offset).collect();
    assert_eq!(kept, [0, 2, 4, 6, 7], "the vehicle is not known: more are read, and the last always");
}

use super::*;

fn waiting(offset: u64, ms: i64) -> Waiting {
    Waiting {
        record: Record { topic: topics::FRAMES.into(), partition: 0, offset, key: None, value: None, headers: vec![], timestamp_ms: 0 },
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

/// Both ends of the stage on a real embedded log, with a reader that reads what the frame says.
mod on_a_log {
    use std::future::Future;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use portgate_core::plate::PlateKind;
    use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};

    use super::*;
    use crate::geometry::Quad;
    use crate::reading::{CharacterReading, PlateReading};
    use crate::sniff::DecodeError;

    /// A frame is `TEXT@X`, or `!` for one that cannot be read, or empty for one without a plate.
    fn read(bytes: &[u8], _zone: &[f64; 4]) -> Result<PictureReading, LprError> {
        let text = std::str::from_utf8(bytes).unwrap();
        let plates = match text.split_once('@') {
            Some((text, x)) => {
                let x: f64 = x.parse().unwrap();
                let character = |char| CharacterReading { char, confidence: 0.97, alternatives: vec![] };
                vec![PlateReading {
                    text: text.into(),
                    kind: PlateKind::Blue,
                    confidence: 0.97,
                    characters: text.chars().map(character).collect(),
                    corners: Quad::upright(x, 300.0, x + 200.0, 360.0).0,
                    sharpness: 0.3,
                    detection: 0.9,
                    model: "m".into(),
                }]
            }
            None if text == "!" => return Err(DecodeError::NotAPicture(None).into()),
            None => vec![],
        };
        Ok(PictureReading { plates, size: (1000, 600), times: Default::default() })
    }

    fn frame(lane: &str, n: usize, ms: i64, text: &str) -> NewRecord {
        let at = Instant::from_millis(1_760_000_000_000 + ms);
        NewRecord::new(topics::FRAMES, lane.to_owned(), text.to_owned())
            .header(topics::HEADER_FRAME_ID, format!("{lane}-{n}"))
            .header(topics::HEADER_LANE, lane.to_owned())
            .header(topics::HEADER_CAPTURED_AT, at.to_string())
    }

    async fn open(folder: &std::path::Path) -> Arc<dyn Log> {
        let log = EmbeddedLog::open(EmbeddedConfig::new(folder)).unwrap();
        log.create_topics(&topics::default_specs(1, 2)).await.unwrap();
        Arc::new(log)
    }

    async fn all(log: &Arc<dyn Log>, topic: &str) -> Vec<Record> {
        log.read(topic, 0, 0, 10_000, Duration::ZERO).await.unwrap().records
    }

    async fn reads(log: &Arc<dyn Log>) -> Vec<ReadMessage> {
        all(log, topics::READS).await.iter().map(|r| r.json().unwrap()).collect()
    }

    /// Runs the stage until `enough` says so, at most ten seconds.
    async fn run_until<F: Future<Output = bool>>(log: &Arc<dyn Log>, reader: ReadFrame, enough: impl Fn() -> F) {
        let (stop, shutdown) = watch::channel(false);
        let site_of: SiteOf = Arc::new(|lane| lane.starts_with("JCZ").then(|| "LYG".to_owned()));
        let config = StageConfig { threads: 2, ..StageConfig::default() };
        let stage = tokio::spawn(run_with(config, log.clone(), reader, site_of, shutdown));
        for _ in 0..200 {
            if enough().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stop.send(true).unwrap();
        stage.await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn frames_become_settled_reads_and_bad_ones_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).await;
        for i in 0..5 {
            log.append(frame("JCZ-1.L1", i, 100 * i as i64, "苏G12345@100")).await.unwrap();
            log.append(frame("JCZ-1.L2", i, 100 * i as i64, "鲁B7K018@400")).await.unwrap();
        }
        log.append(frame("JCZ-1.L1", 5, 600, "!")).await.unwrap();
        log.append(frame("NOWHERE", 0, 0, "苏G12345@100")).await.unwrap();
        let done = || async {
            let settled = |m: &ReadMessage| m.plate_read.as_ref().unwrap().settled == Some(true);
            reads(&log).await.iter().filter(|m| settled(m)).count() == 2 && all(&log, topics::REJECTED).await.len() == 2
        };
        run_until(&log, Arc::new(read), done).await;
        let reads = reads(&log).await;
        for (lane, text) in [("JCZ-1.L1", "苏G12345"), ("JCZ-1.L2", "鲁B7K018")] {
            let own: Vec<_> = reads.iter().filter(|m| m.lane == lane).collect();
            assert_eq!(own.len(), 2, "one provisional and one settled read");
            assert!(own.iter().all(|m| m.plate_read.as_ref().unwrap().text == text));
            assert_eq!(own[0].track_id, own[1].track_id);
        }
        let keys: Vec<_> = all(&log, topics::READS).await.iter().map(|r| r.key_str().unwrap().to_owned()).collect();
        assert!(keys.iter().all(|k| k == "LYG"));
        let reasons: Vec<String> = all(&log, topics::REJECTED)
            .await
            .iter()
            .map(|r| r.json::<serde_json::Value>().unwrap()["reason"].as_str().unwrap().to_owned())
            .collect();
        assert!(reasons.iter().any(|r| r.contains("no lane")) && reasons.iter().any(|r| r.contains("neither JPEG nor PNG")));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_costs_its_frame_only() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).await;
        let panicked = Arc::new(AtomicBool::new(false));
        let flag = panicked.clone();
        let reader: ReadFrame = Arc::new(move |bytes, zone| {
            if !flag.swap(true, Ordering::SeqCst) {
                panic!("the first frame");
            }
            read(bytes, zone)
        });
        for i in 0..4 {
            log.append(frame("JCZ-1.L1", i, 100 * i as i64, "苏G12345@100")).await.unwrap();
        }
        let done = || async { reads(&log).await.len() == 2 && !all(&log, topics::REJECTED).await.is_empty() };
        run_until(&log, reader, done).await;
        assert_eq!((reads(&log).await.len(), all(&log, topics::REJECTED).await.len()), (2, 1));
    }

    /// Stopped in the middle of a vehicle and started again: the same ids, so nothing counts twice.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_restart_comes_to_the_same_tracks() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).await;
        log.append(frame("JCZ-1.L1", 0, 0, "苏G12345@100")).await.unwrap();
        let first = || async { !reads(&log).await.is_empty() };
        run_until(&log, Arc::new(read), first).await;
        let before = reads(&log).await;
        for i in 1..4 {
            log.append(frame("JCZ-1.L1", i, 100 * i as i64, "苏G12345@100")).await.unwrap();
        }
        let settled = || async { reads(&log).await.iter().any(|m| m.plate_read.as_ref().unwrap().settled == Some(true)) };
        run_until(&log, Arc::new(read), settled).await;
        let after = reads(&log).await;
        assert!(after.iter().all(|m| m.track_id == before[0].track_id));
        let ids: BTreeSet<_> = after.iter().map(|m| m.event_id.clone()).collect();
        assert_eq!(ids.len(), 2, "a provisional and a settled read, however often they were put out");
    }

    /// A slow reader and two lanes, one of which floods: both are read to their end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flooding_lane_starves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).await;
        for i in 0..300 {
            log.append(frame("JCZ-1.L1", i, 40 * i as i64, "苏G12345@100")).await.unwrap();
        }
        for i in 0..4 {
            log.append(frame("JCZ-1.L2", i, 40 * i as i64, "鲁B7K018@400")).await.unwrap();
        }
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let reader: ReadFrame = Arc::new(move |bytes, zone| {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(15));
            read(bytes, zone)
        });
        let done = || async {
            let reads = reads(&log).await;
            ["JCZ-1.L1", "JCZ-1.L2"]
                .iter()
                .all(|lane| reads.iter().any(|m| m.lane == *lane && m.plate_read.as_ref().unwrap().settled == Some(true)))
        };
        run_until(&log, reader, done).await;
        assert!(done().await);
        assert!(count.load(Ordering::SeqCst) < 200, "frames of the lane whose vehicle is known are skipped");
    }
}

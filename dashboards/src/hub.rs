//! Live events: every listener hears them in order, and one that was away hears what it missed.
//!
//! Decisions, passages and alerts carry an id: the place in the journal up to which its holder
//! has heard, per site (`SITE:SEQ`, several joined by `;`). A listener that comes back with its
//! last id is sent what a bounded ring still holds after it; when that is not everything, it is
//! told so by an event `reset` and reads the lists anew. Lane events are whole states without an
//! id: the latest is enough.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Events remembered for those who come back.
const RING_MAX: usize = 2048;
/// Events a listener may lag behind before it is dropped.
const LAG_MAX: usize = 1024;

/// One event as it is sent.
#[derive(Debug)]
pub struct Live {
    /// `lane`, `decision`, `passage` or `alert`.
    pub kind: &'static str,
    /// The id a listener comes back with; none on lane events.
    pub id: Option<String>,
    /// JSON as most roles see it.
    pub full: String,
    /// JSON with masked plates; `None`: nothing to mask.
    pub masked: Option<String>,
    place: Option<(String, u64)>,
}

struct Ring {
    events: VecDeque<Arc<Live>>,
    /// Per site: everything after this place is in the ring.
    floor: BTreeMap<String, u64>,
    /// Per site: the latest place that made an event.
    heads: BTreeMap<String, u64>,
}

/// The hub between the board and the listeners.
pub struct Hub {
    ring: Mutex<Ring>,
    sender: broadcast::Sender<Arc<Live>>,
    live: AtomicBool,
}

/// What a listener gets at first.
pub struct CatchUp {
    /// What it missed.
    pub missed: Vec<Arc<Live>>,
    /// What it missed can't be told completely.
    pub reset: bool,
    /// The id it has heard up to once `missed` is told.
    pub id: String,
    /// Everything from here on.
    pub receiver: broadcast::Receiver<Arc<Live>>,
}

impl Default for Hub {
    fn default() -> Self {
        let ring = Ring { events: VecDeque::new(), floor: BTreeMap::new(), heads: BTreeMap::new() };
        Self { ring: Mutex::new(ring), sender: broadcast::channel(LAG_MAX).0, live: AtomicBool::new(false) }
    }
}

impl Hub {
    /// From now on events are sent to listeners; before, they are only remembered.
    pub fn go_live(&self) {
        self.live.store(true, Ordering::Release);
    }

    /// Whether listeners are told already.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// The journal of the site is known from after this place on (called before its first event).
    pub fn begins(&self, site: &str, after: u64) {
        let mut ring = self.ring.lock();
        ring.floor.entry(site.to_owned()).or_insert(after);
        ring.heads.entry(site.to_owned()).or_insert(after);
    }

    /// An event of the journal.
    pub fn record(&self, kind: &'static str, site: &str, seq: u64, full: String, masked: Option<String>) {
        let mut ring = self.ring.lock();
        ring.heads.insert(site.to_owned(), seq);
        let id = encode(&ring.heads);
        let event = Arc::new(Live { kind, id: Some(id), full, masked, place: Some((site.to_owned(), seq)) });
        ring.events.push_back(event.clone());
        if ring.events.len() > RING_MAX {
            if let Some((site, seq)) = ring.events.pop_front().and_then(|e| e.place.clone()) {
                let floor = ring.floor.entry(site).or_insert(0);
                *floor = seq.max(*floor);
            }
        }
        // Sent under the lock, so that a listener who joins sees each event exactly once.
        self.send(event);
    }

    /// A state of which only the latest counts.
    pub fn state(&self, kind: &'static str, full: String, masked: Option<String>) {
        self.send(Arc::new(Live { kind, id: None, full, masked, place: None }));
    }

    fn send(&self, event: Arc<Live>) {
        if self.live.load(Ordering::Acquire) {
            // An error means that nobody listens.
            let _ = self.sender.send(event);
        }
    }

    /// Joins, having heard up to `after` (nothing: only what comes).
    pub fn subscribe(&self, after: Option<&str>) -> CatchUp {
        let ring = self.ring.lock();
        let receiver = self.sender.subscribe();
        let id = encode(&ring.heads);
        let Some(after) = after else {
            return CatchUp { missed: Vec::new(), reset: false, id, receiver };
        };
        let Some(heard) = decode(after) else {
            return CatchUp { missed: Vec::new(), reset: true, id, receiver };
        };
        let place_of = |site: &str| heard.get(&encode_site(site)).copied().unwrap_or(0);
        let reset =
            ring.floor.iter().any(|(site, floor)| place_of(site) < *floor) || ring.heads.iter().any(|(site, head)| place_of(site) > *head);
        let missed = if reset {
            Vec::new()
        } else {
            let is_new = |e: &&Arc<Live>| e.place.as_ref().is_some_and(|(site, seq)| *seq > place_of(site));
            ring.events.iter().filter(is_new).cloned().collect()
        };
        CatchUp { missed, reset, id, receiver }
    }
}

/// A site's name as ids spell it: never a character that an SSE field can't hold.
fn encode_site(site: &str) -> String {
    if site.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        site.to_owned()
    } else {
        format!("~{}", hex::encode(site))
    }
}

fn encode(places: &BTreeMap<String, u64>) -> String {
    places.iter().map(|(site, seq)| format!("{}:{seq}", encode_site(site))).collect::<Vec<_>>().join(";")
}

fn decode(id: &str) -> Option<BTreeMap<String, u64>> {
    id.split(';')
        .filter(|p| !p.is_empty())
        .map(|pair| pair.split_once(':').and_then(|(site, seq)| Some((site.to_owned(), seq.parse().ok()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(n: u64) -> Hub {
        let hub = Hub::default();
        hub.begins("LYG", 10);
        hub.go_live();
        for seq in 11..=n {
            hub.record("decision", "LYG", seq, format!("{seq}"), None);
        }
        hub
    }

    fn missed(c: &CatchUp) -> Vec<&str> {
        c.missed.iter().map(|e| e.full.as_str()).collect()
    }

    #[test]
    fn who_was_away_hears_exactly_what_was_missed() {
        let hub = hub(15);
        let c = hub.subscribe(Some("LYG:13"));
        assert!(!c.reset);
        assert_eq!(missed(&c), ["14", "15"]);
        assert_eq!(c.id, "LYG:15");
        assert!(missed(&hub.subscribe(None)).is_empty());
        assert!(hub.subscribe(Some("LYG:9")).reset, "what came before the ring is unknown");
        assert!(!hub.subscribe(Some("LYG:10")).reset);
        assert!(hub.subscribe(Some("LYG:99")).reset, "another journal");
        assert!(hub.subscribe(Some("nonsense")).reset);
    }

    #[test]
    fn sites_are_kept_apart() {
        let hub = hub(12);
        hub.begins("霍尔果斯", 0);
        hub.record("decision", "霍尔果斯", 1, "h1".into(), None);
        let c = hub.subscribe(Some(&format!("LYG:12;{}:0", encode_site("霍尔果斯"))));
        assert_eq!(missed(&c), ["h1"]);
        assert!(hub.subscribe(Some(&c.id)).missed.is_empty());
    }

    #[test]
    fn the_ring_is_bounded_and_says_what_it_lost() {
        let hub = hub(10 + RING_MAX as u64 + 5);
        assert!(hub.subscribe(Some("LYG:14")).reset);
        let c = hub.subscribe(Some("LYG:15"));
        assert!(!c.reset);
        assert_eq!(c.missed.len(), RING_MAX);
    }
}

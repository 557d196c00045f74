//! The views over the tables, in SQL: the basic ones here, then [`facts`], [`violations`] and
//! [`indicators`].
//!
//! Times are half-open: a minute holds its first instant and not the next minute's. Days are those
//! of Asia/Shanghai; the accounting day of single cards runs from 17:00 to 17:00 (CH-23).

pub mod facts;
pub mod indicators;
pub mod violations;

use crate::tables::Kind;

/// One view.
#[derive(Debug)]
pub struct View {
    /// Its stable name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns, with their meaning and unit, in order.
    pub columns: &'static [(&'static str, &'static str)],
    /// The question it stands for.
    pub sql: &'static str,
}

impl View {
    /// What the column holds, as far as masking asks: plates, and people by name.
    pub fn kind(column: &str) -> Kind {
        match column {
            "plate" => Kind::Plate,
            "reviewer" | "owner" | "driver" | "note" => Kind::Words,
            _ => Kind::Text,
        }
    }
}

static BASIC: &[&View] = &[
    &DECISIONS_IN_FORCE,
    &APPROACHES,
    &LANE_MINUTES,
    &TURN_TIMES,
    &CONGESTION,
    &SINGLE_CARD_RECONCILIATION,
    &VEHICLES_INSIDE,
    &THROUGHPUT,
];

/// Every view with the heading it stands under in the documentation, in an order in which none
/// uses a later one.
pub static GROUPS: [(&str, &[&View]); 4] = [
    ("Decisions, lanes and days", BASIC),
    ("Records, trips and escorts", facts::ALL),
    ("Violations", violations::ALL),
    ("Indicators", indicators::ALL),
];

/// Every view, in an order in which none uses a later one.
pub fn all() -> impl Iterator<Item = &'static View> {
    GROUPS.iter().flat_map(|(_, views)| views.iter().copied())
}

static DECISIONS_IN_FORCE: View = View {
    name: "decisions_in_force",
    doc: "One row per decision with the verdict that holds now, after people's words and late reads.",
    columns: &[
        ("site", "Site."),
        ("id", "Decision id."),
        ("approach_id", "Approach."),
        ("checkpoint", "Checkpoint."),
        ("lane", "Lane."),
        ("direction", "Direction."),
        ("category", "Vehicle category."),
        ("plate", "Identity of the latest version."),
        ("machine_verdict", "What the machine decided first."),
        ("verdict", "What holds now."),
        ("versions", "How many versions there are."),
        ("reasons", "Reasons of the latest version."),
        ("decided_by", "The person behind the latest version; null: the machine."),
        ("decided_at", "When the machine decided first."),
        ("settled_at", "When the latest version was made."),
    ],
    sql: "
SELECT d.site, d.id, d.approach_id, d.checkpoint, d.lane, d.direction,
       coalesce(v.category, d.category) AS category, coalesce(v.plate, d.plate) AS plate,
       d.verdict AS machine_verdict, coalesce(v.verdict, d.verdict) AS verdict,
       coalesce(v.version, d.version) AS versions, coalesce(v.reasons, d.reasons) AS reasons,
       v.decided_by, d.decided_at, coalesce(v.decided_at, d.decided_at) AS settled_at
FROM decisions d
LEFT JOIN (
  SELECT * FROM (
    SELECT site, id, version, category, plate, verdict, reasons, decided_by, decided_at,
           row_number() OVER (PARTITION BY site, id ORDER BY version DESC) AS place
    FROM decision_versions)
  WHERE place = 1) v ON v.site = d.site AND v.id = d.id",
};

static APPROACHES: View = View {
    name: "approaches",
    doc: "One row per vehicle that arrived, with how and when its stay ended.",
    columns: &[
        ("site", "Site."),
        ("approach_id", "Approach."),
        ("checkpoint", "Checkpoint."),
        ("lane", "Lane."),
        ("direction", "Direction, where known."),
        ("arrived_at", "First read, event time."),
        ("passed_at", "When it passed; null: it did not."),
        ("ended_at", "When the gate took it as ended; null: it still stands there."),
        ("ending", "PASSED, GONE, EXPIRED; null: it still stands there."),
        ("waiting_s", "From arrival to passage, seconds."),
    ],
    sql: "
SELECT a.site, a.approach_id, a.checkpoint, a.lane, coalesce(p.direction, a.direction) AS direction, a.arrived_at,
       p.passed_at, e.ended_at, e.ending,
       (CAST(p.passed_at AS BIGINT) - CAST(a.arrived_at AS BIGINT)) / 1e6 AS waiting_s
FROM arrivals a
LEFT JOIN (SELECT site, approach_id, max(direction) AS direction, min(passed_at) AS passed_at
           FROM passages WHERE approach_id IS NOT NULL GROUP BY site, approach_id) p
  ON p.site = a.site AND p.approach_id = a.approach_id
LEFT JOIN endings e ON e.site = a.site AND e.approach_id = a.approach_id",
};

static LANE_MINUTES: View = View {
    name: "lane_minutes",
    doc: "One row per lane and minute in which something happened there.",
    columns: &[
        ("site", "Site."),
        ("checkpoint", "Checkpoint."),
        ("lane", "Lane."),
        ("minute", "First instant of the minute."),
        ("arrivals", "Vehicles that arrived."),
        ("opened", "Decisions: the machine opened."),
        ("held", "Decisions: the machine held."),
        ("refused", "Decisions: the machine refused."),
        ("passed", "Vehicles that went through."),
        ("queue", "Mean of the queue reports of the minute, vehicles; null: none."),
        ("queue_max", "Largest of them, vehicles."),
        ("waiting_p50_s", "Median time from arrival to passage of those that went through, seconds."),
        ("waiting_p95_s", "Its 95th percentile, seconds."),
    ],
    sql: "
SELECT site, checkpoint, lane, minute,
       CAST(sum(arrived) AS BIGINT) AS arrivals, CAST(sum(opened) AS BIGINT) AS opened,
       CAST(sum(held) AS BIGINT) AS held, CAST(sum(refused) AS BIGINT) AS refused,
       CAST(sum(passed) AS BIGINT) AS passed,
       avg(waiting) AS queue, max(waiting) AS queue_max,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY wait_s) AS waiting_p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY wait_s) AS waiting_p95_s
FROM (
  SELECT site, checkpoint, lane, date_trunc('minute', arrived_at) AS minute,
         1 AS arrived, 0 AS opened, 0 AS held, 0 AS refused, 0 AS passed,
         CAST(NULL AS BIGINT) AS waiting, CAST(NULL AS DOUBLE) AS wait_s
  FROM arrivals
  UNION ALL
  SELECT site, checkpoint, lane, date_trunc('minute', decided_at),
         0, CASE verdict WHEN 'OPEN' THEN 1 ELSE 0 END, CASE verdict WHEN 'HOLD' THEN 1 ELSE 0 END,
         CASE verdict WHEN 'REFUSE' THEN 1 ELSE 0 END, 0, NULL, NULL
  FROM decisions
  UNION ALL
  SELECT site, checkpoint, lane, date_trunc('minute', sampled_at), 0, 0, 0, 0, 0, vehicles_waiting, NULL
  FROM queue_samples
  UNION ALL
  SELECT p.site, p.checkpoint, p.lane, date_trunc('minute', p.passed_at), 0, 0, 0, 0, 1, NULL,
         (CAST(p.passed_at AS BIGINT) - CAST(a.arrived_at AS BIGINT)) / 1e6
  FROM passages p LEFT JOIN arrivals a ON a.site = p.site AND a.approach_id = p.approach_id)
GROUP BY site, checkpoint, lane, minute",
};

static TURN_TIMES: View = View {
    name: "turn_times",
    doc: "One row per stay in the port: an exit and the entry of the same plate just before it.",
    columns: &[
        ("site", "Site."),
        ("plate", "Plate."),
        ("category", "Vehicle category at the exit."),
        ("entry_passage_id", "Passage in."),
        ("exit_passage_id", "Passage out."),
        ("entry_lane", "Lane in."),
        ("exit_lane", "Lane out."),
        ("entered_at", "When it came in."),
        ("left_at", "When it went out."),
        ("turn_s", "Time in port, seconds."),
    ],
    sql: "
SELECT site, plate, category, entry_passage_id, passage_id AS exit_passage_id, entry_lane, lane AS exit_lane,
       entered_at, passed_at AS left_at,
       (CAST(passed_at AS BIGINT) - CAST(entered_at AS BIGINT)) / 1e6 AS turn_s
FROM (
  SELECT site, plate, category, direction, passage_id, lane, passed_at,
         lag(direction) OVER w AS before, lag(passage_id) OVER w AS entry_passage_id,
         lag(lane) OVER w AS entry_lane, lag(passed_at) OVER w AS entered_at
  FROM passages WHERE plate IS NOT NULL AND direction IN ('ENTRY', 'EXIT')
  WINDOW w AS (PARTITION BY site, plate ORDER BY passed_at, seq))
WHERE direction = 'EXIT' AND before = 'ENTRY'",
};

static CONGESTION: View = View {
    name: "congestion",
    doc: "One row per lane and five minutes with queue reports, arrivals or passages.",
    columns: &[
        ("site", "Site."),
        ("checkpoint", "Checkpoint."),
        ("lane", "Lane."),
        ("direction", "Direction, where known."),
        ("bucket", "First instant of the five minutes."),
        ("queue", "Mean of the queue reports, vehicles; null: none."),
        ("queue_max", "Largest of them, vehicles."),
        ("samples", "How many reports."),
        ("arrivals", "Vehicles that arrived."),
        ("passed", "Vehicles that went through."),
        ("saturation", "Arrivals over passages; null: nobody passed."),
        ("level", "FREE below 5 vehicles, BUSY below 10, CONGESTED from 10 on (defaults); null: no report."),
    ],
    sql: "
SELECT site, checkpoint, lane, direction, bucket, queue, queue_max, samples, arrivals, passed,
       CASE WHEN passed > 0 THEN CAST(arrivals AS DOUBLE) / passed END AS saturation,
       CASE WHEN queue >= 10 THEN 'CONGESTED' WHEN queue >= 5 THEN 'BUSY' WHEN queue IS NOT NULL THEN 'FREE' END AS level
FROM (
  SELECT site, checkpoint, lane, max(direction) AS direction, bucket, avg(waiting) AS queue, max(waiting) AS queue_max,
         count(waiting) AS samples, CAST(sum(arrived) AS BIGINT) AS arrivals, CAST(sum(gone) AS BIGINT) AS passed
  FROM (
    SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '5 minutes', sampled_at) AS bucket,
           vehicles_waiting AS waiting, 0 AS arrived, 0 AS gone FROM queue_samples
    UNION ALL
    SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '5 minutes', arrived_at), NULL, 1, 0 FROM arrivals
    UNION ALL
    SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '5 minutes', passed_at), NULL, 0, 1 FROM passages)
  GROUP BY site, checkpoint, lane, bucket)",
};

static SINGLE_CARD_RECONCILIATION: View = View {
    name: "single_card_reconciliation",
    doc: "One row per site and accounting day (from 17:00 of the day before to 17:00) with events of single cards, beside the slip signed at 17:00 (from `handovers`; LYG-5.5b, CH-23).",
    columns: &[
        ("site", "Site."),
        ("day", "Accounting day."),
        ("issued", "Cards issued (each issue once)."),
        ("in_use", "Cards taken into use at an entry."),
        ("recovered", "Cards recovered at an exit: what the count by hand must give."),
        ("lost", "Cards reported lost."),
        ("outstanding", "Issued and neither recovered, lost nor cancelled by the end of the day."),
        ("handed_over", "Cards the registry shows as handed over."),
        ("counted", "Counted by hand; null: no slip."),
        ("difference", "Recovered less counted; other than 0 needs a remark before signing."),
        ("signed", "Both have signed."),
    ],
    sql: "
SELECT e.site, e.day, e.issued, e.in_use, e.recovered, e.lost,
       CAST(sum(e.issued - e.recovered - e.lost - e.cancelled) OVER (PARTITION BY e.site ORDER BY e.day) AS BIGINT) AS outstanding,
       e.handed_over, h.counted, e.recovered - h.counted AS difference, h.signed_at IS NOT NULL AS signed
FROM (
  SELECT site, day,
         count(DISTINCT CASE WHEN event = 'ISSUED' THEN issue_key END) AS issued,
         count(DISTINCT CASE WHEN event = 'IN_USE' THEN passage_key END) AS in_use,
         count(DISTINCT CASE WHEN event = 'RECOVERED' THEN passage_key END) AS recovered,
         count(DISTINCT CASE WHEN event = 'LOST' THEN issue_key END) AS lost,
         count(DISTINCT CASE WHEN event = 'HANDED_OVER' THEN issue_key END) AS handed_over,
         count(DISTINCT CASE WHEN event IN ('CANCELLED', 'DELETED') THEN issue_key END) AS cancelled
  FROM (
    SELECT site, event, concat(card_id, '/', coalesce(issue, '')) AS issue_key,
           concat(card_id, '/', coalesce(passage_id, issue, '')) AS passage_key,
           CAST(to_local_time(happened_at) + INTERVAL '7 hours' AS DATE) AS day
    FROM card_events WHERE type = 'SINGLE')
  GROUP BY site, day) e
LEFT JOIN handovers h ON h.site = e.site AND h.day = e.day",
};

static VEHICLES_INSIDE: View = View {
    name: "vehicles_inside",
    doc: "One row per vehicle whose latest passage was an entry.",
    columns: &[
        ("site", "Site."),
        ("plate", "Plate."),
        ("category", "Vehicle category."),
        ("lane", "Lane it came in by."),
        ("since", "When it came in."),
    ],
    sql: "
SELECT site, plate, category, lane, passed_at AS since
FROM (
  SELECT site, plate, category, lane, direction, passed_at,
         row_number() OVER (PARTITION BY site, plate ORDER BY passed_at DESC, seq DESC) AS place
  FROM passages WHERE plate IS NOT NULL AND direction IN ('ENTRY', 'EXIT'))
WHERE place = 1 AND direction = 'ENTRY'",
};

static THROUGHPUT: View = View {
    name: "throughput",
    doc: "One row per lane and quarter of an hour in which vehicles went through.",
    columns: &[
        ("site", "Site."),
        ("checkpoint", "Checkpoint."),
        ("lane", "Lane."),
        ("direction", "Direction."),
        ("bucket", "First instant of the quarter."),
        ("passed", "Vehicles that went through."),
    ],
    sql: "
SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '15 minutes', passed_at) AS bucket, count(*) AS passed
FROM passages GROUP BY site, checkpoint, lane, direction, date_bin(INTERVAL '15 minutes', passed_at)",
};

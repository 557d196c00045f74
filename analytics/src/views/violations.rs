//! The thirteen violations, each as the specification defines it: what a person may verify.
//!
//! They are read off decisions, passages, trips and escorts, whether or not the gate raised them
//! at the time (`violations` holds those it raised). All share one shape.

use super::View;

/// The columns every violation's view has.
pub const COLUMNS: &[(&str, &str)] = &[
    ("site", "Site."),
    ("occurred_at", "When: of an approach its arrival, of a passage its instant."),
    ("plate", "Plate."),
    ("enterprise", "Carrier, where known."),
    ("category", "Vehicle category."),
    ("checkpoint", "Checkpoint."),
    ("lane", "Lane."),
    ("approach_id", "Approach."),
    ("passage_id", "Passage."),
    ("subject", "Trip or escort it is about."),
    ("signal", "What shows it: a reason's code or the sign named in the description."),
];

macro_rules! violation {
    ($name:literal, $doc:literal, $sql:expr) => {
        View { name: $name, doc: $doc, columns: COLUMNS, sql: $sql }
    };
}

/// Decisions with one of these reasons, a row for each of them.
macro_rules! by_reason {
    ($codes:literal) => {
        by_reason!($codes, "")
    };
    ($codes:literal, $also:literal) => {
        concat!(
            "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject, r.code AS signal
FROM reasons r JOIN decisions d ON d.site = r.site AND d.seq = r.seq
WHERE r.code IN (",
            $codes,
            ")",
            $also
        )
    };
}

/// The views, each after those it reads.
pub static ALL: &[&View] = &[
    &violation!(
        "v_wrong_lane",
        "V_WRONG_LANE: passed in the wrong lane class without a manager's override (LYG-0.11a, 7.4, 7.8b).",
        "
SELECT p.site, p.passed_at AS occurred_at, p.plate, d.enterprise, p.category, p.checkpoint, p.lane, p.approach_id,
       p.passage_id, CAST(NULL AS VARCHAR) AS subject, 'WRONG_LANE' AS signal
FROM passages p JOIN decisions d ON d.site = p.site AND d.approach_id = p.approach_id
WHERE array_has(d.reasons, 'WRONG_LANE')"
    ),
    &violation!(
        "v_card_misuse",
        "V_CARD_MISUSE: card, IC card or QR code used for another vehicle, after cancellation, loss or use; a row per reason (LYG-5.5a, 6.3b, 6.4c, HGS-2.1b, NNG-T4).",
        by_reason!(
            "'PLATE_CARD_MISMATCH', 'PLATE_IC_CARD_MISMATCH', 'QR_PLATE_MISMATCH', 'CARD_UNKNOWN', 'CARD_CANCELLED', \
             'CARD_REPORTED_LOST', 'SINGLE_CARD_ALREADY_USED', 'QR_INVALID', 'QR_ALREADY_USED'"
        )
    ),
    &View {
        name: "impossible_travel",
        doc: "One row per two passages of a plate at two checkpoints in less time than the road takes at 120 km/h (a default); the distances are in `checkpoint_distances`.",
        columns: &[
            ("site", "Site of the later passage."),
            ("plate", "Plate."),
            ("category", "Vehicle category at the later passage."),
            ("from_checkpoint", "Where it passed first."),
            ("to_checkpoint", "Where it passed next."),
            ("lane", "Lane of the later passage."),
            ("left_at", "The earlier passage."),
            ("arrived_at", "The later passage."),
            ("approach_id", "Approach of the later passage."),
            ("passage_id", "The later passage."),
            ("km", "Distance by road, kilometres."),
            ("travel_s", "Time between the two, seconds."),
            ("speed_kmh", "Speed it would have needed, kilometres an hour."),
        ],
        // Passages are put into steps as long as the longest road takes: only neighbours can be too fast.
        sql: "
SELECT site, plate, category, from_checkpoint, to_checkpoint, lane, left_at, arrived_at, approach_id, passage_id, km, travel_s,
       km / travel_s * 3600 AS speed_kmh
FROM (
  SELECT b.site, b.plate, b.category, a.checkpoint AS from_checkpoint, b.checkpoint AS to_checkpoint, b.lane, a.passed_at AS left_at,
         b.passed_at AS arrived_at, b.approach_id, b.passage_id, x.km,
         (CAST(b.passed_at AS BIGINT) - CAST(a.passed_at AS BIGINT)) / 1e6 AS travel_s
  FROM (SELECT plate, checkpoint, passed_at, unnest(make_array(step, step + 1)) AS step
        FROM (SELECT p.plate, p.checkpoint, p.passed_at, CAST(floor(CAST(p.passed_at AS BIGINT) / m.longest_us) AS BIGINT) AS step
              FROM passages p CROSS JOIN (SELECT max(km) / 120.0 * 3600e6 + 1 AS longest_us FROM checkpoint_distances) m
              WHERE p.plate IS NOT NULL)) a
  JOIN (SELECT p.site, p.plate, p.category, p.checkpoint, p.lane, p.passed_at, p.approach_id, p.passage_id,
               CAST(floor(CAST(p.passed_at AS BIGINT) / m.longest_us) AS BIGINT) AS step
        FROM passages p CROSS JOIN (SELECT max(km) / 120.0 * 3600e6 + 1 AS longest_us FROM checkpoint_distances) m
        WHERE p.plate IS NOT NULL) b
    ON a.plate = b.plate AND a.step = b.step
  JOIN checkpoint_distances x ON x.from_checkpoint = a.checkpoint AND x.to_checkpoint = b.checkpoint
  WHERE b.passed_at > a.passed_at)
WHERE travel_s < km / 120.0 * 3600",
    },
    &violation!(
        "v_clone_plate_suspected",
        "V_CLONE_PLATE_SUSPECTED: signs of a clone plate (套牌): the colour differs or the plate is inside already, 'double entry' without an exit between, 'impossible travel' (LYG-6.1b2, 6.1b3).",
        "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject,
       CASE WHEN array_has(d.reasons, 'PLATE_ALREADY_INSIDE') THEN 'PLATE_ALREADY_INSIDE' ELSE 'PLATE_COLOUR_MISMATCH' END AS signal
FROM decisions d WHERE array_has(d.reasons, 'PLATE_ALREADY_INSIDE') OR array_has(d.reasons, 'PLATE_COLOUR_MISMATCH')
UNION ALL
SELECT p.site, p.passed_at, p.plate, v.enterprise, p.category, p.checkpoint, p.lane, p.approach_id, p.passage_id, NULL, 'double entry'
FROM (SELECT site, passed_at, plate, category, checkpoint, lane, approach_id, passage_id, direction,
             lag(direction) OVER (PARTITION BY site, plate ORDER BY passed_at, seq) AS before
      FROM passages WHERE plate IS NOT NULL) p
LEFT JOIN vehicles v ON v.site = p.site AND v.plate = p.plate
WHERE p.direction = 'ENTRY' AND p.before = 'ENTRY'
UNION ALL
SELECT t.site, t.arrived_at, t.plate, v.enterprise, t.category, t.to_checkpoint, t.lane, t.approach_id, t.passage_id, NULL, 'impossible travel'
FROM impossible_travel t LEFT JOIN vehicles v ON v.site = t.site AND v.plate = t.plate"
    ),
    &violation!(
        "v_banned_attempt",
        "V_BANNED_ATTEMPT: a banned or blacklisted vehicle presented itself for entry (LYG-2.5b, 6.4e, 7.8b).",
        "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject,
       CASE WHEN array_has(d.reasons, 'VEHICLE_BLACKLISTED') THEN 'VEHICLE_BLACKLISTED' ELSE 'VEHICLE_BANNED_ONE_YEAR' END AS signal
FROM decisions d
WHERE d.direction = 'ENTRY' AND (array_has(d.reasons, 'VEHICLE_BLACKLISTED') OR array_has(d.reasons, 'VEHICLE_BANNED_ONE_YEAR'))"
    ),
    &violation!(
        "v_cargo_mismatch",
        "V_CARGO_MISMATCH: cargo or VIN differs from task or declaration (LYG-0.12b, 6.4d, HGS-1.5c).",
        "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject,
       CASE WHEN array_has(d.reasons, 'CARGO_TASK_MISMATCH') THEN 'CARGO_TASK_MISMATCH' ELSE 'VIN_MISMATCH' END AS signal
FROM decisions d WHERE array_has(d.reasons, 'CARGO_TASK_MISMATCH') OR array_has(d.reasons, 'VIN_MISMATCH')"
    ),
    &violation!(
        "v_unauthorised_leave",
        "V_UNAUTHORISED_LEAVE: a short-haul vehicle left without consent; leaving on its own single card while holding no long-term card is none (LYG-6.4e, CH-15).",
        "
SELECT p.site, p.passed_at AS occurred_at, p.plate, v.enterprise, p.category, p.checkpoint, p.lane, p.approach_id,
       p.passage_id, CAST(NULL AS VARCHAR) AS subject, 'LEAVE_CONSENT_MISSING' AS signal
FROM passages p JOIN vehicles v ON v.site = p.site AND v.plate = p.plate
LEFT JOIN (SELECT DISTINCT site, plate, passage_id FROM card_events WHERE type = 'SINGLE' AND event = 'RECOVERED') s
  ON s.site = p.site AND s.plate = p.plate AND s.passage_id = p.passage_id
LEFT JOIN (SELECT DISTINCT site, plate FROM card_events WHERE type = 'LONG' AND plate IS NOT NULL) l
  ON l.site = p.site AND l.plate = p.plate
WHERE p.direction = 'EXIT' AND v.category = 'PF_SHORT_HAUL'
  AND NOT (s.passage_id IS NOT NULL AND l.plate IS NULL)
  AND NOT EXISTS (SELECT 1 FROM leave_consents c WHERE c.site = p.site AND c.plate = p.plate AND c.granted_at <= p.passed_at
                  AND (c.valid_to IS NULL OR p.passed_at < c.valid_to) AND (c.used_passage IS NULL OR c.used_passage = p.passage_id))"
    ),
    &violation!(
        "v_seal_tamper",
        "V_SEAL_TAMPER: the seal's number differs or the seal is broken (NNG-1.5.i5, 1.5.e5, T5d).",
        "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject,
       CASE WHEN array_has(d.reasons, 'SEAL_MISMATCH') THEN 'SEAL_MISMATCH' ELSE 'SEAL_BROKEN' END AS signal
FROM decisions d WHERE array_has(d.reasons, 'SEAL_MISMATCH') OR array_has(d.reasons, 'SEAL_BROKEN')"
    ),
    &violation!(
        "v_route_deviation",
        "V_ROUTE_DEVIATION: left the approved route, stood longer than 1800 s (a default), or the electronic seal gave alarm; a row per trip, from `positions` (NNG-T3, T5d, 1.5.i4).",
        "
SELECT coalesce(t.site, '') AS site, d.occurred_at, t.plate, CAST(NULL AS VARCHAR) AS enterprise, CAST(NULL AS VARCHAR) AS category,
       CAST(NULL AS VARCHAR) AS checkpoint, CAST(NULL AS VARCHAR) AS lane, CAST(NULL AS VARCHAR) AS approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, d.trip_id AS subject,
       CASE WHEN d.outside THEN 'left the route' WHEN d.longest_stop_s > 1800 THEN 'long stop' ELSE 'seal alarm' END AS signal
FROM route_deviations d LEFT JOIN trips t ON t.trip_id = d.trip_id"
    ),
    &violation!(
        "v_tailgating",
        "V_TAILGATING: a passage without an authorisation of its own (一车一杆; LYG-3.7, 4.4a).",
        "
SELECT p.site, p.passed_at AS occurred_at, p.plate, CAST(NULL AS VARCHAR) AS enterprise, p.category, p.checkpoint, p.lane, p.approach_id,
       p.passage_id, CAST(NULL AS VARCHAR) AS subject, 'no approach' AS signal
FROM passages p WHERE p.authorised_by = 'NONE' AND p.approach_id IS NULL"
    ),
    &violation!(
        "v_passed_while_refused",
        "V_PASSED_WHILE_REFUSED: passed although refused, or although held without release (LYG-7.8b).",
        "
SELECT p.site, p.passed_at AS occurred_at, p.plate, d.enterprise, p.category, p.checkpoint, p.lane, p.approach_id,
       p.passage_id, CAST(NULL AS VARCHAR) AS subject, d.verdict AS signal
FROM passages p JOIN decisions d ON d.site = p.site AND d.approach_id = p.approach_id
WHERE d.verdict IN ('REFUSE', 'HOLD') AND p.authorised_by = 'NONE'"
    ),
    &violation!(
        "v_no_show_inspection",
        "V_NO_SHOW_INSPECTION: a fast import sent to inspection did not reach the rear yard within 4 h (a default; NNG-2.2.i3).",
        "
SELECT d.site, d.arrived_at AS occurred_at, d.plate, d.enterprise, d.category, d.checkpoint, d.lane, d.approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, CAST(NULL AS VARCHAR) AS subject, 'PROCEED_TO_INSPECTION' AS signal
FROM decisions d
WHERE d.direction = 'IMPORT_BORDER_IN' AND array_has(d.reasons, 'PROCEED_TO_INSPECTION')
  AND NOT EXISTS (SELECT 1 FROM trip_points t WHERE t.site = d.site AND t.plate = d.plate AND t.point = 'YARD_IN'
                  AND t.passed_at >= d.arrived_at AND t.passed_at < d.arrived_at + INTERVAL '4 hours')"
    ),
    &violation!(
        "v_escort_short",
        "V_ESCORT_SHORT: fewer than two officers, or the fee unpaid (NNG-3.2).",
        "
SELECT e.site, coalesce(e.started_at, e.ordered_at) AS occurred_at, e.plate, CAST(NULL AS VARCHAR) AS enterprise,
       CAST(NULL AS VARCHAR) AS category, CAST(NULL AS VARCHAR) AS checkpoint, CAST(NULL AS VARCHAR) AS lane,
       CAST(NULL AS VARCHAR) AS approach_id, CAST(NULL AS VARCHAR) AS passage_id, e.escort_id AS subject,
       CASE WHEN e.officers < 2 THEN 'fewer than two officers' ELSE 'fee unpaid' END AS signal
FROM escorts e WHERE e.officers < 2 OR NOT e.fee_paid"
    ),
    &violation!(
        "v_escort_record_missing",
        "V_ESCORT_RECORD_MISSING: no record after the escort ended (NNG-3.3).",
        "
SELECT e.site, e.ended_at AS occurred_at, e.plate, CAST(NULL AS VARCHAR) AS enterprise, CAST(NULL AS VARCHAR) AS category,
       CAST(NULL AS VARCHAR) AS checkpoint, CAST(NULL AS VARCHAR) AS lane, CAST(NULL AS VARCHAR) AS approach_id,
       CAST(NULL AS VARCHAR) AS passage_id, e.escort_id AS subject, 'no record' AS signal
FROM escorts e WHERE e.ended_at IS NOT NULL AND e.record_written_at IS NULL"
    ),
];

//! The gate's indicators: flow, waiting, quality, cards, sanctions' candidates.

use super::View;

/// The views, each after those it reads.
pub static ALL: &[&View] = &[
    &View {
        name: "waiting_times",
        doc: "One row per lane and hour in which vehicles went through: how long they had waited, from arrival to passage.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("direction", "Direction."),
            ("hour", "First instant of the hour of the passage."),
            ("vehicles", "Vehicles that went through."),
            ("waiting_p50_s", "Median, seconds."),
            ("waiting_p90_s", "90th percentile, seconds."),
            ("waiting_p95_s", "95th percentile, seconds."),
            ("waiting_p99_s", "99th percentile, seconds."),
            ("waiting_max_s", "Longest, seconds."),
        ],
        sql: "
SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '1 hour', passed_at) AS hour, count(*) AS vehicles,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY waiting_s) AS waiting_p50_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY waiting_s) AS waiting_p90_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY waiting_s) AS waiting_p95_s,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY waiting_s) AS waiting_p99_s, max(waiting_s) AS waiting_max_s
FROM (SELECT p.site, p.checkpoint, p.lane, p.direction, p.passed_at,
             (CAST(p.passed_at AS BIGINT) - CAST(a.arrived_at AS BIGINT)) / 1e6 AS waiting_s
      FROM passages p JOIN arrivals a ON a.site = p.site AND a.approach_id = p.approach_id)
GROUP BY site, checkpoint, lane, direction, date_bin(INTERVAL '1 hour', passed_at)",
    },
    &View {
        name: "service_times",
        doc: "One row per lane and verdict of the machine: from arrival to passage, over everything kept.",
        columns: &[
            ("site", "Site."),
            ("lane", "Lane."),
            ("verdict", "OPEN, HOLD or REFUSE."),
            ("passages", "Vehicles that went through."),
            ("p50_s", "Median, seconds."),
            ("p95_s", "95th percentile, seconds."),
        ],
        sql: "
SELECT site, lane, verdict, count(*) AS passages, percentile_cont(0.5) WITHIN GROUP (ORDER BY service_s) AS p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY service_s) AS p95_s
FROM (SELECT d.site, d.lane, d.verdict, (CAST(p.passed_at AS BIGINT) - CAST(d.arrived_at AS BIGINT)) / 1e6 AS service_s
      FROM passages p JOIN decisions d ON d.site = p.site AND d.approach_id = p.approach_id)
GROUP BY site, lane, verdict",
    },
    &View {
        name: "decision_latency",
        doc: "One row per site and profile: from the last needed read to the decision, over everything kept.",
        columns: &[
            ("site", "Site."),
            ("profile", "Regulation profile: LYG, HGS or NNG."),
            ("decisions", "Decisions."),
            ("p50_us", "Median, microseconds."),
            ("p95_us", "95th percentile, microseconds."),
            ("p99_us", "99th percentile, microseconds."),
        ],
        sql: "
SELECT site, profile, count(*) AS decisions, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency) AS p50_us,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY latency) AS p95_us, percentile_cont(0.99) WITHIN GROUP (ORDER BY latency) AS p99_us
FROM (SELECT site, profile, CAST(latency_us AS DOUBLE) AS latency FROM decisions) GROUP BY site, profile",
    },
    &View {
        name: "queue_lengths",
        doc: "One row per lane and quarter of an hour with queue reports.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("direction", "Direction, where known."),
            ("bucket", "First instant of the quarter."),
            ("samples", "Reports."),
            ("queue", "Mean, vehicles."),
            ("queue_p95", "95th percentile, vehicles."),
            ("queue_max", "Largest, vehicles."),
        ],
        sql: "
SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '15 minutes', sampled_at) AS bucket, count(*) AS samples,
       avg(vehicles_waiting) AS queue,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(vehicles_waiting AS DOUBLE)) AS queue_p95, max(vehicles_waiting) AS queue_max
FROM queue_samples GROUP BY site, checkpoint, lane, direction, date_bin(INTERVAL '15 minutes', sampled_at)",
    },
    &View {
        name: "congested_intervals",
        doc: "Five minutes of a lane with a mean queue of 10 vehicles or more (a default; LYG-4.4c).",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("direction", "Direction, where known."),
            ("bucket", "First instant of the five minutes."),
            ("queue", "Mean of the queue reports, vehicles."),
            ("queue_max", "Largest of them, vehicles."),
        ],
        sql: "
SELECT site, checkpoint, lane, direction, date_bin(INTERVAL '5 minutes', sampled_at) AS bucket, avg(vehicles_waiting) AS queue,
       max(vehicles_waiting) AS queue_max
FROM queue_samples GROUP BY site, checkpoint, lane, direction, date_bin(INTERVAL '5 minutes', sampled_at)
HAVING avg(vehicles_waiting) >= 10",
    },
    &View {
        name: "saturation",
        doc: "One row per lane and quarter of an hour with passages: arrivals over what the lane can serve. A vehicle is served from its arrival, or from the passage before it, to its own.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("bucket", "First instant of the quarter."),
            ("arrivals", "Vehicles that arrived."),
            ("served", "Vehicles that went through."),
            ("service_mean_s", "Mean time of service, seconds."),
            ("service_rate_per_h", "Vehicles an hour the lane could serve at that."),
            ("saturation", "Arrivals an hour over the service rate."),
            ("level", "FREE below 0.6, BUSY below 0.85, DENSE below 1, OVERLOADED from 1 on (defaults)."),
        ],
        sql: "
SELECT site, checkpoint, lane, bucket, arrivals, served, service_mean_s, 3600 / service_mean_s AS service_rate_per_h, saturation,
       CASE WHEN saturation >= 1 THEN 'OVERLOADED' WHEN saturation >= 0.85 THEN 'DENSE' WHEN saturation >= 0.6 THEN 'BUSY' ELSE 'FREE' END AS level
FROM (
  SELECT *, arrivals * service_mean_s / 900.0 AS saturation
  FROM (
    SELECT site, checkpoint, lane, bucket, CAST(sum(arrived) AS BIGINT) AS arrivals, count(service_s) AS served,
           avg(service_s) AS service_mean_s
    FROM (
      SELECT site, checkpoint, lane, date_bin(INTERVAL '15 minutes', arrived_at) AS bucket, 1 AS arrived, CAST(NULL AS DOUBLE) AS service_s
      FROM arrivals
      UNION ALL
      SELECT site, checkpoint, lane, date_bin(INTERVAL '15 minutes', passed_at), 0,
             (CAST(passed_at AS BIGINT) - greatest(CAST(arrived_at AS BIGINT), coalesce(before, 0))) / 1e6
      FROM (SELECT p.site, p.checkpoint, p.lane, p.passed_at, a.arrived_at,
                   CAST(lag(p.passed_at) OVER (PARTITION BY p.site, p.lane ORDER BY p.passed_at, p.seq) AS BIGINT) AS before
            FROM passages p JOIN arrivals a ON a.site = p.site AND a.approach_id = p.approach_id))
    GROUP BY site, checkpoint, lane, bucket)
  WHERE service_mean_s > 0)",
    },
    &View {
        name: "peak_mode_suggestions",
        doc: "Five minutes in which peak pass mode might have helped: a checkpoint's exit queue of 10 or more in a scheduled off-work window, the mode not active (LYG-4.4c, CH-10). A suggestion: only a person activates it.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("bucket", "First instant of the five minutes."),
            ("queue", "Mean of the exit queue reports, vehicles."),
        ],
        sql: "
SELECT q.site, q.checkpoint, q.bucket, q.queue
FROM (SELECT site, checkpoint, date_bin(INTERVAL '5 minutes', sampled_at) AS bucket, avg(vehicles_waiting) AS queue
      FROM queue_samples WHERE direction = 'EXIT' GROUP BY site, checkpoint, date_bin(INTERVAL '5 minutes', sampled_at)) q
JOIN peak_schedules s ON s.checkpoint = q.checkpoint
 AND s.isodow = CAST((date_part('dow', q.bucket) + 6) AS BIGINT) % 7 + 1
 AND CAST(to_local_time(q.bucket) AS TIME) >= CAST(s.from_local AS TIME) AND CAST(to_local_time(q.bucket) AS TIME) < CAST(s.to_local AS TIME)
WHERE q.queue >= 10
  AND NOT EXISTS (SELECT 1 FROM peak_modes m WHERE m.site = q.site AND m.checkpoint = q.checkpoint AND m.active_from <= q.bucket
                  AND (m.active_to IS NULL OR q.bucket < m.active_to))",
    },
    &View {
        name: "peak_mode_exits",
        doc: "One row per activation of peak pass mode: how many exits it opened (LYG-4.4c).",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("active_from", "First instant it counted."),
            ("opened", "Exits opened by it."),
        ],
        sql: "
SELECT m.site, m.checkpoint, m.active_from, count(d.approach_id) AS opened
FROM peak_modes m
LEFT JOIN (SELECT site, checkpoint, approach_id, arrived_at FROM decisions WHERE array_has(reasons, 'PEAK_MODE_EXIT')) d
  ON d.site = m.site AND d.checkpoint = m.checkpoint AND d.arrived_at >= m.active_from AND (m.active_to IS NULL OR d.arrived_at < m.active_to)
GROUP BY m.site, m.checkpoint, m.active_from",
    },
    &View {
        name: "turn_round_times",
        doc: "One row per publisher of appointments: time in port, over everything kept (LYG-0.1, 2.9a).",
        columns: &[
            ("site", "Site."),
            ("publisher", "Publisher; null: the task names none."),
            ("visits", "Appointments entered and completed."),
            ("p50_min", "Median, minutes."),
            ("p95_min", "95th percentile, minutes."),
        ],
        sql: "
SELECT site, publisher, count(*) AS visits, percentile_cont(0.5) WITHIN GROUP (ORDER BY turn_min) AS p50_min,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY turn_min) AS p95_min
FROM (SELECT t.site, t.publisher, (CAST(o.passed_at AS BIGINT) - CAST(i.passed_at AS BIGINT)) / 6e7 AS turn_min
      FROM appointments t
      JOIN passages i ON i.site = t.site AND i.passage_id = t.entry_passage
      JOIN passages o ON o.site = t.site AND o.passage_id = t.exit_passage)
GROUP BY site, publisher",
    },
    &View {
        name: "appointment_punctuality",
        doc: "One row per publisher and day of entry: whether vehicles came within their appointment's window.",
        columns: &[
            ("site", "Site."),
            ("publisher", "Publisher; null: the task names none."),
            ("day", "Day of the entry."),
            ("entries", "Entries with a window."),
            ("early", "Before its first instant."),
            ("on_time", "Within it."),
            ("late", "At its end or later."),
            ("on_time_share", "Share of those on time, 0 to 1."),
            ("late_p95_min", "95th percentile of the delay of those late, minutes; null: none."),
        ],
        sql: "
SELECT site, publisher, day, count(*) AS entries, CAST(sum(early) AS BIGINT) AS early,
       CAST(count(*) - sum(early) - sum(late) AS BIGINT) AS on_time, CAST(sum(late) AS BIGINT) AS late,
       CAST(count(*) - sum(early) - sum(late) AS DOUBLE) / count(*) AS on_time_share,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY late_min) AS late_p95_min
FROM (SELECT site, publisher, CAST(to_local_time(entered_at) AS DATE) AS day,
             CASE WHEN entered_at < window_from THEN 1 ELSE 0 END AS early, CASE WHEN entered_at >= window_to THEN 1 ELSE 0 END AS late,
             CASE WHEN entered_at >= window_to THEN (CAST(entered_at AS BIGINT) - CAST(window_to AS BIGINT)) / 6e7 END AS late_min
      FROM appointments WHERE entered_at IS NOT NULL AND (window_from IS NOT NULL OR window_to IS NOT NULL))
GROUP BY site, publisher, day",
    },
    &View {
        name: "decision_mix",
        doc: "Decisions by profile, category, direction, verdict and first reason, over everything kept (LYG-7.8b).",
        columns: &[
            ("site", "Site."),
            ("profile", "Regulation profile."),
            ("category", "Vehicle category; null: unknown vehicle."),
            ("direction", "Direction."),
            ("verdict", "OPEN, HOLD or REFUSE."),
            ("first_reason", "Code of the first reason; null: none."),
            ("decisions", "How many."),
        ],
        sql: "
SELECT site, profile, category, direction, verdict, first_reason, count(*) AS decisions
FROM (SELECT site, profile, category, direction, verdict, reasons[1] AS first_reason FROM decisions)
GROUP BY site, profile, category, direction, verdict, first_reason",
    },
    &View {
        name: "reason_rates",
        doc: "One row per checkpoint, direction, day and reason that held or refused: how often, of all decisions there that day.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("direction", "Direction."),
            ("day", "Day of the decision."),
            ("code", "Code of the reason."),
            ("held", "Decisions held with it."),
            ("refused", "Decisions refused with it."),
            ("decisions", "All decisions of the checkpoint, direction and day."),
            ("hold_rate", "Share held with it, 0 to 1."),
            ("refusal_rate", "Share refused with it, 0 to 1."),
        ],
        sql: "
SELECT r.site, r.checkpoint, r.direction, r.day, r.code, r.held, r.refused, d.decisions,
       CAST(r.held AS DOUBLE) / d.decisions AS hold_rate, CAST(r.refused AS DOUBLE) / d.decisions AS refusal_rate
FROM (SELECT site, checkpoint, direction, CAST(to_local_time(decided_at) AS DATE) AS day, code,
             count(DISTINCT CASE WHEN verdict = 'HOLD' THEN seq END) AS held, count(DISTINCT CASE WHEN verdict = 'REFUSE' THEN seq END) AS refused
      FROM reasons WHERE verdict IN ('HOLD', 'REFUSE')
      GROUP BY site, checkpoint, direction, CAST(to_local_time(decided_at) AS DATE), code) r
JOIN (SELECT site, checkpoint, direction, CAST(to_local_time(decided_at) AS DATE) AS day, count(*) AS decisions
      FROM decisions GROUP BY site, checkpoint, direction, CAST(to_local_time(decided_at) AS DATE)) d
  ON d.site = r.site AND d.checkpoint = r.checkpoint AND d.direction = r.direction AND d.day = r.day",
    },
    &View {
        name: "camera_quality",
        doc: "One row per lane's camera: share of vehicles for which a person had to read the plate, over everything kept (LYG-7.1, 7.3).",
        columns: &[
            ("site", "Site."),
            ("lane", "Lane of the camera."),
            ("fallback_share", "Share with PLATE_UNREADABLE, PLATE_LOW_CONFIDENCE or MANUAL_PLATE_ENTRY, 0 to 1."),
            ("decisions", "Decisions."),
        ],
        sql: "
SELECT site, lane, avg(fallback) AS fallback_share, count(*) AS decisions
FROM (SELECT site, lane, CASE WHEN array_has(reasons, 'PLATE_UNREADABLE') OR array_has(reasons, 'PLATE_LOW_CONFIDENCE')
                              OR array_has(reasons, 'MANUAL_PLATE_ENTRY') THEN 1.0 ELSE 0.0 END AS fallback FROM decisions)
GROUP BY site, lane",
    },
    &View {
        name: "recognition_quality",
        doc: "One row per lane and hour of arrival: how well plates were read, and how often guards corrected them.",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("hour", "First instant of the hour."),
            ("decisions", "Decisions."),
            ("read", "Decisions with a plate read by the camera."),
            ("confidence_mean", "Mean confidence of those reads, 0 to 1."),
            ("confidence_p05", "Their 5th percentile, 0 to 1."),
            ("unreadable", "Decisions with PLATE_UNREADABLE or PLATE_LOW_CONFIDENCE."),
            ("typed", "Decisions with MANUAL_PLATE_ENTRY."),
            ("corrected", "Decisions a guard corrected afterwards."),
        ],
        sql: "
SELECT d.site, d.checkpoint, d.lane, date_bin(INTERVAL '1 hour', d.arrived_at) AS hour, count(*) AS decisions,
       count(d.plate_read) AS read, avg(d.plate_confidence) AS confidence_mean,
       percentile_cont(0.05) WITHIN GROUP (ORDER BY d.plate_confidence) AS confidence_p05,
       count(CASE WHEN array_has(d.reasons, 'PLATE_UNREADABLE') OR array_has(d.reasons, 'PLATE_LOW_CONFIDENCE') THEN 1 END) AS unreadable,
       count(CASE WHEN array_has(d.reasons, 'MANUAL_PLATE_ENTRY') THEN 1 END) AS typed, count(g.id) AS corrected
FROM decisions d
LEFT JOIN (SELECT DISTINCT site, id FROM guard_actions WHERE action = 'CORRECT') g ON g.site = d.site AND g.id = d.id
GROUP BY d.site, d.checkpoint, d.lane, date_bin(INTERVAL '1 hour', d.arrived_at)",
    },
    &View {
        name: "guard_load",
        doc: "One row per lane and hour of arrival with held vehicles (LYG-0.12a, 4.4b).",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("hour", "First instant of the hour."),
            ("held", "Vehicles the machine held."),
            ("released", "Share of them that a person released, 0 to 1."),
        ],
        sql: "
SELECT d.site, d.checkpoint, d.lane, date_bin(INTERVAL '1 hour', d.arrived_at) AS hour, count(*) AS held,
       avg(CASE WHEN g.approach_id IS NULL THEN 0.0 ELSE 1.0 END) AS released
FROM decisions d
LEFT JOIN (SELECT DISTINCT site, approach_id FROM guard_actions WHERE action = 'RELEASE') g
  ON g.site = d.site AND g.approach_id = d.approach_id
WHERE d.verdict = 'HOLD'
GROUP BY d.site, d.checkpoint, d.lane, date_bin(INTERVAL '1 hour', d.arrived_at)",
    },
    &View {
        name: "outstanding_single_cards",
        doc: "One row per single card issued or in use and not recovered, with its age (LYG-5.5a).",
        columns: &[
            ("site", "Site."),
            ("card_id", "Card."),
            ("plate", "Plate."),
            ("enterprise", "Carrier."),
            ("event", "ISSUED or IN_USE."),
            ("since", "When that happened."),
            ("age_s", "Seconds since."),
        ],
        sql: "
SELECT site, card_id, plate, enterprise, event, happened_at AS since, (CAST(now() AS BIGINT) / 1000 - CAST(happened_at AS BIGINT)) / 1e6 AS age_s
FROM (SELECT *, row_number() OVER (PARTITION BY site, card_id ORDER BY happened_at DESC, seq DESC) AS place
      FROM card_events WHERE type = 'SINGLE')
WHERE place = 1 AND event IN ('ISSUED', 'IN_USE')",
    },
    &View {
        name: "exits_without_card",
        doc: "Exits of vehicles that showed a single card which was not recovered (LYG-5.5a).",
        columns: &[
            ("site", "Site."),
            ("passage_id", "Passage."),
            ("plate", "Plate."),
            ("lane", "Lane."),
            ("card_id", "Card shown."),
            ("passed_at", "When."),
        ],
        sql: "
SELECT p.site, p.passage_id, p.plate, p.lane, d.card AS card_id, p.passed_at
FROM passages p
JOIN decisions d ON d.site = p.site AND d.approach_id = p.approach_id
JOIN (SELECT DISTINCT site, card_id FROM card_events WHERE type = 'SINGLE') c ON c.site = p.site AND c.card_id = d.card
WHERE p.direction = 'EXIT'
  AND NOT EXISTS (SELECT 1 FROM card_events r WHERE r.event = 'RECOVERED' AND r.site = p.site AND r.passage_id = p.passage_id)",
    },
    &View {
        name: "eligibility_watch",
        doc: "Carriers eligible for long-term cards with fewer than 10 approved vehicles of their own or a vehicle insured for less than 1.5 million yuan; from `enterprise_facts` and `vehicle_facts` (LYG-6.1a2, 6.1b1, CH-21, CH-53).",
        columns: &[
            ("enterprise", "Carrier."),
            ("own", "Approved vehicles it owns."),
            ("insurance_min_yuan", "Smallest commercial insurance of its vehicles, yuan; null: none known."),
        ],
        sql: "
SELECT enterprise, own, insurance_min_yuan
FROM (SELECT e.enterprise, count(CASE WHEN f.owner = e.name AND v.registration = 'APPROVED' THEN v.plate END) AS own,
             min(f.commercial_insurance_yuan) AS insurance_min_yuan
      FROM enterprise_facts e
      LEFT JOIN vehicles v ON v.enterprise = e.enterprise
      LEFT JOIN vehicle_facts f ON f.plate = v.plate
      WHERE e.long_card_eligibility = 'ELIGIBLE' GROUP BY e.enterprise)
WHERE own < 10 OR insurance_min_yuan < 1500000",
    },
    &View {
        name: "reception_filings",
        doc: "Reception filings by host and state, as the registry and the gate's passages have it (LYG-4.6c3).",
        columns: &[
            ("site", "Site."),
            ("host_unit", "Unit that receives; null: the filing names none."),
            ("state", "FILED, CONSUMED (inside), CLOSED (left again), EXPIRED or WITHDRAWN."),
            ("filings", "How many."),
        ],
        sql: "
SELECT r.site, r.unit AS host_unit, coalesce(u.state, r.state) AS state, count(*) AS filings
FROM (SELECT *, row_number() OVER (PARTITION BY site, record_id ORDER BY seq DESC) AS place FROM records WHERE kind = 'reception') r
LEFT JOIN (SELECT site, subject_id, CASE WHEN bool_or(effect = 'RECEPTION_CLOSED') THEN 'CLOSED' ELSE 'CONSUMED' END AS state
           FROM uses WHERE effect IN ('RECEPTION_CONSUMED', 'RECEPTION_CLOSED') GROUP BY site, subject_id) u
  ON u.site = r.site AND u.subject_id = r.record_id
WHERE r.place = 1 AND NOT r.removed
GROUP BY r.site, r.unit, coalesce(u.state, r.state)",
    },
    &View {
        name: "reviewers_doubled",
        doc: "Units with more than one active reviewer, from `reviewers` (LYG-4.7c).",
        columns: &[("unit", "Unit."), ("active", "Active reviewers.")],
        sql: "SELECT unit, count(*) AS active FROM reviewers WHERE active GROUP BY unit HAVING count(*) > 1",
    },
    &View {
        name: "horgos_approval_waits",
        doc: "One row per Horgos yard: appointments waiting, and how long approvals took (HGS-2.1b, 2.2).",
        columns: &[
            ("site", "Site."),
            ("yard", "Yard."),
            ("waiting", "Appointments booked and not approved."),
            ("p95_min", "95th percentile from booking to approval, minutes; null: none approved."),
        ],
        sql: "
SELECT site, yard, count(CASE WHEN approved_at IS NULL THEN 1 END) AS waiting, percentile_cont(0.95) WITHIN GROUP (ORDER BY wait_min) AS p95_min
FROM (SELECT *, (CAST(approved_at AS BIGINT) - CAST(booked_at AS BIGINT)) / 6e7 AS wait_min FROM horgos_bookings)
GROUP BY site, yard",
    },
    &View {
        name: "violators",
        doc: "Vehicles by violations raised or reported and not dismissed, the worst first.",
        columns: &[
            ("plate", "Plate."),
            ("enterprise", "Carrier, of the latest."),
            ("violations", "Not dismissed."),
            ("verified", "Of these verified."),
            ("codes", "Different codes."),
            ("first_at", "The first."),
            ("last_at", "The latest."),
            ("place", "Rank, 1 the worst; equals share it."),
        ],
        sql: "
SELECT plate, enterprise, violations, verified, codes, first_at, last_at, rank() OVER (ORDER BY verified DESC, violations DESC) AS place
FROM (SELECT plate, last_value(enterprise ORDER BY occurred_at) AS enterprise, count(*) AS violations,
             count(CASE WHEN status = 'VERIFIED' THEN 1 END) AS verified, count(DISTINCT code) AS codes,
             min(occurred_at) AS first_at, max(occurred_at) AS last_at
      FROM violations_in_force WHERE status <> 'DISMISSED' AND plate IS NOT NULL GROUP BY plate)",
    },
    &View {
        name: "repeat_offenders",
        doc: "Carriers by vehicles with two or more violations not dismissed, the worst first.",
        columns: &[
            ("enterprise", "Carrier."),
            ("vehicles", "Vehicles with violations."),
            ("repeaters", "Of these with two or more."),
            ("violations", "Violations of its vehicles."),
            ("verified", "Of these verified."),
            ("last_at", "The latest."),
            ("place", "Rank, 1 the worst; equals share it."),
        ],
        sql: "
SELECT enterprise, vehicles, repeaters, violations, verified, last_at, rank() OVER (ORDER BY repeaters DESC, violations DESC) AS place
FROM (SELECT enterprise, count(*) AS vehicles, count(CASE WHEN n >= 2 THEN 1 END) AS repeaters, CAST(sum(n) AS BIGINT) AS violations,
             CAST(sum(verified) AS BIGINT) AS verified, max(last_at) AS last_at
      FROM (SELECT enterprise, plate, count(*) AS n, count(CASE WHEN status = 'VERIFIED' THEN 1 END) AS verified, max(occurred_at) AS last_at
            FROM violations_in_force WHERE status <> 'DISMISSED' AND enterprise IS NOT NULL AND plate IS NOT NULL GROUP BY enterprise, plate)
      GROUP BY enterprise)",
    },
    &View {
        name: "sanction_candidates",
        doc: "What verified violations may lead to; a person decides (LYG-2.5b, 6.4).",
        columns: &[
            ("sanction", "BLACKLIST, FORCED_EXIT, CANCEL_CARD, CANCEL_LONG_CARD or CANCEL_QUALIFICATION."),
            ("violation_id", "Violation."),
            ("plate", "Vehicle."),
            ("enterprise", "Carrier."),
            ("occurred_at", "When it happened."),
            ("ban_to", "End of the one-year ban, exclusive; null: no ban of that kind."),
            ("cite", "Article."),
        ],
        sql: "
SELECT 'BLACKLIST' AS sanction, violation_id, plate, enterprise, occurred_at, CAST(NULL AS TIMESTAMPTZ) AS ban_to, 'LYG-6.4e' AS cite
FROM violations_in_force WHERE code = 'V_UNAUTHORISED_LEAVE' AND status = 'VERIFIED'
UNION ALL
SELECT 'FORCED_EXIT', violation_id, plate, enterprise, occurred_at,
       arrow_cast(to_local_time(occurred_at) + INTERVAL '1 year', 'Timestamp(Microsecond, Some(\"+08:00\"))'), 'LYG-2.5b'
FROM violations_in_force
WHERE status = 'VERIFIED' AND (ground IN ('b1', 'b2') OR (ground = 'b3' AND verified_by = 'PAMC')
                               OR (ground = 'b4' AND verified_by = 'ROAD_PORT') OR (ground = 'b5' AND verified_by = 'PORT_POLICE'))
UNION ALL
SELECT 'CANCEL_CARD', violation_id, plate, enterprise, occurred_at, NULL, 'LYG-6.4c'
FROM violations_in_force WHERE status = 'VERIFIED' AND offence = 'DOCUMENTS'
UNION ALL
SELECT 'CANCEL_LONG_CARD', violation_id, plate, enterprise, occurred_at, NULL, 'LYG-6.4d'
FROM violations_in_force WHERE status = 'VERIFIED' AND offence IN ('CARGO_THEFT', 'CARGO_SWAP')
UNION ALL
SELECT 'CANCEL_QUALIFICATION', violation_id, plate, enterprise, occurred_at, NULL, 'LYG-6.4f'
FROM violations_in_force
WHERE status = 'VERIFIED' AND source = 'TRAFFIC_POLICE' AND road = '东疏港道路' AND offence IN ('OVERSPEED', 'FATIGUE', 'ILLEGAL_STOP', 'SIMILAR')",
    },
    &View {
        name: "reviewer_report",
        doc: "Vehicles approved by a reviewer and later in a verified violation, from `approval_log` (LYG-4.7d).",
        columns: &[("unit", "Unit."), ("reviewer", "Reviewer."), ("violations", "Verified violations after the approval.")],
        sql: "
SELECT l.unit, l.reviewer, count(*) AS violations
FROM approval_log l JOIN violations_in_force v ON v.plate = l.plate AND v.occurred_at >= l.approved_at
WHERE v.status = 'VERIFIED' GROUP BY l.unit, l.reviewer",
    },
];

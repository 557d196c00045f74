//! What holds now, or held when, of the registry's records; and what trips and escorts came to.

use super::View;

/// The views, each after those it reads.
pub static ALL: &[&View] = &[
    &View {
        name: "vehicles",
        doc: "One row per vehicle in the registry, as it stands now.",
        columns: &[
            ("site", "Site."),
            ("plate", "Plate."),
            ("category", "Category."),
            ("registration", "State of its registration."),
            ("enterprise", "Carrier."),
            ("changed_at", "When the record last changed."),
        ],
        sql: "
SELECT site, plate, type AS category, state AS registration, enterprise, changed_at
FROM (SELECT *, row_number() OVER (PARTITION BY site, plate ORDER BY seq DESC) AS place FROM records WHERE kind = 'vehicle')
WHERE place = 1 AND NOT removed",
    },
    &View {
        name: "leave_consents",
        doc: "One row per consent to a short-haul vehicle leaving, with the passage that used it.",
        columns: &[
            ("site", "Site."),
            ("consent_id", "Consent."),
            ("plate", "Plate."),
            ("granted_at", "When the gate learned of it."),
            ("valid_to", "End, exclusive: as granted, or when it was withdrawn; null: none."),
            ("used_passage", "Passage that used it; null: not used."),
        ],
        sql: "
SELECT c.site, c.consent_id, c.plate, c.granted_at, c.valid_to, u.passage_id AS used_passage
FROM (SELECT site, record_id AS consent_id, max(plate) AS plate, min(CASE WHEN state = 'GRANTED' THEN changed_at END) AS granted_at,
             least(max(to_at), min(CASE WHEN state = 'VOID' THEN changed_at END)) AS valid_to
      FROM records WHERE kind = 'leave_consent' AND NOT removed GROUP BY site, record_id, coalesce(issue, '')) c
LEFT JOIN (SELECT site, subject_id, min(passage_id) AS passage_id FROM uses WHERE effect = 'LEAVE_CONSENT_USED' GROUP BY site, subject_id) u
  ON u.site = c.site AND u.subject_id = c.consent_id
WHERE c.granted_at IS NOT NULL",
    },
    &View {
        name: "trips",
        doc: "One row per customs trip, as it stands now.",
        columns: &[
            ("site", "Site."),
            ("trip_id", "Trip."),
            ("plate", "Plate."),
            ("flow", "IMPORT or EXPORT."),
            ("regime", "TRANSIT, FAST or ESCORT."),
            ("confirmed_at", "When it was confirmed."),
            ("state", "State."),
        ],
        sql: "
SELECT site, record_id AS trip_id, plate, type AS flow, regime, from_at AS confirmed_at, state
FROM (SELECT *, row_number() OVER (PARTITION BY site, record_id ORDER BY seq DESC) AS place FROM records WHERE kind = 'trip')
WHERE place = 1 AND NOT removed",
    },
    &View {
        name: "trip_points",
        doc: "One row per checkpoint a customs trip went through.",
        columns: &[
            ("site", "Site."),
            ("trip_id", "Trip."),
            ("plate", "Plate."),
            ("point", "BORDER_IN, YARD_IN, YARD_OUT or BORDER_OUT."),
            ("checkpoint", "Checkpoint."),
            ("passed_at", "When."),
        ],
        sql: "
SELECT u.site, u.subject_id AS trip_id, p.plate,
       CASE p.direction WHEN 'IMPORT_BORDER_IN' THEN 'BORDER_IN' WHEN 'IMPORT_YARD_IN' THEN 'YARD_IN' WHEN 'EXPORT_YARD_IN' THEN 'YARD_IN'
                        WHEN 'EXPORT_YARD_OUT' THEN 'YARD_OUT' WHEN 'EXPORT_BORDER_OUT' THEN 'BORDER_OUT' END AS point,
       p.checkpoint, p.passed_at
FROM uses u JOIN passages p ON p.site = u.site AND p.passage_id = u.passage_id
WHERE u.effect = 'TRIP_TIME_RECORDED'",
    },
    &View {
        name: "transit_times",
        doc: "One row per customs trip between border and yard (import: BORDER_IN to YARD_IN; export: YARD_OUT to BORDER_OUT; NNG-1.5.i2, 1.5.e3).",
        columns: &[
            ("site", "Site."),
            ("trip_id", "Trip."),
            ("plate", "Plate."),
            ("flow", "IMPORT or EXPORT."),
            ("regime", "TRANSIT, FAST or ESCORT."),
            ("route", "The two checkpoints, `FROM>TO`."),
            ("left_at", "First checkpoint."),
            ("arrived_at", "Second checkpoint."),
            ("transit_s", "Time between, seconds."),
        ],
        sql: "
SELECT t.site, t.trip_id, t.plate, t.flow, t.regime, concat(a.checkpoint, '>', b.checkpoint) AS route, a.passed_at AS left_at,
       b.passed_at AS arrived_at, (CAST(b.passed_at AS BIGINT) - CAST(a.passed_at AS BIGINT)) / 1e6 AS transit_s
FROM trips t
JOIN trip_points a ON a.site = t.site AND a.trip_id = t.trip_id AND a.point = CASE t.flow WHEN 'IMPORT' THEN 'BORDER_IN' ELSE 'YARD_OUT' END
JOIN trip_points b ON b.site = t.site AND b.trip_id = t.trip_id AND b.point = CASE t.flow WHEN 'IMPORT' THEN 'YARD_IN' ELSE 'BORDER_OUT' END",
    },
    &View {
        name: "slow_trips",
        doc: "Trips that took more than 1.5 times (a default) the 95th percentile of their route and flow (NNG-T5d).",
        columns: &[
            ("site", "Site."),
            ("trip_id", "Trip."),
            ("plate", "Plate."),
            ("flow", "IMPORT or EXPORT."),
            ("route", "The two checkpoints, `FROM>TO`."),
            ("transit_s", "Time it took, seconds."),
            ("route_p95_s", "95th percentile of the route and flow, seconds."),
        ],
        sql: "
SELECT x.site, x.trip_id, x.plate, x.flow, x.route, x.transit_s, r.p95 AS route_p95_s
FROM transit_times x
JOIN (SELECT site, route, flow, percentile_cont(0.95) WITHIN GROUP (ORDER BY transit_s) AS p95
      FROM transit_times WHERE transit_s > 0 GROUP BY site, route, flow) r
  ON r.site = x.site AND r.route = x.route AND r.flow = x.flow
WHERE x.transit_s > 1.5 * r.p95",
    },
    &View {
        name: "trip_lead_times",
        doc: "One row per fast trip: from its confirmation to the first checkpoint; an hour at least is in time (NNG-2.2.i1b, 2.2.e1b).",
        columns: &[
            ("site", "Site."),
            ("trip_id", "Trip."),
            ("plate", "Plate."),
            ("flow", "IMPORT or EXPORT."),
            ("lead_s", "Seconds between; null: never confirmed."),
            ("in_time", "3600 s or more."),
        ],
        sql: "
SELECT site, trip_id, plate, flow, lead_s, lead_s >= 3600 AS in_time
FROM (SELECT t.site, t.trip_id, t.plate, t.flow, (CAST(p.passed_at AS BIGINT) - CAST(t.confirmed_at AS BIGINT)) / 1e6 AS lead_s
      FROM trips t
      JOIN trip_points p ON p.site = t.site AND p.trip_id = t.trip_id AND p.point = CASE t.flow WHEN 'IMPORT' THEN 'BORDER_IN' ELSE 'YARD_IN' END
      WHERE t.regime = 'FAST')",
    },
    &View {
        name: "manifest_faults",
        doc: "Fast trips whose number of manifests is not one (NNG-2.2.i1c, 2.2.e1b).",
        columns: &[("site", "Site."), ("trip_id", "Trip."), ("plate", "Plate."), ("manifests", "How many there are.")],
        sql: "
SELECT t.site, t.trip_id, t.plate, count(m.record_id) AS manifests
FROM trips t
LEFT JOIN (SELECT site, record_id, parent FROM (
             SELECT *, row_number() OVER (PARTITION BY site, record_id ORDER BY seq DESC) AS place FROM records WHERE kind = 'manifest')
           WHERE place = 1 AND NOT removed) m ON m.site = t.site AND m.parent = t.trip_id
WHERE t.regime = 'FAST'
GROUP BY t.site, t.trip_id, t.plate HAVING count(m.record_id) <> 1",
    },
    &View {
        name: "route_deviations",
        doc: "One row per trip with a position off its route, a stop of more than 1800 s (a default) or an alarm of its seal.",
        columns: &[
            ("trip_id", "Trip."),
            ("first_outside", "First position off the route; null: none."),
            ("longest_stop_s", "Longest stop, seconds."),
            ("seal_alarm", "The seal gave alarm."),
            ("outside", "It was off the route."),
            ("occurred_at", "The first position that shows one of these."),
        ],
        sql: "
SELECT trip_id, min(CASE WHEN NOT inside_route THEN sampled_at END) AS first_outside, max(stationary_s) AS longest_stop_s,
       bool_or(NOT eseal_ok) AS seal_alarm, bool_or(NOT inside_route) AS outside,
       min(CASE WHEN NOT inside_route OR stationary_s > 1800 OR NOT eseal_ok THEN sampled_at END) AS occurred_at
FROM positions GROUP BY trip_id
HAVING bool_or(NOT inside_route) OR max(stationary_s) > 1800 OR bool_or(NOT eseal_ok)",
    },
    &View {
        name: "escorts",
        doc: "One row per customs escort, as it stands now.",
        columns: &[
            ("site", "Site."),
            ("escort_id", "Escort."),
            ("plate", "Plate."),
            ("officers", "Officers."),
            ("fee_paid", "The fee is paid."),
            ("ordered_at", "When the gate first knew of it."),
            ("started_at", "When it began, by `escort_records`."),
            ("ended_at", "When it ended: by `escort_records`, else when the gate found its record due; null: under way."),
            ("record_written_at", "When the record was written; null: not yet."),
        ],
        sql: "
SELECT e.site, e.record_id AS escort_id, e.plate, e.officers, e.fee_paid, e.ordered_at, w.started_at,
       coalesce(w.ended_at, u.due_at) AS ended_at, w.record_written_at
FROM (SELECT *, row_number() OVER (PARTITION BY site, record_id ORDER BY seq DESC) AS place,
             min(changed_at) OVER (PARTITION BY site, record_id) AS ordered_at
      FROM records WHERE kind = 'escort') e
LEFT JOIN escort_records w ON w.escort_id = e.record_id
LEFT JOIN (SELECT site, subject_id, min(used_at) AS due_at FROM uses WHERE effect = 'ESCORT_RECORD_DUE' GROUP BY site, subject_id) u
  ON u.site = e.site AND u.subject_id = e.record_id
WHERE e.place = 1 AND NOT e.removed",
    },
    &View {
        name: "escort_times",
        doc: "One row per escort that ended: how long it took and how soon its record was written (NNG-3.3).",
        columns: &[
            ("site", "Site."),
            ("escort_id", "Escort."),
            ("plate", "Plate."),
            ("officers", "Officers."),
            ("escort_s", "From start to end, seconds; null: the start is not known."),
            ("record_s", "From the end to the record, seconds; null: none written."),
        ],
        sql: "
SELECT site, escort_id, plate, officers, (CAST(ended_at AS BIGINT) - CAST(started_at AS BIGINT)) / 1e6 AS escort_s,
       (CAST(record_written_at AS BIGINT) - CAST(ended_at AS BIGINT)) / 1e6 AS record_s
FROM escorts WHERE ended_at IS NOT NULL",
    },
    &View {
        name: "escort_quota",
        doc: "One row per site: officers with the escorts under way, and how many there must be (two a vehicle, NNG-3.2).",
        columns: &[
            ("site", "Site."),
            ("vehicles", "Escorts under way."),
            ("officers", "Officers with them."),
            ("required", "Officers there must be."),
            ("short", "Escorts with fewer than two."),
        ],
        sql: "
SELECT site, count(*) AS vehicles, sum(officers) AS officers, 2 * count(*) AS required,
       count(CASE WHEN officers < 2 THEN 1 END) AS short
FROM escorts WHERE ended_at IS NULL GROUP BY site",
    },
    &View {
        name: "appointments",
        doc: "One row per appointment to bring or fetch cargo (task), with the passages that entered and completed it.",
        columns: &[
            ("site", "Site."),
            ("appointment_id", "Task's code."),
            ("plate", "Plate."),
            ("publisher", "Work unit that published it."),
            ("window_from", "Start of its window."),
            ("window_to", "End of its window, exclusive."),
            ("entry_passage", "First passage in."),
            ("exit_passage", "Last passage out."),
            ("entered_at", "When it came in."),
            ("left_at", "When it went out."),
        ],
        sql: "
SELECT t.site, t.record_id AS appointment_id, t.plate, t.unit AS publisher, t.from_at AS window_from, t.to_at AS window_to,
       i.passage_id AS entry_passage, o.passage_id AS exit_passage, i.used_at AS entered_at, o.used_at AS left_at
FROM (SELECT *, row_number() OVER (PARTITION BY site, record_id ORDER BY seq DESC) AS place FROM records WHERE kind = 'task') t
LEFT JOIN (SELECT *, row_number() OVER (PARTITION BY site, subject_id ORDER BY used_at, seq) AS place
           FROM uses WHERE effect = 'TASK_ENTERED') i ON i.site = t.site AND i.subject_id = t.record_id AND i.place = 1
LEFT JOIN (SELECT *, row_number() OVER (PARTITION BY site, subject_id ORDER BY used_at DESC, seq DESC) AS place
           FROM uses WHERE effect = 'TASK_COMPLETED') o ON o.site = t.site AND o.subject_id = t.record_id AND o.place = 1
WHERE t.place = 1 AND NOT t.removed",
    },
    &View {
        name: "peak_modes",
        doc: "One row per activation of peak pass mode (LYG-4.4c).",
        columns: &[
            ("site", "Site."),
            ("checkpoint", "Checkpoint."),
            ("active_from", "First instant it counted."),
            ("active_to", "End, exclusive; null: it counts still."),
        ],
        sql: "
SELECT site, checkpoint, active_from, active_to
FROM (SELECT site, record_id AS checkpoint, active, greatest(coalesce(from_at, changed_at), changed_at) AS active_from,
             least(to_at, lead(changed_at) OVER (PARTITION BY site, record_id ORDER BY seq)) AS active_to
      FROM records WHERE kind = 'peak_mode')
WHERE active AND (active_to IS NULL OR active_from < active_to)",
    },
    &View {
        name: "horgos_bookings",
        doc: "One row per Horgos appointment that was booked (HGS-2.1b).",
        columns: &[
            ("site", "Site."),
            ("appointment_id", "Appointment."),
            ("plate", "Plate."),
            ("yard", "Yard that approves it."),
            ("booked_at", "When the gate learned of the booking."),
            ("approved_at", "When it learned of the approval; null: it waits."),
        ],
        sql: "
SELECT b.site, b.appointment_id, b.plate, b.yard, b.booked_at, coalesce(a.approved_at, b.approved_at) AS approved_at
FROM (SELECT site, record_id AS appointment_id, max(plate) AS plate, max(unit) AS yard,
             min(CASE WHEN state IN ('BOOKED', 'APPROVED', 'COMPLETED') THEN changed_at END) AS booked_at,
             min(CASE WHEN state = 'APPROVED' THEN changed_at END) AS approved_at
      FROM records WHERE kind = 'appointment' GROUP BY site, record_id) b
LEFT JOIN (SELECT site, parent, min(changed_at) AS approved_at FROM records
           WHERE kind = 'approval' AND state = 'APPROVED' GROUP BY site, parent) a ON a.site = b.site AND a.parent = b.appointment_id
WHERE b.booked_at IS NOT NULL",
    },
    &View {
        name: "violations_in_force",
        doc: "One row per violation with what is known of it now: as raised, then verified or dismissed; and those the named bodies reported that the gate had not raised.",
        columns: &[
            ("site", "Site; null: not raised by the gate."),
            ("violation_id", "Violation."),
            ("code", "Code."),
            ("status", "SUSPECTED, VERIFIED or DISMISSED."),
            ("plate", "Plate."),
            ("enterprise", "Carrier."),
            ("checkpoint", "Checkpoint."),
            ("lane", "Lane."),
            ("occurred_at", "When."),
            ("source", "The reason or event that raised it, or who reported it."),
            ("ground", "Ground of LYG-2.5b, of a finding."),
            ("road", "Road, of a finding."),
            ("offence", "Offence, of a finding."),
            ("verified_by", "Body that verified or dismissed it."),
        ],
        sql: "
SELECT v.site, coalesce(v.violation_id, f.violation_id) AS violation_id, coalesce(v.code, f.code) AS code,
       coalesce(f.status, v.status) AS status, coalesce(v.plate, f.plate) AS plate, coalesce(v.enterprise, f.enterprise) AS enterprise,
       v.checkpoint, v.lane, coalesce(v.raised_at, f.occurred_at) AS occurred_at, coalesce(f.source, v.source) AS source,
       coalesce(f.ground, v.ground) AS ground, f.road, coalesce(f.offence, v.offence) AS offence,
       coalesce(f.verified_by, v.found_by) AS verified_by
FROM (SELECT r.site, r.violation_id, r.code, coalesce(w.status, r.status) AS status, coalesce(w.plate, r.plate) AS plate,
             coalesce(w.enterprise, r.enterprise) AS enterprise, r.checkpoint, r.lane, r.raised_at, r.source, w.ground, w.offence, w.found_by
      FROM violations r
      LEFT JOIN (SELECT * FROM (
          SELECT *, row_number() OVER (PARTITION BY site, violation_id ORDER BY version DESC) AS place FROM violation_versions) WHERE place = 1) w
        ON w.site = r.site AND w.violation_id = r.violation_id) v
FULL OUTER JOIN (SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY violation_id ORDER BY found_at DESC NULLS LAST) AS place FROM findings) WHERE place = 1) f
  ON f.violation_id = v.violation_id",
    },
];

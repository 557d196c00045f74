-- The specification's queries, the project's own copy: what each view must answer.
-- `-- duckdb:` names the columns compared, `-- portgate:` the question whose answer must be equal.

-- name: v_wrong_lane
-- duckdb: passage_id, plate, ts
-- portgate: SELECT passage_id, plate, occurred_at FROM v_wrong_lane
SELECT p.* FROM passage p JOIN decision d USING (approach_id) WHERE list_contains(d.reasons,'WRONG_LANE');

-- name: v_card_misuse
-- duckdb: approach_id, plate, ts, reason
-- portgate: SELECT approach_id, plate, occurred_at, signal FROM v_card_misuse
SELECT a.*, v.reason FROM approach a JOIN decision d USING (approach_id), (SELECT reason FROM reason_violation WHERE code='V_CARD_MISUSE') v WHERE list_contains(d.reasons, v.reason);

-- name: v_clone_plate_suspected
-- duckdb: plate, ts, signal
-- portgate: SELECT plate, occurred_at, CASE WHEN signal IN ('double entry', 'impossible travel') THEN signal ELSE 'reason' END FROM v_clone_plate_suspected
-- where: plate IS NOT NULL
SELECT a.plate, a.ts, 'reason' AS signal FROM approach a JOIN decision d USING (approach_id)
 WHERE list_contains(d.reasons,'PLATE_ALREADY_INSIDE') OR list_contains(d.reasons,'PLATE_COLOUR_MISMATCH')
UNION ALL
SELECT plate, ts, 'double entry' FROM (SELECT plate, ts, direction, lag(direction) OVER (PARTITION BY plate ORDER BY ts) AS prev FROM passage) WHERE direction='ENTRY' AND prev='ENTRY'
UNION ALL
SELECT b.plate, b.ts, 'impossible travel' FROM passage a JOIN passage b ON a.plate=b.plate AND b.ts>a.ts JOIN checkpoint_distance x ON x.c1=a.checkpoint AND x.c2=b.checkpoint
 WHERE epoch(b.ts)-epoch(a.ts) < x.km/120.0*3600   -- 120 km/h is a default;

-- name: v_banned_attempt
-- duckdb: approach_id, plate, ts
-- portgate: SELECT approach_id, plate, occurred_at FROM v_banned_attempt
SELECT a.* FROM approach a JOIN decision d USING (approach_id) WHERE a.direction='ENTRY' AND (list_contains(d.reasons,'VEHICLE_BLACKLISTED') OR list_contains(d.reasons,'VEHICLE_BANNED_ONE_YEAR'));

-- name: v_cargo_mismatch
-- duckdb: approach_id, plate, ts
-- portgate: SELECT approach_id, plate, occurred_at FROM v_cargo_mismatch
SELECT a.* FROM approach a JOIN decision d USING (approach_id) WHERE list_contains(d.reasons,'CARGO_TASK_MISMATCH') OR list_contains(d.reasons,'VIN_MISMATCH');

-- name: v_unauthorised_leave
-- duckdb: passage_id, plate, ts
-- portgate: SELECT passage_id, plate, occurred_at FROM v_unauthorised_leave
SELECT p.* FROM passage p JOIN vehicle v USING (plate) WHERE p.direction='EXIT' AND v.category='PF_SHORT_HAUL'
 AND NOT EXISTS (SELECT 1 FROM leave_consent c WHERE c.plate=p.plate AND c.granted_at<=p.ts AND (c.valid_to IS NULL OR p.ts<c.valid_to) AND (c.used_passage IS NULL OR c.used_passage=p.passage_id))
 AND NOT (EXISTS (SELECT 1 FROM card_event s WHERE s.type='SINGLE' AND s.event='RECOVERED' AND s.plate=p.plate AND s.passage_id=p.passage_id)
  AND NOT EXISTS (SELECT 1 FROM card_event l WHERE l.type='LONG' AND l.plate=p.plate));

-- name: v_seal_tamper
-- duckdb: approach_id, plate, ts
-- portgate: SELECT approach_id, plate, occurred_at FROM v_seal_tamper
SELECT a.* FROM approach a JOIN decision d USING (approach_id) WHERE list_contains(d.reasons,'SEAL_MISMATCH') OR list_contains(d.reasons,'SEAL_BROKEN');

-- name: v_route_deviation
-- duckdb: trip_id
-- portgate: SELECT subject FROM v_route_deviation
SELECT trip_id, min(ts) FILTER (WHERE NOT inside_route) AS first_outside, max(stationary_s) AS longest_stop_s, bool_or(NOT eseal_ok) AS seal_alarm
 FROM position GROUP BY trip_id HAVING bool_or(NOT inside_route) OR max(stationary_s) > 1800 OR bool_or(NOT eseal_ok)   -- 1800 s is a default;

-- name: route_deviations
-- duckdb: trip_id, first_outside, longest_stop_s, seal_alarm
-- portgate: SELECT trip_id, first_outside, longest_stop_s, seal_alarm FROM route_deviations
SELECT trip_id, min(ts) FILTER (WHERE NOT inside_route) AS first_outside, max(stationary_s) AS longest_stop_s, bool_or(NOT eseal_ok) AS seal_alarm
 FROM position GROUP BY trip_id HAVING bool_or(NOT inside_route) OR max(stationary_s) > 1800 OR bool_or(NOT eseal_ok)   -- 1800 s is a default;

-- name: v_tailgating
-- duckdb: passage_id, ts
-- portgate: SELECT passage_id, occurred_at FROM v_tailgating
SELECT * FROM passage WHERE authorised_by='NONE' AND approach_id IS NULL;

-- name: v_passed_while_refused
-- duckdb: passage_id, plate, ts
-- portgate: SELECT passage_id, plate, occurred_at FROM v_passed_while_refused
SELECT p.* FROM passage p JOIN decision d USING (approach_id) WHERE d.decision IN ('REFUSE','HOLD') AND p.authorised_by='NONE';

-- name: v_no_show_inspection
-- duckdb: plate, ts
-- portgate: SELECT plate, occurred_at FROM v_no_show_inspection
SELECT a.plate, a.ts FROM approach a JOIN decision d USING (approach_id) WHERE a.direction='IMPORT_BORDER_IN' AND list_contains(d.reasons,'PROCEED_TO_INSPECTION')
 AND NOT EXISTS (SELECT 1 FROM trip_point t WHERE t.plate=a.plate AND t.kind='YARD_IN' AND t.ts>=a.ts AND t.ts<a.ts + INTERVAL 4 HOUR)   -- 4 h is a default;

-- name: v_escort_short
-- duckdb: trip_id
-- portgate: SELECT subject FROM v_escort_short
SELECT * FROM escort WHERE officers < 2 OR NOT fee_paid;

-- name: v_escort_record_missing
-- duckdb: trip_id, ended_at
-- portgate: SELECT subject, occurred_at FROM v_escort_record_missing
SELECT * FROM escort WHERE ended_at IS NOT NULL AND record_written_at IS NULL;

-- name: sanction_blacklist
-- duckdb: plate, ts
-- portgate: SELECT plate, occurred_at FROM sanction_candidates WHERE sanction = 'BLACKLIST'
SELECT plate, ts FROM violation WHERE code='V_UNAUTHORISED_LEAVE' AND status='VERIFIED';

-- name: sanction_forced_exit
-- duckdb: plate, ts, ban_to
-- portgate: SELECT plate, occurred_at, ban_to FROM sanction_candidates WHERE sanction = 'FORCED_EXIT'
SELECT plate, ts, ts + INTERVAL 1 YEAR AS ban_to FROM violation WHERE status='VERIFIED' AND (ground IN ('b1','b2') OR (ground,verified_by) IN (('b3','PAMC'),('b4','ROAD_PORT'),('b5','PORT_POLICE')));

-- name: sanction_cancel_card
-- duckdb: plate, ts
-- portgate: SELECT plate, occurred_at FROM sanction_candidates WHERE sanction = 'CANCEL_CARD'
SELECT plate, ts FROM violation WHERE status='VERIFIED' AND offence='DOCUMENTS';

-- name: sanction_cancel_long_card
-- duckdb: plate, ts
-- portgate: SELECT plate, occurred_at FROM sanction_candidates WHERE sanction = 'CANCEL_LONG_CARD'
SELECT plate, ts FROM violation WHERE status='VERIFIED' AND offence IN ('CARGO_THEFT','CARGO_SWAP');

-- name: sanction_cancel_qualification
-- duckdb: enterprise, plate, ts
-- portgate: SELECT enterprise, plate, occurred_at FROM sanction_candidates WHERE sanction = 'CANCEL_QUALIFICATION'
SELECT enterprise, plate, ts FROM violation WHERE status='VERIFIED' AND source='TRAFFIC_POLICE' AND road='东疏港道路' AND offence IN ('OVERSPEED','FATIGUE','ILLEGAL_STOP','SIMILAR');

-- name: reviewer_report
-- duckdb: unit, reviewer, n
-- portgate: SELECT unit, reviewer, violations FROM reviewer_report
SELECT l.unit, l.reviewer, count(*) AS n FROM approval_log l JOIN violation v ON v.plate=l.subject_plate AND v.ts>=l.approved_at WHERE v.status='VERIFIED' GROUP BY ALL;

-- name: single_card_reconciliation
-- duckdb: day, issued, recovered, counted, difference, lost, signed
-- portgate: SELECT day, issued, recovered, counted, difference, lost, signed FROM single_card_reconciliation
SELECT e.day, e.issued, e.recovered, h.counted, e.recovered-h.counted AS difference, e.lost, h.signed_at IS NOT NULL AS signed
FROM (SELECT CAST((ts AT TIME ZONE 'Asia/Shanghai') + INTERVAL 7 HOUR AS DATE) AS day,
             count(*) FILTER (WHERE event='ISSUED') AS issued, count(*) FILTER (WHERE event='RECOVERED') AS recovered, count(*) FILTER (WHERE event='LOST') AS lost
      FROM card_event WHERE type='SINGLE' GROUP BY 1) e LEFT JOIN handover h USING (day) ORDER BY 1;

-- name: outstanding_single_cards
-- duckdb: card_id, plate, enterprise, event
-- portgate: SELECT card_id, plate, enterprise, event FROM outstanding_single_cards
SELECT card_id, plate, enterprise, event, now()-ts AS age FROM card_event WHERE type='SINGLE' QUALIFY row_number() OVER (PARTITION BY card_id ORDER BY ts DESC)=1 AND event IN ('ISSUED','IN_USE');

-- name: exits_without_card
-- duckdb: passage_id, plate, ts
-- portgate: SELECT passage_id, plate, passed_at FROM exits_without_card
SELECT p.* FROM passage p JOIN approach a USING (approach_id) JOIN (SELECT DISTINCT card_id FROM card_event WHERE type='SINGLE') c ON c.card_id=a.card_id WHERE p.direction='EXIT' AND NOT EXISTS (SELECT 1 FROM card_event r WHERE r.event='RECOVERED' AND r.passage_id=p.passage_id);

-- name: throughput
-- duckdb: checkpoint, lane, direction, bucket, n
-- portgate: SELECT checkpoint, lane, direction, bucket, passed FROM throughput
SELECT checkpoint, lane, direction, time_bucket(INTERVAL 15 MINUTE, ts) AS bucket, count(*) AS n FROM passage GROUP BY ALL;

-- name: service_times
-- duckdb: lane, decision, p50_s, p95_s
-- portgate: SELECT lane, verdict, p50_s, p95_s FROM service_times
SELECT a.lane, d.decision, quantile_cont(epoch(p.ts)-epoch(a.ts),0.5) AS p50_s, quantile_cont(epoch(p.ts)-epoch(a.ts),0.95) AS p95_s FROM passage p JOIN approach a USING (approach_id) JOIN decision d USING (approach_id) GROUP BY ALL;

-- name: decision_latency
-- duckdb: profile, p50, p95, p99
-- portgate: SELECT profile, p50_us, p95_us, p99_us FROM decision_latency
SELECT profile, quantile_cont(latency_us,0.5) AS p50, quantile_cont(latency_us,0.95) AS p95, quantile_cont(latency_us,0.99) AS p99 FROM decision JOIN approach USING (approach_id) GROUP BY ALL;

-- name: congested_intervals
-- duckdb: checkpoint, lane, direction, bucket, q, qmax
-- portgate: SELECT checkpoint, lane, direction, bucket, queue, queue_max FROM congested_intervals
SELECT checkpoint, lane, direction, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, avg(vehicles_waiting) AS q, max(vehicles_waiting) AS qmax FROM queue_sample GROUP BY ALL HAVING avg(vehicles_waiting) >= 10;

-- name: peak_mode_suggestions
-- duckdb: checkpoint, bucket, q
-- portgate: SELECT checkpoint, bucket, queue FROM peak_mode_suggestions
SELECT q.checkpoint, q.bucket, q.q FROM (SELECT checkpoint, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, avg(vehicles_waiting) AS q FROM queue_sample WHERE direction='EXIT' GROUP BY ALL) q
JOIN peak_schedule s ON s.checkpoint=q.checkpoint AND s.isodow=isodow(q.bucket AT TIME ZONE 'Asia/Shanghai')
 AND CAST(q.bucket AT TIME ZONE 'Asia/Shanghai' AS TIME) >= s.from_local AND CAST(q.bucket AT TIME ZONE 'Asia/Shanghai' AS TIME) < s.to_local
WHERE q.q >= 10 AND NOT EXISTS (SELECT 1 FROM peak_mode m WHERE m.checkpoint=q.checkpoint AND m.active_from<=q.bucket AND (m.active_to IS NULL OR q.bucket<m.active_to));

-- name: peak_mode_exits
-- duckdb: checkpoint, active_from, opened
-- portgate: SELECT checkpoint, active_from, opened FROM peak_mode_exits
SELECT m.checkpoint, m.active_from, count(d.approach_id) AS opened FROM peak_mode m LEFT JOIN (approach a JOIN decision d USING (approach_id)) ON a.checkpoint=m.checkpoint AND a.ts>=m.active_from AND a.ts<coalesce(m.active_to,'infinity'::TIMESTAMPTZ) AND list_contains(d.reasons,'PEAK_MODE_EXIT') GROUP BY ALL;

-- name: decision_mix
-- duckdb: profile, category, direction, decision, first_reason, n
-- portgate: SELECT profile, category, direction, verdict, first_reason, decisions FROM decision_mix
SELECT profile, category, direction, decision, reasons[1] AS first_reason, count(*) AS n FROM decision JOIN approach USING (approach_id) GROUP BY ALL;

-- name: camera_quality
-- duckdb: camera, fallback_share, n
-- portgate: SELECT lane, fallback_share, decisions FROM camera_quality
SELECT camera, avg(CASE WHEN list_has_any(reasons,['PLATE_UNREADABLE','PLATE_LOW_CONFIDENCE','MANUAL_PLATE_ENTRY']) THEN 1.0 ELSE 0.0 END) AS fallback_share, count(*) AS n FROM decision JOIN approach USING (approach_id) GROUP BY ALL;

-- name: guard_load
-- duckdb: checkpoint, lane, h, held, released
-- portgate: SELECT checkpoint, lane, hour, held, released FROM guard_load
SELECT a.checkpoint, a.lane, time_bucket(INTERVAL 1 HOUR, a.ts) AS h, count(*) AS held, avg(CASE WHEN EXISTS (SELECT 1 FROM guard_action g WHERE g.approach_id=a.approach_id AND g.action='RELEASE') THEN 1.0 ELSE 0.0 END) AS released FROM approach a JOIN decision d USING (approach_id) WHERE d.decision='HOLD' GROUP BY ALL;

-- name: turn_round_times
-- duckdb: publisher, p50_min, p95_min
-- portgate: SELECT publisher, p50_min, p95_min FROM turn_round_times
SELECT t.publisher, quantile_cont(epoch(o.ts)-epoch(i.ts),0.5)/60 AS p50_min, quantile_cont(epoch(o.ts)-epoch(i.ts),0.95)/60 AS p95_min FROM appointment t JOIN passage i ON i.passage_id=t.entry_passage JOIN passage o ON o.passage_id=t.exit_passage GROUP BY ALL;

-- name: vehicles_inside
-- duckdb: plate, since
-- portgate: SELECT plate, since FROM vehicles_inside
-- where: plate IS NOT NULL
SELECT plate, ts AS since FROM passage WHERE direction IN ('ENTRY','EXIT') QUALIFY row_number() OVER (PARTITION BY plate ORDER BY ts DESC)=1 AND direction='ENTRY';

-- name: transit_times
-- duckdb: trip_id, route, flow, transit_s
-- portgate: SELECT trip_id, route, flow, transit_s FROM transit_times
SELECT t.trip_id, t.route, t.flow, epoch(b.ts)-epoch(a.ts) AS transit_s FROM trip t JOIN trip_point a ON a.trip_id=t.trip_id AND a.kind=CASE t.flow WHEN 'IMPORT' THEN 'BORDER_IN' ELSE 'YARD_OUT' END JOIN trip_point b ON b.trip_id=t.trip_id AND b.kind=CASE t.flow WHEN 'IMPORT' THEN 'YARD_IN' ELSE 'BORDER_OUT' END;

-- name: slow_trips
-- duckdb: trip_id, route, flow, s
-- portgate: SELECT trip_id, route, flow, transit_s FROM slow_trips
WITH x AS (SELECT t.trip_id, t.route, t.flow, epoch(b.ts)-epoch(a.ts) AS s FROM trip t JOIN trip_point a ON a.trip_id=t.trip_id AND a.kind IN ('BORDER_IN','YARD_OUT') JOIN trip_point b ON b.trip_id=t.trip_id AND b.ts>a.ts AND b.kind IN ('YARD_IN','BORDER_OUT')) SELECT x.* FROM x JOIN (SELECT route, flow, quantile_cont(s,0.95) AS p95 FROM x GROUP BY ALL) r USING (route,flow) WHERE x.s > 1.5*r.p95;

-- name: trip_lead_times
-- duckdb: trip_id, lead_s, in_time
-- portgate: SELECT trip_id, lead_s, in_time FROM trip_lead_times
SELECT t.trip_id, epoch(p.ts)-epoch(t.confirmed_at) AS lead_s, epoch(p.ts)-epoch(t.confirmed_at) >= 3600 AS in_time FROM trip t JOIN trip_point p ON p.trip_id=t.trip_id AND p.kind=CASE t.flow WHEN 'IMPORT' THEN 'BORDER_IN' ELSE 'YARD_IN' END WHERE t.regime='FAST';

-- name: manifest_faults
-- duckdb: trip_id, n
-- portgate: SELECT trip_id, manifests FROM manifest_faults
SELECT t.trip_id, count(m.manifest_id) AS n FROM trip t LEFT JOIN manifest m USING (trip_id) WHERE t.regime='FAST' GROUP BY ALL HAVING count(m.manifest_id) <> 1;

-- name: escort_quota
-- duckdb: vehicles, officers, required, short
-- portgate: SELECT vehicles, officers, required, short FROM escort_quota
SELECT count(*) AS vehicles, sum(officers) AS officers, 2*count(*) AS required, count(*) FILTER (WHERE officers<2) AS short FROM escort WHERE ended_at IS NULL;

-- name: eligibility_watch
-- duckdb: enterprise, own, min_insurance
-- portgate: SELECT enterprise, own, insurance_min_yuan FROM eligibility_watch
SELECT e.enterprise, count(v.plate) FILTER (WHERE v.owner=e.name AND v.registration='APPROVED') AS own, min(v.commercial_insurance_yuan) AS min_insurance FROM enterprise e LEFT JOIN vehicle v USING (enterprise) WHERE e.long_card_eligibility='ELIGIBLE' GROUP BY ALL HAVING own < 10 OR min_insurance < 1500000;

-- name: reception_filings
-- duckdb: host_unit, state, n
-- portgate: SELECT host_unit, state, filings FROM reception_filings
SELECT host_unit, state, count(*) AS n FROM reception GROUP BY ALL;

-- name: reviewers_doubled
-- duckdb: unit, n
-- portgate: SELECT unit, active FROM reviewers_doubled
SELECT unit, count(*) AS n FROM reviewer WHERE active GROUP BY ALL HAVING count(*) > 1;

-- name: horgos_approval_waits
-- duckdb: yard, waiting, p95_min
-- portgate: SELECT yard, waiting, p95_min FROM horgos_approval_waits
SELECT yard, count(*) FILTER (WHERE approved_at IS NULL) AS waiting, quantile_cont(epoch(approved_at)-epoch(booked_at),0.95)/60 AS p95_min FROM hgs_appointment GROUP BY ALL;

-- The indicators the specification only names, a second time and in DuckDB's words.

-- name: waiting_times
-- duckdb: checkpoint, lane, direction, hour, vehicles, p50, p90, p95, p99, longest
-- portgate: SELECT checkpoint, lane, direction, hour, vehicles, waiting_p50_s, waiting_p90_s, waiting_p95_s, waiting_p99_s, waiting_max_s FROM waiting_times
SELECT checkpoint, lane, direction, time_bucket(INTERVAL 1 HOUR, ts) AS hour, count(*) AS vehicles, quantile_cont(w, 0.5) AS p50, quantile_cont(w, 0.9) AS p90, quantile_cont(w, 0.95) AS p95, quantile_cont(w, 0.99) AS p99, max(w) AS longest
FROM (SELECT p.*, epoch(p.ts) - epoch(a.arrived_at) AS w FROM passage p JOIN arrival a USING (approach_id)) GROUP BY ALL;

-- name: queue_lengths
-- duckdb: checkpoint, lane, bucket, n, q, p95, longest
-- portgate: SELECT checkpoint, lane, bucket, samples, queue, queue_p95, queue_max FROM queue_lengths
SELECT checkpoint, lane, time_bucket(INTERVAL 15 MINUTE, ts) AS bucket, count(*) AS n, avg(vehicles_waiting) AS q, quantile_cont(vehicles_waiting, 0.95) AS p95, max(vehicles_waiting) AS longest FROM queue_sample GROUP BY ALL;

-- name: saturation
-- duckdb: lane, bucket, arrivals, served, mean_s, saturation, level
-- portgate: SELECT lane, bucket, arrivals, served, service_mean_s, saturation, level FROM saturation
WITH served AS (SELECT p.lane, p.ts, a.arrived_at, lag(p.ts) OVER (PARTITION BY p.lane ORDER BY p.ts) AS before FROM passage p JOIN arrival a USING (approach_id)),
     s AS (SELECT lane, time_bucket(INTERVAL 15 MINUTE, ts) AS bucket, count(*) AS served, avg(epoch(ts) - greatest(epoch(arrived_at), coalesce(epoch(before), 0))) AS mean_s FROM served GROUP BY ALL),
     a AS (SELECT lane, time_bucket(INTERVAL 15 MINUTE, arrived_at) AS bucket, count(*) AS arrivals FROM arrival GROUP BY ALL)
SELECT *, CASE WHEN saturation < 0.6 THEN 'FREE' WHEN saturation < 0.85 THEN 'BUSY' WHEN saturation < 1 THEN 'DENSE' ELSE 'OVERLOADED' END AS level
FROM (SELECT lane, bucket, coalesce(arrivals, 0) AS arrivals, served, mean_s, coalesce(arrivals, 0) * mean_s / 900 AS saturation FROM s LEFT JOIN a USING (lane, bucket) WHERE mean_s > 0);

-- name: congestion
-- duckdb: lane, bucket, q, level
-- portgate: SELECT lane, bucket, queue, level FROM congestion WHERE queue IS NOT NULL
SELECT lane, bucket, q, CASE WHEN q < 5 THEN 'FREE' WHEN q < 10 THEN 'BUSY' ELSE 'CONGESTED' END AS level
FROM (SELECT lane, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, avg(vehicles_waiting) AS q FROM queue_sample GROUP BY ALL);

-- name: appointment_punctuality
-- duckdb: publisher, day, entries, early, on_time, late, late_p95
-- portgate: SELECT publisher, day, entries, early, on_time, late, late_p95_min FROM appointment_punctuality
SELECT t.publisher, CAST(p.ts AT TIME ZONE 'Asia/Shanghai' AS DATE) AS day, count(*) AS entries, count(*) FILTER (p.ts < t.window_from) AS early,
       count(*) FILTER (p.ts >= t.window_from AND p.ts < t.window_to) AS on_time, count(*) FILTER (p.ts >= t.window_to) AS late,
       quantile_cont((epoch(p.ts) - epoch(t.window_to)) / 60, 0.95) FILTER (p.ts >= t.window_to) AS late_p95
FROM appointment t JOIN passage p ON p.passage_id = t.entry_passage GROUP BY ALL;

-- name: reason_rates
-- duckdb: checkpoint, direction, day, code, held, refused, decisions
-- portgate: SELECT checkpoint, direction, day, code, held, refused, decisions FROM reason_rates
WITH d AS (SELECT *, CAST(decided_at AT TIME ZONE 'Asia/Shanghai' AS DATE) AS day FROM decision JOIN approach USING (approach_id)),
     r AS (SELECT checkpoint, direction, day, decision, unnest(list_distinct(reasons)) AS code FROM d WHERE decision <> 'OPEN'),
     n AS (SELECT checkpoint, direction, day, count(*) AS decisions FROM d GROUP BY ALL)
SELECT checkpoint, direction, day, code, count(*) FILTER (decision = 'HOLD') AS held, count(*) FILTER (decision = 'REFUSE') AS refused, any_value(decisions) AS decisions
FROM r JOIN n USING (checkpoint, direction, day) GROUP BY ALL;

-- name: recognition_quality
-- duckdb: lane, hour, decisions, mean, p05, unreadable, corrected
-- portgate: SELECT lane, hour, decisions, confidence_mean, confidence_p05, unreadable, corrected FROM recognition_quality
SELECT lane, time_bucket(INTERVAL 1 HOUR, ts) AS hour, count(*) AS decisions, avg(plate_confidence) AS mean, quantile_cont(plate_confidence, 0.05) AS p05,
       count(*) FILTER (list_has_any(reasons, ['PLATE_UNREADABLE', 'PLATE_LOW_CONFIDENCE'])) AS unreadable,
       count(*) FILTER (approach_id IN (SELECT approach_id FROM guard_action WHERE action = 'CORRECT')) AS corrected
FROM approach JOIN decision USING (approach_id) GROUP BY ALL;

-- name: impossible_travel
-- duckdb: plate, c1, c2, first_ts, ts, km
-- portgate: SELECT plate, from_checkpoint, to_checkpoint, left_at, arrived_at, km FROM impossible_travel
SELECT b.plate, x.c1, x.c2, a.ts AS first_ts, b.ts, x.km FROM passage a JOIN passage b ON a.plate = b.plate AND b.ts > a.ts JOIN checkpoint_distance x ON x.c1 = a.checkpoint AND x.c2 = b.checkpoint
WHERE epoch(b.ts) - epoch(a.ts) < x.km / 120.0 * 3600;

-- name: turn_times
-- duckdb: plate, entered, ts, s
-- portgate: SELECT plate, entered_at, left_at, turn_s FROM turn_times
SELECT plate, entered, ts, epoch(ts) - epoch(entered) AS s FROM (SELECT plate, direction, ts, lag(ts) OVER w AS entered, lag(direction) OVER w AS before FROM passage WHERE plate IS NOT NULL AND direction IN ('ENTRY', 'EXIT') WINDOW w AS (PARTITION BY plate ORDER BY ts))
WHERE direction = 'EXIT' AND before = 'ENTRY';

-- name: escort_times
-- duckdb: trip_id, escort_s, record_s
-- portgate: SELECT escort_id, escort_s, record_s FROM escort_times
SELECT e.trip_id, epoch(e.ended_at) - epoch(w.started_at) AS escort_s, epoch(e.record_written_at) - epoch(e.ended_at) AS record_s FROM escort e LEFT JOIN escort_record w ON w.escort_id = e.trip_id WHERE e.ended_at IS NOT NULL;

-- name: violators
-- duckdb: plate, n, verified, codes, place
-- portgate: SELECT plate, violations, verified, codes, place FROM violators
SELECT *, rank() OVER (ORDER BY verified DESC, n DESC) AS place FROM (SELECT plate, count(*) AS n, count(*) FILTER (status = 'VERIFIED') AS verified, count(DISTINCT code) AS codes FROM violation WHERE status <> 'DISMISSED' AND plate IS NOT NULL GROUP BY plate);

-- name: repeat_offenders
-- duckdb: enterprise, vehicles, repeaters, n
-- portgate: SELECT enterprise, vehicles, repeaters, violations FROM repeat_offenders
SELECT enterprise, count(*) AS vehicles, count(*) FILTER (n >= 2) AS repeaters, sum(n) AS n FROM (SELECT enterprise, plate, count(*) AS n FROM violation WHERE status <> 'DISMISSED' AND enterprise IS NOT NULL AND plate IS NOT NULL GROUP BY ALL) GROUP BY ALL;

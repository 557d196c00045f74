-- Twenty questions an analyst asks of a year. `-- portgate:` and `-- duckdb:` give the same answer,
-- each in its own words; one text where both understand it.

-- name: decisions by lane and verdict, a month
SELECT lane, verdict, count(*) AS n FROM decisions WHERE decided_at >= TIMESTAMPTZ '2025-06-01 00:00:00+08:00' AND decided_at < TIMESTAMPTZ '2025-07-01 00:00:00+08:00' GROUP BY lane, verdict ORDER BY lane, verdict

-- name: hours of the day, a year
SELECT date_part('hour', decided_at) AS hour, count(*) AS n, avg(latency_us) AS latency FROM decisions GROUP BY 1 ORDER BY 1

-- name: reasons that hold, a month
SELECT code, count(*) AS n FROM reasons WHERE verdict = 'HOLD' AND decided_at >= TIMESTAMPTZ '2025-06-01 00:00:00+08:00' AND decided_at < TIMESTAMPTZ '2025-07-01 00:00:00+08:00' GROUP BY code ORDER BY n DESC, code

-- name: one plate's year
SELECT id, lane, verdict, decided_at FROM decisions WHERE plate = '$PLATE' ORDER BY decided_at

-- name: one card's year
SELECT id, lane, verdict, plate, decided_at FROM decisions WHERE card = '$CARD' ORDER BY decided_at

-- name: latency percentiles by profile, a year
SELECT profile, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_us) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_us) AS p99 FROM decisions GROUP BY profile ORDER BY profile

-- name: waiting percentiles by lane and hour, a day
-- portgate
SELECT lane, hour, vehicles, waiting_p50_s, waiting_p95_s FROM waiting_times WHERE hour >= TIMESTAMPTZ '2025-06-10 00:00:00+08:00' AND hour < TIMESTAMPTZ '2025-06-11 00:00:00+08:00' ORDER BY lane, hour
-- duckdb
SELECT p.lane, date_trunc('hour', p.passed_at) AS hour, count(*) AS vehicles, quantile_cont(epoch(p.passed_at) - epoch(a.arrived_at), 0.5), quantile_cont(epoch(p.passed_at) - epoch(a.arrived_at), 0.95)
FROM passages p JOIN arrivals a USING (site, approach_id) WHERE p.passed_at >= TIMESTAMPTZ '2025-06-10 00:00:00+08:00' AND p.passed_at < TIMESTAMPTZ '2025-06-11 00:00:00+08:00' GROUP BY 1, 2 ORDER BY 1, 2

-- name: throughput by lane and quarter-hour, a week
-- portgate
SELECT lane, direction, bucket, passed FROM throughput WHERE bucket >= TIMESTAMPTZ '2025-06-09 00:00:00+08:00' AND bucket < TIMESTAMPTZ '2025-06-16 00:00:00+08:00' ORDER BY lane, bucket
-- duckdb
SELECT lane, direction, time_bucket(INTERVAL 15 MINUTE, passed_at) AS bucket, count(*) AS passed FROM passages WHERE passed_at >= TIMESTAMPTZ '2025-06-09 00:00:00+08:00' AND passed_at < TIMESTAMPTZ '2025-06-16 00:00:00+08:00' GROUP BY ALL ORDER BY lane, bucket

-- name: passages by day and category, a year
SELECT date_trunc('day', passed_at) AS day, category, count(*) AS n FROM passages GROUP BY 1, 2 ORDER BY 1, 2

-- name: guards' words by month, a year
SELECT date_trunc('month', acted_at) AS month, guard, action, count(*) AS n FROM guard_actions GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

-- name: a hundred busiest plates, a year
SELECT plate, count(*) AS n FROM passages WHERE plate IS NOT NULL GROUP BY plate ORDER BY n DESC, plate LIMIT 100

-- name: vehicles inside now
-- portgate
SELECT count(*) AS n FROM vehicles_inside
-- duckdb
SELECT count(*) AS n FROM (SELECT plate, direction FROM passages WHERE plate IS NOT NULL AND direction IN ('ENTRY', 'EXIT') QUALIFY row_number() OVER (PARTITION BY site, plate ORDER BY passed_at DESC, seq DESC) = 1) WHERE direction = 'ENTRY'

-- name: time in port by month, a year
-- portgate
SELECT date_trunc('month', left_at) AS month, percentile_cont(0.5) WITHIN GROUP (ORDER BY turn_s) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY turn_s) AS p95 FROM turn_times GROUP BY 1 ORDER BY 1
-- duckdb
SELECT date_trunc('month', passed_at) AS month, quantile_cont(turn_s, 0.5) AS p50, quantile_cont(turn_s, 0.95) AS p95
FROM (SELECT passed_at, epoch(passed_at) - epoch(lag(passed_at) OVER w) AS turn_s, direction, lag(direction) OVER w AS before FROM passages WHERE plate IS NOT NULL AND direction IN ('ENTRY', 'EXIT') WINDOW w AS (PARTITION BY site, plate ORDER BY passed_at, seq))
WHERE direction = 'EXIT' AND before = 'ENTRY' GROUP BY 1 ORDER BY 1

-- name: vehicles with most violations, a year
SELECT plate, count(*) AS n, count(DISTINCT code) AS codes FROM violations WHERE plate IS NOT NULL GROUP BY plate ORDER BY n DESC, plate LIMIT 100

-- name: carriers with repeated violations, a year
SELECT enterprise, count(*) AS vehicles, sum(n) AS violations FROM (SELECT enterprise, plate, count(*) AS n FROM violations GROUP BY enterprise, plate HAVING count(*) >= 2) AS repeated GROUP BY enterprise ORDER BY violations DESC, enterprise

-- name: recognition by lane, a month
SELECT lane, count(*) AS n, avg(plate_confidence) AS mean, min(plate_confidence) AS least FROM decisions WHERE decided_at >= TIMESTAMPTZ '2025-06-01 00:00:00+08:00' AND decided_at < TIMESTAMPTZ '2025-07-01 00:00:00+08:00' GROUP BY lane ORDER BY lane

-- name: congested five minutes, a year
-- portgate
SELECT lane, bucket, queue FROM congested_intervals ORDER BY lane, bucket
-- duckdb
SELECT lane, time_bucket(INTERVAL 5 MINUTE, sampled_at) AS bucket, avg(vehicles_waiting) AS queue FROM queue_samples GROUP BY site, checkpoint, lane, direction, bucket HAVING avg(vehicles_waiting) >= 10 ORDER BY lane, bucket

-- name: different plates a day, a month
SELECT date_trunc('day', decided_at) AS day, count(DISTINCT plate) AS plates FROM decisions WHERE decided_at >= TIMESTAMPTZ '2025-06-01 00:00:00+08:00' AND decided_at < TIMESTAMPTZ '2025-07-01 00:00:00+08:00' GROUP BY 1 ORDER BY 1

-- name: held and released by hour of the day, a year
SELECT date_part('hour', d.decided_at) AS hour, count(*) AS held, count(g.id) AS released FROM decisions d LEFT JOIN guard_actions g ON g.site = d.site AND g.id = d.id AND g.action = 'RELEASE' WHERE d.verdict = 'HOLD' GROUP BY 1 ORDER BY 1

-- name: the last hundred decisions
SELECT id, lane, plate, verdict, reasons, decided_at FROM decisions ORDER BY decided_at DESC LIMIT 100

-- The specification's event tables over Portgate's folder, in DuckDB's dialect: what any other
-- engine would write to read it. $DIR is the folder. One site.
SET TimeZone = 'Asia/Shanghai';
CREATE VIEW approach AS SELECT approach_id, checkpoint, lane, NULL::TEXT AS lane_class, direction, profile, category, plate, plate_confidence, plate_colour AS colour, card AS card_id, lane AS camera, arrived_at AS ts FROM read_parquet('$DIR/decisions/*/*.parquet', hive_partitioning = false);
CREATE VIEW decision AS SELECT approach_id, verdict AS decision, reasons, row_id, decided_at, latency_us FROM read_parquet('$DIR/decisions/*/*.parquet', hive_partitioning = false);
CREATE VIEW guard_action AS SELECT approach_id, action, guard, acted_at AS ts, note FROM read_parquet('$DIR/guard_actions/*/*.parquet', hive_partitioning = false);
CREATE VIEW passage AS SELECT passage_id, approach_id, checkpoint, lane, direction, category, plate, passed_at AS ts, authorised_by FROM read_parquet('$DIR/passages/*/*.parquet', hive_partitioning = false);
CREATE VIEW card_event AS SELECT card_id, type, event, plate, enterprise, happened_at AS ts, NULL::TEXT AS actor, passage_id FROM read_parquet('$DIR/card_events/*/*.parquet', hive_partitioning = false);
CREATE VIEW queue_sample AS SELECT checkpoint, lane, direction, vehicles_waiting, sampled_at AS ts FROM read_parquet('$DIR/queue_samples/*/*.parquet', hive_partitioning = false);
CREATE VIEW reason_row AS FROM read_parquet('$DIR/reasons/*/*.parquet', hive_partitioning = false);
CREATE VIEW arrival AS FROM read_parquet('$DIR/arrivals/*/*.parquet', hive_partitioning = false);
CREATE VIEW used AS FROM read_parquet('$DIR/uses/*/*.parquet', hive_partitioning = false);
CREATE VIEW record AS FROM read_parquet('$DIR/records/*/*.parquet', hive_partitioning = false);
CREATE VIEW latest AS FROM record QUALIFY row_number() OVER (PARTITION BY kind, coalesce(record_id, plate) ORDER BY seq DESC) = 1;
CREATE VIEW raised AS FROM read_parquet('$DIR/violations/*/*.parquet', hive_partitioning = false);

CREATE TABLE handover AS SELECT day, counted, signed_road_port, signed_pamc, signed_at FROM read_csv('$DIR/reference/handovers.csv', types = {'signed_at': 'TIMESTAMPTZ', 'day': 'DATE'});
CREATE TABLE peak_schedule AS SELECT checkpoint, isodow, from_local, to_local FROM read_csv('$DIR/reference/peak_schedules.csv', types = {'from_local': 'TIME', 'to_local': 'TIME'});
CREATE TABLE checkpoint_distance AS SELECT from_checkpoint AS c1, to_checkpoint AS c2, km FROM read_csv('$DIR/reference/checkpoint_distances.csv', types = {'km': 'DOUBLE'});
CREATE TABLE position AS SELECT trip_id, sampled_at AS ts, inside_route, stationary_s, eseal_ok FROM read_csv('$DIR/reference/positions.csv', types = {'sampled_at': 'TIMESTAMPTZ'});
CREATE TABLE escort_record AS FROM read_csv('$DIR/reference/escort_records.csv', types = {'started_at': 'TIMESTAMPTZ', 'ended_at': 'TIMESTAMPTZ', 'record_written_at': 'TIMESTAMPTZ'});
CREATE TABLE reviewer AS FROM read_csv('$DIR/reference/reviewers.csv');
CREATE TABLE approval_log AS SELECT plate AS subject_plate, reviewer, unit, approved_at FROM read_csv('$DIR/reference/approval_log.csv', types = {'approved_at': 'TIMESTAMPTZ'});
CREATE TABLE vehicle_fact AS FROM read_csv('$DIR/reference/vehicle_facts.csv');
CREATE TABLE enterprise AS FROM read_csv('$DIR/reference/enterprise_facts.csv');
CREATE TABLE finding AS FROM read_csv('$DIR/reference/findings.csv', all_varchar = true);

CREATE TABLE reason_violation AS SELECT unnest(['PLATE_CARD_MISMATCH', 'PLATE_IC_CARD_MISMATCH', 'QR_PLATE_MISMATCH', 'CARD_UNKNOWN', 'CARD_CANCELLED', 'CARD_REPORTED_LOST', 'SINGLE_CARD_ALREADY_USED', 'QR_INVALID', 'QR_ALREADY_USED']) AS reason, 'V_CARD_MISUSE' AS code;
CREATE TABLE vehicle AS SELECT l.plate, f.owner, l.enterprise, l.type AS category, l.state AS registration, f.commercial_insurance_yuan FROM latest l LEFT JOIN vehicle_fact f USING (plate) WHERE l.kind = 'vehicle' AND NOT l.removed;
CREATE TABLE leave_consent AS
  SELECT r.plate, r.granted_at, r.valid_to, u.passage_id AS used_passage
  FROM (SELECT record_id, any_value(plate) AS plate, min(changed_at) FILTER (state = 'GRANTED') AS granted_at, least(max(to_at), min(changed_at) FILTER (state = 'VOID')) AS valid_to
        FROM record WHERE kind = 'leave_consent' GROUP BY record_id) r
  LEFT JOIN (SELECT subject_id, min(passage_id) AS passage_id FROM used WHERE effect = 'LEAVE_CONSENT_USED' GROUP BY 1) u ON u.subject_id = r.record_id;
CREATE TABLE trip AS SELECT record_id AS trip_id, plate, type AS flow, regime, NULL::TEXT AS route, from_at AS confirmed_at FROM latest WHERE kind = 'trip';
CREATE TABLE trip_point AS
  SELECT u.subject_id AS trip_id, p.plate, p.checkpoint, p.ts,
         CASE WHEN p.direction = 'IMPORT_BORDER_IN' THEN 'BORDER_IN' WHEN p.direction LIKE '%YARD_IN' THEN 'YARD_IN' WHEN p.direction LIKE '%YARD_OUT' THEN 'YARD_OUT' ELSE 'BORDER_OUT' END AS kind
  FROM used u JOIN passage p USING (passage_id) WHERE u.effect = 'TRIP_TIME_RECORDED';
UPDATE trip SET route = r.route FROM (
  SELECT a.trip_id, a.checkpoint || '>' || b.checkpoint AS route FROM trip_point a JOIN trip_point b USING (trip_id)
  WHERE (a.kind, b.kind) IN (('BORDER_IN', 'YARD_IN'), ('YARD_OUT', 'BORDER_OUT'))) r WHERE r.trip_id = trip.trip_id;
CREATE TABLE manifest AS SELECT record_id AS manifest_id, parent AS trip_id, from_at AS transmitted_at, state FROM latest WHERE kind = 'manifest' AND NOT removed;
CREATE TABLE escort AS
  SELECT l.record_id AS trip_id, l.officers, l.fee_paid, coalesce(w.ended_at, u.used_at) AS ended_at, w.record_written_at
  FROM latest l LEFT JOIN escort_record w ON w.escort_id = l.record_id LEFT JOIN (SELECT subject_id, min(used_at) AS used_at FROM used WHERE effect = 'ESCORT_RECORD_DUE' GROUP BY 1) u ON u.subject_id = l.record_id
  WHERE l.kind = 'escort';
CREATE TABLE appointment AS
  SELECT l.record_id AS appointment_id, l.plate, l.unit AS publisher, l.from_at AS window_from, l.to_at AS window_to, i.passage_id AS entry_passage, o.passage_id AS exit_passage
  FROM latest l
  LEFT JOIN (FROM used WHERE effect = 'TASK_ENTERED' QUALIFY row_number() OVER (PARTITION BY subject_id ORDER BY used_at, seq) = 1) i ON i.subject_id = l.record_id
  LEFT JOIN (FROM used WHERE effect = 'TASK_COMPLETED' QUALIFY row_number() OVER (PARTITION BY subject_id ORDER BY used_at DESC, seq DESC) = 1) o ON o.subject_id = l.record_id
  WHERE l.kind = 'task';
CREATE TABLE peak_mode AS
  SELECT record_id AS checkpoint, greatest(coalesce(from_at, changed_at), changed_at) AS active_from, least(to_at, next_at) AS active_to, NULL::TEXT AS activated_by
  FROM (SELECT *, lead(changed_at) OVER (PARTITION BY record_id ORDER BY seq) AS next_at FROM record WHERE kind = 'peak_mode') WHERE active;
CREATE TABLE reception AS
  SELECT l.plate, NULL::DATE AS valid_from, CASE WHEN c.subject_id IS NOT NULL THEN 'CLOSED' WHEN u.subject_id IS NOT NULL THEN 'CONSUMED' ELSE l.state END AS state, l.unit AS host_unit
  FROM latest l
  LEFT JOIN (SELECT DISTINCT subject_id FROM used WHERE effect = 'RECEPTION_CLOSED') c ON c.subject_id = l.record_id
  LEFT JOIN (SELECT DISTINCT subject_id FROM used WHERE effect = 'RECEPTION_CONSUMED') u ON u.subject_id = l.record_id
  WHERE l.kind = 'reception';
CREATE TABLE hgs_appointment AS
  SELECT b.record_id AS appointment_id, b.unit AS yard, b.state, b.changed_at AS booked_at, a.approved_at
  FROM (FROM record WHERE kind = 'appointment' QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY seq) = 1) b
  LEFT JOIN (SELECT parent, min(changed_at) AS approved_at FROM record WHERE kind = 'approval' AND state = 'APPROVED' GROUP BY 1) a ON a.parent = b.record_id;
CREATE TABLE violation AS
  SELECT coalesce(v.violation_id, f.violation_id) AS violation_id, coalesce(v.code, f.code) AS code, coalesce(v.plate, f.plate) AS plate, coalesce(v.enterprise, f.enterprise) AS enterprise,
         v.approach_id, coalesce(v.raised_at, f.occurred_at::TIMESTAMPTZ) AS ts, coalesce(f.source, v.source) AS source, f.ground, f.road, f.offence, f.verified_by, coalesce(f.status, v.status) AS status
  FROM raised v FULL JOIN finding f USING (violation_id);

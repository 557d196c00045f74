//! The names of this crate's metrics.

/// Histogram, seconds: from the last needed read to the command on the log.
pub const COMMAND_LATENCY_SECONDS: &str = "portgate_decision_command_latency_seconds";
/// Histogram, seconds: from the last needed read to the decision being formed.
pub const DECISION_LATENCY_SECONDS: &str = "portgate_decision_latency_seconds";
/// Counter: decision versions; labels `verdict`, `reason` (each reason counts once).
pub const VERDICTS: &str = "portgate_decision_verdicts_total";
/// Counter: commands put on record; label `order`.
pub const COMMANDS: &str = "portgate_decision_commands_total";
/// Counter: inputs taken in; label `kind` (read, registry, tick).
pub const INPUTS: &str = "portgate_decision_inputs_total";
/// Counter: messages put on record as rejected; label `topic`.
pub const REJECTED: &str = "portgate_decision_rejected_total";
/// Counter: decisions whose evidence frame could not be found any more.
pub const EVIDENCE_MISSING: &str = "portgate_decision_evidence_missing_total";
/// Histogram, inputs: how many share one commit.
pub const BATCH_INPUTS: &str = "portgate_decision_batch_inputs";
/// Gauge, entries: committed and not yet published.
pub const OUTBOX_ENTRIES: &str = "portgate_decision_outbox_entries";
/// Gauge, offsets: reads waiting behind the last one taken in.
pub const QUEUE_READS: &str = "portgate_decision_queue_reads";
/// Gauge, seconds: since the registry was last known to be current.
pub const REGISTRY_AGE_SECONDS: &str = "portgate_decision_registry_age_seconds";
/// Gauge, lanes: with an approach whose evidence is still coming.
pub const LANES_PENDING: &str = "portgate_decision_lanes_pending";
/// Counter: steps or commits that failed and were tried again.
pub const RETRIES: &str = "portgate_decision_retries_total";
/// Counter: what a barrier did with a command; label `result`.
pub const BARRIER_COMMANDS: &str = "portgate_barrier_commands_total";
/// Counter: vehicles let through by a node that was cut off from the log.
pub const OPENED_ON_THE_SPOT: &str = "portgate_decision_opened_on_the_spot_total";
/// 1: this node decides for the site; 0: it stands by.
pub const OWNER: &str = "portgate_decision_owner";

//! Options of a job, with their defaults.

use thalweg_core::key_group::DEFAULT_KEY_GROUPS;
use thalweg_core::time::Millis;

/// How a job runs. None of these changes a result except where it says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobOptions {
    /// Key groups, fixed for the job's life.
    pub key_groups: u16,
    /// Rows in a batch of a source, at most. Changes where batches end, and with them the
    /// grain of output; recorded with the plan.
    pub batch_rows: usize,
    /// Rise of a split's watermark after which a mark is made inside a batch
    /// (`pipeline.auto-watermark-interval`). Recorded with the plan.
    pub auto_watermark_interval_ms: Millis,
    /// A row whose event time lies further than this in front of "now" becomes a bad
    /// record instead of moving the watermark. Recorded with the plan.
    pub max_future_ms: Option<Millis>,
    /// Output that a sink writer holds before it is asked for its chunks, in bytes. Changes
    /// where chunks end; recorded with the plan.
    pub writer_bytes: usize,
    /// Version of the time-zone data that expressions use. Recorded.
    pub time_zone_version: String,

    /// Input of an epoch without a backlog, in bytes.
    pub epoch_bytes_min: u64,
    /// Input of an epoch under a backlog, in bytes.
    pub epoch_bytes_max: u64,
    /// Epochs that are cut and not yet published.
    pub epochs_in_flight: usize,
    /// Rows on exchange edges, in bytes, before they spill.
    pub edge_bytes: usize,
    /// Output that waits for its publication in memory, in bytes.
    pub output_bytes: usize,
    /// Output of an epoch that stands in the journal itself, in bytes.
    pub inline_bytes: usize,

    /// Estimated time of a replay after which a snapshot is taken.
    pub replay_target_ms: u64,
    /// Time after which a snapshot is taken in any case
    /// (`execution.checkpointing.interval`).
    pub snapshot_interval_ms: Option<u64>,
    /// Snapshots that are kept.
    pub snapshots_kept: usize,
    /// Whether a snapshot is taken at a clean stop and at the end of input.
    pub snapshot_at_stop: bool,

    /// How often an unbounded source is asked for new splits.
    pub discovery_interval_ms: u64,
    /// How often a source that cannot call back is looked at.
    pub poll_interval_ms: u64,
    /// How often positions are published as committed offsets of a consumer group of the
    /// job's name; `None`: never.
    pub publish_positions_ms: Option<u64>,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            key_groups: DEFAULT_KEY_GROUPS,
            batch_rows: 8192,
            auto_watermark_interval_ms: 200,
            max_future_ms: None,
            writer_bytes: 4 << 20,
            time_zone_version: String::new(),
            epoch_bytes_min: 256 << 10,
            epoch_bytes_max: 8 << 20,
            epochs_in_flight: 8,
            edge_bytes: 64 << 20,
            output_bytes: 32 << 20,
            inline_bytes: 256 << 10,
            replay_target_ms: 1000,
            snapshot_interval_ms: None,
            snapshots_kept: 3,
            snapshot_at_stop: true,
            discovery_interval_ms: 5000,
            poll_interval_ms: 10,
            publish_positions_ms: Some(500),
        }
    }
}

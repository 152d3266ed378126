//! Settings of the whole log; those of a topic are in [`crate::topic_config`].

use std::fmt;
use std::sync::Arc;

/// Called once with what happened when the disk fails; the process must end there.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Settings of a [`crate::Log`].
#[derive(Clone)]
pub struct LogOptions {
    /// Whether threads commit, delete old segments and scrub. Without, somebody calls
    /// [`crate::Log::commit_step`] and its siblings: simulation does.
    pub background: bool,
    /// Threads that sync, so that several partitions sync at once.
    pub committers: usize,
    /// What to do when the disk fails; nothing can be appended afterwards.
    pub on_fatal: OnFatal,
    /// Free bytes below which appends are refused. Half of them are for internal topics, the
    /// rest for deletes and side files.
    pub reserve_bytes: u64,
    /// Open files kept at most (those being written come on top).
    pub max_open_files: usize,
    /// Bytes of one partition that may wait for a sync; more is refused until the disk
    /// has caught up.
    pub max_unsynced_bytes: u64,
    /// Log bytes between two entries of the sparse index.
    pub index_interval_bytes: u64,
    /// Log bytes of a partition between two snapshots of its producers.
    pub snapshot_interval_bytes: u64,
    /// How long an idempotent producer is remembered (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
    /// Idempotent producers remembered per partition; the longest silent one goes first.
    pub max_producers: usize,
    /// How often old segments are looked for (`log.retention.check.interval.ms`).
    pub retention_check_ms: u64,
    /// How often compacted topics are looked at (`log.cleaner.backoff.ms`).
    pub compaction_check_ms: u64,
    /// Memory for the keys of one pass of compaction (`log.cleaner.dedupe.buffer.size`),
    /// at most; one that does not get to the end in it goes on with another pass.
    pub compaction_map_bytes: usize,
    /// Whether nothing is deleted for its age, its size or a newer value of its key until
    /// [`crate::Log::begin_retention`]. Pins are not durable: whoever holds some takes them
    /// first.
    pub retention_held: bool,
    /// How fast old data is read again to find damage; 0 switches it off.
    pub scrub_bytes_per_second: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            background: true,
            committers: 4,
            on_fatal: Arc::new(|_| {}),
            reserve_bytes: 32 << 20,
            max_open_files: 512,
            max_unsynced_bytes: 256 << 20,
            index_interval_bytes: 16 << 10,
            snapshot_interval_bytes: 64 << 20,
            producer_id_expiration_ms: 86_400_000,
            max_producers: 20_000,
            retention_check_ms: 30_000,
            compaction_check_ms: 15_000,
            compaction_map_bytes: 64 << 20,
            retention_held: false,
            scrub_bytes_per_second: 4 << 20,
        }
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOptions")
            .field("background", &self.background)
            .field("committers", &self.committers)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("max_open_files", &self.max_open_files)
            .field("max_unsynced_bytes", &self.max_unsynced_bytes)
            .finish_non_exhaustive()
    }
}

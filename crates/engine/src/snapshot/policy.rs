//! When a snapshot is due: when replaying what came since the last one would take long.

use crate::options::JobOptions;

/// Work between two snapshots, in times of what writing one takes: they cost at most a
/// fifth of all.
const COST_RATIO: u64 = 4;

/// Weighs work against time.
#[derive(Debug)]
pub(crate) struct SnapshotPolicy {
    target_ns: u64,
    interval_ns: Option<u64>,
    /// Time that units took since the last snapshot. Replay takes about as long, divided
    /// by the subtasks that work at once, which is left out to be careful.
    work_ns: u64,
    taken_at_ns: u64,
    /// How long the last one took to write.
    cost_ns: u64,
    /// One is on its way.
    pending: bool,
}

impl SnapshotPolicy {
    pub(crate) fn new(options: &JobOptions, now_ns: u64) -> Self {
        Self {
            target_ns: options.replay_target_ms.saturating_mul(1_000_000),
            interval_ns: options.snapshot_interval_ms.map(|ms| ms.saturating_mul(1_000_000)),
            work_ns: 0,
            taken_at_ns: now_ns,
            cost_ns: 0,
            pending: false,
        }
    }

    /// Counts the work of a unit.
    pub(crate) fn worked(&mut self, ns: u64) {
        self.work_ns += ns;
    }

    /// Whether the epoch that is being cut gets a snapshot; it then counts as begun.
    pub(crate) fn begin_if_due(&mut self, now_ns: u64) -> bool {
        let elapsed = now_ns.saturating_sub(self.taken_at_ns);
        // With much state a snapshot costs more than the replay that it saves.
        let worth = self.target_ns.max(self.cost_ns.saturating_mul(COST_RATIO));
        let due =
            self.work_ns > worth || self.interval_ns.is_some_and(|interval| elapsed >= interval);
        if self.pending || !due {
            return false;
        }
        self.begin(now_ns);
        true
    }

    /// A snapshot of now begins.
    pub(crate) fn begin(&mut self, now_ns: u64) {
        self.pending = true;
        self.work_ns = 0;
        self.taken_at_ns = now_ns;
    }

    /// It is written, which took so long.
    pub(crate) fn finish(&mut self, cost_ns: u64) {
        self.pending = false;
        self.cost_ns = cost_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_or_time_make_one_due_and_only_one_at_once() {
        let options = JobOptions {
            replay_target_ms: 1,
            snapshot_interval_ms: Some(10),
            ..JobOptions::default()
        };
        let mut policy = SnapshotPolicy::new(&options, 0);
        assert!(!policy.begin_if_due(1));
        policy.worked(1_000_001);
        assert!(policy.begin_if_due(2));
        policy.worked(5_000_000);
        assert!(!policy.begin_if_due(3), "one is on its way");
        policy.finish(0);
        assert!(policy.begin_if_due(4));
        policy.finish(3_000_000);
        policy.worked(9_000_000);
        assert!(!policy.begin_if_due(5), "writing one takes as long as a third of that");
        assert!(!policy.begin_if_due(9_000_000));
        assert!(policy.begin_if_due(10_000_004));
    }
}

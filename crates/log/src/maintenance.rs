//! The log's own threads: those that sync, and one that looks after the rest.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_core::env::JoinHandle;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{LogError, PartitionLog};
use thalweg_core::time::Millis;

use crate::partition::Partition;
use crate::shared::Shared;

/// How often the rest is looked after.
const TICK: Duration = Duration::from_secs(1);

/// Ticks between two rounds of scrubbing.
const SCRUB_PAUSE_TICKS: u64 = 3600;

/// Starts the threads. They end when the log stops or the disk fails.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle>> {
    let mut threads = Vec::new();
    for number in 0..shared.options.committers.max(1) {
        let own = shared.clone();
        let body = Box::new(move || commit_loop(&own));
        threads.push(shared.env.spawn.spawn(&format!("log-commit-{number}"), body)?);
    }
    let own = shared.clone();
    threads.push(shared.env.spawn.spawn("log-tend", Box::new(move || tend_loop(&own)))?);
    let own = shared.clone();
    threads.push(shared.env.spawn.spawn("log-compact", Box::new(move || compact_loop(&own)))?);
    Ok(threads)
}

fn commit_loop(shared: &Shared) {
    let ended = || shared.is_stopping() || shared.has_failed();
    while let Some(partition) = shared.queue.pop(ended) {
        partition.commit_queued();
    }
}

fn tend_loop(shared: &Shared) {
    let check_ticks = (shared.options.retention_check_ms / 1000).max(1);
    let mut scrubber = Scrubber::default();
    let mut ticks = 0_u64;
    while shared.pause(TICK) {
        ticks += 1;
        shared.look_at_space();
        sync_loose_marks(shared);
        if ticks.is_multiple_of(check_ticks) {
            retain(shared, shared.env.clock.wall_ms());
            tend_producers(shared);
        }
        scrubber.step(shared, ticks);
    }
}

fn compact_loop(shared: &Shared) {
    let pause = Duration::from_millis(shared.options.compaction_check_ms.max(1));
    while shared.pause(pause) {
        compact(shared, shared.env.clock.wall_ms());
    }
}

/// Runs a pass of compaction over each partition where one is due, unless that is held;
/// returns over how many.
pub(crate) fn compact(shared: &Shared, now: Millis) -> usize {
    if shared.retention_held.load(Ordering::Acquire) {
        return 0;
    }
    let mut count = 0;
    for partition in shared.all_partitions() {
        match partition.compact(now) {
            Ok(ran) => count += usize::from(ran),
            // Stopped, or its segments were deleted meanwhile.
            Err(
                LogError::Stopped
                | LogError::UnknownPartition { .. }
                | LogError::OffsetOutOfRange { .. },
            ) => {}
            Err(error) => {
                tracing::warn!(partition = %partition.name(), %error, "compaction failed");
            }
        }
    }
    count
}

/// Deletes old segments of all partitions, unless that is held; returns how many.
pub(crate) fn retain(shared: &Shared, now: Millis) -> usize {
    if shared.retention_held.load(Ordering::Acquire) {
        return 0;
    }
    let mut count = 0;
    if shared.check_still_ours().is_err() {
        return 0;
    }
    for partition in shared.all_partitions() {
        match partition.retain(now) {
            Ok(gone) => count += gone,
            Err(error) => {
                tracing::warn!(partition = %partition.name(), %error, "retention failed");
            }
        }
    }
    count
}

/// Forgets expired producers of all partitions and saves snapshots where due.
pub(crate) fn tend_producers(shared: &Shared) {
    for partition in shared.all_partitions() {
        partition.tend_producers();
    }
}

/// Makes the marks of idle partitions durable.
pub(crate) fn sync_loose_marks(shared: &Shared) {
    let listed = std::mem::take(&mut *shared.loose_marks.lock());
    for partition in listed {
        let Some(strong) = partition.upgrade() else { continue };
        match strong.sync_marks(false) {
            Ok(true) => {}
            Ok(false) => shared.loose_marks.lock().push(partition),
            Err(_) => return,
        }
    }
}

/// Goes round all partitions, a little at a time.
#[derive(Default)]
struct Scrubber {
    round: Vec<Weak<Partition>>,
    at: Offset,
    next_round: u64,
}

impl Scrubber {
    fn step(&mut self, shared: &Shared, ticks: u64) {
        let mut budget = shared.options.scrub_bytes_per_second;
        if self.round.is_empty() && budget > 0 && ticks >= self.next_round {
            self.round = shared.all_partitions().iter().map(Arc::downgrade).collect();
            self.next_round = ticks + SCRUB_PAUSE_TICKS;
        }
        while budget > 0 {
            let Some(partition) = self.round.last() else { return };
            let scrubbed = partition.upgrade().map(|partition| partition.scrub(self.at, budget));
            let (read, next) = scrubbed.unwrap_or((0, None));
            budget = budget.saturating_sub(read);
            self.at = next.unwrap_or(0);
            if next.is_none() {
                self.round.pop();
            }
        }
    }
}

//! What all partitions of a log share: the environment, open files, free space, the
//! queue of those that wait for a sync, and whether the log still runs.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thalweg_core::env::{DiskLock, Env};
use thalweg_core::partition_log::LogError;

use crate::directory::{self, Claim};
use crate::files::FileCache;
use crate::options::LogOptions;
use crate::partition::Partition;
use crate::space::{Purpose, Space};

/// The common ground of a log and its partitions.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) options: LogOptions,
    pub(crate) root: PathBuf,
    /// How often the directory was opened, this time included.
    pub(crate) incarnation: u64,
    pub(crate) files: FileCache,
    pub(crate) queue: CommitQueue,
    pub(crate) syncs: SyncCounters,
    /// All partitions, for those who must reach each of them.
    pub(crate) partitions: Mutex<Vec<Weak<Partition>>>,
    /// Partitions with marks that no sync has covered yet.
    pub(crate) loose_marks: Mutex<Vec<Weak<Partition>>>,
    /// Neither retention nor compaction deletes anything while this holds.
    pub(crate) retention_held: AtomicBool,
    pub(crate) space: Space,
    stopping: AtomicBool,
    failure: OnceLock<LogError>,
    failure_told: AtomicBool,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl Shared {
    pub(crate) fn new(env: Env, options: LogOptions, root: PathBuf, claim: Claim) -> Self {
        Self {
            files: FileCache::new(options.max_open_files),
            retention_held: AtomicBool::new(options.retention_held),
            space: Space::new(options.reserve_bytes),
            env,
            options,
            root,
            incarnation: claim.incarnation,
            queue: CommitQueue::default(),
            syncs: SyncCounters::default(),
            partitions: Mutex::default(),
            loose_marks: Mutex::default(),
            stopping: AtomicBool::new(false),
            failure: OnceLock::new(),
            failure_told: AtomicBool::new(false),
            lock: Mutex::new(Some(claim.lock)),
        }
    }

    /// Fails once the disk has failed.
    pub(crate) fn still_whole(&self) -> Result<(), LogError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Fails once the log is stopped or the disk has failed.
    pub(crate) fn check_running(&self) -> Result<(), LogError> {
        self.still_whole()?;
        if self.stopping.load(Ordering::Acquire) { Err(LogError::Stopped) } else { Ok(()) }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// From now on nothing is appended and threads end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.queue.wake_all();
    }

    /// Waits; false as soon as the log stops.
    pub(crate) fn pause(&self, duration: Duration) -> bool {
        let mut waiting = self.queue.waiting.lock();
        if !self.is_stopping() && !self.has_failed() {
            self.queue.stopped.wait_for(&mut waiting, duration);
        }
        !self.is_stopping() && !self.has_failed()
    }

    /// All partitions there are.
    pub(crate) fn all_partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets another process have the directory.
    pub(crate) fn release_lock(&self) {
        self.lock.lock().take();
    }

    /// The disk has failed: after a failed sync nobody knows what is durable, and asking
    /// again may lie. From now on nothing is appended or acknowledged. The caller must
    /// let go of its locks and then call [`Self::tell_failure`].
    pub(crate) fn fail(&self, at: &Path, error: &io::Error) -> LogError {
        let failure = LogError::Disk { at: at.display().to_string(), detail: error.to_string() };
        if self.failure.set(failure.clone()).is_ok() {
            tracing::error!(at = %at.display(), %error, "the disk failed; the log stops");
            self.queue.wake_all();
        }
        self.failure.get().cloned().unwrap_or(failure)
    }

    /// Tells everyone who waits, and the owner, that the disk has failed; once.
    pub(crate) fn tell_failure(&self) {
        let Some(failure) = self.failure.get() else { return };
        let partitions = std::mem::take(&mut *self.partitions.lock());
        for partition in partitions.iter().filter_map(Weak::upgrade) {
            partition.fail_waiters(failure);
        }
        if !self.failure_told.swap(true, Ordering::AcqRel) {
            (self.options.on_fatal)(&failure.to_string());
        }
    }

    /// Fails once another process has opened the directory, which the lock should have kept
    /// out: two that write would ruin the log.
    pub(crate) fn check_still_ours(&self) -> Result<(), LogError> {
        if !directory::is_lost(&self.env, &self.root, self.incarnation) {
            return Ok(());
        }
        let error = io::Error::other("another process has opened the log; this one must end");
        let failure = self.fail(&self.root, &error);
        self.tell_failure();
        Err(failure)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Grants space for `bytes` unless the disk is nearly full; else says how full.
    pub(crate) fn grant_space(&self, bytes: u64, purpose: Purpose) -> Result<(), String> {
        self.space.grant(bytes, purpose, || self.free_bytes())
    }

    /// Asks how much space is free: others may have taken some, or made some.
    pub(crate) fn look_at_space(&self) {
        self.space.look(|| self.free_bytes());
    }

    fn free_bytes(&self) -> Option<u64> {
        self.env.disk.free_bytes(&self.root).ok()
    }
}

/// Whether an error means that space ran out, and that some may come free again.
pub(crate) fn is_storage_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[derive(Debug, thiserror::Error)]
#[error("a sync failed: {0}")]
struct FailedSync(io::Error);

/// The error of a failed sync: even where the system says that space ran out, nobody knows
/// what is durable now, so it must not be taken for one that passes.
pub(crate) fn failed_sync(error: io::Error) -> io::Error {
    io::Error::other(FailedSync(error))
}

/// Whether an error came through [`failed_sync`].
pub(crate) fn is_failed_sync(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<FailedSync>())
}

/// Partitions that wait for a sync, first come first served.
#[derive(Default)]
pub(crate) struct CommitQueue {
    waiting: Mutex<VecDeque<Arc<Partition>>>,
    arrived: Condvar,
    stopped: Condvar,
}

impl CommitQueue {
    pub(crate) fn push(&self, partition: Arc<Partition>) {
        self.waiting.lock().push_back(partition);
        self.arrived.notify_one();
    }

    pub(crate) fn try_pop(&self) -> Option<Arc<Partition>> {
        self.waiting.lock().pop_front()
    }

    pub(crate) fn clear(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        drop(waiting); // Without the lock: callbacks of a partition may go with it.
    }

    /// Waits for a partition; `None` once `ended` holds.
    pub(crate) fn pop(&self, ended: impl Fn() -> bool) -> Option<Arc<Partition>> {
        let mut waiting = self.waiting.lock();
        loop {
            if ended() {
                return None;
            }
            if let Some(partition) = waiting.pop_front() {
                return Some(partition);
            }
            self.arrived.wait(&mut waiting);
        }
    }

    fn wake_all(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _waiting = self.waiting.lock();
        self.arrived.notify_all();
        self.stopped.notify_all();
    }
}

/// How syncing goes.
#[derive(Default)]
pub(crate) struct SyncCounters {
    count: AtomicU64,
    total_ns: AtomicU64,
    longest_ns: AtomicU64,
}

/// How syncing went since the log was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncStats {
    /// Syncs of segments.
    pub count: u64,
    /// Nanoseconds in all of them.
    pub total_ns: u64,
    /// Nanoseconds in the longest one.
    pub longest_ns: u64,
}

impl SyncCounters {
    pub(crate) fn add(&self, nanoseconds: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.total_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        self.longest_ns.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> SyncStats {
        SyncStats {
            count: self.count.load(Ordering::Relaxed),
            total_ns: self.total_ns.load(Ordering::Relaxed),
            longest_ns: self.longest_ns.load(Ordering::Relaxed),
        }
    }
}

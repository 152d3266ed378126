//! A partition: its segments on disk, what of them may be read, and who waits for more.
//!
//! Locks, always taken in this order:
//! - `compaction` lets one compaction run at a time; `layout` serialises what removes or
//!   replaces segments; `files_stay` is held by readers while they use a segment's files;
//! - `marks` serialises commits and everything else that writes durable marks; held
//!   while syncing;
//! - `writer` serialises appends;
//! - `view` is what readers see; held for moments only, never during disk access.

pub(crate) mod append;
mod commit;
mod compaction;
mod locate;
pub(crate) mod producer_state;
mod read;
pub(crate) mod recovery;
mod retention;
mod snapshot;
mod transactions;
mod waits;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use thalweg_core::env::{DiskFile, OpenMode};
use thalweg_core::ids::{Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::partition_log::{
    AbortedTransaction, Appended, DurableCallback, Isolation, LogError, LogOffsets, PartitionLog,
    ProducerPosition, Waker, Watch,
};
use thalweg_core::time::Millis;

use crate::files::{FileKey, FileKind};
use crate::mark::Mark;
use crate::segment::aborted::Aborted;
use crate::segment::index::Owner;
use crate::segment::{self, Segment};
use crate::shared::Shared;
use crate::topic_config::TopicConfig;
use producer_state::{Producer, ProducerState};

pub(crate) use commit::CommitState;
use compaction::CompactionState;
pub(crate) use locate::Hints;

/// One partition of the embedded log.
pub struct Partition {
    shared: Arc<Shared>,
    /// Itself, for the commit queue.
    this: Weak<Self>,
    /// Tells this partition's open files from all others'.
    serial: u64,
    topic_id: TopicId,
    name: TopicPartition,
    dir: PathBuf,
    config: RwLock<Arc<TopicConfig>>,
    marks: Mutex<Marks>,
    writer: Mutex<Writer>,
    view: Mutex<View>,
    watchers: Arc<Mutex<Watchers>>,
    commit_state: AtomicU8,
    index_rebuild: Mutex<()>,
    /// Held by readers, so that compaction puts no other files in place meanwhile.
    files_stay: RwLock<()>,
    /// Held while segments are removed or replaced.
    layout: Mutex<()>,
    compaction: Mutex<CompactionState>,
}

/// State of commits.
#[derive(Default)]
pub(crate) struct Marks {
    /// The mark of the last segment as it was last written.
    pub(crate) active: Option<Mark>,
    /// Segments whose newest mark no sync has covered.
    pub(crate) loose: Vec<Offset>,
    /// Whether the partition is listed among those with loose marks.
    pub(crate) listed: bool,
}

/// State of appends.
#[derive(Default)]
pub(crate) struct Writer {
    /// Offset that the next record gets.
    pub(crate) end: Offset,
    /// Where in the last segment it goes.
    pub(crate) position: u64,
    /// The last segment's file, from its first unsynced byte until the sync.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    /// Segments before the last one with unsynced bytes.
    pub(crate) unsynced: Vec<Arc<dyn DiskFile>>,
    /// First marks of the segments begun since the last commit.
    pub(crate) begun: Vec<Mark>,
    /// Bytes since the last commit.
    pub(crate) unsynced_bytes: u64,
    /// Bytes since the last entry of the index.
    pub(crate) unindexed_bytes: u64,
    /// Bytes since the last snapshot of the producers.
    pub(crate) unsaved_bytes: u64,
    /// Where that stands.
    pub(crate) saved_at: Offset,
    pub(crate) producers: ProducerState,
    /// A failed write could not be cut off yet.
    pub(crate) untrimmed: bool,
}

/// What readers see.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) offsets: LogOffsets,
    pub(crate) segments: Vec<Segment>,
    pub(crate) hints: Hints,
    pub(crate) waiters: Vec<(Offset, DurableCallback)>,
    pub(crate) pins: BTreeMap<String, Offset>,
    /// What stands before is not needed any more.
    pub(crate) released: Offset,
    /// Why nothing may be appended any more.
    pub(crate) damage: Option<String>,
    pub(crate) deleted: bool,
}

#[derive(Default)]
pub(crate) struct Watchers {
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

/// Numbers partitions as they are opened.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

impl Partition {
    /// Puts a recovered partition together.
    pub(crate) fn new(
        shared: Arc<Shared>,
        topic_id: TopicId,
        name: TopicPartition,
        config: Arc<TopicConfig>,
        recovered: recovery::Recovered,
    ) -> Arc<Self> {
        let dir = directory(&shared.root, topic_id, name.partition);
        let partition = Arc::new_cyclic(|this| Self {
            shared: shared.clone(),
            this: this.clone(),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            topic_id,
            name,
            dir,
            config: RwLock::new(config),
            marks: Mutex::new(recovered.marks),
            writer: Mutex::new(recovered.writer),
            view: Mutex::new(recovered.view),
            watchers: Arc::default(),
            commit_state: AtomicU8::new(CommitState::Idle as u8),
            index_rebuild: Mutex::default(),
            files_stay: RwLock::default(),
            layout: Mutex::default(),
            compaction: Mutex::default(),
        });
        shared.partitions.lock().push(Arc::downgrade(&partition));
        partition
    }

    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.config.read().clone()
    }

    pub(crate) fn set_config(&self, config: Arc<TopicConfig>) {
        *self.config.write() = config;
    }

    /// Why the partition is read-only, where it is.
    pub fn damage(&self) -> Option<String> {
        self.view.lock().damage.clone()
    }

    fn owner(&self) -> (u128, i32) {
        (self.topic_id.0, self.name.partition)
    }

    fn owner_of(&self, segment: &Segment) -> Owner {
        let (partition, base, generation) = (self.owner(), segment.base, segment.generation);
        Owner { partition, base, generation }
    }

    fn unknown(&self) -> LogError {
        LogError::UnknownPartition { partition: self.name.clone() }
    }

    fn key(&self, base: Offset, kind: FileKind) -> FileKey {
        (self.serial, base, kind)
    }

    fn path(&self, offset: Offset, suffix: &str) -> PathBuf {
        segment::file_path(&self.dir, offset, suffix)
    }

    fn segment_file(&self, base: Offset) -> io::Result<Arc<dyn DiskFile>> {
        self.shared.files.get(self.key(base, FileKind::Batches), || {
            let path = self.path(base, segment::LOG_SUFFIX);
            self.shared.env.disk.open(&path, OpenMode::Write)
        })
    }

    /// Makes the partition read-only: its bytes are not those that were written.
    fn set_damage(&self, reason: &str) {
        let mut view = self.view.lock();
        if view.damage.is_none() && !view.deleted {
            alarm(&self.name, reason);
            view.damage = Some(reason.to_owned());
        }
    }

    /// An I/O error outside of syncing and writing, which promises nothing and so breaks
    /// nothing.
    fn io_error(&self, path: &Path, error: &io::Error) -> LogError {
        if self.view.lock().deleted {
            return self.unknown();
        }
        LogError::Disk { at: path.display().to_string(), detail: error.to_string() }
    }

    /// Ends the partition: its topic is deleted.
    pub(crate) fn delete(&self) {
        let _marks = self.marks.lock();
        let mut writer = self.writer.lock();
        *writer = Writer { end: writer.end, ..Writer::default() };
        let waiters = {
            let mut view = self.view.lock();
            view.deleted = true;
            view.segments = Vec::new();
            std::mem::take(&mut view.waiters)
        };
        drop(writer);
        self.shared.files.remove_partition(self.serial);
        for (_, done) in waiters {
            done(Err(self.unknown()));
        }
        self.wake();
    }

    pub(crate) fn fail_waiters(&self, error: &LogError) {
        let waiters = std::mem::take(&mut self.view.lock().waiters);
        for (_, done) in waiters {
            done(Err(error.clone()));
        }
        self.wake();
    }

    /// Calls everyone who watches.
    fn wake(&self) {
        let wakers: Vec<Waker> =
            self.watchers.lock().wakers.iter().map(|(_, waker)| waker.clone()).collect();
        for waker in wakers {
            waker();
        }
    }
}

/// Says loudly that a partition is damaged.
pub(crate) fn alarm(name: &TopicPartition, reason: &str) {
    tracing::error!(partition = %name, reason, "the partition is damaged and read-only now");
}

/// The directory of a partition. Names of topics never become paths.
pub(crate) fn directory(root: &Path, topic_id: TopicId, partition: i32) -> PathBuf {
    root.join(topic_directory(topic_id)).join(partition.to_string())
}

/// The name of a topic's directory.
pub(crate) fn topic_directory(topic_id: TopicId) -> String {
    format!("t-{topic_id}")
}

impl PartitionLog for Partition {
    fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    fn name(&self) -> &TopicPartition {
        &self.name
    }

    fn offsets(&self) -> LogOffsets {
        self.view.lock().offsets
    }

    fn append(&self, batches: Bytes) -> Result<Appended, LogError> {
        self.append_batches(batches)
    }

    fn append_may_wait(&self, len: usize) -> bool {
        self.may_wait(len)
    }

    fn when_durable(&self, offset: Offset, done: DurableCallback) {
        let outcome = {
            let mut view = self.view.lock();
            if view.deleted {
                Err(self.unknown())
            } else if offset <= view.offsets.high_watermark {
                Ok(())
            } else if let Err(error) = self.shared.check_running() {
                Err(error)
            } else {
                view.waiters.push((offset, done));
                return;
            }
        };
        done(outcome);
    }

    fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Bytes, LogError> {
        self.read_batches(from, max_bytes, isolation)
    }

    fn offset_for_time(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, LogError> {
        self.first_at_or_after(timestamp)
    }

    fn max_timestamp(&self) -> Result<Option<(Offset, Millis)>, LogError> {
        self.find_max_timestamp()
    }

    fn producer(&self, producer: ProducerId) -> Option<ProducerPosition> {
        self.writer.lock().producers.get(producer.0).map(Producer::position)
    }

    fn producers(&self) -> Vec<(ProducerId, ProducerPosition)> {
        let writer = self.writer.lock();
        let known = writer.producers.iter();
        known.map(|(id, producer)| (ProducerId(id), producer.position())).collect()
    }

    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        let plain = |entry: Aborted| AbortedTransaction {
            producer: ProducerId(entry.producer),
            first_offset: entry.first,
            last_offset: entry.last,
        };
        Ok(self.aborted_between(from, to)?.into_iter().map(plain).collect())
    }

    fn delete_before(&self, offset: Offset) -> Result<Offset, LogError> {
        self.delete_records(offset)
    }

    fn watch(&self, waker: Waker) -> Watch {
        let number = {
            let mut watchers = self.watchers.lock();
            watchers.next += 1;
            let number = watchers.next;
            watchers.wakers.push((number, waker));
            number
        };
        let watchers = Arc::downgrade(&self.watchers);
        Watch::new(move || {
            if let Some(watchers) = watchers.upgrade() {
                watchers.lock().wakers.retain(|(other, _)| *other != number);
            }
        })
    }

    fn pin(&self, holder: &str, from: Option<Offset>) {
        let mut view = self.view.lock();
        match from {
            Some(from) => {
                view.pins.insert(holder.to_owned(), from);
            }
            None => {
                view.pins.remove(holder);
            }
        }
    }

    fn release(&self, before: Offset) {
        let mut view = self.view.lock();
        view.released = view.released.max(before);
    }

    fn size_bytes(&self) -> u64 {
        self.view.lock().segments.iter().map(Segment::data_bytes).sum()
    }
}

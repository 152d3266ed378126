//! The contract of a partition log: what every part of Thalweg may expect of the place
//! where records live, whether that is the embedded log or somebody's Kafka cluster.
//!
//! Records cross this contract as encoded *record batches v2* (Kafka's format on disk
//! and on the wire alike), so that nothing is decoded on the way from a socket to a
//! file and back.
//!
//! ```text
//!  log start          last stable   high watermark      log end
//!     |  readable, committed | open txns |  written, not   |
//!     |                      |           |  yet durable    |
//!     v______________________v___________v_________________v
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Offset, ProducerId, TopicId, TopicPartition};
use crate::record_batch::BatchHeader;
use crate::refused_records::RefusedRecords;
use crate::time::Millis;

/// The range limits of a partition. `start <= last_stable <= high_watermark <= end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogOffsets {
    /// Oldest offset that can be read.
    pub start: Offset,
    /// First offset of the oldest open transaction, or the high watermark.
    pub last_stable: Offset,
    /// First offset that is not known to be durable; readers stop before it.
    pub high_watermark: Offset,
    /// Offset that the next record will get.
    pub end: Offset,
}

/// What an append did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset after the last record: what to wait for before acknowledging.
    pub next_offset: Offset,
    /// Append time where the topic stamps records on arrival, else -1.
    pub append_time: Millis,
    /// Log start offset at the time.
    pub log_start: Offset,
    /// The batch was a retry of one that is already in the log; the offsets are those
    /// of the first time.
    pub duplicate: bool,
}

/// Up to where a reader wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// Where an idempotent producer stands in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerPosition {
    /// Epoch of the producer.
    pub epoch: i16,
    /// Sequence number of the last record of this epoch; -1 where none is remembered, so
    /// that the next one has number 0.
    pub last_sequence: i32,
    /// Offset of that record; -1 where none is remembered.
    pub last_offset: Offset,
    /// First offset of the transaction under way.
    pub open_since: Option<Offset>,
    /// Epoch of the coordinator that ended its last transaction; -1 before the first.
    pub coordinator_epoch: i32,
    /// Timestamp of its last batch or end marker; -1 where that had none.
    pub last_timestamp: Millis,
}

/// A transaction that was aborted, in one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Who wrote it.
    pub producer: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the marker that ended it.
    pub last_offset: Offset,
}

impl AbortedTransaction {
    /// Whether a batch is of this transaction, so that readers of committed records have
    /// to leave it out.
    pub fn covers(&self, batch: &BatchHeader) -> bool {
        batch.attributes.is_transactional()
            && batch.producer_id == self.producer.0
            && (self.first_offset..self.last_offset).contains(&batch.base_offset)
    }
}

/// Why the log refused. The variants are what a caller does differently.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Try again later: the disk is full, or nearly.
    #[error("{partition}: no space left for new records: {detail}")]
    StorageFull {
        /// The partition.
        partition: TopicPartition,
        /// What is known.
        detail: String,
    },
    /// The partition is damaged; its good ranges can still be read.
    #[error("{partition} is read-only: {reason}")]
    ReadOnly {
        /// The partition.
        partition: TopicPartition,
        /// What is damaged, where, and what to do.
        reason: String,
    },
    /// The bytes at this place are not those that were written.
    #[error("{partition}: corrupt data at offset {offset}: {detail}")]
    Corrupt {
        /// The partition.
        partition: TopicPartition,
        /// Where.
        offset: Offset,
        /// What was found.
        detail: String,
    },
    /// The offset is not in the log.
    #[error("{partition}: offset {offset} is outside {start}..{end}")]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset asked for.
        offset: Offset,
        /// Log start offset.
        start: Offset,
        /// High watermark.
        end: Offset,
    },
    /// What was to be appended is not a valid sequence of record batches.
    #[error("{partition}: invalid record batch: {detail}")]
    InvalidBatch {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong with it.
        detail: String,
    },
    /// A batch whose checksum does not match its bytes.
    #[error("{partition}: record batch checksum is {found:#010x}, expected {expected:#010x}")]
    Checksum {
        /// The partition.
        partition: TopicPartition,
        /// As the batch says.
        expected: u32,
        /// As its bytes say.
        found: u32,
    },
    /// A batch larger than the topic takes.
    #[error("{partition}: record batch of {size} bytes, but max.message.bytes is {limit}")]
    TooLarge {
        /// The partition.
        partition: TopicPartition,
        /// Size of the batch.
        size: usize,
        /// What the topic takes.
        limit: usize,
    },
    /// A batch that an idempotent producer sent before an earlier one.
    #[error("{partition}: producer {producer:?} sent sequence {found}, expected {expected}")]
    OutOfOrderSequence {
        /// The partition.
        partition: TopicPartition,
        /// The producer.
        producer: ProducerId,
        /// Sequence that should have come.
        expected: i32,
        /// Sequence that came.
        found: i32,
    },
    /// A retry of a batch too old to be remembered.
    #[error("{partition}: producer {producer:?} repeated sequence {sequence}, which is long past")]
    DuplicateSequence {
        /// The partition.
        partition: TopicPartition,
        /// The producer.
        producer: ProducerId,
        /// Sequence that came.
        sequence: i32,
    },
    /// A newer instance of the producer has taken over.
    #[error("{partition}: producer {producer:?} has epoch {current}, this one is {found}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The producer.
        producer: ProducerId,
        /// Epoch in force.
        current: i16,
        /// Epoch that came.
        found: i16,
    },
    /// The end of a transaction, written by a coordinator that another one has replaced.
    #[error("{partition}: transactions are ended by coordinator {current}, this one is {found}")]
    CoordinatorFenced {
        /// The partition.
        partition: TopicPartition,
        /// Epoch of the coordinator in force.
        current: i32,
        /// Epoch that came.
        found: i32,
    },
    /// A batch outside of the transaction that its producer has under way.
    #[error("{partition}: producer {producer:?} is in a transaction, but this batch is not")]
    InvalidTransactionState {
        /// The partition.
        partition: TopicPartition,
        /// The producer.
        producer: ProducerId,
    },
    /// A batch with records that the topic does not take.
    #[error("{partition}: {records}")]
    RefusedRecords {
        /// The partition.
        partition: TopicPartition,
        /// Which ones, and why.
        records: RefusedRecords,
    },
    /// A timestamp further from now than the topic takes.
    #[error("{partition}: {detail}")]
    InvalidTimestamp {
        /// The partition.
        partition: TopicPartition,
        /// Which one, and the limit.
        detail: String,
    },
    /// Records that somebody still needs were to be deleted.
    #[error("{partition}: '{holder}' still needs the records from offset {from} on")]
    Pinned {
        /// The partition.
        partition: TopicPartition,
        /// Who.
        holder: String,
        /// From where on.
        from: Offset,
    },
    /// The topic or partition does not exist, or not any more.
    #[error("unknown topic or partition {partition}")]
    UnknownPartition {
        /// The partition.
        partition: TopicPartition,
    },
    /// The topic exists already.
    #[error("topic '{topic}' already exists")]
    TopicExists {
        /// The topic.
        topic: String,
    },
    /// A name, a number of partitions or a setting that a topic cannot have.
    #[error("topic '{topic}': {detail}")]
    InvalidTopic {
        /// The topic.
        topic: String,
        /// What is wrong.
        detail: String,
    },
    /// The log is being shut down.
    #[error("the log is shutting down")]
    Stopped,
    /// The disk failed in a way after which nothing can be promised. The process ends.
    #[error("{at}: {detail}")]
    Disk {
        /// File or directory.
        at: String,
        /// What the system said.
        detail: String,
    },
}

/// Called once, with the outcome of waiting for durability.
pub type DurableCallback = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// Called each time the high watermark or the last stable offset moved. Must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Registration of a [`Waker`]; dropping it ends the calls.
pub struct Watch(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Watch {
    /// A registration that `unregister` ends.
    pub fn new(unregister: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(unregister)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(unregister) = self.0.take() {
            unregister();
        }
    }
}

/// One partition.
///
/// Promises of an implementation:
/// - what was appended is never changed, reordered or given another offset;
/// - a control batch ends the transaction of its producer, raises the producer's epoch
///   where its own is newer (KIP-890), and does nothing where it comes again;
/// - a reader sees only what is durable, so an offset that was read stays readable
///   with the same bytes after any crash, until retention or deletion;
/// - a batch of an idempotent producer is in the log at most once.
pub trait PartitionLog: Send + Sync {
    /// Stable id of the topic.
    fn topic_id(&self) -> TopicId;

    /// Topic name and partition number.
    fn name(&self) -> &TopicPartition;

    /// The range limits as of now.
    fn offsets(&self) -> LogOffsets;

    /// Writes one or more encoded record batches after one another. Returns before
    /// they are durable; see [`PartitionLog::when_durable`].
    ///
    /// # Errors
    /// On any error nothing was appended.
    fn append(&self, batches: Bytes) -> Result<Appended, LogError>;

    /// Whether an append of `len` bytes may have to wait for the disk, as where a segment
    /// is begun. A guess for callers on threads that must not wait: they append elsewhere
    /// then. False where an append never does.
    fn append_may_wait(&self, len: usize) -> bool {
        let _ = len;
        false
    }

    /// Calls back once everything before `offset` is durable (at once where it is).
    fn when_durable(&self, offset: Offset, done: DurableCallback);

    /// Whole record batches from the one that holds `from` on, until `max_bytes` or the
    /// limit of `isolation`; always at least one batch where there is one. The first
    /// batch may start before `from`. Empty at the limit.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`], [`LogError::Corrupt`].
    fn read(&self, from: Offset, max_bytes: usize, isolation: Isolation)
    -> Result<Bytes, LogError>;

    /// The first record whose timestamp is at least `timestamp`, among those readable.
    ///
    /// # Errors
    /// [`LogError::Corrupt`].
    fn offset_for_time(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, LogError>;

    /// The record with the largest timestamp; the first of several.
    ///
    /// # Errors
    /// [`LogError::Corrupt`].
    fn max_timestamp(&self) -> Result<Option<(Offset, Millis)>, LogError>;

    /// Where an idempotent producer stands, if it is remembered.
    fn producer(&self, producer: ProducerId) -> Option<ProducerPosition>;

    /// All idempotent producers that are remembered, by id.
    fn producers(&self) -> Vec<(ProducerId, ProducerPosition)>;

    /// The aborted transactions of which there may be records in `from..to`, by first
    /// offset: what a reader of committed records of that range has to leave out. `to` is
    /// at most the last stable offset.
    ///
    /// # Errors
    /// [`LogError::Corrupt`].
    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, LogError>;

    /// Deletes all records before `offset`; durable when this returns. Returns the log
    /// start offset, which may be further on already.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] beyond the high watermark, [`LogError::Pinned`].
    fn delete_before(&self, offset: Offset) -> Result<Offset, LogError>;

    /// Asks to be called when more can be read.
    #[must_use = "dropping the registration ends it"]
    fn watch(&self, waker: Waker) -> Watch;

    /// Keeps retention from deleting anything at or after `from` on behalf of `holder`;
    /// `None` lets go. Not durable: holders pin again at start, before retention runs.
    fn pin(&self, holder: &str, from: Option<Offset>);

    /// Says that nobody needs what stands before `before` any more, whatever the topic
    /// keeps otherwise: it may be deleted some time, as far as no pin forbids it. Not
    /// durable. For topics with one owner, such as journals.
    fn release(&self, before: Offset) {
        let _ = before;
    }

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;
}

/// What is known of a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicMeta {
    /// Stable id.
    pub id: TopicId,
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Settings that differ from the default, under Kafka's names, sorted.
    pub config: Vec<(String, String)>,
}

/// All topics of one log.
pub trait LogStore: Send + Sync {
    /// All topics, sorted by name. Internal ones start with two underscores.
    fn topics(&self) -> Vec<TopicMeta>;

    /// A topic by name.
    fn topic(&self, name: &str) -> Option<TopicMeta>;

    /// Creates a topic; durable when this returns.
    ///
    /// # Errors
    /// [`LogError::TopicExists`], [`LogError::InvalidTopic`].
    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        config: &[(String, String)],
    ) -> Result<TopicMeta, LogError>;

    /// Raises the number of partitions to `total`.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`], [`LogError::InvalidTopic`].
    fn add_partitions(&self, name: &str, total: i32) -> Result<(), LogError>;

    /// Changes settings of a topic: a value sets one, `None` brings back its default. The
    /// rest stays. Durable and in force when this returns; on an error nothing changed.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`]; [`LogError::InvalidTopic`] with what is wrong.
    fn alter_topic(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<TopicMeta, LogError>;

    /// Settings that topics have where they have none of their own; the rest is built in.
    /// Internal topics do not follow them.
    fn topic_defaults(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Replaces [`LogStore::topic_defaults`]. In force when this returns, for as long as the
    /// log is open: whoever sets them remembers them.
    ///
    /// # Errors
    /// [`LogError::InvalidTopic`] with what is wrong, or where the log's are fixed.
    fn set_topic_defaults(&self, defaults: &[(String, String)]) -> Result<(), LogError> {
        match defaults {
            [] => Ok(()),
            [(name, _), ..] => Err(LogError::InvalidTopic {
                topic: "*".to_owned(),
                detail: format!("the default of '{name}' cannot be set in this log"),
            }),
        }
    }

    /// Deletes a topic; it is gone for good when this returns.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    fn delete_topic(&self, name: &str) -> Result<(), LogError>;

    /// One partition.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<dyn PartitionLog>, LogError>;
}

/// Appends and blocks until the records are durable.
///
/// # Errors
/// As [`PartitionLog::append`] and [`PartitionLog::when_durable`].
pub fn append_durably(log: &dyn PartitionLog, batches: Bytes) -> Result<Appended, LogError> {
    let appended = log.append(batches)?;
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    log.when_durable(
        appended.next_offset,
        Box::new(move |outcome| {
            let _ = sender.send(outcome);
        }),
    );
    receiver.recv().unwrap_or(Err(LogError::Stopped))?;
    Ok(appended)
}

//! The embedded log: topics of partitions of segments, in one directory.
//!
//! ```no_run
//! use std::path::Path;
//! use thalweg_core::env::Env;
//! use thalweg_core::partition_log::{LogStore, append_durably};
//! use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
//! use thalweg_log::{Log, LogOptions};
//!
//! let log = Log::open(Env::real(), Path::new("data/log"), LogOptions::default())?;
//! log.create_topic("temperature", 1, &[])?;
//! let mut batch = BatchBuilder::new(Compression::None);
//! batch.push(&NewRecord { timestamp: 1, value: Some(b"21.5"), ..NewRecord::default() })?;
//! let appended = append_durably(&*log.partition("temperature", 0)?, batch.build()?)?;
//! assert_eq!(appended.base_offset, 0);
//! log.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//!
//! ```text
//! FORMAT, LOCK, catalog, and CLEAN while the log is closed
//! t-<topic id>/<partition>/
//!     00000000000000000000.log          head with two durable marks, then batches as sent
//!     00000000000000000000.index        derived: offsets and times, sparse
//!     00000000000000000000.aborted      derived: aborted transactions, where there are any
//!     00000000000000001234.producers    derived: idempotent producers as of an offset
//!     00000000000000001240.cut          what recovery cut off there; never read again
//! ```
//!
//! Everything but batches lies in envelopes with magic, version and checksum; batches
//! have their own. A version that is not known is refused.
//!
//! # What is durable when
//!
//! An append writes and returns. A committer then syncs the segment once for all
//! appends since (group commit), writes the *durable mark* (everything before offset D
//! is durable) into the segment's head, moves the high watermark to D, and only then
//! calls back. The mark is not synced by itself: the next sync of the segment carries
//! it, or, on an idle partition, a sync within about a second. A new segment is durable
//! with its name before anything is written to it, an old log start before its files go.
//!
//! # What recovery does, and may not do
//!
//! Let M be the largest durable mark of a partition. Behind the mark of the last segment
//! the batches are walked through, checksums included, to the first bad place.
//!
//! - **Before M, it is damage**, as are a file shorter than its mark, a missing segment, a
//!   damaged head. The partition becomes read-only with an alarm ([`Log::alarms`]); nothing
//!   is changed or cut; what is good can be read.
//! - **At or beyond M, where something did not reach the disk, it is a torn tail**: the file
//!   ends within the batch, or a sector's share of it is zeros. Then no sync has covered it,
//!   so neither it nor anything behind it was acknowledged, whole batches included: a power
//!   loss may keep any subset of unsynced sectors. It is cut.
//! - **Other bad bytes beyond M** may be those of a batch that was acknowledged shortly
//!   before a power loss: where a whole batch follows them, that is damage as above. Where
//!   none does, they are cut.
//!
//! Everything that is cut, but zeros, is first put aside in `.cut` files, durably, and goes
//! when retention has deleted what was around it. Without space for that, and where the
//! disk does not let a partition be read or repaired, that partition is read-only, and the
//! others are served.
//!
//! Whole batches beyond M that nobody was promised are kept, synced and shown. Unless the
//! log was closed, they and the marks are written again first: after a failed sync the
//! page cache may show bytes that no further sync would write.
//!
//! So no acknowledged batch is ever cut as long as M covers it:
//! - after `kill -9` always, since the mark was written before the acknowledgement;
//! - after a power loss always but for one window: the last group of a partition, until
//!   its mark is synced too (by the next group, or within about a second). Those bytes
//!   were synced all the same; they are cut only if the same power loss also damages
//!   bytes that the disk had reported as durable, and then only the last batch, or such as
//!   look lost. Closing the window would take a second sync for each acknowledgement.
//!
//! Old data is checked when it is read, and by a slow scrub in the background; damage
//! found there makes the partition read-only as well, until the next start, where it is
//! found again when it is read. A partition whose directory vanished as a whole cannot
//! be told from one that was never written to.
//!
//! # Transactions
//!
//! Records of an open transaction are written like others; the *last stable offset* stays
//! at the first of them until a marker (a control batch) ends it. A marker that aborts is
//! listed beside its segment, so that a reader of committed records is told what to leave
//! out ([`PartitionLog::aborted`](thalweg_core::partition_log::PartitionLog::aborted)).
//! The lists are derived: how many entries one has stands in a durable place, and what
//! does not fit is built again from the batches.
//!
//! # Compaction
//!
//! Of a topic with `cleanup.policy=compact` the newest record of each key is kept. Full
//! segments are written anew beside the old ones and take their place by one rename;
//! offsets stay, some are missing then. The last batch of a producer and of a segment
//! stays at least as a header. What a job has pinned and what is of an open transaction is
//! not touched.
//!
//! # Failures
//!
//! A failed sync stops the log for good ([`LogOptions::on_fatal`]): nobody knows what is
//! durable then, and asking again may lie. Running out of space does not: the append is
//! refused, what it wrote is cut off, and later ones may succeed. Before that, records of
//! ordinary topics are refused where they would touch a reserve; internal topics, whose
//! names begin with two underscores, may use half of it ([`Log::disk_space`]).

mod catalog;
mod directory;
mod files;
mod format;
mod log;
mod maintenance;
mod mark;
mod options;
mod partition;
mod segment;
mod shared;
mod space;
pub mod topic_config;

pub use log::{Alarm, Log, MAX_PARTITIONS, MAX_TOPIC_NAME_BYTES};
pub use options::{LogOptions, OnFatal};
pub use partition::Partition;
pub use shared::SyncStats;
pub use space::DiskSpace;

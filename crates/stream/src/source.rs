//! Sources: where rows come from, cut into splits and positions.
//!
//! A source enumerates splits (a partition, a file); a position in a split is a number
//! that only its reader understands (an offset, a byte, a sequence number). The epoch
//! driver decides which range of positions an epoch takes; reading the same range
//! again gives the same rows, which is what replay rests on.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use thalweg_core::partition_log::{Waker, Watch};
use thalweg_core::time::Millis;

use crate::error::Result;
use crate::record::{BadRecord, RawRecordsRef};

/// A place in a split; ranges are half open.
pub type Position = u64;

/// One split of a source.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SplitInfo {
    /// Stable name, unique in its source: `3` for a partition, a path for a file.
    pub id: String,
    /// What tells this split from another of the same name: a topic's id, a file's
    /// fingerprint. Recorded; a change stops replay loudly.
    pub fingerprint: String,
    /// Where a new job starts to read, after the table's start-up options.
    pub start: Position,
    /// Where the split ends for good; `None` where it can grow.
    pub end: Option<Position>,
}

/// How far a split can be read now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Available {
    /// End of what is durable and can be read.
    pub end: Position,
    /// Nothing more will ever come after `end`.
    pub finished: bool,
}

/// A range chosen for an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// End of the range, at a boundary of records.
    pub end: Position,
    /// Bytes in it, about.
    pub bytes: u64,
}

/// What a reader read.
#[derive(Clone)]
pub struct SourceBatch {
    /// The rows, in order of position, with the columns that were asked for.
    pub rows: RecordBatch,
    /// Records among them that are not rows, in order of position.
    pub bad: Vec<BadRecord>,
    /// A range of the split that holds the records of the rows and the bad ones, and no
    /// others.
    pub positions: Range<Position>,
    /// The records, to look at one again whose row turns out to be of no use. `None` where
    /// rows come from no records, as those of a generator: row `n` is at position
    /// `positions.start + n`.
    pub records: Option<RawRecordsRef>,
}

impl fmt::Debug for SourceBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBatch")
            .field("rows", &self.rows)
            .field("bad", &self.bad)
            .field("positions", &self.positions)
            .finish_non_exhaustive()
    }
}

/// Receives what a reader reads; an error of it ends the reading and is passed on.
pub type BatchSink<'a> = dyn FnMut(SourceBatch) -> Result<()> + 'a;

/// Reads one split.
pub trait SplitReader: Send {
    /// How far the split can be read now. For a topic the last stable offset.
    ///
    /// # Errors
    /// Whatever keeps the split from being read.
    fn available(&mut self) -> Result<Available>;

    /// Chooses where a range from `from` of about `max_bytes` ends, at most at the end
    /// of what is available; at least one record where there is one.
    ///
    /// # Errors
    /// Whatever keeps the split from being read.
    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut>;

    /// Reads the records of `from..to` in order, at most `batch_rows` a batch. What
    /// comes out, batch boundaries too, depends on nothing but the range.
    ///
    /// # Errors
    /// Whatever keeps the range from being read as it was: missing or changed input is
    /// [`crate::StreamError::Incompatible`]. A record that cannot be decoded is no error.
    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()>;
}

/// A source of rows.
pub trait Source: Send + Sync {
    /// The splits as of now, sorted by id. Splits may be added later, never removed.
    ///
    /// # Errors
    /// Whatever keeps them from being listed.
    fn splits(&self) -> Result<Vec<SplitInfo>>;

    /// Says that the job has this split already, as it says of each before it asks for
    /// more: a job that goes on has those of its past. Splits that are listed from then on
    /// and are not among them came later, and start at their beginning.
    fn known(&self, _split: &SplitInfo) {}

    /// A reader of a split.
    ///
    /// # Errors
    /// [`crate::StreamError::Incompatible`] where the split's fingerprint is not that of `split`.
    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>>;

    /// Whether the source ends by itself.
    fn is_bounded(&self) -> bool;

    /// Asks to be called when more may be available. `None`: the driver has to look.
    fn watch(&self, waker: Waker) -> Option<Watch>;

    /// At which wall time more becomes available without any outside event, such as the
    /// next row of a generator with a rate.
    fn next_due(&self, _now: Millis) -> Option<Millis> {
        None
    }

    /// Keeps what stands at or after `from` readable on behalf of `holder`, against
    /// retention; `None` lets go.
    fn pin(&self, _split: &SplitInfo, _holder: &str, _from: Option<Position>) {}

    /// Publishes the job's committed positions where the outside looks for them, such as
    /// the offsets of a consumer group of the job's name. Best effort.
    fn publish_positions(&self, _group: &str, _positions: &[(String, Position)]) {}
}

/// A shared source.
pub type SourceRef = Arc<dyn Source>;

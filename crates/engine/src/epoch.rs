//! What an epoch is: everything from outside that decides its result.

use thalweg_core::ids::{Epoch, Offset};
use thalweg_core::time::Millis;
use thalweg_stream::source::Position;

use crate::journal::EpochEntry;

/// Number of a split in its job: its place in the order of `NewSplit` events.
pub(crate) type SplitIndex = usize;

/// A decision from outside, recorded in the epoch in which it takes effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A split appeared. Its index is the number of splits before it.
    NewSplit {
        /// Place of the source among the job's sources.
        source: usize,
        /// Name of the split in its source.
        id: String,
        /// What tells it from another split of the name.
        fingerprint: String,
        /// Where reading starts.
        start: Position,
        /// Where it ends for good, if that is known.
        end: Option<Position>,
    },
    /// A split no longer holds the watermark back, until it gives something.
    Idle(SplitIndex),
    /// A split is read to its end; takes effect at the end of the epoch.
    EndOfSplit(SplitIndex),
    /// Everything of a split up to a position is passed over, unread.
    Skip {
        /// The split.
        split: SplitIndex,
        /// Where reading goes on.
        to: Position,
    },
}

/// A range of a split that belongs to an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SplitRange {
    /// The split.
    pub split: SplitIndex,
    /// First position.
    pub from: Position,
    /// Position after the last.
    pub to: Position,
    /// Bytes in it, about; for budgets only.
    pub bytes: u64,
}

/// An epoch as it was cut. Given the journal's header, all else follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EpochInput {
    /// Its number.
    pub epoch: Epoch,
    /// "Now".
    pub now: Millis,
    /// The last one: every input has ended.
    pub last: bool,
    /// What happened before it, in order.
    pub events: Vec<Event>,
    /// What is read, by split, ascending.
    pub ranges: Vec<SplitRange>,
}

impl EpochInput {
    /// Bytes of input, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.bytes).sum()
    }
}

/// An epoch on its way through the job.
#[derive(Debug)]
pub(crate) struct EpochPlan {
    /// What decides its result.
    pub input: EpochInput,
    /// Every unit exports its state at its end.
    pub snapshot: bool,
    /// Its journal entry, where it is replayed.
    pub recorded: Option<Box<EpochEntry>>,
    /// Offset behind that entry.
    pub journal_next: Offset,
}

impl EpochPlan {
    /// Its number.
    pub(crate) fn epoch(&self) -> Epoch {
        self.input.epoch
    }
}

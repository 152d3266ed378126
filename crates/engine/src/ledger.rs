//! What all committed epochs together come to: positions, watermarks, sequences, totals.
//!
//! The fold of the journal. It is what a snapshot keeps besides state, and what status
//! shows.

use std::collections::BTreeMap;

use thalweg_core::ids::{Epoch, Offset};
use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::source::{Position, SplitInfo};

use crate::epoch::{EpochInput, Event, SplitIndex};
use crate::error::{JobError, Result};
use crate::status::Totals;
use crate::watermark::ChannelEnd;

/// A split and how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SplitState {
    /// Number of its source.
    pub source: usize,
    /// The split as it was found.
    pub info: SplitInfo,
    /// End of what was read.
    pub position: Position,
    /// Its watermark.
    pub watermark: Millis,
    /// It holds nothing back.
    pub idle: bool,
    /// It is read to its end.
    pub finished: bool,
}

/// Where a kept snapshot stands: what has to stay readable for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PinPoint {
    /// Its epoch.
    pub epoch: Epoch,
    /// Offset of the journal entry behind it.
    pub journal: Offset,
    /// Positions of the splits there were, by split.
    pub positions: Vec<Position>,
}

impl PinPoint {
    /// The start of a job: everything is needed.
    pub(crate) fn start() -> Self {
        Self { epoch: Epoch(0), journal: 0, positions: Vec::new() }
    }
}

/// The fold of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ledger {
    /// The last epoch in it.
    pub epoch: Epoch,
    /// Its time.
    pub now: Millis,
    /// It was the last one of a bounded input.
    pub finished: bool,
    /// All splits.
    pub splits: Vec<SplitState>,
    /// Where each subtask of each stage stands; nothing for source stages.
    pub subtasks: Vec<Vec<ChannelEnd>>,
    /// Records published, by sink and partition.
    pub sequences: BTreeMap<(usize, i32), u64>,
    /// Rows.
    pub totals: Totals,
    /// Offset of the journal entry that comes next.
    pub journal: Offset,
    /// Snapshots that may be needed, oldest first.
    pub pins: Vec<PinPoint>,
}

impl Ledger {
    /// Before the first epoch, for stages with these numbers of subtasks (0 for a source's).
    pub(crate) fn new(subtasks: &[usize]) -> Self {
        let start = ChannelEnd { watermark: MIN_WATERMARK, idle: false };
        Self {
            epoch: Epoch(0),
            now: 0,
            finished: false,
            splits: Vec::new(),
            subtasks: subtasks.iter().map(|&number| vec![start; number]).collect(),
            sequences: BTreeMap::new(),
            totals: Totals::default(),
            journal: 0,
            pins: Vec::new(),
        }
    }

    /// Adds the decisions of the next epoch. Whoever only decides needs no more.
    ///
    /// # Errors
    /// [`JobError::Corrupt`] where it does not follow.
    pub(crate) fn apply(&mut self, input: &EpochInput) -> Result<()> {
        let damaged =
            |detail: String| JobError::Corrupt(format!("epoch {}: {detail}", input.epoch));
        if input.epoch != self.epoch.next() {
            return Err(damaged(format!("it follows epoch {}", self.epoch)));
        }
        self.epoch = input.epoch;
        self.now = input.now;
        self.finished |= input.last;
        let unknown = |split: SplitIndex| damaged(format!("split {split} is not known"));
        for event in &input.events {
            match event {
                Event::NewSplit { source, id, fingerprint, start, end } => {
                    let (id, fingerprint) = (id.clone(), fingerprint.clone());
                    self.splits.push(SplitState {
                        source: *source,
                        info: SplitInfo { id, fingerprint, start: *start, end: *end },
                        position: *start,
                        watermark: MIN_WATERMARK,
                        idle: false,
                        finished: false,
                    });
                }
                Event::Idle(split) => {
                    self.splits.get_mut(*split).ok_or_else(|| unknown(*split))?.idle = true;
                }
                Event::EndOfSplit(split) => {
                    self.splits.get_mut(*split).ok_or_else(|| unknown(*split))?.finished = true;
                }
                Event::Skip { split, to } => {
                    self.splits.get_mut(*split).ok_or_else(|| unknown(*split))?.position = *to;
                }
            }
        }
        for range in &input.ranges {
            let split = self.splits.get_mut(range.split).ok_or_else(|| unknown(range.split))?;
            if split.position != range.from || range.to < range.from {
                return Err(damaged(format!(
                    "it reads {}..{} of split {}, which is at {}",
                    range.from, range.to, split.info.id, split.position
                )));
            }
            split.position = range.to;
            split.idle = false;
        }
        Ok(())
    }

    /// Moves watermarks to the end of the epoch that was applied last.
    pub(crate) fn move_watermarks(
        &mut self,
        splits: impl IntoIterator<Item = (SplitIndex, Millis)>,
        subtasks: impl IntoIterator<Item = (usize, usize, ChannelEnd)>,
    ) {
        for (split, watermark) in splits {
            let state = &mut self.splits[split];
            state.watermark = state.watermark.max(watermark);
        }
        for split in self.splits.iter_mut().filter(|split| split.finished) {
            split.watermark = MAX_WATERMARK;
        }
        for (stage, subtask, end) in subtasks {
            self.subtasks[stage][subtask] = end;
        }
    }

    /// The smallest watermark of all subtasks; of the splits, where there are no others.
    pub(crate) fn watermark(&self) -> Millis {
        let subtasks = self.subtasks.iter().flatten().map(|end| end.watermark);
        let splits = self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark);
        subtasks.min().or_else(|| splits.min()).unwrap_or(MIN_WATERMARK)
    }

    /// Counts the snapshot that this ledger was read from among those that are kept: when
    /// it was written, it did not stand yet.
    pub(crate) fn add_own_pin(&mut self) {
        let own = self.pin_point();
        if self.pins.last() != Some(&own) {
            self.pins.push(own);
        }
    }

    /// What a snapshot of now needs.
    pub(crate) fn pin_point(&self) -> PinPoint {
        PinPoint {
            epoch: self.epoch,
            journal: self.journal,
            positions: self.splits.iter().map(|split| split.position).collect(),
        }
    }
}

//! Spreading the rows of a subtask over the subtasks of a consumer.

use std::sync::Arc;

use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::graph::Exchange;
use thalweg_stream::{ChangeBatch, Marks};

use super::buffer::{EdgeBudget, EdgeBuffer};
use super::spill::SpillWriter;
use crate::error::Result;
use crate::key::partition_batch;

/// What one channel moved over one edge in one epoch: a buffer for each downstream
/// subtask. The channel is a split for a source, else the upstream subtask.
#[derive(Debug)]
pub(crate) struct EdgeRun {
    /// Number of the channel among those of its edge.
    pub channel: usize,
    /// By downstream subtask.
    pub buffers: Vec<EdgeBuffer>,
}

/// The upstream end of an edge, for one subtask.
#[derive(Debug)]
pub(crate) struct EdgeWriter {
    exchange: Exchange,
    subtask: usize,
    downstream: usize,
    key_groups: u16,
    budget: Arc<EdgeBudget>,
    /// Of the current epoch.
    spill: SpillWriter,
    runs: Vec<EdgeRun>,
    /// Marks that wait for a row, by downstream subtask.
    waiting: Vec<Millis>,
}

impl EdgeWriter {
    pub(crate) fn new(
        exchange: Exchange,
        subtask: usize,
        downstream: usize,
        key_groups: u16,
        budget: Arc<EdgeBudget>,
    ) -> Self {
        Self {
            exchange,
            subtask,
            downstream,
            key_groups,
            budget,
            spill: SpillWriter::default(),
            runs: Vec::new(),
            waiting: vec![MIN_WATERMARK; downstream],
        }
    }

    /// Starts what a channel moves.
    pub(crate) fn start_run(&mut self, channel: usize) {
        let buffers = (0..self.downstream).map(|_| EdgeBuffer::default()).collect();
        self.runs.push(EdgeRun { channel, buffers });
        self.waiting.fill(MIN_WATERMARK);
    }

    /// Adds a batch to the current run.
    pub(crate) fn push(&mut self, batch: &ChangeBatch) -> Result<()> {
        match &self.exchange {
            Exchange::Forward => self.give(self.subtask, batch.clone()),
            Exchange::Single => self.give(0, batch.clone()),
            Exchange::Hash(_) if self.downstream == 1 => self.give(0, batch.clone()),
            Exchange::Hash(columns) => {
                let parts = partition_batch(batch, columns, self.key_groups, self.downstream)?;
                for (subtask, part) in parts.into_iter().enumerate() {
                    if let Some(part) = part {
                        self.give(subtask, part)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Gives a batch to a subtask, after the marks of batches that had no row for it.
    fn give(&mut self, subtask: usize, mut batch: ChangeBatch) -> Result<()> {
        let waiting = &mut self.waiting[subtask];
        if batch.num_rows() == 0 {
            *waiting = batch.marks.last().map_or(*waiting, |last| last.max(*waiting));
            return Ok(());
        }
        if *waiting > MIN_WATERMARK {
            let mut marks = Marks::none();
            marks.push(0, *waiting);
            batch.marks.iter().for_each(|(row, watermark)| marks.push(row, watermark));
            batch.marks = marks;
            *waiting = MIN_WATERMARK;
        }
        let Some(run) = self.runs.last_mut() else { return Ok(()) };
        run.buffers[subtask].push(batch, &self.budget, &mut self.spill)
    }

    /// Ends the epoch and gives what it moved. Marks that still wait are covered by the
    /// channel's watermark at the end.
    pub(crate) fn finish_epoch(&mut self) -> Vec<EdgeRun> {
        self.spill = SpillWriter::default();
        std::mem::take(&mut self.runs)
    }
}

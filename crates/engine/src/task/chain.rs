//! The chained steps of a subtask: a tree that a batch runs down without a queue.

use std::sync::Arc;

use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::sink::SinkWriter;
use thalweg_stream::source::{BadRecord, Position};
use thalweg_stream::{ChangeBatch, StreamError};
use xxhash_rust::xxh3::xxh3_64;

use super::isolate;
use super::output::{ChunkBody, StateBatch, UnitChunk, UnitOutput, bad_batch, late_batch};
use crate::epoch::EpochPlan;
use crate::error::Result;
use crate::exchange::EdgeWriter;
use crate::operator::{Collector, Operator, OperatorContext};
use crate::staging::Staging;

/// One output of a subtask, with what it wrote in this epoch.
pub(super) struct Writer {
    pub(super) sink: usize,
    pub(super) writer: Box<dyn SinkWriter>,
}

/// What a slot of the chain does.
pub(super) enum Body {
    /// The head of a source stage: rows come from outside.
    Source,
    Operator {
        operator: Box<dyn Operator>,
        collector: Collector,
        watermark: Millis,
    },
    Sink(Writer),
    View {
        view: usize,
    },
}

/// A node in the chain.
pub(super) struct ChainSlot {
    pub(super) uid: String,
    pub(super) body: Body,
    /// Late rows of the step, or bad records of the source.
    pub(super) side: Option<Writer>,
    pub(super) children: Vec<usize>,
    /// Out edges of the stage that start here.
    pub(super) edges: Vec<usize>,
}

/// How much output may stand where.
#[derive(Clone)]
pub(super) struct OutputLimits {
    pub(super) staging: Arc<Staging>,
    pub(super) writer_bytes: usize,
    pub(super) inline_bytes: usize,
}

/// The steps of one subtask.
pub(super) struct Chain {
    pub(super) subtask: usize,
    pub(super) slots: Vec<ChainSlot>,
    pub(super) edges: Vec<EdgeWriter>,
    pub(super) context: OperatorContext,
    pub(super) limits: OutputLimits,
    /// In a source stage: the split that is read, and where its range starts.
    pub(super) origin: Option<(String, Position)>,
    /// Of the current epoch.
    pub(super) output: UnitOutput,
}

impl Chain {
    /// Starts an epoch.
    pub(super) fn start_epoch(&mut self, plan: &EpochPlan) {
        self.context.epoch = plan.input.epoch;
        self.context.now = plan.input.now;
        self.output = UnitOutput::default();
        if !matches!(self.slots[0].body, Body::Source) {
            self.start_run(self.subtask);
        }
    }

    /// "Now" of the epoch.
    pub(super) fn now(&self) -> Millis {
        self.context.now
    }

    /// Starts a range of a split.
    pub(super) fn start_range(&mut self, split: usize, id: &str, from: Position) {
        self.origin = Some((id.to_owned(), from));
        self.start_run(split);
    }

    /// Starts what a channel moves over the out edges.
    fn start_run(&mut self, channel: usize) {
        self.edges.iter_mut().for_each(|edge| edge.start_run(channel));
    }

    /// Hands rows of the source to the steps behind it.
    pub(super) fn emit_first(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.emit(0, batch)
    }

    /// Hands a batch of the merged input to the head. `watermark` holds before it.
    pub(super) fn accept_first(&mut self, batch: &ChangeBatch, watermark: Millis) -> Result<()> {
        if let Body::Operator { watermark: before, .. } = &mut self.slots[0].body {
            *before = watermark.max(*before);
        }
        self.accept(0, batch)
    }

    /// Counts what a range gave, and keeps its bad records.
    pub(super) fn count_source(&mut self, rows: u64, bad: &[BadRecord]) -> Result<()> {
        self.output.totals.rows_in += rows + bad.len() as u64;
        self.output.totals.bad += bad.len() as u64;
        if bad.is_empty() { Ok(()) } else { self.write_side(0, &bad_batch(bad)?) }
    }

    fn accept(&mut self, slot: usize, batch: &ChangeBatch) -> Result<()> {
        match &mut self.slots[slot].body {
            Body::Source => self.emit(slot, batch),
            Body::Operator { operator, collector, watermark } => {
                match operator.process(batch, *watermark, &self.context, collector) {
                    Ok(()) => {
                        if let Some(last) = batch.marks.last() {
                            *watermark = last.max(*watermark);
                        }
                        self.drain(slot)
                    }
                    Err(error @ StreamError::Evaluation { .. }) if self.origin.is_some() => {
                        collector.batches.clear();
                        collector.late.clear();
                        self.accept_without(slot, batch, &error)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Body::Sink(writer) => {
                if batch.num_rows() == 0 {
                    return Ok(());
                }
                self.output.totals.rows_out += batch.num_rows() as u64;
                writer.writer.write(batch)?;
                take_if_full(writer, self.subtask, &self.limits, &mut self.output.chunks)
            }
            Body::View { view } => {
                if batch.num_rows() > 0 {
                    self.output.totals.rows_out += batch.num_rows() as u64;
                    match self.output.views.iter_mut().find(|(of, _)| of == view) {
                        Some((_, changes)) => changes.push(batch.clone()),
                        None => self.output.views.push((*view, vec![batch.clone()])),
                    }
                }
                Ok(())
            }
        }
    }

    /// Hands a batch on which an expression failed to a step without state once more, but
    /// for the row that failed, which becomes a bad record.
    fn accept_without(
        &mut self,
        slot: usize,
        batch: &ChangeBatch,
        error: &StreamError,
    ) -> Result<()> {
        let [before, failed, after] = isolate::around(batch.num_rows(), error);
        if !before.is_empty() {
            self.accept(slot, &isolate::slice(batch, &before, 0))?;
        }
        if failed.len() == 1 {
            let (split, from) = self.origin.clone().unwrap_or_default();
            let reason = error.to_string();
            let bad = isolate::describe(&batch.rows, failed.start, reason, &split, from)?;
            self.output.totals.bad += 1;
            self.write_side(0, &bad_batch(&[bad])?)?;
        }
        if !after.is_empty() {
            self.accept(slot, &isolate::slice(batch, &after, before.end))?;
        }
        Ok(())
    }

    /// Passes on what an operator gave.
    fn drain(&mut self, slot: usize) -> Result<()> {
        let Body::Operator { collector, .. } = &mut self.slots[slot].body else { return Ok(()) };
        let late = std::mem::take(&mut collector.late);
        let mut batches = std::mem::take(&mut collector.batches);
        for late in &late {
            self.output.totals.late += late.rows.num_rows() as u64;
            self.write_side(slot, &late_batch(late)?)?;
        }
        for batch in batches.drain(..) {
            if batch.num_rows() > 0 || !batch.marks.is_empty() {
                self.emit(slot, &batch)?;
            }
        }
        // Its memory is used again.
        if let Body::Operator { collector, .. } = &mut self.slots[slot].body {
            collector.batches = batches;
        }
        Ok(())
    }

    fn emit(&mut self, slot: usize, batch: &ChangeBatch) -> Result<()> {
        for place in 0..self.slots[slot].children.len() {
            let child = self.slots[slot].children[place];
            self.accept(child, batch)?;
        }
        for place in 0..self.slots[slot].edges.len() {
            let edge = self.slots[slot].edges[place];
            self.edges[edge].push(batch)?;
        }
        Ok(())
    }

    /// Writes to the side output of a slot, where somebody wants it.
    fn write_side(&mut self, slot: usize, batch: &ChangeBatch) -> Result<()> {
        let Some(writer) = &mut self.slots[slot].side else { return Ok(()) };
        writer.writer.write(batch)?;
        take_if_full(writer, self.subtask, &self.limits, &mut self.output.chunks)
    }

    /// Ends the epoch at a watermark: fires what is due, from the head down, then takes
    /// what writers and edges hold.
    pub(super) fn finish_epoch(&mut self, watermark: Millis) -> Result<UnitOutput> {
        for slot in 0..self.slots.len() {
            if let Body::Operator { operator, collector, watermark: current } =
                &mut self.slots[slot].body
            {
                *current = watermark.max(*current);
                operator.finish_epoch(watermark, &self.context, collector)?;
                self.drain(slot)?;
            }
        }
        for slot in &mut self.slots {
            let own = match &mut slot.body {
                Body::Sink(writer) => Some(writer),
                _ => None,
            };
            for writer in own.into_iter().chain(&mut slot.side) {
                take_chunks(writer, self.subtask, &self.limits, false, &mut self.output.chunks)?;
            }
        }
        // Stable: chunks of one sink stay in the order in which they were written.
        self.output.chunks.sort_by_key(|chunk| chunk.sink);
        self.output.edges = self.edges.iter_mut().map(EdgeWriter::finish_epoch).collect();
        Ok(std::mem::take(&mut self.output))
    }

    /// The state of all steps.
    pub(super) fn snapshot(&self) -> Result<Vec<StateBatch>> {
        let mut state = Vec::new();
        for slot in &self.slots {
            let Body::Operator { operator, .. } = &slot.body else { continue };
            for (name, rows) in operator.snapshot()? {
                state.push(StateBatch { uid: slot.uid.clone(), subtask: self.subtask, name, rows });
            }
        }
        Ok(state)
    }

    /// The earliest processing-time timer.
    pub(super) fn next_timer(&self) -> Option<Millis> {
        let operators = self.slots.iter().filter_map(|slot| match &slot.body {
            Body::Operator { operator, .. } => operator.next_timer(),
            _ => None,
        });
        operators.min()
    }

    /// Sets the watermark before the first epoch.
    pub(super) fn set_watermark(&mut self, watermark: Millis) {
        for slot in &mut self.slots {
            if let Body::Operator { watermark: current, .. } = &mut slot.body {
                *current = watermark;
            }
        }
    }

    /// A slot's operator, by the uid of its node.
    pub(super) fn operator(&mut self, uid: &str) -> Option<(&mut dyn Operator, &OperatorContext)> {
        let slot = self.slots.iter_mut().find(|slot| slot.uid == uid)?;
        match &mut slot.body {
            Body::Operator { operator, .. } => Some((&mut **operator, &self.context)),
            _ => None,
        }
    }
}

/// A new operator of the chain.
pub(super) fn operator_body(operator: Box<dyn Operator>) -> Body {
    Body::Operator { operator, collector: Collector::default(), watermark: MIN_WATERMARK }
}

/// Takes the chunks of a writer that holds too much. It depends on rows alone when this
/// happens, so replay gives the same chunks.
fn take_if_full(
    writer: &mut Writer,
    subtask: usize,
    limits: &OutputLimits,
    chunks: &mut Vec<UnitChunk>,
) -> Result<()> {
    if writer.writer.buffered_bytes() > limits.writer_bytes {
        take_chunks(writer, subtask, limits, true, chunks)?;
    }
    Ok(())
}

fn take_chunks(
    writer: &mut Writer,
    subtask: usize,
    limits: &OutputLimits,
    mut stage: bool,
    chunks: &mut Vec<UnitChunk>,
) -> Result<()> {
    let taken = writer.writer.finish_epoch()?;
    let total: usize = taken.iter().map(|chunk| chunk.bytes.len()).sum();
    stage |= total > limits.inline_bytes;
    for chunk in taken {
        let body = if stage {
            ChunkBody::Staged(limits.staging.append(&chunk.bytes)?)
        } else {
            ChunkBody::Memory(chunk.bytes.clone())
        };
        chunks.push(UnitChunk {
            sink: writer.sink,
            subtask,
            partition: chunk.partition,
            count: chunk.count,
            len: chunk.bytes.len() as u64,
            hash: xxh3_64(&chunk.bytes),
            body,
        });
    }
    Ok(())
}

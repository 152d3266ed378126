//! The chained steps of a subtask: a tree that a batch runs down without a queue.

use arrow_array::RecordBatch;
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::source::SourceBatch;
use thalweg_stream::{ChangeBatch, StreamError};

use super::bad::{BadRow, bad_records, describe};
use super::isolate;
use super::lineage::Lineage;
use super::output::{StateBatch, UnitOutput, bad_batch, late_batch};
use super::writer::{OutputLimits, Writer};
use crate::epoch::EpochPlan;
use crate::error::Result;
use crate::exchange::EdgeWriter;
use crate::operator::{Collector, Operator, OperatorContext};

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

/// What a source stage reads.
pub(super) struct Reading {
    split: String,
    /// Whether rows come from no records, so that a bad one has to be shown.
    describe: bool,
    /// Rows of the batch that was read last that turned out to be bad.
    bad: Vec<BadRow>,
}

/// The steps of one subtask.
pub(super) struct Chain {
    pub(super) subtask: usize,
    pub(super) slots: Vec<ChainSlot>,
    pub(super) edges: Vec<EdgeWriter>,
    pub(super) context: OperatorContext,
    pub(super) limits: OutputLimits,
    /// In a source stage: what is read.
    pub(super) reading: Option<Reading>,
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
    pub(super) fn start_range(&mut self, split: usize, id: &str) {
        self.reading = Some(Reading { split: id.to_owned(), describe: false, bad: Vec::new() });
        self.start_run(split);
    }

    /// Starts what a channel moves over the out edges.
    fn start_run(&mut self, channel: usize) {
        self.edges.iter_mut().for_each(|edge| edge.start_run(channel));
    }

    /// Starts a batch of the source.
    pub(super) fn start_source_batch(&mut self, batch: &SourceBatch) {
        if let Some(reading) = &mut self.reading {
            reading.describe = batch.records.is_none();
        }
    }

    /// Ends a batch of the source: counts it, and writes its bad records.
    pub(super) fn finish_source_batch(&mut self, mut batch: SourceBatch) -> Result<()> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        self.output.totals.rows_in += (batch.rows.num_rows() + batch.bad.len()) as u64;
        let rows = std::mem::take(&mut reading.bad);
        let bad = bad_records(&mut batch, &reading.split, rows)?;
        self.output.totals.bad += bad.len() as u64;
        if bad.is_empty() { Ok(()) } else { self.write_side(0, &bad_batch(&bad)?) }
    }

    /// Hands rows of the source to the steps behind it.
    pub(super) fn emit_first(&mut self, batch: &ChangeBatch, lineage: &Lineage<'_>) -> Result<()> {
        self.emit(0, batch, lineage)
    }

    /// Hands a batch of one of the head's inputs to it. `watermark` holds before it.
    pub(super) fn accept_first(
        &mut self,
        input: usize,
        batch: &ChangeBatch,
        watermark: Millis,
    ) -> Result<()> {
        if let Body::Operator { watermark: before, .. } = &mut self.slots[0].body {
            *before = watermark.max(*before);
            if let Some(error) = self.step(0, input, batch, &Lineage::Unknown)? {
                return Err(error.into());
            }
            return Ok(());
        }
        self.accept(0, batch, &Lineage::Unknown)
    }

    /// Notes a row of a batch that step `slot` could not take. `row` is of the batch's rows.
    pub(super) fn refuse(
        &mut self,
        slot: usize,
        rows: &RecordBatch,
        row: usize,
        lineage: &Lineage<'_>,
        reason: String,
    ) -> Result<()> {
        let operator = |slot: usize| match &self.slots[slot].body {
            Body::Operator { operator, .. } => Some(&**operator),
            _ => None,
        };
        let source_row = lineage.source_row(row, &operator, &self.context)?;
        let Some(reading) = &mut self.reading else { return Ok(()) };
        // A step above may have made several rows of one.
        let mut same_row = reading.bad.iter().rev().take_while(|bad| bad.row == source_row);
        if source_row.is_some() && same_row.any(|bad| bad.slot == slot) {
            return Ok(());
        }
        let show = reading.describe || source_row.is_none();
        let shown = if show { describe(rows, row)? } else { String::new() };
        reading.bad.push(BadRow { row: source_row, slot, reason, shown });
        Ok(())
    }

    fn accept(&mut self, slot: usize, batch: &ChangeBatch, lineage: &Lineage<'_>) -> Result<()> {
        match &mut self.slots[slot].body {
            Body::Source => self.emit(slot, batch, lineage),
            Body::Operator { .. } => match self.step(slot, 0, batch, lineage)? {
                None => Ok(()),
                Some(error) => self.step_without(slot, batch, error, lineage),
            },
            Body::Sink(writer) => {
                if batch.num_rows() == 0 {
                    return Ok(());
                }
                self.output.totals.rows_out += batch.num_rows() as u64;
                writer.write(batch, &self.limits, &mut self.output.chunks)
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

    /// Hands a batch to an operator and what it gives to those behind it. Gives the error
    /// where an expression failed on a row and the step can be asked again for the others:
    /// those of source stages have no state.
    fn step(
        &mut self,
        slot: usize,
        input: usize,
        batch: &ChangeBatch,
        lineage: &Lineage<'_>,
    ) -> Result<Option<StreamError>> {
        let Body::Operator { operator, collector, watermark } = &mut self.slots[slot].body else {
            return Ok(None);
        };
        match operator.process(input, batch, *watermark, &self.context, collector) {
            Ok(()) => {
                if let Some(last) = batch.marks.last() {
                    *watermark = last.max(*watermark);
                }
                self.drain(slot, &Lineage::step(slot, batch, lineage))?;
                Ok(None)
            }
            Err(error @ StreamError::Evaluation { .. }) if self.reading.is_some() => {
                collector.batches.clear();
                collector.late.clear();
                Ok(Some(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a batch on which an expression failed to the operator once more, but for the
    /// rows on which it fails.
    fn step_without(
        &mut self,
        slot: usize,
        batch: &ChangeBatch,
        error: StreamError,
        lineage: &Lineage<'_>,
    ) -> Result<()> {
        // What is left of the batch, and which of its rows that is.
        let mut rest = batch.clone();
        let mut numbers: Vec<u32> = (0..batch.num_rows() as u32).collect();
        let mut failed_with = Some(error);
        while let Some(error) = failed_with {
            let of_rest = Lineage::Kept { of: lineage, kept: &numbers };
            let Some(refused) = isolate::refusals(rest.num_rows(), error)? else {
                for half in isolate::halves(rest.num_rows()) {
                    let of_half = Lineage::Slice { of: &of_rest, first: half.start };
                    self.accept(slot, &isolate::slice(&rest, &half), &of_half)?;
                }
                return Ok(());
            };
            let others = isolate::others(rest.num_rows(), &refused);
            for (row, reason) in refused {
                self.refuse(slot, &rest.rows, row, &of_rest, reason)?;
            }
            let kept = others.iter().map(|&row| numbers[row as usize]).collect();
            // Marks go on where no row does.
            rest = rest.take(others)?;
            numbers = kept;
            let of_rest = Lineage::Kept { of: lineage, kept: &numbers };
            failed_with = self.step(slot, 0, &rest, &of_rest)?;
        }
        Ok(())
    }

    /// Passes on what an operator gave.
    fn drain(&mut self, slot: usize, lineage: &Lineage<'_>) -> Result<()> {
        let Body::Operator { collector, .. } = &mut self.slots[slot].body else { return Ok(()) };
        let late = std::mem::take(&mut collector.late);
        let mut batches = std::mem::take(&mut collector.batches);
        for late in &late {
            self.output.totals.late += late.rows.num_rows() as u64;
            self.write_side(slot, &late_batch(late)?)?;
        }
        // Rows of several batches could not be told apart.
        let lineage = if batches.len() == 1 { lineage } else { &Lineage::Unknown };
        for batch in batches.drain(..) {
            if batch.num_rows() > 0 || !batch.marks.is_empty() {
                self.emit(slot, &batch, lineage)?;
            }
        }
        // Its memory is used again.
        if let Body::Operator { collector, .. } = &mut self.slots[slot].body {
            collector.batches = batches;
        }
        Ok(())
    }

    fn emit(&mut self, slot: usize, batch: &ChangeBatch, lineage: &Lineage<'_>) -> Result<()> {
        for place in 0..self.slots[slot].children.len() {
            let child = self.slots[slot].children[place];
            self.accept(child, batch, lineage)?;
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
        writer.write(batch, &self.limits, &mut self.output.chunks)
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
                self.drain(slot, &Lineage::Unknown)?;
            }
        }
        for slot in &mut self.slots {
            let own = match &mut slot.body {
                Body::Sink(writer) => Some(writer),
                _ => None,
            };
            for writer in own.into_iter().chain(&mut slot.side) {
                writer.take_chunks(&self.limits, false, &mut self.output.chunks)?;
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

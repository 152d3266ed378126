//! The head of a source stage: reads ranges, computes columns, marks the watermark.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use thalweg_core::time::Millis;
use thalweg_stream::expression::EvalContext;
use thalweg_stream::graph::SourceNode;
use thalweg_stream::source::{SourceBatch, SourceRef, SplitInfo, SplitReader};
use thalweg_stream::{ChangeBatch, Marks, StreamError};

use super::chain::Chain;
use super::isolate;
use super::lineage::Lineage;
use crate::epoch::{EpochPlan, Event, SplitIndex, SplitRange};
use crate::error::{JobError, Result};
use crate::watermark::{Generator, Refused};

/// Which of the job's splits are this source's, and how they are read.
pub(super) struct SourceTask {
    pub(super) source: SourceRef,
    /// Number of the source.
    pub(super) number: usize,
    pub(super) node: SourceNode,
    pub(super) schema: SchemaRef,
    pub(super) subtask: usize,
    pub(super) parallelism: usize,
    pub(super) batch_rows: usize,
    pub(super) interval: Millis,
    pub(super) max_future: Option<Millis>,
    /// All splits of the job; those of other sources are left out.
    pub(super) splits: Vec<Option<SplitInfo>>,
    pub(super) readers: HashMap<SplitIndex, Box<dyn SplitReader>>,
}

impl SourceTask {
    /// Reads the ranges of an epoch that fall to this subtask. Gives the highest watermark
    /// in each of them.
    pub(super) fn run(
        &mut self,
        plan: &EpochPlan,
        chain: &mut Chain,
    ) -> Result<Vec<(SplitIndex, Millis)>> {
        for event in &plan.input.events {
            if let Event::NewSplit { source, id, fingerprint, start, end } = event {
                let info = SplitInfo {
                    id: id.clone(),
                    fingerprint: fingerprint.clone(),
                    start: *start,
                    end: *end,
                };
                self.splits.push((*source == self.number).then_some(info));
            }
        }
        let mut highest = Vec::new();
        for range in &plan.input.ranges {
            let turn = (range.split as u64).wrapping_add(plan.input.epoch.0);
            let mine = turn % self.parallelism as u64 == self.subtask as u64;
            if mine && self.splits.get(range.split).is_some_and(Option::is_some) {
                highest.push((range.split, self.read(range, chain)?));
            }
        }
        for event in &plan.input.events {
            if let Event::EndOfSplit(split) = event {
                self.readers.remove(split);
            }
        }
        Ok(highest)
    }

    fn read(&mut self, range: &SplitRange, chain: &mut Chain) -> Result<Millis> {
        let Some(Some(split)) = self.splits.get(range.split) else {
            return Err(JobError::Internal(format!("split {} is not known", range.split)));
        };
        let reader = match self.readers.entry(range.split) {
            std::collections::hash_map::Entry::Occupied(reader) => reader.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.source.open(split)?)
            }
        };
        chain.start_range(range.split, &split.id);
        let mut rows = RangeRows {
            node: &self.node,
            schema: &self.schema,
            context: EvalContext { now: chain.now() },
            generator: self
                .node
                .watermark
                .as_ref()
                .map(|spec| Generator::new(spec, self.interval, self.max_future)),
        };
        // An error of the engine's own is carried past the reader, which knows only its kind.
        let mut failed = None;
        let read = reader.read(range.from, range.to, self.batch_rows, &mut |batch| {
            rows.take(batch, chain).map_err(|error| match error {
                JobError::Stream(error) => error,
                other => {
                    let passed_on = StreamError::Internal(other.to_string());
                    failed = Some(other);
                    passed_on
                }
            })
        });
        match (read, failed) {
            (Err(_), Some(error)) => Err(error),
            (Err(error), None) => Err(error.into()),
            (Ok(()), _) => Ok(rows.generator.map_or(Millis::MIN, Generator::finish)),
        }
    }
}

/// The rows of one range on their way into the chain.
struct RangeRows<'a> {
    node: &'a SourceNode,
    schema: &'a SchemaRef,
    context: EvalContext,
    generator: Option<Generator<'a>>,
}

impl RangeRows<'_> {
    fn take(&mut self, batch: SourceBatch, chain: &mut Chain) -> Result<()> {
        chain.start_source_batch(&batch);
        self.take_rows(batch.rows.clone(), Numbers::default(), chain)?;
        chain.finish_source_batch(batch)
    }

    /// Prepares rows and hands them on. `numbers` are theirs among those that the source
    /// gave. Where a computed column fails on rows, those rows are bad, and the others go on.
    fn take_rows(
        &mut self,
        mut rows: RecordBatch,
        mut numbers: Numbers,
        chain: &mut Chain,
    ) -> Result<()> {
        loop {
            let error = match self.prepare(&rows, &numbers, chain) {
                Ok(Prepared { batch, kept }) => {
                    if batch.num_rows() == 0 {
                        return Ok(());
                    }
                    let numbers = kept.map(|kept| numbers.among(&kept)).unwrap_or(numbers);
                    return chain.emit_first(&batch, &numbers.lineage());
                }
                Err(JobError::Stream(error)) => error,
                Err(error) => return Err(error),
            };
            let Some(refused) = isolate::refusals(rows.num_rows(), error)? else {
                for half in isolate::halves(rows.num_rows()) {
                    let half_rows = rows.slice(half.start, half.len());
                    self.take_rows(half_rows, numbers.slice(&half), chain)?;
                }
                return Ok(());
            };
            let others = isolate::others(rows.num_rows(), &refused);
            for (row, reason) in refused {
                chain.refuse(0, &rows, row, &numbers.lineage(), reason)?;
            }
            if others.is_empty() {
                return Ok(());
            }
            numbers = numbers.among(&others);
            rows = ChangeBatch::inserts(rows).take(others)?.rows;
        }
    }

    /// The rows with their computed columns and marks, but for those without a usable event
    /// time, which are refused.
    fn prepare(
        &mut self,
        rows: &RecordBatch,
        numbers: &Numbers,
        chain: &mut Chain,
    ) -> Result<Prepared> {
        let mut rows = self.project(rows)?;
        let (mut marks, mut kept) = (Marks::none(), None);
        if let Some(generator) = &mut self.generator {
            let generated = generator.check(&rows, self.context.now)?;
            let all = rows.clone();
            if let Some(fine) = &generated.kept {
                kept = Some(fine.values().set_indices_u32().collect::<Vec<_>>());
                rows = filter_record_batch(&rows, fine).map_err(StreamError::from)?;
            }
            let generated_marks = generator.marks(&rows, &self.context);
            marks = generated_marks.map_err(|error| of_all_rows(error, kept.as_deref()))?;
            // Not before the watermark is there: rows are tried again where it fails.
            for (row, why) in generated.refused {
                let reason = match why {
                    Refused::Null => "its event time is null",
                    Refused::Future => "its event time is too far in the future",
                };
                chain.refuse(0, &all, row, &numbers.lineage(), reason.to_owned())?;
            }
        }
        Ok(Prepared { batch: ChangeBatch { rows, kinds: None, marks }, kept })
    }

    fn project(&self, rows: &RecordBatch) -> Result<RecordBatch, StreamError> {
        let columns: Result<Vec<ArrayRef>, StreamError> = self
            .node
            .projection
            .iter()
            .map(|expression| match expression.as_column() {
                Some(column) => Ok(Arc::clone(rows.column(column))),
                None => expression.evaluate(rows, &self.context),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(self.schema), columns?, &options)?)
    }
}

/// Rows that are ready for the chain.
struct Prepared {
    batch: ChangeBatch,
    /// Which of the rows they are, where not all are among them.
    kept: Option<Vec<u32>>,
}

/// Which rows of a source's batch some rows are: those from number `first` on, or of these
/// the ones in `kept`, by their numbers among them.
#[derive(Default)]
struct Numbers {
    first: usize,
    kept: Option<Vec<u32>>,
}

impl Numbers {
    fn lineage(&self) -> Lineage<'_> {
        Lineage::Read { first: self.first, kept: self.kept.as_deref() }
    }

    /// The numbers of the rows that have these numbers here.
    fn among(&self, rows: &[u32]) -> Self {
        let kept = match &self.kept {
            None => rows.to_vec(),
            Some(kept) => rows.iter().filter_map(|&row| kept.get(row as usize).copied()).collect(),
        };
        Self { first: self.first, kept: Some(kept) }
    }

    fn slice(&self, range: &Range<usize>) -> Self {
        match &self.kept {
            None => Self { first: self.first + range.start, kept: None },
            Some(kept) => Self { first: self.first, kept: Some(kept[range.clone()].to_vec()) },
        }
    }
}

/// An error that names rows among those in `kept`, with their numbers among all.
fn of_all_rows(error: StreamError, kept: Option<&[u32]>) -> StreamError {
    match (error, kept) {
        (StreamError::Evaluation { expression, detail, mut rows }, Some(kept)) => {
            for failed in &mut rows {
                failed.row = kept.get(failed.row).map_or(usize::MAX, |&row| row as usize);
            }
            StreamError::Evaluation { expression, detail, rows }
        }
        (error, _) => error,
    }
}

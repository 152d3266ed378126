//! The head of a source stage: reads ranges, computes columns, marks the watermark.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use thalweg_core::time::Millis;
use thalweg_stream::expression::EvalContext;
use thalweg_stream::graph::SourceNode;
use thalweg_stream::source::{BadRecord, SourceBatch, SourceRef, SplitInfo, SplitReader};
use thalweg_stream::{ChangeBatch, Marks, StreamError};

use super::chain::Chain;
use crate::epoch::{EpochPlan, Event, SplitIndex, SplitRange};
use crate::error::{JobError, Result};
use crate::watermark::{Generated, Generator, Refused};

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
        chain.start_run(range.split);
        let mut rows = RangeRows {
            node: &self.node,
            schema: &self.schema,
            split,
            from: range.from,
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
    split: &'a SplitInfo,
    from: u64,
    context: EvalContext,
    generator: Option<Generator<'a>>,
}

impl RangeRows<'_> {
    fn take(&mut self, batch: SourceBatch, chain: &mut Chain) -> Result<()> {
        let SourceBatch { rows, mut bad } = batch;
        let mut rows = self.project(&rows)?;
        let mut marks = Marks::none();
        if let Some(generator) = &mut self.generator {
            let Generated { kept, refused } = generator.check(&rows, self.context.now)?;
            if let Some(kept) = kept {
                bad.extend(describe(&rows, &refused, self.split, self.from)?);
                rows = filter_record_batch(&rows, &kept).map_err(StreamError::from)?;
            }
            marks = generator.marks(&rows, &self.context)?;
        }
        chain.count_source(rows.num_rows() as u64, &bad)?;
        if rows.num_rows() > 0 {
            chain.emit_first(&ChangeBatch { rows, kinds: None, marks })?;
        }
        Ok(())
    }

    fn project(&self, rows: &RecordBatch) -> Result<RecordBatch> {
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
        RecordBatch::try_new_with_options(Arc::clone(self.schema), columns?, &options)
            .map_err(|error| StreamError::from(error).into())
    }
}

/// Rows without a usable event time as bad records. The bytes they came from are gone by
/// now, so they are shown column by column, and stand at the start of their range.
fn describe(
    rows: &RecordBatch,
    refused: &[(usize, Refused)],
    split: &SplitInfo,
    position: u64,
) -> Result<Vec<BadRecord>> {
    let options = FormatOptions::default().with_null("null");
    let columns: Result<Vec<_>, _> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect();
    let columns = columns.map_err(StreamError::from)?;
    let schema = rows.schema();
    Ok(refused
        .iter()
        .map(|&(row, why)| {
            let fields = schema.fields().iter().zip(&columns);
            let shown: Vec<_> = fields
                .map(|(field, column)| format!("{}={}", field.name(), column.value(row)))
                .collect();
            BadRecord {
                key: None,
                raw: Bytes::from(shown.join(", ")),
                split: split.id.clone(),
                position,
                reason: match why {
                    Refused::Null => "its event time is null".to_owned(),
                    Refused::Future => "its event time is too far in the future".to_owned(),
                },
            }
        })
        .collect())
}

//! Aggregation over tumbling, hopping and cumulating windows.
//!
//! Rows are aggregated once, in their slice; a window that becomes complete merges its
//! slices. Results come out by window end; within a window by slice, and within a slice
//! in the order in which keys first arrived.

mod reopen;
mod results;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::error::Result;
use thalweg_stream::graph::WindowAggregate;
use thalweg_stream::window::Bounds;
use thalweg_stream::{ChangeBatch, StreamError};

use super::super::aggregate::{AggregateSet, PreparedBatch};
use super::super::keyed_state::{PROGRESS, Progress, StateLayout};
use super::super::output::Output;
use super::super::{Collector, Operator, OperatorContext};
use super::clock::WindowClock;
use super::columns::WindowColumns;
use super::describe;
use super::late::collect_late;
use super::slices::{Slice, Slices};
use super::slicing::Slicing;
use super::spans::Spans;
use crate::key::{BatchKeys, KeySpec};

/// Name of the snapshot batch of the slices.
const SLICES: &str = "slices";

/// One subtask.
pub(super) struct SlicedWindows {
    slicing: Slicing,
    clock: WindowClock,
    lateness: Millis,
    keys: KeySpec,
    aggregates: AggregateSet,
    columns: WindowColumns,
    /// Places of the results among the output's columns.
    results: Range<usize>,
    layout: StateLayout,
    slices: Slices,
    spans: Option<Spans>,
    /// Windows whose last instant is at or before this have fired.
    complete: Millis,
    /// Results, as they were given, of the fired windows that got late rows since; by end
    /// and start. `None`: there was no result.
    reopened: BTreeMap<(Millis, Millis), Option<WindowResult>>,
    output: Output,
    slots: Vec<u32>,
    numbers: Vec<u32>,
}

/// The rows that a window gives.
struct WindowResult {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl SlicedWindows {
    pub(super) fn new(
        node: &WindowAggregate,
        slicing: Slicing,
        input: &SchemaRef,
        schema: SchemaRef,
        updating: bool,
    ) -> Result<Self> {
        let results = node.keys.len()..node.keys.len() + node.aggregates.len();
        let fields = schema.fields();
        let keys = KeySpec::new(input, &node.keys, fields)?;
        let aggregates =
            AggregateSet::new(&node.aggregates, input, &fields[results.clone()], updating)?;
        let front = [("slice_start", DataType::Int64)];
        let of = describe(node, updating);
        let layout = StateLayout::new(of, &front, keys.types(), &aggregates.state_types());
        Ok(Self {
            slicing,
            clock: WindowClock(node.time),
            lateness: node.allowed_lateness,
            columns: WindowColumns::new(&schema, results.end, node.time)?,
            results,
            layout,
            keys,
            aggregates,
            slices: Slices::default(),
            spans: slicing
                .spans()
                .filter(|_| !(slicing.is_cumulating() && node.allowed_lateness == 0)),
            complete: MIN_WATERMARK,
            reopened: BTreeMap::new(),
            output: Output::new(schema),
            slots: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// The places in a batch before which a window becomes complete or too late to change,
    /// with the watermark there.
    fn steps(&self, batch: &ChangeBatch) -> Vec<(usize, Millis)> {
        let mut steps = Vec::new();
        let mut next = self.slicing.next_step(self.complete, self.lateness);
        for (row, watermark) in self.clock.marks(batch).iter() {
            if watermark >= next {
                steps.push((row, watermark));
                next = self.slicing.next_step(watermark, self.lateness);
            }
        }
        steps
    }

    /// Numbers of the rows that are late.
    fn late_rows(&self, times: &[Millis], steps: &[(usize, Millis)]) -> Vec<u32> {
        let mut late = Vec::new();
        let mut from = 0;
        let mut watermark = self.complete;
        for &(to, risen) in steps.iter().chain([&(times.len(), MAX_WATERMARK)]) {
            let threshold = self.slicing.late_before(watermark, self.lateness);
            let earliest = times[from..to].iter().copied().fold(Millis::MAX, Millis::min);
            if earliest < threshold {
                let rows = (from..to).filter(|&row| times[row] < threshold);
                late.extend(rows.map(|row| row as u32));
            }
            (from, watermark) = (to, risen);
        }
        late
    }

    /// Takes rows that are not late, firing what becomes complete before each.
    fn take_rows(
        &mut self,
        batch: &ChangeBatch,
        times: &[Millis],
        steps: &[(usize, Millis)],
    ) -> Result<()> {
        let columns = self.keys.columns_of(&batch.rows);
        let keys = self.keys.read(&columns, batch.num_rows())?;
        let prepared = self.aggregates.prepare(batch)?;
        let mut from = 0;
        for &(to, watermark) in steps {
            self.add(&keys, &prepared, times, from..to)?;
            self.advance(watermark)?;
            from = to;
        }
        self.add(&keys, &prepared, times, from..times.len())
    }

    /// Adds rows to their slices.
    fn add(
        &mut self,
        keys: &BatchKeys,
        prepared: &PreparedBatch<'_>,
        times: &[Millis],
        rows: Range<usize>,
    ) -> Result<()> {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        let mut from = rows.start;
        while from < rows.end {
            let start = self.slicing.slice_start(times[from]);
            let end = self.slicing.slice_end(start);
            // Times beyond what can be calculated with are all in one slice.
            let same = |time: &Millis| (start..end).contains(time);
            let run = times[from + 1..rows.end].iter().take_while(|time| same(time)).count();
            let to = from + 1 + run;
            let fired = end - 1 <= self.complete;
            if fired {
                self.reopen(start)?;
                self.forget_span_of(start);
            }
            let start =
                if fired && self.folds() { self.slicing.window_ending(end).start } else { start };
            self.slots_of(start, keys, from..to, &mut slots);
            from = to;
        }
        self.aggregates.update(prepared, rows.start, &slots)?;
        self.slots = slots;
        Ok(())
    }

    /// Appends the slots of rows of one slice.
    fn slots_of(
        &mut self,
        start: Millis,
        keys: &BatchKeys,
        rows: Range<usize>,
        slots: &mut Vec<u32>,
    ) {
        let typical = self.slices.typical_keys();
        let place = self.slices.find_or_insert(start, || self.keys.table(typical));
        let slice = self.slices.get_mut(place);
        self.numbers.clear();
        slice.keys.intern(keys, rows, &mut self.numbers);
        for _ in slice.slots.len()..slice.keys.bound() {
            slice.slots.push(self.aggregates.allocate());
        }
        slots.extend(self.numbers.iter().map(|&number| slice.slots[number as usize]));
    }

    /// Fires the windows that are complete by a watermark and forgets what is over.
    fn advance(&mut self, watermark: Millis) -> Result<()> {
        if watermark <= self.complete {
            return Ok(());
        }
        // One due after the other, so that it does not matter whether the watermark rises at
        // once or in steps.
        loop {
            let next = self.next_window().filter(|bounds| bounds.max_timestamp() <= watermark);
            let over = self.first_over().filter(|over| *over <= watermark);
            match (next, over) {
                (None, None) => break,
                (Some(bounds), over) if over.is_none_or(|over| bounds.max_timestamp() <= over) => {
                    self.fire(bounds)?;
                    self.complete = bounds.max_timestamp();
                }
                (_, over) => self.complete = over.unwrap_or(self.complete),
            }
            self.forget()?;
        }
        self.complete = watermark;
        self.forget()?;
        self.output.mark(watermark);
        Ok(())
    }

    /// Gives the result of a window.
    fn fire(&mut self, bounds: Bounds) -> Result<()> {
        if self.folds() {
            self.fold(bounds);
        }
        match self.result_of(bounds)? {
            Some(result) => self.output.insert(result.columns, result.rows),
            None => Ok(()),
        }
    }

    /// The next window that holds rows and has not fired.
    fn next_window(&self) -> Option<Bounds> {
        let next_end = self.slicing.next_end(self.complete);
        let mut ends = self.slices.iter().filter_map(|slice| {
            let end = self.slicing.slice_end(slice.start).max(next_end);
            (end <= self.slicing.last_window_end(slice.start)).then_some(end)
        });
        ends.next().map(|end| self.slicing.window_ending(end))
    }

    /// Lets go of what no row can change any more.
    fn forget(&mut self) -> Result<()> {
        while self.first_over().is_some_and(|over| over <= self.complete)
            && let Some(((end, start), before)) = self.reopened.pop_first()
        {
            self.fire_again(Bounds { start, end }, before)?;
        }
        let (slicing, complete, lateness) = (self.slicing, self.complete, self.lateness);
        let over = |slice: &Slice| slicing.last_window_end(slice.start) - 1 + lateness <= complete;
        while let Some(slice) = self.slices.pop_first_if(over) {
            self.aggregates.release(&slice.slots);
        }
        while let Some(span) = self.spans.as_mut().and_then(|spans| spans.pop_first_if(over)) {
            self.aggregates.release(&span.slots);
        }
        Ok(())
    }
}

impl Operator for SlicedWindows {
    fn process(
        &mut self,
        _: usize,
        batch: &ChangeBatch,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.advance(self.clock.watermark(watermark, context))?;
        let rows = batch.num_rows();
        let times = self.clock.times(&batch.rows, self.complete, context)?;
        let steps = self.steps(batch);
        let late = self.late_rows(&times, &steps);
        if late.is_empty() {
            self.take_rows(batch, &times, &steps)?;
        } else {
            collect_late(batch, &late, watermark, out)?;
            let kept = complement(&late, rows);
            let times: Vec<Millis> = kept.iter().map(|&row| times[row as usize]).collect();
            let steps: Vec<(usize, Millis)> = steps
                .iter()
                .map(|&(row, mark)| (kept.partition_point(|&kept| (kept as usize) < row), mark))
                .collect();
            self.take_rows(&batch.take(kept)?, &times, &steps)?;
        }
        self.output.flush(out)
    }

    fn finish_epoch(
        &mut self,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.layout.key_groups_total = context.key_groups_total;
        self.advance(self.clock.watermark(watermark, context))?;
        while let Some(((end, start), before)) = self.reopened.pop_first() {
            self.fire_again(Bounds { start, end }, before)?;
        }
        self.output.flush(out)
    }

    fn next_timer(&self) -> Option<Millis> {
        self.next_window().and_then(|bounds| self.clock.timer(bounds.max_timestamp()))
    }

    fn snapshot(&self) -> Result<Vec<(String, RecordBatch)>> {
        let mut slots = Vec::new();
        let mut starts = Vec::new();
        for slice in self.slices.iter() {
            starts.extend(std::iter::repeat_n(slice.start, slice.slots.len()));
            slots.extend_from_slice(&slice.slots);
        }
        let keys = self
            .slices
            .iter()
            .flat_map(|slice| (0..slice.slots.len() as u32).map(|number| slice.keys.key(number)));
        let keys = self.keys.write(keys)?;
        let front: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(starts))];
        let states = self.aggregates.export(&slots)?;
        let slices = self.layout.write(slots.len(), front, keys, states)?;
        let progress = Progress { complete: self.complete, arrival: self.aggregates.arrival() };
        Ok(vec![(PROGRESS.into(), progress.write()?), (SLICES.into(), slices)])
    }

    fn restore(&mut self, name: &str, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        match name {
            PROGRESS => {
                // All subtasks had the same watermark; to fire nothing twice is safest.
                let progress = Progress::read(rows)?;
                self.complete = self.complete.max(progress.complete);
                self.aggregates.resume_arrival(progress.arrival);
                Ok(())
            }
            SLICES => self.restore_slices(rows, context),
            other => Err(StreamError::Incompatible(format!("windows have no state {other}"))),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.slices.memory_bytes()
            + self.spans.as_ref().map_or(0, Spans::memory_bytes)
            + self.aggregates.memory_bytes()
    }
}

impl SlicedWindows {
    fn restore_slices(&mut self, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        let rows = self.layout.read(rows, context)?;
        let starts = rows.front[0].as_primitive::<Int64Type>().values().clone();
        let keys = self.keys.read(&rows.keys, rows.len)?;
        let mut slots = Vec::with_capacity(rows.len);
        let mut from = 0;
        while from < rows.len {
            let start = starts[from];
            let run = starts[from..].iter().take_while(|other| **other == start).count();
            self.slots_of(start, &keys, from..from + run, &mut slots);
            from += run;
        }
        self.aggregates.import(&slots, &rows.states)
    }
}

/// The numbers below `rows` that are not in an ascending list.
fn complement(numbers: &[u32], rows: usize) -> Vec<u32> {
    let mut skipped = numbers.iter().peekable();
    (0..rows as u32).filter(|row| skipped.next_if_eq(&row).is_none()).collect()
}

//! Aggregation over tumbling, hopping and cumulating windows.
//!
//! Rows are aggregated once, in their slice; a window that becomes complete merges its
//! slices. Results come out by window end; within a window by slice, and within a slice
//! in the order in which keys first arrived.
//!
//! In processing time a row's time is the epoch's recorded time, and all instants before
//! that are over: the watermark is one millisecond behind. At the end of a bounded input
//! all windows fire, where Flink drops those of processing time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, SchemaRef};
use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::error::Result;
use thalweg_stream::graph::WindowAggregate;
use thalweg_stream::window::{Bounds, WindowTime};
use thalweg_stream::{ChangeBatch, StreamError};

use super::super::aggregate::{AggregateSet, PreparedBatch};
use super::super::diff::{Diff, Versions};
use super::super::keyed_state::{PROGRESS, Progress, StateLayout};
use super::super::output::Output;
use super::super::time_column::event_times;
use super::super::{Collector, Operator, OperatorContext};
use super::columns::WindowColumns;
use super::describe;
use super::late::collect_late;
use super::slices::{Slice, Slices};
use super::slicing::Slicing;
use super::spans::Spans;
use crate::key::{BatchKeys, KeySpec, KeyTable};

/// Name of the snapshot batch of the slices.
const SLICES: &str = "slices";

/// One subtask.
pub(super) struct SlicedWindows {
    slicing: Slicing,
    time: WindowTime,
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
            time: node.time,
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

    /// The watermark that counts: the input's, or what processing time makes of it.
    fn watermark(&self, watermark: Millis, context: &OperatorContext) -> Millis {
        match self.time {
            WindowTime::Processing if watermark != MAX_WATERMARK => context.now - 1,
            _ => watermark,
        }
    }

    /// The places in a batch before which a window becomes complete or too late to change,
    /// with the watermark there.
    fn steps(&self, batch: &ChangeBatch) -> Vec<(usize, Millis)> {
        let mut steps = Vec::new();
        if self.time == WindowTime::Processing {
            return steps;
        }
        let mut next = self.slicing.next_step(self.complete, self.lateness);
        for (row, watermark) in batch.marks.iter() {
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

    /// The watermark at which the first of the reopened windows takes no more rows.
    fn first_over(&self) -> Option<Millis> {
        self.reopened.keys().next().map(|(end, _)| end - 1 + self.lateness)
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

    /// Whether slices of fired windows are folded into the first of their start. Not where
    /// late rows may still change a shorter window.
    fn folds(&self) -> bool {
        self.slicing.is_cumulating() && self.lateness == 0
    }

    /// Moves all slices of a growing window into its first one: later windows of the same
    /// start hold all of them.
    fn fold(&mut self, bounds: Bounds) {
        let places = self.slices.of_window(bounds);
        let first = self.slices.find_or_insert(bounds.start, || self.keys.table(0));
        let rest = self.slices.of_window(bounds).len() - 1;
        debug_assert!(first == places.start);
        for _ in 0..rest {
            if let Some(slice) = self.slices.remove(first + 1) {
                let folded = self.slices.get_mut(first);
                let into =
                    merge_slice(&slice, &mut folded.keys, &mut folded.slots, &mut self.aggregates);
                self.aggregates.merge(&slice.slots, &into);
                self.aggregates.release(&slice.slots);
            }
        }
    }

    /// The rows that a window gives as of now.
    fn result_of(&mut self, bounds: Bounds) -> Result<Option<WindowResult>> {
        let places = self.slices.of_window(bounds);
        match places.len() {
            0 => Ok(None),
            1 => {
                let slice = self.slices.get(places.start);
                self.result(bounds, &slice.keys, &slice.slots)
            }
            _ => {
                let merged = self.merged(bounds, self.spans.is_some());
                let result = self.result(bounds, &merged.keys, &merged.slots);
                self.aggregates.release(&merged.slots);
                result
            }
        }
    }

    /// The slices of a stretch of time as one, for the caller to release. `by_spans`: with
    /// the help of the spans in it, which are built where they are missing.
    fn merged(&mut self, bounds: Bounds, by_spans: bool) -> Slice {
        let places = self.slices.of_window(bounds);
        let typical = self.slices.get(places.start).slots.len();
        let (mut keys, mut slots) = (self.keys.table(typical), Vec::new());
        let mut place = places.start;
        while place < places.end {
            let span = if by_spans { self.span_at(place, bounds) } else { None };
            let slice = match span {
                Some(span) => {
                    place = self.slices.of_window(span).end;
                    self.spans.as_ref().and_then(|spans| spans.get(span.start))
                }
                None => {
                    place += 1;
                    Some(self.slices.get(place - 1))
                }
            };
            if let Some(slice) = slice {
                let into = merge_slice(slice, &mut keys, &mut slots, &mut self.aggregates);
                self.aggregates.merge(&slice.slots, &into);
            }
        }
        Slice { start: bounds.start, keys, slots }
    }

    /// The span that starts with the slice at a place, if it lies in the window and helps.
    fn span_at(&mut self, place: usize, window: Bounds) -> Option<Bounds> {
        let spans = self.spans.as_ref()?;
        let span = spans.of_slice(self.slices.get(place).start);
        if span.start < window.start || span.end > window.end {
            return None;
        }
        if spans.get(span.start).is_none() {
            if self.slices.of_window(span).len() < 2 {
                return None;
            }
            let merged = self.merged(span, false);
            self.spans.as_mut()?.insert(merged);
        }
        Some(span)
    }

    /// Lets go of what was merged of a slice that is about to change.
    fn forget_span_of(&mut self, slice_start: Millis) {
        let span = self.spans.as_mut().and_then(|spans| spans.remove_of_slice(slice_start));
        if let Some(span) = span {
            self.aggregates.release(&span.slots);
        }
    }

    fn result(
        &self,
        bounds: Bounds,
        keys: &KeyTable,
        slots: &[u32],
    ) -> Result<Option<WindowResult>> {
        let mut numbers: Vec<u32> = (0..slots.len() as u32).collect();
        let mut filtered = Vec::new();
        let slots = match self.aggregates.present(slots)? {
            None => slots,
            Some(present) => {
                numbers.retain(|&number| present[number as usize]);
                filtered.extend(numbers.iter().map(|&number| slots[number as usize]));
                &filtered
            }
        };
        if slots.is_empty() {
            return Ok(None);
        }
        let mut columns = self.keys.write(numbers.iter().map(|&number| keys.key(number)))?;
        columns.extend(self.aggregates.evaluate(slots)?);
        columns.extend(self.columns.write(std::iter::repeat_n(bounds, slots.len())));
        Ok(Some(WindowResult { columns, rows: slots.len() }))
    }

    /// Keeps the results of the fired windows that hold a slice, before it gets late rows.
    fn reopen(&mut self, slice_start: Millis) -> Result<()> {
        let mut end = self.slicing.slice_end(slice_start);
        while end <= self.slicing.last_window_end(slice_start) && end - 1 <= self.complete {
            let bounds = self.slicing.window_ending(end);
            let over = bounds.max_timestamp() + self.lateness <= self.complete;
            if !over && !self.reopened.contains_key(&(bounds.end, bounds.start)) {
                let result = self.result_of(bounds)?;
                self.reopened.insert((bounds.end, bounds.start), result);
            }
            end = self.slicing.slice_end(end);
        }
        Ok(())
    }

    /// Gives what changed in a window that was kept by [`Self::reopen`].
    fn fire_again(&mut self, bounds: Bounds, before: Option<WindowResult>) -> Result<()> {
        let after = self.result_of(bounds)?;
        let (before, after) = match (before, after) {
            (None, None) => return Ok(()),
            (None, Some(after)) => {
                return self.output.insert(after.columns, after.rows);
            }
            (Some(before), None) => {
                let nothing = before.columns.iter().map(|column| column.slice(0, 0)).collect();
                (before, WindowResult { columns: nothing, rows: 0 })
            }
            (Some(before), Some(after)) => (before, after),
        };
        let mut table = self.keys.table(before.rows);
        let mut numbers = Vec::new();
        for result in [&before, &after] {
            let keys = self.keys.read(&result.columns[..self.results.start], result.rows)?;
            table.intern(&keys, 0..result.rows, &mut numbers);
        }
        let mut versions = vec![Versions { before: None, after: None }; table.bound()];
        for (row, &number) in numbers.iter().enumerate() {
            let version = &mut versions[number as usize];
            match row.checked_sub(before.rows) {
                None => version.before = Some(row),
                Some(row) => version.after = Some(row),
            }
        }
        let mut diff = Diff::new(before.columns, after.columns, self.results.clone(), true)?;
        versions.into_iter().for_each(|versions| diff.push(versions));
        diff.finish(&mut self.output)
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

/// Numbers the keys of a slice among others, allocates slots for new ones, and gives for
/// each of the slice's keys the slot to merge into.
fn merge_slice(
    slice: &Slice,
    keys: &mut KeyTable,
    slots: &mut Vec<u32>,
    aggregates: &mut AggregateSet,
) -> Vec<u32> {
    let numbers = 0..slice.slots.len() as u32;
    let into = numbers.map(|number| {
        let number = keys.intern_one(slice.keys.key(number)) as usize;
        if number == slots.len() {
            slots.push(aggregates.allocate());
        }
        slots[number]
    });
    into.collect()
}

impl Operator for SlicedWindows {
    fn process(
        &mut self,
        batch: &ChangeBatch,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.advance(self.watermark(watermark, context))?;
        let rows = batch.num_rows();
        let times = match self.time {
            WindowTime::Event { column } => event_times(&batch.rows, column)?,
            // Not before what is complete, should the clock have gone back.
            WindowTime::Processing => {
                ScalarBuffer::from(vec![context.now.max(self.complete.saturating_add(1)); rows])
            }
        };
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
        self.advance(self.watermark(watermark, context))?;
        while let Some(((end, start), before)) = self.reopened.pop_first() {
            self.fire_again(Bounds { start, end }, before)?;
        }
        self.output.flush(out)
    }

    fn next_timer(&self) -> Option<Millis> {
        match self.time {
            WindowTime::Processing => self.next_window().map(|bounds| bounds.end),
            WindowTime::Event { .. } => None,
        }
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

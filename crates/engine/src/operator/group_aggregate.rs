//! Unwindowed aggregation by key: a changelog, consolidated per epoch.
//!
//! A key's result before the epoch follows from its state, so it is computed when the
//! epoch touches the key first, and no results are kept. Changes come out at the end of
//! the epoch, in the order in which keys were touched first; a key whose result is the
//! same again gives nothing.
//!
//! Time to live: state that no epoch touched for so long is dropped in silence, as in
//! Flink; the key's next row starts anew with `+I`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat;
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::error::Result;
use thalweg_stream::graph::GroupAggregate;
use thalweg_stream::{ChangeBatch, StreamError};

use super::aggregate::{AggregateSet, describe};
use super::diff::{Diff, Versions};
use super::keyed_state::{PROGRESS, Progress, StateLayout};
use super::output::Output;
use super::{Collector, Operator, OperatorContext};
use crate::key::{KeySpec, KeyTable};

/// Name of the snapshot batch of the groups.
const GROUPS: &str = "groups";

/// One subtask.
pub(super) struct GroupedAggregate {
    keys: KeySpec,
    table: KeyTable,
    /// By number of the key.
    groups: Vec<Group>,
    aggregates: AggregateSet,
    results: Range<usize>,
    layout: StateLayout,
    ttl: Option<Millis>,
    update_before: bool,
    /// For the time to live: each key once, with a time at which it was touched. It may have
    /// been touched since, which is only looked at when that time is over.
    touches: BinaryHeap<Reverse<(Millis, u32)>>,
    epoch: EpochChanges,
    output: Output,
    numbers: Vec<u32>,
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    slot: u32,
    /// Place among those that the epoch touched.
    touched: Option<u32>,
    /// When an epoch last touched it; only kept where there is a time to live.
    touched_at: Millis,
    /// Whether it has given a result.
    known: bool,
    in_use: bool,
    /// Whether its number stands among the touches.
    queued: bool,
}

/// The group of a number that no key has had yet.
const UNUSED: Group =
    Group { slot: 0, touched: None, touched_at: 0, known: false, in_use: false, queued: false };

/// What the epoch touched so far.
#[derive(Default)]
struct EpochChanges {
    /// Whether the epoch's first call was made.
    begun: bool,
    /// Keys in the order of their first touch, with the row of their result in `before`.
    touched: Vec<(u32, Option<usize>)>,
    /// Results before the epoch, in pieces.
    before: Vec<Vec<ArrayRef>>,
    before_rows: usize,
}

impl GroupedAggregate {
    pub(super) fn new(
        node: &GroupAggregate,
        input: &SchemaRef,
        schema: SchemaRef,
        updating: bool,
    ) -> Result<Self> {
        let results = node.keys.len()..node.keys.len() + node.aggregates.len();
        let fields = schema.fields();
        if fields.len() != results.end {
            return Err(StreamError::Internal("aggregates do not fit the schema".into()));
        }
        let keys = KeySpec::new(input, &node.keys, fields)?;
        let aggregates =
            AggregateSet::new(&node.aggregates, input, &fields[results.clone()], updating)?;
        let front = [("touched_at", DataType::Int64)];
        let of = format!("group; {}", describe(&node.aggregates, updating));
        let layout = StateLayout::new(of, &front, keys.types(), &aggregates.state_types());
        Ok(Self {
            table: keys.table(0),
            keys,
            groups: Vec::new(),
            aggregates,
            results,
            layout,
            ttl: node.ttl.filter(|ttl| *ttl > 0),
            update_before: node.update_before,
            touches: BinaryHeap::new(),
            epoch: EpochChanges::default(),
            output: Output::new(schema),
            numbers: Vec::new(),
            slots: Vec::new(),
        })
    }

    /// Drops what is older than the time to live, before the epoch's first row.
    fn begin_epoch(&mut self, now: Millis) {
        if std::mem::replace(&mut self.epoch.begun, true) {
            return;
        }
        let Some(ttl) = self.ttl else { return };
        while let Some(&Reverse((touched_at, number))) = self.touches.peek()
            && touched_at.saturating_add(ttl) <= now
        {
            self.touches.pop();
            let group = &mut self.groups[number as usize];
            group.queued = false;
            if !group.in_use {
                continue;
            }
            if group.touched_at > touched_at {
                self.enqueue(number);
            } else {
                self.remove(number);
            }
        }
    }

    /// Puts a key among the touches, unless it stands there already.
    fn enqueue(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        if self.ttl.is_some() && !std::mem::replace(&mut group.queued, true) {
            self.touches.push(Reverse((group.touched_at, number)));
        }
    }

    fn remove(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        group.in_use = false;
        self.aggregates.release(&[group.slot]);
        self.table.remove(number);
    }

    /// The groups of the keys of rows; gives their slots.
    fn slots_of_rows(&mut self) {
        let bound = self.table.bound();
        if bound > self.groups.len() {
            self.groups.resize(bound, UNUSED);
        }
        self.slots.clear();
        for &number in &self.numbers {
            let group = &mut self.groups[number as usize];
            if !group.in_use {
                let slot = self.aggregates.allocate();
                *group = Group { slot, in_use: true, queued: group.queued, ..UNUSED };
            }
            self.slots.push(group.slot);
        }
    }

    /// Notes the keys of these rows that the epoch touches for the first time, with their
    /// results as they were.
    fn touch(&mut self, now: Millis) -> Result<()> {
        let first = self.epoch.touched.len();
        let mut known = Vec::new();
        for &number in &self.numbers {
            let group = &mut self.groups[number as usize];
            if group.touched.is_some() {
                continue;
            }
            group.touched = Some(self.epoch.touched.len() as u32);
            let before = group.known.then(|| {
                known.push(number);
                self.epoch.before_rows + known.len() - 1
            });
            self.epoch.touched.push((number, before));
            group.touched_at = if self.ttl.is_some() { now } else { 0 };
        }
        for place in first..self.epoch.touched.len() {
            self.enqueue(self.epoch.touched[place].0);
        }
        if !known.is_empty() && self.epoch.touched.len() > first {
            self.epoch.before_rows += known.len();
            let before = self.results_of(&known)?;
            self.epoch.before.push(before);
        }
        Ok(())
    }

    /// The output's columns for these keys.
    fn results_of(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = self.keys.write(numbers.iter().map(|&number| self.table.key(number)))?;
        let slots = numbers.iter().map(|&number| self.groups[number as usize].slot);
        columns.extend(self.aggregates.evaluate(&slots.collect::<Vec<_>>())?);
        Ok(columns)
    }

    /// Gives the changes of the epoch.
    fn give_changes(&mut self) -> Result<()> {
        let EpochChanges { touched, before, .. } = std::mem::take(&mut self.epoch);
        if touched.is_empty() {
            return Ok(());
        }
        let numbers: Vec<u32> = touched.iter().map(|(number, _)| *number).collect();
        let slots: Vec<u32> =
            numbers.iter().map(|&number| self.groups[number as usize].slot).collect();
        let present = self.aggregates.present(&slots)?;
        let after = self.results_of(&numbers)?;
        let before = if before.is_empty() {
            after.iter().map(|column| column.slice(0, 0)).collect()
        } else {
            concat_pieces(&before)?
        };
        let mut diff = Diff::new(before, after, self.results.clone(), self.update_before)?;
        for (row, (number, before)) in touched.into_iter().enumerate() {
            let is_present = present.as_ref().is_none_or(|present| present[row]);
            diff.push(Versions { before, after: is_present.then_some(row) });
            let group = &mut self.groups[number as usize];
            group.touched = None;
            group.known = is_present;
            if !is_present {
                self.remove(number);
            }
        }
        diff.finish(&mut self.output)
    }
}

fn concat_pieces(pieces: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>> {
    let columns = 0..pieces.first().map_or(0, Vec::len);
    let columns = columns.map(|number| {
        let parts: Vec<&dyn Array> = pieces.iter().map(|piece| piece[number].as_ref()).collect();
        Ok(concat(&parts)?)
    });
    columns.collect()
}

impl Operator for GroupedAggregate {
    fn process(
        &mut self,
        _: usize,
        batch: &ChangeBatch,
        _: Millis,
        context: &OperatorContext,
        _: &mut Collector,
    ) -> Result<()> {
        self.begin_epoch(context.now);
        let rows = batch.num_rows();
        let keys = self.keys.read(&self.keys.columns_of(&batch.rows), rows)?;
        self.numbers.clear();
        self.table.intern(&keys, 0..rows, &mut self.numbers);
        self.slots_of_rows();
        self.touch(context.now)?;
        let prepared = self.aggregates.prepare(batch)?;
        self.aggregates.update(&prepared, 0, &self.slots)
    }

    fn finish_epoch(
        &mut self,
        _: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.layout.key_groups_total = context.key_groups_total;
        self.begin_epoch(context.now);
        self.give_changes()?;
        self.epoch.begun = false;
        self.output.flush(out)
    }

    fn snapshot(&self) -> Result<Vec<(String, RecordBatch)>> {
        let in_use = self.groups.iter().enumerate().filter(|(_, group)| group.in_use);
        let (numbers, groups): (Vec<u32>, Vec<Group>) =
            in_use.map(|(number, group)| (number as u32, *group)).unzip();
        let keys = self.keys.write(numbers.iter().map(|&number| self.table.key(number)))?;
        let touched_at = groups.iter().map(|group| group.touched_at);
        let front: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(touched_at))];
        let slots: Vec<u32> = groups.iter().map(|group| group.slot).collect();
        let states = self.aggregates.export(&slots)?;
        let groups = self.layout.write(slots.len(), front, keys, states)?;
        let progress = Progress { complete: MIN_WATERMARK, arrival: self.aggregates.arrival() };
        Ok(vec![(PROGRESS.into(), progress.write()?), (GROUPS.into(), groups)])
    }

    fn restore(&mut self, name: &str, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        match name {
            PROGRESS => {
                self.aggregates.resume_arrival(Progress::read(rows)?.arrival);
                Ok(())
            }
            GROUPS => self.restore_groups(rows, context),
            other => Err(StreamError::Incompatible(format!("groups have no state {other}"))),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
            + self.groups.capacity() * size_of::<Group>()
            + self.touches.capacity() * size_of::<Reverse<(Millis, u32)>>()
            + self.aggregates.memory_bytes()
    }
}

impl GroupedAggregate {
    fn restore_groups(&mut self, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        let rows = self.layout.read(rows, context)?;
        let keys = self.keys.read(&rows.keys, rows.len)?;
        self.numbers.clear();
        self.table.intern(&keys, 0..rows.len, &mut self.numbers);
        self.slots_of_rows();
        let touched_at = rows.front[0].as_primitive::<Int64Type>();
        for (row, &number) in self.numbers.iter().enumerate() {
            let group = &mut self.groups[number as usize];
            group.known = true;
            group.touched_at = touched_at.value(row);
        }
        for place in 0..self.numbers.len() {
            self.enqueue(self.numbers[place]);
        }
        self.aggregates.import(&self.slots, &rows.states)
    }
}

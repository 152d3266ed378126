//! Aggregation over session windows.
//!
//! A row joins the sessions of its key that its own window (from its time until the gap
//! is over) touches, and makes them one. What is due by a row's watermark fires before
//! the row. A row is late when it touches no session and its own window is over. Results
//! come out by watermark, then by end, start and key.
//!
//! Where late rows are allowed, one that touches a session whose result was given takes
//! that back with `-D`; the session gives its new result, perhaps with other bounds, when
//! the watermark rises next or the epoch ends.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::error::Result;
use thalweg_stream::graph::WindowAggregate;
use thalweg_stream::window::Bounds;
use thalweg_stream::{ChangeBatch, RowKind, StreamError};

use super::super::aggregate::{AggregateSet, PreparedBatch};
use super::super::keyed_state::{PROGRESS, Progress, StateLayout};
use super::super::output::Output;
use super::super::time_column::clamp;
use super::super::{Collector, Operator, OperatorContext};
use super::clock::WindowClock;
use super::columns::WindowColumns;
use super::describe;
use super::late::collect_late;
use super::sessions::{Phase, Placed, Sessions};
use crate::key::{KeySpec, KeyTable};

/// Name of the snapshot batch of the sessions.
const SESSIONS: &str = "sessions";

/// One subtask.
pub(super) struct SessionWindows {
    gap: Millis,
    clock: WindowClock,
    lateness: Millis,
    keys: KeySpec,
    table: KeyTable,
    sessions: Sessions,
    aggregates: AggregateSet,
    columns: WindowColumns,
    layout: StateLayout,
    /// What is due by this watermark has fired.
    complete: Millis,
    output: Output,
    pending: Pending,
    touched: Vec<u32>,
}

/// What is put off until the rows before it are in the accumulators.
#[derive(Default)]
struct Pending {
    /// First row of the batch that is not in the accumulators yet.
    first_row: usize,
    /// Slots of the rows from there on.
    slots: Vec<u32>,
    /// Sessions to give the results of after them, in order.
    fired: Vec<u32>,
    /// How many had fired when the watermark was this.
    marks: Vec<(usize, Millis)>,
    /// Keys that may have no session any more.
    keys: Vec<u32>,
}

impl SessionWindows {
    pub(super) fn new(
        node: &WindowAggregate,
        gap: Millis,
        input: &SchemaRef,
        schema: SchemaRef,
        updating: bool,
    ) -> Result<Self> {
        let results = node.keys.len()..node.keys.len() + node.aggregates.len();
        let fields = schema.fields();
        let keys = KeySpec::new(input, &node.keys, fields)?;
        let aggregates =
            AggregateSet::new(&node.aggregates, input, &fields[results.clone()], updating)?;
        let front = [
            ("window_start", DataType::Int64),
            ("window_end", DataType::Int64),
            ("fired", DataType::Boolean),
        ];
        let of = describe(node, updating);
        let layout = StateLayout::new(of, &front, keys.types(), &aggregates.state_types());
        Ok(Self {
            gap,
            clock: WindowClock(node.time),
            lateness: node.allowed_lateness,
            table: keys.table(0),
            keys,
            sessions: Sessions::new(node.allowed_lateness),
            aggregates,
            columns: WindowColumns::new(&schema, results.end, node.time)?,
            layout,
            complete: MIN_WATERMARK,
            output: Output::new(schema),
            pending: Pending::default(),
            touched: Vec::new(),
        })
    }

    /// Puts rows into sessions, firing what is due before each. Gives the late ones.
    fn take_rows(
        &mut self,
        batch: &ChangeBatch,
        times: &[Millis],
        prepared: &PreparedBatch<'_>,
    ) -> Result<Vec<u32>> {
        let rows = batch.num_rows();
        let columns = self.keys.columns_of(&batch.rows);
        let keys = self.keys.read(&columns, rows)?;
        let mut numbers = Vec::with_capacity(rows);
        self.table.intern(&keys, 0..rows, &mut numbers);
        self.sessions.resize_keys(self.table.bound());

        let mut late = Vec::new();
        let mut from = 0;
        let marks = self.clock.marks(batch);
        for (to, watermark) in marks.iter().chain([(rows, MIN_WATERMARK)]) {
            for row in from..to {
                let time = clamp(times[row]);
                let window = Bounds { start: time, end: time + self.gap };
                match self.place(numbers[row], window, row, prepared)? {
                    Some(slot) => self.pending.slots.push(slot),
                    None => {
                        self.pending.keys.push(numbers[row]);
                        late.push(row as u32);
                        // Late rows are in no accumulator: the run of rows ends here.
                        self.settle(prepared, row, row + 1)?;
                    }
                }
            }
            self.advance(watermark, Some((prepared, to)))?;
            from = to;
        }
        self.settle(prepared, rows, rows)?;
        Ok(late)
    }

    /// The slot of the session that a row belongs to; `None` where it is late.
    fn place(
        &mut self,
        key: u32,
        window: Bounds,
        row: usize,
        prepared: &PreparedBatch<'_>,
    ) -> Result<Option<u32>> {
        match self.sessions.extend_only(key, window) {
            Some(Placed::In(slot)) => return Ok(Some(slot)),
            Some(Placed::Alone) => return Ok(self.open(key, window)),
            None => {}
        }
        let mut touched = std::mem::take(&mut self.touched);
        self.sessions.touching(key, window, &mut touched);
        for &slot in &touched {
            if self.sessions.phase(slot) == Phase::Fired {
                self.settle(prepared, row, row)?;
                self.retract(slot)?;
            }
        }
        let placed = match touched.split_first() {
            None => self.open(key, window),
            Some((&first, rest)) => {
                if !rest.is_empty() {
                    self.settle(prepared, row, row)?;
                }
                for &slot in rest {
                    let bounds = self.sessions.bounds(slot);
                    self.sessions.remove(slot);
                    self.sessions.grow(first, bounds);
                    self.aggregates.merge(&[slot], &[first]);
                    self.aggregates.release(&[slot]);
                }
                self.sessions.grow(first, window);
                Some(first)
            }
        };
        self.touched = touched;
        Ok(placed)
    }

    /// A new session, unless it is over.
    fn open(&mut self, key: u32, window: Bounds) -> Option<u32> {
        if window.max_timestamp() + self.lateness <= self.complete {
            return None;
        }
        let slot = self.aggregates.allocate();
        self.sessions.insert(slot, key, window, Phase::Open);
        Some(slot)
    }

    /// Fires what is due when the watermark rises. `at`: the batch that is being taken, and
    /// the row before which this happens.
    fn advance(
        &mut self,
        watermark: Millis,
        at: Option<(&PreparedBatch<'_>, usize)>,
    ) -> Result<()> {
        if watermark <= self.complete {
            return Ok(());
        }
        self.complete = watermark;
        if self.sessions.next_due().is_none_or(|due| due > watermark) {
            return Ok(());
        }
        let (mut due, mut over) = (Vec::new(), Vec::new());
        while let Some(slot) = self.sessions.pop_due(watermark) {
            let phase = self.sessions.phase(slot);
            if phase == Phase::Open {
                due.push(slot);
            }
            if phase == Phase::Open && self.lateness > 0 {
                self.sessions.set_phase(slot, Phase::Fired);
                continue;
            }
            if phase == Phase::Fired {
                over.push(slot);
            }
            self.sessions.remove(slot);
            self.pending.keys.push(self.sessions.key(slot));
        }
        due.sort_by_cached_key(|&slot| {
            let Bounds { start, end } = self.sessions.bounds(slot);
            (end, start, OwnedKey::of(&self.table, self.sessions.key(slot)))
        });
        self.pending.fired.extend(due);
        self.pending.marks.push((self.pending.fired.len(), watermark));
        match at {
            // Later rows may change these sessions: their results are as of now.
            Some((prepared, row)) if self.lateness > 0 => self.settle(prepared, row, row)?,
            Some(_) => {}
            None => self.give()?,
        }
        self.aggregates.release(&over);
        Ok(())
    }

    /// Brings the rows before `row` into the accumulators and gives what fired; goes on
    /// with row `next`.
    fn settle(&mut self, prepared: &PreparedBatch<'_>, row: usize, next: usize) -> Result<()> {
        debug_assert_eq!(self.pending.first_row + self.pending.slots.len(), row);
        self.aggregates.update(prepared, self.pending.first_row, &self.pending.slots)?;
        self.pending.slots.clear();
        self.pending.first_row = next;
        self.give()
    }

    /// Gives what fired.
    fn give(&mut self) -> Result<()> {
        let fired = std::mem::take(&mut self.pending.fired);
        let marks = std::mem::take(&mut self.pending.marks);
        if let Some((columns, kept)) = self.results(&fired)? {
            let rows = kept.len();
            let marks: Vec<_> = marks
                .into_iter()
                .map(|(count, watermark)| (kept.partition_point(|&n| n < count), watermark))
                .collect();
            self.output.insert_marked(columns, rows, &marks)?;
        }
        if self.lateness == 0 {
            self.aggregates.release(&fired);
        }
        Ok(())
    }

    /// The output's columns for those of these sessions that have rows, and which these
    /// are.
    fn results(&self, slots: &[u32]) -> Result<Option<(Vec<ArrayRef>, Vec<usize>)>> {
        let mut kept: Vec<usize> = (0..slots.len()).collect();
        if let Some(present) = self.aggregates.present(slots)? {
            kept.retain(|&n| present[n]);
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let slots: Vec<u32> = kept.iter().map(|&n| slots[n]).collect();
        let keys = slots.iter().map(|&slot| self.table.key(self.sessions.key(slot)));
        let mut columns = self.keys.write(keys)?;
        columns.extend(self.aggregates.evaluate(&slots)?);
        columns.extend(self.columns.write(slots.iter().map(|&slot| self.sessions.bounds(slot))));
        Ok(Some((columns, kept)))
    }

    /// Takes the result of a fired session back; it is open again.
    fn retract(&mut self, slot: u32) -> Result<()> {
        if let Some((columns, _)) = self.results(&[slot])? {
            self.output.change(columns, &[RowKind::Delete])?;
        }
        self.sessions.set_phase(slot, Phase::Open);
        Ok(())
    }

    /// Forgets the keys that have no session any more.
    fn forget_keys(&mut self) {
        let mut keys = std::mem::take(&mut self.pending.keys);
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if self.sessions.is_unused(key) {
                self.table.remove(key);
            }
        }
    }
}

/// A key to sort by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OwnedKey {
    Global,
    Word(Option<i64>),
    Bytes(Option<Box<[u8]>>),
}

impl OwnedKey {
    fn of(table: &KeyTable, number: u32) -> Self {
        use crate::key::KeyRef;
        match table.key(number) {
            KeyRef::Global => Self::Global,
            KeyRef::Word(word) => Self::Word(word),
            KeyRef::Bytes(bytes) => Self::Bytes(bytes.map(Into::into)),
        }
    }
}

impl Operator for SessionWindows {
    fn process(
        &mut self,
        _: usize,
        batch: &ChangeBatch,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.advance(self.clock.watermark(watermark, context), None)?;
        let times = self.clock.times(&batch.rows, self.complete, context)?;
        self.pending.first_row = 0;
        let prepared = self.aggregates.prepare(batch)?;
        let late = self.take_rows(batch, &times, &prepared)?;
        collect_late(batch, &late, watermark, out)?;
        self.forget_keys();
        self.output.flush(out)
    }

    fn finish_epoch(
        &mut self,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        self.layout.key_groups_total = context.key_groups_total;
        let watermark = self.clock.watermark(watermark, context).max(self.complete);
        // What late rows opened again is due without a rise of the watermark.
        self.complete = self.complete.min(watermark.saturating_sub(1));
        self.advance(watermark, None)?;
        self.forget_keys();
        self.output.flush(out)
    }

    fn next_timer(&self) -> Option<Millis> {
        self.sessions.next_due().and_then(|due| self.clock.timer(due))
    }

    fn snapshot(&self) -> Result<Vec<(String, RecordBatch)>> {
        let slots: Vec<u32> = self.sessions.slots().collect();
        let keys = slots.iter().map(|&slot| self.table.key(self.sessions.key(slot)));
        let keys = self.keys.write(keys)?;
        let bounds = || slots.iter().map(|&slot| self.sessions.bounds(slot));
        let fired = slots.iter().map(|&slot| Some(self.sessions.phase(slot) == Phase::Fired));
        let front: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(bounds().map(|bounds| bounds.start))),
            Arc::new(Int64Array::from_iter_values(bounds().map(|bounds| bounds.end))),
            Arc::new(BooleanArray::from_iter(fired)),
        ];
        let states = self.aggregates.export(&slots)?;
        let sessions = self.layout.write(slots.len(), front, keys, states)?;
        let progress = Progress { complete: self.complete, arrival: self.aggregates.arrival() };
        Ok(vec![(PROGRESS.into(), progress.write()?), (SESSIONS.into(), sessions)])
    }

    fn restore(&mut self, name: &str, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        match name {
            PROGRESS => {
                let progress = Progress::read(rows)?;
                self.complete = self.complete.max(progress.complete);
                self.aggregates.resume_arrival(progress.arrival);
                Ok(())
            }
            SESSIONS => self.restore_sessions(rows, context),
            other => Err(StreamError::Incompatible(format!("sessions have no state {other}"))),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.sessions.memory_bytes() + self.aggregates.memory_bytes()
    }
}

impl SessionWindows {
    fn restore_sessions(&mut self, rows: &RecordBatch, context: &OperatorContext) -> Result<()> {
        let rows = self.layout.read(rows, context)?;
        let keys = self.keys.read(&rows.keys, rows.len)?;
        let mut numbers = Vec::with_capacity(rows.len);
        self.table.intern(&keys, 0..rows.len, &mut numbers);
        self.sessions.resize_keys(self.table.bound());
        let [starts, ends] = [0, 1].map(|n: usize| rows.front[n].as_primitive::<Int64Type>());
        let fired = rows.front[2].as_boolean();
        let insert = |row: usize| {
            let slot = self.aggregates.allocate();
            let bounds = Bounds { start: starts.value(row), end: ends.value(row) };
            let phase = if fired.value(row) { Phase::Fired } else { Phase::Open };
            self.sessions.insert(slot, numbers[row], bounds, phase);
            slot
        };
        let slots: Vec<u32> = (0..rows.len).map(insert).collect();
        self.aggregates.import(&slots, &rows.states)
    }
}

//! All aggregate calls of an operator over one set of slots.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, FieldRef, SchemaRef};
use thalweg_stream::aggregate::AggregateCall;
use thalweg_stream::error::Result;
use thalweg_stream::{ChangeBatch, RowKind, StreamError};

use super::accumulator::{Accumulator, Update};
use super::count::Count;
use super::input::Input;
use crate::operator::values::plain;

/// The accumulators of an operator, and which slots are in use.
pub(crate) struct AggregateSet {
    calls: Vec<Call>,
    /// Rows of each slot; kept where rows can be taken back, because a group of no rows is
    /// no group. Then its state stands before the others'.
    rows: Option<Count>,
    slots: usize,
    free: Vec<u32>,
    /// Place in the order of arrival of the next row.
    arrival: u64,
}

struct Call {
    argument: Option<usize>,
    filter: Option<usize>,
    accumulator: Box<dyn Accumulator>,
}

/// A batch with its arguments decoded.
pub(crate) struct PreparedBatch<'a> {
    kinds: Option<&'a [RowKind]>,
    arguments: Vec<Argument>,
    arrival: u64,
}

struct Argument {
    input: Input,
    counts: Option<BooleanBuffer>,
}

impl AggregateSet {
    /// `results` are the fields of the result columns.
    pub(crate) fn new(
        calls: &[AggregateCall],
        input: &SchemaRef,
        results: &[FieldRef],
        updating: bool,
    ) -> Result<Self> {
        let calls = calls.iter().zip(results).map(|(call, field)| {
            if field.data_type() != &call.result_type {
                return Err(StreamError::Internal(format!(
                    "{} of type {} cannot come out as {}",
                    call.name,
                    call.result_type,
                    field.data_type()
                )));
            }
            if let Some(filter) = call.filter
                && input.field(filter).data_type() != &DataType::Boolean
            {
                return Err(StreamError::Internal(format!(
                    "{}: a filter is no boolean",
                    call.name
                )));
            }
            let accumulator = super::build(call, updating)?;
            Ok(Call { argument: call.argument, filter: call.filter, accumulator })
        });
        let calls = calls.collect::<Result<_>>()?;
        let rows = if updating { Some(Count::new(&DataType::Int64)?) } else { None };
        Ok(Self { calls, rows, slots: 0, free: Vec::new(), arrival: 0 })
    }

    fn accumulators(&mut self) -> impl Iterator<Item = &mut dyn Accumulator> {
        let rows = self.rows.iter_mut().map(|rows| rows as &mut dyn Accumulator);
        rows.chain(self.calls.iter_mut().map(|call| &mut *call.accumulator as _))
    }

    /// An empty slot.
    pub(crate) fn allocate(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.slots;
        self.slots += 1;
        // Accumulators grow in steps, not with each slot.
        if self.slots.is_power_of_two() || slot == 0 {
            let room = (self.slots * 2).max(64);
            self.accumulators().for_each(|accumulator| accumulator.resize(room));
        }
        slot as u32
    }

    /// Gives slots back, and empties them.
    pub(crate) fn release(&mut self, slots: &[u32]) {
        self.accumulators().for_each(|accumulator| accumulator.clear(slots));
        self.free.extend(slots.iter().rev());
    }

    /// Decodes the arguments of a batch. Its rows arrive now, all of them.
    pub(crate) fn prepare<'a>(&mut self, batch: &'a ChangeBatch) -> Result<PreparedBatch<'a>> {
        let arrival = self.arrival;
        self.arrival += batch.num_rows() as u64;
        let arguments = self.calls.iter().map(|call| {
            let column = call.argument.map(|number| batch.rows.column(number));
            let input = match column {
                Some(column) => call.accumulator.prepare(column)?,
                None => Input::Nothing,
            };
            Ok(Argument { input, counts: call.rows_that_count(&batch.rows, column)? })
        });
        let arguments = arguments.collect::<Result<_>>()?;
        Ok(PreparedBatch { kinds: batch.kinds.as_deref(), arguments, arrival })
    }

    /// Takes the rows of a batch from `first_row` on, one for each slot in `slots`.
    pub(crate) fn update(
        &mut self,
        batch: &PreparedBatch<'_>,
        first_row: usize,
        slots: &[u32],
    ) -> Result<()> {
        let PreparedBatch { kinds, arrival, .. } = *batch;
        let update =
            Update { input: &Input::Nothing, counts: None, kinds, first_row, slots, arrival };
        if let Some(rows) = &mut self.rows {
            rows.update(&update)?;
        }
        for (call, argument) in self.calls.iter_mut().zip(&batch.arguments) {
            let (input, counts) = (&argument.input, argument.counts.as_ref());
            call.accumulator.update(&Update { input, counts, ..update })?;
        }
        Ok(())
    }

    /// Adds slot `from[i]` to slot `into[i]`.
    pub(crate) fn merge(&mut self, from: &[u32], into: &[u32]) {
        self.accumulators().for_each(|accumulator| accumulator.merge(from, into));
    }

    /// The result columns of these slots.
    pub(crate) fn evaluate(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.calls.iter().map(|call| call.accumulator.evaluate(slots)).collect()
    }

    /// Which of these slots have rows; `None` where all must have, nothing being taken back.
    pub(crate) fn present(&self, slots: &[u32]) -> Result<Option<Vec<bool>>> {
        let Some(rows) = &self.rows else { return Ok(None) };
        let counts = rows.evaluate(slots)?;
        let counts = counts.as_primitive::<arrow_array::types::Int64Type>();
        Ok(Some(counts.values().iter().map(|&count| count > 0).collect()))
    }

    /// Types of the state columns.
    pub(crate) fn state_types(&self) -> Vec<DataType> {
        let rows = self.rows.iter().flat_map(|rows| rows.state_types());
        rows.chain(self.calls.iter().flat_map(|call| call.accumulator.state_types())).collect()
    }

    /// The state columns of these slots.
    pub(crate) fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        if let Some(rows) = &self.rows {
            columns.extend(rows.export(slots)?);
        }
        for call in &self.calls {
            columns.extend(call.accumulator.export(slots)?);
        }
        Ok(columns)
    }

    /// Adds state columns, row `i` to slot `slots[i]`.
    pub(crate) fn import(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let mut columns = columns;
        for accumulator in self.accumulators() {
            let (own, rest) = columns.split_at(accumulator.state_types().len());
            accumulator.import(slots, own)?;
            columns = rest;
        }
        Ok(())
    }

    /// Place in the order of arrival of the next row.
    pub(crate) fn arrival(&self) -> u64 {
        self.arrival
    }

    /// Lets later rows arrive at `arrival` at the earliest.
    pub(crate) fn resume_arrival(&mut self, arrival: u64) {
        self.arrival = self.arrival.max(arrival);
    }

    /// Bytes held, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.accumulator.memory_bytes()).sum();
        calls + self.rows.as_ref().map_or(0, |rows| rows.memory_bytes()) + self.free.len() * 4
    }
}

impl Call {
    /// The rows that the filter lets through and whose argument is not null.
    fn rows_that_count(
        &self,
        rows: &RecordBatch,
        argument: Option<&ArrayRef>,
    ) -> Result<Option<BooleanBuffer>> {
        let filter = self.filter.map(|number| {
            let filter = rows.column(number).as_boolean();
            match filter.nulls() {
                Some(nulls) => filter.values() & nulls.inner(),
                None => filter.values().clone(),
            }
        });
        let not_null = match argument {
            Some(column) => plain(column)?.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            None => None,
        };
        Ok(match (filter, not_null) {
            (Some(filter), Some(nulls)) => Some(&filter & nulls.inner()),
            (filter, nulls) => filter.or(nulls.map(|nulls| nulls.into_inner())),
        })
    }
}

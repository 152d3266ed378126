//! DISTINCT in front of another function: it sees a value when it comes the first time
//! and when its last copy is taken back.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thalweg_stream::error::Result;
use thalweg_stream::{RowKind, StreamError};

use super::accumulator::{Accumulator, Update, pairs};
use super::input::{Input, int64s, misfit};
use super::list::{Pairs, pairs_array, pairs_type};
use super::value::Value;
use crate::operator::values::Form;

/// Puts DISTINCT in front of a function of these arguments.
pub(super) fn build(
    inner: Box<dyn Accumulator>,
    argument: &DataType,
) -> Result<Box<dyn Accumulator>> {
    let form = Form::of(argument)
        .ok_or_else(|| StreamError::Invalid(format!("DISTINCT of {argument} is not supported")))?;
    Ok(match form {
        Form::Word => Box::new(Distinct::<i64>::new(inner, argument)),
        Form::Wide => Box::new(Distinct::<i128>::new(inner, argument)),
        Form::Bytes => Box::new(Distinct::<Box<[u8]>>::new(inner, argument)),
    })
}

struct Distinct<V> {
    argument: DataType,
    inner: Box<dyn Accumulator>,
    /// How often each value is there; never shown in the map's own order.
    seen: Vec<HashMap<V, i64, FixedState>>,
    heap_bytes: usize,
}

/// What a function behind a DISTINCT gets to see of some rows.
struct Transitions {
    counts: BooleanBufferBuilder,
    kinds: Vec<RowKind>,
    retracts: bool,
}

impl Transitions {
    fn new(rows: usize) -> Self {
        let mut counts = BooleanBufferBuilder::new(rows);
        counts.append_n(rows, false);
        Self { counts, kinds: vec![RowKind::Insert; rows], retracts: false }
    }

    fn note(&mut self, row: usize, before: i64, after: i64) {
        if (before > 0) == (after > 0) {
            return;
        }
        self.counts.set_bit(row, true);
        if before > 0 {
            self.kinds[row] = RowKind::Delete;
            self.retracts = true;
        }
    }
}

impl<V: Value> Distinct<V> {
    fn new(inner: Box<dyn Accumulator>, argument: &DataType) -> Self {
        let argument = argument.clone();
        Self { argument, inner, seen: Vec::new(), heap_bytes: 0 }
    }

    fn entry_bytes(value: &V) -> usize {
        size_of::<(V, i64)>() * 3 / 2 + value.heap_bytes()
    }

    /// Adds to the count of a value; gives the count before and after.
    fn add(&mut self, slot: usize, value: V, count: i64) -> (i64, i64) {
        use hashbrown::hash_map::Entry;
        let bytes = Self::entry_bytes(&value);
        match self.seen[slot].entry(value) {
            Entry::Vacant(entry) => {
                if count != 0 {
                    entry.insert(count);
                    self.heap_bytes += bytes;
                }
                (0, count)
            }
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                if before + count == 0 {
                    entry.remove();
                    self.heap_bytes -= bytes;
                } else {
                    *entry.get_mut() += count;
                }
                (before, before + count)
            }
        }
    }

    /// The values of a slot in order.
    fn sorted(&self, slot: usize) -> Vec<(&V, i64)> {
        let mut values: Vec<_> = self.seen[slot].iter().map(|(v, count)| (v, *count)).collect();
        values.sort_unstable();
        values
    }

    /// Adds counts of values, row `i` to slot `slots[i]`, and lets the inner function see
    /// those that are new.
    fn add_all(&mut self, slots: &[u32], values: &ArrayRef, counts: &[i64]) -> Result<()> {
        let mut transitions = Transitions::new(slots.len());
        for (row, value) in V::read(values)?.into_iter().enumerate() {
            if let Some(value) = value {
                let (before, after) = self.add(slots[row] as usize, value, counts[row]);
                transitions.note(row, before, after);
            }
        }
        let input = self.inner.prepare(values)?;
        let counts = transitions.counts.finish();
        self.inner.update(&Update {
            input: &input,
            counts: Some(&counts),
            kinds: transitions.retracts.then_some(&transitions.kinds),
            first_row: 0,
            slots,
            arrival: 0,
        })
    }
}

impl<V: Value> Accumulator for Distinct<V> {
    fn resize(&mut self, slots: usize) {
        self.seen.resize_with(slots, HashMap::default);
        self.inner.resize(slots);
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            let seen = std::mem::take(&mut self.seen[slot as usize]);
            self.heap_bytes -= seen.keys().map(Self::entry_bytes).sum::<usize>();
        }
        self.inner.clear(slots);
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        Ok(Input::Distinct(Box::new((V::prepare(argument)?, self.inner.prepare(argument)?))))
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let Input::Distinct(inputs) = rows.input else { return Err(misfit()) };
        let column = V::column(&inputs.0)?;
        let mut transitions = Transitions::new(rows.first_row + rows.slots.len());
        rows.for_each(|slot, row, sign| {
            let (before, after) = self.add(slot, V::own(V::get(column, row)), sign);
            transitions.note(row, before, after);
        });
        let counts = transitions.counts.finish();
        self.inner.update(&Update {
            input: &inputs.1,
            counts: Some(&counts),
            kinds: transitions.retracts.then_some(&transitions.kinds),
            ..*rows
        })
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            let values: Vec<(V, i64)> =
                self.sorted(from).into_iter().map(|(v, count)| (v.clone(), count)).collect();
            let array = V::write(&self.argument, values.iter().map(|(v, _)| Some(v.as_ref())));
            let counts: Vec<i64> = values.iter().map(|(_, count)| *count).collect();
            let slots = vec![into as u32; values.len()];
            // Values of the argument's own type were written before: this cannot fail.
            let merged = array.and_then(|array| self.add_all(&slots, &array, &counts));
            debug_assert!(merged.is_ok(), "{merged:?}");
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        self.inner.evaluate(slots)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![pairs_type(("value", &self.argument), ("count", &DataType::Int64))]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let sets: Vec<_> = slots.iter().map(|&slot| self.sorted(slot as usize)).collect();
        let pairs = || sets.iter().flatten();
        let values = V::write(&self.argument, pairs().map(|(value, _)| Some(value.as_ref())))?;
        let counts = Int64Array::from_iter_values(pairs().map(|(_, count)| *count));
        let lengths = sets.iter().map(Vec::len);
        Ok(vec![pairs_array(("value", "count"), lengths, values, Arc::new(counts))?])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let pairs = Pairs::read(&state[0])?;
        let slots: Vec<u32> = pairs.rows.iter().map(|&row| slots[row]).collect();
        let counts = int64s(&pairs.second)?.to_vec();
        self.add_all(&slots, &pairs.first, &counts)
    }

    fn memory_bytes(&self) -> usize {
        self.seen.capacity() * size_of::<HashMap<V, i64, FixedState>>()
            + self.heap_bytes
            + self.inner.memory_bytes()
    }
}

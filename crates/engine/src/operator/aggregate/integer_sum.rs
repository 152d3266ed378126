//! SUM and AVG of integers.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::input::{Input, int64s, nulls_where};
use crate::operator::values::{Words, plain_bits, word_of_bits};

/// Sum of 64 bits that wraps around, as Java's does, and is cut to the result's type.
/// The average divides it towards zero.
pub(super) struct IntegerSum {
    average: bool,
    argument: DataType,
    result: DataType,
    sums: Vec<Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    sum: i64,
    count: i64,
}

impl IntegerSum {
    pub(super) fn new(average: bool, argument: &DataType, result: &DataType) -> Result<Self> {
        if !result.is_integer() && *result != DataType::Float64 {
            return Err(StreamError::Internal(format!("a sum of {argument} gives no {result}")));
        }
        let (argument, result) = (argument.clone(), result.clone());
        Ok(Self { average, argument, result, sums: Vec::new() })
    }

    fn states<'a>(&'a self, slots: &'a [u32]) -> impl Iterator<Item = Sum> + 'a {
        slots.iter().map(|&slot| self.sums[slot as usize])
    }
}

impl Accumulator for IntegerSum {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, Sum::default());
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.sums[slot as usize] = Sum::default());
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        Input::words(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let values = &rows.input.as_words()?.values;
        let unsigned = self.argument == DataType::UInt64;
        rows.for_each(|slot, row, sign| {
            let value =
                if unsigned { plain_bits(&DataType::UInt64, values[row]) } else { values[row] };
            let state = &mut self.sums[slot];
            state.sum = state.sum.wrapping_add(value.wrapping_mul(sign));
            state.count += sign;
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            let Sum { sum, count } = self.sums[from];
            let state = &mut self.sums[into];
            state.sum = state.sum.wrapping_add(sum);
            state.count += count;
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let nulls = nulls_where(self.states(slots).map(|state| state.count != 0));
        if self.result == DataType::Float64 {
            let values = self.states(slots).map(|Sum { sum, count }| {
                if self.average { sum as f64 / count as f64 } else { sum as f64 }
            });
            return Ok(Arc::new(Float64Array::new(values.collect(), nulls)));
        }
        let values = self.states(slots).map(|Sum { sum, count }| {
            let value = match self.average {
                // Unsigned averages divide as such; no division by the zero of a null.
                true if self.argument == DataType::UInt64 => {
                    (sum as u64).checked_div(count as u64).unwrap_or_default() as i64
                }
                true => sum.checked_div(count).unwrap_or_default(),
                false => sum,
            };
            word_of_bits(&self.result, value)
        });
        Words::write(&self.result, values.collect(), nulls)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Int64]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let sums = Int64Array::from_iter_values(self.states(slots).map(|state| state.sum));
        let counts = Int64Array::from_iter_values(self.states(slots).map(|state| state.count));
        Ok(vec![Arc::new(sums), Arc::new(counts)])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let imported = int64s(&state[0])?.iter().zip(int64s(&state[1])?);
        for (&slot, (&sum, &count)) in slots.iter().zip(imported) {
            let state = &mut self.sums[slot as usize];
            state.sum = state.sum.wrapping_add(sum);
            state.count += count;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>()
    }
}

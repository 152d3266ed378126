//! SUM and AVG of floats.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::double_double::DoubleDouble;
use super::input::{Input, int64s, misfit, nulls_where};

/// Sum as a pair of doubles, with values that are not finite counted aside so that they
/// can be taken back.
pub(super) struct FloatSum {
    average: bool,
    result: DataType,
    sums: Vec<Sum>,
    not_finite: NotFinite,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    total: DoubleDouble,
    count: i64,
}

/// How often NaN, infinity and minus infinity are in a slot, for the few that have any.
#[derive(Default)]
pub(super) struct NotFinite(BTreeMap<usize, [i64; 3]>);

impl NotFinite {
    pub(super) fn add(&mut self, slot: usize, value: f64, sign: i64) {
        let which = if value.is_nan() { 0 } else { 1 + usize::from(value < 0.0) };
        let mut counts = [0; 3];
        counts[which] = sign;
        self.merge(slot, counts);
    }

    fn merge(&mut self, slot: usize, counts: [i64; 3]) {
        let merged = self.0.entry(slot).or_default();
        for (merged, count) in merged.iter_mut().zip(counts) {
            *merged += count;
        }
        if *merged == [0; 3] {
            self.0.remove(&slot);
        }
    }

    pub(super) fn merge_slots(&mut self, from: usize, into: usize) {
        if let Some(&counts) = self.0.get(&from) {
            self.merge(into, counts);
        }
    }

    pub(super) fn clear(&mut self, slot: usize) {
        self.0.remove(&slot);
    }

    /// What these values make of a sum, if there are any.
    pub(super) fn sum(&self, slot: usize) -> Option<f64> {
        match self.0.get(&slot)? {
            [0, 0, _] => Some(f64::NEG_INFINITY),
            [0, _, 0] => Some(f64::INFINITY),
            _ => Some(f64::NAN),
        }
    }

    pub(super) fn state_types() -> Vec<DataType> {
        vec![DataType::Int64; 3]
    }

    pub(super) fn export(&self, slots: &[u32]) -> Vec<ArrayRef> {
        let column = |which: usize| -> ArrayRef {
            let counts = slots.iter().map(|&slot| {
                self.0.get(&(slot as usize)).map_or(0, |counts: &[i64; 3]| counts[which])
            });
            Arc::new(Int64Array::from_iter_values(counts))
        };
        (0..3).map(column).collect()
    }

    pub(super) fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let [nans, infinities, minus] =
            [int64s(&state[0])?, int64s(&state[1])?, int64s(&state[2])?];
        for (row, &slot) in slots.iter().enumerate() {
            let counts = [nans[row], infinities[row], minus[row]];
            if counts != [0; 3] {
                self.merge(slot as usize, counts);
            }
        }
        Ok(())
    }
}

impl FloatSum {
    pub(super) fn new(average: bool, argument: &DataType, result: &DataType) -> Result<Self> {
        if !matches!(result, DataType::Float32 | DataType::Float64) {
            return Err(StreamError::Internal(format!("a sum of {argument} gives no {result}")));
        }
        let result = result.clone();
        Ok(Self { average, result, sums: Vec::new(), not_finite: NotFinite::default() })
    }

    fn finish(&self, slot: u32) -> f64 {
        let Sum { total, count } = self.sums[slot as usize];
        match self.not_finite.sum(slot as usize) {
            Some(value) => value,
            None if self.average => total.divided_by(count as f64).value(),
            None => total.value(),
        }
    }

    fn states<'a>(&'a self, slots: &'a [u32]) -> impl Iterator<Item = Sum> + 'a {
        slots.iter().map(|&slot| self.sums[slot as usize])
    }
}

impl Accumulator for FloatSum {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, Sum::default());
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            self.sums[slot as usize] = Sum::default();
            self.not_finite.clear(slot as usize);
        }
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        Input::floats(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let values = rows.input.as_floats()?;
        rows.for_each(|slot, row, sign| {
            let state = &mut self.sums[slot];
            state.count += sign;
            if values[row].is_finite() {
                state.total.add(if sign > 0 { values[row] } else { -values[row] });
            } else {
                self.not_finite.add(slot, values[row], sign);
            }
            // Of nothing, nothing is left, whatever rounding did.
            if sign < 0 && state.count == 0 {
                state.total = DoubleDouble::default();
            }
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            let Sum { total, count } = self.sums[from];
            let state = &mut self.sums[into];
            state.total.merge(total);
            state.count += count;
            self.not_finite.merge_slots(from, into);
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let nulls = nulls_where(self.states(slots).map(|state| state.count != 0));
        let values = slots.iter().map(|&slot| self.finish(slot));
        Ok(match self.result {
            DataType::Float32 => {
                Arc::new(Float32Array::new(values.map(|value| value as f32).collect(), nulls))
            }
            _ => Arc::new(Float64Array::new(values.collect(), nulls)),
        })
    }

    fn state_types(&self) -> Vec<DataType> {
        let mut types = vec![DataType::Float64, DataType::Float64, DataType::Int64];
        types.extend(NotFinite::state_types());
        types
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let high = Float64Array::from_iter_values(self.states(slots).map(|s| s.total.high));
        let low = Float64Array::from_iter_values(self.states(slots).map(|s| s.total.low));
        let counts = Int64Array::from_iter_values(self.states(slots).map(|state| state.count));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(high), Arc::new(low), Arc::new(counts)];
        columns.extend(self.not_finite.export(slots));
        Ok(columns)
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (high, low, counts) = (float64s(&state[0])?, float64s(&state[1])?, int64s(&state[2])?);
        for (row, &slot) in slots.iter().enumerate() {
            let state = &mut self.sums[slot as usize];
            state.total.merge(DoubleDouble { high: high[row], low: low[row] });
            state.count += counts[row];
        }
        self.not_finite.import(slots, &state[3..])
    }

    fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>() + self.not_finite.0.len() * 64
    }
}

/// A state column of doubles.
pub(super) fn float64s(array: &ArrayRef) -> Result<&[f64]> {
    let array = array.as_primitive_opt::<Float64Type>().ok_or_else(misfit)?;
    Ok(array.values())
}

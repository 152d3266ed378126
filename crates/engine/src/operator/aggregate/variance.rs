//! VAR_POP, VAR_SAMP, STDDEV_POP and STDDEV_SAMP.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::aggregate::AggregateFunction;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::double_double::DoubleDouble;
use super::float_sum::{NotFinite, float64s};
use super::input::{Input, int64s};
use crate::operator::values::{Form, Wide, Words, word_of_bits, word_of_float};

/// From the sums of values and squares, each in about 106 bits: reversible, and the
/// cancellation between the two leaves a double's precision as long as the mean is below
/// some 2^26 standard deviations.
pub(super) struct Variance {
    sample: bool,
    root: bool,
    result: DataType,
    sums: Vec<Sums>,
    not_finite: NotFinite,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    count: i64,
    values: DoubleDouble,
    squares: DoubleDouble,
}

/// 2^-90.
const NOISE: f64 = 1.0 / (1_u128 << 90) as f64;

impl Variance {
    pub(super) fn new(
        function: AggregateFunction,
        argument: &DataType,
        result: &DataType,
    ) -> Result<Self> {
        use AggregateFunction::{StddevPop, StddevSamp, VarSamp};
        if !argument.is_numeric() {
            let name = format!("{} of {argument}", super::name(function));
            return Err(StreamError::Invalid(format!("{name} is not supported")));
        }
        if !result.is_numeric() || Form::of(result).is_none() {
            return Err(StreamError::Internal(format!("a variance gives no {result}")));
        }
        Ok(Self {
            sample: matches!(function, VarSamp | StddevSamp),
            root: matches!(function, StddevPop | StddevSamp),
            result: result.clone(),
            sums: Vec::new(),
            not_finite: NotFinite::default(),
        })
    }

    fn finish(&self, slot: u32) -> Option<f64> {
        let Sums { count, values, squares } = self.sums[slot as usize];
        let divisor = if self.sample { count - 1 } else { count };
        if divisor <= 0 {
            return None;
        }
        if self.not_finite.sum(slot as usize).is_some() {
            return Some(f64::NAN);
        }
        let mut deviations = squares;
        deviations.merge(values.squared().divided_by(count as f64).negated());
        // What is below the sums' own precision is noise: equal values deviate by nothing.
        if deviations.value() <= squares.value() * NOISE {
            return Some(0.0);
        }
        let variance = deviations.divided_by(divisor as f64).value();
        Some(if self.root { variance.sqrt() } else { variance })
    }
}

impl Accumulator for Variance {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, Sums::default());
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            self.sums[slot as usize] = Sums::default();
            self.not_finite.clear(slot as usize);
        }
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        Input::floats(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let values = rows.input.as_floats()?;
        rows.for_each(|slot, row, sign| {
            let (state, value) = (&mut self.sums[slot], values[row]);
            state.count += sign;
            if !value.is_finite() {
                return self.not_finite.add(slot, value, sign);
            }
            let square = DoubleDouble::product(value, value);
            if sign > 0 {
                state.values.add(value);
                state.squares.merge(square);
            } else if state.count == 0 {
                *state = Sums::default();
            } else {
                state.values.add(-value);
                state.squares.merge(square.negated());
            }
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            let other = self.sums[from];
            let state = &mut self.sums[into];
            state.count += other.count;
            state.values.merge(other.values);
            state.squares.merge(other.squares);
            self.not_finite.merge_slots(from, into);
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values: Vec<Option<f64>> = slots.iter().map(|&slot| self.finish(slot)).collect();
        if let DataType::Decimal128(_, scale) = self.result {
            let factor = 10_f64.powi(i32::from(scale));
            let nulls = super::input::nulls_where(values.iter().map(Option::is_some));
            let scaled = values.iter().map(|value| (value.unwrap_or(0.0) * factor).round() as i128);
            return Wide::write(&self.result, scaled.collect(), nulls);
        }
        let word = |value: f64| match self.result {
            DataType::Float32 => word_of_float(f64::from(value as f32)),
            DataType::Float64 => word_of_float(value),
            // As a cast to an integer does.
            _ => word_of_bits(&self.result, value as i64),
        };
        Words::write_options(&self.result, values.into_iter().map(|v| v.map(word)).collect())
    }

    fn state_types(&self) -> Vec<DataType> {
        let mut types = vec![DataType::Int64];
        types.extend(vec![DataType::Float64; 4]);
        types.extend(NotFinite::state_types());
        types
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let states = || slots.iter().map(|&slot| self.sums[slot as usize]);
        let floats = |part: fn(Sums) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(states().map(part)))
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(states().map(|state| state.count))),
            floats(|state| state.values.high),
            floats(|state| state.values.low),
            floats(|state| state.squares.high),
            floats(|state| state.squares.low),
        ];
        columns.extend(self.not_finite.export(slots));
        Ok(columns)
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let counts = int64s(&state[0])?;
        let [values_high, values_low] = [float64s(&state[1])?, float64s(&state[2])?];
        let [squares_high, squares_low] = [float64s(&state[3])?, float64s(&state[4])?];
        for (row, &slot) in slots.iter().enumerate() {
            let state = &mut self.sums[slot as usize];
            state.count += counts[row];
            state.values.merge(DoubleDouble { high: values_high[row], low: values_low[row] });
            state.squares.merge(DoubleDouble { high: squares_high[row], low: squares_low[row] });
        }
        self.not_finite.import(slots, &state[5..])
    }

    fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Sums>()
    }
}

//! SUM and AVG of decimals.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, Decimal128Array, Int64Array};
use arrow_buffer::i256;
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::input::{Input, int64s, misfit, nulls_where};
use crate::operator::values::Wide;

/// Exact sum in 192 bits; null where it does not fit the result's digits, as in Flink.
/// The average is rounded half up (away from zero) to the result's scale.
pub(super) struct DecimalSum {
    average: bool,
    argument_scale: i8,
    result: DataType,
    result_precision: u8,
    result_scale: i8,
    sums: Vec<Sum>,
}

/// `high * 2^128 + low`, where `low` is taken as signed and `high` counts its overflows.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: i128,
    high: i64,
    count: i64,
}

impl Sum {
    fn add(&mut self, value: i128) {
        let (low, overflow) = self.low.overflowing_add(value);
        if overflow {
            self.high += if value > 0 { 1 } else { -1 };
        }
        self.low = low;
    }

    fn subtract(&mut self, value: i128) {
        let (low, overflow) = self.low.overflowing_sub(value);
        if overflow {
            self.high += if value > 0 { -1 } else { 1 };
        }
        self.low = low;
    }

    fn merge(&mut self, other: Self) {
        self.add(other.low);
        self.high += other.high;
        self.count += other.count;
    }

    fn total(self) -> i256 {
        let high = i256::from_i128(i128::from(self.high));
        // 2^128 is 2^64 times 2^64, each of which fits.
        let half = i256::from_i128(1 << 64);
        high.wrapping_mul(half).wrapping_mul(half).wrapping_add(i256::from_i128(self.low))
    }
}

impl DecimalSum {
    pub(super) fn new(average: bool, argument_scale: i8, result: &DataType) -> Result<Self> {
        let DataType::Decimal128(result_precision, result_scale) = *result else {
            return Err(StreamError::Internal(format!("a sum of decimals gives no {result}")));
        };
        Ok(Self {
            average,
            argument_scale,
            result: result.clone(),
            result_precision,
            result_scale,
            sums: Vec::new(),
        })
    }

    /// The result in units of the result's scale; `None` for null.
    fn finish(&self, sum: Sum) -> Option<i128> {
        if sum.count == 0 {
            return None;
        }
        let divisor = if self.average { sum.count } else { 1 };
        let divisor = i256::from_i128(i128::from(divisor));
        let shift = i32::from(self.result_scale) - i32::from(self.argument_scale);
        let power = i256::from_i128(10).checked_pow(shift.unsigned_abs())?;
        let rounded = if shift >= 0 {
            divide_half_up(sum.total().checked_mul(power)?, divisor)?
        } else {
            divide_half_up(sum.total(), divisor.checked_mul(power)?)?
        };
        let limit = 10_i128.checked_pow(u32::from(self.result_precision))?;
        rounded.to_i128().filter(|value| value.unsigned_abs() < limit.unsigned_abs())
    }

    fn states<'a>(&'a self, slots: &'a [u32]) -> impl Iterator<Item = Sum> + 'a {
        slots.iter().map(|&slot| self.sums[slot as usize])
    }
}

fn divide_half_up(dividend: i256, divisor: i256) -> Option<i256> {
    let quotient = dividend.checked_div(divisor)?;
    let remainder = dividend.checked_rem(divisor)?;
    let twice = remainder.checked_abs()?.checked_mul(i256::from_i128(2))?;
    if twice < divisor.checked_abs()? {
        return Some(quotient);
    }
    let away = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { 1 } else { -1 };
    quotient.checked_add(i256::from_i128(away))
}

impl Accumulator for DecimalSum {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, Sum::default());
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.sums[slot as usize] = Sum::default());
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        Input::wide(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let values = &rows.input.as_wide()?.values;
        rows.for_each(|slot, row, sign| {
            let state = &mut self.sums[slot];
            if sign > 0 {
                state.add(values[row])
            } else {
                state.subtract(values[row])
            }
            state.count += sign;
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            let other = self.sums[from];
            self.sums[into].merge(other);
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values: Vec<Option<i128>> =
            self.states(slots).map(|state| self.finish(state)).collect();
        let nulls = nulls_where(values.iter().map(Option::is_some));
        let values = values.into_iter().map(Option::unwrap_or_default).collect();
        Wide::write(&self.result, values, nulls)
    }

    fn state_types(&self) -> Vec<DataType> {
        let low = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
        vec![low, DataType::Int64, DataType::Int64]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let low = Decimal128Array::from_iter_values(self.states(slots).map(|state| state.low))
            .with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?;
        let high = Int64Array::from_iter_values(self.states(slots).map(|state| state.high));
        let counts = Int64Array::from_iter_values(self.states(slots).map(|state| state.count));
        Ok(vec![Arc::new(low), Arc::new(high), Arc::new(counts)])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let low = state[0].as_primitive_opt::<Decimal128Type>().ok_or_else(misfit)?;
        let (high, counts) = (int64s(&state[1])?, int64s(&state[2])?);
        for (row, &slot) in slots.iter().enumerate().take(low.len()) {
            let other = Sum { low: low.value(row), high: high[row], count: counts[row] };
            self.sums[slot as usize].merge(other);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_128_bits_come_back() {
        let mut sum = Sum::default();
        for _ in 0..10 {
            sum.add(i128::MAX);
        }
        for _ in 0..3 {
            sum.add(i128::MIN);
        }
        let expected = i256::from_i128(i128::MAX)
            .wrapping_mul(i256::from_i128(10))
            .wrapping_add(i256::from_i128(i128::MIN).wrapping_mul(i256::from_i128(3)));
        assert_eq!(sum.total(), expected);
        for _ in 0..10 {
            sum.subtract(i128::MAX);
        }
        for _ in 0..3 {
            sum.subtract(i128::MIN);
        }
        assert_eq!(sum.total(), i256::ZERO);
        assert_eq!(sum.high, 0);
    }

    #[test]
    fn halves_round_away_from_zero() {
        let divide = |a: i128, b: i128| {
            divide_half_up(i256::from_i128(a), i256::from_i128(b)).and_then(i256::to_i128)
        };
        let results = [(5, 2), (-5, 2), (4, 3), (-4, 3), (5, 3), (1, -2), (0, 7)];
        let results = results.map(|(a, b)| divide(a, b));
        assert_eq!(results, [3, -3, 1, -1, 2, -1, 0].map(Some));
        assert_eq!(divide(1, 0), None);
    }
}

//! Arithmetic of dates, times, timestamps and intervals.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, IntervalYearMonthArray};
use datafusion::arrow::datatypes::{
    Date32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
};
use datafusion::arrow::{compute, datatypes::DataType};
use datafusion::logical_expr::ColumnarValue;

use super::Op;
use crate::functions::calendar::{Date, MILLIS_PER_DAY};
use crate::functions::cast::temporal::{interval_millis, intervals};
use crate::functions::signature::Bound;
use crate::functions::values::{
    BigInts, Column, Dates, Intervals, Kernel, KernelResult, Times, expand, numbers,
};
use crate::types::SqlType;

type Months = Column<IntervalYearMonthArray>;

pub(super) fn bind(op: Op, left: &SqlType, right: &SqlType) -> Option<Bound> {
    use SqlType::{BigInt, Date, IntervalMonths, IntervalTime, Time};
    let sign = if op == Op::Minus { -1 } else { 1 };
    match (op, left, right) {
        (Op::Plus | Op::Minus, time, interval) if time.is_timestamp() && interval.is_interval() => {
            Some(shift_timestamp(time, interval, sign, false))
        }
        (Op::Plus, interval, time) if time.is_timestamp() && interval.is_interval() => {
            Some(shift_timestamp(time, interval, 1, true))
        }
        (Op::Plus | Op::Minus, Date, interval) if interval.is_interval() => {
            Some(shift_date(interval, sign, false))
        }
        (Op::Plus, interval, Date) if interval.is_interval() => Some(shift_date(interval, 1, true)),
        (Op::Plus | Op::Minus, Time(precision), IntervalTime) => Some(shift_time(*precision, sign)),
        (Op::Plus | Op::Minus, IntervalTime, IntervalTime) => {
            Some(combine(IntervalTime, move |left, right| {
                left.checked_add(right.wrapping_mul(sign))
            }))
        }
        (Op::Plus | Op::Minus, IntervalMonths, IntervalMonths) => {
            let kernel = Kernel::new(move |arguments, rows| {
                let (left, right) = (Months::of(&arguments[0])?, Months::of(&arguments[1])?);
                numbers::<IntervalYearMonthType>(rows, |row| {
                    let pair = left.get(row).zip(right.get(row));
                    Ok(pair.map(|(left, right)| left.wrapping_add(right.wrapping_mul(sign as i32))))
                })
            });
            Some(Bound::new(vec![IntervalMonths, IntervalMonths], IntervalMonths, kernel))
        }
        (Op::Times, IntervalTime, number) if number.is_integer() => {
            Some(scale(vec![IntervalTime, BigInt], 0))
        }
        (Op::Times, number, IntervalTime) if number.is_integer() => {
            Some(scale(vec![BigInt, IntervalTime], 1))
        }
        _ => None,
    }
}

pub(super) fn negate(kind: &SqlType) -> Bound {
    let months = *kind == SqlType::IntervalMonths;
    let kernel = Kernel::new(move |arguments, rows| {
        if months {
            let value = Months::of(&arguments[0])?;
            return numbers::<IntervalYearMonthType>(rows, |row| {
                Ok(value.get(row).map(i32::wrapping_neg))
            });
        }
        let value = Intervals::of(&arguments[0])?;
        Ok(Arc::new(intervals(rows, |row| value.get(row).map(|value| -interval_millis(value)))))
    });
    Bound::new(vec![kind.clone()], kind.clone(), kernel)
}

/// Milliseconds or months, by row.
enum Shift {
    Millis(Intervals),
    Months(Months),
}

impl Shift {
    fn of(value: &ColumnarValue, kind: &SqlType) -> Result<Self, String> {
        Ok(match kind {
            SqlType::IntervalMonths => Self::Months(Months::of(value)?),
            _ => Self::Millis(Intervals::of(value)?),
        })
    }
}

/// Milliseconds `months` later on the calendar.
fn shift_months(millis: i64, months: i64) -> i64 {
    let (days, of_day) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    Date::from_days(days).plus_months(months).to_millis().wrapping_add(of_day)
}

fn shift_timestamp(time: &SqlType, interval: &SqlType, sign: i64, swapped: bool) -> Bound {
    let (unit, target) = (units_per_milli(time), time.to_arrow());
    let interval_type = interval.clone();
    let kernel = Kernel::new(move |arguments, rows| {
        let (time, interval) = if swapped { (1, 0) } else { (0, 1) };
        let array = expand(&arguments[time], rows)?;
        let numbers_of = BigInts::of(&ColumnarValue::Array(arrow_cast(&array, &DataType::Int64)?))?;
        let shift = Shift::of(&arguments[interval], &interval_type)?;
        let shifted = numbers::<Int64Type>(rows, |row| {
            let Some(value) = numbers_of.get(row) else { return Ok(None) };
            Ok(match &shift {
                Shift::Millis(interval) => interval
                    .get(row)
                    .map(|by| value.wrapping_add((interval_millis(by) * sign).wrapping_mul(unit))),
                Shift::Months(interval) => interval.get(row).map(|by| {
                    let (millis, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
                    let shifted = shift_months(millis, i64::from(by) * sign);
                    shifted.wrapping_mul(unit).wrapping_add(rest)
                }),
            })
        })?;
        arrow_cast(&shifted, &target)
    });
    let params = if swapped {
        vec![interval.clone(), time.clone()]
    } else {
        vec![time.clone(), interval.clone()]
    };
    Bound::new(params, time.clone(), kernel)
}

fn units_per_milli(time: &SqlType) -> i64 {
    match time {
        SqlType::Timestamp(0..=3) | SqlType::TimestampLtz(0..=3) => 1,
        SqlType::Timestamp(4..=6) | SqlType::TimestampLtz(4..=6) => 1000,
        _ => 1_000_000,
    }
}

fn shift_date(interval: &SqlType, sign: i64, swapped: bool) -> Bound {
    let interval_type = interval.clone();
    let kernel = Kernel::new(move |arguments, rows| {
        let (date, interval) = if swapped { (1, 0) } else { (0, 1) };
        let days = Dates::of(&arguments[date])?;
        let shift = Shift::of(&arguments[interval], &interval_type)?;
        numbers::<Date32Type>(rows, |row| {
            let Some(days) = days.get(row).map(i64::from) else { return Ok(None) };
            let shifted = match &shift {
                Shift::Millis(by) => by
                    .get(row)
                    .map(|by| days + (interval_millis(by) * sign).div_euclid(MILLIS_PER_DAY)),
                Shift::Months(by) => by
                    .get(row)
                    .map(|by| Date::from_days(days).plus_months(i64::from(by) * sign).to_days()),
            };
            Ok(shifted.map(|days| days as i32))
        })
    });
    let params = if swapped {
        vec![interval.clone(), SqlType::Date]
    } else {
        vec![SqlType::Date, interval.clone()]
    };
    Bound::new(params, SqlType::Date, kernel)
}

fn shift_time(precision: u8, sign: i64) -> Bound {
    let kernel = Kernel::new(move |arguments, rows| {
        let (time, by) = (Times::of(&arguments[0])?, Intervals::of(&arguments[1])?);
        numbers::<Time32MillisecondType>(rows, |row| {
            Ok(time.get(row).zip(by.get(row)).map(|(time, by)| {
                (i64::from(time) + interval_millis(by) * sign).rem_euclid(MILLIS_PER_DAY) as i32
            }))
        })
    });
    let time = SqlType::Time(precision);
    Bound::new(vec![time.clone(), SqlType::IntervalTime], time, kernel)
}

fn combine(kind: SqlType, run: impl Fn(i64, i64) -> Option<i64> + Send + Sync + 'static) -> Bound {
    let kernel = Kernel::new(move |arguments, rows| {
        let (left, right) = (Intervals::of(&arguments[0])?, Intervals::of(&arguments[1])?);
        Ok(Arc::new(intervals(rows, |row| {
            run(interval_millis(left.get(row)?), interval_millis(right.get(row)?))
        })) as ArrayRef)
    });
    Bound::new(vec![kind.clone(), kind.clone()], kind, kernel)
}

fn scale(params: Vec<SqlType>, interval: usize) -> Bound {
    let kernel = Kernel::new(move |arguments, rows| {
        let value = Intervals::of(&arguments[interval])?;
        let factor = BigInts::of(&arguments[1 - interval])?;
        Ok(Arc::new(intervals(rows, |row| {
            interval_millis(value.get(row)?).checked_mul(factor.get(row)?)
        })) as ArrayRef)
    });
    Bound::new(params, SqlType::IntervalTime, kernel)
}

fn arrow_cast(array: &ArrayRef, target: &DataType) -> KernelResult {
    compute::cast(array, target).map_err(|error| error.to_string())
}

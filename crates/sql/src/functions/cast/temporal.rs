//! Casts between dates, times and timestamps.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, IntervalMonthDayNanoArray, PrimitiveArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, Time32MillisecondType, TimeUnit,
    TimestampMillisecondType, TimestampNanosecondType,
};

use super::Cast;
use super::text::read;
use crate::expr::zone::SessionZone;
use crate::functions::calendar::{self, MILLIS_PER_DAY};
use crate::functions::values::{
    Dates, Kernel, KernelResult, Millis, Text, expand, numbers, numbers_array,
};
use crate::types::SqlType;

/// Milliseconds of an interval of days and time.
pub(crate) fn interval_millis(interval: IntervalMonthDayNano) -> i64 {
    i64::from(interval.days) * MILLIS_PER_DAY + interval.nanoseconds / 1_000_000
}

/// An interval of so many milliseconds; nothing where it has more days than fit.
fn interval_of_millis(millis: i64) -> Option<IntervalMonthDayNano> {
    let (days, of_day) = (millis / MILLIS_PER_DAY, millis % MILLIS_PER_DAY);
    Some(IntervalMonthDayNano::new(0, i32::try_from(days).ok()?, of_day * 1_000_000))
}

pub(super) fn bind(from: &SqlType, to: &SqlType, zone: SessionZone) -> Option<Cast> {
    let (target, from_type) = (to.to_arrow(), from.clone());
    match (from, to) {
        (SqlType::Date, SqlType::Timestamp(_) | SqlType::TimestampLtz(_)) => {
            let zone = zone_of(to, zone);
            Cast::sure(Kernel::new(move |arguments, rows| {
                let days = Dates::of(&arguments[0])?;
                let millis = numbers::<TimestampMillisecondType>(rows, |row| {
                    let day = days.get(row).map(|days| i64::from(days) * MILLIS_PER_DAY);
                    Ok(day.map(|local| zone.to_instant(local)))
                })?;
                arrow_cast(&millis, &target)
            }))
        }
        (SqlType::Timestamp(_) | SqlType::TimestampLtz(_), SqlType::Date) => from_millis(
            from,
            zone,
            |local| calendar::split_millis(local).0 as i32,
            |rows, value| numbers::<Date32Type>(rows, |row| Ok(value(row))),
        ),
        (SqlType::Timestamp(_) | SqlType::TimestampLtz(_), SqlType::Time(_)) => from_millis(
            from,
            zone,
            |local| calendar::split_millis(local).1 as i32,
            |rows, value| numbers::<Time32MillisecondType>(rows, |row| Ok(value(row))),
        ),
        (
            SqlType::Timestamp(_) | SqlType::TimestampLtz(_),
            SqlType::Timestamp(_) | SqlType::TimestampLtz(_),
        ) => {
            let (source, sink) = (zone_of(&from_type, zone), zone_of(to, zone));
            if source == sink {
                return Cast::sure(Kernel::new(move |arguments, rows| {
                    let array = expand(&arguments[0], rows)?;
                    relabel(&array, &target)
                }));
            }
            Cast::sure(Kernel::new(move |arguments, rows| {
                let array = expand(&arguments[0], rows)?;
                shift(&array, &target, |millis| sink.to_instant(source.to_local(millis)))
            }))
        }
        (SqlType::Time(_), SqlType::Time(_)) | (SqlType::IntervalTime, SqlType::IntervalTime) => {
            Cast::sure(Kernel::new(move |arguments, rows| expand(&arguments[0], rows)))
        }
        _ => None,
    }
}

/// The zone between the stored number and wall-clock time.
fn zone_of(kind: &SqlType, zone: SessionZone) -> SessionZone {
    match kind {
        SqlType::TimestampLtz(_) => zone,
        _ => SessionZone::default(),
    }
}

fn from_millis(
    from: &SqlType,
    zone: SessionZone,
    convert: impl Fn(i64) -> i32 + Send + Sync + 'static,
    collect: impl Fn(usize, &dyn Fn(usize) -> Option<i32>) -> KernelResult + Send + Sync + 'static,
) -> Option<Cast> {
    let zone = zone_of(from, zone);
    Cast::sure(Kernel::new(move |arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        let millis = to_millis(&array)?;
        let millis = Millis::of(&datafusion::logical_expr::ColumnarValue::Array(millis))?;
        collect(rows, &|row| millis.get(row).map(|millis| convert(zone.to_local(millis))))
    }))
}

/// Any timestamp as milliseconds without a zone, rounded down.
pub(crate) fn to_millis(array: &ArrayRef) -> KernelResult {
    relabel(array, &DataType::Timestamp(TimeUnit::Millisecond, None))
}

/// The same instants under another unit and zone label; the number is not moved between
/// zones. A coarser unit rounds down.
pub(crate) fn relabel(array: &ArrayRef, target: &DataType) -> KernelResult {
    shift(array, target, |millis| millis)
}

fn shift(array: &ArrayRef, target: &DataType, convert: impl Fn(i64) -> i64) -> KernelResult {
    let DataType::Timestamp(from, _) = array.data_type() else {
        return Err(format!("internal error: {} is no timestamp", array.data_type()));
    };
    let DataType::Timestamp(to, _) = target else {
        return Err(format!("internal error: {target} is no timestamp"));
    };
    let (from, to) = (per_milli(*from), per_milli(*to));
    let numbers = compute::cast(array, &DataType::Int64).map_err(|error| error.to_string())?;
    let numbers = numbers
        .as_any()
        .downcast_ref::<PrimitiveArray<datafusion::arrow::datatypes::Int64Type>>()
        .ok_or("internal error: timestamps are whole numbers")?;
    let moved = numbers.unary::<_, datafusion::arrow::datatypes::Int64Type>(|value| {
        let (millis, rest) = (value.div_euclid(from), value.rem_euclid(from));
        let fraction = if from >= to { rest / (from / to) } else { rest * (to / from) };
        convert(millis).wrapping_mul(to).wrapping_add(fraction)
    });
    arrow_cast(&(Arc::new(moved) as ArrayRef), target)
}

/// Units in a millisecond.
fn per_milli(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second | TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1_000_000,
    }
}

fn arrow_cast(array: &ArrayRef, target: &DataType) -> KernelResult {
    compute::cast(array, target).map_err(|error| error.to_string())
}

/// Text to a timestamp. That of an instant may say its offset; otherwise it is wall-clock
/// time of the session's zone.
pub(super) fn from_text(to: &SqlType, lenient: bool, zone: SessionZone) -> Cast {
    let (target, zone, name) = (to.to_arrow(), zone_of(to, zone), to.to_string());
    let is_instant = matches!(to, SqlType::TimestampLtz(_));
    let fine = matches!(to, SqlType::Timestamp(4..) | SqlType::TimestampLtz(4..));
    // Milliseconds of the second, and the rest in nanoseconds.
    let parse = move |text: &str| {
        let ((days, nanos), offset) = match is_instant {
            true => calendar::parse_instant(text)?,
            false => (calendar::parse_timestamp(text)?, None),
        };
        let local = days * MILLIS_PER_DAY + nanos / 1_000_000_000 * 1000;
        let instant = offset.map_or_else(|| zone.to_instant(local), |secs| local - secs * 1000);
        Some((instant, nanos % 1_000_000_000))
    };
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let array: ArrayRef = if fine {
            let parsed = numbers_array::<TimestampNanosecondType>(rows, |row| {
                read(text.get(row), lenient, &name, |text| {
                    let (second, nanos) = parse(text)?;
                    second.checked_mul(1_000_000)?.checked_add(nanos)
                })
            })?;
            Arc::new(parsed)
        } else {
            let parsed = numbers_array::<TimestampMillisecondType>(rows, |row| {
                read(text.get(row), lenient, &name, |text| {
                    parse(text).map(|(second, nanos)| second + nanos / 1_000_000)
                })
            })?;
            Arc::new(parsed)
        };
        relabel(&array, &target)
    });
    Cast { kernel, fallible: !lenient }
}

/// An array of one interval a row.
pub(crate) fn intervals(
    rows: usize,
    value: impl Fn(usize) -> Option<i64>,
) -> IntervalMonthDayNanoArray {
    (0..rows).map(|row| value(row).and_then(interval_of_millis)).collect()
}

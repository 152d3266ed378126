//! Casts to and from text, and between bytes.

use std::fmt::Write;

use datafusion::arrow::array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
    Time32MillisecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType,
};

use super::{Cast, temporal};
use crate::expr::zone::SessionZone;
use crate::functions::arithmetic::decimal;
use crate::functions::calendar::{self, Date};
use crate::functions::values::{
    Bytes, Kernel, KernelError, Text, bools, bytes, check_value_bytes, expand, numbers, texts,
};
use crate::types::{SqlType, UNBOUNDED};

/// Writes the value of a row; it is called for values that are not null.
pub(crate) type Writer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// Any type to `CHAR` or `VARCHAR`.
pub(super) fn to_text(from: &SqlType, to: &SqlType, zone: SessionZone) -> Option<Cast> {
    let (length, pad) = match to {
        SqlType::Char(length) => (*length as usize, true),
        SqlType::Varchar(UNBOUNDED) => (usize::MAX, false),
        SqlType::Varchar(length) => (*length as usize, false),
        _ => return None,
    };
    let source = from.clone();
    Cast::sure(Kernel::new(move |arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        if source.is_string() && length == usize::MAX {
            return Ok(array);
        }
        let write = writer(array.as_ref(), &source, zone)?;
        texts(rows, |row, out| {
            if array.is_null(row) {
                return Ok(false);
            }
            write(row, out);
            fit(out, length, pad)?;
            Ok(true)
        })
    }))
}

/// Cuts to a length in characters; pads with spaces.
fn fit(out: &mut String, length: usize, pad: bool) -> Result<(), KernelError> {
    if length == usize::MAX {
        return Ok(());
    }
    if let Some((at, _)) = out.char_indices().nth(length) {
        out.truncate(at);
    } else if pad {
        let missing = length - out.chars().count();
        check_value_bytes(out.len() + missing)?;
        out.extend(std::iter::repeat_n(' ', missing));
    }
    Ok(())
}

/// Text to any type that has a written form.
pub(super) fn from_text(to: &SqlType, lenient: bool, zone: SessionZone) -> Option<Cast> {
    let kernel = match to {
        SqlType::Boolean => Kernel::new(move |arguments, rows| {
            let text = Text::of(&arguments[0])?;
            bools(rows, |row| read(text.get(row), lenient, "BOOLEAN", parse_bool))
        }),
        SqlType::TinyInt => parser::<Int8Type>(lenient, "TINYINT", |text| {
            parse_whole(text).and_then(|value| i8::try_from(value).ok())
        }),
        SqlType::SmallInt => parser::<Int16Type>(lenient, "SMALLINT", |text| {
            parse_whole(text).and_then(|value| i16::try_from(value).ok())
        }),
        SqlType::Int => parser::<Int32Type>(lenient, "INT", |text| {
            parse_whole(text).and_then(|value| i32::try_from(value).ok())
        }),
        SqlType::BigInt => parser::<Int64Type>(lenient, "BIGINT", |text| {
            parse_whole(text).and_then(|value| i64::try_from(value).ok())
        }),
        SqlType::Float => {
            parser::<Float32Type>(lenient, "FLOAT", |text| parse_real(text).map(|v| v as f32))
        }
        SqlType::Double => parser::<Float64Type>(lenient, "DOUBLE", parse_real),
        SqlType::Decimal(precision, scale) => decimal_parser(*precision, *scale, lenient),
        SqlType::Date => parser::<Date32Type>(lenient, "DATE", |text| {
            calendar::parse_date(text).map(|days| days as i32)
        }),
        SqlType::Time(_) => parser::<Time32MillisecondType>(lenient, "TIME", |text| {
            calendar::parse_time(text.trim()).map(|nanos| (nanos / 1_000_000) as i32)
        }),
        SqlType::Timestamp(_) | SqlType::TimestampLtz(_) => {
            return Some(temporal::from_text(to, lenient, zone));
        }
        SqlType::Binary(_) | SqlType::Varbinary(_) => {
            let limit = byte_limit(to);
            return Cast::sure(Kernel::new(move |arguments, rows| {
                let text = Text::of(&arguments[0])?;
                bytes(rows, |row| {
                    text.get(row).map(|text| fit_bytes(text.as_bytes(), limit)).transpose()
                })
            }));
        }
        _ => return None,
    };
    Some(Cast { kernel, fallible: !lenient })
}

fn parser<T: ArrowPrimitiveType>(
    lenient: bool,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T::Native> + Copy + Send + Sync + 'static,
) -> Kernel {
    Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        numbers::<T>(rows, |row| read(text.get(row), lenient, name, parse))
    })
}

fn decimal_parser(precision: u8, scale: u8, lenient: bool) -> Kernel {
    Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let mut failed = None;
        let array = decimal::array(rows, precision, scale, |row| {
            let text = text.get(row)?;
            if !decimal::is_number(text) {
                failed.get_or_insert_with(|| cannot_cast(text, "DECIMAL"));
                return None;
            }
            decimal::parse(text, scale)
        })?;
        match failed {
            Some(error) if !lenient => Err(error),
            _ => Ok(array),
        }
    })
}

/// One value: null stays null, what cannot be read is an error or null.
pub(super) fn read<T>(
    text: Option<&str>,
    lenient: bool,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, KernelError> {
    let Some(text) = text else { return Ok(None) };
    match parse(text) {
        None if !lenient => Err(cannot_cast(text, name)),
        value => Ok(value),
    }
}

fn cannot_cast(text: &str, name: &str) -> KernelError {
    let shown: String = text.chars().take(60).collect();
    format!("cannot cast '{shown}' to {name}")
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number; a fraction of digits is cut off, as Flink does.
fn parse_whole(text: &str) -> Option<i128> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || whole.len() > 39 {
        return None;
    }
    match whole {
        "" | "-" | "+" if !fraction.is_empty() => Some(0),
        _ => whole.parse().ok(),
    }
}

fn parse_real(text: &str) -> Option<f64> {
    let text = text.trim();
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if text.contains(['i', 'I', 'n', 'N']) => None,
        _ => text.parse().ok(),
    }
}

/// Bytes to bytes of another length.
pub(super) fn between_bytes(to: &SqlType) -> Option<Cast> {
    let limit = byte_limit(to);
    Cast::sure(Kernel::new(move |arguments, rows| {
        let value = Bytes::of(&arguments[0])?;
        bytes(rows, |row| value.get(row).map(|value| fit_bytes(value, limit)).transpose())
    }))
}

/// Greatest length, and whether shorter ones are filled up with zeros.
fn byte_limit(to: &SqlType) -> (usize, bool) {
    match to {
        SqlType::Binary(length) => (*length as usize, true),
        SqlType::Varbinary(length) => (*length as usize, false),
        _ => (usize::MAX, false),
    }
}

fn fit_bytes(value: &[u8], (limit, pad): (usize, bool)) -> Result<Vec<u8>, KernelError> {
    let mut value = value[..value.len().min(limit)].to_vec();
    if pad {
        check_value_bytes(limit)?;
        value.resize(limit, 0);
    }
    Ok(value)
}

/// How values of an array are written.
///
/// # Errors
/// An array that is not of the type, a defect.
pub(crate) fn writer<'a>(
    array: &'a dyn Array,
    kind: &SqlType,
    zone: SessionZone,
) -> Result<Writer<'a>, KernelError> {
    Ok(match kind {
        SqlType::Null => Box::new(|_, out| out.push_str("NULL")),
        SqlType::Boolean => {
            let array: &BooleanArray = of(array)?;
            Box::new(|row, out| out.push_str(if array.value(row) { "TRUE" } else { "FALSE" }))
        }
        SqlType::TinyInt => display(of::<Int8Array>(array)?),
        SqlType::SmallInt => display(of::<Int16Array>(array)?),
        SqlType::Int => display(of::<Int32Array>(array)?),
        SqlType::BigInt => display(of::<Int64Array>(array)?),
        SqlType::Float => {
            let array: &Float32Array = of(array)?;
            Box::new(|row, out| write_real(out, &format!("{:e}", array.value(row))))
        }
        SqlType::Double => {
            let array: &Float64Array = of(array)?;
            Box::new(|row, out| write_real(out, &format!("{:e}", array.value(row))))
        }
        SqlType::Decimal(_, scale) => {
            let (array, scale) = (of::<Decimal128Array>(array)?, *scale);
            Box::new(move |row, out| decimal::write(out, array.value(row), scale))
        }
        SqlType::Char(_) | SqlType::Varchar(_) => {
            let array: &StringArray = of(array)?;
            Box::new(|row, out| out.push_str(array.value(row)))
        }
        SqlType::Binary(_) | SqlType::Varbinary(_) => {
            let array: &BinaryArray = of(array)?;
            Box::new(|row, out| out.push_str(&String::from_utf8_lossy(array.value(row))))
        }
        SqlType::Date => {
            let array: &Date32Array = of(array)?;
            Box::new(|row, out| Date::from_days(i64::from(array.value(row))).write(out))
        }
        SqlType::Time(precision) => {
            let (array, precision) = (of::<Time32MillisecondArray>(array)?, *precision);
            Box::new(move |row, out| {
                let millis = i64::from(array.value(row));
                calendar::write_time(out, millis / 1000, millis % 1000 * 1_000_000, precision);
            })
        }
        SqlType::Timestamp(precision) => {
            timestamp_writer(array, *precision, SessionZone::default())?
        }
        SqlType::TimestampLtz(precision) => timestamp_writer(array, *precision, zone)?,
        SqlType::IntervalMonths => {
            let array: &IntervalYearMonthArray = of(array)?;
            Box::new(|row, out| {
                let (sign, months) = signed(array.value(row).into());
                let _ = write!(out, "{sign}{}-{:02}", months / 12, months % 12);
            })
        }
        SqlType::IntervalTime => {
            let array: &IntervalMonthDayNanoArray = of(array)?;
            Box::new(|row, out| write_interval(out, temporal::interval_millis(array.value(row))))
        }
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Row(_) => nested_writer(array, kind, zone)?,
    })
}

fn of<A: Array + 'static>(array: &dyn Array) -> Result<&A, KernelError> {
    array
        .as_any()
        .downcast_ref::<A>()
        .ok_or_else(|| format!("internal error: unexpected {} value", array.data_type()))
}

fn display<T>(array: &PrimitiveArray<T>) -> Writer<'_>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    Box::new(|row, out| {
        let _ = write!(out, "{}", array.value(row));
    })
}

/// As Java writes it: `1.0`, `1.0E10`, `1.0E-5`, from the shortest digits.
fn write_real(out: &mut String, scientific: &str) {
    let Some((digits, exponent)) = scientific.split_once('e') else {
        out.push_str(match scientific {
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            other => other,
        });
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    out.push_str(sign);
    if digits == "0" {
        out.push_str("0.0");
    } else if (-3..7).contains(&exponent) {
        write_plain(out, &digits, exponent);
    } else {
        let rest = if digits.len() > 1 { &digits[1..] } else { "0" };
        let _ = write!(out, "{}.{rest}E{exponent}", &digits[..1]);
    }
}

fn write_plain(out: &mut String, digits: &str, exponent: i32) {
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', whole - digits.len()));
        out.push_str(".0");
    } else {
        out.push_str(&digits[..whole]);
        out.push('.');
        out.push_str(&digits[whole..]);
    }
}

fn timestamp_writer(
    array: &dyn Array,
    precision: u8,
    zone: SessionZone,
) -> Result<Writer<'_>, KernelError> {
    fn write(out: &mut String, seconds: i64, nanos: i64, precision: u8, zone: SessionZone) {
        let local = zone.to_local(seconds.saturating_mul(1000)).div_euclid(1000);
        let (days, of_day) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        Date::from_days(days).write(out);
        out.push(' ');
        calendar::write_time(out, of_day, nanos, precision);
    }
    fn each<T>(
        array: &PrimitiveArray<T>,
        per_second: i64,
        precision: u8,
        zone: SessionZone,
    ) -> Writer<'_>
    where
        T: ArrowPrimitiveType<Native = i64>,
    {
        Box::new(move |row, out| {
            let value = array.value(row);
            let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
            write(out, value.div_euclid(per_second), nanos, precision, zone);
        })
    }
    Ok(match precision {
        0..=3 => each(of::<TimestampMillisecondArray>(array)?, 1000, precision, zone),
        4..=6 => each(of::<TimestampMicrosecondArray>(array)?, 1_000_000, precision, zone),
        _ => each(of::<TimestampNanosecondArray>(array)?, 1_000_000_000, precision, zone),
    })
}

/// Sign and size of an interval, which never is as long as the smallest number.
fn signed(number: i64) -> (char, i64) {
    (if number < 0 { '-' } else { '+' }, number.saturating_abs())
}

/// `+1 02:03:04.000`.
fn write_interval(out: &mut String, millis: i64) {
    let (sign, millis) = signed(millis);
    let _ = write!(out, "{sign}{} ", millis / calendar::MILLIS_PER_DAY);
    let of_day = millis % calendar::MILLIS_PER_DAY;
    calendar::write_time(out, of_day / 1000, of_day % 1000 * 1_000_000, 3);
}

/// `[a, b]`, `{k=v}`, `(a, b)`; a null within is `NULL`.
fn nested_writer<'a>(
    array: &'a dyn Array,
    kind: &SqlType,
    zone: SessionZone,
) -> Result<Writer<'a>, KernelError> {
    fn item(write: &Writer<'_>, array: &dyn Array, row: usize, out: &mut String) {
        if array.is_null(row) {
            out.push_str("NULL");
        } else {
            write(row, out);
        }
    }
    fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
        offsets[row] as usize..offsets[row + 1] as usize
    }
    Ok(match kind {
        SqlType::Array(element) => {
            let list: &ListArray = of(array)?;
            let write = writer(list.values().as_ref(), element, zone)?;
            Box::new(move |row, out| {
                out.push('[');
                for (number, at) in range(list.value_offsets(), row).enumerate() {
                    out.push_str(if number == 0 { "" } else { ", " });
                    item(&write, list.values().as_ref(), at, out);
                }
                out.push(']');
            })
        }
        SqlType::Map(key, value) => {
            let map: &MapArray = of(array)?;
            let write_key = writer(map.keys().as_ref(), key, zone)?;
            let write_value = writer(map.values().as_ref(), value, zone)?;
            Box::new(move |row, out| {
                out.push('{');
                for (number, at) in range(map.value_offsets(), row).enumerate() {
                    out.push_str(if number == 0 { "" } else { ", " });
                    item(&write_key, map.keys().as_ref(), at, out);
                    out.push('=');
                    item(&write_value, map.values().as_ref(), at, out);
                }
                out.push('}');
            })
        }
        SqlType::Row(fields) => {
            let row_array: &StructArray = of(array)?;
            let writers = row_array
                .columns()
                .iter()
                .zip(fields)
                .map(|(column, field)| {
                    Ok((writer(column.as_ref(), &field.sql_type, zone)?, column))
                })
                .collect::<Result<Vec<_>, KernelError>>()?;
            Box::new(move |row, out| {
                out.push('(');
                for (number, (write, column)) in writers.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { ", " });
                    item(write, column.as_ref(), row, out);
                }
                out.push(')');
            })
        }
        _ => return Err(format!("internal error: {kind} is not nested")),
    })
}

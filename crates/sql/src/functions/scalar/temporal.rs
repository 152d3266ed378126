//! Dates and times.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMillisecondType};

use super::java_pattern::Pattern;
use super::kernel;
use crate::expr::zone::SessionZone;
use crate::functions::calendar::{
    self, Date, MILLIS_PER_DAY, MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND,
};
use crate::functions::cast::temporal::interval_millis;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{
    BigInts, Intervals, Kernel, Millis, Text, numbers, numbers_array, texts,
};
use crate::types::{INSTANT_ZONE, SqlType};

/// The format where none is given.
const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("extract", &["date_part"], "EXTRACT(unit FROM time)", |arguments| {
        let unit = unit_of(arguments, 0)?;
        extract(unit, arguments.types.get(1), arguments)
    }),
    kernel("year", &[], "YEAR(date)", |arguments| part(arguments, Unit::Year)),
    kernel("quarter", &[], "QUARTER(date)", |arguments| part(arguments, Unit::Quarter)),
    kernel("month", &[], "MONTH(date)", |arguments| part(arguments, Unit::Month)),
    kernel("week", &[], "WEEK(date)", |arguments| part(arguments, Unit::Week)),
    kernel("dayofyear", &[], "DAYOFYEAR(date)", |arguments| part(arguments, Unit::DayOfYear)),
    kernel("dayofmonth", &["day"], "DAYOFMONTH(date)", |arguments| part(arguments, Unit::Day)),
    kernel("dayofweek", &[], "DAYOFWEEK(date)", |arguments| part(arguments, Unit::DayOfWeek)),
    kernel("hour", &[], "HOUR(timestamp)", |arguments| part(arguments, Unit::Hour)),
    kernel("minute", &[], "MINUTE(timestamp)", |arguments| part(arguments, Unit::Minute)),
    kernel("second", &[], "SECOND(timestamp)", |arguments| part(arguments, Unit::Second)),
    kernel("date_format", &[], "DATE_FORMAT(timestamp, pattern)", date_format),
    kernel("to_timestamp", &[], "TO_TIMESTAMP(text[, pattern])", to_timestamp),
    kernel("to_timestamp_ltz", &[], "TO_TIMESTAMP_LTZ(number, precision)", to_timestamp_ltz),
    kernel("to_date", &[], "TO_DATE(text[, pattern])", to_date),
    kernel("from_unixtime", &[], "FROM_UNIXTIME(seconds[, pattern])", from_unixtime),
    kernel("$parse_unix", &[], "UNIX_TIMESTAMP(text[, pattern])", parse_unix),
    kernel("convert_tz", &[], "CONVERT_TZ(text, from, to)", convert_tz),
    kernel("timestampdiff", &[], "TIMESTAMPDIFF(unit, from, to)", timestampdiff),
    kernel("timestampadd", &[], "TIMESTAMPADD(unit, count, time)", timestampadd),
    kernel("$floor_to", &[], "FLOOR(time TO unit)", |arguments| round_to_unit(arguments, false)),
    kernel("$ceil_to", &[], "CEIL(time TO unit)", |arguments| round_to_unit(arguments, true)),
    kernel("to_epoch_milli", &[], "TO_EPOCH_MILLI(instant)", |arguments| {
        let params = arguments.expect(&[Want::Instant], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let instant = Millis::of(&arguments[0])?;
            numbers::<Int64Type>(rows, |row| Ok(instant.get(row)))
        });
        Ok(Bound::new(params, SqlType::BigInt, kernel))
    }),
    kernel("interval_millis", &[], "INTERVAL_MILLIS(interval)", |arguments| {
        arguments.expect_count(1, 1)?;
        if arguments.types[0] != SqlType::IntervalTime {
            let message = format!("{} is no interval of days and time", arguments.types[0]);
            return Err(BindError::new(message));
        }
        let kernel = Kernel::new(|arguments, rows| {
            let interval = Intervals::of(&arguments[0])?;
            numbers::<Int64Type>(rows, |row| Ok(interval.get(row).map(interval_millis)))
        });
        Ok(Bound::new(vec![SqlType::IntervalTime], SqlType::BigInt, kernel))
    }),
];

/// A unit of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

impl Unit {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().trim_start_matches("SQL_TSI_") {
            "MILLENNIUM" => Self::Millennium,
            "CENTURY" => Self::Century,
            "DECADE" => Self::Decade,
            "YEAR" | "YEARS" => Self::Year,
            "ISOYEAR" => Self::IsoYear,
            "QUARTER" | "QUARTERS" => Self::Quarter,
            "MONTH" | "MONTHS" => Self::Month,
            "WEEK" | "WEEKS" => Self::Week,
            "DAY" | "DAYS" => Self::Day,
            "DOW" => Self::DayOfWeek,
            "ISODOW" => Self::IsoDayOfWeek,
            "DOY" => Self::DayOfYear,
            "HOUR" | "HOURS" => Self::Hour,
            "MINUTE" | "MINUTES" => Self::Minute,
            "SECOND" | "SECONDS" => Self::Second,
            "MILLISECOND" | "MILLISECONDS" => Self::Millisecond,
            "MICROSECOND" | "MICROSECONDS" => Self::Microsecond,
            "NANOSECOND" | "NANOSECONDS" => Self::Nanosecond,
            "EPOCH" => Self::Epoch,
            _ => return None,
        })
    }

    /// The unit of a wall-clock time in milliseconds.
    fn of(self, millis: i64) -> i64 {
        let (days, of_day) = calendar::split_millis(millis);
        let date = || Date::from_days(days);
        match self {
            Self::Millennium => (date().year + 999).div_euclid(1000),
            Self::Century => (date().year + 99).div_euclid(100),
            Self::Decade => date().year.div_euclid(10),
            Self::Year => date().year,
            Self::IsoYear => calendar::iso_week(days).0,
            Self::Quarter => (i64::from(date().month) + 2) / 3,
            Self::Month => i64::from(date().month),
            Self::Week => calendar::iso_week(days).1,
            Self::Day => i64::from(date().day),
            Self::DayOfWeek => calendar::iso_weekday(days) % 7 + 1,
            Self::IsoDayOfWeek => calendar::iso_weekday(days),
            Self::DayOfYear => date().day_of_year(),
            Self::Hour => of_day / MILLIS_PER_HOUR,
            Self::Minute => of_day / MILLIS_PER_MINUTE % 60,
            Self::Second => of_day / MILLIS_PER_SECOND % 60,
            Self::Millisecond => of_day % 60_000,
            Self::Microsecond => of_day % 60_000 * 1000,
            Self::Nanosecond => of_day % 60_000 * 1_000_000,
            Self::Epoch => millis.div_euclid(1000),
        }
    }

    /// Its fixed length, if it has one.
    fn millis(self) -> Option<i64> {
        Some(match self {
            Self::Week => 7 * MILLIS_PER_DAY,
            Self::Day => MILLIS_PER_DAY,
            Self::Hour => MILLIS_PER_HOUR,
            Self::Minute => MILLIS_PER_MINUTE,
            Self::Second => MILLIS_PER_SECOND,
            Self::Millisecond => 1,
            _ => return None,
        })
    }

    /// Its length in months, if it has one.
    fn months(self) -> Option<i64> {
        Some(match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
            Self::Decade => 120,
            Self::Century => 1200,
            Self::Millennium => 12_000,
            _ => return None,
        })
    }
}

/// The unit that an argument names.
fn unit_of(arguments: &Arguments<'_>, number: usize) -> Result<Unit, BindError> {
    let text = arguments
        .text_literal(number)
        .ok_or_else(|| BindError::new("the unit must be a word such as DAY"))?;
    Unit::parse(text).ok_or_else(|| BindError::new(format!("`{text}` is not a unit of time")))
}

/// As `TIMESTAMP(3)`: wall-clock time, instants in the session's zone.
fn as_wall_clock(given: &SqlType) -> Result<SqlType, BindError> {
    if given.is_timestamp() || given.is_string() || matches!(given, SqlType::Date | SqlType::Null) {
        return Ok(SqlType::Timestamp(3));
    }
    Err(BindError::new(format!("{given} is no date and no timestamp")))
}

fn part(arguments: &Arguments<'_>, unit: Unit) -> BindResult {
    arguments.expect_count(1, 1)?;
    let given = &arguments.types[0];
    let millis = part_source(given)?;
    let kernel = part_kernel(unit, 0, millis == SqlType::Time(3));
    Ok(Bound::new(vec![millis], SqlType::BigInt, kernel))
}

fn extract(unit: Unit, given: Option<&SqlType>, arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(2, 2)?;
    let source = part_source(given.unwrap_or(&SqlType::Null))?;
    let is_time = source == SqlType::Time(3);
    Ok(Bound::new(vec![SqlType::STRING, source], SqlType::BigInt, part_kernel(unit, 1, is_time)))
}

fn part_source(given: &SqlType) -> Result<SqlType, BindError> {
    match given {
        SqlType::Time(_) => Ok(SqlType::Time(3)),
        other => as_wall_clock(other),
    }
}

fn part_kernel(unit: Unit, argument: usize, is_time: bool) -> Kernel {
    Kernel::new(move |arguments, rows| {
        if is_time {
            let time = crate::functions::values::Times::of(&arguments[argument])?;
            return numbers::<Int64Type>(rows, |row| {
                Ok(time.get(row).map(|millis| unit.of(i64::from(millis))))
            });
        }
        let time = Millis::of(&arguments[argument])?;
        numbers::<Int64Type>(rows, |row| Ok(time.get(row).map(|millis| unit.of(millis))))
    })
}

/// Patterns of a call: compiled once where constant.
fn pattern_of(
    arguments: &Arguments<'_>,
    number: usize,
) -> Result<Option<(String, Pattern)>, BindError> {
    if arguments.len() <= number {
        let pattern = Pattern::parse(DEFAULT_PATTERN).map_err(BindError::new)?;
        return Ok(Some((DEFAULT_PATTERN.to_owned(), pattern)));
    }
    match arguments.text_literal(number) {
        Some(text) => {
            let pattern = Pattern::parse(text).map_err(BindError::new)?;
            Ok(Some((text.to_owned(), pattern)))
        }
        None => Ok(None),
    }
}

/// The pattern of a row: the constant one, or that of the column.
struct RowPatterns {
    constant: Option<Pattern>,
    column: Option<Text>,
}

impl RowPatterns {
    fn of(
        constant: &Option<(String, Pattern)>,
        column: Option<&datafusion::logical_expr::ColumnarValue>,
    ) -> Result<Self, String> {
        match constant {
            Some((_, pattern)) => Ok(Self { constant: Some(pattern.clone()), column: None }),
            None => Ok(Self { constant: None, column: column.map(Text::of).transpose()? }),
        }
    }

    /// Calls `run` with the row's pattern, unless it is null.
    fn with<T>(
        &self,
        row: usize,
        run: impl FnOnce(&Pattern) -> Option<T>,
    ) -> Result<Option<T>, String> {
        if let Some(pattern) = &self.constant {
            return Ok(run(pattern));
        }
        match self.column.as_ref().and_then(|column| column.get(row)) {
            Some(text) => Ok(run(&Pattern::parse(text)?)),
            None => Ok(None),
        }
    }
}

fn date_format(arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(2, 2)?;
    let pattern = pattern_of(arguments, 1)?;
    let fallible = pattern.is_none();
    let kernel = Kernel::new(move |arguments, rows| {
        let time = Millis::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        texts(rows, |row, out| {
            let Some(millis) = time.get(row) else { return Ok(false) };
            let written = patterns.with(row, |pattern| {
                pattern.write(millis, out);
                Some(())
            })?;
            Ok(written.is_some())
        })
    });
    let params = vec![as_wall_clock(&arguments.types[0])?, SqlType::STRING];
    let bound = Bound::new(params, SqlType::STRING, kernel);
    Ok(if fallible { bound.fallible() } else { bound })
}

/// Null for text that has not the form. Without a pattern Flink also takes a fraction.
fn to_timestamp(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 1)?;
    let pattern = pattern_of(arguments, 1)?;
    let plain = arguments.len() == 1;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        numbers::<TimestampMillisecondType>(rows, |row| {
            let Some(text) = text.get(row) else { return Ok(None) };
            if plain {
                let moment = calendar::parse_timestamp(text);
                return Ok(moment.map(|(days, nanos)| days * MILLIS_PER_DAY + nanos / 1_000_000));
            }
            patterns.with(row, |pattern| pattern.read(text))
        })
    });
    Ok(Bound::new(params, SqlType::Timestamp(3), kernel))
}

/// Seconds (precision 0) or milliseconds (3) since the epoch.
fn to_timestamp_ltz(arguments: &Arguments<'_>) -> BindResult {
    if arguments.types.first().is_some_and(SqlType::is_string) {
        return to_instant_from_text(arguments);
    }
    arguments.expect_count(1, 2)?;
    let whole = arguments.types[0].is_integer() || arguments.types[0] == SqlType::Null;
    if !whole && !arguments.types[0].is_numeric() {
        return Err(BindError::new(format!("{} is no number", arguments.types[0])));
    }
    let precision = if arguments.len() == 1 { Some(3) } else { arguments.int_literal(1) };
    let factor = match precision {
        Some(0) => 1000.0,
        Some(3) => 1.0,
        _ => return Err(BindError::new("the precision must be 0 (seconds) or 3 (milliseconds)")),
    };
    let kernel = Kernel::new(move |arguments, rows| {
        let array = if whole {
            let number = BigInts::of(&arguments[0])?;
            let factor = factor as i64;
            numbers_array::<TimestampMillisecondType>(rows, |row| {
                Ok(number.get(row).and_then(|number| number.checked_mul(factor)))
            })?
        } else {
            let number = crate::functions::values::Doubles::of(&arguments[0])?;
            numbers_array::<TimestampMillisecondType>(rows, |row| {
                Ok(number.get(row).map(|number| (number * factor) as i64))
            })?
        };
        Ok(instants(array))
    });
    let number = if whole { SqlType::BigInt } else { SqlType::Double };
    let mut params = vec![number];
    params.extend(arguments.types.get(1).map(|_| SqlType::Int));
    Ok(Bound::new(params, SqlType::TimestampLtz(3), kernel))
}

fn to_instant_from_text(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 1)?;
    let pattern = pattern_of(arguments, 1)?;
    let plain = arguments.len() == 1;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        let array = numbers_array::<TimestampMillisecondType>(rows, |row| {
            let Some(text) = text.get(row) else { return Ok(None) };
            if plain {
                let moment = calendar::parse_timestamp(text);
                return Ok(moment.map(|(days, nanos)| days * MILLIS_PER_DAY + nanos / 1_000_000));
            }
            patterns.with(row, |pattern| pattern.read(text))
        })?;
        Ok(instants(array))
    });
    Ok(Bound::new(params, SqlType::TimestampLtz(3), kernel))
}

fn instants(array: TimestampMillisecondArray) -> ArrayRef {
    Arc::new(array.with_timezone(INSTANT_ZONE))
}

fn to_date(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 1)?;
    let pattern = pattern_of(arguments, 1)?;
    let plain = arguments.len() == 1;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        numbers::<Date32Type>(rows, |row| {
            let Some(text) = text.get(row) else { return Ok(None) };
            if plain {
                return Ok(calendar::parse_date(text).map(|days| days as i32));
            }
            let millis = patterns.with(row, |pattern| pattern.read(text))?;
            Ok(millis.map(|millis| calendar::split_millis(millis).0 as i32))
        })
    });
    Ok(Bound::new(params, SqlType::Date, kernel))
}

fn from_unixtime(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::BigInt, Want::Text], 1)?;
    let (pattern, zone) = (pattern_of(arguments, 1)?, arguments.zone);
    let kernel = Kernel::new(move |arguments, rows| {
        let seconds = BigInts::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        texts(rows, |row, out| {
            let Some(millis) = seconds.get(row).and_then(|seconds| seconds.checked_mul(1000))
            else {
                return Ok(false);
            };
            let written = patterns.with(row, |pattern| {
                pattern.write(zone.to_local(millis), out);
                Some(())
            })?;
            Ok(written.is_some())
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// `UNIX_TIMESTAMP(text)`; `Long.MIN_VALUE` for what cannot be read, as Flink gives.
fn parse_unix(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 1)?;
    let (pattern, zone) = (pattern_of(arguments, 1)?, arguments.zone);
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let patterns = RowPatterns::of(&pattern, arguments.get(1))?;
        numbers::<Int64Type>(rows, |row| {
            let Some(text) = text.get(row) else { return Ok(None) };
            let millis = patterns.with(row, |pattern| Some(pattern.read(text)))?;
            Ok(millis.map(|millis| {
                millis.map_or(i64::MIN, |local| zone.to_instant(local).div_euclid(1000))
            }))
        })
    });
    Ok(Bound::new(params, SqlType::BigInt, kernel))
}

fn convert_tz(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Text], 0)?;
    let pattern = Pattern::parse(DEFAULT_PATTERN).map_err(BindError::new)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let (from, to) = (Text::of(&arguments[1])?, Text::of(&arguments[2])?);
        texts(rows, |row, out| {
            let (Some(text), Some(from), Some(to)) = (text.get(row), from.get(row), to.get(row))
            else {
                return Ok(false);
            };
            let (from, to): (SessionZone, SessionZone) = (from.parse()?, to.parse()?);
            let Some(local) = pattern.read(text) else { return Ok(false) };
            pattern.write(to.to_local(from.to_instant(local)), out);
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel).fallible())
}

/// Whole units between two times, cut towards zero.
fn timestampdiff(arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(3, 3)?;
    let unit = unit_of(arguments, 0)?;
    if unit.millis().is_none() && unit.months().is_none() {
        return Err(BindError::new("the unit must be SECOND up to YEAR"));
    }
    let kernel = Kernel::new(move |arguments, rows| {
        let (from, to) = (Millis::of(&arguments[1])?, Millis::of(&arguments[2])?);
        numbers::<Int32Type>(rows, |row| {
            let Some((from, to)) = from.get(row).zip(to.get(row)) else { return Ok(None) };
            let difference = match unit.months() {
                Some(months) => months_between(from, to) / months,
                None => to.wrapping_sub(from) / unit.millis().unwrap_or(1),
            };
            Ok(Some(difference as i32))
        })
    });
    let params = vec![
        SqlType::STRING,
        as_wall_clock(&arguments.types[1])?,
        as_wall_clock(&arguments.types[2])?,
    ];
    Ok(Bound::new(params, SqlType::Int, kernel))
}

/// Whole months, cut towards zero.
fn months_between(from: i64, to: i64) -> i64 {
    if to < from {
        return -months_between(to, from);
    }
    let ((from_days, from_time), (to_days, to_time)) =
        (calendar::split_millis(from), calendar::split_millis(to));
    let (start, end) = (Date::from_days(from_days), Date::from_days(to_days));
    let months = (end.year - start.year) * 12 + i64::from(end.month) - i64::from(start.month);
    let incomplete = (end.day, to_time) < (start.day, from_time);
    months - i64::from(incomplete)
}

fn timestampadd(arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(3, 3)?;
    let unit = unit_of(arguments, 0)?;
    if unit.millis().is_none() && unit.months().is_none() {
        return Err(BindError::new("the unit must be SECOND up to YEAR"));
    }
    if !arguments.types[1].is_integer() {
        let message = format!("argument 2 must be a whole number, but is {}", arguments.types[1]);
        return Err(BindError::new(message));
    }
    let given = &arguments.types[2];
    let whole_days = unit.months().is_some() || matches!(unit, Unit::Day | Unit::Week);
    let returns = match given {
        SqlType::Date if whole_days => SqlType::Date,
        SqlType::TimestampLtz(_) => SqlType::TimestampLtz(3),
        other => as_wall_clock(other)?,
    };
    let target = returns.clone();
    let kernel = Kernel::new(move |arguments, rows| {
        let count = BigInts::of(&arguments[1])?;
        let shift = |millis: i64, count: i64| match unit.months() {
            Some(months) => {
                let (days, of_day) = calendar::split_millis(millis);
                let date = Date::from_days(days).plus_months(count.saturating_mul(months));
                date.to_millis().wrapping_add(of_day)
            }
            None => millis.wrapping_add(count.wrapping_mul(unit.millis().unwrap_or(1))),
        };
        if target == SqlType::Date {
            let days = crate::functions::values::Dates::of(&arguments[2])?;
            return numbers::<Date32Type>(rows, |row| {
                let pair = days.get(row).zip(count.get(row));
                Ok(pair.map(|(days, count)| {
                    let millis = shift(i64::from(days) * MILLIS_PER_DAY, count);
                    calendar::split_millis(millis).0 as i32
                }))
            });
        }
        let time = Millis::of(&arguments[2])?;
        let array = numbers_array::<TimestampMillisecondType>(rows, |row| {
            Ok(time.get(row).zip(count.get(row)).map(|(time, count)| shift(time, count)))
        })?;
        Ok(match target {
            SqlType::TimestampLtz(_) => instants(array),
            _ => Arc::new(array),
        })
    });
    let params = vec![SqlType::STRING, SqlType::BigInt, returns.clone()];
    Ok(Bound::new(params, returns, kernel))
}

/// `FLOOR(time TO unit)`, `CEIL(time TO unit)`; the unit is the second argument.
pub(super) fn round_to_unit(arguments: &Arguments<'_>, up: bool) -> BindResult {
    arguments.expect_count(2, 2)?;
    let unit = unit_of(arguments, 1)?;
    if unit.millis().is_none() && unit.months().is_none() {
        return Err(BindError::new("the unit must be SECOND up to YEAR"));
    }
    let is_date = arguments.types[0] == SqlType::Date;
    let source = as_wall_clock(&arguments.types[0])?;
    let returns = if is_date { SqlType::Date } else { source.clone() };
    let kernel = Kernel::new(move |arguments, rows| {
        let round = |millis: i64| {
            let floor = floor_to(unit, millis);
            if !up || floor == millis { floor } else { next_unit(unit, floor) }
        };
        let time = Millis::of(&arguments[0])?;
        if is_date {
            return numbers::<Date32Type>(rows, |row| {
                Ok(time.get(row).map(|millis| calendar::split_millis(round(millis)).0 as i32))
            });
        }
        numbers::<TimestampMillisecondType>(rows, |row| Ok(time.get(row).map(round)))
    });
    Ok(Bound::new(vec![source, SqlType::STRING], returns, kernel))
}

fn floor_to(unit: Unit, millis: i64) -> i64 {
    let (days, _) = calendar::split_millis(millis);
    match (unit, unit.months()) {
        (_, Some(months)) => {
            let date = Date::from_days(days);
            let number = (date.year * 12 + i64::from(date.month) - 1).div_euclid(months) * months;
            let first = Date {
                year: number.div_euclid(12),
                month: number.rem_euclid(12) as u32 + 1,
                day: 1,
            };
            first.to_millis()
        }
        // Weeks start on Sunday, as Calcite has it.
        (Unit::Week, None) => (days - calendar::iso_weekday(days) % 7).wrapping_mul(MILLIS_PER_DAY),
        (unit, None) => {
            let length = unit.millis().unwrap_or(1);
            millis.div_euclid(length).wrapping_mul(length)
        }
    }
}

fn next_unit(unit: Unit, floor: i64) -> i64 {
    match unit.months() {
        Some(months) => {
            let (days, _) = calendar::split_millis(floor);
            Date::from_days(days).plus_months(months).to_millis()
        }
        None => floor.wrapping_add(unit.millis().unwrap_or(1)),
    }
}

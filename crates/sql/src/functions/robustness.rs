//! Whatever the values, a function answers: values, nulls or an error, never a panic; and
//! what it gives has the type and the length that it promised.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_empty_array};
use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;
use proptest::prelude::*;

use super::cast;
use super::registry;
use super::signature::{Arguments, Body, FunctionDef};
use super::values::Kernel;
use crate::expr::zone::SessionZone;
use crate::types::{RowField, SqlType};

/// Words that functions look for in their text: units, patterns, paths, zones.
const WORDS: &[&str] = &[
    "",
    "DAY",
    "MONTH",
    "MILLENNIUM",
    "$.a[0]",
    "$.é.'😀",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
    "SSSSSSSSSSSSSSSSSSSSSSSSSS",
    "SSS",
    "EEEE MMM a",
    "'é",
    "Europe/Vienna",
    "+99:é",
    "GMT+é",
    "!",
    "%_é[",
    "(é)|(\\d+)$",
    "$1é",
    "UTF-8",
    "2024-02-29",
    "2024-02-29 12:34:56.789",
    "2024-02-29T12:34:56.789Z",
    "2024-02-29 12:34:56+02:é",
    "1970-01-01 00:00:00.12345678é",
    "00:00:00.😀😀😀😀",
    "-9999-12-31 23:59:59.999999999999999999999",
    "99999999999999999999",
    "-170141183460469231731687303715884105728",
    "1e2147483647",
    "1e-2147483648",
    "+",
    "-",
    ".",
    "-.e",
    "0.000000000000000000000000000000000000000000000001",
    "NaN",
    "-Infinity",
    "{\"a\":[\"é\"]}",
    "äöü😀",
    "Satur",
    "Mär",
    "\u{0}",
];

/// Pieces that random text is made of.
const PIECES: &[&str] = &[
    "0", "9", "-", ":", ".", " ", "T", "Z", "+", "e", "é", "😀", "ß", "İ", "%", "$", "(", "a", "'",
];

const OF_TRIPLES: usize = 6;

/// A generator of numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }

    fn text(&mut self) -> String {
        if self.roll(2) == 0 {
            return self.of(WORDS).to_owned();
        }
        (0..self.roll(24)).map(|_| self.of(PIECES)).collect()
    }

    /// A whole number between bounds, mostly near one of them or zero.
    fn whole(&mut self, min: i64, max: i64) -> i64 {
        let near = [min, min + 1, max, max - 1, 0, 1, -1, 2, 3, 30, 365, 1000];
        self.of(&near).clamp(min, max)
    }

    fn real(&mut self) -> f64 {
        self.of(&[0.0, -0.0, 1.0, -1.5, 1e300, -1e300, f64::MAX, f64::MIN_POSITIVE, 1e18, 9.5e37])
    }

    fn any_real(&mut self) -> f64 {
        match self.roll(8) {
            0 => self.of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
            _ => self.real(),
        }
    }

    fn value(&mut self, kind: &SqlType) -> ScalarValue {
        if self.roll(8) == 0 {
            return ScalarValue::try_from(&kind.to_arrow()).unwrap();
        }
        let long = |dice: &mut Self| Some(dice.whole(i64::MIN, i64::MAX));
        match kind {
            SqlType::Null => ScalarValue::Null,
            SqlType::Boolean => ScalarValue::Boolean(Some(self.roll(2) == 0)),
            SqlType::TinyInt => ScalarValue::Int8(Some(self.whole(-128, 127) as i8)),
            SqlType::SmallInt => ScalarValue::Int16(Some(self.whole(-32768, 32767) as i16)),
            SqlType::Int => {
                ScalarValue::Int32(Some(self.whole(i32::MIN.into(), i32::MAX.into()) as i32))
            }
            SqlType::BigInt => ScalarValue::Int64(long(self)),
            SqlType::Float => ScalarValue::Float32(Some(self.any_real() as f32)),
            SqlType::Double => ScalarValue::Float64(Some(self.any_real())),
            SqlType::Decimal(precision, scale) => {
                let most = 10_i128.pow((*precision).into()) - 1;
                let value = self.of(&[0, 1, -1, most, -most, most / 2, 5, -15]);
                ScalarValue::Decimal128(Some(value), *precision, *scale as i8)
            }
            SqlType::Char(_) | SqlType::Varchar(_) => ScalarValue::Utf8(Some(self.text())),
            SqlType::Binary(_) | SqlType::Varbinary(_) => {
                let bytes = [self.text().into_bytes(), vec![0xff, 0x80]].concat();
                ScalarValue::Binary(Some(bytes))
            }
            SqlType::Date => {
                ScalarValue::Date32(Some(self.whole(i32::MIN.into(), i32::MAX.into()) as i32))
            }
            SqlType::Time(_) => {
                ScalarValue::Time32Millisecond(Some(self.whole(0, 86_399_999) as i32))
            }
            SqlType::Timestamp(0..=3) => ScalarValue::TimestampMillisecond(long(self), None),
            SqlType::Timestamp(4..=6) => ScalarValue::TimestampMicrosecond(long(self), None),
            SqlType::Timestamp(_) => ScalarValue::TimestampNanosecond(long(self), None),
            SqlType::TimestampLtz(0..=3) => {
                ScalarValue::TimestampMillisecond(long(self), Some("UTC".into()))
            }
            SqlType::TimestampLtz(4..=6) => {
                ScalarValue::TimestampMicrosecond(long(self), Some("UTC".into()))
            }
            SqlType::TimestampLtz(_) => {
                ScalarValue::TimestampNanosecond(long(self), Some("UTC".into()))
            }
            SqlType::IntervalMonths => ScalarValue::IntervalYearMonth(Some(
                self.whole(i32::MIN.into(), i32::MAX.into()) as i32,
            )),
            SqlType::IntervalTime => {
                let days = self.whole(i32::MIN.into(), i32::MAX.into()) as i32;
                let nanoseconds = self.whole(i64::MIN, i64::MAX);
                ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                    0,
                    days,
                    nanoseconds,
                )))
            }
            SqlType::Array(element) => {
                let values: Vec<_> = (0..self.roll(4)).map(|_| self.value(element)).collect();
                ScalarValue::List(ScalarValue::new_list(&values, &element.to_arrow(), true))
            }
            other => ScalarValue::try_from(&other.to_arrow()).unwrap(),
        }
    }

    /// So many values of a type.
    fn column(&mut self, kind: &SqlType, rows: usize) -> ArrayRef {
        let values: Vec<_> = (0..rows).map(|_| self.value(kind)).collect();
        match values.is_empty() {
            true => new_empty_array(&kind.to_arrow()),
            false => ScalarValue::iter_to_array(values).unwrap(),
        }
    }
}

fn zones() -> [SessionZone; 3] {
    ["UTC", "-05:30", "Europe/Vienna"].map(|zone| zone.parse().unwrap())
}

/// Types of arguments, few enough that all pairs can be tried; all triples of the first
/// [`OF_TRIPLES`].
fn kinds() -> Vec<SqlType> {
    vec![
        SqlType::STRING,
        SqlType::Int,
        SqlType::BigInt,
        SqlType::Double,
        SqlType::Date,
        SqlType::Timestamp(3),
        SqlType::TinyInt,
        SqlType::Decimal(38, 18),
        SqlType::Decimal(5, 2),
        SqlType::Boolean,
        SqlType::BYTES,
        SqlType::Time(3),
        SqlType::TimestampLtz(3),
        SqlType::IntervalMonths,
        SqlType::IntervalTime,
        SqlType::Array(Box::new(SqlType::Int)),
    ]
}

fn cast_kinds() -> Vec<SqlType> {
    let field = |name: &str, sql_type| RowField { name: name.to_owned(), sql_type };
    let mut kinds = kinds();
    kinds.extend([
        SqlType::SmallInt,
        SqlType::Float,
        SqlType::Decimal(38, 0),
        SqlType::Decimal(38, 38),
        SqlType::Char(3),
        SqlType::Char(i32::MAX as u32),
        SqlType::Varchar(2),
        SqlType::Binary(2),
        SqlType::Binary(i32::MAX as u32),
        SqlType::Varbinary(1),
        SqlType::Timestamp(0),
        SqlType::Timestamp(6),
        SqlType::Timestamp(9),
        SqlType::TimestampLtz(6),
        SqlType::TimestampLtz(9),
        SqlType::Array(Box::new(SqlType::STRING)),
        SqlType::Row(vec![field("a", SqlType::STRING), field("b", SqlType::Timestamp(9))]),
        SqlType::Map(Box::new(SqlType::STRING), Box::new(SqlType::Int)),
    ]);
    kinds
}

/// A call that some function takes: its types, and the words that have to be constants.
#[derive(Clone)]
struct Call {
    def: &'static FunctionDef,
    types: Vec<SqlType>,
    literals: Vec<Option<ScalarValue>>,
}

/// Argument lists up to three long, and some of four.
fn argument_lists() -> Vec<Vec<SqlType>> {
    let kinds = kinds();
    let longer = |lists: &[Vec<SqlType>], by: &[SqlType]| -> Vec<Vec<SqlType>> {
        let pairs = lists.iter().flat_map(|list| by.iter().map(move |kind| (list, kind)));
        pairs.map(|(list, kind)| [list.as_slice(), std::slice::from_ref(kind)].concat()).collect()
    };
    let one = longer(&[Vec::new()], &kinds);
    let two = longer(&one, &kinds);
    let few = &kinds[..OF_TRIPLES];
    let three = (0..3).fold(vec![Vec::new()], |lists, _| longer(&lists, few));
    let few = [SqlType::STRING, SqlType::Int];
    let four = (0..4).fold(vec![Vec::new()], |lists, _| longer(&lists, &few));
    [vec![Vec::new()], one, two, three, four].concat()
}

/// All calls that bind. Some functions want a constant word in one place.
fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    let lists = argument_lists();
    for def in registry::all() {
        let Body::Kernel(bind) = def.body else { continue };
        let first = calls.len();
        for types in &lists {
            let binds = |literals: &[Option<ScalarValue>]| {
                bind(&Arguments { types, literals, zone: SessionZone::default() }).is_ok()
            };
            let none = vec![None; types.len()];
            if binds(&none) {
                calls.push(Call { def, types: types.clone(), literals: none });
                continue;
            }
            for place in (0..types.len()).filter(|place| types[*place].is_string()) {
                for word in ["DAY", "YEAR", "$.a[0]", "!"] {
                    let mut literals = vec![None; types.len()];
                    literals[place] = Some(ScalarValue::from(word));
                    if binds(&literals) {
                        calls.push(Call { def, types: types.clone(), literals });
                    }
                }
            }
        }
        assert!(calls.len() > first || def.name == "$field", "{} takes nothing", def.name);
    }
    calls
}

/// Runs a kernel on all rows at once and, where that fails, on each row.
fn run(kernel: &Kernel, arguments: &[ColumnarValue], rows: usize, returns: &SqlType) {
    let check = |array: ArrayRef, rows: usize| {
        assert_eq!(array.len(), rows);
        assert_eq!(*array.data_type(), returns.to_arrow());
    };
    if let Ok(array) = kernel.run(arguments, rows) {
        return check(array, rows);
    }
    for row in 0..rows {
        let one: Vec<ColumnarValue> = arguments
            .iter()
            .map(|argument| match argument {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(row, 1)),
                constant => constant.clone(),
            })
            .collect();
        if let Ok(array) = kernel.run(&one, 1) {
            check(array, 1);
        }
    }
}

/// Runs, and names what panicked instead of stopping at the first.
fn named(failed: &mut Vec<String>, name: impl Fn() -> String, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        failed.push(name());
    }
}

/// Calls a function with random values, some of them constants.
fn call_once(call: &Call, dice: &mut Dice) {
    const ROWS: usize = 12;
    let Body::Kernel(bind) = call.def.body else { return };
    let mut literals = call.literals.clone();
    for (literal, kind) in literals.iter_mut().zip(&call.types) {
        if literal.is_none() && dice.roll(4) == 0 {
            *literal = Some(dice.value(kind));
        }
    }
    let zone = dice.of(&zones());
    let arguments = Arguments { types: &call.types, literals: &literals, zone };
    let Ok(bound) = bind(&arguments) else { return };
    let values: Vec<ColumnarValue> = bound
        .params
        .iter()
        .enumerate()
        .map(|(number, kind)| match literals.get(number) {
            Some(Some(value)) if call.types[number] == *kind => {
                ColumnarValue::Scalar(value.clone())
            }
            _ => ColumnarValue::Array(dice.column(kind, ROWS)),
        })
        .collect();
    run(&bound.kernel, &values, ROWS, &bound.returns);
}

#[test]
fn no_function_panics() {
    let calls = calls();
    let mut failed = Vec::new();
    let mut dice = Dice(0x7a1);
    for call in &calls {
        for _ in 0..4 {
            let name = || format!("{} of {:?}", call.def.syntax, call.types);
            named(&mut failed, name, || call_once(call, &mut dice));
        }
    }
    failed.dedup();
    assert!(failed.is_empty(), "{} of {} calls panic: {failed:#?}", failed.len(), calls.len());
}

#[test]
fn no_cast_panics() {
    const ROWS: usize = 24;
    let mut failed = Vec::new();
    let mut dice = Dice(0xca57);
    let kinds = cast_kinds();
    for (from, to) in kinds.iter().flat_map(|from| kinds.iter().map(move |to| (from, to))) {
        for (lenient, zone) in [(false, zones()[0]), (true, zones()[1]), (false, zones()[2])] {
            let Some(cast) = cast::bind(from, to, lenient, zone) else { continue };
            let values = [ColumnarValue::Array(dice.column(from, ROWS))];
            let name = || format!("{from} to {to}");
            named(&mut failed, name, || run(&cast.kernel, &values, ROWS, to));
        }
    }
    failed.dedup();
    assert!(failed.is_empty(), "{failed:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Text that is nearly a date, a number or anything else, through everything that
    /// reads text.
    #[test]
    fn no_reader_of_text_panics(
        near in "[-+0-9:. TZeé😀]{0,40}",
        any in "\\PC{0,24}",
        pattern in "[yMdHhmsSaEeDkK' é]{0,40}",
    ) {
        let texts: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(vec![
            near.as_str(), any.as_str(), pattern.as_str(),
        ]));
        for to in cast_kinds() {
            for zone in zones() {
                if let Some(cast) = cast::bind(&SqlType::STRING, &to, false, zone) {
                    run(&cast.kernel, &[ColumnarValue::Array(Arc::clone(&texts))], 3, &to);
                }
            }
        }
        if let Ok(pattern) = super::scalar::java_pattern::Pattern::parse(&pattern) {
            let _ = pattern.read(&near);
            let _ = pattern.read(&any);
            let mut out = String::new();
            pattern.write(i64::MIN, &mut out);
            let _ = pattern.read(&out);
        }
        let _ = near.parse::<SessionZone>();
        let _ = any.parse::<SessionZone>();
        let _ = crate::settings::parse_duration(&near);
        let _ = crate::settings::parse_duration(&any);
    }
}

//! Mathematics.

use datafusion::arrow::datatypes::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};

use super::kernel;
use crate::functions::arithmetic::decimal;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{
    BigInts, Bytes, Column, Decimals, Doubles, Ints, Kernel, KernelResult, expand, numbers, texts,
};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("abs", &[], "ABS(a)", |arguments| each(arguments, Unary::Abs)),
    kernel("sign", &[], "SIGN(a)", |arguments| each(arguments, Unary::Sign)),
    kernel("ceil", &["ceiling"], "CEIL(a)", |arguments| rounding(arguments, Rounding::Ceil)),
    kernel("floor", &[], "FLOOR(a)", |arguments| rounding(arguments, Rounding::Floor)),
    kernel("round", &[], "ROUND(a[, digits])", |arguments| digits(arguments, false)),
    kernel("truncate", &[], "TRUNCATE(a[, digits])", |arguments| digits(arguments, true)),
    kernel("power", &["pow"], "POWER(a, b)", |arguments| {
        let params = arguments.expect(&[Want::Double, Want::Double], 0)?;
        Ok(doubles2(params, f64::powf))
    }),
    kernel("atan2", &[], "ATAN2(y, x)", |arguments| {
        let params = arguments.expect(&[Want::Double, Want::Double], 0)?;
        Ok(doubles2(params, f64::atan2))
    }),
    kernel("log", &[], "LOG([base, ]a)", log),
    kernel("sqrt", &[], "SQRT(a)", |arguments| double(arguments, f64::sqrt)),
    kernel("ln", &[], "LN(a)", |arguments| double(arguments, f64::ln)),
    kernel("log10", &[], "LOG10(a)", |arguments| double(arguments, f64::log10)),
    kernel("log2", &[], "LOG2(a)", |arguments| double(arguments, f64::log2)),
    kernel("exp", &[], "EXP(a)", |arguments| double(arguments, f64::exp)),
    kernel("sin", &[], "SIN(a)", |arguments| double(arguments, f64::sin)),
    kernel("cos", &[], "COS(a)", |arguments| double(arguments, f64::cos)),
    kernel("tan", &[], "TAN(a)", |arguments| double(arguments, f64::tan)),
    kernel("cot", &[], "COT(a)", |arguments| double(arguments, |a| 1.0 / a.tan())),
    kernel("asin", &[], "ASIN(a)", |arguments| double(arguments, f64::asin)),
    kernel("acos", &[], "ACOS(a)", |arguments| double(arguments, f64::acos)),
    kernel("atan", &[], "ATAN(a)", |arguments| double(arguments, f64::atan)),
    kernel("sinh", &[], "SINH(a)", |arguments| double(arguments, f64::sinh)),
    kernel("cosh", &[], "COSH(a)", |arguments| double(arguments, f64::cosh)),
    kernel("tanh", &[], "TANH(a)", |arguments| double(arguments, f64::tanh)),
    kernel("degrees", &[], "DEGREES(a)", |arguments| double(arguments, f64::to_degrees)),
    kernel("radians", &[], "RADIANS(a)", |arguments| double(arguments, f64::to_radians)),
    kernel("pi", &[], "PI()", |arguments| constant(arguments, std::f64::consts::PI)),
    kernel("e", &[], "E()", |arguments| constant(arguments, std::f64::consts::E)),
    kernel("bin", &[], "BIN(a)", |arguments| {
        let params = arguments.expect(&[Want::BigInt], 0)?;
        Ok(text_of_number(params, |number| format!("{number:b}")))
    }),
    kernel("hex", &[], "HEX(number or text)", hex),
];

fn double(arguments: &Arguments<'_>, run: fn(f64) -> f64) -> BindResult {
    let params = arguments.expect(&[Want::Double], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let value = Doubles::of(&arguments[0])?;
        numbers::<Float64Type>(rows, |row| Ok(value.get(row).map(run)))
    });
    Ok(Bound::new(params, SqlType::Double, kernel))
}

fn doubles2(params: Vec<SqlType>, run: fn(f64, f64) -> f64) -> Bound {
    let kernel = Kernel::new(move |arguments, rows| {
        let (left, right) = (Doubles::of(&arguments[0])?, Doubles::of(&arguments[1])?);
        numbers::<Float64Type>(rows, |row| {
            Ok(left.get(row).zip(right.get(row)).map(|(left, right)| run(left, right)))
        })
    });
    Bound::new(params, SqlType::Double, kernel)
}

fn constant(arguments: &Arguments<'_>, value: f64) -> BindResult {
    arguments.expect_count(0, 0)?;
    let kernel = Kernel::new(move |_, rows| numbers::<Float64Type>(rows, |_| Ok(Some(value))));
    Ok(Bound::new(Vec::new(), SqlType::Double, kernel))
}

fn log(arguments: &Arguments<'_>) -> BindResult {
    if arguments.len() == 1 {
        return double(arguments, f64::ln);
    }
    let params = arguments.expect(&[Want::Double, Want::Double], 0)?;
    Ok(doubles2(params, |base, value| value.ln() / base.ln()))
}

#[derive(Clone, Copy)]
enum Unary {
    Abs,
    Sign,
}

/// Functions that keep the number's type.
fn each(arguments: &Arguments<'_>, op: Unary) -> BindResult {
    arguments.expect_count(1, 1)?;
    let kind = number_type(&arguments.types[0])?;
    let target = kind.clone();
    macro_rules! whole {
        ($arguments:expr, $rows:expr, $array:ty) => {{
            let value =
                Column::<datafusion::arrow::array::PrimitiveArray<$array>>::of(&$arguments[0])?;
            numbers::<$array>($rows, |row| {
                Ok(value.get(row).map(|value| match op {
                    Unary::Abs => value.wrapping_abs(),
                    Unary::Sign => value.signum(),
                }))
            })
        }};
    }
    macro_rules! real {
        ($arguments:expr, $rows:expr, $array:ty) => {{
            let value =
                Column::<datafusion::arrow::array::PrimitiveArray<$array>>::of(&$arguments[0])?;
            numbers::<$array>($rows, |row| {
                Ok(value.get(row).map(|value| match op {
                    Unary::Abs => value.abs(),
                    Unary::Sign if value == 0.0 || value.is_nan() => value,
                    Unary::Sign => value.signum(),
                }))
            })
        }};
    }
    let kernel = Kernel::new(move |arguments, rows| match &target {
        SqlType::TinyInt => whole!(arguments, rows, Int8Type),
        SqlType::SmallInt => whole!(arguments, rows, Int16Type),
        SqlType::Int => whole!(arguments, rows, Int32Type),
        SqlType::BigInt => whole!(arguments, rows, Int64Type),
        SqlType::Float => real!(arguments, rows, Float32Type),
        SqlType::Decimal(precision, scale) => {
            let value = Decimals::of(&arguments[0])?;
            decimal::array(rows, *precision, *scale, |row| {
                value.get(row).map(|value| match op {
                    Unary::Abs => value.abs(),
                    Unary::Sign => value.signum() * decimal::power_of_ten(*scale),
                })
            })
        }
        _ => real!(arguments, rows, Float64Type),
    });
    Ok(Bound::new(vec![kind.clone()], kind, kernel))
}

fn number_type(given: &SqlType) -> Result<SqlType, BindError> {
    match given {
        SqlType::Null => Ok(SqlType::Int),
        number if number.is_numeric() => Ok(number.clone()),
        other => Err(BindError::new(format!("the argument must be a number, but is {other}"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Ceil,
    Floor,
}

/// `CEIL` and `FLOOR`: whole numbers stay, decimals lose their fraction; with a unit,
/// times are cut to it.
fn rounding(arguments: &Arguments<'_>, rounding: Rounding) -> BindResult {
    if arguments.len() == 2 && arguments.text_literal(1).is_some() {
        return super::temporal::round_to_unit(arguments, rounding == Rounding::Ceil);
    }
    arguments.expect_count(1, 1)?;
    let kind = number_type(&arguments.types[0])?;
    let bound = match kind {
        SqlType::Decimal(precision, scale) => {
            let unit = decimal::power_of_ten(scale);
            let kernel = Kernel::new(move |arguments, rows| {
                let value = Decimals::of(&arguments[0])?;
                decimal::array(rows, precision, 0, |row| {
                    value.get(row).map(|value| match rounding {
                        Rounding::Floor => value.div_euclid(unit),
                        Rounding::Ceil => -(-value).div_euclid(unit),
                    })
                })
            });
            Bound::new(vec![kind], SqlType::Decimal(precision, 0), kernel)
        }
        SqlType::Float => {
            let kernel = Kernel::new(move |arguments, rows| {
                let value = crate::functions::values::Floats::of(&arguments[0])?;
                numbers::<Float32Type>(rows, |row| {
                    Ok(value.get(row).map(|value| match rounding {
                        Rounding::Floor => value.floor(),
                        Rounding::Ceil => value.ceil(),
                    }))
                })
            });
            Bound::new(vec![SqlType::Float], SqlType::Float, kernel)
        }
        SqlType::Double => {
            let run = if rounding == Rounding::Floor { f64::floor } else { f64::ceil };
            return double(arguments, run);
        }
        whole => Bound::new(vec![whole.clone()], whole, unchanged()),
    };
    Ok(bound)
}

fn unchanged() -> Kernel {
    Kernel::new(|arguments, rows| expand(&arguments[0], rows))
}

/// `ROUND` and `TRUNCATE`. The type of a decimal depends on constant digits.
fn digits(arguments: &Arguments<'_>, truncate: bool) -> BindResult {
    arguments.expect_count(1, 2)?;
    let kind = number_type(&arguments.types[0])?;
    if let Some(digits) = arguments.types.get(1)
        && !digits.is_integer()
        && *digits != SqlType::Null
    {
        return Err(BindError::new(format!("argument 2 must be a whole number, but is {digits}")));
    }
    let mut params = vec![kind.clone()];
    params.extend(arguments.types.get(1).map(|_| SqlType::Int));
    let returns = match kind {
        SqlType::Decimal(precision, scale) if !truncate => {
            rounded_type(precision, scale, arguments)
        }
        _ => kind.clone(),
    };
    let (source, target) = (kind, returns.clone());
    let kernel = Kernel::new(move |arguments, rows| {
        let digits = match arguments.get(1) {
            Some(digits) => Some(Ints::of(digits)?),
            None => None,
        };
        let digits = |row: usize| digits.as_ref().map_or(Some(0), |digits| digits.get(row));
        round_rows(&arguments[0], rows, &source, &target, truncate, &digits)
    });
    Ok(Bound::new(params, returns, kernel))
}

/// Rounding to `n` digits leaves `n` fractional digits, and may add a whole one.
fn rounded_type(precision: u8, scale: u8, arguments: &Arguments<'_>) -> SqlType {
    let digits = match arguments.len() {
        1 => Some(0),
        _ => arguments.int_literal(1),
    };
    match digits {
        Some(digits) if digits >= i64::from(scale) => SqlType::Decimal(precision, scale),
        Some(digits) => {
            let digits = digits.max(0) as u8;
            SqlType::Decimal((precision - scale + digits + 1).min(38), digits)
        }
        None => SqlType::Decimal(precision, scale),
    }
}

fn round_rows(
    value: &datafusion::logical_expr::ColumnarValue,
    rows: usize,
    source: &SqlType,
    target: &SqlType,
    truncate: bool,
    digits: &dyn Fn(usize) -> Option<i32>,
) -> KernelResult {
    let round = |value: i128, scale: i32, digits: i32| -> Option<i128> {
        let drop = scale.saturating_sub(digits);
        if drop <= 0 {
            return Some(value);
        }
        // Half of such a unit is more than any value.
        let Some(unit) = 10_i128.checked_pow(drop as u32) else { return Some(0) };
        let quotient =
            if truncate { Some(value / unit) } else { decimal::divide_half_up(value, unit) };
        quotient?.checked_mul(unit)
    };
    let whole = |row: usize, value: Option<i128>| {
        value.zip(digits(row)).and_then(|(value, digits)| round(value, 0, digits))
    };
    macro_rules! integer {
        ($array:ty, $native:ty) => {{
            let value = Column::<datafusion::arrow::array::PrimitiveArray<$array>>::of(value)?;
            numbers::<$array>(rows, |row| {
                Ok(whole(row, value.get(row).map(i128::from)).map(|value| value as $native))
            })
        }};
    }
    match source {
        SqlType::TinyInt => integer!(Int8Type, i8),
        SqlType::SmallInt => integer!(Int16Type, i16),
        SqlType::Int => integer!(Int32Type, i32),
        SqlType::BigInt => integer!(Int64Type, i64),
        SqlType::Decimal(_, scale) => {
            let (precision, target_scale) = target.as_decimal().unwrap_or((38, *scale));
            let value = Decimals::of(value)?;
            decimal::array(rows, precision, target_scale, |row| {
                let (value, digits) = value.get(row).zip(digits(row))?;
                decimal::rescale(round(value, i32::from(*scale), digits)?, *scale, target_scale)
            })
        }
        SqlType::Float => {
            let value = crate::functions::values::Floats::of(value)?;
            numbers::<Float32Type>(rows, |row| {
                let pair = value.get(row).zip(digits(row));
                Ok(pair
                    .map(|(value, digits)| round_real(f64::from(value), digits, truncate) as f32))
            })
        }
        _ => {
            let value = Doubles::of(value)?;
            numbers::<Float64Type>(rows, |row| {
                let pair = value.get(row).zip(digits(row));
                Ok(pair.map(|(value, digits)| round_real(value, digits, truncate)))
            })
        }
    }
}

/// By the number's shortest decimal digits, as Java's `BigDecimal.valueOf`.
fn round_real(value: f64, digits: i32, truncate: bool) -> f64 {
    if !value.is_finite() || digits > 300 {
        return value;
    }
    if digits < -300 {
        return 0.0;
    }
    if truncate || digits < 0 {
        let unit = 10_f64.powi(digits);
        let scaled = value * unit;
        let rounded = if truncate { scaled.trunc() } else { scaled.round() };
        return rounded / unit;
    }
    let scale = digits.min(30) as u8;
    match decimal::parse(&value.to_string(), scale) {
        Some(rounded) => {
            let mut text = String::new();
            decimal::write(&mut text, rounded, scale);
            text.parse().unwrap_or(value)
        }
        None => value,
    }
}

fn text_of_number(params: Vec<SqlType>, write: fn(i64) -> String) -> Bound {
    let kernel = Kernel::new(move |arguments, rows| {
        let value = BigInts::of(&arguments[0])?;
        texts(rows, |row, out| {
            let Some(value) = value.get(row) else { return Ok(false) };
            out.push_str(&write(value));
            Ok(true)
        })
    });
    Bound::new(params, SqlType::STRING, kernel)
}

fn hex(arguments: &Arguments<'_>) -> BindResult {
    if arguments.types.first().is_some_and(SqlType::is_integer) {
        let params = arguments.expect(&[Want::BigInt], 0)?;
        return Ok(text_of_number(params, |number| format!("{number:X}")));
    }
    let params = arguments.expect(&[Want::Bytes], 0)?;
    let kernel = Kernel::new(|arguments, rows| {
        let bytes = Bytes::of(&arguments[0])?;
        texts(rows, |row, out| {
            let Some(bytes) = bytes.get(row) else { return Ok(false) };
            bytes.iter().for_each(|byte| out.push_str(&format!("{byte:02X}")));
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

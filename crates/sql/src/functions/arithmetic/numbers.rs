//! Arithmetic of numbers with Java's semantics: whole numbers wrap, division by zero is
//! an error; decimals are exact, and null where they do not fit.

use datafusion::arrow::array::{ArrowNativeTypeOp, Datum, PrimitiveArray};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use datafusion::logical_expr::ColumnarValue;

use super::{Op, decimal};
use crate::functions::signature::Bound;
use crate::functions::values::{Column, Decimals, Kernel, KernelResult, expand, numbers};
use crate::types::SqlType;

const DIVISION_BY_ZERO: &str = "division by zero";

pub(super) fn bind(op: Op, left: &SqlType, right: &SqlType) -> Bound {
    let approximate = |kind: &SqlType| matches!(kind, SqlType::Float | SqlType::Double);
    if approximate(left) || approximate(right) {
        let both_float = *left == SqlType::Float && *right == SqlType::Float;
        return whole_or_real(op, if both_float { SqlType::Float } else { SqlType::Double });
    }
    if left.is_integer() && right.is_integer() {
        let wide = wider(left, right);
        let mut bound = whole_or_real(op, wide);
        if op == Op::Modulo {
            // The remainder fits into the divisor's type, which is Flink's result.
            narrow_remainder(&mut bound, right);
        }
        return bound;
    }
    decimals(op, left.as_decimal().unwrap_or((38, 0)), right.as_decimal().unwrap_or((38, 0)))
}

/// The wider of two whole types.
pub(crate) fn wider(left: &SqlType, right: &SqlType) -> SqlType {
    let digits = |kind: &SqlType| kind.as_decimal().map_or(0, |(precision, _)| precision);
    if digits(left) >= digits(right) { left.clone() } else { right.clone() }
}

fn narrow_remainder(bound: &mut Bound, right: &SqlType) {
    if bound.returns == *right {
        return;
    }
    let Some(cast) = crate::functions::cast::bind(&bound.returns, right, false, Default::default())
    else {
        return;
    };
    let wide = bound.kernel.clone();
    bound.kernel = Kernel::new(move |arguments, rows| {
        let remainder = wide.run(arguments, rows)?;
        cast.kernel.run(&[ColumnarValue::Array(remainder)], rows)
    });
    bound.returns = right.clone();
}

fn whole_or_real(op: Op, kind: SqlType) -> Bound {
    let kernel = match kind {
        SqlType::TinyInt => kernel::<Int8Type>(op, true),
        SqlType::SmallInt => kernel::<Int16Type>(op, true),
        SqlType::Int => kernel::<Int32Type>(op, true),
        SqlType::BigInt => kernel::<Int64Type>(op, true),
        SqlType::Float => kernel::<Float32Type>(op, false),
        _ => kernel::<Float64Type>(op, false),
    };
    let fallible = kind.is_integer() && matches!(op, Op::Divide | Op::Modulo);
    let bound = Bound::new(vec![kind.clone(), kind.clone()], kind, kernel);
    if fallible { bound.fallible() } else { bound }
}

fn kernel<T: ArrowPrimitiveType>(op: Op, whole: bool) -> Kernel
where
    T::Native: ArrowNativeTypeOp,
{
    Kernel::new(move |arguments, rows| match op {
        Op::Plus => vectorised(arguments, rows, numeric::add_wrapping),
        Op::Minus => vectorised(arguments, rows, numeric::sub_wrapping),
        Op::Times => vectorised(arguments, rows, numeric::mul_wrapping),
        Op::Divide | Op::Modulo => divide::<T>(op, whole, arguments, rows),
    })
}

fn vectorised(
    arguments: &[ColumnarValue],
    rows: usize,
    run: fn(
        &dyn Datum,
        &dyn Datum,
    )
        -> Result<datafusion::arrow::array::ArrayRef, datafusion::arrow::error::ArrowError>,
) -> KernelResult {
    let scalar = |value: &datafusion::scalar::ScalarValue| {
        value.to_scalar().map_err(|error| error.to_string())
    };
    let result = match (&arguments[0], &arguments[1]) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => run(left, right),
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => run(left, &scalar(right)?),
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => run(&scalar(left)?, right),
        (left, right) => {
            let left = expand(left, rows)?;
            let right = expand(right, rows)?;
            run(&left, &right)
        }
    };
    result.map_err(|error| error.to_string())
}

/// Division and remainder; for whole numbers `MIN / -1` wraps.
fn divide<T: ArrowPrimitiveType>(
    op: Op,
    whole: bool,
    arguments: &[ColumnarValue],
    rows: usize,
) -> KernelResult
where
    T::Native: ArrowNativeTypeOp,
{
    let left = Column::<PrimitiveArray<T>>::of(&arguments[0])?;
    let right = Column::<PrimitiveArray<T>>::of(&arguments[1])?;
    numbers::<T>(rows, |row| {
        let (Some(left), Some(right)) = (left.get(row), right.get(row)) else { return Ok(None) };
        if whole && right.is_zero() {
            return Err(DIVISION_BY_ZERO.to_owned());
        }
        Ok(Some(match op {
            Op::Divide => left.div_wrapping(right),
            _ => left.mod_wrapping(right),
        }))
    })
}

fn decimals(op: Op, left: (u8, u8), right: (u8, u8)) -> Bound {
    let returns = match op {
        Op::Plus | Op::Minus => decimal::sum_type(left, right),
        Op::Times => decimal::product_type(left, right),
        Op::Divide => decimal::quotient_type(left, right),
        Op::Modulo => decimal::remainder_type(left, right),
    };
    let (precision, scale) = returns.as_decimal().unwrap_or((38, 0));
    let (left_scale, right_scale) = (left.1, right.1);
    let kernel = Kernel::new(move |arguments, rows| {
        let left = Decimals::of(&arguments[0])?;
        let right = Decimals::of(&arguments[1])?;
        let mut by_zero = false;
        let array = decimal::array(rows, precision, scale, |row| {
            let (left, right) = (left.get(row)?, right.get(row)?);
            if matches!(op, Op::Divide | Op::Modulo) && right == 0 {
                by_zero = true;
                return None;
            }
            compute(op, (left, left_scale), (right, right_scale), scale)
        })?;
        if by_zero { Err(DIVISION_BY_ZERO.to_owned()) } else { Ok(array) }
    });
    let as_decimal = |(precision, scale)| SqlType::Decimal(precision, scale);
    let bound = Bound::new(vec![as_decimal(left), as_decimal(right)], returns, kernel);
    if matches!(op, Op::Divide | Op::Modulo) { bound.fallible() } else { bound }
}

/// One result at `scale`; nothing where it does not fit. Most fit into 128 bits all the
/// way; the others have up to 76 digits on the way, which 256 bits hold.
fn compute(op: Op, left: (i128, u8), right: (i128, u8), scale: u8) -> Option<i128> {
    compute_narrow(op, left, right, scale).or_else(|| compute_wide(op, left, right, scale))
}

/// Steps of ten between a quotient of unscaled values and the result.
fn quotient_shift(left_scale: u8, right_scale: u8, scale: u8) -> i32 {
    // left / 10^ls / (right / 10^rs) * 10^scale
    i32::from(scale) + i32::from(right_scale) - i32::from(left_scale)
}

fn compute_narrow(op: Op, left: (i128, u8), right: (i128, u8), scale: u8) -> Option<i128> {
    let ((left, left_scale), (right, right_scale)) = (left, right);
    let power = |exponent: i32| 10_i128.checked_pow(exponent.unsigned_abs());
    match op {
        Op::Times => {
            let exponent = i32::from(left_scale) + i32::from(right_scale) - i32::from(scale);
            decimal::divide_half_up(left.checked_mul(right)?, power(exponent)?)
        }
        Op::Divide => match quotient_shift(left_scale, right_scale, scale) {
            up @ 0.. => decimal::divide_half_up(left.checked_mul(power(up)?)?, right),
            down => decimal::divide_half_up(left, right.checked_mul(power(down)?)?),
        },
        Op::Plus | Op::Minus | Op::Modulo => {
            let common = left_scale.max(right_scale);
            let left = decimal::rescale(left, left_scale, common)?;
            let right = decimal::rescale(right, right_scale, common)?;
            let value = match op {
                Op::Plus => left.checked_add(right)?,
                Op::Minus => left.checked_sub(right)?,
                _ => left.checked_rem(right)?,
            };
            decimal::rescale(value, common, scale)
        }
    }
}

fn compute_wide(op: Op, left: (i128, u8), right: (i128, u8), scale: u8) -> Option<i128> {
    let ((left, left_scale), (right, right_scale)) = (left, right);
    let (left, right) = (i256::from_i128(left), i256::from_i128(right));
    let power = |exponent: i32| i256::from_i128(10).checked_pow(exponent.unsigned_abs());
    match op {
        Op::Times => {
            let exponent = i32::from(left_scale) + i32::from(right_scale) - i32::from(scale);
            decimal::divide_wide(left.checked_mul(right)?, power(exponent)?)
        }
        Op::Divide => match quotient_shift(left_scale, right_scale, scale) {
            up @ 0.. => decimal::divide_wide(left.checked_mul(power(up)?)?, right),
            down => decimal::divide_wide(left, right.checked_mul(power(down)?)?),
        },
        Op::Plus | Op::Minus | Op::Modulo => {
            let common = left_scale.max(right_scale);
            let left = left.checked_mul(power(i32::from(common - left_scale))?)?;
            let right = right.checked_mul(power(i32::from(common - right_scale))?)?;
            let value = match op {
                Op::Plus => left.checked_add(right)?,
                Op::Minus => left.checked_sub(right)?,
                _ => left.checked_rem(right)?,
            };
            decimal::divide_wide(value, power(i32::from(common) - i32::from(scale))?)
        }
    }
}

pub(super) fn negate(kind: &SqlType) -> Bound {
    let kind = if *kind == SqlType::Null { SqlType::Int } else { kind.clone() };
    let kernel = Kernel::new(move |arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        numeric::neg_wrapping(array.as_ref()).map_err(|error| error.to_string())
    });
    Bound::new(vec![kind.clone()], kind, kernel)
}

//! Casts between numbers and truth values. Whole numbers wrap, as Java's do; a decimal
//! that does not fit is null.

use datafusion::arrow::array::{Float32Array, Float64Array, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use datafusion::logical_expr::ColumnarValue;

use super::Cast;
use crate::functions::arithmetic::decimal::{self, power_of_ten};
use crate::functions::values::{Bools, Column, Kernel, KernelResult, bools, numbers};
use crate::types::SqlType;

/// A number on its way.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

pub(super) fn bind(from: &SqlType, to: &SqlType) -> Option<Cast> {
    let (source, target) = (from.clone(), to.clone());
    Cast::sure(Kernel::new(move |arguments, rows| {
        let value = reader(&arguments[0], &source)?;
        write(rows, &source, &target, &value)
    }))
}

type Reader = Box<dyn Fn(usize) -> Option<Number>>;

fn reader(value: &ColumnarValue, from: &SqlType) -> Result<Reader, String> {
    fn whole<T>(value: &ColumnarValue) -> Result<Reader, String>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i128>,
    {
        let column = Column::<PrimitiveArray<T>>::of(value)?;
        Ok(Box::new(move |row| column.get(row).map(|value| Number::Whole(value.into()))))
    }
    Ok(match from {
        SqlType::Boolean => {
            let column = Bools::of(value)?;
            Box::new(move |row| column.get(row).map(|value| Number::Whole(value.into())))
        }
        SqlType::TinyInt => whole::<Int8Type>(value)?,
        SqlType::SmallInt => whole::<Int16Type>(value)?,
        SqlType::Int => whole::<Int32Type>(value)?,
        SqlType::BigInt => whole::<Int64Type>(value)?,
        SqlType::Decimal(..) => whole::<Decimal128Type>(value)?,
        SqlType::Float => {
            let column = Column::<Float32Array>::of(value)?;
            Box::new(move |row| column.get(row).map(|value| Number::Real(f64::from(value))))
        }
        _ => {
            let column = Column::<Float64Array>::of(value)?;
            Box::new(move |row| column.get(row).map(Number::Real))
        }
    })
}

fn write(rows: usize, from: &SqlType, to: &SqlType, value: &Reader) -> KernelResult {
    let scale = match from {
        SqlType::Decimal(_, scale) => power_of_ten(*scale),
        _ => 1,
    };
    let whole = |row| {
        value(row).map(|number| match number {
            Number::Whole(value) => value / scale,
            // Java goes through `int` for the narrow types, through `long` for BIGINT.
            Number::Real(value) if *to == SqlType::BigInt => i128::from(value as i64),
            Number::Real(value) => i128::from(value as i32),
        })
    };
    // A FLOAT goes by its own shortest digits, so that 0.1 stays 0.1.
    let real = |row| {
        value(row).map(|number| match number {
            Number::Whole(value) if scale == 1 => value as f64,
            Number::Whole(value) => value as f64 / scale as f64,
            Number::Real(value) => value,
        })
    };
    match to {
        SqlType::Boolean => bools(rows, |row| {
            Ok(value(row).map(|number| match number {
                Number::Whole(value) => value != 0,
                Number::Real(value) => value != 0.0,
            }))
        }),
        SqlType::TinyInt => numbers::<Int8Type>(rows, |row| Ok(whole(row).map(|v| v as i8))),
        SqlType::SmallInt => numbers::<Int16Type>(rows, |row| Ok(whole(row).map(|v| v as i16))),
        SqlType::Int => numbers::<Int32Type>(rows, |row| Ok(whole(row).map(|v| v as i32))),
        SqlType::BigInt => numbers::<Int64Type>(rows, |row| Ok(whole(row).map(|v| v as i64))),
        SqlType::Float => numbers::<Float32Type>(rows, |row| Ok(real(row).map(|v| v as f32))),
        SqlType::Double => numbers::<Float64Type>(rows, |row| Ok(real(row))),
        SqlType::Decimal(precision, target) => {
            let (_, source) = from.as_decimal().unwrap_or((0, 0));
            decimal::array(rows, *precision, *target, |row| {
                value(row).and_then(|number| match number {
                    Number::Whole(value) => decimal::rescale(value, source, *target),
                    Number::Real(value) if *from == SqlType::Float => {
                        decimal::parse(&(value as f32).to_string(), *target)
                    }
                    Number::Real(value) => decimal::parse(&value.to_string(), *target),
                })
            })
        }
        _ => Err(format!("internal error: no cast from {from} to {to}")),
    }
}

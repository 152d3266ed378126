//! Values that fit an `i64`, mapped so that order and equality are kept.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, downcast_primitive_array, types};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use thalweg_stream::error::Result;

use super::unsupported;

/// A column of words. What stands under a null is anything.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) values: ScalarBuffer<i64>,
    pub(crate) nulls: Option<NullBuffer>,
}

/// Whether values of the type are words.
pub(crate) fn is_word(data_type: &DataType) -> bool {
    use DataType::{
        Boolean, Date32, Date64, Duration, Float32, Float64, Int8, Int16, Int32, Int64, Interval,
        Time32, Time64, Timestamp, UInt8, UInt16, UInt32, UInt64,
    };
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float32
            | Float64
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
            | Duration(_)
            | Interval(IntervalUnit::YearMonth)
    )
}

/// A float as a word: canonical, then ordered as IEEE 754's totalOrder does.
pub(crate) fn word_of_float(value: f64) -> i64 {
    // Adding 0.0 turns -0.0 into 0.0.
    let canonical = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    flip_negative(canonical.to_bits() as i64)
}

/// Between the bits of a float and an integer of the same order; its own inverse.
fn flip_negative(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

const SIGN: i64 = i64::MIN;

/// The value's own 64 bits, of which the canonical form of keys is made: integers sign or
/// zero extended, floats as the bits of a double.
pub(crate) fn plain_bits(data_type: &DataType, word: i64) -> i64 {
    match data_type {
        DataType::Float32 | DataType::Float64 => flip_negative(word),
        DataType::UInt64 => word ^ SIGN,
        _ => word,
    }
}

/// The inverse of [`plain_bits`].
pub(crate) fn word_of_bits(data_type: &DataType, bits: i64) -> i64 {
    plain_bits(data_type, bits)
}

impl Words {
    /// Reads an array that has no dictionary.
    pub(crate) fn read(array: &dyn Array) -> Result<Self> {
        let values = match array.data_type() {
            DataType::Boolean => array.as_boolean().values().iter().map(i64::from).collect(),
            DataType::Float32 => {
                let floats = array.as_primitive::<Float32Type>().values();
                floats.iter().map(|&value| word_of_float(f64::from(value))).collect()
            }
            DataType::Float64 => {
                let floats = array.as_primitive::<Float64Type>().values();
                floats.iter().map(|&value| word_of_float(value)).collect()
            }
            DataType::UInt64 => {
                let values = array.as_primitive::<types::UInt64Type>().values();
                values.iter().map(|&value| value as i64 ^ SIGN).collect()
            }
            other if is_word(other) => read_integers(array)?,
            other => return Err(unsupported("a value", other)),
        };
        Ok(Self { values, nulls: array.nulls().cloned() })
    }

    /// Whether a row is null.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// An array of the type, of words and nulls.
    pub(crate) fn write_options(data_type: &DataType, words: Vec<Option<i64>>) -> Result<ArrayRef> {
        let nulls = NullBuffer::from_iter(words.iter().map(Option::is_some));
        let words = words.into_iter().map(Option::unwrap_or_default).collect();
        Self::write(data_type, words, (nulls.null_count() > 0).then_some(nulls))
    }

    /// An array of the type; null where `nulls` says so.
    pub(crate) fn write(
        data_type: &DataType,
        words: Vec<i64>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        macro_rules! write_integers {
            ($native:ty, $data_type:expr) => {
                write_native::<$native>($data_type, words.iter().map(|&word| word as _), nulls)
            };
        }
        let array: ArrayRef = match data_type {
            DataType::Boolean => {
                let values = BooleanBuffer::from_iter(words.iter().map(|&word| word != 0));
                Arc::new(BooleanArray::new(values, nulls))
            }
            DataType::Float32 => {
                let floats = words.iter().map(|&w| f64::from_bits(flip_negative(w) as u64) as f32);
                write_native::<Float32Type>(data_type, floats, nulls)
            }
            DataType::Float64 => {
                let floats = words.iter().map(|&word| f64::from_bits(flip_negative(word) as u64));
                write_native::<Float64Type>(data_type, floats, nulls)
            }
            DataType::UInt64 => {
                let values = words.iter().map(|&word| (word ^ SIGN) as u64);
                write_native::<types::UInt64Type>(data_type, values, nulls)
            }
            DataType::Int64 => {
                Arc::new(PrimitiveArray::<types::Int64Type>::new(words.into(), nulls))
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => Arc::new(
                PrimitiveArray::<types::TimestampMillisecondType>::new(words.into(), nulls)
                    .with_data_type(data_type.clone()),
            ),
            DataType::Int8 => write_integers!(types::Int8Type, data_type),
            DataType::Int16 => write_integers!(types::Int16Type, data_type),
            DataType::Int32 => write_integers!(types::Int32Type, data_type),
            DataType::UInt8 => write_integers!(types::UInt8Type, data_type),
            DataType::UInt16 => write_integers!(types::UInt16Type, data_type),
            DataType::UInt32 => write_integers!(types::UInt32Type, data_type),
            DataType::Date32 => write_integers!(types::Date32Type, data_type),
            DataType::Date64 => write_integers!(types::Date64Type, data_type),
            DataType::Time32(TimeUnit::Second) => {
                write_integers!(types::Time32SecondType, data_type)
            }
            DataType::Time32(_) => write_integers!(types::Time32MillisecondType, data_type),
            DataType::Time64(TimeUnit::Microsecond) => {
                write_integers!(types::Time64MicrosecondType, data_type)
            }
            DataType::Time64(_) => write_integers!(types::Time64NanosecondType, data_type),
            DataType::Timestamp(TimeUnit::Second, _) => {
                write_integers!(types::TimestampSecondType, data_type)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                write_integers!(types::TimestampMicrosecondType, data_type)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                write_integers!(types::TimestampNanosecondType, data_type)
            }
            DataType::Duration(TimeUnit::Second) => {
                write_integers!(types::DurationSecondType, data_type)
            }
            DataType::Duration(TimeUnit::Millisecond) => {
                write_integers!(types::DurationMillisecondType, data_type)
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                write_integers!(types::DurationMicrosecondType, data_type)
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                write_integers!(types::DurationNanosecondType, data_type)
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                write_integers!(types::IntervalYearMonthType, data_type)
            }
            other => return Err(unsupported("a value", other)),
        };
        Ok(array)
    }
}

fn read_integers(array: &dyn Array) -> Result<ScalarBuffer<i64>> {
    macro_rules! widen {
        ($array:ident) => {
            widened($array)
        };
    }
    downcast_primitive_array! {
        array => widen!(array),
        other => Err(unsupported("a value", other))
    }
}

/// Without a copy where the values are 64 bits wide already.
fn widened<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Result<ScalarBuffer<i64>> {
    if size_of::<T::Native>() == size_of::<i64>() {
        return Ok(ScalarBuffer::new(array.values().inner().clone(), 0, array.len()));
    }
    Ok(array.values().iter().map(|value| value.to_i64().unwrap_or_default()).collect())
}

fn write_native<T: ArrowPrimitiveType>(
    data_type: &DataType,
    values: impl Iterator<Item = T::Native>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let array = PrimitiveArray::<T>::new(values.collect(), nulls);
    Arc::new(array.with_data_type(data_type.clone()))
}

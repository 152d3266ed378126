//! The argument of an aggregate call, decoded once a batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use crate::operator::values::{ByteStrings, Wide, Words, plain};

/// A decoded argument.
#[derive(Debug)]
pub(crate) enum Input {
    /// Nothing is read but which rows are null.
    Nothing,
    Words(Words),
    Wide(Wide),
    Bytes(ByteStrings),
    Floats(ScalarBuffer<f64>),
    /// What a DISTINCT looks at, and what the function behind it does.
    Distinct(Box<(Input, Input)>),
}

impl Input {
    pub(super) fn words(argument: &ArrayRef) -> Result<Self> {
        Ok(Self::Words(Words::read(&plain(argument)?)?))
    }

    pub(super) fn wide(argument: &ArrayRef) -> Result<Self> {
        Ok(Self::Wide(Wide::read(&plain(argument)?)?))
    }

    pub(super) fn bytes(argument: &ArrayRef) -> Result<Self> {
        Ok(Self::Bytes(ByteStrings::read(&plain(argument)?)?))
    }

    /// Numbers of any type as doubles.
    pub(super) fn floats(argument: &ArrayRef) -> Result<Self> {
        let argument = plain(argument)?;
        let floats = match argument.data_type() {
            DataType::Float64 => argument.as_primitive::<Float64Type>().values().clone(),
            DataType::Float32 => {
                let values = argument.as_primitive::<Float32Type>().values();
                values.iter().map(|&value| f64::from(value)).collect()
            }
            DataType::Decimal128(_, scale) => {
                let divisor = 10_f64.powi(i32::from(*scale));
                let values = argument.as_primitive::<Decimal128Type>().values();
                values.iter().map(|&value| value as f64 / divisor).collect()
            }
            DataType::UInt64 => {
                let values = argument.as_primitive::<arrow_array::types::UInt64Type>().values();
                values.iter().map(|&value| value as f64).collect()
            }
            _ => Words::read(&argument)?.values.iter().map(|&word| word as f64).collect(),
        };
        Ok(Self::Floats(floats))
    }

    pub(super) fn as_words(&self) -> Result<&Words> {
        match self {
            Self::Words(words) => Ok(words),
            _ => Err(misfit()),
        }
    }

    pub(super) fn as_wide(&self) -> Result<&Wide> {
        match self {
            Self::Wide(wide) => Ok(wide),
            _ => Err(misfit()),
        }
    }

    pub(super) fn as_bytes(&self) -> Result<&ByteStrings> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(misfit()),
        }
    }

    pub(super) fn as_floats(&self) -> Result<&[f64]> {
        match self {
            Self::Floats(floats) => Ok(floats),
            _ => Err(misfit()),
        }
    }
}

pub(super) fn misfit() -> StreamError {
    StreamError::Internal("an aggregate was given the argument of another".into())
}

/// Nulls, or none where no value is null.
pub(super) fn nulls_where(valid: impl Iterator<Item = bool>) -> Option<NullBuffer> {
    let nulls = NullBuffer::from_iter(valid);
    (nulls.null_count() > 0).then_some(nulls)
}

/// A state column of 64-bit integers.
pub(super) fn int64s(array: &ArrayRef) -> Result<&[i64]> {
    let array = array.as_primitive_opt::<arrow_array::types::Int64Type>().ok_or_else(misfit)?;
    Ok(array.values())
}

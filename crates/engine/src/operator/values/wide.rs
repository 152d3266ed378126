//! Decimals, as their unscaled 128 bits.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, Decimal128Array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use thalweg_stream::error::Result;

use super::unsupported;

/// A column of decimals. What stands under a null is anything.
#[derive(Clone, Debug)]
pub(crate) struct Wide {
    pub(crate) values: ScalarBuffer<i128>,
    pub(crate) nulls: Option<NullBuffer>,
}

impl Wide {
    /// Reads an array that has no dictionary.
    pub(crate) fn read(array: &dyn Array) -> Result<Self> {
        let decimals = array
            .as_primitive_opt::<Decimal128Type>()
            .ok_or_else(|| unsupported("a decimal", array.data_type()))?;
        Ok(Self { values: decimals.values().clone(), nulls: decimals.nulls().cloned() })
    }

    /// An array of the type, which is a decimal.
    pub(crate) fn write(
        data_type: &DataType,
        values: Vec<i128>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        match data_type {
            DataType::Decimal128(..) => Ok(Arc::new(
                Decimal128Array::new(values.into(), nulls).with_data_type(data_type.clone()),
            )),
            other => Err(unsupported("a decimal", other)),
        }
    }
}

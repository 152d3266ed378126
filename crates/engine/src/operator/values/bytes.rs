//! Strings and binary values, as bytes.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BinaryViewBuilder, LargeBinaryBuilder, StringBuilder};
use arrow_array::builder::{LargeStringBuilder, StringViewBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::unsupported;

/// A column of byte strings.
#[derive(Clone, Debug)]
pub(crate) struct ByteStrings {
    offsets: OffsetBuffer<i32>,
    data: Buffer,
    pub(crate) nulls: Option<NullBuffer>,
}

pub(super) fn is_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

impl ByteStrings {
    /// Reads an array that has no dictionary. Without a copy for the usual layout.
    pub(crate) fn read(array: &dyn Array) -> Result<Self> {
        let binary = match array.data_type() {
            DataType::Utf8 => {
                let strings = array.as_string::<i32>();
                return Ok(Self {
                    offsets: strings.offsets().clone(),
                    data: strings.values().clone(),
                    nulls: strings.nulls().cloned(),
                });
            }
            DataType::Binary => array.as_binary::<i32>().clone(),
            DataType::LargeUtf8 => copy(array.as_string::<i64>().iter().map(as_bytes))?,
            DataType::Utf8View => copy(array.as_string_view().iter().map(as_bytes))?,
            DataType::LargeBinary => copy(array.as_binary::<i64>().iter())?,
            DataType::BinaryView => copy(array.as_binary_view().iter())?,
            other => return Err(unsupported("a string", other)),
        };
        let (offsets, data, nulls) = binary.into_parts();
        Ok(Self { offsets, data, nulls })
    }

    /// The bytes of a row; anything where it is null.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Whether a row is null.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// An array of the type.
    pub(crate) fn write<'a>(
        data_type: &DataType,
        values: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<ArrayRef> {
        macro_rules! build {
            ($builder:ty, $map:expr) => {{
                let mut builder = <$builder>::new();
                for value in values {
                    builder.append_option(value.map($map).transpose()?);
                }
                Arc::new(builder.finish()) as ArrayRef
            }};
        }
        Ok(match data_type {
            DataType::Utf8 => build!(StringBuilder, as_str),
            DataType::LargeUtf8 => build!(LargeStringBuilder, as_str),
            DataType::Utf8View => build!(StringViewBuilder, as_str),
            DataType::Binary => build!(BinaryBuilder, Ok::<_, StreamError>),
            DataType::LargeBinary => build!(LargeBinaryBuilder, Ok::<_, StreamError>),
            DataType::BinaryView => build!(BinaryViewBuilder, Ok::<_, StreamError>),
            other => return Err(unsupported("a string", other)),
        })
    }
}

fn as_bytes(value: Option<&str>) -> Option<&[u8]> {
    value.map(str::as_bytes)
}

/// What was a string when it came in is one when it goes out.
fn as_str(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| StreamError::Internal(error.to_string()))
}

fn copy<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<BinaryArray> {
    let mut builder = BinaryBuilder::new();
    let mut bytes = 0_usize;
    for value in values {
        bytes += value.map_or(0, <[u8]>::len);
        if i32::try_from(bytes).is_err() {
            return Err(StreamError::OverBudget {
                what: "a column of one batch".into(),
                budget_bytes: i32::MAX as usize,
            });
        }
        builder.append_option(value);
    }
    Ok(builder.finish())
}

//! Single values that an aggregate keeps: one type for each form.

use std::hash::Hash;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use thalweg_stream::error::Result;

use super::input::{Input, nulls_where};
use crate::operator::values::{ByteStrings, Wide, Words};

/// A value that can be kept, compared and written back.
pub(super) trait Value: Ord + Hash + Clone + Send + 'static {
    /// A decoded column of such values.
    type Column;
    /// What a value in a column is, behind a reference.
    type Ref: Ord + ?Sized;

    /// Decodes a column.
    fn prepare(argument: &ArrayRef) -> Result<Input>;
    /// The column of a decoded argument.
    fn column(input: &Input) -> Result<&Self::Column>;
    /// The value of a row that is not null.
    fn get(column: &Self::Column, row: usize) -> &Self::Ref;
    /// Keeps a value.
    fn own(value: &Self::Ref) -> Self;
    /// Looks at a kept value.
    fn as_ref(&self) -> &Self::Ref;
    /// Bytes that a value holds beyond its own size.
    fn heap_bytes(&self) -> usize;
    /// An array of the type.
    fn write<'a>(
        data_type: &DataType,
        values: impl Iterator<Item = Option<&'a Self::Ref>>,
    ) -> Result<ArrayRef>;

    /// Reads an array that was written, nulls aside.
    fn read(array: &ArrayRef) -> Result<Vec<Option<Self>>> {
        let input = Self::prepare(array)?;
        let column = Self::column(&input)?;
        let values = (0..array.len())
            .map(|row| array.is_valid(row).then(|| Self::own(Self::get(column, row))));
        Ok(values.collect())
    }
}

impl Value for i64 {
    type Column = Words;
    type Ref = i64;

    fn prepare(argument: &ArrayRef) -> Result<Input> {
        Input::words(argument)
    }

    fn column(input: &Input) -> Result<&Words> {
        input.as_words()
    }

    #[inline]
    fn get(column: &Words, row: usize) -> &i64 {
        &column.values[row]
    }

    fn own(value: &i64) -> Self {
        *value
    }

    fn as_ref(&self) -> &i64 {
        self
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn write<'a>(
        data_type: &DataType,
        values: impl Iterator<Item = Option<&'a i64>>,
    ) -> Result<ArrayRef> {
        Words::write_options(data_type, values.map(Option::<&i64>::copied).collect())
    }
}

impl Value for i128 {
    type Column = Wide;
    type Ref = i128;

    fn prepare(argument: &ArrayRef) -> Result<Input> {
        Input::wide(argument)
    }

    fn column(input: &Input) -> Result<&Wide> {
        input.as_wide()
    }

    #[inline]
    fn get(column: &Wide, row: usize) -> &i128 {
        &column.values[row]
    }

    fn own(value: &i128) -> Self {
        *value
    }

    fn as_ref(&self) -> &i128 {
        self
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn write<'a>(
        data_type: &DataType,
        values: impl Iterator<Item = Option<&'a i128>>,
    ) -> Result<ArrayRef> {
        let values: Vec<Option<i128>> = values.map(Option::<&i128>::copied).collect();
        let nulls = nulls_where(values.iter().map(Option::is_some));
        let values = values.into_iter().map(Option::unwrap_or_default).collect();
        Wide::write(data_type, values, nulls)
    }
}

impl Value for Box<[u8]> {
    type Column = ByteStrings;
    type Ref = [u8];

    fn prepare(argument: &ArrayRef) -> Result<Input> {
        Input::bytes(argument)
    }

    fn column(input: &Input) -> Result<&ByteStrings> {
        input.as_bytes()
    }

    #[inline]
    fn get(column: &ByteStrings, row: usize) -> &[u8] {
        column.get(row)
    }

    fn own(value: &[u8]) -> Self {
        value.into()
    }

    fn as_ref(&self) -> &[u8] {
        self
    }

    fn heap_bytes(&self) -> usize {
        self.len()
    }

    fn write<'a>(
        data_type: &DataType,
        values: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> Result<ArrayRef> {
        ByteStrings::write(data_type, values)
    }
}

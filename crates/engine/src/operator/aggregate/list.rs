//! Lists of pairs in state columns: what multisets are exported as.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields};
use thalweg_stream::error::Result;

use super::input::misfit;

/// Type of a list of pairs.
pub(super) fn pairs_type(first: (&str, &DataType), second: (&str, &DataType)) -> DataType {
    DataType::List(Arc::new(item_field(first, second)))
}

fn item_field(first: (&str, &DataType), second: (&str, &DataType)) -> Field {
    let fields =
        [first, second].map(|(name, data_type)| Field::new(name, data_type.clone(), false));
    Field::new("item", DataType::Struct(Fields::from(fields.to_vec())), false)
}

/// Lists of these lengths, out of all their pairs one after another.
pub(super) fn pairs_array(
    names: (&str, &str),
    lengths: impl Iterator<Item = usize>,
    first: ArrayRef,
    second: ArrayRef,
) -> Result<ArrayRef> {
    let item = item_field((names.0, first.data_type()), (names.1, second.data_type()));
    let DataType::Struct(fields) = item.data_type().clone() else { return Err(misfit()) };
    let pairs = StructArray::try_new(fields, vec![first, second], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::new(item), offsets, Arc::new(pairs), None)?))
}

/// A state column of lists of pairs, taken apart: for each pair the row in which it
/// stands, and its two parts.
pub(super) struct Pairs {
    pub(super) rows: Vec<usize>,
    pub(super) first: ArrayRef,
    pub(super) second: ArrayRef,
}

impl Pairs {
    pub(super) fn read(array: &ArrayRef) -> Result<Self> {
        let lists = array.as_list_opt::<i32>().ok_or_else(misfit)?;
        let offsets = lists.offsets();
        let (start, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
        let pairs = lists.values().slice(start, end - start);
        let pairs = pairs.as_struct_opt().filter(|pairs| pairs.num_columns() == 2);
        let pairs = pairs.ok_or_else(misfit)?;
        let lengths = offsets.lengths().enumerate();
        let rows = lengths.flat_map(|(row, length)| std::iter::repeat_n(row, length)).collect();
        Ok(Self { rows, first: pairs.column(0).clone(), second: pairs.column(1).clone() })
    }
}

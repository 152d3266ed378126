//! Gives arrays that were built with everything nullable their declared types again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{DataType, Fields};
use thalweg_stream::error::Result;

/// `array` as `declared`, which differs at most in what may be null.
pub(crate) fn relabel(array: &ArrayRef, declared: &DataType) -> Result<ArrayRef> {
    if array.data_type() == declared {
        return Ok(array.clone());
    }
    Ok(match declared {
        DataType::Struct(fields) => Arc::new(relabel_struct(array.as_struct(), fields)?),
        DataType::List(item) => {
            let (_, offsets, items, nulls) = array.as_list::<i32>().clone().into_parts();
            let items = relabel(&items, item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), offsets, items, nulls)?)
        }
        DataType::Map(entries, sorted) => {
            let (_, offsets, pairs, nulls, _) = array.as_map().clone().into_parts();
            let DataType::Struct(fields) = entries.data_type() else {
                return Ok(array.clone());
            };
            let pairs = relabel_struct(&pairs, fields)?;
            Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?)
        }
        _ => array.clone(),
    })
}

fn relabel_struct(array: &StructArray, declared: &Fields) -> Result<StructArray> {
    let columns = array
        .columns()
        .iter()
        .zip(declared)
        .map(|(column, field)| relabel(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let nulls = array.nulls().cloned();
    Ok(StructArray::try_new_with_length(declared.clone(), columns, nulls, array.len())?)
}

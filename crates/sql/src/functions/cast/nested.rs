//! Casts of rows, arrays and maps, part by part.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;

use super::Cast;
use crate::expr::zone::SessionZone;
use crate::functions::values::{Kernel, KernelResult, expand};
use crate::types::SqlType;

/// The cast of a part; `None` inside where nothing has to be done.
type PartCast = Option<Cast>;

pub(super) fn bind(from: &SqlType, to: &SqlType, lenient: bool, zone: SessionZone) -> Option<Cast> {
    let part = |from: &SqlType, to: &SqlType| -> Option<PartCast> {
        if from == to { Some(None) } else { Some(Some(super::bind(from, to, lenient, zone)?)) }
    };
    let target = to.to_arrow();
    let (parts, kernel) = match (from, to) {
        (SqlType::Row(from), SqlType::Row(to)) if from.len() == to.len() => {
            let parts: Vec<PartCast> = from
                .iter()
                .zip(to)
                .map(|(from, to)| part(&from.sql_type, &to.sql_type))
                .collect::<Option<_>>()?;
            (parts, rows_kernel as PartsKernel)
        }
        (SqlType::Array(from), SqlType::Array(to)) => {
            (vec![part(from, to)?], arrays_kernel as PartsKernel)
        }
        (SqlType::Map(from_key, from_value), SqlType::Map(to_key, to_value)) => {
            (vec![part(from_key, to_key)?, part(from_value, to_value)?], maps_kernel as PartsKernel)
        }
        _ => return None,
    };
    let fallible = parts.iter().flatten().any(|cast| cast.fallible);
    let kernel = Kernel::new(move |arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        kernel(&array, &parts, &target)
    });
    Some(Cast { kernel, fallible })
}

type PartsKernel = fn(&ArrayRef, &[PartCast], &DataType) -> KernelResult;

fn cast_part(part: &PartCast, array: &ArrayRef) -> KernelResult {
    match part {
        Some(cast) => cast.kernel.run(&[ColumnarValue::Array(Arc::clone(array))], array.len()),
        None => Ok(Arc::clone(array)),
    }
}

fn rows_kernel(array: &ArrayRef, parts: &[PartCast], target: &DataType) -> KernelResult {
    let (Some(array), DataType::Struct(fields)) =
        (array.as_any().downcast_ref::<StructArray>(), target)
    else {
        return Err("internal error: not a row".to_owned());
    };
    let columns = array
        .columns()
        .iter()
        .zip(parts)
        .map(|(column, part)| cast_part(part, column))
        .collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new(fields.clone(), columns, array.nulls().cloned())
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

fn arrays_kernel(array: &ArrayRef, parts: &[PartCast], target: &DataType) -> KernelResult {
    let (Some(array), DataType::List(field)) = (array.as_any().downcast_ref::<ListArray>(), target)
    else {
        return Err("internal error: not an array".to_owned());
    };
    let values = cast_part(&parts[0], array.values())?;
    let offsets = array.offsets().clone();
    ListArray::try_new(Arc::clone(field), offsets, values, array.nulls().cloned())
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

fn maps_kernel(array: &ArrayRef, parts: &[PartCast], target: &DataType) -> KernelResult {
    let (Some(array), DataType::Map(field, sorted)) =
        (array.as_any().downcast_ref::<MapArray>(), target)
    else {
        return Err("internal error: not a map".to_owned());
    };
    let DataType::Struct(fields) = field.data_type() else {
        return Err("internal error: a map has entries".to_owned());
    };
    let columns = vec![cast_part(&parts[0], array.keys())?, cast_part(&parts[1], array.values())?];
    let entries =
        StructArray::try_new(fields.clone(), columns, None).map_err(|error| error.to_string())?;
    let offsets = array.offsets().clone();
    MapArray::try_new(Arc::clone(field), offsets, entries, array.nulls().cloned(), *sorted)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

//! Rows, arrays and maps.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array, make_comparator,
};
use datafusion::arrow::compute::{self, SortOptions};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::logical_expr::ColumnarValue;

use super::kernel;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Special};
use crate::functions::values::{Ints, Kernel, KernelResult, expand, numbers};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    super::special("row", &[], "ROW(a, ...)", Special::Row),
    kernel("cardinality", &[], "CARDINALITY(array or map)", cardinality),
    kernel("element", &[], "ELEMENT(array)", |arguments| {
        arguments.expect_count(1, 1)?;
        let SqlType::Array(element) = &arguments.types[0] else {
            return Err(BindError::new(format!("{} is no array", arguments.types[0])));
        };
        let kernel = Kernel::new(|arguments, rows| {
            let array = expand(&arguments[0], rows)?;
            let list: &ListArray = of(&array)?;
            pick_from_list(list, |row, length| match length {
                0 => Ok(None),
                1 => Ok(Some(0)),
                more => Err(format!("row {row} has {more} elements, not one")),
            })
        });
        Ok(Bound::new(arguments.types.to_vec(), (**element).clone(), kernel).fallible())
    }),
];

fn of<A: Array + 'static>(array: &ArrayRef) -> Result<&A, String> {
    array
        .as_any()
        .downcast_ref::<A>()
        .ok_or_else(|| format!("internal error: unexpected {} value", array.data_type()))
}

/// A field of a row; null where the row is.
pub(crate) fn row_field(value: &ColumnarValue, index: usize, rows: usize) -> KernelResult {
    let array = expand(value, rows)?;
    let structs: &StructArray = of(&array)?;
    let nulls = compute::is_null(structs).map_err(|error| error.to_string())?;
    compute::nullif(structs.column(index), &nulls).map_err(|error| error.to_string())
}

/// `ROW(a, b)` of a type.
pub(crate) fn row_kernel(sql_type: &SqlType) -> Kernel {
    let data_type = sql_type.to_arrow();
    Kernel::new(move |arguments, rows| {
        let DataType::Struct(fields) = &data_type else {
            return Err("internal error: a row has fields".to_owned());
        };
        let columns = arguments
            .iter()
            .map(|argument| expand(argument, rows))
            .collect::<Result<Vec<_>, _>>()?;
        StructArray::try_new_with_length(fields.clone(), columns, None, rows)
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| error.to_string())
    })
}

/// `array[n]`, from 1, and `map[key]`; null where there is no such element.
pub(super) fn item(arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(2, 2)?;
    match &arguments.types[0] {
        SqlType::Array(element) if arguments.types[1].is_integer() => {
            let kernel = Kernel::new(|arguments, rows| {
                let array = expand(&arguments[0], rows)?;
                let list: &ListArray = of(&array)?;
                let index = Ints::of(&arguments[1])?;
                pick_from_list(list, |row, length| {
                    let index = index.get(row).and_then(|index| usize::try_from(index).ok());
                    Ok(index.and_then(|index| index.checked_sub(1)).filter(|at| *at < length))
                })
            });
            let params = vec![arguments.types[0].clone(), SqlType::Int];
            Ok(Bound::new(params, (**element).clone(), kernel))
        }
        SqlType::Map(key, value) => {
            let kernel = Kernel::new(|arguments, rows| {
                let array = expand(&arguments[0], rows)?;
                let keys = expand(&arguments[1], rows)?;
                pick_from_map(of(&array)?, &keys)
            });
            let params = vec![arguments.types[0].clone(), (**key).clone()];
            Ok(Bound::new(params, (**value).clone(), kernel))
        }
        other => Err(BindError::new(format!("cannot take an element of {other}"))),
    }
}

/// One element of each list, by its place in the list.
fn pick_from_list(
    list: &ListArray,
    place: impl Fn(usize, usize) -> Result<Option<usize>, String>,
) -> KernelResult {
    let mut picked = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        if list.is_null(row) {
            picked.push(None);
            continue;
        }
        let start = list.value_offsets()[row] as u32;
        let length = list.value_length(row) as usize;
        picked.push(place(row, length)?.map(|at| start + at as u32));
    }
    compute::take(list.values(), &UInt32Array::from(picked), None)
        .map_err(|error| error.to_string())
}

fn pick_from_map(map: &MapArray, keys: &ArrayRef) -> KernelResult {
    let compare = make_comparator(map.keys(), keys, SortOptions::default())
        .map_err(|error| error.to_string())?;
    let picked: UInt32Array = (0..map.len())
        .map(|row| {
            if map.is_null(row) || keys.is_null(row) {
                return None;
            }
            let (start, end) = (map.value_offsets()[row], map.value_offsets()[row + 1]);
            (start as usize..end as usize).find(|&at| compare(at, row).is_eq()).map(|at| at as u32)
        })
        .collect();
    compute::take(map.values(), &picked, None).map_err(|error| error.to_string())
}

fn cardinality(arguments: &Arguments<'_>) -> BindResult {
    arguments.expect_count(1, 1)?;
    let kind = arguments.types[0].clone();
    if !matches!(kind, SqlType::Array(_) | SqlType::Map(..)) {
        return Err(BindError::new(format!("{kind} is no array and no map")));
    }
    let kernel = Kernel::new(|arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        let offsets: Vec<i32> = match array.data_type() {
            DataType::List(_) => of::<ListArray>(&array)?.value_offsets().to_vec(),
            _ => of::<MapArray>(&array)?.value_offsets().to_vec(),
        };
        numbers::<Int32Type>(rows, |row| {
            Ok((!array.is_null(row)).then(|| offsets[row + 1] - offsets[row]))
        })
    });
    Ok(Bound::new(vec![kind], SqlType::Int, kernel))
}

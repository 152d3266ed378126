//! Operators on text and nested values, under names that no user can write.

use datafusion::arrow::datatypes::Int32Type;

use super::kernel;
use super::pattern::like;
use crate::functions::signature::{Arguments, BindError, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{Kernel, Text, texts};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("$concat", &[], "a || b", concat),
    kernel("$like", &[], "a LIKE pattern", |arguments| like::bind(arguments, false)),
    kernel("$not_like", &[], "a NOT LIKE pattern", |arguments| like::bind(arguments, true)),
    kernel("$similar_to", &[], "a SIMILAR TO pattern", |arguments| {
        like::bind_similar(arguments, false)
    }),
    kernel("$not_similar_to", &[], "a NOT SIMILAR TO pattern", |arguments| {
        like::bind_similar(arguments, true)
    }),
    kernel("$field", &[], "row.field", |arguments| {
        // Only for DataFusion's planner, which has to know the type; the binder has a
        // form of its own.
        let (Some(SqlType::Row(fields)), Some(name)) =
            (arguments.types.first(), arguments.text_literal(1))
        else {
            return Err(BindError::new("only a row has fields"));
        };
        let index = fields
            .iter()
            .position(|field| field.name == name)
            .ok_or_else(|| BindError::new(format!("there is no field `{name}`")))?;
        let returns = fields[index].sql_type.clone();
        let kernel = Kernel::new(move |arguments, rows| {
            super::collection::row_field(&arguments[0], index, rows)
        });
        Ok(Bound::new(arguments.types.to_vec(), returns, kernel))
    }),
    kernel("$item", &[], "collection[key]", super::collection::item),
];

/// `||`; null if a side is.
fn concat(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::AnyAsText, Want::AnyAsText], 0)?;
    let kernel = Kernel::new(|arguments, rows| {
        let (left, right) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        texts(rows, |row, out| {
            let (Some(left), Some(right)) = (left.get(row), right.get(row)) else {
                return Ok(false);
            };
            out.push_str(left);
            out.push_str(right);
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// `INT` results from text.
pub(super) fn int_of_text(arguments: &Arguments<'_>, value: fn(&str) -> i32) -> BindResult {
    let params = arguments.expect(&[Want::Text], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        crate::functions::values::numbers::<Int32Type>(rows, |row| Ok(text.get(row).map(value)))
    });
    Ok(Bound::new(params, SqlType::Int, kernel))
}

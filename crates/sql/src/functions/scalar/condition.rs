//! Functions that choose: most are forms of CASE, so that only the chosen value is
//! evaluated.

use super::{kernel, special};
use crate::expr::coerce::common_type_of;
use crate::functions::signature::{BindError, Bound, FunctionDef, Special, Want};
use crate::functions::values::{Kernel, Text, bools, expand};
use crate::types::SqlType;
use datafusion::arrow::compute::kernels::{cmp, zip::zip};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    special("if", &[], "IF(condition, a, b)", Special::If),
    special("coalesce", &["ifnull", "nvl"], "COALESCE(a, ...)", Special::Coalesce),
    special("nullif", &[], "NULLIF(a, b)", Special::NullIf),
    kernel("greatest", &[], "GREATEST(a, ...)", |arguments| extreme(arguments, true)),
    kernel("least", &[], "LEAST(a, ...)", |arguments| extreme(arguments, false)),
    kernel("is_alpha", &[], "IS_ALPHA(text)", |arguments| {
        all_chars(arguments, char::is_alphabetic)
    }),
    kernel("is_digit", &[], "IS_DIGIT(text)", |arguments| {
        all_chars(arguments, |c| c.is_ascii_digit())
    }),
    kernel("is_decimal", &[], "IS_DECIMAL(text)", |arguments| {
        let params = arguments.expect(&[Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let text = Text::of(&arguments[0])?;
            bools(rows, |row| {
                Ok(Some(
                    text.get(row).is_some_and(crate::functions::arithmetic::decimal::is_number),
                ))
            })
        });
        Ok(Bound::new(params, SqlType::Boolean, kernel))
    }),
];

/// The greatest or least of several; null where one is null.
fn extreme(
    arguments: &crate::functions::signature::Arguments<'_>,
    greatest: bool,
) -> crate::functions::signature::BindResult {
    arguments.expect_count(1, usize::MAX)?;
    let common = common_type_of(arguments.types)
        .ok_or_else(|| BindError::new("the arguments have no common type"))?;
    if matches!(common, SqlType::Row(_) | SqlType::Array(_) | SqlType::Map(..)) {
        return Err(BindError::new(format!("{common} has no order")));
    }
    let kernel = Kernel::new(move |arguments, rows| {
        let failed = |error: datafusion::arrow::error::ArrowError| error.to_string();
        let mut arrays = Vec::with_capacity(arguments.len());
        for argument in arguments {
            arrays.push(expand(argument, rows)?);
        }
        let mut best = arrays[0].clone();
        for next in &arrays[1..] {
            let better = if greatest { cmp::gt(next, &best) } else { cmp::lt(next, &best) };
            let better = better.map_err(failed)?;
            // A comparison with null is null and keeps the old value, so nulls of the new
            // one are put in afterwards.
            best = zip(&better, next, &best).map_err(failed)?;
            let null = datafusion::arrow::compute::is_null(next).map_err(failed)?;
            best = datafusion::arrow::compute::nullif(&best, &null).map_err(failed)?;
        }
        Ok(best)
    });
    Ok(Bound::new(vec![common.clone(); arguments.len()], common, kernel))
}

fn all_chars(
    arguments: &crate::functions::signature::Arguments<'_>,
    test: fn(char) -> bool,
) -> crate::functions::signature::BindResult {
    let params = arguments.expect(&[Want::AnyAsText], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        bools(rows, |row| {
            Ok(Some(text.get(row).is_some_and(|text| !text.is_empty() && text.chars().all(test))))
        })
    });
    Ok(Bound::new(params, SqlType::Boolean, kernel))
}

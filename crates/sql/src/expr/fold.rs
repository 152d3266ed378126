//! Constants that are computed once.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::Schema;
use datafusion::scalar::ScalarValue;

use super::TypedExpr;
use super::compile::compile;

/// The expression's value, if it is made of constants only. Evaluation that fails is
/// left for the rows to fail.
pub(crate) fn fold(expr: TypedExpr) -> TypedExpr {
    if expr.as_literal().is_some() || expr.children().is_empty() {
        return expr;
    }
    if !expr.children().iter().all(|child| child.as_literal().is_some()) {
        return expr;
    }
    match evaluate(&expr) {
        Some(value) => TypedExpr::literal(value, expr.sql_type),
        None => expr,
    }
}

fn evaluate(expr: &TypedExpr) -> Option<ScalarValue> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(Schema::empty());
    let row = RecordBatch::try_new_with_options(schema, Vec::new(), &options).ok()?;
    let compiled = compile(expr, 0).ok()?;
    let array = compiled.evaluate(&row).ok()?.into_array(1).ok()?;
    ScalarValue::try_from_array(&array, 0).ok()
}

//! An expression that fails on some rows, and what bad records look like in a sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::{FailedRow, Result};
use thalweg_stream::expression::{EvalContext, Expression};

/// `10 / v`, which fails where `v` (column 1) is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divide {
    /// Whether it says on which rows it failed.
    pub(crate) tells: bool,
    /// `10 / v < 100` instead, which is true where it does not fail.
    pub(crate) compares: bool,
}

impl Expression for Divide {
    fn evaluate(&self, rows: &RecordBatch, _: &EvalContext) -> Result<ArrayRef> {
        let values = rows.column(1).as_primitive::<Int64Type>().values();
        if values.contains(&0) {
            let detail = "division by zero".to_owned();
            let failed = |row| FailedRow { row, detail: detail.clone() };
            let rows = (0..values.len()).filter(|&row| self.tells && values[row] == 0);
            let rows = rows.map(failed).collect();
            return Err(StreamError::Evaluation { expression: self.to_sql(), detail, rows });
        }
        let quotients = values.iter().map(|value| 10 / value);
        Ok(if self.compares {
            Arc::new(BooleanArray::from_iter(quotients.map(|quotient| Some(quotient < 100))))
        } else {
            Arc::new(Int64Array::from_iter_values(quotients))
        })
    }

    fn data_type(&self) -> DataType {
        if self.compares { DataType::Boolean } else { DataType::Int64 }
    }

    fn to_sql(&self) -> String {
        if self.compares { "10 / v < 100" } else { "10 / v" }.into()
    }
}

/// [`Divide`], counting the rows that it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) divide: Divide,
    pub(crate) rows: Arc<AtomicUsize>,
}

impl Expression for Counted {
    fn evaluate(&self, rows: &RecordBatch, context: &EvalContext) -> Result<ArrayRef> {
        self.rows.fetch_add(rows.num_rows(), Ordering::Relaxed);
        self.divide.evaluate(rows, context)
    }

    fn data_type(&self) -> DataType {
        self.divide.data_type()
    }

    fn to_sql(&self) -> String {
        self.divide.to_sql()
    }
}

pub(crate) const DIVISION: &str = "10 / v: division by zero";
pub(crate) const NULL_TIME: &str = "its event time is null";
pub(crate) const NO_LINE: &str = "it is no line";

/// A bad record without key and headers, as a sink of lines shows it.
pub(crate) fn bad_line(raw: &str, split: &str, position: usize, reason: &str) -> String {
    let hex: String = raw.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("+I[{hex}, {split}, {position}, {reason}, null, []]")
}

/// `v <> 6`.
#[derive(Debug)]
pub(crate) struct NotSix;

impl Expression for NotSix {
    fn evaluate(&self, rows: &RecordBatch, _: &EvalContext) -> Result<ArrayRef> {
        let values = rows.column(1).as_primitive::<Int64Type>().values();
        Ok(Arc::new(BooleanArray::from_iter(values.iter().map(|&value| Some(value != 6)))))
    }

    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn to_sql(&self) -> String {
        "v <> 6".into()
    }
}

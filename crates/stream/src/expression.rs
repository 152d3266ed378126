//! Expressions as the engine sees them: arrays in, an array out, once a batch.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use thalweg_core::time::Millis;

use crate::error::Result;

/// What an expression may know besides the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EvalContext {
    /// "Now": the recorded time of the epoch, in milliseconds since the Unix epoch.
    pub now: Millis,
}

/// A compiled expression.
///
/// Deterministic: the same rows and context give the same array, on any machine.
pub trait Expression: fmt::Debug + Send + Sync {
    /// Evaluates on all rows; the array has as many values.
    ///
    /// # Errors
    /// [`crate::StreamError::Evaluation`], with all rows that fail where they are known.
    fn evaluate(&self, rows: &RecordBatch, context: &EvalContext) -> Result<ArrayRef>;

    /// Type of the values.
    fn data_type(&self) -> DataType;

    /// Where the expression is no more than a column: its number. Lets the engine skip
    /// evaluation.
    fn as_column(&self) -> Option<usize> {
        None
    }

    /// Numbers of all columns that the expression may read; others may stand there as
    /// nulls of no type. `None`: it may read any.
    fn columns(&self) -> Option<Vec<usize>> {
        self.as_column().map(|column| vec![column])
    }

    /// As a user would write it, for `EXPLAIN` and errors.
    fn to_sql(&self) -> String;
}

/// A shared expression.
pub type ExpressionRef = Arc<dyn Expression>;

/// A column of the input.
#[derive(Clone, Debug)]
pub struct Column {
    /// Number of the column.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

impl Expression for Column {
    fn evaluate(&self, rows: &RecordBatch, _: &EvalContext) -> Result<ArrayRef> {
        Ok(Arc::clone(rows.column(self.index)))
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn as_column(&self) -> Option<usize> {
        Some(self.index)
    }

    fn to_sql(&self) -> String {
        self.name.clone()
    }
}

//! Compiled expressions as the engine sees them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use thalweg_stream::error::{FailedRow, StreamError};
use thalweg_stream::expression::{Column, EvalContext, Expression, ExpressionRef};

use super::compile::compile;
use super::{Kind, TypedExpr};
use crate::error::{Result, SqlError};
use crate::functions::values::expand;
use crate::types::{INSTANT_ZONE, SqlType};

/// An expression that runs.
pub(crate) struct Compiled {
    physical: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    sql: String,
    uses_now: bool,
    width: usize,
}

/// Compiles an expression for inputs with these column names.
///
/// # Errors
/// DataFusion's, which here means a defect.
pub(crate) fn to_expression(expr: &TypedExpr, names: &[String]) -> Result<ExpressionRef> {
    if let Kind::Column(index) = expr.kind {
        return Ok(Arc::new(Column {
            index,
            name: names.get(index).cloned().unwrap_or_default(),
            data_type: expr.sql_type.to_arrow(),
        }));
    }
    let physical =
        compile(expr, names.len()).map_err(|error| SqlError::internal(error.to_string()))?;
    Ok(Arc::new(Compiled {
        physical,
        data_type: expr.sql_type.to_arrow(),
        sql: expr.to_sql(names),
        uses_now: expr.uses_now(),
        width: names.len(),
    }))
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

impl Compiled {
    fn run(&self, rows: &RecordBatch) -> datafusion::common::Result<ArrayRef> {
        let array = self.physical.evaluate(rows)?;
        let array = expand(&array, rows.num_rows()).map_err(DataFusionError::Execution)?;
        if *array.data_type() == self.data_type {
            return Ok(array);
        }
        // Names of fields within and metadata may differ; the values do not.
        Ok(datafusion::arrow::compute::cast(&array, &self.data_type)?)
    }

    /// The rows with the epoch's time as a last column.
    fn with_now(
        &self,
        rows: &RecordBatch,
        context: &EvalContext,
    ) -> datafusion::common::Result<RecordBatch> {
        let now = TimestampMillisecondArray::from_value(context.now, rows.num_rows())
            .with_timezone(INSTANT_ZONE);
        let schema = rows.schema_ref();
        let mut fields: Vec<_> = schema.fields().iter().take(self.width).cloned().collect();
        fields.push(Arc::new(Field::new("", SqlType::TimestampLtz(3).to_arrow(), false)));
        let mut columns: Vec<ArrayRef> = rows.columns().iter().take(self.width).cloned().collect();
        columns.push(Arc::new(now));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The rows on which evaluation fails, and how: what fails is halved until it is a row.
    /// This only runs when something failed already.
    fn blame(&self, rows: &RecordBatch, whole: String) -> StreamError {
        let mut failed = Vec::new();
        let halves = |part: Range<usize>| {
            let middle = part.start + part.len() / 2;
            [middle..part.end, part.start..middle]
        };
        // The first one last.
        let mut parts = halves(0..rows.num_rows()).to_vec();
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.run(&rows.slice(part.start, part.len())) {
                Ok(_) => {}
                Err(error) if part.len() == 1 => {
                    failed.push(FailedRow { row: part.start, detail: reason(&error) });
                }
                Err(_) => parts.extend(halves(part)),
            }
        }
        let detail = failed.first().map_or(whole, |first| first.detail.clone());
        StreamError::Evaluation { expression: self.sql.clone(), detail, rows: failed }
    }
}

fn reason(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::Execution(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Expression for Compiled {
    fn evaluate(&self, rows: &RecordBatch, context: &EvalContext) -> Result<ArrayRef, StreamError> {
        let extended;
        let rows = if self.uses_now {
            extended = self
                .with_now(rows, context)
                .map_err(|error| StreamError::Internal(error.to_string()))?;
            &extended
        } else {
            rows
        };
        self.run(rows).map_err(|error| self.blame(rows, reason(&error)))
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn to_sql(&self) -> String {
        self.sql.clone()
    }
}

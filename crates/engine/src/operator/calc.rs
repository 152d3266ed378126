//! Filter and projection.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, NullArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::expression::{EvalContext, ExpressionRef};
use thalweg_stream::{ChangeBatch, StreamError};

use super::{Collector, Operator, OperatorContext};

/// Keeps the rows for which the filter is true, then computes the columns. Columns that
/// are passed on as they are cost nothing, and columns that nobody reads are not filtered.
/// An expression that fails on a row stops the job, as in Flink.
pub(super) struct Calc {
    filter: Option<ExpressionRef>,
    projection: Vec<ExpressionRef>,
    schema: SchemaRef,
    /// The input's columns that the projection reads; `None` where an expression does not
    /// tell.
    columns_read: Option<BTreeSet<usize>>,
}

impl Calc {
    pub(super) fn new(
        filter: Option<ExpressionRef>,
        projection: Vec<ExpressionRef>,
        schema: SchemaRef,
    ) -> Self {
        let columns_read = projection.iter().map(|expression| expression.columns());
        let columns_read = columns_read.collect::<Option<Vec<_>>>();
        let columns_read = columns_read.map(|lists| lists.into_iter().flatten().collect());
        Self { filter, projection, schema, columns_read }
    }

    /// The rows that stay; `None` where there are none.
    fn filtered(&self, batch: &ChangeBatch, now: EvalContext) -> Result<Option<ChangeBatch>> {
        let Some(filter) = &self.filter else { return Ok(Some(batch.clone())) };
        let predicate = &evaluate_filter(filter, &batch.rows, &now)?;
        let trues = predicate.true_count();
        if trues == predicate.len() {
            return Ok(Some(batch.clone()));
        }
        if trues == 0 && batch.marks.is_empty() {
            return Ok(None);
        }
        batch.with_rows(self.without_unread(&batch.rows)?).filter(predicate).map(Some)
    }

    /// Replaces columns that nobody reads after the filter by nulls without storage.
    fn without_unread(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let Some(read) = &self.columns_read else { return Ok(rows.clone()) };
        if read.len() == rows.num_columns() {
            return Ok(rows.clone());
        }
        let nulls: ArrayRef = Arc::new(NullArray::new(rows.num_rows()));
        let mut fields = Vec::with_capacity(rows.num_columns());
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (number, field) in rows.schema().fields().iter().enumerate() {
            let is_read = read.contains(&number);
            fields.push(if is_read {
                field.clone()
            } else {
                Arc::new(Field::new(field.name(), nulls.data_type().clone(), true))
            });
            columns.push(if is_read { rows.column(number).clone() } else { nulls.clone() });
        }
        build_rows(Arc::new(Schema::new(fields)), columns, rows.num_rows())
    }
}

impl Operator for Calc {
    fn process(
        &mut self,
        _: usize,
        batch: &ChangeBatch,
        _: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()> {
        let now = EvalContext { now: context.now };
        let Some(kept) = self.filtered(batch, now)? else { return Ok(()) };
        let columns = self.projection.iter().map(|expression| match expression.as_column() {
            Some(number) => Ok(kept.rows.column(number).clone()),
            None => expression.evaluate(&kept.rows, &now),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = build_rows(self.schema.clone(), columns, kept.num_rows())?;
        out.batches.push(kept.with_rows(rows));
        Ok(())
    }

    fn input_rows(
        &self,
        batch: &ChangeBatch,
        context: &OperatorContext,
    ) -> Result<Option<Vec<u32>>> {
        let rows = batch.num_rows();
        let Some(filter) = &self.filter else { return Ok(Some((0..rows as u32).collect())) };
        let now = EvalContext { now: context.now };
        let predicate = evaluate_filter(filter, &batch.rows, &now)?;
        let kept = (0..rows).filter(|&row| predicate.is_valid(row) && predicate.value(row));
        Ok(Some(kept.map(|row| row as u32).collect()))
    }

    fn finish_epoch(&mut self, _: Millis, _: &OperatorContext, _: &mut Collector) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, name: &str, _: &RecordBatch, _: &OperatorContext) -> Result<()> {
        Err(StreamError::Incompatible(format!("a projection has no state {name}")))
    }
}

fn evaluate_filter(
    filter: &ExpressionRef,
    rows: &RecordBatch,
    now: &EvalContext,
) -> Result<BooleanArray> {
    let predicate = filter.evaluate(rows, now)?;
    predicate.as_boolean_opt().cloned().ok_or_else(|| {
        StreamError::Internal(format!("filter {} gives no boolean", filter.to_sql()))
    })
}

/// A batch that may have no columns.
pub(super) fn build_rows(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

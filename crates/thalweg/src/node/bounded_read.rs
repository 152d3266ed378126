//! Reading a table once: what a plain `SELECT` on a table sees, up to its current end.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use thalweg_core::env::Env;
use thalweg_stream::ChangeBatch;
use thalweg_stream::StreamError;
use thalweg_stream::connector::Connectors;
use thalweg_stream::error::Result;
use thalweg_stream::expression::{EvalContext, ExpressionRef};
use thalweg_stream::graph::{Graph, Operator};
use thalweg_stream::source::{Source, SplitInfo};

/// Rows of one read are held in memory, so there is a bound.
const READ_BYTES_MAX: usize = 512 << 20;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// All rows that the first source of a stateless graph has now, after its steps. Records
/// that are no rows, and rows on which a step fails, are left out here: they stand in
/// `<table>$bad` as soon as a job reads the table.
///
/// # Errors
/// What keeps the table from being read; more rows than fit.
pub(crate) fn read_table(
    env: &Env,
    connectors: &dyn Connectors,
    graph: &Graph,
) -> Result<Vec<RecordBatch>> {
    let context = EvalContext { now: env.clock.wall_ms() };
    let mut rows = Rows { graph, context, batches: Vec::new(), bytes: 0 };
    if let Some((_, node)) = graph.sources().next() {
        let source = connectors.source(&node.table, &node.columns)?;
        for split in source.splits()? {
            rows.read(source.as_ref(), &split)?;
        }
    }
    Ok(rows.batches)
}

struct Rows<'a> {
    graph: &'a Graph,
    context: EvalContext,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Rows<'_> {
    fn read(&mut self, source: &dyn Source, split: &SplitInfo) -> Result<()> {
        let mut reader = source.open(split)?;
        let available = reader.available()?;
        if available.end == u64::MAX {
            return Err(StreamError::Invalid(
                "the table never ends; run the query as a job".to_owned(),
            ));
        }
        if available.end <= split.start {
            return Ok(());
        }
        reader.read(split.start, available.end, BATCH_ROWS, &mut |batch| {
            // Halves that are still to be looked at, the first one last.
            let mut parts = vec![batch.rows];
            while let Some(part) = parts.pop() {
                let (rows, half) = (part.num_rows(), part.num_rows() / 2);
                match self.steps(part.clone()) {
                    Ok(done) => self.keep(done)?,
                    // A row on which a step fails is a bad record to a job, and none here.
                    Err(StreamError::Evaluation { .. }) if rows <= 1 => {}
                    Err(StreamError::Evaluation { .. }) => {
                        parts.push(part.slice(half, rows - half));
                        parts.push(part.slice(0, half));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    fn keep(&mut self, rows: RecordBatch) -> Result<()> {
        self.bytes += rows.get_array_memory_size();
        if self.bytes > READ_BYTES_MAX {
            return Err(StreamError::OverBudget {
                what: "reading all of the table at once".to_owned(),
                budget_bytes: READ_BYTES_MAX,
            });
        }
        self.batches.push(rows);
        Ok(())
    }

    /// The rows after the source's projection and each calculation.
    fn steps(&self, mut rows: RecordBatch) -> Result<RecordBatch> {
        for node in &self.graph.nodes {
            rows = match &node.operator {
                Operator::Source(source) => {
                    self.project(&rows, &source.projection, &node.schema)?
                }
                Operator::Calc { filter, projection } => {
                    let rows = self.filter(rows, filter.as_ref())?;
                    self.project(&rows, projection, &node.schema)?
                }
                _ => rows,
            };
        }
        Ok(rows)
    }

    fn filter(&self, rows: RecordBatch, filter: Option<&ExpressionRef>) -> Result<RecordBatch> {
        let Some(filter) = filter else {
            return Ok(rows);
        };
        let kept = filter.evaluate(&rows, &self.context)?;
        let kept = kept.as_any().downcast_ref::<BooleanArray>().ok_or_else(|| {
            StreamError::Internal(format!("filter {} is not boolean", filter.to_sql()))
        })?;
        Ok(ChangeBatch::inserts(rows).filter(kept)?.rows)
    }

    fn project(
        &self,
        rows: &RecordBatch,
        projection: &[ExpressionRef],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = projection
            .iter()
            .map(|expression| expression.evaluate(rows, &self.context))
            .collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }
}

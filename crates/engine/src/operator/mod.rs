//! Operators: synchronous, vectorised steps that turn change batches into change batches.
//!
//! An operator sees the batches of an epoch in a fixed order and nothing else, so its
//! output is a function of the journal. It never blocks and knows no thread.

mod aggregate;
mod assign_window;
mod build;
mod calc;
mod diff;
mod group_aggregate;
mod keyed_state;
mod output;
#[cfg(test)]
mod tests;
mod time_column;
pub(crate) mod values;
mod window;

pub use build::{InputSpec, build};

use std::ops::Range;

use arrow_array::RecordBatch;
use thalweg_core::ids::Epoch;
use thalweg_core::key_group::KeyGroup;
use thalweg_core::time::Millis;
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;

/// What an operator may know besides its input.
#[derive(Clone, Debug)]
pub struct OperatorContext {
    /// The epoch.
    pub epoch: Epoch,
    /// "Now": the recorded time of the epoch.
    pub now: Millis,
    /// The key groups of this subtask.
    pub key_groups: Range<KeyGroup>,
    /// Key groups of the job.
    pub key_groups_total: u16,
}

/// Takes what an operator gives.
#[derive(Debug, Default)]
pub struct Collector {
    /// Output, in order.
    pub batches: Vec<ChangeBatch>,
    /// Input rows that came too late, in order.
    pub late: Vec<LateRows>,
}

/// Rows that no window could take any more.
#[derive(Clone, Debug)]
pub struct LateRows {
    /// The rows, with the columns of the operator's input.
    pub rows: RecordBatch,
    /// The watermark that each row met.
    pub watermarks: Vec<Millis>,
}

/// One subtask of a step.
pub trait Operator: Send {
    /// Takes a batch of one of its inputs. Its marks are the watermark of the whole input already (the
    /// smallest over all upstream subtasks): `watermark` holds before the first row.
    ///
    /// # Errors
    /// An expression that fails; the job stops.
    fn process(
        &mut self,
        input: usize,
        batch: &ChangeBatch,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()>;

    /// Of a step without state that gives at most one batch for a batch: from which row of
    /// the input each row of the output comes, ascending. Asked only where a row turned out
    /// to be bad further down, so the step may do its work again. `None`: it cannot tell.
    ///
    /// # Errors
    /// As [`Operator::process`].
    fn input_rows(
        &self,
        _batch: &ChangeBatch,
        _context: &OperatorContext,
    ) -> Result<Option<Vec<u32>>> {
        Ok(None)
    }

    /// Ends the epoch: `watermark` is the input's at its end, and `context.now` the
    /// processing time. Fires what is due; rows given here come before that watermark.
    ///
    /// # Errors
    /// As [`Operator::process`].
    fn finish_epoch(
        &mut self,
        watermark: Millis,
        context: &OperatorContext,
        out: &mut Collector,
    ) -> Result<()>;

    /// The earliest processing time at which a timer is due.
    fn next_timer(&self) -> Option<Millis> {
        None
    }

    /// The whole state as Arrow batches, each under a name; empty where there is none.
    /// Column `key_group` (UInt16) says where a row belongs, so that another subtask of
    /// another parallelism can take it over. Rows are in a fixed order.
    ///
    /// # Errors
    /// Arrow's, which here means a defect.
    fn snapshot(&self) -> Result<Vec<(String, RecordBatch)>> {
        Ok(Vec::new())
    }

    /// Takes over the rows of a snapshot that belong to its key groups. Called on a fresh
    /// operator, once for each batch of any earlier subtask.
    ///
    /// # Errors
    /// [`thalweg_stream::StreamError::Incompatible`] where the schema is another.
    fn restore(&mut self, name: &str, rows: &RecordBatch, context: &OperatorContext) -> Result<()>;

    /// Bytes of state held in memory, about.
    fn memory_bytes(&self) -> usize {
        0
    }
}

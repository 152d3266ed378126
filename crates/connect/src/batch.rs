//! Batches on their way from a decoder to whoever reads a split.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use thalweg_stream::error::Result;

/// A batch goes out once it took in so many bytes, even with few rows: columns count their
/// bytes in 32 bits, and memory is bounded.
pub(crate) const BATCH_INPUT_BYTES: u64 = 16 << 20;

/// The largest record that is decoded; a larger one is a bad record.
pub(crate) const MAX_RECORD_BYTES: usize = 8 << 20;

/// How much of a record beyond [`MAX_RECORD_BYTES`] is kept.
pub(crate) const KEPT_OF_OVERSIZED_BYTES: usize = 64 << 10;

/// Columns as a batch. The number of rows is given because there may be no columns.
pub(crate) fn record_batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

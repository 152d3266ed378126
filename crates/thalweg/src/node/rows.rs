//! Small results made of text: what `SHOW` and its like answer; and rows as text.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

/// A table of text under these headings.
pub(crate) fn text_rows(headings: &[&str], rows: &[Vec<String>]) -> (SchemaRef, RecordBatch) {
    let schema = text_schema(headings);
    let columns: Vec<ArrayRef> = (0..headings.len())
        .map(|column| {
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row[column]))) as ArrayRef
        })
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .unwrap_or_else(|_| RecordBatch::new_empty(Arc::clone(&schema)));
    (schema, batch)
}

/// Columns of text under these headings.
pub(crate) fn text_schema(headings: &[&str]) -> SchemaRef {
    let fields = headings.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Every row as text, cell by cell; null is `NULL`.
pub(crate) fn to_text(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default()
        .with_null("NULL")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"));
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    Ok(rows)
}

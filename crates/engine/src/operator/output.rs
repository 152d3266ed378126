//! Collects what an operator gives, as columns in pieces, into one batch.

use arrow_array::{Array, ArrayRef};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::{ChangeBatch, Marks, RowKind};

use super::Collector;
use super::calc::build_rows;

/// A batch is closed once it has so many rows.
const BATCH_ROWS: usize = 32 * 1024;

/// Rows that were given and not yet collected.
pub(super) struct Output {
    schema: SchemaRef,
    closed: Vec<ChangeBatch>,
    pieces: Vec<Vec<ArrayRef>>,
    rows: usize,
    /// Shorter than there are rows: the others are inserts.
    kinds: Vec<RowKind>,
    marks: Marks,
}

impl Output {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            closed: Vec::new(),
            pieces: Vec::new(),
            rows: 0,
            kinds: Vec::new(),
            marks: Marks::none(),
        }
    }

    /// Adds inserts.
    pub(super) fn insert(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        if rows > 0 {
            self.pieces.push(columns);
            self.rows += rows;
        }
        if self.rows >= BATCH_ROWS { self.close() } else { Ok(()) }
    }

    /// Adds inserts, with marks at places among them.
    pub(super) fn insert_marked(
        &mut self,
        columns: Vec<ArrayRef>,
        rows: usize,
        marks: &[(usize, Millis)],
    ) -> Result<()> {
        for &(row, watermark) in marks {
            if self.rows + row > 0 {
                self.marks.push(self.rows + row, watermark);
            }
        }
        self.insert(columns, rows)
    }

    /// Adds changes.
    pub(super) fn change(&mut self, columns: Vec<ArrayRef>, kinds: &[RowKind]) -> Result<()> {
        self.kinds.resize(self.rows, RowKind::Insert);
        self.kinds.extend(kinds);
        self.insert(columns, kinds.len())
    }

    /// Says that the rows given so far come before this watermark.
    pub(super) fn mark(&mut self, watermark: Millis) {
        match self.closed.last_mut() {
            _ if self.rows > 0 => self.marks.push(self.rows, watermark),
            Some(batch) => batch.marks.push(batch.num_rows(), watermark),
            None => {}
        }
    }

    /// Hands everything over.
    pub(super) fn flush(&mut self, out: &mut Collector) -> Result<()> {
        self.close()?;
        out.batches.append(&mut self.closed);
        Ok(())
    }

    /// Makes one batch of what was given since the last one.
    fn close(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.pieces);
        let rows = std::mem::take(&mut self.rows);
        let mut kinds = std::mem::take(&mut self.kinds);
        let marks = std::mem::take(&mut self.marks);
        let columns = match <[Vec<ArrayRef>; 1]>::try_from(pieces) {
            Ok([columns]) => columns,
            Err(pieces) => (0..self.schema.fields().len())
                .map(|number| {
                    let parts: Vec<&dyn Array> =
                        pieces.iter().map(|piece| piece[number].as_ref()).collect();
                    Ok(concat(&parts)?)
                })
                .collect::<Result<_>>()?,
        };
        let batch = build_rows(self.schema.clone(), columns, rows)?;
        let mut batch = if kinds.is_empty() {
            ChangeBatch::inserts(batch)
        } else {
            kinds.resize(rows, RowKind::Insert);
            ChangeBatch::changes(batch, kinds)
        };
        batch.marks = marks;
        self.closed.push(batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn column(values: std::ops::Range<i64>) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from_iter_values(values))]
    }

    #[test]
    fn pieces_become_batches_with_their_kinds_and_marks() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let mut output = Output::new(Arc::new(schema));
        output.mark(1);
        output.insert(column(0..2), 2).unwrap();
        output.mark(5);
        output.change(column(2..4), &[RowKind::Delete, RowKind::Insert]).unwrap();
        output.insert_marked(column(4..BATCH_ROWS as i64), BATCH_ROWS - 4, &[(1, 7)]).unwrap();
        output.mark(8);
        output.insert(column(0..1), 1).unwrap();
        let mut out = Collector::default();
        output.flush(&mut out).unwrap();
        output.flush(&mut out).unwrap();

        let [first, second] = &out.batches[..] else { panic!("two batches") };
        assert_eq!(first.rows.column(0).as_ref(), column(0..BATCH_ROWS as i64)[0].as_ref());
        assert_eq!([1, 2, 3, 4].map(|row| first.kind(row).short()), ["+I", "-D", "+I", "+I"]);
        assert_eq!(first.marks.iter().collect::<Vec<_>>(), [(2, 5), (5, 7), (BATCH_ROWS, 8)]);
        assert_eq!((second.num_rows(), second.marks.is_empty()), (1, true));
        assert!(second.kinds.is_none());
    }
}

//! Change batches: Arrow rows with their row kinds and watermark marks.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;

use crate::error::Result;
use crate::marks::Marks;
use crate::row_kind::RowKind;

/// A batch of changes, in order.
#[derive(Clone, Debug)]
pub struct ChangeBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// The kind of each row; `None` where all are inserts.
    pub kinds: Option<Arc<[RowKind]>>,
    /// The running watermark.
    pub marks: Marks,
}

impl ChangeBatch {
    /// A batch of inserts without marks.
    pub fn inserts(rows: RecordBatch) -> Self {
        Self { rows, kinds: None, marks: Marks::none() }
    }

    /// A batch of changes without marks.
    ///
    /// # Panics
    /// Where the number of kinds is not the number of rows: a defect of the caller.
    pub fn changes(rows: RecordBatch, kinds: Vec<RowKind>) -> Self {
        assert_eq!(rows.num_rows(), kinds.len(), "one kind a row");
        let inserts_only = kinds.iter().all(|kind| *kind == RowKind::Insert);
        let kinds = (!inserts_only).then(|| kinds.into());
        Self { rows, kinds, marks: Marks::none() }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The kind of a row.
    pub fn kind(&self, row: usize) -> RowKind {
        self.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds[row])
    }

    /// Bytes that the batch holds in memory.
    pub fn memory_bytes(&self) -> usize {
        self.rows.get_array_memory_size()
            + self.kinds.as_ref().map_or(0, |kinds| kinds.len())
            + self.marks.iter().len() * size_of::<(u32, i64)>()
    }

    /// The rows for which `predicate` is true (null counts as false).
    ///
    /// # Errors
    /// Arrow's, which here means a defect.
    pub fn filter(&self, predicate: &BooleanArray) -> Result<Self> {
        let kept = match predicate.nulls() {
            Some(nulls) => predicate.values() & nulls.inner(),
            None => predicate.values().clone(),
        };
        if kept.count_set_bits() == self.num_rows() {
            return Ok(self.clone());
        }
        let kinds = self
            .kinds
            .as_ref()
            .map(|kinds| kept.set_indices().map(|row| kinds[row]).collect::<Arc<[_]>>());
        let marks = project_marks(&self.marks, &kept);
        let rows = filter_record_batch(&self.rows, &BooleanArray::new(kept, None))?;
        Ok(Self { rows, kinds, marks })
    }

    /// The rows with these numbers, which ascend.
    ///
    /// # Errors
    /// Arrow's, which here means a defect.
    pub fn take(&self, kept: Vec<u32>) -> Result<Self> {
        debug_assert!(kept.is_sorted());
        let kinds = self
            .kinds
            .as_ref()
            .map(|kinds| kept.iter().map(|&row| kinds[row as usize]).collect::<Arc<[_]>>());
        let marks = self.marks.project(&kept);
        let kept = UInt32Array::from(kept);
        let columns = self.rows.columns().iter().map(|column| take(column, &kept, None));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        // The count is said because there may be no column to tell it.
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        let rows = RecordBatch::try_new_with_options(self.rows.schema(), columns, &options)?;
        Ok(Self { rows, kinds, marks })
    }

    /// The same changes with other columns.
    #[must_use]
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.num_rows());
        Self { rows, kinds: self.kinds.clone(), marks: self.marks.clone() }
    }
}

/// As [`Marks::project`], for kept rows as bits.
fn project_marks(marks: &Marks, kept: &BooleanBuffer) -> Marks {
    let mut projected = Marks::none();
    let (mut from, mut kept_before) = (0, 0);
    for (row, watermark) in marks.iter() {
        kept_before += kept.slice(from, row - from).count_set_bits();
        from = row;
        projected.push(kept_before, watermark);
    }
    projected
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    fn batch() -> ChangeBatch {
        let schema = Schema::new(vec![Field::new("v", DataType::Int64, false)]);
        let column = Arc::new(Int64Array::from_iter_values(0..5));
        let rows = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
        use RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
        let mut batch =
            ChangeBatch::changes(rows, vec![Insert, UpdateBefore, UpdateAfter, Insert, Delete]);
        for (row, watermark) in [(0, 1), (2, 5), (4, 6), (5, 7)] {
            batch.marks.push(row, watermark);
        }
        batch
    }

    #[test]
    fn filtering_is_taking_the_rows_that_are_true() {
        let predicate =
            BooleanArray::from(vec![Some(true), None, Some(true), Some(false), Some(true)]);
        let filtered = batch().filter(&predicate).unwrap();
        let taken = batch().take(vec![0, 2, 4]).unwrap();
        assert_eq!(filtered.rows, taken.rows);
        assert_eq!(filtered.kinds, taken.kinds);
        assert_eq!(filtered.kind(1), RowKind::UpdateAfter);
        assert_eq!(filtered.marks, taken.marks);
        assert_eq!(filtered.marks.iter().collect::<Vec<_>>(), [(0, 1), (1, 5), (2, 6), (3, 7)]);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let mut batch = batch();
        batch.rows = batch.rows.project(&[]).unwrap();
        assert_eq!(batch.take(vec![1, 3]).unwrap().num_rows(), 2);
        let predicate = BooleanArray::from(vec![true, false, false, false, true]);
        assert_eq!(batch.filter(&predicate).unwrap().num_rows(), 2);
    }
}

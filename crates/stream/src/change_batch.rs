//! Change batches: Arrow rows with their row kinds and watermark marks.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;

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
        let kept: Vec<u32> = (0..self.num_rows())
            .filter(|&row| predicate.value(row) && !arrow_array::Array::is_null(predicate, row))
            .map(|row| row as u32)
            .collect();
        if kept.len() == self.num_rows() {
            return Ok(self.clone());
        }
        self.take(kept)
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
        let rows = take_record_batch(&self.rows, &UInt32Array::from(kept))?;
        Ok(Self { rows, kinds, marks })
    }

    /// The same changes with other columns.
    #[must_use]
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.num_rows());
        Self { rows, kinds: self.kinds.clone(), marks: self.marks.clone() }
    }
}

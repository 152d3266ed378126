//! Rows under construction: columns, and which of their rows are to be dropped.

use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::SchemaRef;
use arrow_select::filter::FilterBuilder;
use thalweg_stream::error::Result;

use super::{StructColumn, relabel};
use crate::format::datetime::TimestampStyle;

/// The rows of a batch that a decoder is filling.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The columns.
    pub(crate) root: StructColumn,
    declared: SchemaRef,
    /// Rows of the columns that are none, because their record was bad.
    dead: Vec<u32>,
}

impl Rows {
    /// No rows of these fields.
    pub(crate) fn new(declared: &SchemaRef, style: TimestampStyle) -> Result<Self> {
        let root = StructColumn::new(declared.fields(), style)?;
        Ok(Self { root, declared: declared.clone(), dead: Vec::new() })
    }

    /// Ends a row; a bad one is dropped, however much of it is in the columns.
    #[inline]
    pub(crate) fn end_row(&mut self, good: bool) {
        if good {
            self.root.append_valid();
        } else {
            self.drop_row();
        }
    }

    #[cold]
    fn drop_row(&mut self) {
        let row = self.root.len();
        self.root.settle(row + 1);
        self.dead.push(row as u32);
    }

    /// Drops the last row after all.
    pub(crate) fn take_back(&mut self) {
        if let Some(row) = self.root.len().checked_sub(1) {
            self.dead.push(row as u32);
        }
    }

    /// Rows that stay.
    pub(crate) fn len(&self) -> usize {
        self.root.len() - self.dead.len()
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.root.memory_bytes()
    }

    /// Takes the rows that stay.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let dead = std::mem::take(&mut self.dead);
        let rows = self.root.len();
        let columns = self.root.finish_columns(!dead.is_empty())?;
        self.root.reset();
        if dead.is_empty() {
            return Ok(columns);
        }
        let mut alive = vec![true; rows];
        for row in dead {
            alive[row as usize] = false;
        }
        let filter = FilterBuilder::new(&BooleanArray::from(alive)).optimize().build();
        columns
            .iter()
            .zip(self.declared.fields())
            .map(|(column, field)| relabel(&filter.filter(column)?, field.data_type()))
            .collect()
    }
}

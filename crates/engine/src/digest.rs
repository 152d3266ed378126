//! Hashes of change batches, for comparing what replay gives with what was recorded.
//!
//! Equal values give equal hashes, whatever buffers and offsets they stand in.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::ArrowNativeType;
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType;
use thalweg_stream::{ChangeBatch, StreamError};
use xxhash_rust::xxh3::Xxh3;

use crate::error::Result;

/// Hashes the changes of an epoch, batch by batch.
#[derive(Default)]
pub(crate) struct ChangeHasher {
    hash: Xxh3,
    count: u64,
}

impl ChangeHasher {
    /// Adds a batch.
    pub(crate) fn add(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.count += batch.num_rows() as u64;
        for row in 0..batch.num_rows() {
            // Only batches with other kinds than inserts pay for them.
            let Some(kinds) = &batch.kinds else { break };
            self.hash.update(&[kinds[row] as u8]);
        }
        for column in batch.rows.columns() {
            self.column(column)?;
        }
        Ok(())
    }

    /// Number of changes and their hash.
    pub(crate) fn finish(&self) -> (u64, u64) {
        (self.count, self.hash.digest())
    }

    fn column(&mut self, column: &ArrayRef) -> Result<()> {
        self.hash.update(&(column.len() as u64).to_le_bytes());
        match column.data_type() {
            DataType::Utf8 if column.null_count() == 0 => {
                let strings = column.as_string::<i32>();
                let offsets = strings.value_offsets();
                let (first, last) = (offsets[0].as_usize(), offsets[column.len()].as_usize());
                for pair in offsets.windows(2) {
                    self.hash.update(&(pair[1] - pair[0]).to_le_bytes());
                }
                self.hash.update(&strings.value_data()[first..last]);
            }
            data_type if data_type.primitive_width().is_some() && column.null_count() == 0 => {
                let width = data_type.primitive_width().unwrap_or_default();
                let data = column.to_data();
                let start = data.offset() * width;
                let bytes = &data.buffers()[0][start..start + column.len() * width];
                self.hash.update(bytes);
            }
            // Nulls, nested types: through the row format, which is defined by the values.
            data_type => {
                let converter = RowConverter::new(vec![SortField::new(data_type.clone())]);
                let rows = converter
                    .and_then(|converter| converter.convert_columns(std::slice::from_ref(column)))
                    .map_err(StreamError::from)?;
                rows.iter().for_each(|row| self.hash.update(row.as_ref()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use thalweg_stream::RowKind;

    use super::*;

    fn hash(batch: &ChangeBatch) -> (u64, u64) {
        let mut hasher = ChangeHasher::default();
        hasher.add(batch).unwrap();
        hasher.finish()
    }

    fn batch(ids: Vec<Option<i64>>, names: Vec<&str>) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let names: ArrayRef = Arc::new(StringArray::from(names));
        RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
    }

    #[test]
    fn only_values_count() {
        let whole = batch(vec![Some(1), Some(2), Some(3)], vec!["a", "bc", "d"]);
        let part = ChangeBatch::inserts(whole.slice(1, 2));
        let same = ChangeBatch::inserts(batch(vec![Some(2), Some(3)], vec!["bc", "d"]));
        assert_eq!(hash(&part), hash(&same));
        let other = ChangeBatch::inserts(batch(vec![Some(2), Some(3)], vec!["b", "cd"]));
        assert_ne!(hash(&same), hash(&other));
        let null = ChangeBatch::inserts(batch(vec![Some(2), None], vec!["bc", "d"]));
        assert_ne!(hash(&same), hash(&null));
        let kinds = vec![RowKind::UpdateBefore, RowKind::UpdateAfter];
        assert_ne!(hash(&same), hash(&ChangeBatch::changes(same.rows.clone(), kinds)));
    }
}

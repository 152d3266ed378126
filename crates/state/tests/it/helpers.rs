//! Rows to store.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray, UInt16Array};
use arrow_schema::{DataType, Field, Schema};

/// A batch of state of `rows` rows, the values of which follow from `salt`.
pub(crate) fn batch(salt: i64, rows: usize) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("key_group", DataType::UInt16, false),
        Field::new("key", DataType::Utf8, true),
        Field::new("sum", DataType::Int64, true),
    ]);
    let groups = (0..rows).map(|row| (row % 128) as u16);
    let keys = (0..rows).map(|row| (row % 5 != 4).then(|| format!("key-{salt}-{row}")));
    let sums = (0..rows).map(|row| (row % 7 != 6).then_some(salt * 1000 + row as i64));
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(UInt16Array::from_iter_values(groups)),
            Arc::new(StringArray::from_iter(keys)),
            Arc::new(Int64Array::from_iter(sums)),
        ],
    )
    .unwrap()
}

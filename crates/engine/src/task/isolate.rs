//! Getting the one bad row out of a batch, so that the others can go on.
//!
//! Only steps without state are asked again for the rest of a batch: those of source
//! stages. Where batches are cut up for it depends on the rows alone.

use std::ops::Range;

use thalweg_stream::{ChangeBatch, Marks, StreamError};

/// Three ranges of the rows of a batch on which an expression failed: those before the
/// row that failed, that row, and those after it. Where the row is not known, two halves.
pub(super) fn around(rows: usize, error: &StreamError) -> [Range<usize>; 3] {
    let known = match error {
        StreamError::Evaluation { row: Some(row), .. } if *row < rows => Some(*row),
        _ => None,
    };
    match known {
        Some(row) => [0..row, row..row + 1, row + 1..rows],
        None if rows <= 1 => [0..0, 0..rows, rows..rows],
        None => [0..rows / 2, 0..0, rows / 2..rows],
    }
}

/// Rows of a batch with their marks: those before row `marks_from`, which may be a row
/// that was left out in front, belong to an earlier slice, and those behind the last row
/// to the last slice.
pub(super) fn slice(batch: &ChangeBatch, range: &Range<usize>, marks_from: usize) -> ChangeBatch {
    let is_last = range.end == batch.num_rows();
    let mut marks = Marks::none();
    for (row, watermark) in batch.marks.iter() {
        if row >= marks_from && (row < range.end || is_last) {
            marks.push(row.max(range.start) - range.start, watermark);
        }
    }
    ChangeBatch {
        rows: batch.rows.slice(range.start, range.len()),
        kinds: batch.kinds.as_ref().map(|kinds| kinds[range.clone()].into()),
        marks,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};

    use super::*;

    fn failed(row: Option<usize>) -> StreamError {
        StreamError::Evaluation { expression: "1 / x".into(), detail: "no".into(), row }
    }

    #[test]
    fn the_ranges_cover_all_rows() {
        assert_eq!(around(5, &failed(Some(3))), [0..3, 3..4, 4..5]);
        assert_eq!(around(5, &failed(None)), [0..2, 0..0, 2..5]);
        assert_eq!(around(1, &failed(None)), [0..0, 0..1, 1..1]);
        assert_eq!(around(2, &failed(Some(7))), [0..1, 0..0, 1..2]);
    }

    #[test]
    fn marks_stay_before_their_rows() {
        let rows = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let rows = RecordBatch::try_from_iter([("v", rows as _)]).unwrap();
        let mut batch = ChangeBatch::inserts(rows);
        for (row, watermark) in [(0, 1), (2, 5), (4, 9)] {
            batch.marks.push(row, watermark);
        }
        let marks = |range, from| slice(&batch, &range, from).marks.iter().collect::<Vec<_>>();
        assert_eq!(marks(0..2, 0), [(0, 1)]);
        assert_eq!(marks(2..4, 2), [(0, 5), (2, 9)]);
        assert_eq!(marks(3..4, 2), [(0, 5), (1, 9)], "row 2 was left out");
    }
}

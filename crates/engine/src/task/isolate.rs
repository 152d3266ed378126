//! Getting the bad rows out of a batch, so that the others can go on.
//!
//! Only steps without state are asked again for the rest of a batch: those of source
//! stages. Where batches are cut up for it depends on the rows alone.

use std::ops::Range;

use thalweg_stream::{ChangeBatch, Marks, StreamError};

/// A row on which a step fails, and why.
pub(super) type Refusal = (usize, String);

/// The rows of a batch on which an expression failed, in order; `None` where it does not say,
/// and the batch has to be tried in halves.
///
/// # Errors
/// The error itself, where there is nothing that could be left out.
pub(super) fn refusals(
    rows: usize,
    error: StreamError,
) -> Result<Option<Vec<Refusal>>, StreamError> {
    let StreamError::Evaluation { expression, rows: failed, .. } = &error else {
        return Err(error);
    };
    let reason = |detail: &str| format!("{expression}: {detail}");
    let known = failed.iter().filter(|failed| failed.row < rows);
    let known: Vec<_> = known.map(|failed| (failed.row, reason(&failed.detail))).collect();
    match (known.is_empty(), rows) {
        (false, _) => Ok(Some(known)),
        (true, 0) => Err(error),
        (true, 1) => Ok(Some(vec![(0, error.to_string())])),
        (true, _) => Ok(None),
    }
}

/// Numbers of the rows that are not among those refused.
pub(super) fn others(rows: usize, refused: &[Refusal]) -> Vec<u32> {
    let mut refused = refused.iter().map(|(row, _)| *row).peekable();
    (0..rows).filter(|row| refused.next_if_eq(row).is_none()).map(|row| row as u32).collect()
}

/// The two halves of rows, by number.
pub(super) fn halves(rows: usize) -> [Range<usize>; 2] {
    [0..rows / 2, rows / 2..rows]
}

/// Rows of a batch with their marks: those behind the last row belong to the last slice.
pub(super) fn slice(batch: &ChangeBatch, range: &Range<usize>) -> ChangeBatch {
    let is_last = range.end == batch.num_rows();
    let mut marks = Marks::none();
    for (row, watermark) in batch.marks.iter() {
        if row >= range.start && (row < range.end || is_last) {
            marks.push(row - range.start, watermark);
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
    use thalweg_stream::error::FailedRow;

    use super::*;

    fn failed(rows: &[usize]) -> StreamError {
        let rows = rows.iter().map(|&row| FailedRow { row, detail: format!("no {row}") });
        let (expression, detail) = ("1 / x".into(), "no".into());
        StreamError::Evaluation { expression, detail, rows: rows.collect() }
    }

    #[test]
    fn all_rows_that_fail_are_left_out_at_once() {
        let refused = refusals(5, failed(&[1, 3, 9])).unwrap().unwrap();
        assert_eq!(refused, [(1, "1 / x: no 1".to_owned()), (3, "1 / x: no 3".to_owned())]);
        assert_eq!(others(5, &refused), [0, 2, 4]);
        assert_eq!(refusals(1, failed(&[])).unwrap(), Some(vec![(0, "1 / x: no".to_owned())]));
        assert_eq!(refusals(5, failed(&[])).unwrap(), None);
        assert_eq!(halves(5), [0..2, 2..5]);
    }

    #[test]
    fn what_is_not_about_rows_goes_on() {
        assert!(refusals(0, failed(&[])).is_err());
        assert!(refusals(5, StreamError::External("gone".into())).is_err());
    }

    #[test]
    fn marks_stay_before_their_rows() {
        let rows = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let rows = RecordBatch::try_from_iter([("v", rows as _)]).unwrap();
        let mut batch = ChangeBatch::inserts(rows);
        for (row, watermark) in [(0, 1), (2, 5), (4, 9)] {
            batch.marks.push(row, watermark);
        }
        let marks = |range| slice(&batch, &range).marks.iter().collect::<Vec<_>>();
        assert_eq!(marks(0..2), [(0, 1)]);
        assert_eq!(marks(2..4), [(0, 5), (2, 9)]);
    }
}

//! Rows that turn out to be of no use after they were decoded, back to the records they
//! were.
//!
//! The source is asked for the record again, and only then: rows do not carry their bytes,
//! nor their positions. What comes of it depends on the range alone, since the range can be
//! read again as it was.

use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::record::{BadRecord, RawRecord};
use thalweg_stream::source::SourceBatch;

/// What is kept of a record. Those that are decoded at all are not larger.
const KEPT_BYTES: usize = 16 << 20;

/// A row of a source's batch that is of no use.
#[derive(Debug)]
pub(super) struct BadRow {
    /// Number of the row in the batch, where it is known.
    pub(super) row: Option<usize>,
    /// Slot of the step that failed on it.
    pub(super) slot: usize,
    /// Why.
    pub(super) reason: String,
    /// The row column by column, where there are no bytes to show.
    pub(super) shown: String,
}

/// The bad records of a batch in order of position: those that could not be decoded, and
/// those whose rows are among `rows`.
///
/// # Errors
/// [`StreamError::Incompatible`] where the source no longer has the records; what else
/// keeps it from reading them.
pub(super) fn bad_records(
    batch: &mut SourceBatch,
    split: &str,
    mut rows: Vec<BadRow>,
) -> Result<Vec<BadRecord>> {
    if rows.is_empty() {
        return Ok(std::mem::take(&mut batch.bad));
    }
    rows.sort_by_key(|bad| bad.row);
    let unknown = rows.partition_point(|bad| bad.row.is_none());
    let known = rows.split_off(unknown);
    let mut found: Vec<_> = rows.into_iter().map(|bad| without_bytes(batch, split, bad)).collect();
    if batch.records.is_some() {
        read_again(batch, split, known, &mut found)?;
    } else {
        found.extend(known.into_iter().map(|bad| without_bytes(batch, split, bad)));
    }
    found.append(&mut batch.bad);
    found.sort_by_key(|bad| bad.position);
    Ok(found)
}

/// Finds the records of rows, which ascend.
fn read_again(
    batch: &SourceBatch,
    split: &str,
    rows: Vec<BadRow>,
    found: &mut Vec<BadRecord>,
) -> Result<()> {
    let Some(records) = &batch.records else { return Ok(()) };
    let mut rows = rows.into_iter().peekable();
    let mut undecoded = batch.bad.iter().map(|bad| bad.position).peekable();
    let mut number = 0;
    records.visit(batch.positions.clone(), &mut |record: &RawRecord<'_>| {
        if undecoded.next_if_eq(&record.position).is_some() {
            return ControlFlow::Continue(());
        }
        while let Some(bad) = rows.next_if(|bad| bad.row == Some(number)) {
            found.push(record.refused(split, bad.reason, KEPT_BYTES));
        }
        number += 1;
        if rows.peek().is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match rows.next() {
        None => Ok(()),
        Some(_) => Err(StreamError::Incompatible(format!(
            "positions {}..{} of split '{split}' hold fewer records than were read there before",
            batch.positions.start, batch.positions.end
        ))),
    }
}

/// A bad record of a row that came from no record, or nobody knows from which.
fn without_bytes(batch: &SourceBatch, split: &str, bad: BadRow) -> BadRecord {
    BadRecord {
        key: None,
        raw: Some(Bytes::from(bad.shown)),
        headers: Vec::new(),
        split: split.to_owned(),
        position: batch.positions.start + bad.row.unwrap_or_default() as u64,
        reason: bad.reason,
    }
}

/// A row, column by column.
pub(super) fn describe(rows: &RecordBatch, row: usize) -> Result<String> {
    let options = FormatOptions::default().with_null("null");
    let schema = rows.schema();
    let mut shown = Vec::with_capacity(rows.num_columns());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        let column = ArrayFormatter::try_new(column.as_ref(), &options)?;
        shown.push(format!("{}={}", field.name(), column.value(row)));
    }
    Ok(shown.join(", "))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use thalweg_stream::record::{RawRecords, RecordVisitor};
    use thalweg_stream::source::Position;

    use super::*;

    /// Records at every third position, whose values say it.
    struct Thirds;

    impl RawRecords for Thirds {
        fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()> {
            for position in range.filter(|position| position % 3 == 0) {
                let value = position.to_string();
                let value = Some(value.as_bytes());
                if visitor(&RawRecord { position, key: None, value, headers: None }).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn undecoded(position: Position) -> BadRecord {
        let raw = Some(Bytes::from("as it came"));
        let (split, reason) = ("s".to_owned(), "no row".to_owned());
        BadRecord { key: None, raw, headers: Vec::new(), split, position, reason }
    }

    fn bad(row: Option<usize>, reason: &str) -> BadRow {
        BadRow { row, slot: 0, reason: reason.into(), shown: "v=1".into() }
    }

    /// Records at 30, 33, 36, 39, 42 and 45, of which 33 and 42 could not be decoded.
    fn batch() -> SourceBatch {
        let rows = Arc::new(Int64Array::from(vec![30, 36, 39, 45]));
        SourceBatch {
            rows: RecordBatch::try_from_iter([("v", rows as _)]).unwrap(),
            bad: vec![undecoded(33), undecoded(42)],
            positions: 30..46,
            records: Some(Arc::new(Thirds)),
        }
    }

    fn shown(found: &[BadRecord]) -> Vec<(Position, &str, &str)> {
        let show = |bytes| std::str::from_utf8(bytes).unwrap();
        let raw = found.iter().map(|bad| show(bad.raw.as_deref().unwrap()));
        found.iter().zip(raw).map(|(bad, raw)| (bad.position, raw, &*bad.reason)).collect()
    }

    #[test]
    fn rows_are_found_among_records_that_are_none() {
        let rows = vec![bad(Some(3), "c"), bad(Some(1), "a"), bad(Some(1), "b")];
        let found = bad_records(&mut batch(), "s", rows).unwrap();
        let as_it_came = |position| (position, "as it came", "no row");
        assert_eq!(
            shown(&found),
            [as_it_came(33), (36, "36", "a"), (36, "36", "b"), as_it_came(42), (45, "45", "c")]
        );
        assert!(bad_records(&mut batch(), "s", vec![bad(Some(4), "")]).is_err());
        assert_eq!(bad_records(&mut batch(), "s", Vec::new()).unwrap().len(), 2);
    }

    #[test]
    fn a_row_without_a_record_is_shown() {
        let mut batch = SourceBatch { bad: Vec::new(), records: None, ..batch() };
        let found = bad_records(&mut batch, "s", vec![bad(Some(2), "a"), bad(None, "b")]).unwrap();
        assert_eq!(shown(&found), [(30, "v=1", "b"), (32, "v=1", "a")]);
        assert_eq!(describe(&batch.rows, 2).unwrap(), "v=39");
    }
}

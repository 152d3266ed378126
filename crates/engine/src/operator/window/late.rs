//! Rows that no window takes any more.

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::{ChangeBatch, Marks};

use super::super::{Collector, LateRows};

/// Gives the rows with these ascending numbers to the collector as late, each with the
/// watermark that it met: `watermark` before the first mark.
pub(super) fn collect_late(
    batch: &ChangeBatch,
    late: &[u32],
    watermark: Millis,
    out: &mut Collector,
) -> Result<()> {
    if late.is_empty() {
        return Ok(());
    }
    let rows = take_rows(&batch.rows, late)?;
    out.late.push(LateRows { rows, watermarks: watermarks_of(late, watermark, &batch.marks) });
    Ok(())
}

fn take_rows(rows: &RecordBatch, numbers: &[u32]) -> Result<RecordBatch> {
    Ok(take_record_batch(rows, &UInt32Array::from(numbers.to_vec()))?)
}

fn watermarks_of(rows: &[u32], mut watermark: Millis, marks: &Marks) -> Vec<Millis> {
    let mut marks = marks.iter().peekable();
    let mut of_row = |row: u32| {
        while let Some((_, risen)) = marks.next_if(|(at, _)| *at <= row as usize) {
            watermark = risen;
        }
        watermark
    };
    rows.iter().map(|&row| of_row(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_late_row_has_the_watermark_before_it() {
        let mut marks = Marks::none();
        for (row, watermark) in [(1, 10), (3, 30), (4, 40)] {
            marks.push(row, watermark);
        }
        assert_eq!(watermarks_of(&[0, 1, 2, 4, 9], 5, &marks), [5, 10, 10, 40, 40]);
    }
}

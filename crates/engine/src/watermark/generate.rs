//! The watermark of one range of one split: `WATERMARK FOR column AS expression`.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, BooleanArray, RecordBatch, TimestampMillisecondArray};
use thalweg_core::time::{MIN_WATERMARK, Millis};
use thalweg_stream::Marks;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::expression::EvalContext;
use thalweg_stream::graph::WatermarkSpec;

/// Makes the marks of a range. Knows nothing of the ranges before it, so that they can
/// be decoded at the same time; the consumer lays the split's watermark under them.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    spec: &'a WatermarkSpec,
    interval: Millis,
    max_future: Option<Millis>,
    /// Highest value so far, and the one of the last mark.
    highest: Millis,
    marked: Millis,
}

/// Why a row was taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// Its event time is null.
    Null,
    /// Its event time lies too far in the future.
    Future,
}

/// What came of a batch.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Rows that stay, where not all do.
    pub kept: Option<BooleanArray>,
    /// Rows that do not, and why.
    pub refused: Vec<(usize, Refused)>,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(
        spec: &'a WatermarkSpec,
        interval: Millis,
        max_future: Option<Millis>,
    ) -> Self {
        Self { spec, interval, max_future, highest: MIN_WATERMARK, marked: MIN_WATERMARK }
    }

    /// Looks for rows whose event time is null or too far ahead.
    pub(crate) fn check(&self, rows: &RecordBatch, now: Millis) -> Result<Generated> {
        let column = rows.column(self.spec.rowtime);
        let times = timestamps(column, "the event time")?;
        let limit = self.max_future.map_or(Millis::MAX, |ahead| now.saturating_add(ahead));
        let fine = times.null_count() == 0
            && (limit == Millis::MAX || times.values().iter().all(|&time| time <= limit));
        if fine {
            return Ok(Generated { kept: None, refused: Vec::new() });
        }
        let mut refused = Vec::new();
        let mut kept = Vec::with_capacity(times.len());
        for row in 0..times.len() {
            let why = match times.is_valid(row).then(|| times.value(row)) {
                None => Some(Refused::Null),
                Some(time) if time > limit => Some(Refused::Future),
                Some(_) => None,
            };
            kept.push(why.is_none());
            refused.extend(why.map(|why| (row, why)));
        }
        Ok(Generated { kept: Some(BooleanArray::from(kept)), refused })
    }

    /// The marks of a batch whose rows all have an event time.
    pub(crate) fn marks(&mut self, rows: &RecordBatch, context: &EvalContext) -> Result<Marks> {
        let values = self.spec.expression.evaluate(rows, context)?;
        let values = timestamps(&values, "the watermark")?;
        let mut marks = Marks::none();
        if values.null_count() == 0 {
            for (row, &value) in values.values().iter().enumerate() {
                self.see(row, value, &mut marks);
            }
        } else {
            for (row, value) in values.iter().enumerate() {
                self.see(row, value.unwrap_or(MIN_WATERMARK), &mut marks);
            }
        }
        Ok(marks)
    }

    #[inline]
    fn see(&mut self, row: usize, value: Millis, marks: &mut Marks) {
        if value > self.highest {
            self.highest = value;
            if self.marked == MIN_WATERMARK || value - self.marked > self.interval {
                self.marked = value;
                marks.push(row + 1, value);
            }
        }
    }

    /// The watermark after the last row of the range.
    pub(crate) fn finish(self) -> Millis {
        self.highest
    }
}

fn timestamps<'a>(column: &'a dyn Array, what: &str) -> Result<&'a TimestampMillisecondArray> {
    column.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| {
        StreamError::Internal(format!(
            "{what} is of type {}, not timestamp(ms)",
            column.data_type()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    use thalweg_stream::expression::Column;

    use super::*;

    fn spec() -> WatermarkSpec {
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, None);
        let expression = Arc::new(Column { index: 0, name: "ts".into(), data_type });
        WatermarkSpec { rowtime: 0, expression, idle_timeout: None }
    }

    fn batch(times: Vec<Option<Millis>>) -> RecordBatch {
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, None);
        let schema = Arc::new(Schema::new(vec![Field::new("ts", data_type, true)]));
        let times = Arc::new(TimestampMillisecondArray::from(times));
        RecordBatch::try_new(schema, vec![times]).unwrap()
    }

    #[test]
    fn marks_come_at_the_interval_and_the_end_keeps_the_highest() {
        let spec = spec();
        let mut generator = Generator::new(&spec, 200, None);
        let context = EvalContext { now: 0 };
        let first = batch([0, 100, 250, 240, 300].map(Some).to_vec());
        let marks = generator.marks(&first, &context).unwrap();
        assert_eq!(marks.iter().collect::<Vec<_>>(), [(1, 0), (3, 250)]);
        let second = batch([440, 451, 460].map(Some).to_vec());
        let marks = generator.marks(&second, &context).unwrap();
        assert_eq!(marks.iter().collect::<Vec<_>>(), [(2, 451)]);
        assert_eq!(generator.finish(), 460);
    }

    #[test]
    fn rows_without_an_event_time_or_from_the_future_are_refused() {
        let spec = spec();
        let generator = Generator::new(&spec, 200, Some(1000));
        let rows = batch(vec![Some(1), None, Some(2001), Some(2000)]);
        let generated = generator.check(&rows, 1000).unwrap();
        assert_eq!(generated.refused, [(1, Refused::Null), (2, Refused::Future)]);
        let kept: Vec<_> = generated.kept.unwrap().iter().flatten().collect();
        assert_eq!(kept, [true, false, false, true]);
    }
}

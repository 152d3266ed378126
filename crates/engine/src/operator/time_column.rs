//! Event times out of a column, and instants into one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMillisecondArray, types};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, TimeUnit};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::{FailedRow, Result};

/// Instants beyond this are taken for it, so that arithmetic on them cannot overflow:
/// some 36 million years, while timestamps of SQL end in the year 9999.
pub(super) const MAX_INSTANT: Millis = 1 << 60;

/// Longest size, slide, gap or lateness.
pub(super) const MAX_MEASURE: Millis = 1 << 50;

/// An instant that is safe to calculate with.
#[inline]
pub(super) fn clamp(time: Millis) -> Millis {
    time.clamp(-MAX_INSTANT, MAX_INSTANT)
}

/// Refuses a type of which [`event_times`] cannot read.
pub(super) fn check_event_time(field: &Field) -> Result<()> {
    match field.data_type() {
        DataType::Timestamp(..) => Ok(()),
        other => Err(StreamError::Invalid(format!(
            "a window needs a timestamp, and column {} is of type {other}",
            field.name()
        ))),
    }
}

/// The event times of a batch, in milliseconds, rounded down.
///
/// # Errors
/// [`StreamError::Evaluation`] where one is null: sources refuse those rows before.
pub(super) fn event_times(rows: &RecordBatch, column: usize) -> Result<ScalarBuffer<Millis>> {
    let array = rows.column(column);
    if array.null_count() > 0 {
        let nulls = (0..array.len()).filter(|&row| array.is_null(row));
        let detail = "an event time is null".to_owned();
        return Err(StreamError::Evaluation {
            expression: rows.schema_ref().field(column).name().clone(),
            rows: nulls.map(|row| FailedRow { row, detail: detail.clone() }).collect(),
            detail,
        });
    }
    let times = match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<types::TimestampMillisecondType>().values().clone()
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            let seconds = array.as_primitive::<types::TimestampSecondType>().values();
            seconds.iter().map(|seconds| seconds.saturating_mul(1000)).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = array.as_primitive::<types::TimestampMicrosecondType>().values();
            micros.iter().map(|micros| micros.div_euclid(1000)).collect()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let nanos = array.as_primitive::<types::TimestampNanosecondType>().values();
            nanos.iter().map(|nanos| nanos.div_euclid(1_000_000)).collect()
        }
        other => return Err(StreamError::Internal(format!("{other} is no timestamp"))),
    };
    Ok(times)
}

/// Refuses a type into which [`instants`] cannot write.
pub(super) fn check_instant(field: &Field) -> Result<()> {
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => Ok(()),
        other => Err(StreamError::Internal(format!(
            "column {} should be a timestamp(ms), not {other}",
            field.name()
        ))),
    }
}

/// A column of instants, of the field's type.
pub(super) fn instants(field: &Field, times: Vec<Millis>) -> ArrayRef {
    let array = TimestampMillisecondArray::new(times.into(), None);
    Arc::new(array.with_data_type(field.data_type().clone()))
}

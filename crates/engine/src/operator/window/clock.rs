//! The clock that windows follow.

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;
use thalweg_core::time::{MAX_WATERMARK, Millis};
use thalweg_stream::error::Result;
use thalweg_stream::window::WindowTime;
use thalweg_stream::{ChangeBatch, Marks};

use super::super::OperatorContext;
use super::super::time_column::event_times;

/// Event time, or processing time as if it were one.
///
/// In processing time a row's time is the epoch's recorded time, and all instants before
/// that are over: the watermark is one millisecond behind, and does not rise inside an
/// epoch. At the end of a bounded input all windows are complete, where Flink drops those
/// of processing time.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowClock(pub(super) WindowTime);

impl WindowClock {
    pub(super) fn is_processing_time(self) -> bool {
        self.0 == WindowTime::Processing
    }

    /// The watermark that counts where the input's is `watermark`.
    pub(super) fn watermark(self, watermark: Millis, context: &OperatorContext) -> Millis {
        if self.is_processing_time() && watermark != MAX_WATERMARK {
            context.now - 1
        } else {
            watermark
        }
    }

    /// The processing time at which the watermark that counts is this one.
    pub(super) fn timer(self, watermark: Millis) -> Option<Millis> {
        self.is_processing_time().then(|| watermark.saturating_add(1))
    }

    /// The marks that count.
    pub(super) fn marks(self, batch: &ChangeBatch) -> Marks {
        if self.is_processing_time() { Marks::none() } else { batch.marks.clone() }
    }

    /// The time of each row. `complete` is the watermark so far: processing time does not go
    /// back behind it.
    pub(super) fn times(
        self,
        rows: &RecordBatch,
        complete: Millis,
        context: &OperatorContext,
    ) -> Result<ScalarBuffer<Millis>> {
        match self.0 {
            WindowTime::Event { column } => event_times(rows, column),
            WindowTime::Processing => {
                let now = context.now.max(complete.saturating_add(1));
                Ok(vec![now; rows.num_rows()].into())
            }
        }
    }
}

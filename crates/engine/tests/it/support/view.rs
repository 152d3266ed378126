//! A view that counts rows as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_stream::error::Result;
use thalweg_stream::view::View;
use thalweg_stream::{ChangeBatch, StreamError};

use super::sink::lines;

/// How often each row is there, and as of which epoch.
#[derive(Default)]
pub(crate) struct CountingView {
    state: Mutex<(Epoch0, BTreeMap<String, i64>)>,
}

type Epoch0 = u64;

impl CountingView {
    pub(crate) fn rows(&self) -> BTreeMap<String, i64> {
        self.state.lock().1.clone()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.state.lock().0
    }
}

impl View for CountingView {
    fn commit(&self, epoch: Epoch, changes: &[ChangeBatch]) -> Result<()> {
        let mut state = self.state.lock();
        assert!(epoch.0 > state.0, "epoch {epoch} after {}", state.0);
        state.0 = epoch.0;
        for batch in changes {
            for (row, line) in lines(batch).into_iter().enumerate() {
                let text = line[2..].to_owned();
                let count = state.1.entry(text.clone()).or_insert(0);
                *count += batch.kind(row).sign();
                let left = *count;
                if left == 0 {
                    state.1.remove(&text);
                } else if left < 0 {
                    return Err(StreamError::Internal(format!("{text} is not there")));
                }
            }
        }
        Ok(())
    }

    fn export(&self) -> Result<(Epoch, Vec<RecordBatch>)> {
        let state = self.state.lock();
        let rows: ArrayRef = Arc::new(StringArray::from_iter_values(state.1.keys()));
        let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(state.1.values().copied()));
        let batch = RecordBatch::try_from_iter([("row", rows), ("count", counts)])?;
        Ok((Epoch(state.0), vec![batch]))
    }

    fn import(&self, epoch: Epoch, rows: &[RecordBatch]) -> Result<()> {
        let mut state = self.state.lock();
        state.0 = epoch.0;
        state.1.clear();
        for batch in rows {
            let (rows, counts) = (batch.column(0), batch.column(1));
            let counts = counts.as_primitive::<Int64Type>();
            for (row, count) in rows.as_string::<i32>().iter().zip(counts) {
                state.1.insert(row.unwrap().to_owned(), count.unwrap());
            }
        }
        Ok(())
    }
}

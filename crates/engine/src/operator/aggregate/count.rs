//! COUNT.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::DataType;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::input::{Input, int64s};

/// Rows, or values that are not null.
pub(super) struct Count {
    counts: Vec<i64>,
}

impl Count {
    pub(super) fn new(result: &DataType) -> Result<Self> {
        if *result != DataType::Int64 {
            return Err(StreamError::Internal(format!("COUNT gives no {result}")));
        }
        Ok(Self { counts: Vec::new() })
    }

    fn values(&self, slots: &[u32]) -> ArrayRef {
        let counts = slots.iter().map(|&slot| self.counts[slot as usize]);
        Arc::new(Int64Array::from_iter_values(counts))
    }
}

impl Accumulator for Count {
    fn resize(&mut self, slots: usize) {
        self.counts.resize(slots, 0);
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.counts[slot as usize] = 0);
    }

    fn prepare(&self, _: &ArrayRef) -> Result<Input> {
        Ok(Input::Nothing)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        rows.for_each(|slot, _, sign| self.counts[slot] += sign);
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        pairs(from, into).for_each(|(from, into)| self.counts[into] += self.counts[from]);
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        Ok(self.values(slots))
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.values(slots)])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        for (&slot, &count) in slots.iter().zip(int64s(&state[0])?) {
            self.counts[slot as usize] += count;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}

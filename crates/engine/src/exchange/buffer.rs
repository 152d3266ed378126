//! What one epoch moves over one edge, in memory up to a budget and in files beyond it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_stream::ChangeBatch;

use super::SpillDir;
use super::spill::{SpillWriter, Spilled};
use crate::error::Result;

/// Memory that all edges of a job share.
#[derive(Debug)]
pub(crate) struct EdgeBudget {
    limit: usize,
    used: AtomicUsize,
    /// Where the rest goes.
    pub dir: SpillDir,
}

impl EdgeBudget {
    pub(crate) fn new(limit: usize, dir: SpillDir) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), dir })
    }

    fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        let reserve = |used: usize| used.checked_add(bytes).filter(|&after| after <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve)
            .ok()
            .map(|_| Reserved { budget: Arc::clone(self), bytes })
    }

    /// Bytes in memory now.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// Memory that is given back when dropped.
#[derive(Debug)]
struct Reserved {
    budget: Arc<EdgeBudget>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Part {
    Memory { batch: ChangeBatch, _reserved: Reserved },
    Spilled(Spilled),
}

/// Batches in order. Where they stand cannot be seen in them.
#[derive(Debug, Default)]
pub(crate) struct EdgeBuffer {
    parts: VecDeque<Part>,
}

impl EdgeBuffer {
    /// Adds a batch behind the others.
    pub(super) fn push(
        &mut self,
        batch: ChangeBatch,
        budget: &Arc<EdgeBudget>,
        spill: &mut SpillWriter,
    ) -> Result<()> {
        self.parts.push_back(match budget.reserve(batch.memory_bytes()) {
            Some(reserved) => Part::Memory { batch, _reserved: reserved },
            None => Part::Spilled(spill.write(&budget.dir, &batch)?),
        });
        Ok(())
    }

    /// Takes the first batch out.
    pub(crate) fn pop(&mut self) -> Result<Option<ChangeBatch>> {
        Ok(match self.parts.pop_front() {
            None => None,
            Some(Part::Memory { batch, .. }) => Some(batch),
            Some(Part::Spilled(spilled)) => Some(spilled.read()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use arrow_array::{Int64Array, RecordBatch};
    use thalweg_core::env::sim::SimEnv;
    use thalweg_stream::RowKind;

    use super::*;

    fn batch(values: Vec<i64>) -> ChangeBatch {
        let kinds =
            values.iter().map(|v| if v % 2 == 0 { RowKind::Insert } else { RowKind::Delete });
        let kinds = kinds.collect();
        let rows =
            RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(values)) as _)]).unwrap();
        let mut batch = ChangeBatch::changes(rows, kinds);
        batch.marks.push(1, 77);
        batch
    }

    #[test]
    fn what_spills_comes_back_in_order_and_gives_its_memory_back() {
        let sim = SimEnv::new(1);
        let dir = SpillDir::new(sim.env(), PathBuf::from("/spill")).unwrap();
        let one = batch(vec![0, 1]).memory_bytes();
        let budget = EdgeBudget::new(one, dir);
        let mut buffer = EdgeBuffer::default();
        let mut spill = SpillWriter::default();
        for n in 0..3 {
            buffer.push(batch(vec![n, n + 1]), &budget, &mut spill).unwrap();
        }
        drop(spill);
        assert_eq!(budget.used(), one);
        assert_eq!(sim.env().disk.list("/spill".as_ref()).unwrap().len(), 1);
        for n in 0..3 {
            let back = buffer.pop().unwrap().unwrap();
            let want = batch(vec![n, n + 1]);
            assert_eq!((back.rows, back.kinds, back.marks), (want.rows, want.kinds, want.marks));
        }
        assert!(buffer.pop().unwrap().is_none());
        assert_eq!(budget.used(), 0);
        assert!(sim.env().disk.list("/spill".as_ref()).unwrap().is_empty());
    }
}

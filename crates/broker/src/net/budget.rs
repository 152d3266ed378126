//! A bound on bytes held at a time, shared by all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this many, so that any budget fits a semaphore.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: usize,
    /// How many wait for a share.
    waiting: Arc<AtomicUsize>,
}

/// A held share of a [`Budget`]; dropping it gives it back.
#[derive(Default)]
pub(crate) struct Share {
    permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// A share of nothing.
    pub(crate) const fn none() -> Self {
        Self { permit: None }
    }

    /// About how many bytes are held.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT_BYTES
    }

    /// Adds a share of the same budget.
    pub(crate) fn add(&mut self, more: Self) {
        match (&mut self.permit, more.permit) {
            (Some(permit), Some(more)) => permit.merge(more),
            (none, more) => *none = none.take().or(more),
        }
    }

    /// Gives back what is held beyond so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            let spare = permit.num_permits().saturating_sub(bytes.div_ceil(UNIT_BYTES));
            drop(permit.split(spare));
        }
    }
}

impl Budget {
    /// A budget of about `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT_BYTES).clamp(1, u32::MAX as usize >> 1);
        Self { units: Arc::new(Semaphore::new(total)), total, waiting: Arc::default() }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT_BYTES).min(self.total) as u32
    }

    /// All of its bytes.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total * UNIT_BYTES
    }

    /// Waits until so many bytes are free. What is larger than the whole budget waits
    /// for all of it, and so still gets its turn.
    pub(crate) async fn acquire(&self, bytes: usize) -> Share {
        if let Some(share) = self.try_acquire(bytes) {
            return share;
        }
        let _waiting = Waiting::new(&self.waiting);
        let permit = self.units.clone().acquire_many_owned(self.units(bytes)).await;
        Share { permit: permit.ok() }
    }

    /// Takes so many bytes if they are free now.
    pub(crate) fn try_acquire(&self, bytes: usize) -> Option<Share> {
        let permit = self.units.clone().try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Share { permit: Some(permit) })
    }

    /// Whether somebody waits for a share.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back() {
        let budget = Budget::new(10 << 10);
        let held = budget.try_acquire(8 << 10).expect("free");
        assert!(budget.try_acquire(4 << 10).is_none());
        drop(held);
        assert!(budget.try_acquire(1 << 30).is_some(), "clamped to the whole budget");
    }

    #[test]
    fn shares_shrink_and_grow() {
        let budget = Budget::new(10 << 10);
        let mut share = budget.try_acquire(8 << 10).expect("free");
        share.shrink(3 << 10);
        assert_eq!(share.bytes(), 3 << 10);
        share.add(budget.try_acquire(7 << 10).expect("given back"));
        assert!(budget.try_acquire(1).is_none());
        share.shrink(100 << 10);
        assert_eq!(share.bytes(), 10 << 10);
    }

    #[tokio::test]
    async fn who_waits_is_known() {
        let budget = Budget::new(10 << 10);
        let held = budget.acquire(8 << 10).await;
        assert!(!budget.is_wanted());
        let mut waits = Box::pin(budget.acquire(4 << 10));
        let early = tokio::time::timeout(std::time::Duration::from_millis(1), &mut waits).await;
        assert!(early.is_err() && budget.is_wanted());
        drop(held);
        waits.await;
        assert!(!budget.is_wanted());
    }
}

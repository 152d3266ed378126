//! A bound on bytes held at a time, shared by all connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this many, so that any budget fits a semaphore.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: usize,
}

/// A held share of a [`Budget`]; dropping it gives it back.
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// A share of nothing.
    pub(crate) const fn none() -> Self {
        Self { _permit: None }
    }
}

impl Budget {
    /// A budget of about `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT_BYTES).clamp(1, u32::MAX as usize >> 1);
        Self { units: Arc::new(Semaphore::new(total)), total }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT_BYTES).min(self.total) as u32
    }

    /// Waits until so many bytes are free. What is larger than the whole budget waits
    /// for all of it, and so still gets its turn.
    pub(crate) async fn acquire(&self, bytes: usize) -> Share {
        let permit = self.units.clone().acquire_many_owned(self.units(bytes)).await;
        Share { _permit: permit.ok() }
    }

    /// Takes so many bytes if they are free now.
    pub(crate) fn try_acquire(&self, bytes: usize) -> Option<Share> {
        let permit = self.units.clone().try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Share { _permit: Some(permit) })
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
}

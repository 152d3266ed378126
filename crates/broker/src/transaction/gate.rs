//! Keeps a transaction's markers and its last records apart.
//!
//! Whether a record may come into a partition is looked up at the coordinator, and only
//! then is it appended. If the marker of an end came in between, the record would begin a
//! transaction that nobody knows and nobody ends (KIP-890). So appends go through a gate
//! together, and a marker alone: what was admitted before the end is in front of it.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use thalweg_core::ids::ProducerId;

/// Gates, shared by producers whose ids fall together.
const GATES: usize = 64;

/// A gate for each producer id.
pub(super) struct Gates([RwLock<()>; GATES]);

impl Gates {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| RwLock::new(())))
    }

    /// For an append that the coordinator is asked about while this is held.
    pub(super) fn appending(&self, producer: ProducerId) -> RwLockReadGuard<'_, ()> {
        self.of(producer).read()
    }

    /// For a marker, after the end was decided.
    pub(super) fn ending(&self, producer: ProducerId) -> RwLockWriteGuard<'_, ()> {
        self.of(producer).write()
    }

    /// Whether a marker is on its way in, so that an append would have to wait for it.
    pub(super) fn is_ending(&self, producer: ProducerId) -> bool {
        self.of(producer).is_locked_exclusive()
    }

    fn of(&self, producer: ProducerId) -> &RwLock<()> {
        &self.0[producer.0.rem_euclid(GATES as i64) as usize]
    }
}

//! Keeps a transaction's markers and its last records apart.
//!
//! Whether a record may come into a partition is looked up at the coordinator, and only
//! then is it appended. If the marker of an end came in between, the record would begin a
//! transaction that nobody knows and nobody ends (KIP-890). So appends go through a gate
//! together, and a marker alone: what was admitted before the end is in front of it.

use std::sync::Arc;

use thalweg_core::ids::ProducerId;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Gates, shared by producers whose ids fall together.
const GATES: usize = 256;

/// A gate for each producer id.
pub(super) struct Gates(Vec<Arc<RwLock<()>>>);

/// An append within a transaction: while this is there, no marker of its end is written.
#[must_use = "it has to be there until the records are appended"]
pub(crate) struct Admitted {
    _gate: OwnedRwLockReadGuard<()>,
}

/// A marker on its way in, after the end was decided.
pub(super) struct Ending {
    _gate: OwnedRwLockWriteGuard<()>,
}

impl Gates {
    pub(super) fn new() -> Self {
        Self((0..GATES).map(|_| Arc::default()).collect())
    }

    /// For an append. The coordinator is to be asked once this is there.
    pub(super) async fn appending(&self, producer: ProducerId) -> Admitted {
        Admitted { _gate: self.of(producer).read_owned().await }
    }

    /// For a marker. Waits for the appends that are under way.
    pub(super) async fn ending(&self, producer: ProducerId) -> Ending {
        Ending { _gate: self.of(producer).write_owned().await }
    }

    fn of(&self, producer: ProducerId) -> Arc<RwLock<()>> {
        self.0[producer.0.rem_euclid(GATES as i64) as usize].clone()
    }
}

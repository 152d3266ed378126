//! The scheduler: which action of a job runs next, and on which thread.
//!
//! An *action* is a piece of work that owns what it needs: a unit with its task, the
//! driver, the committer. [`State`] says which are ready and is only ever locked for a
//! moment; actions run outside the lock. Threads and the simulator run the same actions,
//! the former in order of urgency, the latter in any order.

mod action;
mod core;
mod state;
mod threads;

pub use self::core::Step;
pub(crate) use self::core::{Core, CoreParts};
pub(crate) use state::{State, StateParts};
pub(crate) use threads::start_threads;

/// Which thread takes an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Units and the driver; as many threads as the job's parallelism.
    Work,
    /// Journal entries.
    Commit,
    /// Sinks and views.
    Publish,
    /// Snapshots.
    Snapshot,
}

impl Lane {
    pub(crate) const ALL: [Self; 4] = [Self::Work, Self::Commit, Self::Publish, Self::Snapshot];
}

//! Snapshots: when they are due, what stands in them, how a job starts from one.

mod meta;
mod policy;
mod store;

pub(crate) use meta::SnapshotMeta;
pub(crate) use policy::SnapshotPolicy;
pub(crate) use store::{SnapshotDraft, restore_views, write};

//! Snapshots of keyed state: Arrow files under a checksummed manifest.
//!
//! A [`SnapshotStore`] owns a directory. Each snapshot is a directory in it, holding one
//! Arrow IPC file for each batch of each subtask and a manifest that is written last:
//! a snapshot without a manifest never happened. Opening checks every byte against the
//! manifest and falls back to an older snapshot, saying why, where one is damaged. The
//! format is specified in [`manifest`].
//!
//! What is not here: what the batches mean (operators know), when a snapshot is taken
//! and which journal entry it belongs to (the engine knows).

pub mod error;
mod file;
pub mod manifest;
mod snapshot;
mod store;
mod writer;

pub use error::StateError;
pub use manifest::SnapshotId;
pub use snapshot::{Snapshot, StoredBatch};
pub use store::{Rejected, SnapshotStore};
pub use writer::SnapshotWriter;

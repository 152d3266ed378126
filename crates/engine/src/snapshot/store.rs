//! Writing a snapshot through the state store, and reading views back.

use arrow_array::RecordBatch;
use thalweg_core::ids::Epoch;
use thalweg_state::{Snapshot, SnapshotStore};
use thalweg_stream::view::ViewRef;

use super::SnapshotMeta;
use crate::error::{JobError, Result};
use crate::task::StateBatch;

/// A snapshot before it is written.
#[derive(Debug)]
pub(crate) struct SnapshotDraft {
    /// Header and ledger.
    pub meta: SnapshotMeta,
    /// State of all steps, in order of stage and subtask.
    pub state: Vec<StateBatch>,
    /// Contents of the views, by view number.
    pub views: Vec<Vec<RecordBatch>>,
}

const VIEW: &str = "view:";

/// Writes a snapshot and removes those that are no longer kept.
pub(crate) fn write(store: &SnapshotStore, draft: &SnapshotDraft, keep: usize) -> Result<()> {
    let epoch = draft.meta.ledger.epoch;
    let mut writer = store.begin(epoch, &draft.meta.encode())?;
    for batch in &draft.state {
        writer.add(&batch.uid, batch.subtask, &batch.name, &batch.rows)?;
    }
    let names = &draft.meta.header.views;
    for (name, batches) in names.iter().zip(&draft.views) {
        for rows in batches {
            writer.add(&format!("{VIEW}{name}"), 0, "rows", rows)?;
        }
    }
    writer.finish()?;
    store.prune(keep.max(1))?;
    Ok(())
}

/// Puts the views back to a snapshot, or to nothing.
pub(crate) fn restore_views(
    snapshot: Option<&Snapshot>,
    names: &[String],
    views: &[ViewRef],
) -> Result<()> {
    for (name, view) in names.iter().zip(views) {
        let mut batches = Vec::new();
        let epoch = match snapshot {
            None => Epoch(0),
            Some(snapshot) => {
                for batch in snapshot.read(&format!("{VIEW}{name}")) {
                    batches.push(batch.map_err(JobError::from)?.rows);
                }
                snapshot.epoch()
            }
        };
        view.import(epoch, &batches)?;
    }
    Ok(())
}

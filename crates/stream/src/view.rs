//! Views: results that are kept and can be queried. The store lives in `serve`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use thalweg_core::ids::Epoch;

use crate::change_batch::ChangeBatch;
use crate::error::Result;

/// The fold of a changelog, one version for each epoch that changed it.
pub trait View: Send + Sync {
    /// Makes the version of `epoch` out of the current one and these changes, and shows
    /// it to readers as a whole. `watermark` is the job's at the epoch's end.
    ///
    /// # Errors
    /// A change that does not fit, such as a delete of a row that is not there.
    fn commit(&self, epoch: Epoch, changes: &[ChangeBatch]) -> Result<()>;

    /// The whole current version, for a snapshot: the view's columns, and with
    /// duplicates as often as they count.
    ///
    /// # Errors
    /// Arrow's, which here means a defect.
    fn export(&self) -> Result<(Epoch, Vec<RecordBatch>)>;

    /// Replaces everything by what a snapshot held.
    ///
    /// # Errors
    /// [`crate::StreamError::Incompatible`] where the columns are others.
    fn import(&self, epoch: Epoch, rows: &[RecordBatch]) -> Result<()>;
}

/// A shared view.
pub type ViewRef = Arc<dyn View>;

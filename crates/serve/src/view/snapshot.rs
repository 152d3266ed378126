//! What a reader holds: a view as of one epoch.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use thalweg_core::ids::Epoch;
use thalweg_stream::error::Result;

use super::layout::Layout;
use super::leaf::CacheAccount;
use super::version::Version;

/// One whole epoch of a view. Cheap to take and to clone; holding it delays nobody but
/// keeps the memory of what has changed since.
#[derive(Clone)]
pub struct ViewSnapshot {
    pub(super) epoch: Epoch,
    pub(super) version: Arc<Version>,
    pub(super) layout: Arc<Layout>,
    pub(super) account: Arc<CacheAccount>,
}

impl ViewSnapshot {
    /// The epoch, of the job rather than of the view: it moves on where the view does
    /// not change.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Columns of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// Number of rows.
    pub fn num_rows(&self) -> u64 {
        self.version.rows
    }

    /// The rows in the order of the view's key (then of the other columns), batches of
    /// at most 8192 rows made as they are asked for.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + '_ {
        self.version.leaves.iter().flat_map(move |leaf| {
            let mut decoded: Option<RecordBatch> = None;
            let mut position = (0, 0);
            std::iter::from_fn(move || {
                let distinct = match decoded.take() {
                    Some(batch) => batch,
                    None => match leaf.decode(&self.layout, Some(&self.account)) {
                        Ok(batch) => batch,
                        Err(error) => {
                            position = (usize::MAX, 0);
                            return Some(Err(error));
                        }
                    },
                };
                let batch = leaf.expand(&distinct, &mut position).transpose();
                decoded = Some(distinct);
                batch
            })
        })
    }

    /// All rows.
    ///
    /// # Errors
    /// Arrow's, which here means a defect.
    pub fn to_batches(&self) -> Result<Vec<RecordBatch>> {
        self.batches().collect()
    }
}

impl std::fmt::Debug for ViewSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ViewSnapshot(epoch {}, {} rows)", self.epoch, self.version.rows)
    }
}

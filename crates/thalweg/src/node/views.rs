//! Views as ad-hoc queries and the PostgreSQL door see them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use thalweg_serve::view::StoredView;

use super::Node;

impl Node {
    /// A view by its full name.
    pub(crate) fn view(&self, name: &str) -> Option<Arc<StoredView>> {
        self.views.get(name)
    }

    /// The rows of several views, those of one job at the same epoch.
    pub(crate) fn view_rows(&self, names: &[&str]) -> anyhow::Result<Vec<Vec<RecordBatch>>> {
        let snapshots = self.views.snapshot(names)?;
        snapshots.iter().map(|snapshot| Ok(snapshot.to_batches()?)).collect()
    }
}

//! Views as ad-hoc queries and the PostgreSQL door see them.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use thalweg_serve::view::StoredView;

use super::Node;

/// The rows of a view at one epoch.
#[derive(Clone, Debug)]
pub(crate) struct ViewRows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Node {
    /// A view by its full name.
    pub(crate) fn view(&self, name: &str) -> Option<Arc<StoredView>> {
        self.views.get(name)
    }

    /// Several views, those of one job at the same epoch.
    pub(crate) fn view_rows(&self, names: &[&str]) -> anyhow::Result<Vec<ViewRows>> {
        let snapshots = self.views.snapshot(names)?;
        snapshots
            .into_iter()
            .map(|snapshot| {
                let batches = snapshot.batches().collect::<Result<Vec<_>, _>>()?;
                Ok(ViewRows { schema: Arc::clone(snapshot.schema()), batches })
            })
            .collect()
    }
}

//! The service step by step, where a simulation stands in for [`TransactionService::run`].

use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::messages::{Event, Markers};
use super::{TransactionService, Work};

impl TransactionService {
    /// Ends whose markers can be written, of which nobody was told yet.
    pub(crate) fn decided(&self) -> Vec<Markers> {
        let mut inner = self.inner.lock();
        let decided = inner.decided.as_mut();
        decided.map_or_else(Vec::new, |ends| std::iter::from_fn(|| ends.try_recv().ok()).collect())
    }

    /// Does what is due.
    pub(crate) fn tick(self: &Arc<Self>) {
        self.bring(Work::Tick);
    }

    /// One attempt at the markers of an end; what is left of it where some are refused.
    pub(crate) async fn carry_out_once(self: Arc<Self>, mut markers: Markers) -> Option<Markers> {
        markers.partitions = self.write_markers(&markers, markers.partitions.clone()).await;
        if !markers.partitions.is_empty() {
            return Some(markers);
        }
        let (sender, stored) = oneshot::channel();
        let done = Event::Marked { id: markers.id.clone(), producer: markers.producer };
        self.bring(Work::Happened(done, sender));
        (!stored.await.unwrap_or(true)).then_some(markers)
    }
}

//! Publish groups: the views of one job, shown together.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use tokio::sync::watch;

use super::stored::StoredView;
use super::version::Version;

/// Number of a view in its store.
pub(super) type ViewId = u64;

/// The views of one job. What they commit stays unseen until [`Self::publish`] shows an
/// epoch of all of them in one step.
#[derive(Debug)]
pub struct PublishGroup {
    shown: Mutex<Shown>,
    epochs: watch::Sender<Epoch>,
}

/// What readers see.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) epoch: Epoch,
    pub(super) versions: BTreeMap<ViewId, Arc<Version>>,
    members: Vec<Weak<StoredView>>,
}

impl PublishGroup {
    /// A group without views, at epoch 0.
    pub(super) fn new() -> Arc<Self> {
        let shown = Shown { epoch: Epoch(0), versions: BTreeMap::new(), members: Vec::new() };
        Arc::new(Self { shown: Mutex::new(shown), epochs: watch::Sender::new(Epoch(0)) })
    }

    /// Shows everything that the group's views committed up to `epoch`, as one step for
    /// every reader, and wakes who waits for it. Epochs only rise.
    pub fn publish(&self, epoch: Epoch) {
        {
            let mut shown = self.shown.lock();
            if epoch < shown.epoch {
                return;
            }
            shown.epoch = epoch;
            let members: Vec<Arc<StoredView>> =
                shown.members.iter().filter_map(Weak::upgrade).collect();
            for view in members {
                // Subscribers are told inside the lock, so that one that starts now gets
                // each epoch either in its first snapshot or as changes.
                if let Some(version) = view.take_staged(epoch) {
                    shown.versions.insert(view.id(), version);
                }
            }
        }
        self.epochs.send_replace(epoch);
    }

    /// The epoch that readers see.
    pub fn epoch(&self) -> Epoch {
        self.shown.lock().epoch
    }

    /// Makes everybody who waits for an epoch look again.
    pub(super) fn wake(&self) {
        self.epochs.send_modify(|_| {});
    }

    /// Watches the epoch that readers see.
    pub(super) fn watch(&self) -> watch::Receiver<Epoch> {
        self.epochs.subscribe()
    }

    /// Runs `look` on what readers see, which stays the same meanwhile.
    pub(super) fn with_shown<T>(&self, look: impl FnOnce(&Shown) -> T) -> T {
        look(&self.shown.lock())
    }

    /// Adds a view, empty.
    pub(super) fn join(&self, view: &Arc<StoredView>) {
        let mut shown = self.shown.lock();
        let empty = Arc::new(Version::empty(shown.epoch));
        shown.versions.insert(view.id(), empty);
        shown.members.push(Arc::downgrade(view));
    }

    /// Takes a view out.
    pub(super) fn leave(&self, view: &StoredView) {
        let mut shown = self.shown.lock();
        shown.versions.remove(&view.id());
        shown
            .members
            .retain(|member| member.upgrade().is_some_and(|member| member.id() != view.id()));
    }
}

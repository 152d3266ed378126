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

/// The views of one job. What they commit stays unseen until all of them have committed
/// the epoch; then it is shown of all of them in one step. The engine commits every
/// epoch to every view of a job, those without a change too.
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

    /// Shows the newest epoch that every view has committed, as one step for every
    /// reader, and wakes who waits for it. What readers see never goes back: after a
    /// restore from an older snapshot they keep what they have until replay is past it.
    pub(super) fn publish(&self) {
        let epoch = {
            let mut shown = self.shown.lock();
            let members: Vec<Arc<StoredView>> =
                shown.members.iter().filter_map(Weak::upgrade).collect();
            let Some(epoch) = members.iter().map(|view| view.committed_epoch()).min() else {
                return;
            };
            if epoch < shown.epoch {
                return;
            }
            shown.epoch = epoch;
            for view in members {
                // Subscribers are told inside the lock, so that one that starts now gets
                // each epoch either in its first snapshot or as changes.
                if let Some(version) = view.take_staged(epoch) {
                    shown.versions.insert(view.id(), version);
                }
            }
            epoch
        };
        self.epochs.send_if_modified(|seen| std::mem::replace(seen, epoch) != epoch);
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

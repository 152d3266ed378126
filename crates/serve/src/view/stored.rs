//! A stored view: the engine's side of it, and the readers'.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_stream::error::Result;
use thalweg_stream::view::View;
use thalweg_stream::{ChangeBatch, StreamError};

use super::fold::SortedChanges;
use super::group::{PublishGroup, ViewId};
use super::layout::{Fold, Layout};
use super::leaf::CacheAccount;
use super::snapshot::ViewSnapshot;
use super::store::{ViewError, ViewInfo, ViewLimits};
use super::subscribe::{Queue, Subscription, ViewEvent};
use super::version::Version;

/// A view in its store. The engine commits through [`View`]; readers take snapshots.
#[derive(Debug)]
pub struct StoredView {
    id: ViewId,
    name: String,
    layout: Arc<Layout>,
    limits: ViewLimits,
    account: Arc<CacheAccount>,
    group: Arc<PublishGroup>,
    /// Held by the one commit that is under way.
    writing: Mutex<()>,
    committed: Mutex<Committed>,
    /// Locked after the group and never before it.
    subscribers: Mutex<Vec<Arc<Queue>>>,
    dropped: AtomicBool,
}

/// The writer's state.
#[derive(Debug)]
struct Committed {
    newest: Arc<Version>,
    /// Committed, not shown yet.
    staged: VecDeque<Staged>,
}

#[derive(Debug)]
struct Staged {
    version: Arc<Version>,
    /// `None` where everything was replaced.
    changes: Option<Arc<[ChangeBatch]>>,
}

/// What [`StoredView::new`] is made of.
pub(super) struct Parts {
    pub(super) id: ViewId,
    pub(super) name: String,
    pub(super) layout: Layout,
    pub(super) limits: ViewLimits,
    pub(super) account: Arc<CacheAccount>,
    pub(super) group: Arc<PublishGroup>,
}

impl StoredView {
    /// An empty view that has joined its group.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let newest = Arc::new(Version::empty(Epoch(0)));
        let view = Arc::new(Self {
            id: parts.id,
            name: parts.name,
            layout: Arc::new(parts.layout),
            limits: parts.limits,
            account: parts.account,
            group: parts.group,
            writing: Mutex::new(()),
            committed: Mutex::new(Committed { newest, staged: VecDeque::new() }),
            subscribers: Mutex::default(),
            dropped: AtomicBool::new(false),
        });
        view.group.join(&view);
        view
    }

    /// Number in the store.
    pub(super) fn id(&self) -> ViewId {
        self.id
    }

    /// The group it is shown with.
    pub(super) fn group(&self) -> &Arc<PublishGroup> {
        &self.group
    }

    /// The newest epoch that was committed, seen or not.
    pub(super) fn committed_epoch(&self) -> Epoch {
        self.committed.lock().newest.epoch
    }

    /// Name in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// What it does with changes.
    pub fn fold(&self) -> Fold {
        self.layout.fold
    }

    /// Bytes of the rows of the newest version. Decoded batches are counted by the store
    /// as a whole, older versions by nobody: they live as long as their readers.
    pub fn memory_bytes(&self) -> usize {
        self.committed.lock().newest.bytes
    }

    /// The view as readers see it now.
    pub fn snapshot(&self) -> ViewSnapshot {
        self.group.with_shown(|shown| self.snapshot_of(shown))
    }

    /// The view as of what its group shows.
    pub(super) fn snapshot_of(&self, shown: &super::group::Shown) -> ViewSnapshot {
        let version = shown.versions.get(&self.id).cloned();
        ViewSnapshot {
            epoch: shown.epoch,
            version: version.unwrap_or_else(|| Arc::new(Version::empty(shown.epoch))),
            layout: Arc::clone(&self.layout),
            account: Arc::clone(&self.account),
        }
    }

    /// The view as of now together with everything that changes it from then on.
    ///
    /// # Errors
    /// [`ViewError::TooManySubscribers`].
    pub fn subscribe(&self) -> std::result::Result<(ViewSnapshot, Subscription), ViewError> {
        self.group.with_shown(|shown| {
            let mut subscribers = self.subscribers.lock();
            if subscribers.len() >= self.limits.subscribers {
                subscribers.retain(|queue| !queue.has_ended());
            }
            if subscribers.len() >= self.limits.subscribers {
                return Err(ViewError::TooManySubscribers {
                    view: self.name.clone(),
                    limit: self.limits.subscribers,
                });
            }
            let (queue, subscription) = Queue::new();
            if self.dropped.load(Ordering::Acquire) {
                queue.finish(ViewEvent::Closed, true);
            }
            subscribers.push(queue);
            Ok((self.snapshot_of(shown), subscription))
        })
    }

    /// Waits until readers see `epoch` or a later one.
    ///
    /// # Errors
    /// [`ViewError::Dropped`] where the view goes away meanwhile.
    pub async fn wait_for(&self, epoch: Epoch) -> std::result::Result<ViewSnapshot, ViewError> {
        let dropped = || ViewError::Dropped { view: self.name.clone() };
        let mut epochs = self.group.watch();
        let reached = |seen: &Epoch| *seen >= epoch || self.dropped.load(Ordering::Acquire);
        epochs.wait_for(reached).await.map_err(|_| dropped())?;
        if self.dropped.load(Ordering::Acquire) {
            return Err(dropped());
        }
        Ok(self.snapshot())
    }

    /// What it looks like from outside.
    pub fn info(&self) -> ViewInfo {
        let snapshot = self.snapshot();
        ViewInfo {
            name: self.name.clone(),
            schema: Arc::clone(self.schema()),
            epoch: snapshot.epoch,
            rows: snapshot.num_rows(),
            memory_bytes: self.memory_bytes(),
        }
    }

    /// Ends every subscription and every wait.
    pub(super) fn close(&self) {
        self.dropped.store(true, Ordering::Release);
        self.group.leave(self);
        // The others may have waited for this one.
        self.group.publish();
        for queue in self.subscribers.lock().drain(..) {
            queue.finish(ViewEvent::Closed, false);
        }
        // Wakes those who wait for an epoch: they look at `dropped`.
        self.group.wake();
    }

    /// Takes the newest staged version up to an epoch and hands its changes, and those
    /// of the ones before it, to subscribers. Called by the group under its lock.
    pub(super) fn take_staged(&self, epoch: Epoch) -> Option<Arc<Version>> {
        let mut newest = None;
        loop {
            let staged = {
                let mut committed = self.committed.lock();
                if committed.staged.front().is_none_or(|staged| staged.version.epoch > epoch) {
                    return newest;
                }
                committed.staged.pop_front()?
            };
            self.tell(&staged);
            newest = Some(staged.version);
        }
    }

    fn tell(&self, staged: &Staged) {
        let mut subscribers = self.subscribers.lock();
        let Some(changes) = &staged.changes else {
            subscribers.drain(..).for_each(|queue| queue.finish(ViewEvent::Lagged, true));
            return;
        };
        if changes.is_empty() || subscribers.is_empty() {
            return;
        }
        let bytes: usize = changes.iter().map(ChangeBatch::memory_bytes).sum();
        let (epoch, limit) = (staged.version.epoch, self.limits.subscriber_bytes);
        subscribers.retain(|queue| queue.push(epoch, changes, bytes, limit));
    }

    fn stage(&self, staged: Staged) -> Result<()> {
        let bytes = staged.version.bytes;
        if bytes > self.limits.view_bytes {
            return Err(StreamError::OverBudget {
                what: format!("view {}", self.name),
                budget_bytes: self.limits.view_bytes,
            });
        }
        let mut committed = self.committed.lock();
        committed.newest = Arc::clone(&staged.version);
        committed.staged.push_back(staged);
        drop(committed);
        self.group.publish();
        Ok(())
    }

    fn named(&self, error: StreamError) -> StreamError {
        match error {
            StreamError::Invalid(text) => {
                StreamError::Invalid(format!("view {}: {text}", self.name))
            }
            StreamError::Incompatible(text) => {
                StreamError::Incompatible(format!("view {}: {text}", self.name))
            }
            other => other,
        }
    }
}

impl View for StoredView {
    fn commit(&self, epoch: Epoch, changes: &[ChangeBatch]) -> Result<()> {
        let _writing = self.writing.lock();
        let newest = Arc::clone(&self.committed.lock().newest);
        if epoch <= newest.epoch {
            return Err(StreamError::Internal(format!(
                "view {}: epoch {epoch} is committed after epoch {}",
                self.name, newest.epoch
            )));
        }
        let next = SortedChanges::new(&self.layout, changes)
            .and_then(|changes| newest.next(epoch, &changes))
            .map_err(|error| self.named(error))?;
        let changes = changes.iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
        self.stage(Staged { version: Arc::new(next), changes: Some(changes) })
    }

    fn export(&self) -> Result<(Epoch, Vec<RecordBatch>)> {
        let newest = Arc::clone(&self.committed.lock().newest);
        Ok((newest.epoch, newest.export(&self.layout)?))
    }

    fn import(&self, epoch: Epoch, rows: &[RecordBatch]) -> Result<()> {
        let rows: Vec<ChangeBatch> = rows.iter().cloned().map(ChangeBatch::inserts).collect();
        let version = SortedChanges::new(&self.layout, &rows)
            .and_then(|changes| {
                changes.check_unique()?;
                Version::empty(epoch).next(epoch, &changes)
            })
            .map_err(|error| self.named(error))?;
        let _writing = self.writing.lock();
        self.committed.lock().staged.clear();
        self.stage(Staged { version: Arc::new(version), changes: None })
    }
}

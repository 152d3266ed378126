//! The store: views by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow_schema::SchemaRef;
use parking_lot::RwLock;
use thalweg_core::ids::Epoch;
use thalweg_stream::StreamError;

use super::group::{PublishGroup, ViewId};
use super::layout::{Fold, Layout};
use super::leaf::CacheAccount;
use super::snapshot::ViewSnapshot;
use super::stored::{Parts, StoredView};

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub struct ViewLimits {
    /// Most bytes of one view's rows; a commit beyond it is refused.
    pub view_bytes: usize,
    /// Most bytes of decoded rows that are kept for the next reader, over all views.
    pub cache_bytes: usize,
    /// Most bytes that wait for one subscriber.
    pub subscriber_bytes: usize,
    /// Most subscribers of one view.
    pub subscribers: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self {
            view_bytes: 4 << 30,
            cache_bytes: 256 << 20,
            subscriber_bytes: 16 << 20,
            subscribers: 1024,
        }
    }
}

/// Why the store refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ViewError {
    /// The name is taken.
    #[error("view {view} exists already")]
    Exists {
        /// Its name.
        view: String,
    },
    /// There is no such view.
    #[error("view {view} does not exist")]
    NotFound {
        /// Its name.
        view: String,
    },
    /// The view went away.
    #[error("view {view} was dropped")]
    Dropped {
        /// Its name.
        view: String,
    },
    /// The view has as many subscribers as it may.
    #[error("view {view} has {limit} subscribers already")]
    TooManySubscribers {
        /// Its name.
        view: String,
        /// The bound.
        limit: usize,
    },
    /// The columns do not make a view.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// A view as lists show it.
#[derive(Clone, Debug)]
pub struct ViewInfo {
    /// Name in the store.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The epoch that readers see.
    pub epoch: Epoch,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the rows.
    pub memory_bytes: usize,
}

/// All views of a process, by name. Names are compared as they are.
#[derive(Debug)]
pub struct ViewStore {
    views: RwLock<BTreeMap<String, Arc<StoredView>>>,
    next_id: AtomicU64,
    limits: ViewLimits,
    account: Arc<CacheAccount>,
}

impl Default for ViewStore {
    fn default() -> Self {
        Self::new(ViewLimits::default())
    }
}

impl ViewStore {
    /// A store without views.
    pub fn new(limits: ViewLimits) -> Self {
        let account = CacheAccount { used: AtomicUsize::new(0), limit: limits.cache_bytes };
        Self {
            views: RwLock::default(),
            next_id: AtomicU64::new(0),
            limits,
            account: Arc::new(account),
        }
    }

    /// A group for the views of one job.
    pub fn group(&self) -> Arc<PublishGroup> {
        PublishGroup::new()
    }

    /// Creates an empty view that shows each epoch as it is committed. `key` are the
    /// numbers of its key columns: of an upsert view its identity, of any view its order.
    ///
    /// # Errors
    /// [`ViewError::Exists`], or columns that a view cannot hold.
    pub fn create(
        &self,
        name: &str,
        schema: SchemaRef,
        key: &[usize],
        fold: Fold,
    ) -> Result<Arc<StoredView>, ViewError> {
        self.add(name, Layout::new(schema, key, fold)?, PublishGroup::new())
    }

    /// Creates an empty view that shows an epoch when all views of its group have it.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn create_in(
        &self,
        group: &Arc<PublishGroup>,
        name: &str,
        schema: SchemaRef,
        key: &[usize],
        fold: Fold,
    ) -> Result<Arc<StoredView>, ViewError> {
        self.add(name, Layout::new(schema, key, fold)?, Arc::clone(group))
    }

    fn add(
        &self,
        name: &str,
        layout: Layout,
        group: Arc<PublishGroup>,
    ) -> Result<Arc<StoredView>, ViewError> {
        let mut views = self.views.write();
        if views.contains_key(name) {
            return Err(ViewError::Exists { view: name.to_owned() });
        }
        let id: ViewId = self.next_id.fetch_add(1, Ordering::Relaxed);
        let view = StoredView::new(Parts {
            id,
            name: name.to_owned(),
            layout,
            limits: self.limits,
            account: Arc::clone(&self.account),
            group,
        });
        views.insert(name.to_owned(), Arc::clone(&view));
        Ok(view)
    }

    /// Drops a view. Readers keep the snapshots they hold; subscribers are told.
    ///
    /// # Errors
    /// [`ViewError::NotFound`].
    pub fn drop_view(&self, name: &str) -> Result<(), ViewError> {
        let removed = self.views.write().remove(name);
        let view = removed.ok_or_else(|| ViewError::NotFound { view: name.to_owned() })?;
        view.close();
        Ok(())
    }

    /// The view of this name.
    pub fn get(&self, name: &str) -> Option<Arc<StoredView>> {
        self.views.read().get(name).cloned()
    }

    /// All views, by name.
    pub fn list(&self) -> Vec<Arc<StoredView>> {
        self.views.read().values().cloned().collect()
    }

    /// Snapshots of several views, in the order of the names. Those of one group are of
    /// the same epoch.
    ///
    /// # Errors
    /// [`ViewError::NotFound`].
    pub fn snapshot(&self, names: &[&str]) -> Result<Vec<ViewSnapshot>, ViewError> {
        let views: Vec<Arc<StoredView>> = names
            .iter()
            .map(|&name| {
                self.get(name).ok_or_else(|| ViewError::NotFound { view: name.to_owned() })
            })
            .collect::<Result<_, _>>()?;
        let mut snapshots: Vec<Option<ViewSnapshot>> = vec![None; views.len()];
        for first in 0..views.len() {
            if snapshots[first].is_some() {
                continue;
            }
            let group = views[first].group();
            group.with_shown(|shown| {
                for (view, slot) in views.iter().zip(&mut snapshots).skip(first) {
                    if Arc::ptr_eq(view.group(), group) {
                        *slot = Some(view.snapshot_of(shown));
                    }
                }
            });
        }
        Ok(snapshots.into_iter().flatten().collect())
    }

    /// Bytes that all views hold: rows of the newest versions, and decoded batches.
    pub fn memory_bytes(&self) -> usize {
        let rows: usize = self.list().iter().map(|view| view.memory_bytes()).sum();
        rows + self.account.used.load(Ordering::Relaxed)
    }
}

//! Who is called when a topic has more to read, over all partitions that there are by now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::partition_log::{PartitionLog, Waker, Watch};
use thalweg_stream::error::Result;

/// The watchers of one topic.
#[derive(Default)]
pub(crate) struct Watchers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    watchers: BTreeMap<u64, Watcher>,
}

struct Watcher {
    waker: Waker,
    /// One for each partition, in order.
    watches: Vec<Watch>,
}

impl Watchers {
    /// A watcher, of no partition yet; gives its number.
    pub(super) fn add(&self, waker: Waker) -> u64 {
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        inner.watchers.insert(number, Watcher { waker, watches: Vec::new() });
        number
    }

    /// Ends the calls of a watcher.
    pub(super) fn remove(&self, number: u64) {
        // A log has a lock of its own: not while this one is held.
        let removed = self.inner.lock().watchers.remove(&number);
        drop(removed);
    }

    /// Registers every watcher at the partitions up to `partitions` where it is not yet.
    ///
    /// # Errors
    /// A partition that is not there.
    pub(super) fn extend(
        &self,
        partitions: i32,
        partition: impl Fn(i32) -> Result<Arc<dyn PartitionLog>>,
    ) -> Result<()> {
        let mut inner = self.inner.lock();
        for watcher in inner.watchers.values_mut() {
            let watched = i32::try_from(watcher.watches.len()).unwrap_or(i32::MAX);
            for number in watched..partitions {
                let watch = partition(number)?.watch(Arc::clone(&watcher.waker));
                watcher.watches.push(watch);
            }
        }
        Ok(())
    }
}

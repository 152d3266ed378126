//! Following a view: its changes, epoch by epoch, in a queue that cannot grow.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_stream::ChangeBatch;
use tokio::sync::Notify;

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub enum ViewEvent {
    /// The changes of one epoch, as the job made them.
    Changes {
        /// The epoch.
        epoch: Epoch,
        /// Its changes, in order.
        changes: Arc<[ChangeBatch]>,
    },
    /// The reader was too slow, or the view was restored: what it has is no longer the
    /// view, and it has to subscribe again.
    Lagged,
    /// The view was dropped.
    Closed,
}

/// A reader's end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

/// What writer and reader share.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    epochs: VecDeque<(Epoch, Arc<[ChangeBatch]>, usize)>,
    bytes: usize,
    end: Option<ViewEvent>,
}

impl Subscription {
    /// Waits for the next event. After [`ViewEvent::Lagged`] and [`ViewEvent::Closed`]
    /// it says the same again.
    pub async fn next(&mut self) -> ViewEvent {
        loop {
            // Registered before looking, so that a push in between is not missed.
            let changed = self.queue.changed.notified();
            if let Some(event) = self.queue.pop() {
                return event;
            }
            changed.await;
        }
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<ViewEvent> {
        self.queue.pop()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.finish(ViewEvent::Closed, true);
    }
}

impl Queue {
    /// A queue and its reader.
    pub(super) fn new() -> (Arc<Self>, Subscription) {
        let queue = Arc::new(Self { state: Mutex::default(), changed: Notify::new() });
        let reader = Subscription { queue: Arc::clone(&queue) };
        (queue, reader)
    }

    fn pop(&self) -> Option<ViewEvent> {
        let mut state = self.state.lock();
        if let Some((epoch, changes, bytes)) = state.epochs.pop_front() {
            state.bytes -= bytes;
            return Some(ViewEvent::Changes { epoch, changes });
        }
        state.end.clone()
    }

    /// Hands an epoch over; false where the queue has ended and may be forgotten. What
    /// does not fit into `limit_bytes` makes the reader start again.
    pub(super) fn push(
        &self,
        epoch: Epoch,
        changes: &Arc<[ChangeBatch]>,
        bytes: usize,
        limit_bytes: usize,
    ) -> bool {
        {
            let mut state = self.state.lock();
            if state.end.is_some() {
                return false;
            }
            if state.bytes + bytes <= limit_bytes {
                state.epochs.push_back((epoch, Arc::clone(changes), bytes));
                state.bytes += bytes;
                drop(state);
                self.changed.notify_one();
                return true;
            }
        }
        self.finish(ViewEvent::Lagged, true);
        false
    }

    /// Whether nobody reads or feeds it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Ends the queue, at once or after what it holds.
    pub(super) fn finish(&self, end: ViewEvent, at_once: bool) {
        let mut state = self.state.lock();
        if at_once {
            state.epochs.clear();
            state.bytes = 0;
        }
        state.end.get_or_insert(end);
        drop(state);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_told_to_start_again_and_holds_no_memory() {
        let (queue, mut reader) = Queue::new();
        let nothing: Arc<[ChangeBatch]> = Arc::new([]);
        assert!(queue.push(Epoch(1), &nothing, 60, 100));
        assert!(!queue.push(Epoch(2), &nothing, 60, 100), "beyond the bound");
        assert_eq!(queue.state.lock().bytes, 0);
        assert!(matches!(reader.try_next(), Some(ViewEvent::Lagged)));
        assert!(!queue.push(Epoch(3), &nothing, 1, 100), "an ended queue takes nothing");
    }

    #[test]
    fn reading_makes_room() {
        let (queue, mut reader) = Queue::new();
        let nothing: Arc<[ChangeBatch]> = Arc::new([]);
        for epoch in 1..100 {
            assert!(queue.push(Epoch(epoch), &nothing, 60, 100));
            assert!(matches!(
                reader.try_next(),
                Some(ViewEvent::Changes { epoch: Epoch(e), .. }) if e == epoch
            ));
        }
        drop(reader);
        assert!(!queue.push(Epoch(100), &nothing, 60, 100));
    }
}

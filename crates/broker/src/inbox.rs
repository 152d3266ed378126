//! Work on its way to a coordinator, done in the order in which it came, one at a time,
//! by whoever brings some and finds nobody at it. So nobody waits for a lock that is held
//! while the disk is written to.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Work that waits, and how far it is done.
pub(crate) struct Inbox<W> {
    state: Mutex<State<W>>,
    /// Told after each piece of work.
    done: Notify,
}

struct State<W> {
    waiting: VecDeque<W>,
    /// Somebody is at it.
    busy: bool,
    brought: u64,
    finished: u64,
}

impl<W> Inbox<W> {
    pub(crate) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), busy: false, brought: 0, finished: 0 };
        Self { state: Mutex::new(state), done: Notify::new() }
    }

    /// Brings work. True where nobody is at it: then the caller has to see to it that
    /// [`Inbox::next`] is called until there is none left.
    #[must_use = "somebody has to do the work"]
    pub(crate) fn bring(&self, work: W) -> bool {
        let mut state = self.state.lock();
        state.waiting.push_back(work);
        state.brought += 1;
        !std::mem::replace(&mut state.busy, true)
    }

    /// The next piece of work, which counts as done when this is called again. `None`
    /// where none is left, and then nobody is at it any more.
    pub(crate) fn next(&self) -> Option<W> {
        let mut state = self.state.lock();
        let waits = state.waiting.len() as u64;
        let finished = state.brought - waits;
        let moved = std::mem::replace(&mut state.finished, finished) != finished;
        let next = state.waiting.pop_front();
        state.busy = next.is_some();
        drop(state);
        if moved {
            self.done.notify_waiters();
        }
        next
    }

    /// Waits until everything is done that was brought so far.
    pub(crate) async fn settled(&self) {
        let brought = self.state.lock().brought;
        loop {
            let done = self.done.notified();
            if self.state.lock().finished >= brought {
                return;
            }
            done.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_in_order() {
        let inbox = Inbox::new();
        inbox.settled().await;
        assert!(inbox.bring(1));
        assert!(!inbox.bring(2), "the first one who came does both");
        let mut settled = Box::pin(inbox.settled());
        assert!(timeout(Duration::from_millis(1), &mut settled).await.is_err(), "before 1");
        assert_eq!(inbox.next(), Some(1));
        assert!(!inbox.bring(3));
        assert_eq!(inbox.next(), Some(2));
        assert!(timeout(Duration::from_millis(1), &mut settled).await.is_err(), "at 2");
        assert_eq!(inbox.next(), Some(3));
        timeout(Duration::from_secs(10), settled).await.expect("what came later is not waited for");
        assert_eq!(inbox.next(), None);
        inbox.settled().await;
        assert!(inbox.bring(4));
    }
}

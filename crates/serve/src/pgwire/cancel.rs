//! Cancel requests: which connection runs under which key.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::env::Random;
use tokio::sync::Notify;

/// The connections that can be cancelled.
pub(super) struct Cancellations {
    random: Arc<dyn Random>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    last_pid: i32,
    connections: HashMap<i32, (i32, Arc<Notify>)>,
}

/// A connection's entry; it is taken out when this is dropped.
pub(super) struct Cancellable {
    pub(super) pid: i32,
    pub(super) secret: i32,
    /// Wakes whoever runs a statement.
    pub(super) signal: Arc<Notify>,
    all: Arc<Cancellations>,
}

impl Cancellations {
    pub(super) fn new(random: Arc<dyn Random>) -> Arc<Self> {
        Arc::new(Self { random, running: Mutex::default() })
    }

    /// Gives a connection its number and key. The key keeps clients from cancelling each
    /// other by mistake; it is no secret against somebody who may connect anyway.
    pub(super) fn register(self: &Arc<Self>) -> Cancellable {
        let secret = self.random.next_u64() as i32;
        let signal = Arc::new(Notify::new());
        let mut running = self.running.lock();
        let mut pid = running.last_pid;
        loop {
            pid = if pid == i32::MAX { 1 } else { pid + 1 };
            if !running.connections.contains_key(&pid) {
                break;
            }
        }
        running.last_pid = pid;
        running.connections.insert(pid, (secret, Arc::clone(&signal)));
        Cancellable { pid, secret, signal, all: Arc::clone(self) }
    }

    /// Stops what a connection is doing now, if the key is its own.
    pub(super) fn cancel(&self, pid: i32, secret: i32) {
        let running = self.running.lock();
        if let Some((known, signal)) = running.connections.get(&pid)
            && *known == secret
        {
            signal.notify_waiters();
        }
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.all.running.lock().connections.remove(&self.pid);
    }
}

//! Threads as the environment gives them.

use std::io;

/// Starts named threads.
pub trait Spawn: Send + Sync {
    /// Runs `body` on a thread of its own.
    ///
    /// # Errors
    /// The operating system refused another thread.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle>;
}

/// Waits for a thread. Dropping it lets the thread go on.
pub struct JoinHandle(Box<dyn FnOnce() -> bool + Send>);

impl JoinHandle {
    /// Wraps what waits for the thread; it returns false where the thread panicked.
    pub fn new(wait: impl FnOnce() -> bool + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// Waits until the thread ends; false where it panicked.
    pub fn join(self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for JoinHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinHandle")
    }
}

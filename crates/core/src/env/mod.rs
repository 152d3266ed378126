//! The environment: the only way to time, randomness, disk and threads.
//!
//! Production code is handed an [`Env`]; simulation hands it another one in which a
//! single seed decides everything. Lints ban the direct calls everywhere else.

mod clock;
mod disk;
mod net;
mod random;
mod real;
pub mod sim;
mod spawn;

use std::sync::Arc;

pub use clock::Clock;
pub use disk::{Disk, DiskFile, DiskLock, Entry, OpenMode, read_file, replace_file};
pub use net::{BindError, bind_listener};
pub use random::{Random, SeededRandom};
pub use spawn::{JoinHandle, Spawn};

/// The four ways out of the program, as one cheap clone.
#[derive(Clone)]
pub struct Env {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random bits.
    pub random: Arc<dyn Random>,
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Threads.
    pub spawn: Arc<dyn Spawn>,
}

impl Env {
    /// The operating system's own clock, randomness, files and threads.
    pub fn real() -> Self {
        real::env()
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

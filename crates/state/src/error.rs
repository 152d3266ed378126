//! What can go wrong with snapshots, by what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the snapshot store.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk failed. After a failed sync nobody knows what is durable: the process
    /// has to end.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What stands on the disk is not what was written.
    #[error("{}: {detail}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A snapshot of a later version of Thalweg. Going on with an older one would
    /// silently undo what that version did, so this stops.
    #[error("{} has snapshot format {found}; this version of Thalweg reads up to {known}", path.display())]
    NewerVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// A batch or name that cannot be stored.
    #[error("cannot store {what}: {detail}")]
    Unstorable {
        /// Which operator's state.
        what: String,
        /// Why not.
        detail: String,
    },
}

impl StateError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), detail: detail.into() }
    }
}

/// Shorthand of this crate.
pub type Result<T, E = StateError> = std::result::Result<T, E>;

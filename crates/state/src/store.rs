//! The snapshots of one job: a directory of them.

use std::io;
use std::path::PathBuf;

use thalweg_core::env::Env;
use thalweg_core::ids::Epoch;

use crate::error::{Result, StateError};
use crate::manifest::{self, SnapshotId};
use crate::snapshot::Snapshot;
use crate::writer::SnapshotWriter;

/// All snapshots of a job. One process at a time writes; the caller holds the lock.
#[derive(Debug)]
pub struct SnapshotStore {
    env: Env,
    directory: PathBuf,
}

/// A snapshot that could not be used, and why.
#[derive(Debug)]
pub struct Rejected {
    /// Which one.
    pub id: SnapshotId,
    /// What is wrong with it.
    pub error: StateError,
}

impl SnapshotStore {
    /// The store in a directory, which is created with the first snapshot.
    pub fn new(env: Env, directory: impl Into<PathBuf>) -> Self {
        Self { env, directory: directory.into() }
    }

    /// Starts a snapshot of the state at the end of `epoch`. `meta` is kept with it,
    /// word for word.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(&self, epoch: Epoch, meta: &[u8]) -> Result<SnapshotWriter> {
        let earlier = self.directories()?.into_iter().filter(|id| id.epoch == epoch);
        let attempt = earlier.map(|id| id.attempt + 1).max().unwrap_or(0);
        let id = SnapshotId { epoch, attempt };
        let directory = self.directory.join(id.directory());
        self.env
            .disk
            .create_dir_all(&directory)
            .map_err(|error| StateError::io("create", &directory, error))?;
        Ok(SnapshotWriter::new(self.env.clone(), directory, id, meta.to_vec()))
    }

    /// The finished snapshots, newest first. Their contents are not looked at.
    ///
    /// # Errors
    /// The disk's.
    pub fn list(&self) -> Result<Vec<SnapshotId>> {
        let mut ids = self.directories()?;
        ids.retain(|id| self.env.disk.exists(&self.manifest_path(*id)));
        Ok(ids)
    }

    /// Opens one snapshot after checking all of it; `None` where it is not there or was
    /// never finished.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] where anything of it is damaged or missing,
    /// [`StateError::NewerVersion`], and the disk's.
    pub fn open(&self, id: SnapshotId) -> Result<Option<Snapshot>> {
        Snapshot::open(&self.env, &self.directory.join(id.directory()), id)
    }

    /// Opens the newest snapshot that is whole. Newer ones that are damaged are named,
    /// newest first: the caller has to say so, and to replay further. They are kept.
    ///
    /// # Errors
    /// [`StateError::NewerVersion`], and the disk's where it is not about one snapshot.
    pub fn open_newest(&self) -> Result<(Option<Snapshot>, Vec<Rejected>)> {
        let mut rejected = Vec::new();
        for id in self.directories()? {
            match self.open(id) {
                Ok(Some(snapshot)) => return Ok((Some(snapshot), rejected)),
                Ok(None) => {}
                Err(error @ StateError::NewerVersion { .. }) => return Err(error),
                Err(error) => rejected.push(Rejected { id, error }),
            }
        }
        Ok((None, rejected))
    }

    /// Removes all but the newest `keep` finished snapshots, and what unfinished ones
    /// left. Damaged snapshots count; so prune only after a new one was finished. Must not
    /// run beside a [`SnapshotWriter`].
    ///
    /// # Errors
    /// The disk's.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let kept: Vec<_> = self.list()?.into_iter().take(keep).collect();
        for id in self.directories()? {
            if !kept.contains(&id) {
                self.remove(id)?;
            }
        }
        Ok(())
    }

    /// The manifest goes first and for good, so that a crash leaves an unfinished
    /// snapshot and not a damaged one.
    fn remove(&self, id: SnapshotId) -> Result<()> {
        let disk = &*self.env.disk;
        let directory = self.directory.join(id.directory());
        let path = self.manifest_path(id);
        match disk.remove_file(&path) {
            Ok(()) => {
                disk.sync_dir(&directory)
                    .map_err(|error| StateError::io("sync", &directory, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::io("remove", &path, error)),
        }
        disk.remove_dir_all(&directory)
            .map_err(|error| StateError::io("remove", &directory, error))?;
        disk.sync_dir(&self.directory)
            .map_err(|error| StateError::io("sync", &self.directory, error))
    }

    fn manifest_path(&self, id: SnapshotId) -> PathBuf {
        self.directory.join(id.directory()).join(manifest::FILE_NAME)
    }

    /// All snapshot directories, finished or not, newest first.
    fn directories(&self) -> Result<Vec<SnapshotId>> {
        let entries = match self.env.disk.list(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::io("list", &self.directory, error)),
        };
        let mut ids: Vec<_> = entries
            .iter()
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| SnapshotId::of_directory(&entry.name))
            .collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }
}

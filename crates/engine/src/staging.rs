//! Staged files: output that is too large for the journal, on disk before its entry.
//!
//! Append-only files of the job's directory, shared by all units. Several epochs stand in
//! one file; it is removed when the last of them is published and the journal says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_core::env::{DiskFile, Env, OpenMode};
use thalweg_core::ids::{Epoch, Incarnation};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{JobError, Result};
use crate::exchange::read_exact;

/// A file that is longer than this gets no further chunk.
const FILE_BYTES: u64 = 64 << 20;

/// The staging directory of a job.
pub(crate) struct Staging {
    env: Env,
    dir: PathBuf,
    incarnation: Incarnation,
    /// Bytes that may be kept in memory besides the file, for publication.
    cache: Arc<Cache>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    number: u64,
    current: Option<Arc<StagedHandle>>,
    end: u64,
    files: Vec<Arc<StagedHandle>>,
}

/// An open staged file.
pub(crate) struct StagedHandle {
    /// Its name in the directory.
    pub name: String,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    state: Mutex<HandleState>,
}

#[derive(Default)]
struct HandleState {
    /// Its name in the directory is durable.
    named: bool,
    /// Last committed epoch with a chunk in it.
    last_epoch: Option<Epoch>,
}

struct Cache {
    limit: usize,
    used: AtomicUsize,
}

struct Cached {
    bytes: Bytes,
    cache: Arc<Cache>,
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.cache.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// A chunk in a staged file.
pub(crate) struct StagedChunk {
    /// The file.
    pub file: Arc<StagedHandle>,
    /// Where in it.
    pub offset: u64,
    /// Its length.
    pub len: u64,
    cached: Option<Cached>,
}

impl std::fmt::Debug for StagedChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StagedChunk({}, {}+{})", self.file.name, self.offset, self.len)
    }
}

impl StagedChunk {
    /// The bytes again.
    pub(crate) fn read(&self) -> Result<Bytes> {
        if let Some(cached) = &self.cached {
            return Ok(cached.bytes.clone());
        }
        let mut bytes = vec![0; self.len as usize];
        read_exact(&*self.file.file, &self.file.path, &mut bytes, self.offset)?;
        Ok(bytes.into())
    }
}

impl Staging {
    /// The directory; `cache_bytes` of what is staged may also be kept in memory.
    pub(crate) fn new(
        env: Env,
        dir: PathBuf,
        incarnation: Incarnation,
        cache_bytes: usize,
    ) -> Self {
        let cache = Arc::new(Cache { limit: cache_bytes, used: AtomicUsize::new(0) });
        Self { env, dir, incarnation, cache, inner: Mutex::default() }
    }

    /// Writes a chunk. Not durable before [`Staging::sync`].
    pub(crate) fn append(&self, bytes: &Bytes) -> Result<StagedChunk> {
        let len = bytes.len() as u64;
        let (file, offset) = self.reserve(len)?;
        file.file
            .write_at(bytes, offset)
            .map_err(|error| JobError::disk(&file.path, &error, false))?;
        Ok(StagedChunk { file, offset, len, cached: self.cache(bytes) })
    }

    fn cache(&self, bytes: &Bytes) -> Option<Cached> {
        let limit = self.cache.limit;
        let reserve = |used: usize| used.checked_add(bytes.len()).filter(|&after| after <= limit);
        let order = Ordering::Relaxed;
        self.cache.used.fetch_update(order, order, reserve).ok()?;
        Some(Cached { bytes: bytes.clone(), cache: Arc::clone(&self.cache) })
    }

    fn reserve(&self, len: u64) -> Result<(Arc<StagedHandle>, u64)> {
        let mut inner = self.inner.lock();
        if inner.end >= FILE_BYTES {
            inner.current = None;
        }
        let file = match &inner.current {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new(self.create(inner.number)?);
                inner.number += 1;
                inner.end = 0;
                inner.current = Some(Arc::clone(&file));
                inner.files.push(Arc::clone(&file));
                file
            }
        };
        let offset = inner.end;
        inner.end += len;
        Ok((file, offset))
    }

    fn create(&self, number: u64) -> Result<StagedHandle> {
        let name = format!("{:08}-{number:08}.staged", self.incarnation.0);
        let path = self.dir.join(&name);
        let failed = |error| JobError::disk(&path, &error, false);
        self.env.disk.create_dir_all(&self.dir).map_err(failed)?;
        let file = self.env.disk.open(&path, OpenMode::CreateNew).map_err(failed)?;
        Ok(StagedHandle { name, path, file, state: Mutex::default() })
    }

    /// Makes files durable, because entry `epoch` is going to name them.
    pub(crate) fn sync(&self, files: &[Arc<StagedHandle>], epoch: Epoch) -> Result<()> {
        let mut new_name = false;
        for file in files {
            file.file.sync_data().map_err(|error| JobError::disk(&file.path, &error, true))?;
            let mut state = file.state.lock();
            state.last_epoch = Some(epoch);
            new_name |= !state.named;
        }
        if new_name {
            let disk = &self.env.disk;
            disk.sync_dir(&self.dir).map_err(|error| JobError::disk(&self.dir, &error, true))?;
            files.iter().for_each(|file| file.state.lock().named = true);
        }
        Ok(())
    }

    /// Removes the files whose epochs are all published, which the journal says durably.
    pub(crate) fn release_through(&self, published: Epoch) {
        let mut inner = self.inner.lock();
        let current = inner.current.clone();
        inner.files.retain(|file| {
            let is_current = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, file));
            let is_used = Arc::strong_count(file) > 1;
            let is_needed = file.state.lock().last_epoch.is_some_and(|last| last > published);
            if is_current || is_used || is_needed {
                return true;
            }
            // What cannot be removed now is removed at the next start.
            let _ = self.env.disk.remove_file(&file.path);
            false
        });
    }
}

/// Reads a chunk that an earlier incarnation staged.
///
/// # Errors
/// [`JobError::Corrupt`] where it is not what was written.
pub(crate) fn read_chunk(
    env: &Env,
    dir: &Path,
    name: &str,
    offset: u64,
    len: u64,
    hash: u64,
) -> Result<Bytes> {
    let path = dir.join(name);
    let file = env
        .disk
        .open(&path, OpenMode::Read)
        .map_err(|error| JobError::disk(&path, &error, false))?;
    let there = file.len().map_err(|error| JobError::disk(&path, &error, false))?;
    if offset.checked_add(len).is_none_or(|end| end > there) {
        return Err(JobError::Corrupt(format!("{} is too short", path.display())));
    }
    let mut bytes = vec![0; len as usize];
    read_exact(&*file, &path, &mut bytes, offset)?;
    if xxh3_64(&bytes) != hash {
        let detail = format!("{}: the chunk at {offset} is damaged", path.display());
        return Err(JobError::Corrupt(detail));
    }
    Ok(bytes.into())
}

/// Removes everything in a staging directory, once nothing in the journal needs it.
pub(crate) fn clear(env: &Env, dir: &Path) -> Result<()> {
    if env.disk.exists(dir) {
        env.disk.remove_dir_all(dir).map_err(|error| JobError::disk(dir, &error, false))?;
    }
    Ok(())
}

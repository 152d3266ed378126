//! Open files, a bounded number of them: ten thousand idle partitions hold none.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::env::DiskFile;
use thalweg_core::ids::Offset;

/// What a file of a segment holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum FileKind {
    Batches,
    Index,
    Aborted,
}

/// Names an open file: serial number of the partition, base offset of the segment.
pub(crate) type FileKey = (u64, Offset, FileKind);

/// Cache of open files; the one that was not used for longest is closed first.
///
/// Whoever has unsynced writes in a file holds on to it: an operating system may forget
/// to report a failed write-back to a handle that was opened later.
pub(crate) struct FileCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<FileKey, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
}

impl FileCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    /// The file, opened by `open` where it is not open yet.
    pub(crate) fn get(
        &self,
        key: FileKey,
        open: impl FnOnce() -> io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.state.lock().touch(key) {
            return Ok(file);
        }
        let file: Arc<dyn DiskFile> = open()?.into();
        self.put(key, file.clone());
        Ok(file)
    }

    /// Adds or replaces a file.
    pub(crate) fn put(&self, key: FileKey, file: Arc<dyn DiskFile>) {
        let mut state = self.state.lock();
        state.uses += 1;
        let uses = state.uses;
        let mut closed = state.files.insert(key, (file, uses));
        if state.files.len() > self.capacity {
            let oldest = state.files.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(key, _)| *key);
            closed = oldest.and_then(|key| state.files.remove(&key));
        }
        drop(state);
        drop(closed); // Closing may take its time: not under the lock.
    }

    pub(crate) fn remove(&self, key: FileKey) {
        let closed = self.state.lock().files.remove(&key);
        drop(closed);
    }

    /// Closes all files of a partition.
    pub(crate) fn remove_partition(&self, serial: u64) {
        let mut state = self.state.lock();
        let keys: Vec<_> = state.files.keys().filter(|key| key.0 == serial).copied().collect();
        let closed: Vec<_> = keys.iter().filter_map(|key| state.files.remove(key)).collect();
        drop(state);
        drop(closed);
    }
}

impl State {
    fn touch(&mut self, key: FileKey) -> Option<Arc<dyn DiskFile>> {
        self.uses += 1;
        let (file, used) = self.files.get_mut(&key)?;
        *used = self.uses;
        Some(file.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use thalweg_core::env::OpenMode;
    use thalweg_core::env::sim::SimEnv;

    use super::*;

    #[test]
    fn the_longest_unused_file_is_closed() {
        let env = SimEnv::new(1).env();
        let cache = FileCache::new(2);
        let open = || env.disk.open(Path::new("/f"), OpenMode::Create);
        let key = |base| (0, base, FileKind::Batches);
        let first = cache.get(key(1), open).unwrap();
        cache.get(key(2), open).unwrap();
        cache.get(key(1), || panic!("it is open")).unwrap();
        cache.get(key(3), open).unwrap();
        let again = cache.get(key(1), || panic!("it is open")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let mut opened = false;
        cache
            .get(key(2), || {
                opened = true;
                open()
            })
            .unwrap();
        assert!(opened, "2 was the longest unused");
    }
}

//! The simulated disk: the contract of [`Disk`], no better, and faults on request.
//!
//! Two images are kept, what the process sees and what is durable, and the changes
//! between them wait for a sync:
//!
//! ```text
//!  write, set_len     -> pending of the file       -- sync_data -->  durable
//!  create, rename,    -> pending of the directory  -- sync_dir  -->  durable
//!  remove                     |
//!                             +-- crash: each one lost, kept, or (writes) torn at 512 bytes
//! ```
//!
//! A file's growth is settled apart from its bytes: a crash may leave zeros where bytes
//! were lost. A failed sync discards what was pending and the next one succeeds. The
//! working directory is the root, which always exists; `..` is resolved lexically.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::random::split_mix_64;
use super::super::{Disk, DiskFile, DiskLock, Entry, OpenMode, Random};
use super::faults::{FaultPlan, Faults, OpKind, Verdict};
use super::name_tree::{NameTree, NodeId, View};
use super::{SimClock, SimRandom};

/// The unit in which a file system that copies on write finds room.
const BLOCK: usize = 4096;

/// A file system in memory that crashes and fails as the seed decides.
pub struct SimDisk(Arc<Shared>);

struct Shared {
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

struct State {
    random: SimRandom,
    tree: NameTree,
    faults: Faults,
    locks: BTreeSet<NodeId>,
    /// Counts crashes and kills; handles carry the one in which they were opened.
    incarnation: u64,
    operations: u64,
    trace: u64,
}

impl SimDisk {
    pub(super) fn new(random: SimRandom, clock: Arc<SimClock>) -> Self {
        let state = State {
            random,
            tree: NameTree::new(),
            faults: Faults::new(FaultPlan::default()),
            locks: BTreeSet::new(),
            incarnation: 0,
            operations: 0,
            trace: 0,
        };
        Self(Arc::new(Shared { clock, state: Mutex::new(state) }))
    }

    /// Power loss and restart: pending changes are settled by lot, handles opened
    /// before return errors, locks are free, power is on again.
    ///
    /// Code of the dead process that still runs (a destructor, say) can reach the disk
    /// anew: end it before.
    pub fn crash(&self) {
        let mut state = self.0.state.lock();
        let State { tree, random, .. } = &mut *state;
        tree.crash(random);
        state.faults.power_on();
        state.end_process();
    }

    /// The end of the process without power loss (`kill -9`): handles and locks are
    /// gone, and everything written is still there and still pending.
    pub fn kill(&self) {
        let mut state = self.0.state.lock();
        state.tree.forget_handles();
        state.end_process();
    }

    /// From now on the faults of this plan, and no others; its counts start at zero.
    pub fn faults(&self, plan: FaultPlan) {
        self.0.state.lock().faults = Faults::new(plan);
    }

    /// Operations so far, as [`FaultPlan::power_off_at`] counts them.
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// Operations of a kind since the fault plan was handed over.
    pub fn count(&self, kind: OpKind) -> u64 {
        self.0.state.lock().faults.count(kind)
    }

    /// Flips one bit, which the seed chooses, in a range of bytes of a file, and says at
    /// which offset. Meant for bytes that are synced; pending writes would cover it.
    ///
    /// # Errors
    /// There is no such file, or the range is empty or beyond its end.
    pub fn corrupt(&self, path: &Path, range: Range<u64>) -> io::Result<u64> {
        let mut state = self.0.state.lock();
        let node = state.tree.find(path, View::Live)?;
        if range.is_empty() || range.end > state.tree.file(node)?.len() as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let offset = range.start + state.random.below(range.end - range.start);
        let bit = state.random.below(8) as u32;
        state.tree.change_file(node, |file| file.flip(offset as usize, bit))?;
        Ok(offset)
    }

    /// The durable bytes of a file: what a crash that loses everything pending leaves.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.state.lock();
        let node = state.tree.find(path, View::Durable).ok()?;
        Some(state.tree.file(node).ok()?.durable().to_vec())
    }

    /// Everything durable by path: bytes of a file, `None` for a directory.
    pub fn dump(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let state = self.0.state.lock();
        let paths = state.tree.durable_paths().into_iter();
        paths.map(|(path, bytes)| (path, bytes.map(<[u8]>::to_vec))).collect()
    }

    /// A hash over everything durable, for comparing two runs.
    pub fn durable_hash(&self) -> u64 {
        let state = self.0.state.lock();
        let mut hasher = Xxh3::new();
        for (path, bytes) in state.tree.durable_paths() {
            let bytes = bytes.map(xxh3_64);
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(&[0, u8::from(bytes.is_some())]);
            hasher.update(&bytes.unwrap_or(0).to_le_bytes());
        }
        hasher.digest()
    }

    /// A hash over all operations so far with their arguments and outcomes: equal for
    /// two runs exactly if the code under test did the same.
    pub fn trace_hash(&self) -> u64 {
        self.0.state.lock().trace
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("SimDisk")
            .field("incarnation", &state.incarnation)
            .field("operations", &state.operations)
            .field("used_bytes", &state.tree.used_bytes())
            .finish_non_exhaustive()
    }
}

impl State {
    fn end_process(&mut self) {
        self.incarnation += 1;
        self.locks.clear();
        self.note(u64::MAX, self.incarnation);
    }

    fn note(&mut self, what: u64, detail: u64) {
        self.trace = split_mix_64(self.trace ^ split_mix_64(what) ^ detail.rotate_left(17));
    }

    /// Bytes by which a file may still grow.
    fn room(&self) -> u64 {
        self.faults.plan.capacity_bytes.saturating_sub(self.tree.used_bytes())
    }
}

impl Shared {
    /// Runs one operation under the fault plan. `subject` tells it apart in the trace;
    /// `body` gets the verdict, which is never that power is off.
    fn operate<T>(
        &self,
        kind: OpKind,
        subject: u64,
        body: impl FnOnce(&mut State, Verdict) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        let State { faults, random, .. } = &mut *state;
        let verdict = faults.judge(kind, random);
        if verdict == Verdict::PowerIsOff {
            return Err(power_is_off());
        }
        if let Some(stall) = faults.stall(random) {
            self.clock.advance(stall);
        }
        state.operations += 1;
        let result = body(&mut state, verdict);
        let outcome = result.as_ref().map_or_else(|error| 1 + error.kind() as u64, |_| 0);
        state.note(kind as u64, subject ^ split_mix_64(outcome));
        if verdict == Verdict::PowerFails { Err(power_is_off()) } else { result }
    }

    /// As [`operate`](Self::operate), for operations that a fault leaves without effect.
    fn all_or_nothing<T>(
        &self,
        kind: OpKind,
        path: &Path,
        body: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.operate(kind, path_hash(path), |state, verdict| match verdict.error() {
            Some(error) => Err(error),
            None => body(state),
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.all_or_nothing(OpKind::CreateDir, path, |state| {
            let place = state.tree.place(path)?;
            match state.tree.at(&place) {
                Some(node) if !state.tree.is_dir(node) => Err(io::ErrorKind::NotADirectory.into()),
                Some(_) => Ok(()),
                None => {
                    state.tree.create_dir(place);
                    Ok(())
                }
            }
        })
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let (node, incarnation) = self.0.all_or_nothing(OpKind::Open, path, |state| {
            let node = open_node(&mut state.tree, path, mode)?;
            state.tree.add_handle(node);
            Ok((node, state.incarnation))
        })?;
        let shared = self.0.clone();
        Ok(Box::new(SimFile { shared, node, incarnation, writable: mode != OpenMode::Read }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        {
            let tree = &self.0.state.lock().tree;
            if tree.find(path, View::Live).is_ok_and(|node| tree.is_dir(node)) {
                return Ok(());
            }
        }
        if path.parent().is_some() {
            self.create_dir_all(parent)?;
        }
        self.0.create_dir(path)?;
        self.sync_dir(parent)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.all_or_nothing(OpKind::Rename, from, |state| {
            let (old, new) = (state.tree.place(from)?, state.tree.place(to)?);
            state.tree.rename(old, new, to)
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.all_or_nothing(OpKind::Remove, path, |state| {
            let place = state.tree.place(path)?;
            state.tree.remove_file(place)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.all_or_nothing(OpKind::Remove, path, |state| {
            let place = state.tree.place(path)?;
            state.tree.remove_dir_all(place)
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.all_or_nothing(OpKind::List, path, |state| {
            let dir = state.tree.find(path, View::Live)?;
            let entry = |(name, node): (&str, NodeId)| Entry {
                name: name.to_owned(),
                is_dir: state.tree.is_dir(node),
                len: state.tree.file(node).map_or(0, |file| file.len() as u64),
            };
            Ok(state.tree.names(dir)?.map(entry).collect())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.operate(OpKind::SyncDir, path_hash(path), |state, verdict| {
            let dir = state.tree.find(path, View::Live)?;
            match verdict.error() {
                _ if verdict == Verdict::PowerFails => Err(power_is_off()),
                Some(error) => state.tree.fail_sync_dir(dir).and(Err(error)),
                None => state.tree.sync_dir(dir),
            }
        })
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.0.state.lock();
        !state.faults.power_is_off() && state.tree.find(path, View::Live).is_ok()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let state = self.0.state.lock();
        state.tree.find(path, View::Live)?;
        Ok(state.room())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let (node, incarnation) = self.0.all_or_nothing(OpKind::Open, path, |state| {
            let node = open_node(&mut state.tree, path, OpenMode::Create)?;
            if !state.locks.insert(node) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.tree.add_handle(node);
            Ok((node, state.incarnation))
        })?;
        Ok(Box::new(SimLock { shared: self.0.clone(), node, incarnation }))
    }
}

fn open_node(tree: &mut NameTree, path: &Path, mode: OpenMode) -> io::Result<NodeId> {
    if matches!(mode, OpenMode::Read | OpenMode::Write) {
        let node = tree.find(path, View::Live)?;
        return tree.file(node).map(|_| node);
    }
    let place = tree.place(path)?;
    match tree.at(&place) {
        None => Ok(tree.create_file(place)),
        Some(_) if mode == OpenMode::CreateNew => Err(io::ErrorKind::AlreadyExists.into()),
        Some(node) => tree.file(node).map(|_| node),
    }
}

struct SimLock {
    shared: Arc<Shared>,
    node: NodeId,
    incarnation: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.incarnation == self.incarnation {
            state.locks.remove(&self.node);
            state.tree.drop_handle(self.node);
        }
    }
}

struct SimFile {
    shared: Arc<Shared>,
    node: NodeId,
    incarnation: u64,
    writable: bool,
}

impl SimFile {
    fn operate<T>(
        &self,
        kind: OpKind,
        subject: u64,
        body: impl FnOnce(&mut State, Verdict) -> io::Result<T>,
    ) -> io::Result<T> {
        let subject = subject ^ split_mix_64(self.node as u64);
        self.shared.operate(kind, subject, |state, verdict| {
            if state.incarnation == self.incarnation { body(state, verdict) } else { Err(stale()) }
        })
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operate(OpKind::Read, offset, |state, verdict| {
            if let Some(error) = verdict.error() {
                return Err(error);
            }
            let live = state.tree.file(self.node)?.live();
            let rest = usize::try_from(offset).ok().and_then(|at| live.get(at..)).unwrap_or(&[]);
            let mut len = rest.len().min(buf.len());
            if len > 1 && state.random.chance(state.faults.plan.short_read_per_million) {
                len = 1 + state.random.below(len as u64 - 1) as usize;
            }
            buf[..len].copy_from_slice(&rest[..len]);
            state.note(len as u64, xxh3_64(&buf[..len]));
            Ok(len)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let subject = offset ^ xxh3_64(buf).rotate_left(1);
        self.operate(OpKind::Write, subject, |state, verdict| {
            if !self.writable {
                return Err(rustix::io::Errno::BADF.into());
            }
            // The room is at most the capacity, and so is an offset that passes: what is
            // allocated stays bounded whatever the caller asks for.
            let limit = state.tree.file(self.node)?.len() as u64 + state.room();
            let mut fits = limit.saturating_sub(offset).min(buf.len() as u64) as usize;
            let room = usize::try_from(state.room()).unwrap_or(usize::MAX);
            if state.faults.plan.copy_on_write && room < fits {
                // Room is found, or not, for a block at a time.
                let end = (offset as usize).saturating_add(room) / BLOCK * BLOCK;
                fits = end.saturating_sub(offset as usize);
            }
            let (written, error) = match verdict {
                Verdict::Fails => {
                    let part = state.random.below(fits as u64 + 1) as usize;
                    (part, verdict.error())
                }
                Verdict::OutOfSpace => (0, verdict.error()),
                _ if fits < buf.len() => (fits, Some(io::ErrorKind::StorageFull.into())),
                _ => (fits, None),
            };
            if written > 0 {
                let part = &buf[..written];
                state.tree.change_file(self.node, |file| file.write(part, offset as usize))?;
            }
            error.map_or(Ok(()), Err)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(OpKind::Sync, 0, |state, verdict| match verdict.error() {
            _ if verdict == Verdict::PowerFails => Err(power_is_off()),
            Some(error) => {
                state.tree.change_file(self.node, |file| file.fail_sync())?;
                Err(error)
            }
            None => state.tree.change_file(self.node, |file| file.sync()),
        })
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.shared.state.lock();
        match state.incarnation == self.incarnation {
            _ if state.faults.power_is_off() => Err(power_is_off()),
            true => Ok(state.tree.file(self.node)?.len() as u64),
            false => Err(stale()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(OpKind::SetLen, len, |state, verdict| {
            if !self.writable {
                return Err(rustix::io::Errno::INVAL.into());
            }
            if let Some(error) = verdict.error() {
                return Err(error);
            }
            if len > state.tree.file(self.node)?.len() as u64 + state.room() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.tree.change_file(self.node, |file| file.set_len(len as usize))
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.incarnation == self.incarnation {
            state.tree.drop_handle(self.node);
        }
    }
}

fn path_hash(path: &Path) -> u64 {
    xxh3_64(path.as_os_str().as_encoded_bytes())
}

fn power_is_off() -> io::Error {
    io::Error::other("the simulated machine has no power")
}

fn stale() -> io::Error {
    io::Error::other("the file was opened before the simulated crash")
}

//! The directory tree of a simulated disk: names as the process sees them, names that
//! are durable, and the changes between.
//!
//! A change of a name waits for a sync of its directory. After a crash each waiting
//! change is kept or lost by lot, with one rule: a change is kept only if every earlier
//! waiting change of the same name is (so what is kept of one name's history is a prefix
//! of it, while different names go their own ways, even in one directory). A rename is
//! one change of two names, kept or lost as a whole; it belongs to the directory of the
//! new name. Syncing a directory also makes durable what its changes build upon.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::super::Random;
use super::SimRandom;
use super::file_image::FileImage;

/// Number of a file or directory, as an inode's.
pub(super) type NodeId = usize;

const ROOT: NodeId = 0;

/// What a name stands for.
enum Node {
    File(FileImage),
    Dir(Dir),
}

#[derive(Default)]
struct Dir {
    live: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

struct Slot {
    node: Node,
    /// Handles and locks of the running process.
    handles: usize,
    /// Whether a live name leads here; an unlinked file takes no room any more.
    linked: bool,
}

/// A name in a directory.
type Place = (NodeId, String);

/// A change that waits for a sync of the directory in which its last place is.
enum Change {
    Link(Place, NodeId),
    Unlink(Place),
    Rename { from: Place, to: Place, node: NodeId },
}

impl Change {
    fn dir(&self) -> NodeId {
        match self {
            Self::Link(place, _) | Self::Unlink(place) | Self::Rename { to: place, .. } => place.0,
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Self::Link(place, _) | Self::Unlink(place) => (place, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
        };
        [Some(first), second].into_iter().flatten()
    }
}

/// Which of the two trees to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Live,
    Durable,
}

/// All files, directories and names of a disk.
pub(super) struct NameTree {
    slots: Vec<Option<Slot>>,
    free: Vec<NodeId>,
    pending: Vec<Change>,
    used_bytes: u64,
    /// Nodes in use after the last sweep: sweeping when they doubled keeps it cheap.
    after_sweep: usize,
}

impl NameTree {
    pub(super) fn new() -> Self {
        let root = Slot { node: Node::Dir(Dir::default()), handles: 0, linked: true };
        Self {
            slots: vec![Some(root)],
            free: Vec::new(),
            pending: Vec::new(),
            used_bytes: 0,
            after_sweep: 1,
        }
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Follows a path, lexically: `..` takes the last name away.
    pub(super) fn find(&self, path: &Path, view: View) -> io::Result<NodeId> {
        let mut trail = vec![ROOT];
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    let dir = self.dir(trail[trail.len() - 1])?;
                    let names = if view == View::Live { &dir.live } else { &dir.durable };
                    trail.push(*names.get(text(name)?).ok_or(io::ErrorKind::NotFound)?);
                }
                Component::ParentDir if trail.len() > 1 => drop(trail.pop()),
                _ => {}
            }
        }
        Ok(trail[trail.len() - 1])
    }

    /// The place that a path names, whether or not something is there.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let name = text(path.file_name().ok_or(io::ErrorKind::InvalidInput)?)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")), View::Live)?;
        self.dir(parent)?;
        Ok((parent, name.to_owned()))
    }

    pub(super) fn at(&self, place: &Place) -> Option<NodeId> {
        self.dir(place.0).ok()?.live.get(&place.1).copied()
    }

    pub(super) fn is_dir(&self, node: NodeId) -> bool {
        self.dir(node).is_ok()
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&FileImage> {
        match self.slot(node).map(|slot| &slot.node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Changes a file and keeps count of its length.
    pub(super) fn change_file<T>(
        &mut self,
        node: NodeId,
        change: impl FnOnce(&mut FileImage) -> T,
    ) -> io::Result<T> {
        let before = self.file(node)?.len() as u64;
        let Some(Slot { node: Node::File(file), linked, .. }) = &mut self.slots[node] else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let result = change(file);
        if *linked {
            self.used_bytes = self.used_bytes - before + file.len() as u64;
        }
        Ok(result)
    }

    pub(super) fn create_file(&mut self, place: Place) -> NodeId {
        self.link_new(place, Node::File(FileImage::default()))
    }

    pub(super) fn create_dir(&mut self, place: Place) -> NodeId {
        self.link_new(place, Node::Dir(Dir::default()))
    }

    fn link_new(&mut self, place: Place, node: Node) -> NodeId {
        let slot = Some(Slot { node, handles: 0, linked: true });
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.set_live(&place, Some(id));
        self.pending.push(Change::Link(place, id));
        self.sweep_if_due();
        id
    }

    /// Renames as POSIX does: a file replaces a file, a directory an empty directory.
    pub(super) fn rename(&mut self, from: Place, to: Place, to_path: &Path) -> io::Result<()> {
        let node = self.at(&from).ok_or(io::ErrorKind::NotFound)?;
        if to_path.ancestors().skip(1).any(|above| self.find(above, View::Live).ok() == Some(node))
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some(old) = self.at(&to) {
            match (self.dir(node), self.dir(old)) {
                _ if old == node => return Ok(()),
                (Ok(_), Err(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                (Err(_), Ok(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                (_, Ok(dir)) if !dir.live.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => self.unlinked(old),
            }
        }
        self.set_live(&from, None);
        self.set_live(&to, Some(node));
        self.pending.push(Change::Rename { from, to, node });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, place: Place) -> io::Result<()> {
        let node = self.at(&place).ok_or(io::ErrorKind::NotFound)?;
        self.file(node)?;
        self.unlink(place, node);
        Ok(())
    }

    /// Removes a directory from the leaves up, each name a change of its own.
    pub(super) fn remove_dir_all(&mut self, place: Place) -> io::Result<()> {
        let node = self.at(&place).ok_or(io::ErrorKind::NotFound)?;
        let names: Vec<_> = self.dir(node)?.live.keys().cloned().collect();
        for name in names {
            let inner = (node, name);
            if self.at(&inner).is_some_and(|child| self.is_dir(child)) {
                self.remove_dir_all(inner)?;
            } else {
                self.remove_file(inner)?;
            }
        }
        self.unlink(place, node);
        Ok(())
    }

    fn unlink(&mut self, place: Place, node: NodeId) {
        self.set_live(&place, None);
        self.unlinked(node);
        self.pending.push(Change::Unlink(place));
    }

    /// Live names in a directory, sorted, with what they stand for.
    pub(super) fn names(&self, dir: NodeId) -> io::Result<impl Iterator<Item = (&str, NodeId)>> {
        Ok(self.dir(dir)?.live.iter().map(|(name, &node)| (name.as_str(), node)))
    }

    /// Makes the waiting changes of a directory durable.
    pub(super) fn sync_dir(&mut self, dir: NodeId) -> io::Result<()> {
        self.dir(dir)?;
        let mut needed = BTreeSet::new();
        let mut due = Vec::new();
        let mut waiting = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            if change.dir() == dir || change.places().any(|place| needed.contains(place)) {
                needed.extend(change.places().cloned());
                due.push(change);
            } else {
                waiting.push(change);
            }
        }
        waiting.reverse();
        self.pending = waiting;
        for change in due.into_iter().rev() {
            self.make_durable(change);
        }
        Ok(())
    }

    /// A failed sync: the waiting changes of the directory will never be durable, and
    /// the next sync has nothing to do and succeeds.
    pub(super) fn fail_sync_dir(&mut self, dir: NodeId) -> io::Result<()> {
        self.dir(dir)?;
        self.pending.retain(|change| change.dir() != dir);
        Ok(())
    }

    /// Power loss: settles names and files by lot; the process and its handles are gone.
    pub(super) fn crash(&mut self, random: &SimRandom) {
        self.settle_names(random);
        for slot in self.slots.iter_mut().flatten() {
            slot.handles = 0;
            if let Node::Dir(dir) = &mut slot.node {
                dir.live.clone_from(&dir.durable);
            }
        }
        self.sweep();
        self.used_bytes = 0;
        for slot in self.slots.iter_mut().flatten() {
            slot.linked = true;
            if let Node::File(file) = &mut slot.node {
                file.crash(random);
                self.used_bytes += file.len() as u64;
            }
        }
    }

    /// Keeps or loses each waiting change; half of all crashes lose, or keep, them all.
    fn settle_names(&mut self, random: &SimRandom) {
        let mood = random.below(4);
        let mut lost = BTreeSet::new();
        for change in std::mem::take(&mut self.pending) {
            let kept = match mood {
                0 => false,
                1 => true,
                _ => random.below(2) == 0,
            };
            if kept && !change.places().any(|place| lost.contains(place)) {
                self.make_durable(change);
            } else {
                lost.extend(change.places().cloned());
            }
        }
    }

    /// Handles die with the process; what it wrote stays in the page cache.
    pub(super) fn forget_handles(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.handles = 0;
        }
    }

    pub(super) fn add_handle(&mut self, node: NodeId) {
        if let Some(slot) = self.slots[node].as_mut() {
            slot.handles += 1;
        }
    }

    pub(super) fn drop_handle(&mut self, node: NodeId) {
        if let Some(slot) = self.slots[node].as_mut() {
            slot.handles = slot.handles.saturating_sub(1);
        }
    }

    /// Every durable path: contents of a file, `None` for a directory.
    pub(super) fn durable_paths(&self) -> BTreeMap<PathBuf, Option<&[u8]>> {
        let mut paths = BTreeMap::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = todo.pop() {
            match self.slot(node).map(|slot| &slot.node) {
                Some(Node::File(file)) => drop(paths.insert(path, Some(file.durable()))),
                Some(Node::Dir(dir)) => {
                    todo.extend(dir.durable.iter().map(|(name, &child)| (path.join(name), child)));
                    paths.insert(path, None);
                }
                None => {}
            }
        }
        paths
    }

    fn make_durable(&mut self, change: Change) {
        match change {
            Change::Link(place, node) => self.set_durable(place, Some(node)),
            Change::Unlink(place) => self.set_durable(place, None),
            Change::Rename { from, to, node } => {
                // After a failed sync another node, or none, may be there.
                if self.dir(from.0).ok().and_then(|dir| dir.durable.get(&from.1)) == Some(&node) {
                    self.set_durable(from, None);
                }
                self.set_durable(to, Some(node));
            }
        }
    }

    fn set_live(&mut self, place: &Place, node: Option<NodeId>) {
        if let Some(dir) = self.dir_mut(place.0) {
            match node {
                Some(node) => drop(dir.live.insert(place.1.clone(), node)),
                None => drop(dir.live.remove(&place.1)),
            }
        }
    }

    fn set_durable(&mut self, place: Place, node: Option<NodeId>) {
        if let Some(dir) = self.dir_mut(place.0) {
            match node {
                Some(node) => drop(dir.durable.insert(place.1, node)),
                None => drop(dir.durable.remove(&place.1)),
            }
        }
    }

    /// A node lost its live name: a file gives its room back.
    fn unlinked(&mut self, node: NodeId) {
        if let Some(slot) = self.slots[node].as_mut() {
            if let (Node::File(file), true) = (&slot.node, slot.linked) {
                self.used_bytes -= file.len() as u64;
            }
            slot.linked = false;
        }
    }

    fn slot(&self, node: NodeId) -> Option<&Slot> {
        self.slots.get(node)?.as_ref()
    }

    fn dir(&self, node: NodeId) -> io::Result<&Dir> {
        match self.slot(node).map(|slot| &slot.node) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, node: NodeId) -> Option<&mut Dir> {
        match self.slots.get_mut(node)?.as_mut().map(|slot| &mut slot.node) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    fn sweep_if_due(&mut self) {
        if self.slots.len() - self.free.len() > 2 * self.after_sweep + 64 {
            self.sweep();
        }
    }

    /// Frees the nodes that no name, live, durable or waiting, and no handle leads to.
    fn sweep(&mut self) {
        let mut todo = vec![ROOT];
        for change in &self.pending {
            todo.extend(change.places().map(|place| place.0));
            if let Change::Link(_, node) | Change::Rename { node, .. } = change {
                todo.push(*node);
            }
        }
        for (id, slot) in self.slots.iter().enumerate() {
            todo.extend(slot.as_ref().is_some_and(|slot| slot.handles > 0).then_some(id));
        }
        let mut reached = vec![false; self.slots.len()];
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut reached[id], true)
                && let Some(Slot { node: Node::Dir(dir), .. }) = self.slot(id)
            {
                todo.extend(dir.live.values().chain(dir.durable.values()));
            }
        }
        self.free.clear();
        for (id, slot) in self.slots.iter_mut().enumerate() {
            if !reached[id] {
                *slot = None;
                self.free.push(id);
            }
        }
        self.after_sweep = self.slots.len() - self.free.len();
    }
}

fn text(name: &OsStr) -> io::Result<&str> {
    name.to_str().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

//! A version: the whole view as of one epoch, and how the next one is made of it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use thalweg_core::ids::Epoch;
use thalweg_stream::error::Result;

use super::fold::{Held, SortedChanges};
use super::layout::Layout;
use super::leaf::{Leaf, MAX_BYTES, MAX_ROWS};

/// The rows of a view as of an epoch: leaves in the order of their keys.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) epoch: Epoch,
    pub(super) leaves: Arc<[Arc<Leaf>]>,
    /// Rows, duplicates as often as they count.
    pub(super) rows: u64,
    /// Bytes of the leaves, without their decoded form.
    pub(super) bytes: usize,
}

/// A row on its way into a leaf.
type Entry<'a> = (Held<'a>, usize);

impl Version {
    /// A view without rows.
    pub(super) fn empty(epoch: Epoch) -> Self {
        Self { epoch, leaves: Arc::new([]), rows: 0, bytes: 0 }
    }

    /// The version that the changes make of this one. This one stays as it is.
    pub(super) fn next(&self, epoch: Epoch, changes: &SortedChanges<'_>) -> Result<Self> {
        if changes.len() == 0 {
            return Ok(Self { epoch, ..self.clone() });
        }
        let mut leaves: Vec<Arc<Leaf>> = Vec::with_capacity(self.leaves.len() + 1);
        let (mut rows, mut bytes) = (self.rows, self.bytes);
        let (mut leaf, mut change) = (0, 0);
        while change < changes.len() {
            let dirty = self.leaf_of(leaf, changes.key(change));
            leaves.extend(self.leaves[leaf..dirty].iter().cloned());
            let kept = leaves.len();
            leaf = self.rebuild(dirty, changes, &mut change, &mut leaves)?;
            for gone in self.leaves.iter().take(leaf).skip(dirty) {
                rows -= gone.total();
                bytes -= gone.memory_bytes();
            }
            for made in &leaves[kept..] {
                rows += made.total();
                bytes += made.memory_bytes();
            }
        }
        leaves.extend(self.leaves.iter().skip(leaf).cloned());
        Ok(Self { epoch, rows, bytes, leaves: leaves.into() })
    }

    /// The leaf, not before `from`, that has or would have this key.
    fn leaf_of(&self, from: usize, key: &[u8]) -> usize {
        let behind = self.leaves[from..].partition_point(|leaf| leaf.key(0) <= key);
        from + behind.saturating_sub(1)
    }

    /// Merges changes into the leaf `first` and, while what comes out is small, into the
    /// ones after it. Returns the number of the first leaf that was not looked at.
    fn rebuild(
        &self,
        first: usize,
        changes: &SortedChanges<'_>,
        change: &mut usize,
        leaves: &mut Vec<Arc<Leaf>>,
    ) -> Result<usize> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        let mut changed = false;
        let mut leaf = first;
        loop {
            changed |= self.merge(leaf, changes, change, &mut entries)?;
            leaf += 1;
            let row_bytes: usize = entries.iter().map(|(held, _)| held.row.len()).sum();
            let small = entries.len() < MAX_ROWS / 4 && row_bytes < MAX_BYTES / 4;
            let joins = small
                && changed
                && self.leaves.get(leaf).is_some_and(|next| {
                    entries.len() + next.len() <= MAX_ROWS * 3 / 4
                        && row_bytes + next.row_bytes() <= MAX_BYTES * 3 / 4
                });
            if !joins {
                break;
            }
        }
        if changed {
            pack(&entries, leaves);
        } else {
            leaves.extend(self.leaves.get(first).cloned());
        }
        Ok(leaf)
    }

    /// Merges a leaf with the changes that belong into it; whether anything changed.
    fn merge<'a>(
        &'a self,
        number: usize,
        changes: &'a SortedChanges<'_>,
        change: &mut usize,
        entries: &mut Vec<Entry<'a>>,
    ) -> Result<bool> {
        let leaf = self.leaves.get(number);
        let upper = self.leaves.get(number + 1).map(|next| next.key(0));
        let mut row = 0;
        let mut changed = false;
        while *change < changes.len() && upper.is_none_or(|upper| changes.key(*change) < upper) {
            let key = changes.key(*change);
            let end = changes.end_of_key(*change);
            let held = leaf.and_then(|leaf| {
                let at = leaf.find(key);
                let before = at.unwrap_or_else(|before| before);
                copy(leaf, row..before, entries);
                row = before + usize::from(at.is_ok());
                at.ok().map(|at| Held { row: leaf.row(at), count: leaf.count(at) })
            });
            let after = changes.apply(*change, end, held)?;
            changed |= after != held;
            entries.extend(after.map(|after| (after, key.len())));
            *change = end;
        }
        if let Some(leaf) = leaf {
            copy(leaf, row..leaf.len(), entries);
        }
        Ok(changed)
    }

    /// Decodes everything, batch by batch, duplicates as often as they count.
    pub(super) fn export(&self, layout: &Layout) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for leaf in self.leaves.iter() {
            let distinct = leaf.decode(layout, None)?;
            let mut position = (0, 0);
            while let Some(batch) = leaf.expand(&distinct, &mut position)? {
                batches.push(batch);
            }
        }
        Ok(batches)
    }
}

fn copy<'a>(leaf: &'a Leaf, rows: std::ops::Range<usize>, entries: &mut Vec<Entry<'a>>) {
    entries.extend(
        rows.map(|row| (Held { row: leaf.row(row), count: leaf.count(row) }, leaf.key_length(row))),
    );
}

/// Packs sorted rows into as few leaves as they need, about equally full.
fn pack(entries: &[Entry<'_>], leaves: &mut Vec<Arc<Leaf>>) {
    let bytes: usize = entries.iter().map(|(held, _)| held.row.len()).sum();
    let pieces = entries.len().div_ceil(MAX_ROWS).max(bytes.div_ceil(MAX_BYTES)).max(1);
    let rows_aim = entries.len().div_ceil(pieces);
    let bytes_aim = bytes.div_ceil(pieces);
    let mut leaf = Leaf::default();
    for (held, key_length) in entries {
        let full = leaf.len() >= rows_aim || leaf.row_bytes() >= bytes_aim;
        if leaf.len() > 0 && (full || !leaf.has_room_for(held.row.len())) {
            leaves.push(Arc::new(std::mem::take(&mut leaf).shrink()));
        }
        leaf.push(held.row, *key_length, held.count);
    }
    if leaf.len() > 0 {
        leaves.push(Arc::new(leaf.shrink()));
    }
}

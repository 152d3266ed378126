//! The slices of an operator that hold rows, in order of time.

use std::collections::VecDeque;

use thalweg_core::time::Millis;
use thalweg_stream::window::Bounds;

use crate::key::KeyTable;

/// Keys of one slice, and for each the slot of its state.
pub(super) struct Slice {
    pub(super) start: Millis,
    pub(super) keys: KeyTable,
    /// By number of the key; so in order of first arrival.
    pub(super) slots: Vec<u32>,
}

impl Slice {
    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.slots.capacity() * size_of::<u32>() + size_of::<Self>()
    }
}

/// Slices by their start.
#[derive(Default)]
pub(super) struct Slices {
    slices: VecDeque<Slice>,
    /// Where the last look-up was; rows of one slice mostly follow each other.
    last: usize,
}

impl Slices {
    /// The place of the slice with this start, which `create` makes where it is missing.
    pub(super) fn find_or_insert(
        &mut self,
        start: Millis,
        create: impl FnOnce() -> KeyTable,
    ) -> usize {
        if self.slices.get(self.last).is_some_and(|slice| slice.start == start) {
            return self.last;
        }
        let place = self.slices.partition_point(|slice| slice.start < start);
        if self.slices.get(place).is_none_or(|slice| slice.start != start) {
            self.slices.insert(place, Slice { start, keys: create(), slots: Vec::new() });
        }
        self.last = place;
        place
    }

    /// The slice at a place.
    pub(super) fn get(&self, place: usize) -> &Slice {
        &self.slices[place]
    }

    /// The slice at a place.
    pub(super) fn get_mut(&mut self, place: usize) -> &mut Slice {
        &mut self.slices[place]
    }

    /// Places of the slices of a window.
    pub(super) fn of_window(&self, bounds: Bounds) -> std::ops::Range<usize> {
        let from = self.slices.partition_point(|slice| slice.start < bounds.start);
        let to = self.slices.partition_point(|slice| slice.start < bounds.end);
        from..to
    }

    /// Removes the slice at a place.
    pub(super) fn remove(&mut self, place: usize) -> Option<Slice> {
        self.slices.remove(place)
    }

    /// All slices, earliest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter()
    }

    /// Removes and gives the earliest slice if it is as wanted.
    pub(super) fn pop_first_if(&mut self, wanted: impl FnOnce(&Slice) -> bool) -> Option<Slice> {
        if !self.slices.front().is_some_and(wanted) {
            return None;
        }
        self.last = self.last.saturating_sub(1);
        self.slices.pop_front()
    }

    /// Keys in the latest slice: about as many as the next one will have.
    pub(super) fn typical_keys(&self) -> usize {
        self.slices.back().map_or(0, |slice| slice.slots.len())
    }

    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.slices.iter().map(Slice::memory_bytes).sum()
    }
}

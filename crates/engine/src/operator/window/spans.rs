//! Runs of slices merged once for all windows that hold them whole, so that a window of
//! many slices merges about twice the square root of their number.
//!
//! What is here follows from the slices: it is built when a window needs it, dropped when
//! one of its slices changes, and never stored.

use std::collections::BTreeMap;

use thalweg_core::time::Millis;
use thalweg_stream::window::{Bounds, Window};

use super::slices::Slice;

/// Windows of fewer slices merge them one by one.
const FEW_SLICES: i64 = 8;

/// The spans that are built, by start.
pub(super) struct Spans {
    length: Millis,
    offset: Millis,
    built: BTreeMap<Millis, Slice>,
}

impl Spans {
    /// For windows of `slices` slices of this length; `None` where they are few.
    pub(super) fn new(slice: Millis, slices: i64, offset: Millis) -> Option<Self> {
        if slices <= FEW_SLICES {
            return None;
        }
        let per_span = (slices as f64).sqrt().round() as i64;
        Some(Self { length: slice * per_span, offset, built: BTreeMap::new() })
    }

    /// The span that holds the slice with this start.
    pub(super) fn of_slice(&self, slice_start: Millis) -> Bounds {
        let start = Window::aligned_start(slice_start, self.length, self.offset);
        Bounds { start, end: start + self.length }
    }

    pub(super) fn get(&self, start: Millis) -> Option<&Slice> {
        self.built.get(&start)
    }

    pub(super) fn insert(&mut self, span: Slice) {
        self.built.insert(span.start, span);
    }

    /// Takes away the span that holds a slice which changes.
    pub(super) fn remove_of_slice(&mut self, slice_start: Millis) -> Option<Slice> {
        self.built.remove(&self.of_slice(slice_start).start)
    }

    /// Takes away the earliest span if it is as wanted.
    pub(super) fn pop_first_if(&mut self, wanted: impl FnOnce(&Slice) -> bool) -> Option<Slice> {
        let first = self.built.first_entry()?;
        wanted(first.get()).then(|| first.remove())
    }

    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.built.values().map(Slice::memory_bytes).sum()
    }
}

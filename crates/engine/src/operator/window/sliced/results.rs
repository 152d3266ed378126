//! The results of windows, out of their slices.

use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::window::Bounds;

use super::super::slices::Slice;
use super::{SlicedWindows, WindowResult};
use crate::key::KeyTable;
use crate::operator::aggregate::AggregateSet;

impl SlicedWindows {
    /// Whether slices of fired windows are folded into the first of their start. Not where
    /// late rows may still change a shorter window.
    pub(super) fn folds(&self) -> bool {
        self.slicing.is_cumulating() && self.lateness == 0
    }

    /// Moves all slices of a growing window into its first one: later windows of the same
    /// start hold all of them.
    pub(super) fn fold(&mut self, bounds: Bounds) {
        let places = self.slices.of_window(bounds);
        let first = self.slices.find_or_insert(bounds.start, || self.keys.table(0));
        let rest = self.slices.of_window(bounds).len() - 1;
        debug_assert!(first == places.start);
        for _ in 0..rest {
            if let Some(slice) = self.slices.remove(first + 1) {
                let folded = self.slices.get_mut(first);
                let into =
                    merge_slice(&slice, &mut folded.keys, &mut folded.slots, &mut self.aggregates);
                self.aggregates.merge(&slice.slots, &into);
                self.aggregates.release(&slice.slots);
            }
        }
    }

    /// The rows that a window gives as of now.
    pub(super) fn result_of(&mut self, bounds: Bounds) -> Result<Option<WindowResult>> {
        let places = self.slices.of_window(bounds);
        match places.len() {
            0 => Ok(None),
            1 => {
                let slice = self.slices.get(places.start);
                self.result(bounds, &slice.keys, &slice.slots)
            }
            _ => {
                let merged = self.merged(bounds, self.spans.is_some());
                let result = self.result(bounds, &merged.keys, &merged.slots);
                self.aggregates.release(&merged.slots);
                result
            }
        }
    }

    /// The slices of a stretch of time as one, for the caller to release. `by_spans`: with
    /// the help of the spans in it, which are built where they are missing.
    pub(super) fn merged(&mut self, bounds: Bounds, by_spans: bool) -> Slice {
        let places = self.slices.of_window(bounds);
        let typical = self.slices.get(places.start).slots.len();
        let (mut keys, mut slots) = (self.keys.table(typical), Vec::new());
        let mut place = places.start;
        while place < places.end {
            let span = if by_spans { self.span_at(place, bounds) } else { None };
            let slice = match span {
                Some(span) => {
                    place = self.slices.of_window(span).end;
                    self.spans.as_ref().and_then(|spans| spans.get(span.start))
                }
                None => {
                    place += 1;
                    Some(self.slices.get(place - 1))
                }
            };
            if let Some(slice) = slice {
                let into = merge_slice(slice, &mut keys, &mut slots, &mut self.aggregates);
                self.aggregates.merge(&slice.slots, &into);
            }
        }
        Slice { start: bounds.start, keys, slots }
    }

    /// The span that starts with the slice at a place, if it lies in the window and helps.
    pub(super) fn span_at(&mut self, place: usize, window: Bounds) -> Option<Bounds> {
        let spans = self.spans.as_ref()?;
        let span = spans.of_slice(self.slices.get(place).start);
        if span.start < window.start || span.end > window.end {
            return None;
        }
        if spans.get(span.start).is_none() {
            if self.slices.of_window(span).len() < 2 {
                return None;
            }
            let merged = self.merged(span, false);
            self.spans.as_mut()?.insert(merged);
        }
        Some(span)
    }

    /// Lets go of what was merged of a slice that is about to change.
    pub(super) fn forget_span_of(&mut self, slice_start: Millis) {
        let span = self.spans.as_mut().and_then(|spans| spans.remove_of_slice(slice_start));
        if let Some(span) = span {
            self.aggregates.release(&span.slots);
        }
    }

    pub(super) fn result(
        &self,
        bounds: Bounds,
        keys: &KeyTable,
        slots: &[u32],
    ) -> Result<Option<WindowResult>> {
        let mut numbers: Vec<u32> = (0..slots.len() as u32).collect();
        let mut filtered = Vec::new();
        let slots = match self.aggregates.present(slots)? {
            None => slots,
            Some(present) => {
                numbers.retain(|&number| present[number as usize]);
                filtered.extend(numbers.iter().map(|&number| slots[number as usize]));
                &filtered
            }
        };
        if slots.is_empty() {
            return Ok(None);
        }
        let mut columns = self.keys.write(numbers.iter().map(|&number| keys.key(number)))?;
        columns.extend(self.aggregates.evaluate(slots)?);
        columns.extend(self.columns.write(std::iter::repeat_n(bounds, slots.len())));
        Ok(Some(WindowResult { columns, rows: slots.len() }))
    }
}

/// Numbers the keys of a slice among others, allocates slots for new ones, and gives for
/// each of the slice's keys the slot to merge into.
fn merge_slice(
    slice: &Slice,
    keys: &mut KeyTable,
    slots: &mut Vec<u32>,
    aggregates: &mut AggregateSet,
) -> Vec<u32> {
    let numbers = 0..slice.slots.len() as u32;
    let into = numbers.map(|number| {
        let number = keys.intern_one(slice.keys.key(number)) as usize;
        if number == slots.len() {
            slots.push(aggregates.allocate());
        }
        slots[number]
    });
    into.collect()
}

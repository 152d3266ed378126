//! How tumbling, hopping and cumulating windows are cut into slices that they share.
//!
//! A row goes into one slice, whatever the number of windows that hold it; a window is
//! the union of its slices (Li et al. 2005, "No pane, no gain"). Slices and window ends lie
//! on one grid: each slice ends where some window ends.

use thalweg_core::time::Millis;
use thalweg_stream::window::{Bounds, Window};

use super::super::time_column::clamp;
use super::spans::Spans;

/// The grid of a window kind that is no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slicing {
    /// Length of a slice.
    slice: Millis,
    /// Length of the longest window.
    size: Millis,
    /// Shift of the grid.
    offset: Millis,
    /// Whether windows keep their start and grow.
    cumulating: bool,
}

impl Slicing {
    /// `None` for sessions.
    pub(super) fn of(window: Window) -> Option<Self> {
        let cumulating = matches!(window, Window::Cumulating { .. });
        match window {
            Window::Tumbling { size, offset } => {
                Some(Self { slice: size, size, offset, cumulating })
            }
            Window::Hopping { slide: slice, size, offset }
            | Window::Cumulating { step: slice, size, offset } => {
                Some(Self { slice, size, offset, cumulating })
            }
            Window::Session { .. } => None,
        }
    }

    /// Start of the slice that holds an instant.
    pub(super) fn slice_start(self, time: Millis) -> Millis {
        Window::aligned_start(clamp(time), self.slice, self.offset)
    }

    /// End of the slice with this start: also the end of the first window that holds it.
    pub(super) fn slice_end(self, slice_start: Millis) -> Millis {
        slice_start + self.slice
    }

    /// End of the last window that holds a slice.
    pub(super) fn last_window_end(self, slice_start: Millis) -> Millis {
        if self.cumulating {
            Window::aligned_start(slice_start, self.size, self.offset) + self.size
        } else {
            slice_start + self.size
        }
    }

    /// The window that ends at this point of the grid (the longest, where several do).
    pub(super) fn window_ending(self, end: Millis) -> Bounds {
        let start = if self.cumulating {
            Window::aligned_start(end - 1, self.size, self.offset)
        } else {
            end - self.size
        };
        Bounds { start, end }
    }

    /// The first window end that `watermark` does not complete.
    pub(super) fn next_end(self, watermark: Millis) -> Millis {
        // Complete are ends up to watermark + 1.
        Window::aligned_start(clamp(watermark) + 1, self.slice, self.offset) + self.slice
    }

    /// Rows before this instant are late: all their windows are complete by the watermark
    /// and, where `lateness` is given, have been for longer than that.
    pub(super) fn late_before(self, watermark: Millis, lateness: Millis) -> Millis {
        let unit = if self.cumulating { self.size } else { self.slice };
        let latest_start = clamp(watermark) + 1 - lateness - self.size;
        Window::aligned_start(latest_start, unit, self.offset) + unit
    }

    /// The next watermark at which a window becomes complete or stops to take late rows.
    /// Until then nothing about windows changes.
    pub(super) fn next_step(self, watermark: Millis, lateness: Millis) -> Millis {
        let complete = self.next_end(watermark) - 1;
        let over = self.next_end(clamp(watermark) - lateness) - 1 + lateness;
        complete.min(over)
    }

    /// Room for the merged slices of long windows, where windows share slices and are long.
    pub(super) fn spans(self) -> Option<Spans> {
        Spans::new(self.slice, self.size / self.slice, self.offset)
    }

    /// Whether windows grow from a fixed start.
    pub(super) fn is_cumulating(self) -> bool {
        self.cumulating
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows() -> impl Strategy<Value = Window> {
        let measures = (1_i64..20, 1_i64..5, -30_i64..30);
        (measures, 0..3).prop_map(|((part, times, offset), kind)| match kind {
            0 => Window::Tumbling { size: part, offset },
            1 => Window::Hopping { slide: part, size: part * times, offset },
            _ => Window::Cumulating { step: part, size: part * times, offset },
        })
    }

    proptest! {
        /// The grid says the same as assigning row by row.
        #[test]
        fn agrees_with_assignment(
            window in windows(), time in -200_i64..200, watermark in -200_i64..200,
            lateness in 0_i64..50,
        ) {
            let slicing = Slicing::of(window).unwrap();
            let mut assigned = Vec::new();
            window.assign(time, &mut assigned);

            let start = slicing.slice_start(time);
            let mut held = Vec::new();
            let mut end = slicing.slice_end(start);
            while end <= slicing.last_window_end(start) {
                held.push(slicing.window_ending(end));
                end += slicing.slice;
            }
            prop_assert_eq!(&held, &assigned);

            let late = |watermark| {
                assigned.iter().all(|bounds| bounds.max_timestamp() + lateness <= watermark)
            };
            prop_assert_eq!(time < slicing.late_before(watermark, lateness), late(watermark));
            let next = slicing.next_step(watermark, lateness);
            prop_assert!(next > watermark);
            let threshold = slicing.late_before(watermark, lateness);
            prop_assert_eq!(slicing.late_before(next - 1, lateness), threshold);
            let open = |watermark| {
                let ends = [0, lateness].map(|l| slicing.next_end(watermark - l));
                ends.map(|end| slicing.window_ending(end))
            };
            prop_assert_eq!(open(next - 1), open(watermark));
            prop_assert_ne!(open(next), open(watermark));

            let next_end = slicing.next_end(watermark);
            prop_assert!(next_end - 1 > watermark && next_end - slicing.slice - 1 <= watermark);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let slicing = Slicing::of(Window::Tumbling { size: 1 << 50, offset: 0 }).unwrap();
        for watermark in [i64::MIN, i64::MAX] {
            slicing.next_end(watermark);
            slicing.next_step(watermark, 1 << 50);
            slicing.last_window_end(slicing.slice_start(watermark));
        }
        assert!(slicing.late_before(i64::MIN, 0) < -(1 << 59));
    }
}

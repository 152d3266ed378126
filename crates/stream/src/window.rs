//! Windows over time: which windows a row belongs to, and when a window is complete.
//!
//! A window is `[start, end)` in milliseconds; it is complete when the time reaches
//! `end - 1`. Starts are aligned to the Unix epoch plus an offset, as in Flink:
//! `start = t - floor_mod(t - offset, size)`.

use thalweg_core::time::Millis;

/// A kind of window with its measures, all in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Window {
    /// Back to back.
    Tumbling {
        /// Length.
        size: Millis,
        /// Shift of the alignment.
        offset: Millis,
    },
    /// Overlapping, a new one each `slide`; `size` is a multiple of `slide`.
    Hopping {
        /// Distance of starts.
        slide: Millis,
        /// Length.
        size: Millis,
        /// Shift of the alignment.
        offset: Millis,
    },
    /// Growing in steps up to `size`; `size` is a multiple of `step`.
    Cumulating {
        /// Growth.
        step: Millis,
        /// Greatest length.
        size: Millis,
        /// Shift of the alignment.
        offset: Millis,
    },
    /// From the first row of a key until `gap` without another. Windows that touch
    /// merge: a row exactly `gap` after the last one still belongs.
    Session {
        /// Silence that ends it.
        gap: Millis,
    },
}

/// One window's bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Bounds {
    /// First instant that belongs to it.
    pub start: Millis,
    /// First instant that does not.
    pub end: Millis,
}

impl Bounds {
    /// The last instant that belongs to it: the window is complete once the time has
    /// reached it.
    pub fn max_timestamp(self) -> Millis {
        self.end - 1
    }
}

/// The clock that a window follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WindowTime {
    /// Event time, in a column of the input.
    Event {
        /// The column.
        column: usize,
    },
    /// Processing time: the recorded time of the epoch.
    Processing,
}

impl Window {
    /// Start of the tumbling window of this size that holds `time`.
    pub fn aligned_start(time: Millis, size: Millis, offset: Millis) -> Millis {
        time - (time - offset).rem_euclid(size)
    }

    /// The windows that hold `time`, latest start last, into `out`. For a session the
    /// window of this row alone, to be merged.
    pub fn assign(self, time: Millis, out: &mut Vec<Bounds>) {
        out.clear();
        match self {
            Self::Tumbling { size, offset } => {
                let start = Self::aligned_start(time, size, offset);
                out.push(Bounds { start, end: start + size });
            }
            Self::Hopping { slide, size, offset } => {
                let last = Self::aligned_start(time, slide, offset);
                let mut start = last - size + slide;
                while start <= last {
                    out.push(Bounds { start, end: start + size });
                    start += slide;
                }
            }
            Self::Cumulating { step, size, offset } => {
                let start = Self::aligned_start(time, size, offset);
                let mut end = start + (time - start) / step * step + step;
                while end <= start + size {
                    out.push(Bounds { start, end });
                    end += step;
                }
            }
            Self::Session { gap } => out.push(Bounds { start: time, end: time + gap }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(window: Window, time: Millis) -> Vec<(Millis, Millis)> {
        let mut out = Vec::new();
        window.assign(time, &mut out);
        out.iter().map(|bounds| (bounds.start, bounds.end)).collect()
    }

    #[test]
    fn tumbling_aligns_to_the_epoch_also_before_it() {
        let window = Window::Tumbling { size: 10, offset: 0 };
        assert_eq!(windows(window, 0), [(0, 10)]);
        assert_eq!(windows(window, 9), [(0, 10)]);
        assert_eq!(windows(window, -1), [(-10, 0)]);
        assert_eq!(windows(Window::Tumbling { size: 10, offset: 3 }, 2), [(-7, 3)]);
    }

    #[test]
    fn hopping_gives_size_over_slide_windows() {
        let window = Window::Hopping { slide: 5, size: 15, offset: 0 };
        assert_eq!(windows(window, 12), [(0, 15), (5, 20), (10, 25)]);
    }

    #[test]
    fn cumulating_keeps_its_start() {
        let window = Window::Cumulating { step: 5, size: 15, offset: 0 };
        assert_eq!(windows(window, 7), [(0, 10), (0, 15)]);
        assert_eq!(windows(window, 15), [(15, 20), (15, 25), (15, 30)]);
    }
}

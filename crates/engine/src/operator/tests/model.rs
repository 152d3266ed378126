//! Windows by brute force: every row in every window that holds it, one at a time.

use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::RowKind;
use thalweg_stream::window::{Bounds, Window};

use super::harness::{Cell, EpochInput, Event, Row, expected};

/// Values of a group, in order of arrival.
#[derive(Clone, Default, Debug)]
pub(super) struct Contents(Vec<Option<i64>>);

impl Contents {
    /// Takes a row; false where it takes back what is not there.
    pub(super) fn take(&mut self, kind: RowKind, value: Option<i64>) -> bool {
        if kind.is_addition() {
            self.0.push(value);
            return true;
        }
        let place = self.0.iter().position(|other| *other == value);
        place.map(|place| self.0.remove(place)).is_some()
    }

    /// The results, if there is any row.
    pub(super) fn results(&self) -> Option<Vec<Cell>> {
        let values: Vec<i64> = self.0.iter().copied().flatten().collect();
        (!self.0.is_empty()).then(|| expected(self.0.len(), &values))
    }
}

/// One window of one key.
#[derive(Clone, Debug)]
struct Pane {
    key: Option<i64>,
    bounds: Bounds,
    contents: Contents,
}

/// What a windowed aggregation has to give.
pub(super) struct WindowModel {
    pub(super) window: Window,
    pub(super) lateness: Millis,
    pub(super) keyed: bool,
    pub(super) processing_time: bool,
    panes: Vec<Pane>,
    watermark: Millis,
    late: Vec<(Row, Millis)>,
    /// A row was taken back from a window in which it never was: its own session had fired
    /// when another one grew over its time. From there on results mean nothing.
    pub(super) confused: bool,
}

impl WindowModel {
    pub(super) fn new(window: Window, lateness: Millis, keyed: bool, processing: bool) -> Self {
        Self {
            window,
            lateness,
            keyed,
            processing_time: processing,
            panes: Vec::new(),
            watermark: MIN_WATERMARK,
            late: Vec::new(),
            confused: false,
        }
    }

    /// Takes an epoch; gives all rows that stand as results at its end, sorted, and the
    /// late rows so far.
    pub(super) fn epoch(&mut self, epoch: &EpochInput) -> (Vec<Vec<Cell>>, Vec<(Row, Millis)>) {
        if self.processing_time {
            self.watermark = epoch.now - 1;
        }
        for event in &epoch.events {
            match event {
                Event::Mark(watermark) if !self.processing_time => {
                    self.watermark = self.watermark.max(*watermark);
                }
                Event::Mark(_) => {}
                Event::Row(kind, row) => self.row(*kind, row, epoch.now),
            }
        }
        if !self.processing_time || epoch.watermark == MAX_WATERMARK {
            self.watermark = self.watermark.max(epoch.watermark);
        }
        (self.results(), self.late.clone())
    }

    fn row(&mut self, kind: RowKind, row: &Row, now: Millis) {
        let time = if self.processing_time { now } else { row.time };
        let key = if self.keyed { row.key } else { None };
        let mut windows = Vec::new();
        self.window.assign(time, &mut windows);
        if let Window::Session { .. } = self.window {
            windows[0] = self.merge(key, windows[0]);
        }
        windows.retain(|bounds| bounds.max_timestamp() + self.lateness > self.watermark);
        if windows.is_empty() {
            self.late.push((row.clone(), self.watermark));
        }
        for bounds in windows {
            let pane = self.panes.iter_mut().find(|p| p.key == key && p.bounds == bounds);
            let pane = match pane {
                Some(pane) => pane,
                None => {
                    self.panes.push(Pane { key, bounds, contents: Contents::default() });
                    self.panes.last_mut().unwrap()
                }
            };
            self.confused |= !pane.contents.take(kind, row.value);
        }
    }

    /// Makes one session of those that are still there and that a window touches, itself
    /// included.
    fn merge(&mut self, key: Option<i64>, window: Bounds) -> Bounds {
        let over = |bounds: Bounds| bounds.max_timestamp() + self.lateness <= self.watermark;
        let mut merged = window;
        let mut parts: Vec<Pane> = Vec::new();
        self.panes.retain(|pane| {
            let touches = pane.bounds.start <= window.end && window.start <= pane.bounds.end;
            let joins = pane.key == key && touches && !over(pane.bounds);
            if joins {
                merged.start = merged.start.min(pane.bounds.start);
                merged.end = merged.end.max(pane.bounds.end);
                parts.push(pane.clone());
            }
            !joins
        });
        if !parts.is_empty() {
            let mut contents = Contents::default();
            // The order of arrival over parts is not kept; tests of sessions that merge leave
            // first and last values out.
            contents.0.extend(parts.into_iter().flat_map(|part| part.contents.0));
            self.panes.push(Pane { key, bounds: merged, contents });
        }
        merged
    }

    fn results(&self) -> Vec<Vec<Cell>> {
        let complete = self.panes.iter().filter(|p| p.bounds.max_timestamp() <= self.watermark);
        let rows = complete.filter_map(|pane| {
            let results = pane.contents.results()?;
            let Bounds { start, end } = pane.bounds;
            let mut row = if self.keyed { vec![pane.key] } else { Vec::new() };
            row.extend(results);
            row.extend([Some(start), Some(end)]);
            if !self.processing_time {
                row.push(Some(end - 1));
            }
            Some(row)
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    }
}

//! Late rows of windows that have fired: what they change is given as changes, once.

use thalweg_core::time::Millis;
use thalweg_stream::error::Result;
use thalweg_stream::window::Bounds;

use super::{SlicedWindows, WindowResult};
use crate::operator::diff::{Diff, Versions};

impl SlicedWindows {
    /// The watermark at which the first of the reopened windows takes no more rows.
    pub(super) fn first_over(&self) -> Option<Millis> {
        self.reopened.keys().next().map(|(end, _)| end - 1 + self.lateness)
    }

    /// Keeps the results of the fired windows that hold a slice, before it gets late rows.
    pub(super) fn reopen(&mut self, slice_start: Millis) -> Result<()> {
        let mut end = self.slicing.slice_end(slice_start);
        while end <= self.slicing.last_window_end(slice_start) && end - 1 <= self.complete {
            let bounds = self.slicing.window_ending(end);
            let over = bounds.max_timestamp() + self.lateness <= self.complete;
            if !over && !self.reopened.contains_key(&(bounds.end, bounds.start)) {
                let result = self.result_of(bounds)?;
                self.reopened.insert((bounds.end, bounds.start), result);
            }
            end = self.slicing.slice_end(end);
        }
        Ok(())
    }

    /// Gives what changed in a window that was kept by [`Self::reopen`].
    pub(super) fn fire_again(
        &mut self,
        bounds: Bounds,
        before: Option<WindowResult>,
    ) -> Result<()> {
        let after = self.result_of(bounds)?;
        let (before, after) = match (before, after) {
            (None, None) => return Ok(()),
            (None, Some(after)) => {
                return self.output.insert(after.columns, after.rows);
            }
            (Some(before), None) => {
                let nothing = before.columns.iter().map(|column| column.slice(0, 0)).collect();
                (before, WindowResult { columns: nothing, rows: 0 })
            }
            (Some(before), Some(after)) => (before, after),
        };
        let mut table = self.keys.table(before.rows);
        let mut numbers = Vec::new();
        for result in [&before, &after] {
            let keys = self.keys.read(&result.columns[..self.results.start], result.rows)?;
            table.intern(&keys, 0..result.rows, &mut numbers);
        }
        let mut versions = vec![Versions { before: None, after: None }; table.bound()];
        for (row, &number) in numbers.iter().enumerate() {
            let version = &mut versions[number as usize];
            match row.checked_sub(before.rows) {
                None => version.before = Some(row),
                Some(row) => version.after = Some(row),
            }
        }
        let mut diff = Diff::new(before.columns, after.columns, self.results.clone(), true)?;
        versions.into_iter().for_each(|versions| diff.push(versions));
        diff.finish(&mut self.output)
    }
}

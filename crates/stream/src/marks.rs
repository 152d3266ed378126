//! Watermark marks: the running watermark of a batch, run-length encoded.
//!
//! A mark `(row, watermark)` says that the watermark was in force before row `row` was
//! looked at; `row` may equal the number of rows, for what holds after the last one.
//! Rows before the first mark keep the watermark that the stream had already. Marks
//! rise strictly in watermark and never fall in row, so a batch is not cut up for them.

use thalweg_core::time::Millis;

/// The marks of one batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks(Vec<(u32, Millis)>);

impl Marks {
    /// No change of the watermark in this batch.
    pub fn none() -> Self {
        Self::default()
    }

    /// Says that `watermark` holds before `row`. Ignored where it is not higher than
    /// the last mark.
    pub fn push(&mut self, row: usize, watermark: Millis) {
        match self.0.last_mut() {
            Some((_, last)) if watermark <= *last => {}
            Some((last_row, last)) if *last_row as usize == row => *last = watermark,
            _ => self.0.push((row as u32, watermark)),
        }
    }

    /// All marks, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, Millis)> + '_ {
        self.0.iter().map(|&(row, watermark)| (row as usize, watermark))
    }

    /// Whether the watermark does not change in this batch.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The watermark after the last row, if this batch changes it.
    pub fn last(&self) -> Option<Millis> {
        self.0.last().map(|&(_, watermark)| watermark)
    }

    /// The marks after rows were dropped: `kept` are the old numbers of the rows that
    /// stay, ascending. A mark moves to the first kept row at or after its own.
    #[must_use]
    pub fn project(&self, kept: &[u32]) -> Self {
        let mut marks = Self::none();
        let mut at = 0;
        for &(row, watermark) in &self.0 {
            at += kept[at..].partition_point(|&old| old < row);
            marks.push(at, watermark);
        }
        marks
    }

    /// The marks with `cap` laid over them: each is at most `cap`.
    #[must_use]
    pub fn capped(&self, cap: Millis) -> Self {
        let mut marks = Self::none();
        for &(row, watermark) in &self.0 {
            marks.push(row as usize, watermark.min(cap));
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(list: &[(usize, Millis)]) -> Marks {
        let mut marks = Marks::none();
        for &(row, watermark) in list {
            marks.push(row, watermark);
        }
        marks
    }

    #[test]
    fn only_rising_watermarks_are_kept() {
        let marks = marks(&[(0, 5), (1, 5), (2, 4), (3, 9), (3, 10)]);
        assert_eq!(marks.iter().collect::<Vec<_>>(), [(0, 5), (3, 10)]);
    }

    #[test]
    fn dropping_rows_moves_marks_forward() {
        let marks = marks(&[(1, 10), (2, 20), (4, 40), (5, 50)]);
        let projected = marks.project(&[0, 3]);
        assert_eq!(projected.iter().collect::<Vec<_>>(), [(1, 20), (2, 50)]);
    }
}

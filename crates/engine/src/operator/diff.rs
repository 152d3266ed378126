//! Turns results before and after into changes.

use std::cmp::Ordering;

use arrow_array::{Array, ArrayRef};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::SortOptions;
use arrow_select::interleave::interleave;
use thalweg_stream::RowKind;
use thalweg_stream::error::Result;

use super::output::Output;

/// A result as it was and as it is: rows of the columns before and after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Versions {
    pub(super) before: Option<usize>,
    pub(super) after: Option<usize>,
}

/// What became of a result: nothing where both are equal.
pub(super) struct Diff {
    comparators: Vec<DynComparator>,
    before: Vec<ArrayRef>,
    after: Vec<ArrayRef>,
    update_before: bool,
    picks: Vec<(usize, usize)>,
    kinds: Vec<RowKind>,
}

/// Places of the columns in `picks`.
const BEFORE: usize = 0;
const AFTER: usize = 1;

impl Diff {
    /// Both sides have the output's columns; `compared` are those that can differ where
    /// the rest (the key) is the same.
    pub(super) fn new(
        before: Vec<ArrayRef>,
        after: Vec<ArrayRef>,
        compared: std::ops::Range<usize>,
        update_before: bool,
    ) -> Result<Self> {
        let comparators = compared.map(|number| {
            Ok(make_comparator(&before[number], &after[number], SortOptions::default())?)
        });
        let comparators = comparators.collect::<Result<_>>()?;
        let (picks, kinds) = (Vec::new(), Vec::new());
        Ok(Self { comparators, before, after, update_before, picks, kinds })
    }

    /// Adds the changes of one result.
    pub(super) fn push(&mut self, versions: Versions) {
        match versions {
            Versions { before: None, after: None } => {}
            Versions { before: None, after: Some(after) } => {
                self.pick(AFTER, after, RowKind::Insert);
            }
            Versions { before: Some(before), after: None } => {
                self.pick(BEFORE, before, RowKind::Delete);
            }
            Versions { before: Some(before), after: Some(after) } => {
                if self.comparators.iter().all(|equal| equal(before, after) == Ordering::Equal) {
                    return;
                }
                if self.update_before {
                    self.pick(BEFORE, before, RowKind::UpdateBefore);
                }
                self.pick(AFTER, after, RowKind::UpdateAfter);
            }
        }
    }

    fn pick(&mut self, side: usize, row: usize, kind: RowKind) {
        self.picks.push((side, row));
        self.kinds.push(kind);
    }

    /// Gives the changes.
    pub(super) fn finish(self, output: &mut Output) -> Result<()> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let columns = self.before.iter().zip(&self.after).map(|(before, after)| {
            let sides: [&dyn Array; 2] = [before, after];
            Ok(interleave(&sides, &self.picks)?)
        });
        output.change(columns.collect::<Result<_>>()?, &self.kinds)
    }
}

//! Which row of the source a row on its way down a chain was.
//!
//! A batch carries no numbers of its rows: they would have to be filtered and copied like
//! any column, for the one row in a million that turns out to be bad. Instead each batch
//! knows on the stack what it was made of, and where a row is bad, the steps above are
//! asked from the bottom up which row of their input it was.

use std::cell::OnceCell;

use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;

use crate::operator::{Operator, OperatorContext};

/// What a batch is made of.
pub(super) enum Lineage<'a> {
    /// Nobody can tell: it comes out of state, or over an edge.
    Unknown,
    /// Rows of a source's batch: those from number `first` on, or of these the ones in
    /// `kept`, by their numbers among them.
    Read { first: usize, kept: Option<&'a [u32]> },
    /// Rows of another batch, from number `first` on.
    Slice { of: &'a Lineage<'a>, first: usize },
    /// The rows of another batch with these numbers.
    Kept { of: &'a Lineage<'a>, kept: &'a [u32] },
    /// What a step made of a batch.
    Step(StepOf<'a>),
}

/// A batch that a step took.
pub(super) struct StepOf<'a> {
    /// Slot of the step.
    pub(super) slot: usize,
    /// What it took.
    pub(super) input: &'a ChangeBatch,
    /// What that was made of.
    pub(super) of: &'a Lineage<'a>,
    /// The row of the input for each row that came out, once it was asked for.
    rows: OnceCell<Option<Vec<u32>>>,
}

impl<'a> Lineage<'a> {
    /// Of what a step made of a batch.
    pub(super) fn step(slot: usize, input: &'a ChangeBatch, of: &'a Lineage<'a>) -> Self {
        Self::Step(StepOf { slot, input, of, rows: OnceCell::new() })
    }

    /// The number of a row among those that the source gave as one batch; `None` where it is
    /// not known. `operator` gives the step of a slot.
    ///
    /// # Errors
    /// As [`Operator::input_rows`].
    pub(super) fn source_row<'o>(
        &self,
        row: usize,
        operator: &impl Fn(usize) -> Option<&'o dyn Operator>,
        context: &OperatorContext,
    ) -> Result<Option<usize>> {
        match self {
            Self::Unknown => Ok(None),
            Self::Read { first, kept: None } => Ok(Some(first + row)),
            Self::Read { first, kept: Some(kept) } => {
                Ok(kept.get(row).map(|&row| first + row as usize))
            }
            Self::Slice { of, first } => of.source_row(first + row, operator, context),
            Self::Kept { of, kept } => match kept.get(row) {
                Some(&row) => of.source_row(row as usize, operator, context),
                None => Ok(None),
            },
            Self::Step(step) => match step.input_row(row, operator, context)? {
                Some(row) => step.of.source_row(row, operator, context),
                None => Ok(None),
            },
        }
    }
}

impl StepOf<'_> {
    fn input_row<'o>(
        &self,
        row: usize,
        operator: &impl Fn(usize) -> Option<&'o dyn Operator>,
        context: &OperatorContext,
    ) -> Result<Option<usize>> {
        if self.rows.get().is_none() {
            let rows = match operator(self.slot) {
                Some(operator) => operator.input_rows(self.input, context)?,
                None => None,
            };
            // Nobody else was there to set it.
            let _ = self.rows.set(rows);
        }
        let rows = self.rows.get().and_then(Option::as_ref);
        Ok(rows.and_then(|rows| rows.get(row)).map(|&row| row as usize))
    }
}

//! The contract of an aggregate kernel.

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use thalweg_stream::RowKind;
use thalweg_stream::error::Result;

use super::input::Input;

/// State of one aggregate call, for many slots.
pub(crate) trait Accumulator: Send {
    /// Makes room for slots below `slots`; new ones are empty.
    fn resize(&mut self, slots: usize);

    /// Empties slots.
    fn clear(&mut self, slots: &[u32]);

    /// Decodes the argument of a batch, once.
    fn prepare(&self, argument: &ArrayRef) -> Result<Input>;

    /// Takes rows.
    fn update(&mut self, rows: &Update<'_>) -> Result<()>;

    /// Adds the state of slot `from[i]` to that of `into[i]`. No slot is in both lists;
    /// in `into` one may stand several times.
    fn merge(&mut self, from: &[u32], into: &[u32]);

    /// The result of each of these slots.
    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef>;

    /// Types of the columns of [`Accumulator::export`].
    fn state_types(&self) -> Vec<DataType>;

    /// The state of each of these slots. Changes nothing.
    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>>;

    /// Adds exported state, row `i` to slot `slots[i]`. The columns have the types of
    /// [`Accumulator::state_types`].
    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()>;

    /// Bytes held, about.
    fn memory_bytes(&self) -> usize;
}

/// Rows for an accumulator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'a> {
    /// The argument, of the whole batch.
    pub(crate) input: &'a Input,
    /// Rows of the batch that count, if not all do.
    pub(crate) counts: Option<&'a BooleanBuffer>,
    /// Kinds of the rows of the batch, if not all are inserts.
    pub(crate) kinds: Option<&'a [RowKind]>,
    /// Row of the batch to which `slots[0]` belongs.
    pub(crate) first_row: usize,
    /// Slot of each row.
    pub(crate) slots: &'a [u32],
    /// Place in the order of arrival of row 0 of the batch; later ones follow.
    pub(crate) arrival: u64,
}

impl Update<'_> {
    /// Calls with slot, row of the batch and sign (1 or -1) of each row that counts.
    #[inline]
    pub(crate) fn for_each(&self, mut body: impl FnMut(usize, usize, i64)) {
        let rows = self.slots.iter().zip(self.first_row..);
        match (self.counts, self.kinds) {
            (None, None) => {
                for (&slot, row) in rows {
                    body(slot as usize, row, 1);
                }
            }
            (Some(counts), None) => {
                for (&slot, row) in rows {
                    if counts.value(row) {
                        body(slot as usize, row, 1);
                    }
                }
            }
            (counts, Some(kinds)) => {
                for (&slot, row) in rows {
                    if counts.is_none_or(|counts| counts.value(row)) {
                        body(slot as usize, row, kinds[row].sign());
                    }
                }
            }
        }
    }
}

/// Pairs of slots to merge.
pub(super) fn pairs<'a>(
    from: &'a [u32],
    into: &'a [u32],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    from.iter().zip(into).map(|(&from, &into)| (from as usize, into as usize))
}

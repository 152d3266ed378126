//! The fold: an epoch's changes, brought together by key.
//!
//! Changes of one key keep their order; keys come out in theirs. What a key's changes
//! amount to depends on what the view holds of it, so the version asks for it key by
//! key while it walks its leaves.

use thalweg_stream::change_batch::ChangeBatch;
use thalweg_stream::error::Result;
use thalweg_stream::{RowKind, StreamError};

use super::layout::{EncodedRows, Fold, Layout};

/// An epoch's changes, sorted by key.
pub(super) struct SortedChanges<'a> {
    layout: &'a Layout,
    batches: &'a [ChangeBatch],
    encoded: Vec<EncodedRows>,
    /// (batch, row), by key and then in the order given.
    order: Vec<(u32, u32)>,
}

/// A row that a view holds or shall hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Held<'a> {
    pub(super) row: &'a [u8],
    pub(super) count: u64,
}

impl<'a> SortedChanges<'a> {
    /// Checks, encodes and sorts.
    pub(super) fn new(layout: &'a Layout, batches: &'a [ChangeBatch]) -> Result<Self> {
        let mut encoded = Vec::with_capacity(batches.len());
        let mut order = Vec::with_capacity(batches.iter().map(ChangeBatch::num_rows).sum());
        for (number, batch) in batches.iter().enumerate() {
            layout.check(&batch.rows)?;
            check_nulls(layout, batch)?;
            let rows = layout.encode(&batch.rows)?;
            order.extend((0..rows.len()).map(|row| (number as u32, row as u32)));
            encoded.push(rows);
        }
        let mut changes = Self { layout, batches, encoded, order };
        let mut order = std::mem::take(&mut changes.order);
        order.sort_by(|&a, &b| changes.key_of(a).cmp(changes.key_of(b)));
        changes.order = order;
        Ok(changes)
    }

    /// Number of changes.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn key_of(&self, (batch, row): (u32, u32)) -> &[u8] {
        let rows = &self.encoded[batch as usize];
        &rows.row(row as usize)[..rows.key_length(row as usize)]
    }

    /// Refuses rows of which one replaces another: those of a snapshot are all there.
    pub(super) fn check_unique(&self) -> Result<()> {
        let twice = (1..self.len())
            .find(|&at| self.layout.fold == Fold::Upsert && self.key(at) == self.key(at - 1));
        twice.map_or(Ok(()), |at| {
            let row = self.layout.describe(self.change(at).0);
            Err(StreamError::Incompatible(format!("two rows have the key of {row}")))
        })
    }

    /// Key of the change at this place.
    pub(super) fn key(&self, at: usize) -> &[u8] {
        self.key_of(self.order[at])
    }

    /// Number after the last change that has the key of the one at `start`.
    pub(super) fn end_of_key(&self, start: usize) -> usize {
        let key = self.key(start);
        start + self.order[start..].iter().take_while(|&&at| self.key_of(at) == key).count()
    }

    /// What a key's changes, `start..end`, make of what the view holds of it.
    pub(super) fn apply<'b>(
        &'b self,
        start: usize,
        end: usize,
        held: Option<Held<'b>>,
    ) -> Result<Option<Held<'b>>> {
        match self.layout.fold {
            Fold::Multiset => self.add_up(start, end, held),
            Fold::Upsert => self.replace(start, end, held),
        }
    }

    fn change(&self, at: usize) -> (&[u8], RowKind) {
        let (batch, row) = self.order[at];
        let kind = self.batches[batch as usize].kind(row as usize);
        (self.encoded[batch as usize].row(row as usize), kind)
    }

    /// The epoch counts as a whole: a retraction may stand before its addition.
    fn add_up<'b>(
        &'b self,
        start: usize,
        end: usize,
        held: Option<Held<'b>>,
    ) -> Result<Option<Held<'b>>> {
        let change: i128 = (start..end).map(|at| i128::from(self.change(at).1.sign())).sum();
        let (row, kind) = self.change(end - 1);
        let before = held.map_or(0, |held| held.count);
        let after = i128::from(before) + change;
        let count = u64::try_from(after).map_err(|_| {
            StreamError::Invalid(format!(
                "{} takes away row {} {} times more often than the view holds it ({before})",
                kind.short(),
                self.layout.describe(row),
                -after,
            ))
        })?;
        Ok((count > 0).then_some(Held { row, count }))
    }

    fn replace<'b>(
        &'b self,
        start: usize,
        end: usize,
        held: Option<Held<'b>>,
    ) -> Result<Option<Held<'b>>> {
        let mut held = held;
        for at in start..end {
            let (row, kind) = self.change(at);
            held = match (kind.is_addition(), held) {
                (true, _) => Some(Held { row, count: 1 }),
                (false, Some(current)) if current.row == row || self.is_key_delete(at) => None,
                (false, current) => return Err(self.misfit(row, kind, current)),
            };
        }
        Ok(held)
    }

    fn is_key_delete(&self, at: usize) -> bool {
        let (batch, row) = self.order[at];
        let batch = &self.batches[batch as usize];
        batch.kind(row as usize) == RowKind::Delete
            && self.layout.is_key_only(&batch.rows, row as usize)
    }

    fn misfit(&self, row: &[u8], kind: RowKind, current: Option<Held<'_>>) -> StreamError {
        let holds = current.map_or_else(
            || "no row of this key".to_owned(),
            |current| self.layout.describe(current.row),
        );
        StreamError::Invalid(format!(
            "{} takes away row {}, but the view holds {holds}",
            kind.short(),
            self.layout.describe(row),
        ))
    }
}

/// Refuses added nulls in columns that are declared without, which no reader could be
/// given.
fn check_nulls(layout: &Layout, batch: &ChangeBatch) -> Result<()> {
    for (field, array) in layout.schema.fields().iter().zip(batch.rows.columns()) {
        if field.is_nullable() || array.null_count() == 0 {
            continue;
        }
        let added =
            (0..batch.num_rows()).any(|row| array.is_null(row) && batch.kind(row).is_addition());
        if added {
            return Err(StreamError::Invalid(format!(
                "null in column \"{}\" of the view, which is declared NOT NULL",
                field.name()
            )));
        }
    }
    Ok(())
}

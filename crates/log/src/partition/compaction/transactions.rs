//! What compaction may do to the batches of transactions.
//!
//! The data of an aborted transaction goes at once. A marker stays as long as a batch of
//! its transaction was seen before it, and then for as long as a tombstone: a reader that
//! is within the transaction must learn how it ended (KIP-98, KIP-534).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{BatchHeader, ControlKind};

use crate::segment::aborted::Aborted;

/// The transactions of a walk over the log, in the order of offsets.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted ones that begin later, by first offset.
    coming: VecDeque<Aborted>,
    /// Aborted ones under way, by producer, and what was seen of them.
    aborted: BTreeMap<i64, (Aborted, Seen)>,
    /// Producers of which a batch of a committed transaction was seen.
    committed: BTreeSet<i64>,
}

/// What a walk has seen of an aborted transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Nothing,
    /// Batches all of which go.
    Going,
    /// A batch of which the header stays.
    Staying,
}

/// What may become of a marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marker {
    /// Nothing of its transaction is left.
    pub(super) alone: bool,
    /// The aborted transaction that it ends, where something of it was seen.
    pub(super) ends: Option<Aborted>,
    /// Nothing of its transaction will be left once this walk is over.
    pub(super) alone_next: bool,
}

impl Marker {
    const ALONE: Self = Self { alone: true, ends: None, alone_next: false };
}

impl Transactions {
    /// Adds the aborted transactions that reach into the range that is walked next, by
    /// first offset. Those that began before it may be known already.
    pub(super) fn extend(&mut self, list: Vec<Aborted>) {
        let under_way = &self.aborted;
        let is_known = |found: &Aborted| {
            under_way.get(&found.producer).is_some_and(|(known, _)| known.last == found.last)
        };
        let new = list.into_iter().filter(|found| !is_known(found));
        self.coming = new.collect(); // Whatever came before has begun by now.
    }

    /// Takes in a batch of data, of which the header stays or not whatever becomes of its
    /// records; returns whether its transaction was aborted.
    pub(super) fn on_data(&mut self, header: &BatchHeader, header_stays: bool) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, seen)) => {
                if header_stays || *seen == Seen::Staying {
                    *seen = Seen::Staying;
                } else {
                    *seen = Seen::Going;
                }
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Takes in a marker.
    pub(super) fn on_marker(&mut self, header: &BatchHeader, kind: ControlKind) -> Marker {
        self.begin_up_to(header.last_offset());
        match kind {
            ControlKind::Abort => match self.aborted.remove(&header.producer_id) {
                None | Some((_, Seen::Nothing)) => Marker::ALONE,
                Some((transaction, seen)) => Marker {
                    alone: false,
                    ends: Some(transaction),
                    alone_next: seen == Seen::Going,
                },
            },
            ControlKind::Commit if self.committed.remove(&header.producer_id) => {
                Marker { alone: false, ends: None, alone_next: false }
            }
            ControlKind::Commit => Marker::ALONE,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(next) = self.coming.pop_front_if(|next| next.first <= offset) {
            self.aborted.insert(next.producer, (next, Seen::Nothing));
        }
    }
}

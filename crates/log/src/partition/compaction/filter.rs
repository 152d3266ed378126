//! What of a batch stays: the rules of compaction, without a disk.
//!
//! - Of each key the newest record stays; records behind what the map covers stay.
//! - A tombstone stays until its delete horizon, which the first compaction that finds it
//!   sets.
//! - Records without a key go: there is nothing by which they could be compacted.
//! - The last batch of each remembered producer stays, if only as a header, so that the
//!   producer's state can be rebuilt from the log; so does the last batch of a segment,
//!   so that readers get to its end.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::ProducerPosition;
use thalweg_core::record_batch::{
    BatchError, BatchHeader, DecompressionLimits, EndMarker, Record, RecordBatch, Retained,
};
use thalweg_core::time::Millis;

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::segment::aborted::Aborted;

/// What becomes of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It goes.
    Gone,
    /// It stays as it is.
    Same,
    /// This comes in its place.
    New(Bytes),
}

/// What compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Records that went.
    pub(super) removed: u64,
    /// Of these, those without a key.
    pub(super) keyless: u64,
    /// Batches that cannot be decoded and so stay.
    pub(super) opaque: u64,
    /// The earliest time at which more may go.
    pub(super) next_horizon: Option<Millis>,
}

/// The rules, and what they need to know.
pub(super) struct Filter<'a> {
    /// The newest offset of each key.
    pub(super) map: &'a OffsetMap,
    /// The map covers what stands before this offset.
    pub(super) end: Offset,
    pub(super) now: Millis,
    /// How long tombstones and markers stay.
    pub(super) delete_retention_ms: i64,
    /// Producers that are remembered.
    pub(super) producers: BTreeMap<i64, ProducerPosition>,
    pub(super) transactions: Transactions,
    pub(super) tally: Tally,
    scratch: Vec<u8>,
    keep: Vec<bool>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(
        map: &'a OffsetMap,
        end: Offset,
        now: Millis,
        delete_retention_ms: i64,
        producers: BTreeMap<i64, ProducerPosition>,
    ) -> Self {
        Self {
            map,
            end,
            now,
            delete_retention_ms,
            producers,
            transactions: Transactions::default(),
            tally: Tally::default(),
            scratch: Vec::new(),
            keep: Vec::new(),
        }
    }

    /// Decides on a batch of data; `is_last` says that it is the last of its segment.
    pub(super) fn data(&mut self, batch: &RecordBatch<'_>, is_last: bool) -> Fate {
        let header = batch.header();
        let header_stays = is_last || self.is_last_of_producer(header);
        let aborted = self.transactions.on_data(header, header_stays);
        if aborted {
            self.tally.removed += header.record_count as u64;
            return without_records(header, header_stays);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let fate = self.records(batch, &mut scratch, header_stays);
        self.scratch = scratch;
        fate.unwrap_or_else(|_| {
            // As a producer sent it, and nobody can say what is in it.
            self.tally.opaque += 1;
            Fate::Same
        })
    }

    fn records(
        &mut self,
        batch: &RecordBatch<'_>,
        scratch: &mut Vec<u8>,
        header_stays: bool,
    ) -> Result<Fate, BatchError> {
        let header = batch.header();
        let limits = DecompressionLimits::default();
        let mut keep = std::mem::take(&mut self.keep);
        keep.clear();
        let (mut tombstones, mut keyless) = (false, 0);
        for record in batch.records(scratch, &limits)? {
            let record = record?;
            let stays = self.stays(&record, header.delete_horizon());
            tombstones |= stays && record.value.is_none();
            keyless += u64::from(!stays && record.key.is_none());
            keep.push(stays);
        }
        let kept = keep.iter().filter(|stays| **stays).count();
        let removed = (keep.len() - kept) as u64;
        let begins =
            tombstones && header.delete_horizon().is_none() && header.last_offset() < self.end;
        let fate = if kept == 0 {
            without_records(header, header_stays)
        } else if removed == 0 && !begins {
            Fate::Same
        } else {
            let horizon = if begins { Some(self.horizon()) } else { header.delete_horizon() };
            let mut retained = Retained::new(header, horizon);
            for (record, _) in
                batch.records(scratch, &limits)?.zip(&keep).filter(|(_, keep)| **keep)
            {
                retained.push(&record?)?;
            }
            Fate::New(retained.build()?)
        };
        self.keep = keep;
        self.tally.removed += removed;
        self.tally.keyless += keyless;
        if tombstones {
            let horizon = if begins { Some(self.horizon()) } else { header.delete_horizon() };
            self.note_horizon(horizon);
        }
        Ok(fate)
    }

    fn stays(&self, record: &Record<'_>, horizon: Option<Millis>) -> bool {
        if record.offset >= self.end {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_newest = self.map.get(key).is_none_or(|newest| newest <= record.offset);
        is_newest && (record.value.is_some() || horizon.is_none_or(|horizon| self.now < horizon))
    }

    /// Decides on a control batch, with the marker that is in it; also returns the aborted
    /// transaction that readers must still hear of.
    pub(super) fn control(
        &mut self,
        batch: &RecordBatch<'_>,
        marker: Option<EndMarker>,
        is_last: bool,
    ) -> (Fate, Option<Aborted>) {
        let header = batch.header();
        let header_stays = is_last || self.is_last_of_producer(header);
        if header.record_count == 0 {
            return (without_records(header, header_stays), None);
        }
        let Some(marker) = marker else { return (Fate::Same, None) };
        let marker = self.transactions.on_marker(header, marker.kind);
        let horizon = header.delete_horizon();
        if marker.alone_next {
            self.note_horizon(Some(self.horizon())); // Its records have just gone.
        }
        let fate = match horizon {
            _ if !marker.alone => Fate::Same,
            Some(horizon) if horizon <= self.now => {
                self.tally.removed += 1;
                without_records(header, header_stays)
            }
            Some(_) => {
                self.note_horizon(horizon);
                Fate::Same
            }
            None => {
                let horizon = Some(self.horizon());
                self.note_horizon(horizon);
                with_horizon(batch, horizon).map_or(Fate::Same, Fate::New)
            }
        };
        (fate, marker.ends)
    }

    fn horizon(&self) -> Millis {
        self.now.saturating_add(self.delete_retention_ms)
    }

    fn note_horizon(&mut self, horizon: Option<Millis>) {
        let before = self.tally.next_horizon;
        self.tally.next_horizon = before.into_iter().chain(horizon).min();
    }

    /// Whether the producer's state follows from this batch: its last data, or where its
    /// epoch has none, the marker that began the epoch.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(position) = self.producers.get(&header.producer_id) else { return false };
        if position.last_offset >= 0 {
            header.last_offset() == position.last_offset
        } else {
            header.attributes.is_control() && header.producer_epoch == position.epoch
        }
    }
}

fn without_records(header: &BatchHeader, header_stays: bool) -> Fate {
    match header_stays {
        false => Fate::Gone,
        true if header.record_count == 0 => Fate::Same,
        true => Retained::new(header, None).build().map_or(Fate::Same, Fate::New),
    }
}

fn with_horizon(batch: &RecordBatch<'_>, horizon: Option<Millis>) -> Result<Bytes, BatchError> {
    let mut retained = Retained::new(batch.header(), horizon);
    for record in batch.records(&mut Vec::new(), &DecompressionLimits::default())? {
        retained.push(&record?)?;
    }
    retained.build()
}

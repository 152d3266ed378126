//! A partition as a plain list of batches, and what follows from it.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{self, BatchHeader, ControlKind, RecordBatch};
use thalweg_core::time::Millis;

/// A batch as the log should store it.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
    /// How it ends its producer's transaction, if it does.
    pub(super) ends: Option<ControlKind>,
    /// When it was appended.
    pub(super) at: Millis,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Of no transaction, or of one that was committed.
    Valid,
    Aborted,
    /// Of a transaction under way.
    Open,
    /// A marker.
    Marker,
}

/// What a partition should hold.
#[derive(Default)]
pub(super) struct PartitionModel {
    /// Everything appended, oldest first; beyond `acked` it may be lost.
    pub(super) batches: Vec<Written>,
    pub(super) acked: Offset,
    pub(super) start: Offset,
    /// Next sequence and epoch of each producer.
    pub(super) sequences: BTreeMap<i64, (i16, i32)>,
}

impl PartitionModel {
    pub(super) fn end(&self) -> Offset {
        self.batches.last().map_or(0, |batch| batch.header.next_offset())
    }

    /// The last batches that a producer is remembered by, the newest first.
    pub(super) fn last_of(&self, producer: i64) -> Vec<&Written> {
        let Some((epoch, _)) = self.sequences.get(&producer) else { return Vec::new() };
        let own = |batch: &&Written| {
            let header = &batch.header;
            header.producer_id == producer
                && header.producer_epoch == *epoch
                && !header.attributes.is_control()
        };
        self.batches.iter().rev().filter(own).take(5).collect()
    }

    /// Sequences as they follow from the batches that are left.
    pub(super) fn recount(&mut self) {
        self.sequences.clear();
        for batch in &self.batches {
            count(&mut self.sequences, &batch.header);
        }
    }

    /// What became of each batch.
    pub(super) fn fates(&self) -> Vec<Fate> {
        let mut fates = Vec::with_capacity(self.batches.len());
        let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (index, Written { header, ends, .. }) in self.batches.iter().enumerate() {
            fates.push(match ends {
                Some(_) => Fate::Marker,
                None if header.attributes.is_transactional() => {
                    open.entry(header.producer_id).or_default().push(index);
                    Fate::Open
                }
                None => Fate::Valid,
            });
            if let Some(kind) = ends {
                let fate = match kind {
                    ControlKind::Abort => Fate::Aborted,
                    ControlKind::Commit => Fate::Valid,
                };
                for own in open.remove(&header.producer_id).unwrap_or_default() {
                    fates[own] = fate;
                }
            }
        }
        fates
    }

    /// First offset of each transaction under way, and the first that was not deleted.
    pub(super) fn open(&self) -> BTreeMap<i64, (Offset, Option<Offset>)> {
        let mut open: BTreeMap<i64, (Offset, Option<Offset>)> = BTreeMap::new();
        let all = self.batches.iter().zip(self.fates()).filter(|(_, fate)| *fate == Fate::Open);
        for (Written { header, .. }, _) in all {
            let offset = header.base_offset;
            let (_, left) = open.entry(header.producer_id).or_insert((offset, None));
            if offset >= self.start && left.is_none() {
                *left = Some(offset);
            }
        }
        open
    }
}

fn count(sequences: &mut BTreeMap<i64, (i16, i32)>, header: &BatchHeader) {
    if !header.has_producer() {
        return;
    }
    if !header.attributes.is_control() {
        let next = record_batch::last_sequence_of(header.last_sequence(), 1);
        sequences.insert(header.producer_id, (header.producer_epoch, next));
        return;
    }
    let known = sequences.entry(header.producer_id).or_insert((header.producer_epoch, 0));
    if known.0 != header.producer_epoch {
        *known = (header.producer_epoch, 0);
    }
}

/// Adds a batch at the end, with the offset that it should get.
pub(super) fn push(model: &mut PartitionModel, bytes: &Bytes, at: Millis) {
    let mut stored = bytes.to_vec();
    record_batch::set_base_offset(&mut stored, model.end());
    record_batch::set_leader_epoch(&mut stored, 0);
    let header = BatchHeader::parse(&stored).unwrap();
    count(&mut model.sequences, &header);
    let ends = header.attributes.is_control().then(|| {
        let mut scratch = Vec::new();
        let batch = RecordBatch::parse(&stored).unwrap();
        let record = batch.records(&mut scratch, &Default::default()).unwrap().next();
        record_batch::parse_control_record(&record.unwrap().unwrap()).unwrap().unwrap()
    });
    model.batches.push(Written { header, bytes: stored.into(), ends, at });
}

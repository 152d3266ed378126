//! A partition as a plain list of batches, and its comparison with a real one.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::PartitionLog;
use thalweg_core::record_batch::{self, BatchHeader};

use crate::support::read_from;

/// A batch as the log should store it.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
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

    pub(super) fn last_of(&self, producer: i64) -> Vec<&Written> {
        let own = |batch: &&Written| batch.header.producer_id == producer;
        let mut last: Vec<_> = self.batches.iter().rev().filter(own).take(5).collect();
        let epoch = last.first().map(|batch| batch.header.producer_epoch);
        last.retain(|batch| Some(batch.header.producer_epoch) == epoch);
        last
    }

    /// Sequences as they follow from the batches that are left.
    pub(super) fn recount(&mut self) {
        self.sequences.clear();
        for Written { header, .. } in &self.batches {
            if header.has_producer() {
                let next = record_batch::last_sequence_of(header.last_sequence(), 1);
                self.sequences.insert(header.producer_id, (header.producer_epoch, next));
            }
        }
    }
}

/// Adds a batch at the end, with the offset that it should get.
pub(super) fn push(model: &mut PartitionModel, bytes: &Bytes) {
    let mut stored = bytes.to_vec();
    record_batch::set_base_offset(&mut stored, model.end());
    record_batch::set_leader_epoch(&mut stored, 0);
    let header = BatchHeader::parse(&stored).unwrap();
    if header.has_producer() {
        let next = record_batch::last_sequence_of(header.last_sequence(), 1);
        model.sequences.insert(header.producer_id, (header.producer_epoch, next));
    }
    model.batches.push(Written { header, bytes: stored.into() });
}

/// Compares a partition just opened with its model, which then forgets what is lost.
pub(super) fn check_partition(
    partition: &dyn PartitionLog,
    model: &mut PartitionModel,
    max_bytes: usize,
) {
    let name = partition.name();
    let offsets = partition.offsets();
    assert!(offsets.start >= model.start, "{name}: the log start went back");
    assert!(offsets.start <= model.acked.max(model.start), "{name}: start beyond the durable");
    model.start = offsets.start;
    assert_eq!(offsets.high_watermark, offsets.end, "{name}");
    assert!(
        offsets.end >= model.acked,
        "{name}: {} was acknowledged, the log ends at {}",
        model.acked,
        offsets.end
    );
    let kept = model.batches.partition_point(|batch| batch.header.base_offset < offsets.end);
    model.batches.truncate(kept);
    assert_eq!(model.end(), offsets.end, "{name}: the end is not that of a batch");
    let first = model.batches.partition_point(|batch| batch.header.base_offset < model.start);
    let found = read_from(partition, model.start, max_bytes).unwrap();
    let expected: Vec<_> = model.batches[first..]
        .iter()
        .map(|batch| (batch.header.base_offset, batch.bytes.clone()))
        .collect();
    assert_eq!(found.len(), expected.len(), "{name}: number of batches");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{name}: a batch has changed");
    }
    model.acked = offsets.end;
    model.recount();
    for producer in model.sequences.keys() {
        let last = model.last_of(*producer)[0].header;
        if last.base_offset < model.start {
            continue;
        }
        let position = partition.producer(ProducerId(*producer)).expect("a producer was forgotten");
        assert_eq!(
            (position.epoch, position.last_sequence, position.last_offset),
            (last.producer_epoch, last.last_sequence(), last.last_offset()),
            "{name}: producer {producer}"
        );
    }
}

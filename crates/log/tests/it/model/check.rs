//! The comparison of a partition with its model.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::{AbortedTransaction, PartitionLog};
use thalweg_core::record_batch::{BatchHeader, RecordBatch};
use thalweg_core::time::Millis;

use super::partition::{Fate, PartitionModel};
use crate::support::read_from;

/// How the topic is compacted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compacted {
    /// `delete.retention.ms`.
    pub(super) delete_retention_ms: i64,
}

/// A record: its key, its value, its timestamp.
type Contents = (Option<Vec<u8>>, Option<Vec<u8>>, Millis);

/// Compares a partition just opened with its model, which then forgets what is lost.
pub(super) fn check_opened(
    partition: &dyn PartitionLog,
    model: &mut PartitionModel,
    compacted: Option<Compacted>,
    max_bytes: usize,
    now: Millis,
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
    model.acked = offsets.end;
    model.recount();
    check_contents(partition, model, compacted, max_bytes, now);
    check_producers(partition, model);
    check_transactions(partition, model);
}

/// What is in the log, batch by batch, or record by record where it is compacted.
pub(super) fn check_contents(
    partition: &dyn PartitionLog,
    model: &PartitionModel,
    compacted: Option<Compacted>,
    max_bytes: usize,
    now: Millis,
) {
    let name = partition.name();
    let (start, end) = (model.start, partition.offsets().high_watermark);
    let found = read_from(partition, start, max_bytes).unwrap();
    let next = found.last().map_or(start, |(_, bytes)| header(bytes).next_offset());
    assert_eq!(next, end.max(start), "{name}: reading does not get to the end");
    if let Some(compacted) = compacted {
        return check_compacted(partition, model, &found, compacted, now);
    }
    let first = model.batches.partition_point(|batch| batch.header.next_offset() <= start);
    let last = model.batches.partition_point(|batch| batch.header.base_offset < end);
    let expected: Vec<_> = model.batches[first..last.max(first)]
        .iter()
        .map(|batch| (batch.header.base_offset, batch.bytes.clone()))
        .collect();
    assert_eq!(found.len(), expected.len(), "{name}: number of batches");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{name}: a batch has changed");
    }
}

fn header(bytes: &[u8]) -> BatchHeader {
    BatchHeader::parse(bytes).unwrap()
}

/// The records of a batch by offset.
pub(super) fn contents(bytes: &[u8]) -> BTreeMap<Offset, Contents> {
    let mut scratch = Vec::new();
    let batch = RecordBatch::parse(bytes).unwrap();
    batch.verify_crc().unwrap();
    let records = batch.records(&mut scratch, &Default::default()).unwrap().map(Result::unwrap);
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    records.map(|r| (r.offset, (own(r.key), own(r.value), r.timestamp))).collect()
}

/// Each record that is there is one that was written; each that is not may be gone.
fn check_compacted(
    partition: &dyn PartitionLog,
    model: &PartitionModel,
    found: &[(Offset, Bytes)],
    compacted: Compacted,
    now: Millis,
) {
    let name = partition.name();
    let mut there = BTreeMap::new();
    let mut next = 0;
    for (base, bytes) in found {
        assert!(*base >= next, "{name}: offset {base} behind {next}");
        next = header(bytes).next_offset();
        there.extend(contents(bytes));
    }
    // From the newest to the oldest: what is newer by key is known then.
    let mut newer: BTreeMap<Option<Vec<u8>>, Offset> = BTreeMap::new();
    let end = partition.offsets().high_watermark;
    for (batch, fate) in model.batches.iter().zip(model.fates()).rev() {
        if batch.header.base_offset >= end {
            continue;
        }
        for (offset, expected) in contents(&batch.bytes).into_iter().rev() {
            let key = expected.0.clone();
            let superseded = newer.contains_key(&key);
            if fate == Fate::Valid {
                newer.entry(key).or_insert(offset);
            }
            if let Some(found) = there.remove(&offset) {
                assert_eq!(found, expected, "{name}: the record at {offset} has changed");
                continue;
            }
            let tombstone_expired =
                expected.1.is_none() && now >= batch.at + compacted.delete_retention_ms;
            let may_be_gone = offset < model.start
                || superseded
                || match fate {
                    Fate::Aborted | Fate::Marker => true,
                    Fate::Valid => tombstone_expired,
                    Fate::Open => false,
                };
            assert!(may_be_gone, "{name}: the record at {offset}, {fate:?}, is gone: {expected:?}");
        }
    }
    assert_eq!(there, BTreeMap::new(), "{name}: records that nobody wrote");
}

fn check_producers(partition: &dyn PartitionLog, model: &PartitionModel) {
    let name = partition.name();
    for (producer, (epoch, _)) in &model.sequences {
        let newest = model.last_of(*producer);
        let last = newest.first().map(|batch| batch.header);
        let of_producer =
            model.batches.iter().rev().find(|batch| batch.header.producer_id == *producer);
        if of_producer.is_none_or(|batch| batch.header.base_offset < model.start)
            || last.is_some_and(|last| last.base_offset < model.start)
        {
            continue; // It may be remembered, or not.
        }
        let position = partition.producer(ProducerId(*producer)).expect("a producer was forgotten");
        assert_eq!(
            (position.epoch, position.last_sequence, position.last_offset),
            last.map_or((*epoch, -1, -1), |last| {
                (last.producer_epoch, last.last_sequence(), last.last_offset())
            }),
            "{name}: producer {producer}"
        );
    }
}

/// The last stable offset, and what readers of committed records are told to leave out.
pub(super) fn check_transactions(partition: &dyn PartitionLog, model: &PartitionModel) {
    let name = partition.name();
    let offsets = partition.offsets();
    let open = model.open();
    // Where the first records of a transaction were deleted, it may count from what is left.
    let firsts = open.values().map(|(first, _)| *first);
    let lowest = firsts.min().unwrap_or(offsets.high_watermark);
    let lefts = open.values().map(|(first, left)| left.unwrap_or((*first).max(offsets.end)));
    let highest = lefts.min().unwrap_or(offsets.high_watermark).min(offsets.high_watermark);
    let stable = offsets.last_stable;
    let (lowest, highest) = (lowest.max(offsets.start), highest.max(offsets.start));
    assert!(
        (lowest..=highest).contains(&stable),
        "{name}: {stable} is not in {lowest}..={highest}"
    );
    let aborted = partition.aborted(offsets.start, stable).unwrap();
    assert!(aborted.is_sorted_by_key(|found| found.first_offset));
    let covered = |header: &BatchHeader| {
        aborted.iter().any(|found: &AbortedTransaction| found.covers(header))
    };
    let readable = read_from(partition, offsets.start, 4000).unwrap();
    let there: BTreeMap<Offset, BatchHeader> =
        readable.iter().map(|(base, bytes)| (*base, header(bytes))).collect();
    for (batch, fate) in model.batches.iter().zip(model.fates()) {
        let base = batch.header.base_offset;
        let Some(found) = there.get(&base).filter(|found| found.record_count > 0) else { continue };
        // A batch that begins before the log start may be of a transaction that is not
        // known any more: none of its records is read but those behind.
        if base >= stable || base < offsets.start || fate == Fate::Marker {
            continue;
        }
        assert_eq!(covered(found), fate == Fate::Aborted, "{name}: batch {base} is {fate:?}");
    }
}

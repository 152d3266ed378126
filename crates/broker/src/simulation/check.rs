//! The comparison of what is there with what clients were told.

use std::collections::BTreeMap;

use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchHeader, ControlKind, RecordBatch, parse_control_record, split,
};

use super::client::{Services, TOPIC, group};
use super::history::{Counts, History};
use crate::transaction::State;

/// A value in the log, and how its transaction ended, if it has.
type Found = BTreeMap<i64, Option<ControlKind>>;

/// Every record of transactions, with what the markers say: found by reading all of it,
/// without the log's own lists.
fn values(partition: &dyn PartitionLog) -> Found {
    let mut found = Found::new();
    let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    each_batch(partition, |header, batch| {
        let mut scratch = Vec::new();
        let records = batch.records(&mut scratch, &Default::default()).expect("records");
        for record in records.map(|record| record.expect("a record")) {
            if header.attributes.is_control() {
                let kind = parse_control_record(&record).expect("a marker").expect("of an end");
                for value in open.remove(&header.producer_id).unwrap_or_default() {
                    found.insert(value, Some(kind));
                }
            } else {
                let value = record.value.and_then(|value| value.try_into().ok());
                let value = i64::from_be_bytes(value.expect("a value of ours"));
                assert_eq!(found.insert(value, None), None, "{value} is there twice");
                open.entry(header.producer_id).or_default().push(value);
            }
        }
    });
    found
}

fn each_batch(partition: &dyn PartitionLog, mut each: impl FnMut(&BatchHeader, &RecordBatch<'_>)) {
    let offsets = partition.offsets();
    let mut next: Offset = offsets.start;
    while next < offsets.high_watermark {
        let bytes = partition.read(next, 4_000, Isolation::ReadUncommitted).expect("a read");
        for batch in split(&bytes) {
            let batch = batch.expect("a batch");
            each(batch.header(), &batch);
            next = batch.header().next_offset();
        }
    }
}

/// Records against what was acknowledged. All markers that can be written are.
pub(super) fn check_records(services: &Services, history: &mut History) {
    let partitions = services.log.topic(TOPIC).expect("the topic").partitions;
    let mut found = Found::new();
    for number in 0..partitions {
        found.extend(values(&*services.log.partition(TOPIC, number).expect("a partition")));
    }
    for number in 0..history.transactions.len() {
        let transaction = &history.transactions[number];
        let mut ends = Vec::new();
        for (value, acknowledged) in &transaction.records {
            match found.remove(value) {
                Some(end) => ends.push(end),
                None => assert!(!acknowledged, "record {value} of {number} is lost"),
            }
        }
        let Some(first) = ends.first().copied() else { continue };
        assert!(ends.iter().all(|end| *end == first), "{number} is in halves: {ends:?}");
        match first {
            Some(outcome) => history.ended(number, outcome),
            None => assert_eq!(transaction.ended, None, "{number} is open again"),
        }
    }
    assert_eq!(found, Found::new(), "records that nobody wrote");
}

/// Committed offsets against what was acknowledged.
pub(super) fn check_offsets(services: &Services, history: &mut History) {
    let keys: Vec<_> = history.writes.keys().copied().collect();
    for key in keys {
        let there = offsets(services, key.0);
        let there = there.get(&TopicPartition::new(TOPIC, key.1)).copied();
        let writes = &history.writes[&key];
        let place = there.map(|offset| {
            let place = writes.iter().position(|write| write.value == offset);
            place.unwrap_or_else(|| panic!("{key:?}: nobody committed {offset}"))
        });
        let later = place.map_or(0, |place| place + 1);
        for write in &writes[later..] {
            let counts = history.counts(write);
            assert_ne!(counts, Counts::Always, "{key:?}: {there:?} is there, not {write:?}");
        }
        let Some(place) = place else { continue };
        let seen = &writes[place];
        assert_ne!(history.counts(seen), Counts::Never, "{key:?}: {seen:?} cannot be there");
        if let Some(number) = seen.transaction {
            history.ended(number, ControlKind::Commit);
        }
    }
}

/// What was not there after a crash cannot come any more, and what was there stays.
pub(super) fn forget_lost(services: &Services, history: &mut History) {
    for (key, writes) in &mut history.writes {
        let there = offsets(services, key.0);
        let there = there.get(&TopicPartition::new(TOPIC, key.1)).copied();
        let place = writes.iter().position(|write| Some(write.value) == there);
        if let Some(place) = place {
            writes[place].acknowledged = true;
        }
        for write in &mut writes[place.map_or(0, |place| place + 1)..] {
            write.lost = true;
        }
    }
}

/// Offsets that a group has committed.
pub(super) fn offsets(services: &Services, number: usize) -> BTreeMap<TopicPartition, Offset> {
    let found = services.groups.describe(&group(number));
    let offsets = found.map(|found| found.offsets).unwrap_or_default();
    offsets.into_iter().map(|(at, committed)| (at, committed.offset)).collect()
}

/// Nothing is open whose time is over.
pub(super) fn check_timeouts(services: &Services) {
    let now = services.transactions.wall_ms();
    services.transactions.list(|known| {
        let deadline = known.started_at + i64::from(known.timeout_ms);
        let in_time = known.state != State::Ongoing || deadline > now;
        assert!(in_time, "open {} ms after its deadline: {known:?}", now - deadline);
        None::<()>
    });
}

/// Nothing is open at all, and readers of committed records see all there is.
pub(super) fn check_closed(services: &Services) {
    services.transactions.list(|known| {
        assert!(known.is_idle(), "not ended: {known:?}");
        None::<()>
    });
    for topic in services.log.topics() {
        for number in 0..topic.partitions {
            let partition = services.log.partition(&topic.name, number).expect("a partition");
            let offsets = partition.offsets();
            assert_eq!(offsets.last_stable, offsets.high_watermark, "{}", partition.name());
        }
    }
}

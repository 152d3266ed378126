//! Steps of a history beyond appends: transactions, compaction, deletion of records.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use thalweg_core::env::Random;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{LogStore, PartitionLog};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, control_batch,
};

use super::World;
use super::check::{Compacted, check_contents, check_transactions, contents};
use super::partition::Fate;
use crate::support::read_from;

/// Keys of a compacted topic.
const KEYS: usize = 7;
/// The first of the producers that use transactions.
const FIRST_TRANSACTIONAL: i64 = 10;
const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// Settings of a compacted topic.
    pub(super) fn compaction_settings(&self, config: &mut Vec<(String, String)>) -> Compacted {
        let policy = ["compact", "compact,delete"][self.pick(2)];
        let ratio = ["0", "0.3"][self.pick(2)];
        let delete_retention_ms = [0, 3_600_000, 86_400_000][self.pick(3)];
        let settings = [
            ("cleanup.policy", policy.to_owned()),
            ("min.cleanable.dirty.ratio", ratio.to_owned()),
            ("delete.retention.ms", delete_retention_ms.to_string()),
            ("retention.ms", "-1".to_owned()),
        ];
        config.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        Compacted { delete_retention_ms }
    }

    /// A batch of random records; with keys, some of them tombstones, where `keyed`.
    pub(super) fn fill(&self, mut builder: BatchBuilder, keyed: bool) -> Bytes {
        let time = 1 + self.random.below(1_000_000) as i64;
        for number in 0..1 + self.pick(4) {
            let fill = self.random.next_u64().to_le_bytes();
            let len = self.pick(if self.random.chance(100_000) { 1500 } else { 150 });
            let value: Vec<u8> = fill.iter().copied().cycle().take(8 + len).collect();
            let key = [self.pick(KEYS) as u8];
            let gone = keyed && self.random.chance(200_000);
            let record = NewRecord {
                timestamp: time + number as i64,
                key: keyed.then_some(&key[..]),
                value: (!gone).then_some(&value[..]),
                headers: &[],
            };
            builder.push(&record).unwrap();
        }
        builder.build().unwrap()
    }

    /// Writes a part of a transaction, or ends one.
    pub(super) fn transact(&mut self) {
        let Some(name) = self.some_topic() else { return };
        let topic = &self.topics[&name];
        let number = self.pick(topic.partitions.len());
        let model = &topic.partitions[number];
        let producer = FIRST_TRANSACTIONAL + self.random.below(3) as i64;
        let (epoch, sequence) = model.sequences.get(&producer).copied().unwrap_or((0, 0));
        let batch = if self.random.chance(650_000) {
            let builder = BatchBuilder::new(Compression::None);
            let builder = builder.producer(producer, epoch, sequence).transactional(true);
            self.fill(builder, topic.compacted.is_some())
        } else {
            let kind = [ControlKind::Abort, ControlKind::Commit][self.pick(2)];
            // With the next epoch, as KIP-890 has it, or with the same as before.
            let next = epoch + i16::from(self.random.chance(500_000));
            control_batch(kind, producer, next, 0, 1 + self.random.below(1_000_000) as i64).unwrap()
        };
        self.append_batches(name, number as i32, vec![batch]);
    }

    pub(super) fn delete_records(&mut self) {
        let Some(name) = self.some_topic() else { return };
        let number = self.pick(self.topics[&name].partitions.len());
        let partition = self.log().partition(&name, number as i32).unwrap();
        let offsets = partition.offsets();
        let span = (offsets.high_watermark - offsets.start) as usize + 1;
        // Rarely all of it: there must be something to look at.
        let bound = if self.random.chance(200_000) { span } else { span.div_ceil(3) };
        let before = offsets.start + self.pick(bound) as i64;
        let deleted = partition.delete_before(before);
        if let Some(start) = self.settle(deleted) {
            assert_eq!(start, before.max(offsets.start));
            assert_eq!(partition.offsets().start, start);
            let model = &mut self.topics.get_mut(&name).unwrap().partitions[number];
            model.start = start;
        }
    }

    pub(super) fn compact(&mut self) {
        self.log().compaction_step(self.now());
        if self.fatal.load(Ordering::SeqCst) || !self.powered() {
            return;
        }
        assert_eq!(self.log().alarms(), []);
        if !self.calm() {
            return;
        }
        for (name, topic) in &self.topics {
            for (number, model) in topic.partitions.iter().enumerate() {
                let partition = self.log().partition(name, number as i32).unwrap();
                let max_bytes = 1 + self.pick(5000);
                check_contents(&*partition, model, topic.compacted, max_bytes, self.now());
            }
        }
    }

    /// With nothing in its way, compaction leaves of each key one record, and none of what
    /// was aborted or is a tombstone.
    pub(super) fn compact_all(&mut self) {
        let compacted: Vec<(String, usize)> = self
            .topics
            .iter()
            .filter(|(_, topic)| topic.compacted.is_some())
            .flat_map(|(name, topic)| (0..topic.partitions.len()).map(|n| (name.clone(), n)))
            .collect();
        let mut ends = BTreeMap::new();
        for (name, number) in &compacted {
            let open = self.topics[name].partitions[*number].open();
            for producer in open.into_keys() {
                let (epoch, _) = self.topics[name].partitions[*number].sequences[&producer];
                let end = control_batch(ControlKind::Abort, producer, epoch, 0, 5).unwrap();
                self.append_batches(name.clone(), *number as i32, vec![end]);
            }
            ends.insert((name, number), self.topics[name].partitions[*number].end());
            // Too large for a segment with anything else: what is before gets full.
            for _ in 0..2 {
                let mut roll = BatchBuilder::new(Compression::None);
                let value = [1; 20_000];
                let record =
                    NewRecord { key: Some(b"roll"), value: Some(&value), ..NewRecord::default() };
                roll.push(&record).unwrap();
                let roll = roll.build().unwrap();
                self.append_batches(name.clone(), *number as i32, vec![roll]);
                self.commit();
            }
        }
        for _ in 0..4 {
            // More than one pass may have to run: the memory for keys is small.
            while self.log().compaction_step(self.now()) > 0 {}
            self.sim.clock.advance(25 * HOUR);
        }
        assert_eq!(self.log().alarms(), []);
        for ((name, number), end) in ends {
            let (topic, partition) = (&self.topics[name], *number as i32);
            let partition = self.log().partition(name, partition).unwrap();
            let model = &topic.partitions[*number];
            check_contents(&*partition, model, topic.compacted, 10_000, self.now());
            check_transactions(&*partition, model);
            check_compact(&*partition, model.fates(), model, end);
        }
    }
}

fn check_compact(
    partition: &dyn PartitionLog,
    fates: Vec<Fate>,
    model: &super::PartitionModel,
    end: Offset,
) {
    let name = partition.name();
    let fate_of = |offset: Offset| {
        let place = model.batches.partition_point(|b| b.header.next_offset() <= offset);
        fates[place]
    };
    let mut seen = BTreeMap::new();
    for (base, bytes) in read_from(partition, model.start, 10_000).unwrap() {
        // What is before the log start is never looked at again.
        let records = contents(&bytes);
        let records = records.into_iter().filter(|(at, _)| (model.start..end).contains(at));
        for (offset, (key, value, _)) in records {
            let fate = fate_of(offset);
            if fate == Fate::Marker {
                continue;
            }
            assert_eq!(fate, Fate::Valid, "{name}: record {offset} of batch {base}");
            assert!(value.is_some(), "{name}: tombstone {offset} is still there");
            let older = seen.insert(key, offset);
            assert_eq!(older, None, "{name}: superseded by {offset}");
        }
    }
}

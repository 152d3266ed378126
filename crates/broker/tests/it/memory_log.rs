//! A log in memory, for tests of the broker that want to decide what the log does:
//! when an append becomes durable, and when it fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use thalweg_core::ids::{Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::partition_log::{
    AbortedTransaction, Appended, DurableCallback, Isolation, LogError, LogOffsets, LogStore,
    PartitionLog, ProducerPosition, TopicMeta, Waker, Watch,
};
use thalweg_core::record_batch::{BatchError, RecordBatch, set_base_offset, split};
use thalweg_core::time::Millis;

/// All topics.
#[derive(Default)]
pub(crate) struct MemoryLog {
    topics: Mutex<BTreeMap<String, MemoryTopic>>,
    switches: Arc<Mutex<Switches>>,
    read: Arc<ReadBytes>,
}

/// Bytes that were read and are still held, now and at most.
#[derive(Default)]
pub(crate) struct ReadBytes {
    held: AtomicUsize,
    most: AtomicUsize,
}

/// What a read gave.
struct Tracked(Vec<u8>, Arc<ReadBytes>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.held.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

fn tracked(bytes: Vec<u8>, read: &Arc<ReadBytes>) -> Bytes {
    let held = read.held.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
    read.most.fetch_max(held, Ordering::Relaxed);
    Bytes::from_owner(Tracked(bytes, read.clone()))
}

type MemoryTopic = (TopicMeta, Vec<Arc<MemoryPartition>>);

/// What the log is told to do.
#[derive(Default)]
struct Switches {
    /// Appends do not become durable until this is lifted.
    held: bool,
    full: bool,
    /// Only appends to topics of this name fail for want of space.
    full_topic: Option<String>,
}

impl MemoryLog {
    /// Holds back durability, or lets it go on.
    pub(crate) fn hold(&self, held: bool) {
        self.switches.lock().held = held;
        if !held {
            for (_, partitions) in self.topics.lock().values() {
                partitions.iter().for_each(|partition| partition.make_durable());
            }
        }
    }

    /// Makes appends fail for want of space.
    pub(crate) fn fill_disk(&self, full: bool) {
        self.switches.lock().full = full;
    }

    /// Most bytes that readers held at a time.
    pub(crate) fn read_bytes_most(&self) -> usize {
        self.read.most.load(Ordering::Relaxed)
    }

    /// Makes appends to one topic fail for want of space, or none any more.
    pub(crate) fn fill_topic(&self, topic: Option<&str>) {
        self.switches.lock().full_topic = topic.map(str::to_owned);
    }

    /// From where on partition 0 of a topic is kept.
    pub(crate) fn pinned(&self, topic: &str) -> Offset {
        let topics = self.topics.lock();
        let pinned = topics[topic].1[0].state.lock().pinned;
        pinned.expect("a pin")
    }

    fn partitions(
        &self,
        name: &str,
        count: std::ops::Range<i32>,
        (id, config): (TopicId, &[(String, String)]),
    ) -> Vec<Arc<MemoryPartition>> {
        let limit = config.iter().find(|(name, _)| name == "max.message.bytes");
        let limit = limit.and_then(|(_, value)| value.parse().ok()).unwrap_or(1_048_588);
        count
            .map(|partition| {
                Arc::new(MemoryPartition {
                    id,
                    name: TopicPartition::new(name, partition),
                    limit,
                    read: self.read.clone(),
                    switches: self.switches.clone(),
                    state: Mutex::default(),
                })
            })
            .collect()
    }
}

struct MemoryPartition {
    id: TopicId,
    name: TopicPartition,
    limit: usize,
    read: Arc<ReadBytes>,
    switches: Arc<Mutex<Switches>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: Vec<(Offset, Offset, Bytes)>,
    end: Offset,
    durable: Offset,
    waiting: Vec<(Offset, DurableCallback)>,
    wakers: BTreeMap<u64, Waker>,
    last_waker: u64,
    pinned: Option<Offset>,
}

impl MemoryPartition {
    fn make_durable(&self) {
        let (ready, wakers) = {
            let mut state = self.state.lock();
            state.durable = state.end;
            let ready = std::mem::take(&mut state.waiting);
            (ready, state.wakers.values().cloned().collect::<Vec<_>>())
        };
        ready.into_iter().for_each(|(_, done)| done(Ok(())));
        wakers.iter().for_each(|wake| wake());
    }

    fn invalid(&self, detail: impl ToString) -> LogError {
        LogError::InvalidBatch { partition: self.name.clone(), detail: detail.to_string() }
    }

    fn wrong_checksum(&self, error: &BatchError) -> LogError {
        let BatchError::Checksum { expected, found } = *error else { return self.invalid(error) };
        LogError::Checksum { partition: self.name.clone(), expected, found }
    }

    fn records<T>(&self, mut each: impl FnMut(Offset, Millis) -> Option<T>) -> Option<T> {
        let state = self.state.lock();
        for (_, _, bytes) in &state.batches {
            for batch in split(bytes) {
                let mut scratch = Vec::new();
                let batch: RecordBatch<'_> = batch.expect("own batch");
                let records = batch.records(&mut scratch, &Default::default()).expect("records");
                for record in records {
                    let record = record.expect("record");
                    if let Some(found) = each(record.offset, record.timestamp) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }
}

impl PartitionLog for MemoryPartition {
    fn topic_id(&self) -> TopicId {
        self.id
    }

    fn name(&self) -> &TopicPartition {
        &self.name
    }

    fn offsets(&self) -> LogOffsets {
        let state = self.state.lock();
        let durable = state.durable;
        LogOffsets { start: 0, last_stable: durable, high_watermark: durable, end: state.end }
    }

    fn append(&self, batches: Bytes) -> Result<Appended, LogError> {
        let is_full = {
            let switches = self.switches.lock();
            switches.full || switches.full_topic.as_ref() == Some(&self.name.topic)
        };
        if is_full {
            let detail = "the test says so".into();
            return Err(LogError::StorageFull { partition: self.name.clone(), detail });
        }
        let mut state = self.state.lock();
        let base_offset = state.end;
        let mut added = Vec::new();
        let mut next = base_offset;
        for batch in split(&batches) {
            let batch = batch.map_err(|error| self.invalid(error))?;
            batch.verify_crc().map_err(|error| self.wrong_checksum(&error))?;
            let size = batch.header().size;
            if size > self.limit {
                let (partition, limit) = (self.name.clone(), self.limit);
                return Err(LogError::TooLarge { partition, size, limit });
            }
            let mut bytes = BytesMut::from(batch.bytes());
            set_base_offset(&mut bytes, next);
            let after = next + i64::from(batch.header().last_offset_delta) + 1;
            added.push((next, after, bytes.freeze()));
            next = after;
        }
        state.batches.extend(added);
        state.end = next;
        drop(state);
        if !self.switches.lock().held {
            self.make_durable();
        }
        let append_time = -1;
        Ok(Appended { base_offset, next_offset: next, append_time, log_start: 0, duplicate: false })
    }

    fn when_durable(&self, offset: Offset, done: DurableCallback) {
        let mut state = self.state.lock();
        if state.durable >= offset {
            drop(state);
            done(Ok(()));
        } else {
            state.waiting.push((offset, done));
        }
    }

    fn read(&self, from: Offset, max_bytes: usize, _: Isolation) -> Result<Bytes, LogError> {
        let state = self.state.lock();
        if !(0..=state.durable).contains(&from) {
            let partition = self.name.clone();
            let end = state.durable;
            return Err(LogError::OffsetOutOfRange { partition, offset: from, start: 0, end });
        }
        let mut out = Vec::new();
        for (_, after, bytes) in &state.batches {
            if *after <= from || *after > state.durable {
                continue;
            }
            if !out.is_empty() && out.len() + bytes.len() > max_bytes {
                break;
            }
            out.extend_from_slice(bytes);
        }
        Ok(tracked(out, &self.read))
    }

    fn offset_for_time(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, LogError> {
        Ok(self.records(|offset, at| (at >= timestamp).then_some((offset, at))))
    }

    fn max_timestamp(&self) -> Result<Option<(Offset, Millis)>, LogError> {
        let mut best: Option<(Offset, Millis)> = None;
        self.records(|offset, at| {
            if best.is_none_or(|(_, most)| at > most) {
                best = Some((offset, at));
            }
            None::<()>
        });
        Ok(best)
    }

    fn producer(&self, _: ProducerId) -> Option<ProducerPosition> {
        None
    }

    fn producers(&self) -> Vec<(ProducerId, ProducerPosition)> {
        Vec::new()
    }

    fn aborted(&self, _: Offset, _: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        Ok(Vec::new())
    }

    fn delete_before(&self, _: Offset) -> Result<Offset, LogError> {
        Ok(0)
    }

    fn watch(&self, waker: Waker) -> Watch {
        let mut state = self.state.lock();
        state.last_waker += 1;
        let id = state.last_waker;
        state.wakers.insert(id, waker);
        // Kept until the partition goes: a test has few.
        Watch::new(|| {})
    }

    fn pin(&self, _: &str, from: Option<Offset>) {
        self.state.lock().pinned = from;
    }

    fn size_bytes(&self) -> u64 {
        self.state.lock().batches.iter().map(|(_, _, bytes)| bytes.len() as u64).sum()
    }
}

impl LogStore for MemoryLog {
    fn topics(&self) -> Vec<TopicMeta> {
        self.topics.lock().values().map(|(meta, _)| meta.clone()).collect()
    }

    fn topic(&self, name: &str) -> Option<TopicMeta> {
        self.topics.lock().get(name).map(|(meta, _)| meta.clone())
    }

    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        config: &[(String, String)],
    ) -> Result<TopicMeta, LogError> {
        let mut topics = self.topics.lock();
        if topics.contains_key(name) {
            return Err(LogError::TopicExists { topic: name.into() });
        }
        let id = TopicId::from_random(topics.len() as u128 + 1);
        let meta = TopicMeta { id, name: name.into(), partitions, config: config.to_vec() };
        let made = self.partitions(name, 0..partitions, (id, config));
        topics.insert(name.into(), (meta.clone(), made));
        Ok(meta)
    }

    fn add_partitions(&self, name: &str, total: i32) -> Result<(), LogError> {
        let mut topics = self.topics.lock();
        let unknown = LogError::UnknownPartition { partition: TopicPartition::new(name, 0) };
        let (meta, partitions) = topics.get_mut(name).ok_or(unknown)?;
        let of = (meta.id, &meta.config[..]);
        partitions.extend(self.partitions(name, meta.partitions..total, of));
        meta.partitions = total;
        Ok(())
    }

    fn alter_topic(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<TopicMeta, LogError> {
        let mut topics = self.topics.lock();
        let unknown = LogError::UnknownPartition { partition: TopicPartition::new(name, 0) };
        let (meta, _) = topics.get_mut(name).ok_or(unknown)?;
        for (setting, value) in changes {
            meta.config.retain(|(known, _)| known != setting);
            meta.config.extend(value.clone().map(|value| (setting.clone(), value)));
        }
        Ok(meta.clone())
    }

    fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let unknown = LogError::UnknownPartition { partition: TopicPartition::new(name, 0) };
        self.topics.lock().remove(name).map(|_| ()).ok_or(unknown)
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<dyn PartitionLog>, LogError> {
        let name = TopicPartition::new(topic, partition);
        let topics = self.topics.lock();
        let found =
            usize::try_from(partition).ok().and_then(|at| topics.get(topic)?.1.get(at).cloned());
        found
            .map(|log| log as Arc<dyn PartitionLog>)
            .ok_or(LogError::UnknownPartition { partition: name })
    }
}

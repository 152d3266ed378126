//! The real log on the simulated disk, committing when the simulation says so.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::ids::{Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::partition_log::{
    AbortedTransaction, Appended, DurableCallback, Isolation, LogError, LogOffsets, LogStore,
    PartitionLog, ProducerPosition, TopicMeta, Waker, Watch,
};
use thalweg_core::time::Millis;
use thalweg_log::{Log, LogOptions};

/// A log without threads.
pub(crate) struct SimLog {
    pub(crate) log: Arc<Log>,
    /// Whether whoever waits for durability gets it at once.
    at_once: Arc<AtomicBool>,
}

impl SimLog {
    pub(crate) fn open(sim: &SimEnv, dir: &str) -> Result<Self, LogError> {
        let options = LogOptions { background: false, reserve_bytes: 0, ..LogOptions::default() };
        let log = Log::open(sim.env(), Path::new(dir), options)?;
        Ok(Self { log, at_once: Arc::new(AtomicBool::new(true)) })
    }

    /// A store in which waiting commits at once.
    pub(crate) fn eager(&self) -> Arc<dyn LogStore> {
        Arc::new(SimStore { log: self.log.clone(), at_once: Arc::new(AtomicBool::new(true)) })
    }

    /// A store in which waiting waits for the simulation, unless it is told otherwise.
    pub(crate) fn lazy(&self) -> Arc<dyn LogStore> {
        Arc::new(SimStore { log: self.log.clone(), at_once: Arc::clone(&self.at_once) })
    }

    /// Whether [`SimLog::lazy`] commits at once.
    pub(crate) fn set_at_once(&self, at_once: bool) {
        self.at_once.store(at_once, Ordering::SeqCst);
    }
}

struct SimStore {
    log: Arc<Log>,
    at_once: Arc<AtomicBool>,
}

impl LogStore for SimStore {
    fn topics(&self) -> Vec<TopicMeta> {
        self.log.topics()
    }

    fn topic(&self, name: &str) -> Option<TopicMeta> {
        self.log.topic(name)
    }

    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        config: &[(String, String)],
    ) -> Result<TopicMeta, LogError> {
        self.log.create_topic(name, partitions, config)
    }

    fn add_partitions(&self, name: &str, total: i32) -> Result<(), LogError> {
        self.log.add_partitions(name, total)
    }

    fn alter_topic(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<TopicMeta, LogError> {
        self.log.alter_topic(name, changes)
    }

    fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.log.delete_topic(name)
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<dyn PartitionLog>, LogError> {
        let inner = self.log.partition(topic, partition)?;
        let (log, at_once) = (self.log.clone(), self.at_once.clone());
        Ok(Arc::new(SimPartition { inner, log, at_once }))
    }
}

struct SimPartition {
    inner: Arc<dyn PartitionLog>,
    log: Arc<Log>,
    at_once: Arc<AtomicBool>,
}

impl PartitionLog for SimPartition {
    fn topic_id(&self) -> TopicId {
        self.inner.topic_id()
    }

    fn name(&self) -> &TopicPartition {
        self.inner.name()
    }

    fn offsets(&self) -> LogOffsets {
        self.inner.offsets()
    }

    fn append(&self, batches: Bytes) -> Result<Appended, LogError> {
        self.inner.append(batches)
    }

    fn when_durable(&self, offset: Offset, done: DurableCallback) {
        self.inner.when_durable(offset, done);
        if self.at_once.load(Ordering::SeqCst) {
            self.log.commit_step();
        }
    }

    fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Bytes, LogError> {
        self.inner.read(from, max_bytes, isolation)
    }

    fn offset_for_time(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, LogError> {
        self.inner.offset_for_time(timestamp)
    }

    fn max_timestamp(&self) -> Result<Option<(Offset, Millis)>, LogError> {
        self.inner.max_timestamp()
    }

    fn producer(&self, producer: ProducerId) -> Option<ProducerPosition> {
        self.inner.producer(producer)
    }

    fn producers(&self) -> Vec<(ProducerId, ProducerPosition)> {
        self.inner.producers()
    }

    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        self.inner.aborted(from, to)
    }

    fn delete_before(&self, offset: Offset) -> Result<Offset, LogError> {
        self.inner.delete_before(offset)
    }

    fn watch(&self, waker: Waker) -> Watch {
        self.inner.watch(waker)
    }

    fn pin(&self, holder: &str, from: Option<Offset>) {
        self.inner.pin(holder, from);
    }

    fn release(&self, before: Offset) {
        self.inner.release(before);
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }
}

//! Identifiers: topics, partitions, offsets, producers, jobs and epochs.

use std::fmt;

/// Position of a record in one partition, counted from 0 and never reused.
pub type Offset = i64;

/// A topic's stable identity. A topic deleted and created again under the same
/// name has another id, so that replay cannot read the wrong one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

impl TopicId {
    /// Builds a version-4 UUID out of 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().as_u128())
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A topic's name and a partition's number in it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicPartition {
    /// Topic name, as Kafka clients write it.
    pub topic: String,
    /// Partition number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Identity of an idempotent producer (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// Ids from here on are Thalweg's own: jobs write their journals and their output with
    /// them. Clients are given lower ones. A log must not forget these however long they
    /// are silent: what a job published before a crash is told from them.
    pub const FIRST_INTERNAL: i64 = 1 << 61;

    /// Whether it is one of Thalweg's own.
    pub fn is_internal(self) -> bool {
        self.0 >= Self::FIRST_INTERNAL
    }
}

/// One run of a job's life on its journal. A higher incarnation fences a lower one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Incarnation(pub u32);

/// Number of an epoch, a job's unit of commit, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

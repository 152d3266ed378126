//! A transactional id: who may use it, and where its transaction stands.

use std::collections::BTreeSet;

use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::record_batch::{ControlKind, NO_PRODUCER_EPOCH};
use thalweg_core::time::Millis;

/// No producer, where one may be missing.
pub(super) const NO_PRODUCER: ProducerId = ProducerId(-1);

/// A producer id and its epoch: a newer epoch fences an older one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) epoch: i16,
}

impl Producer {
    pub(crate) fn new(id: i64, epoch: i16) -> Self {
        Self { id: ProducerId(id), epoch }
    }

    /// Whether a client can be given no further epoch of this id. The largest is kept for
    /// the coordinator, so that it can always fence.
    pub(crate) fn is_exhausted(self) -> bool {
        self.epoch >= i16::MAX - 1
    }
}

/// Where a transaction stands (KIP-98). Discriminants are Kafka's, as they are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i8)]
pub(crate) enum State {
    /// A producer was initialised and has begun nothing.
    Empty = 0,
    /// Partitions are in it.
    Ongoing = 1,
    /// It is decided that it is committed; the markers are being written.
    PrepareCommit = 2,
    /// It is decided that it is aborted; the markers are being written.
    PrepareAbort = 3,
    /// All markers of a commit are there.
    CompleteCommit = 4,
    /// All markers of an abort are there.
    CompleteAbort = 5,
}

/// All states in which a transaction can be seen.
const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

/// States of Kafka in which a transaction is never seen here: an id that expires is gone at
/// once, and a fence is decided together with the abort that it causes.
const UNSEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl State {
    /// The state that is stored as this number.
    pub(super) fn from_status(status: i8) -> Option<Self> {
        STATES.into_iter().find(|state| *state as i8 == status)
    }

    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether Kafka has a state of this name.
    pub(crate) fn is_name(name: &str) -> bool {
        UNSEEN.contains(&name) || STATES.iter().any(|state| state.name() == name)
    }

    /// What was decided, while the markers are being written.
    pub(crate) fn outcome(self) -> Option<ControlKind> {
        match self {
            Self::PrepareCommit => Some(ControlKind::Commit),
            Self::PrepareAbort => Some(ControlKind::Abort),
            _ => None,
        }
    }

    /// The state in which this outcome is being carried out.
    pub(super) fn prepare(outcome: ControlKind) -> Self {
        match outcome {
            ControlKind::Commit => Self::PrepareCommit,
            ControlKind::Abort => Self::PrepareAbort,
        }
    }
}

/// How a client ends transactions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Protocol {
    /// The epoch stays the same from one transaction to the next (KIP-98).
    Classic,
    /// Each end raises the epoch, and produce requests add their partitions (KIP-890, there
    /// called transaction version 2).
    EpochBump,
}

impl Protocol {
    /// As it is stored.
    pub(super) fn feature_level(self) -> i16 {
        match self {
            Self::Classic => 0,
            Self::EpochBump => 2,
        }
    }

    /// From what is stored. Levels 0 and 1 differ only in how they are stored.
    pub(super) fn from_feature_level(level: i16) -> Self {
        if level >= 2 { Self::EpochBump } else { Self::Classic }
    }
}

/// A transactional id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Transaction {
    /// The transactional id.
    pub(crate) id: String,
    /// Who may use it.
    pub(crate) producer: Producer,
    /// Its producer id before the last change.
    pub(crate) previous_id: ProducerId,
    /// The producer id that takes over when the end under way is complete.
    pub(crate) next_id: ProducerId,
    /// The epoch before the last one that a client asked for, so that its retry is known
    /// again (KIP-360). Not stored, as in Kafka.
    pub(crate) last_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) state: State,
    /// Where its records are. Empty when it is complete.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When it was begun; -1 before the first.
    pub(crate) started_at: Millis,
    /// When anything last changed.
    pub(crate) updated_at: Millis,
    pub(crate) protocol: Protocol,
}

impl Transaction {
    /// An id that nobody has used yet; it is not stored like this.
    pub(super) fn new(id: &str, producer: ProducerId) -> Self {
        Self {
            id: id.to_owned(),
            producer: Producer { id: producer, epoch: NO_PRODUCER_EPOCH },
            previous_id: NO_PRODUCER,
            next_id: NO_PRODUCER,
            last_epoch: NO_PRODUCER_EPOCH,
            timeout_ms: 0,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_at: -1,
            updated_at: -1,
            protocol: Protocol::Classic,
        }
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn size_bytes(&self) -> usize {
        let of_partition = |partition: &TopicPartition| partition.topic.len() + 64;
        256 + 2 * self.id.len() + self.partitions.iter().map(of_partition).sum::<usize>()
    }

    /// Whether all markers are written and nothing is in it.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Empty | State::CompleteCommit | State::CompleteAbort)
    }
}

//! What goes into the coordinator and what comes out of it.

use std::collections::BTreeSet;

use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::record_batch::ControlKind;
use thalweg_core::time::Millis;

use super::state::{Producer, Protocol, Transaction};
use crate::error_code::ErrorCode;

/// Names a request that waits for a reply.
pub(crate) type Token = u64;

/// The time, as the coordinator sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timeouts; never goes back.
    pub(crate) monotonic_ms: u64,
    /// For what is remembered.
    pub(crate) wall_ms: Millis,
}

/// Something happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A producer begins to use a transactional id.
    Init(Init),
    /// Partitions come into the transaction.
    Add { id: String, producer: Producer, partitions: BTreeSet<TopicPartition>, protocol: Protocol },
    /// The transaction is to be committed or aborted.
    End(End),
    /// All markers of this end are durable.
    Marked { id: String, producer: Producer },
    /// The time has come at which something was due for this id.
    Due { id: String },
}

impl Event {
    /// The transactional id that it is about.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Init(Init { id, .. })
            | Self::End(End { id, .. })
            | Self::Add { id, .. }
            | Self::Marked { id, .. }
            | Self::Due { id } => id,
        }
    }
}

/// An InitProducerId request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Init {
    pub(crate) id: String,
    pub(crate) timeout_ms: i32,
    /// Who the client takes itself for (KIP-360).
    pub(crate) expected: Option<Producer>,
    /// A producer id that nobody had, if the coordinator asked for one.
    pub(crate) fresh: Option<ProducerId>,
}

/// An EndTxn request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) id: String,
    pub(crate) producer: Producer,
    pub(crate) outcome: ControlKind,
    pub(crate) protocol: Protocol,
    /// A producer id that nobody had, if the coordinator asked for one.
    pub(crate) fresh: Option<ProducerId>,
}

/// What an event leads to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Decision {
    /// True already: done once all that was decided before is durable.
    pub(crate) now: Vec<Effect>,
    /// To be stored.
    pub(crate) change: Option<Change>,
    /// Done once the change is durable.
    pub(crate) then: Vec<Effect>,
}

impl Decision {
    /// An answer, and nothing changes.
    pub(super) fn reply(token: Token, reply: Reply) -> Self {
        Self { now: vec![Effect::Reply(token, reply)], ..Self::default() }
    }
}

/// A change of what is known of one transactional id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// This holds from now on.
    Put(Box<Transaction>),
    /// The id is forgotten.
    Remove(String),
}

/// What the coordinator wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Answer the request.
    Reply(Token, Reply),
    /// Write the markers of an end into its partitions, and say [`Event::Marked`] when they
    /// are durable. At least once: markers may come again.
    WriteMarkers(Markers),
    /// A request that waited: look at it again.
    Again(Token, Event),
}

/// The end of a transaction in its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Markers {
    pub(crate) id: String,
    /// With the epoch that the markers carry, which may be newer than the records'.
    pub(crate) producer: Producer,
    pub(crate) outcome: ControlKind,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// Who may use the transactional id from now on, or why nothing happened.
pub(crate) type Reply = Result<Producer, Refusal>;

/// Why nothing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// What the client is told.
    Code(ErrorCode),
    /// Come again with a producer id that nobody had.
    NeedsProducerId,
}

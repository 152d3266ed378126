//! What goes into the coordinator and what comes out of it.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::{Offset, ProducerId, TopicPartition};
use thalweg_core::record_batch::ControlKind;
use thalweg_core::time::Millis;

use super::partitions::Partitions;
use super::record::Entry;
use super::topics::TopicsImage;
use crate::error_code::{ErrorCode, NONE};

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
#[derive(Debug)]
pub(crate) enum Input {
    /// A member joins, or joins again.
    Join(JoinInput),
    /// A member asks for its assignment; the leader brings everybody's.
    Sync(SyncInput),
    /// A member is alive.
    Heartbeat(MemberRef),
    /// Members go.
    Leave(LeaveInput),
    /// A member of a consumer group is alive, joins or goes (KIP-848).
    ConsumerHeartbeat(Box<HeartbeatInput>),
    /// Offsets are committed.
    Commit(CommitInput),
    /// The marker of a producer's transaction was written at this offset.
    TransactionEnded { producer: ProducerId, outcome: ControlKind, marker: Offset },
    /// A group is deleted.
    DeleteGroup(String),
    /// Committed offsets of a group are deleted.
    DeleteOffsets { group: String, partitions: Vec<TopicPartition> },
    /// A topic is gone, and so are all offsets committed for it.
    TopicDeleted(String),
    /// The topics there are now.
    Topics(Arc<TopicsImage>),
    /// A group has these settings of its own from now on.
    Settings(String, GroupSettings),
    /// Time went on.
    Tick,
}

/// What a group of the broker's own protocol (KIP-848) has of its own; the rest is as the
/// broker says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct GroupSettings {
    /// `consumer.session.timeout.ms`
    pub(crate) session_timeout_ms: Option<u64>,
    /// `consumer.heartbeat.interval.ms`
    pub(crate) heartbeat_interval_ms: Option<u64>,
}

/// A member's claim to be in a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberRef {
    pub(crate) group: String,
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct JoinInput {
    pub(crate) group: String,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocol_type: String,
    /// Names and subscriptions, the preferred first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// A new member must come back with the id it is given (KIP-394).
    pub(crate) requires_known_id: bool,
    /// The member understands that it may skip the assignment (KIP-814).
    pub(crate) can_skip_assignment: bool,
    /// The id that a new member gets.
    pub(crate) fresh_id: String,
}

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(crate) struct SyncInput {
    pub(crate) member: MemberRef,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// A ConsumerGroupHeartbeat request. What is `None` is as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeartbeatInput {
    pub(crate) group: String,
    pub(crate) member_id: String,
    /// The member's epoch; 0 to join, -1 to leave, -2 to leave for a while.
    pub(crate) epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) rebalance_timeout_ms: Option<i32>,
    pub(crate) topics: Option<Vec<String>>,
    /// Empty for none.
    pub(crate) regex: Option<String>,
    pub(crate) assignor: Option<String>,
    /// What the member has.
    pub(crate) owned: Option<Partitions>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// The id that a member without one gets.
    pub(crate) fresh_id: String,
    pub(crate) visible: TopicFilter,
}

/// Which topics a client may see.
#[derive(Clone)]
pub(crate) struct TopicFilter(pub(crate) Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Default for TopicFilter {
    fn default() -> Self {
        Self(Arc::new(|_| true))
    }
}

impl std::fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TopicFilter")
    }
}

/// A LeaveGroup request: member ids and instance ids.
#[derive(Clone, Debug)]
pub(crate) struct LeaveInput {
    pub(crate) group: String,
    pub(crate) members: Vec<(String, Option<String>)>,
}

/// An OffsetCommit or TxnOffsetCommit request.
#[derive(Clone, Debug)]
pub(crate) struct CommitInput {
    pub(crate) member: MemberRef,
    pub(crate) offsets: Vec<CommitOffset>,
    /// Version of the request.
    pub(crate) version: i16,
    /// The transaction that it is part of.
    pub(crate) transaction: Option<TransactionRef>,
}

/// A producer's transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TransactionRef {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

/// One partition of a commit.
#[derive(Clone, Debug)]
pub(crate) struct CommitOffset {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    /// How long to keep it, where an old client says so.
    pub(crate) retention_ms: Option<i64>,
}

/// What the coordinator wants done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Answer the request.
    Reply(Token, Reply),
    /// Remember these. Replies of the same step follow once they are durable.
    Persist(Vec<Entry>),
    /// Remember these as part of a transaction.
    PersistIn(TransactionRef, Vec<Entry>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// To a join.
    Join(JoinReply),
    /// To a sync.
    Sync(SyncReply),
    /// To the heartbeat of a member of a consumer group.
    Consumer(ConsumerReply),
    /// To a request that is answered with one code.
    Code(i16),
    /// To a request that is answered with one code for each of its parts, or for all.
    Codes(Result<Vec<i16>, ErrorCode>),
}

/// To a join.
#[derive(Clone, Debug, Default)]
pub(crate) struct JoinReply {
    pub(crate) error_code: i16,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: String,
    /// Member id, instance id, subscription; for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// To a sync.
#[derive(Clone, Debug, Default)]
pub(crate) struct SyncReply {
    pub(crate) error_code: i16,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

/// To the heartbeat of a member of a consumer group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ConsumerReply {
    pub(crate) error_code: i16,
    pub(crate) error_message: Option<String>,
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) heartbeat_interval_ms: i32,
    /// What the member is to have now; `None` where that did not change.
    pub(crate) assignment: Option<Partitions>,
}

/// Why a request is refused, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: code.to_string() }
    }
}

impl From<Refusal> for ConsumerReply {
    fn from(refusal: Refusal) -> Self {
        Self {
            error_code: refusal.code.code(),
            error_message: Some(refusal.message),
            ..Self::default()
        }
    }
}

impl Reply {
    /// A refused join.
    pub(crate) fn join_refused(code: ErrorCode, member_id: &str) -> Self {
        Self::Join(JoinReply {
            error_code: code.code(),
            generation: -1,
            member_id: member_id.to_owned(),
            ..JoinReply::default()
        })
    }

    /// A refused sync.
    pub(crate) fn sync_refused(code: ErrorCode) -> Self {
        Self::Sync(SyncReply { error_code: code.code(), ..SyncReply::default() })
    }

    /// One code for success or failure.
    pub(crate) fn code(outcome: Result<(), ErrorCode>) -> Self {
        Self::Code(outcome.map_or_else(|code| code.code(), |()| NONE))
    }

    /// The same reply if what it says could not be remembered.
    pub(crate) fn failed(self, code: ErrorCode) -> Self {
        match self {
            Self::Join(reply) => Self::join_refused(code, &reply.member_id),
            Self::Sync(_) => Self::sync_refused(code),
            Self::Consumer(_) => Self::Consumer(Refusal::from(code).into()),
            Self::Code(_) => Self::Code(code.code()),
            Self::Codes(_) => Self::Codes(Err(code)),
        }
    }
}

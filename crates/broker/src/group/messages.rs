//! What goes into the coordinator and what comes out of it.

use bytes::Bytes;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::time::Millis;

use super::entry::Entry;
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
    /// Offsets are committed.
    Commit(CommitInput),
    /// A group is deleted.
    DeleteGroup(String),
    /// Committed offsets of a group are deleted.
    DeleteOffsets { group: String, partitions: Vec<TopicPartition> },
    /// A topic is gone, and so are all offsets committed for it.
    TopicDeleted(String),
    /// Time went on.
    Tick,
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

/// A LeaveGroup request: member ids and instance ids.
#[derive(Clone, Debug)]
pub(crate) struct LeaveInput {
    pub(crate) group: String,
    pub(crate) members: Vec<(String, Option<String>)>,
}

/// An OffsetCommit request.
#[derive(Clone, Debug)]
pub(crate) struct CommitInput {
    pub(crate) member: MemberRef,
    pub(crate) offsets: Vec<CommitOffset>,
}

/// One partition of a commit.
#[derive(Clone, Debug)]
pub(crate) struct CommitOffset {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// What the coordinator wants done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Answer the request.
    Reply(Token, Reply),
    /// Remember these. Replies of the same step follow once they are durable.
    Persist(Vec<Entry>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// To a join.
    Join(JoinReply),
    /// To a sync.
    Sync(SyncReply),
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
            Self::Code(_) => Self::Code(code.code()),
            Self::Codes(_) => Self::Codes(Err(code)),
        }
    }
}

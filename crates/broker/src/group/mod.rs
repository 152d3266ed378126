//! Consumer groups: who is a member, which partitions are whose, and how far the group
//! has read.
//!
//! There are two protocols. In the *classic* one the members choose a leader among them
//! that assigns (`classic`). In *consumer groups* (KIP-848) the coordinator assigns, and
//! leads each member step by step to what it is to have (`consumer`). Clients of both
//! may be in one group; it then follows the rules of the second.
//!
//! The coordinator is a state machine without IO: [`coordinator::Coordinator::step`]
//! takes an input and the time and gives outputs; [`GroupService`] drives it, writes
//! what it wants remembered into `__consumer_offsets` in Kafka's formats (`record`), and
//! rebuilds it from there and from nowhere else.

mod classic;
mod consumer;
mod coordinator;
mod describe;
mod embedded;
mod messages;
mod offsets;
mod partitions;
mod record;
mod replay;
mod service;
#[cfg(test)]
mod simulation;
mod store;
#[cfg(test)]
mod tests;
mod topics;

pub(crate) use coordinator::Coordinator;
pub(crate) use describe::{ConsumerDescription, ConsumerMemberDescription, NamedPartitions};
pub use describe::{GroupDescription, GroupState, GroupSummary, GroupType, MemberDescription};
pub(crate) use messages::{
    CommitInput, CommitOffset, ConsumerReply, GroupSettings, HeartbeatInput, Input, JoinInput,
    JoinReply, LeaveInput, MemberRef, Reply, SyncInput, SyncReply, TopicFilter, TransactionRef,
};
pub use offsets::CommittedOffset;
pub(crate) use partitions::Partitions;
pub(crate) use service::GroupService;
pub(crate) use store::{PARTITION as OFFSETS_PARTITION, TOPIC as OFFSETS_TOPIC};

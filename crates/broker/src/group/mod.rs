//! Consumer groups (Kafka's classic group protocol): who is a member, who leads, which
//! partitions are whose, and how far the group has read.
//!
//! The coordinator is a state machine without IO: [`coordinator::Coordinator::step`]
//! takes an input and the time and gives outputs; [`GroupService`] drives it, writes
//! what it wants remembered into an internal topic, and rebuilds it from there.
//!
//! ```text
//!            join                 all joined             leader's sync
//!  Empty ----------> Preparing ---------------> Completing ------------> Stable
//!    ^                  ^  ^                        | join, leave, expiry   |
//!    '-- all gone ------'  '------------------------'-----------------------'
//! ```

mod coordinator;
mod entry;
mod join;
mod member;
mod messages;
mod offsets;
mod rebalance;
mod replay;
mod service;
#[cfg(test)]
mod simulation;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::Coordinator;
pub(crate) use messages::{
    CommitInput, CommitOffset, Input, JoinInput, JoinReply, LeaveInput, MemberRef, Reply,
    SyncInput, SyncReply,
};
pub(crate) use service::GroupService;
pub use state::{CommittedOffset, GroupDescription, GroupState, GroupSummary, MemberDescription};

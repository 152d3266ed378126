//! Transactions (KIP-98): records in several partitions, and offsets of consumer groups,
//! that all become visible or none of them.
//!
//! The coordinator is a state machine without IO: [`coordinator::Coordinator::decide`]
//! takes an event and the time and says what is to be stored and done.
//! [`TransactionService`] drives it, stores in `__transaction_state`, writes markers, and
//! rebuilds it from that topic alone.
//!
//! ```text
//!          partitions           decided, durable        markers durable
//!  Empty ------------> Ongoing -----------------> Prepare ---------------> Complete
//!    ^                    ^                      Commit/Abort             Commit/Abort
//!    |                    '------------- partitions -----------------------'  |
//!    '------------------------- InitProducerId -------------------------------'
//! ```
//!
//! What makes it safe, step by step:
//! - a record comes into a partition only after it is durable that the partition is in the
//!   transaction, so an end reaches it whatever happens;
//! - a marker is written only after the end is durable, and nothing else happens to the id
//!   before all markers are: whatever is recovered, the same markers are written again;
//! - each record is checked against the coordinator's state at the moment of its append, in
//!   every version of the protocol (KIP-890), and a newer epoch fences older ones.

mod coordinator;
mod end;
mod gate;
mod init;
mod markers;
mod messages;
#[cfg(test)]
mod model;
mod record;
mod replay;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use markers::{COORDINATOR_EPOCH, Durable};
pub(crate) use messages::{End, Init};
pub(crate) use service::{TransactionService, offsets_partition};
pub(crate) use state::{Producer, Protocol, State, Transaction};

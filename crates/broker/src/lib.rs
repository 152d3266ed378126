//! The Kafka door: the Kafka protocol over a log.
//!
//! ```text
//!  socket -> net (frames, order, budgets) -> guard -> api table -> handlers/<api>
//!                                                                   |        |
//!                                                                  log     group
//! ```
//!
//! What is here: connections and their limits, one handler file for each API, and the
//! consumer group coordinator as a state machine without IO. What is not: nothing that
//! stores records (that is the log's), nothing that decodes them on the way through.
//!
//! Deliberate differences from Apache Kafka:
//! - `acks=1` waits for fdatasync like `acks=all`;
//! - producer ids from 2^61 on are the system's: a client's batch under one is refused with
//!   `INVALID_PRODUCER_ID_MAPPING`;
//! - one metadata request has so many topics created and no more; the others are answered
//!   with `LEADER_NOT_AVAILABLE` until the client asks again;
//! - topics that begin with `__` are the system's: clients read them at most;
//! - an idle group's first rebalance waits 100 ms for more members, not 3 s;
//! - members of consumer groups (KIP-848) send a heartbeat each second, not every 5 s, and
//!   one whose answer was lost gets it again without asking for all;
//! - `__consumer_offsets` has one partition; it is written anew now and then rather than
//!   compacted.

mod api;
mod broker;
mod config;
mod error_code;
#[cfg(test)]
mod fuzz;
mod group;
mod guard;
mod handlers;
mod inbox;
mod internal_topic;
mod keyed_journal;
mod keyed_topic;
mod net;
mod options;
mod producer_ids;
mod quota;
mod request;
mod response;
#[cfg(test)]
mod simulation;
mod topics;
mod transaction;

use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;

pub use broker::{BrokerError, BrokerHandle, BrokerState, CommitError, GroupOffsets};
pub use group::{
    CommittedOffset, GroupDescription, GroupState, GroupSummary, GroupType, MemberDescription,
};
pub use options::{BrokerOptions, GroupOptions, Limits, TransactionOptions};

/// The Kafka door.
pub struct Broker;

impl Broker {
    /// Reads the broker's own state from the log and pins what it needs there, without a
    /// door. [`BrokerState::serve`] opens one.
    ///
    /// # Errors
    /// The broker's own state in the log cannot be used.
    pub fn open(
        env: Env,
        log: Arc<dyn LogStore>,
        groups: GroupOptions,
        transactions: TransactionOptions,
    ) -> Result<BrokerState, BrokerError> {
        BrokerState::open(env, log, groups, transactions)
    }

    /// Starts serving a log on the current tokio runtime.
    ///
    /// # Errors
    /// The socket or the broker's own state in the log cannot be used.
    pub fn start(
        env: Env,
        log: Arc<dyn LogStore>,
        options: BrokerOptions,
    ) -> Result<BrokerHandle, BrokerError> {
        let (groups, transactions) = (options.groups.clone(), options.transactions.clone());
        Self::open(env, log, groups, transactions)?.serve(options)
    }
}

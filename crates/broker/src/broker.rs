//! The broker as a whole: what its handlers share, how it starts and stops.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::Authorizer;
use thalweg_core::env::Env;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::{LogError, LogStore};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{self, DynamicConfigs};
use crate::group::{GroupDescription, GroupService, GroupSummary};
use crate::net::listener;
use crate::net::memory::Memory;
use crate::net::places::Places;
use crate::options::{BrokerOptions, GroupOptions, Limits, TransactionOptions};
use crate::producer_ids::ProducerIds;
use crate::quota::Quotas;
use crate::topics::Topics;
use crate::transaction::TransactionService;

/// Id of the one broker there is.
pub(crate) const NODE_ID: BrokerId = BrokerId(1);
/// Leader epoch of every partition: leadership never moves.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The socket cannot be used.
    #[error("Kafka door: {0}")]
    Io(#[from] std::io::Error),
    /// An internal topic holds what it should not.
    #[error("{topic}: damaged state at offset {offset}: {detail}")]
    State {
        /// The internal topic.
        topic: String,
        /// Where.
        offset: Offset,
        /// What was found.
        detail: String,
    },
    /// An internal topic was written by a newer version of Thalweg.
    #[error(
        "{topic}: format version {found} at offset {offset}, but this version of Thalweg knows \
         only up to {known}; use the newer one that wrote it"
    )]
    NewerFormat {
        /// The internal topic.
        topic: String,
        /// Where.
        offset: Offset,
        /// Version found.
        found: u8,
        /// Newest version known.
        known: u8,
    },
}

/// Why offsets of a group were not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Consumers are using a group of this name.
    #[error("group '{0}' has members; only they commit its offsets")]
    HasMembers(String),
    /// The group or the log refused.
    #[error("offsets of group '{group}' were not committed: {reason}")]
    Refused {
        /// The group.
        group: String,
        /// Kafka's name of the error.
        reason: String,
    },
}

/// What all handlers share.
pub(crate) struct Broker {
    pub(crate) env: Env,
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) topics: Topics,
    pub(crate) groups: Arc<GroupService>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    pub(crate) transactions: Arc<TransactionService>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) places: Arc<Places>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) configs: Arc<DynamicConfigs>,
    pub(crate) auto_create_topics: bool,
    pub(crate) default_partitions: i32,
    pub(crate) group_options: GroupOptions,
    pub(crate) transaction_options: TransactionOptions,
    pub(crate) data_dir: PathBuf,
    pub(crate) local_addr: SocketAddr,
    pub(crate) cluster_id: StrBytes,
    pub(crate) host: StrBytes,
    pub(crate) port: i32,
}

impl Broker {
    pub(crate) fn new(
        state: BrokerState,
        options: &BrokerOptions,
        local_addr: SocketAddr,
    ) -> Arc<Self> {
        let BrokerState { env, log, groups, producer_ids, transactions, quotas, configs } = state;
        let (host, port) = options
            .advertised
            .clone()
            .unwrap_or_else(|| (local_addr.ip().to_string(), local_addr.port()));
        let broker = Arc::new(Self {
            topics: Topics::new(log.clone(), options.limits.partitions),
            groups,
            transactions,
            authorizer: options.authorizer.clone(),
            limits: options.limits.clone(),
            memory: Memory::new(&options.limits),
            places: Places::new(),
            quotas,
            configs,
            auto_create_topics: options.auto_create_topics,
            default_partitions: options.default_partitions.max(1),
            group_options: options.groups.clone(),
            transaction_options: options.transactions.clone(),
            data_dir: options.data_dir.clone(),
            local_addr,
            cluster_id: StrBytes::from_string(cluster_id(producer_ids.topic_id())),
            host: StrBytes::from_string(host),
            port: i32::from(port),
            producer_ids,
            env,
            log,
        });
        broker.allow_connections();
        broker
    }

    /// Puts the altered settings of this broker in force.
    ///
    /// # Errors
    /// The log refused.
    pub(crate) fn apply_settings(&self) -> Result<(), LogError> {
        self.allow_connections();
        self.log.set_topic_defaults(&config::topic_defaults(&self.configs.of_this_broker()))
    }

    fn allow_connections(&self) {
        let altered = self.configs.of_this_broker();
        let limit = |name, told| config::number(&altered, name).unwrap_or(told);
        self.places.allow(
            limit(config::MAX_CONNECTIONS, self.limits.connections),
            limit(config::MAX_CONNECTIONS_PER_IP, self.limits.connections_per_ip),
        );
    }
}

/// A cluster id in Kafka's form, 22 characters of base64url, from 128 random bits.
fn cluster_id(bits: u128) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sextet = |at: u32| {
        // 128 bits are 21 sextets and two bits; those go into the upper end of the last.
        let value = if at < 21 { bits >> (122 - 6 * at) } else { bits << 4 };
        char::from(ALPHABET[(value & 63) as usize])
    };
    (0..22).map(sextet).collect()
}

/// The runtime that has threads for what may wait for the disk. `None` where nobody is held
/// up: in a simulation, which has no runtime, and in unit tests, which stay on one thread so
/// that what happens is the same each time and all that is allocated is counted.
pub(crate) fn waiting_threads() -> Option<Handle> {
    if cfg!(test) { None } else { Handle::try_current().ok() }
}

/// Runs what may wait for the disk where it holds up no connection.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let Some(runtime) = waiting_threads() else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The broker's own state, read from the log, before its door is open. What it needs of
/// its topics is pinned from here on.
#[derive(Clone)]
pub struct BrokerState {
    env: Env,
    log: Arc<dyn LogStore>,
    groups: Arc<GroupService>,
    producer_ids: Arc<ProducerIds>,
    transactions: Arc<TransactionService>,
    quotas: Arc<Quotas>,
    configs: Arc<DynamicConfigs>,
}

impl std::fmt::Debug for BrokerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrokerState")
    }
}

impl BrokerState {
    pub(crate) fn open(
        env: Env,
        log: Arc<dyn LogStore>,
        groups: GroupOptions,
        transactions: TransactionOptions,
    ) -> Result<Self, BrokerError> {
        // First what the rest follows.
        let configs = Arc::new(DynamicConfigs::open(env.clone(), log.clone())?);
        log.set_topic_defaults(&config::topic_defaults(&configs.of_this_broker()))?;
        let own = configs.groups().into_iter();
        let own = own.map(|(group, own)| (group, config::effect_on_group(&own))).collect();
        let producer_ids = Arc::new(ProducerIds::open(env.clone(), &*log)?);
        let groups = Arc::new(GroupService::open(env.clone(), log.clone(), groups, own)?);
        let transactions = Arc::new(TransactionService::open(
            env.clone(),
            log.clone(),
            groups.clone(),
            producer_ids.clone(),
            transactions,
        )?);
        let quotas = Arc::new(Quotas::open(env.clone(), log.clone())?);
        Ok(Self { env, log, groups, producer_ids, transactions, quotas, configs })
    }

    /// Committed offsets, for use inside the process.
    pub fn offsets(&self) -> GroupOffsets {
        GroupOffsets { groups: self.groups.clone() }
    }

    /// Starts serving on the current tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn serve(self, options: BrokerOptions) -> Result<BrokerHandle, BrokerError> {
        options.listener.set_nonblocking(true)?;
        let local_addr = options.listener.local_addr()?;
        let broker = Broker::new(self, &options, local_addr);
        let socket = tokio::net::TcpListener::from_std(options.listener)?;
        let (stop, stopping) = watch::channel(false);
        let timers = tokio::spawn(broker.groups.clone().run_timers(stopping.clone()));
        let transactions = tokio::spawn(broker.transactions.clone().run(stopping.clone()));
        let listener = tokio::spawn(listener::run(broker.clone(), socket, stopping));
        Ok(BrokerHandle { broker, local_addr, stop, listener, timers, transactions })
    }
}

/// A running broker. Dropping it leaves it running until the runtime ends.
pub struct BrokerHandle {
    broker: Arc<Broker>,
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    timers: JoinHandle<()>,
    transactions: JoinHandle<()>,
}

impl std::fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BrokerHandle({})", self.local_addr)
    }
}

impl BrokerHandle {
    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Host and port that clients are told.
    pub fn advertised(&self) -> (String, u16) {
        (self.broker.host.to_string(), self.broker.port as u16)
    }

    /// Id of this data directory, as clients see it.
    pub fn cluster_id(&self) -> String {
        self.broker.cluster_id.to_string()
    }

    /// Where settings that the server was told when it was started do not hold, since they
    /// were altered while it ran: name, what it was told, what holds.
    pub fn overridden(&self) -> Vec<(&'static str, String, String)> {
        config::overridden(&self.broker)
    }

    /// All groups, sorted by name.
    pub fn groups(&self) -> Vec<GroupSummary> {
        self.broker.groups.list()
    }

    /// A group with its members and committed offsets.
    pub fn describe_group(&self, group: &str) -> Option<GroupDescription> {
        self.broker.groups.describe(group)
    }

    /// Commits offsets of a group that has no members, as a job does for the group of
    /// its name. Durable when this returns.
    ///
    /// # Errors
    /// Consumers use the group, or the log refused.
    pub async fn commit_group_offsets(
        &self,
        group: &str,
        offsets: Vec<(TopicPartition, Offset, String)>,
    ) -> Result<(), CommitError> {
        self.broker.groups.commit_without_members(group, offsets).await
    }

    /// Stops accepting, ends all connections, and returns when they have ended. Answers
    /// under way get a moment to go out.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.listener.await;
        let _ = self.timers.await;
        let _ = self.transactions.await;
    }
}

/// Committed offsets of consumer groups, for use inside the process.
#[derive(Clone)]
pub struct GroupOffsets {
    groups: Arc<GroupService>,
}

impl std::fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupOffsets")
    }
}

impl GroupOffsets {
    /// Commits offsets of a group, unless it has members or the log refuses; nobody is told
    /// which. Does not wait for the disk.
    pub fn commit_soon(&self, group: &str, offsets: Vec<(TopicPartition, Offset, String)>) {
        drop(self.groups.submit_without_members(group, offsets));
    }

    /// The offset that a group has committed. Waits until it is durable.
    ///
    /// # Errors
    /// The log has stopped.
    pub fn committed(&self, group: &str, at: &TopicPartition) -> Result<Option<Offset>, LogError> {
        self.groups.committed(group, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_base64url() {
        assert_eq!(cluster_id(0), "A".repeat(22));
        assert_eq!(cluster_id(u128::MAX), format!("{}w", "_".repeat(21)));
        assert_eq!(cluster_id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "ASNFZ4mrze8BI0VniavN7w");
    }
}

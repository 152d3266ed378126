//! What a broker can be told: where it listens, what it creates by itself, and how
//! much memory each part of it may take.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::authorizer::{AllowAll, Authorizer};

/// How to run the Kafka door.
pub struct BrokerOptions {
    /// Bound socket, as `thalweg_core::env::bind_listener` gives it.
    pub listener: TcpListener,
    /// Host and port that clients are told to connect to; the bound address if `None`.
    pub advertised: Option<(String, u16)>,
    /// Where the log is, for clients that ask how much room there is.
    pub data_dir: PathBuf,
    /// Create a topic when a client asks for its metadata (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    /// Partitions of topics created without a number of their own (`num.partitions`).
    pub default_partitions: i32,
    /// Bounds on connections, requests and memory.
    pub limits: Limits,
    /// Behaviour of consumer groups. (Where the state was opened first, what holds is what
    /// was said there.)
    pub groups: GroupOptions,
    /// Behaviour of transactions.
    pub transactions: TransactionOptions,
    /// Asked by every handler.
    pub authorizer: Arc<dyn Authorizer>,
}

impl BrokerOptions {
    /// Defaults for a bound socket: auto-creation with one partition, everybody allowed.
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            advertised: None,
            data_dir: PathBuf::new(),
            auto_create_topics: true,
            default_partitions: 1,
            limits: Limits::default(),
            groups: GroupOptions::default(),
            transactions: TransactionOptions::default(),
            authorizer: Arc::new(AllowAll),
        }
    }
}

/// Bounds on what clients can make the broker hold. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request frame (Kafka: `socket.request.max.bytes`).
    pub frame_bytes: usize,
    /// Largest frame of a request that is not a produce request.
    pub control_frame_bytes: usize,
    /// Request bytes held at a time for one connection.
    pub connection_bytes: usize,
    /// Request bytes held at a time, over all connections (`queued.max.request.bytes`),
    /// decoded forms included. One request of [`Limits::frame_bytes`] may come on top.
    pub request_bytes: usize,
    /// Bytes of answers held at a time, over all connections; fetched records apart, and
    /// answers of less than 64 KiB of each connection.
    pub answer_bytes: usize,
    /// Bytes of fetched records held at a time, over all connections. When they are
    /// used up, a fetch waits, and is then answered without any.
    pub fetch_bytes: usize,
    /// Most record bytes in one fetch response (Kafka: `fetch.max.bytes` of the broker).
    pub fetch_response_bytes: usize,
    /// Elements of arrays in one request; bounds what decoding allocates.
    pub request_elements: usize,
    /// Partitions of all topics, as far as clients create them: each costs memory and
    /// time at the start.
    pub partitions: usize,
    /// Partitions of topics that one metadata request may have created on first use. Topics
    /// beyond it are answered with LEADER_NOT_AVAILABLE, on which every client asks again
    /// after a moment. (Kafka bounds this by its controller mutation quota, KIP-599.)
    pub auto_created_partitions: usize,
    /// Requests of one connection that wait for their answer; more are not read.
    pub requests_in_flight: usize,
    /// Connections at a time (`max.connections`); more are closed at once. With the log's files the default
    /// fits into the 1024 file descriptors that a process usually has.
    pub connections: usize,
    /// Connections of one address at a time (`max.connections.per.ip`); more are closed at
    /// once. As in Kafka there is no bound unless one is set.
    pub connections_per_ip: usize,
    /// A connection on which nothing moved for so long is closed
    /// (`connections.max.idle.ms`).
    pub idle_timeout: Duration,
    /// A request that takes longer than this to arrive is given up; a long one has a
    /// second more for each MiB.
    pub frame_timeout: Duration,
    /// An answer that takes longer than this to be read is given up while others wait
    /// for memory; a long one has a second more for each 256 KiB.
    pub reader_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 100 << 20,
            control_frame_bytes: 16 << 20,
            connection_bytes: 64 << 20,
            request_bytes: 256 << 20,
            answer_bytes: 128 << 20,
            fetch_bytes: 256 << 20,
            fetch_response_bytes: 55 << 20,
            request_elements: 200_000,
            partitions: 20_000,
            auto_created_partitions: 100,
            requests_in_flight: 128,
            connections: 400,
            connections_per_ip: usize::MAX,
            idle_timeout: Duration::from_secs(600),
            frame_timeout: Duration::from_secs(30),
            reader_timeout: Duration::from_secs(10),
        }
    }
}

/// Behaviour of consumer groups, under Kafka's names. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// How long the first rebalance of an empty group waits for more members
    /// (`group.initial.rebalance.delay.ms`). Kafka's 3000 is made for large groups on
    /// large clusters; on one machine members arrive together, and a person waits.
    pub initial_rebalance_delay_ms: u64,
    /// Shortest session timeout that a member may ask for.
    pub min_session_timeout_ms: u64,
    /// Longest session timeout that a member may ask for.
    pub max_session_timeout_ms: u64,
    /// How long a member of a consumer group (KIP-848) may be silent
    /// (`group.consumer.session.timeout.ms`).
    pub consumer_session_timeout_ms: u64,
    /// How often such a member is to be heard of
    /// (`group.consumer.heartbeat.interval.ms`). A rebalance goes one step with each
    /// heartbeat; Kafka's 5000 spares brokers with very many members.
    pub consumer_heartbeat_interval_ms: u64,
    /// Shortest and longest session timeout that such a group can be given for its own
    /// (`consumer.session.timeout.ms`). Kafka's shortest is 45 000.
    pub consumer_session_timeout_ms_bounds: (u64, u64),
    /// Shortest and longest heartbeat interval that such a group can be given for its own
    /// (`consumer.heartbeat.interval.ms`). Kafka's shortest is 5 000.
    pub consumer_heartbeat_interval_ms_bounds: (u64, u64),
    /// Most members of a group (`group.max.size`, `group.consumer.max.size`).
    pub max_members: usize,
    /// Most groups, so that names alone cannot fill the memory.
    pub max_groups: usize,
    /// Bytes of subscriptions and assignments of one group.
    pub max_group_bytes: usize,
    /// Bytes of subscriptions and assignments of all groups.
    pub max_member_bytes: usize,
    /// Bytes of committed offsets of all groups.
    pub max_offset_bytes: usize,
    /// Longest metadata string of a committed offset (`offset.metadata.max.bytes`).
    pub max_metadata_bytes: usize,
    /// How long offsets of a group without members are kept
    /// (`offsets.retention.minutes`).
    pub offset_retention_ms: u64,
    /// The state is written anew, and the old records let go, when so many bytes were
    /// written since the last time, or twice what that took.
    pub rewrite_bytes: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 100,
            min_session_timeout_ms: 1_000,
            max_session_timeout_ms: 1_800_000,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 1_000,
            consumer_session_timeout_ms_bounds: (6_000, 60_000),
            consumer_heartbeat_interval_ms_bounds: (500, 15_000),
            max_members: 1_000,
            max_groups: 10_000,
            max_group_bytes: 16 << 20,
            max_member_bytes: 64 << 20,
            max_offset_bytes: 64 << 20,
            max_metadata_bytes: 4_096,
            offset_retention_ms: 7 * 24 * 3_600_000,
            rewrite_bytes: 8 << 20,
        }
    }
}

/// Behaviour of transactions, under Kafka's names. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    /// Longest timeout that a producer may ask for (`transaction.max.timeout.ms`). Kafka's
    /// 15 minutes refuse Flink's default of an hour.
    pub max_timeout_ms: i32,
    /// How long an id is remembered with which nothing happens
    /// (`transactional.id.expiration.ms`).
    pub id_expiration_ms: u64,
    /// Most transactional ids, so that names alone cannot fill the memory.
    pub max_ids: usize,
    /// Bytes of transactional ids and their partitions.
    pub max_bytes: usize,
    /// The state is written anew, and the old records let go, when so many bytes were
    /// written since the last time, or twice what that took.
    pub rewrite_bytes: usize,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            max_timeout_ms: 24 * 3_600_000,
            id_expiration_ms: 7 * 24 * 3_600_000,
            max_ids: 100_000,
            max_bytes: 64 << 20,
            rewrite_bytes: 8 << 20,
        }
    }
}

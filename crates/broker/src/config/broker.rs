//! Settings of the broker: those that are set when the server is started, at which clients
//! can only look, and those that can be altered while it runs.

use thalweg_log::topic_config::ConfigType::{self, Boolean, Int, List, Long, String as Text};

use super::alterable::{ALTERABLE, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_IP, is_alterable};
use super::dynamic::{Resource, Settings};
use super::{Setting, Source, Synonym, topic};
use crate::broker::{Broker, NODE_ID};
use crate::handlers::describe_topic_partitions::PARTITIONS_MAX;
use crate::options::{GroupOptions, Limits, TransactionOptions};

/// A setting: its value now, and the built-in one where it has one.
struct Row(&'static str, ConfigType, String, Option<String>, &'static str);

impl Row {
    /// One that is always so.
    fn fixed(
        name: &'static str,
        kind: ConfigType,
        value: impl ToString,
        doc: &'static str,
    ) -> Self {
        Self(name, kind, value.to_string(), Some(value.to_string()), doc)
    }

    /// One that the server was told.
    fn told(name: &'static str, kind: ConfigType, value: impl ToString, doc: &'static str) -> Self {
        Self(name, kind, value.to_string(), None, doc)
    }

    /// One that the server may be told.
    fn of<T: ToString>(
        name: &'static str,
        kind: ConfigType,
        (value, default): (T, T),
        doc: &'static str,
    ) -> Self {
        Self(name, kind, value.to_string(), Some(default.to_string()), doc)
    }

    fn setting(self) -> Setting {
        let Self(name, kind, value, default, documentation) = self;
        let source = match default.as_ref() == Some(&value) {
            true => Source::Default,
            false => Source::StaticBroker,
        };
        let told = Synonym { name, value: value.clone(), source: Source::StaticBroker };
        let told = (source == Source::StaticBroker).then_some(told);
        let default = default.map(|value| Synonym { name, value, source: Source::Default });
        let synonyms = told.into_iter().chain(default).collect();
        Setting { name, value, source, kind, read_only: true, documentation, synonyms }
    }
}

/// Every setting of this broker that means something here, sorted by name.
pub(crate) fn of_broker(broker: &Broker) -> Vec<Setting> {
    let configs = &broker.configs;
    altered(broker, &configs.of(&Resource::this_broker()), &configs.of(&Resource::AllBrokers))
}

/// As [`of_broker`], of a broker that has no altered ones of its own.
pub(crate) fn of_all_brokers(broker: &Broker) -> Vec<Setting> {
    altered(broker, &Settings::new(), &broker.configs.of(&Resource::AllBrokers))
}

/// The settings with what they were altered to: for this broker, and for all.
fn altered(broker: &Broker, this: &Settings, all: &Settings) -> Vec<Setting> {
    let rows = [server(broker), network(&broker.limits), groups(broker), transactions(broker)];
    let inert = ALTERABLE.iter().filter_map(|setting| {
        let (value, doc) = setting.inert?;
        Some(Row::fixed(setting.name, setting.kind, value, doc))
    });
    let rows = rows.into_iter().flatten().chain(inert);
    let mut settings: Vec<_> = rows.map(Row::setting).chain(topic::defaults()).collect();
    for setting in &mut settings {
        setting.read_only = !is_alterable(setting.name);
        let altered = topic::altered_synonyms(setting.name, this, all);
        setting.synonyms.splice(..0, altered);
        if let Some(first) = setting.synonyms.first() {
            (setting.value, setting.source) = (first.value.clone(), first.source);
        }
    }
    settings.sort_by_key(|setting| setting.name);
    settings
}

/// Settings that the server was told, and that were altered to something else: name, what
/// it was told, what holds.
pub(crate) fn overridden(broker: &Broker) -> Vec<(&'static str, String, String)> {
    let told = |setting: &Setting| {
        let told = setting.synonyms.iter().find(|found| found.source == Source::StaticBroker)?;
        (told.value != setting.value).then(|| told.value.clone())
    };
    let overridden = |setting: Setting| {
        let told = told(&setting)?;
        Some((setting.name, told, setting.value))
    };
    of_broker(broker).into_iter().filter_map(overridden).collect()
}

fn server(broker: &Broker) -> Vec<Row> {
    let advertised = format!("PLAINTEXT://{}:{}", &*broker.host, broker.port);
    let listener = format!("PLAINTEXT://{}", broker.local_addr);
    let node = NODE_ID.0;
    vec![
        Row::told("advertised.listeners", Text, advertised, "Where clients are told to connect."),
        Row::of(
            "auto.create.topics.enable",
            Boolean,
            (broker.auto_create_topics, true),
            "Whether topics are created on first use.",
        ),
        Row::told("broker.id", Int, node, "Id of this broker."),
        Row::fixed("default.replication.factor", Int, 1, "Replicas of a new topic."),
        Row::fixed("delete.topic.enable", Boolean, true, "Topics can be deleted."),
        Row::told("listeners", List, listener, "Where the server listens."),
        Row::told("log.dirs", List, broker.data_dir.display(), "Where everything is kept."),
        Row::told("node.id", Int, node, "Id of this broker."),
        Row::of(
            "num.partitions",
            Int,
            (broker.default_partitions, 1),
            "Partitions of topics created without a number of their own.",
        ),
        Row::told("process.roles", List, "broker,controller", "There is one process."),
    ]
}

fn network(now: &Limits) -> Vec<Row> {
    let default = Limits::default();
    let ms = |limits: &Limits| limits.idle_timeout.as_millis();
    let per_ip = |limits: &Limits| limits.connections_per_ip.min(i32::MAX as usize);
    vec![
        Row::of(
            "connections.max.idle.ms",
            Long,
            (ms(now), ms(&default)),
            "Idle time after which a connection is closed.",
        ),
        Row::of(
            "fetch.max.bytes",
            Int,
            (now.fetch_response_bytes, default.fetch_response_bytes),
            "Most record bytes in one fetch response.",
        ),
        Row::of(
            MAX_CONNECTIONS,
            Int,
            (now.connections, default.connections),
            "Most connections at a time.",
        ),
        Row::of(
            MAX_CONNECTIONS_PER_IP,
            Int,
            (per_ip(now), per_ip(&default)),
            "Most connections of one address at a time.",
        ),
        Row::fixed(
            "max.request.partition.size.limit",
            Int,
            PARTITIONS_MAX,
            "Most partitions in one answer to DescribeTopicPartitions.",
        ),
        Row::of(
            "queued.max.request.bytes",
            Long,
            (now.request_bytes, default.request_bytes),
            "Bytes of requests held at a time.",
        ),
        Row::of(
            "socket.request.max.bytes",
            Int,
            (now.frame_bytes, default.frame_bytes),
            "Largest request.",
        ),
    ]
}

fn groups(broker: &Broker) -> Vec<Row> {
    let (now, default) = (&broker.group_options, GroupOptions::default());
    let minutes = |options: &GroupOptions| options.offset_retention_ms / 60_000;
    vec![
        Row::of(
            "group.consumer.heartbeat.interval.ms",
            Int,
            (now.consumer_heartbeat_interval_ms, default.consumer_heartbeat_interval_ms),
            "How often a member of a consumer group (KIP-848) is to be heard of.",
        ),
        Row::of(
            "group.consumer.max.heartbeat.interval.ms",
            Int,
            (
                now.consumer_heartbeat_interval_ms_bounds.1,
                default.consumer_heartbeat_interval_ms_bounds.1,
            ),
            "Longest consumer.heartbeat.interval.ms of a group.",
        ),
        Row::of(
            "group.consumer.max.session.timeout.ms",
            Int,
            (
                now.consumer_session_timeout_ms_bounds.1,
                default.consumer_session_timeout_ms_bounds.1,
            ),
            "Longest consumer.session.timeout.ms of a group.",
        ),
        Row::of(
            "group.consumer.min.heartbeat.interval.ms",
            Int,
            (
                now.consumer_heartbeat_interval_ms_bounds.0,
                default.consumer_heartbeat_interval_ms_bounds.0,
            ),
            "Shortest consumer.heartbeat.interval.ms of a group.",
        ),
        Row::of(
            "group.consumer.min.session.timeout.ms",
            Int,
            (
                now.consumer_session_timeout_ms_bounds.0,
                default.consumer_session_timeout_ms_bounds.0,
            ),
            "Shortest consumer.session.timeout.ms of a group.",
        ),
        Row::of(
            "group.consumer.max.size",
            Int,
            (now.max_members, default.max_members),
            "Most members of a consumer group.",
        ),
        Row::of(
            "group.consumer.session.timeout.ms",
            Int,
            (now.consumer_session_timeout_ms, default.consumer_session_timeout_ms),
            "How long a member of a consumer group may be silent.",
        ),
        Row::fixed(
            "group.coordinator.rebalance.protocols",
            List,
            "classic,consumer",
            "Protocols of groups that are served.",
        ),
        Row::of(
            "group.initial.rebalance.delay.ms",
            Int,
            (now.initial_rebalance_delay_ms, default.initial_rebalance_delay_ms),
            "How long an empty group waits for more members before its first rebalance.",
        ),
        Row::of(
            "group.max.session.timeout.ms",
            Int,
            (now.max_session_timeout_ms, default.max_session_timeout_ms),
            "Longest session timeout that a member may ask for.",
        ),
        Row::of(
            "group.max.size",
            Int,
            (now.max_members, default.max_members),
            "Most members of a group.",
        ),
        Row::of(
            "group.min.session.timeout.ms",
            Int,
            (now.min_session_timeout_ms, default.min_session_timeout_ms),
            "Shortest session timeout that a member may ask for.",
        ),
        Row::of(
            "offset.metadata.max.bytes",
            Int,
            (now.max_metadata_bytes, default.max_metadata_bytes),
            "Longest metadata of a committed offset.",
        ),
        Row::of(
            "offsets.retention.minutes",
            Int,
            (minutes(now), minutes(&default)),
            "How long offsets of a group without members are kept.",
        ),
        Row::fixed("offsets.topic.num.partitions", Int, 1, "The topic is the server's own."),
        Row::fixed("offsets.topic.replication.factor", Int, 1, "There is one server."),
    ]
}

fn transactions(broker: &Broker) -> Vec<Row> {
    let (now, default) = (&broker.transaction_options, TransactionOptions::default());
    vec![
        Row::of(
            "transaction.max.timeout.ms",
            Int,
            (now.max_timeout_ms, default.max_timeout_ms),
            "Longest timeout that a transactional producer may ask for.",
        ),
        Row::fixed("transaction.state.log.min.isr", Int, 1, "There is one server."),
        Row::fixed(
            "transaction.state.log.num.partitions",
            Int,
            1,
            "The topic is the server's own.",
        ),
        Row::fixed("transaction.state.log.replication.factor", Int, 1, "There is one server."),
        Row::of(
            "transactional.id.expiration.ms",
            Int,
            (now.id_expiration_ms, default.id_expiration_ms),
            "How long a transactional id is remembered with which nothing happens.",
        ),
    ]
}

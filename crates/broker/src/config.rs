//! Settings as Kafka clients see them: names, defaults, and what they mean.

use thalweg_core::partition_log::TopicMeta;

use crate::broker::Broker;

/// Where a value comes from, in Kafka's codes.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// Type of a setting, in Kafka's codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// A setting and its value.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: i8,
    pub(crate) kind: Kind,
    pub(crate) read_only: bool,
    pub(crate) documentation: &'static str,
}

struct Default {
    name: &'static str,
    value: &'static str,
    kind: Kind,
    documentation: &'static str,
}

const fn default(
    name: &'static str,
    value: &'static str,
    kind: Kind,
    documentation: &'static str,
) -> Default {
    Default { name, value, kind, documentation }
}

/// Settings of topics: those of Kafka 4, by name.
#[rustfmt::skip]
const TOPIC_DEFAULTS: &[Default] = &[
    default("cleanup.policy", "delete", Kind::List, "What happens to old records: delete, compact or both."),
    default("compression.type", "producer", Kind::String, "Codec of stored batches; producer keeps them as they came."),
    default("delete.retention.ms", "86400000", Kind::Long, "How long tombstones of a compacted topic are kept."),
    default("file.delete.delay.ms", "60000", Kind::Long, "Wait before a deleted file goes."),
    default("flush.messages", "1", Kind::Long, "Records between syncs: every acknowledged record is synced."),
    default("flush.ms", "0", Kind::Long, "Time between syncs: none."),
    default("index.interval.bytes", "4096", Kind::Int, "Log bytes for each index entry."),
    default("max.compaction.lag.ms", "9223372036854775807", Kind::Long, "Longest time that a record stays uncompacted."),
    default("max.message.bytes", "1048588", Kind::Int, "Largest record batch."),
    default("message.timestamp.after.max.ms", "9223372036854775807", Kind::Long, "How far in the future a timestamp may be."),
    default("message.timestamp.before.max.ms", "9223372036854775807", Kind::Long, "How far in the past a timestamp may be."),
    default("message.timestamp.type", "CreateTime", Kind::String, "Whose clock stamps records: CreateTime or LogAppendTime."),
    default("min.cleanable.dirty.ratio", "0.5", Kind::Double, "Share of uncompacted bytes at which compaction starts."),
    default("min.compaction.lag.ms", "0", Kind::Long, "Shortest time that a record stays uncompacted."),
    default("min.insync.replicas", "1", Kind::Int, "Replicas that must have a record: there is one."),
    default("preallocate", "false", Kind::Boolean, "Whether segment files are allocated in advance."),
    default("retention.bytes", "-1", Kind::Long, "Bytes of a partition above which old segments go; -1: no limit."),
    default("retention.ms", "604800000", Kind::Long, "Age above which segments go; -1: none."),
    default("segment.bytes", "1073741824", Kind::Int, "Size at which a segment is closed."),
    default("segment.index.bytes", "10485760", Kind::Int, "Largest index of a segment."),
    default("segment.jitter.ms", "0", Kind::Long, "Random part of segment.ms."),
    default("segment.ms", "604800000", Kind::Long, "Age at which a segment is closed."),
    default("unclean.leader.election.enable", "false", Kind::Boolean, "Whether a replica that lags may lead: there is none."),
];

/// Whether a topic has a setting of this name.
pub(crate) fn is_known(name: &str) -> bool {
    TOPIC_DEFAULTS.iter().any(|default| default.name == name)
}

/// Every setting of a topic.
pub(crate) fn of_topic(meta: &TopicMeta) -> Vec<Setting> {
    let setting = |default: &Default| {
        let own = meta.config.iter().find(|(name, _)| name == default.name);
        Setting {
            name: default.name,
            value: own.map_or_else(|| default.value.to_owned(), |(_, value)| value.clone()),
            source: if own.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT },
            kind: default.kind,
            read_only: false,
            documentation: default.documentation,
        }
    };
    TOPIC_DEFAULTS.iter().map(setting).collect()
}

/// The settings of the broker that clients look for.
pub(crate) fn of_broker(broker: &Broker) -> Vec<Setting> {
    let setting = |name, value: String, kind, documentation| Setting {
        name,
        value,
        source: SOURCE_STATIC_BROKER,
        kind,
        read_only: true,
        documentation,
    };
    let limits = &broker.limits;
    let listener = format!("PLAINTEXT://{}:{}", &*broker.host, broker.port);
    vec![
        setting(
            "advertised.listeners",
            listener,
            Kind::String,
            "Where clients are told to connect.",
        ),
        setting(
            "auto.create.topics.enable",
            broker.auto_create_topics.to_string(),
            Kind::Boolean,
            "Whether topics are created on first use.",
        ),
        setting("broker.id", crate::broker::NODE_ID.0.to_string(), Kind::Int, "Id of this broker."),
        setting(
            "connections.max.idle.ms",
            limits.idle_timeout.as_millis().to_string(),
            Kind::Long,
            "Idle time after which a connection is closed.",
        ),
        setting("default.replication.factor", "1".into(), Kind::Int, "Replicas of a new topic."),
        setting(
            "fetch.max.bytes",
            limits.fetch_response_bytes.to_string(),
            Kind::Int,
            "Most record bytes in one fetch response.",
        ),
        setting(
            "max.connections",
            limits.connections.to_string(),
            Kind::Int,
            "Most connections at a time.",
        ),
        setting(
            "num.partitions",
            broker.default_partitions.to_string(),
            Kind::Int,
            "Partitions of topics created without a number of their own.",
        ),
        setting(
            "socket.request.max.bytes",
            limits.frame_bytes.to_string(),
            Kind::Int,
            "Largest request.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_settings_are_sorted_and_overridden() {
        assert!(TOPIC_DEFAULTS.is_sorted_by_key(|default| default.name));
        let meta = TopicMeta {
            id: thalweg_core::ids::TopicId(1),
            name: "t".into(),
            partitions: 1,
            config: vec![("retention.ms".into(), "1000".into())],
        };
        let settings = of_topic(&meta);
        let retention = settings.iter().find(|setting| setting.name == "retention.ms");
        assert!(retention.is_some_and(|s| s.value == "1000" && s.source == SOURCE_TOPIC));
        let others = settings.iter().filter(|setting| setting.source == SOURCE_DEFAULT);
        assert_eq!(others.count(), TOPIC_DEFAULTS.len() - 1);
    }
}

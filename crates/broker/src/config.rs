//! Settings as Kafka clients see them: names, defaults, and what they mean.

use std::sync::LazyLock;

use thalweg_core::partition_log::TopicMeta;
use thalweg_log::topic_config::{self, ConfigEntry, ConfigSource, ConfigType, TopicConfig};

use crate::broker::Broker;

/// Where a value comes from, in Kafka's codes.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// The setting of a topic that bounds its batches.
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// What [`MAX_MESSAGE_BYTES`] is where it is not set.
static MAX_MESSAGE_BYTES_DEFAULT: LazyLock<usize> =
    LazyLock::new(|| TopicConfig::parse(&[]).map_or(0, |config| config.max_message_bytes));

/// Largest batch that a topic takes.
pub(crate) fn max_message_bytes(meta: &TopicMeta) -> usize {
    let own = meta.config.iter().find(|(name, _)| name == MAX_MESSAGE_BYTES);
    own.and_then(|(_, value)| value.parse().ok()).unwrap_or(*MAX_MESSAGE_BYTES_DEFAULT)
}

/// Checks settings that a client wants a topic to have: that the log knows them, and that
/// the broker's memory bears them.
///
/// # Errors
/// What is wrong, in words for the user.
pub(crate) fn check(broker: &Broker, settings: &[(String, String)]) -> Result<(), String> {
    let config = TopicConfig::parse(settings)?;
    let limit = broker.memory.batch_bytes_max();
    if config.max_message_bytes > limit && settings.iter().any(|(k, _)| k == MAX_MESSAGE_BYTES) {
        return Err(format!(
            "'{MAX_MESSAGE_BYTES}' can be {limit} at most, so that several readers of such \
             batches fit into memory; it is {}",
            config.max_message_bytes
        ));
    }
    Ok(())
}

/// Type of a setting, in Kafka's codes.
fn kind_code(kind: ConfigType) -> i8 {
    match kind {
        ConfigType::Boolean => 1,
        ConfigType::String => 2,
        ConfigType::Int => 3,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
    }
}

/// A setting and its value.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: i8,
    pub(crate) kind: i8,
    pub(crate) read_only: bool,
    pub(crate) documentation: &'static str,
}

/// Every setting of a topic.
pub(crate) fn of_topic(meta: &TopicMeta) -> Vec<Setting> {
    let setting = |entry: ConfigEntry| Setting {
        name: entry.name,
        value: entry.value,
        source: match entry.source {
            ConfigSource::Topic => SOURCE_TOPIC,
            ConfigSource::Default => SOURCE_DEFAULT,
        },
        kind: kind_code(entry.kind),
        read_only: false,
        documentation: entry.doc,
    };
    topic_config::describe(&meta.config).into_iter().map(setting).collect()
}

/// The settings of the broker that clients look for.
pub(crate) fn of_broker(broker: &Broker) -> Vec<Setting> {
    let setting = |name, value: String, kind, documentation| Setting {
        name,
        value,
        source: SOURCE_STATIC_BROKER,
        kind: kind_code(kind),
        read_only: true,
        documentation,
    };
    let limits = &broker.limits;
    let listener = format!("PLAINTEXT://{}:{}", &*broker.host, broker.port);
    vec![
        setting(
            "advertised.listeners",
            listener,
            ConfigType::String,
            "Where clients are told to connect.",
        ),
        setting(
            "auto.create.topics.enable",
            broker.auto_create_topics.to_string(),
            ConfigType::Boolean,
            "Whether topics are created on first use.",
        ),
        setting(
            "broker.id",
            crate::broker::NODE_ID.0.to_string(),
            ConfigType::Int,
            "Id of this broker.",
        ),
        setting(
            "connections.max.idle.ms",
            limits.idle_timeout.as_millis().to_string(),
            ConfigType::Long,
            "Idle time after which a connection is closed.",
        ),
        setting(
            "default.replication.factor",
            "1".into(),
            ConfigType::Int,
            "Replicas of a new topic.",
        ),
        setting(
            "fetch.max.bytes",
            limits.fetch_response_bytes.to_string(),
            ConfigType::Int,
            "Most record bytes in one fetch response.",
        ),
        setting(
            "max.connections",
            limits.connections.to_string(),
            ConfigType::Int,
            "Most connections at a time.",
        ),
        setting(
            "num.partitions",
            broker.default_partitions.to_string(),
            ConfigType::Int,
            "Partitions of topics created without a number of their own.",
        ),
        setting(
            "socket.request.max.bytes",
            limits.frame_bytes.to_string(),
            ConfigType::Int,
            "Largest request.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_settings_show_where_they_come_from() {
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
        assert_eq!(others.count(), settings.len() - 1);
    }
}

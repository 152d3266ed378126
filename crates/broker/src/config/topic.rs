//! Settings of topics.

use std::sync::LazyLock;

use thalweg_core::partition_log::TopicMeta;
use thalweg_log::topic_config::{self, ConfigEntry, ConfigSource, TopicConfig};

use super::{Setting, Source, Synonym};
use crate::broker::Broker;

/// The setting of a topic that bounds its batches.
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// The broker's settings that are the defaults of a topic's (Kafka:
/// `ServerTopicConfigSynonyms`).
const OF_BROKER: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("compression.type", "compression.type"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    (MAX_MESSAGE_BYTES, "message.max.bytes"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("min.insync.replicas", "min.insync.replicas"),
    ("preallocate", "log.preallocate"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
    ("segment.jitter.ms", "log.roll.jitter.ms"),
    ("segment.ms", "log.roll.ms"),
    ("unclean.leader.election.enable", "unclean.leader.election.enable"),
];

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

/// Every setting of a topic.
pub(crate) fn of_topic(meta: &TopicMeta) -> Vec<Setting> {
    let setting = |entry: ConfigEntry| {
        let source = match entry.source {
            ConfigSource::Topic => Source::Topic,
            ConfigSource::Default => Source::Default,
        };
        let own = Synonym { name: entry.name, value: entry.value.clone(), source };
        let default = of_broker(entry.name).map(|name| Synonym {
            name,
            value: entry.default.to_owned(),
            source: Source::Default,
        });
        let synonyms = (source == Source::Topic).then_some(own).into_iter().chain(default);
        Setting {
            name: entry.name,
            value: entry.value,
            source,
            kind: entry.kind,
            read_only: false,
            documentation: entry.doc,
            synonyms: synonyms.collect(),
        }
    };
    topic_config::describe(&meta.config).into_iter().map(setting).collect()
}

/// The defaults of topics, as settings of the broker.
pub(super) fn defaults() -> impl Iterator<Item = Setting> {
    topic_config::describe(&[]).into_iter().filter_map(|entry| {
        let name = of_broker(entry.name)?;
        let default = Synonym { name, value: entry.value.clone(), source: Source::Default };
        Some(Setting {
            name,
            value: entry.value,
            source: Source::Default,
            kind: entry.kind,
            read_only: true,
            documentation: entry.doc,
            synonyms: vec![default],
        })
    })
}

fn of_broker(name: &str) -> Option<&'static str> {
    OF_BROKER.iter().find(|(topic, _)| *topic == name).map(|(_, broker)| *broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(config: &[(&str, &str)]) -> TopicMeta {
        TopicMeta {
            id: thalweg_core::ids::TopicId(1),
            name: "t".into(),
            partitions: 1,
            config: config.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        }
    }

    #[test]
    fn settings_show_where_they_come_from() {
        let settings = of_topic(&meta(&[("retention.ms", "1000")]));
        let retention = settings.iter().find(|setting| setting.name == "retention.ms");
        let retention = retention.expect("retention.ms");
        assert_eq!((retention.value.as_str(), retention.source), ("1000", Source::Topic));
        let synonyms: Vec<_> = retention.synonyms.iter().map(|s| (s.name, &s.value[..])).collect();
        assert_eq!(synonyms, [("retention.ms", "1000"), ("log.retention.ms", "604800000")]);
        let others = settings.iter().filter(|setting| setting.source == Source::Default);
        assert_eq!(others.count(), settings.len() - 1);
        // Each has a default somewhere.
        assert!(settings.iter().all(|setting| !setting.synonyms.is_empty()));
    }

    #[test]
    fn the_largest_batch() {
        assert_eq!(max_message_bytes(&meta(&[])), 1_048_588);
        assert_eq!(max_message_bytes(&meta(&[(MAX_MESSAGE_BYTES, "7")])), 7);
    }
}

//! Settings of topics.

use std::sync::LazyLock;

use thalweg_core::partition_log::{LogStore, TopicMeta};
use thalweg_log::topic_config::{self, ConfigEntry, ConfigSource, TopicConfig};

use super::dynamic::{DynamicConfigs, Resource, Settings};
use super::{Setting, Source, Synonym};
use crate::broker::Broker;
use crate::topics;

/// The setting of a topic that bounds its batches.
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// The broker's settings that are the defaults of a topic's (Kafka:
/// `ServerTopicConfigSynonyms`).
const OF_BROKER: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("compression.gzip.level", "compression.gzip.level"),
    ("compression.lz4.level", "compression.lz4.level"),
    ("compression.type", "compression.type"),
    ("compression.zstd.level", "compression.zstd.level"),
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
pub(crate) fn max_message_bytes(log: &dyn LogStore, meta: &TopicMeta) -> usize {
    let defaults = log.topic_defaults();
    let defaults = defaults.iter().filter(|_| !topics::is_internal(&meta.name));
    let set = meta.config.iter().chain(defaults).find(|(name, _)| name == MAX_MESSAGE_BYTES);
    set.and_then(|(_, value)| value.parse().ok()).unwrap_or(*MAX_MESSAGE_BYTES_DEFAULT)
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

/// Every setting of a topic, where the broker's own have been altered so. Internal topics
/// do not follow the broker's.
pub(crate) fn of_topic(meta: &TopicMeta, configs: &DynamicConfigs) -> Vec<Setting> {
    let follows = !topics::is_internal(&meta.name);
    let (all, this) = (configs.of(&Resource::AllBrokers), configs.of(&Resource::this_broker()));
    let setting = |entry: ConfigEntry| {
        let own = Synonym { name: entry.name, value: entry.value, source: Source::Topic };
        let own = (entry.source == ConfigSource::Topic).then_some(own);
        let name = of_broker(entry.name)?;
        let altered = altered_synonyms(name, &this, &all).filter(|_| follows);
        let default = Synonym { name, value: entry.default.to_owned(), source: Source::Default };
        let synonyms = own.into_iter().chain(altered).chain([default]).collect();
        Setting::of_synonyms(entry.name, entry.kind, entry.doc, synonyms)
    };
    topic_config::describe(&meta.config, &[]).into_iter().filter_map(setting).collect()
}

/// Where a setting of this broker was altered to what: of itself, and of all.
pub(super) fn altered_synonyms(
    name: &'static str,
    this: &Settings,
    all: &Settings,
) -> impl Iterator<Item = Synonym> {
    let found = |settings: &Settings, source| {
        settings.get(name).map(|value| Synonym { name, value: value.clone(), source })
    };
    let (this, all) =
        (found(this, Source::DynamicBroker), found(all, Source::DynamicDefaultBroker));
    this.into_iter().chain(all)
}

/// The built-in defaults of topics, as settings of the broker.
pub(super) fn defaults() -> impl Iterator<Item = Setting> {
    topic_config::describe(&[], &[]).into_iter().filter_map(|entry| {
        let name = of_broker(entry.name)?;
        let default = Synonym { name, value: entry.value, source: Source::Default };
        Setting::of_synonyms(name, entry.kind, entry.doc, vec![default])
    })
}

/// The setting of topics that this one of the broker's is the default of.
pub(super) fn of_default(name: &str) -> Option<&'static str> {
    OF_BROKER.iter().find(|(_, broker)| *broker == name).map(|(topic, _)| *topic)
}

fn of_broker(name: &str) -> Option<&'static str> {
    OF_BROKER.iter().find(|(topic, _)| *topic == name).map(|(_, broker)| *broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_a_topic_has_one_of_the_broker() {
        for entry in topic_config::describe(&[], &[]) {
            let name = of_broker(entry.name).expect(entry.name);
            assert_eq!(of_default(name), Some(entry.name));
        }
    }
}

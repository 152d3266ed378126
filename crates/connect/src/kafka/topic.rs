//! Topics that a table needs and that may not be there yet.

use thalweg_core::partition_log::{LogError, LogStore, TopicMeta};
use thalweg_stream::error::Result;

/// The topic; created where it is missing. Settings that the log does not know (yet) are
/// left out, with a warning.
pub(crate) fn open_or_create(
    log: &dyn LogStore,
    name: &str,
    partitions: i32,
    config: &[(String, String)],
) -> Result<TopicMeta> {
    if let Some(meta) = log.topic(name) {
        return Ok(meta);
    }
    match log.create_topic(name, partitions, config) {
        Ok(meta) => Ok(meta),
        // Somebody else was faster.
        Err(error @ LogError::TopicExists { .. }) => log.topic(name).ok_or_else(|| error.into()),
        Err(error @ LogError::InvalidTopic { .. }) if !config.is_empty() => {
            tracing::warn!("{error}; the topic is created without");
            open_or_create(log, name, partitions, &[])
        }
        Err(error) => Err(error.into()),
    }
}

/// The topic's limit for the size of a record batch.
pub(crate) fn max_message_bytes(log: &dyn LogStore, meta: &TopicMeta) -> usize {
    /// Kafka's default.
    const DEFAULT: usize = 1_048_588;
    let defaults = log.topic_defaults();
    meta.config
        .iter()
        .chain(&defaults)
        .find(|(name, _)| name == "max.message.bytes")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(DEFAULT)
}

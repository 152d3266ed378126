//! Rebuilding the coordinator from what was stored.

use super::coordinator::Coordinator;
use super::messages::Now;
use super::record::{self, RecordError};
use crate::broker::BrokerError;
use crate::keyed_topic::{KeyedRecord, KeyedTopic};
use crate::options::TransactionOptions;

/// Topic that holds what is known of transactional ids.
pub(super) const TOPIC: &str = "__transaction_state";

/// The coordinator as it was, and the bytes that it was read from.
///
/// # Errors
/// The topic cannot be read, or holds what this version does not know.
pub(super) fn rebuild(
    topic: &KeyedTopic,
    options: TransactionOptions,
    at: Now,
) -> Result<(Coordinator, usize), BrokerError> {
    let (mut coordinator, mut bytes) = (Coordinator::new(options), 0);
    topic.replay(|record| {
        bytes += record::size_bytes(record.key, record.value);
        take(topic, &mut coordinator, &record, at)
    })?;
    Ok((coordinator, bytes))
}

fn take(
    topic: &KeyedTopic,
    coordinator: &mut Coordinator,
    record: &KeyedRecord<'_>,
    at: Now,
) -> Result<(), BrokerError> {
    let refused = |error| match error {
        RecordError::Malformed(detail) => topic.damaged(record.offset, &detail),
        RecordError::Newer(found) => BrokerError::NewerFormat {
            topic: TOPIC.into(),
            offset: record.offset,
            found: u8::try_from(found).unwrap_or(u8::MAX),
            known: record::VALUE_VERSION as u8,
        },
    };
    let id = record::decode_key(record.key).map_err(refused)?;
    match record.value {
        None => coordinator.remove(&id),
        Some(value) => {
            let transaction = record::decode_value(id, value).map_err(refused)?;
            coordinator.restore(transaction, at, record.offset + 1);
        }
    }
    Ok(())
}

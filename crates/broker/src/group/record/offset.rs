//! Committed offsets (Kafka: OffsetCommitKey, OffsetCommitValue).

use thalweg_core::ids::TopicPartition;

use super::wire::{Reader, Writer};
use super::{KEY_OFFSET, newer};
use crate::group::offsets::CommittedOffset;

/// Version with a leader epoch.
const VERSION: i16 = 3;
/// The only version with a time at which the offset ends.
const VERSION_WITH_EXPIRY: i16 = 1;
const VERSION_NEWEST: i16 = 4;

pub(super) fn key(group: &str, partition: &TopicPartition) -> Vec<u8> {
    let mut key = Writer::new(KEY_OFFSET, false);
    key.text(group);
    key.text(&partition.topic);
    key.i32(partition.partition);
    key.finish()
}

pub(super) fn value(offset: &CommittedOffset) -> Vec<u8> {
    let version = if offset.expires_at.is_some() { VERSION_WITH_EXPIRY } else { VERSION };
    let mut value = Writer::new(version, false);
    value.i64(offset.offset);
    if version == VERSION {
        value.i32(offset.leader_epoch);
    }
    value.text(&offset.metadata);
    value.i64(offset.committed_at);
    if let Some(expires_at) = offset.expires_at {
        value.i64(expires_at);
    }
    value.finish()
}

pub(super) fn read(value: &[u8]) -> Result<CommittedOffset, String> {
    let (version, fields) = Reader::new(value)?;
    if !(0..=VERSION_NEWEST).contains(&version) {
        return Err(newer("a committed offset", version, VERSION_NEWEST));
    }
    let mut fields = fields.flexible(version >= 4);
    let offset = fields.i64()?;
    let leader_epoch = if version >= 3 { fields.i32()? } else { -1 };
    let (metadata, committed_at) = (fields.text()?, fields.i64()?);
    let expires_at = if version == VERSION_WITH_EXPIRY { fields.i64()? } else { -1 };
    fields.end_plain()?;
    let expires_at = (expires_at >= 0).then_some(expires_at);
    Ok(CommittedOffset { offset, leader_epoch, metadata, committed_at, expires_at })
}

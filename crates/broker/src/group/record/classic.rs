//! Classic groups (Kafka: GroupMetadataKey, GroupMetadataValue).

use bytes::Bytes;
use thalweg_core::time::Millis;

use super::wire::{Reader, Writer};
use super::{KEY_CLASSIC, newer};

const VERSION: i16 = 3;
const VERSION_NEWEST: i16 = 4;

/// A generation of a classic group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClassicEntry {
    pub(crate) group: String,
    /// Wall time since which it is as it is.
    pub(crate) at: Millis,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Vec<MemberEntry>,
}

/// A member of a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MemberEntry {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

pub(super) fn key(group: &str) -> Vec<u8> {
    let mut key = Writer::new(KEY_CLASSIC, false);
    key.text(group);
    key.finish()
}

pub(super) fn value(entry: &ClassicEntry) -> Vec<u8> {
    let timeout = |ms: u64| i32::try_from(ms).unwrap_or(i32::MAX);
    let mut value = Writer::new(VERSION, false);
    value.text(entry.protocol_type.as_deref().unwrap_or_default());
    value.i32(entry.generation);
    value.nullable_text(entry.protocol.as_deref());
    value.nullable_text(entry.leader.as_deref());
    value.i64(entry.at);
    value.count(entry.members.len());
    for member in &entry.members {
        value.text(&member.member_id);
        value.nullable_text(member.instance_id.as_deref());
        value.text(&member.client_id);
        value.text(&member.client_host);
        value.i32(timeout(member.rebalance_timeout_ms));
        value.i32(timeout(member.session_timeout_ms));
        value.bytes(&member.subscription);
        value.bytes(&member.assignment);
    }
    value.finish()
}

pub(super) fn read(group: String, value: &[u8]) -> Result<ClassicEntry, String> {
    let (version, fields) = Reader::new(value)?;
    if !(0..=VERSION_NEWEST).contains(&version) {
        return Err(newer("a group", version, VERSION_NEWEST));
    }
    let mut fields = fields.flexible(version >= 4);
    let protocol_type = Some(fields.text()?).filter(|name| !name.is_empty());
    let generation = fields.i32()?;
    let (protocol, leader) = (fields.nullable_text()?, fields.nullable_text()?);
    let at = if version >= 2 { fields.i64()? } else { -1 };
    let members = fields.array(|member| {
        let member_id = member.text()?;
        let instance_id = if version >= 3 { member.nullable_text()? } else { None };
        let (client_id, client_host) = (member.text()?, member.text()?);
        let rebalance = if version >= 1 { Some(member.i32()?) } else { None };
        let session = member.i32()?;
        let read = MemberEntry {
            member_id,
            instance_id,
            client_id,
            client_host,
            session_timeout_ms: session.max(0) as u64,
            rebalance_timeout_ms: rebalance.unwrap_or(session).max(0) as u64,
            subscription: member.bytes()?,
            assignment: member.bytes()?,
        };
        member.end_plain()?;
        Ok(read)
    })?;
    fields.end_plain()?;
    Ok(ClassicEntry { group, at, generation, protocol_type, protocol, leader, members })
}

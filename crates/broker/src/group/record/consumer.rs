//! Consumer groups (Kafka: ConsumerGroupMetadata, ConsumerGroupMemberMetadata,
//! ConsumerGroupTargetAssignment..., ConsumerGroupCurrentMemberAssignment,
//! ConsumerGroupRegularExpression), all in version 0.

use std::collections::BTreeSet;

use bytes::Bytes;
use thalweg_core::ids::TopicId;
use thalweg_core::time::Millis;

use super::wire::{Reader, Writer};
use super::{KEY_REGEX, KeyValue, newer};
use crate::group::partitions::Partitions;

const KEY_EPOCH: i16 = 3;
const KEY_MEMBER: i16 = 5;
const KEY_TARGET_EPOCH: i16 = 6;
const KEY_TARGET: i16 = 7;
const KEY_CURRENT: i16 = 8;
const VERSION: i16 = 0;
const TAG_METADATA_HASH: u32 = 0;
const TAG_CLASSIC_MEMBER: u32 = 0;

/// Something of a consumer group; `None` takes it away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ConsumerEntry {
    /// Epoch of the group, and a hash of the topics that it reads.
    Epoch(Option<(i32, i64)>),
    /// What a member says of itself.
    Member(String, Option<Subscription>),
    /// Epoch of the group for which the targets were made.
    TargetEpoch(Option<i32>),
    /// What a member is to get.
    Target(String, Option<Partitions>),
    /// What a member has.
    Current(String, Option<Current>),
    /// Topics that a regular expression stands for.
    Regex(String, Option<ResolvedRegex>),
}

/// What a member says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Subscription {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) regex: Option<String>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) assignor: Option<String>,
    /// Set for members that speak the classic protocol.
    pub(crate) classic: Option<ClassicMember>,
}

/// What is known of a member that speaks the classic protocol.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ClassicMember {
    pub(crate) session_timeout_ms: i32,
    /// Names and subscriptions, the preferred first.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// How far a member is on its way to its target, in Kafka's codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum MemberState {
    /// It has what it is to have.
    #[default]
    Stable = 0,
    /// It has to give partitions away first.
    Unrevoked = 1,
    /// It waits for partitions that others have to give away.
    Unreleased = 2,
    /// A state of a newer version.
    Unknown = 127,
}

/// What a member has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Partitions,
    /// What it has to give away, and may still be reading.
    pub(crate) revoking: Partitions,
}

/// Topics that a regular expression stands for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<String>,
    /// Number of the resolution.
    pub(crate) version: i64,
    pub(crate) at: Millis,
}

pub(super) fn encode(group: &str, entry: &ConsumerEntry) -> KeyValue {
    let key = |kind, of: Option<&str>| {
        let mut key = Writer::new(kind, false);
        key.text(group);
        if let Some(of) = of {
            key.text(of);
        }
        key.finish()
    };
    match entry {
        ConsumerEntry::Epoch(value) => (key(KEY_EPOCH, None), value.map(epoch)),
        ConsumerEntry::Member(id, value) => {
            (key(KEY_MEMBER, Some(id)), value.as_ref().map(subscription))
        }
        ConsumerEntry::TargetEpoch(value) => (
            key(KEY_TARGET_EPOCH, None),
            value.map(|epoch| {
                let mut value = Writer::new(VERSION, true);
                value.i32(epoch);
                value.end();
                value.finish()
            }),
        ),
        ConsumerEntry::Target(id, value) => {
            let target = value.as_ref().map(|target| {
                let mut value = Writer::new(VERSION, true);
                partitions(&mut value, target);
                value.end();
                value.finish()
            });
            (key(KEY_TARGET, Some(id)), target)
        }
        ConsumerEntry::Current(id, value) => {
            (key(KEY_CURRENT, Some(id)), value.as_ref().map(current))
        }
        ConsumerEntry::Regex(regex, value) => {
            let resolved = value.as_ref().map(|resolved| {
                let mut value = Writer::new(VERSION, true);
                value.count(resolved.topics.len());
                resolved.topics.iter().for_each(|topic| value.text(topic));
                value.i64(resolved.version);
                value.i64(resolved.at);
                value.end();
                value.finish()
            });
            (key(KEY_REGEX, Some(regex)), resolved)
        }
    }
}

fn epoch((epoch, hash): (i32, i64)) -> Vec<u8> {
    let mut value = Writer::new(VERSION, true);
    value.i32(epoch);
    match hash {
        0 => value.end(),
        _ => value.end_with(TAG_METADATA_HASH, |value| value.i64(hash)),
    }
    value.finish()
}

fn subscription(of: &Subscription) -> Vec<u8> {
    let mut value = Writer::new(VERSION, true);
    value.nullable_text(of.instance_id.as_deref());
    value.nullable_text(of.rack_id.as_deref());
    value.text(&of.client_id);
    value.text(&of.client_host);
    value.count(of.topics.len());
    of.topics.iter().for_each(|topic| value.text(topic));
    value.nullable_text(of.regex.as_deref());
    value.i32(of.rebalance_timeout_ms);
    value.nullable_text(of.assignor.as_deref());
    match &of.classic {
        None => value.end(),
        Some(classic) => value.end_with(TAG_CLASSIC_MEMBER, |value| {
            // A structure that may be null: 1 says that it is there.
            value.i8(1);
            value.i32(classic.session_timeout_ms);
            value.count(classic.protocols.len());
            for (name, subscription) in &classic.protocols {
                value.text(name);
                value.bytes(subscription);
                value.end();
            }
            value.end();
        }),
    }
    value.finish()
}

fn current(of: &Current) -> Vec<u8> {
    let mut value = Writer::new(VERSION, true);
    value.i32(of.epoch);
    value.i32(of.previous_epoch);
    value.i8(of.state as i8);
    partitions(&mut value, &of.assigned);
    partitions(&mut value, &of.revoking);
    value.end();
    value.finish()
}

fn partitions(value: &mut Writer, of: &Partitions) {
    value.count(of.topics().count());
    for (topic, partitions) in of.topics() {
        value.uuid(topic.0);
        value.count(partitions.len());
        partitions.iter().for_each(|partition| value.i32(*partition));
        value.end();
    }
}

/// Reads what is behind the group in the key, and the value.
pub(super) fn read(
    kind: i16,
    key: &mut Reader<'_>,
    value: Option<&[u8]>,
) -> Result<Option<ConsumerEntry>, String> {
    let of = match kind {
        KEY_MEMBER | KEY_TARGET | KEY_CURRENT | KEY_REGEX => key.text()?,
        KEY_EPOCH | KEY_TARGET_EPOCH => String::new(),
        // Metadata of topics, which versions before Kafka 4.1 kept with the group.
        _ => return Ok(None),
    };
    let mut fields = match value {
        None => None,
        Some(value) => {
            let (version, fields) = Reader::new(value)?;
            if version != VERSION {
                return Err(newer("a consumer group", version, VERSION));
            }
            Some(fields.flexible(true))
        }
    };
    let fields = fields.as_mut();
    Ok(Some(match kind {
        KEY_EPOCH => ConsumerEntry::Epoch(fields.map(read_epoch).transpose()?),
        KEY_MEMBER => ConsumerEntry::Member(of, fields.map(read_subscription).transpose()?),
        KEY_TARGET_EPOCH => {
            let epoch = fields.map(|fields| {
                let epoch = fields.i32()?;
                fields.end_plain().map(|()| epoch)
            });
            ConsumerEntry::TargetEpoch(epoch.transpose()?)
        }
        KEY_TARGET => {
            let target = fields.map(|fields| {
                let target = read_partitions(fields)?;
                fields.end_plain().map(|()| target)
            });
            ConsumerEntry::Target(of, target.transpose()?)
        }
        KEY_CURRENT => ConsumerEntry::Current(of, fields.map(read_current).transpose()?),
        _ => ConsumerEntry::Regex(of, fields.map(read_regex).transpose()?),
    }))
}

fn read_epoch(fields: &mut Reader<'_>) -> Result<(i32, i64), String> {
    let (epoch, mut hash) = (fields.i32()?, 0);
    fields.end(|tag, field| {
        if tag == TAG_METADATA_HASH {
            hash = field.i64()?;
        }
        Ok(())
    })?;
    Ok((epoch, hash))
}

fn read_subscription(fields: &mut Reader<'_>) -> Result<Subscription, String> {
    let mut of = Subscription {
        instance_id: fields.nullable_text()?,
        rack_id: fields.nullable_text()?,
        client_id: fields.text()?,
        client_host: fields.text()?,
        topics: fields.array(Reader::text)?.into_iter().collect(),
        regex: fields.nullable_text()?,
        rebalance_timeout_ms: fields.i32()?,
        assignor: fields.nullable_text()?,
        classic: None,
    };
    fields.end(|tag, field| {
        if tag == TAG_CLASSIC_MEMBER && field.i8()? >= 0 {
            let session_timeout_ms = field.i32()?;
            let protocols = field.array(|protocol| {
                let read = (protocol.text()?, protocol.bytes()?);
                protocol.end_plain().map(|()| read)
            })?;
            of.classic = Some(ClassicMember { session_timeout_ms, protocols });
        }
        Ok(())
    })?;
    Ok(of)
}

fn read_current(fields: &mut Reader<'_>) -> Result<Current, String> {
    let (epoch, previous_epoch) = (fields.i32()?, fields.i32()?);
    let state = match fields.i8()? {
        0 => MemberState::Stable,
        1 => MemberState::Unrevoked,
        2 => MemberState::Unreleased,
        _ => MemberState::Unknown,
    };
    let (assigned, revoking) = (read_partitions(fields)?, read_partitions(fields)?);
    fields.end_plain()?;
    Ok(Current { epoch, previous_epoch, state, assigned, revoking })
}

fn read_regex(fields: &mut Reader<'_>) -> Result<ResolvedRegex, String> {
    let topics = fields.array(Reader::text)?.into_iter().collect();
    let resolved = ResolvedRegex { topics, version: fields.i64()?, at: fields.i64()? };
    fields.end_plain().map(|()| resolved)
}

fn read_partitions(fields: &mut Reader<'_>) -> Result<Partitions, String> {
    let topics = fields.array(|topic| {
        let id = TopicId(topic.uuid()?);
        let partitions = topic.array(Reader::i32)?;
        topic.end_plain().map(|()| (id, partitions))
    })?;
    let each = |(id, partitions): (TopicId, Vec<i32>)| {
        partitions.into_iter().map(move |partition| (id, partition))
    };
    Ok(topics.into_iter().flat_map(each).collect())
}

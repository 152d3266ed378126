//! OffsetFetch: the committed offsets of one group, or from version 8 on of several.

use std::collections::HashSet;

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE};
use crate::group::{CommittedOffset, Coordinator};
use crate::request::{Answer, RequestContext, RequestError};

/// Topics and partitions that are asked for; `None` for all there are.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;

/// What is asked for, and by whom.
struct Asked {
    wanted: Wanted,
    /// Member and epoch of a consumer group, from version 9 on.
    member_id: Option<String>,
    epoch: i32,
    /// Offsets that a transaction under way may change are not to be given (KIP-447).
    stable: bool,
}

/// Topics with the offset of each partition, where there is one.
type Found = Vec<(TopicName, Vec<(i32, Result<Option<CommittedOffset>, ErrorCode>)>)>;

pub(crate) async fn handle(
    context: RequestContext,
    request: OffsetFetchRequest,
) -> Result<Answer, RequestError> {
    if context.version() >= 8 {
        let mut groups = Vec::with_capacity(request.groups.len());
        // Named twice, answered once: the answer must not outgrow what there is.
        let mut seen = HashSet::new();
        for group in request.groups {
            if !seen.insert(group.group_id.clone()) {
                continue;
            }
            let wanted = group.topics.map(|topics| {
                topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
            });
            let asked = Asked {
                wanted,
                member_id: group.member_id.as_deref().map(str::to_owned),
                epoch: group.member_epoch,
                stable: request.require_stable,
            };
            groups.push(batched(
                group.group_id.clone(),
                find(&context, &group.group_id, asked).await,
            ));
        }
        return context.answer(&OffsetFetchResponse::default().with_groups(groups));
    }
    let wanted = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
    });
    let asked = Asked { wanted, member_id: None, epoch: -1, stable: request.require_stable };
    let found = find(&context, &request.group_id, asked).await;
    context.answer(&single(found, context.version()))
}

async fn find(context: &RequestContext, group: &str, asked: Asked) -> Result<Found, ErrorCode> {
    if !context.allows(Operation::Describe, Resource::Group(group)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let allows = |topic: &str| context.allows(Operation::Describe, Resource::Topic(topic));
    let found = context.broker.groups.read(|groups| {
        groups.check_fetch(group, asked.member_id.as_deref(), asked.epoch)?;
        Ok(look_up(groups, group, asked, &allows))
    });
    found.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?
}

fn look_up(
    groups: &Coordinator,
    group: &str,
    asked: Asked,
    allows: &dyn Fn(&str) -> bool,
) -> Found {
    let of = |at: &TopicPartition, offset| match asked.stable && groups.is_unstable(group, at) {
        true => Err(ErrorCode::UnstableOffsetCommit),
        false => Ok(offset),
    };
    let Some(wanted) = asked.wanted else {
        let mut found: Found = Vec::new();
        for (at, offset) in groups.all_offsets(group) {
            let offset = of(&at, offset);
            if !allows(&at.topic) || matches!(offset, Ok(None)) {
                continue;
            }
            let partition = (at.partition, offset);
            match found.last_mut() {
                Some((topic, partitions)) if topic.as_str() == at.topic => {
                    partitions.push(partition);
                }
                _ => found.push((TopicName(StrBytes::from_string(at.topic)), vec![partition])),
            }
        }
        return found;
    };
    let topic = |(topic, partitions): (TopicName, Vec<i32>)| {
        let allowed = allows(&topic);
        let offset = |index| {
            let at = TopicPartition::new(topic.as_str(), index);
            let found = match allowed {
                true => of(&at, groups.offset(group, &at)),
                false => Err(ErrorCode::TopicAuthorizationFailed),
            };
            (index, found)
        };
        let partitions = partitions.into_iter().map(offset).collect();
        (topic, partitions)
    };
    wanted.into_iter().map(topic).collect()
}

/// Offset, leader epoch, metadata and error of a partition.
fn parts(found: Result<Option<CommittedOffset>, ErrorCode>) -> (i64, i32, StrBytes, i16) {
    match found {
        Ok(Some(found)) => {
            (found.offset, found.leader_epoch, StrBytes::from_string(found.metadata), NONE)
        }
        Ok(None) => (-1, -1, StrBytes::new(), NONE),
        Err(code) => (-1, -1, StrBytes::new(), code.code()),
    }
}

fn batched(group: GroupId, found: Result<Found, ErrorCode>) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(group);
    let found = match found {
        Ok(found) => found,
        Err(code) => return response.with_error_code(code.code()),
    };
    let partition = |(index, found)| {
        let (offset, epoch, metadata, code) = parts(found);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(metadata))
            .with_error_code(code)
    };
    let topic = |(name, partitions): (TopicName, Vec<_>)| {
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    response.with_topics(found.into_iter().map(topic).collect())
}

fn single(found: Result<Found, ErrorCode>, version: i16) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default();
    let found = match found {
        Ok(found) => found,
        // Version 1 has no place for it.
        Err(_) if version < 2 => return response,
        Err(code) => return response.with_error_code(code.code()),
    };
    let partition = |(index, found)| {
        let (offset, epoch, metadata, code) = parts(found);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(if version >= 5 { epoch } else { -1 })
            .with_metadata(Some(metadata))
            .with_error_code(code)
    };
    let topic = |(name, partitions): (TopicName, Vec<_>)| {
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    response.with_topics(found.into_iter().map(topic).collect())
}

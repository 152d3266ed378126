//! OffsetCommit: how far a group has read. Answered when it is durable.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE};
use crate::group::{CommitInput, CommitOffset, Input, MemberRef, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: OffsetCommitRequest,
) -> Result<Answer, RequestError> {
    let allowed = context.allows(Operation::Read, Resource::Group(&request.group_id));
    let refused = (!allowed).then_some(ErrorCode::GroupAuthorizationFailed);
    let mut response = OffsetCommitResponse::default();
    let mut offsets = Vec::new();
    // Where in the response the code of each offset belongs.
    let mut places = Vec::new();
    for topic in &request.topics {
        let exists = context.broker.log.topic(&topic.name).map(|meta| meta.partitions);
        let readable = context.allows(Operation::Read, Resource::Topic(&topic.name));
        let mut answered = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let known = exists.is_some_and(|count| (0..count).contains(&partition.partition_index));
            let code = match refused {
                Some(code) => code.code(),
                None if !readable => ErrorCode::TopicAuthorizationFailed.code(),
                None if !known => ErrorCode::UnknownTopicOrPartition.code(),
                None => {
                    places.push((response.topics.len(), answered.len()));
                    offsets.push(commit_offset(&topic.name, partition, request.retention_time_ms));
                    NONE
                }
            };
            answered.push(
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code),
            );
        }
        response.topics.push(
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(answered),
        );
    }
    if offsets.is_empty() {
        return context.answer(&response);
    }
    let member = MemberRef {
        group: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
    };
    let reply = context.broker.groups.submit(Input::Commit(CommitInput {
        member,
        offsets,
        version: context.version(),
        transaction: None,
    }));
    Ok(context.later(async move {
        let Ok(Reply::Codes(codes)) = reply.await else { return Err(RequestError::Stopping) };
        for (at, (topic, partition)) in places.into_iter().enumerate() {
            let code = match &codes {
                Ok(codes) => codes.get(at).copied().unwrap_or(NONE),
                Err(code) => code.code(),
            };
            response.topics[topic].partitions[partition].error_code = code;
        }
        context.head.encode(&response)
    }))
}

fn commit_offset(
    topic: &str,
    partition: &OffsetCommitRequestPartition,
    retention_ms: i64,
) -> CommitOffset {
    CommitOffset {
        partition: TopicPartition::new(topic, partition.partition_index),
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition
            .committed_metadata
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        // Versions 2 to 4; -1 for what the broker does anyway.
        retention_ms: (retention_ms >= 0).then_some(retention_ms),
    }
}

//! ConsumerGroupHeartbeat (KIP-848): a member is alive, joins or goes, and learns what it
//! is to have.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions as Owned,
};
use kafka_protocol::messages::consumer_group_heartbeat_response::{
    Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicId;
use uuid::Uuid;

use crate::error_code::ErrorCode;
use crate::group::{ConsumerReply, HeartbeatInput, Input, Partitions, Reply, TopicFilter};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> Result<Answer, RequestError> {
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return context.answer(&refused(ErrorCode::GroupAuthorizationFailed));
    }
    let visible = |topic: &str| context.allows(Operation::Describe, Resource::Topic(topic));
    let topics = request.subscribed_topic_names.iter().flatten();
    if !topics.into_iter().all(|topic| visible(topic)) {
        return context.answer(&refused(ErrorCode::TopicAuthorizationFailed));
    }
    let input = heartbeat_input(&context, &request);
    drop(request);
    let reply = context.broker.groups.submit(Input::ConsumerHeartbeat(Box::new(input)));
    let head = context.head;
    Ok(context.later(async move {
        match reply.await {
            Ok(Reply::Consumer(reply)) => head.encode(&response(reply)),
            _ => Err(RequestError::Stopping),
        }
    }))
}

/// Copies what is kept, so that no member holds on to a whole request.
fn heartbeat_input(
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest,
) -> HeartbeatInput {
    let text = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    let fresh = context.broker.env.random.next_u128().to_be_bytes();
    let owned = |owned: &Vec<Owned>| {
        let mut partitions = Partitions::default();
        for topic in owned {
            let id = TopicId(topic.topic_id.as_u128());
            partitions.extend(topic.partitions.iter().map(|partition| (id, *partition)));
        }
        partitions
    };
    let client = context.clone();
    HeartbeatInput {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        epoch: request.member_epoch,
        instance_id: text(&request.instance_id),
        rack_id: text(&request.rack_id),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms >= 0),
        topics: request
            .subscribed_topic_names
            .as_ref()
            .map(|topics| topics.iter().map(|topic| topic.to_string()).collect()),
        regex: text(&request.subscribed_topic_regex),
        assignor: text(&request.server_assignor),
        owned: request.topic_partitions.as_ref().map(owned),
        client_id: context.client_id.to_string(),
        client_host: context.client.peer.ip().to_string(),
        fresh_id: uuid::Builder::from_random_bytes(fresh).into_uuid().to_string(),
        visible: TopicFilter(Arc::new(move |topic| {
            client.allows(Operation::Describe, Resource::Topic(topic))
        })),
    }
}

fn refused(code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_string(code.to_string())))
}

fn response(reply: ConsumerReply) -> ConsumerGroupHeartbeatResponse {
    let topic = |(id, partitions): (TopicId, &std::collections::BTreeSet<i32>)| {
        TopicPartitions::default()
            .with_topic_id(Uuid::from_u128(id.0))
            .with_partitions(partitions.iter().copied().collect())
    };
    let assignment = |assigned: Partitions| {
        Assignment::default().with_topic_partitions(assigned.topics().map(topic).collect())
    };
    let member_id = Some(reply.member_id).filter(|id| !id.is_empty());
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(reply.error_code)
        .with_error_message(reply.error_message.map(StrBytes::from_string))
        .with_member_id(member_id.map(StrBytes::from_string))
        .with_member_epoch(reply.epoch)
        .with_heartbeat_interval_ms(reply.heartbeat_interval_ms)
        .with_assignment(reply.assignment.map(assignment))
}

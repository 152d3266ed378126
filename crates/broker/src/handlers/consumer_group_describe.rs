//! ConsumerGroupDescribe (KIP-848): members, epochs and assignments of consumer groups.

use std::collections::HashSet;

use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use uuid::Uuid;

use crate::error_code::ErrorCode;
use crate::group::{ConsumerDescription, ConsumerMemberDescription, NamedPartitions};
use crate::request::{Answer, RequestContext, RequestError};

/// Operations that make sense on a group.
const GROUP_OPERATIONS: &[Operation] = &[Operation::Read, Operation::Delete, Operation::Describe];
/// Types of members, in Kafka's codes.
const MEMBER_CLASSIC: i8 = 0;
const MEMBER_CONSUMER: i8 = 1;

pub(crate) async fn handle(
    context: RequestContext,
    request: ConsumerGroupDescribeRequest,
) -> Result<Answer, RequestError> {
    let operations = request.include_authorized_operations;
    // Named twice, described once: the answer must not outgrow what there is.
    let mut seen = HashSet::new();
    let mut groups = Vec::new();
    for id in request.group_ids {
        if seen.insert(id.clone()) {
            groups.push(describe(&context, id, operations).await);
        }
    }
    context.answer(&ConsumerGroupDescribeResponse::default().with_groups(groups))
}

async fn describe(context: &RequestContext, id: GroupId, operations: bool) -> DescribedGroup {
    let mut described = DescribedGroup::default().with_group_id(id.clone());
    let refused = |described: DescribedGroup, code: ErrorCode, message: String| {
        described
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    };
    if !context.allows(Operation::Describe, Resource::Group(&id)) {
        let code = ErrorCode::GroupAuthorizationFailed;
        return refused(described, code, code.to_string());
    }
    if operations {
        described.authorized_operations =
            context.allowed_operations(GROUP_OPERATIONS, Resource::Group(&id));
    }
    let found = context.broker.groups.read(|groups| groups.describe_consumers(&id)).await;
    match found {
        Ok(Some(group)) if all_visible(context, &group) => {
            fill(described, group, context.version())
        }
        Ok(Some(_)) => {
            let message = "the group reads topics that the client may not see".to_owned();
            refused(described, ErrorCode::TopicAuthorizationFailed, message)
        }
        Ok(None) => {
            let message = format!("group '{}' is not a consumer group", id.0);
            refused(described, ErrorCode::GroupIdNotFound, message)
        }
        Err(error) => refused(described, ErrorCode::CoordinatorNotAvailable, error.to_string()),
    }
}

fn all_visible(context: &RequestContext, group: &ConsumerDescription) -> bool {
    let assigned = |member: &ConsumerMemberDescription| {
        let partitions = member.assigned.iter().chain(&member.target);
        partitions.map(|(_, topic, _)| topic.clone()).collect::<Vec<_>>()
    };
    let topics: HashSet<_> = group
        .members
        .iter()
        .flat_map(|member| member.topics.iter().cloned().chain(assigned(member)))
        .collect();
    topics.iter().all(|topic| context.allows(Operation::Describe, Resource::Topic(topic)))
}

fn fill(described: DescribedGroup, group: ConsumerDescription, version: i16) -> DescribedGroup {
    let text = StrBytes::from_string;
    let member = |member: ConsumerMemberDescription| {
        let kind = if member.is_classic { MEMBER_CLASSIC } else { MEMBER_CONSUMER };
        let names = member.topics.into_iter().map(|topic| TopicName(text(topic)));
        Member::default()
            .with_member_id(text(member.member_id))
            .with_instance_id(member.instance_id.map(text))
            .with_rack_id(member.rack_id.map(text))
            .with_member_epoch(member.epoch)
            .with_client_id(text(member.client_id))
            .with_client_host(text(format!("/{}", member.client_host)))
            .with_subscribed_topic_names(names.collect())
            .with_subscribed_topic_regex(member.regex.map(text))
            .with_assignment(assignment(member.assigned))
            .with_target_assignment(assignment(member.target))
            .with_member_type(if version >= 1 { kind } else { -1 })
    };
    described
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(group.assignor))
        .with_members(group.members.into_iter().map(member).collect())
}

fn assignment(partitions: Vec<NamedPartitions>) -> Assignment {
    let topic = |(id, name, partitions): NamedPartitions| {
        TopicPartitions::default()
            .with_topic_id(Uuid::from_u128(id))
            .with_topic_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions)
    };
    Assignment::default().with_topic_partitions(partitions.into_iter().map(topic).collect())
}

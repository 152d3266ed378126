//! DescribeGroups: members and assignments of groups.

use std::collections::HashSet;

use kafka_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use kafka_protocol::messages::{DescribeGroupsRequest, GroupId};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE};
use crate::group::{GroupDescription, GroupType, MemberDescription};
use crate::request::{Answer, RequestContext, RequestError};

/// Operations that make sense on a group.
const GROUP_OPERATIONS: &[Operation] = &[Operation::Read, Operation::Delete, Operation::Describe];

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeGroupsRequest,
) -> Result<Answer, RequestError> {
    let operations = request.include_authorized_operations;
    // Named twice, described once: the answer must not outgrow what there is.
    let mut seen = HashSet::new();
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        if seen.insert(group.clone()) {
            groups.push(describe(&context, group, operations).await);
        }
    }
    context.answer(&DescribeGroupsResponse::default().with_groups(groups))
}

async fn describe(context: &RequestContext, id: GroupId, operations: bool) -> DescribedGroup {
    let version = context.version();
    let mut described = DescribedGroup::default().with_group_id(id.clone());
    if !context.allows(Operation::Describe, Resource::Group(&id)) {
        return described.with_error_code(ErrorCode::GroupAuthorizationFailed.code());
    }
    if operations && version >= 3 {
        described.authorized_operations =
            context.allowed_operations(GROUP_OPERATIONS, Resource::Group(&id));
    }
    let Ok(group) = context.broker.groups.read(|groups| groups.describe(&id)).await else {
        return described.with_error_code(ErrorCode::CoordinatorNotAvailable.code());
    };
    let is_classic = |group: &GroupDescription| group.summary.group_type == GroupType::Classic;
    let message = match group {
        Some(group) if is_classic(&group) => return fill(described, group, version),
        Some(_) => format!("group '{}' is not a classic group", id.0),
        None => format!("group '{}' not found", id.0),
    };
    // A group that is not there is "Dead"; from version 6 on that is an error too.
    let dead = described.with_group_state(StrBytes::from_static_str("Dead"));
    match version {
        ..6 => dead.with_error_code(NONE),
        _ => dead
            .with_error_code(ErrorCode::GroupIdNotFound.code())
            .with_error_message(Some(StrBytes::from_string(message))),
    }
}

fn fill(described: DescribedGroup, group: GroupDescription, version: i16) -> DescribedGroup {
    let text = StrBytes::from_string;
    let member = |member: MemberDescription| {
        DescribedGroupMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.filter(|_| version >= 4).map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(format!("/{}", member.client_host)))
            .with_member_metadata(member.subscription)
            .with_member_assignment(member.assignment)
    };
    described
        .with_group_state(StrBytes::from_static_str(group.summary.state.name()))
        .with_protocol_type(text(group.summary.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}

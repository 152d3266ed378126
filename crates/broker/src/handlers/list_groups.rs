//! ListGroups: all groups, or those in certain states.

use kafka_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use kafka_protocol::messages::{GroupId, ListGroupsRequest};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::group::{Coordinator, GroupSummary};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: ListGroupsRequest,
) -> Result<Answer, RequestError> {
    let version = context.version();
    let matches = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let listed = |group: &GroupSummary| {
        context.allows(Operation::Describe, Resource::Group(&group.group))
            && matches(&request.states_filter, group.state.name())
            && matches(&request.types_filter, group.group_type.name())
    };
    let row = |group: GroupSummary| {
        let row = ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.group)))
            .with_protocol_type(StrBytes::from_string(group.protocol_type));
        match version {
            0..=3 => row,
            4 => row.with_group_state(StrBytes::from_static_str(group.state.name())),
            _ => row
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_group_type(StrBytes::from_static_str(group.group_type.name())),
        }
    };
    let Ok(groups) = context.broker.groups.read(Coordinator::list).await else {
        let code = ErrorCode::CoordinatorNotAvailable.code();
        return context.answer(&ListGroupsResponse::default().with_error_code(code));
    };
    let groups = groups.into_iter().filter(listed).map(row).collect();
    context.answer(&ListGroupsResponse::default().with_groups(groups))
}

//! DeleteGroups: groups without members, with their offsets.

use kafka_protocol::messages::DeleteGroupsRequest;
use kafka_protocol::messages::delete_groups_response::{
    DeletableGroupResult, DeleteGroupsResponse,
};
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::group::{Input, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: DeleteGroupsRequest,
) -> Result<Answer, RequestError> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group in request.groups_names {
        let code = if context.allows(Operation::Delete, Resource::Group(&group)) {
            match context.broker.groups.ask(Input::DeleteGroup(group.to_string())).await {
                Reply::Code(code) => code,
                _ => return Err(RequestError::Stopping),
            }
        } else {
            ErrorCode::GroupAuthorizationFailed.code()
        };
        results.push(DeletableGroupResult::default().with_group_id(group).with_error_code(code));
    }
    context.answer(&DeleteGroupsResponse::default().with_results(results))
}

//! Heartbeat: a member is alive, and learns of rebalances.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::group::{Input, MemberRef, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: HeartbeatRequest,
) -> Result<Answer, RequestError> {
    let response = HeartbeatResponse::default();
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        let code = ErrorCode::GroupAuthorizationFailed.code();
        return context.answer(&response.with_error_code(code));
    }
    let member = MemberRef {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
    };
    let reply = context.broker.groups.submit(Input::Heartbeat(member));
    let head = context.head;
    Ok(context.later(async move {
        match reply.await {
            Ok(Reply::Code(code)) => head.encode(&response.with_error_code(code)),
            _ => Err(RequestError::Stopping),
        }
    }))
}

//! LeaveGroup: members go, or are sent away by their instance ids.

use kafka_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE};
use crate::group::{Input, LeaveInput, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: LeaveGroupRequest,
) -> Result<Answer, RequestError> {
    let version = context.version();
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        let code = ErrorCode::GroupAuthorizationFailed.code();
        return context.answer(&LeaveGroupResponse::default().with_error_code(code));
    }
    let members = match version {
        0..=2 => vec![MemberIdentity::default().with_member_id(request.member_id)],
        _ => request.members,
    };
    let identity = |member: &MemberIdentity| {
        let instance = member.group_instance_id.as_ref().map(ToString::to_string);
        (member.member_id.to_string(), instance)
    };
    let input = LeaveInput {
        group: request.group_id.to_string(),
        members: members.iter().map(identity).collect(),
    };
    let reply = context.broker.groups.submit(Input::Leave(input));
    let head = context.head;
    Ok(context.later(async move {
        match reply.await {
            Ok(Reply::Codes(codes)) => head.encode(&response(codes, members, version)),
            _ => Err(RequestError::Stopping),
        }
    }))
}

fn response(
    codes: Result<Vec<i16>, ErrorCode>,
    members: Vec<MemberIdentity>,
    version: i16,
) -> LeaveGroupResponse {
    let response = LeaveGroupResponse::default();
    match codes {
        Err(code) => response.with_error_code(code.code()),
        Ok(codes) if version < 3 => {
            response.with_error_code(codes.first().copied().unwrap_or(NONE))
        }
        Ok(codes) => {
            let member = |(member, code): (MemberIdentity, i16)| {
                MemberResponse::default()
                    .with_member_id(member.member_id)
                    .with_group_instance_id(member.group_instance_id)
                    .with_error_code(code)
            };
            response.with_members(members.into_iter().zip(codes).map(member).collect())
        }
    }
}

//! SyncGroup: a member gets its assignment, as soon as the leader has brought it.

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::group::{Input, MemberRef, Reply, SyncInput, SyncReply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: SyncGroupRequest,
) -> Result<Answer, RequestError> {
    let version = context.version();
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        let code = ErrorCode::GroupAuthorizationFailed.code();
        return context.answer(&SyncGroupResponse::default().with_error_code(code));
    }
    let text = |text: &StrBytes| text.to_string();
    let assignments = request.assignments.iter();
    let input = SyncInput {
        member: MemberRef {
            group: request.group_id.to_string(),
            generation: request.generation_id,
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(text),
        },
        protocol_type: request.protocol_type.as_ref().map(text),
        protocol: request.protocol_name.as_ref().map(text),
        assignments: assignments
            .map(|part| (part.member_id.to_string(), Bytes::copy_from_slice(&part.assignment)))
            .collect(),
    };
    drop(request);
    let reply = context.broker.groups.submit(Input::Sync(input));
    let head = context.head;
    Ok(context.later(async move {
        match reply.await {
            Ok(Reply::Sync(reply)) => head.encode(&response(reply, version)),
            _ => Err(RequestError::Stopping),
        }
    }))
}

fn response(reply: SyncReply, version: i16) -> SyncGroupResponse {
    let named = |name: Option<String>| name.filter(|_| version >= 5).map(StrBytes::from_string);
    SyncGroupResponse::default()
        .with_error_code(reply.error_code)
        .with_protocol_type(named(reply.protocol_type))
        .with_protocol_name(named(reply.protocol))
        .with_assignment(reply.assignment)
}

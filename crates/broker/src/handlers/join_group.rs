//! JoinGroup: a member joins, and waits for the others.

use bytes::Bytes;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::group::{Input, JoinInput, JoinReply, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: JoinGroupRequest,
) -> Result<Answer, RequestError> {
    let version = context.version();
    let member_id = request.member_id.to_string();
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        let refused = JoinReply {
            error_code: ErrorCode::GroupAuthorizationFailed.code(),
            generation: -1,
            member_id,
            ..JoinReply::default()
        };
        return context.answer(&response(refused, version));
    }
    let input = join_input(&context, &request);
    drop(request);
    let reply = context.broker.groups.submit(Input::Join(input));
    let head = context.head;
    Ok(context.later(async move {
        match reply.await {
            Ok(Reply::Join(reply)) => head.encode(&response(reply, version)),
            _ => Err(RequestError::Stopping),
        }
    }))
}

/// Copies what is kept, so that no member holds on to a whole request.
fn join_input(context: &RequestContext, request: &JoinGroupRequest) -> JoinInput {
    let version = context.version();
    let instance_id = request.group_instance_id.as_ref().map(ToString::to_string);
    let random =
        uuid::Builder::from_random_bytes(context.broker.env.random.next_u128().to_be_bytes());
    let prefix = instance_id.as_deref().unwrap_or(&context.client_id);
    let protocols = request.protocols.iter();
    JoinInput {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        fresh_id: format!("{prefix}-{}", random.into_uuid()),
        instance_id,
        client_id: context.client_id.to_string(),
        client_host: context.client.peer.ip().to_string(),
        session_timeout_ms: request.session_timeout_ms,
        // Version 0 has one timeout for both.
        rebalance_timeout_ms: match version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        requires_known_id: version >= 4,
        can_skip_assignment: version >= 9,
    }
}

fn response(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let text = StrBytes::from_string;
    let member = |(id, instance, subscription): (String, Option<String>, Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.filter(|_| version >= 5).map(text))
            .with_metadata(subscription)
    };
    // Before version 7 the protocol cannot be null.
    let protocol = reply.protocol.or_else(|| (version < 7).then(String::new));
    JoinGroupResponse::default()
        .with_error_code(reply.error_code)
        .with_generation_id(reply.generation)
        .with_protocol_type(reply.protocol_type.filter(|_| version >= 7).map(text))
        .with_protocol_name(protocol.map(text))
        .with_leader(text(reply.leader))
        .with_skip_assignment(reply.skip_assignment && version >= 9)
        .with_member_id(text(reply.member_id))
        .with_members(reply.members.into_iter().map(member).collect())
}

//! FindCoordinator: this broker, for every group and every transactional id.

use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::NODE_ID;
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn handle(
    context: RequestContext,
    request: FindCoordinatorRequest,
) -> Result<Answer, RequestError> {
    let response = FindCoordinatorResponse::default();
    if context.version() >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let found = keys.map(|key| coordinator(&context, key, request.key_type)).collect();
        return context.answer(&response.with_coordinators(found));
    }
    let found = coordinator(&context, request.key, request.key_type);
    let message = if context.version() >= 1 { found.error_message } else { None };
    context.answer(
        &response
            .with_error_code(found.error_code)
            .with_error_message(message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn coordinator(context: &RequestContext, key: StrBytes, key_type: i8) -> Coordinator {
    let refusal = match key_type {
        GROUP if context.allows(Operation::Describe, Resource::Group(&key)) => None,
        GROUP => Some((ErrorCode::GroupAuthorizationFailed, "not allowed to see this group")),
        TRANSACTION if context.allows(Operation::Describe, Resource::TransactionalId(&key)) => None,
        TRANSACTION => Some((
            ErrorCode::TransactionalIdAuthorizationFailed,
            "not allowed to see this transactional id",
        )),
        _ => Some((ErrorCode::InvalidRequest, "this kind of coordinator is not supported")),
    };
    let found = Coordinator::default().with_key(key);
    match refusal {
        None => found
            .with_node_id(NODE_ID)
            .with_host(context.broker.host.clone())
            .with_port(context.broker.port)
            .with_error_message(None),
        Some((code, message)) => found
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}

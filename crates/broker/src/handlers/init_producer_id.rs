//! InitProducerId: an identity for an idempotent producer (KIP-98).

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: InitProducerIdRequest,
) -> Result<Answer, RequestError> {
    let refuse = |code: ErrorCode| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if let Some(id) = &request.transactional_id {
        // The code on which every client gives up; there is no place for a message.
        let client = &context.client_id;
        tracing::warn!(%client, id = %id.0, "transactions are not supported yet");
        return context.answer(&refuse(ErrorCode::TransactionalIdAuthorizationFailed));
    }
    if !context.allows(Operation::IdempotentWrite, Resource::Cluster) {
        return context.answer(&refuse(ErrorCode::ClusterAuthorizationFailed));
    }
    match context.broker.producer_ids.next().await {
        Ok(id) => context.answer(
            &InitProducerIdResponse::default()
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(0),
        ),
        Err(error) => {
            tracing::warn!(%error, "cannot take producer ids");
            context.answer(&refuse(ErrorCode::CoordinatorNotAvailable))
        }
    }
}

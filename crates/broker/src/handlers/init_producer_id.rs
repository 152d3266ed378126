//! InitProducerId: an identity for an idempotent producer, or who may use a transactional
//! id from now on (KIP-98, KIP-360).

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::record_batch::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use crate::error_code::{ErrorCode, NONE, before_fenced};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{Init, Producer};

/// First version whose clients know that they can be fenced.
const FENCED_SINCE: i16 = 4;

pub(crate) async fn handle(
    context: RequestContext,
    request: InitProducerIdRequest,
) -> Result<Answer, RequestError> {
    let outcome = match &request.transactional_id {
        Some(id) => of_transactional_id(&context, id, &request).await,
        None => of_idempotent_producer(&context).await,
    };
    let outcome = outcome.map_err(|code| before_fenced(code, context.version(), FENCED_SINCE));
    let (code, producer) = match outcome {
        Ok(producer) => (NONE, producer),
        Err(code) => (code.code(), Producer::new(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)),
    };
    context.answer(
        &InitProducerIdResponse::default()
            .with_error_code(code)
            .with_producer_id(ProducerId(producer.id.0))
            .with_producer_epoch(producer.epoch),
    )
}

async fn of_idempotent_producer(context: &RequestContext) -> Result<Producer, ErrorCode> {
    if !context.allows(Operation::IdempotentWrite, Resource::Cluster) {
        return Err(ErrorCode::ClusterAuthorizationFailed);
    }
    match context.broker.producer_ids.next().await {
        Ok(id) => Ok(Producer::new(id, 0)),
        Err(error) => {
            tracing::warn!(%error, "cannot take producer ids");
            Err(ErrorCode::CoordinatorNotAvailable)
        }
    }
}

async fn of_transactional_id(
    context: &RequestContext,
    id: &str,
    request: &InitProducerIdRequest,
) -> Result<Producer, ErrorCode> {
    if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some(Producer::new(id, epoch)),
    };
    let timeout_ms = request.transaction_timeout_ms;
    let init = Init { id: id.to_owned(), timeout_ms, expected, fresh: None };
    context.broker.transactions.init(init).await
}

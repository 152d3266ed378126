//! EndTxn: commits or aborts a transaction, from whatever connection (KIP-98). From version
//! 5 on each end raises the epoch (KIP-890).

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::record_batch::{ControlKind, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use crate::error_code::{ErrorCode, NONE, before_fenced};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{End, Producer, Protocol};

/// First version whose clients know that they can be fenced.
const FENCED_SINCE: i16 = 2;
/// First version whose clients go on with another epoch.
const BUMPS_SINCE: i16 = 5;

pub(crate) async fn handle(
    context: RequestContext,
    request: EndTxnRequest,
) -> Result<Answer, RequestError> {
    let outcome = end(&context, &request).await;
    let outcome = outcome.map_err(|code| before_fenced(code, context.version(), FENCED_SINCE));
    let response = match outcome {
        Ok(producer) if context.version() >= BUMPS_SINCE => EndTxnResponse::default()
            .with_error_code(NONE)
            .with_producer_id(ProducerId(producer.id.0))
            .with_producer_epoch(producer.epoch),
        Ok(_) => EndTxnResponse::default().with_error_code(NONE),
        Err(code) => EndTxnResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    };
    context.answer(&response)
}

async fn end(context: &RequestContext, request: &EndTxnRequest) -> Result<Producer, ErrorCode> {
    let id = &request.transactional_id;
    if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let bumps = context.version() >= BUMPS_SINCE;
    let end = End {
        id: id.to_string(),
        producer: Producer::new(request.producer_id.0, request.producer_epoch),
        outcome: if request.committed { ControlKind::Commit } else { ControlKind::Abort },
        protocol: if bumps { Protocol::EpochBump } else { Protocol::Classic },
        fresh: None,
    };
    context.broker.transactions.end(end).await
}

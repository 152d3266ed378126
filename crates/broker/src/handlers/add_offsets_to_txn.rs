//! AddOffsetsToTxn: a group's offsets into a transaction, before they are committed in it.

use std::collections::BTreeSet;

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE, before_fenced};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{Producer, Protocol, offsets_partition};

/// First version whose clients know that they can be fenced.
const FENCED_SINCE: i16 = 2;

pub(crate) async fn handle(
    context: RequestContext,
    request: AddOffsetsToTxnRequest,
) -> Result<Answer, RequestError> {
    let outcome = add(&context, &request).await;
    let outcome = outcome.map_err(|code| before_fenced(code, context.version(), FENCED_SINCE));
    let code = outcome.map_or_else(|code| code.code(), |()| NONE);
    context.answer(&AddOffsetsToTxnResponse::default().with_error_code(code))
}

async fn add(context: &RequestContext, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let (id, group) = (&request.transactional_id, &request.group_id);
    if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if !context.allows(Operation::Read, Resource::Group(group)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let producer = Producer::new(request.producer_id.0, request.producer_epoch);
    let partitions = BTreeSet::from([offsets_partition()]);
    context.broker.transactions.add(id, producer, partitions, Protocol::Classic).await
}

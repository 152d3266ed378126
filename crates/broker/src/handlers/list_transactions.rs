//! ListTransactions: all transactional ids, or some (KIP-664).

use kafka_protocol::messages::list_transactions_response::{
    ListTransactionsResponse, TransactionState,
};
use kafka_protocol::messages::{ListTransactionsRequest, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::NONE;
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{State, Transaction};

pub(crate) async fn handle(
    context: RequestContext,
    request: ListTransactionsRequest,
) -> Result<Answer, RequestError> {
    let transactions = &context.broker.transactions;
    let now = transactions.wall_ms();
    let (ids, states) = (&request.producer_id_filters, &request.state_filters);
    let is_wanted = |known: &Transaction| {
        let producer = ProducerId(known.producer.id.0);
        let since = now.saturating_sub(known.started_at);
        (ids.is_empty() || ids.contains(&producer))
            && (states.is_empty() || states.iter().any(|name| **name == *known.state.name()))
            && (request.duration_filter < 0 || since > request.duration_filter)
    };
    let listed = transactions.list(|known| {
        let id = || TransactionalId(StrBytes::from_string(known.id.clone()));
        is_wanted(known).then(|| {
            TransactionState::default()
                .with_transactional_id(id())
                .with_producer_id(ProducerId(known.producer.id.0))
                .with_transaction_state(StrBytes::from_static_str(known.state.name()))
        })
    });
    let is_visible = |listed: &TransactionState| {
        context.allows(Operation::Describe, Resource::TransactionalId(&listed.transactional_id))
    };
    let unknown = states.iter().filter(|name| !State::is_name(name)).cloned().collect();
    context.answer(
        &ListTransactionsResponse::default()
            .with_error_code(NONE)
            .with_unknown_state_filters(unknown)
            .with_transaction_states(listed.into_iter().filter(is_visible).collect()),
    )
}

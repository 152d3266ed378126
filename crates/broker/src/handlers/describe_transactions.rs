//! DescribeTransactions: where transactional ids stand (KIP-664).

use kafka_protocol::messages::describe_transactions_response::{
    DescribeTransactionsResponse, TopicData, TransactionState,
};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::Transaction;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeTransactionsRequest,
) -> Result<Answer, RequestError> {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let described = match look_up(&context, &id).await {
            Ok(transaction) => describe(&context, &transaction),
            Err(code) => TransactionState::default().with_error_code(code.code()),
        };
        states.push(described.with_transactional_id(id));
    }
    context.answer(&DescribeTransactionsResponse::default().with_transaction_states(states))
}

async fn look_up(context: &RequestContext, id: &TransactionalId) -> Result<Transaction, ErrorCode> {
    if !context.allows(Operation::Describe, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    context.broker.transactions.get(id).await?.ok_or(ErrorCode::TransactionalIdNotFound)
}

fn describe(context: &RequestContext, transaction: &Transaction) -> TransactionState {
    let partitions: Vec<_> = transaction.partitions.iter().collect();
    let of_topics = partitions.chunk_by(|one, next| one.topic == next.topic);
    let visible = of_topics.filter_map(|partitions| {
        let topic = partitions.first()?.topic.as_str();
        let numbers = partitions.iter().map(|partition| partition.partition).collect();
        context.allows(Operation::Describe, Resource::Topic(topic)).then(|| {
            TopicData::default()
                .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
                .with_partitions(numbers)
        })
    });
    TransactionState::default()
        .with_error_code(NONE)
        .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_at)
        .with_producer_id(ProducerId(transaction.producer.id.0))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(visible.collect())
}

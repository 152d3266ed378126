//! AddPartitionsToTxn: partitions into a transaction before the first record (KIP-98).
//!
//! Versions 4 and 5 are what brokers send each other: several transactions at a time, and
//! the question whether partitions are in one (KIP-890). Old versions of franz-go send them
//! as clients do.

use std::collections::BTreeSet;

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE, before_fenced};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics::is_internal;
use crate::transaction::{Producer, Protocol};

/// First version of brokers.
const OF_BROKERS: i16 = 4;
/// First version whose clients know that they can be fenced.
const FENCED_SINCE: i16 = 2;

pub(crate) async fn handle(
    context: RequestContext,
    request: AddPartitionsToTxnRequest,
) -> Result<Answer, RequestError> {
    let response = AddPartitionsToTxnResponse::default();
    if context.version() < OF_BROKERS {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = one(&context, &transaction).await;
        return context.answer(&response.with_results_by_topic_v3_and_below(results));
    }
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        let code = ErrorCode::ClusterAuthorizationFailed.code();
        return context.answer(&response.with_error_code(code));
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in &request.transactions {
        let of_topics = one(&context, transaction).await;
        results.push(
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id.clone())
                .with_topic_results(of_topics),
        );
    }
    context.answer(&response.with_results_by_transaction(results))
}

async fn one(
    context: &RequestContext,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let is_of_client = context.version() < OF_BROKERS;
    let id = &transaction.transactional_id;
    if is_of_client && !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        let code = ErrorCode::TransactionalIdAuthorizationFailed.code();
        return results(&transaction.topics, |_, _| code);
    }
    let refused = |topic: &str, partition| refusal(context, topic, partition);
    let partitions = || transaction.topics.iter().flat_map(of_topic);
    if partitions().any(|at| refused(&at.topic, at.partition).is_some()) {
        // One that cannot be added keeps all the others out.
        let other = ErrorCode::OperationNotAttempted;
        return results(&transaction.topics, |topic, partition| {
            refused(topic, partition).unwrap_or(other).code()
        });
    }
    let producer = Producer::new(transaction.producer_id.0, transaction.producer_epoch);
    let transactions = &context.broker.transactions;
    if transaction.verify_only {
        let settled = transactions.settled(id).await;
        return results(&transaction.topics, |topic, partition| {
            let at = TopicPartition::new(topic, partition);
            let verified = settled.and_then(|()| transactions.verify(id, producer, &at));
            verified.map_or_else(|code| before_abortable(context, code).code(), |()| NONE)
        });
    }
    let added: BTreeSet<_> = partitions().collect();
    let added = transactions.add(id, producer, added, Protocol::Classic).await;
    let code = match added {
        Ok(()) => NONE,
        Err(code) => before_fenced(code, context.version(), FENCED_SINCE).code(),
    };
    results(&transaction.topics, |_, _| code)
}

/// Why a partition cannot be in any transaction of this client.
fn refusal(context: &RequestContext, topic: &str, partition: i32) -> Option<ErrorCode> {
    let is_of_client = context.version() < OF_BROKERS;
    let allowed =
        || !is_internal(topic) && context.allows(Operation::Write, Resource::Topic(topic));
    if is_of_client && !allowed() {
        return Some(ErrorCode::TopicAuthorizationFailed);
    }
    let meta = context.broker.log.topic(topic);
    let exists = meta.is_some_and(|meta| (0..meta.partitions).contains(&partition));
    (!exists).then_some(ErrorCode::UnknownTopicOrPartition)
}

/// What brokers are told that do not know version 5.
fn before_abortable(context: &RequestContext, code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::TransactionAbortable if context.version() < 5 => ErrorCode::InvalidTxnState,
        code => code,
    }
}

fn of_topic(topic: &AddPartitionsToTxnTopic) -> impl Iterator<Item = TopicPartition> + '_ {
    topic.partitions.iter().map(|partition| TopicPartition::new(topic.name.as_str(), *partition))
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&str, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let of_partition = |partition: &i32| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(code(&topic.name, *partition))
        };
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(topic.partitions.iter().map(of_partition).collect())
    };
    topics.iter().map(of_topic).collect()
}

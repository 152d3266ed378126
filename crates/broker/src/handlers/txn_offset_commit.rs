//! TxnOffsetCommit: how far a group has read, as part of a producer's transaction
//! (KIP-98), fenced by the consumer's generation from version 3 on (KIP-447).
//!
//! In versions up to 4 the client has said so before by AddOffsetsToTxn, and that is
//! verified; version 5 brings the offsets into the transaction itself (KIP-890).

use std::collections::BTreeSet;

use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE, before_fenced};
use crate::group::{CommitInput, CommitOffset, Input, MemberRef, Reply, TransactionRef};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{Producer, Protocol, offsets_partition};

/// First version that brings the offsets into the transaction.
const ADDS_SINCE: i16 = 5;
/// First version whose clients know that a transaction may have to be aborted.
const ABORTABLE_SINCE: i16 = 4;
/// First version whose clients know that they can be fenced.
const FENCED_SINCE: i16 = 2;

pub(crate) async fn handle(
    context: RequestContext,
    request: TxnOffsetCommitRequest,
) -> Result<Answer, RequestError> {
    let (mut response, offsets, places) = sort_out(&context, &request);
    if offsets.is_empty() {
        return context.answer(&response);
    }
    let codes = match commit(&context, &request, offsets).await? {
        Ok(codes) => codes,
        Err(code) => vec![as_known(code, context.version()).code(); places.len()],
    };
    for ((topic, partition), code) in places.into_iter().zip(codes) {
        response.topics[topic].partitions[partition].error_code = code;
    }
    context.answer(&response)
}

/// The answer as far as it is known, the offsets that are to be committed, and where in
/// the answer the code of each belongs.
fn sort_out(
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
) -> (TxnOffsetCommitResponse, Vec<CommitOffset>, Vec<(usize, usize)>) {
    let (id, group) = (&request.transactional_id, &request.group_id);
    let refused = if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        Some(ErrorCode::TransactionalIdAuthorizationFailed)
    } else if !context.allows(Operation::Read, Resource::Group(group)) {
        Some(ErrorCode::GroupAuthorizationFailed)
    } else {
        None
    };
    let mut response = TxnOffsetCommitResponse::default();
    let (mut offsets, mut places) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let exists = context.broker.log.topic(&topic.name).map(|meta| meta.partitions);
        let readable = context.allows(Operation::Read, Resource::Topic(&topic.name));
        let mut answered = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let known = exists.is_some_and(|count| (0..count).contains(&partition.partition_index));
            let code = match refused {
                Some(code) => code.code(),
                None if !readable => ErrorCode::TopicAuthorizationFailed.code(),
                None if !known => ErrorCode::UnknownTopicOrPartition.code(),
                None => {
                    places.push((response.topics.len(), answered.len()));
                    offsets.push(commit_offset(&topic.name, partition));
                    NONE
                }
            };
            answered.push(
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code),
            );
        }
        response.topics.push(
            TxnOffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(answered),
        );
    }
    (response, offsets, places)
}

/// Commits; one code for each offset, or one for all.
async fn commit(
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
    offsets: Vec<CommitOffset>,
) -> Result<Result<Vec<i16>, ErrorCode>, RequestError> {
    let producer = Producer::new(request.producer_id.0, request.producer_epoch);
    let (id, version) = (request.transactional_id.to_string(), context.version());
    if let Err(code) = settle(context, &id, producer).await {
        return Ok(Err(code));
    }
    let transactions = &context.broker.transactions;
    let admitted = match transactions.admit(&id, producer, &offsets_partition()).await {
        Ok(admitted) => admitted,
        Err(code) => return Ok(Err(code)),
    };
    let input = Input::Commit(CommitInput {
        member: MemberRef {
            group: request.group_id.to_string(),
            generation: if version >= 3 { request.generation_id } else { -1 },
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        },
        offsets,
        version,
        transaction: Some(TransactionRef {
            producer_id: request.producer_id.0,
            producer_epoch: request.producer_epoch,
        }),
    });
    match context.broker.groups.submit_holding(input, Box::new(admitted)).await {
        Ok(Reply::Codes(codes)) => Ok(codes),
        _ => Err(RequestError::Stopping),
    }
}

/// Makes it durable that the offsets are in the transaction.
async fn settle(context: &RequestContext, id: &str, producer: Producer) -> Result<(), ErrorCode> {
    let (transactions, offsets) = (&context.broker.transactions, offsets_partition());
    let adds = context.version() >= ADDS_SINCE;
    if !adds || transactions.verify(id, producer, &offsets).is_ok() {
        return transactions.settled(id).await;
    }
    transactions.add(id, producer, BTreeSet::from([offsets]), Protocol::EpochBump).await
}

/// What a client is told so that it does the right thing, as old as it may be.
fn as_known(code: ErrorCode, version: i16) -> ErrorCode {
    match code {
        ErrorCode::TransactionAbortable if version < ABORTABLE_SINCE => ErrorCode::InvalidTxnState,
        // A retriable one: the end of the transaction before is on its way.
        ErrorCode::ConcurrentTransactions if version < ADDS_SINCE => {
            ErrorCode::CoordinatorLoadInProgress
        }
        code => before_fenced(code, version, FENCED_SINCE),
    }
}

fn commit_offset(topic: &str, partition: &TxnOffsetCommitRequestPartition) -> CommitOffset {
    CommitOffset {
        partition: TopicPartition::new(topic, partition.partition_index),
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition
            .committed_metadata
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        retention_ms: None,
    }
}

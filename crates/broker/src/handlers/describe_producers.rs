//! DescribeProducers: the producers that partitions remember, with the transactions that
//! they have under way (KIP-664).

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, ProducerId};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids;
use thalweg_core::partition_log::ProducerPosition;

use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeProducersRequest,
) -> Result<Answer, RequestError> {
    let topics = request.topics.iter().map(|topic| describe(&context, topic)).collect();
    context.answer(&DescribeProducersResponse::default().with_topics(topics))
}

fn describe(context: &RequestContext, topic: &TopicRequest) -> TopicResponse {
    let refusal = if let Some(reason) = topics::invalid_name(&topic.name) {
        Some((ErrorCode::InvalidTopicException, reason))
    } else if !context.allows(Operation::Read, Resource::Topic(&topic.name)) {
        let reason = "not allowed to read from this topic".to_owned();
        Some((ErrorCode::TopicAuthorizationFailed, reason))
    } else {
        None
    };
    let of_partition = |index: &i32| {
        let response = PartitionResponse::default().with_partition_index(*index);
        let outcome = match &refusal {
            Some(refusal) => Err(refusal.clone()),
            None => producers(context, &topic.name, *index),
        };
        match outcome {
            Ok(producers) => response
                .with_error_code(NONE)
                .with_error_message(None)
                .with_active_producers(producers),
            Err((code, message)) => response
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    };
    TopicResponse::default()
        .with_name(topic.name.clone())
        .with_partitions(topic.partition_indexes.iter().map(of_partition).collect())
}

fn producers(
    context: &RequestContext,
    topic: &str,
    partition: i32,
) -> Result<Vec<ProducerState>, (ErrorCode, String)> {
    let log = context.broker.topics.partition(topic, partition);
    let log = log.map_err(|code| (code, code.to_string()))?;
    // Jobs write with ids of their own, which no client could do anything with.
    let of_clients = log.producers().into_iter().filter(|(id, _)| !id.is_internal());
    Ok(of_clients.map(|(id, position)| state(id, &position)).collect())
}

fn state(id: ids::ProducerId, position: &ProducerPosition) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(id.0))
        .with_producer_epoch(i32::from(position.epoch))
        .with_last_sequence(position.last_sequence)
        .with_last_timestamp(position.last_timestamp)
        .with_coordinator_epoch(position.coordinator_epoch)
        .with_current_txn_start_offset(position.open_since.unwrap_or(-1))
}

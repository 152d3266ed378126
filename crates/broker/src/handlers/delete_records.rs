//! DeleteRecords: everything before an offset goes (KIP-107).

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::Offset;
use thalweg_log::topic_config::TopicConfig;

use crate::broker::blocking;
use crate::error_code::{ErrorCode, NONE, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

/// As an offset: the high watermark.
const ALL: Offset = -1;

pub(crate) async fn handle(
    context: RequestContext,
    request: DeleteRecordsRequest,
) -> Result<Answer, RequestError> {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        results.push(delete_in_topic(&context, topic).await);
    }
    context.answer(&DeleteRecordsResponse::default().with_topics(results))
}

async fn delete_in_topic(
    context: &RequestContext,
    topic: DeleteRecordsTopic,
) -> DeleteRecordsTopicResult {
    let refusal = refusal(context, &topic.name);
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for partition in topic.partitions {
        let index = partition.partition_index;
        let outcome = match refusal {
            Some(code) => Err(code),
            None => delete(context, &topic.name, index, partition.offset).await,
        };
        let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
        partitions.push(match outcome {
            Ok(start) => result.with_error_code(NONE).with_low_watermark(start),
            Err(code) => result.with_error_code(code.code()).with_low_watermark(-1),
        });
    }
    DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
}

fn refusal(context: &RequestContext, topic: &str) -> Option<ErrorCode> {
    if !context.allows(Operation::Delete, Resource::Topic(topic)) {
        return Some(ErrorCode::TopicAuthorizationFailed);
    }
    let Some(meta) = context.broker.log.topic(topic) else {
        return Some(ErrorCode::UnknownTopicOrPartition);
    };
    if topics::is_internal(topic) {
        return Some(ErrorCode::InvalidTopicException);
    }
    // As in Kafka: a topic that only compacts keeps the newest record of each key.
    let keeps = TopicConfig::parse(&meta.config).is_ok_and(|config| !config.delete);
    keeps.then_some(ErrorCode::PolicyViolation)
}

/// Gives the log start offset.
async fn delete(
    context: &RequestContext,
    topic: &str,
    partition: i32,
    before: Offset,
) -> Result<Offset, ErrorCode> {
    let log = context.broker.topics.partition(topic, partition)?;
    let before = match before {
        ALL => log.offsets().high_watermark,
        0.. => before,
        _ => return Err(ErrorCode::OffsetOutOfRange),
    };
    let start = blocking(move || log.delete_before(before)).await;
    let start = start.map_err(|error| {
        tracing::debug!(%error, "delete records");
        of_log_error(&error)
    })?;
    tracing::info!(topic, partition, start, client = %context.client_id, "deleted records");
    Ok(start)
}

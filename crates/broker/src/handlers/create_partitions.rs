//! CreatePartitions: more partitions for a topic, never fewer.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::blocking;
use crate::error_code::{ErrorCode, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

pub(crate) async fn handle(
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> Result<Answer, RequestError> {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        if let Err((code, message)) = extend(&context, &topic, request.validate_only).await {
            result.error_code = code.code();
            result.error_message = Some(StrBytes::from_string(message));
        }
        results.push(result);
    }
    context.answer(&CreatePartitionsResponse::default().with_results(results))
}

async fn extend(
    context: &RequestContext,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let (name, count) = (topic.name.to_string(), topic.count);
    if !context.allows(Operation::Alter, Resource::Topic(&name)) {
        return Err((ErrorCode::TopicAuthorizationFailed, "not allowed to alter it".into()));
    }
    if topics::is_internal(&name) {
        return Err((ErrorCode::InvalidTopicException, format!("'{name}' is the system's own")));
    }
    let Some(meta) = context.broker.log.topic(&name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist")));
    };
    if count <= meta.partitions || count > topics::PARTITIONS_MAX {
        let reason = format!(
            "topic '{name}' has {} partitions; it can get more, up to {}",
            meta.partitions,
            topics::PARTITIONS_MAX
        );
        return Err((ErrorCode::InvalidPartitions, reason));
    }
    let here = [crate::broker::NODE_ID];
    let assignments = topic.assignments.as_deref().unwrap_or_default();
    let added = (count - meta.partitions) as usize;
    let fits = assignments.is_empty() || assignments.len() == added;
    if !fits || assignments.iter().any(|part| part.broker_ids != here) {
        let reason = "each new partition must be assigned to broker 1, the only one";
        return Err((ErrorCode::InvalidReplicaAssignment, reason.into()));
    }
    if validate_only {
        return Ok(());
    }
    let broker = context.broker.clone();
    let extended = blocking(move || broker.log.add_partitions(&name, count)).await;
    extended.map_err(|error| (of_log_error(&error), error.to_string()))
}

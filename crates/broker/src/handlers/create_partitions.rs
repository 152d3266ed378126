//! CreatePartitions: more partitions for a topic, never fewer.

use std::collections::HashMap;

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use super::create_topics::excessive;
use crate::broker::blocking;
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

pub(crate) async fn handle(
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> Result<Answer, RequestError> {
    let mut named: HashMap<_, usize> = HashMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let too_many = excessive(request.topics.iter().map(|topic| added(&context, topic)).sum());
    let mut results = Vec::with_capacity(named.len());
    for topic in request.topics {
        let outcome = match (named.remove(&topic.name), &too_many) {
            // Named several times, answered once.
            (None, _) => continue,
            (_, Some(refusal)) => Err(refusal.clone()),
            (Some(2..), _) => {
                Err((ErrorCode::InvalidRequest, "named more than once in the request".into()))
            }
            _ => extend(&context, &topic, request.validate_only).await,
        };
        let mut result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        if let Err((code, message)) = outcome {
            result.error_code = code.code();
            result.error_message = Some(StrBytes::from_string(message));
        }
        results.push(result);
    }
    context.answer(&CreatePartitionsResponse::default().with_results(results))
}

/// How many partitions come on top.
fn added(context: &RequestContext, topic: &CreatePartitionsTopic) -> i64 {
    let had = context.broker.log.topic(&topic.name).map_or(0, |meta| meta.partitions);
    i64::from(topic.count.saturating_sub(had).max(0))
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
    let (broker, had) = (context.broker.clone(), meta.partitions);
    let extended = blocking(move || broker.topics.extend(&name, had, count)).await;
    extended.map_err(|error| (error.code(), error.to_string()))
}

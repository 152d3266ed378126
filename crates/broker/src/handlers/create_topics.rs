//! CreateTopics.

use std::collections::HashMap;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::partition_log::{LogError, TopicMeta};
use uuid::Uuid;

use crate::broker::blocking;
use crate::config;
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics::{self, CreateError};

/// Code and explanation.
type Refusal = (ErrorCode, String);

/// Most partitions that one request may ask for, as in Kafka.
const REQUEST_PARTITIONS_MAX: i64 = 10_000;
/// What a created topic takes in an answer with its settings, put together and encoded.
const TOPIC_BYTES: usize = 6 << 10;

pub(crate) async fn handle(
    context: RequestContext,
    request: CreateTopicsRequest,
) -> Result<Answer, RequestError> {
    let mut named: HashMap<_, usize> = HashMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let partitions = request.topics.iter().map(|topic| asked_partitions(&context, topic)).sum();
    let too_many = excessive(partitions);
    let room = context.room(TOPIC_BYTES * named.len()).await;
    let refusal = too_many.or(room.as_ref().err().map(|error| {
        (ErrorCode::PolicyViolation, format!("too many topics in one request: {error}"))
    }));
    let mut results = Vec::with_capacity(named.len());
    for topic in request.topics {
        let outcome = match (named.remove(&topic.name), &refusal) {
            // Named several times, answered once.
            (None, _) => continue,
            (_, Some(refusal)) => Err(refusal.clone()),
            (Some(2..), _) => {
                Err((ErrorCode::InvalidRequest, "named more than once in the request".into()))
            }
            _ => create(&context, &topic, request.validate_only).await,
        };
        results.push(result(&context, topic, outcome));
    }
    let response = CreateTopicsResponse::default().with_topics(results);
    match room {
        Ok(room) => context.answer_in(room, &response),
        Err(_) => context.answer(&response),
    }
}

fn asked_partitions(context: &RequestContext, topic: &CreatableTopic) -> i64 {
    match topic.num_partitions {
        -1 if topic.assignments.is_empty() => i64::from(context.broker.default_partitions),
        -1 => topic.assignments.len() as i64,
        count => i64::from(count.max(0)),
    }
}

/// Why so many partitions are not made by one request.
pub(super) fn excessive(partitions: i64) -> Option<Refusal> {
    let reason = || {
        format!(
            "excessively large number of partitions per request: {partitions}, at most \
             {REQUEST_PARTITIONS_MAX} are taken"
        )
    };
    (partitions > REQUEST_PARTITIONS_MAX).then(|| (ErrorCode::PolicyViolation, reason()))
}

async fn create(
    context: &RequestContext,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<TopicMeta, Refusal> {
    let name = topic.name.to_string();
    if !context.allows(Operation::Create, Resource::Topic(&name))
        && !context.allows(Operation::Create, Resource::Cluster)
    {
        return Err((ErrorCode::TopicAuthorizationFailed, "not allowed to create it".into()));
    }
    let partitions = check(context, topic)?;
    let config = settings(topic);
    if validate_only {
        let id = thalweg_core::ids::TopicId(0);
        return Ok(TopicMeta { id, name, partitions, config });
    }
    let broker = context.broker.clone();
    let created = blocking(move || broker.topics.create(&name, partitions, &config)).await;
    created.map_err(|error| match error {
        // Name and partitions are checked above, so it is a setting.
        CreateError::Log(LogError::InvalidTopic { detail, .. }) => {
            (ErrorCode::InvalidConfig, detail)
        }
        error => (error.code(), error.to_string()),
    })
}

/// The settings that are given; null leaves the default.
fn settings(topic: &CreatableTopic) -> Vec<(String, String)> {
    let given = topic.configs.iter();
    given
        .filter_map(|entry| Some((entry.name.to_string(), entry.value.as_ref()?.to_string())))
        .collect()
}

/// The number of partitions, if the request makes sense.
fn check(context: &RequestContext, topic: &CreatableTopic) -> Result<i32, Refusal> {
    let name = topic.name.as_str();
    if let Some(reason) = topics::invalid_name(name) {
        return Err((ErrorCode::InvalidTopicException, reason));
    }
    if topics::is_internal(name) {
        let reason = "names that begin with '__' are the system's own";
        return Err((ErrorCode::InvalidTopicException, reason.into()));
    }
    if context.broker.log.topic(name).is_some() {
        return Err((ErrorCode::TopicAlreadyExists, format!("topic '{name}' already exists")));
    }
    if let Err(reason) = config::check(&context.broker, &settings(topic)) {
        return Err((ErrorCode::InvalidConfig, reason));
    }
    if topic.assignments.is_empty() {
        check_counts(context, topic)
    } else {
        check_assignments(topic)
    }
}

fn check_counts(context: &RequestContext, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if !matches!(topic.replication_factor, -1 | 1) {
        let reason = format!(
            "replication factor {} is larger than the number of brokers, 1",
            topic.replication_factor
        );
        return Err((ErrorCode::InvalidReplicationFactor, reason));
    }
    match topic.num_partitions {
        -1 => Ok(context.broker.default_partitions),
        count @ 1..=topics::PARTITIONS_MAX => Ok(count),
        count => Err((
            ErrorCode::InvalidPartitions,
            format!("{count} partitions; 1 to {} are possible", topics::PARTITIONS_MAX),
        )),
    }
}

/// An explicit assignment may only say what is so anyway: all partitions are here.
fn check_assignments(topic: &CreatableTopic) -> Result<i32, Refusal> {
    let invalid = |reason: &str| (ErrorCode::InvalidReplicaAssignment, reason.to_owned());
    let mut indexes: Vec<_> = topic.assignments.iter().map(|part| part.partition_index).collect();
    indexes.sort_unstable();
    if indexes.len() > topics::PARTITIONS_MAX as usize
        || indexes.iter().enumerate().any(|(at, index)| at as i32 != *index)
    {
        return Err(invalid("partitions must be numbered from 0 without gaps"));
    }
    let here = [crate::broker::NODE_ID];
    if topic.assignments.iter().any(|part| part.broker_ids != here) {
        return Err(invalid("the only broker is number 1"));
    }
    Ok(indexes.len() as i32)
}

fn result(
    context: &RequestContext,
    topic: CreatableTopic,
    outcome: Result<TopicMeta, Refusal>,
) -> CreatableTopicResult {
    let version = context.version();
    let mut result = CreatableTopicResult::default().with_name(topic.name);
    match outcome {
        Err((code, message)) => result
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_configs(None),
        Ok(meta) => {
            if version >= 7 {
                result.topic_id = Uuid::from_u128(meta.id.0);
            }
            if version >= 5
                && !context.allows(Operation::DescribeConfigs, Resource::Topic(&meta.name))
            {
                result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
            } else if version >= 5 {
                result.num_partitions = meta.partitions;
                result.replication_factor = 1;
                result.configs = Some(configs(context, &meta));
            }
            result.with_error_message(None)
        }
    }
}

fn configs(context: &RequestContext, meta: &TopicMeta) -> Vec<CreatableTopicConfigs> {
    let row = |setting: config::Setting| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_value(Some(StrBytes::from_string(setting.value)))
            .with_config_source(setting.source as i8)
    };
    config::of_topic(meta, &context.broker.configs).into_iter().map(row).collect()
}

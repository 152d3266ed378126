//! Metadata: the broker and the topics, created on demand where that is allowed.

use std::collections::HashSet;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::partition_log::TopicMeta;
use uuid::Uuid;

use crate::broker::{Broker, LEADER_EPOCH, NODE_ID, blocking};
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

/// Operations that make sense on a topic.
pub(crate) const TOPIC_OPERATIONS: &[Operation] = &[
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];

/// Operations that make sense on the cluster.
pub(crate) const CLUSTER_OPERATIONS: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

/// What a topic and a partition take in an answer, put together and encoded.
const TOPIC_BYTES: usize = 512;
const PARTITION_BYTES: usize = 256;

pub(crate) async fn handle(
    context: RequestContext,
    request: MetadataRequest,
) -> Result<Answer, RequestError> {
    let version = context.version();
    let room = context.room(answer_bytes(&context, &request)).await?;
    let topic_operations = request.include_topic_authorized_operations;
    let topics = match request.topics {
        // Version 0 has no null; there, none named means all.
        Some(topics) if version >= 1 || !topics.is_empty() => {
            let create = context.broker.auto_create_topics
                && (version < 4 || request.allow_auto_topic_creation);
            let mut creations = create.then(|| Creations::new(&context.broker));
            let mut described = Vec::with_capacity(topics.len());
            // Named twice, described once: the answer must not outgrow what there is.
            let mut seen = HashSet::new();
            for topic in topics {
                if !seen.insert((topic.name.clone(), topic.topic_id)) {
                    continue;
                }
                described.push(named(&context, topic, &mut creations, topic_operations).await);
            }
            if let Some(refused) = creations.map(|c| c.refused).filter(|&refused| refused > 0) {
                let client = &context.client_id;
                tracing::warn!(%client, refused, "a request names more new topics than are created at once");
            }
            described
        }
        _ => all(&context, topic_operations),
    };
    let broker = &context.broker;
    let node = MetadataResponseBroker::default()
        .with_node_id(NODE_ID)
        .with_host(broker.host.clone())
        .with_port(broker.port);
    let mut response = MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(broker.cluster_id.clone()))
        .with_controller_id(NODE_ID)
        .with_topics(topics);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations =
            context.allowed_operations(CLUSTER_OPERATIONS, Resource::Cluster);
    }
    context.answer_in(room, &response)
}

/// About how large the answer will be.
fn answer_bytes(context: &RequestContext, request: &MetadataRequest) -> usize {
    let broker = &context.broker;
    let of_topic = |partitions: i32| TOPIC_BYTES + PARTITION_BYTES * partitions as usize;
    match &request.topics {
        Some(topics) if context.version() >= 1 || !topics.is_empty() => {
            let partitions = |topic: &MetadataRequestTopic| {
                let found = match &topic.name {
                    Some(name) => broker.log.topic(name),
                    None => broker.topics.by_id(topic.topic_id),
                };
                found.map_or(broker.default_partitions, |meta| meta.partitions)
            };
            topics.iter().map(|topic| of_topic(partitions(topic))).sum()
        }
        _ => broker.log.topics().iter().map(|topic| of_topic(topic.partitions)).sum(),
    }
}

fn all(context: &RequestContext, operations: bool) -> Vec<MetadataResponseTopic> {
    let topics = context.broker.log.topics();
    let visible = topics
        .iter()
        .filter(|topic| context.allows(Operation::Describe, Resource::Topic(&topic.name)));
    visible.map(|topic| describe(context, topic, operations)).collect()
}

/// How many more topics a request may have created.
struct Creations {
    left: usize,
    refused: usize,
}

impl Creations {
    /// At least one, however many partitions that has.
    fn new(broker: &Broker) -> Self {
        let partitions = usize::try_from(broker.default_partitions).unwrap_or(1).max(1);
        Self { left: (broker.limits.auto_created_partitions / partitions).max(1), refused: 0 }
    }

    fn take(&mut self) -> bool {
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.refused += usize::from(!granted);
        granted
    }
}

async fn named(
    context: &RequestContext,
    topic: MetadataRequestTopic,
    creations: &mut Option<Creations>,
    operations: bool,
) -> MetadataResponseTopic {
    let Some(name) = topic.name else {
        return by_id(context, topic.topic_id, operations);
    };
    let refuse = |code: ErrorCode| {
        MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(Some(name.clone()))
            .with_is_internal(topics::is_internal(&name))
    };
    if !context.allows(Operation::Describe, Resource::Topic(&name)) {
        return refuse(ErrorCode::TopicAuthorizationFailed);
    }
    if let Some(meta) = context.broker.log.topic(&name) {
        return describe(context, &meta, operations);
    }
    if topics::invalid_name(&name).is_some() {
        return refuse(ErrorCode::InvalidTopicException);
    }
    let Some(creations) = creations.as_mut().filter(|_| !topics::is_internal(&name)) else {
        return refuse(ErrorCode::UnknownTopicOrPartition);
    };
    if !context.allows(Operation::Create, Resource::Topic(&name)) {
        return refuse(ErrorCode::TopicAuthorizationFailed);
    }
    if !creations.take() {
        return refuse(ErrorCode::LeaderNotAvailable);
    }
    let (broker, wanted) = (context.broker.clone(), name.to_string());
    let created =
        blocking(move || broker.topics.auto_create(&wanted, broker.default_partitions)).await;
    match created {
        Ok(meta) => describe(context, &meta, operations),
        Err(error) => {
            tracing::warn!(topic = %name.0, %error, "cannot create a topic on first use");
            refuse(error.code())
        }
    }
}

fn by_id(context: &RequestContext, id: Uuid, operations: bool) -> MetadataResponseTopic {
    let allowed =
        |meta: &TopicMeta| context.allows(Operation::Describe, Resource::Topic(&meta.name));
    match context.broker.topics.by_id(id).filter(allowed) {
        Some(meta) => describe(context, &meta, operations),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            // Before version 12 a name cannot be null.
            .with_name((context.version() < 12).then(TopicName::default))
            .with_topic_id(id),
    }
}

fn describe(context: &RequestContext, meta: &TopicMeta, operations: bool) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_error_code(NONE)
            .with_partition_index(index)
            .with_leader_id(NODE_ID)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE_ID])
            .with_isr_nodes(vec![NODE_ID])
    };
    let mut topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(meta.name.clone()))))
        .with_topic_id(Uuid::from_u128(meta.id.0))
        .with_is_internal(topics::is_internal(&meta.name))
        .with_partitions((0..meta.partitions).map(partition).collect());
    if operations {
        topic.topic_authorized_operations =
            context.allowed_operations(TOPIC_OPERATIONS, Resource::Topic(&meta.name));
    }
    topic
}

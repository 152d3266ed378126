//! DescribeTopicPartitions: topics with their partitions, page by page (KIP-966).

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::partition_log::TopicMeta;
use uuid::Uuid;

use super::metadata::TOPIC_OPERATIONS;
use crate::broker::{LEADER_EPOCH, NODE_ID};
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

/// Most partitions in one answer (`max.request.partition.size.limit`).
pub(crate) const PARTITIONS_MAX: i32 = 2_000;
/// What a topic and a partition take in an answer, put together and encoded.
const TOPIC_BYTES: usize = 512;
const PARTITION_BYTES: usize = 384;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> Result<Answer, RequestError> {
    let (from, first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index.max(0)),
        None => (String::new(), 0),
    };
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = match all {
        true => context.broker.log.topics().into_iter().map(|topic| topic.name).collect(),
        false => request.topics.iter().map(|topic| topic.name.to_string()).collect(),
    };
    let limit = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let room = TOPIC_BYTES * names.len().min(limit as usize) + PARTITION_BYTES * limit as usize;
    let room = context.room(room).await?;
    let mut page = Page { context: &context, left: limit, topics: Vec::new(), next: None };
    for name in names.range(from.clone()..) {
        if page.is_full() {
            page.next = Some(cursor(name, 0));
            break;
        }
        // What may not be seen is not there, unless it was asked for.
        if !context.allows(Operation::Describe, Resource::Topic(name)) {
            if !all {
                page.refuse(name, ErrorCode::TopicAuthorizationFailed);
            }
            continue;
        }
        match context.broker.log.topic(name) {
            Some(meta) => page.add(&meta, if *name == from { first } else { 0 }),
            None if all => {}
            None => page.refuse(name, unknown(name)),
        }
        if page.next.is_some() {
            break;
        }
    }
    let Page { topics, next, .. } = page;
    let response =
        DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next);
    context.answer_in(room, &response)
}

fn unknown(name: &str) -> ErrorCode {
    match topics::invalid_name(name) {
        Some(_) => ErrorCode::InvalidTopicException,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// An answer that fills up.
struct Page<'a> {
    context: &'a RequestContext,
    /// Partitions that still fit; a topic that is refused counts as one.
    left: i32,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    fn is_full(&self) -> bool {
        self.left <= 0
    }

    fn refuse(&mut self, name: &str, code: ErrorCode) {
        self.left -= 1;
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(code.code())
                .with_name(Some(topic_name(name)))
                .with_is_internal(topics::is_internal(name)),
        );
    }

    fn add(&mut self, meta: &TopicMeta, first: i32) {
        let end = meta.partitions.min(first.saturating_add(self.left));
        if end < meta.partitions {
            self.next = Some(cursor(&meta.name, end));
        }
        self.left -= (end - first).max(1);
        let here = || vec![NODE_ID];
        let partition = |index| {
            DescribeTopicPartitionsResponsePartition::default()
                .with_error_code(NONE)
                .with_partition_index(index)
                .with_leader_id(NODE_ID)
                .with_leader_epoch(LEADER_EPOCH)
                .with_replica_nodes(here())
                .with_isr_nodes(here())
                .with_eligible_leader_replicas(Some(Vec::new()))
                .with_last_known_elr(Some(Vec::new()))
        };
        let operations =
            self.context.allowed_operations(TOPIC_OPERATIONS, Resource::Topic(&meta.name));
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(NONE)
                .with_name(Some(topic_name(&meta.name)))
                .with_topic_id(Uuid::from_u128(meta.id.0))
                .with_is_internal(topics::is_internal(&meta.name))
                .with_topic_authorized_operations(operations)
                .with_partitions((first..end).map(partition).collect()),
        );
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(topic_name(topic)).with_partition_index(partition)
}

//! ListOffsets: the ends of a partition, or the first record since a time.

use std::collections::HashSet;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::PartitionLog;
use thalweg_core::time::Millis;

use crate::broker::{LEADER_EPOCH, blocking};
use crate::error_code::{ErrorCode, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};

/// The end of what this reader may see.
const LATEST: i64 = -1;
/// The oldest offset.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The oldest offset on local disk (KIP-405), which is the oldest of all.
const EARLIEST_LOCAL: i64 = -4;
/// The newest offset in remote storage (KIP-1005), which there is none of.
const LATEST_TIERED: i64 = -5;

pub(crate) async fn handle(
    context: RequestContext,
    request: ListOffsetsRequest,
) -> Result<Answer, RequestError> {
    let committed = request.isolation_level == 1;
    // A time is looked up in the log itself, which may have to read the disk.
    let (lookup, topics) = (context.clone(), request.topics);
    let topics = blocking(move || {
        let mut seen = HashSet::new();
        topics
            .into_iter()
            .map(|topic| {
                let partitions = topic.partitions.iter().map(|wanted| {
                    // As in Kafka: each look-up takes time, and one is enough.
                    let first = seen.insert((topic.name.clone(), wanted.partition_index));
                    let first = first.then_some(()).ok_or(ErrorCode::InvalidRequest);
                    answer(&lookup, &topic.name, wanted, committed, first)
                });
                ListOffsetsTopicResponse::default()
                    .with_partitions(partitions.collect())
                    .with_name(topic.name.clone())
            })
            .collect()
    })
    .await;
    context.answer(&ListOffsetsResponse::default().with_topics(topics))
}

fn answer(
    context: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
    committed: bool,
    allowed: Result<(), ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response =
        ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    match allowed.and_then(|()| find(context, topic, wanted, committed)) {
        Ok((offset, timestamp)) => {
            let epoch = if context.version() >= 4 && offset >= 0 { LEADER_EPOCH } else { -1 };
            response.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(epoch)
        }
        Err(code) => response.with_error_code(code.code()),
    }
}

fn find(
    context: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
    committed: bool,
) -> Result<(Offset, Millis), ErrorCode> {
    if !context.allows(Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    if wanted.current_leader_epoch > LEADER_EPOCH {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    let log = context.broker.topics.partition(topic, wanted.partition_index)?;
    lookup(&*log, wanted.timestamp, committed)
}

fn lookup(
    log: &dyn PartitionLog,
    timestamp: i64,
    committed: bool,
) -> Result<(Offset, Millis), ErrorCode> {
    let offsets = log.offsets();
    let found = match timestamp {
        LATEST if committed => Ok(Some((offsets.last_stable, -1))),
        LATEST => Ok(Some((offsets.high_watermark, -1))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((offsets.start, -1))),
        MAX_TIMESTAMP => log.max_timestamp(),
        LATEST_TIERED => Ok(None),
        0.. => log.offset_for_time(timestamp),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    // Records of open transactions are not there for readers of committed ones.
    let is_record = timestamp >= 0 || timestamp == MAX_TIMESTAMP;
    let visible =
        |(offset, _): &(Offset, Millis)| !committed || !is_record || *offset < offsets.last_stable;
    let found = found.map(|found| found.filter(visible).unwrap_or((-1, -1)));
    found.map_err(|error| of_log_error(&error))
}

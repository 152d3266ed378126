//! OffsetForLeaderEpoch: where the records of a leader epoch end (KIP-320). There is one
//! epoch: leadership never moves, and what was read once stays where it is.

use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::Offset;

use crate::broker::LEADER_EPOCH;
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};

/// Epoch and offset where nothing is known of the epoch.
const UNDEFINED: (i32, Offset) = (-1, -1);

pub(crate) async fn handle(
    context: RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> Result<Answer, RequestError> {
    let topics = request.topics.into_iter().map(|topic| {
        let answer = |wanted: &OffsetForLeaderPartition| {
            let answer = EpochEndOffset::default().with_partition(wanted.partition);
            match find(&context, &topic.topic, wanted) {
                Ok((epoch, end)) => {
                    answer.with_error_code(NONE).with_leader_epoch(epoch).with_end_offset(end)
                }
                Err(code) => answer.with_error_code(code.code()),
            }
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    context.answer(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

fn find(
    context: &RequestContext,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<(i32, Offset), ErrorCode> {
    if !context.allows(Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let log = context.broker.topics.partition(topic, wanted.partition)?;
    if wanted.current_leader_epoch > LEADER_EPOCH {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    Ok(match wanted.leader_epoch {
        LEADER_EPOCH => (LEADER_EPOCH, log.offsets().high_watermark),
        _ => UNDEFINED,
    })
}

//! AlterPartitionReassignments: partitions can only be put where they are (KIP-455).

use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::NODE_ID;
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> Result<Answer, RequestError> {
    if !context.allows(Operation::Alter, Resource::Cluster) {
        let response = AlterPartitionReassignmentsResponse::default()
            .with_error_code(ErrorCode::ClusterAuthorizationFailed.code())
            .with_error_message(Some(StrBytes::from_static_str("not allowed to reassign")));
        return context.answer(&response);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let answer = |partition: &ReassignablePartition| {
            let answer = ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index);
            match reassign(&context, &topic.name, partition) {
                Ok(()) => answer.with_error_code(NONE).with_error_message(None),
                Err((code, message)) => answer
                    .with_error_code(code.code())
                    .with_error_message(Some(StrBytes::from_static_str(message))),
            }
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    let mut response = AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(topics.collect());
    if context.version() >= 1 {
        response.allow_replication_factor_change = request.allow_replication_factor_change;
    }
    context.answer(&response)
}

fn reassign(
    context: &RequestContext,
    topic: &str,
    partition: &ReassignablePartition,
) -> Result<(), (ErrorCode, &'static str)> {
    if context.broker.topics.partition(topic, partition.partition_index).is_err() {
        return Err((ErrorCode::UnknownTopicOrPartition, "no such partition"));
    }
    match partition.replicas.as_deref() {
        // A wish to end one that is under way.
        None => Err((ErrorCode::NoReassignmentInProgress, "nothing is being reassigned")),
        Some([NODE_ID]) => Ok(()),
        Some(_) => Err((ErrorCode::InvalidReplicaAssignment, "the only broker is number 1")),
    }
}

//! ElectLeaders: the one broker leads every partition already (KIP-183, KIP-460).

use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: ElectLeadersRequest,
) -> Result<Answer, RequestError> {
    let allowed = context.allows(Operation::Alter, Resource::Cluster);
    // Asked for all partitions, Kafka names those that got another leader: none.
    let topics = request.topic_partitions.unwrap_or_default().into_iter().map(|topic| {
        let result = |index: &i32| {
            let exists = context.broker.topics.partition(&topic.topic, *index).is_ok();
            let (code, message) = match (allowed, exists) {
                (false, _) => (ErrorCode::ClusterAuthorizationFailed, "not allowed to elect"),
                (true, false) => (ErrorCode::UnknownTopicOrPartition, "no such partition"),
                (true, true) => (ErrorCode::ElectionNotNeeded, "the only broker leads it"),
            };
            PartitionResult::default()
                .with_partition_id(*index)
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_static_str(message)))
        };
        let results = topic.partitions.iter().map(result).collect();
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(results)
    });
    let mut response =
        ElectLeadersResponse::default().with_replica_election_results(topics.collect());
    if !allowed && context.version() >= 1 {
        response.error_code = ErrorCode::ClusterAuthorizationFailed.code();
    }
    context.answer(&response)
}

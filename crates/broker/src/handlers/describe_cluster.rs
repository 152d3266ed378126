//! DescribeCluster: the one broker and the id of its data directory.

use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use super::metadata::CLUSTER_OPERATIONS;
use crate::broker::NODE_ID;
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

/// Brokers, as opposed to controllers (KIP-919).
const BROKERS: i8 = 1;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeClusterRequest,
) -> Result<Answer, RequestError> {
    let broker = &context.broker;
    let refuse = |code: ErrorCode, message| {
        DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(message)))
    };
    if !context.allows(Operation::Describe, Resource::Cluster) {
        let refused =
            refuse(ErrorCode::ClusterAuthorizationFailed, "not allowed to see the cluster");
        return context.answer(&refused);
    }
    if context.version() >= 1 && request.endpoint_type != BROKERS {
        let refused = refuse(ErrorCode::MismatchedEndpointType, "this endpoint is a broker's");
        return context.answer(&refused);
    }
    let node = DescribeClusterBroker::default()
        .with_broker_id(NODE_ID)
        .with_host(broker.host.clone())
        .with_port(broker.port);
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(broker.cluster_id.clone())
        .with_controller_id(NODE_ID)
        .with_brokers(vec![node]);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations =
            context.allowed_operations(CLUSTER_OPERATIONS, Resource::Cluster);
    }
    context.answer(&response)
}

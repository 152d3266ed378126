//! ListPartitionReassignments: there is nowhere to move partitions to (KIP-455).

use kafka_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    _: ListPartitionReassignmentsRequest,
) -> Result<Answer, RequestError> {
    let response = ListPartitionReassignmentsResponse::default();
    if !context.allows(Operation::Describe, Resource::Cluster) {
        let refused = response
            .with_error_code(ErrorCode::ClusterAuthorizationFailed.code())
            .with_error_message(Some(StrBytes::from_static_str("not allowed to see this")));
        return context.answer(&refused);
    }
    context.answer(&response.with_error_code(NONE).with_error_message(None))
}

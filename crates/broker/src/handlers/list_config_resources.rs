//! ListConfigResources: what has settings that can be looked at (KIP-1142). Version 0 asks
//! for subscriptions to clients' metrics only, of which there are none.

use kafka_protocol::messages::ListConfigResourcesRequest;
use kafka_protocol::messages::list_config_resources_response::{
    ConfigResource, ListConfigResourcesResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use super::describe_configs::{BROKER, GROUP, TOPIC};
use crate::broker::NODE_ID;
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
/// All types, which is what a request without any asks for.
const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// What a resource takes in an answer, put together and encoded; its name apart.
const RESOURCE_BYTES: usize = 80;

pub(crate) async fn handle(
    context: RequestContext,
    request: ListConfigResourcesRequest,
) -> Result<Answer, RequestError> {
    let refused =
        |code: ErrorCode| ListConfigResourcesResponse::default().with_error_code(code.code());
    if !context.allows(Operation::DescribeConfigs, Resource::Cluster) {
        return context.answer(&refused(ErrorCode::ClusterAuthorizationFailed));
    }
    if request.resource_types.iter().any(|of_type| !TYPES.contains(of_type)) {
        return context.answer(&refused(ErrorCode::UnsupportedVersion));
    }
    let wanted = |of_type| match context.version() {
        0 => of_type == CLIENT_METRICS,
        _ => request.resource_types.is_empty() || request.resource_types.contains(&of_type),
    };
    let mut found = Vec::new();
    if wanted(TOPIC) {
        found.extend(context.broker.log.topics().into_iter().map(|topic| (TOPIC, topic.name)));
    }
    if wanted(BROKER) {
        found.push((BROKER, NODE_ID.0.to_string()));
    }
    if wanted(GROUP) {
        let groups = context.broker.configs.groups().into_iter();
        found.extend(groups.map(|(group, _)| (GROUP, group)));
    }
    let bytes = found.iter().map(|(_, name)| RESOURCE_BYTES + 2 * name.len()).sum();
    let room = context.room(bytes).await?;
    let resource = |(of_type, name)| {
        let resource = ConfigResource::default().with_resource_name(StrBytes::from_string(name));
        // Version 0 cannot say anything else.
        match context.version() {
            0 => resource,
            _ => resource.with_resource_type(of_type),
        }
    };
    let resources = found.into_iter().map(resource).collect();
    let response = ListConfigResourcesResponse::default().with_config_resources(resources);
    context.answer_in(room, &response)
}

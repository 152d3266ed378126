//! IncrementalAlterConfigs: some settings of topics, brokers and groups, one by one (KIP-339).

use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::alter_configs::{Refusal, Target, alter, change, count};
use crate::config::{self, Change, Op};
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> Result<Answer, RequestError> {
    let mut named = count(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let mut responses = Vec::with_capacity(named.len());
    for resource in request.resources {
        let at = (resource.resource_type, resource.resource_name.clone());
        let Some(times) = named.remove(&at) else { continue };
        let target = Target { at, times, validate_only: request.validate_only };
        let outcome = match changes(&resource.configs) {
            Ok(changes) => alter(&context, target, &changes, config::altered).await?,
            Err(refusal) => Err(refusal),
        };
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        responses.push(match outcome {
            Ok(()) => response.with_error_message(None),
            Err((code, message)) => response
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        });
    }
    context.answer(&IncrementalAlterConfigsResponse::default().with_responses(responses))
}

fn changes(configs: &[AlterableConfig]) -> Result<Vec<Change>, Refusal> {
    let read = |config: &AlterableConfig| match Op::of_code(config.config_operation) {
        Some(op) => Ok(change(&config.name, op, config.value.as_ref())),
        None => {
            let reason = format!("unknown operation {}", config.config_operation);
            Err((ErrorCode::InvalidRequest, reason))
        }
    };
    configs.iter().map(read).collect()
}

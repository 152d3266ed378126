//! DescribeConfigs: every setting of topics, of the broker and of groups, with its default.

use std::collections::HashSet;

use kafka_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::NODE_ID;
use crate::config::{self, Setting, Source};
use crate::error_code::ErrorCode;
use crate::request::{Answer, RequestContext, RequestError};

/// Kinds of resources.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const GROUP: i8 = 32;

/// What a resource takes in an answer, put together and encoded.
const RESOURCE_BYTES: usize = 24 << 10;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeConfigsRequest,
) -> Result<Answer, RequestError> {
    // Named twice, described once: the answer must not outgrow what there is.
    let mut seen = HashSet::new();
    let fresh = |resource: &&DescribeConfigsResource| {
        seen.insert((resource.resource_type, resource.resource_name.clone()))
    };
    let resources: Vec<_> = request.resources.iter().filter(fresh).collect();
    let room = context.room(RESOURCE_BYTES * resources.len()).await?;
    let mut results = Vec::with_capacity(resources.len());
    for resource in resources {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        results.push(match settings(&context, resource) {
            Ok(settings) => result.with_configs(rows(&context, &request, resource, settings)),
            Err((code, message)) => result
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        });
    }
    context.answer_in(room, &DescribeConfigsResponse::default().with_results(results))
}

fn settings(
    context: &RequestContext,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Setting>, (ErrorCode, String)> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC if !context.allows(Operation::DescribeConfigs, Resource::Topic(name)) => {
            Err((ErrorCode::TopicAuthorizationFailed, "not allowed to see its settings".into()))
        }
        TOPIC => match context.broker.log.topic(name) {
            Some(meta) => Ok(config::of_topic(&meta, &context.broker.configs)),
            None => {
                Err((ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist")))
            }
        },
        BROKER if !context.allows(Operation::DescribeConfigs, Resource::Cluster) => {
            Err((ErrorCode::ClusterAuthorizationFailed, "not allowed to see settings".into()))
        }
        // What all brokers were altered to, and nothing else.
        BROKER if name.is_empty() => {
            let mut settings = config::of_all_brokers(&context.broker);
            settings.retain(|setting| setting.source == Source::DynamicDefaultBroker);
            for setting in &mut settings {
                setting.synonyms.truncate(1);
            }
            Ok(settings)
        }
        BROKER if name == NODE_ID.0.to_string() => Ok(config::of_broker(&context.broker)),
        BROKER => Err((
            ErrorCode::InvalidRequest,
            format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                NODE_ID.0
            ),
        )),
        GROUP if !context.allows(Operation::DescribeConfigs, Resource::Group(name)) => {
            Err((ErrorCode::GroupAuthorizationFailed, "not allowed to see its settings".into()))
        }
        GROUP if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Group name must not be empty".into()))
        }
        GROUP => Ok(config::of_group(&context.broker, name)),
        other => Err((
            ErrorCode::InvalidRequest,
            format!("settings of resource type {other} are not supported"),
        )),
    }
}

fn rows(
    context: &RequestContext,
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsResource,
    settings: Vec<Setting>,
) -> Vec<DescribeConfigsResourceResult> {
    let wanted = |setting: &Setting| {
        let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
    };
    let row = |setting: Setting| {
        let kind = setting.kind_code();
        let synonyms = setting.synonyms.into_iter().map(|synonym| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(synonym.name))
                .with_value(Some(StrBytes::from_string(synonym.value)))
                .with_source(synonym.source as i8)
        });
        let row = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_value(Some(StrBytes::from_string(setting.value)))
            .with_read_only(setting.read_only)
            .with_config_source(setting.source as i8)
            .with_synonyms(synonyms.filter(|_| request.include_synonyms).collect());
        if context.version() < 3 {
            return row;
        }
        let documentation = StrBytes::from_static_str(setting.documentation);
        row.with_config_type(kind)
            .with_documentation(request.include_documentation.then_some(documentation))
    };
    settings.into_iter().filter(wanted).map(row).collect()
}

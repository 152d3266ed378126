//! AlterConfigs: the settings of topics, brokers and groups, all at once. What is not named
//! goes back to its default.

use std::collections::HashMap;

use kafka_protocol::messages::AlterConfigsRequest;
use kafka_protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::partition_log::LogError;

use super::alter_dynamic;
use super::describe_configs::{BROKER, GROUP, TOPIC};
use crate::broker::blocking;
use crate::config::{self, Alterations, Change, Op, Subject};
use crate::error_code::{ErrorCode, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

/// Code and explanation.
pub(super) type Refusal = (ErrorCode, String);

/// Makes of changes what is to become of settings.
pub(super) type Plan = fn(&Subject, &[Change]) -> Result<Alterations, Refusal>;

pub(crate) async fn handle(
    context: RequestContext,
    request: AlterConfigsRequest,
) -> Result<Answer, RequestError> {
    let mut named = count(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let mut responses = Vec::with_capacity(named.len());
    for resource in request.resources {
        let changes: Vec<_> = resource
            .configs
            .iter()
            .map(|config| change(&config.name, Op::Set, config.value.as_ref()))
            .collect();
        let at = (resource.resource_type, resource.resource_name.clone());
        let Some(times) = named.remove(&at) else { continue };
        let target = Target { at, times, validate_only: request.validate_only };
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        responses.push(match alter(&context, target, &changes, config::replaced).await? {
            Ok(()) => response.with_error_message(None),
            Err((code, message)) => response
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        });
    }
    context.answer(&AlterConfigsResponse::default().with_responses(responses))
}

/// What is to be altered.
pub(super) struct Target {
    /// Kind and name.
    pub(super) at: (i8, StrBytes),
    /// How often the request names it.
    pub(super) times: usize,
    pub(super) validate_only: bool,
}

/// How often each resource is named.
pub(super) fn count<'a>(
    resources: impl Iterator<Item = (i8, &'a StrBytes)>,
) -> HashMap<(i8, StrBytes), usize> {
    let mut named = HashMap::new();
    for (kind, name) in resources {
        *named.entry((kind, name.clone())).or_default() += 1;
    }
    named
}

pub(super) fn change(name: &str, op: Op, value: Option<&StrBytes>) -> Change {
    Change { name: name.to_owned(), op, value: value.map(ToString::to_string) }
}

/// Changes the settings of a resource.
pub(super) async fn alter(
    context: &RequestContext,
    target: Target,
    changes: &[Change],
    plan: Plan,
) -> Result<Result<(), Refusal>, RequestError> {
    if target.times > 1 {
        let reason = "named more than once in the request";
        return Ok(Err((ErrorCode::InvalidRequest, reason.into())));
    }
    let (kind, name) = (target.at.0, target.at.1.to_string());
    Ok(match kind {
        TOPIC => alter_topic(context, &name, changes, plan, target.validate_only).await,
        BROKER | GROUP => {
            let resource = match kind {
                BROKER => alter_dynamic::broker(context, &name),
                _ => alter_dynamic::group(context, &name),
            };
            match resource {
                Ok(resource) => {
                    let only = target.validate_only;
                    alter_dynamic::alter(context, resource, changes.to_vec(), plan, only).await?
                }
                Err(refusal) => Err(refusal),
            }
        }
        other => Err((
            ErrorCode::InvalidRequest,
            format!("settings of resource type {other} are not supported"),
        )),
    })
}

async fn alter_topic(
    context: &RequestContext,
    name: &str,
    changes: &[Change],
    plan: Plan,
    validate_only: bool,
) -> Result<(), Refusal> {
    if !context.allows(Operation::AlterConfigs, Resource::Topic(name)) {
        return Err((ErrorCode::TopicAuthorizationFailed, "not allowed to alter it".into()));
    }
    if let Some(reason) = topics::invalid_name(name) {
        return Err((ErrorCode::InvalidTopicException, reason));
    }
    let broker = context.broker.clone();
    let Some(meta) = broker.log.topic(name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, format!("topic '{name}' does not exist")));
    };
    if topics::is_internal(name) {
        return Err((ErrorCode::InvalidTopicException, format!("'{name}' is the system's own")));
    }
    let all = config::of_topic(&meta, &broker.configs);
    let subject = Subject { own: meta.config, all };
    let alterations = plan(&subject, changes)?;
    let outcome = outcome(&subject.own, &alterations);
    config::check(&broker, &outcome).map_err(|reason| (ErrorCode::InvalidConfig, reason))?;
    if validate_only {
        return Ok(());
    }
    let topic = name.to_owned();
    let altered = blocking(move || broker.log.alter_topic(&topic, &alterations)).await;
    altered.map_err(|error| match error {
        LogError::InvalidTopic { detail, .. } => (ErrorCode::InvalidConfig, detail),
        error => (of_log_error(&error), error.to_string()),
    })?;
    tracing::info!(topic = name, client = %context.client_id, "altered a topic's settings");
    Ok(())
}

/// Settings after alterations.
pub(super) fn outcome(
    own: &[(String, String)],
    alterations: &Alterations,
) -> Vec<(String, String)> {
    let stays = |(name, _): &&(String, String)| alterations.iter().all(|(other, _)| other != name);
    let set = alterations.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    own.iter().filter(stays).cloned().chain(set).collect()
}

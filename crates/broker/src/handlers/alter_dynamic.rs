//! Alterations of what is no topic: brokers and groups, whose altered settings the broker
//! itself remembers.

use std::sync::Arc;

use thalweg_core::authorizer::{Operation, Resource};

use super::alter_configs::{Plan, Refusal, outcome};
use crate::broker::{Broker, NODE_ID, blocking};
use crate::config::{self, Change, Resource as Configured, Settings, Subject};
use crate::error_code::{ErrorCode, of_log_error};
use crate::group::Input;
use crate::request::{RequestContext, RequestError};

/// A broker, or where the name is empty all of them (KIP-226).
pub(super) fn broker(context: &RequestContext, name: &str) -> Result<Configured, Refusal> {
    if !context.allows(Operation::AlterConfigs, Resource::Cluster) {
        let reason = "not allowed to alter settings";
        return Err((ErrorCode::ClusterAuthorizationFailed, reason.into()));
    }
    let this = NODE_ID.0.to_string();
    match name {
        "" => Ok(Configured::AllBrokers),
        name if name == this => Ok(Configured::this_broker()),
        _ => {
            let reason = format!("Unexpected broker id, expected {this}, but received {name}");
            Err((ErrorCode::InvalidRequest, reason))
        }
    }
}

/// A group, whether it exists or not.
pub(super) fn group(context: &RequestContext, name: &str) -> Result<Configured, Refusal> {
    if !context.allows(Operation::AlterConfigs, Resource::Group(name)) {
        let reason = "not allowed to alter its settings";
        return Err((ErrorCode::GroupAuthorizationFailed, reason.into()));
    }
    match name.len() {
        0 => {
            let reason = "Default group resources are not allowed.";
            Err((ErrorCode::InvalidRequest, reason.into()))
        }
        length if length > config::TEXT_BYTES_MAX => {
            let reason = format!("the name is longer than {} bytes", config::TEXT_BYTES_MAX);
            Err((ErrorCode::InvalidGroupId, reason))
        }
        _ => Ok(Configured::Group(name.to_owned())),
    }
}

/// Alters settings: durable and in force when this returns.
pub(super) async fn alter(
    context: &RequestContext,
    resource: Configured,
    changes: Vec<Change>,
    plan: Plan,
    validate_only: bool,
) -> Result<Result<(), Refusal>, RequestError> {
    let work = carry_out(context.broker.clone(), resource.clone(), changes, plan, validate_only);
    // What is durable comes into force, too, even if the client goes away.
    let outcome = tokio::spawn(work).await.map_err(|_| RequestError::Stopping)?;
    if outcome.is_ok() && !validate_only {
        tracing::info!(?resource, client = %context.client_id, "altered settings");
    }
    Ok(outcome)
}

async fn carry_out(
    broker: Arc<Broker>,
    resource: Configured,
    changes: Vec<Change>,
    plan: Plan,
    validate_only: bool,
) -> Result<(), Refusal> {
    let mut altering = broker.configs.altering().await;
    let own = broker.configs.of(&resource);
    let is_new = own.is_empty();
    let all = match &resource {
        Configured::AllBrokers => config::of_all_brokers(&broker),
        Configured::Broker(_) => config::of_broker(&broker),
        Configured::Group(name) => config::of_group(&broker, name),
    };
    let subject = Subject { own: own.into_iter().collect(), all };
    let alterations = plan(&subject, &changes)?;
    let wanted: Settings = outcome(&subject.own, &alterations).into_iter().collect();
    check(&broker, &resource, &wanted)?;
    if is_new && !wanted.is_empty() && altering.len() >= config::RESOURCES_MAX {
        let most = config::RESOURCES_MAX;
        let reason = format!("{most} brokers and groups have settings of their own; no more can");
        return Err((ErrorCode::PolicyViolation, reason));
    }
    if validate_only {
        return Ok(());
    }
    altering
        .put(resource.clone(), wanted.clone())
        .await
        .map_err(|error| (of_log_error(&error), error.to_string()))?;
    put_in_force(&broker, resource, &wanted).await
}

fn check(broker: &Broker, resource: &Configured, wanted: &Settings) -> Result<(), Refusal> {
    match resource {
        Configured::Group(_) => config::check_group(&broker.group_options, wanted)
            .map_err(|reason| (ErrorCode::InvalidConfig, reason)),
        // Kafka's code for this; it would rather have another by now (KAFKA-13609).
        Configured::AllBrokers | Configured::Broker(_) => {
            config::check_broker(broker, resource, wanted)
                .map_err(|reason| (ErrorCode::InvalidRequest, reason))
        }
    }
}

async fn put_in_force(
    broker: &Arc<Broker>,
    resource: Configured,
    settings: &Settings,
) -> Result<(), Refusal> {
    match resource {
        Configured::Group(group) => {
            let effect = config::effect_on_group(settings);
            broker.groups.ask(Input::Settings(group, effect)).await;
            Ok(())
        }
        Configured::AllBrokers | Configured::Broker(_) => {
            let broker = broker.clone();
            let applied = blocking(move || broker.apply_settings()).await;
            applied.map_err(|error| (of_log_error(&error), error.to_string()))
        }
    }
}

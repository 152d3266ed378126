//! AlterClientQuotas: sets and removes quotas, each entity by itself (KIP-546).

use kafka_protocol::messages::AlterClientQuotasRequest;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData as EntityResult, EntryData as EntryResult,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::partition_log::LogError;

use crate::error_code::{ErrorCode, NONE, of_log_error};
use crate::quota::{Alteration, Entity, Kind, Who};
use crate::request::{Answer, RequestContext, RequestError};

/// Longest name of a user or client id that a quota can be set for.
const NAME_BYTES_MAX: usize = 1_024;

/// Code and explanation.
type Refusal = (ErrorCode, String);

pub(crate) async fn handle(
    context: RequestContext,
    request: AlterClientQuotasRequest,
) -> Result<Answer, RequestError> {
    let mut read: Vec<_> =
        request.entries.iter().map(|entry| alteration(&context, entry)).collect();
    refuse_repeated(&mut read);
    let good: Vec<_> = read.iter().filter_map(|read| read.as_ref().ok().cloned()).collect();
    let altered = match request.validate_only || good.is_empty() {
        true => Ok(()),
        false => context.broker.quotas.alter(good).await,
    };
    if altered.is_ok() && !request.validate_only {
        tracing::info!(client = %context.client_id, "altered quotas");
    }
    let altered = altered.map_err(|error| match error {
        LogError::InvalidTopic { detail, .. } => (ErrorCode::InvalidRequest, detail),
        error => (of_log_error(&error), error.to_string()),
    });
    let results = request.entries.into_iter().zip(read).map(|(entry, read)| {
        let parts = entry.entity.into_iter().map(|part| {
            EntityResult::default()
                .with_entity_type(part.entity_type)
                .with_entity_name(part.entity_name)
        });
        let result = EntryResult::default().with_entity(parts.collect());
        match read.and(altered.clone()) {
            Ok(()) => result.with_error_code(NONE).with_error_message(None),
            Err((code, message)) => result
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    });
    context.answer(&AlterClientQuotasResponse::default().with_entries(results.collect()))
}

/// An entity in several entries gets none of them.
fn refuse_repeated(read: &mut [Result<Alteration, Refusal>]) {
    let entities: Vec<_> =
        read.iter().map(|read| read.as_ref().ok().map(|good| good.entity.clone())).collect();
    let mut sorted = entities.clone();
    sorted.sort();
    for (read, entity) in read.iter_mut().zip(entities) {
        let Some(entity) = entity else { continue };
        let first = sorted.partition_point(|other| other.as_ref() < Some(&entity));
        if sorted.get(first + 1) == Some(&Some(entity)) {
            let reason = "the entity is named more than once in the request";
            *read = Err((ErrorCode::InvalidRequest, reason.into()));
        }
    }
}

fn alteration(context: &RequestContext, entry: &EntryData) -> Result<Alteration, Refusal> {
    if !context.allows(Operation::AlterConfigs, Resource::Cluster) {
        let code = ErrorCode::ClusterAuthorizationFailed;
        return Err((code, "not allowed to alter quotas".into()));
    }
    let invalid = |reason: String| (ErrorCode::InvalidRequest, reason);
    let entity = entity(&entry.entity).map_err(invalid)?;
    let quotas: Result<Vec<_>, _> = entry.ops.iter().map(quota).collect();
    let quotas = quotas.map_err(invalid)?;
    let repeated = |at: usize| quotas[..at].iter().any(|(kind, _)| *kind == quotas[at].0);
    if (0..quotas.len()).any(repeated) {
        return Err(invalid("a quota is named twice for the same entity".into()));
    }
    Ok(Alteration { entity, quotas })
}

fn entity(parts: &[EntityData]) -> Result<Entity, String> {
    let mut entity = Entity::default();
    for part in parts {
        let name = part.entity_name.as_ref().map(ToString::to_string);
        if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            return Err(format!("a name is longer than {NAME_BYTES_MAX} bytes"));
        }
        let place = match part.entity_type.as_str() {
            Entity::USER => &mut entity.user,
            Entity::CLIENT => &mut entity.client,
            other => return Err(format!("quotas are for users and client ids, not for '{other}'")),
        };
        if place.replace(Who::from(name)).is_some() {
            return Err(format!("'{}' is named twice", part.entity_type));
        }
    }
    if entity == Entity::default() {
        return Err("a quota needs a user or a client id".into());
    }
    Ok(entity)
}

fn quota(op: &OpData) -> Result<(Kind, Option<f64>), String> {
    let Some(kind) = Kind::of_key(&op.key) else {
        return Err(format!("there is no quota '{}'", op.key));
    };
    if op.remove {
        return Ok((kind, None));
    }
    if !op.value.is_finite() || op.value <= 0.0 {
        return Err(format!("'{}' must be greater than 0, but is {}", op.key, op.value));
    }
    if kind != Kind::Request && op.value.fract() != 0.0 {
        return Err(format!("'{}' must be a whole number, but is {}", op.key, op.value));
    }
    Ok((kind, Some(op.value)))
}

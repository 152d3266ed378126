//! DescribeClientQuotas: the quotas that are set, or those of certain entities (KIP-546).

use kafka_protocol::messages::DescribeClientQuotasRequest;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::error_code::{ErrorCode, NONE};
use crate::quota::{Entity, Who};
use crate::request::{Answer, RequestContext, RequestError};

/// What an entity takes in an answer, put together and encoded.
const ENTITY_BYTES: usize = 1 << 10;
/// A type of entities that has no quotas here.
const IP: &str = "ip";

/// What a part of an entity must be.
enum Match {
    Exactly(Who),
    Any,
}

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeClientQuotasRequest,
) -> Result<Answer, RequestError> {
    let response = DescribeClientQuotasResponse::default();
    let refuse = |code: ErrorCode, message: String| {
        DescribeClientQuotasResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_entries(None)
    };
    if !context.allows(Operation::DescribeConfigs, Resource::Cluster) {
        let code = ErrorCode::ClusterAuthorizationFailed;
        return context.answer(&refuse(code, "not allowed to see quotas".into()));
    }
    let wanted = match components(&request.components) {
        Ok(wanted) => wanted,
        Err(reason) => return context.answer(&refuse(ErrorCode::InvalidRequest, reason)),
    };
    let room = context.room(ENTITY_BYTES * context.broker.quotas.len()).await?;
    let fits = |entity: &Entity| {
        let exact = !request.strict || entity.parts().count() == wanted.len();
        exact
            && wanted.iter().all(|(of_type, wanted)| match (entity.part(of_type), wanted) {
                (None, _) => false,
                (Some(_), Match::Any) => true,
                (Some(who), Match::Exactly(wanted)) => who == wanted,
            })
    };
    let entries = context.broker.quotas.list().into_iter().filter(|(entity, _)| fits(entity));
    let entries = entries.map(|(entity, quotas)| {
        let part = |(of_type, who): (&'static str, &Who)| {
            EntityData::default()
                .with_entity_type(StrBytes::from_static_str(of_type))
                .with_entity_name(who.name().map(|name| StrBytes::from_string(name.to_owned())))
        };
        let values = quotas.into_iter().map(|(kind, value)| {
            ValueData::default().with_key(StrBytes::from_static_str(kind.key())).with_value(value)
        });
        EntryData::default()
            .with_entity(entity.parts().map(part).collect())
            .with_values(values.collect())
    });
    let response = response
        .with_error_code(NONE)
        .with_error_message(None)
        .with_entries(Some(entries.collect()));
    context.answer_in(room, &response)
}

fn components(components: &[ComponentData]) -> Result<Vec<(String, Match)>, String> {
    let mut wanted: Vec<(String, Match)> = Vec::with_capacity(components.len());
    for component in components {
        let of_type = component.entity_type.to_string();
        if ![Entity::USER, Entity::CLIENT, IP].contains(&of_type.as_str()) {
            return Err(format!("quotas are for users and client ids, not for '{of_type}'"));
        }
        if wanted.iter().any(|(other, _)| *other == of_type) {
            return Err(format!("'{of_type}' is named twice"));
        }
        let wants = match (component.match_type, &component._match) {
            (0, Some(name)) => Match::Exactly(Who::Named(name.to_string())),
            (0, None) => return Err(format!("no name of '{of_type}' to look for")),
            (1, _) => Match::Exactly(Who::Default),
            (2, _) => Match::Any,
            (other, _) => return Err(format!("unknown type of match {other}")),
        };
        wanted.push((of_type, wants));
    }
    Ok(wanted)
}

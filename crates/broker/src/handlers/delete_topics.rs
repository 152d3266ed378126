//! DeleteTopics: by name, from version 6 on also by id.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::blocking;
use crate::error_code::{ErrorCode, of_log_error};
use crate::group::Input;
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

pub(crate) async fn handle(
    context: RequestContext,
    request: DeleteTopicsRequest,
) -> Result<Answer, RequestError> {
    let wanted = match context.version() {
        6.. => request.topics,
        _ => {
            let names = request.topic_names.into_iter();
            names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
        }
    };
    let mut results = Vec::with_capacity(wanted.len());
    for topic in wanted {
        results.push(delete(&context, topic).await);
    }
    context.answer(&DeleteTopicsResponse::default().with_responses(results))
}

async fn delete(context: &RequestContext, topic: DeleteTopicState) -> DeletableTopicResult {
    let version = context.version();
    let id = topic.topic_id;
    let name = match topic.name {
        Some(name) => Ok(name),
        None => {
            let found = context.broker.topics.by_id(id);
            found
                .map(|meta| TopicName(StrBytes::from_string(meta.name)))
                .ok_or((ErrorCode::UnknownTopicId, "no topic has this id".to_owned()))
        }
    };
    let outcome = match &name {
        Ok(name) => delete_named(context, name).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let mut result = DeletableTopicResult::default().with_name(name.ok()).with_topic_id(id);
    if let Err((code, message)) = outcome {
        result.error_code = code.code();
        result.error_message = (version >= 5).then(|| StrBytes::from_string(message));
    }
    result
}

async fn delete_named(context: &RequestContext, name: &str) -> Result<(), (ErrorCode, String)> {
    if !context.allows(Operation::Delete, Resource::Topic(name)) {
        return Err((ErrorCode::TopicAuthorizationFailed, "not allowed to delete it".into()));
    }
    if topics::is_internal(name) {
        let reason = format!("topic '{name}' is the system's own");
        return Err((ErrorCode::InvalidTopicException, reason));
    }
    let (broker, topic) = (context.broker.clone(), name.to_owned());
    let deleted = blocking(move || broker.log.delete_topic(&topic)).await;
    deleted.map_err(|error| (of_log_error(&error), error.to_string()))?;
    tracing::info!(topic = name, client = %context.client_id, "deleted a topic");
    context.broker.groups.ask(Input::TopicDeleted(name.to_owned())).await;
    Ok(())
}

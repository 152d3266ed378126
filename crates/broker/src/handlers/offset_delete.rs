//! OffsetDelete: committed offsets of topics that the group does not read any more.

use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE};
use crate::group::{Input, Reply};
use crate::request::{Answer, RequestContext, RequestError};

pub(crate) async fn handle(
    context: RequestContext,
    request: OffsetDeleteRequest,
) -> Result<Answer, RequestError> {
    let response = OffsetDeleteResponse::default();
    if !context.allows(Operation::Delete, Resource::Group(&request.group_id)) {
        let code = ErrorCode::GroupAuthorizationFailed.code();
        return context.answer(&response.with_error_code(code));
    }
    let readable = |topic: &str| context.allows(Operation::Read, Resource::Topic(topic));
    let allowed = request.topics.iter().filter(|topic| readable(&topic.name));
    let partitions = allowed
        .flat_map(|topic| topic.partitions.iter().map(|at| (&topic.name, at.partition_index)))
        .map(|(topic, partition)| TopicPartition::new(topic.as_str(), partition))
        .collect();
    let input = Input::DeleteOffsets { group: request.group_id.to_string(), partitions };
    let mut codes = match context.broker.groups.ask(input).await {
        Reply::Codes(Ok(codes)) => codes.into_iter(),
        Reply::Codes(Err(code)) => return context.answer(&response.with_error_code(code.code())),
        _ => return Err(RequestError::Stopping),
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let allowed = readable(&topic.name);
        let partitions = topic.partitions.iter().map(|partition| {
            let code = match allowed {
                true => codes.next().unwrap_or(NONE),
                false => ErrorCode::TopicAuthorizationFailed.code(),
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        topics.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    context.answer(&response.with_topics(topics))
}

//! WriteTxnMarkers: ends a producer's transaction in some partitions, whatever the
//! coordinator knows of it: the way out for one that hangs (KIP-664).

use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;
use thalweg_core::partition_log::LogError;
use thalweg_core::record_batch::ControlKind;

use crate::error_code::{ErrorCode, NONE, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{COORDINATOR_EPOCH, Durable, Producer};

pub(crate) async fn handle(
    context: RequestContext,
    request: WriteTxnMarkersRequest,
) -> Result<Answer, RequestError> {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in &request.markers {
        let mut codes = write(&context, marker).await.into_iter();
        let mut of_partition = |partition: &i32| {
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(*partition)
                .with_error_code(codes.next().unwrap_or(NONE))
        };
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            let partitions = topic.partition_indexes.iter().map(&mut of_partition).collect();
            topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        markers.push(
            WritableTxnMarkerResult::default()
                .with_producer_id(marker.producer_id)
                .with_topics(topics),
        );
    }
    context.answer(&WriteTxnMarkersResponse::default().with_markers(markers))
}

/// Writes a producer's markers; a code for each partition.
async fn write(context: &RequestContext, marker: &WritableTxnMarker) -> Vec<i16> {
    let of_topic = |topic: &WritableTxnMarkerTopic| {
        let name = topic.name.to_string();
        let numbers = topic.partition_indexes.clone().into_iter();
        numbers.map(move |number| TopicPartition::new(name.clone(), number))
    };
    let partitions: Vec<_> = marker.topics.iter().flat_map(of_topic).collect();
    let producer = Producer::new(marker.producer_id.0, marker.producer_epoch);
    let allowed = context.allows(Operation::Alter, Resource::Cluster)
        || context.allows(Operation::ClusterAction, Resource::Cluster);
    if !allowed {
        return vec![ErrorCode::ClusterAuthorizationFailed.code(); partitions.len()];
    }
    if producer.id.0 < 0 || producer.epoch < 0 {
        return vec![ErrorCode::InvalidRequest.code(); partitions.len()];
    }
    let outcome = match marker.transaction_result {
        true => ControlKind::Commit,
        false => ControlKind::Abort,
    };
    let client = &context.client_id;
    tracing::info!(%client, ?producer, ?partitions, ?outcome, "markers on request");
    // A larger epoch than the coordinator's own would keep out its markers from now on.
    let epoch = marker.coordinator_epoch.min(COORDINATOR_EPOCH);
    let transactions = &context.broker.transactions;
    let appended = transactions.append_markers(partitions, producer, outcome, epoch).await;
    let mut codes = Vec::with_capacity(appended.len());
    for (_, appended) in appended {
        codes.push(code_of(appended).await);
    }
    codes
}

async fn code_of(appended: Result<Durable, LogError>) -> i16 {
    let written = match appended {
        Ok(durable) => durable.await.unwrap_or(Err(LogError::Stopped)),
        Err(error) => Err(error),
    };
    written.map_or_else(|error| of_log_error(&error).code(), |()| NONE)
}

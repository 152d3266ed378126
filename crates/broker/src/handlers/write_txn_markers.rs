//! WriteTxnMarkers: ends a producer's transaction in some partitions, whatever the
//! coordinator knows of it: the way out for one that hangs (KIP-664).

use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;
use thalweg_core::partition_log::LogError;
use thalweg_core::record_batch::ControlKind;
use tokio::sync::oneshot;

use crate::broker::blocking;
use crate::error_code::{ErrorCode, NONE, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::transaction::{COORDINATOR_EPOCH, Producer};

/// A marker that was appended, or why it was not.
type Written = Result<oneshot::Receiver<Result<(), LogError>>, ErrorCode>;

pub(crate) async fn handle(
    context: RequestContext,
    request: WriteTxnMarkersRequest,
) -> Result<Answer, RequestError> {
    let allowed = context.allows(Operation::Alter, Resource::Cluster)
        || context.allows(Operation::ClusterAction, Resource::Cluster);
    let mut written = Vec::new();
    for marker in &request.markers {
        for topic in &marker.topics {
            for partition in &topic.partition_indexes {
                let at = TopicPartition::new(topic.name.as_str(), *partition);
                written.push(match allowed {
                    true => write(&context, marker, at).await,
                    false => Err(ErrorCode::ClusterAuthorizationFailed),
                });
            }
        }
    }
    let mut codes = Vec::with_capacity(written.len());
    for marker in written {
        codes.push(code_of(marker).await);
    }
    let mut codes = codes.into_iter();
    let mut of_partition = |partition: &i32| {
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(*partition)
            .with_error_code(codes.next().unwrap_or(NONE))
    };
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in &request.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(
                        topic.partition_indexes.iter().map(&mut of_partition).collect(),
                    ),
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

async fn write(
    context: &RequestContext,
    marker: &WritableTxnMarker,
    at: TopicPartition,
) -> Written {
    let producer = Producer::new(marker.producer_id.0, marker.producer_epoch);
    if producer.id.0 < 0 || producer.epoch < 0 {
        return Err(ErrorCode::InvalidRequest);
    }
    let outcome = match marker.transaction_result {
        true => ControlKind::Commit,
        false => ControlKind::Abort,
    };
    // A larger epoch than the coordinator's own would keep out its markers from now on.
    let epoch = marker.coordinator_epoch.min(COORDINATOR_EPOCH);
    let client = &context.client_id;
    tracing::info!(%client, ?producer, partition = %at, ?outcome, "a marker on request");
    let transactions = context.broker.transactions.clone();
    let marked = blocking(move || transactions.append_marker(&at, producer, outcome, epoch)).await;
    marked.map_err(|error| of_log_error(&error))
}

async fn code_of(written: Written) -> i16 {
    let durable = match written {
        Ok(durable) => durable,
        Err(code) => return code.code(),
    };
    match durable.await.unwrap_or(Err(LogError::Stopped)) {
        Ok(()) => NONE,
        Err(error) => of_log_error(&error).code(),
    }
}

//! Writes the markers that end a transaction into its partitions.

use std::sync::Arc;

use thalweg_core::ids::TopicPartition;
use thalweg_core::partition_log::LogError;
use thalweg_core::record_batch::{ControlKind, control_batch};
use tokio::sync::oneshot;

use super::messages::Markers;
use super::service::{TransactionService, offsets_partition};
use super::state::Producer;
use crate::broker::blocking;

/// Epoch of the one coordinator there is; it never moves.
pub(crate) const COORDINATOR_EPOCH: i32 = 0;

/// Tells when a marker is durable.
pub(crate) type Durable = oneshot::Receiver<Result<(), LogError>>;

impl TransactionService {
    /// Writes the markers of an end into partitions, and waits until they are durable.
    /// Gives the partitions into which they could not be written and may be later.
    pub(super) async fn write_markers(
        self: &Arc<Self>,
        markers: &Markers,
        partitions: Vec<TopicPartition>,
    ) -> Vec<TopicPartition> {
        let (producer, outcome) = (markers.producer, markers.outcome);
        let appended = self.append_markers(partitions, producer, outcome, COORDINATOR_EPOCH).await;
        let mut refused = Vec::new();
        for (partition, appended) in appended {
            let written = match appended {
                Ok(durable) => durable.await.unwrap_or(Err(LogError::Stopped)),
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                let (id, again) = (&markers.id, may_come(&error));
                tracing::warn!(%id, ?producer, %partition, %error, again, "a transaction's marker");
                refused.extend(again.then_some(partition));
            }
        }
        refused
    }

    /// Appends a producer's markers to partitions, behind all that its transaction brought
    /// into them. Says of each when it is durable, or why it was not taken.
    pub(crate) async fn append_markers(
        self: &Arc<Self>,
        partitions: Vec<TopicPartition>,
        producer: Producer,
        outcome: ControlKind,
        coordinator_epoch: i32,
    ) -> Vec<(TopicPartition, Result<Durable, LogError>)> {
        let (this, gate) = (self.clone(), self.gates.ending(producer.id).await);
        // May have to wait for the disk.
        blocking(move || {
            let _gate = gate;
            let append = |partition: TopicPartition| {
                let marker = this.append_marker(&partition, producer, outcome, coordinator_epoch);
                (partition, marker)
            };
            partitions.into_iter().map(append).collect()
        })
        .await
    }

    fn append_marker(
        &self,
        partition: &TopicPartition,
        producer: Producer,
        outcome: ControlKind,
        coordinator_epoch: i32,
    ) -> Result<Durable, LogError> {
        let log = self.store.partition(&partition.topic, partition.partition)?;
        let (id, epoch) = (producer.id.0, producer.epoch);
        let marker = control_batch(outcome, id, epoch, coordinator_epoch, self.wall_ms());
        let marker = marker.map_err(|error| LogError::InvalidBatch {
            partition: partition.clone(),
            detail: error.to_string(),
        })?;
        let appended = log.append(marker)?;
        if *partition == offsets_partition() {
            self.groups.transaction_ended(producer.id, outcome, appended.base_offset);
        }
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |outcome| {
            let _ = sender.send(outcome);
        });
        log.when_durable(appended.next_offset, done);
        Ok(receiver)
    }
}

/// Whether a marker that was refused may be taken another time.
fn may_come(error: &LogError) -> bool {
    match error {
        // The partition is gone, with the records.
        LogError::UnknownPartition { .. } => false,
        // A newer epoch came in after the end: nothing of this one is open.
        LogError::Fenced { .. } => false,
        _ => true,
    }
}

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

impl TransactionService {
    /// Writes the markers of an end into partitions, and waits until they are durable.
    /// Gives the partitions into which they could not be written and may be later.
    pub(super) async fn write_markers(
        self: &Arc<Self>,
        markers: &Markers,
        partitions: Vec<TopicPartition>,
    ) -> Vec<TopicPartition> {
        let (service, producer, outcome) = (self.clone(), markers.producer, markers.outcome);
        let append = move |partition: TopicPartition| {
            let appended = service.append_marker(&partition, producer, outcome, COORDINATOR_EPOCH);
            (partition, appended)
        };
        let appended: Vec<_> = blocking(move || partitions.into_iter().map(append).collect()).await;
        let (mut written, mut refused) = (Vec::new(), Vec::new());
        for (partition, outcome) in appended {
            match outcome {
                Ok(durable) => written.push((partition, durable)),
                Err(error) => refused.push((partition, error)),
            }
        }
        for (partition, durable) in written {
            if let Err(error) = durable.await.unwrap_or(Err(LogError::Stopped)) {
                refused.push((partition, error));
            }
        }
        refused.retain(|(partition, error)| {
            let again = may_come(error);
            let (id, producer) = (&markers.id, markers.producer);
            tracing::warn!(%id, ?producer, %partition, %error, again, "a transaction's marker");
            again
        });
        refused.into_iter().map(|(partition, _)| partition).collect()
    }

    /// Appends a marker behind all that the producer's transaction brought into the
    /// partition. Says when it is durable. May wait for the disk.
    ///
    /// # Errors
    /// As the log reports them.
    pub(crate) fn append_marker(
        &self,
        partition: &TopicPartition,
        producer: Producer,
        outcome: ControlKind,
        coordinator_epoch: i32,
    ) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let log = self.store.partition(&partition.topic, partition.partition)?;
        let (id, epoch) = (producer.id.0, producer.epoch);
        let marker = control_batch(outcome, id, epoch, coordinator_epoch, self.wall_ms());
        let marker = marker.map_err(|error| LogError::InvalidBatch {
            partition: partition.clone(),
            detail: error.to_string(),
        })?;
        let appended = {
            let _gate = self.gates.ending(producer.id);
            log.append(marker)?
        };
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

//! Positions of jobs as committed offsets of consumer groups: what Kafka's lag tools show.

use std::sync::{Arc, OnceLock};

use thalweg_broker::{BrokerHandle, GroupCommitter};
use thalweg_core::ids::{Offset, TopicPartition};

/// Takes positions of jobs and, once the Kafka door is open, commits them. Best effort:
/// a job's true positions are in its journal.
#[derive(Default)]
pub struct Offsets {
    door: OnceLock<(GroupCommitter, tokio::runtime::Handle)>,
}

impl std::fmt::Debug for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Offsets")
    }
}

/// What connectors call with a group and its positions.
pub(super) type PositionPublisher = Arc<dyn Fn(&str, &[(TopicPartition, Offset)]) + Send + Sync>;

impl Offsets {
    /// Commits from now on through this door.
    pub fn connect(&self, broker: &BrokerHandle) {
        let _ = self.door.set((broker.committer(), tokio::runtime::Handle::current()));
    }

    /// The function that connectors call. It does not block.
    pub fn publisher(self: &Arc<Self>) -> PositionPublisher {
        let offsets = Arc::clone(self);
        Arc::new(move |group, positions| offsets.publish(group, positions))
    }

    fn publish(&self, group: &str, positions: &[(TopicPartition, Offset)]) {
        let Some((committer, runtime)) = self.door.get() else {
            return;
        };
        let committer = committer.clone();
        let group = group.to_owned();
        let offsets = positions.iter().map(|(at, offset)| (at.clone(), *offset, String::new()));
        let offsets = offsets.collect();
        runtime.spawn(async move {
            if let Err(error) = committer.commit(&group, offsets).await {
                tracing::debug!("positions of '{group}' were not committed: {error}");
            }
        });
    }
}
